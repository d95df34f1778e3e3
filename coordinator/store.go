package coordinator

import (
	"context"
	"errors"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

// Errors of a store that its callers act on.
var (
	// ErrUnavailable: the database is away; the call may be repeated.
	ErrUnavailable = errors.New("database unavailable")
	// ErrNotFound: there is no such thing.
	ErrNotFound = errors.New("not found")
	// ErrExists: another replica or an earlier call was first.
	ErrExists = errors.New("exists already")
	// ErrQuota: the publisher has too many releases open.
	ErrQuota = errors.New("quota of open releases used up")
	// ErrFenced: the lease was lost to another worker; the result is not stored.
	ErrFenced = errors.New("lease lost to another worker")
	// ErrTooLate: the release is past the state in which this could be done.
	ErrTooLate = errors.New("release is past that state")
	// ErrForked: the log in the database is not a continuation of what was
	// signed. Nothing may be signed any more until a person has looked.
	ErrForked = errors.New("log history differs from what was signed")
)

// Topic is what a notification of the store is about.
type Topic string

// The topics, one per loop.
const (
	TopicTasks    Topic = "tasks"    // releases whose tasks are not published
	TopicEvaluate Topic = "evaluate" // releases due for a verdict
	TopicDecide   Topic = "decide"   // closed releases without decision
	TopicOutbox   Topic = "outbox"   // entries not yet in the tree, or a tree not yet under a checkpoint
	TopicSign     Topic = "sign"     // signing jobs
	TopicRetry    Topic = "retry"    // requests that need their next attempt
	TopicEvents   Topic = "events"   // state changes to publish
	TopicPolicy   Topic = "policy"   // a newer policy
	TopicLog      Topic = "log"      // a newer checkpoint
	TopicUnsigned Topic = "unsigned" // decisions in the log without evidence; nobody notifies of it
)

// Store is the coordinator's memory. Every method is one transaction, safe to
// call from several replicas at once, and safe to repeat after ErrUnavailable:
// what was stored before is not stored twice. Times are the database's.
type Store interface {
	ComplaintStore
	UnsignedStore

	// Now returns the database's time.
	Now(ctx context.Context) (time.Time, error)
	// Listen sends topics as they are notified, and every topic once after
	// each (re)connection, until ctx ends. Slow readers get topics merged, never lost.
	Listen(ctx context.Context) (<-chan Topic, error)

	// AddPolicy stores a verified policy and its log entry. ErrExists for a
	// known digest; an error for a serial that is not the newest.
	AddPolicy(ctx context.Context, serial uint64, digest attest.Digest, e *attest.Envelope, entry Entry) error
	// Policies returns the policies with a serial above after, oldest first.
	Policies(ctx context.Context, after uint64) ([]*attest.Envelope, error)

	// Submit stores a request. If it has a release already, that release (the
	// newest attempt) is returned and created is false.
	Submit(ctx context.Context, s Submission, quota int) (newest *Release, created bool, err error)
	// Open stores a release, its tasks and its log entry. ErrExists if that
	// attempt was opened by somebody else, ErrTooLate if the request was withdrawn.
	Open(ctx context.Context, r NewRelease) error
	// Release returns a release by id.
	Release(ctx context.Context, id attest.Digest) (*Release, error)
	// Unopened returns requests whose next attempt must be opened (none yet, or
	// the last one expired with attempts left), with the number of that attempt.
	// A first attempt is left out for fresh after its request was stored.
	Unopened(ctx context.Context, limit int, fresh time.Duration) ([]Submission, []int, error)
	// Abandon ends a request whose next attempt the policy no longer admits.
	Abandon(ctx context.Context, request attest.Digest, reason string) error
	// UnpublishedTasks returns releases whose tasks have to be (re)published.
	UnpublishedTasks(ctx context.Context, limit int) ([]*Release, error)
	// TasksPublished notes that they were.
	TasksPublished(ctx context.Context, releases []attest.Digest) error

	// Ingest stores statements, at most one batch, in the order lock, insert,
	// count (reference: the lost-quorum trap), and answers each.
	Ingest(ctx context.Context, batch []Incoming) ([]Disposition, error)
	// Reject stores rejections; DeadLetter stores messages that hold no statement.
	Reject(ctx context.Context, r []Rejected) error
	// Statements tells what became of a rebuilder's statements: dispositions
	// of stored ones, and sealed rejections.
	Statements(ctx context.Context, rebuilder string, digests []attest.Digest) (map[attest.Digest]Disposition, []*attest.Envelope, error)

	// Evaluate reads up to limit due releases under their locks, calls judge
	// for each, and applies its transitions, all in one transaction. It returns
	// how many there were, and those that closed, leased for the signer; with a
	// lease of zero they wait for ClaimUndecided. judge is pure. The names of a
	// closing release's artifacts are reserved for its suite and source; if a
	// name has another content or source there, the release goes to Conflict instead.
	Evaluate(ctx context.Context, limit int, lease time.Duration, judge func(Case, attest.Time) Transition) (n int, closed []Undecided, err error)
	// NextDue returns when the earliest item of a topic falls due that no
	// notification will announce: a settle time, a deadline, the end of a lease
	// or of a back-off. Zero if there is none.
	NextDue(ctx context.Context, topic Topic) (time.Time, error)

	// ClaimUndecided leases closed releases for the signer: those whose lease
	// ended without a decision.
	ClaimUndecided(ctx context.Context, limit int, lease time.Duration) ([]Undecided, error)
	// Decide stores decisions and their log entries. Those whose fence is old,
	// or whose release was withdrawn, are left out and their ids returned.
	Decide(ctx context.Context, d []Decision) (refused []attest.Digest, err error)
	// Undecide ends a lease without a decision: again later with the reason
	// shown, or expired for good (and the next attempt, if retry).
	Undecide(ctx context.Context, release attest.Digest, fence int64, reason string, again time.Time, expire, retry bool) error

	// ClaimJobs leases signing jobs of logged releases, one per release at a time.
	ClaimJobs(ctx context.Context, limit int, lease time.Duration) ([]Job, error)
	// Parts returns what a decided release's evidence bundle is made of, beside
	// what its job holds.
	Parts(ctx context.Context, release attest.Digest) (*Parts, error)
	// DecisionByDigest returns a decision that is in the log; ErrNotFound if none is.
	DecisionByDigest(ctx context.Context, digest attest.Digest) (LoggedDecision, error)
	// FinishJob stores signatures, their statement and its log entry, and the
	// evidence; the release is Signed when its last certificate has signed.
	FinishJob(ctx context.Context, m Made) error
	// RetryJob ends a lease without signatures.
	RetryJob(ctx context.Context, j Job, reason string, again time.Time) error

	// Withdraw stores a withdrawal with its log entry. From then on no
	// decision and no signature of that release can be stored.
	Withdraw(ctx context.Context, digest attest.Digest, w attest.Withdrawal, e *attest.Envelope, entry Entry) error

	// UnloggedEquivocations returns proofs that still need their log entry;
	// LogEquivocation stores it.
	UnloggedEquivocations(ctx context.Context, limit int) ([]Equivocation, error)
	LogEquivocation(ctx context.Context, e Equivocation, entry Entry) error

	// LogEntries returns the newest checkpoint, nil if there is none, and
	// entries below it from an index on: at most limit, and at most size bytes of
	// leaves and envelopes unless the first entry alone is larger.
	LogEntries(ctx context.Context, from int64, limit, size int) (note []byte, entries []translog.Entry, err error)
	// Checkpoint and Tiles are those of LogStore.
	Checkpoint(ctx context.Context) (Tree, []byte, error)
	Tiles(ctx context.Context, tiles []tlog.Tile) ([][]byte, error)

	// UnpublishedEvents returns state changes that wait for publication,
	// oldest first; EventsPublished notes by sequence number which are out.
	// There is no mark to move: numbers may commit out of order.
	UnpublishedEvents(ctx context.Context, limit int) ([]Event, error)
	EventsPublished(ctx context.Context, sequences []int64) error
}

// Rejected is a rejection on its way into the store. Envelope is the sealed
// rejection; nil for a dead letter, which has no rebuilder to answer.
type Rejected struct {
	Subject   string // the bus subject it came on
	Rebuilder string // whose subject that is
	Statement attest.Digest
	Code      attest.RejectionCode
	Reason    string
	Size      int
	Envelope  *attest.Envelope
}

// Equivocation is the proof that one operator voted for two sets in one release.
type Equivocation struct {
	Release  attest.Digest
	Operator string
	First    *attest.Envelope
	Second   *attest.Envelope
}

// Event is a state change.
type Event struct {
	Sequence int64 // unique, not gapless, not in the order of commits
	Release  attest.Digest
	Suite    string
	State    State
	At       attest.Time
}
