package dashboard_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/dashboard"
)

func TestListGoesThroughAllReleasesOnce(t *testing.T) {
	h := newHouse(t)
	const releases = 120
	var want []string
	for i := range releases {
		want = append(want, h.open(fmt.Sprintf("source-%03d", i), "1").ID.String())
	}
	var got []string
	pages := 0
	for query := ""; ; pages++ {
		l := decode[dashboard.List](h, "/api/v1/releases"+query)
		for _, r := range l.Releases {
			got = append(got, r.Release.String())
		}
		page := h.page("/" + query)
		if has := strings.Contains(page, ">Older</a>"); has != (l.Next != "") {
			t.Errorf("page %q has a link to older releases: %v, JSON %q", query, has, l.Next)
		}
		if query = l.Next; query == "" {
			break
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) || pages != 2 {
		t.Errorf("%d releases on %d pages, want %d on 3", len(got), pages+1, releases)
	}
}

func TestListIsNarrowedByItsQuery(t *testing.T) {
	h := newHouse(t)
	h.signed("1.0", build(t, "x", "hello.deb"), nil)
	h.open("hello", "2.0")
	h.open("world", "1.0")
	for query, want := range map[string]int{
		"": 3, "?source=hello": 2, "?state=signed": 1, "?state=signed&source=world": 0, "?suite=stable": 3, "?suite=none": 0, "?utm=x": 3,
	} {
		l := decode[dashboard.List](h, "/api/v1/releases"+query)
		if len(l.Releases) != want {
			t.Errorf("%q: %d releases, want %d", query, len(l.Releases), want)
		}
		if page := h.page("/" + query); strings.Count(page, `<th scope="row">`) != want {
			t.Errorf("%q: the page has not %d releases", query, want)
		}
	}
	l := decode[dashboard.List](h, "/api/v1/releases")
	for _, c := range l.Counts {
		want := map[coordinator.State]int{coordinator.Signed: 1, coordinator.Building: 2}[c.State]
		if c.N != want {
			t.Errorf("%d are %s, want %d", c.N, c.State, want)
		}
	}
	for _, bad := range []string{
		"?state=great", "?before=1", "?before=0." + strings.Repeat("0", 64), "?before=+1." + strings.Repeat("0", 64),
		"?suite=a&suite=b", "?source=" + strings.Repeat("x", 300), "?source=%00",
	} {
		for _, path := range []string{"/", "/api/v1/releases"} {
			if a := h.get(path + bad); a.status != 400 {
				t.Errorf("%s%.40s: status %d, want 400", path, bad, a.status)
			}
		}
	}
}
