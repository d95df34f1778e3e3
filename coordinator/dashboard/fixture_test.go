package dashboard_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/dashboard"
	"github.com/reprosign/reprosign/coordinator/sequencer"
	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/box/boxtest"
)

func TestMain(m *testing.M) { boxtest.Main(m) }

func migrate(dsn string) error { return store.Migrate(context.Background(), dsn) }

// threshold and rebuilders of every world.
const (
	threshold  = 3
	rebuilders = 4
)

// house is a real database with a policy in it, written as the coordinator
// writes it, and the dashboard over the read-only role.
type house struct {
	t         testing.TB
	world     *evidencetest.World
	writer    *store.Writer
	reader    *store.Reader
	sequencer *sequencer.Sequencer
	server    *httptest.Server
	logged    *lockedBuffer
}

// lockedBuffer is a log that a test may read while others write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newHouse(t testing.TB) *house { return newHouseWith(t, 0) }

// newHouseWith is a house whose policy names witnesses.
func newHouseWith(t testing.TB, witnesses int) *house {
	dsn := boxtest.Database(t, migrate)
	h := &house{
		t: t, logged: &lockedBuffer{},
		world: evidencetest.New(t, evidencetest.Options{Rebuilders: rebuilders, Threshold: threshold, Witnesses: witnesses}),
	}
	var err error
	h.writer, err = store.OpenWriter(t.Context(), dsn, nil)
	must(t, err)
	t.Cleanup(h.writer.Close)
	h.reader, err = store.OpenReader(t.Context(), dsn)
	must(t, err)
	t.Cleanup(h.reader.Close)
	h.sequencer, err = sequencer.New(h.writer, h.world.Log.Key, nil)
	must(t, err)
	must(t, h.writer.AddPolicy(t.Context(), 1, h.world.Version.Digest, h.world.Envelope, h.record(h.world.Envelope)))
	h.server = serve(t, h.reader, h.logged)
	return h
}

// serve serves a reader's board.
func serve(t testing.TB, r dashboard.Reader, logTo io.Writer) *httptest.Server {
	board, err := dashboard.New(dashboard.Config{Reader: r, Logger: slog.New(slog.NewTextHandler(logTo, nil))})
	must(t, err)
	server := httptest.NewServer(board.Handler())
	t.Cleanup(server.Close)
	return server
}

func (h *house) entry(e *attest.Envelope, key attest.SigningKey) coordinator.Entry {
	h.t.Helper()
	leaf, err := translog.Leaf(e, key.VerifierKey)
	must(h.t, err)
	body, err := e.Encode()
	must(h.t, err)
	return coordinator.Entry{Leaf: leaf, Bodies: map[attest.Digest][]byte{translog.BodyDigest(e): body}}
}

func (h *house) record(e *attest.Envelope) coordinator.Entry {
	h.t.Helper()
	r, err := attest.NewRecord(h.world.Coordinator.Name(), attest.RecordPolicy, e)
	must(h.t, err)
	sealed, err := r.Seal(h.world.Coordinator)
	must(h.t, err)
	entry := h.entry(sealed, h.world.Coordinator)
	entry.Bodies[e.Digest()], err = e.Encode()
	must(h.t, err)
	return entry
}

// open opens attempt 1 of a request.
func (h *house) open(source, version string) coordinator.NewRelease {
	h.t.Helper()
	r := attest.Request{
		Publisher: h.world.Publisher.Name(), Suite: evidencetest.Suite, Source: source, Version: version, Architecture: "amd64",
		Recipe: attest.Recipe{Backend: "command", Sources: []attest.Source{{Name: "s.tar", SHA256: attest.SHA256([]byte(source + version)), Size: 1}}},
	}
	request, err := r.Seal(h.world.Publisher)
	must(h.t, err)
	_, _, err = h.writer.Submit(h.t.Context(), coordinator.Submission{Digest: request.Digest(), Envelope: request, Request: r}, 1<<20)
	must(h.t, err)
	return h.attempt(request, 1)
}

func (h *house) attempt(request *attest.Envelope, attempt int) coordinator.NewRelease {
	h.t.Helper()
	now, err := h.writer.Now(h.t.Context())
	must(h.t, err)
	o := attest.Opening{
		Coordinator: h.world.Coordinator.Name(), Request: request.Digest(), Policy: h.world.Version.Digest, PolicySerial: 1, Attempt: attempt,
		Opened: attest.At(now), Deadline: attest.At(now.Add(time.Hour)),
	}
	_, _ = rand.Read(o.Nonce[:])
	e, err := o.Seal(h.world.Coordinator)
	must(h.t, err)
	n := coordinator.NewRelease{
		ID: e.Digest(), Opening: o, Envelope: e, Entry: h.entry(e, h.world.Coordinator), Suite: evidencetest.Suite,
		Operators: rebuilders, Threshold: threshold, MaxDissent: 1, Retries: 1,
	}
	for i, key := range h.world.Rebuilders {
		n.Invited = append(n.Invited, coordinator.Invited{Rebuilder: key.Name(), Operator: h.world.Policy.Rebuilders[i].Operator})
	}
	must(h.t, h.writer.Open(h.t.Context(), n))
	return n
}

// built is what a build gave.
type built struct {
	artifacts attest.Artifacts
	states    []attest.State
	set       attest.Digest
}

func build(t testing.TB, content string, names ...string) built {
	t.Helper()
	var b built
	for _, name := range names {
		a, state, err := attest.HashArtifact(strings.NewReader(name+content), name, "deb")
		must(t, err)
		b.artifacts, b.states = append(b.artifacts, a), append(b.states, state)
	}
	b.artifacts.Sort()
	var err error
	b.set, err = b.artifacts.SetDigest()
	must(t, err)
	return b
}

// vote has the i-th rebuilder vote for a build.
func (h *house) vote(release attest.Digest, i int, b built) {
	h.t.Helper()
	h.ingest(i, attest.Rebuild{Release: release, Outcome: attest.Built, Set: b.set}, b)
}

// report has the i-th rebuilder report that it built nothing.
func (h *house) report(release attest.Digest, i int, outcome attest.Outcome) {
	h.t.Helper()
	h.ingest(i, attest.Rebuild{Release: release, Outcome: outcome, Source: attest.SHA256([]byte("source"))}, built{})
}

func (h *house) ingest(i int, r attest.Rebuild, b built) {
	h.t.Helper()
	key := h.world.Rebuilders[i]
	r.Rebuilder, r.Isolation, r.Started, r.Finished = key.Name(), attest.IsolationUID, 1700000000, 1700000100
	_, _ = rand.Read(r.Log[:])
	e, err := r.Seal(key)
	must(h.t, err)
	d, err := h.writer.Ingest(h.t.Context(), []coordinator.Incoming{{
		Statement: e.Digest(), Envelope: e, Rebuild: r, Operator: h.world.Policy.Rebuilders[i].Operator, Artifacts: b.artifacts, States: b.states,
	}})
	must(h.t, err)
	if len(d) != 1 || d[0] != coordinator.Counted && d[0] != coordinator.Contradicts {
		h.t.Fatalf("dispositions %v, want counted", d)
	}
}

// evaluate judges all releases by count alone.
func (h *house) evaluate() {
	h.t.Helper()
	_, _, err := h.writer.Evaluate(h.t.Context(), 100, 0, func(c coordinator.Case, _ attest.Time) coordinator.Transition {
		agree := map[attest.Digest]int{}
		for _, v := range c.Votes {
			if v.Outcome == attest.Built {
				agree[v.Set]++
			}
			if agree[v.Set] >= threshold {
				return coordinator.Transition{State: coordinator.Building, Close: true, Set: v.Set, Reason: "3 of 4 operators agree"}
			}
		}
		if len(c.Votes) == rebuilders {
			return coordinator.Transition{State: coordinator.Conflict, Reason: "at most 2 of 4 operators can agree, 3 needed"}
		}
		return coordinator.Transition{State: coordinator.Building, Reason: "2 of 4 operators agree; operator-3 differs", Due: c.Opening.Deadline}
	})
	must(h.t, err)
}

// expire ends an attempt that another one may follow.
func (h *house) expire(release attest.Digest) {
	h.t.Helper()
	_, _, err := h.writer.Evaluate(h.t.Context(), 100, 0, func(c coordinator.Case, at attest.Time) coordinator.Transition {
		if c.Release != release {
			return coordinator.Transition{State: coordinator.Building, Due: at.Add(time.Hour)}
		}
		return coordinator.Transition{State: coordinator.Expired, Reason: "1 of 4 operators agrees", Retry: true}
	})
	must(h.t, err)
}

func (h *house) requestOf(release attest.Digest) *attest.Envelope {
	h.t.Helper()
	r, err := h.writer.Release(h.t.Context(), release)
	must(h.t, err)
	return r.Body
}

// decide stores the decision of every release that has enough votes.
func (h *house) decide() {
	h.t.Helper()
	h.evaluate()
	closed, err := h.writer.ClaimUndecided(h.t.Context(), 100, time.Minute)
	must(h.t, err)
	for _, u := range closed {
		set, err := u.Artifacts.SetDigest()
		must(h.t, err)
		d := attest.Decision{
			Signer: h.world.Signer.Name(), Release: u.Release, Request: u.RequestDigest, Policy: h.world.Version.Digest, PolicySerial: 1,
			Decided: u.Terms.Opened + 5, Ground: attest.GroundQuorum, Set: set, Artifacts: attest.AgreedOf(u.Artifacts),
			Threshold: threshold, Operators: rebuilders, Blind: true,
		}
		for _, e := range u.Votes {
			d.Votes = append(d.Votes, e.Digest())
		}
		e, err := d.Seal(h.world.Signer)
		must(h.t, err)
		refused, err := h.writer.Decide(h.t.Context(), []coordinator.Decision{{
			Release: u.Release, Fence: u.Fence, Envelope: e, Decision: d, Entry: h.entry(e, h.world.Signer),
			Certificates: []string{h.world.Certificate.Fingerprint()},
		}})
		must(h.t, err)
		if len(refused) > 0 {
			h.t.Fatalf("decision refused: %v", refused)
		}
	}
}

// publish integrates the log and publishes its checkpoint.
func (h *house) publish() {
	h.t.Helper()
	must(h.t, h.sequencer.Drain(h.t.Context()))
}

// unpublished is a log whose checkpoints never reach the database.
type unpublished struct{ *store.Writer }

var errUnpublished = errors.New("checkpoint lost")

func (unpublished) Publish(context.Context, coordinator.Tree, []byte) error { return errUnpublished }

// integrate puts all entries into the tree and publishes no checkpoint.
func (h *house) integrate() {
	h.t.Helper()
	s, err := sequencer.New(unpublished{h.writer}, h.world.Log.Key, nil)
	must(h.t, err)
	if err := s.Drain(h.t.Context()); !errors.Is(err, errUnpublished) {
		h.t.Fatalf("integrating without publishing: %v", err)
	}
}

// sign finishes all signing jobs with signatures that a program could parse
// only as bytes: the dashboard never looks into them.
func (h *house) sign() {
	h.t.Helper()
	jobs, err := h.writer.ClaimJobs(h.t.Context(), 100, time.Minute)
	must(h.t, err)
	for _, j := range jobs {
		s := attest.SignaturesMade{
			Signer: h.world.Signer.Name(), Release: j.Release, Decision: j.Decision.Digest(), LogIndex: j.LogIndex,
			Certificate: j.Certificate, Kind: attest.DetachedBinary,
		}
		made := coordinator.Made{
			Job: j, Signatures: map[string][]byte{}, Certificate: h.world.Certificate.Binary(), Evidence: []byte(`{"evidence":"of ` + j.Release.String() + `"}`),
		}
		for _, a := range j.Artifacts {
			made.Signatures[a.Name] = signatureOf(a)
			s.Signatures = append(s.Signatures, attest.ArtifactSignature{Artifact: a.Name, SHA512: a.SHA512, Signature: attest.SHA256(signatureOf(a))})
		}
		e, err := s.Seal(h.world.Signer)
		must(h.t, err)
		entry := h.entry(e, h.world.Signer)
		made.Envelope, made.Entry = e, &entry
		must(h.t, h.writer.FinishJob(h.t.Context(), made))
	}
}

func signatureOf(a attest.Artifact) []byte { return []byte("signature of " + a.SHA512.String()) }

// signed brings a release of hello all the way: three agree, the fourth does what last does.
func (h *house) signed(version string, b built, last func(attest.Digest)) coordinator.NewRelease {
	h.t.Helper()
	n := h.open("hello", version)
	for i := range threshold {
		h.vote(n.ID, i, b)
	}
	if last != nil {
		last(n.ID)
	}
	h.decide()
	h.publish()
	h.sign()
	h.publish()
	return n
}

// answer is an HTTP answer, read.
type answer struct {
	status int
	header http.Header
	body   string
}

// get asks the dashboard, without following redirects.
func (h *house) get(path string, headers ...string) answer {
	h.t.Helper()
	return ask(h.t, h.server, http.MethodGet, path, headers...)
}

func ask(t testing.TB, server *httptest.Server, method, path string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
	must(t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	// Without a transport of its own, which would ask for gzip and hide it.
	client := &http.Client{
		Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(r)
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return answer{response.StatusCode, response.Header, string(body)}
}

// page gets a page that must be there.
func (h *house) page(path string) string {
	h.t.Helper()
	a := h.get(path)
	if a.status != http.StatusOK {
		h.t.Fatalf("%s: status %d: %s", path, a.status, a.body)
	}
	return a.body
}

// decode gets JSON that must be there.
func decode[T any](h *house, path string) T {
	h.t.Helper()
	var value T
	must(h.t, json.Unmarshal([]byte(h.page(path)), &value))
	return value
}

// wantText looks for texts as a person reads them.
func wantText(t testing.TB, body string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(body), text) {
			t.Errorf("%q is missing in:\n%.12000s", text, body)
			return
		}
	}
}

// refuseText looks for texts in the bytes as they are sent.
func refuseText(t testing.TB, body string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if i := strings.Index(body, text); i >= 0 {
			t.Errorf("%q stands in: …%.200s", text, body[max(0, i-80):])
		}
	}
}

var _ dashboard.Reader = (*store.Reader)(nil)
