package translog_test

import (
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/translog"
)

// digestOf is a digest of its own for each number and purpose.
func digestOf(purpose byte, i int) attest.Digest {
	return attest.SHA256(binary.BigEndian.AppendUint64([]byte{purpose}, uint64(i)))
}

// cycleFacts are the three entries of the i-th release, with two artifacts.
func cycleFacts(policy attest.Digest, i int) [3]translog.Fact {
	release, decision := digestOf('r', i), digestOf('d', i)
	d := &translog.DecisionFact{Release: release, Signer: "signer", Decided: attest.Time(i + 1), Ground: attest.GroundQuorum}
	for n := range 2 {
		content := fmt.Appendf(nil, "%d of %d", n, i)
		d.Artifacts = append(d.Artifacts, translog.NamedBytes{
			Name: fmt.Sprintf("package-%d-%d_1.0-1_amd64.deb", i, n), SHA256: attest.SHA256(content), SHA512: sha512.Sum512(content),
		})
	}
	return [3]translog.Fact{
		{Leaf: digestOf('o', i), Kind: translog.KindOpening, Statement: release, Opening: &translog.OpeningFact{
			Request: digestOf('q', i), Policy: policy, Attempt: 1, Publisher: "publisher", Suite: evidencetest.Suite, Source: fmt.Sprint("source-", i%15000),
		}},
		{Leaf: digestOf('e', i), Kind: translog.KindDecision, Statement: decision, Decision: d},
		{Leaf: digestOf('s', i), Kind: translog.KindSignatures, Statement: digestOf('m', i), Signatures: &translog.SignaturesFact{Release: release, Decision: decision, Count: 2}},
	}
}

// BenchmarkLearn reports the memory of a follower for each entry: a third
// openings, a third decisions with two artifacts, a third signatures.
func BenchmarkLearn(b *testing.B) {
	w := evidencetest.New(b, evidencetest.Options{})
	f := newFollower(b, w.Envelope)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := 0; b.Loop(); i++ {
		for _, fact := range cycleFacts(w.Version.Digest, i) {
			if err := f.Learn(fact); err != nil {
				b.Fatal(err)
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(f.Size()), "heap-B/entry")
	b.ReportMetric(float64(f.Size())/b.Elapsed().Seconds(), "entries/s")
	runtime.KeepAlive(f)
}

// BenchmarkAppend reads openings and decisions with all their signatures.
func BenchmarkAppend(b *testing.B) {
	w := evidencetest.New(b, evidencetest.Options{})
	for i := range 500 {
		w.Open(b, evidencetest.Suite, "source", 1).Decide(b, w, evidencetest.File(b, fmt.Sprintf("file-%d.deb", i), "x"))
	}
	entries := 0
	for b.Loop() {
		if _, err := newFollower(b, w.Envelope).Append(w.Log.Entries); err != nil {
			b.Fatal(err)
		}
		entries += len(w.Log.Entries)
	}
	b.ReportMetric(float64(entries)/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkFact writes and reads a decision as the signer's file holds it.
func BenchmarkFact(b *testing.B) {
	fact := cycleFacts(attest.Digest{1}, 1)[1]
	size := 0
	for b.Loop() {
		data, err := fact.Encode()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := translog.ParseFact(data); err != nil {
			b.Fatal(err)
		}
		size = len(data)
	}
	b.ReportMetric(float64(size), "B/fact")
}
