package openpgp

import (
	"bytes"
	"hash"

	pgp "github.com/ProtonMail/go-crypto/openpgp/packet"
)

// secondReader returns the key as go-crypto reads it. go-crypto verifies all
// self-signatures, and gives the second opinion on every signature made here.
func (p publicKey) secondReader() (*pgp.PublicKey, error) {
	return read[*pgp.PublicKey](appendPacket(nil, tagPublicKey, p.body))
}

// secondReader returns a key and the signature in a packet.
func secondReader(p publicKey, signature []byte) (*pgp.PublicKey, *pgp.Signature, error) {
	key, err := p.secondReader()
	if err != nil {
		return nil, nil, err
	}
	s, err := read[*pgp.Signature](signature)
	return key, s, err
}

// secondOpinion verifies a signature packet over a hash that has taken in what
// is signed.
func secondOpinion(p publicKey, signature []byte, h hash.Hash) error {
	key, s, err := secondReader(p, signature)
	if err != nil {
		return err
	}
	return key.VerifySignature(h, s)
}

func read[T pgp.Packet](raw []byte) (T, error) {
	var none T
	p, err := pgp.Read(bytes.NewReader(raw))
	if err != nil {
		return none, malformed("second reader: %w", err)
	}
	typed, ok := p.(T)
	if !ok {
		return none, malformed("second reader: packet is a %T", p)
	}
	return typed, nil
}
