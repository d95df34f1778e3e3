package policy_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

const (
	issued = attest.Time(1_700_000_000)
	opened = issued + 3600
	day    = 24 * time.Hour
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// edKey and ecKey are the same keys in every run. Property tests ask for them
// thousands of times.
func edKey(name, seed string) attest.SigningKey {
	return once("ed25519 "+name+" "+seed, func() attest.SigningKey {
		sum := sha256.Sum256([]byte("ed25519 " + seed))
		return must(attest.NewSigningKey(name, ed25519.NewKeyFromSeed(sum[:])))
	})
}

func ecKey(name, seed string) attest.SigningKey {
	return once("p256 "+name+" "+seed, func() attest.SigningKey {
		sum := sha256.Sum256([]byte("p256 " + seed))
		return must(attest.NewSigningKey(name, must(ecdsa.ParseRawPrivateKey(elliptic.P256(), sum[:]))))
	})
}

// witness is a witness whose key follows from its name.
func witness(name, operator string) policy.Witness {
	public := edKey(name, "witness "+name).Public().(ed25519.PublicKey)
	return policy.Witness{Key: must(attest.NewCosignatureKey(name, public)), Operator: operator}
}

func nkey(seed string) string {
	return once("nkey "+seed, func() string {
		sum := sha256.Sum256([]byte("nkey " + seed))
		return must(must(nkeys.FromRawSeed(nkeys.PrefixByteUser, sum[:])).PublicKey())
	})
}

var made sync.Map

func once[T any](what string, make func() T) T {
	if v, ok := made.Load(what); ok {
		return v.(T)
	}
	v, _ := made.LoadOrStore(what, make())
	return v.(T)
}

func admin(name string) attest.SigningKey { return edKey(name, "admin "+name) }

func rebuilder(name, operator string) policy.Rebuilder {
	return policy.Rebuilder{
		Operator: operator, Key: edKey(name, "rebuilder "+name).VerifierKey, NATS: nkey("rebuilder " + name),
		Architectures: []string{"amd64"}, ValidFrom: issued, ValidUntil: issued.Add(300 * day),
	}
}

// newPolicy has one suite, stable, with the operators alpha, beta, … whose
// rebuilders bear their names, a threshold and a limit of dissent.
func newPolicy(threshold, maxDissent int, operators ...string) policy.Policy {
	p := policy.Policy{
		Serial: 1, Issued: issued, Expires: issued.Add(365 * day),
		Admins: policy.Admins{Threshold: 2, Keys: []attest.VerifierKey{
			admin("ann").VerifierKey, admin("bob").VerifierKey, admin("cem").VerifierKey,
		}},
		Log:          policy.Log{Origin: "log.example.org", Key: edKey("log.example.org", "log").VerifierKey},
		Coordinators: []policy.Party{{Key: ecKey("coordinator", "coordinator").VerifierKey, NATS: nkey("coordinator")}},
		Signers:      []policy.Party{{Key: ecKey("signer", "signer").VerifierKey, NATS: nkey("signer")}},
		Publishers: []policy.Publisher{{
			Key: edKey("builds", "publisher").VerifierKey, NATS: nkey("publisher"), Quota: 100,
			Suites: []string{"stable"}, Sources: []string{"hello", "lib*"},
		}},
		Suites: []policy.Suite{{
			Name: "stable", Mode: policy.ModeEnforce, Threshold: threshold, MaxDissent: maxDissent,
			Settle: 1800, Deadline: 7200, Retries: 2, MinIsolation: attest.IsolationUID,
			Backends: []string{"golang", "command"}, Kinds: []string{"deb"},
			Certificates: []policy.Certificate{{Fingerprint: fmt.Sprintf("%040X", 0xABCDEF), Use: policy.UseArtifacts}},
		}},
	}
	for _, o := range operators {
		p.Rebuilders = append(p.Rebuilders, rebuilder(o, o))
		p.Suites[0].Rebuilders = append(p.Suites[0].Rebuilders, o)
	}
	return p
}

func sign(t testing.TB, p policy.Policy, admins ...string) *attest.Envelope {
	t.Helper()
	e, err := p.Seal(admin(admins[0]))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range admins[1:] {
		if err := e.AddSignature(admin(a)); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func digest(s string) attest.Digest { return attest.SHA256([]byte(s)) }

// newCase opens a release of hello under p.
func newCase(p policy.Policy) policy.Case {
	version := &policy.Version{Policy: p, Digest: digest("policy")}
	return policy.Case{
		Policy: version,
		Request: attest.Request{
			Publisher: "builds", Suite: "stable", Source: "hello", Version: "2.12-1", Architecture: "amd64",
			Recipe: attest.Recipe{Backend: "golang"},
		},
		RequestDigest: digest("request"),
		Opening: attest.Opening{
			Coordinator: "coordinator", Request: digest("request"), Policy: version.Digest, PolicySerial: p.Serial,
			Attempt: 1, Nonce: digest("nonce"), Opened: opened, Deadline: opened + 7200,
		},
		Release: digest("release"),
	}
}

// built is a vote of a rebuilder for the set called set.
func built(rebuilder, set string) policy.Vote {
	return statement(attest.Rebuild{
		Rebuilder: rebuilder, Outcome: attest.Built, Set: digest(set), Isolation: attest.IsolationBwrap,
	})
}

// report is a rebuilder's statement that nothing was built.
func report(rebuilder string, outcome attest.Outcome) policy.Vote {
	return statement(attest.Rebuild{
		Rebuilder: rebuilder, Outcome: outcome, Source: digest("source"), Isolation: attest.IsolationBwrap,
	})
}

func statement(r attest.Rebuild) policy.Vote {
	r.Release, r.Started, r.Finished = digest("release"), opened, opened+60
	return policy.Vote{Rebuild: r, Statement: digest(fmt.Sprintf("%+v", r))}
}
