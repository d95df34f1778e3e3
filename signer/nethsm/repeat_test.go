package nethsm_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/signer/key"
	"github.com/reprosign/reprosign/signer/nethsm"
	"github.com/reprosign/reprosign/signer/nethsm/nethsmtest"
)

// wire carries requests to a soft HSM without a network, so that a fake clock can run.
type wire struct {
	server *nethsmtest.Server
	sent   []time.Time // when requests to sign were sent
}

var errCut = errors.New("connection cut")

func (w *wire) RoundTrip(r *http.Request) (response *http.Response, err error) {
	if strings.HasSuffix(r.URL.Path, "/sign") {
		w.sent = append(w.sent, time.Now())
	}
	defer func() {
		if recovered := recover(); recovered != nil {
			response, err = nil, errCut
		}
	}()
	recorder := httptest.NewRecorder()
	w.server.ServeHTTP(recorder, r)
	return recorder.Result(), nil
}

// inTheLab runs f with a key of a soft HSM under a fake clock.
func inTheLab(t *testing.T, change func(*nethsm.Config), f func(t *testing.T, w *wire, k key.Key)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{server: softHSM(t)}
		c := config(t, "http://nethsm.invalid", "insecure-plain-http")
		if change != nil {
			change(&c)
		}
		device, err := nethsm.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		device.SetTransport(w)
		f(t, w, openKey(t, device, "ed"))
	})
}

// pauses are the times between requests to sign.
func (w *wire) pauses() []time.Duration {
	var pauses []time.Duration
	for i := 1; i < len(w.sent); i++ {
		pauses = append(pauses, w.sent[i].Sub(w.sent[i-1]))
	}
	return pauses
}

func TestARequestWithoutAnAnswerIsRepeatedWithGrowingPauses(t *testing.T) {
	inTheLab(t, nil, func(t *testing.T, w *wire, k key.Key) {
		w.server.SetFault(signing(nethsmtest.Fault{Drop: true}))
		if _, err := k.Sign(t.Context(), digest); !errors.Is(err, key.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
		if diff := cmp.Diff([]time.Duration{nethsm.FirstPause, 2 * nethsm.FirstPause}, w.pauses()); diff != "" {
			t.Error(diff)
		}
		if len(w.sent) != nethsm.MaxAttempts {
			t.Errorf("%d attempts, want %d", len(w.sent), nethsm.MaxAttempts)
		}
	})
}

func TestALostAnswerIsAskedForAgainAndEveryAttemptIsAnnounced(t *testing.T) {
	var announced []string
	record := func(c *nethsm.Config) {
		c.Attempt = func(id string) error { announced = append(announced, id); return nil }
	}
	inTheLab(t, record, func(t *testing.T, w *wire, k key.Key) {
		want, err := k.Sign(t.Context(), digest)
		if err != nil {
			t.Fatal(err)
		}
		lost := 0
		w.server.SetFault(func(*http.Request) *nethsmtest.Fault {
			lost++
			return &nethsmtest.Fault{DropAnswer: lost <= 2}
		})
		got, err := k.Sign(t.Context(), digest)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %x, %v, want the same signature %x", got, err, want)
		}
		if n := w.server.Signatures()["stable~ed"]; n != 4 || len(announced) != 4 {
			t.Errorf("the device signed %d times and %d attempts were announced, want 4", n, len(announced))
		}
	})
}

func TestAnAttemptThatCannotBeRecordedIsNotMade(t *testing.T) {
	errFull := errors.New("disk full")
	refuse := func(c *nethsm.Config) { c.Attempt = func(string) error { return errFull } }
	inTheLab(t, refuse, func(t *testing.T, w *wire, k key.Key) {
		if _, err := k.Sign(t.Context(), digest); !errors.Is(err, errFull) {
			t.Errorf("got %v, want the recorder's error", err)
		}
		if len(w.sent) != 0 {
			t.Errorf("%d requests were sent", len(w.sent))
		}
	})
}

func TestNothingIsSentForASecondAfterTheDeviceAskedForAPause(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		inTheLab(t, nil, func(t *testing.T, w *wire, k key.Key) {
			w.server.SetFault(signing(nethsmtest.Fault{Status: status}))
			if _, err := k.Sign(t.Context(), digest); err == nil {
				t.Fatal("no error")
			}
			w.server.SetFault(nil)
			if _, err := k.Sign(t.Context(), digest); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]time.Duration{nethsm.Breather}, w.pauses()); diff != "" {
				t.Errorf("status %d: %s", status, diff)
			}
		})
	}
}

func TestAnAttemptTimesOutAndIsRepeated(t *testing.T) {
	inTheLab(t, func(c *nethsm.Config) { c.RequestTimeout = nethsm.MinRequestTimeout }, func(t *testing.T, w *wire, k key.Key) {
		w.server.SetFault(signing(nethsmtest.Fault{Delay: time.Hour}))
		_, err := k.Sign(t.Context(), digest)
		if !errors.Is(err, key.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want ErrUnavailable and not the caller's deadline", err)
		}
		want := []time.Duration{nethsm.MinRequestTimeout + nethsm.FirstPause, nethsm.MinRequestTimeout + 2*nethsm.FirstPause}
		if diff := cmp.Diff(want, w.pauses()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTheCallersDeadlineEndsTheCallWithoutRepetition(t *testing.T) {
	inTheLab(t, nil, func(t *testing.T, w *wire, k key.Key) {
		w.server.SetFault(signing(nethsmtest.Fault{Delay: time.Hour}))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := k.Sign(ctx, digest); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, key.ErrUnavailable) {
			t.Errorf("got %v, want context.DeadlineExceeded alone", err)
		}
		if len(w.sent) != 1 {
			t.Errorf("%d attempts, want one", len(w.sent))
		}
	})
}

func TestACallWaitingForItsTurnEndsWithItsContext(t *testing.T) {
	inTheLab(t, nil, func(t *testing.T, w *wire, k key.Key) {
		w.server.SetFault(signing(nethsmtest.Fault{Delay: 20 * time.Second}))
		first := make(chan error, 1)
		go func() {
			_, err := k.Sign(t.Context(), digest)
			first <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := k.Sign(ctx, digest); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want context.DeadlineExceeded", err)
		}
		if err := <-first; err != nil {
			t.Errorf("the call in front: %v", err)
		}
		if len(w.sent) != 1 {
			t.Errorf("%d requests were sent, want the first alone", len(w.sent))
		}
	})
}
