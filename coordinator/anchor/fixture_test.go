package anchor_test

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/anchor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const origin = "rekor.example.org"

// rekor is a Rekor v2 server in memory, for the faults that the real one does
// not have; cmd tests against the real one.
type rekor struct {
	t     testing.TB
	log   evidencetest.Log
	world *evidencetest.World

	mu    sync.Mutex
	known map[string]*attest.Envelope // decisions that may come, by the PAE's digest
	index map[string]int64            // of those that are logged
	asked int                         // entries
	// spoil may change an answer that is ready.
	spoil func(*http.Request, *httptest.ResponseRecorder)
}

func newRekor(t testing.TB) *rekor {
	return &rekor{
		t: t, world: evidencetest.New(t, evidencetest.Options{}), known: map[string]*attest.Envelope{}, index: map[string]int64{},
		log: evidencetest.Log{Key: evidencetest.Ed25519Key(t, "log", origin)},
	}
}

// decision makes the i-th decision as our log has it.
func (r *rekor) decision(i int) coordinator.Unanchored {
	r.t.Helper()
	release := r.world.Release(r.t, i)
	leaf, err := translog.Leaf(release.Decision, r.world.Signer.VerifierKey)
	if err != nil {
		r.t.Fatal(err)
	}
	d := translog.BodyDigest(release.Decision)
	r.known[string(d[:])] = release.Decision
	return coordinator.Unanchored{Release: release.ID, Decision: release.Decision, Leaf: leaf}
}

// fill logs entries of others, so that proofs have something to prove.
func (r *rekor) fill(n int) {
	for i := range n {
		e, err := attest.Seal(attest.StatementType, []byte("entry of others "+strconv.Itoa(i)), r.world.Signer)
		if err != nil {
			r.t.Fatal(err)
		}
		r.log.Append(r.t, e, r.world.Signer.VerifierKey)
	}
}

func (r *rekor) setSpoil(f func(*http.Request, *httptest.ResponseRecorder)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spoil = f
}

// requests tells how many entries were asked to be added.
func (r *rekor) requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// RoundTrip answers a request without a network, so that a test's time can
// pass as fast as it likes.
func (r *rekor) RoundTrip(q *http.Request) (*http.Response, error) {
	if err := q.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	r.mu.Lock()
	r.serve(w, q)
	spoil := r.spoil
	r.mu.Unlock()
	if spoil != nil {
		spoil(q, w)
	}
	if w.Code == hangs {
		<-q.Context().Done()
		return nil, q.Context().Err()
	}
	// Not w.Result(), whose header is that of the unspoiled answer.
	return &http.Response{StatusCode: w.Code, Header: w.Header(), Body: io.NopCloser(w.Body), Request: q}, nil
}

// hangs is the status of an answer that never comes.
const hangs = 999

func (r *rekor) serve(w *httptest.ResponseRecorder, q *http.Request) {
	path := strings.TrimPrefix(q.URL.Path, "/api/v2/")
	switch {
	case path == "log/entries":
		r.add(w, q)
	case path == "checkpoint":
		_, _ = w.Write(r.log.Checkpoint(r.t))
	default:
		t, err := translog.ParseTilePath(path)
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		data, err := tlog.ReadTileData(t, tlog.HashReaderFunc(r.hashes))
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write(data)
	}
}

// hashes reads the tree from its leaves, slowly.
func (r *rekor) hashes(indexes []int64) ([]tlog.Hash, error) {
	var stored []tlog.Hash
	for i, leaf := range r.log.Leaves {
		more, err := tlog.StoredHashes(int64(i), leaf, tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) { return pick(stored, at), nil }))
		if err != nil {
			return nil, err
		}
		stored = append(stored, more...)
	}
	return pick(stored, indexes), nil
}

func pick(all []tlog.Hash, indexes []int64) []tlog.Hash {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = all[x]
	}
	return out
}

func (r *rekor) add(w *httptest.ResponseRecorder, q *http.Request) {
	r.asked++
	var body struct {
		Entry struct {
			Digest []byte `json:"digest"`
		} `json:"hashedRekordRequestV002"`
	}
	if err := json.UnmarshalRead(q.Body, &body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	d := string(body.Entry.Digest)
	if at, logged := r.index[d]; logged {
		w.Header().Set("X-Log-Index", strconv.FormatInt(at, 10))
		w.WriteHeader(http.StatusConflict)
		return
	}
	r.index[d] = r.log.Append(r.t, r.known[d], r.world.Signer.VerifierKey)
	w.WriteHeader(http.StatusCreated)
	r.answer(w, r.index[d])
}

// answer writes the entry at an index as Rekor does.
func (r *rekor) answer(w *httptest.ResponseRecorder, index int64) {
	proof := r.log.Prove(r.t, index)
	hashes := [][]byte{}
	for _, h := range proof.Hashes {
		hashes = append(hashes, h[:])
	}
	data, err := json.Marshal(map[string]any{
		"logIndex": strconv.FormatInt(index, 10), "integratedTime": "0", "inclusionPromise": nil, "canonicalizedBody": r.log.Leaves[index],
		"inclusionProof": map[string]any{"hashes": hashes, "checkpoint": map[string]any{"envelope": string(proof.Checkpoint)}},
	})
	if err != nil {
		r.t.Error(err)
	}
	_, _ = w.Write(data)
}

// queue is an outbox in memory, whose clock is the test's. What the database
// does with the same calls is tested in coordinator/store.
type queue struct {
	mu      sync.Mutex
	waiting []*item
	stored  map[attest.Digest]coordinator.Anchor
	topics  chan coordinator.Topic
}

type item struct {
	coordinator.Unanchored

	at     time.Time // claimable from then on
	reason string    // why it was put back
	aside  time.Duration
}

func newQueue(decisions ...coordinator.Unanchored) *queue {
	q := &queue{stored: map[attest.Digest]coordinator.Anchor{}, topics: make(chan coordinator.Topic)}
	for _, d := range decisions {
		q.waiting = append(q.waiting, &item{Unanchored: d})
	}
	return q
}

func (q *queue) Listen(context.Context) (<-chan coordinator.Topic, error) { return q.topics, nil }

func (q *queue) ClaimAnchors(_ context.Context, limit int, lease time.Duration) ([]coordinator.Unanchored, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	slices.SortStableFunc(q.waiting, func(a, b *item) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	var out []coordinator.Unanchored
	for _, i := range q.waiting {
		if len(out) < limit && !i.at.After(time.Now()) {
			i.at = time.Now().Add(lease)
			i.Attempts++
			out = append(out, i.Unanchored)
		}
	}
	return out, nil
}

func (q *queue) Anchored(_ context.Context, a coordinator.Anchor) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stored[a.Release] = a
	q.waiting = slices.DeleteFunc(q.waiting, func(i *item) bool { return i.Release == a.Release })
	return nil
}

func (q *queue) RetryAnchor(_ context.Context, release attest.Digest, reason string, pause time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, i := range q.waiting {
		if i.Release == release {
			i.at, i.reason, i.aside = time.Now().Add(pause), reason, pause
		}
	}
	return nil
}

func (q *queue) AnchorsWaiting(context.Context) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting), nil
}

func (q *queue) anchored() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.stored)
}

// start runs an anchorer until the returned function is called.
func start(t *testing.T, q *queue, r *rekor) (stop func()) {
	t.Helper()
	a, err := anchor.New(anchor.Config{Store: q, URL: "https://" + origin, Key: r.log.Key.VerifierKey})
	if err != nil {
		t.Fatal(err)
	}
	a.ReachThrough(r)
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { _ = a.Run(ctx) })
	return func() { cancel(); ended.Wait() }
}

// replace gives an answer another body.
func replace(w *httptest.ResponseRecorder, change func([]byte) []byte) {
	body := change(bytes.Clone(w.Body.Bytes()))
	w.Body.Reset()
	_, _ = w.Body.Write(body)
}
