package signer_test

import (
	"errors"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/internal/bus"
)

func TestSigningAgainDoesNotUseTheDevice(t *testing.T) {
	b := newBench(t, evidencetest.Options{Artifacts: 3})
	first := b.sign(t)
	wantSameBytes(t, "asked again", first, b.sign(t))
	if n := b.device.asked.Load(); n != 3 {
		t.Errorf("the device was asked %d times for 3 signatures", n)
	}
}

// A coordinator that was restarted asks while the signer still works for the one
// before.
func TestWhoAsksWhileASignatureIsMadeGetsTheSameOne(t *testing.T) {
	b := newBench(t, evidencetest.Options{Artifacts: 1})
	reached, release := make(chan struct{}, 2), make(chan struct{})
	b.device.before = func() {
		reached <- struct{}{}
		<-release
	}
	req := b.signRequest(t)
	replies := make([]bus.SignReply, 2)
	var asking errgroup.Group
	for i := range replies {
		asking.Go(func() error {
			replies[i] = b.signer.Sign(t.Context(), req)
			return nil
		})
	}
	<-reached
	close(release)
	_ = asking.Wait()
	for _, r := range replies {
		if r.Error != nil {
			t.Fatal(r.Error)
		}
	}
	wantSameBytes(t, "asked at one time", replies[0].Signatures, replies[1].Signatures)
	if n := b.device.asked.Load(); n != 1 {
		t.Errorf("the device was asked %d times for one signature", n)
	}
}

func TestWhatTheDeviceRefusedIsAskedForAgain(t *testing.T) {
	b := newBench(t, evidencetest.Options{})
	b.device.fault = errors.New("device switched off")
	if r := b.signer.Sign(t.Context(), b.signRequest(t)); r.Error == nil {
		t.Fatal("signed without a device")
	}
	b.device.fault = nil
	b.sign(t)
}
