package dashboard_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/dashboard"
)

func TestPageOfASignedReleaseSaysSoFirst(t *testing.T) {
	h := newHouse(t)
	b := build(t, "content", "hello_1.0_amd64.deb", "libhello_1.0_amd64.deb")
	n := h.signed("1.0", b, func(id attest.Digest) { h.vote(id, 3, build(t, "else", "hello_1.0_amd64.deb")) })
	path := "/releases/" + n.ID.String()
	page := h.page(path)
	sentence := "3 of 4 operators built identical files, as policy 1 asks (at least 3)."
	wantText(t, page, "<b>Signed:</b> "+sentence, b.artifacts[0].SHA256.String(), "not in this build", "differs", "agrees",
		"reprosign verify hello_1.0_amd64.deb hello_1.0_amd64.evidence.json --trust policy.json",
		"gpg --verify hello_1.0_amd64.deb.sig hello_1.0_amd64.deb", "Unwitnessed", `<th scope="row">rebuilder-1</th>`)
	if strings.Index(page, sentence) > strings.Index(page, "<table") {
		t.Error("the sentence is not before the table")
	}

	r := decode[dashboard.Release](h, "/api/v1"+path)
	if r.State != coordinator.Signed || r.Sentence != sentence || !r.Disclosed || len(r.Artifacts) != 2 || r.Decision == nil {
		t.Fatalf("JSON twin: %+v", r)
	}
	views := map[string]policy.View{}
	for _, v := range r.Votes {
		views[v.Rebuilder] = v.View
	}
	if views["rebuilder-1"] != policy.ViewAgrees || views["rebuilder-4"] != policy.ViewDiffers {
		t.Errorf("views %v", views)
	}
	s := r.Artifacts[0].Signatures[0]
	want := signatureOf(b.artifacts[0])
	if got := h.page(s.Binary); got != string(want) {
		t.Errorf("binary signature %q, want %q", got, want)
	}
	if got := h.page(s.Armored); got != string(openpgp.Armor(want)) {
		t.Errorf("armored signature %q", got)
	}
	certificate := h.page("/certificates/" + s.Certificate + ".asc")
	wantText(t, certificate, "-----BEGIN PGP PUBLIC KEY BLOCK-----")

	bundle := `{"evidence":"of ` + n.ID.String() + `"}`
	evidence := h.get(r.Evidence)
	if evidence.body != bundle || evidence.header.Get("Content-Disposition") != "attachment; filename=hello_1.0_amd64.evidence.json" {
		t.Errorf("evidence %q as %q", evidence.body, evidence.header.Get("Content-Disposition"))
	}
	found := decode[dashboard.Found](h, "/api/v1/artifacts/"+b.artifacts[1].SHA256.String())
	if found.Release != n.ID || found.Artifact.Name != b.artifacts[1].Name || h.page(found.Evidence) != bundle {
		t.Errorf("by artifact: %+v", found)
	}
	for _, look := range []string{"/artifacts/%v", "/artifacts?sha256=%v"} {
		if a := h.get(fmt.Sprintf(look, b.artifacts[1].SHA256)); a.status != 302 || a.header.Get("Location") != path {
			t.Errorf("%s: %d to %q", look, a.status, a.header.Get("Location"))
		}
	}
}

func TestPageOfAWaitingReleaseSaysWhatItWaitsFor(t *testing.T) {
	h := newHouse(t)
	n := h.open("hello", "1.0")
	path := "/releases/" + n.ID.String()
	wantText(t, h.page(path), "<b>Waiting:</b> 0 of 4 operators have reported a build, 3 identical ones are needed; "+
		"no answer yet from operator-1, operator-2, operator-3 and operator-4.")
	h.vote(n.ID, 0, build(t, "x", "x.deb"))
	h.report(n.ID, 1, attest.BuildFailed)
	h.report(n.ID, 2, attest.InfraError)
	page := h.page(path)
	wantText(t, page, "1 of 4 operators has reported a build", "no answer yet from operator-4", "operator-2 could not build it",
		"operator-3 had trouble with the machine or the network", "not rebuilt yet", "did not build", "reported a build", "Deadline")
	refuseText(t, page, "differs", "failed", "wrong", "danger", "alert", "What this does not prove")
}

func TestFailingToBuildIsNeverShownAsADifference(t *testing.T) {
	h := newHouse(t)
	b := build(t, "content", "hello.deb")
	for _, outcome := range []attest.Outcome{attest.BuildFailed, attest.TimedOut, attest.FetchFailed, attest.InfraError} {
		n := h.signed(string(outcome), b, func(id attest.Digest) { h.report(id, 3, outcome) })
		r := decode[dashboard.Release](h, "/api/v1/releases/"+n.ID.String())
		want := policy.ViewBuildFailed
		if outcome == attest.InfraError || outcome == attest.FetchFailed {
			want = policy.ViewInfraError
		}
		if got := r.Votes[3].View; got != want || len(r.Votes[3].Artifacts) != 0 {
			t.Errorf("%s: shown as %q with %v, want %q", outcome, got, r.Votes[3].Artifacts, want)
		}
	}
	n := h.signed("pending", b, nil)
	if r := decode[dashboard.Release](h, "/api/v1/releases/"+n.ID.String()); r.Votes[3].View != policy.ViewPending {
		t.Errorf("no answer: shown as %q", r.Votes[3].View)
	}
}

func TestConflictShowsWhereBuildsDiffer(t *testing.T) {
	h := newHouse(t)
	n := h.open("hello", "1.0")
	one, two := build(t, "one", "a.deb", "b.deb"), build(t, "two", "a.deb")
	// The second file is the same in both.
	two.artifacts = append(two.artifacts, one.artifacts[1])
	two.states = append(two.states, one.states[1])
	var err error
	two.set, err = two.artifacts.SetDigest()
	must(t, err)
	for i := range rebuilders {
		h.vote(n.ID, i, []built{one, two}[i%2])
	}
	h.evaluate()
	page := h.page("/releases/" + n.ID.String())
	wantText(t, page, "<b>Not signed:</b> What operators built cannot satisfy policy 1 any more, which asks for 3 identical builds.",
		"at most 2 of 4 operators can agree", one.artifacts[0].SHA256.Short(), two.artifacts[0].SHA256.Short())
	r := decode[dashboard.Release](h, "/api/v1/releases/"+n.ID.String())
	for _, v := range r.Votes {
		if len(v.Artifacts) != 2 || v.Artifacts[0].Name != "a.deb" || v.Artifacts[0].View != policy.ViewDiffers || v.Artifacts[1].View != policy.ViewAgrees {
			t.Errorf("%s: %+v", v.Rebuilder, v.Artifacts)
		}
	}
}

func TestNamesCannotWriteThePageNorTheCommands(t *testing.T) {
	h := newHouse(t)
	b := build(t, "x", "a$(reboot)&<b>'.deb")
	n := h.signed("1.0", b, nil)
	page := h.page("/releases/" + n.ID.String())
	refuseText(t, page, "<b>'")
	wantText(t, page, `reprosign verify 'a$(reboot)&<b>'\''.deb' hello_1.0`)
	r := decode[dashboard.Release](h, "/api/v1/releases/"+n.ID.String())
	if got := h.page(r.Artifacts[0].Signatures[0].Binary); got != string(signatureOf(b.artifacts[0])) {
		t.Errorf("signature %q", got)
	}
}

func TestWithdrawnReleaseSaysWhy(t *testing.T) {
	h := newHouse(t)
	n := h.open("hello", "1.0")
	w := attest.Withdrawal{Role: attest.RolePublisher, By: h.world.Publisher.Name(), Release: n.ID, Reason: "wrong branch", At: n.Opening.Opened}
	e, err := w.Seal(h.world.Publisher)
	must(t, err)
	must(t, h.writer.Withdraw(t.Context(), e.Digest(), w, e, h.record(e)))
	wantText(t, h.page("/releases/"+n.ID.String()), "<b>Withdrawn:</b>", "wrong branch")
}
