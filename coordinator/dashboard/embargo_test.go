package dashboard_test

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator/dashboard"
)

var links = regexp.MustCompile(`(?:href|src)="(/[^"#]*)|"(/[^" ]+)"|"next": "(\?[^"]*)"`)

// crawl gets everything that can be found from the first pages, all tiles and
// every body that an entry names, and returns it by URL.
func (h *house) crawl() map[string]string {
	h.t.Helper()
	todo := []string{"/", "/log", "/checkpoint", "/api/v1/releases", "/api/v1/log"}
	if a := h.get("/api/v1/log"); a.status == 200 {
		size := decode[dashboard.Log](h, "/api/v1/log").Size
		for i := range size {
			todo = append(todo, fmt.Sprintf("/log/%d", i), fmt.Sprintf("/api/v1/log/%d", i))
		}
		todo = append(todo, "/"+translog.EntriesPath(0, int(size)), "/"+translog.TilePath(0, 0, int(size)))
	}
	got := map[string]string{}
	for len(todo) > 0 {
		path := strings.ReplaceAll(todo[0], "&amp;", "&")
		todo = todo[1:]
		if _, seen := got[path]; seen {
			continue
		}
		got[path] = h.get(path).body
		for _, match := range links.FindAllStringSubmatch(got[path], -1) {
			found := match[1] + match[2]
			if match[3] != "" {
				found = "/api/v1/releases" + match[3]
			}
			todo = append(todo, found)
			if strings.HasPrefix(found, "/releases/") && !strings.Contains(found, "/signatures/") {
				todo = append(todo, "/api/v1"+found, "/api/v1"+found+"/evidence")
			}
		}
	}
	return got
}

// secrets are all spellings of what must not be seen of a build.
func secrets(t testing.TB, b built) []string {
	t.Helper()
	var out []string
	add := func(digest []byte) {
		out = append(out, fmt.Sprintf("%x", digest[:6]), string(digest), base64.StdEncoding.EncodeToString(digest))
	}
	add(b.set[:])
	for _, a := range b.artifacts {
		out = append(out, a.Name)
		add(a.SHA256[:])
		add(a.SHA512[:])
	}
	return out
}

func holding(pages map[string]string, texts []string) []string {
	var found []string
	for path, body := range pages {
		for _, text := range texts {
			if strings.Contains(body, text) {
				found = append(found, path)
			}
		}
	}
	return found
}

func TestNothingServedTellsWhatAnUndecidedReleaseHolds(t *testing.T) {
	h := newHouse(t)
	agreed, other := build(t, "agreed", "planted-one.deb", "planted-two.deb"), build(t, "other", "planted-one.deb")
	n := h.open("hello", "1.0")
	hidden := append(secrets(t, agreed), secrets(t, other)...)
	check := func(when string) {
		t.Helper()
		pages := h.crawl()
		if len(pages) < 12 || pages["/releases/"+n.ID.String()] == "" {
			t.Fatalf("%s: only %d pages found", when, len(pages))
		}
		if found := holding(pages, hidden); len(found) > 0 {
			t.Errorf("%s: digests or names stand in %q", when, found)
		}
		// Who agrees is also nobody's business yet; the coordinator's reason says it.
		if found := holding(pages, []string{"differs", "agrees", "operators agree"}); len(found) > 0 {
			t.Errorf("%s: %q tell who agrees", when, found)
		}
		unknown := attest.SHA256([]byte("nobody built this"))
		for _, path := range []string{"/api/v1/artifacts/%v", "/api/v1/artifacts/%v/evidence", "/artifacts/%v", "/artifacts?sha256=%v", "/body/%v"} {
			want := h.get(fmt.Sprintf(path, unknown))
			for _, d := range []attest.Digest{agreed.artifacts[0].SHA256, agreed.set} {
				got := h.get(fmt.Sprintf(path, d))
				if got.status != 404 || want.status != 404 {
					t.Errorf("%s: %s: status %d, for an unknown digest %d; want 404", when, path, got.status, want.status)
				}
				if diff := cmp.Diff(want.body, got.body); diff != "" {
					t.Errorf("%s: %s answers otherwise than for an unknown digest:\n%s", when, path, diff)
				}
			}
		}
	}
	h.publish()
	h.vote(n.ID, 0, agreed)
	h.vote(n.ID, 1, agreed)
	h.vote(n.ID, 2, other)
	h.evaluate()
	h.publish()
	check("with two votes and another")

	h.vote(n.ID, 3, agreed)
	check("with a quorum")
	h.decide()
	check("decided, but not in the log")
	h.integrate()
	check("in the tree, but under no checkpoint")

	h.publish()
	pages := h.crawl()
	for _, path := range []string{"/releases/" + n.ID.String(), "/api/v1/releases/" + n.ID.String()} {
		for _, text := range []string{"planted-two.deb", agreed.artifacts[0].SHA256.String(), "differs"} {
			if !strings.Contains(pages[path], text) {
				t.Errorf("after the embargo %q is missing in %s", text, path)
			}
		}
	}
}

func TestEndedAttemptStaysSilentWhileAnotherIsOpen(t *testing.T) {
	h := newHouse(t)
	n := h.open("hello", "1.0")
	b := build(t, "x", "planted.deb")
	h.vote(n.ID, 0, b)
	for i := 1; i < rebuilders; i++ {
		h.report(n.ID, i, attest.InfraError)
	}
	h.expire(n.ID)
	second := h.attempt(h.requestOf(n.ID), 2)
	page := h.page("/releases/" + n.ID.String())
	refuseText(t, page, secrets(t, b)[0], "planted.deb", "agrees")
	wantText(t, page, "Attempt 1 ended", "Go to the newest attempt", `href="/releases/`+second.ID.String()+`"`)
}
