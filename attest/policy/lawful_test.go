package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

func TestACaseThatThePolicyDoesNotAdmitIsAConflict(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*policy.Case){
		"no policy":                 func(c *policy.Case) { c.Policy = nil },
		"another policy":            func(c *policy.Case) { c.Opening.Policy = digest("other") },
		"another serial":            func(c *policy.Case) { c.Opening.PolicySerial++ },
		"another request":           func(c *policy.Case) { c.RequestDigest = digest("other") },
		"another suite":             func(c *policy.Case) { c.Request.Suite = "testing" },
		"another source":            func(c *policy.Case) { c.Request.Source = "hello2" },
		"another publisher":         func(c *policy.Case) { c.Request.Publisher = "mallory" },
		"another back-end":          func(c *policy.Case) { c.Request.Recipe.Backend = "debian" },
		"another architecture":      func(c *policy.Case) { c.Request.Architecture = "riscv64" },
		"claim missing":             func(c *policy.Case) { claim("x")(c); c.Claim = nil },
		"claim not in the request":  func(c *policy.Case) { claim("x")(c); c.Request.Claim = attest.Digest{} },
		"claim of another set":      func(c *policy.Case) { claim("y")(c); c.Claim.Set = digest("x") },
		"an attempt too many":       func(c *policy.Case) { c.Opening.Attempt = 4 },
		"a later deadline":          func(c *policy.Case) { c.Opening.Deadline++ },
		"opened before the policy":  func(c *policy.Case) { c.Opening.Opened = issued - grace - 1; c.Opening.Deadline = issued },
		"opened after its expiry":   func(c *policy.Case) { c.Policy.Expires = opened },
		"executable not in recipes": func(c *policy.Case) { restrict(c); c.Request.Recipe.Parameters["sha256"] = digest("other").String() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCase(newPolicy(2, 0, "alpha", "beta", "gamma"))
			c.Votes = votes(built("alpha", "x"), built("beta", "x"), built("gamma", "x"))
			change(&c)
			if got := policy.Evaluate(c, opened+settle); got.Outcome != policy.Conflict || got.Retry {
				t.Errorf("outcome %s (%s), want a conflict without retry", got.Outcome, got.Explanation)
			}
		})
	}
}

// restrict makes c one of a suite that allows one executable.
func restrict(c *policy.Case) {
	c.Policy.Suites[0].Recipes = []attest.Digest{digest("executable")}
	c.Request.Recipe = attest.Recipe{Backend: "command", Parameters: map[string]string{"sha256": digest("executable").String()}}
}

func TestAdmitSaysWhatToChange(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*policy.Case)
		want   string
	}{
		"admitted":                            {func(*policy.Case) {}, ""},
		"source by its prefix":                {func(c *policy.Case) { c.Request.Source = "libfoo" }, ""},
		"any source":                          {func(c *policy.Case) { c.Policy.Publishers[0].Sources = []string{"*"}; c.Request.Source = "zsh" }, ""},
		"executable allowed":                  {restrict, ""},
		"other back-ends are free of recipes": {func(c *policy.Case) { c.Policy.Suites[0].Recipes = []attest.Digest{digest("e")} }, ""},
		"unknown publisher":                   {func(c *policy.Case) { c.Request.Publisher = "mallory" }, `publisher "mallory": not in the policy`},
		"unknown suite":                       {func(c *policy.Case) { c.Request.Suite = "testing" }, `suite "testing": not in the policy`},
		"suite not published":                 {func(c *policy.Case) { c.Policy.Publishers[0].Suites = nil }, "the policy lists its suites"},
		"source not published":                {func(c *policy.Case) { c.Request.Source = "hello-world" }, "the policy lists its source names"},
		"back-end not built by":               {func(c *policy.Case) { c.Request.Recipe.Backend = "debian" }, "the policy lists its back-ends"},
		"too few operators": {
			func(c *policy.Case) {
				c.Policy.Rebuilders[0].Architectures = []string{"amd64", "arm64"}
				c.Request.Architecture = "arm64"
			},
			`1 operator rebuilds suite "stable" for architecture "arm64", 2 needed`,
		},
		"two keys of one operator": {
			func(c *policy.Case) {
				c.Request.Architecture = "arm64"
				for i := range 2 {
					c.Policy.Rebuilders[i].Operator, c.Policy.Rebuilders[i].Architectures = "alpha", []string{"arm64"}
				}
			}, `1 operator rebuilds suite "stable" for architecture "arm64", 2 needed`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCase(newPolicy(2, 0, "alpha", "beta", "gamma"))
			test.change(&c)
			err := c.Policy.Admit(c.Request)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestAVerdictTellsWhoSaidWhat(t *testing.T) {
	t.Parallel()
	p := newPolicy(3, 1, "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")
	p.Rebuilders[7].ValidFrom = opened + 1
	c := newCase(p)
	stranger := built("mallory", "x")
	lapsed := built("theta", "x")
	c.Votes = votes(
		built("gamma", "x"), built("alpha", "x"), built("beta", "x"), built("delta", "y"),
		report("epsilon", attest.TimedOut), report("zeta", attest.FetchFailed), built("eta", "x"), built("eta", "z"),
		stranger, lapsed, built("alpha", "x"),
	)
	got := policy.Evaluate(c, opened)
	want := policy.Verdict{
		Outcome: policy.Held, Threshold: 3, Operators: 8,
		Agree: []string{"alpha", "beta", "gamma"}, Differ: []string{"delta"}, Failed: []string{"epsilon"}, Errored: []string{"zeta"},
		Equivocated: []string{"eta"}, Lapsed: []string{"theta"},
		Ignored: map[attest.Digest]string{
			stranger.Statement: "its rebuilder is not invited",
			lapsed.Statement:   "its key was not valid when the release was opened",
		},
		Views: map[string]policy.View{
			"alpha": policy.ViewAgrees, "beta": policy.ViewAgrees, "gamma": policy.ViewAgrees, "delta": policy.ViewDiffers,
			"epsilon": policy.ViewBuildFailed, "zeta": policy.ViewInfraError, "eta": policy.ViewEquivocated, "theta": policy.ViewPending,
		},
		Next:        opened + deadline + 1,
		Explanation: "3 of 8 operators agree, but the suite allows at most 1 dissenting; delta differs; eta equivocated; epsilon timed out; zeta had an infrastructure error; theta has no valid key",
	}
	for _, v := range c.Votes[:8] {
		want.Accepted = append(want.Accepted, v.Statement)
	}
	attest.SortDigests(want.Accepted)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdict (-want +got):\n%s", diff)
	}
}

func TestARebuilderCannotMakeADecisionTooLong(t *testing.T) {
	t.Parallel()
	c := newCase(newPolicy(2, 0, "alpha", "beta", "gamma"))
	c.Votes = votes(built("alpha", "x"), built("beta", "x"), built("gamma", "x"))
	for i := range 2000 {
		v := report("gamma", attest.InfraError)
		v.Statement[0], v.Statement[1] = byte(i), byte(i>>8)
		c.Votes = append(c.Votes, v)
	}
	got := policy.Evaluate(c, opened)
	if got.Outcome != policy.Agreed || len(got.Accepted) != 2+policy.MaxListed {
		t.Fatalf("%s with %d statements, want agreed with %d", got.Outcome, len(got.Accepted), 2+policy.MaxListed)
	}
	for _, v := range c.Votes[:3] {
		if !slices.Contains(got.Accepted, v.Statement) {
			t.Errorf("the vote of %s is crowded out", v.Rebuilder)
		}
	}
}

func TestManyNamesAreCounted(t *testing.T) {
	t.Parallel()
	c := newCase(newPolicy(5, 0, "alpha", "beta", "delta", "epsilon", "eta", "gamma", "theta", "zeta"))
	const want = "0 of 8 operators agree, 5 needed; waiting for alpha, beta, delta, epsilon, eta and 3 more"
	if got := policy.Evaluate(c, opened).Explanation; got != want {
		t.Errorf("explanation %q, want %q", got, want)
	}
}

func TestSuitesAdmitOnlyTheirKinds(t *testing.T) {
	t.Parallel()
	suite := &newPolicy(2, 0, "alpha", "beta", "gamma").Suites[0]
	set := attest.Artifacts{{Name: "hello.deb", Kind: "deb", SHA256: digest("x"), SHA512: attest.Digest512{1}}}
	if err := suite.CheckArtifacts(set); err != nil {
		t.Error(err)
	}
	set[0].Kind = "rpm"
	if err := suite.CheckArtifacts(set); err == nil || !strings.Contains(err.Error(), `is of kind "rpm", allowed are deb`) {
		t.Errorf("an rpm in a suite of debs: %v", err)
	}
	if suite.CheckArtifacts(nil) == nil {
		t.Error("an empty set is admitted")
	}
}
