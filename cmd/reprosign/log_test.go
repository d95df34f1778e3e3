package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/monitor/monitortest"
)

// TestLogs runs scripts on a log that is served at $URL and copied to the
// directory log. The script command "log WHAT" makes something happen to it.
func TestLogs(t *testing.T) {
	t.Parallel()
	eachScript(t, "log", func(t *testing.T, script string) {
		l := monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
		first := l.Release(t, 1)
		l.Publish(t)
		url := l.Serve(t)
		testscript.Run(t, testscript.Params{
			Files:               []string{script},
			RequireExplicitExec: true,
			Setup: func(env *testscript.Env) error {
				trust, err := l.Envelope.Encode()
				if err != nil {
					return err
				}
				l.Write(t, filepath.Join(env.WorkDir, "log"))
				env.Setenv("URL", url)
				env.Setenv("FIRST", first.ID.String())
				return os.WriteFile(filepath.Join(env.WorkDir, "trust.json"), trust, 0o600)
			},
			Cmds: map[string]func(*testscript.TestScript, bool, []string){
				"status": wantStatus,
				"log": func(ts *testscript.TestScript, _ bool, args []string) {
					if err := happen(t, l, first, args[0]); err != "" {
						ts.Fatalf("log %s: %s", args[0], err)
					}
				},
			},
		})
	})
}

// happen makes something happen to a log.
func happen(t *testing.T, l *monitortest.Log, first *evidencetest.Release, what string) (fault string) {
	switch what {
	case "grows":
		l.Release(t, 2)
		l.Publish(t)
	case "lies": // of signatures on a decision that is none
		l.Made(t, attest.SignaturesMade{Release: first.ID, Decision: attest.SHA256(nil), LogIndex: 1}, first)
		l.Publish(t)
	case "rots":
		path := translog.EntriesPath(0, len(l.World.Log.Leaves))
		data := append([]byte(nil), l.File(path)...)
		data[40] ^= 1
		l.Set(path, data)
	case "forks":
		other := monitortest.New(t, evidencetest.New(t, evidencetest.Options{}))
		other.Release(t, 3)
		other.Publish(t)
		l.Swap(other.Files())
	default:
		return "nothing of that name happens"
	}
	return ""
}
