// Command reprosign-softhsm is a soft NetHSM for development and demonstrations. It answers like the device and protects
// nothing: do not give it keys that matter.
//
//	$ reprosign-softhsm --listen 127.0.0.1:8443 --state hsm.json
//	listening https://127.0.0.1:8443 sha256:9f86d0…
//
// What it can do is said by package nethsmtest.
package main

import (
	"os"

	"github.com/reprosign/reprosign/internal/program"
)

func main() { os.Exit(program.Main(newCommand())) }
