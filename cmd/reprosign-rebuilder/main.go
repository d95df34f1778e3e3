// Command reprosign-rebuilder is the agent of an independent operator: it
// builds what it is asked to and signs what came out.
//
//	$ reprosign-rebuilder --config /etc/reprosign/rebuilder.toml
//
// Its settings are explained in deploy/config/rebuilder.toml.
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
