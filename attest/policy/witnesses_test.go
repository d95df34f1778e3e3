package policy_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest/policy"
)

func TestWitnessesOfTwoOtherOperatorsMakeALogWitnessed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		operators string // of each witness, one letter each; l is the log's
		quorum    int
		want      bool
	}{
		{"", 0, false},
		{"a", 1, false},
		{"ab", 1, false},
		{"ab", 2, true},
		{"aa", 2, false},
		{"la", 2, false},
		{"lab", 2, false}, // l and a may be the two
		{"lab", 3, true},
		{"abc", 2, true},
		{"aabc", 2, false}, // a alone may be the two
		{"aabc", 3, true},
		{"llabc", 3, false},
		{"llabc", 4, true},
		{"aaabbb", 3, false},
		{"aaabbb", 4, true},
	} {
		p := newPolicy(2, 0, "alpha", "beta", "gamma")
		p.Log.Operator = "l"
		if test.operators != "" {
			p.Witnesses.Quorum = test.quorum
			for i, o := range test.operators {
				p.Witnesses.Keys = append(p.Witnesses.Keys, witness(fmt.Sprintf("w%d", i), string(o)))
			}
		}
		if err := p.Check(); err != nil {
			t.Fatalf("%s: %v", test.operators, err)
		}
		if got := p.Witnessed(); got != test.want {
			t.Errorf("%d of %q: witnessed %t, want %t", test.quorum, test.operators, got, test.want)
		}
		// The same by trying every quorum there is.
		if got := test.quorum > 0 && everyQuorumHasTwoOthers(p); got != test.want {
			t.Errorf("%d of %q: every quorum has two others: %t, want %t", test.quorum, test.operators, got, test.want)
		}
	}
}

func everyQuorumHasTwoOthers(p policy.Policy) bool {
	for members := range 1 << len(p.Witnesses.Keys) {
		var others []string
		n := 0
		for i, w := range p.Witnesses.Keys {
			if members&(1<<i) == 0 {
				continue
			}
			n++
			if w.Operator != p.Log.Operator && !slices.Contains(others, w.Operator) {
				others = append(others, w.Operator)
			}
		}
		if n == p.Witnesses.Quorum && len(others) < 2 {
			return false
		}
	}
	return true
}

func TestASuiteWithoutAgeOfCheckpointsHasTheDefault(t *testing.T) {
	t.Parallel()
	s := &newPolicy(2, 0, "alpha", "beta", "gamma").Suites[0]
	if got := s.CheckpointAge(); got != policy.DefaultMaxCheckpointAge {
		t.Errorf("%v, want %v", got, policy.DefaultMaxCheckpointAge)
	}
	s.MaxCheckpointAge = 600
	if got := s.CheckpointAge(); got != 10*time.Minute {
		t.Errorf("%v, want 10m", got)
	}
}
