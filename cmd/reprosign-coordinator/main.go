// Command reprosign-coordinator opens releases, takes votes, keeps the evidence
// log and moves every release through the signing cycle.
//
//	$ reprosign-coordinator --config /etc/reprosign/coordinator.toml
//
// Without a database and a message bus in its settings it starts both itself,
// in its state directory. Its settings are explained in deploy/config/coordinator.toml.
package main

import (
	"os"

	"github.com/reprosign/reprosign/internal/program"
)

func main() { os.Exit(program.Main(newCommand(os.Environ()))) }
