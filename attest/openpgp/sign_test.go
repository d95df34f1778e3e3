package openpgp_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/reprosign/reprosign/attest/openpgp"
)

func TestSignatureFromStateEqualsSignatureFromBytes(t *testing.T) {
	for _, kind := range keyKinds {
		t.Run(kind.name, func(t *testing.T) {
			key := kind.key(t)
			c := certify(t, key)
			for _, size := range []int64{0, 1, 127, 128, 129, 3_000_001} {
				data, err := io.ReadAll(stream(size))
				if err != nil {
					t.Fatal(err)
				}
				state, n, digest := stateOf(t, stream(size))
				fromState, err := openpgp.SignState(c, key, state, n, digest, fixedOptions)
				if err != nil {
					t.Fatalf("size %d: %v", size, err)
				}
				if fromBytes := sign(t, c, key, data); !bytes.Equal(fromState, fromBytes) {
					t.Errorf("size %d: signatures from state and from bytes differ", size)
				}
				byStream, err := openpgp.Verify(c, fromState, stream(size))
				if err != nil {
					t.Fatalf("size %d: %v", size, err)
				}
				byState, err := openpgp.VerifyState(c, fromState, state)
				if err != nil {
					t.Fatalf("size %d: %v", size, err)
				}
				want := &openpgp.Signature{
					Kind: openpgp.DetachedBinary, Created: signed,
					Notations: fixedOptions.Notations, IssuerFingerprint: c.Fingerprint(),
				}
				for _, got := range []*openpgp.Signature{byStream, byState} {
					if diff := cmp.Diff(got, want, cmpopts.IgnoreUnexported(openpgp.Signature{})); diff != "" {
						t.Errorf("size %d (-got +want):\n%s", size, diff)
					}
				}
			}
		})
	}
}

// One Ed25519 signature in about 128 has a leading zero octet in R or S, which
// OpenPGP drops. Such a signature must come out, verify and parse like others.
func TestShortSignaturesVerifyEverywhere(t *testing.T) {
	key := ed25519Key(t)
	c := certify(t, key)
	parsed, err := pgp.Read(bytes.NewReader(c.Binary()))
	if err != nil {
		t.Fatal(err)
	}
	short, full := 0, 0
	for i := range 3000 {
		data := fmt.Appendf(nil, "file %d", i)
		signature := sign(t, c, key, data)
		full = max(full, len(signature))
		if len(signature) < full {
			short++
		}
		if _, err := openpgp.Verify(c, signature, bytes.NewReader(data)); err != nil {
			t.Fatalf("file %d, %d bytes: %v", i, len(signature), err)
		}
		p, err := pgp.Read(bytes.NewReader(signature))
		if err != nil {
			t.Fatal(err)
		}
		s := p.(*pgp.Signature)
		h := s.Hash.New()
		h.Write(data)
		if err := parsed.(*pgp.PublicKey).VerifySignature(h, s); err != nil {
			t.Fatalf("file %d: go-crypto: %v", i, err)
		}
	}
	if short == 0 {
		t.Error("no short signature met; the test tests nothing")
	}
}

func TestKeyIsAskedOnceWithTheDocumentedInput(t *testing.T) {
	for _, kind := range keyKinds {
		t.Run(kind.name, func(t *testing.T) {
			key := kind.key(t)
			c := certify(t, key)
			calls := 0
			sign(t, c, signerFunc{key, func(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
				calls++
				want := crypto.SHA512
				if kind.name == "ed25519" {
					want = crypto.Hash(0)
				}
				if len(digest) != 64 || opts.HashFunc() != want {
					t.Errorf("got %d bytes and hash %v, want 64 and %v", len(digest), opts.HashFunc(), want)
				}
				return key.Sign(rand.Reader, digest, opts)
			}}, []byte("data"))
			if calls != 1 {
				t.Errorf("got %d calls, want 1", calls)
			}
		})
	}
}

func TestNoFaultOfTheKeyBecomesASignature(t *testing.T) {
	errLocked := errors.New("device is locked")
	for _, kind := range keyKinds {
		key := kind.key(t)
		c := certify(t, key)
		right := func(digest []byte, opts crypto.SignerOpts) []byte {
			raw, err := key.Sign(rand.Reader, digest, opts)
			if err != nil {
				t.Fatal(err)
			}
			return raw
		}
		faults := []struct {
			name string
			sign func([]byte, crypto.SignerOpts) ([]byte, error)
			want error
		}{
			{"error", func([]byte, crypto.SignerOpts) ([]byte, error) { return nil, errLocked }, errLocked},
			{"error beside a right signature", func(d []byte, o crypto.SignerOpts) ([]byte, error) { return right(d, o), errLocked }, errLocked},
			{"empty", func([]byte, crypto.SignerOpts) ([]byte, error) { return nil, nil }, openpgp.ErrBadSignature},
			{"zeros", func(d []byte, o crypto.SignerOpts) ([]byte, error) { return make([]byte, len(right(d, o))), nil }, openpgp.ErrBadSignature},
			{"garbage", func(d []byte, o crypto.SignerOpts) ([]byte, error) {
				return bytes.Repeat([]byte{0x5A}, len(right(d, o))), nil
			}, openpgp.ErrBadSignature},
			{"one bit off", func(d []byte, o crypto.SignerOpts) ([]byte, error) {
				raw := slices.Clone(right(d, o))
				raw[9] ^= 1
				return raw, nil
			}, openpgp.ErrBadSignature},
			{"cut short", func(d []byte, o crypto.SignerOpts) ([]byte, error) {
				raw := right(d, o)
				return raw[:len(raw)-1], nil
			}, openpgp.ErrBadSignature},
			{"too long", func(d []byte, o crypto.SignerOpts) ([]byte, error) { return append(slices.Clone(right(d, o)), 0), nil }, openpgp.ErrBadSignature},
			{"over another digest", func(d []byte, o crypto.SignerOpts) ([]byte, error) { return right(make([]byte, len(d)), o), nil }, openpgp.ErrBadSignature},
			{"by another key", func(d []byte, o crypto.SignerOpts) ([]byte, error) {
				_, other, err := ed25519.GenerateKey(nil)
				if err != nil {
					return nil, err
				}
				return other.Sign(nil, d, crypto.Hash(0))
			}, openpgp.ErrBadSignature},
		}
		for _, fault := range faults {
			t.Run(kind.name+"/"+fault.name, func(t *testing.T) {
				broken := signerFunc{key, fault.sign}
				signature, err := openpgp.SignBytes(c, broken, []byte("data"), fixedOptions)
				if signature != nil || !errors.Is(err, fault.want) {
					t.Errorf("signing: got %d bytes, error %v, want none, %v", len(signature), err, fault.want)
				}
				made, err := openpgp.Certify(openpgp.NewCertificate{UserID: userID, Created: born}, broken)
				if made != nil || !errors.Is(err, fault.want) {
					t.Errorf("certifying: got %v, error %v, want none, %v", made, err, fault.want)
				}
			})
		}
	}
}

func TestOnlyTheKeyOfTheCertificateSigns(t *testing.T) {
	c := certify(t, ed25519Key(t))
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.Signer{other, rsaKey(t)} {
		if _, err := openpgp.SignBytes(c, key, nil, fixedOptions); !errors.Is(err, openpgp.ErrOtherKey) {
			t.Errorf("got %v, want ErrOtherKey", err)
		}
	}
}

func TestKeysOfOtherKindsGetNoCertificate(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	short, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.Signer{p256, short} {
		if _, err := openpgp.Certify(openpgp.NewCertificate{UserID: userID, Created: born}, key); !errors.Is(err, openpgp.ErrMalformed) {
			t.Errorf("%T: got %v, want ErrMalformed", key, err)
		}
	}
}

func TestStateMustBeTheFilesOwn(t *testing.T) {
	key := ed25519Key(t)
	c := certify(t, key)
	state, size, digest := stateOf(t, stream(1000)) // 104 bytes in the buffer
	otherState, _, otherDigest := stateOf(t, strings.NewReader(strings.Repeat("x", 1000)))
	change := func(at int, to byte) []byte {
		s := slices.Clone(state)
		s[at] = to
		return s
	}
	tests := []struct {
		name   string
		state  []byte
		size   uint64
		digest [64]byte
	}{
		{"empty", nil, size, digest},
		{"cut short", state[:203], size, digest},
		{"too long", append(slices.Clone(state), 0), size, digest},
		{"SHA-384", change(3, 4), size, digest},
		{"chaining word changed", change(10, state[10]^1), size, digest},
		{"buffered byte changed", change(68, state[68]^1), size, digest},
		{"unused buffer byte set", change(195, 1), size, digest},
		{"counter changed", change(203, state[203]+1), size, digest},
		{"counter a block further", change(202, state[202]^0x80), size, digest},
		{"other size", state, size + 1, digest},
		{"other digest", state, size, otherDigest},
		{"other file", otherState, size, digest},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			asked := signerFunc{key, func([]byte, crypto.SignerOpts) ([]byte, error) {
				t.Error("the key was asked")
				return nil, errors.ErrUnsupported
			}}
			if _, err := openpgp.SignState(c, asked, test.state, test.size, test.digest, fixedOptions); !errors.Is(err, openpgp.ErrBadState) {
				t.Errorf("got %v, want ErrBadState", err)
			}
		})
	}
	if _, err := openpgp.SignState(c, key, state, size, digest, fixedOptions); err != nil {
		t.Errorf("unchanged state: %v", err)
	}
}

func TestCreationTimeLiesWithinTheCertificate(t *testing.T) {
	key := ed25519Key(t)
	c, err := openpgp.Certify(openpgp.NewCertificate{UserID: userID, Created: born, Lifetime: time.Hour}, key)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		at   time.Time
		want error
	}{
		{born.Add(-time.Second), openpgp.ErrNotValidThen},
		{born, nil},
		{born.Add(time.Hour - time.Second), nil},
		{born.Add(time.Hour), openpgp.ErrNotValidThen},
		{born.Add(time.Millisecond), openpgp.ErrMalformed},
		{time.Time{}, openpgp.ErrMalformed},
		{time.Unix(1<<32, 0), openpgp.ErrMalformed},
	}
	for _, test := range tests {
		watched, asked := watch(key)
		_, err := openpgp.SignBytes(c, watched, nil, openpgp.Options{Created: test.at})
		if !errors.Is(err, test.want) || *asked != (test.want == nil) {
			t.Errorf("%s: got %v, key asked: %t, want %v", test.at, err, *asked, test.want)
		}
	}
}

func TestNotationsAreLimited(t *testing.T) {
	key := ed25519Key(t)
	c := certify(t, key)
	one := openpgp.Notation{Name: "word@example.org", Value: "text"}
	var largest, tooMany []openpgp.Notation
	for i := range openpgp.MaxNotations + 1 {
		name := fmt.Sprintf("%d@%s", i, strings.Repeat("d", openpgp.MaxNotationName-2))
		tooMany = append(tooMany, openpgp.Notation{Name: name, Value: strings.Repeat("v", openpgp.MaxNotationValue)})
	}
	largest = tooMany[:openpgp.MaxNotations]
	tests := []struct {
		name      string
		notations []openpgp.Notation
		ok        bool
	}{
		{"one", []openpgp.Notation{one}, true},
		{"empty value", []openpgp.Notation{{Name: one.Name}}, true},
		{"largest", largest, true},
		{"too many", tooMany, false},
		{"twice", []openpgp.Notation{one, one}, false},
		{"no domain", []openpgp.Notation{{Name: "word"}}, false},
		{"two domains", []openpgp.Notation{{Name: "a@b@c"}}, false},
		{"space", []openpgp.Notation{{Name: "a b@c"}}, false},
		{"long name", []openpgp.Notation{{Name: "a@" + strings.Repeat("d", openpgp.MaxNotationName)}}, false},
		{"long value", []openpgp.Notation{{Name: one.Name, Value: strings.Repeat("v", openpgp.MaxNotationValue+1)}}, false},
		{"line feed", []openpgp.Notation{{Name: one.Name, Value: "a\nb"}}, false},
		{"escape", []openpgp.Notation{{Name: one.Name, Value: "\x1b[2J"}}, false},
		{"not UTF-8", []openpgp.Notation{{Name: one.Name, Value: "\xff"}}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			watched, asked := watch(key)
			signature, err := openpgp.SignBytes(c, watched, nil, openpgp.Options{Created: signed, Notations: test.notations})
			if *asked != test.ok {
				t.Errorf("key asked: %t, want %t", *asked, test.ok)
			}
			if (err == nil) != test.ok || !test.ok && !errors.Is(err, openpgp.ErrMalformed) {
				t.Fatalf("got %v, want success: %t", err, test.ok)
			}
			if test.ok {
				s, err := openpgp.ParseSignature(signature)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(s.Notations, test.notations); diff != "" {
					t.Errorf("notations (-got +want):\n%s", diff)
				}
			}
		})
	}
}
