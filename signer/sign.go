package signer

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/signer/key"
	"github.com/reprosign/reprosign/signer/ledger"
)

// maxParallel bounds the signatures of one release that are asked for at a
// time. The device has its own, lower limit; this keeps its queue full.
const maxParallel = 8

// Sign has the device sign artifacts of a decision that is in the log. All
// that is signed is a function of decision, artifact and certificate, and which
// decision that is was promised before: asking again gives the same bytes.
func (s *Signer) Sign(ctx context.Context, req bus.SignRequest) bus.SignReply {
	w, err := s.warrant(ctx, req)
	if err == nil {
		err = s.promise(w)
	}
	if err != nil {
		e := answer(err)
		s.metrics.refused.WithLabelValues("sign", string(e.Kind)).Inc()
		s.log.WarnContext(ctx, "signature refused", slog.Any("certificate", req.Certificate), slog.Any("reason", err))
		return bus.SignReply{Error: e}
	}
	signatures, err := s.execute(ctx, w)
	if err != nil {
		s.metrics.failed.Inc()
		s.log.ErrorContext(ctx, "signing failed", slog.Any("release", w.decision.Release), slog.Any("certificate", req.Certificate), slog.Any("reason", err))
		return bus.SignReply{Error: answer(err)}
	}
	made, err := s.statement(w, signatures)
	if err != nil {
		return bus.SignReply{Error: answer(refusal(bus.KindInternal, "%w", err))}
	}
	s.log.InfoContext(ctx, "signed", slog.Any("release", w.decision.Release), slog.Any("certificate", req.Certificate), slog.Any("signatures", len(signatures)))
	return bus.SignReply{Signatures: signatures, Made: made, Certificate: w.certificate.Certificate.Binary()}
}

// warrant is the permission to sign artifacts of one decision with one
// certificate. Nothing reaches the device but through a warrant, and the one
// way to a warrant is [Signer.warrant].
type warrant struct {
	decision    attest.Decision
	digest      attest.Digest // of the decision
	logIndex    int64
	certificate Certificate
	artifacts   []attest.Artifact
	states      []attest.State
	// named are the decisions that the signatures name, one for each artifact. They
	// may be about earlier releases.
	named []translog.Decided
}

func (s *Signer) warrant(ctx context.Context, req bus.SignRequest) (*warrant, error) {
	if req.Decision == nil || req.Opening == nil {
		return nil, refusal(bus.KindInvalid, "decision or opening missing")
	}
	var log *recollection
	named := map[attest.Digest512]naming{}
	err := s.recall(ctx, func(v ledger.View) bool { return v.Size() > req.Proof.Index }, func(v ledger.View) {
		log = recollect(v, req.Opening, nil)
		for _, a := range req.Artifacts {
			named[a.SHA512] = s.named(v, req.Certificate, a.SHA512)
		}
	})
	if err != nil {
		return nil, err
	}
	at := attest.At(s.now())
	r, err := newRelease(log, req.Request, req.Opening, at)
	if err != nil {
		return nil, err
	}
	w := &warrant{digest: req.Decision.Digest(), logIndex: req.Proof.Index}
	if err := w.logged(req, r); err != nil {
		return nil, err
	}
	if w.decision.Decided > at.Add(MaxClockSkew) {
		return nil, refusal(bus.KindNotReady, "decision is from %v, which is in the future of the signer's clock (%v)", w.decision.Decided, at)
	}
	if err := follows(w.decision, req, r); err != nil {
		return nil, err
	}
	if err := w.decision.Decides(req.Artifacts); err != nil {
		return nil, err
	}
	if err := r.suite.CheckArtifacts(req.Artifacts); err != nil {
		return nil, err
	}
	if err := attest.CheckStates(req.Artifacts, req.States); err != nil {
		return nil, err
	}
	if err := r.maySign(w.decision, req.Certificate); err != nil {
		return nil, err
	}
	var ok bool
	if w.certificate, ok = s.certificates[req.Certificate]; !ok {
		return nil, refusal(bus.KindUnavailable, "certificate %s is not held by this signer", req.Certificate)
	}
	return w, w.choose(req, named)
}

// logged takes the decision, if exactly it stands in the log where the request
// says. Its signature was verified with its entry.
func (w *warrant) logged(req bus.SignRequest, r *release) error {
	d := r.log.Decision
	switch {
	case d == nil && r.log.Refused != "":
		return refusal(bus.KindDenied, "the log has no decision about release %s that counts: %s", r.id.Short(), r.log.Refused)
	case d == nil:
		return refusal(bus.KindNotReady, "the published log has no decision about release %s", r.id.Short())
	case d.Statement != w.digest || d.Index != w.logIndex:
		return refusal(bus.KindDenied, "the decision about release %s in the log is another one, at entry %d", r.id.Short(), d.Index)
	}
	var err error
	w.decision, err = attest.ParseDecision(req.Decision.Payload)
	return err
}

// follows checks that the decision follows from the votes at its own time, also
// with what the log has against them since, and by the time of the witnesses.
// Its signature says so already; but a statement key that got out must not be
// enough for a signature.
func follows(d attest.Decision, req bus.SignRequest, r *release) error {
	verdict, votes, err := r.evaluate(req.Claim, req.Votes, d.Decided)
	if err != nil {
		return fmt.Errorf("decision does not follow from the votes: %w", err)
	}
	if verdict.Set != d.Set || verdict.Threshold != d.Threshold || verdict.Operators != d.Operators ||
		!slices.Equal(verdict.Accepted, d.Votes) {
		return refusal(bus.KindDenied, "decision does not follow from the votes: it lists others, or another quorum")
	}
	if r.version.Witnesses.IsZero() {
		return nil
	}
	seen, err := r.witnessed(req, d)
	if err != nil {
		return err
	}
	if err := policy.Confirm(r.caseOf(req.Claim, votes), d, seen); err != nil {
		return refusal(bus.KindDenied, "%w", err)
	}
	return nil
}

// choose takes the artifacts that are asked for, in the order of the set, each
// with the decision that its signature names.
func (w *warrant) choose(req bus.SignRequest, named map[attest.Digest512]naming) error {
	left := len(req.Only)
	for i, a := range req.Artifacts {
		if len(req.Only) > 0 && !slices.Contains(req.Only, a.Name) {
			continue
		}
		left--
		n := named[a.SHA512]
		if n.problem != nil {
			return fmt.Errorf("artifact %s: %w", a.Name, n.problem)
		}
		w.artifacts, w.named = append(w.artifacts, a), append(w.named, n.decision)
		w.states = append(w.states, req.States[i])
	}
	if len(req.Only) > 0 && left != 0 {
		return refusal(bus.KindInvalid, "a name among those asked for is not in the artifact set, or is there twice")
	}
	return nil
}

func (s *Signer) execute(ctx context.Context, w *warrant) ([][]byte, error) {
	signatures := make([][]byte, len(w.artifacts))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxParallel)
	for i, a := range w.artifacts {
		group.Go(func() error {
			subject := subjectOf(w.certificate.Certificate.Fingerprint(), a.SHA512, w.named[i].Statement)
			err := s.guard(ctx, func() (err error) {
				signatures[i], err = s.made.signature(ctx, subject, func() ([]byte, error) { return s.ask(ctx, w, i) })
				return err
			})
			if err != nil {
				return fmt.Errorf("signing %s: %w", a.Name, err)
			}
			return nil
		})
	}
	return signatures, group.Wait()
}

// ask has the device make the signature over one artifact of a warrant.
func (s *Signer) ask(ctx context.Context, w *warrant, i int) ([]byte, error) {
	a, named := w.artifacts[i], w.named[i]
	s.metrics.asked.Inc()
	signature, err := openpgp.SignState(w.certificate.Certificate, key.Signer(ctx, w.certificate.Key),
		w.states[i], uint64(a.Size), a.SHA512, openpgp.Options{
			Created:   named.At.Time(),
			Notations: evidence.Notations(named.Origin, named.Statement, named.Ground, a.SHA512),
		})
	if err == nil {
		s.metrics.signatures.Inc()
	}
	return signature, err
}

// statement seals what was signed, to be logged.
func (s *Signer) statement(w *warrant, signatures [][]byte) (*attest.Envelope, error) {
	made := attest.SignaturesMade{
		Signer: s.key.Name(), Release: w.decision.Release, Decision: w.digest, LogIndex: w.logIndex,
		Certificate: w.certificate.Certificate.Fingerprint(), Kind: attest.DetachedBinary,
	}
	for i, a := range w.artifacts {
		made.Signatures = append(made.Signatures, attest.ArtifactSignature{
			Artifact: a.Name, SHA512: a.SHA512, Signature: attest.SHA256(signatures[i]),
		})
	}
	e, err := made.Seal(s.key)
	if err != nil {
		return nil, err
	}
	s.ledger.Own(translog.OwnLeaf(e, s.key.VerifierKey))
	return e, nil
}
