package policy

import (
	"errors"
	"fmt"

	"github.com/reprosign/reprosign/attest"
)

// ErrTooLate says that a decision does not hold by the time of the log's
// witnesses: they saw it too late, or keys were not valid for long enough. The
// release expires and is tried again.
var ErrTooLate = errors.New("decision does not hold by the witnesses' time")

// Seen are the times of the log's witnesses: of the quorum's last cosignature
// over the checkpoint that shows the opening, or the decision, in the log.
type Seen struct {
	Opening  attest.Time
	Decision attest.Time
}

// Confirm judges a decision once more, when the witnesses have seen it. The
// clocks of coordinator and signer are their own word; the witnesses' are not.
// Call it for a decision that follows from the case by [Evaluate], at its own
// time, and that stands behind its opening in the log. Coordinator, signer and
// offline verifier do so before they rely on it.
//
// The case must be Agreed on the decided set also
//
//   - at the later one of the decision's time and of when it was seen, so that
//     what was not seen in time is Expired, and with it what a policy or a key
//     that ended in between would have to carry;
//   - with keys that were valid since the earlier one of the opening's time and of
//     when it was seen. Whoever shows the decision in the log shows the opening
//     too, so it counts as seen when the decision was, at the latest.
//
// Errors wrap [ErrTooLate].
func Confirm(c Case, d attest.Decision, seen Seen) error {
	since := min(c.Opening.Opened, seen.Opening, seen.Decision)
	at := max(d.Decided, seen.Decision)
	v := evaluate(c, at, since)
	if v.Outcome != Agreed {
		return fmt.Errorf("%w: opening seen at %v, decision at %v: %s: %s", ErrTooLate, seen.Opening, seen.Decision, v.Outcome, v.Explanation)
	}
	if v.Set != d.Set {
		return fmt.Errorf("%w: opening seen at %v, decision at %v: the operators agree on another artifact set", ErrTooLate, seen.Opening, seen.Decision)
	}
	return nil
}
