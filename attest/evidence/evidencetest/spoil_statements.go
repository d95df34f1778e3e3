package evidencetest

import (
	"slices"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
)

// spoiledStatements are about requests, claims, votes and artifacts.
func spoiledStatements() []Spoil {
	return []Spoil{
		{Name: "vote altered", Step: "votes", Why: "signature does not verify", Spoil: func(tb testing.TB, _ *Release, b *evidence.Bundle) {
			b.Votes[0] = with(tb, b.Votes[0], `"isolation":"bwrap"`, `"isolation":"userns"`)
			sortVotes(b)
		}},
		{Name: "vote by an unknown rebuilder", Step: "votes", Why: "mallory", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			b.Votes[0] = r.Vote(tb, Ed25519Key(tb, "rebuilder", "mallory"), r.Artifacts)
			sortVotes(b)
		}},
		{Name: "vote under a key of the same name", Step: "votes", Why: "signature does not verify", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			b.Votes[0] = r.Vote(tb, Ed25519Key(tb, "mallory", "rebuilder-1"), r.Artifacts)
			sortVotes(b)
		}},
		{Name: "vote from another release", Step: "votes", Why: "another release", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			b.Votes[0] = r.World.Release(tb, 2).Votes[0]
			sortVotes(b)
		}},
		{Name: "vote twice", Step: "votes", Why: "there twice", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
			b.Votes = slices.Insert(b.Votes, 0, b.Votes[0])
		}},
		{Name: "vote dropped", Step: "verdict", Why: "lists 3 votes and reports, the bundle holds 2", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
			b.Votes = b.Votes[1:]
		}},
		{Name: "votes below the threshold", Step: "agreement", Why: "do not agree", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
			b.Votes = b.Votes[:1]
		}},
		{Name: "vote that the decision does not list", Step: "verdict", Why: "lists 2 votes and reports, the bundle holds 3", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			d := r.Decided()
			d.Votes = d.Votes[1:]
			redecide(tb, r, b, r.World.Signer, d)
		}},
		{Name: "a voter who differs", Step: "agreement", Why: "do not agree (held)", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			other := slices.Clone(r.Artifacts)
			other[0].SHA256[0] ^= 1
			b.Votes = []*attest.Envelope{r.Votes[0], r.Votes[1], r.Vote(tb, r.World.Rebuilders[2], other)}
			sortVotes(b)
		}},
		{Name: "other artifact list", Step: "decision in the log", Why: "another artifact set", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
			b.Artifacts = slices.Clone(b.Artifacts)
			b.Artifacts[0].Size++
		}},
		{Name: "artifact of a kind that the suite has not", Step: "artifacts", Why: "rpm", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
			b.Artifacts = slices.Clone(b.Artifacts)
			b.Artifacts[0].Kind = "rpm"
		}},
		{Name: "agreed on another set than decided", Step: "verdict", Why: "another artifact set", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			b.Artifacts = slices.Clone(b.Artifacts)
			b.Artifacts[0].SHA512[0] ^= 1
			set, err := b.Artifacts.SetDigest()
			if err != nil {
				tb.Fatal(err)
			}
			d := r.Decided()
			d.Set, d.Artifacts = set, attest.AgreedOf(b.Artifacts)
			redecide(tb, r, b, r.World.Signer, d)
		}},
		{Name: "claim not opened", Step: "claim", Why: "does not open it", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) { b.Claim = nil }},
		{Name: "other claim salt", Step: "claim", Why: "not those", Spoil: func(_ testing.TB, _ *Release, b *evidence.Bundle) {
			b.Claim = &attest.Claim{Salt: attest.Digest{1}, Set: b.Claim.Set}
		}},
		{Name: "request altered", Step: "request", Why: "signature does not verify", Spoil: func(tb testing.TB, _ *Release, b *evidence.Bundle) {
			b.Request = with(tb, b.Request, `"version":"2.10-3"`, `"version":"2.10-4"`)
		}},
		{Name: "request of another publisher", Step: "request", Why: "mallory", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			key := Ed25519Key(tb, "publisher", "mallory")
			request, err := attest.ParseRequest(r.Request.Payload)
			if err != nil {
				tb.Fatal(err)
			}
			request.Publisher = key.Name()
			if b.Request, err = request.Seal(key); err != nil {
				tb.Fatal(err)
			}
		}},
		{Name: "request for another suite", Step: "request", Why: "testing", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			request, err := attest.ParseRequest(r.Request.Payload)
			if err != nil {
				tb.Fatal(err)
			}
			request.Suite = "testing"
			if b.Request, err = request.Seal(r.World.Publisher); err != nil {
				tb.Fatal(err)
			}
		}},
		{Name: "other request than opened", Step: "opening", Why: "another request", Spoil: func(tb testing.TB, r *Release, b *evidence.Bundle) {
			request, err := attest.ParseRequest(r.Request.Payload)
			if err != nil {
				tb.Fatal(err)
			}
			request.Version = "2.10-4"
			if b.Request, err = request.Seal(r.World.Publisher); err != nil {
				tb.Fatal(err)
			}
		}},
	}
}
