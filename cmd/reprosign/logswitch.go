package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
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
	fileRival        = "rival-checkpoint" // does not continue the last one; there is no record then
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
	last         []byte     // newest checkpoint under the policy before
	seen         []sighting // what --last named
	soFar        string     // for who is interrupted
}

func (a *app) switchLog(ctx context.Context, url string, f switchFlags) error {
	s, err := prepareSwitch(url, f)
	if err != nil {
		return err
	}
	a.printStep("ok", fmt.Sprintf("policy %d follows policy %d, and %s", s.next.Serial, s.before.Serial, s.what()))
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	if err = a.submitSwitch(ctx, s); err == nil {
		err = a.finishSwitch(ctx, s)
	}
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) || err == nil {
		return err
	}
	return hinted(&failure{code: exitTimeout, cause: fmt.Errorf("time-out after %v: %w", f.timeout, err)}, "%s; the same command goes on from there", s.soFar)
}

// prepareSwitch reads both policies, and checks what can be checked without the log.
func prepareSwitch(url string, f switchFlags) (*logSwitch, error) {
	s := &logSwitch{switchFlags: f, soFar: "nothing was submitted"}
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
