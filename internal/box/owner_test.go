package box_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reprosign/reprosign/internal/box"
)

// ownerVariable makes this test binary play an owner of services, to be killed.
const ownerVariable = "REPROSIGN_BOX_TEST_OWNER"

// owners start a service, print where it is on one line, and wait for death.
var owners = map[string]func(args []string){
	"postgres": func(args []string) {
		pg, err := box.StartPostgres(context.Background(), box.PostgresOptions{Dir: args[0], Durable: true})
		if err != nil {
			fmt.Println(err)
			return
		}
		pid, err := pg.Query(context.Background(), "postgres",
			"CREATE TABLE kept (n int); INSERT INTO kept VALUES (5);"+
				"SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1), current_setting('data_directory')")
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(pid)
		select {}
	},
	"nats": func(args []string) {
		nats, err := box.StartNATS(context.Background(), args[1], box.NATSOptions{Dir: args[0], Listen: "127.0.0.1:0"})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(nats.ClientURL())
		select {}
	},
}

// own starts an owner in a process of its own and returns the process and the
// line that it printed.
func own(t *testing.T, service string, args ...string) (*exec.Cmd, string) {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(executable, args...)
	cmd.Env = append(os.Environ(), ownerVariable+"="+service)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("reading from the owner: %v", err)
	}
	return cmd, strings.TrimSpace(line)
}

func kill(t *testing.T, owner *exec.Cmd) {
	t.Helper()
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait() // "signal: killed" is what was asked for
}

func TestKilledOwnerTakesPostgresWithIt(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(shortDir(t), "pg")
	owner, line := own(t, "postgres", dir)
	pid, _, ok := strings.Cut(line, "|")
	if !ok {
		t.Fatalf("the owner printed %q", line)
	}
	if _, err := os.Stat(filepath.Join("/proc", pid)); err != nil {
		t.Fatalf("the server of a live owner: %v", err)
	}
	kill(t, owner)
	await(t, "the server to end", func() bool { return gone(pid) })

	// The directory is free again, and what was committed is there.
	pg := start(t, box.PostgresOptions{Dir: dir, Durable: true})
	if got := query(t, pg, "postgres", "SELECT n FROM kept"); got != "5" {
		t.Errorf("row after the kill: got %q, want 5", got)
	}
}

func TestDirectoryOfAKilledOwnerIsTakenOverOnlyWhenItsServerIsGone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(shortDir(t), "pg")
	owner, line := own(t, "postgres", dir)
	number, _, _ := strings.Cut(line, "|")
	pid, err := strconv.Atoi(number)
	if err != nil {
		t.Fatalf("the owner printed %q", line)
	}
	// A stopped process takes as long to end as this test wants it to.
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	kill(t, owner)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // do not wait for it
	_, err = box.StartPostgres(ctx, box.PostgresOptions{Dir: dir, Durable: true})
	if err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("starting beside the old server: got error %v", err)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	start(t, box.PostgresOptions{Dir: dir, Durable: true}) // waits for it
}

func TestThrowAwayClusterOfAKilledOwnerIsSweptByTheNext(t *testing.T) {
	t.Parallel()
	owner, line := own(t, "postgres", "")
	pid, data, ok := strings.Cut(line, "|")
	if !ok {
		t.Fatalf("the owner printed %q", line)
	}
	bystander := start(t, box.PostgresOptions{}) // sweeps, but not what is in use
	if gone(pid) {
		t.Fatal("the server of a live owner ended")
	}
	kill(t, owner)
	await(t, "the server to end", func() bool { return gone(pid) })
	start(t, box.PostgresOptions{})
	if _, err := os.Stat(data); err == nil {
		t.Errorf("cluster of the killed owner is still in %s", data)
	}
	if got := query(t, bystander, "postgres", "SELECT 1"); got != "1" {
		t.Errorf("the bystander's answer: got %q", got)
	}
}

// gone reports whether the process has ended; a zombie has.
func gone(pid string) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return true
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(after, "Z")
}

// await polls a condition that nobody announces.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("waited a minute in vain for %s", what)
		}
	}
}
