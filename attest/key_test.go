package attest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/keytable"
)

func TestVerifierKeysReadBack(t *testing.T) {
	for _, k := range []attest.SigningKey{edKey(t, "alpha", 1), p256Key(t, "signer", 2), edKey(t, "log.example.org", 3)} {
		got, err := attest.ParseVerifierKey(k.String())
		if err != nil {
			t.Fatal(err)
		}
		if got.Name() != k.Name() || got.Algorithm() != k.Algorithm() || got.ID() != k.ID() || got.Fingerprint() != k.Fingerprint() {
			t.Errorf("%s reads back as %s", k, got)
		}
		sig, err := k.Sign([]byte("m"))
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Verify([]byte("m"), sig); err != nil {
			t.Errorf("%s: %v", k.Name(), err)
		}
		if err := got.Verify([]byte("n"), sig); !errors.Is(err, attest.ErrBadSignature) {
			t.Errorf("%s: other message: %v", k.Name(), err)
		}
	}
}

func TestAKeyOfTablesGivesTheSameAnswers(t *testing.T) {
	var tables keytable.Tables
	witness, err := attest.NewCosignatureKey("witness", edKey(t, "alpha", 1).Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []attest.SigningKey{edKey(t, "alpha", 1), p256Key(t, "signer", 2)} {
		tabled := k.WithTables(&tables)
		if tabled.String() != k.String() || tabled.Fingerprint() != k.Fingerprint() {
			t.Errorf("%v has become %v", k, tabled)
		}
		sig, err := k.Sign([]byte("m"))
		if err != nil {
			t.Fatal(err)
		}
		for n := range 200 { // the first without a table, the last with one
			if err := tabled.Verify([]byte("m"), sig); err != nil {
				t.Fatalf("%v: %v at signature %d", k.Name(), err, n)
			}
			if err := tabled.Verify([]byte("n"), sig); !errors.Is(err, attest.ErrBadSignature) {
				t.Fatalf("%v: other message: %v at signature %d", k.Name(), err, n)
			}
			if err := witness.WithTables(&tables).Verify([]byte("m"), sig); !errors.Is(err, attest.ErrBadSignature) {
				t.Fatalf("under a witness's key: %v", err)
			}
		}
	}
}

// Key ids and forms are those that other readers of the format derive.
func TestVerifierKeyAgreesWithOtherReaders(t *testing.T) {
	ed := edKey(t, "alpha", 1)
	v, err := note.NewVerifier(ed.String())
	if err != nil || v.KeyHash() != ed.ID() {
		t.Errorf("package note reads %v, %v", v, err)
	}
	ec := p256Key(t, "signer", 2)
	spki, err := x509.MarshalPKIXPublicKey(ec.Public())
	if err != nil {
		t.Fatal(err)
	}
	if string(spki) != string(ec.SPKI()) || ed.SPKI() != nil {
		t.Errorf("SubjectPublicKeyInfo %x, want %x", ec.SPKI(), spki)
	}
	if sum := attest.SHA256(spki); fmt.Sprintf("%x", sum[:4]) != fmt.Sprintf("%08x", ec.ID()) {
		t.Errorf("P-256 key id %08x", ec.ID())
	}
}

func TestVerifierKeyIsRefused(t *testing.T) {
	ed, ec := edKey(t, "alpha", 1), p256Key(t, "signer", 2)
	raw, ok := ed.Public().(ed25519.PublicKey)
	if !ok {
		t.Fatal("no Ed25519 key")
	}
	form := func(name string, body []byte) string {
		id := attest.SHA256(append([]byte(name+"\n"), body...))
		return fmt.Sprintf("%s+%x+%s", name, id[:4], base64.StdEncoding.EncodeToString(body))
	}
	point := append([]byte{2}, ec.SPKI()...)
	point[len(point)-1] ^= 1
	if got := form("alpha", append([]byte{1}, raw...)); got != ed.String() {
		t.Fatalf("test writes %q, key is %q", got, ed)
	}
	for what, s := range map[string]string{
		"empty":              "",
		"name alone":         "alpha",
		"no key":             form("alpha", nil),
		"wrong id":           strings.Replace(ed.String(), fmt.Sprintf("%08x", ed.ID()), "00000000", 1),
		"upper-case id":      strings.Replace(ed.String(), fmt.Sprintf("%08x", ed.ID()), strings.ToUpper(fmt.Sprintf("%08x", ed.ID())), 1),
		"id of another name": strings.Replace(ed.String(), "alpha+", "beta+", 1),
		"no name":            strings.TrimPrefix(ed.String(), "alpha"),
		"space in the name":  form("al pha", append([]byte{1}, raw...)),
		"long name":          form(strings.Repeat("n", attest.MaxText+1), append([]byte{1}, raw...)),
		"tree head key":      form("alpha", append([]byte{5}, raw...)),
		"short witness key":  form("alpha", append([]byte{4}, raw[1:]...)),
		"id of another type": fmt.Sprintf("alpha+%08x+%s", ed.ID(), base64.StdEncoding.EncodeToString(append([]byte{4}, raw...))),
		"algorithm 0":        form("alpha", append([]byte{0}, raw...)),
		"short key":          form("alpha", append([]byte{1}, raw[1:]...)),
		"long key":           form("alpha", append([]byte{1}, append(raw, 0)...)),
		"no padding":         strings.TrimSuffix(ec.String(), "=") + " ",
		"trailing newline":   ed.String() + "\n",
		"P-256 as Ed25519":   form("signer", append([]byte{1}, ec.SPKI()...)),
		"point off curve":    "signer+00000000+" + base64.StdEncoding.EncodeToString(point),
		"not P-256":          "signer+00000000+" + base64.StdEncoding.EncodeToString(append([]byte{2}, raw...)),
	} {
		if k, err := attest.ParseVerifierKey(s); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%s: %v, %v", what, k, err)
		}
	}
}

func TestOnlyTheTwoAlgorithmsMakeKeys(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for what, public := range map[string]crypto.PublicKey{
		"P-384": p384.Public(), "RSA": &rsa.PublicKey{}, "nothing": nil, "short Ed25519": ed25519.PublicKey{1},
	} {
		if _, err := attest.NewVerifierKey("alpha", public); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestZeroKeyVerifiesAndSignsNothing(t *testing.T) {
	var v attest.VerifierKey
	if err := v.Verify(nil, nil); !errors.Is(err, attest.ErrBadSignature) {
		t.Error(err)
	}
	if !v.IsZero() || v.String() != "" {
		t.Errorf("zero key is %q", v)
	}
	if _, err := (attest.SigningKey{}).Sign(nil); err == nil {
		t.Error("signed without a key")
	}
}

func TestSameKeyHasTheSameFingerprintUnderAnyName(t *testing.T) {
	if edKey(t, "alpha", 1).Fingerprint() != edKey(t, "beta", 1).Fingerprint() {
		t.Error("fingerprint depends on the name")
	}
	if edKey(t, "alpha", 1).Fingerprint() == edKey(t, "alpha", 2).Fingerprint() {
		t.Error("two keys have one fingerprint")
	}
}

// faulty is a device that answers with a signature of other bytes.
type faulty struct{ crypto.Signer }

func (f faulty) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return f.Signer.Sign(r, append([]byte("x"), digest...), o)
}

func TestFaultySignatureNeverLeaves(t *testing.T) {
	k, err := attest.NewSigningKey("alpha", faulty{ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))})
	if err != nil {
		t.Fatal(err)
	}
	if sig, err := k.Sign([]byte("m")); !errors.Is(err, attest.ErrBadSignature) || sig != nil {
		t.Errorf("faulty signature %x, %v", sig, err)
	}
}
