package bus

import (
	"bytes"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/reprosign/reprosign/attest/canonical"
)

var (
	deterministic = json.Deterministic(true)
	noUnknown     = json.RejectUnknownMembers(true)
)

// encode writes a message of at most limit bytes.
func encode(v any, limit int) ([]byte, error) {
	data, err := json.Marshal(v, deterministic)
	if err != nil {
		return nil, failed(err, KindInvalid, "encoding a message")
	}
	return data, checkSize(data, limit)
}

// encodeInto writes a message of at most MaxMessage bytes into a buffer. One that is
// [walked] has to be pointed to.
func encodeInto(b *bytes.Buffer, v any) error {
	var err error
	if m, ok := v.(walked); ok {
		var data []byte
		data, err = canonical.Append(b.AvailableBuffer(), m.walk)
		b.Write(data)
	} else {
		err = json.MarshalWrite(b, v, deterministic)
	}
	if err != nil {
		return failed(err, KindInvalid, "encoding a message")
	}
	return checkSize(b.Bytes(), MaxMessage)
}

// buffers are for messages that nobody keeps once they are sent: to find room
// for megabytes anew each time costs more than to write them.
type buffers struct{ pool sync.Pool }

// get returns an empty buffer, to be put back.
func (p *buffers) get() *bytes.Buffer {
	b, ok := p.pool.Get().(*bytes.Buffer)
	if !ok {
		return &bytes.Buffer{}
	}
	b.Reset()
	return b
}

func (p *buffers) put(b *bytes.Buffer) { p.pool.Put(b) }

func checkSize(data []byte, limit int) error {
	if len(data) > limit {
		return Errorf(KindInvalid, "message of %d bytes, at most %d allowed", len(data), limit)
	}
	return nil
}

// decode reads a message of at most limit bytes into v. Unknown and repeated members,
// wrong case, invalid UTF-8 and trailing data are errors. A [walked] message that is
// canonical JSON, as all parties here write it, is walked; in any other spelling, such as
// that of an older agent, it says the same and is read as the other messages are.
func decode[M any](data []byte, limit int, v *M) error {
	if err := checkSize(data, limit); err != nil {
		return err
	}
	if m, ok := any(v).(walked); ok && canonical.Read(data, limit, m.walk) == nil {
		return nil
	}
	var read M // without what a walk has left in v
	if err := json.Unmarshal(data, &read, noUnknown); err != nil {
		return failed(err, KindInvalid, "message is malformed")
	}
	*v = read
	return nil
}

// DecodeComplaint reads a complaint with its proof, as an agent keeps it. It
// verifies nothing beyond the form.
func DecodeComplaint(data []byte) (ComplainRequest, error) {
	var q ComplainRequest
	if err := decode(data, MaxRequest, &q); err != nil {
		return ComplainRequest{}, err
	}
	if q.Complaint == nil || q.Receipt == nil || q.Statement == nil {
		return ComplainRequest{}, Errorf(KindInvalid, "complaint, receipt or statement is missing")
	}
	return q, nil
}

func splitAddresses(list string) []string {
	addresses := strings.Split(list, ",")
	for i, a := range addresses {
		addresses[i] = strings.TrimSpace(a)
	}
	return addresses
}
