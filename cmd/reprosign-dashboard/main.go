// Command reprosign-dashboard shows releases, votes and evidence to everybody,
// and serves the evidence log. It reads the database through a role that sees
// public views alone; it holds no key and changes nothing.
//
//	$ reprosign-dashboard --listen 127.0.0.1:8080 --database-dsn-file state/dashboard.dsn
//
// A proxy before it ends TLS. Its settings are explained in deploy/config/dashboard.toml.
package main

import (
	"os"

	"github.com/reprosign/reprosign/internal/program"
)

func main() { os.Exit(program.Main(newCommand(os.Environ()))) }
