package translog_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

func TestEveryLeafOfEveryTreeIsProven(t *testing.T) {
	key := logKey(t, origin, 1)
	for size := 1; size <= 20; size++ {
		log := grow(t, size)
		signed := log.checkpoint(t, key)
		for i, leaf := range log.leaves {
			p := log.prove(t, int64(i), signed)
			if c, err := p.Verify(leaf, key.VerifierKey); err != nil || c.Size != int64(size) {
				t.Fatalf("leaf %d of %d: %v", i, size, err)
			}
		}
	}
}

func TestInclusionIsRefused(t *testing.T) {
	key := logKey(t, origin, 1)
	log := grow(t, 11)
	good := log.prove(t, 6, log.checkpoint(t, key))
	leaf := log.leaves[6]
	bigger := grow(t, 12)
	for _, c := range []struct {
		name  string
		leaf  []byte
		spoil func(p *translog.Proof)
		want  error
	}{
		{"another leaf", log.leaves[5], func(*translog.Proof) {}, nil},
		{"another index", leaf, func(p *translog.Proof) { p.Index = 5 }, nil},
		{"index beyond the tree", leaf, func(p *translog.Proof) { p.Index = 11 }, nil},
		{"negative index", leaf, func(p *translog.Proof) { p.Index = -1 }, attest.ErrMalformed},
		{"changed hash", leaf, func(p *translog.Proof) { p.Hashes[0][0] ^= 1 }, nil},
		{"missing hash", leaf, func(p *translog.Proof) { p.Hashes = p.Hashes[1:] }, nil},
		{"one hash more", leaf, func(p *translog.Proof) { p.Hashes = append(p.Hashes, tlog.Hash{}) }, nil},
		{"too many hashes", leaf, func(p *translog.Proof) { p.Hashes = make([]tlog.Hash, translog.MaxProofHashes+1) }, attest.ErrMalformed},
		{"checkpoint of another tree", leaf, func(p *translog.Proof) { p.Checkpoint = bigger.checkpoint(t, key) }, nil},
		{"checkpoint by another key", leaf, func(p *translog.Proof) { p.Checkpoint = log.checkpoint(t, logKey(t, origin, 2)) }, attest.ErrBadSignature},
		{"no checkpoint", leaf, func(p *translog.Proof) { p.Checkpoint = nil }, attest.ErrMalformed},
		// The hash of an inner node must not pass for a leaf.
		{"inner node as leaf", append(log.hashes[0][:], log.hashes[1][:]...), func(p *translog.Proof) {
			p.Index, p.Hashes = 0, good.Hashes[1:]
		}, nil},
	} {
		p := good
		p.Hashes = append([]tlog.Hash(nil), good.Hashes...)
		c.spoil(&p)
		if _, err := p.Verify(c.leaf, key.VerifierKey); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
}

func TestTLogProofIsPinnedToTheByte(t *testing.T) {
	log := grow(t, 4)
	p := log.prove(t, 2, log.checkpoint(t, logKey(t, origin, 1)))
	want, err := os.ReadFile("testdata/leaf2of4.tlog-proof")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(p.MarshalTLogProof())); diff != "" {
		t.Errorf("proof drifted (-pinned +made):\n%s", diff)
	}
	got, err := translog.ParseTLogProof(want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, got); diff != "" {
		t.Errorf("proof read back (-put +got):\n%s", diff)
	}
}

func TestTLogProofRefusesOtherBytes(t *testing.T) {
	log := grow(t, 4)
	good := string(log.prove(t, 2, log.checkpoint(t, logKey(t, origin, 1))).MarshalTLogProof())
	for name, s := range map[string]string{
		"empty":         "",
		"other version": strings.Replace(good, "@v1", "@v2", 1),
		"extra data":    strings.Replace(good, "index", "extra AAAA\nindex", 1),
		"leading zero":  strings.Replace(good, "index 2", "index 02", 1),
		"negative":      strings.Replace(good, "index 2", "index -2", 1),
		"carriage":      strings.Replace(good, "index 2\n", "index 2\r\n", 1),
		"no index":      strings.Replace(good, "index 2\n", "", 1),
		"no checkpoint": good[:strings.Index(good, "\n\n")+2],
		"no empty line": strings.Replace(good, "\n\n", "\n", 2),
		"too long":      good + strings.Repeat("x", translog.MaxTLogProof),
		"too many hashes": strings.Replace(good, "index 2\n", "index 2\n"+
			strings.Repeat(tlog.Hash{}.String()+"\n", translog.MaxProofHashes), 1),
	} {
		if _, err := translog.ParseTLogProof([]byte(s)); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzTLogProofParseEncodeIsIdentityOrRefused(f *testing.F) {
	log := grow(f, 4)
	f.Add(log.prove(f, 2, log.checkpoint(f, logKey(f, origin, 1))).MarshalTLogProof())
	f.Add([]byte("c2sp.org/tlog-proof@v1\nindex 0\n\nx"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := translog.ParseTLogProof(data)
		if err != nil {
			return
		}
		if again := p.MarshalTLogProof(); !bytes.Equal(again, data) {
			t.Errorf("%q reads back as %q", data, again)
		}
	})
}
