// Package keytest is the conformance suite of package key: what the signer relies on, asked of every device.
//
//	func TestDevice(t *testing.T) {
//		keytest.Run(t, func(t *testing.T) keytest.Subject {
//			return keytest.Subject{Device: openDevice(t), Ed25519: "ed", RSA: "rsa", Missing: "nobody"}
//		})
//	}
package keytest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha512"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/reprosign/reprosign/signer/key"
)

// Subject is one device under test, with the ids of keys it holds.
type Subject struct {
	Device  key.Device
	Ed25519 string // an Ed25519 key
	RSA     string // an RSA key
	Missing string // a well-formed id the device does not know
}

// Run runs the suite. It calls open for each part, so that parts do not see each other's counts; open registers its own
// clean-up with t.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	t.Helper()
	parts := map[string]func(*testing.T, Subject){
		"an Ed25519 key signs the digest as its message":      signsEd25519,
		"an RSA key signs PKCS#1 v1.5 with SHA-512":           signsRSA,
		"the same digest gives the same signature":            isDeterministic,
		"a digest of another length is refused and uncounted": refusesOtherDigests,
		"an unknown id is a configuration error":              refusesUnknownKeys,
		"a malformed id is a configuration error":             refusesMalformedIDs,
		"a cancelled context ends the call":                   obeysContext,
		"the device counts its signatures":                    countsSignatures,
		"concurrent signatures are all right and all counted": signsConcurrently,
		"the crypto.Signer signs only what the key signs":     adaptsToCryptoSigner,
		"a closed device answers ErrClosed":                   staysClosed,
	}
	for name, part := range parts {
		t.Run(name, func(t *testing.T) { part(t, open(t)) })
	}
}

func digest(text string) []byte {
	sum := sha512.Sum512([]byte(text))
	return sum[:]
}

func open(t *testing.T, s Subject, id string) key.Key {
	t.Helper()
	k, err := s.Device.Open(t.Context(), id)
	if err != nil {
		t.Fatalf("opening key %q: %v", id, err)
	}
	return k
}

func sign(t *testing.T, k key.Key, digest []byte) []byte {
	t.Helper()
	signature, err := k.Sign(t.Context(), digest)
	if err != nil {
		t.Fatalf("signing: %v", err)
	}
	return signature
}

func count(t *testing.T, s Subject, id string) uint64 {
	t.Helper()
	n, err := s.Device.Signatures(t.Context(), id)
	if err != nil {
		t.Fatalf("counting the signatures of %q: %v", id, err)
	}
	return n
}

func signsEd25519(t *testing.T, s Subject) {
	k := open(t, s, s.Ed25519)
	public, ok := k.Public().(ed25519.PublicKey)
	if !ok {
		t.Fatalf("public key is a %T, want ed25519.PublicKey", k.Public())
	}
	if !ed25519.Verify(public, digest("a"), sign(t, k, digest("a"))) {
		t.Error("signature does not verify")
	}
}

func signsRSA(t *testing.T, s Subject) {
	k := open(t, s, s.RSA)
	public, ok := k.Public().(*rsa.PublicKey)
	if !ok {
		t.Fatalf("public key is a %T, want *rsa.PublicKey", k.Public())
	}
	signature := sign(t, k, digest("a"))
	if len(signature) != public.Size() {
		t.Errorf("signature of %d bytes, want the modulus's %d", len(signature), public.Size())
	}
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA512, digest("a"), signature); err != nil {
		t.Errorf("signature does not verify: %v", err)
	}
}

func isDeterministic(t *testing.T, s Subject) {
	for _, id := range []string{s.Ed25519, s.RSA} {
		k := open(t, s, id)
		if !bytes.Equal(sign(t, k, digest("a")), sign(t, k, digest("a"))) {
			t.Errorf("key %q: two signatures over one digest differ", id)
		}
		if bytes.Equal(sign(t, k, digest("a")), sign(t, k, digest("b"))) {
			t.Errorf("key %q: signatures over two digests are the same", id)
		}
	}
}

func refusesOtherDigests(t *testing.T, s Subject) {
	for _, id := range []string{s.Ed25519, s.RSA} {
		k := open(t, s, id)
		before := count(t, s, id)
		for _, length := range []int{0, 20, 32, 48, 63, 65, 128} {
			signature, err := k.Sign(t.Context(), make([]byte, length))
			if !errors.Is(err, key.ErrMisconfigured) || signature != nil {
				t.Errorf("key %q, %d bytes: got %d bytes and error %v, want ErrMisconfigured", id, length, len(signature), err)
			}
		}
		if after := count(t, s, id); after != before {
			t.Errorf("key %q: count went from %d to %d without a signature", id, before, after)
		}
	}
}

func refusesUnknownKeys(t *testing.T, s Subject) {
	if _, err := s.Device.Open(t.Context(), s.Missing); !errors.Is(err, key.ErrMisconfigured) {
		t.Errorf("Open: got %v, want ErrMisconfigured", err)
	}
	if _, err := s.Device.Signatures(t.Context(), s.Missing); !errors.Is(err, key.ErrMisconfigured) {
		t.Errorf("Signatures: got %v, want ErrMisconfigured", err)
	}
}

func refusesMalformedIDs(t *testing.T, s Subject) {
	for _, id := range []string{"", ".", "..", "-a", "a/b", "../" + s.Ed25519, s.Ed25519 + "/sign", "a?b", "a b", "ä", "a\x00", "*", s.Ed25519[:1] + "*", strings.Repeat("a", key.MaxIDBytes+1)} {
		if _, err := s.Device.Open(t.Context(), id); !errors.Is(err, key.ErrMisconfigured) {
			t.Errorf("Open(%q): got %v, want ErrMisconfigured", id, err)
		}
		if _, err := s.Device.Signatures(t.Context(), id); !errors.Is(err, key.ErrMisconfigured) {
			t.Errorf("Signatures(%q): got %v, want ErrMisconfigured", id, err)
		}
	}
}

func obeysContext(t *testing.T, s Subject) {
	k := open(t, s, s.Ed25519)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.Sign(ctx, digest("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("Sign: got %v, want context.Canceled", err)
	}
	if _, err := key.Signer(ctx, k).Sign(nil, digest("a"), crypto.Hash(0)); !errors.Is(err, context.Canceled) {
		t.Errorf("Signer: got %v, want context.Canceled", err)
	}
	if _, err := s.Device.Open(ctx, s.Ed25519); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: got %v, want context.Canceled", err)
	}
}

func countsSignatures(t *testing.T, s Subject) {
	for _, id := range []string{s.Ed25519, s.RSA} {
		k := open(t, s, id)
		before := count(t, s, id)
		sign(t, k, digest("a"))
		sign(t, open(t, s, id), digest("a"))
		if after := count(t, s, id); after != before+2 {
			t.Errorf("key %q: count went from %d to %d after two signatures", id, before, after)
		}
	}
}

func signsConcurrently(t *testing.T, s Subject) {
	const workers, each = 8, 8
	k := open(t, s, s.Ed25519)
	before := count(t, s, s.Ed25519)
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for i := range each {
				d := digest(string(rune('a'+worker)) + string(rune('a'+i)))
				signature, err := k.Sign(t.Context(), d)
				if err != nil {
					t.Errorf("signing: %v", err)
				} else if err := key.Verify(k.Public(), d, signature); err != nil {
					t.Errorf("verifying: %v", err)
				}
			}
		})
	}
	group.Wait()
	if after := count(t, s, s.Ed25519); after != before+workers*each {
		t.Errorf("count went from %d to %d after %d signatures", before, after, workers*each)
	}
}

func adaptsToCryptoSigner(t *testing.T, s Subject) {
	cases := []struct {
		name string
		id   string
		opts crypto.SignerOpts
		ok   bool
	}{
		{"Ed25519 plain", s.Ed25519, crypto.Hash(0), true},
		{"Ed25519ph", s.Ed25519, crypto.SHA512, false},
		{"Ed25519ctx", s.Ed25519, &ed25519.Options{Context: "x"}, false},
		{"RSA SHA-512", s.RSA, crypto.SHA512, true},
		{"RSA SHA-256", s.RSA, crypto.SHA256, false},
		{"RSA without hash", s.RSA, crypto.Hash(0), false},
		{"RSA PSS", s.RSA, &rsa.PSSOptions{Hash: crypto.SHA512}, false},
		{"no options", s.Ed25519, nil, false},
	}
	for _, c := range cases {
		k := open(t, s, c.id)
		signer := key.Signer(t.Context(), k)
		signature, err := signer.Sign(nil, digest("a"), c.opts)
		switch {
		case !c.ok && !errors.Is(err, key.ErrMisconfigured):
			t.Errorf("%s: got error %v, want ErrMisconfigured", c.name, err)
		case c.ok && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.ok && key.Verify(signer.Public(), digest("a"), signature) != nil:
			t.Errorf("%s: signature does not verify", c.name)
		}
	}
}

func staysClosed(t *testing.T, s Subject) {
	k := open(t, s, s.Ed25519)
	for range 2 {
		if err := s.Device.Close(); err != nil {
			t.Fatalf("closing: %v", err)
		}
	}
	if _, err := k.Sign(t.Context(), digest("a")); !errors.Is(err, key.ErrClosed) {
		t.Errorf("Sign: got %v, want ErrClosed", err)
	}
	if _, err := s.Device.Open(t.Context(), s.Ed25519); !errors.Is(err, key.ErrClosed) {
		t.Errorf("Open: got %v, want ErrClosed", err)
	}
	if _, err := s.Device.Signatures(t.Context(), s.Ed25519); !errors.Is(err, key.ErrClosed) {
		t.Errorf("Signatures: got %v, want ErrClosed", err)
	}
}
