// Package backend turns a release's recipe into artifacts.
//
// A back-end knows one way to build: Debian source packages, Go modules, or whatever an executable pinned on the agent
// does. All of them keep one order, which [Run] enforces and which makes a vote worth something (design §2.3):
//
//  1. Check: the recipe is understood to the last parameter, or refused.
//  2. Fetch: every input is brought in over the network and checked by digest. Nothing of the source runs.
//  3. Build: the source runs, in a sandbox without a network, and sees only what was fetched.
//  4. Collect: when every process is dead, the outputs are opened, parsed and hashed in one pass.
//
// Each step that ends otherwise ends in one of the signed outcomes, told apart by [Failure]: a recipe or source that gives
// nothing is build-failed, a mirror that gives nothing or something else is fetch-failed, and what is the agent's own
// fault is infra-error. Whoever builds the same must arrive at the same class.
//
//	go := backend.Golang(backend.GolangConfig{Go: "/usr/local/go/bin/go", Proxy: "https://proxy.example", SumDB: "off"})
//	slot, err := box.Acquire(ctx)
//	report := backend.Run(ctx, go, job, slot, backend.Options{Log: logFile, Keep: outputs})
//	report.Outcome, report.Artifacts // built, [{txtar-x executable …}]
package backend
