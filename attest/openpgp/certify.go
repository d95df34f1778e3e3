package openpgp

import (
	"crypto"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// NewCertificate is what the ceremony decides about a new certificate.
type NewCertificate struct {
	// UserID names the holder, by convention "Name <address>": one line of
	// UTF-8 of at most [MaxUserID] bytes.
	UserID string
	// Created is a whole second. It enters the fingerprint and stays fixed for
	// the life of the key; no signature may be older.
	Created time.Time
	// Lifetime counts from Created, in whole seconds. Zero means without end.
	Lifetime time.Duration
}

// Certify makes a certificate of one component key: the primary certifies
// itself and signs. The key is asked for one signature. Equal arguments give
// equal bytes, and the result has passed [ParseCertificate].
func Certify(n NewCertificate, key crypto.Signer) (*Certificate, error) {
	c, err := certify(n, key)
	if err != nil {
		return nil, fmt.Errorf("making OpenPGP certificate: %w", err)
	}
	return c, nil
}

func certify(n NewCertificate, key crypto.Signer) (*Certificate, error) {
	if err := checkUserID(n.UserID); err != nil {
		return nil, err
	}
	created, err := seconds(n.Created)
	if err != nil {
		return nil, err
	}
	if n.Lifetime < 0 || n.Lifetime%time.Second != 0 || int64(n.Lifetime/time.Second) > math.MaxUint32-int64(created) {
		return nil, malformed("lifetime %s is not whole seconds that end before 2106", n.Lifetime)
	}
	primary, err := newPublicKey(key.Public(), created)
	if err != nil {
		return nil, err
	}

	b := body{algorithm: primary.algorithm, kind: typeCertify, hash: hashSHA512}
	b.hashed = appendIdentity(nil, created, primary.fingerprint)
	b.hashed = appendSubpacket(b.hashed, subKeyFlags, []byte{flagCertify | flagSign})
	if n.Lifetime > 0 {
		lifetime := uint32(n.Lifetime / time.Second)
		b.hashed = appendSubpacket(b.hashed, subKeyLifetime, binary.BigEndian.AppendUint32(nil, lifetime))
	}
	b.hashed = appendSubpacket(b.hashed, subPrimaryUserID, []byte{1})

	h := sha512.New()
	h.Write(primary.hashPrefix())
	h.Write(binary.BigEndian.AppendUint32([]byte{0xB4}, uint32(len(n.UserID))))
	h.Write([]byte(n.UserID))
	if err := b.sign(primary, key, h); err != nil {
		return nil, err
	}

	raw := appendPacket(nil, tagPublicKey, primary.body)
	raw = appendPacket(raw, tagUserID, []byte(n.UserID))
	raw = appendPacket(raw, tagSignature, b.encode())
	c, err := ParseCertificate(raw)
	if err != nil {
		return nil, fmt.Errorf("checking what the key answered: %w", err)
	}
	return c, nil
}

func checkUserID(id string) error {
	if id == "" || len(id) > MaxUserID || !oneLine(id) {
		return malformed("user id is not one line of UTF-8 of 1 to %d bytes", MaxUserID)
	}
	return nil
}
