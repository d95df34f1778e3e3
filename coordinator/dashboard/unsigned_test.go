package dashboard_test

import (
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/dashboard"
)

func TestEvidenceOfAReleaseThatIsNotSignedIsNotTakenForMore(t *testing.T) {
	h := newHouse(t)
	logged, withdrawn := h.open("hello", "1.0"), h.open("hello", "2.0")
	for _, n := range []coordinator.NewRelease{logged, withdrawn} {
		for i := range threshold {
			h.vote(n.ID, i, build(t, "content", "hello_"+n.ID.Short()+".deb"))
		}
	}
	h.evaluate()
	h.decide()
	// Withdrawn before the log shows its decision.
	w := attest.Withdrawal{Role: attest.RolePublisher, By: h.world.Publisher.Name(), Release: withdrawn.ID, Reason: "wrong branch", At: withdrawn.Opening.Opened}
	e, err := w.Seal(h.world.Publisher)
	must(t, err)
	must(t, h.writer.Withdraw(t.Context(), e.Digest(), w, e, h.record(e)))
	h.publish()
	claimed, err := h.writer.ClaimUnsigned(t.Context(), 0, 10, time.Minute)
	must(t, err)
	if len(claimed) != 2 {
		t.Fatalf("%d decisions without evidence, want 2", len(claimed))
	}
	for _, u := range claimed {
		must(t, h.writer.StoreUnsigned(t.Context(), u.Release, []byte(`{"evidence":"unsigned"}`)))
	}
	for id, state := range map[attest.Digest]coordinator.State{logged.ID: coordinator.Logged, withdrawn.ID: coordinator.Withdrawn} {
		page := h.page("/releases/" + id.String())
		wantText(t, page, "This release is not signed", "It vouches for no file")
		refuseText(t, page, "--trust policy.json", "gpg --verify", "Check it yourself", "<b>Signed:</b>")
		r := decode[dashboard.Release](h, "/api/v1/releases/"+id.String())
		if r.State != state || !r.Signed.IsZero() {
			t.Errorf("%s: state %s, signed at %v", state, r.State, r.Signed)
		}
		evidence := h.get(r.Evidence)
		if evidence.body != `{"evidence":"unsigned"}` || evidence.header.Get("Content-Disposition") != "attachment; filename=hello_"+r.Version+"_amd64.unsigned.evidence.json" {
			t.Errorf("%s: %q as %q", state, evidence.body, evidence.header.Get("Content-Disposition"))
		}
	}
	h.sign() // the device is back
	page := h.page("/releases/" + logged.ID.String())
	wantText(t, page, "<b>Signed:</b>", "--trust policy.json")
	refuseText(t, page, "This release is not signed")
}
