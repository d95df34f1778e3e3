package coordinator

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// evaluateBatch bounds the releases that one transaction judges.
const evaluateBatch = 256

// evaluate judges every release that is due: whose votes may decide it, whose
// settle time or deadline has passed.
func (c *Coordinator) evaluate(ctx context.Context) error {
	if err := c.refresh(ctx); err != nil {
		return err
	}
	for {
		lease, err := c.closed.reserve(ctx)
		if err != nil {
			return err
		}
		n, closed, err := c.store.Evaluate(ctx, evaluateBatch, lease, c.judge)
		if lease > 0 {
			c.closed.put(closed)
		}
		if err != nil || n < evaluateBatch {
			return err
		}
	}
}

// Bounds of the way from closing to deciding.
const (
	// handoffs bounds the batches that are closed and not decided yet.
	handoffs = 3
	// handoffPatience is how long closing waits for deciding to keep up. A signer
	// that is away must not keep settle times and deadlines waiting: beyond this,
	// what closes is left in the database until the signer answers.
	handoffPatience = time.Second
)

// handoff passes releases that have just closed to the loop that asks the
// signer, so that they need not be claimed and read again.
type handoff struct {
	room    chan struct{}
	batches chan []Undecided
}

func newHandoff() *handoff {
	return &handoff{room: make(chan struct{}, handoffs), batches: make(chan []Undecided, handoffs)}
}

// reserve takes room for one batch and returns the lease of what closes: zero
// if there is no room, and nothing may be put.
func (h *handoff) reserve(ctx context.Context) (time.Duration, error) {
	timer := time.NewTimer(handoffPatience)
	defer timer.Stop()
	select {
	case h.room <- struct{}{}:
		return decideLease, nil
	case <-timer.C:
		return 0, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// put hands a batch over, or gives the room back if it is empty.
func (h *handoff) put(closed []Undecided) {
	if len(closed) == 0 {
		<-h.room
		return
	}
	h.batches <- closed // there is room
}

// judge turns the verdict on a case into what the store does with it. It is
// called under the release's lock, so nothing can be counted beside it.
func (c *Coordinator) judge(k Case, at attest.Time) Transition {
	version, known := c.trust.ByDigest(k.Opening.Policy)
	if !known {
		// Stored by another replica a moment ago; its notification loads it.
		return Transition{State: Building, Reason: "waiting for the coordinator to load the policy", Due: at.Add(policyLag)}
	}
	if newest := c.trust.Newest(); newest.Digest != version.Digest {
		return Transition{State: Expired, Retry: true, Reason: superseded(version, newest)}
	}
	k.Policy = version
	verdict := policy.Evaluate(k.Case, at)
	t := Transition{State: Building, Reason: progress(verdict), Due: verdict.Next, Retry: verdict.Retry}
	switch verdict.Outcome {
	case policy.Waiting:
	case policy.Held:
		t.State, t.Reason = Held, tooMuchDissent+"; "+t.Reason
	case policy.Conflict:
		t.State, t.Reason = Conflict, verdict.Explanation
	case policy.Expired:
		t.State, t.Reason = Expired, ended(k.Case, verdict, at)+"; "+t.Reason
	case policy.Withdrawn:
		t.State = Withdrawn
	case policy.Agreed:
		t.Close, t.Set = true, verdict.Set
		if err := c.acceptable(version, k, verdict.Set); err != nil {
			t.Close, t.State, t.Reason = false, Conflict, err.Error()
		}
	}
	return t
}

const tooMuchDissent = "more operators differ than the suite allows"

// ended says why an attempt is over, in words that the embargo permits: another
// attempt may follow, whose operators must not learn who agreed in this one.
func ended(k policy.Case, v policy.Verdict, at attest.Time) string {
	switch {
	case at >= k.Policy.Expires:
		return fmt.Sprintf("policy %d expired at %v before the release was decided; the admins must sign its successor", k.Policy.Serial, k.Policy.Expires)
	case at > k.Opening.Deadline:
		late := fmt.Sprintf("the deadline of %v passed before the release was decided", k.Opening.Deadline)
		if len(v.Agree) >= v.Threshold {
			late += "; " + tooMuchDissent // which held it until now, and was said
		}
		return late
	}
	return "in this attempt too few operators can agree any more"
}

// progress is what may be said of a verdict while the embargo lasts: who has
// answered, and who could not build, but not who agrees with whom.
func progress(v policy.Verdict) string {
	var said strings.Builder
	said.WriteString(fmt.Sprintf("%d of %d operators have answered, %d must agree", v.Operators-len(v.Waiting), v.Operators, v.Threshold))
	missing := "waiting for "
	if v.Outcome == policy.Expired {
		missing = "no answer from "
	}
	for _, part := range []struct {
		before string
		names  []string
		after  string
	}{
		{missing, v.Waiting, ""},
		{"", v.Failed, " failed to build"},
		{"", v.Errored, " had an error of their own"},
	} {
		if len(part.names) > 0 {
			said.WriteString("; " + part.before + strings.Join(part.names, ", ") + part.after)
		}
	}
	return said.String()
}

// acceptable refuses an agreed set that the signer would refuse.
func (c *Coordinator) acceptable(version *policy.Version, k Case, set attest.Digest) error {
	suite, err := version.Suite(k.Suite)
	if err != nil {
		return err
	}
	list, ok := k.Sets[set]
	if !ok {
		return fmt.Errorf("the agreed artifact list is missing in the store")
	}
	return suite.CheckArtifacts(list)
}
