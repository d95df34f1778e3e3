package attest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest"
)

func TestUnknownIsolationPassesNoBar(t *testing.T) {
	levels := []attest.Isolation{attest.IsolationNone, attest.IsolationUID, attest.IsolationUserns, attest.IsolationBwrap}
	for i, level := range levels {
		for j, bar := range levels {
			if got := level.AtLeast(bar); got != (i >= j) {
				t.Errorf("%s at least %s: %v", level, bar, got)
			}
		}
		if level.AtLeast("") || level.AtLeast("vm") || attest.Isolation("vm").AtLeast(level) {
			t.Errorf("unknown level compares with %s", level)
		}
	}
}

func TestSourceURLsArePlain(t *testing.T) {
	with := func(u string) error {
		r := request()
		r.Recipe.Sources[0].URLs = []string{u}
		return r.Check()
	}
	for _, u := range []string{"https://example.org/a", "http://[::1]:8080/a?b=c@d", "file:///srv/a", "https://example.org/"} {
		if err := with(u); err != nil {
			t.Errorf("%q: %v", u, err)
		}
	}
	for _, u := range []string{
		"", "example.org/a", "ftp://example.org/a", "HTTPS://example.org/a", "https:///a", "https://example.org", "https:/example.org/a",
		"https://user@example.org/a", "https://user:secret@example.org/a", "https://example.org/a#b", "https://exa mple.org/a",
		"https://example.org/\x1b", "https://example.org/ä", "file://host/a", "file:a", "javascript://x/y", "https://e/" + strings.Repeat("a", 2048),
	} {
		if err := with(u); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%q: %v", u, err)
		}
	}
}

func TestReasonsCannotRewriteWhatShowsThem(t *testing.T) {
	with := func(reason string) error {
		return attest.Withdrawal{Role: attest.RoleAdmin, By: "admin", Release: attest.Digest{1}, Reason: reason, At: opened}.Check()
	}
	for _, s := range []string{"plain", "größer, 日本語, עברית", strings.Repeat("x", attest.MaxReason)} {
		if err := with(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{
		"", "a\nb", "a\x1b[2J", "a\x7f", "a\u0085b", "a\u202eb", "a\u2066b", "a\u200fb", "a\ufeffb", "a\xffb",
		strings.Repeat("x", attest.MaxReason+1),
	} {
		if err := with(s); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestListsNameNothingTwice(t *testing.T) {
	one, two := attest.Digest{1}, attest.Digest{2}
	for what, err := range map[string]error{
		"counted twice": attest.Receipt{Coordinator: "opener", Rebuilder: "alpha", Issued: opened, Counted: []attest.Digest{one, one}}.Check(),
		"counted and late": attest.Receipt{
			Coordinator: "opener", Rebuilder: "alpha", Issued: opened, Counted: []attest.Digest{one, two}, Late: []attest.Digest{one},
		}.Check(),
		"counted nothing":       attest.Receipt{Coordinator: "opener", Rebuilder: "alpha", Issued: opened, Counted: []attest.Digest{{}}}.Check(),
		"empty receipt":         attest.Receipt{Coordinator: "opener", Rebuilder: "alpha", Issued: opened}.Check(),
		"overfull receipt":      attest.Receipt{Coordinator: "opener", Rebuilder: "alpha", Issued: opened, Counted: make([]attest.Digest, attest.MaxReceipt+1)}.Check(),
		"one equivocator":       attest.Record{Coordinator: "opener", Kind: attest.RecordEquivocation, Bodies: []attest.Digest{one}, Envelopes: []attest.Digest{two}}.Check(),
		"half a complaint":      attest.Record{Coordinator: "opener", Kind: attest.RecordComplaint, Bodies: []attest.Digest{one, two}, Envelopes: []attest.Digest{one, two}}.Check(),
		"recorded twice":        attest.Record{Coordinator: "opener", Kind: attest.RecordPolicy, Bodies: []attest.Digest{one, one}, Envelopes: []attest.Digest{one, two}}.Check(),
		"one envelope twice":    attest.Record{Coordinator: "opener", Kind: attest.RecordPolicy, Bodies: []attest.Digest{one, two}, Envelopes: []attest.Digest{one, one}}.Check(),
		"body without envelope": attest.Record{Coordinator: "opener", Kind: attest.RecordPolicy, Bodies: []attest.Digest{one}}.Check(),
		"record without bodies": attest.Record{Coordinator: "opener", Kind: attest.RecordPolicy}.Check(),
	} {
		if !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestOutcomeAndWhatItNamesBelongTogether(t *testing.T) {
	for what, spoil := range map[string]func(r *attest.Rebuild){
		"built without a set":     func(r *attest.Rebuild) { r.Set = attest.Digest{} },
		"built with a source":     func(r *attest.Rebuild) { r.Source = attest.Digest{1} },
		"failed with a set":       func(r *attest.Rebuild) { r.Outcome = attest.BuildFailed; r.Source = attest.Digest{1} },
		"failed without a source": func(r *attest.Rebuild) { r.Outcome = attest.TimedOut; r.Set = attest.Digest{} },
		"unknown outcome":         func(r *attest.Rebuild) { r.Outcome = "good" },
		"unknown isolation":       func(r *attest.Rebuild) { r.Isolation = "" },
		"ended before it began":   func(r *attest.Rebuild) { r.Finished = r.Started - 1 },
		"no release":              func(r *attest.Rebuild) { r.Release = attest.Digest{} },
		"environment for a terminal": func(r *attest.Rebuild) {
			r.Environment = map[string]string{"CPU": "\x1b[2J"}
		},
	} {
		r := rebuild()
		spoil(&r)
		if _, err := r.Encode(); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestClaimOpensOnlyItsOwnDigest(t *testing.T) {
	c := attest.Claim{Salt: attest.Digest{1}, Set: attest.Digest{2}}
	if !c.Matches(c.Digest()) {
		t.Error("claim does not open its own digest")
	}
	swapped := attest.Claim{Salt: c.Set, Set: c.Salt}
	if swapped.Matches(c.Digest()) || c.Matches(attest.Digest{}) {
		t.Error("claim opens another digest")
	}
}
