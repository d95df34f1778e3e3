package bus_test

import (
	"testing"

	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
)

// BenchmarkVote is what a vote costs whoever sends it, and then the coordinator,
// beyond its signatures.
func BenchmarkVote(b *testing.B) {
	r := benchRelease(b)
	vote := bus.Vote{Envelope: r.Votes[0], Artifacts: r.Artifacts, States: r.States}
	once, err := bus.EncodeVote(vote)
	if err != nil {
		b.Fatal(err)
	}
	data := once.Data()
	b.Run("encode", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := bus.EncodeVote(vote); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := bus.DecodeVote(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkDecideRequest is what a question for seven votes costs the
// coordinator, and then the signer, beyond their signatures.
func BenchmarkDecideRequest(b *testing.B) {
	r := benchRelease(b)
	question := bus.DecideRequest{Cases: []bus.DecideCase{{Opening: r.Opening, Request: r.Request, Votes: r.Votes, Artifacts: r.Artifacts}}}
	benchMessage(b, &question)
}

func BenchmarkDecideReply(b *testing.B) {
	benchMessage(b, &bus.DecideReply{Results: []bus.DecideResult{{Decision: benchRelease(b).Decision}}})
}

// BenchmarkLogReply is what a decision costs in the log, once for whoever reads it.
func BenchmarkLogReply(b *testing.B) {
	r := benchRelease(b)
	entry := r.World.Log.Entries[r.DecisionIndex]
	benchMessage(b, &bus.LogReply{Checkpoint: r.DecisionProof.Checkpoint, Entries: []translog.Entry{entry}})
}

func benchMessage[M any](b *testing.B, m *M) {
	data, err := bus.Encode(m)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			if err := bus.EncodeOver(m); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			var again M
			if err := bus.Decode(data, &again); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchRelease(b *testing.B) *evidencetest.Release {
	b.Helper()
	return evidencetest.New(b, evidencetest.Options{Rebuilders: 7, Artifacts: 1}).Release(b, 1)
}
