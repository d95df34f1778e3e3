package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
)

// Bounds of the signing jobs.
const (
	// signAtOnce is as many requests as a signer handles at one time.
	signAtOnce = 4
	// signLease is how long a crash of the coordinator delays a signature;
	// whoever works on a job extends its lease well before it ends.
	signLease = 30 * time.Second
	// signPatience and perSignature bound the wait for the signer: one that
	// died with the request in hand must not hold the job for long. The slowest
	// device makes an RSA signature in well under perSignature.
	signPatience = 20 * time.Second
	perSignature = time.Second

	firstRetry    = time.Second
	longestRetry  = 30 * time.Second
	refusedRetry  = time.Minute
	retryDoubling = 5 // doublings until longestRetry
)

// jobs bounds the signing jobs in hand, and waits for them at the end.
type jobs struct {
	room    *semaphore.Weighted
	running sync.WaitGroup
}

// take waits for room for one job and takes all that there is.
func (j *jobs) take(ctx context.Context) (n int, err error) {
	if err := j.room.Acquire(ctx, 1); err != nil {
		return 0, err
	}
	for n = 1; j.room.TryAcquire(1); n++ {
	}
	return n, nil
}

// sign has the signer make the signatures of logged decisions. A slow job holds
// up nobody else: when one is done, the next is claimed.
func (c *Coordinator) sign(ctx context.Context) error {
	for {
		room, err := c.jobs.take(ctx)
		if err != nil {
			return err
		}
		claimed, err := c.store.ClaimJobs(ctx, room, signLease)
		c.jobs.room.Release(int64(room - len(claimed)))
		if err != nil || len(claimed) == 0 {
			return err
		}
		for _, j := range claimed {
			c.jobs.running.Go(func() {
				defer c.jobs.room.Release(1)
				if err := c.signJob(ctx, j); err != nil && ctx.Err() == nil {
					c.metrics.failures.WithLabelValues(string(TopicSign)).Inc()
					c.log.WarnContext(ctx, "signing interrupted, repeating when the lease ends", slog.Any("release", j.Release), slog.Any("reason", err))
				}
			})
		}
	}
}

// signJob does one job. Only a store that is away is an error; everything else
// puts the job back with a reason.
func (c *Coordinator) signJob(ctx context.Context, j Job) error {
	held, release := c.hold(ctx, j)
	made, err := c.make(held, j)
	if err == nil {
		err = c.finish(held, made)
	}
	lost := errors.Is(context.Cause(held), ErrFenced)
	release()
	switch {
	case err == nil:
		c.metrics.signed.Inc()
		c.log.InfoContext(ctx, "release signed", slog.Any("release", j.Release), slog.Any("certificate", j.Certificate), slog.Any("signatures", len(made.Signatures)))
		return nil
	case lost, errors.Is(err, ErrFenced), errors.Is(err, ErrTooLate):
		c.log.WarnContext(ctx, "signatures not stored", slog.Any("release", j.Release), slog.Any("certificate", j.Certificate), slog.Any("reason", err))
		return nil
	case errors.Is(err, ErrUnavailable) || ctx.Err() != nil:
		return err
	}
	c.metrics.unsigned.WithLabelValues(string(answer(err).Kind)).Inc()
	c.log.WarnContext(ctx, "no signature", slog.Any("release", j.Release), slog.Any("certificate", j.Certificate), slog.Any("reason", err))
	now, timeErr := c.store.Now(ctx)
	if timeErr != nil {
		return timeErr
	}
	pause := min(firstRetry<<min(j.Attempts, retryDoubling), longestRetry)
	if k := answer(err).Kind; k == bus.KindDenied || k == bus.KindInvalid {
		pause = refusedRetry
	}
	return c.unlessFenced(c.store.RetryJob(ctx, j, "logged, but not signed yet: "+attest.CleanReason(err.Error()), now.Add(jitter(pause))))
}

// hold extends the lease of a job until it is released. The context it returns
// ends if the lease is lost, with [ErrFenced] as its cause.
func (c *Coordinator) hold(ctx context.Context, j Job) (held context.Context, release func()) {
	held, lose := context.WithCancelCause(ctx)
	var extending sync.WaitGroup
	extending.Go(func() {
		ticker := time.NewTicker(signLease / 3)
		defer ticker.Stop()
		for {
			select {
			case <-held.Done():
				return
			case <-ticker.C:
			}
			now, err := c.store.Now(held)
			if err == nil {
				err = c.store.RetryJob(held, j, "logged, being signed", now.Add(signLease))
			}
			if errors.Is(err, ErrFenced) {
				lose(err)
			}
		}
	})
	return held, func() {
		lose(nil)
		extending.Wait()
	}
}

// finish stores what the signer made. While the database is away it keeps it:
// asking the signer again would have the device sign a second time.
func (c *Coordinator) finish(ctx context.Context, made Made) error {
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := c.store.FinishJob(ctx, made)
		if err == nil && made.Entry != nil {
			c.tail.add(*made.Entry, made.Envelope)
		}
		if !errors.Is(err, ErrUnavailable) {
			return err
		}
		c.log.WarnContext(ctx, "signatures not stored yet, repeating", slog.Any("release", made.Job.Release), slog.Any("reason", err))
		select {
		case <-ctx.Done():
			return err
		case <-time.After(jitter(pause)):
		}
	}
}

// make asks the signer for the missing signatures and builds the evidence.
func (c *Coordinator) make(ctx context.Context, j Job) (Made, error) {
	parts, err := c.store.Parts(ctx, j.Release)
	if err != nil {
		return Made{}, err
	}
	made := Made{Job: j, Signatures: map[string][]byte{}, Certificate: parts.Certificates[j.Certificate]}
	proven, err := c.prove(ctx, j.Decision, j.LogIndex, parts.OpeningIndex)
	if err != nil {
		return Made{}, err
	}
	if len(j.Missing) > 0 {
		if err := c.ask(ctx, &made, parts, proven); err != nil {
			return Made{}, err
		}
	}
	made.Evidence, err = c.bundle(ctx, made, proven, parts)
	return made, err
}

// proven is a decision's policy, with proofs of opening and decision under
// checkpoints that those who trust this policy accept.
type proven struct {
	under             *policy.Version
	opening, decision translog.Proof
}

// prove proves that a decision and its opening are in the log.
func (c *Coordinator) prove(ctx context.Context, envelope *attest.Envelope, index, opening int64) (p proven, err error) {
	decision, err := attest.ParseDecision(envelope.Payload)
	if err != nil {
		return p, err
	}
	var known bool
	if p.under, known = c.trust.ByDigest(decision.Policy); !known {
		return p, bus.Errorf(bus.KindNotReady, "policy of the decision is not loaded yet")
	}
	if p.decision, err = c.prover.Proof(ctx, index, p.under); err != nil {
		return p, err
	}
	p.opening, err = c.prover.Proof(ctx, opening, p.under)
	return p, err
}

// shown is a proof in the terms of the bus.
func shown(p translog.Proof) bus.LogProof {
	out := bus.LogProof{Index: p.Index, Checkpoint: p.Checkpoint}
	for _, h := range p.Hashes {
		out.Hashes = append(out.Hashes, attest.Digest(h))
	}
	return out
}

// ask gets the missing signatures from the signer and checks that its
// statement is about exactly them.
func (c *Coordinator) ask(ctx context.Context, made *Made, parts *Parts, p proven) error {
	j := made.Job
	req := bus.SignRequest{
		Decision: j.Decision, Opening: j.Opening, Request: j.Request, Artifacts: j.Artifacts, States: j.States,
		Claim: parts.Claim, Votes: parts.Votes, Certificate: j.Certificate, Only: j.Missing,
		Proof: shown(p.decision), OpeningProof: shown(p.opening),
	}
	reply, err := c.askSignatures(ctx, req)
	if err != nil {
		return err
	}
	statement, err := attest.OpenSignaturesMade(reply.Made, p.under.SignerKey)
	if err != nil {
		return err
	}
	if statement.Decision != j.Decision.Digest() || statement.Certificate != j.Certificate ||
		len(statement.Signatures) != len(j.Missing) || len(reply.Signatures) != len(j.Missing) {
		return errors.New("signer's statement is not about the signatures that were asked for")
	}
	for i, s := range statement.Signatures {
		if s.Artifact != j.Missing[i] || s.Signature != attest.SHA256(reply.Signatures[i]) {
			return fmt.Errorf("signer's statement names another signature of %s", j.Missing[i])
		}
		made.Signatures[s.Artifact] = reply.Signatures[i]
	}
	key, err := p.under.SignerKey(statement.Signer)
	if err != nil {
		return err
	}
	logged, err := entry(reply.Made, key)
	if err != nil {
		return err
	}
	made.Envelope, made.Entry, made.Certificate = reply.Made, &logged, reply.Certificate
	return nil
}

func (c *Coordinator) askSignatures(ctx context.Context, req bus.SignRequest) (bus.SignReply, error) {
	ctx, cancel := context.WithTimeout(ctx, min(signPatience+time.Duration(len(req.Only))*perSignature, bus.MaxSignerTime))
	defer cancel()
	reply, err := c.bus.Sign(ctx, req)
	if err != nil {
		return reply, fmt.Errorf("asking the signer: %w", err)
	}
	return reply, nil
}

// bundle builds the release's evidence with all signatures known so far.
func (c *Coordinator) bundle(ctx context.Context, made Made, p proven, parts *Parts) ([]byte, error) {
	j := made.Job
	in := evidence.Parts{
		Request: j.Request, Opening: j.Opening, OpeningProof: p.opening,
		Claim: parts.Claim, Votes: parts.Votes, Artifacts: j.Artifacts,
		Decision: evidence.Logged{Envelope: j.Decision, Proof: p.decision},
	}
	for _, s := range parts.Signatures {
		in.Signatures = append(in.Signatures, evidence.Signature{
			Artifact: s.Artifact, Certificate: s.Certificate, Kind: s.Kind, Signature: s.Signature,
		})
	}
	for name, signature := range made.Signatures {
		in.Signatures = append(in.Signatures, evidence.Signature{
			Artifact: name, Certificate: j.Certificate, Kind: attest.DetachedBinary, Signature: signature,
		})
	}
	under, err := c.earlier(ctx, &in, p.under)
	if err != nil {
		return nil, err
	}
	in.Policies = c.trust.To(p.under.Digest, under...)
	if in.Certificates, err = certificates(made, parts, in.Signatures); err != nil {
		return nil, err
	}
	b, err := evidence.Build(in)
	if err != nil {
		return nil, err
	}
	return b.Encode()
}

// earlier adds the decisions of other releases that signatures name: of several
// about the same bytes the first in the log counts. It returns their policies.
func (c *Coordinator) earlier(ctx context.Context, in *evidence.Parts, version *policy.Version) ([]attest.Digest, error) {
	own := in.Decision.Envelope.Digest()
	known, under := map[attest.Digest]bool{own: true}, []attest.Digest{}
	for _, s := range in.Signatures {
		named, err := evidence.DecisionNamed(s.Signature)
		if err != nil {
			return nil, fmt.Errorf("signature of %s: %w", s.Artifact, err)
		}
		if known[named] {
			continue
		}
		known[named] = true
		first, err := c.store.DecisionByDigest(ctx, named)
		if err != nil {
			return nil, err
		}
		d, err := attest.ParseDecision(first.Envelope.Payload)
		if err != nil {
			return nil, err
		}
		proof, err := c.prover.Proof(ctx, first.LogIndex, version)
		if err != nil {
			return nil, err
		}
		in.Earlier, under = append(in.Earlier, evidence.Logged{Envelope: first.Envelope, Proof: proof}), append(under, d.Policy)
	}
	return under, nil
}

// certificates parses those that the bundle's signatures verify under, and no
// others: of several that sign in a suite, some may be known and yet to sign.
func certificates(made Made, parts *Parts, signatures []evidence.Signature) ([]*openpgp.Certificate, error) {
	all := map[string][]byte{}
	maps.Copy(all, parts.Certificates)
	all[made.Job.Certificate] = made.Certificate
	var out []*openpgp.Certificate
	taken := map[string]bool{}
	for _, s := range signatures {
		if taken[s.Certificate] {
			continue
		}
		taken[s.Certificate] = true
		certificate, err := openpgp.ParseCertificate(all[s.Certificate])
		if err != nil {
			return nil, fmt.Errorf("certificate %s: %w", s.Certificate, err)
		}
		out = append(out, certificate)
	}
	return out, nil
}
