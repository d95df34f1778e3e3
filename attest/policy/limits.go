package policy

import (
	"time"

	"github.com/reprosign/reprosign/attest"
)

// Limits of a policy. They keep every check and every verdict cheap, and a
// decision's list of votes within bounds.
const (
	// MaxPolicy bounds a policy, as canonical JSON and as YAML, in bytes.
	MaxPolicy = 256 << 10
	// MaxAdmins bounds the admins: each may put one signature on the envelope.
	MaxAdmins = attest.MaxSignatures
	// MaxParties bounds the coordinators, and the signers.
	MaxParties    = 64
	MaxPublishers = 1024
	MaxRebuilders = 128
	MaxSuites     = 128
	// MaxEntries bounds each list of words of a publisher, a rebuilder or a suite.
	MaxEntries = 1024
	// MaxCertificates bounds the certificates of a suite, old and new ones together.
	MaxCertificates = 8
	// MaxWitnesses bounds the witnesses: with the log's own, the signatures under a
	// checkpoint stay within the 16 that every C2SP reader must take.
	MaxWitnesses = 15
	// MaxQuota bounds the releases that a publisher may have open at one time.
	MaxQuota = 1_000_000
	// MaxListed bounds the statements of one rebuilder that a verdict lists: two
	// votes prove an equivocation, the rest are reports of agents that crashed.
	MaxListed = 8

	// MaxValidity is the longest time from issue to expiry: a leap year.
	MaxValidity = 366 * 24 * time.Hour
	// MaxDeadline is the longest time that a suite may wait for its rebuilders.
	MaxDeadline = 90 * 24 * time.Hour
	// DefaultMaxCheckpointAge is how old a signer's view of the log may be in a
	// suite that does not say so itself.
	DefaultMaxCheckpointAge = time.Hour
	// LongestCheckpointAge bounds what a suite may say.
	LongestCheckpointAge = 7 * 24 * time.Hour
	// MaxRetries bounds the attempts after the first.
	MaxRetries = attest.MaxAttempts - 1
	// maxUnbroken bounds how far back a bundle's policies leave none out, in policies.
	// Even of the largest policies they leave room for the rest of the bundle.
	maxUnbroken = 64
	// Grace is how long after its deadline a release whose quorum is complete
	// may still be decided.
	Grace = 10 * time.Minute

	// maxSerial keeps serials exact in JSON.
	maxSerial = 1<<53 - 1

	// Below these a policy must call itself insecure.
	secureAdmins    = 2
	secureThreshold = 2
)
