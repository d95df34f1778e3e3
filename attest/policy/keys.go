package policy

import (
	"encoding/base32"
	"encoding/binary"
	"fmt"

	"github.com/reprosign/reprosign/attest"
)

// holder is one verifier key of a policy and the role it is held in.
type holder struct {
	role string
	key  attest.VerifierKey
	alg  attest.Algorithm // that the role needs
	nats string           // empty if the role has no NATS key
}

// Roles whose keys sign nothing on NATS.
const (
	roleLog     = "log"
	roleWitness = "witness"
	roleAdmin   = "admin"
)

// holders lists every key of the policy.
func (p Policy) holders() []holder {
	list := []holder{{roleLog, p.Log.Key, attest.Ed25519, ""}}
	for _, w := range p.Witnesses.Keys {
		list = append(list, holder{roleWitness, w.Key, attest.Cosignature, ""})
	}
	for _, k := range p.Admins.Keys {
		list = append(list, holder{roleAdmin, k, attest.Ed25519, ""})
	}
	for _, c := range p.Coordinators {
		list = append(list, holder{"coordinator", c.Key, attest.ECDSAP256, c.NATS})
	}
	for _, s := range p.Signers {
		list = append(list, holder{"signer", s.Key, attest.ECDSAP256, s.NATS})
	}
	for _, b := range p.Publishers {
		list = append(list, holder{"publisher", b.Key, attest.Ed25519, b.NATS})
	}
	for _, r := range p.Rebuilders {
		list = append(list, holder{"rebuilder", r.Key, attest.Ed25519, r.NATS})
	}
	return list
}

// checkKeys wants every key to be of its role's algorithm, every name to be
// unique in its role, and every bare key to occur once over all roles and
// names. NATS keys are Ed25519 keys too, so they must not double as a role's key.
func (p Policy) checkKeys() error {
	names := map[[2]string]bool{}
	keys := map[attest.Digest]string{}
	once := func(key attest.Digest, holder string) error {
		if other, taken := keys[key]; taken {
			return malformed("%s has the same key as %s", holder, other)
		}
		keys[key] = holder
		return nil
	}
	for _, h := range p.holders() {
		who := fmt.Sprintf("%s %q", h.role, clip(h.key.Name()))
		if h.key.Algorithm() != h.alg {
			return malformed("%s: key is %v, want %v", who, h.key.Algorithm(), h.alg)
		}
		if h.role != roleLog && h.role != roleWitness { // those are named as C2SP has it
			if err := attest.CheckName(h.key.Name()); err != nil {
				return fmt.Errorf("%s: %w", h.role, err)
			}
		}
		if names[[2]string{h.role, h.key.Name()}] {
			return malformed("two keys of role %s are named %q", h.role, h.key.Name())
		}
		names[[2]string{h.role, h.key.Name()}] = true
		if err := once(h.key.Fingerprint(), who); err != nil {
			return err
		}
		if h.role == roleLog || h.role == roleWitness || h.role == roleAdmin {
			continue
		}
		nkey, err := parseNKey(h.nats)
		if err != nil {
			return fmt.Errorf("%s: %w", who, err)
		}
		if err := once(nkey, "the NATS connection of "+who); err != nil {
			return err
		}
	}
	return nil
}

// The form of a public user nkey: base32 of prefix, Ed25519 key and CRC-16.
const (
	nkeyUser = 20 << 3 // shows as a leading U
	nkeySize = 1 + 32 + 2
)

// parseNKey reads a public user nkey and returns its fingerprint, in the form
// that [attest.VerifierKey.Fingerprint] has for Ed25519 keys.
func parseNKey(s string) (attest.Digest, error) {
	encoding := base32.StdEncoding.WithPadding(base32.NoPadding)
	raw, err := encoding.DecodeString(s)
	if err != nil || len(raw) != nkeySize || raw[0] != nkeyUser || encoding.EncodeToString(raw) != s {
		return attest.Digest{}, malformed("NATS key %q is not a public user nkey (U…)", clip(s))
	}
	body, sum := raw[:nkeySize-2], raw[nkeySize-2:]
	if binary.LittleEndian.Uint16(sum) != crc16(body) {
		return attest.Digest{}, malformed("NATS key %q is mistyped: its checksum does not fit", clip(s))
	}
	return attest.SHA256(append([]byte{byte(attest.Ed25519)}, body[1:]...)), nil
}

// crc16 is CRC-16/XMODEM, which nkeys end with.
func crc16(data []byte) uint16 {
	const polynomial = 0x1021
	var crc uint16
	for _, b := range data {
		crc ^= uint16(b) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			crc <<= 1
			if carry {
				crc ^= polynomial
			}
		}
	}
	return crc
}
