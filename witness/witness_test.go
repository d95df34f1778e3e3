package witness_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/witness"
)

const origin = "log.example.org"

var (
	start  = time.Unix(1_800_000_000, 0)
	client = &http.Client{Timeout: time.Minute}
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func private(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func logKey(t testing.TB, name string, seed byte) attest.SigningKey {
	t.Helper()
	k, err := attest.NewSigningKey(name, private(seed))
	must(t, err)
	return k
}

func witnessKey(t testing.TB) attest.SigningKey {
	t.Helper()
	k, err := attest.NewCosigningKey("witness.example.net", private(99))
	must(t, err)
	return k
}

// history is a log in memory, whose leaves are of one writer.
type history struct {
	key    attest.SigningKey
	hashes []tlog.Hash
	size   int64
}

func (h *history) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = h.hashes[x]
	}
	return out, nil
}

func newHistory(t testing.TB, key attest.SigningKey, writer string, size int64) *history {
	t.Helper()
	h := &history{key: key}
	for ; h.size < size; h.size++ {
		stored, err := tlog.StoredHashes(h.size, fmt.Appendf(nil, "%s %d", writer, h.size), h)
		must(t, err)
		h.hashes = append(h.hashes, stored...)
	}
	return h
}

func (h *history) checkpoint(t testing.TB, size int64) []byte {
	t.Helper()
	root, err := tlog.TreeHash(size, h)
	must(t, err)
	return sign(t, fmt.Sprintf("%s\n%d\n%s\n", h.key.Name(), size, root), h.key)
}

// request asks for a size, from an old one.
func (h *history) request(t testing.TB, old, size int64) []byte {
	t.Helper()
	r := translog.AddCheckpoint{Old: old, Checkpoint: h.checkpoint(t, size)}
	if old > 0 && old < size {
		proof, err := tlog.ProveTree(size, old, h)
		must(t, err)
		r.Proof = proof
	}
	return r.Marshal()
}

type signer struct{ attest.SigningKey }

func (s signer) KeyHash() uint32 { return s.ID() }

func sign(t testing.TB, text string, keys ...attest.SigningKey) []byte {
	t.Helper()
	var signers []note.Signer
	for _, k := range keys {
		signers = append(signers, signer{k})
	}
	signed, err := note.Sign(&note.Note{Text: text}, signers...)
	must(t, err)
	return signed
}

// house is a witness over HTTP.
type house struct {
	*witness.Witness

	config witness.Config
	url    string
	clock  time.Time
}

func newHouse(t testing.TB, logs ...attest.SigningKey) *house {
	t.Helper()
	h := &house{clock: start}
	h.config = witness.Config{Key: witnessKey(t), Dir: filepath.Join(t.TempDir(), "memory"), Now: func() time.Time { return h.clock }}
	for _, k := range logs {
		h.config.Logs = append(h.config.Logs, k.VerifierKey)
	}
	must(t, witness.Create(h.config.Dir, h.config.Key.VerifierKey))
	h.open(t)
	return h
}

// open starts the witness anew over its memory.
func (h *house) open(t testing.TB) {
	t.Helper()
	if h.Witness != nil {
		must(t, h.Close())
	}
	w, err := witness.Open(h.config)
	must(t, err)
	server := httptest.NewServer(w.Handler())
	t.Cleanup(server.Close)
	h.Witness, h.url = w, server.URL
}

// post returns status, type and body.
func post(t testing.TB, url string, body []byte) (int, string, string) {
	t.Helper()
	resp, err := client.Post(url+"/add-checkpoint", "", bytes.NewReader(body))
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, resp.Header.Get("Content-Type"), string(text)
}

func (h *house) want(t testing.TB, what string, body []byte, status int) string {
	t.Helper()
	got, kind, text := post(t, h.url, body)
	if got != status {
		t.Fatalf("%s: status %d, want %d: %s", what, got, status, text)
	}
	if want := "text/x.tlog.size"; (kind == want) != (status == http.StatusConflict) {
		t.Errorf("%s: status %d of type %q", what, got, kind)
	}
	return text
}

func TestGrowingLogIsCosigned(t *testing.T) {
	log := newHistory(t, logKey(t, origin, 1), "writer", 300)
	h := newHouse(t, log.key)
	known := translog.Witnesses{Keys: []attest.VerifierKey{h.config.Key.VerifierKey}, Quorum: 1}
	old := int64(0)
	for _, size := range []int64{0, 0, 1, 7, 7, 256, 257, 300} {
		h.clock = h.clock.Add(time.Second)
		line := h.want(t, fmt.Sprint("size ", size), log.request(t, old, size), http.StatusOK)
		at, _, err := known.Time(append(log.checkpoint(t, size), line...))
		if err != nil || at != attest.At(h.clock) {
			t.Errorf("size %d: cosigned at %v, %v", size, at, err)
		}
		old = size
		h.open(t) // a restart forgets nothing
	}
	if got := h.want(t, "from nothing", log.request(t, 0, 300), http.StatusConflict); got != "300\n" {
		t.Errorf("conflict tells %q", got)
	}
}

func TestWhatDoesNotContinueIsRefused(t *testing.T) {
	key := logKey(t, origin, 1)
	log, other := newHistory(t, key, "writer", 20), newHistory(t, key, "another", 20)
	h := newHouse(t, key)
	h.want(t, "first", log.request(t, 0, 10), http.StatusOK)
	proven := func(old int64, of *history, size int64) []byte { return of.request(t, old, size) }
	withProof := func(body []byte, proof ...tlog.Hash) []byte {
		r, err := translog.ParseAddCheckpoint(body)
		must(t, err)
		r.Proof = proof
		return r.Marshal()
	}
	empty := func(root tlog.Hash) []byte {
		return translog.AddCheckpoint{Checkpoint: sign(t, fmt.Sprintf("%s\n0\n%s\n", origin, root), key)}.Marshal()
	}
	for what, c := range map[string]struct {
		body   []byte
		status int
	}{
		"rolled back":                 {log.request(t, 5, 8), http.StatusConflict},
		"rolled back, from nothing":   {log.request(t, 0, 8), http.StatusConflict},
		"old above the checkpoint":    {log.request(t, 10, 8), http.StatusBadRequest},
		"old too small":               {proven(9, log, 12), http.StatusConflict},
		"old too large":               {proven(11, log, 12), http.StatusConflict},
		"forged root of another size": {proven(10, other, 12), http.StatusUnprocessableEntity},
		"forged root of this size":    {other.request(t, 10, 10), http.StatusUnprocessableEntity},
		"no proof":                    {withProof(proven(10, log, 12)), http.StatusUnprocessableEntity},
		"proof of another history":    {withProof(proven(10, log, 12), tlog.Hash{1}, tlog.Hash{2}), http.StatusUnprocessableEntity},
		"proof where none is needed":  {withProof(log.request(t, 10, 10), tlog.Hash{1}), http.StatusUnprocessableEntity},
	} {
		text := h.want(t, what, c.body, c.status)
		if c.status == http.StatusConflict && text != "10\n" {
			t.Errorf("%s: conflict tells %q", what, text)
		}
	}
	// For a log that was never cosigned.
	fresh := newHouse(t, key)
	fresh.want(t, "proof from nothing", withProof(log.request(t, 0, 3), tlog.Hash{1}), http.StatusUnprocessableEntity)
	fresh.want(t, "empty tree with another root", empty(tlog.Hash{1}), http.StatusUnprocessableEntity)
	fresh.want(t, "empty tree", empty(tlog.Hash(attest.SHA256(nil))), http.StatusOK)
	if got := fresh.want(t, "old of a log never seen", log.request(t, 2, 3), http.StatusConflict); got != "0\n" {
		t.Errorf("conflict tells %q", got)
	}
	// And the log goes on as if nothing had been.
	h.want(t, "next", log.request(t, 10, 20), http.StatusOK)
}

func TestOnlyKnownLogsAreHeard(t *testing.T) {
	known, next, stranger := logKey(t, origin, 1), logKey(t, origin, 2), logKey(t, "log.example.com", 3)
	foreign := logKey(t, "example.com/2026/a", 4)
	h := newHouse(t, known, next, foreign)
	text := origin + "\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
	ask := func(checkpoint []byte) []byte { return translog.AddCheckpoint{Checkpoint: checkpoint}.Marshal() }
	bad := append(sign(t, text, known), bytes.SplitAfterN(sign(t, text+"x\n", next), []byte("\n\n"), 2)[1]...)
	for what, c := range map[string]struct {
		body   []byte
		status int
	}{
		"unknown origin":               {newHistory(t, stranger, "writer", 3).request(t, 0, 3), http.StatusNotFound},
		"known origin, unknown key":    {ask(sign(t, text, logKey(t, origin, 5))), http.StatusForbidden},
		"known origin, stranger's key": {ask(sign(t, text, stranger)), http.StatusForbidden},
		"one known key signed badly":   {ask(bad), http.StatusForbidden},
		"nothing":                      {nil, http.StatusBadRequest},
		"garbage":                      {bytes.Repeat([]byte{0xff, 0, '\n', '\n'}, 100), http.StatusBadRequest},
		"no checkpoint":                {[]byte("old 0\n\n"), http.StatusBadRequest},
		"unsigned":                     {ask([]byte(text)), http.StatusBadRequest},
		"too many hashes":              {append([]byte("old 1\n"), bytes.Repeat([]byte(strings.Repeat("A", 43)+"=\n"), 64)...), http.StatusBadRequest},
		"size in words":                {ask(sign(t, origin+"\nten\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n", known)), http.StatusBadRequest},
		"oversized":                    {bytes.Repeat([]byte("x"), translog.MaxAddCheckpoint+1), http.StatusRequestEntityTooLarge},
		"no room for a cosignature": {ask(sign(t, text+strings.Repeat(strings.Repeat("x", 999)+"\n", 65)+strings.Repeat("x", translog.MaxCheckpoint-65000-len(text)-200)+"\n",
			known)), http.StatusBadRequest},
	} {
		h.want(t, what, c.body, c.status)
	}
	h.want(t, "signed by the log's next key, and a stranger", ask(sign(t, text, stranger, next)), http.StatusOK)
	h.want(t, "of an origin that is no host name", newHistory(t, foreign, "writer", 3).request(t, 0, 3), http.StatusOK)
	h.open(t)
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/add-checkpoint", http.StatusMethodNotAllowed}, {http.MethodPut, "/add-checkpoint", http.StatusMethodNotAllowed}, {http.MethodPost, "/", http.StatusNotFound},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, h.url+c.path, nil)
		must(t, err)
		resp, err := client.Do(req)
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%s %s: status %d, want %d", c.method, c.path, resp.StatusCode, c.status)
		}
	}
}

func TestMonitorsReadTheLastCheckpointOfEachLog(t *testing.T) {
	log := newHistory(t, logKey(t, origin, 1), "writer", 5)
	h := newHouse(t, log.key)
	get := func(path string) (int, string) {
		resp, err := client.Get(h.url + path)
		must(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		return resp.StatusCode, string(body)
	}
	path := "/" + attest.SHA256([]byte(origin)).String() + "/checkpoint"
	if status, _ := get(path); status != http.StatusNotFound {
		t.Errorf("of a log never cosigned: status %d", status)
	}
	// Lines that nobody verified are not handed on.
	body := append(log.request(t, 0, 5), "— stranger AAAAAAAA\n"...)
	line := h.want(t, "cosigned", body, http.StatusOK)
	want := string(log.checkpoint(t, 5)) + line
	for range 2 {
		if status, got := get(path); status != http.StatusOK || got != want {
			t.Errorf("status %d, %q, want %q", status, got, want)
		}
		h.open(t)
	}
	for _, path := range []string{"/" + strings.ToUpper(attest.SHA256([]byte(origin)).String()) + "/checkpoint", "/log.example.org/checkpoint", "/witness/checkpoint"} {
		if status, _ := get(path); status != http.StatusNotFound {
			t.Errorf("%s: status %d", path, status)
		}
	}
}

// What a log has signed is public. Whoever sends it back with nonsense must
// neither raise the alarm of a fork nor fill the disk.
func TestOnlyWhatMayProveAForkIsCountedAndKept(t *testing.T) {
	key := logKey(t, origin, 1)
	log, rival := newHistory(t, key, "writer", 5), newHistory(t, key, "rival", 5)
	h := newHouse(t, key)
	var kept bytes.Buffer
	h.config.Logger = slog.New(slog.NewTextHandler(&kept, nil))
	h.open(t)
	count := func() int {
		registry := prometheus.NewRegistry()
		registry.MustRegister(h.Collectors()...)
		families, err := registry.Gather()
		must(t, err)
		for _, f := range families {
			if f.GetName() == "reprosign_witness_contradictions_total" {
				return int(f.GetMetric()[0].GetCounter().GetValue())
			}
		}
		return 0
	}
	nonsense := func(old, size int64) []byte {
		return translog.AddCheckpoint{Old: old, Proof: []tlog.Hash{{1}}, Checkpoint: log.checkpoint(t, size)}.Marshal()
	}
	h.want(t, "first, with a proof", nonsense(0, 3), http.StatusUnprocessableEntity)
	h.want(t, "first", log.request(t, 0, 3), http.StatusOK)
	h.want(t, "the same, with a proof", nonsense(3, 3), http.StatusUnprocessableEntity)
	if count() != 0 || kept.Len() != 0 {
		t.Errorf("nonsense counts as %d contradictions: %s", count(), kept.String())
	}
	stuffed := append(rival.request(t, 3, 3), "— stranger "+strings.Repeat("A", 60_000)+"\n"...)
	h.want(t, "a rival", stuffed, http.StatusUnprocessableEntity)
	signed := strings.Fields(string(rival.checkpoint(t, 3)))
	if text := kept.String(); count() != 1 || len(text) > 1000 || !strings.Contains(text, signed[len(signed)-1]) {
		t.Errorf("%d contradictions, %d bytes kept: %.1000s", count(), len(text), text)
	}
	h.want(t, "a rival that has grown", rival.request(t, 3, 5), http.StatusUnprocessableEntity)
	if count() != 2 {
		t.Errorf("%d contradictions, want 2", count())
	}
}

func TestTimeNeverGoesBack(t *testing.T) {
	log := newHistory(t, logKey(t, origin, 1), "writer", 5)
	h := newHouse(t, log.key)
	h.want(t, "first", log.request(t, 0, 3), http.StatusOK)
	h.clock = start.Add(-time.Second)
	h.want(t, "a second before", log.request(t, 3, 5), http.StatusServiceUnavailable)
	h.open(t)
	h.want(t, "and after a restart", log.request(t, 3, 5), http.StatusServiceUnavailable)
	h.clock = start
	h.want(t, "at the same second", log.request(t, 3, 5), http.StatusOK)
}

func TestWithoutItsMemoryAWitnessSaysNothing(t *testing.T) {
	log := newHistory(t, logKey(t, origin, 1), "writer", 5)
	h := newHouse(t, log.key)
	h.want(t, "first", log.request(t, 0, 3), http.StatusOK)
	if w, err := witness.Open(h.config); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("two processes over one memory: %v, %v", w, err)
	}
	if err := witness.Create(h.config.Dir, h.config.Key.VerifierKey); err == nil {
		t.Error("memory made anew over the old one")
	}
	must(t, h.Close())
	file := filepath.Join(h.config.Dir, attest.SHA256([]byte(origin)).String()+".checkpoint")
	good, err := os.ReadFile(file)
	must(t, err)
	owner, err := os.ReadFile(filepath.Join(h.config.Dir, "witness"))
	must(t, err)
	for what, c := range map[string]struct{ file, text, want string }{
		"changed":           {file, strings.Replace(string(good), "\n3\n", "\n2\n", 1), "was changed"},
		"cut off":           {file, string(good[:len(good)-10]), "was changed"},
		"without cosigning": {file, string(log.checkpoint(t, 2)), "was changed"},
		"of another key":    {filepath.Join(h.config.Dir, "witness"), strings.Replace(string(owner), "net+", "com+", 1), "belongs to key"},
	} {
		before, err := os.ReadFile(c.file)
		must(t, err)
		must(t, os.WriteFile(c.file, []byte(c.text), 0o600))
		if w, err := witness.Open(h.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v", what, w, err)
		}
		must(t, os.WriteFile(c.file, before, 0o600))
	}
	empty := h.config
	empty.Dir = t.TempDir()
	if w, err := witness.Open(empty); err == nil || !strings.Contains(err.Error(), "reprosign witness init") {
		t.Errorf("directory without memory: %v, %v", w, err)
	}
	h.Witness = nil
	h.open(t)
	h.want(t, "goes on", log.request(t, 3, 5), http.StatusOK)
}

func TestALogWhoseCheckpointIsGoneIsNotBegunAnew(t *testing.T) {
	log, other := newHistory(t, logKey(t, origin, 1), "writer", 5), newHistory(t, logKey(t, "other.example.org", 2), "writer", 5)
	h := newHouse(t, log.key, other.key)
	h.want(t, "first", log.request(t, 0, 3), http.StatusOK)
	h.want(t, "first of another", other.request(t, 0, 2), http.StatusOK)
	list := filepath.Join(h.config.Dir, "cosigned")
	for _, gone := range []string{origin, "other.example.org"} {
		must(t, h.Close())
		file := filepath.Join(h.config.Dir, attest.SHA256([]byte(gone)).String()+".checkpoint")
		must(t, os.Rename(file, file+".away"))
		w, err := witness.Open(h.config)
		for _, part := range []string{gone, file, "is gone", "new key"} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("opened %v, %v; want an error that says %q", w, err, part)
			}
		}
		must(t, os.Rename(file+".away", file))
		must(t, os.Remove(list)) // as of a memory that is older than the list: it is made again
		h.Witness = nil
		h.open(t)
	}
	h.want(t, "goes on", log.request(t, 3, 5), http.StatusOK)
	h.want(t, "another goes on", other.request(t, 2, 5), http.StatusOK)
}

func TestACrashBetweenCheckpointAndListLosesNothing(t *testing.T) {
	log := newHistory(t, logKey(t, origin, 1), "writer", 5)
	h := newHouse(t, log.key)
	list := filepath.Join(h.config.Dir, "cosigned")
	must(t, os.Mkdir(list+".new", 0o700)) // where the list would be written
	h.want(t, "without a list", log.request(t, 0, 3), http.StatusInternalServerError)
	must(t, os.Remove(list+".new"))
	h.open(t)
	h.want(t, "from the beginning", log.request(t, 0, 3), http.StatusConflict)
	h.want(t, "from where it was", log.request(t, 3, 5), http.StatusOK)
	if text, err := os.ReadFile(list); err != nil || string(text) != origin+"\n" {
		t.Errorf("the list is %q, %v", text, err)
	}
}

func TestNothingIsAnsweredThatTheDiskDoesNotHave(t *testing.T) {
	log := newHistory(t, logKey(t, origin, 1), "writer", 5)
	h := newHouse(t, log.key)
	h.want(t, "first", log.request(t, 0, 3), http.StatusOK)
	file := filepath.Join(h.config.Dir, attest.SHA256([]byte(origin)).String()+".checkpoint")
	// A directory where the new file would be written.
	must(t, os.Mkdir(file+".new", 0o700))
	if text := h.want(t, "disk broken", log.request(t, 3, 5), http.StatusInternalServerError); strings.Contains(text, "—") || strings.Contains(text, h.config.Dir) {
		t.Errorf("answer with a broken disk: %q", text)
	}
	must(t, os.Remove(file+".new"))
	// What a crash leaves of a write that never ended is no memory.
	must(t, os.WriteFile(file+".new", []byte("half a checkp"), 0o600))
	h.open(t)
	h.want(t, "disk whole again", log.request(t, 3, 5), http.StatusOK)
}

func TestWitnessIsOpenedOnlyWithWhatMakesOne(t *testing.T) {
	good := newHouse(t, logKey(t, origin, 1))
	must(t, good.Close())
	for what, spoil := range map[string]func(c *witness.Config){
		"no logs":        func(c *witness.Config) { c.Logs = nil },
		"log twice":      func(c *witness.Config) { c.Logs = slices.Concat(c.Logs, c.Logs) },
		"log's key used": func(c *witness.Config) { c.Key = logKey(t, "witness.example.net", 99) },
		"witness as log": func(c *witness.Config) { c.Logs = []attest.VerifierKey{c.Key.VerifierKey} },
		"no key":         func(c *witness.Config) { c.Key = attest.SigningKey{} },
		"no directory":   func(c *witness.Config) { c.Dir = filepath.Join(c.Dir, "none") },
	} {
		c := good.config
		spoil(&c)
		if w, err := witness.Open(c); err == nil {
			t.Errorf("%s: opened %v", what, w)
		}
	}
}
