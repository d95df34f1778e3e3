// Command reprosign is what publishers, admins and verifiers use: it submits
// releases, waits for them, verifies evidence offline, and writes, signs and
// shows policies and keys.
//
//	$ reprosign submit --suite stable --source hello --version 2.10-3 --arch amd64 --recipe hello.json --wait
//	$ reprosign verify hello_2.10-3_amd64.deb hello.evidence.json --trust policy.json
//
// Results are on standard output, everything else on standard error. The exit
// status says what happened; `reprosign help exit-codes` lists it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ())
	stop()
	os.Exit(code)
}
