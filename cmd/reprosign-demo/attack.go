package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

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
