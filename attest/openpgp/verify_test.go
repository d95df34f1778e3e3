package openpgp_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"github.com/reprosign/reprosign/attest/openpgp"
)

func TestEveryChangedBitIsRefused(t *testing.T) {
	key := ed25519Key(t)
	c := certify(t, key)
	signature := sign(t, c, key, []byte("data"))
	for i := range len(signature) * 8 {
		changed := slices.Clone(signature)
		changed[i/8] ^= 1 << (i % 8)
		if s, err := openpgp.Verify(c, changed, bytes.NewReader([]byte("data"))); err == nil {
			t.Errorf("bit %d changed: accepted as %+v", i, s)
		}
	}
	for _, data := range []string{"", "dat", "datA", "data\n"} {
		if _, err := openpgp.Verify(c, signature, bytes.NewReader([]byte(data))); !errors.Is(err, openpgp.ErrBadSignature) {
			t.Errorf("over %q: got %v, want ErrBadSignature", data, err)
		}
	}
}

func TestSignatureOfAnotherCertificateIsRefused(t *testing.T) {
	key := ed25519Key(t)
	c := certify(t, key)
	signature := sign(t, c, key, nil)
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	// The same key with another creation time is another key to OpenPGP.
	reborn, err := openpgp.Certify(openpgp.NewCertificate{UserID: userID, Created: born.Add(time.Second)}, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []*openpgp.Certificate{certify(t, stranger), certify(t, rsaKey(t)), reborn} {
		if _, err := openpgp.Verify(other, signature, bytes.NewReader(nil)); !errors.Is(err, openpgp.ErrOtherKey) {
			t.Errorf("got %v, want ErrOtherKey", err)
		}
	}
}

func TestSignatureOutsideTheValidityIsRefused(t *testing.T) {
	key := ed25519Key(t)
	signature := sign(t, certify(t, key), key, nil)
	short, err := openpgp.Certify(openpgp.NewCertificate{UserID: userID, Created: born, Lifetime: time.Hour}, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openpgp.Verify(short, signature, bytes.NewReader(nil)); !errors.Is(err, openpgp.ErrNotValidThen) {
		t.Errorf("got %v, want ErrNotValidThen", err)
	}
}

func TestReadErrorIsNotABadSignature(t *testing.T) {
	key := ed25519Key(t)
	c := certify(t, key)
	if _, err := openpgp.Verify(c, sign(t, c, key, nil), iotest.ErrReader(iotest.ErrTimeout)); !errors.Is(err, iotest.ErrTimeout) || errors.Is(err, openpgp.ErrBadSignature) {
		t.Errorf("got %v, want the reader's error", err)
	}
}

func TestVerifyingFromABadStateIsRefused(t *testing.T) {
	key := ed25519Key(t)
	c := certify(t, key)
	state, size, digest := stateOf(t, stream(1000))
	signature, err := openpgp.SignState(c, key, state, size, digest, fixedOptions)
	if err != nil {
		t.Fatal(err)
	}
	garbage := slices.Clone(state)
	garbage[195] = 1
	if _, err := openpgp.VerifyState(c, signature, garbage); !errors.Is(err, openpgp.ErrBadState) {
		t.Errorf("got %v, want ErrBadState", err)
	}
	other, _, _ := stateOf(t, stream(1001))
	if _, err := openpgp.VerifyState(c, signature, other); !errors.Is(err, openpgp.ErrBadSignature) {
		t.Errorf("got %v, want ErrBadSignature", err)
	}
}

func TestArmorHasOneSpelling(t *testing.T) {
	key := ed25519Key(t)
	signature := sign(t, certify(t, key), key, nil)
	armored := openpgp.Armor(signature)
	got, err := openpgp.Dearmor(armored)
	if err != nil || !bytes.Equal(got, signature) {
		t.Fatalf("got %x, %v", got, err)
	}
	crlf := bytes.ReplaceAll(armored, []byte("\n"), []byte("\r\n"))
	for name, data := range map[string][]byte{
		"binary":          signature,
		"empty":           nil,
		"CRLF":            crlf,
		"leading line":    append([]byte("\n"), armored...),
		"trailing line":   append(slices.Clone(armored), '\n'),
		"twice":           append(slices.Clone(armored), armored...),
		"header":          bytes.Replace(armored, []byte("-----\n\n"), []byte("-----\nComment: x\n\n"), 1),
		"wrong checksum":  bytes.Replace(armored, []byte("\n="), []byte("\n=A"), 1),
		"no checksum":     slices.Concat(armored[:bytes.LastIndexByte(armored, '=')], armored[bytes.Index(armored, []byte("-----END")):]),
		"too large":       openpgp.Armor(make([]byte, 3*openpgp.MaxSignature)),
		"of other things": bytes.ReplaceAll(armored, []byte("SIGNATURE"), []byte("MESSAGE")),
	} {
		if got, err := openpgp.Dearmor(data); !errors.Is(err, openpgp.ErrMalformed) {
			t.Errorf("%s: got %d bytes, %v, want ErrMalformed", name, len(got), err)
		}
	}
}
