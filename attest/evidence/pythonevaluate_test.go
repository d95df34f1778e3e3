package evidence_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
)

// voteQuestion is a statement in a case, as examples/python has it.
type voteQuestion struct {
	Statement attest.Digest    `json:"statement"`
	Release   attest.Digest    `json:"release"`
	Rebuilder string           `json:"rebuilder"`
	Built     bool             `json:"built"`
	Set       attest.Digest    `json:"set"`
	Isolation attest.Isolation `json:"isolation"`
}

type caseQuestion struct {
	Policy  []byte         `json:"policy"`
	Request []byte         `json:"request"`
	Opening []byte         `json:"opening"`
	Claim   *attest.Claim  `json:"claim,omitempty"`
	Votes   []voteQuestion `json:"votes"`
	At      int64          `json:"at"`
	Since   int64          `json:"since"`
}

// verdictAnswer is what both say of a case that is agreed.
type verdictAnswer struct {
	Set                  attest.Digest
	Threshold, Operators int
	Accepted             []attest.Digest
}

// Random cases under random policies, at random times: the two implementations
// of docs/spec/policy.md, "Evaluation", agree on what is agreed and listed, by
// the signer's time and by the witnesses'.
func TestIndependentEvaluationAgreesOnRandomCases(t *testing.T) {
	t.Parallel()
	p := startPython(t)
	agreed, confirmed := 0, 0
	const cases = 400
	releases := map[int]*evidencetest.Release{}
	for n := fewestRebuilders; n <= mostRebuilders; n++ {
		releases[n] = evaluated(t, n)
	}
	for seed := range uint64(cases) {
		random := rand.New(rand.NewPCG(seed, 1))
		n := fewestRebuilders + random.IntN(mostRebuilders-fewestRebuilders+1)
		c, q, at, seen := randomCase(t, random, releases[n])
		want := policy.Evaluate(c, at)
		got, err := evaluateIndependently(t, p, q, at, c.Opening.Opened)
		if (want.Outcome == policy.Agreed) != (err == nil) {
			t.Fatalf("case %d: %s, %s; independently: %v", seed, want.Outcome, want.Explanation, err)
		}
		if err != nil {
			continue
		}
		agreed++
		if diff := cmp.Diff(verdictAnswer{want.Set, want.Threshold, want.Operators, want.Accepted}, got); diff != "" {
			t.Fatalf("case %d (-want +independently):\n%s", seed, diff)
		}
		confirm := policy.Confirm(c, attest.Decision{Decided: at, Set: want.Set}, seen)
		got, err = evaluateIndependently(t, p, q, max(at, seen.Decision), min(c.Opening.Opened, seen.Opening, seen.Decision))
		if (confirm == nil) != (err == nil && got.Set == want.Set) {
			t.Fatalf("case %d, seen at %v: %v; independently: %v", seed, seen, confirm, err)
		}
		if confirm == nil {
			confirmed++
		}
	}
	if agreed < cases/10 || confirmed < cases/20 || confirmed == agreed {
		t.Errorf("%d of %d cases are agreed, %d confirmed: too few of a kind to compare", agreed, cases, confirmed)
	}
}

func evaluateIndependently(t *testing.T, p *python, q caseQuestion, at, since attest.Time) (verdictAnswer, error) {
	t.Helper()
	q.At, q.Since = int64(at), int64(since)
	data, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := p.verdict(t, question{What: "evaluate", Data: data})
	if err != nil {
		return verdictAnswer{}, err
	}
	var v verdictAnswer
	if err := json.Unmarshal(answer, &v); err != nil {
		t.Fatal(err)
	}
	return v, nil
}

// How many rebuilders a random case has.
const fewestRebuilders, mostRebuilders = 2, 6

// evaluated is a release of n rebuilders under rules that admit the most, for
// random cases to change.
func evaluated(t *testing.T, n int) *evidencetest.Release {
	t.Helper()
	return evidencetest.New(t, evidencetest.Options{Rebuilders: n, Threshold: 1, Votes: func(tb testing.TB, e *evidencetest.Release) []*attest.Envelope {
		return []*attest.Envelope{e.Vote(tb, e.World.Rebuilders[0], e.Artifacts)}
	}, Change: func(p *policy.Policy) {
		p.Insecure, p.Suites[0].MinIsolation = true, attest.IsolationNone
	}}).Release(t, 1)
}

// randomCase makes of a release a case, its question, a time to judge it at and the times of witnesses.
func randomCase(t *testing.T, r *rand.Rand, release *evidencetest.Release) (policy.Case, caseQuestion, attest.Time, policy.Seen) {
	t.Helper()
	const opened = evidencetest.Opened
	rules := release.World.Policy
	rules.Rebuilders, rules.Suites = slices.Clone(rules.Rebuilders), slices.Clone(rules.Suites)
	rebuilders := len(rules.Rebuilders)
	s := &rules.Suites[0]
	operators := map[string]bool{}
	for i := range rules.Rebuilders {
		b := &rules.Rebuilders[i]
		b.Operator = fmt.Sprintf("operator-%d", r.IntN(rebuilders))
		operators[b.Operator] = true
		switch r.IntN(8) {
		case 0:
			b.ValidUntil = opened + attest.Time(r.IntN(200))
		case 1:
			b.ValidFrom = opened - attest.Time(r.IntN(30))
		case 2:
			b.ValidFrom = opened + 1
		}
	}
	s.Threshold = 1 + r.IntN(len(operators))
	s.MaxDissent = min(r.IntN(s.Threshold), len(operators)-s.Threshold)
	s.Settle = policy.Seconds(r.IntN(200))
	if r.IntN(2) == 0 {
		s.MinIsolation = attest.IsolationUID
	}
	payload, err := rules.Encode()
	if err != nil {
		t.Fatal(err)
	}
	c := release.Case(t, nil)
	c.Policy = &policy.Version{Policy: rules, Digest: attest.SHA256(payload)}
	if r.IntN(2) == 0 {
		c.Claim, c.Request.Claim, c.Request.ClaimPublic = nil, attest.Digest{}, false
	}
	request, err := c.Request.Encode()
	if err != nil {
		t.Fatal(err)
	}
	c.RequestDigest = attest.SHA256(request)
	c.Opening.Policy, c.Opening.Request = c.Policy.Digest, c.RequestDigest
	opening, err := c.Opening.Encode()
	if err != nil {
		t.Fatal(err)
	}
	c.Release = attest.SHA256(opening)
	q := caseQuestion{Policy: payload, Request: request, Opening: opening, Claim: c.Claim, Votes: []voteQuestion{}}
	own, err := release.Artifacts.SetDigest()
	if err != nil {
		t.Fatal(err)
	}
	sets := []attest.Digest{own, own, own, own, attest.SHA256([]byte("another set"))}
	for i := range r.IntN(3 * rebuilders) {
		v := policy.Vote{Statement: attest.SHA256(fmt.Appendf(nil, "%d %d", i, r.Uint64())), Rebuild: attest.Rebuild{
			Release: c.Release, Rebuilder: fmt.Sprintf("rebuilder-%d", 1+r.IntN(rebuilders)), Outcome: attest.Built,
			Set: sets[r.IntN(len(sets))], Isolation: []attest.Isolation{attest.IsolationBwrap, attest.IsolationUID, attest.IsolationNone}[min(2, r.IntN(8))],
		}}
		if r.IntN(4) == 0 {
			v.Outcome, v.Set = attest.Outcomes()[1+r.IntN(4)], attest.Digest{}
		}
		c.Votes = append(c.Votes, v)
		q.Votes = append(q.Votes, voteQuestion{v.Statement, v.Release, v.Rebuilder, v.Outcome == attest.Built, v.Set, v.Isolation})
	}
	at := opened + attest.Time(r.IntN(250))
	if r.IntN(20) == 0 {
		at = c.Opening.Deadline + attest.Time(r.IntN(1200))
	}
	seen := policy.Seen{Opening: opened - 20 + attest.Time(r.IntN(60)), Decision: at - 20 + attest.Time(r.IntN(200))}
	if r.IntN(10) == 0 {
		seen.Decision = c.Opening.Deadline + attest.Time(r.IntN(1200))
	}
	return c, q, at, seen
}
