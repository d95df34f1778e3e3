package evidencetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
)

// Fixed names and times of every world.
const (
	Suite        = "stable"
	Source       = "hello"
	Version      = "2.10-3"
	Architecture = "amd64"
	Origin       = "log.example.org"

	// Issued is the time of the policy; the first release is opened a day later.
	Issued attest.Time = 1_800_000_000
	// Expires is when the policy ends.
	Expires = Issued + 300*day
	// Opened is when the first attempt is opened; each further one follows an
	// hour later.
	Opened = Issued + day

	day, hour = 86400, 3600
)

// Options are the knobs of a world; zero values mean the defaults.
type Options struct {
	Rebuilders int // each of an operator of its own; default 3
	Threshold  int // default: more than half of the rebuilders
	Artifacts  int // of each release; default 2
	// Witnesses is how many cosign the log, each of an operator of its own; two of
	// them must. Default none.
	Witnesses int
	// Change is called with the policy before it is signed.
	Change func(p *policy.Policy)
	// Votes returns the statements that the decision is made on; by default all
	// rebuilders agree.
	Votes func(tb testing.TB, r *Release) []*attest.Envelope
}

// World is a set of parties under one policy, with a log in memory.
type World struct {
	Options Options

	Admins      []attest.SigningKey // two, both needed
	Publisher   attest.SigningKey
	Coordinator attest.SigningKey
	Signer      attest.SigningKey
	Rebuilders  []attest.SigningKey // rebuilder-1, rebuilder-2, …
	Witnesses   []attest.SigningKey // witness-1, witness-2, …
	Certificate *openpgp.Certificate

	Policy   policy.Policy
	Envelope *attest.Envelope // of the policy
	Version  *policy.Version
	Log      *Log
}

// Certify returns the certificate of a holder, whose key is
// Ed25519("openpgp " + holder).
func Certify(tb testing.TB, holder string) *openpgp.Certificate {
	tb.Helper()
	return once("certificate "+holder, func() *openpgp.Certificate {
		c, err := openpgp.Certify(openpgp.NewCertificate{
			UserID: holder + " <" + holder + "@example.org>", Created: (Issued - day).Time(), Lifetime: 10 * 365 * 24 * time.Hour,
		}, Ed25519("openpgp "+holder))
		if err != nil {
			tb.Fatal(err)
		}
		return c
	})
}

// New builds a world.
func New(tb testing.TB, o Options) *World {
	tb.Helper()
	if o.Rebuilders == 0 {
		o.Rebuilders = 3
	}
	if o.Threshold == 0 {
		o.Threshold = o.Rebuilders/2 + 1
	}
	if o.Artifacts == 0 {
		o.Artifacts = 2
	}
	w := &World{
		Options:     o,
		Admins:      []attest.SigningKey{Ed25519Key(tb, "admin", "admin-1"), Ed25519Key(tb, "admin", "admin-2")},
		Publisher:   Ed25519Key(tb, "publisher", "publisher"),
		Coordinator: P256Key(tb, "coordinator", "coordinator"),
		Signer:      P256Key(tb, "signer", "signer"),
		Certificate: Certify(tb, Suite),
		Log:         &Log{Key: Ed25519Key(tb, "log", Origin)},
	}
	for i := range o.Rebuilders {
		w.Rebuilders = append(w.Rebuilders, Ed25519Key(tb, "rebuilder", fmt.Sprintf("rebuilder-%d", i+1)))
	}
	for i := range o.Witnesses {
		w.Witnesses = append(w.Witnesses, WitnessKey(tb, fmt.Sprintf("witness-%d", i+1)))
	}
	w.Log.Witnesses = w.Witnesses
	w.Policy = w.policy()
	if o.Change != nil {
		o.Change(&w.Policy)
	}
	w.Use(tb, w.Seal(tb, w.Policy))
	return w
}

// Seal signs a policy with all admins.
func (w *World) Seal(tb testing.TB, p policy.Policy) *attest.Envelope {
	tb.Helper()
	e, err := p.Seal(w.Admins[0])
	if err != nil {
		tb.Fatal(err)
	}
	for _, admin := range w.Admins[1:] {
		if err := e.AddSignature(admin); err != nil {
			tb.Fatal(err)
		}
	}
	return e
}

func (w *World) policy() policy.Policy {
	p := policy.Policy{
		Admins:       policy.Admins{Threshold: len(w.Admins)},
		Coordinators: []policy.Party{{Key: w.Coordinator.VerifierKey, NATS: NATSUser("coordinator")}},
		Expires:      Expires,
		Issued:       Issued,
		Log:          policy.Log{Key: w.Log.Key.VerifierKey, Origin: Origin},
		Publishers: []policy.Publisher{{
			Key: w.Publisher.VerifierKey, NATS: NATSUser("publisher"), Quota: 100, Sources: []string{"*"}, Suites: []string{Suite},
		}},
		Serial:  1,
		Signers: []policy.Party{{Key: w.Signer.VerifierKey, NATS: NATSUser("signer")}},
		Suites: []policy.Suite{{
			Backends:     []string{"command"},
			Certificates: []policy.Certificate{{Fingerprint: w.Certificate.Fingerprint(), Use: policy.UseArtifacts}},
			Deadline:     hour,
			Kinds:        []string{"deb"},
			MinIsolation: attest.IsolationUID,
			Mode:         policy.ModeEnforce,
			Name:         Suite,
			Retries:      3,
			Threshold:    w.Options.Threshold,
		}},
	}
	for _, admin := range w.Admins {
		p.Admins.Keys = append(p.Admins.Keys, admin.VerifierKey)
	}
	for i, r := range w.Rebuilders {
		p.Rebuilders = append(p.Rebuilders, policy.Rebuilder{
			Architectures: []string{Architecture}, Key: r.VerifierKey, NATS: NATSUser(r.Name()),
			Operator: fmt.Sprintf("operator-%d", i+1), ValidFrom: Issued, ValidUntil: Expires,
		})
		p.Suites[0].Rebuilders = append(p.Suites[0].Rebuilders, r.Name())
	}
	if len(w.Witnesses) > 0 {
		p.Log.Operator, p.Witnesses = "log-operator", WitnessesOf(w.Witnesses...)
	}
	return p
}

// WitnessesOf returns witnesses, each of an operator of its own, two of which
// must cosign.
func WitnessesOf(keys ...attest.SigningKey) policy.Witnesses {
	set := policy.Witnesses{Quorum: 2}
	for _, k := range keys {
		set.Keys = append(set.Keys, policy.Witness{Key: k.VerifierKey, Operator: "operator-of-" + k.Name()})
	}
	return set
}

// Use makes an already signed policy the one under which further releases are
// opened and decided.
func (w *World) Use(tb testing.TB, e *attest.Envelope) {
	tb.Helper()
	chain, err := policy.Pin(e)
	if err != nil {
		tb.Fatal(err)
	}
	w.Envelope, w.Version = e, chain.Newest()
	w.Policy = w.Version.Policy
}
