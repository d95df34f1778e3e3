// Command reprosign-coordinator opens releases, takes votes, keeps the evidence
// log and moves every release through the signing cycle.
//
//	$ reprosign-coordinator --config /etc/reprosign/coordinator.toml
//
// Without a database and a message bus in its settings it starts both itself,
// in its state directory. Its settings are explained in deploy/config/coordinator.toml.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newCommand(os.Environ()).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
