package openpgp_test

import (
	"bytes"
	"testing"

	pgp "github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/reprosign/reprosign/attest/openpgp"
)

// What ParseSignature accepts is what the writer writes: same data when signed
// again, and readable by the other implementation with the same meaning.
func FuzzParseSignatureIsIdentityOrRefused(f *testing.F) {
	for _, kind := range keyKinds {
		key := kind.key(f)
		f.Add(sign(f, certify(f, key), key, []byte("data")))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := openpgp.ParseSignature(data)
		if err != nil {
			return
		}
		again, err := openpgp.Dearmor(openpgp.Armor(data))
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("armor: %x, %v", again, err)
		}
		p, err := pgp.Read(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("go-crypto refuses: %v", err)
		}
		other := p.(*pgp.Signature)
		if !other.CreationTime.Equal(s.Created) || len(other.Notations) != len(s.Notations) || other.SigType != pgp.SigTypeBinary {
			t.Fatalf("go-crypto reads %+v, this package %+v", other, s)
		}
		for i, n := range s.Notations {
			if o := other.Notations[i]; o.Name != n.Name || string(o.Value) != n.Value || o.IsCritical || !o.IsHumanReadable {
				t.Fatalf("notation %d: go-crypto reads %+v, this package %+v", i, o, n)
			}
		}
	})
}

func FuzzParseCertificateNeverPanicsAndKeepsItsBytes(f *testing.F) {
	for _, kind := range keyKinds {
		c := certify(f, kind.key(f))
		f.Add(c.Binary())
		f.Add(c.Armor())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := openpgp.ParseCertificate(data)
		if err != nil {
			return
		}
		for _, form := range [][]byte{c.Binary(), c.Armor()} {
			again, err := openpgp.ParseCertificate(form)
			if err != nil || !bytes.Equal(again.Binary(), c.Binary()) || again.Fingerprint() != c.Fingerprint() {
				t.Fatalf("accepted certificate is not accepted again: %v", err)
			}
		}
		if len(c.UserIDs()) == 0 || c.SigningKey() == nil {
			t.Fatal("accepted certificate without user id or key")
		}
	})
}

func FuzzVerifyStateNeverPanics(f *testing.F) {
	key := ed25519Key(f)
	c := certify(f, key)
	signature := sign(f, c, key, []byte("data"))
	state, _, _ := stateOf(f, bytes.NewReader([]byte("data")))
	f.Add(state)
	f.Fuzz(func(t *testing.T, changed []byte) {
		_, err := openpgp.VerifyState(c, signature, changed)
		if (err == nil) != bytes.Equal(changed, state) {
			t.Fatalf("state %x: %v", changed, err)
		}
	})
}
