package attest

import "github.com/go-json-experiment/json"

// PredicateType returns the predicate type that a statement claims, or nothing
// if the payload is no statement. It says which parser to try and no more: the
// parser checks everything, this included.
func PredicateType(payload []byte) string {
	if len(payload) > MaxPayload {
		return ""
	}
	var s struct {
		PredicateType string `json:"predicateType"`
	}
	if err := json.Unmarshal(payload, &s); err != nil {
		return ""
	}
	return s.PredicateType
}
