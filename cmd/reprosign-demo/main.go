// Command reprosign-demo runs the whole signing cycle on one machine: a
// software HSM, a coordinator with its own PostgreSQL and NATS, a signer, four
// rebuilders of four operators and the dashboard, each a process of its own
// with keys of its own. Three real releases go through it, then it is attacked.
//
//	$ make demo                                # leaves the dashboard open
//	$ make demo ARGS=--once                    # exits, with status 0 only if everything verified
//	$ make demo ARGS='--once --dir /tmp/demo'  # leaves there all that a verifier needs
//
// It types the commands that people type, and shows them at the end, so that
// each check can be repeated by hand.
package main

import (
	"os"

	"github.com/reprosign/reprosign/internal/program"
)

func main() { os.Exit(program.Main(newCommand())) }
