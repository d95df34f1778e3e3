// Command reprosign-signer decides which releases may be signed and has the
// hardware security module sign them. It talks to the message bus and to the
// device, and to nothing else.
//
//	$ reprosign-signer --config /etc/reprosign/signer.toml
//
// Its settings are explained in deploy/config/signer.toml.
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
