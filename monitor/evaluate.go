package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/translog"
)

const (
	// longestWait bounds the wait between two questions for a release's evidence.
	longestWait = time.Hour
	// evaluateTime is when a round of evaluations begins no more of them: what is
	// left comes in the next round.
	evaluateTime = 5 * time.Minute
	// maxCertificateFile bounds an armored certificate, in bytes.
	maxCertificateFile = 2 * openpgp.MaxCertificate
)

// await notes that a release's decision is to be evaluated again: when it is
// seen in the log, and, as its evidence grows then, when the signatures are.
func (w *watch) await(fact *translog.Fact) {
	switch {
	case fact.Problem != "":
	case fact.Decision != nil:
		w.state.Pending = append(w.state.Pending, pending{Release: fact.Decision.Release, Since: w.time(), Next: w.time()})
	case fact.Signatures != nil:
		for i := range w.state.Pending {
			if p := &w.state.Pending[i]; p.Release == fact.Signatures.Release {
				p.Signed, p.Since, p.Next = true, w.time(), w.time()
				return
			}
		}
		if r, known := w.auditor.follower.Release(fact.Signatures.Release); known && r.Decision != nil {
			w.state.Pending = append(w.state.Pending, pending{Release: fact.Signatures.Release, Signed: true, Since: w.time(), Next: w.time()})
		}
	}
}

// evaluate evaluates the decisions that are due, and then judges complaints. When
// evidence is out of reach the rest is left for the next pass, and asked for first
// then, and when time is up for the next round: a log that lets every question wait
// must not keep its alarms from being told.
func (w *watch) evaluate(ctx context.Context) error {
	if w.lost {
		return nil
	}
	now, until := w.time(), w.now().Add(evaluateTime)
	outcomes := make([]error, len(w.state.Pending))
	var gone atomic.Bool
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, p := range w.state.Pending {
		if p.Next > now {
			continue
		}
		group.Go(func() error {
			if gone.Load() || w.now().After(until) {
				outcomes[i] = errNotAsked
				return nil
			}
			outcomes[i] = w.auditor.reevaluate(within, p.Release, p.Signed)
			if errors.Is(outcomes[i], ErrUnreachable) {
				gone.Store(true)
			}
			return within.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var left, last []pending
	for i, p := range w.state.Pending {
		switch {
		case p.Next > now || errors.Is(outcomes[i], errNotAsked):
			left = append(left, p)
		case errors.Is(outcomes[i], ErrUnreachable):
			w.away(outcomes[i])
			last = append(last, p)
		case w.keep(&p, outcomes[i], now):
			left = append(left, p)
		}
	}
	w.state.Pending = append(left, last...)
	return w.judge(ctx)
}

// errNotAsked is the outcome of an evaluation that was left for the next pass.
var errNotAsked = errors.New("not asked for")

// judge judges the complaints that are due, as evaluate does decisions, and whatever
// became of those: with time of its own, and also when their evidence was out of reach.
func (w *watch) judge(ctx context.Context) error {
	now, until := w.time(), w.now().Add(evaluateTime)
	var left, last []complaint
	for _, c := range w.state.Complaints {
		if len(last) > 0 || c.Next > now || w.now().After(until) {
			left = append(left, c)
			continue
		}
		a, err := w.auditor.judgeComplaint(ctx, c)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			w.raise(a)
		case errors.Is(err, ErrUnreachable):
			w.away(err)
			last = append(last, c)
		case now >= c.Since.Add(w.patience.Evidence):
			w.raise(w.auditor.unjudged(c, err))
		default:
			c.Next = now.Add(again(c.Since, now))
			left = append(left, c)
		}
	}
	w.state.Complaints = append(left, last...)
	return nil
}

// again is how long to wait with another question for what is missing since a time.
func again(since, now attest.Time) time.Duration {
	return min(longestWait, max(time.Second, time.Duration(now-since)*time.Second/4))
}

// keep settles what came of one evaluation that the log answered, and reports
// whether it is to be tried again.
func (w *watch) keep(p *pending, outcome error, now attest.Time) bool {
	if a, bad := w.auditor.judge(p.Release, outcome); bad {
		w.raise(a)
		return false
	}
	missing := missingEvidence(w.auditor, p.Release, p.Signed, outcome)
	if outcome == nil {
		w.overOf(MissingEvidence, missing.Cause)
		w.logger.Debug("decision evaluated again", slog.String("release", p.Release.String()))
		return false
	}
	// Also of a decision that nothing was signed on: a log shows why it decides,
	// whatever comes of it.
	if now >= p.Since.Add(w.patience.Evidence) {
		w.stands(missing)
	}
	p.Next = now.Add(again(p.Since, now))
	return true
}

// expiries looks for what ends soon: the newest policy, its rebuilders' keys,
// and the certificates that it names, as far as they are served.
func (w *watch) expiries(ctx context.Context) {
	if w.auditor == nil {
		return
	}
	p, soon := w.auditor.follower.Chain().Newest(), w.time().Add(w.patience.Expiry)
	var ending []string
	if p.Expires <= soon {
		cause := fmt.Sprint(p.Serial)
		w.over(PolicyExpires, cause)
		w.stands(alarm(PolicyExpires, cause, "policy %d of %s expires at %v", p.Serial, w.origin, p.Expires))
	} else {
		w.over(PolicyExpires)
	}
	key := func(cause string, until attest.Time, format string, args ...any) {
		if until <= soon {
			ending = append(ending, cause)
			w.stands(alarm(KeyExpires, cause, format, args...))
		}
	}
	for _, r := range p.Rebuilders {
		key("rebuilder "+r.Key.String(), r.ValidUntil, "the key of rebuilder %s in policy %d ends at %v", r.Key.Name(), p.Serial, r.ValidUntil)
	}
	for i := range p.Suites {
		for _, c := range p.Suites[i].Certificates {
			cause := "certificate " + c.Fingerprint
			switch until, ends, err := w.certificateEnd(ctx, c.Fingerprint); {
			case err != nil: // what was known of it stays as it is
				ending = append(ending, cause)
			case ends:
				key(cause, until, "certificate %s of suite %s expires at %v", c.Fingerprint, p.Suites[i].Name, until)
			}
		}
	}
	w.over(KeyExpires, ending...)
}

// certificateEnd returns when a certificate of the policy expires, if it is
// served: it says so about itself, and its fingerprint is in the policy.
func (w *watch) certificateEnd(ctx context.Context, fingerprint string) (until attest.Time, ends bool, err error) {
	data, err := w.Source.Get(ctx, "certificates/"+fingerprint+".asc", maxCertificateFile)
	if err != nil {
		return 0, false, err
	}
	c, err := openpgp.ParseCertificate(data)
	if err != nil || c.Fingerprint() != fingerprint {
		return 0, false, fmt.Errorf("certificate %s: another one is served: %w", fingerprint, err)
	}
	end, ends := c.Expires()
	return attest.At(end), ends, nil
}

// device balances what the signer's devices count against what the log explains.
func (w *watch) device(ctx context.Context) {
	if w.Device == nil || w.auditor == nil {
		return
	}
	// While entries are unread, the log explains more than is known.
	if seen, err := w.seen(); err != nil || w.auditor.follower.Size() < seen.Size {
		return
	}
	c, err := readCounts(ctx, w.Device)
	if err != nil {
		w.stands(alarm(DeviceUnreachable, "metrics", "the signer's count of signatures is not to be had: %v", err))
		return
	}
	w.over(DeviceUnreachable)
	now := w.time()
	for certificate, count := range c.made {
		logged := w.auditor.signed[certificate]
		record, known := w.state.Device[certificate]
		if !known {
			record = deviceRecord{Explained: count - logged, Retries: c.retries}
			w.logger.InfoContext(ctx, "first look at a device's count", slog.String("certificate", certificate),
				slog.Int64("device", count), slog.Int64("log", logged))
		}
		if a, bad := record.balance(certificate, count, c.retries, logged, now, w.patience.Device); bad {
			w.raise(a)
		}
		w.state.Device[certificate] = record
	}
}
