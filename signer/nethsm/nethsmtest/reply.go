package nethsmtest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"
)

const (
	typeJSON  = "application/json"
	typeBytes = "application/octet-stream"
	typePEM   = "application/x-pem-file"
)

// reply is one answer of the device.
type reply struct {
	status      int
	contentType string
	header      map[string]string
	body        []byte
}

func empty(status int) reply { return reply{status: status} }

// message is the device's error body. Refusals by role, unknown ids and refused log-ins have none: use empty.
func message(status int, format string, arguments ...any) reply {
	return encoded(status, struct {
		Message string `json:"message"`
	}{fmt.Sprintf(format, arguments...)})
}

func encoded(status int, value any) reply {
	body, err := json.Marshal(value, json.Deterministic(true))
	if err != nil {
		return reply{status: http.StatusServiceUnavailable, contentType: "text/plain", body: []byte(err.Error())}
	}
	return reply{status: status, contentType: typeJSON, body: body}
}

// created answers with where the new thing is. PUT says only that, POST repeats the id in a body.
func created(collection, id string, withBody bool) reply {
	answer := empty(http.StatusCreated)
	if withBody {
		answer = encoded(http.StatusCreated, identified{id})
	}
	answer.header = map[string]string{"Location": "/api/v1/" + collection + "/" + id}
	return answer
}

type identified struct {
	ID string `json:"id"`
}

// tagged adds an ETag, and answers 304 if the client has this version.
func (c *call) tagged(answer reply) reply {
	sum := sha256.Sum256(answer.body)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	if c.r.Header.Get("If-None-Match") == tag {
		answer = empty(http.StatusNotModified)
	}
	answer.header = map[string]string{"ETag": tag, "Cache-Control": "no-cache"}
	return answer
}
