package openpgp_test

import (
	"crypto/ed25519"
	"crypto/sha512"
	"encoding"
	"fmt"
	"strings"
	"time"

	"github.com/reprosign/reprosign/attest/openpgp"
)

// A rebuilder hashes a file and hands on the state; the signer, which never
// sees the file, finishes the signature.
func ExampleSignState() {
	const file = "a file of any size"

	// The rebuilder.
	h := sha512.New()
	h.Write([]byte(file))
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		fmt.Println(err)
		return
	}
	digest := [sha512.Size]byte(h.Sum(nil))

	// The ceremony, once. The key would lie in a hardware security module.
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	certificate, err := openpgp.Certify(openpgp.NewCertificate{UserID: "Example <a@example.org>", Created: created}, key)
	if err != nil {
		fmt.Println(err)
		return
	}

	// The signer.
	signature, err := openpgp.SignState(certificate, key, state, uint64(len(file)), digest, openpgp.Options{
		Created:   created.Add(time.Hour),
		Notations: []openpgp.Notation{{Name: "ground@example.org", Value: "quorum"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	// Everyone.
	said, err := openpgp.Verify(certificate, signature, strings.NewReader(file))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(said.IssuerFingerprint == certificate.Fingerprint(), said.Created.Format(time.RFC3339), said.Notations)
	// Output: true 2026-01-01T01:00:00Z [{ground@example.org quorum}]
}
