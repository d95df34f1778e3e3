package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
)

func TestSummaryNamesEverythingAVerifierNeeds(t *testing.T) {
	t.Parallel()
	data, err := summary{
		Releases: []releaseSummary{{
			Name: "hello", Suite: "stable", Version: "1", Release: "ab", State: "signed", Reason: "signed",
			Votes: map[string]string{"alpha": "agrees", "beta": "differs"}, Evidence: "evidence/hello.evidence.json",
			Artifacts: []artifactSummary{{File: "artifacts/hello", SHA256: "cd", Signature: "signatures/hello.sig"}},
		}},
		Refusals:   []refusal{{Tried: "cheat", By: "signer", Reason: "signature does not verify"}},
		Signatures: accounts{HSM: 3, Log: 1, Ceremony: 2},
	}.encode()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"schema":"reprosign/demo/v1","verified":true,"releases":[{"name":"hello","suite":"stable","version":"1","release":"ab",` +
		`"state":"signed","reason":"signed","votes":{"alpha":"agrees","beta":"differs"},"evidence":"evidence/hello.evidence.json",` +
		`"artifacts":[{"file":"artifacts/hello","sha256":"cd","signature":"signatures/hello.sig"}]}],` +
		`"refusals":[{"tried":"cheat","by":"signer","reason":"signature does not verify"}],"signatures":{"hsm":3,"log":1,"ceremony":2}}`
	var got, expected any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &expected); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

func TestOneFailureSpoilsTheVerdict(t *testing.T) {
	t.Parallel()
	d := &demo{screen: &screen{out: &bytes.Buffer{}, began: time.Now()}, summary: summary{complete: true}}
	d.expect(true, "fine")
	if err := d.judge(); err != nil {
		t.Errorf("without failures: %v", err)
	}
	d.expect(false, "file %s", "x")
	if err := d.judge(); err == nil {
		t.Error("a failure was overlooked")
	}
	data, err := d.summary.encode()
	if err != nil || !strings.Contains(string(data), `"verified": false`) || !strings.Contains(string(data), `"file x"`) {
		t.Errorf("summary: %v\n%s", err, data)
	}
}

func TestUnfinishedDemoIsNoSuccess(t *testing.T) {
	t.Parallel()
	if err := new(demo).judge(); err == nil {
		t.Error("a demo that never ran verified everything")
	}
}

func TestAccountsBalanceOnlyIfEverySignatureIsExplained(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		accounts
		want bool
	}{{accounts{5, 2, 3}, true}, {accounts{6, 2, 3}, false}, {accounts{4, 2, 3}, false}} {
		if got := test.balanced(); got != test.want {
			t.Errorf("%+v: got %v", test.accounts, got)
		}
	}
}

func TestWithoutATerminalEveryEventIsAPlainLine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &screen{out: &out, began: time.Now()}
	s.live("building")
	s.good("alpha", "agrees")
	s.still()
	if text := out.String(); strings.ContainsAny(text, "\x1b\r") || !strings.HasSuffix(text, "alpha        agrees\n") {
		t.Errorf("got %q", text)
	}
}

func TestEventsStandAboveTheLiveLine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &screen{out: &out, began: time.Now(), width: 20}
	s.live("waiting for gamma")
	s.line("event")
	s.still()
	want := eraseLine + "        waiting fo…" + eraseLine + "event\n" + "        waiting fo…" + eraseLine
	if got := out.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
