package store

import (
	"encoding/binary"
	"strconv"
	"testing"

	"github.com/reprosign/reprosign/attest"
)

func release(n int) (d attest.Digest) {
	binary.BigEndian.PutUint64(d[:], uint64(n))
	return d
}

func TestRecentTermsAreBoundedAndOfTheReleasesThatCameLast(t *testing.T) {
	var r recentTerms
	everybody := &electorate{sent: sentElectorate{"rebuilders", "operators"}}
	const batch = 1000
	for first := 0; first < 3*termsKept; first += batch {
		var releases []attest.Digest
		for n := range batch {
			releases = append(releases, release(first+n))
		}
		opened, unread := r.recall(releases)
		if len(opened) != 0 || len(unread) != batch {
			t.Fatalf("of new releases %d are known and %d are not", len(opened), len(unread))
		}
		for n, id := range releases {
			opened[id] = &terms{electorate: everybody, threshold: first + n}
		}
		r.remember(unread, opened)
		if len(r.of) > termsKept {
			t.Fatalf("the terms of %d releases are kept, more than %d", len(r.of), termsKept)
		}
		opened, unread = r.recall(append(releases, release(-1)))
		if len(unread) != 1 || unread[0] != release(-1) {
			t.Fatalf("not known a moment later: %d releases, want the one that never came", len(unread))
		}
		if got := opened[releases[1]].threshold; got != first+1 {
			t.Fatalf("terms of release %d are those of %d", first+1, got)
		}
	}
}

func TestElectoratesOfRecentTermsAreBounded(t *testing.T) {
	var r recentTerms
	const batch = electoratesKept/2 + 1
	for n := range 5 * electoratesKept {
		var releases []attest.Digest
		opened := map[attest.Digest]*terms{}
		for i := range batch { // the first of each is one that the batch before had too
			id := release(n*batch + i)
			name := strconv.Itoa(n*(batch-1) + i)
			opened[id] = &terms{electorate: &electorate{sent: sentElectorate{name, name}}}
			releases = append(releases, id)
		}
		r.remember(releases, opened)
		if r.of[releases[batch-1]] == nil {
			t.Fatal("the terms that came last are not kept")
		}
		kept := map[*electorate]bool{}
		for id, known := range r.of {
			kept[known.electorate] = true
			if r.electorates[known.sent] != known.electorate {
				t.Fatalf("release %s has an electorate of its own", id)
			}
		}
		if len(kept) > electoratesKept || len(r.electorates) > electoratesKept {
			t.Fatalf("%d electorates are kept, more than %d", max(len(kept), len(r.electorates)), electoratesKept)
		}
	}
}
