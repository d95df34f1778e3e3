package translog_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

func tlogPolicy(tb testing.TB, quorum, n int) translog.TLogPolicy {
	tb.Helper()
	p := translog.TLogPolicy{Logs: []translog.TLogPolicyKey{{Key: logKey(tb, origin, 1).VerifierKey, URL: "https://log.example.org"}}, Quorum: quorum}
	for i := range n {
		k := translog.TLogPolicyKey{Key: witnessKey(tb, string(rune('a'+i))+".example.net", byte(10+i)).VerifierKey}
		if i == 0 {
			k.URL = "https://a.example.net/witness"
		}
		p.Witnesses = append(p.Witnesses, k)
	}
	return p
}

var keyComparer = cmp.Comparer(func(a, b attest.VerifierKey) bool { return a.String() == b.String() })

func TestTLogPolicyIsPinnedToTheByte(t *testing.T) {
	p := tlogPolicy(t, 2, 3)
	key := func(i int) attest.VerifierKey { return p.Witnesses[i].Key }
	want := fmt.Sprintf(`log %v https://log.example.org
witness a.example.net %v https://a.example.net/witness
witness b.example.net %v
witness c.example.net %v
group 2-of-3 2 a.example.net b.example.net c.example.net
quorum 2-of-3
`, p.Logs[0].Key, key(0), key(1), key(2))
	got, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("tlog-policy drifted (-pinned +made):\n%s", diff)
	}
	for _, p := range []translog.TLogPolicy{p, tlogPolicy(t, 0, 0), tlogPolicy(t, 0, 2), tlogPolicy(t, 1, 1)} {
		text, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		back, err := translog.ParseTLogPolicy(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, back, keyComparer); diff != "" {
			t.Errorf("tlog-policy read back (-put +got):\n%s", diff)
		}
	}
}

func TestTLogPolicyOfOthersIsRead(t *testing.T) {
	p := tlogPolicy(t, 0, 4)
	a, b, c, d := p.Witnesses[0], p.Witnesses[1], p.Witnesses[2], p.Witnesses[3]
	head := fmt.Sprintf("# trust of\t somebody ä\n\nlog\t%v\nwitness  w1 %v  %s \nwitness w2 %v\nwitness w3 %v\nwitness w4 %v\n",
		p.Logs[0].Key, a.Key, a.URL, b.Key, c.Key, d.Key)
	for rest, want := range map[string]translog.TLogPolicy{
		"quorum none":                           {Witnesses: p.Witnesses},
		"quorum w2":                             {Witnesses: []translog.TLogPolicyKey{b}, Quorum: 1},
		"group g any w1 w2\nquorum g\n":         {Witnesses: []translog.TLogPolicyKey{a, b}, Quorum: 1},
		"group g all w3 w2 w1\nquorum g":        {Witnesses: []translog.TLogPolicyKey{c, b, a}, Quorum: 3},
		"group g 2 w1 w2 w3\n#\nquorum g":       {Witnesses: []translog.TLogPolicyKey{a, b, c}, Quorum: 2},
		"group h 1 w1\ngroup g 1 w4\nquorum\tg": {Witnesses: []translog.TLogPolicyKey{d}, Quorum: 1},
	} {
		got, err := translog.ParseTLogPolicy([]byte(head + rest))
		if err != nil {
			t.Errorf("%q: %v", rest, err)
			continue
		}
		want.Logs = []translog.TLogPolicyKey{{Key: p.Logs[0].Key}}
		if diff := cmp.Diff(want, got, keyComparer); diff != "" {
			t.Errorf("%q (-want +got):\n%s", rest, diff)
		}
	}
}

func TestTLogPolicyIsRefused(t *testing.T) {
	p := tlogPolicy(t, 0, 3)
	log, a, b := "log "+p.Logs[0].Key.String()+"\n", "witness a "+p.Witnesses[0].Key.String()+"\n", "witness b "+p.Witnesses[1].Key.String()+"\n"
	for what, s := range map[string]string{
		"empty":                  "",
		"no quorum":              log + a + b,
		"two quorums":            log + "quorum none\nquorum none\n",
		"unknown word":           log + "mirror a\nquorum none\n",
		"log with too much":      strings.TrimSpace(log) + " u v\nquorum none\n",
		"witness without key":    "witness a\nquorum none\n",
		"bad key":                strings.Replace(a, "+", "+0", 1) + "quorum none\n",
		"log key for a witness":  "witness a " + p.Logs[0].Key.String() + "\nquorum none\n",
		"witness key for a log":  "log " + p.Witnesses[0].Key.String() + "\nquorum none\n",
		"name twice":             a + strings.Replace(b, "witness b", "witness a", 1) + "quorum none\n",
		"key twice":              a + strings.Replace(a, "witness a", "witness b", 1) + "quorum none\n",
		"key twice, one unused":  a + strings.Replace(a, "witness a", "witness b", 1) + "quorum a\n",
		"log twice":              log + log + "quorum none\n",
		"witness called none":    strings.Replace(a, "witness a", "witness none", 1) + "quorum none\n",
		"group called none":      a + "group none 1 a\nquorum none\n",
		"group named as witness": a + "group a 1 a\nquorum a\n",
		"group of nobody":        a + "group g any\nquorum g\n",
		"group before members":   "group g any a\n" + a + "quorum g\n",
		"member twice":           a + b + "group g 2 a a\nquorum g\n",
		"member of two groups":   a + b + "group g 1 a\ngroup h 2 a b\nquorum h\n",
		"group of groups":        a + b + "group g 1 a\ngroup h 2 g b\nquorum h\n",
		"threshold 0":            a + "group g 0 a\nquorum g\n",
		"threshold too high":     a + "group g 2 a\nquorum g\n",
		"threshold spelled":      a + "group g 01 a\nquorum g\n",
		"threshold of a word":    a + "group g most a\nquorum g\n",
		"unknown quorum":         a + "quorum b\n",
		"quorum without name":    a + "quorum\n",
		"carriage return":        a + "quorum none\r\n",
		"delete":                 a + "quorum none\x7f\n",
		"too long":               strings.Repeat("#", translog.MaxTLogPolicy) + "\nquorum none\n",
	} {
		if got, err := translog.ParseTLogPolicy([]byte(s)); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
	for what, spoil := range map[string]func(p *translog.TLogPolicy){
		"quorum too high":       func(p *translog.TLogPolicy) { p.Quorum = 4 },
		"key twice":             func(p *translog.TLogPolicy) { p.Witnesses[1] = p.Witnesses[0] },
		"space in a URL":        func(p *translog.TLogPolicy) { p.Witnesses[1].URL = "https://a b" },
		"witness as log":        func(p *translog.TLogPolicy) { p.Logs[0] = p.Witnesses[0] },
		"witness called none":   func(p *translog.TLogPolicy) { p.Witnesses[0].Key = witnessKey(t, "none", 1).VerifierKey },
		"witness like a quorum": func(p *translog.TLogPolicy) { p.Witnesses[0].Key = witnessKey(t, "2-of-3", 1).VerifierKey },
	} {
		p := tlogPolicy(t, 2, 3)
		spoil(&p)
		if text, err := p.Marshal(); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%s: %q, %v", what, text, err)
		}
	}
}

func FuzzTLogPolicyMeansTheSameWhenWrittenAgain(f *testing.F) {
	for _, p := range []translog.TLogPolicy{tlogPolicy(f, 2, 3), tlogPolicy(f, 0, 1)} {
		text, err := p.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := translog.ParseTLogPolicy(data)
		if err != nil {
			return
		}
		text, err := p.Marshal()
		if err != nil {
			t.Fatalf("%q cannot be written again: %v", data, err)
		}
		again, err := translog.ParseTLogPolicy(text)
		if diff := cmp.Diff(p, again, keyComparer); err != nil || diff != "" {
			t.Errorf("%q reads back as %q, %v:\n%s", data, text, err, diff)
		}
	})
}
