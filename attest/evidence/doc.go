// Package evidence holds the evidence bundle, one per release, and its offline
// verification (design §3).
//
// A bundle carries everything that led to a signature: the policies, the
// request, the opening, every vote byte for byte, the artifact list, the
// signer's decision with its log entry, and the OpenPGP signatures with their
// certificates. It is found beside a file, on a mirror or in an old backup,
// and it is believed in nothing: a verifier brings a policy that it trusts, its
// [Trust], and needs neither network nor clock.
//
//	bundle, err := evidence.Parse(data)
//	…
//	report, err := evidence.Verify(bundle, trust)
//	…
//	file, err := report.CheckFile("hello_2.10-3_amd64.deb", reader)
//
// Verify walks from the pinned policy to the decision and evaluates the case
// again, with the same function as the signer and at the same time: the time
// in the decision. CheckFile then reads the file once, finds it in the
// decision and verifies the signatures over it. A report whose error is nil has
// a step for everything that was checked.
//
// # What it proves
//
// That the operators which the policy names reported the identical artifacts
// for that request, that the signer decided so, and that the decision is in the
// log under a checkpoint of the log's key. If the trust names witnesses, also that
// enough of them have cosigned the log, and that the decision held by their time
// ([policy.Confirm]), whatever the clocks of coordinator and signer said.
//
// It does not prove that the source is good. Without witnesses of two operators
// other than the log's it does not prove that everybody sees the same log either,
// and reports say "unwitnessed".
//
// Nobody has to believe this package: examples/python is a second verifier,
// written from docs/spec, and tests compare the two.
package evidence
