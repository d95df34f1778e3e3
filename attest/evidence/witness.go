package evidence

import (
	"errors"
	"fmt"
	"strings"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
)

// witnessed returns when the witnesses that count saw a checkpoint, and who
// they are. Enough must have, as soon as there are any.
func (v *verifier) witnessed(checkpoint []byte) (attest.Time, []translog.Cosignature, error) {
	if v.witnesses.IsZero() {
		return 0, nil, nil
	}
	return translog.WitnessesOf(v.witnesses).Time(checkpoint)
}

// cosigners is the end of a sentence about an entry of the log.
func cosigners(by []translog.Cosignature) string {
	if len(by) == 0 {
		return ""
	}
	names := make([]string, len(by))
	for i, c := range by {
		names[i] = fmt.Sprintf("%s at %v", c.Witness, c.At)
	}
	return ", cosigned by " + strings.Join(names, " and ")
}

// witnessTime judges the decision once more by the witnesses' time.
func (v *verifier) witnessTime() (string, error) {
	if v.witnesses.IsZero() {
		return "there are no witnesses: the clocks of coordinator and signer stand alone", nil
	}
	err := policy.Confirm(v.c, v.own.Decision, v.report.Seen)
	if v.orTooLate && len(v.bundle.Signatures) == 0 && errors.Is(err, policy.ErrTooLate) {
		v.report.TooLate = err
		return fmt.Sprintf("nothing may be signed on it, and nothing is: %v", err), nil
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("the opening was seen at %v and the decision at %v, by %d of %d witnesses: in time, with keys that were valid throughout",
		v.report.Seen.Opening, v.report.Seen.Decision, v.witnesses.Quorum, len(v.witnesses.Keys)), nil
}
