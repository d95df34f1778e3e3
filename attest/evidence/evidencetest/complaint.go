package evidencetest

import (
	"testing"

	"github.com/reprosign/reprosign/attest"
)

// Complain returns a rebuilder's complaint that the release's decision lacks a
// statement of its, and the receipt that calls the statement counted. Whether
// the complaint is justified is for the reader to judge.
func (r *Release) Complain(tb testing.TB, key attest.SigningKey, statement *attest.Envelope) (complaint, receipt *attest.Envelope) {
	tb.Helper()
	receipt = seal(tb, r.World.Coordinator, attest.Receipt{
		Coordinator: r.World.Coordinator.Name(), Rebuilder: key.Name(), Issued: r.opening.Opened + 70, Counted: []attest.Digest{statement.Digest()},
	})
	complaint = seal(tb, key, attest.Complaint{
		Rebuilder: key.Name(), Release: r.ID, Decision: r.Decision.Digest(), Statement: statement.Digest(), Receipt: receipt.Digest(),
		Issued: r.decided.Decided + 60,
	})
	return complaint, receipt
}
