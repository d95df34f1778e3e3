package attest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"testing"

	"github.com/reprosign/reprosign/attest"
)

// Fixed inputs of all golden files.
const (
	opened   attest.Time = 1_800_000_000 // 2027-01-15T08:00:00Z
	deadline             = opened + 3600
)

// edKey and p256Key return the same key for the same name and seed, always.
func edKey(tb testing.TB, name string, seed byte) attest.SigningKey {
	tb.Helper()
	k, err := attest.NewSigningKey(name, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func p256Key(tb testing.TB, name string, seed byte) attest.SigningKey {
	tb.Helper()
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		tb.Fatal(err)
	}
	k, err := attest.NewSigningKey(name, private)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// keyring finds keys by name as a policy does.
func keyring(keys ...attest.SigningKey) attest.Keys {
	return func(name string) (attest.VerifierKey, error) {
		for _, k := range keys {
			if k.Name() == name {
				return k.VerifierKey, nil
			}
		}
		return attest.VerifierKey{}, fmt.Errorf("nobody is called %q", name)
	}
}

func artifacts(n int) attest.Artifacts {
	set := make(attest.Artifacts, n)
	for i := range set {
		data := fmt.Appendf(nil, "content of artifact %d", i)
		set[i] = attest.Artifact{
			Kind: "deb", Name: fmt.Sprintf("pkg-%04d_1.2-3_amd64.deb", i),
			SHA256: sha256.Sum256(data), SHA512: sha512.Sum512(data), Size: int64(len(data)),
		}
	}
	return set
}

func request() attest.Request {
	return attest.Request{
		Publisher: "publisher", Suite: "stable", Source: "hello", Version: "1:2.10-3+b1", Architecture: "amd64",
		Recipe: attest.Recipe{
			Backend:    "command",
			Parameters: map[string]string{"Command": "build", "Note": "ein Text mit Umlauten: äöü"},
			Sources: []attest.Source{
				{Name: "hello.dsc", SHA256: attest.Digest{1}, Size: 1234, URLs: []string{"https://example.org/hello.dsc"}},
				{Name: "hello.tar.xz", SHA256: attest.Digest{2}, Size: 56789, URLs: []string{"https://example.org/hello.tar.xz", "file:///srv/hello.tar.xz"}},
			},
		},
		Inputs: attest.Digest{3},
		Claim:  attest.Claim{Salt: attest.Digest{4}, Set: attest.Digest{5}}.Digest(),
	}
}

func rebuild() attest.Rebuild {
	return attest.Rebuild{
		Release: attest.Digest{6}, Rebuilder: "alpha", Outcome: attest.Built, Set: attest.Digest{7},
		Isolation: attest.IsolationBwrap, Environment: map[string]string{"Kernel": "6.1.0", "Toolchain": "go1.26 linux/amd64"},
		Inputs: attest.Digest{8}, Log: attest.Digest{9}, Started: opened, Finished: opened + 60,
	}
}

func report() attest.Rebuild {
	r := rebuild()
	r.Outcome, r.Set, r.Source, r.Inputs, r.Log = attest.BuildFailed, attest.Digest{}, attest.Digest{10}, attest.Digest{}, attest.Digest{}
	return r
}

func decision(tb testing.TB, n int) attest.Decision {
	tb.Helper()
	set := artifacts(n)
	digest, err := set.SetDigest()
	if err != nil {
		tb.Fatal(err)
	}
	return attest.Decision{
		Signer: "signer", Release: attest.Digest{6}, Request: attest.Digest{11}, Policy: attest.Digest{12}, PolicySerial: 4,
		Decided: opened + 100, Ground: attest.GroundQuorum, Set: digest, Artifacts: attest.AgreedOf(set),
		Threshold: 2, Operators: 3, Votes: []attest.Digest{{13}, {14}}, Blind: true,
	}
}

// kind is one kind of statement: an example of it and the way from value to
// envelope and back.
type kind struct {
	name  string
	key   attest.SigningKey
	value any
	seal  func(key attest.SigningKey) (*attest.Envelope, error)
	open  func(e *attest.Envelope, keys attest.Keys) (any, error)
	parse func(payload []byte) (any, error)
	// encode writes what parse read.
	encode func(v any) ([]byte, error)
}

// sealable is what every statement is.
type sealable interface {
	Encode() ([]byte, error)
	Seal(key attest.SigningKey) (*attest.Envelope, error)
}

func kindOf[S sealable](name string, key attest.SigningKey, example S,
	open func(*attest.Envelope, attest.Keys) (S, error), parse func([]byte) (S, error),
) kind {
	return kind{
		name: name, key: key, value: example, seal: example.Seal,
		open:  func(e *attest.Envelope, keys attest.Keys) (any, error) { return open(e, keys) },
		parse: func(payload []byte) (any, error) { return parse(payload) },
		encode: func(v any) ([]byte, error) {
			return v.(S).Encode()
		},
	}
}

func kinds(tb testing.TB) []kind {
	tb.Helper()
	opener, signer := p256Key(tb, "opener", 1), p256Key(tb, "signer", 2)
	alpha, publisher, admin := edKey(tb, "alpha", 3), edKey(tb, "publisher", 4), edKey(tb, "admin", 5)
	return []kind{
		kindOf("request", publisher, request(), attest.OpenRequest, attest.ParseRequest),
		kindOf("opening", opener, attest.Opening{
			Coordinator: "opener", Request: attest.Digest{11}, Policy: attest.Digest{12}, PolicySerial: 4, Attempt: 1,
			Nonce: attest.Digest{15}, Opened: opened, Deadline: deadline,
		}, attest.OpenOpening, attest.ParseOpening),
		kindOf("rebuild", alpha, rebuild(), attest.OpenRebuild, attest.ParseRebuild),
		kindOf("report", alpha, report(), attest.OpenRebuild, attest.ParseRebuild),
		kindOf("receipt", opener, attest.Receipt{
			Coordinator: "opener", Rebuilder: "alpha", Issued: opened + 70,
			Counted: []attest.Digest{{16}, {17}}, Late: []attest.Digest{{18}},
		}, attest.OpenReceipt, attest.ParseReceipt),
		kindOf("rejection", opener, attest.Rejection{
			Coordinator: "opener", Rebuilder: "alpha", Issued: opened + 70, Statement: attest.Digest{19},
			Code: attest.RejectedLate, Reason: "vote arrived after the deadline; the next attempt will ask again",
		}, attest.OpenRejection, attest.ParseRejection),
		kindOf("decision", signer, decision(tb, 3), attest.OpenDecision, attest.ParseDecision),
		kindOf("signatures-made", signer, attest.SignaturesMade{
			Signer: "signer", Release: attest.Digest{6}, Decision: attest.Digest{20}, LogIndex: 41,
			Certificate: "0123456789ABCDEF0123456789ABCDEF01234567", Kind: attest.DetachedBinary,
			Signatures: []attest.ArtifactSignature{{Artifact: "a.deb", SHA512: attest.Digest512{21}, Signature: attest.Digest{22}}},
		}, attest.OpenSignaturesMade, attest.ParseSignaturesMade),
		kindOf("record", opener, attest.Record{
			Coordinator: "opener", Kind: attest.RecordEquivocation, Bodies: []attest.Digest{{23}, {24}}, Envelopes: []attest.Digest{{25}, {26}},
		}, attest.OpenRecord, attest.ParseRecord),
		kindOf("withdrawal", admin, attest.Withdrawal{
			Role: attest.RoleAdmin, By: "admin", Release: attest.Digest{6}, Reason: "CVE-2027-1234, fixed in 2.10-4", At: opened + 80,
		}, func(e *attest.Envelope, keys attest.Keys) (attest.Withdrawal, error) {
			return attest.OpenWithdrawal(e, func(_ attest.Role, name string) (attest.VerifierKey, error) { return keys(name) })
		}, attest.ParseWithdrawal),
		kindOf("complaint", alpha, attest.Complaint{
			Rebuilder: "alpha", Release: attest.Digest{6}, Decision: attest.Digest{20}, Statement: attest.Digest{16}, Receipt: attest.Digest{27},
			Issued: opened + 120,
		}, attest.OpenComplaint, attest.ParseComplaint),
	}
}
