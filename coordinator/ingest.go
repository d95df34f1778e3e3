package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
)

// ingestBatch bounds the votes that one transaction commits, unless set
// otherwise. Each batch locks and reads its releases once, however many of their
// votes it holds.
const ingestBatch = 1000

// checked is a message after verification: a statement to store or the reason
// why not.
type checked struct {
	rebuilder string // whose subject it came on
	subject   string
	size      int
	incoming  Incoming
	statement attest.Digest // of the statement, or of the message if it holds none
	refusal   error
}

// refused is a reason to reject, with its class.
type refused struct {
	code attest.RejectionCode
	err  error
}

func (r *refused) Error() string { return r.err.Error() }
func (r *refused) Unwrap() error { return r.err }

func refuse(code attest.RejectionCode, format string, args ...any) error {
	return &refused{code, fmt.Errorf(format, args...)}
}

// ingest verifies a batch of messages in parallel, commits it in one
// transaction, and then tells each rebuilder what became of its messages.
// An error means that nothing was committed and the batch comes again; bad
// input is no error but a recorded rejection.
func (c *Coordinator) ingest(ctx context.Context, messages []bus.Message) error {
	results := checkAll(c.trust.Newest(), messages)
	batch := make([]Incoming, 0, len(results))
	at := make([]int, 0, len(results))
	for i := range results {
		if results[i].refusal == nil {
			batch = append(batch, results[i].incoming)
			at = append(at, i)
		}
	}
	dispositions, err := c.store.Ingest(ctx, batch)
	if err != nil && !errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
		dispositions, err = c.ingestSingly(ctx, batch, err)
	}
	if err != nil {
		return err
	}
	answers := map[string]*attest.Receipt{}
	for i, d := range dispositions {
		results[at[i]].refusal = c.dispose(&results[at[i]], d, answers)
	}
	now, err := c.store.Now(ctx)
	if err != nil {
		return err
	}
	if err := c.reject(ctx, results, attest.At(now)); err != nil {
		return err
	}
	c.sendReceipts(ctx, answers, attest.At(now))
	return nil
}

// unstorable is the disposition of a statement that the store does not take,
// for a reason that no check foresaw.
const unstorable Disposition = "unstorable"

// errUnstorable makes a dead letter: without a rejection the agent keeps its
// statement and sends it again when the fault is mended.
var errUnstorable = errors.New("statement could not be stored; the coordinator's log has the reason")

// ingestSingly finds the statement for which a batch was refused, so that one
// unforeseen statement does not stop all that come behind it.
func (c *Coordinator) ingestSingly(ctx context.Context, batch []Incoming, why error) ([]Disposition, error) {
	c.log.ErrorContext(ctx, "storing a batch of statements failed, trying one by one", slog.Any("statements", len(batch)), slog.Any("reason", why))
	dispositions := make([]Disposition, len(batch))
	for i, in := range batch {
		one, err := c.store.Ingest(ctx, []Incoming{in})
		switch {
		case err == nil:
			dispositions[i] = one[0]
		case errors.Is(err, ErrUnavailable) || ctx.Err() != nil:
			return nil, err
		default:
			c.log.ErrorContext(ctx, "statement could not be stored", slog.Any("statement", in.Statement), slog.Any("rebuilder", in.Rebuild.Rebuilder), slog.Any("reason", err))
			dispositions[i] = unstorable
		}
	}
	return dispositions, nil
}

// checkAll verifies messages in parallel, those of one rebuilder one after the
// other: what is known of its key (see package keytable) is then near the processor.
func checkAll(version *policy.Version, messages []bus.Message) []checked {
	results := make([]checked, len(messages))
	order := make([]int, len(messages))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return strings.Compare(messages[i].Rebuilder, messages[j].Rebuilder) })
	group := errgroup.Group{}
	group.SetLimit(runtime.GOMAXPROCS(0))
	const stride = 16 // amortizes the goroutine, and what is done together, over some messages
	for some := range slices.Chunk(order, stride) {
		group.Go(func() error {
			together := make([]bus.Message, len(some))
			for n, i := range some {
				together[n] = messages[i]
			}
			for n, out := range check(version, together) {
				results[some[n]] = out
			}
			return nil
		})
	}
	_ = group.Wait() // its functions return nil
	return results
}

// check verifies messages, each by itself, against the newest policy: releases
// of an older one are not decided any more.
func check(version *policy.Version, messages []bus.Message) []checked {
	results := make([]checked, len(messages))
	envelopes := make([]*attest.Envelope, len(messages)) // none where there is a refusal already
	for i, m := range messages {
		results[i] = decode(version, m)
		envelopes[i] = results[i].incoming.Envelope
	}
	rebuilds, errs := attest.OpenRebuilds(envelopes, version.RebuilderKey)
	for i := range results {
		if out := &results[i]; out.refusal == nil {
			out.refusal = out.accept(rebuilds[i], errs[i])
		}
	}
	return results
}

// decode reads a message, which must be on the subject of a rebuilder.
func decode(version *policy.Version, m bus.Message) checked {
	out := checked{rebuilder: m.Rebuilder, subject: m.Subject, size: len(m.Data)}
	vote, err := bus.DecodeVote(m.Data)
	if err != nil {
		out.statement = attest.SHA256(m.Data)
		out.refusal = refuse(attest.RejectedMalformed, "%w", err)
		return out
	}
	out.statement = vote.Envelope.Digest()
	rules, err := version.Rebuilder(m.Rebuilder)
	if err != nil {
		out.refusal = refuse(attest.RejectedUnknown, "%w", err)
		return out
	}
	out.incoming = Incoming{
		Statement: out.statement, Envelope: vote.Envelope, Operator: rules.Operator,
		Artifacts: vote.Artifacts, States: vote.States,
	}
	return out
}

// accept takes the statement that opening gave, or returns why it is refused.
func (c *checked) accept(r attest.Rebuild, opening error) error {
	if opening != nil {
		return refuse(codeOf(opening), "%w", opening)
	}
	if r.Rebuilder != c.rebuilder {
		return refuse(attest.RejectedNotAllowed, "statement of %q came on the subject of %q", r.Rebuilder, c.rebuilder)
	}
	c.incoming.Rebuild = r
	return checkList(c.incoming)
}

// checkList checks what travels beside a statement.
func checkList(in Incoming) error {
	r := in.Rebuild
	if r.Outcome != attest.Built {
		if len(in.Artifacts) > 0 || len(in.States) > 0 {
			return refuse(attest.RejectedInconsistent, "outcome %s came with an artifact list", r.Outcome)
		}
		return nil
	}
	set, err := in.Artifacts.SetDigest()
	if err != nil {
		return refuse(attest.RejectedMalformed, "%w", err)
	}
	if set != r.Set {
		return refuse(attest.RejectedInconsistent, "the artifact list is not the one that the statement names")
	}
	if err := attest.CheckStates(in.Artifacts, in.States); err != nil {
		return refuse(attest.RejectedInconsistent, "%w", err)
	}
	return nil
}

func codeOf(err error) attest.RejectionCode {
	switch {
	case errors.Is(err, attest.ErrBadSignature):
		return attest.RejectedSignature
	case errors.Is(err, policy.ErrUnknown):
		return attest.RejectedUnknown
	}
	return attest.RejectedMalformed
}

// dispose notes an accepted statement for its rebuilder's receipt, or returns
// why it was refused after all.
func (c *Coordinator) dispose(r *checked, d Disposition, answers map[string]*attest.Receipt) error {
	receipt := answers[r.rebuilder]
	if receipt == nil {
		receipt = &attest.Receipt{Coordinator: c.key.Name(), Rebuilder: r.rebuilder}
		answers[r.rebuilder] = receipt
	}
	c.metrics.votes.WithLabelValues(string(d)).Inc()
	switch d {
	case Counted:
		receipt.Counted = append(receipt.Counted, r.statement)
	case Late, Contradicts:
		if d == Contradicts {
			c.log.Warn("equivocation recorded", slog.Any("rebuilder", r.rebuilder), slog.Any("release", r.incoming.Rebuild.Release))
		}
		receipt.Late = append(receipt.Late, r.statement)
	case AfterDeadline:
		return refuse(attest.RejectedLate, "release %s: its deadline has passed", r.incoming.Rebuild.Release.Short())
	case NotInvited:
		return refuse(attest.RejectedNotAllowed, "release %s: not a rebuilder of this suite and architecture", r.incoming.Rebuild.Release.Short())
	case TooMany:
		return refuse(attest.RejectedNotAllowed, "release %s: this rebuilder has sent too many statements about it", r.incoming.Rebuild.Release.Short())
	case unstorable:
		return errUnstorable
	case UnknownRelease:
		return refuse(attest.RejectedUnknown, "release %s is not known here", r.incoming.Rebuild.Release.Short())
	default:
		return fmt.Errorf("unknown disposition %q", d)
	}
	return nil
}

// reject seals, stores and sends the rejections of a batch. A message on the
// subject of somebody who is no rebuilder has nobody to answer: it is kept as
// a dead letter.
func (c *Coordinator) reject(ctx context.Context, results []checked, at attest.Time) error {
	var rejections []Rejected
	for _, r := range results {
		if r.refusal == nil {
			continue
		}
		j := Rejected{
			Subject: r.subject, Rebuilder: r.rebuilder, Statement: r.statement, Size: r.size,
			Code: attest.RejectedMalformed, Reason: attest.CleanReason(r.refusal.Error()),
		}
		var why *refused
		if errors.As(r.refusal, &why) {
			j.Code = why.code
		}
		if _, err := c.trust.Newest().Rebuilder(r.rebuilder); err == nil && !errors.Is(r.refusal, errUnstorable) {
			j.Envelope, err = attest.Rejection{
				Coordinator: c.key.Name(), Rebuilder: r.rebuilder, Issued: at,
				Statement: r.statement, Code: j.Code, Reason: j.Reason,
			}.Seal(c.key)
			if err != nil {
				return err
			}
		}
		c.metrics.rejected.WithLabelValues(string(j.Code)).Inc()
		c.log.WarnContext(ctx, "statement rejected", slog.Any("rebuilder", j.Rebuilder), slog.Any("statement", j.Statement), slog.Any("code", j.Code), slog.Any("reason", j.Reason))
		rejections = append(rejections, j)
	}
	if len(rejections) == 0 {
		return nil
	}
	if err := c.store.Reject(ctx, rejections); err != nil {
		return err
	}
	answers := map[string][]*attest.Envelope{}
	for _, j := range rejections {
		if j.Envelope != nil {
			answers[j.Rebuilder] = append(answers[j.Rebuilder], j.Envelope)
		}
	}
	for rebuilder, sealed := range answers {
		c.send(ctx, rebuilder, sealed...)
	}
	return nil
}

func (c *Coordinator) sendReceipts(ctx context.Context, answers map[string]*attest.Receipt, at attest.Time) {
	for rebuilder, receipt := range answers {
		if len(receipt.Counted)+len(receipt.Late) == 0 {
			continue
		}
		receipt.Issued = at
		sealed, err := receipt.Seal(c.key)
		if err != nil {
			c.log.ErrorContext(ctx, "sealing a receipt failed", slog.Any("rebuilder", rebuilder), slog.Any("reason", err))
			continue
		}
		c.send(ctx, rebuilder, sealed)
	}
}

// send pushes receipts or rejections. What gets lost here the agent asks for.
func (c *Coordinator) send(ctx context.Context, rebuilder string, sealed ...*attest.Envelope) {
	if err := c.bus.PublishReceipt(ctx, rebuilder, sealed...); err != nil && ctx.Err() == nil {
		c.log.WarnContext(ctx, "pushing a receipt failed, the agent will ask for it", slog.Any("rebuilder", rebuilder), slog.Any("reason", err))
	}
}
