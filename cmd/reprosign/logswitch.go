package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
)

// switchFlags are the flags of log switch.
type switchFlags struct {
	policy, next, dir string
	last              []string // files, or addresses of witnesses
	wait, atOnce      bool
	timeout           time.Duration
}

func (a *app) logSwitchCommand() *cobra.Command {
	var f switchFlags
	cmd := &cobra.Command{
		Use:   "switch URL --policy FILE --next FILE --dir DIR",
		Short: "Submit the policy of log rotate or log end, and record the change",
		Long: `Submit a policy that changes the log's key, once nothing is lost by it, and record the change.

What is decided and not signed when the key changes is never signed: log switch refuses to begin while any release is
agreed or logged, and names each. With --wait it waits until none is left, which takes publishers who wait, too; with
--at-once, for a key that was stolen, it does not ask. Releases that are still built are opened again under the next policy.

Then it submits the policy, waits until the log's checkpoint is signed with the new key and cosigned by the next policy's
witnesses, checks that the tree continues that of the last checkpoint under the old key, and leaves both, the proof and a
README in DIR, to be kept and published. Interrupted, the same command goes on where it was.

Where the database was lost, the last checkpoint is not to be had from it: --last names a file with it, from a
mirror or the newest evidence, or the address of a witness, which is asked. Several are put together: each witness
shows its own cosignature alone.`,
		Example: `  reprosign log switch https://log.example.org --policy policy.json --next policy-2.json --dir log-2027 --wait
  reprosign log switch https://log2.example.org --policy policy.json --next policy-2.json --dir ended --at-once \
    --last https://witness.example.net --last https://witness.example.edu`,
		Args: cobra.ExactArgs(1),
		RunE: a.do(func(ctx context.Context, args []string) error { return a.switchLog(ctx, args[0], f) }),
	}
	cmd.Flags().StringVar(&f.policy, "policy", "", "the signed policy in force")
	cmd.Flags().StringVar(&f.next, "next", "", "the signed policy that changes the log")
	cmd.Flags().StringVar(&f.dir, "dir", "", "directory for the record; it is made if it is not there")
	cmd.Flags().StringArrayVar(&f.last, "last", nil, "witness's address, or file, with the last checkpoint of the old key, if the database was lost; may be given several times")
	cmd.Flags().BoolVar(&f.wait, "wait", false, "wait until nothing is agreed or logged that is not signed")
	cmd.Flags().BoolVar(&f.atOnce, "at-once", false, "give up what is agreed or logged and not signed")
	cmd.Flags().DurationVar(&f.timeout, "timeout", time.Hour, "how long to wait in all")
	cmd.MarkFlagsMutuallyExclusive("wait", "at-once")
	a.takes(cmd, connection...)
	for _, flag := range []string{"policy", "next", "dir"} {
		required(cmd, flag)
	}
	return cmd
}

// The file that tells a switch under way from one that is done is README.
const (
	fileLast         = "last-checkpoint"
	fileFirst        = "first-checkpoint"
	fileContinuation = "continuation"
	fileReadme       = "README"
)

// logSwitch is the change of a log's key while it happens.
type logSwitch struct {
	switchFlags

	site         logSite
	chain        *policy.Chain // up to the policy before, as far as it was asked for
	before, next draft
	last         []byte // newest checkpoint under the policy before
}

func (a *app) switchLog(ctx context.Context, url string, f switchFlags) error {
	s, err := prepareSwitch(url, f)
	if err != nil {
		return err
	}
	a.printStep("ok", fmt.Sprintf("policy %d follows policy %d, and %s", s.next.Serial, s.before.Serial, s.what()))
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	submitted, err := a.submitSwitch(ctx, s)
	if err == nil {
		err = a.finishSwitch(ctx, s)
	}
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) || err == nil {
		return err
	}
	so := "nothing was submitted"
	if submitted {
		so = fmt.Sprintf("policy %d is submitted", s.next.Serial)
	}
	return hinted(&failure{code: exitTimeout, cause: fmt.Errorf("time-out after %v: %w", f.timeout, err)}, "%s; the same command goes on from there", so)
}

// prepareSwitch reads both policies, and checks what can be checked without the log.
func prepareSwitch(url string, f switchFlags) (*logSwitch, error) {
	s := &logSwitch{switchFlags: f}
	var err error
	if s.before, err = readSigned(f.policy, "--policy"); err != nil {
		return nil, err
	}
	if s.next, err = readSigned(f.next, "--next"); err != nil {
		return nil, err
	}
	chain, err := policy.Pin(s.before.envelope)
	if err == nil {
		err = chain.Add(s.next.envelope)
	}
	if err != nil {
		return nil, hinted(err, "reprosign policy check %s --previous %s tells more", f.next, f.policy)
	}
	if s.next.Log.Key.Fingerprint() == s.before.Log.Key.Fingerprint() {
		return nil, hinted(usagef("policy %d changes nothing about the log", s.next.Serial), "reprosign submit --policy %s submits it", f.next)
	}
	if now := attest.At(time.Now()); now >= s.next.Expires {
		return nil, fmt.Errorf("policy %d expired at %v", s.next.Serial, s.next.Expires)
	}
	if _, err := os.Stat(filepath.Join(f.dir, fileReadme)); !errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("--dir: %s holds the record of a change already", f.dir)
	}
	if s.site, err = openLogSite(url); err != nil {
		return nil, usage(err)
	}
	return s, nil
}

// ends reports whether the next log has another origin.
func (s *logSwitch) ends() bool { return s.next.Log.Origin != s.before.Log.Origin }

func (s *logSwitch) what() string {
	if s.ends() {
		return fmt.Sprintf("ends the log %s and opens %s", s.before.Log.Origin, s.next.Log.Key)
	}
	return fmt.Sprintf("gives %s the key %s", s.before.Log.Origin, s.next.Log.Key)
}

// submitSwitch submits the next policy when nothing is lost by it, unless that
// is done. From then on the log's last checkpoint is on disk.
func (a *app) submitSwitch(ctx context.Context, s *logSwitch) (submitted bool, err error) {
	conn, err := a.connect(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if submitted, err = s.submitted(ctx, conn); err != nil {
		return false, err
	}
	if submitted {
		a.printStep("ok", fmt.Sprintf("policy %d is in force already", s.next.Serial))
		return true, s.recall(ctx)
	}
	if s.last, err = s.lastCheckpoint(ctx); err != nil {
		return false, err
	}
	if err := a.settle(ctx, s); err != nil {
		return false, err
	}
	// It may have moved on while releases were waited for.
	if s.last, err = s.lastCheckpoint(ctx); err != nil {
		return false, err
	}
	if err := writeParts(s.dir, []part{{fileLast, s.last}}, true); err != nil {
		return false, err
	}
	if _, err := conn.Submit(ctx, a.settings.Name, bus.SubmitRequest{Policy: s.next.envelope}); err != nil {
		return false, hinted(err, "whether policy %d was accepted, the same command finds out", s.next.Serial)
	}
	a.printStep("ok", fmt.Sprintf("policy %d is accepted", s.next.Serial))
	return true, nil
}

// submitted reports whether the next policy is in force, and that no other one is.
func (s *logSwitch) submitted(ctx context.Context, conn *bus.Conn) (bool, error) {
	reply, err := conn.Policies(ctx, bus.PolicyRequest{After: s.before.Serial})
	if err != nil {
		return false, err
	}
	switch n := len(reply.Policies); {
	case n == 0:
		return false, nil
	case reply.Policies[n-1].Digest() == s.next.envelope.Digest():
		return true, nil
	default:
		serial, err := serialOf(reply.Policies[n-1])
		if err != nil {
			return false, err
		}
		return false, hinted(fmt.Errorf("policy %d is superseded: policy %d is in force", s.before.Serial, serial),
			"begin again from that one, with log rotate or log end")
	}
}

// lastCheckpoint returns the newest checkpoint under the policy before.
func (s *logSwitch) lastCheckpoint(ctx context.Context) ([]byte, error) {
	if len(s.switchFlags.last) == 0 {
		return s.site.checkpoint(ctx, &s.before.Policy)
	}
	return lastSeen(ctx, &s.before.Policy, s.switchFlags.last)
}

// recall takes the last checkpoint up that an interrupted run has left.
func (s *logSwitch) recall(ctx context.Context) error {
	from := s.switchFlags.last
	if len(from) == 0 {
		from = []string{filepath.Join(s.dir, fileLast)}
	}
	var err error
	s.last, err = lastSeen(ctx, &s.before.Policy, from)
	if errors.Is(err, fs.ErrNotExist) {
		return hinted(err, "name the directory of the run that submitted the policy, or who has seen the last checkpoint under the old key: --last")
	}
	return err
}

// unsigned lists what would be lost, or is.
func (s *logSwitch) unsigned(ctx context.Context) ([]listed, error) {
	if s.chain == nil {
		var err error
		if s.chain, err = s.site.Chain(ctx, s.before.envelope); err != nil {
			return nil, err
		}
	}
	return s.site.unsigned(ctx, s.chain, s.before.Policy)
}

// settle returns when nothing is lost by a change of the key.
func (a *app) settle(ctx context.Context, s *logSwitch) error {
	if s.atOnce {
		a.warn("releases that are agreed or logged are given up")
		return nil
	}
	line := a.newProgress(1)
	defer line.clear()
	for told := false; ; told = true {
		left, err := s.unsigned(ctx)
		if err != nil {
			return err
		}
		if len(left) == 0 {
			line.clear()
			a.printStep("ok", "nothing is agreed or logged that is not signed")
			return nil
		}
		if !s.wait || !told {
			for _, l := range left {
				a.warn("%v", l)
			}
		}
		lost := fmt.Errorf("%s agreed or logged and not signed: under another key of the log they never would be", isAre(len(left), "release"))
		if !s.wait {
			return hinted(lost, "ask publishers to wait, and give --wait; a log key that was stolen is changed with --at-once")
		}
		line.show("waiting for signatures", left[0].String())
		if err := pause(ctx); err != nil {
			return lost
		}
	}
}

func isAre(n int, what string) string {
	if n == 1 {
		return count(n, what) + " is"
	}
	return count(n, what) + " are"
}

// finishSwitch waits for the first checkpoint under the next policy, and records the change.
func (a *app) finishSwitch(ctx context.Context, s *logSwitch) error {
	first, err := a.awaitSwitch(ctx, s)
	if err != nil {
		return err
	}
	r, err := s.record(ctx, first)
	if err != nil {
		return err
	}
	a.printStep("ok", fmt.Sprintf("the checkpoint of %d entries is signed with the key of %s%s", r.First.Size, s.next.Log.Key, r.by()))
	if err := a.writeRecord(s, r); err != nil {
		return err
	}
	a.tellLost(ctx, s)
	if !r.Continues {
		return hinted(&failure{code: exitUnverified, cause: fmt.Errorf("the log of %d entries does not continue the last checkpoint under the old key, of %d entries", r.First.Size, r.Last.Size)},
			"if the database was lost, publish %s: it says so; if not, stop, and find out what was changed", s.dir)
	}
	a.tellAfter(s)
	return nil
}

// awaitSwitch returns the first checkpoint that is signed with the new key. The
// last one under the old key may be newer than the one before the policy.
func (a *app) awaitSwitch(ctx context.Context, s *logSwitch) ([]byte, error) {
	line := a.newProgress(1)
	defer line.clear()
	for told := false; ; told = true {
		signed, err := s.site.Checkpoint(ctx)
		var opened translog.Checkpoint
		if err == nil {
			if _, err = openUnder(&s.next.Policy, signed); err == nil {
				return signed, nil
			}
			opened, _ = openUnder(&s.before.Policy, signed)
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("waiting for the first checkpoint under policy %d: %w", s.next.Serial, ctx.Err())
		}
		if was, lastErr := openUnder(&s.before.Policy, s.last); lastErr == nil && opened.Size >= was.Size && opened.Origin != "" && len(s.switchFlags.last) == 0 {
			s.last = signed
		}
		if !told {
			a.hint("waiting until %s shows a checkpoint of the new key; coordinators need it as next_log_key, and witnesses in their logs", s.site.source)
		}
		line.show("waiting for the new key's checkpoint", fmt.Sprint(err))
		if pause(ctx) != nil {
			return nil, fmt.Errorf("waiting for the first checkpoint under policy %d: %w", s.next.Serial, err)
		}
	}
}

// tellLost names what the change of the key has left unsigned for good.
func (a *app) tellLost(ctx context.Context, s *logSwitch) {
	left, err := s.unsigned(ctx)
	if err != nil {
		a.warn("what is left unsigned cannot be seen: %v", err)
		return
	}
	for _, l := range left {
		if l.Policy.Serial <= s.before.Serial && l.State == unsignedStates[1] {
			a.warn("%v, and never will be signed: withdraw it, and request it again under a changed request", l)
		}
	}
}

// tellAfter says what may be put away now.
func (a *app) tellAfter(s *logSwitch) {
	a.hint("publish %s, and hand out the new trust: reprosign trust export --trust %s", s.dir, s.switchFlags.next)
	a.hint("coordinators: the new key's file as log_key and no next_log_key, a restart, and then destroy the old key")
	if s.next.Witnesses.IsZero() {
		return
	}
	names := make([]string, len(s.next.Witnesses.Keys))
	for i, w := range s.next.Witnesses.Keys {
		names[i] = w.Key.Name()
	}
	a.hint("witnesses %s: drop %s from logs, and keep their memory", strings.Join(names, ", "), s.before.Log.Key)
}
