package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// wantStatus is the script command "status N ARGS…": it runs reprosign and
// fails unless it ends with that exit status. What it printed is for stdout
// and stderr to check.
func wantStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: status N ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	// Under the race detector a process that ends waits a second for its other
	// goroutines, and scripts run hundreds of them.
	ts.Setenv("GORACE", "atexit_sleep_ms=0")
	err = ts.Exec("reprosign", args[1:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("running reprosign: %v", err)
	}
	if got != want {
		ts.Fatalf("exit status: got %d, want %d", got, want)
	}
}

// wantMode is the script command "mode FILE OCTAL".
func wantMode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode()&fs.ModePerm); got != args[1] {
		ts.Fatalf("mode of %s: got %s, want %s", args[0], got, args[1])
	}
}

// asked is the script command "asked": it returns when somebody waits.
func (c *coordinator) asked(ts *testscript.TestScript, _ bool, _ []string) {
	select {
	case <-c.waits:
	case <-time.After(patience):
		ts.Fatalf("nobody waits")
	}
}

// same is the script command "same WHAT": it fails unless what was submitted
// last is what it was the time before; "! same" unless it is not.
func (c *coordinator) same(ts *testscript.TestScript, neg bool, args []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, before := c.said[args[0]], c.said["before "+args[0]]
	if last.IsZero() || (last == before) == neg {
		ts.Fatalf("%s: %v, before %v", args[0], last, before)
	}
	c.said["before "+args[0]] = last
}
