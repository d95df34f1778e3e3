package attest_test

import (
	"errors"
	"fmt"
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

// BenchmarkOpenRebuilds opens the statements of seven rebuilders about a release,
// as a signer does.
func BenchmarkOpenRebuilds(b *testing.B) {
	const rebuilders = 7
	var tables keytable.Tables
	keys := map[string]attest.VerifierKey{}
	var envelopes []*attest.Envelope
	for i := range rebuilders {
		r := rebuild()
		r.Rebuilder = fmt.Sprint("rebuilder-", i)
		key := edKey(b, r.Rebuilder, byte(i))
		keys[r.Rebuilder] = key.WithTables(&tables)
		e, err := r.Seal(key)
		if err != nil {
			b.Fatal(err)
		}
		envelopes = append(envelopes, e)
	}
	known := func(name string) (attest.VerifierKey, error) {
		if key, ok := keys[name]; ok {
			return key, nil
		}
		return attest.VerifierKey{}, fmt.Errorf("nobody knows %s", name)
	}
	for range 100 { // until the keys have their tables
		attest.OpenRebuilds(envelopes, known)
	}
	for name, all := range map[string]func() error{
		"together": func() error {
			_, errs := attest.OpenRebuilds(envelopes, known)
			return errors.Join(errs...)
		},
		"one by one": func() error {
			for _, e := range envelopes {
				if _, err := attest.OpenRebuild(e, known); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := all(); err != nil {
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
