package store

import (
	"encoding/binary"
	"testing"

	"github.com/reprosign/reprosign/attest"
)

func TestRecentTermsAreBoundedAndOfTheReleasesThatCameLast(t *testing.T) {
	var r recentTerms
	release := func(n int) (d attest.Digest) {
		binary.BigEndian.PutUint64(d[:], uint64(n))
		return d
	}
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
			opened[id] = &terms{threshold: first + n}
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
