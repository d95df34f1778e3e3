package policy

import (
	"fmt"
	"strings"
)

// why is what an explanation begins with.
type why int

const (
	whyCount why = iota
	whyWithdrawn
	whyClaim
	whyOutOfReach
	whyClock
	whyPolicy
	whyDeadline
	whyDissent
	whySettle
)

const headWithdrawn = "the release was withdrawn"

// maxNames is how many operators an explanation names before it counts the rest.
const maxNames = 6

// explain says in one sentence, without any digest, how the verdict came
// about and what it waits for.
func (t *tally) explain(v *Verdict) string {
	parts := []string{t.head(v)}
	add := func(names []string, one, many string) {
		if len(names) > 0 {
			parts = append(parts, list(names)+" "+one)
			if len(names) > 1 {
				parts[len(parts)-1] = list(names) + " " + many
			}
		}
	}
	if len(v.Waiting) > 0 {
		words := "no answer from "
		if v.Outcome == Waiting || v.Outcome == Held {
			words = "waiting for "
		}
		parts = append(parts, words+list(v.Waiting))
	}
	switch {
	case t.c.Claim != nil:
		add(v.Differ, "differs from the claim", "differ from the claim")
	case t.candidate.IsZero():
		add(v.Differ, "differs", "differ from one another")
	default:
		add(v.Differ, "differs", "differ")
	}
	add(v.Equivocated, "equivocated", "equivocated")
	ended := func(how ending) []string {
		return t.names(func(o *operator) bool { return o.class == classFailed && o.ended == how })
	}
	add(ended(endedFailed), "failed to build", "failed to build")
	add(ended(endedTimedOut), "timed out", "timed out")
	add(v.Errored, "had an infrastructure error", "had infrastructure errors")
	add(v.Lapsed, "has no valid key", "have no valid keys")
	return strings.Join(parts, "; ")
}

func (t *tally) head(v *Verdict) string {
	agree := len(v.Agree)
	have := fmt.Sprintf("%d of %s", agree, plural(v.Operators, "operator agrees", "operators agree"))
	if v.Operators != 1 && agree == 1 {
		have = fmt.Sprintf("1 of %d operators agrees", v.Operators)
	}
	switch t.why {
	case whyWithdrawn:
		return headWithdrawn
	case whyClaim:
		return fmt.Sprintf("what %d of %s on differs from the claim", t.other, plural(v.Operators, "operator agrees", "operators agree"))
	case whyOutOfReach:
		reach := fmt.Sprintf("at most %d of %s can agree, %d needed", t.agree+t.outstanding, plural(v.Operators, "operator", "operators"), v.Threshold)
		if v.Retry {
			return "in this attempt " + reach
		}
		return reach
	case whyClock:
		return "the clock is before the time of the opening"
	case whyPolicy:
		return fmt.Sprintf("policy %d expired at %v before the release was decided; the admins must sign its successor", t.c.Policy.Serial, t.c.Policy.Expires)
	case whyDeadline:
		return fmt.Sprintf("the deadline of %v passed before the release was decided; %s", t.c.Opening.Deadline, have)
	case whyDissent:
		allowed := "no dissent"
		if t.suite.MaxDissent > 0 {
			allowed = fmt.Sprintf("at most %d dissenting", t.suite.MaxDissent)
		}
		return fmt.Sprintf("%s, but the suite allows %s", have, allowed)
	case whySettle:
		return fmt.Sprintf("%s; others may answer until %v", have, t.c.Opening.Opened.Add(t.suite.Settle.Duration()))
	case whyCount:
	}
	if agree < v.Threshold {
		return fmt.Sprintf("%s, %d needed", have, v.Threshold)
	}
	return have
}

// list joins names, and counts those beyond maxNames.
func list(names []string) string {
	if len(names) <= maxNames {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNames-1], ", "), len(names)-maxNames+1)
}

// plural counts in words: "1 operator", "3 operators".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
