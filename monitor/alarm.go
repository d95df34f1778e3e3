package monitor

import (
	"fmt"

	"github.com/reprosign/reprosign/attest"
)

// Kind says what kind of thing happened.
type Kind string

// The kinds of alarms. The comments say how each ends: with its condition, by
// itself, or never, because it happened.
const (
	// Fork: the log's key signed two histories. It stands until a person has looked.
	Fork Kind = "fork"
	// Shrunk: the log serves fewer entries than before. It ends when it serves them again.
	Shrunk Kind = "shrunk-log"
	// Damaged: files do not fit the signed checkpoint, or are not there. It ends when they do.
	Damaged Kind = "damaged-log"
	// Unsigned: the checkpoint does not carry the log's signature. It ends when it does.
	Unsigned Kind = "unsigned-checkpoint"
	// Unwitnessed: fewer witnesses than the trust asks for cosigned the checkpoint. It ends when they do.
	Unwitnessed Kind = "unwitnessed-checkpoint"
	// Stale: no new checkpoint for too long. It ends with a new one.
	Stale Kind = "stale-checkpoint"
	// Unreachable: the log does not answer, for too long. It ends with an answer.
	Unreachable Kind = "unreachable-log"
	// MissingBody: an envelope that an entry names is not served. Nothing behind
	// the entry is read until it is.
	MissingBody Kind = "missing-body"
	// OldPolicy: entries are under a policy older than the pinned one, which the
	// log does not serve. Nothing behind them is read until a policy is pinned that is old enough.
	OldPolicy Kind = "old-policy"
	// ForeignEntry: an entry that no lawful coordinator or signer would have logged.
	ForeignEntry Kind = "foreign-entry"
	// LoneSignature: signatures were made on no decision in the log, or on one that does not count.
	LoneSignature Kind = "signature-without-decision"
	// LoneDecision: a decision that its votes do not carry.
	LoneDecision Kind = "decision-without-votes"
	// NameTwice: a file name was decided again, with other content or for another source.
	NameTwice Kind = "name-decided-twice"
	// MissingEvidence: a decision is in the log and its evidence is not served, or
	// signatures are and it does not show them. It ends when it does.
	MissingEvidence Kind = "missing-evidence"
	// Equivocation: a rebuilder's operator voted for two artifact sets in one release.
	Equivocation Kind = "equivocation"
	// Complaint: a rebuilder shows in public that a decision leaves out a counted
	// statement of its, or says so and the evidence to judge it by is not served.
	Complaint Kind = "complaint"
	// UnjustifiedComplaint: a rebuilder says so in the log, and what comes with it
	// does not show it. Lawful coordinators do not take such a complaint.
	UnjustifiedComplaint Kind = "unjustified-complaint"
	// NewPolicy: the admins put another policy into force. An announcement.
	NewPolicy Kind = "new-policy"
	// UnexpectedPolicy: a policy with a serial above the highest expected one.
	UnexpectedPolicy Kind = "unexpected-policy"
	// TwoPolicies: the admins signed two policies with one serial.
	TwoPolicies Kind = "two-policies"
	// PolicyExpires: the newest policy ends soon, or has. It ends with a newer one.
	PolicyExpires Kind = "policy-expires"
	// KeyExpires: a rebuilder's key or a certificate ends soon, or has. It ends with another policy.
	KeyExpires Kind = "key-expires"
	// DeviceCount: a device counts more signatures than the log explains.
	DeviceCount Kind = "hsm-count"
	// DeviceUnreachable: the device's count is not to be had. It ends with an answer.
	DeviceUnreachable Kind = "hsm-count-unreachable"
)

// Breaks reports whether nothing of the kind may ever be in a lawful log. What
// does not break a log is news, or a condition around it.
func (k Kind) Breaks() bool {
	switch k {
	case Fork, Damaged, Unsigned, Unwitnessed, MissingBody, OldPolicy, ForeignEntry, LoneSignature, LoneDecision, NameTwice, MissingEvidence, TwoPolicies:
		return true
	default:
		return false
	}
}

// Announces reports whether the kind is news that is no reason for alarm.
func (k Kind) Announces() bool { return k == NewPolicy }

// Next says what to do about it.
func (k Kind) Next() string {
	switch k {
	case Fork:
		return "publish both checkpoints, which prove it, and trust nothing that the log shows until its operator has explained them"
	case Shrunk:
		return "ask the operator whether a stale copy serves the log; after a restore of its database the log has to end"
	case Damaged:
		return "read the log from its operator or another mirror; if it is damaged there too, tell the operator"
	case Unsigned:
		return "check the address; if the log's key was changed, pin the policy that names the new one"
	case Unwitnessed:
		return "ask the operator and the witnesses; believe no time in the log until they cosign again"
	case Stale:
		return "ask the operator whether the coordinators and the witnesses run"
	case Unreachable:
		return "check the address and the network, then ask the operator"
	case MissingBody:
		return "ask the operator to serve it; the signers stop at the same entry"
	case OldPolicy:
		return "pin the first policy of the log"
	case ForeignEntry:
		return "ask the operator who else holds the opening or statement key, and replace it"
	case LoneSignature:
		return "treat the signing key as used without a decision: stop the signer and compare the device's audit log"
	case LoneDecision:
		return "do not install its artifacts, stop the signer, and ask the admins to withdraw the release"
	case NameTwice:
		return "do not install the later file, and ask the admins to withdraw the release"
	case MissingEvidence:
		return "do not install its artifacts until the evidence is served and verifies"
	case Equivocation:
		return "ask the operator which build it stands by; its vote is void"
	case Complaint:
		return "ask the operators of coordinator and signer who lost the statement; reprosign evidence complaint judges it offline"
	case UnjustifiedComplaint:
		return "ask the operator of the coordinator why it took the complaint"
	case NewPolicy:
		return "compare its digest with what the admins announced"
	case UnexpectedPolicy:
		return "ask the admins; if they meant it, raise the highest expected serial"
	case TwoPolicies:
		return "sign nothing until the admins have explained both and signed a newer one"
	case PolicyExpires:
		return "have the admins sign the next policy: an expired one means no signatures"
	case KeyExpires:
		return "have the admins put its successor into the next policy"
	case DeviceCount:
		return "take the device's operator credential as stolen until its audit log explains the difference"
	case DeviceUnreachable:
		return "check the signer's metrics listener"
	}
	return "look at the log"
}

// Alarm is one thing that happened, in words for a person.
type Alarm struct {
	Kind Kind   `json:"kind"`
	Log  string `json:"log"` // where the log was read
	// Cause names what it is about within its kind: one cause is told once.
	Cause   string        `json:"cause"`
	Release attest.Digest `json:"release,omitzero"`
	Entry   *int64        `json:"entry,omitzero"` // index in the log
	What    string        `json:"what"`           // happened, and to which release
	Next    string        `json:"next"`           // what to do
	At      attest.Time   `json:"at"`
}

// String is the alarm in one sentence.
func (a Alarm) String() string { return fmt.Sprintf("%s: %s; %s", a.Kind, a.What, a.Next) }

// alarm makes one of a kind. Its time and log are set where it is raised.
func alarm(kind Kind, cause, format string, args ...any) Alarm {
	return Alarm{Kind: kind, Cause: cause, What: attest.CleanReason(fmt.Sprintf(format, args...)), Next: kind.Next()}
}

// at says which entry and release an alarm is about.
func (a Alarm) at(entry int64, release attest.Digest) Alarm {
	a.Entry, a.Release = &entry, release
	return a
}
