package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// renewal is how long before a policy ends its admins should be reminded.
const renewal = 30 * 24 * time.Hour

func (a *app) policyCheckCommand() *cobra.Command {
	var previous string
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Check a policy and say in sentences what it means",
		Long: `Check a policy, in YAML or signed, and say in sentences what it means. For an envelope the
signatures are verified: of its own admins, and with --previous of those before.

What is valid but unwise is told as a warning, and does not change the exit status.`,
		Example: `  reprosign policy check policy.yaml
  reprosign policy check policy-2.json --previous policy-1.json`,
		Args: cobra.ExactArgs(1),
		RunE: a.do(func(_ context.Context, args []string) error {
			p, err := readPolicy(args[0])
			if err != nil {
				return err
			}
			a.explain(p.Policy)
			for _, w := range unwise(p.Policy, attest.At(time.Now())) {
				a.warn("%s", w)
			}
			return a.checkSignatures(p, previous)
		}),
	}
	cmd.Flags().StringVar(&previous, "previous", "", "the signed policy before this one")
	return cmd
}

func (a *app) checkSignatures(p draft, previous string) error {
	if p.envelope == nil {
		if previous != "" {
			return usagef("--previous is for signed policies; %d is not signed yet", p.Serial)
		}
		a.hint("nobody has signed it; reprosign policy sign does")
		return nil
	}
	m := missingOf(p.Admins, p.envelope)
	a.print("Signed by %s.", list(m.signed, "none of its admins"))
	if _, err := policy.Pin(p.envelope); err != nil {
		return hinted(err, "%d more of: %s", m.count, strings.Join(m.idle, ", "))
	}
	if previous == "" {
		return nil
	}
	before, err := readPolicy(previous)
	if err != nil {
		return err
	}
	if err := follows(p.Policy, before); err != nil {
		return err
	}
	chain, err := policy.Pin(before.envelope)
	if err != nil {
		return fmt.Errorf("%s: %w", previous, err)
	}
	if err := chain.Add(p.envelope); err != nil {
		return err
	}
	a.print("Follows policy %d, whose admins have signed it too.", before.Serial)
	return nil
}

// explain prints what a policy means.
func (a *app) explain(p policy.Policy) {
	a.print("Policy %d is in force from %v until %v.", p.Serial, p.Issued, p.Expires)
	a.print("A change takes %d of %s: %s.", p.Admins.Threshold, count(len(p.Admins.Keys), "admin"), keyNames(p.Admins.Keys))
	a.print("Decisions are logged at %s%s.", p.Log.Origin, witnessesOf(&p))
	a.print("Releases are opened by %s and decided by %s.", partyNames(p.Coordinators), partyNames(p.Signers))
	for i := range p.Publishers {
		b := &p.Publishers[i]
		a.print("Publisher %s may request %s in %s, %d at one time.", b.Key.Name(), strings.Join(b.Sources, ", "), strings.Join(b.Suites, ", "), b.Quota)
	}
	for i := range p.Rebuilders {
		r := &p.Rebuilders[i]
		a.print("Rebuilder %s of operator %s builds %s; its key is valid from %v until %v.",
			r.Key.Name(), r.Operator, strings.Join(r.Architectures, ", "), r.ValidFrom, r.ValidUntil)
	}
	for i := range p.Suites {
		s := &p.Suites[i]
		a.print("Suite %s signs %s when %d of %s agree.", s.Name, strings.Join(s.Kinds, ", "), s.Threshold, count(operatorsOf(p, s), "operator"))
		a.print("  At most %d may dissent. Those who have not answered are awaited for %v; after %v a release expires, and is tried again %s.",
			s.MaxDissent, s.Settle, s.Deadline, times(s.Retries))
		a.print("  Builds with %s, isolated at least as %s, count. Recipes: %s.", strings.Join(s.Backends, ", "), s.MinIsolation, recipes(s))
		for _, c := range s.Certificates {
			a.print("  Its %s are signed with OpenPGP key %s.", c.Use, c.Fingerprint)
		}
	}
}

// witnessesOf says who must have cosigned the log.
func witnessesOf(p *policy.Policy) string {
	if p.Witnesses.IsZero() {
		return ", without witnesses"
	}
	names := make([]string, len(p.Witnesses.Keys))
	for i, w := range p.Witnesses.Keys {
		names[i] = fmt.Sprintf("%s (%s)", w.Key.Name(), w.Operator)
	}
	return fmt.Sprintf(" by %s, cosigned by %d of %s: %s", p.Log.Operator, p.Witnesses.Quorum, count(len(names), "witness"), strings.Join(names, ", "))
}

// unwise lists what is valid but may surprise.
func unwise(p policy.Policy, now attest.Time) []string {
	var w []string
	add := func(format string, args ...any) { w = append(w, fmt.Sprintf(format, args...)) }
	if p.Insecure {
		add("the policy is insecure: everything that it leads to will say so")
	}
	switch {
	case now >= p.Expires:
		add("the policy has expired; nothing is signed under it")
	case now.Add(renewal) >= p.Expires:
		add("the policy expires in %d days; its successor must be signed before", (p.Expires-now)/(24*60*60))
	case now < p.Issued:
		add("the policy is not in force before %v", p.Issued)
	}
	switch {
	case p.Witnesses.IsZero():
		add("the log has no witnesses: every verdict will say unwitnessed")
	case !p.Witnessed():
		add("%d witnesses may all be of %s or of one other operator: every verdict will say unwitnessed", p.Witnesses.Quorum, p.Log.Operator)
	case p.Witnesses.Quorum == len(p.Witnesses.Keys):
		add("all %d witnesses must cosign: one that is away stops every release", p.Witnesses.Quorum)
	}
	if len(p.Admins.Keys) == p.Admins.Threshold {
		add("all admins must sign: the loss of one key ends the policy's renewal")
	}
	for i := range p.Rebuilders {
		if r := &p.Rebuilders[i]; r.ValidUntil < p.Expires {
			add("the key of rebuilder %s ends at %v, before the policy does", r.Key.Name(), r.ValidUntil)
		}
	}
	for i := range p.Suites {
		s := &p.Suites[i]
		if m := operatorsOf(p, s); m == s.Threshold {
			add("suite %s needs all of its %d operators: one that is away stops every release", s.Name, m)
		}
	}
	return w
}

// operatorsOf counts m: the operators of a suite, whatever the architecture.
func operatorsOf(p policy.Policy, s *policy.Suite) int {
	operators := map[string]bool{}
	for i := range p.Rebuilders {
		if r := &p.Rebuilders[i]; slices.Contains(s.Rebuilders, r.Key.Name()) {
			operators[r.Operator] = true
		}
	}
	return len(operators)
}

func recipes(s *policy.Suite) string {
	if s.Recipes == nil {
		return "any"
	}
	return fmt.Sprintf("%d, by digest", len(s.Recipes))
}

func times(n int) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func count(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "ss"):
		return fmt.Sprintf("%d %ses", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func keyNames(keys []attest.VerifierKey) string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.Name()
	}
	return strings.Join(names, ", ")
}

func partyNames(parties []policy.Party) string {
	keys := make([]attest.VerifierKey, len(parties))
	for i, p := range parties {
		keys[i] = p.Key
	}
	return keyNames(keys)
}

// list joins words, or says what it means that there are none.
func list(words []string, none string) string {
	if len(words) == 0 {
		return none
	}
	return strings.Join(words, ", ")
}
