package sequencer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/sequencer"
)

func TestNothingIsPublicBeforeAQuorumHasCosigned(t *testing.T) {
	w := newWatched(t, 3)
	writer, c := openWriter(t, w.dsn), connect(t, w.dsn)
	q := w.open(t, writer)
	add(t, c, "first", 3)
	must(t, q.Drain(t.Context()))
	if size, _ := w.seen(t, writer); size != 3 {
		t.Fatalf("size %d is public, want 3", size)
	}
	for _, o := range w.servers[1:] {
		o.fault(goneAway)
	}
	add(t, c, "second", 2)
	for range 2 {
		err := q.Drain(t.Context())
		if err == nil || !strings.Contains(err.Error(), "waiting for cosignatures: 1 of 2 witnesses, "+w.servers[1].name+" unreachable, "+w.servers[2].name+" unreachable") {
			if err == nil || !strings.Contains(err.Error(), "0 of 2") { // the first may be left alone as well: it cosigned this size
				t.Fatalf("with one witness: %v", err)
			}
		}
		unpublished(t, writer, 3)
	}
	w.servers[1].fault(nil)
	drain(t, q)
	if size, by := w.seen(t, writer); size != 5 || len(by) != 2 {
		t.Errorf("size %d is public, by %v", size, by)
	}
	// The one that was away is told what it missed, from where it was.
	w.servers[2].fault(nil)
	for round := int64(0); ; round++ {
		add(t, c, "later", 1)
		drain(t, q)
		if size, by := w.seen(t, writer); size != 6+round {
			t.Fatalf("size %d is public, want %d", size, 6+round)
		} else if len(by) == 3 {
			break
		}
	}
	check(t, w.dsn, w.Log.Key, q)
}

func TestAFaultyWitnessDoesNoHarm(t *testing.T) {
	stranger := evidencetest.WitnessKey(t, "stranger")
	reply := func(status int, kind, body string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				http.NotFound(rw, r)
				return
			}
			rw.Header().Set("Content-Type", kind)
			rw.WriteHeader(status)
			_, _ = rw.Write([]byte(body))
		}
	}
	const size = "text/x.tlog.size"
	for name, fault := range map[string]http.HandlerFunc{
		"never answers":             hanging,
		"closes the connection":     goneAway,
		"answers garbage":           reply(http.StatusOK, "text/plain", "\xff\x00<html>\n\n"),
		"answers nothing":           reply(http.StatusOK, "text/plain", ""),
		"answers without end":       reply(http.StatusOK, "text/plain", strings.Repeat("x", translog.MaxCosignatures+1)),
		"cosigns with another key":  cosigning(t, stranger),
		"cosigns in the far future": nil, // its own clock, below
		"fails":                     reply(http.StatusInternalServerError, "text/plain", "no"),
		"does not know the log":     reply(http.StatusNotFound, "text/plain", "no"),
		"sends elsewhere":           reply(http.StatusTemporaryRedirect, "text/plain", ""),
		"lies that it saw more":     reply(http.StatusConflict, size, "9007199254740991\n"),
		"says a size of no number":  reply(http.StatusConflict, size, "-1\n"),
		"says a size without end":   reply(http.StatusConflict, size, strings.Repeat("9", 1000)),
		"says less every time":      reply(http.StatusConflict, size, "1\n"),
		"says that we forked":       reply(http.StatusUnprocessableEntity, "text/plain", "no"),
		"shows a forged checkpoint": forging(t),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatched(t, 3)
			bad := w.servers[1]
			if fault == nil {
				bad.skew.Store(int64(24 * time.Hour))
			} else {
				bad.fault(fault)
			}
			writer, c := openWriter(t, w.dsn), connect(t, w.dsn)
			q := w.open(t, writer)
			for round := int64(1); round <= 3; round++ {
				add(t, c, "writer", 2)
				must(t, q.Drain(t.Context()))
				size, by := w.seen(t, writer)
				if size != 2*round {
					t.Fatalf("size %d is public, want %d", size, 2*round)
				}
				for _, c := range by {
					if c.Witness == bad.name {
						t.Errorf("the faulty witness counts: %v", by)
					}
				}
			}
			check(t, w.dsn, w.Log.Key, q)
			// And it is well again as soon as it behaves.
			bad.fault(nil)
			bad.skew.Store(0)
			if fault == nil {
				return // it remembers a time that is still to come
			}
			if name == "never answers" {
				return // it has an hour left
			}
			for {
				add(t, c, "later", 1)
				must(t, q.Drain(t.Context()))
				if _, by := w.seen(t, writer); len(by) == 3 {
					return
				}
			}
		})
	}
}

// cosigning is a witness that cosigns whatever it is asked with a key.
func cosigning(t *testing.T, key attest.SigningKey) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		if _, err := body.ReadFrom(r.Body); err != nil || r.Method != http.MethodPost {
			http.NotFound(rw, r)
			return
		}
		request, err := translog.ParseAddCheckpoint(body.Bytes())
		if err != nil {
			t.Errorf("request: %v", err)
			return
		}
		line, err := translog.Cosign(request.Checkpoint, key, attest.At(time.Now()))
		if err != nil {
			t.Error(err)
		}
		_, _ = rw.Write(line)
	}
}

// forging is a witness that claims a larger tree and shows a checkpoint for it
// that the log's key did not sign.
func forging(t *testing.T) http.HandlerFunc {
	key := evidencetest.Ed25519Key(t, "forger", evidencetest.Origin)
	note, err := translog.Checkpoint{Origin: evidencetest.Origin, Size: 1 << 40}.Sign(key)
	must(t, err)
	return func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = rw.Write(note)
			return
		}
		rw.Header().Set("Content-Type", "text/x.tlog.size")
		rw.WriteHeader(http.StatusConflict)
		fmt.Fprintln(rw, 1<<40)
	}
}

func TestTwoReplicasPublishOneWitnessedHistory(t *testing.T) {
	const rounds = 15
	w := newWatched(t, 3)
	c := connect(t, w.dsn)
	var replicas []*sequencer.Sequencer
	for range 2 {
		replicas = append(replicas, w.open(t, openWriter(t, w.dsn)))
	}
	for range rounds {
		add(t, c, "writer", 3)
		var both sync.WaitGroup
		for _, q := range replicas {
			both.Go(func() {
				// Only one of them may be in time; it must never be a fork.
				if err := q.Drain(t.Context()); errors.Is(err, coordinator.ErrForked) {
					t.Errorf("drain: %v", err)
				}
			})
		}
		both.Wait()
	}
	drain(t, replicas[0])
	drain(t, replicas[1])
	writer := openWriter(t, w.dsn)
	if size, _ := w.seen(t, writer); size != 3*rounds {
		t.Errorf("size %d is public, want %d", size, 3*rounds)
	}
	rows, err := c.Query(t.Context(), `SELECT note FROM log_checkpoints`)
	must(t, err)
	for rows.Next() {
		var note []byte
		must(t, rows.Scan(&note))
		if _, _, err := w.set.Time(note); err != nil {
			t.Errorf("public: %v\n%s", err, note)
		}
	}
	must(t, rows.Err())
}

// The witnesses have the signature, and then the process dies. Nobody else has
// seen the checkpoint, and the next process asks for the same one again.
func TestCrashBetweenCosigningAndPublicationIsMadeGood(t *testing.T) {
	w := newWatched(t, 2)
	c := connect(t, w.dsn)
	f := &faulty{Writer: openWriter(t, w.dsn)}
	f.publishSeen = func(context.Context, coordinator.Tree, []byte, coordinator.Seen) error { return errFault }
	add(t, c, "writer", 300)
	if err := w.open(t, f).Drain(t.Context()); !errors.Is(err, errFault) {
		t.Fatalf("drain: %v, want the fault", err)
	}
	unpublished(t, f, 0)
	if size := w.servers[0].size(t, w); size != 300 {
		t.Fatalf("the witness is at size %d, want 300", size)
	}
	writer := openWriter(t, w.dsn)
	next := w.open(t, writer)
	drain(t, next)
	if size, by := w.seen(t, writer); size != 300 || len(by) != 2 {
		t.Errorf("size %d is public, by %v", size, by)
	}
	check(t, w.dsn, w.Log.Key, next)
}
