package attest

import "crypto/subtle"

// Claim is the candidate's set digest and the salt that hides it. It goes to
// the coordinator alone; everybody else sees the salted digest in the request
// and can check the claim once it is opened in the evidence.
type Claim struct {
	Salt Digest `json:"salt"` // 32 random bytes
	Set  Digest `json:"set"`
}

// Digest returns SHA-256(salt ‖ set digest), the form that the request holds.
func (c Claim) Digest() Digest {
	return SHA256(append(c.Salt[:], c.Set[:]...))
}

// Matches reports whether c opens the salted digest in a request.
func (c Claim) Matches(salted Digest) bool {
	d := c.Digest()
	return subtle.ConstantTimeCompare(d[:], salted[:]) == 1
}
