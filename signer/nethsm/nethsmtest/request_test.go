package nethsmtest_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/reprosign/reprosign/signer/nethsm/nethsmtest"
)

// ask is one request to a soft HSM and what must come back.
type ask struct {
	method, path string
	user         string // "" sends no credentials
	passphrase   string // "" is the default one
	body         string
	header       map[string]string // Content-Type is application/json unless set here
	address      string            // of the client
	length       int64             // Content-Length to claim, if not 0
}

// to sends the request below /api/v1, or to an absolute path.
func (a ask) to(s *nethsmtest.Server) *http.Response {
	path := a.path
	if !strings.HasPrefix(path, "/") {
		path = "/api/v1/" + path
	}
	r := httptest.NewRequest(a.method, path, strings.NewReader(a.body))
	r.Header.Set("Content-Type", "application/json")
	for name, value := range a.header {
		r.Header.Set(name, value)
		if value == "" {
			r.Header.Del(name)
		}
	}
	if a.user != "" {
		passphrase := a.passphrase
		if passphrase == "" {
			passphrase = nethsmtest.DefaultPassphrase
		}
		r.SetBasicAuth(a.user, passphrase)
	}
	if a.address != "" {
		r.RemoteAddr = a.address + ":1234"
	}
	if a.length != 0 {
		r.ContentLength = a.length
	}
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, r)
	return recorder.Result()
}

// want sends the request and checks status and, if says is not "", that the error body has exactly this message; "-"
// stands for an empty body.
func (a ask) want(t *testing.T, s *nethsmtest.Server, status int, says string) *http.Response {
	t.Helper()
	response := a.to(s)
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	if response.StatusCode != status {
		t.Fatalf("%s %s as %q: got status %d %s, want %d", a.method, a.path, a.user, response.StatusCode, body, status)
	}
	switch says {
	case "":
	case "-":
		if len(body) != 0 {
			t.Errorf("%s %s as %q: got body %q, want none", a.method, a.path, a.user, body)
		}
	default:
		var refusal struct {
			Message string `json:"message"`
		}
		if err := json.Unmarshal(body, &refusal, json.RejectUnknownMembers(true)); err != nil || refusal.Message != says {
			t.Errorf("%s %s as %q: got body %s, want message %q", a.method, a.path, a.user, body, says)
		}
	}
	return response
}

// decode sends the request, wants 200, and parses the answer.
func decode[T any](t *testing.T, s *nethsmtest.Server, a ask) T {
	t.Helper()
	var value T
	response := a.want(t, s, http.StatusOK, "")
	if err := json.UnmarshalRead(response.Body, &value, json.RejectUnknownMembers(true)); err != nil {
		t.Fatalf("%s %s: %v", a.method, a.path, err)
	}
	return value
}

// device is a provisioned device with a user of each role, and the same in namespace "ns".
func device(t *testing.T, options ...nethsmtest.Option) *nethsmtest.Server {
	t.Helper()
	s, err := nethsmtest.Provisioned(nethsmtest.Setup{
		Namespaces: []string{"ns"},
		Users: []nethsmtest.User{
			{ID: "operator", Role: "Operator", Tags: []string{"berlin"}},
			{ID: "metrics", Role: "Metrics"},
			{ID: "backup", Role: "Backup"},
			{ID: "ns~admin", Role: "Administrator"},
			{ID: "ns~operator", Role: "Operator"},
		},
		Keys: []nethsmtest.Key{
			{ID: "ed"},
			{ID: "tagged", Tags: []string{"berlin", "paris"}},
			{ID: "foreign", Tags: []string{"rome"}},
			{Namespace: "ns", ID: "ed"},
			{Namespace: "ns", ID: "only"},
		},
	}, options...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// clock is a time that stands still until it is moved.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newClock() *clock { return &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }
