package attest

import "bytes"

// PredicateType returns the predicate type that a statement claims, or nothing
// if the payload is no statement. It says which parser to try and no more: the
// parser checks everything, this included.
func PredicateType(payload []byte) string {
	// Nothing but a member begins with quotes, and none of this name comes after it.
	const member = `,"predicateType":"`
	at := bytes.LastIndex(payload, []byte(member))
	if at < 0 {
		return ""
	}
	value, _, _ := bytes.Cut(payload[at+len(member):], []byte(`"`))
	return string(value)
}
