package openpgp

import (
	"fmt"
	"time"
)

// parts is a certificate cut at its keys and user ids (RFC 9580 §10.1).
type parts struct {
	primary packet
	userIDs []part
	subkeys []part // at most one
}

// part is a user id or subkey with the self-signatures that follow it.
type part struct {
	packet
	signatures []packet
}

// readParts settles number and order of the packets and nothing else.
func readParts(data []byte) (*parts, error) {
	var c parts
	var current *part
	for place := 0; len(data) > 0; place++ {
		p, rest, err := readPacket(data)
		if err != nil {
			return nil, err
		}
		data = rest
		switch {
		case p.tag == tagSecretKey || p.tag == tagSecretSubkey:
			return nil, errSecretKey
		case p.tag == tagPublicKey && place == 0:
			c.primary = p
		case p.tag == tagUserID && place > 0 && len(c.userIDs) < maxUserIDs && len(c.subkeys) == 0:
			c.userIDs = append(c.userIDs, part{packet: p})
			current = &c.userIDs[len(c.userIDs)-1]
		case p.tag == tagPublicSubkey && len(c.userIDs) > 0 && len(c.subkeys) == 0:
			c.subkeys = []part{{packet: p}}
			current = &c.subkeys[0]
		case p.tag == tagSignature && current != nil && len(current.signatures) < maxSelfSignatures:
			current.signatures = append(current.signatures, p)
		case p.tag == tagSignature:
			return nil, unwanted(p)
		default:
			return nil, malformed("packet of type %d at place %d; allowed are a primary key, 1 to %d user ids and one subkey", p.tag, place, maxUserIDs)
		}
	}
	if len(c.userIDs) == 0 {
		return nil, malformed("no primary key with a user id")
	}
	return &c, nil
}

// evaluate verifies all self-signatures and draws from them which key signs and
// from when to when. raw is what the certificate gives back as its bytes.
func (p *parts) evaluate(raw []byte) (*Certificate, error) {
	primary, err := parsePublicKey(p.primary.body)
	if err != nil {
		return nil, err
	}
	c := &Certificate{raw: raw, primary: primary, signing: primary}
	var flags byte
	for i, id := range p.userIDs {
		if err := checkUserID(string(id.body)); err != nil {
			return nil, err
		}
		first, last, err := span(id, primary, primary, c.verifyUserID)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			c.validFrom, flags = moment(first.created), last.flags
		}
		if last.flags != flags {
			return nil, malformed("user ids disagree about the use of the key")
		}
		if from := moment(first.created); from.Before(c.validFrom) {
			c.validFrom = from
		}
		c.expireWith(primary, last)
		c.userIDs = append(c.userIDs, string(id.body))
	}
	if len(p.subkeys) == 0 {
		return c, checkUse("the only key", flags, flagCertify|flagSign)
	}
	if err := checkUse("a primary key beside a signing subkey", flags, flagCertify); err != nil {
		return nil, err
	}
	return c, c.adopt(p.subkeys[0])
}

// adopt makes the subkey the signing key.
func (c *Certificate) adopt(subkey part) error {
	key, err := parsePublicKey(subkey.body)
	if err != nil {
		return err
	}
	c.signing = key
	first, last, err := span(subkey, c.primary, key, c.verifyBinding)
	if err != nil {
		return err
	}
	if from := moment(first.created); from.After(c.validFrom) {
		c.validFrom = from
	}
	c.expireWith(key, last)
	return checkUse("a subkey", last.flags, flagSign)
}

func checkUse(key string, got, want byte) error {
	if got != want {
		return malformed("%s has key flags 0x%02X, not 0x%02X (certify 0x01, sign 0x02)", key, got, want)
	}
	return nil
}

// expireWith narrows the validity to the lifetime that last gives to key.
func (c *Certificate) expireWith(key publicKey, last *selfSignature) {
	if last.lifetime == 0 {
		return
	}
	until := moment(key.created).Add(time.Duration(last.lifetime) * time.Second)
	if c.expires.IsZero() || until.Before(c.expires) {
		c.expires = until
	}
}

// span verifies all self-signatures of a part and returns the first and the
// last by time. The last one holds; the first says since when there is one.
func span(p part, issuer, subject publicKey, verify func(part, packet, *selfSignature) error) (first, last *selfSignature, err error) {
	times := make(map[uint32]bool)
	for _, signature := range p.signatures {
		s, err := parseSelfSignature(signature.body, issuer.fingerprint)
		if err != nil {
			return nil, nil, err
		}
		if err := verify(p, signature, s); err != nil {
			return nil, nil, err
		}
		if s.created < subject.created {
			return nil, nil, malformed("self-signature is older than its key")
		}
		if times[s.created] {
			return nil, nil, malformed("two self-signatures of the same second; which one holds is undecided")
		}
		times[s.created] = true
		if first == nil || s.created < first.created {
			first = s
		}
		if last == nil || s.created > last.created {
			last = s
		}
	}
	if first == nil {
		return nil, nil, malformed("user id or subkey without self-signature")
	}
	return first, last, nil
}

func (c *Certificate) verifyUserID(id part, p packet, s *selfSignature) error {
	if s.kind < typeCertifyFirst || s.kind > typeCertifyLast || s.embedded != nil {
		return unwanted(p)
	}
	primary, signature, err := secondReader(c.primary, p.raw)
	if err != nil {
		return err
	}
	if err := primary.VerifyUserIdSignature(string(id.body), primary, signature); err != nil {
		return fmt.Errorf("self-signature on user id: %w: %w", ErrBadSignature, err)
	}
	return nil
}

// verifyBinding checks that the primary key adopts the subkey and the subkey
// agrees; without its answer anybody could adopt it.
func (c *Certificate) verifyBinding(_ part, p packet, s *selfSignature) error {
	// The sign flag also makes go-crypto verify the answer below.
	if s.kind != typeSubkeyBinding || s.flags != flagSign || s.embedded == nil {
		return unwanted(p)
	}
	answer, err := parseSelfSignature(s.embedded, c.signing.fingerprint)
	if err != nil {
		return fmt.Errorf("answer of the subkey: %w", err)
	}
	if answer.kind != typePrimaryBinding || answer.flags != 0 || answer.embedded != nil {
		return malformed("answer of the subkey is of type 0x%02X", answer.kind)
	}
	primary, signature, err := secondReader(c.primary, p.raw)
	if err != nil {
		return err
	}
	subkey, err := c.signing.secondReader()
	if err != nil {
		return err
	}
	if err := primary.VerifyKeySignature(subkey, signature); err != nil {
		return fmt.Errorf("binding of subkey: %w: %w", ErrBadSignature, err)
	}
	return nil
}

// unwanted explains why a signature cannot stand where it stands.
func unwanted(signature packet) error {
	var kind byte
	if len(signature.body) > 1 {
		kind = signature.body[1]
	}
	switch kind {
	case typeKeyRevocation, typeSubRevocation, typeUserRevocation:
		return malformed("certificate is revoked in whole or in part")
	default:
		return malformed("signature of type 0x%02X is out of place, for another use than signing, or one too many", kind)
	}
}
