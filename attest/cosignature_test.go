package attest_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/reprosign/reprosign/attest"
)

const checkpointText = "log.example.org\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"

func witnessKey(tb testing.TB, name string, seed byte) attest.SigningKey {
	tb.Helper()
	k, err := attest.NewCosigningKey(name, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// The signature is over bytes that this test puts together from the words of
// C2SP tlog-cosignature, and checks with crypto/ed25519 alone.
func TestCosignatureIsPinnedToTheByte(t *testing.T) {
	key := witnessKey(t, "witness.example.net", 7)
	const wantKey = "witness.example.net+482d2497+BOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"
	if key.VerifierKey.String() != wantKey {
		t.Errorf("verifier key drifted: %s", key.VerifierKey)
	}
	got, err := key.Cosign([]byte(checkpointText), opened)
	if err != nil {
		t.Fatal(err)
	}
	message := "cosignature/v1\ntime 1800000000\n" + checkpointText
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	want := append(binary.BigEndian.AppendUint64(nil, 1_800_000_000), ed25519.Sign(private, []byte(message))...)
	if !bytes.Equal(got, want) {
		t.Errorf("cosignature drifted:\n got %s\nwant %s", hex.EncodeToString(got), hex.EncodeToString(want))
	}
	at, err := key.VerifyCosignature([]byte(checkpointText), got)
	if err != nil || at != opened {
		t.Errorf("own cosignature: %v, %v", at, err)
	}
}

func TestCosignatureIsRefused(t *testing.T) {
	key := witnessKey(t, "witness.example.net", 7)
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	good, err := key.Cosign([]byte(checkpointText), opened)
	if err != nil {
		t.Fatal(err)
	}
	at := func(seconds uint64, message string) []byte {
		return append(binary.BigEndian.AppendUint64(nil, seconds), ed25519.Sign(private, []byte(message))...)
	}
	for what, c := range map[string]struct {
		text        string
		cosignature []byte
		want        error
	}{
		"other text":       {checkpointText + "x\n", good, attest.ErrBadSignature},
		"other time":       {checkpointText, append(binary.BigEndian.AppendUint64(nil, 1_800_000_001), good[8:]...), attest.ErrBadSignature},
		"empty":            {checkpointText, nil, attest.ErrMalformed},
		"time alone":       {checkpointText, good[:8], attest.ErrMalformed},
		"plain signature":  {checkpointText, ed25519.Sign(private, []byte(checkpointText)), attest.ErrMalformed},
		"one byte more":    {checkpointText, append(bytes.Clone(good), 0), attest.ErrMalformed},
		"time zero":        {checkpointText, at(0, "cosignature/v1\ntime 0\n"+checkpointText), attest.ErrMalformed},
		"year 10000":       {checkpointText, at(253402300800, "cosignature/v1\ntime 253402300800\n"+checkpointText), attest.ErrMalformed},
		"2^63":             {checkpointText, at(math.MaxInt64+1, "cosignature/v1\ntime 9223372036854775808\n"+checkpointText), attest.ErrMalformed},
		"as a number < 0":  {checkpointText, at(math.MaxUint64, "cosignature/v1\ntime -1\n"+checkpointText), attest.ErrMalformed},
		"other version":    {checkpointText, at(1_800_000_000, "cosignature/v2\ntime 1800000000\n"+checkpointText), attest.ErrBadSignature},
		"text without end": {checkpointText[:len(checkpointText)-1], good, attest.ErrBadSignature},
	} {
		if _, err := key.VerifyCosignature([]byte(c.text), c.cosignature); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	for _, seconds := range []attest.Time{0, -1, 253402300800, math.MaxInt64} {
		if c, err := key.Cosign([]byte(checkpointText), seconds); err == nil {
			t.Errorf("cosigned at %d: %x", seconds, c)
		}
	}
}

// A witness is never a voter, and a voter never a witness, even with the same private key.
func TestWitnessKeysSignNothingButCheckpoints(t *testing.T) {
	witness, voter := witnessKey(t, "alpha", 1), edKey(t, "alpha", 1)
	message := []byte("DSSEv1 ...")
	if s, err := witness.Sign(message); err == nil {
		t.Errorf("a witness's key signed a statement: %x", s)
	}
	signature, err := voter.Sign(message)
	if err != nil {
		t.Fatal(err)
	}
	if err := witness.Verify(message, signature); !errors.Is(err, attest.ErrBadSignature) {
		t.Errorf("statement verified under a witness's key: %v", err)
	}
	cosignature, err := witness.Cosign([]byte(checkpointText), opened)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := voter.VerifyCosignature([]byte(checkpointText), cosignature); !errors.Is(err, attest.ErrBadSignature) {
		t.Errorf("cosignature verified under a voter's key: %v", err)
	}
	if c, err := voter.Cosign([]byte(checkpointText), opened); err == nil {
		t.Errorf("a voter's key cosigned: %x", c)
	}
	if witness.ID() == voter.ID() {
		t.Error("the two roles of a key have one key id")
	}
	if witness.Fingerprint() != voter.Fingerprint() {
		t.Error("the two roles of a key have two fingerprints")
	}
}

func TestWitnessKeysAreEd25519(t *testing.T) {
	p256 := p256Key(t, "signer", 2)
	for what, signer := range map[string]crypto.Signer{"P-256": publicOnly{p256.Public()}, "nothing": publicOnly{}} {
		if k, err := attest.NewCosigningKey("witness", signer); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%s: %v, %v", what, k.VerifierKey, err)
		}
	}
	if _, err := attest.NewCosignatureKey("witness", ed25519.PublicKey{1}); !errors.Is(err, attest.ErrMalformed) {
		t.Errorf("short key: %v", err)
	}
}

// publicOnly is a signer of which only the public half is asked.
type publicOnly struct{ public crypto.PublicKey }

func (p publicOnly) Public() crypto.PublicKey { return p.public }

func (publicOnly) Sign(_ io.Reader, _ []byte, _ crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("this signer signs nothing")
}

func FuzzCosignatureVerifiesOnlyWhatWasCosigned(f *testing.F) {
	key := witnessKey(f, "witness.example.net", 7)
	good, err := key.Cosign([]byte(checkpointText), opened)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:8])
	f.Fuzz(func(t *testing.T, cosignature []byte) {
		at, err := key.VerifyCosignature([]byte(checkpointText), cosignature)
		if err != nil {
			return
		}
		again, err := key.Cosign([]byte(checkpointText), at)
		if err != nil || !bytes.Equal(again, cosignature) {
			t.Errorf("%x verifies, cosigning at %d gives %x, %v", cosignature, at, again, err)
		}
	})
}
