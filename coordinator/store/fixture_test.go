package store_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/sequencer"
	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/box/boxtest"
)

func TestMain(m *testing.M) { boxtest.Main(m) }

func migrate(dsn string) error { return store.Migrate(context.Background(), dsn) }

const (
	suite       = "stable"
	fingerprint = "0123456789ABCDEF0123456789ABCDEF01234567"
	second      = "FEDCBA9876543210FEDCBA9876543210FEDCBA98"
)

// world is a migrated database with one policy and the keys of all parties.
type world struct {
	t           testing.TB
	dsn         string
	writer      *store.Writer
	reader      *store.Reader
	coordinator attest.SigningKey
	signer      attest.SigningKey
	agents      map[string]attest.SigningKey
	policy      attest.Digest
	sequencer   *sequencer.Sequencer
}

func newWorld(t testing.TB) *world { return worldOn(t, boxtest.Database(t, migrate)) }

func worldOn(t testing.TB, dsn string) *world {
	w := &world{
		t: t, dsn: dsn, agents: map[string]attest.SigningKey{},
		coordinator: p256(t, "coordinator-1"), signer: p256(t, "signer-1"),
	}
	w.writer, w.reader = openWriter(t, dsn), openReader(t, dsn)
	w.policy = w.addPolicy(1)
	var err error
	w.sequencer, err = sequencer.New(w.writer, ed(t, "log.example.org"), nil)
	must(t, err)
	return w
}

func openWriter(t testing.TB, dsn string) *store.Writer {
	w, err := store.OpenWriter(t.Context(), dsn, nil)
	must(t, err)
	t.Cleanup(w.Close)
	return w
}

func openReader(t testing.TB, dsn string) *store.Reader {
	r, err := store.OpenReader(t.Context(), dsn)
	must(t, err)
	t.Cleanup(r.Close)
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func p256(t testing.TB, name string) attest.SigningKey {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	key, err := attest.NewSigningKey(name, private)
	must(t, err)
	return key
}

func ed(t testing.TB, name string) attest.SigningKey {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	key, err := attest.NewSigningKey(name, private)
	must(t, err)
	return key
}

func (w *world) agent(name string) attest.SigningKey {
	if _, ok := w.agents[name]; !ok {
		w.agents[name] = ed(w.t, name)
	}
	return w.agents[name]
}

// entry makes the log entry of an envelope sealed with a P-256 key.
func (w *world) entry(e *attest.Envelope, key attest.SigningKey) coordinator.Entry {
	w.t.Helper()
	leaf, err := translog.Leaf(e, key.VerifierKey)
	must(w.t, err)
	body, err := e.Encode()
	must(w.t, err)
	return coordinator.Entry{Leaf: leaf, Bodies: map[attest.Digest][]byte{translog.BodyDigest(e): body}}
}

func (w *world) record(kind attest.RecordKind, envelopes ...*attest.Envelope) coordinator.Entry {
	w.t.Helper()
	r, err := attest.NewRecord(w.coordinator.Name(), kind, envelopes...)
	must(w.t, err)
	sealed, err := r.Seal(w.coordinator)
	must(w.t, err)
	entry := w.entry(sealed, w.coordinator)
	for _, e := range envelopes {
		entry.Bodies[e.Digest()], err = e.Encode()
		must(w.t, err)
	}
	return entry
}

// addPolicy stores a policy. The store never looks into it.
func (w *world) addPolicy(serial uint64) attest.Digest {
	w.t.Helper()
	e, err := attest.Seal(attest.PolicyType, fmt.Appendf(nil, `{"serial":%d}`, serial), ed(w.t, "admin"))
	must(w.t, err)
	must(w.t, w.writer.AddPolicy(w.t.Context(), serial, e.Digest(), e, w.record(attest.RecordPolicy, e)))
	return e.Digest()
}

func (w *world) submission(source, version string, claim *attest.Claim) coordinator.Submission {
	w.t.Helper()
	r := attest.Request{
		Publisher: "publisher-1", Suite: suite, Source: source, Version: version, Architecture: "amd64",
		Recipe: attest.Recipe{
			Backend: "golang",
			Sources: []attest.Source{{Name: "source.tar", SHA256: attest.SHA256([]byte(source + version)), Size: 1, URLs: []string{"https://example.org/source.tar"}}},
		},
	}
	if claim != nil {
		r.Claim = claim.Digest()
	}
	e, err := r.Seal(ed(w.t, r.Publisher))
	must(w.t, err)
	return coordinator.Submission{Digest: e.Digest(), Envelope: e, Request: r, Claim: claim}
}

// rules are what tests vary of a release.
type rules struct {
	invited    []coordinator.Invited
	threshold  int
	maxDissent int
	settle     time.Duration
	deadline   time.Duration
	retries    int
	attempt    int
}

// operators invites one rebuilder each.
func operators(names ...string) []coordinator.Invited {
	var out []coordinator.Invited
	for _, n := range names {
		out = append(out, coordinator.Invited{Rebuilder: n, Operator: "op-" + n})
	}
	return out
}

func (w *world) newRelease(s coordinator.Submission, r rules) coordinator.NewRelease {
	w.t.Helper()
	if r.deadline == 0 {
		r.deadline = time.Hour
	}
	now := attest.At(w.now())
	o := attest.Opening{
		Coordinator: w.coordinator.Name(), Request: s.Digest, Policy: w.policy, PolicySerial: 1, Attempt: max(r.attempt, 1),
		Opened: now, Deadline: now.Add(r.deadline),
	}
	if r.deadline < 0 { // long over
		o.Opened, o.Deadline = now.Add(2*r.deadline), now.Add(r.deadline)
	}
	_, _ = rand.Read(o.Nonce[:])
	e, err := o.Seal(w.coordinator)
	must(w.t, err)
	distinct := map[string]bool{}
	for _, i := range r.invited {
		distinct[i.Operator] = true
	}
	return coordinator.NewRelease{
		ID: e.Digest(), Opening: o, Envelope: e, Entry: w.entry(e, w.coordinator), Suite: suite, Invited: r.invited,
		Operators: len(distinct), Threshold: r.threshold, MaxDissent: r.maxDissent, Settle: r.settle, Retries: r.retries,
	}
}

func (w *world) now() time.Time {
	now, err := w.writer.Now(w.t.Context())
	must(w.t, err)
	return now
}

// open submits a request for a source and opens its first attempt.
func (w *world) open(source, version string, r rules) coordinator.NewRelease {
	w.t.Helper()
	s := w.submission(source, version, nil)
	_, _, err := w.writer.Submit(w.t.Context(), s, 1<<20)
	must(w.t, err)
	n := w.newRelease(s, r)
	must(w.t, w.writer.Open(w.t.Context(), n))
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
		a, state, err := attest.HashArtifact(bytes.NewReader([]byte(name+content)), name, "deb")
		must(t, err)
		b.artifacts, b.states = append(b.artifacts, a), append(b.states, state)
	}
	var err error
	b.set, err = b.artifacts.SetDigest()
	must(t, err)
	return b
}

func (w *world) vote(release attest.Digest, rebuilder string, b built) coordinator.Incoming {
	w.t.Helper()
	in := w.incoming(attest.Rebuild{Release: release, Rebuilder: rebuilder, Outcome: attest.Built, Set: b.set})
	in.Artifacts, in.States = b.artifacts, b.states
	return in
}

func (w *world) report(release attest.Digest, rebuilder string, outcome attest.Outcome) coordinator.Incoming {
	w.t.Helper()
	return w.incoming(attest.Rebuild{Release: release, Rebuilder: rebuilder, Outcome: outcome, Source: attest.SHA256([]byte("source"))})
}

func (w *world) incoming(r attest.Rebuild) coordinator.Incoming {
	w.t.Helper()
	r.Isolation, r.Started, r.Finished = attest.IsolationUID, 1700000000, 1700000100
	_, _ = rand.Read(r.Log[:])
	e, err := r.Seal(w.agent(r.Rebuilder))
	must(w.t, err)
	return coordinator.Incoming{Statement: e.Digest(), Envelope: e, Rebuild: r}
}

func (w *world) ingest(batch ...coordinator.Incoming) []coordinator.Disposition {
	w.t.Helper()
	d, err := w.writer.Ingest(w.t.Context(), batch)
	must(w.t, err)
	return d
}

// judge closes at n agreeing operators and ends at the deadline.
func judge(threshold int) func(coordinator.Case, attest.Time) coordinator.Transition {
	return func(c coordinator.Case, at attest.Time) coordinator.Transition {
		agree := map[attest.Digest]int{}
		void := map[string]bool{}
		for _, o := range c.Objections {
			void[o.Rebuilder] = true
		}
		for _, v := range c.Votes {
			if v.Outcome == attest.Built && !void[v.Rebuilder] {
				agree[v.Set]++
				if agree[v.Set] >= threshold {
					return coordinator.Transition{State: coordinator.Building, Close: true, Set: v.Set, Reason: "enough agree"}
				}
			}
		}
		if at > c.Opening.Deadline {
			return coordinator.Transition{State: coordinator.Expired, Reason: "deadline passed", Retry: true}
		}
		return coordinator.Transition{State: coordinator.Building, Reason: "waiting", Due: c.Opening.Deadline.Add(time.Second)}
	}
}

func (w *world) evaluate() int {
	w.t.Helper()
	n, _, err := w.writer.Evaluate(w.t.Context(), 1000, 0, judge(2))
	must(w.t, err)
	return n
}

func (w *world) claim(lease time.Duration) []coordinator.Undecided {
	w.t.Helper()
	u, err := w.writer.ClaimUndecided(w.t.Context(), 100, lease)
	must(w.t, err)
	return u
}

// decision seals what a signer would answer to u.
func (w *world) decision(u coordinator.Undecided, certificates ...string) coordinator.Decision {
	w.t.Helper()
	set, err := u.Artifacts.SetDigest()
	must(w.t, err)
	d := attest.Decision{
		Signer: w.signer.Name(), Release: u.Release, Request: u.RequestDigest, Policy: w.policy, PolicySerial: 1,
		Decided: attest.At(w.now()), Ground: attest.GroundQuorum, Set: set, Artifacts: attest.AgreedOf(u.Artifacts),
		Threshold: 2, Operators: 3, Blind: true,
	}
	for _, e := range u.Votes {
		d.Votes = append(d.Votes, e.Digest())
	}
	e, err := d.Seal(w.signer)
	must(w.t, err)
	return coordinator.Decision{
		Release: u.Release, Fence: u.Fence, Envelope: e, Decision: d, Entry: w.entry(e, w.signer), Certificates: certificates,
	}
}

// decide brings a release with enough votes to a stored decision.
func (w *world) decide(release attest.Digest, certificates ...string) {
	w.t.Helper()
	w.evaluate()
	for _, u := range w.claim(time.Minute) {
		if u.Release != release {
			continue
		}
		refused, err := w.writer.Decide(w.t.Context(), []coordinator.Decision{w.decision(u, certificates...)})
		must(w.t, err)
		if len(refused) > 0 {
			w.t.Fatalf("decision refused: %v", refused)
		}
		return
	}
	w.t.Fatalf("release %s is not undecided", release.Short())
}

// made is a signer's answer to a job.
func (w *world) made(j coordinator.Job) coordinator.Made {
	w.t.Helper()
	m := coordinator.Made{Job: j, Signatures: map[string][]byte{}, Certificate: []byte("certificate " + j.Certificate), Evidence: []byte("{}")}
	if len(j.Missing) == 0 {
		return m
	}
	s := attest.SignaturesMade{
		Signer: w.signer.Name(), Release: j.Release, Decision: j.Decision.Digest(), LogIndex: j.LogIndex,
		Certificate: j.Certificate, Kind: attest.DetachedBinary,
	}
	for _, a := range j.Artifacts {
		for _, name := range j.Missing {
			if name == a.Name {
				m.Signatures[name] = fmt.Appendf(nil, "signature of %s on %s", a.SHA512, j.Decision.Digest())
				s.Signatures = append(s.Signatures, attest.ArtifactSignature{
					Artifact: name, SHA512: a.SHA512, Signature: attest.SHA256(m.Signatures[name]),
				})
			}
		}
	}
	e, err := s.Seal(w.signer)
	must(w.t, err)
	entry := w.entry(e, w.signer)
	m.Envelope, m.Entry = e, &entry
	return m
}

// publish integrates the log and publishes a checkpoint.
func (w *world) publish() {
	w.t.Helper()
	must(w.t, w.sequencer.Drain(w.t.Context()))
}

func (w *world) jobs() []coordinator.Job {
	w.t.Helper()
	j, err := w.writer.ClaimJobs(w.t.Context(), 100, time.Minute)
	must(w.t, err)
	return j
}

func (w *world) state(release attest.Digest) coordinator.State {
	w.t.Helper()
	r, err := w.writer.Release(w.t.Context(), release)
	must(w.t, err)
	return r.State
}

func (w *world) view(release attest.Digest) *coordinator.View {
	w.t.Helper()
	v, err := w.reader.View(w.t.Context(), release)
	must(w.t, err)
	return v
}

// connect opens a connection as the cluster's superuser, in the given role.
func (w *world) connect(role string) *pgx.Conn {
	w.t.Helper()
	config, err := pgx.ParseConfig(w.dsn)
	must(w.t, err)
	config.RuntimeParams["search_path"] = "reprosign, pg_temp"
	if role != "" {
		config.RuntimeParams["role"] = role
	}
	conn, err := pgx.ConnectConfig(w.t.Context(), config)
	must(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// count runs a query for one number as the owner.
func (w *world) count(sql string) int {
	w.t.Helper()
	var n int
	must(w.t, w.connect("").QueryRow(w.t.Context(), sql).Scan(&n))
	return n
}
