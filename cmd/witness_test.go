package cmd_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/sequencer"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/witness"
)

// cosigner is a real witness over HTTP, which can go away and whose clock can differ.
type cosigner struct {
	name, url string
	away      atomic.Bool
	skew      atomic.Int64 // nanoseconds
}

func (h *house) startWitness(t *testing.T, key attest.SigningKey) *cosigner {
	t.Helper()
	c := &cosigner{name: key.Name()}
	dir := filepath.Join(t.TempDir(), "memory")
	if err := witness.Create(dir, key.VerifierKey); err != nil {
		t.Fatal(err)
	}
	logs := []attest.VerifierKey{h.Log.Key.VerifierKey}
	for _, name := range []string{h.Log.Key.Name(), nextOrigin} {
		later, err := laterKey(name)
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, later.VerifierKey)
	}
	w, err := witness.Open(witness.Config{
		Key: key, Logs: logs, Dir: dir,
		Now: func() time.Time { return time.Now().Add(time.Duration(c.skew.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	handler := w.Handler()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if c.away.Load() {
			panic(http.ErrAbortHandler)
		}
		handler.ServeHTTP(rw, r)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	c.url = server.URL
	return c
}

// laterKey is what a log of this name may come to be signed with.
func laterKey(name string) (attest.SigningKey, error) {
	return attest.NewSigningKey(name, evidencetest.Ed25519("later log "+name))
}

// nextOrigin is the name of the log that may come after the house's.
const nextOrigin = "next.example.org"

// logConfig is how a coordinator keeps the house's log. The later keys are at hand.
func (h *house) logConfig(s sequencer.Store, trust *policy.Chain, log *slog.Logger) sequencer.Config {
	c := sequencer.Config{Store: s, Key: h.Log.Key, Trust: trust, Log: log, KeyOf: func(want attest.VerifierKey) (attest.SigningKey, error) {
		key, err := laterKey(want.Name())
		if err == nil && key.String() != want.String() {
			err = errors.New("no such log key here")
		}
		return key, err
	}}
	for _, w := range h.witnesses {
		c.Witnesses = append(c.Witnesses, sequencer.Endpoint{Name: w.name, URL: w.url})
	}
	return c
}

// awaitOpened waits until the opening of a release is under a published checkpoint.
func (h *house) awaitOpened(t *testing.T, release attest.Digest) {
	t.Helper()
	h.eventually(t, "the opening is in the published log", func() bool {
		_, entries, err := h.writer.LogEntries(t.Context(), 0, bus.MaxLogEntries, bus.MaxLogBytes)
		return err == nil && slices.ContainsFunc(entries, func(e translog.Entry) bool {
			return e.Envelope != nil && e.Envelope.Digest() == release
		})
	})
}

func TestAWitnessedReleaseIsSignedAndItsEvidenceNamesTheWitnesses(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{witnesses: 3})
	release := h.submit(t, h.request(t, "1.0", nil))
	h.voteAll(t, release, build(t, "1.0", ""))
	h.awaitState(t, release, coordinator.Signed)
	reply, err := h.publisher.Status(t.Context(), bus.StatusRequest{Release: release, Evidence: true})
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := evidence.Parse(reply.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	report, err := evidence.Verify(bundle, evidence.Trust{Policy: h.Envelope})
	if err != nil {
		t.Fatal(err)
	}
	if report.Unwitnessed || len(report.Witnesses) < 2 {
		t.Errorf("unwitnessed %v, witnesses %v", report.Unwitnessed, report.Witnesses)
	}
}

func TestADecisionWaitsForItsWitnessesAndSaysForWhom(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{witnesses: 3})
	release := h.submit(t, h.request(t, "1.0", nil))
	h.awaitOpened(t, release)
	h.witnesses[1].away.Store(true)
	h.witnesses[2].away.Store(true)
	h.voteAll(t, release, build(t, "1.0", ""))
	s := h.await(t, release, "waiting for its witnesses", func(s *bus.ReleaseStatus) bool {
		return s.State == string(coordinator.Agreed) && strings.Contains(s.Reason, h.witnesses[1].name+" unreachable")
	})
	if !strings.HasPrefix(s.Reason, "decided, waiting for cosignatures: ") || !strings.Contains(s.Reason, " of 2 witnesses, ") {
		t.Errorf("reason is %q", s.Reason)
	}
	if h.device.made.Load() != 0 {
		t.Error("the device signed what no witness saw")
	}
	h.witnesses[1].away.Store(false) // one of them comes back
	h.awaitState(t, release, coordinator.Signed)
}

// The keys of the rebuilders end in two minutes. Coordinator and signer have
// time enough; but the witnesses say that it is four minutes later.
func TestADecisionThatItsWitnessesSawTooLateExpiresAndIsTriedAgain(t *testing.T) {
	t.Parallel()
	end := attest.At(time.Now()) + 120
	h := newHouse(t, houseOptions{witnesses: 2, change: func(p *policy.Policy) {
		p.Suites[0].Retries = 1
		for i := range p.Rebuilders {
			p.Rebuilders[i].ValidUntil = end
		}
	}})
	release := h.submit(t, h.request(t, "1.0", nil))
	h.awaitOpened(t, release)
	for _, w := range h.witnesses {
		w.skew.Store(int64(4 * time.Minute))
	}
	h.voteAll(t, release, build(t, "1.0", ""))
	s := h.awaitState(t, release, coordinator.Expired)
	if !strings.Contains(s.Reason, policy.ErrTooLate.Error()) {
		t.Errorf("reason is %q", s.Reason)
	}
	if s.Newest == release || s.Final {
		h.await(t, release, "tried again", func(s *bus.ReleaseStatus) bool { return s.Newest != release })
	}
	if h.device.made.Load() != 0 {
		t.Error("the device signed on a decision that came too late")
	}
	// The decision is in the log, and does not count.
	_, note, err := h.writer.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := translog.WitnessesOf(h.Policy.Witnesses).Time(note); err != nil {
		t.Error(err)
	}
}

// The second attempt is carried by keys that last. Its bytes are those of the
// first decision, which is in the log and came too late.
func TestAfterADecisionThatCameTooLateTheNextAttemptIsSigned(t *testing.T) {
	t.Parallel()
	const short, threshold = 3, 4
	end := attest.At(time.Now()) + 120
	h := newHouse(t, houseOptions{rebuilders: 7, threshold: threshold, witnesses: 2, change: func(p *policy.Policy) {
		for i := range short {
			p.Rebuilders[i].ValidUntil = end
		}
	}})
	r := h.request(t, "1.0", nil)
	b := build(t, "1.0", "")
	vote := func(release attest.Digest, built []attest.SigningKey) {
		for _, key := range h.Rebuilders {
			if slices.ContainsFunc(built, func(k attest.SigningKey) bool { return k.Name() == key.Name() }) {
				h.publish(t, key.Name(), h.statement(t, release, key, b))
			} else {
				h.publish(t, key.Name(), h.statement(t, release, key, b, failed(attest.InfraError, source(t, r))))
			}
		}
	}
	first := h.submit(t, r)
	h.awaitOpened(t, first)
	for _, w := range h.witnesses {
		w.skew.Store(int64(4 * time.Minute))
	}
	vote(first, h.Rebuilders[:threshold]) // three of them with keys that end
	h.awaitState(t, first, coordinator.Expired)
	s := h.await(t, first, "tried again", func(s *bus.ReleaseStatus) bool { return s.Newest != first })
	vote(s.Newest, h.Rebuilders[short:])
	h.awaitState(t, s.Newest, coordinator.Signed)
	reply, err := h.publisher.Status(t.Context(), bus.StatusRequest{Release: s.Newest, Evidence: true})
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := evidence.Parse(reply.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := evidence.Verify(bundle, evidence.Trust{Policy: h.Envelope}); err != nil {
		t.Error(err)
	}
}
