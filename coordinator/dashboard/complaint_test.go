package dashboard_test

import (
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/dashboard"
)

// complain stores the complaint of the i-th rebuilder about a vote that nobody
// has ever counted; whether it is justified is not the dashboard's to judge.
func (h *house) complain(release attest.Digest, i int, decision attest.Digest, b built) []*attest.Envelope {
	h.t.Helper()
	key := h.world.Rebuilders[i]
	statement, err := attest.Rebuild{
		Release: release, Rebuilder: key.Name(), Outcome: attest.Built, Set: b.set, Isolation: attest.IsolationUID, Started: 1700000000, Finished: 1700000100,
	}.Seal(key)
	must(h.t, err)
	receipt, err := attest.Receipt{
		Coordinator: h.world.Coordinator.Name(), Rebuilder: key.Name(), Issued: 1700000200, Counted: []attest.Digest{statement.Digest()},
	}.Seal(h.world.Coordinator)
	must(h.t, err)
	c := attest.Complaint{
		Rebuilder: key.Name(), Release: release, Decision: decision, Statement: statement.Digest(), Receipt: receipt.Digest(), Issued: 1700000300,
	}
	complaint, err := c.Seal(key)
	must(h.t, err)
	bodies := []*attest.Envelope{complaint, receipt, statement}
	record, err := attest.NewRecord(h.world.Coordinator.Name(), attest.RecordComplaint, bodies...)
	must(h.t, err)
	sealed, err := record.Seal(h.world.Coordinator)
	must(h.t, err)
	entry := h.entry(sealed, h.world.Coordinator)
	for _, e := range bodies {
		entry.Bodies[e.Digest()], err = e.Encode()
		must(h.t, err)
	}
	_, created, err := h.writer.Complain(h.t.Context(), coordinator.Complaint{Complaint: c, Digest: complaint.Digest(), Vote: true}, entry)
	must(h.t, err)
	if !created {
		h.t.Fatal("the complaint was there before")
	}
	return bodies
}

func TestPageOfAReleaseShowsWhoComplainsAndTheProof(t *testing.T) {
	h := newHouse(t)
	b := build(t, "content", "hello_1.0_amd64.deb")
	n := h.signed("1.0", b, nil)
	path := "/releases/" + n.ID.String()
	before := decode[dashboard.Release](h, "/api/v1"+path)
	if len(before.Complaints) != 0 {
		t.Fatalf("complaints before there is one: %+v", before.Complaints)
	}
	refuseText(t, h.page(path), "Complaints")
	bodies := h.complain(n.ID, 3, before.Decision.Digest, b)
	refuseText(t, h.page(path), "Complaints") // the log does not show it yet
	h.publish()

	r := decode[dashboard.Release](h, "/api/v1"+path)
	if len(r.Complaints) != 1 {
		t.Fatalf("complaints %+v", r.Complaints)
	}
	c := r.Complaints[0]
	sentence := "rebuilder-4 of operator-4 complains that this decision leaves out its vote, though the coordinator had confirmed with its signature that it is counted."
	if c.Sentence != sentence || c.Rebuilder != "rebuilder-4" || c.Operator != "operator-4" || c.At.IsZero() {
		t.Errorf("complaint %+v", c)
	}
	page := h.page(path)
	wantText(t, page, sentence)
	for i, url := range []string{c.Complaint, c.Receipt, c.Statement} {
		encoded, err := bodies[i].Encode()
		must(t, err)
		wantText(t, page, `href="`+url+`"`)
		if got := h.page(url); got != string(encoded) {
			t.Errorf("%s: got %.80q, want the envelope that was shown", url, got)
		}
	}
	wantText(t, h.page(c.Entry), "hashedrekord")
}
