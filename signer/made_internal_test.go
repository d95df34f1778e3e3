package signer

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
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

func TestOldSignaturesMakeRoomForNewOnes(t *testing.T) {
	m := newMade()
	for i := range mostMade + 10 {
		m.note(strconv.Itoa(i), []byte("signature"))
	}
	if len(m.signatures) != mostMade {
		t.Errorf("%d signatures are remembered, at most %d should be", len(m.signatures), mostMade)
	}
	for i, want := range map[int]bool{9: false, 10: true, mostMade + 9: true} {
		if _, known := m.known(strconv.Itoa(i)); known != want {
			t.Errorf("signature %d is known: %v", i, known)
		}
	}
}
