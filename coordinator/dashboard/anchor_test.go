package dashboard_test

import (
	"net/http"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/dashboard"
)

func TestAnchorIsServedBesideTheEvidence(t *testing.T) {
	h := newHouse(t)
	n := h.signed("1.0", build(t, "content", "hello_1.0_amd64.deb"), func(attest.Digest) {})
	path := "/api/v1/releases/" + n.ID.String()
	if r := decode[dashboard.Release](h, path); r.Anchor != nil {
		t.Errorf("an anchor before there is one: %+v", r.Anchor)
	}
	if got := h.get(path + "/anchor"); got.status != http.StatusNotFound {
		t.Errorf("status %d before there is an anchor", got.status)
	}
	_, err := h.writer.ClaimAnchors(t.Context(), 10, 0)
	must(t, err)
	must(t, h.writer.Anchored(t.Context(), coordinator.Anchor{Release: n.ID, Log: "rekor.example.org", Index: 7, Bundle: []byte(`{"anchor":1}`)}))
	r := decode[dashboard.Release](h, path)
	if r.Anchor == nil || r.Anchor.Log != "rekor.example.org" || r.Anchor.Index != 7 || r.Anchor.At.IsZero() {
		t.Fatalf("anchor %+v", r.Anchor)
	}
	got := h.get(r.Anchor.Bundle)
	if got.body != `{"anchor":1}` || got.header.Get("Content-Disposition") != "attachment; filename=hello_1.0_amd64.anchor.sigstore.json" {
		t.Errorf("bundle %q as %q", got.body, got.header.Get("Content-Disposition"))
	}
	wantText(t, h.page("/releases/"+n.ID.String()), "rekor.example.org, entry 7")
}
