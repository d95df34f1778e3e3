package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reprosign/reprosign/attest"
)

// probeTimeout bounds one level's probe. It takes some 50 ms where it works.
const probeTimeout = 30 * time.Second

// Report is what a probe found.
type Report struct {
	// Level is the strongest level that works, or None.
	Level attest.Isolation
	// Refused holds the reason for each level that was tried and does not work, strongest first.
	Refused []Refusal
}

// Refusal says why a level cannot be used on this host.
type Refusal struct {
	Level  attest.Isolation
	Reason error
}

// Err joins the reasons; it is nil when nothing was refused.
func (r Report) Err() error {
	errs := make([]error, 0, len(r.Refused))
	for _, f := range r.Refused {
		errs = append(errs, fmt.Errorf("%s: %w", f.Level, f.Reason))
	}
	return errors.Join(errs...)
}

// candidates are the levels worth trying, strongest first. A root agent does not use userns: its builds would be root to
// the kernel. An ordinary user cannot change the uid.
func candidates(only attest.Isolation, root bool) []attest.Isolation {
	levels := []attest.Isolation{attest.IsolationUserns}
	if root {
		levels = []attest.Isolation{attest.IsolationBwrap, attest.IsolationUID}
	}
	if only == Auto {
		return levels
	}
	return slices.DeleteFunc(levels, func(l attest.Isolation) bool { return l != only })
}

// Probe runs a command in each candidate level, strongest first, that tries what a build must not be able to do, and
// reports the first level in which every attempt fails. It changes nothing outside of cfg.WorkDir and cfg.LockDir.
func Probe(ctx context.Context, cfg Config) (Report, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return Report{}, err
	}
	report := Report{Level: attest.IsolationNone}
	root := os.Geteuid() == 0
	if cfg.Level.AtLeast(attest.IsolationUID) && len(candidates(cfg.Level, root)) == 0 {
		report.Refused = append(report.Refused, Refusal{cfg.Level, fmt.Errorf("not for an agent with uid %d: root has bwrap and uid, others have userns", os.Geteuid())})
	}
	for _, level := range candidates(cfg.Level, root) {
		err := probeLevel(ctx, newSandbox(cfg, level))
		if ctx.Err() != nil {
			return report, context.Cause(ctx)
		}
		if err == nil {
			report.Level = level
			break
		}
		report.Refused = append(report.Refused, Refusal{level, err})
	}
	return report, nil
}

// attempts is run inside. It prints one line per finding; every line but the namespaces' is a broken promise. Its
// arguments are the decoy's secret, the agent's pid and the files to try.
const attempts = `
secret=$1 agent=$2; shift 2
for f; do
	if [ -d "$f" ]; then ls "$f" >/dev/null 2>&1 && echo "broken the build can list $f"
	else cat "$f" >/dev/null 2>&1 && echo "broken the build can read $f"; fi
done
grep -l -a -e "PROBE=$secret" /proc/[0-9]*/environ >/dev/null 2>&1 && echo "broken the build can read the agent's environment"
for d in / /usr /etc /bin /dev /proc/sys /var/lib; do
	( : > "$d/.reprosign-probe" ) 2>/dev/null && { rm -f "$d/.reprosign-probe"; echo "broken the build can write in $d"; }
done
grep -q '^CapEff:[[:space:]]*0*$' /proc/self/status || echo "broken the build has capabilities"
grep -q '^NoNewPrivs:[[:space:]]*1$' /proc/self/status || echo "broken the build can gain privileges"
for ns in mnt pid net ipc uts user; do echo "ns $ns $(readlink /proc/self/ns/$ns)"; done
tail -n +3 /proc/net/dev | while IFS=: read -r dev _; do echo "dev" $dev; done
echo "uid $(id -u)"
kill -0 "$agent" 2>/dev/null && echo "signal agent"
echo end
`

func probeLevel(ctx context.Context, box *Sandbox) error {
	if namespaces(box.level) && !filepath.IsAbs(box.tools.bwrap) {
		return errors.New("bubblewrap is not installed (package bubblewrap)")
	}
	if !filepath.IsAbs(box.tools.prlimit) || !filepath.IsAbs(box.tools.setpriv) {
		return errors.New("setpriv and prlimit are not installed (package util-linux)")
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()

	// The bait stands for the agent's key file: same owner, same mode, in a place of the agent's own.
	secret := rand.Text()
	baitDir, err := os.MkdirTemp(box.cfg.WorkDir, "probe-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(baitDir) }()
	bait := filepath.Join(baitDir, "key")
	if err := os.WriteFile(bait, []byte(secret), 0o600); err != nil {
		return err
	}
	// The decoy stands for the agent's process. It waits for the end of its input.
	decoy := exec.CommandContext(ctx, "/bin/cat")
	decoy.Env = []string{"PROBE=" + secret}
	hold, err := decoy.StdinPipe()
	if err != nil {
		return err
	}
	if err := decoy.Start(); err != nil {
		return err
	}
	defer func() {
		_ = hold.Close()
		_ = decoy.Wait()
	}()

	slot, err := box.Acquire(ctx)
	if err != nil {
		return err
	}
	defer slot.Close()
	out, err := slot.Dir("out", BuildWrites)
	if err != nil {
		return err
	}
	mounts := []Mount{{Host: out, Inside: "/out", Writable: true}}
	var said strings.Builder
	args := []string{"/bin/sh", "-c", attempts, "sh", secret, strconv.Itoa(os.Getpid()), bait}
	result, err := slot.Run(ctx, Spec{Command: append(args, box.cfg.Secrets...), Mounts: mounts, Log: &said})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, said.String())
	}
	if !result.OK() {
		return fmt.Errorf("probe ended with status %d: %s", result.ExitCode, said.String())
	}
	return judge(box.level, said.String(), slot)
}

// judge reads what the attempts printed.
func judge(level attest.Isolation, said string, slot *Slot) error {
	var errs []error
	complete := false
	shared := map[string]bool{}
	for line := range strings.Lines(said) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "broken":
			errs = append(errs, errors.New(rest))
		case "signal":
			shared["signal"] = true
		case "ns":
			name, id, _ := strings.Cut(rest, " ")
			own, err := os.Readlink("/proc/self/ns/" + name)
			if err != nil {
				errs = append(errs, fmt.Errorf("reading the agent's namespaces: %w", err))
			}
			shared[name] = own == id || id == ""
		case "dev":
			if namespaces(level) && rest != "lo" {
				errs = append(errs, fmt.Errorf("the build sees network device %s", rest))
			}
		case "uid":
			if want := strconv.FormatUint(uint64(slot.insideID()), 10); rest != want {
				errs = append(errs, fmt.Errorf("the build runs as uid %s, not %s", rest, want))
			}
		case "end":
			complete = true
		}
	}
	if !complete {
		errs = append(errs, fmt.Errorf("the probe ended early: %q", said))
	}
	if namespaces(level) {
		for _, name := range []string{"mnt", "pid", "net", "ipc", "uts"} {
			if shared[name] {
				errs = append(errs, fmt.Errorf("the build shares the agent's %s namespace", name))
			}
		}
	}
	// In another pid namespace the agent's number is nobody's, or one of the build's own.
	if shared["pid"] && shared["signal"] {
		errs = append(errs, errors.New("the build can signal the agent"))
	}
	return errors.Join(errs...)
}
