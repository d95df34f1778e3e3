package bus

import "github.com/reprosign/reprosign/attest"

// Every message is JSON with exactly the members below. Messages are not
// signed: what matters in them are envelopes, and those are.

// MaxMessage bounds every message on the bus, in bytes; MaxVote bounds a vote
// with its artifact list and states.
const (
	MaxMessage = 4 << 20
	MaxVote    = 1 << 20
)

// Task asks a rebuilder to build one release.
type Task struct {
	Opening *attest.Envelope `json:"opening"`
	Request *attest.Envelope `json:"request"`
}

// Vote carries a rebuild statement. The artifact set and the states travel
// beside it when the outcome is built, and only then.
type Vote struct {
	Envelope  *attest.Envelope `json:"envelope"`
	Artifacts attest.Artifacts `json:"artifacts,omitempty"`
	States    []attest.State   `json:"states,omitempty"`
}

// Event tells that a release changed state. It holds no digest of an undecided release.
type Event struct {
	Release attest.Digest `json:"release"`
	Suite   string        `json:"suite"`
	State   string        `json:"state"`
	At      attest.Time   `json:"at"`
}

// DecideRequest asks the signer for verdicts. Policies are not in it: the
// signer has them from the log.
type DecideRequest struct {
	Cases []DecideCase `json:"cases"`
}

// DecideCase is one release as the coordinator closed it.
type DecideCase struct {
	Opening   *attest.Envelope   `json:"opening"`
	Request   *attest.Envelope   `json:"request"`
	Claim     *attest.Claim      `json:"claim,omitzero"`
	Votes     []*attest.Envelope `json:"votes"`
	Artifacts attest.Artifacts   `json:"artifacts"` // the agreed set
}

// DecideReply answers each case in order: a decision or an error.
type DecideReply struct {
	Results []DecideResult `json:"results"`
}

// DecideResult is a sealed decision or the reason why there is none.
type DecideResult struct {
	Decision *attest.Envelope `json:"decision,omitzero"`
	Error    *Error           `json:"error,omitzero"`
}

// SignRequest asks the signer to sign artifacts of one logged decision. It
// carries all that the decision followed from, so that the signer can follow it
// again: whoever forges a decision has no votes to show.
type SignRequest struct {
	Decision    *attest.Envelope   `json:"decision"`
	Opening     *attest.Envelope   `json:"opening"`
	Request     *attest.Envelope   `json:"request"`
	Claim       *attest.Claim      `json:"claim,omitzero"`
	Votes       []*attest.Envelope `json:"votes"` // those that the decision lists
	Artifacts   attest.Artifacts   `json:"artifacts"`
	States      []attest.State     `json:"states"`
	Certificate string             `json:"certificate"` // fingerprint
	// Only names the artifacts to sign when others of the set already have
	// their one signature; empty means all.
	Only []string `json:"only,omitzero"`
	// Proof is of the decision and OpeningProof of the opening, each under the
	// first checkpoint over it that enough witnesses cosigned. Where there are no
	// witnesses the signer's own copy of the log is enough, and only indexes count.
	Proof        LogProof `json:"proof"`
	OpeningProof LogProof `json:"openingProof"`
}

// LogProof shows an entry under a checkpoint.
type LogProof struct {
	Index      int64           `json:"index"`
	Hashes     []attest.Digest `json:"hashes"`
	Checkpoint []byte          `json:"checkpoint"` // signed note
}

// SignReply holds one binary OpenPGP signature per artifact asked for, in the
// order of the set, the sealed statement about them, and the certificate that
// they verify under.
type SignReply struct {
	Signatures  [][]byte         `json:"signatures,omitzero"`
	Made        *attest.Envelope `json:"made,omitzero"`
	Certificate []byte           `json:"certificate,omitzero"`
	Error       *Error           `json:"error,omitzero"`
}

// SubmitRequest submits a release request or, alone, a signed policy.
type SubmitRequest struct {
	Request *attest.Envelope `json:"request,omitzero"`
	Claim   *attest.Claim    `json:"claim,omitzero"`
	Policy  *attest.Envelope `json:"policy,omitzero"`
}

// SubmitReply names the newest release of the request, or the accepted policy's digest.
type SubmitReply struct {
	Release attest.Digest `json:"release,omitzero"`
	Attempt int           `json:"attempt,omitzero"`
	Policy  attest.Digest `json:"policy,omitzero"`
	Error   *Error        `json:"error,omitzero"`
}

// StatusRequest asks for a release by its id, by its request's digest, or by
// the SHA-256 of an artifact (looked up among decided releases only).
type StatusRequest struct {
	Release  attest.Digest `json:"release,omitzero"`
	Request  attest.Digest `json:"request,omitzero"`
	Artifact attest.Digest `json:"artifact,omitzero"`
	// Evidence asks for the bundle too, if there is one.
	Evidence bool `json:"evidence,omitzero"`
	// WaitFor and WaitSeconds let the answer wait, for at most MaxWait, until
	// the release has reached the state or can no longer reach it.
	WaitFor     string `json:"waitFor,omitzero"`
	WaitSeconds int    `json:"waitSeconds,omitzero"`
}

// MaxWait is the longest that a status request waits at the coordinator, in seconds.
const MaxWait = 55

// StatusReply describes a release. Digests and artifacts are there only once
// the release is decided.
type StatusReply struct {
	Release  *ReleaseStatus `json:"release,omitzero"`
	Evidence []byte         `json:"evidence,omitzero"` // the bundle's bytes
	Error    *Error         `json:"error,omitzero"`
}

// ReleaseStatus is what anybody on the bus may know of a release.
type ReleaseStatus struct {
	Release      attest.Digest    `json:"release"`
	Request      attest.Digest    `json:"request"`
	Attempt      int              `json:"attempt"`
	Newest       attest.Digest    `json:"newest"` // the newest attempt at the same request
	Suite        string           `json:"suite"`
	Source       string           `json:"source"`
	Version      string           `json:"version"`
	Architecture string           `json:"architecture"`
	State        string           `json:"state"`
	Final        bool             `json:"final"`  // no later state and no further attempt will come
	Reason       string           `json:"reason"` // one sentence: why it is in this state
	PolicySerial uint64           `json:"policySerial"`
	Policy       attest.Digest    `json:"policy"`
	Threshold    int              `json:"threshold"`
	Operators    int              `json:"operators"`
	Ground       string           `json:"ground,omitzero"`
	Opened       attest.Time      `json:"opened"`
	Deadline     attest.Time      `json:"deadline"`
	Votes        []VoteStatus     `json:"votes"`
	Artifacts    []ArtifactStatus `json:"artifacts,omitzero"`
	LogIndex     *int64           `json:"logIndex,omitzero"`
	TreeSize     int64            `json:"treeSize,omitzero"`
}

// VoteStatus is one rebuilder's view of a release: pending, reported (it has
// answered, embargoed), agrees, differs, build-failed, infra-error, equivocated.
type VoteStatus struct {
	Rebuilder string        `json:"rebuilder"`
	Operator  string        `json:"operator"`
	View      string        `json:"view"`
	Set       attest.Digest `json:"set,omitzero"` // decided releases only
}

// ArtifactStatus is one decided artifact and its signatures.
type ArtifactStatus struct {
	attest.Artifact `json:",inline"`

	Signatures []SignatureStatus `json:"signatures"`
}

// SignatureStatus is one stored signature: the binary packet.
type SignatureStatus struct {
	Certificate string `json:"certificate"`
	Kind        string `json:"kind"`
	Signature   []byte `json:"signature"`
}

// PolicyRequest asks for the policies after a serial, oldest first.
type PolicyRequest struct {
	After uint64 `json:"after"`
}

// PolicyReply holds signed policies, as many as fit.
type PolicyReply struct {
	Policies []*attest.Envelope `json:"policies"`
	More     bool               `json:"more,omitzero"` // ask again, after the last one's serial
	Error    *Error             `json:"error,omitzero"`
}

// ReceiptsRequest asks, as one rebuilder, what became of statements.
type ReceiptsRequest struct {
	Statements []attest.Digest `json:"statements"` // at most attest.MaxReceipt
}

// ReceiptsReply holds sealed receipts and rejections for those the coordinator
// knows; a statement that is in none of them has to be sent again.
type ReceiptsReply struct {
	Envelopes []*attest.Envelope `json:"envelopes"`
	Error     *Error             `json:"error,omitzero"`
}

// WithdrawRequest delivers a sealed withdrawal.
type WithdrawRequest struct {
	Withdrawal *attest.Envelope `json:"withdrawal"`
}

// WithdrawReply says whether the withdrawal stands.
type WithdrawReply struct {
	Release attest.Digest `json:"release,omitzero"`
	Error   *Error        `json:"error,omitzero"`
}

// ComplainRequest delivers a sealed complaint with its proof: the receipt that
// says counted, and the statement that the decision does not list. It is also
// how an agent keeps a complaint.
type ComplainRequest struct {
	Complaint *attest.Envelope `json:"complaint"`
	Receipt   *attest.Envelope `json:"receipt"`
	Statement *attest.Envelope `json:"statement"`
}

// ComplainReply names the complaint about that statement that is on its way into
// the log, which is an earlier one if there was one.
type ComplainReply struct {
	Complaint attest.Digest `json:"complaint,omitzero"`
	Error     *Error        `json:"error,omitzero"`
}
