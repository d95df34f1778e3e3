package sandbox

import "github.com/reprosign/reprosign/attest"

// Auto is no level but the wish for the strongest that works. It is never the level of a Sandbox.
const Auto attest.Isolation = ""

// namespaces reports whether builds of level l see a file system, a process table and a network of their own.
func namespaces(l attest.Isolation) bool {
	return l == attest.IsolationUserns || l == attest.IsolationBwrap
}

// ownUID reports whether each build of level l has a uid that no other process on the host has.
func ownUID(l attest.Isolation) bool { return l == attest.IsolationUID || l == attest.IsolationBwrap }
