package bus

import (
	"strings"

	"github.com/go-json-experiment/json"
)

// encode writes a message of at most limit bytes.
func encode(v any, limit int) ([]byte, error) {
	data, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return nil, failed(err, KindInvalid, "encoding a message")
	}
	if len(data) > limit {
		return nil, Errorf(KindInvalid, "message of %d bytes, at most %d allowed", len(data), limit)
	}
	return data, nil
}

// decode reads a message of at most limit bytes into v. Unknown and repeated
// members, wrong case, invalid UTF-8 and trailing data are errors.
func decode(data []byte, limit int, v any) error {
	if len(data) > limit {
		return Errorf(KindInvalid, "message of %d bytes, at most %d allowed", len(data), limit)
	}
	if err := json.Unmarshal(data, v, json.RejectUnknownMembers(true)); err != nil {
		return failed(err, KindInvalid, "message is malformed")
	}
	return nil
}

// DecodeVote reads the data of a vote message. It verifies nothing beyond the form.
func DecodeVote(data []byte) (Vote, error) {
	var v Vote
	if err := decode(data, MaxVote, &v); err != nil {
		return Vote{}, err
	}
	if v.Envelope == nil {
		return Vote{}, Errorf(KindInvalid, "vote holds no envelope")
	}
	return v, nil
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
