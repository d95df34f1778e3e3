package cmd_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/internal/box/boxtest"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/signer/key"
)

// errAway is what a device that does not answer gives.
var errAway = fmt.Errorf("device switched off: %w", key.ErrUnavailable)

// several opens releases of n versions and returns them with what is built.
func (h *house) several(t *testing.T, n int) (releases []attest.Digest, builds []built) {
	t.Helper()
	for i := range n {
		version := fmt.Sprintf("%d.0", i+1)
		builds = append(builds, build(t, version, ""))
		releases = append(releases, h.submit(t, h.request(t, version, nil)))
	}
	return releases, builds
}

// wantAllSigned waits until all are signed, and checks that each artifact was signed once.
func (h *house) wantAllSigned(t *testing.T, releases []attest.Digest, builds []built) {
	t.Helper()
	files := 0
	for i, release := range releases {
		h.awaitState(t, release, coordinator.Signed)
		files += len(builds[i].files)
	}
	if made := h.device.made.Load(); made != int64(files) {
		t.Errorf("the device made %d signatures of %d artifacts", made, files)
	}
}

func TestTwoCoordinatorsLoseNothingAndSignNothingTwice(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{coordinators: 2})
	releases, builds := h.several(t, 12)
	for _, key := range h.Rebuilders {
		for i, release := range releases {
			h.publish(t, key.Name(), h.statement(t, release, key, builds[i]))
		}
	}
	h.wantAllSigned(t, releases, builds)
}

func TestTheHouseGoesOnWhereItStoppedAfterEachPartyRestarts(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	releases, builds := h.several(t, 3)
	h.stopCoordinator()
	for i, release := range releases {
		h.voteAll(t, release, builds[i]) // the bus keeps them
	}
	h.stopSigner()
	h.startCoordinator(t)
	for _, release := range releases {
		h.await(t, release, "waiting for the signer", func(s *status) bool {
			return strings.Contains(s.Reason, "the signer has not decided")
		})
	}
	h.device.fail(errAway)
	h.startSigner(t)
	for _, release := range releases {
		h.awaitState(t, release, coordinator.Logged)
	}
	h.stopCoordinator()
	h.device.recover()
	h.startCoordinator(t)
	h.wantAllSigned(t, releases, builds)
}

func TestTheReasonTellsThatTheDeviceIsAway(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	h.device.fail(errAway)
	releases, builds := h.several(t, 1)
	h.voteAll(t, releases[0], builds[0])
	h.await(t, releases[0], "logged, with the reason", func(s *status) bool {
		return s.State == string(coordinator.Logged) && strings.Contains(s.Reason, "device switched off")
	})
	h.device.recover()
	h.wantAllSigned(t, releases, builds)
}

func TestNothingIsLostWhenTheBusRestarts(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{})
	releases, builds := h.several(t, 2)
	for i, release := range releases {
		h.publish(t, "rebuilder-1", h.statement(t, release, h.Rebuilders[0], builds[i]))
	}
	signed := make(chan attest.Digest, 8)
	background(t, func(ctx context.Context) error {
		return h.publisher.Events(ctx, func(e bus.Event) {
			if e.State == string(coordinator.Signed) {
				signed <- e.Release
			}
		})
	})
	h.restartNATS(t, &h.Policy)
	for i, release := range releases {
		for _, key := range h.Rebuilders[1:] {
			v := encoded(t, h.statement(t, release, key, builds[i]))
			h.eventually(t, "vote published", func() bool {
				return h.agents[key.Name()].PublishVote(t.Context(), key.Name(), v) == nil
			})
		}
	}
	h.wantAllSigned(t, releases, builds)
	for range releases { // the stream of events, which is in memory, is there again
		select {
		case <-signed:
		case <-time.After(patience):
			t.Fatal("no event tells that a release is signed")
		}
	}
}

func TestNothingIsLostWhenTheDatabaseCrashes(t *testing.T) {
	t.Parallel()
	postgres := boxtest.Postgres(t)
	if err := postgres.EnsureDatabase(t.Context(), "house"); err != nil {
		t.Fatal(err)
	}
	dsn := postgres.DSN("house", "postgres")
	if err := migrate(dsn); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, houseOptions{dsn: dsn, coordinators: 2})
	releases, builds := h.several(t, 6)
	crash := func() {
		if err := postgres.Crash(); err != nil {
			t.Fatal(err)
		}
	}
	restart := func() {
		if err := postgres.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i, release := range releases[:3] {
		h.voteAll(t, release, builds[i])
	}
	crash() // anywhere in the cycle of the first three
	for i, release := range releases[3:] {
		h.voteAll(t, release, builds[3+i]) // into a house without memory
	}
	restart()
	h.wantAllSigned(t, releases, builds)
}
