package coordinator

import (
	"testing"

	"github.com/reprosign/reprosign/attest"
)

func TestPoliciesFillAnAnswerAndNoMore(t *testing.T) {
	const large = policyBytes / 3
	var policies []*attest.Envelope
	for range 10 {
		policies = append(policies, &attest.Envelope{Payload: make([]byte, large), Signatures: make([]attest.Signature, 5)})
	}
	answers := 0
	for left := policies; len(left) > 0; answers++ {
		n := fittingPolicies(left)
		if n != min(2, len(left)) { // base64 makes three of them too many
			t.Errorf("answer %d has %d policies of %d", answers+1, n, len(left))
		}
		left = left[n:]
	}
	if answers != 5 {
		t.Errorf("%d answers, want 5", answers)
	}
	if n := fittingPolicies([]*attest.Envelope{{Payload: make([]byte, 2*policyBytes)}}); n != 1 {
		t.Errorf("a policy larger than all is answered with %d policies", n)
	}
	if n := fittingPolicies(nil); n != 0 {
		t.Errorf("%d policies out of none", n)
	}
}
