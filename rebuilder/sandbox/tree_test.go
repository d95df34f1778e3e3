package sandbox

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// TestAUIDIsClearedWithoutAHelperProcess covers what kill falls back on when the process table is full.
func TestAUIDIsClearedWithoutAHelperProcess(t *testing.T) {
	if os.Geteuid() != 0 {
		return // an ordinary user's agent has no build uids
	}
	tree := uidTree{300_200}
	var pids []int
	var children []*exec.Cmd
	for range 5 {
		child := exec.CommandContext(context.Background(), "/bin/sleep", "1000")
		child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: tree.uid, Gid: tree.uid}}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		children, pids = append(children, child), append(pids, child.Process.Pid)
	}
	tree.strike(append(pids, os.Getpid()))
	for _, child := range children {
		if err := child.Wait(); err == nil || child.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Errorf("process %d ended with %v", child.Process.Pid, err)
		}
	}
}
