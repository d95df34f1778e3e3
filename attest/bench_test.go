package attest_test

import (
	"io"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/keytable"
)

// zeros is a file of any size that costs nothing to read.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func BenchmarkOpenRebuild(b *testing.B) {
	key := edKey(b, "alpha", 3)
	e, err := rebuild().Seal(key)
	if err != nil {
		b.Fatal(err)
	}
	var tables keytable.Tables
	for name, known := range map[string]attest.VerifierKey{"key=new": key.VerifierKey, "key=long-known": key.WithTables(&tables)} {
		b.Run(name, func(b *testing.B) {
			keys := func(string) (attest.VerifierKey, error) { return known, nil }
			b.ReportAllocs()
			for b.Loop() {
				if _, err := attest.OpenRebuild(e, keys); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	r, err := rebuild().Encode()
	if err != nil {
		b.Fatal(err)
	}
	d, err := decision(b, 3).Encode()
	if err != nil {
		b.Fatal(err)
	}
	sealed, err := rebuild().Seal(edKey(b, "alpha", 3))
	if err != nil {
		b.Fatal(err)
	}
	e, err := sealed.Encode()
	if err != nil {
		b.Fatal(err)
	}
	for name, parse := range map[string]func() error{
		"Rebuild":  func() error { _, err := attest.ParseRebuild(r); return err },
		"Decision": func() error { _, err := attest.ParseDecision(d); return err },
		"Envelope": func() error { _, err := attest.ParseEnvelope(e); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := parse(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSetDigest(b *testing.B) {
	set := artifacts(2)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := set.SetDigest(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHashArtifact64MiB(b *testing.B) {
	const size = 64 << 20
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := attest.HashArtifact(io.LimitReader(zeros{}, size), "file", "deb"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseArtifacts1024(b *testing.B) {
	data, err := artifacts(attest.MaxArtifacts).Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := attest.ParseArtifacts(data); err != nil {
			b.Fatal(err)
		}
	}
}
