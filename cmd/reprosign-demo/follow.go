package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
)

const (
	// releasePatience bounds one release on a slow machine.
	releasePatience = 10 * time.Minute
	// latePatience bounds the wait for those whose vote is not needed any more, but is to be seen.
	latePatience = 2 * time.Minute
	watchPause   = 200 * time.Millisecond
)

// releaseAll takes the releases through the signing cycle, one after the other.
func (d *demo) releaseAll(ctx context.Context) error {
	for i, r := range d.releases {
		d.screen.section(fmt.Sprintf("Release %d of %d: %s %s, suite %s", i+1, len(d.releases), r.name, r.version, r.suite))
		d.screen.explain("%s", r.story)
		if err := d.release(ctx, r); err != nil {
			return fmt.Errorf("release %s: %w", r.name, err)
		}
	}
	return nil
}

func (d *demo) release(ctx context.Context, r *release) error {
	if err := d.submit(ctx, r); err != nil {
		return err
	}
	status, err := d.watch(ctx, r)
	if err != nil {
		return err
	}
	entry := releaseSummary{
		Name: r.name, Suite: r.suite, Version: r.version, Release: r.id.String(), State: status.State, Reason: status.Reason,
		Votes: map[string]string{}, Artifacts: []artifactSummary{},
	}
	for _, v := range status.Votes {
		entry.Votes[v.Rebuilder] = v.View
	}
	if status.State == "signed" {
		if err := d.collect(ctx, r, status, &entry); err != nil {
			return err
		}
	}
	d.expect(r.acceptable(status), "%s ended as %s: %s", r.name, status.State, status.Reason)
	d.summary.Releases = append(d.summary.Releases, entry)
	return nil
}

// acceptable reports whether the release ended as it should. Debian's package
// is equal to the archive's where the toolchain is; elsewhere it is lawful
// that it is not, and that the HSM stays silent.
func (r *release) acceptable(status *bus.ReleaseStatus) bool {
	return status.State == r.end || r.claim != "" && r.suite != "debian-bookworm" && status.State == "conflict"
}

// submit asks for the release with the publisher's key, as a person would.
func (d *demo) submit(ctx context.Context, r *release) error {
	recipe, err := attest.MarshalCanonical(r.recipe)
	if err != nil {
		return err
	}
	file := d.place.party(publisherName, r.name+".recipe.json")
	if err := writePublic(file, recipe); err != nil {
		return err
	}
	args := append(d.publisherArgs("submit"), "--suite", r.suite, "--source", r.name, "--version", r.version,
		"--arch", d.architecture, "--recipe", file, "-o", "json")
	if r.claim != "" {
		args = append(args, "--claim", r.claim, "--claim-public")
	}
	out, err := d.reprosign(ctx, args...)
	if err != nil {
		return err
	}
	var answer struct {
		Release attest.Digest `json:"release"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		return fmt.Errorf("reading the answer of submit: %w", err)
	}
	r.id = answer.Release
	d.screen.event(publisherName, "signed a release request; the coordinator opened release %s", r.id.Short())
	return nil
}

func (d *demo) publisherArgs(command ...string) []string {
	return append(command, "--config", d.place.party(publisherName, configFile))
}

// watch tells what can be seen of a release until it is settled and every
// rebuilder has answered, also those that are not needed any more.
func (d *demo) watch(ctx context.Context, r *release) (*bus.ReleaseStatus, error) {
	defer d.screen.still()
	ctx, cancel := context.WithTimeoutCause(ctx, releasePatience,
		fmt.Errorf("not settled after %v; the logs in %s tell what each process waits for", releasePatience, d.place.result(logsDir)))
	defer cancel()
	ticker := time.NewTicker(watchPause)
	defer ticker.Stop()
	seen := map[string]string{}
	state, settled := "", time.Time{}
	for {
		reply, err := d.publisher.Status(ctx, bus.StatusRequest{Release: r.id})
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil && bus.KindOf(err) != bus.KindUnavailable {
			return nil, err
		}
		if status := reply.Release; status != nil {
			waiting := d.tellVotes(status, seen)
			if status.State != state {
				d.tellStates(state, status)
				state = status.State
			}
			if status.Final && settled.IsZero() {
				settled = time.Now()
			}
			if status.Final && (len(waiting) == 0 || time.Since(settled) > latePatience) {
				return status, nil
			}
			d.screen.live("%s", soFar(status, waiting))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// soFar is the live line: what the release waits for.
func soFar(status *bus.ReleaseStatus, waiting []string) string {
	switch {
	case len(waiting) > 0:
		return status.State + ", waiting for " + strings.Join(waiting, ", ")
	case status.Reason != "":
		return status.State + ": " + status.Reason
	}
	return status.State
}

// tellVotes tells each rebuilder's view when it changes, and returns who has not answered.
func (d *demo) tellVotes(status *bus.ReleaseStatus, seen map[string]string) (waiting []string) {
	for _, v := range status.Votes {
		if v.View == string(policy.ViewPending) {
			waiting = append(waiting, v.Rebuilder)
		}
		if seen[v.Rebuilder] == v.View {
			continue
		}
		seen[v.Rebuilder] = v.View
		switch v.View {
		case string(policy.ViewPending):
		case string(policy.ViewAgrees):
			d.screen.good(v.Rebuilder, "agrees")
		case string(policy.ViewDiffers):
			d.screen.notable(v.Rebuilder, "differs")
		case "reported":
			d.screen.event(v.Rebuilder, "has built and signed its hashes; nobody sees them before the decision")
		default:
			d.screen.notable(v.Rebuilder, "%s (see %s)", v.View, d.place.result(logsDir, v.Rebuilder+".log"))
		}
	}
	return waiting
}

// way is what every signed release passes; a look at it may miss a step.
var way = []string{"building", "agreed", "logged", "signed"}

// tellStates tells what happened since the release was seen in state before.
func (d *demo) tellStates(before string, status *bus.ReleaseStatus) {
	passed := slices.Index(way, status.State)
	if passed < 0 {
		d.screen.notable("verdict", "%s: %s", status.State, status.Reason)
		return
	}
	for _, state := range way[slices.Index(way, before)+1 : passed+1] {
		switch state {
		case "building":
			d.screen.event("agents", "took the task, checked it against their own policy, and build in sandboxes without a network")
		case "agreed":
			d.screen.event(signerName, "checked every vote itself and signed its decision")
		case "logged":
			d.screen.event("log", "holds the decision for all to see; only now may the HSM be asked")
		case "signed":
			d.screen.good(hsmName, "signed %d file with the key of suite %s: the one signature it will ever have", len(status.Artifacts), status.Suite)
		}
	}
}
