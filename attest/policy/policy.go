// Package policy holds the rules that admins sign, and the one function that
// says whether a release satisfies them (design §2 and §3, docs/spec/policy.md).
//
// A [Policy] says who may request, rebuild, decide and log, and how many
// operators must agree before a release of a suite is signed. Admins type it
// as YAML ([ParseYAML]); what they sign is its canonical JSON ([Policy.Seal]).
// A [Chain] starts with a policy that somebody trusts and takes only
// successors that the admins of both the old and the new policy signed:
//
//	chain, err := policy.Pin(trustFile)
//	…
//	err = chain.Add(envelope)
//	request, err := attest.OpenRequest(message, chain.Newest().PublisherKey)
//
// [Evaluate] judges a release from verified statements. Coordinator, signer and
// offline verifiers call it with the same case and get the same [Verdict].
package policy

import (
	"strings"
	"time"

	"github.com/reprosign/reprosign/attest"
)

// Policy is one version of the rules. Admins type it as YAML; what is signed
// is its canonical JSON.
type Policy struct {
	Admins       Admins        `json:"admins"`
	Coordinators []Party       `json:"coordinators"` // opening keys, ECDSA P-256
	Expires      attest.Time   `json:"expires"`      // at most a year after Issued; afterwards nothing is signed
	Insecure     bool          `json:"insecure,omitzero"`
	Issued       attest.Time   `json:"issued"`
	Log          Log           `json:"log"`
	Previous     attest.Digest `json:"previous,omitzero"` // digest of the policy before; zero for the first
	Publishers   []Publisher   `json:"publishers"`
	Rebuilders   []Rebuilder   `json:"rebuilders"`
	Serial       uint64        `json:"serial"`  // counts from 1
	Signers      []Party       `json:"signers"` // statement keys, ECDSA P-256
	Suites       []Suite       `json:"suites"`
	Witnesses    Witnesses     `json:"witnesses,omitzero"` // absent: the log is unwitnessed
}

// Admins are those who sign policies, and how many of them must.
type Admins struct {
	Keys      []attest.VerifierKey `json:"keys"`
	Threshold int                  `json:"threshold"`
}

// Log is the evidence log: its origin, a bare host name, its checkpoint key
// (Ed25519), whose name is the origin, and who runs it.
type Log struct {
	Key      attest.VerifierKey `json:"key"`
	Operator string             `json:"operator,omitzero"` // required where there are witnesses
	Origin   string             `json:"origin"`
}

// Party is a coordinator or a signer: a verifier key, whose name is the
// party's, and the public nkey it connects to NATS with.
type Party struct {
	Key  attest.VerifierKey `json:"key"`
	NATS string             `json:"nats"`
}

// Publisher may request releases of some source names in some suites.
type Publisher struct {
	Key     attest.VerifierKey `json:"key"`
	NATS    string             `json:"nats"`
	Quota   int                `json:"quota"`   // releases open at one time
	Sources []string           `json:"sources"` // patterns: exact, or a prefix followed by *
	Suites  []string           `json:"suites"`
}

// Rebuilder is an independent operator's key. Several rebuilders may belong to
// one operator; they have one vote together.
type Rebuilder struct {
	Architectures []string           `json:"architectures"`
	Key           attest.VerifierKey `json:"key"`
	NATS          string             `json:"nats"`
	Operator      string             `json:"operator"`
	ValidFrom     attest.Time        `json:"validFrom"`
	ValidUntil    attest.Time        `json:"validUntil"`
}

// Mode says what a suite does with its decisions.
type Mode string

// ModeEnforce signs decided releases and nothing else.
const ModeEnforce Mode = "enforce"

// Use is what a certificate's signatures are over. A certificate serves one
// suite and one use.
type Use string

// UseArtifacts is the use of certificates that sign built files.
const UseArtifacts Use = "artifacts"

// Suite is one repository line with its own rules. Durations are in seconds.
type Suite struct {
	Backends         []string         `json:"backends"`
	Certificates     []Certificate    `json:"certificates"`
	Deadline         Seconds          `json:"deadline"`
	Kinds            []string         `json:"kinds"`                     // artifact kinds allowed
	MaxCheckpointAge Seconds          `json:"maxCheckpointAge,omitzero"` // of what the signer has seen of the log; see [Suite.CheckpointAge]
	MaxDissent       int              `json:"maxDissent"`
	MinIsolation     attest.Isolation `json:"minIsolation"`
	Mode             Mode             `json:"mode"`
	Name             string           `json:"name"`
	Rebuilders       []string         `json:"rebuilders"`
	Recipes          []attest.Digest  `json:"recipes,omitzero"` // if set, only these (SHA-256 of the executable of a command recipe)
	Retries          int              `json:"retries"`          // further attempts after the first
	Settle           Seconds          `json:"settle"`
	Threshold        int              `json:"threshold"` // n: operators that must agree
}

// Certificate names an OpenPGP certificate by the fingerprint of its signing key.
type Certificate struct {
	Fingerprint string `json:"fingerprint"`
	Use         Use    `json:"use"`
}

// Seconds is a duration in whole seconds.
type Seconds int64

// Duration returns s as a time.Duration.
func (s Seconds) Duration() time.Duration { return time.Duration(s) * time.Second }

// String returns the duration in its shortest form: 90s, 30m, 24h.
func (s Seconds) String() string {
	text := s.Duration().String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-len(zero)+1]
		}
	}
	return text
}
