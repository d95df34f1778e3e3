package cmd_test

import (
	"strings"
	"testing"

	"github.com/reprosign/reprosign/internal/bus"
)

func TestWhatIsSaidBeforeTheDecisionDoesNotTellWhoAgrees(t *testing.T) {
	h := newHouse(t, houseOptions{rebuilders: 4, threshold: 3})
	release := h.submit(t, h.request(t, "1.0", nil))
	for i, salt := range []string{"one", "one", "another"} {
		key := h.Rebuilders[i]
		h.publish(t, key.Name(), h.statement(t, release, key, build(t, "1.0", salt)))
	}
	s := h.await(t, release, "reported on by three", func(s *bus.ReleaseStatus) bool {
		reported := 0
		for _, v := range s.Votes {
			if v.View == "reported" {
				reported++
			}
		}
		return reported == 3
	})
	for _, word := range []string{"differ", "agrees", "operators agree"} {
		if strings.Contains(s.Reason, word) {
			t.Errorf("reason %q says %q while the embargo lasts", s.Reason, word)
		}
	}
	for _, v := range s.Votes {
		if !v.Set.IsZero() {
			t.Errorf("vote of %s shows its set", v.Rebuilder)
		}
	}
}
