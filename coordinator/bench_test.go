package coordinator

import (
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
)

// many is enough releases that no two in a row are alike to a processor.
const many = 64

// BenchmarkCheckVotes measures all that 16 votes of a rebuilder cost before they are stored.
func BenchmarkCheckVotes(b *testing.B) {
	w, releases := benchReleases(b)
	var messages []bus.Message
	for _, r := range releases {
		data, err := bus.EncodeVote(bus.Vote{Envelope: r.Votes[0], Artifacts: r.Artifacts, States: r.States})
		if err != nil {
			b.Fatal(err)
		}
		name := w.Rebuilders[0].Name()
		messages = append(messages, bus.Message{Subject: "vote." + name, Rebuilder: name, Data: data.Data()})
	}
	b.ReportAllocs()
	const votes = 16
	for i := 0; b.Loop(); i = (i + votes) % many {
		for _, out := range check(w.Version, messages[i:i+votes]) {
			if out.refusal != nil {
				b.Fatal(out.refusal)
			}
		}
	}
}

// BenchmarkAcceptDecision measures what the signer's answer costs before it is stored.
func BenchmarkAcceptDecision(b *testing.B) {
	w, releases := benchReleases(b)
	trust, err := policy.Pin(w.Envelope)
	if err != nil {
		b.Fatal(err)
	}
	c := &Coordinator{trust: trust}
	var cases []Undecided
	for _, r := range releases {
		terms, err := attest.ParseOpening(r.Opening.Payload)
		if err != nil {
			b.Fatal(err)
		}
		cases = append(cases, Undecided{
			Release: r.ID, Suite: evidencetest.Suite, Terms: terms, Opening: r.Opening, Request: r.Request,
			Votes: r.Votes, Artifacts: r.Artifacts,
		})
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := c.accept(cases[i%many], bus.DecideResult{Decision: releases[i%many].Decision}); err != nil {
			b.Fatal(err)
		}
	}
}

func benchReleases(b *testing.B) (*evidencetest.World, []*evidencetest.Release) {
	b.Helper()
	w := evidencetest.New(b, evidencetest.Options{
		Rebuilders: 7, Artifacts: 1, Change: func(p *policy.Policy) { p.Suites[0].Retries = many },
	})
	releases := make([]*evidencetest.Release, many)
	for i := range releases {
		releases[i] = w.Release(b, i+1)
	}
	return w, releases
}
