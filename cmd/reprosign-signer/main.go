// Command reprosign-signer decides which releases may be signed and has the
// hardware security module sign them. It talks to the message bus and to the
// device, and to nothing else.
//
//	$ reprosign-signer --config /etc/reprosign/signer.toml
//
// Its settings are explained in deploy/config/signer.toml.
package main

import (
	"os"

	"github.com/reprosign/reprosign/internal/program"
)

func main() { os.Exit(program.Main(newCommand(os.Environ()))) }
