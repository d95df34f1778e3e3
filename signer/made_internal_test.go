package signer

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/reprosign/reprosign/internal/bus"
)

func TestTheImpatienceOfOneIsNotTheFailureOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMade()
		hasty, leave := context.WithCancel(t.Context())
		go func() {
			_, err := m.signature(hasty, "subject", func() ([]byte, error) {
				<-hasty.Done()
				return nil, hasty.Err()
			})
			if err == nil {
				t.Error("a signature without a device")
			}
		}()
		synctest.Wait()
		go func() {
			if s, err := m.signature(t.Context(), "subject", func() ([]byte, error) { return []byte("signature"), nil }); err != nil || string(s) != "signature" {
				t.Errorf("%q, %v", s, err)
			}
		}()
		synctest.Wait()
		leave()
		synctest.Wait()
	})
}

func TestWhoIsTiredOfWaitingMayAskAgain(t *testing.T) {
	m := newMade()
	made := make(chan struct{})
	defer close(made)
	begun := make(chan struct{})
	go func() {
		_, _ = m.signature(context.WithoutCancel(t.Context()), "subject", func() ([]byte, error) {
			close(begun)
			<-made
			return []byte("signature"), nil
		})
	}()
	<-begun
	hasty, leave := context.WithCancel(t.Context())
	leave()
	if _, err := m.signature(hasty, "subject", nil); answer(err).Kind != bus.KindUnavailable || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want unavailable", answer(err))
	}
}

func TestOldSignaturesMakeRoomForNewOnes(t *testing.T) {
	m := newMade()
	for i := range mostMade + 10 {
		if _, err := m.signature(t.Context(), strconv.Itoa(i), func() ([]byte, error) { return []byte("signature"), nil }); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.signatures) != mostMade {
		t.Errorf("%d signatures are remembered, at most %d should be", len(m.signatures), mostMade)
	}
	for i, want := range map[int]bool{9: false, 10: true, mostMade + 9: true} {
		if _, known := m.signatures[strconv.Itoa(i)]; known != want {
			t.Errorf("signature %d is known: %v", i, known)
		}
	}
}

func TestAMakingThatEndsHalfwayIsAFailureForTheOthersToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMade()
		fall := make(chan struct{})
		go func() {
			defer func() { _ = recover() }()
			_, _ = m.signature(t.Context(), "subject", func() ([]byte, error) {
				<-fall
				panic("device")
			})
		}()
		synctest.Wait()
		go func() {
			if _, err := m.signature(t.Context(), "subject", nil); !errors.Is(err, errUnfinished) {
				t.Errorf("%v, want %v", err, errUnfinished)
			}
		}()
		synctest.Wait()
		close(fall)
		synctest.Wait()
		if len(m.signatures) != 0 {
			t.Error("what was never made is remembered")
		}
	})
}
