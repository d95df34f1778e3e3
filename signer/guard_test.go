package signer_test

import (
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/internal/bus"
)

func TestAPanicOverOneCaseLeavesTheOthersAlone(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	fall := make(chan struct{}, 1)
	fall <- struct{}{}
	b.now = func() time.Time {
		select {
		case <-fall:
			panic("clock")
		default:
			return b.clock.Time()
		}
	}
	reply := b.signer.Decide(t.Context(), bus.DecideRequest{Cases: []bus.DecideCase{b.decideCase(), b.decideCase()}})
	decided, fallen := 0, 0
	for _, r := range reply.Results {
		switch {
		case r.Decision != nil:
			decided++
		case r.Error != nil && r.Error.Kind == bus.KindInternal:
			fallen++
		}
	}
	if decided != 1 || fallen != 1 {
		t.Errorf("got %+v, want one decision and one internal error", reply.Results)
	}
}

func TestAPanicOfTheDeviceIsAnErrorAndNoCrash(t *testing.T) {
	b := newBench(t, evidencetest.Options{Artifacts: 3})
	b.device.before = func() { panic("device") }
	if r := b.signer.Sign(t.Context(), b.signRequest(t)); r.Error == nil || r.Error.Kind != bus.KindInternal {
		t.Fatalf("got %v, want an internal error", r.Error)
	}
	b.device.before = nil
	b.sign(t)
}
