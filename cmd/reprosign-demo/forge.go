package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/internal/bus"
)

// alteredVotes writes alpha's set into the votes of beta and gamma; the
// signatures under them stay as they were.
func (d *demo) alteredVotes(ctx context.Context) (string, error) {
	l, err := d.steal(d.named(stampedName))
	if err != nil {
		return "", err
	}
	model, err := attest.ParseRebuild(l.votes["alpha"].Envelope.Payload)
	if err != nil {
		return "", err
	}
	votes := []*attest.Envelope{l.votes["alpha"].Envelope}
	for _, name := range []string{"beta", "gamma"} {
		genuine := l.votes[name].Envelope
		altered, err := attest.ParseRebuild(genuine.Payload)
		if err != nil {
			return "", err
		}
		altered.Set = model.Set
		forged := *genuine
		if forged.Payload, err = altered.Encode(); err != nil {
			return "", err
		}
		votes = append(votes, &forged)
	}
	return d.askToDecide(ctx, l.task, votes, l.votes["alpha"].Artifacts)
}

// replayedToSigner shows the signer votes that three rebuilders really cast, on another release.
func (d *demo) replayedToSigner(ctx context.Context) (string, error) {
	l, err := d.steal(d.named(stampedName))
	if err != nil {
		return "", err
	}
	other, err := d.steal(d.named(goProgram))
	if err != nil {
		return "", err
	}
	var votes []*attest.Envelope
	for _, name := range []string{"alpha", "beta", "gamma"} {
		votes = append(votes, other.votes[name].Envelope)
	}
	return d.askToDecide(ctx, l.task, votes, other.votes["alpha"].Artifacts)
}

// askToDecide asks the signer as the coordinator, and returns why it refuses.
func (d *demo) askToDecide(ctx context.Context, t bus.Task, votes []*attest.Envelope, set attest.Artifacts) (string, error) {
	conn, err := d.dial(ctx, bus.RoleCoordinator, coordinatorName)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	reply, err := conn.Decide(ctx, bus.DecideRequest{Cases: []bus.DecideCase{{
		Opening: t.Opening, Request: t.Request, Votes: votes, Artifacts: set,
	}}})
	switch {
	case err != nil:
		return "", err
	case len(reply.Results) != 1 || reply.Results[0].Error == nil || reply.Results[0].Decision != nil:
		return "", errNotRefused
	}
	return reply.Results[0].Error.Message, nil
}

// foreignDecision has a key of its own decide for the third release, and shows
// the proof of an entry that the log really has.
func (d *demo) foreignDecision(ctx context.Context) (string, error) {
	r := d.named(stampedName)
	l, err := d.steal(r)
	if err != nil {
		return "", err
	}
	decision, err := d.forgeDecision(r, l)
	if err != nil {
		return "", err
	}
	proof, err := d.genuineProof()
	if err != nil {
		return "", err
	}
	conn, err := d.dial(ctx, bus.RoleCoordinator, coordinatorName)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_, err = conn.Sign(ctx, bus.SignRequest{
		Decision: decision, Opening: l.task.Opening, Request: l.task.Request,
		Artifacts: l.votes["alpha"].Artifacts, States: l.votes["alpha"].States,
		Certificate: d.certificates[r.suite].Fingerprint(), Proof: proof,
	})
	var refused *bus.Error
	switch {
	case err == nil:
		return "", errNotRefused
	case errors.As(err, &refused) && refused.Kind != bus.KindUnavailable:
		return refused.Message, nil
	}
	return "", err
}

func (d *demo) forgeDecision(r *release, l loot) (*attest.Envelope, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := attest.NewSigningKey(signerName, private)
	if err != nil {
		return nil, err
	}
	forged := attest.Decision{
		Signer: signerName, Release: r.id, Request: l.task.Request.Digest(), Policy: d.policy.Digest, PolicySerial: d.policy.Serial,
		Decided: attest.At(time.Now()), Ground: attest.GroundQuorum, Artifacts: attest.AgreedOf(l.votes["alpha"].Artifacts),
		Threshold: threshold, Operators: len(rebuilderNames), Blind: true,
	}
	if forged.Set, err = l.votes["alpha"].Artifacts.SetDigest(); err != nil {
		return nil, err
	}
	for _, v := range l.votes {
		forged.Votes = append(forged.Votes, v.Envelope.Digest())
	}
	slices.SortFunc(forged.Votes, func(a, b attest.Digest) int { return bytes.Compare(a[:], b[:]) })
	return forged.Seal(key)
}

// genuineProof is the proof that the log holds the decision on the Go program.
func (d *demo) genuineProof() (bus.LogProof, error) {
	data, err := os.ReadFile(d.named(goProgram).evidence)
	if err != nil {
		return bus.LogProof{}, fmt.Errorf("reading evidence: %w", err)
	}
	bundle, err := evidence.Parse(data)
	if err != nil {
		return bus.LogProof{}, err
	}
	_, proof, err := bundle.Decision.Open(d.policy.SignerKey, d.policy.Log.Key)
	if err != nil {
		return bus.LogProof{}, err
	}
	out := bus.LogProof{Index: proof.Index, Checkpoint: proof.Checkpoint}
	for _, h := range proof.Hashes {
		out.Hashes = append(out.Hashes, attest.Digest(h))
	}
	return out, nil
}

// replayedVote sends alpha's vote, byte for byte, with delta's credentials.
// The answer is a rejection that the coordinator recorded and signed.
func (d *demo) replayedVote(ctx context.Context) (string, error) {
	l, err := d.steal(d.named(goProgram))
	if err != nil {
		return "", err
	}
	conn, err := d.dial(ctx, bus.RoleRebuilder, misconfigured)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	stolen, err := bus.EncodeVote(l.votes["alpha"])
	if err != nil {
		return "", err
	}
	if err := conn.PublishVote(ctx, misconfigured, stolen); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, readyPatience, errors.New("no rejection came back"))
	defer cancel()
	ticker := time.NewTicker(watchPause)
	defer ticker.Stop()
	for {
		reply, err := conn.AskReceipts(ctx, misconfigured, bus.ReceiptsRequest{Statements: []attest.Digest{stolen.Statement()}})
		if err != nil {
			return "", err
		}
		for _, e := range reply.Envelopes {
			if rejection, err := attest.OpenRejection(e, d.policy.CoordinatorKey); err == nil {
				return fmt.Sprintf("%s (%s; a rejection that it signed)", rejection.Reason, rejection.Code), nil
			}
			return "", errNotRefused
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}
