package coordinator

import (
	"context"
	"errors"
	"log/slog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
)

// Disputed is what a complaint about a release is judged by, beside what comes
// with it.
type Disputed struct {
	Opening, Request, Decision *attest.Envelope
	Statements                 []*attest.Envelope // of the rebuilder about the release, all that are stored
}

// Complaint is a justified complaint on its way into the store.
type Complaint struct {
	attest.Complaint

	Digest attest.Digest
	Vote   bool // it is about a vote, else about a report
}

// ComplaintView is a complaint that the log shows.
type ComplaintView struct {
	Rebuilder string
	Operator  string
	Vote      bool // it is about a vote, else about a report
	Complaint attest.Digest
	Receipt   attest.Digest
	Statement attest.Digest
	LogIndex  int64
	At        attest.Time // when the coordinator took it
}

// ComplaintStore is the memory of complaints. It is part of a [Store].
type ComplaintStore interface {
	// Disputed returns what a rebuilder's complaint about a release is judged by;
	// ErrNotFound as long as the log does not show a decision about it, or an
	// embargo lasts: a decision that witnesses saw too late leads to another attempt.
	Disputed(ctx context.Context, release attest.Digest, rebuilder string) (*Disputed, error)
	// Complain stores a complaint with its log entry. If there is one about the
	// same statement already, nothing is stored; the digest of the one that is
	// there is returned.
	Complain(ctx context.Context, c Complaint, entry Entry) (stored attest.Digest, created bool, err error)
}

// Complain takes a rebuilder's complaint that a decision lacks a statement of
// its, and brings it into the log with its proof. A complaint that is not
// justified is refused with the reason. It may well be about ourselves: who
// takes none, its agent catches, since it looks for the complaint in the log.
func (c *Coordinator) Complain(ctx context.Context, rebuilder string, q bus.ComplainRequest) bus.ComplainReply {
	stored, err := c.complain(ctx, rebuilder, q)
	if err != nil {
		c.metrics.complaints.WithLabelValues(complaintRefused).Inc()
		c.log.WarnContext(ctx, "complaint refused", slog.Any("rebuilder", rebuilder), slog.Any("reason", err))
		return bus.ComplainReply{Error: answer(err)}
	}
	return bus.ComplainReply{Complaint: stored}
}

func (c *Coordinator) complain(ctx context.Context, rebuilder string, q bus.ComplainRequest) (attest.Digest, error) {
	none := attest.Digest{}
	if q.Complaint == nil || q.Receipt == nil || q.Statement == nil {
		return none, bus.Errorf(bus.KindInvalid, "a complaint comes with the receipt and the statement that it names")
	}
	claimed, err := attest.ParseComplaint(q.Complaint.Payload)
	if err != nil {
		return none, err
	}
	if claimed.Rebuilder != rebuilder {
		return none, bus.Errorf(bus.KindDenied, "complaint of rebuilder %q came on the connection of %q", claimed.Rebuilder, rebuilder)
	}
	if err := c.refresh(ctx); err != nil {
		return none, err
	}
	d, err := c.store.Disputed(ctx, claimed.Release, rebuilder)
	if errors.Is(err, ErrNotFound) {
		return none, bus.Errorf(bus.KindNotFound, "the log shows no decision about release %s that may be spoken about yet", claimed.Release.Short())
	}
	if err != nil {
		return none, err
	}
	opening, err := attest.ParseOpening(d.Opening.Payload)
	if err != nil {
		return none, err
	}
	version, _ := c.trust.ByDigest(opening.Policy)
	justified, err := policy.Dispute{
		Policy: version, Newest: c.trust.Newest(), Opening: d.Opening, Request: d.Request, Decision: d.Decision,
		Complaint: q.Complaint, Receipt: q.Receipt, Statement: q.Statement, Listed: d.Statements,
	}.Judge()
	if err != nil {
		return none, err
	}
	statement, err := attest.ParseRebuild(q.Statement.Payload)
	if err != nil {
		return none, err
	}
	logged, err := c.record(attest.RecordComplaint, q.Complaint, q.Receipt, q.Statement)
	if err != nil {
		return none, err
	}
	sealed := q.Complaint.Digest()
	stored, created, err := c.store.Complain(ctx, Complaint{justified, sealed, statement.Outcome == attest.Built}, logged)
	if err != nil {
		return none, err
	}
	if created {
		c.metrics.complaints.WithLabelValues(complaintTaken).Inc()
		c.log.ErrorContext(ctx, "a decision lacks a statement that was counted, its rebuilder complains in public",
			slog.Any("rebuilder", rebuilder), slog.Any("release", justified.Release), slog.Any("decision", justified.Decision),
			slog.Any("statement", justified.Statement), slog.Any("complaint", sealed))
	}
	return stored, nil
}
