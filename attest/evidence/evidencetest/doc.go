// Package evidencetest builds whole worlds for tests: parties with their keys,
// a signed policy, a log in memory and releases that went all the way to their
// signatures. Everything is real but the keys, which follow from names, and
// the times, which are fixed; so the same world has the same bytes in every run.
//
//	world := evidencetest.New(t, evidencetest.Options{Rebuilders: 7, Threshold: 4})
//	release := world.Release(t, 1)
//	bundle, err := evidence.Build(release.Parts())
//
// Tests of a refusal take a world, change one thing and look for the reason.
package evidencetest
