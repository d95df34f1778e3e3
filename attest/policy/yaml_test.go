package policy_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// goldens are policies in both forms. Those without witnesses must stay what
// they were before there were any, to the byte.
var goldens = []struct {
	yaml, json string
	policy     func() policy.Policy
}{
	{goldenYAML, goldenJSON, golden},
	{"testdata/witnessed.yaml", "testdata/witnessed.json", goldenWitnessed},
}

const goldenYAML, goldenJSON = "testdata/policy.yaml", "testdata/policy.json"

// golden is a policy that uses every member.
func golden() policy.Policy {
	p := newPolicy(2, 1, "alpha", "beta", "gamma")
	p.Serial, p.Previous = 2, digest("policy 1")
	p.Rebuilders[1].Architectures = []string{"amd64", "386"} // a word that looks like a number
	p.Suites[0].Recipes = []attest.Digest{digest("executable")}
	p.Suites[0].Settle = 5400
	return p
}

// goldenWitnessed is the golden policy with what came later: witnesses, and
// the age of checkpoints.
func goldenWitnessed() policy.Policy {
	p := golden()
	p.Log.Operator = "example"
	p.Witnesses = policy.Witnesses{Quorum: 2, Keys: []policy.Witness{
		witness("witness.example.com/w1", "one"), witness("two", "two"), witness("three", "three"),
	}}
	p.Suites[0].MaxCheckpointAge = 600
	return p
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestYAMLAndJSONSayTheSame(t *testing.T) {
	t.Parallel()
	for _, g := range goldens {
		p := g.policy()
		yaml, json := must(p.YAML()), must(p.Encode())
		if *update {
			for name, data := range map[string][]byte{g.yaml: yaml, g.json: json} {
				if err := os.WriteFile(name, data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		if diff := cmp.Diff(string(read(t, g.yaml)), string(yaml)); diff != "" {
			t.Errorf("%s (-golden +got):\n%s", g.yaml, diff)
		}
		if diff := cmp.Diff(string(read(t, g.json)), string(json)); diff != "" {
			t.Errorf("%s (-golden +got):\n%s", g.json, diff)
		}
		fromYAML, err := policy.ParseYAML(yaml)
		if err != nil {
			t.Fatal(err)
		}
		if got := must(fromYAML.Encode()); !bytes.Equal(got, json) {
			t.Errorf("%s says %s, want %s", g.yaml, got, json)
		}
		if got := must(must(policy.Parse(json)).YAML()); !bytes.Equal(got, yaml) {
			t.Errorf("%s says\n%s\nwant\n%s", g.json, got, yaml)
		}
	}
}

func TestYAMLIsReadStrictly(t *testing.T) {
	t.Parallel()
	good := string(read(t, goldenYAML))
	for name, test := range map[string]struct{ old, new, want string }{
		"unknown key":          {"serial: 2", "serial: 2\nsuite: x", `"suite"`},
		"key in another case":  {"serial: 2", "Serial: 2", `"Serial"`},
		"camel case":           {"max_dissent", "maxDissent", `"maxDissent"`},
		"key twice":            {"serial: 2", "serial: 2\nserial: 2", "already defined"},
		"fraction":             {"threshold: 2", "threshold: 2.5", "line 6"},
		"quoted number":        {"serial: 2", `serial: "2"`, "serial"},
		"hexadecimal number":   {"serial: 2", "serial: 0x2", "line 1"},
		"octal number":         {"serial: 2", "serial: 02", "line 1"},
		"number with a sign":   {"serial: 2", "serial: +2", "line 1"},
		"null":                 {"serial: 2", "serial: null", "Null"},
		"missing value":        {"serial: 2", "serial:", "Null"},
		"anchor":               {"serial: 2", "serial: &a 2", "Anchor"},
		"tag":                  {"serial: 2", "serial: !!int 2", "Tag"},
		"block scalar":         {"origin: log.example.org", "origin: |\n    log.example.org", "Literal"},
		"several documents":    {"serial: 2", "serial: 2\n---\nserial: 2", "documents"},
		"a word for a list":    {"sources:\n  - hello\n  - lib*", "sources: hello", "sources"},
		"a number for a word":  {`"386"`, "386", "architectures"},
		"yes for true":         {"serial: 2", "serial: 2\ninsecure: yes", "insecure"},
		"duration in a number": {"settle: 1h30m", "settle: 5400", "settle"},
		"fraction of a second": {"settle: 1h30m", "settle: 1.5s", "whole seconds"},
		"settle missing":       {"  settle: 1h30m\n", "", "settle is missing"},
		"no checkpoint age":    {"retries: 2", "retries: 2\n  max_checkpoint_age: 0s", "leave it out for 1h"},
		"time without zone":    {`"2023-11-14T22:13:20Z"`, "2023-11-14T22:13:20", "2006-01-02T15:04:05Z"},
		"time with a fraction": {`"2023-11-14T22:13:20Z"`, "2023-11-14T22:13:20.0Z", "2006-01-02T15:04:05Z"},
		"a date alone":         {`"2023-11-14T22:13:20Z"`, "2023-11-14", "2006-01-02T15:04:05Z"},
		"mistyped key":         {"key: alpha+", "key: alpha+0", "key id"},
		"what Check refuses":   {"threshold: 2", "threshold: 1", "at least 2 needed"},
		"a long line":          {"serial: 2", "serial: 2 # " + strings.Repeat("x", 5000), "a line of YAML"},
		"deep nesting":         {"serial: 2", "serial: " + strings.Repeat("[\n", 5000), "brackets and braces"},
		"too much":             {"serial: 2", "serial: 2" + strings.Repeat("\n", policy.MaxPolicy), "bytes of YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := strings.Replace(good, test.old, test.new, 1)
			if bad == good {
				t.Fatalf("%q is not in the golden policy", test.old)
			}
			if _, err := policy.ParseYAML([]byte(bad)); err == nil || !strings.Contains(err.Error(), test.want) || !errors.Is(err, attest.ErrMalformed) {
				t.Errorf("error %v, want malformed and %q", err, test.want)
			}
		})
	}
	for _, bad := range []string{"", "# nothing", "- a", "word", "[]", "{}", "a: *b", "? [a]: b", "<<: {serial: 1}"} {
		if _, err := policy.ParseYAML([]byte(bad)); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestYAMLIsWhatAdminsType(t *testing.T) {
	t.Parallel()
	p := golden()
	p.Suites[0].Certificates[0].Fingerprint = strings.Repeat("0123456789", 4)
	p.Suites[0].Recipes[0] = must(attest.ParseDigest(strings.Repeat("1", 60) + "e100"))
	p.Publishers[0].Sources = []string{"*", "null", "true", "1.5", "0x10", "~", "-", "a:b", "#c", "yes", "&d", "2023-11-14"}
	yaml := must(p.YAML())
	// Times need no quotes, and comments are free.
	typed := "# the second one\n" + strings.ReplaceAll(string(yaml), `"2023-11-14T22:13:20Z"`, "2023-11-14T22:13:20Z # a comment")
	for _, y := range []string{string(yaml), typed} {
		got, err := policy.ParseYAML([]byte(y))
		if err != nil {
			t.Fatalf("%v\n%s", err, y)
		}
		if diff := cmp.Diff(string(must(p.Encode())), string(must(got.Encode()))); diff != "" {
			t.Errorf("policy (-want +got):\n%s", diff)
		}
	}
}

func TestDurationsAreShort(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[policy.Seconds]string{
		0: "0s", 1: "1s", 90: "1m30s", 600: "10m", 1800: "30m", 3600: "1h", 36000: "10h", 36060: "10h1m", 3601: "1h0m1s", 86400: "24h",
	} {
		if got := seconds.String(); got != want {
			t.Errorf("%d seconds are %s, want %s", seconds, got, want)
		}
	}
}

func FuzzPolicyParseEncodeIsIdentityOrRefused(f *testing.F) {
	good := read(f, goldenJSON)
	f.Add(good)
	f.Add(read(f, "testdata/witnessed.json"))
	f.Add(bytes.Replace(good, []byte(`"serial":2`), []byte(`"serial":2.0`), 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := policy.Parse(data)
		if err != nil {
			return
		}
		again, err := p.Encode()
		if err != nil || !bytes.Equal(data, again) {
			t.Errorf("%q is encoded as %q, %v", data, again, err)
		}
		yaml, err := p.YAML()
		if err != nil {
			t.Fatal(err)
		}
		typed, err := policy.ParseYAML(yaml)
		if err != nil {
			t.Fatalf("its own YAML is refused: %v\n%s", err, yaml)
		}
		if again := must(typed.Encode()); !bytes.Equal(data, again) {
			t.Errorf("%q becomes %q through YAML", data, again)
		}
	})
}

func FuzzYAMLNeverPanics(f *testing.F) {
	f.Add(read(f, goldenYAML))
	for _, s := range []string{"", "a: *b", "&a [*a]", "? ?", "- - -", "{a: [", "!!x", "|", "\t", "a: |\n ", "---\n---", "\xff", "'", "\"\\x", "<<: *a"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := policy.ParseYAML(data); err == nil {
			if err := p.Check(); err != nil {
				t.Errorf("an invalid policy is read: %v", err)
			}
		}
	})
}
