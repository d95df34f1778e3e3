package store_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/sequencer"
	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/box/boxtest"
)

var appendOnly = []string{
	"policies", "requests", "claims", "openings", "withdrawals", "statements", "equivocations",
	"logged_equivocations", "artifact_sets", "rejections", "dead_letters", "decisions", "artifacts",
	"signatures", "signatures_made", "complaints", "log_leaves", "log_bodies", "log_entries", "log_checkpoints",
}

// refusedWith runs a statement and wants it refused with an SQLSTATE.
func refusedWith(t *testing.T, c interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}, code, sql string, args ...any,
) {
	t.Helper()
	_, err := c.Exec(t.Context(), sql, args...)
	wantRefused(t, err, code, sql)
}

func wantRefused(t *testing.T, err error, code, what string) {
	t.Helper()
	if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Code != code {
		t.Errorf("%s\ngave %v, want SQLSTATE %s", what, err, code)
	}
}

const (
	insufficientPrivilege = "42501"
	restrictViolation     = "23001"
	checkViolation        = "23514"
	uniqueViolation       = "23505"
	foreignKeyViolation   = "23503"
)

func TestWhatIsSignedCanOnlyBeAddedTo(t *testing.T) {
	w := newWorld(t)
	owner, role := w.connect(""), w.connect("reprosign_coordinator")
	for _, table := range appendOnly {
		var column string
		must(t, owner.QueryRow(t.Context(), `SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum = 2`, table).Scan(&column))
		for _, sql := range []string{
			"UPDATE " + table + " SET " + column + " = " + column,
			"DELETE FROM " + table,
			"TRUNCATE " + table + " CASCADE",
		} {
			refusedWith(t, role, insufficientPrivilege, sql)
			refusedWith(t, owner, restrictViolation, sql)
		}
	}
	for _, table := range []string{"releases", "names", "signing_jobs", "log_state", "log_tiles", "evidence_bundles", "evidence_progress", "request_progress"} {
		refusedWith(t, role, insufficientPrivilege, "DELETE FROM "+table)
	}
}

func TestPublicFaceReachesNothingButItsViews(t *testing.T) {
	w := newWorld(t)
	role := w.connect("reprosign_dashboard")
	for _, table := range append(appendOnly, "releases", "names", "embargoes", "request_progress", "log_pending", "evidence_wanted", "evidence_progress", "schema_version") {
		refusedWith(t, role, insufficientPrivilege, "SELECT * FROM reprosign."+table)
	}
	for _, sql := range []string{
		"DELETE FROM public_face.policies", "INSERT INTO public_face.policies DEFAULT VALUES", "CREATE TABLE public_face.x ()",
		"CREATE TABLE reprosign.x ()",
	} {
		refusedWith(t, role, insufficientPrivilege, sql)
	}
}

func TestNoDigestOfAnUndecidedReleaseIsVisible(t *testing.T) {
	w := newWorld(t)
	b, other := build(t, "content", "hello.deb"), build(t, "other", "hello.deb")
	claim := &attest.Claim{Salt: attest.SHA256([]byte("salt")), Set: b.set}
	s := w.submission("hello", "1.0", claim)
	_, _, err := w.writer.Submit(t.Context(), s, 10)
	must(t, err)
	r := w.newRelease(s, rules{invited: operators("alpha", "beta", "gamma"), threshold: 2, retries: 1})
	must(t, w.writer.Open(t.Context(), r))
	votes := []coordinator.Incoming{w.vote(r.ID, "alpha", b), w.vote(r.ID, "beta", b), w.vote(r.ID, "gamma", b), w.vote(r.ID, "gamma", other)}
	w.ingest(votes...)
	secrets := []attest.Digest{b.set, other.set, b.artifacts[0].SHA256, claim.Salt}
	for _, v := range votes {
		secrets = append(secrets, v.Statement)
	}
	if open, err := w.writer.UnloggedEquivocations(t.Context(), 10); err != nil || len(open) != 0 {
		t.Errorf("%d equivocations may be logged under the embargo, %v", len(open), err)
	}
	assertHidden(t, w, "building", secrets)
	w.evaluate()
	u := w.claim(time.Minute)
	must(t, w.writer.Undecide(t.Context(), r.ID, u[0].Fence, "the signer mentioned "+b.set.String(), time.Now(), false, false))
	assertHidden(t, w, "closed", secrets)
	w.decide(r.ID, fingerprint)
	assertHidden(t, w, "agreed, not logged", secrets)
	w.publish()
	shown := dump(t, w)
	for _, secret := range []attest.Digest{b.set, b.artifacts[0].SHA256, votes[0].Statement} {
		if !strings.Contains(shown, secret.String()) {
			t.Errorf("after the decision is logged %s is not shown", secret.Short())
		}
	}
	if strings.Contains(shown, claim.Salt.String()) {
		t.Error("the claim's salt is shown")
	}

	proofs, err := w.writer.UnloggedEquivocations(t.Context(), 10)
	must(t, err)
	if len(proofs) != 1 || proofs[0].Operator != "op-gamma" {
		t.Fatalf("proofs to log: %+v", proofs)
	}
	entry := w.record(attest.RecordEquivocation, proofs[0].First, proofs[0].Second)
	must(t, w.writer.LogEquivocation(t.Context(), proofs[0], entry))
	if err := w.writer.LogEquivocation(t.Context(), proofs[0], entry); !errors.Is(err, coordinator.ErrExists) {
		t.Errorf("logging it again: %v, want ErrExists", err)
	}
	if _, err := w.reader.Body(t.Context(), votes[3].Statement); !errors.Is(err, coordinator.ErrNotFound) {
		t.Errorf("body before its checkpoint: %v, want ErrNotFound", err)
	}
	w.publish()
	if _, err := w.reader.Body(t.Context(), votes[3].Statement); err != nil {
		t.Errorf("body of the equivocation: %v", err)
	}
}

func assertHidden(t *testing.T, w *world, when string, secrets []attest.Digest) {
	t.Helper()
	shown := dump(t, w)
	for _, s := range secrets {
		if strings.Contains(shown, s.String()) {
			t.Errorf("%s: digest %s is visible", when, s.Short())
		}
	}
}

// dump returns all that the dashboard's role can read, digests in hexadecimal.
func dump(t *testing.T, w *world) string {
	t.Helper()
	role := w.connect("reprosign_dashboard")
	var all strings.Builder
	rows, err := role.Query(t.Context(), `SELECT viewname FROM pg_views WHERE schemaname = 'public_face'`)
	must(t, err)
	var views []string
	for rows.Next() {
		var v string
		must(t, rows.Scan(&v))
		views = append(views, v)
	}
	must(t, rows.Err())
	if len(views) < 10 {
		t.Fatalf("only %d views", len(views))
	}
	for _, v := range views {
		var text *string
		must(t, role.QueryRow(t.Context(), `SELECT string_agg(v::text, E'\n') FROM public_face.`+v+` v`).Scan(&text))
		if text != nil {
			all.WriteString(*text)
		}
	}
	return all.String()
}

func TestStatesMoveOnlyForward(t *testing.T) {
	w := newWorld(t)
	r := w.open("hello", "1.0", rules{invited: operators("alpha", "beta"), threshold: 2})
	owner := w.connect("")
	refusedWith(t, owner, checkViolation, `UPDATE releases SET state = 'agreed' WHERE id = $1`, r.ID[:]) // no time, no set
	refusedWith(t, owner, restrictViolation, `UPDATE releases SET state = 'signed', decided_at = now(), logged_at = now(), signed_at = now() WHERE id = $1`, r.ID[:])
	refusedWith(t, owner, checkViolation, `UPDATE releases SET closed_at = now() WHERE id = $1`, r.ID[:])
	refusedWith(t, owner, restrictViolation, `UPDATE releases SET fence = fence - 1 WHERE id = $1`, r.ID[:])
	refusedWith(t, owner, restrictViolation, `UPDATE releases SET id = sha256(id) WHERE id = $1`, r.ID[:])
	_, err := owner.Exec(t.Context(), `UPDATE releases SET state = 'expired', ended_at = now(), due_at = NULL WHERE id = $1`, r.ID[:])
	must(t, err)
	refusedWith(t, owner, restrictViolation, `UPDATE releases SET state = 'building', ended_at = NULL WHERE id = $1`, r.ID[:])
}

func TestDecidedFileNameKeepsItsContentAndSource(t *testing.T) {
	w := newWorld(t)
	r := w.open("hello", "1.0", rules{invited: operators("alpha", "beta"), threshold: 2})
	b := build(t, "content", "hello.deb")
	w.ingest(w.vote(r.ID, "alpha", b), w.vote(r.ID, "beta", b))
	w.decide(r.ID)
	owner := w.connect("")
	refusedWith(t, owner, restrictViolation, `UPDATE names SET sha256 = sha256('x')`)
	refusedWith(t, owner, restrictViolation, `UPDATE names SET bound = false, held = false`)
	refusedWith(t, owner, restrictViolation, `DELETE FROM names`)
	refusedWith(t, owner, foreignKeyViolation, `
		INSERT INTO names (suite, name, sha256, source, release) SELECT suite, 'of nobody', sha256, source, sha256('unopened') FROM names`)
	refusedWith(t, owner, foreignKeyViolation, `
		INSERT INTO artifacts SELECT release, 1, suite, source, 'other', kind, size, sha256, sha512 FROM artifacts`)
	refusedWith(t, owner, foreignKeyViolation, `
		INSERT INTO artifacts SELECT sha256('undecided'), position, suite, source, name, kind, size, sha256, sha512 FROM artifacts`)
	_, err := owner.Exec(t.Context(), `
		INSERT INTO names (suite, name, sha256, source, release) SELECT suite, 'reserved', sha256, source, release FROM artifacts`)
	must(t, err)
	refusedWith(t, owner, foreignKeyViolation, `UPDATE names SET release = sha256('unopened') WHERE name = 'reserved'`)
	refusedWith(t, owner, foreignKeyViolation, `
		INSERT INTO names (suite, name, sha256, source, release)
		SELECT suite, name, sha256, source, sha256('unopened') FROM names WHERE name = 'reserved'
		ON CONFLICT (suite, name) DO UPDATE SET release = excluded.release`)
	refusedWith(t, owner, foreignKeyViolation, `
		INSERT INTO artifacts SELECT release, 1, suite, source, 'reserved', kind, size, sha256, sha512 FROM artifacts`)

	for _, test := range []struct{ source, content, why string }{
		{"hello", "changed", "has other content"},
		{"impostor", "content", "belongs to the source hello"},
	} {
		next := w.open(test.source, "2.0", rules{invited: operators("alpha", "beta"), threshold: 2})
		c := build(t, test.content, "hello.deb")
		w.ingest(w.vote(next.ID, "alpha", c), w.vote(next.ID, "beta", c))
		w.evaluate()
		release, err := w.writer.Release(t.Context(), next.ID)
		must(t, err)
		if release.State != coordinator.Conflict || !strings.Contains(release.Reason, test.why) {
			t.Errorf("%s with %s: %s, %q; want a conflict that says %q", test.source, test.content, release.State, release.Reason, test.why)
		}
	}
	same := w.open("hello", "1.0+same", rules{invited: operators("alpha", "beta"), threshold: 2})
	w.ingest(w.vote(same.ID, "alpha", b), w.vote(same.ID, "beta", b))
	w.decide(same.ID)
}

func TestReservedNameWaitsAndIsFreedWhenItsReleaseEnds(t *testing.T) {
	w := newWorld(t)
	rule := rules{invited: operators("alpha", "beta"), threshold: 2}
	first, next := w.open("hello", "1.0", rule), w.open("hello", "1.1", rule)
	b, c := build(t, "content", "hello.deb"), build(t, "changed", "hello.deb")
	w.ingest(w.vote(first.ID, "alpha", b), w.vote(first.ID, "beta", b))
	w.evaluate()
	w.ingest(w.vote(next.ID, "alpha", c), w.vote(next.ID, "beta", c))
	w.evaluate()
	if r, err := w.writer.Release(t.Context(), next.ID); err != nil || r.Closed || r.State != coordinator.Building {
		t.Fatalf("release that wants a reserved name: %+v, %v; want it to wait", r, err)
	}
	u := w.claim(time.Minute)
	must(t, w.writer.Undecide(t.Context(), first.ID, u[0].Fence, "expired", time.Now(), true, false))
	_, err := w.connect("").Exec(t.Context(), `UPDATE releases SET due_at = now() WHERE id = $1`, next.ID[:])
	must(t, err)
	w.decide(next.ID)
}

func TestLogAndJobsReferOnlyToWhatIsThere(t *testing.T) {
	w := newWorld(t)
	r := w.open("hello", "1.0", rules{invited: operators("alpha", "beta"), threshold: 2})
	b := build(t, "content", "hello.deb")
	w.ingest(w.vote(r.ID, "alpha", b), w.vote(r.ID, "beta", b))
	w.decide(r.ID, fingerprint)
	w.publish()
	undecided := w.open("hello", "2.0", rules{invited: operators("alpha", "beta"), threshold: 2})
	owner := w.connect("")
	const nowhere = "(SELECT max(id) + 1 FROM log_leaves)"
	refusedWith(t, owner, foreignKeyViolation, `INSERT INTO log_bodies (leaf, digest, envelope) SELECT `+nowhere+`, digest, envelope FROM log_bodies`)
	_, err := owner.CopyFrom(t.Context(), pgx.Identifier{"log_bodies"}, []string{"leaf", "digest", "envelope"},
		pgx.CopyFromRows([][]any{{int64(math.MaxInt64), r.ID[:], []byte("{}")}}))
	wantRefused(t, err, foreignKeyViolation, "COPY log_bodies")
	refusedWith(t, owner, foreignKeyViolation, `INSERT INTO log_pending (leaf, leaf_hash) VALUES (`+nowhere+`, sha256(''))`)
	refusedWith(t, owner, restrictViolation, `UPDATE log_pending SET leaf = `+nowhere)
	refusedWith(t, owner, foreignKeyViolation, `INSERT INTO signing_jobs (release, certificate) VALUES ($1::bytea, $2)`, undecided.ID[:], fingerprint)
	refusedWith(t, owner, restrictViolation, `UPDATE signing_jobs SET release = $1::bytea`, undecided.ID[:])
}

func TestWithdrawnReleaseTakesNoDecisionAndNoSignature(t *testing.T) {
	for _, late := range []bool{false, true} {
		w := newWorld(t)
		r := w.open("hello", "1.0", rules{invited: operators("alpha", "beta"), threshold: 2, retries: 3})
		b := build(t, "content", "hello.deb")
		w.ingest(w.vote(r.ID, "alpha", b), w.vote(r.ID, "beta", b))
		w.evaluate()
		u := w.claim(time.Minute)[0]
		var job coordinator.Job
		if late {
			_, err := w.writer.Decide(t.Context(), []coordinator.Decision{w.decision(u, fingerprint)})
			must(t, err)
			w.publish()
			job = w.jobs()[0]
		}
		x := attest.Withdrawal{Role: attest.RoleAdmin, By: "admin", Release: r.ID, Reason: "wrong", At: attest.At(w.now())}
		e, err := x.Seal(ed(t, "admin"))
		must(t, err)
		for range 2 {
			must(t, w.writer.Withdraw(t.Context(), e.Digest(), x, e, w.record(attest.RecordWithdrawal, e)))
		}
		if got := w.state(r.ID); got != coordinator.Withdrawn {
			t.Fatalf("state %s, want withdrawn", got)
		}
		owner := w.connect("")
		if late {
			if err := w.writer.FinishJob(t.Context(), w.made(job)); !errors.Is(err, coordinator.ErrTooLate) {
				t.Errorf("signatures after the withdrawal: %v, want ErrTooLate", err)
			}
			refusedWith(t, owner, restrictViolation, `
				INSERT INTO signatures (sha512, certificate, kind, signature, release) SELECT sha512, $1, 'detached-binary', 'x', release FROM artifacts`, fingerprint)
		} else {
			refused, err := w.writer.Decide(t.Context(), []coordinator.Decision{w.decision(u)})
			if err != nil || len(refused) != 1 {
				t.Errorf("decision after the withdrawal: refused %v, %v", refused, err)
			}
			const decide = `
				INSERT INTO decisions (release, digest, set_digest, body, leaf, certificates)
				SELECT $1::bytea, $1::bytea, $2::bytea, digest, leaf, $3::text::text[] FROM log_bodies LIMIT 1`
			refusedWith(t, owner, restrictViolation, decide, r.ID[:], b.set[:], "{}")
			for _, certificates := range []string{
				"{none}", "{NULL}", "{" + fingerprint + ",NULL}", `{"` + fingerprint + " " + second + `"}`,
				// Whose first is at another place than [1].
				"{{none}}", "{{NULL}}", "{{" + fingerprint + ",NULL}}", "{{" + fingerprint + "},{none}}",
				"[0:0]={none}", "[2:2]={NULL}", "[0:1]={none," + fingerprint + "}",
			} {
				refusedWith(t, owner, checkViolation, decide, r.ID[:], b.set[:], certificates)
			}
			for _, certificates := range []string{"{" + fingerprint + "}", "{{" + fingerprint + "," + second + "}}", "[0:0]={" + fingerprint + "}"} {
				refusedWith(t, owner, restrictViolation, decide, r.ID[:], b.set[:], certificates) // for the withdrawal alone
			}
			refusedWith(t, owner, foreignKeyViolation, `
				INSERT INTO decisions (release, digest, set_digest, body, leaf, certificates)
				VALUES ($1::bytea, $1::bytea, $2::bytea, sha256('unlogged'), 1, '{}')`, r.ID[:], b.set[:])
		}
		if waiting, _, err := w.writer.Unopened(t.Context(), 10, 0); err != nil || len(waiting) != 0 {
			t.Errorf("%d attempts wait after the withdrawal, %v", len(waiting), err)
		}
		if d := w.ingest(w.vote(r.ID, "alpha", b)); d[0] != coordinator.Late && d[0] != coordinator.Counted {
			t.Errorf("statement after the withdrawal: %s", d[0])
		}
	}
}

func TestMigrationsGoUpDownAndUpAgain(t *testing.T) {
	dsn := boxtest.Database(t, nil)
	for range 2 {
		must(t, store.Migrate(t.Context(), dsn))
		must(t, store.Migrate(t.Context(), dsn)) // nothing to do
		must(t, store.Unmigrate(t.Context(), dsn, 0))
	}
	must(t, store.Migrate(t.Context(), dsn))
	worldOn(t, dsn).open("hello", "1.0", rules{invited: operators("alpha", "beta"), threshold: 2})
}

// Whichever of two tables a transaction takes first, in this order or the other.
func TestMigrationOfReferencesWaitsForARunningCoordinatorWithoutDeadlock(t *testing.T) {
	const references = 26
	w := newWorld(t)
	onlooker := w.connect("")
	for _, order := range [][2]string{{"log_bodies", "signing_jobs"}, {"signing_jobs", "log_bodies"}, {"decisions", "openings"}} {
		must(t, store.Unmigrate(t.Context(), w.dsn, references-1))
		tx, err := w.connect("").Begin(t.Context())
		must(t, err)
		write := func(table string) {
			t.Helper()
			_, err := tx.Exec(t.Context(), `LOCK TABLE `+table+` IN ROW EXCLUSIVE MODE`)
			must(t, err)
		}
		write(order[0])
		migrated := make(chan error, 1)
		go func() { migrated <- store.Migrate(t.Context(), w.dsn) }()
		for waits := false; !waits; {
			must(t, onlooker.QueryRow(t.Context(), `
				SELECT EXISTS (SELECT FROM pg_stat_activity
				                WHERE datname = current_database() AND application_name = 'reprosign-migrate' AND wait_event_type = 'Lock')`).Scan(&waits))
		}
		write(order[1])
		must(t, tx.Commit(t.Context()))
		must(t, <-migrated)
	}
}

func TestMigrationsOverADecidedReleaseKeepWhatItHolds(t *testing.T) {
	const once = 19 // decisions have no envelope of their own since
	w := newWorld(t)
	r := w.open("hello", "1.0", rules{invited: operators("alpha", "beta"), threshold: 2})
	b := build(t, "content", "hello.deb")
	w.ingest(w.vote(r.ID, "alpha", b), w.vote(r.ID, "beta", b))
	w.evaluate()
	decision := w.decision(w.claim(time.Minute)[0], fingerprint, second)
	_, err := w.writer.Decide(t.Context(), []coordinator.Decision{decision})
	must(t, err)

	must(t, store.Unmigrate(t.Context(), w.dsn, once-1))
	encoded, err := decision.Envelope.Encode()
	must(t, err)
	var stored []byte
	must(t, w.connect("").QueryRow(t.Context(), `SELECT envelope FROM decisions`).Scan(&stored))
	if !bytes.Equal(stored, encoded) {
		t.Errorf("decision of the older schema: %s\nwant %s", stored, encoded)
	}
	if n := w.count(`SELECT count(*) FROM signing_jobs WHERE state = 'waiting'`); n != 2 {
		t.Errorf("%d jobs of the older schema wait, want 2", n)
	}

	must(t, store.Migrate(t.Context(), w.dsn))
	w.writer = openWriter(t, w.dsn)
	w.sequencer, err = sequencer.New(w.writer, ed(t, "log.example.org"), nil)
	must(t, err)
	w.publish()
	jobs := w.jobs()
	if len(jobs) != 1 || jobs[0].Certificate != fingerprint { // the second follows when the first is done
		t.Fatalf("jobs of the decision: %+v", jobs)
	}
	if diff := cmp.Diff(decision.Envelope, jobs[0].Decision); diff != "" {
		t.Errorf("decision (-before +after the migration):\n%s", diff)
	}
	if diff := cmp.Diff(b.states, jobs[0].States); diff != "" {
		t.Errorf("states (-before +after the migration):\n%s", diff)
	}
	for _, table := range []string{"decisions", "artifact_sets"} {
		refusedWith(t, w.connect(""), restrictViolation, `DELETE FROM `+table)
	}
}
