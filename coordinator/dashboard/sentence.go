package dashboard

import (
	"fmt"
	"slices"
	"strings"

	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
)

// maxNames is how many operators a sentence names before it counts the rest.
const maxNames = 5

// tell says what a release's state means, in one sentence, and why it is not
// signed if it is not. Under the embargo the sentence is made from outcome
// classes alone: the coordinator's own words say who agrees.
func (r *Release) tell(v *coordinator.View) {
	by := operators(v)
	rule := fmt.Sprintf("%d of %s built identical files, as policy %d asks (at least %d)",
		len(by[policy.ViewAgrees]), plural(v.Operators, "operator", "operators"), v.PolicySerial, v.Threshold)
	switch v.State {
	case coordinator.Signed:
		r.Head, r.Sentence = "Signed", rule+"."
	case coordinator.Logged:
		r.Head, r.Sentence = "Decided", rule+"; the signature is still to be made."
		if v.Final {
			r.Sentence = rule + "; no certificate of the suite signs it."
		} else {
			r.Reason = v.Reason
		}
	case coordinator.Agreed:
		r.Head = "Decided"
		r.Sentence = "Enough operators built identical files; the decision is waiting to appear in the public log, and is signed after that."
	case coordinator.Building:
		r.Head, r.Sentence = "Waiting", waiting(v, by)
	case coordinator.Held:
		r.Head = "Held"
		r.Sentence = "What operators built is not identical enough for the rules of this suite; nothing is signed while that lasts, at most until the deadline."
	case coordinator.Conflict:
		r.Head, r.Reason = "Not signed", v.Reason
		r.Sentence = fmt.Sprintf("What operators built cannot satisfy policy %d any more, which asks for %d identical builds.", v.PolicySerial, v.Threshold)
	case coordinator.Expired:
		r.Head, r.Reason = "Not signed", v.Reason
		r.Sentence = fmt.Sprintf("Attempt %d ended before %s could agree.", v.Attempt, plural(v.Threshold, "operator", "operators"))
		if v.Attempt < v.Attempts {
			r.Sentence += fmt.Sprintf(" Attempt %d followed.", v.Attempts)
		} else if !v.Final {
			r.Sentence += " Another attempt follows."
		}
	case coordinator.Withdrawn:
		r.Head, r.Reason = "Withdrawn", v.Withdrawn
		r.Sentence = "The release was withdrawn; nothing more is decided or signed for it."
		if !v.SignedAt.IsZero() {
			r.Sentence = "The release was withdrawn after it had been signed; the signatures below were made before."
		}
	}
	if !v.Disclosed && v.State != coordinator.Withdrawn {
		r.Reason = "" // it may say who agrees
	}
}

// waiting says what an undecided release waits for.
func waiting(v *coordinator.View, by map[policy.View][]string) string {
	reported, verb := len(by[coordinator.Reported]), "have"
	if reported == 1 {
		verb = "has"
	}
	parts := []string{fmt.Sprintf("%d of %s %s reported a build, %d identical ones are needed",
		reported, plural(v.Operators, "operator", "operators"), verb, v.Threshold)}
	if pending := by[policy.ViewPending]; len(pending) > 0 {
		parts = append(parts, "no answer yet from "+list(pending))
	} else {
		parts = append(parts, "all have answered, and the decision is being made")
	}
	if failed := by[policy.ViewBuildFailed]; len(failed) > 0 {
		parts = append(parts, list(failed)+" could not build it")
	}
	if errored := by[policy.ViewInfraError]; len(errored) > 0 {
		parts = append(parts, list(errored)+" had trouble with the machine or the network")
	}
	return strings.Join(parts, "; ") + "."
}

// operators sorts the operators by what they did. An operator that has several
// rebuilders counts once, by the one that says most.
func operators(v *coordinator.View) map[policy.View][]string {
	order := []policy.View{
		policy.ViewEquivocated, policy.ViewAgrees, policy.ViewDiffers, coordinator.Reported,
		policy.ViewPending, policy.ViewBuildFailed, policy.ViewInfraError,
	}
	best := map[string]int{}
	for _, vote := range v.Votes {
		rank := slices.Index(order, vote.View)
		if had, ok := best[vote.Operator]; !ok || rank < had {
			best[vote.Operator] = rank
		}
	}
	by := map[policy.View][]string{}
	for name, rank := range best {
		if rank >= 0 {
			by[order[rank]] = append(by[order[rank]], name)
		}
	}
	for _, names := range by {
		slices.Sort(names)
	}
	return by
}

// list joins names as a sentence does, and counts those beyond maxNames.
func list(names []string) string {
	if len(names) > maxNames {
		names = append(slices.Clone(names[:maxNames-1]), fmt.Sprintf("%d more", len(names)-maxNames+1))
	}
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
