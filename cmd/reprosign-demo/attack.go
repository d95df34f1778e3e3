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
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/internal/bus"
)

// errNotRefused says that an attack went through.
var errNotRefused = errors.New("it was not refused")

// attack tries to cheat, for real: with the credentials of the parties, on the
// running system.
func (d *demo) attack(ctx context.Context) error {
	d.screen.section("Attempts to cheat")
	d.screen.explain("With the coordinator's own credentials, then with a rebuilder's, then with the signed file.")
	before, err := d.hsmCount(ctx)
	if err != nil {
		return err
	}
	for _, a := range []struct {
		tried, by string
		do        func(context.Context) (reason string, err error)
	}{
		{"have release " + stampedName + " decided on votes that were altered until three agree, with the coordinator's credentials", signerName, d.alteredVotes},
		{"have release " + stampedName + " signed on a decision by a foreign statement key, with the coordinator's credentials", signerName, d.foreignDecision},
		{"have release " + stampedName + " decided on three genuine votes replayed from release " + goProgram, signerName, d.replayedToSigner},
		{"replay alpha's vote on release " + goProgram + " as " + misconfigured + "'s own", coordinatorName, d.replayedVote},
		{"change one byte of a signed file, and ask gpg", "gpg --verify", d.changedForGPG},
		{"change one byte of a signed file, and ask reprosign", "reprosign verify", d.changedForReprosign},
	} {
		d.screen.event("attacker", "tries to %s", a.tried)
		reason, err := a.do(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			d.expect(false, "attempt to %s: %v", a.tried, err)
			continue
		}
		d.summary.Refusals = append(d.summary.Refusals, refusal{Tried: a.tried, By: a.by, Reason: reason})
		d.screen.good(a.by, "refuses: %s", reason)
	}
	after, err := d.hsmCount(ctx)
	if err != nil {
		return err
	}
	d.expect(before == after, "the HSM signed %d times during the attempts", after-before)
	return nil
}

// loot is what an attacker takes from the rebuilders of a release.
type loot struct {
	task  bus.Task
	votes map[string]bus.Vote // by rebuilder
}

func (d *demo) steal(r *release) (loot, error) {
	l := loot{votes: map[string]bus.Vote{}}
	for _, name := range rebuilderNames {
		dir := filepath.Join(d.spool(name), r.id.String())
		vote, err := os.ReadFile(filepath.Join(dir, "vote.json"))
		if err != nil {
			return l, fmt.Errorf("reading a vote: %w", err)
		}
		if l.votes[name], err = bus.DecodeVote(vote); err != nil {
			return l, err
		}
		task, err := os.ReadFile(filepath.Join(dir, "task.json"))
		if err != nil {
			return l, fmt.Errorf("reading a task: %w", err)
		}
		if l.task, err = bus.DecodeTask(task); err != nil {
			return l, err
		}
	}
	return l, nil
}

// named returns one of the demo's releases.
func (d *demo) named(name string) *release {
	for _, r := range d.releases {
		if r.name == name {
			return r
		}
	}
	return nil
}

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
	stolen := l.votes["alpha"]
	if err := conn.PublishVote(ctx, misconfigured, stolen); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, readyPatience, errors.New("no rejection came back"))
	defer cancel()
	ticker := time.NewTicker(watchPause)
	defer ticker.Stop()
	for {
		reply, err := conn.AskReceipts(ctx, misconfigured, bus.ReceiptsRequest{Statements: []attest.Digest{stolen.Envelope.Digest()}})
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

// changed writes a copy of the Go program with one byte changed, under its own name.
func (d *demo) changed() (file, signature string, err error) {
	r := d.named(goProgram)
	data, err := os.ReadFile(d.place.result(artifactsDir, r.name))
	if err != nil {
		return "", "", fmt.Errorf("reading the signed file: %w", err)
	}
	data[len(data)/2] ^= 1
	file = d.place.party("attacker", r.name)
	if _, err := os.Stat(filepath.Dir(file)); err != nil {
		if _, err := d.place.directory(privateDir, "attacker"); err != nil {
			return "", "", err
		}
	}
	return file, d.place.result(signaturesDir, r.name+".sig"), writePublic(file, data)
}

func (d *demo) changedForGPG(ctx context.Context) (string, error) {
	file, signature, err := d.changed()
	if err != nil {
		return "", err
	}
	if err := d.gpg(ctx, signature, file); !errors.Is(err, errBadSignature) {
		return "", errors.Join(err, errNotRefused)
	}
	return errBadSignature.Error(), nil
}

func (d *demo) changedForReprosign(ctx context.Context) (string, error) {
	file, _, err := d.changed()
	if err != nil {
		return "", err
	}
	_, stderr, err := d.try(ctx, "verify", file, d.named(goProgram).evidence, "--trust", d.policyPath())
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitUnverified {
		return "", fmt.Errorf("%w: %w: %s", errNotRefused, err, stderr)
	}
	return firstLine(strings.TrimPrefix(stderr, "error: ")), nil
}

// exitUnverified is the status of reprosign verify for evidence that does not fit.
const exitUnverified = 6
