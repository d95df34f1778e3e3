package translog_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

func (t *tree) at(tb testing.TB, size int64) translog.Checkpoint {
	tb.Helper()
	root, err := tlog.TreeHash(size, t)
	if err != nil {
		tb.Fatal(err)
	}
	return translog.Checkpoint{Origin: origin, Size: size, Root: root}
}

func (t *tree) extends(tb testing.TB, newer, older int64) []tlog.Hash {
	tb.Helper()
	if older == 0 || older == newer {
		return nil
	}
	proof, err := tlog.ProveTree(newer, older, t)
	if err != nil {
		tb.Fatal(err)
	}
	return proof
}

func TestEveryTreeContinuesEverySmallerOne(t *testing.T) {
	log := grow(t, 20)
	for newer := range int64(21) {
		for older := range newer + 1 {
			if err := translog.CheckConsistency(log.extends(t, newer, older), log.at(t, newer), log.at(t, older)); err != nil {
				t.Errorf("%d continues %d: %v", newer, older, err)
			}
		}
	}
}

func TestInconsistencyIsRefused(t *testing.T) {
	log, other := grow(t, 11), &tree{}
	for i := range 11 {
		other.add(t, []byte{byte(i)})
	}
	proof := log.extends(t, 11, 7)
	changed := slices.Clone(proof)
	changed[0][0] ^= 1
	elsewhere := log.at(t, 7)
	elsewhere.Origin = "log.example.com"
	huge := log.at(t, 11)
	huge.Size = translog.MaxTreeSize + 1
	for what, c := range map[string]struct {
		proof        []tlog.Hash
		newer, older translog.Checkpoint
	}{
		"shrank":                   {proof, log.at(t, 7), log.at(t, 11)},
		"another history":          {proof, log.at(t, 11), other.at(t, 7)},
		"another future":           {proof, other.at(t, 11), log.at(t, 7)},
		"same size, another root":  {nil, log.at(t, 11), other.at(t, 11)},
		"same size with proof":     {proof, log.at(t, 11), log.at(t, 11)},
		"from nothing with proof":  {proof, log.at(t, 11), log.at(t, 0)},
		"from another nothing":     {nil, log.at(t, 11), translog.Checkpoint{Origin: origin}},
		"to another nothing":       {nil, translog.Checkpoint{Origin: origin}, log.at(t, 0)},
		"no proof":                 {nil, log.at(t, 11), log.at(t, 7)},
		"changed hash":             {changed, log.at(t, 11), log.at(t, 7)},
		"missing hash":             {proof[1:], log.at(t, 11), log.at(t, 7)},
		"one hash more":            {append(slices.Clone(proof), tlog.Hash{}), log.at(t, 11), log.at(t, 7)},
		"too many hashes":          {make([]tlog.Hash, translog.MaxConsistency+1), log.at(t, 11), log.at(t, 7)},
		"two logs":                 {proof, log.at(t, 11), elsewhere},
		"negative size":            {nil, log.at(t, 11), translog.Checkpoint{Origin: origin, Size: -1}},
		"size beyond any log":      {proof, huge, log.at(t, 7)},
		"proof of other two sizes": {log.extends(t, 11, 6), log.at(t, 11), log.at(t, 7)},
	} {
		if err := translog.CheckConsistency(c.proof, c.newer, c.older); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

func TestAddCheckpointIsPinnedToTheByte(t *testing.T) {
	log := grow(t, 3)
	signed := log.checkpoint(t, logKey(t, origin, 1))
	want := "old 2\n" + log.extends(t, 3, 2)[0].String() + "\n\n" + string(signed)
	r := translog.AddCheckpoint{Old: 2, Proof: log.extends(t, 3, 2), Checkpoint: signed}
	if diff := cmp.Diff(want, string(r.Marshal())); diff != "" {
		t.Errorf("request drifted (-pinned +made):\n%s", diff)
	}
	got, err := translog.ParseAddCheckpoint([]byte(want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, got); diff != "" {
		t.Errorf("request read back (-put +got):\n%s", diff)
	}
	if first := string(translog.AddCheckpoint{Checkpoint: signed}.Marshal()); first != "old 0\n\n"+string(signed) {
		t.Errorf("first request is %q", first)
	}
}

func TestAddCheckpointRefusesOtherBytes(t *testing.T) {
	log := grow(t, 3)
	good := string(translog.AddCheckpoint{Old: 2, Proof: log.extends(t, 3, 2), Checkpoint: log.checkpoint(t, logKey(t, origin, 1))}.Marshal())
	hash := tlog.Hash{}.String() + "\n"
	for what, s := range map[string]string{
		"empty":            "",
		"no old size":      strings.TrimPrefix(good, "old 2\n"),
		"other word":       strings.Replace(good, "old", "new", 1),
		"leading zero":     strings.Replace(good, "old 2", "old 02", 1),
		"sign":             strings.Replace(good, "old 2", "old +2", 1),
		"negative":         strings.Replace(good, "old 2", "old -2", 1),
		"no number":        strings.Replace(good, "old 2", "old two", 1),
		"beyond any log":   strings.Replace(good, "old 2", "old 9007199254740992", 1),
		"beyond int64":     strings.Replace(good, "old 2", "old 9223372036854775808", 1),
		"carriage return":  strings.Replace(good, "old 2\n", "old 2\r\n", 1),
		"short hash":       strings.Replace(good, "old 2\n", "old 2\nAAAA\n", 1),
		"loose base64":     strings.Replace(good, "old 2\n", "old 2\n"+strings.Repeat("A", 42)+"B=\n", 1),
		"too many hashes":  strings.Replace(good, "old 2\n", "old 2\n"+strings.Repeat(hash, translog.MaxConsistency), 1),
		"no empty line":    strings.ReplaceAll(good, "\n\n", "\n"),
		"no checkpoint":    good[:strings.Index(good, "\n\n")+2],
		"long checkpoint":  good + strings.Repeat("x", translog.MaxCheckpoint),
		"longer than that": good + strings.Repeat("x", translog.MaxAddCheckpoint),
	} {
		if r, err := translog.ParseAddCheckpoint([]byte(s)); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%s: %v, %v", what, r, err)
		}
	}
}

func FuzzAddCheckpointParseEncodeIsIdentityOrRefused(f *testing.F) {
	log := grow(f, 3)
	signed := log.checkpoint(f, logKey(f, origin, 1))
	f.Add(translog.AddCheckpoint{Old: 2, Proof: log.extends(f, 3, 2), Checkpoint: signed}.Marshal())
	f.Add(translog.AddCheckpoint{Checkpoint: signed}.Marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := translog.ParseAddCheckpoint(data)
		if err != nil {
			return
		}
		if again := r.Marshal(); !bytes.Equal(again, data) {
			t.Errorf("%q reads back as %q", data, again)
		}
	})
}

// The proof that passes between two trees is the one that the log makes.
func FuzzOnlyTheLogsOwnProofShowsConsistency(f *testing.F) {
	log := grow(f, 20)
	f.Add(uint8(11), uint8(7), []byte{})
	f.Add(uint8(4), uint8(2), []byte{1})
	f.Fuzz(func(t *testing.T, n, o uint8, patch []byte) {
		newer, older := int64(n%21), int64(o%21)
		if older > newer {
			newer, older = older, newer
		}
		proof := log.extends(t, newer, older)
		var flat []byte
		for _, h := range proof {
			flat = append(flat, h[:]...)
		}
		for i, x := range patch[:min(len(patch), len(flat))] {
			flat[i] ^= x
		}
		patched := make([]tlog.Hash, len(proof))
		for i := range patched {
			copy(patched[i][:], flat[i*tlog.HashSize:])
		}
		passes, same := translog.CheckConsistency(patched, log.at(t, newer), log.at(t, older)) == nil, slices.Equal(patched, proof)
		if passes != same {
			t.Errorf("proof from %d to %d passes: %v, is the log's own: %v", older, newer, passes, same)
		}
	})
}
