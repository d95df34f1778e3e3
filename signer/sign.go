package signer

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/signer/key"
)

// maxParallel bounds the signatures of one release that are asked for at a
// time. The device has its own, lower limit; this keeps its queue full.
const maxParallel = 8

// Sign has the device sign artifacts of a decision that is in the log. All
// that is signed is a function of decision, artifact and certificate: asking
// again gives the same bytes.
func (s *Signer) Sign(ctx context.Context, req bus.SignRequest) bus.SignReply {
	w, err := s.warrant(req)
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
	origin      string
	certificate Certificate
	artifacts   []attest.Artifact
	states      []attest.State
}

func (s *Signer) warrant(req bus.SignRequest) (*warrant, error) {
	at := attest.At(s.now())
	if err := s.extend(req.Chain); err != nil {
		return nil, err
	}
	if req.Decision == nil {
		return nil, refusal(bus.KindInvalid, "decision missing")
	}
	r, err := s.release(req.Request, req.Opening, at)
	if err != nil {
		return nil, err
	}
	w := &warrant{digest: req.Decision.Digest(), origin: r.version.Log.Origin, logIndex: req.Proof.Index}
	if w.decision, err = attest.OpenDecision(req.Decision, r.version.SignerKey); err != nil {
		return nil, err
	}
	if w.decision.Release != r.id || w.decision.Request != r.requestDigest || w.decision.Policy != r.version.Digest {
		return nil, fmt.Errorf("decision is about release %s, not %s", w.decision.Release.Short(), r.id.Short())
	}
	if w.decision.Decided > at.Add(MaxClockSkew) {
		return nil, refusal(bus.KindNotReady, "decision is from %v, which is in the future of the signer's clock (%v)", w.decision.Decided, at)
	}
	if err := checkLogged(req, w.decision, r); err != nil {
		return nil, err
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
	if err := s.maySign(w.decision, r.version, r.request.Suite, req.Certificate, at); err != nil {
		return nil, err
	}
	var ok bool
	if w.certificate, ok = s.certificates[req.Certificate]; !ok {
		return nil, refusal(bus.KindUnavailable, "certificate %s is not held by this signer", req.Certificate)
	}
	return w, w.choose(req)
}

// checkLogged checks that exactly this decision is in the log of the policy.
func checkLogged(req bus.SignRequest, decision attest.Decision, r *release) error {
	statementKey, err := r.version.SignerKey(decision.Signer)
	if err != nil {
		return err
	}
	leaf, err := translog.Leaf(req.Decision, statementKey)
	if err != nil {
		return err
	}
	proof := translog.Proof{Index: req.Proof.Index, Checkpoint: req.Proof.Checkpoint}
	for _, h := range req.Proof.Hashes {
		proof.Hashes = append(proof.Hashes, tlog.Hash(h))
	}
	if _, err := proof.Verify(leaf, r.version.Log.Key); err != nil {
		return fmt.Errorf("decision in the log: %w", err)
	}
	return nil
}

// follows checks that the decision follows from the votes, at its own time.
// Its signature says so already; but a statement key that got out must not be
// enough for a signature.
func follows(d attest.Decision, req bus.SignRequest, r *release) error {
	verdict, err := r.evaluate(req.Claim, req.Votes, d.Decided)
	if err != nil {
		return fmt.Errorf("decision does not follow from the votes: %w", err)
	}
	if verdict.Set != d.Set || verdict.Threshold != d.Threshold || verdict.Operators != d.Operators ||
		!slices.Equal(verdict.Accepted, d.Votes) {
		return refusal(bus.KindDenied, "decision does not follow from the votes: it lists others, or another quorum")
	}
	return nil
}

// choose takes the artifacts that are asked for, in the order of the set.
func (w *warrant) choose(req bus.SignRequest) error {
	left := len(req.Only)
	for i, a := range req.Artifacts {
		if len(req.Only) > 0 && !slices.Contains(req.Only, a.Name) {
			continue
		}
		left--
		w.artifacts = append(w.artifacts, a)
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
			s.metrics.asked.Inc()
			signature, err := openpgp.SignState(w.certificate.Certificate, key.Signer(ctx, w.certificate.Key),
				w.states[i], uint64(a.Size), a.SHA512, openpgp.Options{
					Created:   w.decision.Decided.Time(),
					Notations: evidence.Notations(w.origin, w.digest, w.decision.Ground, a.SHA512),
				})
			if err != nil {
				return fmt.Errorf("signing %s: %w", a.Name, err)
			}
			s.metrics.signatures.Inc()
			signatures[i] = signature
			return nil
		})
	}
	return signatures, group.Wait()
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
	return made.Seal(s.key)
}
