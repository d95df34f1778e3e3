// Package attest holds the signed words of reprosign: statements, the envelopes
// that carry them and the artifacts they speak of (design §3).
//
// The package is pure. Bytes go in, values come out; it opens no file, no
// socket and no database, and it never asks for the time. Coordinator, signer,
// agents and offline verifiers read the same bytes with the same code and so
// reach the same verdict, today and in ten years.
//
// # Statements
//
// A statement is an in-toto Statement v1 whose predicate type names its role:
// a publisher's [Request], the coordinator's [Opening], a rebuilder's
// [Rebuild], the coordinator's [Receipt] and [Rejection], the signer's
// [Decision] and [SignaturesMade], the coordinator's [Record] of any other
// envelope, and an admin's or publisher's [Withdrawal]. Every statement names
// its author; the verifier takes the author's key from the policy by role and
// name, never from the message.
//
//	envelope, err := rebuild.Seal(agentKey)
//	…
//	rebuild, err := attest.OpenRebuild(envelope, policy.RebuilderKey)
//
// Nothing leaves an Open function unverified. The Parse functions beside them
// exist for pages that show a statement whose envelope was verified before.
//
// # Strictness
//
// What is signed is canonical JSON (RFC 8785). A parser accepts exactly the
// bytes that its encoder writes: duplicate or unknown members, another case,
// null, trailing data, other number or base64 spellings and unsorted members
// are all errors, because re-encoding what was understood must give the input.
// So one meaning has one spelling, and a digest names a meaning.
//
// # Digests
//
// The digest of a statement is the SHA-256 of its payload. The release id is
// the digest of its opening. Only the log leaf uses the SHA-256 of the DSSE
// pre-authentication encoding, because Rekor v2 does (package translog).
package attest
