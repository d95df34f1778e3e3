package bus

import (
	"context"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

// Limits of reading the log.
const (
	// MaxLogEntries bounds the entries of one answer.
	MaxLogEntries = 1000
	// MaxLogBytes bounds the leaves and envelopes of one answer, as they are
	// stored. An answer holds at least one entry, however large.
	MaxLogBytes = 512 << 10
	// MaxLogWait is the longest that a question for entries waits at the
	// coordinator, in seconds.
	MaxLogWait = 20

	// maxLogReads bounds the questions of signers that a coordinator handles at one
	// time, maxLogGuests those of rebuilders' agents; nearly all of them wait.
	maxLogReads  = 64
	maxLogGuests = 512
	// maxLogRequest bounds a question, in bytes.
	maxLogRequest = 1 << 10
)

// LogRequest asks for entries of the log from an index on.
type LogRequest struct {
	From int64 `json:"from"`
	// WaitSeconds lets the answer wait, at most [MaxLogWait], until there is a
	// published entry at From.
	WaitSeconds int `json:"waitSeconds,omitzero"`
	// Newest asks for the newest entry alone, wherever it is, with what a reader
	// needs to check all that follows it. From and WaitSeconds are zero then.
	Newest bool `json:"newest,omitzero"`
}

// LogReply holds the newest published checkpoint, a signed note, or nothing if
// there is none yet, and the entries from the index on. They all lie below the
// checkpoint; there may be more of them below it than the answer holds.
type LogReply struct {
	Checkpoint []byte           `json:"checkpoint"`
	Entries    []translog.Entry `json:"entries"`
	// Edge is, if the newest entry was asked for, the right edge of the tree of
	// the entries before it ([translog.ResumeRange]).
	Edge  []attest.Digest `json:"edge,omitempty"`
	Error *Error          `json:"error,omitzero"`
}

// LogReader is what a coordinator answers. Its method is called concurrently
// and must end with its context.
type LogReader interface {
	ReadLog(ctx context.Context, q LogRequest) LogReply
}

// ServeLog answers those who follow the log until ctx ends; coordinators share
// the questions. What they answer is no secret: entries and their envelopes are
// public, and whoever asks verifies them.
func (c *Conn) ServeLog(ctx context.Context, reader LogReader) error {
	return c.serveQueue(ctx, logQueue, []endpoint{{
		name: "log", subject: subjectLog, limit: maxLogRequest, atOnce: maxLogReads, guests: maxLogGuests, time: MaxAPITime - 10*time.Second,
		asker: RoleSigner,
		handle: respond(maxLogRequest, func(ctx context.Context, _ string, q LogRequest) LogReply {
			if problem := q.check(); problem != nil {
				return LogReply{Error: problem}
			}
			return reader.ReadLog(ctx, q)
		}, func(r LogReply) *Error { return r.Error }),
	}})
}

func (q LogRequest) check() *Error {
	if q.From < 0 || q.From > translog.MaxTreeSize {
		return Errorf(KindInvalid, "log entries from %d on, 0 to %d allowed", q.From, int64(translog.MaxTreeSize))
	}
	if q.WaitSeconds < 0 || q.WaitSeconds > MaxLogWait {
		return Errorf(KindInvalid, "question for log entries waits %d seconds, at most %d allowed", q.WaitSeconds, MaxLogWait)
	}
	if q.Newest && (q.From != 0 || q.WaitSeconds != 0) {
		return Errorf(KindInvalid, "question for the newest log entry names an index or a time to wait")
	}
	return nil
}

// ReadLog asks for entries of the log. An answer without entries says that
// there was none at From in the time that the question waited.
func (c *Conn) ReadLog(ctx context.Context, q LogRequest) (LogReply, error) {
	r, err := ask[LogReply](ctx, c, subjectLog, requestTimeout+time.Duration(q.WaitSeconds)*time.Second, q)
	return r, orProblem(err, r.Error)
}
