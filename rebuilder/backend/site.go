package backend

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/reprosign/reprosign/rebuilder/sandbox"
)

// Where commands find a site's directories. The build path is fixed, since compilers write it into their output.
const (
	inPath       = "/in"       // what was fetched, read-only
	buildPath    = "/build"    // scratch
	outPath      = "/out"      // artifacts
	evidencePath = "/evidence" // what explains them
)

// Site is the directories of one job, by host path, in a slot of the sandbox. The agent writes In, the build the others.
type Site struct {
	Slot     *sandbox.Slot
	In       string
	Build    string
	Out      string
	Evidence string
	Timeout  time.Duration
}

func newSite(slot *sandbox.Slot) (*Site, error) {
	s := &Site{Slot: slot}
	for _, d := range []struct {
		name   string
		access sandbox.Access
		dir    *string
	}{
		{"in", sandbox.AgentWrites, &s.In},
		{"build", sandbox.BuildWrites, &s.Build},
		{"out", sandbox.BuildWrites, &s.Out},
		{"evidence", sandbox.BuildWrites, &s.Evidence},
	} {
		var err error
		if *d.dir, err = slot.Dir(d.name, d.access); err != nil {
			return nil, fmt.Errorf("preparing the build site: %w", err)
		}
	}
	return s, nil
}

func (s *Site) mounts() []sandbox.Mount {
	return []sandbox.Mount{
		{Host: s.Build, Inside: buildPath, Writable: true},
		{Host: s.In, Inside: inPath},
		{Host: s.Out, Inside: outPath, Writable: true},
		{Host: s.Evidence, Inside: evidencePath, Writable: true},
	}
}

// path is where a command of this site finds what is at the fixed path inside.
func (s *Site) path(inside string) string { return s.Slot.Path(s.mounts(), inside) }

// run runs a shell script with arguments in the build directory, with the site's directories mounted.
func (s *Site) run(ctx context.Context, log io.Writer, script string, args []string, adapt func(*sandbox.Spec)) (sandbox.Result, error) {
	spec := sandbox.Spec{
		Command: append([]string{"/bin/sh", "-c", "mkdir -p \"$HOME\"\n" + script, "sh"}, args...),
		Dir:     buildPath,
		Mounts:  s.mounts(),
		Log:     log,
		Timeout: s.Timeout,
	}
	if adapt != nil {
		adapt(&spec)
	}
	return s.Slot.Run(ctx, spec)
}

// makeReadable opens a tree that the agent wrote to builds, which may have another uid, whatever the agent's umask.
func makeReadable(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if d.IsDir() || info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		return root.Chmod(p, mode)
	})
}
