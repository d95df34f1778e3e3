// Command reprosign-rebuilder is the agent of an independent operator: it
// builds what it is asked to and signs what came out.
//
//	$ reprosign-rebuilder --config /etc/reprosign/rebuilder.toml
//
// Its settings are explained in deploy/config/rebuilder.toml.
package main

import (
	"os"

	"github.com/reprosign/reprosign/internal/program"
)

func main() { os.Exit(program.Main(newCommand(os.Environ()))) }
