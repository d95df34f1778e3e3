//go:build long

package cmd_test

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/dashboard"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
)

// terminal is where an operator of the house types commands.
type terminal struct {
	program, dir, url string
	environ           []string
}

// newTerminal builds the command and gives it a publisher's connection, the
// admins' keys, the policy in force, and a dashboard to look at.
func (h *house) newTerminal(t *testing.T) *terminal {
	t.Helper()
	dir := t.TempDir()
	o := &terminal{program: filepath.Join(dir, "reprosign"), dir: dir}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", o.program, "./reprosign").CombinedOutput(); err != nil {
		t.Fatalf("building the command: %v\n%s", err, out)
	}
	board, err := dashboard.New(dashboard.Config{Reader: h.reader})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(board.Handler())
	t.Cleanup(server.Close)
	o.url = server.URL
	o.environ = []string{
		"HOME=" + dir, "REPROSIGN_NATS_URL=" + h.url, "REPROSIGN_NAME=" + h.Publisher.Name(),
		"REPROSIGN_NATS_SEED=" + h.seeds[bus.Identity{Role: bus.RolePublisher, Name: h.Publisher.Name()}],
	}
	for _, admin := range h.Admins {
		if err := config.WriteKey(filepath.Join(dir, admin.Name()+".pem"), evidencetest.Ed25519("admin "+admin.Name())); err != nil {
			t.Fatal(err)
		}
	}
	data, err := h.Envelope.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "policy.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}

// types runs reprosign and wants an exit status. What it printed is returned.
func (o *terminal) types(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, told bytes.Buffer
	cmd := exec.CommandContext(t.Context(), o.program, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = o.dir, o.environ, &out, &told
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		t.Fatalf("%s: exit status %d, want %d\n%s%s", strings.Join(args, " "), got, want, &out, &told)
	}
	return out.String(), told.String()
}

func (o *terminal) read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(o.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// signed takes a release of a version through the whole cycle, from the policy
// that was pinned first.
func (h *house) signed(t *testing.T, version string) (b built, bundle []byte) {
	t.Helper()
	b = build(t, version, "")
	release := h.submit(t, h.request(t, version, nil))
	h.voteAll(t, release, b)
	h.awaitState(t, release, coordinator.Signed)
	return b, h.evidence(t, release)
}

func (h *house) evidence(t *testing.T, release attest.Digest) []byte {
	t.Helper()
	reply, err := h.publisher.Status(t.Context(), bus.StatusRequest{Release: release, Evidence: true})
	if err != nil {
		t.Fatal(err)
	}
	return reply.Evidence
}

// changeLog changes the log's key by the documented commands while one release is
// not signed yet, and checks that nobody loses anything by it.
func changeLog(t *testing.T, verb, origin string) {
	t.Helper()
	h := newHouse(t, houseOptions{witnesses: 3})
	o := h.newTerminal(t)
	first := h.pinned
	watch := []string{"log", "monitor", "--once", "--state", "monitor", "--trust", "policy.json", "--patience-expiry", "1s", "--log-level", "error", o.url}
	old, oldBundle := h.signed(t, "1.0")
	o.types(t, 0, watch...)

	next, err := laterKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	o.types(t, 0, "log", verb, o.url, "--policy", "policy.json", "--key", next.VerifierKey.String(), "--out", "policy-2.yaml")
	o.types(t, 0, "policy", "sign", "policy-2.yaml", "--previous", "policy.json", "--key", "admin-1.pem", "--out", "policy-2.json")
	o.types(t, 0, "policy", "sign", "policy-2.json", "--previous", "policy.json", "--key", "admin-2.pem", "--out", "policy-2.json", "--force")
	change := []string{"log", "switch", o.url, "--policy", "policy.json", "--next", "policy-2.json", "--dir", "record"}

	// A release that is logged and not signed is in the way, and in nothing else's.
	h.device.fail(errAway)
	waiting := h.submit(t, h.request(t, "2.0", nil))
	h.voteAll(t, waiting, build(t, "2.0", ""))
	h.awaitState(t, waiting, coordinator.Logged)
	if _, told := o.types(t, 1, change...); !strings.Contains(told, "release "+waiting.String()+", is logged") {
		t.Errorf("the release in the way is not named: %s", told)
	}
	h.device.recover()
	told, _ := o.types(t, 0, append(change, "--wait")...)
	if !strings.Contains(told, "ok: it continues the last checkpoint under the old key") {
		t.Errorf("log switch says: %s", told)
	}
	h.awaitState(t, waiting, coordinator.Signed)

	second, err := attest.ParseEnvelope(bytes.TrimSpace(o.read(t, "policy-2.json")))
	if err != nil {
		t.Fatal(err)
	}
	h.Use(t, second)
	<-h.admitted
	young, bundle := h.signed(t, "3.0")
	h.verify(t, bundle, young)
	h.verify(t, oldBundle, old)
	parsed, err := evidence.Parse(bundle)
	if err != nil {
		t.Fatal(err)
	}
	if report, err := evidence.Verify(parsed, evidence.Trust{Policy: first}); err != nil || report.Origin != origin || report.Unwitnessed {
		t.Errorf("evidence made afterwards: %+v, %v", report, err)
	}
	o.wantContinuation(t, h, next)

	// Whoever has followed the log goes on, and whoever begins now sees all of it.
	if told, _ := o.types(t, 0, watch...); !regexp.MustCompile(`(?m)^note: .*policy 2`).MatchString(told) || strings.Contains(told, "alarm") {
		t.Errorf("the monitor says: %s", told)
	}
	for _, trust := range []string{"policy.json", "policy-2.json"} {
		o.types(t, 0, "log", "verify", o.url, "--trust", trust)
	}
}

// wantContinuation checks the record as a stranger would, with the two
// verifier keys and a library.
func (o *terminal) wantContinuation(t *testing.T, h *house, next attest.SigningKey) {
	t.Helper()
	last, err := translog.OpenCheckpoint(o.read(t, "record/last-checkpoint"), h.Log.Key.VerifierKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := translog.ParseAddCheckpoint(o.read(t, "record/continuation"))
	if err != nil {
		t.Fatal(err)
	}
	newer, err := translog.OpenCheckpoint(c.Checkpoint, next.VerifierKey)
	if err != nil || c.Old != last.Size || !bytes.Equal(c.Checkpoint, o.read(t, "record/first-checkpoint")) {
		t.Fatalf("continuation of %d entries, last were %d: %v", c.Old, last.Size, err)
	}
	if err := tlog.CheckTree(c.Proof, newer.Size, newer.Root, last.Size, last.Root); err != nil {
		t.Error(err)
	}
	if last.Size >= newer.Size || last.Size < 6 { // two releases of three entries each
		t.Errorf("the log went from %d to %d entries", last.Size, newer.Size)
	}
}

func TestLongTheLogsKeyIsRotatedByCommandsAndTheHouseGoesOnSigning(t *testing.T) {
	t.Parallel()
	changeLog(t, "rotate", evidencetest.Origin)
}

func TestLongALogIsEndedAndTheNextOneOpenedByCommandsAndTheHouseGoesOnSigning(t *testing.T) {
	t.Parallel()
	changeLog(t, "end", nextOrigin)
}

// What the manual says about a key that was stolen.
func TestLongWhatAChangeAtOnceLeavesUnsignedIsNamedAndCanBeRequestedAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, houseOptions{witnesses: 3})
	o := h.newTerminal(t)
	h.device.fail(errAway)
	stranded, b := h.submit(t, h.request(t, "1.0", nil)), build(t, "1.0", "")
	h.voteAll(t, stranded, b)
	h.awaitState(t, stranded, coordinator.Logged)

	next, err := laterKey(nextOrigin)
	if err != nil {
		t.Fatal(err)
	}
	o.types(t, 0, "log", "end", o.url, "--policy", "policy.json", "--key", next.VerifierKey.String(), "--out", "policy-2.yaml")
	o.types(t, 0, "policy", "sign", "policy-2.yaml", "--previous", "policy.json", "--key", "admin-1.pem", "--key", "admin-2.pem", "--out", "policy-2.json")
	_, told := o.types(t, 0, "log", "switch", o.url, "--policy", "policy.json", "--next", "policy-2.json", "--dir", "record", "--at-once")
	if !strings.Contains(told, "release "+stranded.String()+", is logged, and never will be signed: withdraw it") {
		t.Errorf("what is stranded is not named: %s", told)
	}
	second, err := attest.ParseEnvelope(bytes.TrimSpace(o.read(t, "policy-2.json")))
	if err != nil {
		t.Fatal(err)
	}
	h.Use(t, second)
	<-h.admitted
	h.device.recover()
	if _, err := h.publisher.Withdraw(t.Context(), withdrawal(t, stranded, attest.RoleAdmin, h.Admins[0])); err != nil {
		t.Fatal(err)
	}
	again := h.request(t, "1.0", b.artifacts) // with a claim, it is another request
	release := h.submit(t, again)
	h.voteAll(t, release, b)
	h.awaitState(t, release, coordinator.Signed)
	h.verify(t, h.evidence(t, release), b)
	h.pinned = second // by somebody who comes now, and knows the old log from the bundle alone
	h.verify(t, h.evidence(t, release), b)
	o.types(t, 0, "log", "verify", o.url, "--trust", "policy.json")
}
