package translog_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

const seen attest.Time = 1_800_000_000

func witnessKey(tb testing.TB, name string, seed byte) attest.SigningKey {
	tb.Helper()
	k, err := attest.NewCosigningKey(name, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func cosign(tb testing.TB, signed []byte, key attest.SigningKey, at attest.Time) []byte {
	tb.Helper()
	line, err := translog.Cosign(signed, key, at)
	if err != nil {
		tb.Fatal(err)
	}
	return line
}

// signatureLine is a line of any content at all.
func signatureLine(name string, id uint32, signature []byte) []byte {
	return fmt.Appendf(nil, "— %s %s\n", name, base64.StdEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, id), signature...)))
}

func witnesses(quorum int, keys ...attest.SigningKey) translog.Witnesses {
	w := translog.Witnesses{Quorum: quorum}
	for _, k := range keys {
		w.Keys = append(w.Keys, k.VerifierKey)
	}
	return w
}

func TestCosignedCheckpointIsPinnedToTheByte(t *testing.T) {
	signed := rawNote(t, emptyCheckpoint, logKey(t, origin, 1))
	witness := witnessKey(t, "witness.example.net", 7)
	line := cosign(t, signed, witness, seen)
	const want = "— witness.example.net SC0klwAAAABrSdIA952tprDz4B1eKOOQzLqEIm2Wk5DjA2RbqBMtaQZl2nagowc1DTPF/fW/d+Vg+P9jsO/sPUDL3fBHZvtNtHVHBw==\n"
	if diff := cmp.Diff(want, string(line)); diff != "" {
		t.Errorf("cosignature drifted (-pinned +made):\n%s", diff)
	}
	got, err := witnesses(1, witness).Cosignatures(append(signed, line...))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]translog.Cosignature{{Witness: "witness.example.net", At: seen}}, got); diff != "" {
		t.Errorf("cosignatures (-want +got):\n%s", diff)
	}
}

func TestWitnessTimeIsThatOfTheLastCosignatureNeeded(t *testing.T) {
	log := logKey(t, origin, 1)
	signed := rawNote(t, emptyCheckpoint, log)
	a, b, c, stranger := witnessKey(t, "a", 1), witnessKey(t, "b", 2), witnessKey(t, "c", 3), witnessKey(t, "d", 4)
	cosigned := slices.Concat(signed,
		cosign(t, signed, c, seen+30), cosign(t, signed, stranger, seen), cosign(t, signed, a, seen+20), cosign(t, signed, b, seen+10))
	for quorum, want := range map[int]attest.Time{1: seen + 10, 2: seen + 20, 3: seen + 30} {
		at, by, err := witnesses(quorum, a, b, c).Time(cosigned)
		if err != nil || at != want || len(by) != quorum {
			t.Errorf("quorum %d: time %v by %v, %v", quorum, at, by, err)
		}
	}
	at, by, err := witnesses(2, a, stranger).Time(slices.Concat(signed, cosign(t, signed, a, seen), cosign(t, signed, c, seen)))
	if !errors.Is(err, translog.ErrNotWitnessed) || at != 0 || len(by) != 1 {
		t.Errorf("one of two: time %v by %v, %v", at, by, err)
	}
	if _, _, err := (translog.Witnesses{}).Time(cosigned); !errors.Is(err, translog.ErrNotWitnessed) {
		t.Errorf("nobody asked for: %v", err)
	}
	if _, err := translog.OpenCheckpoint(cosigned, log.VerifierKey); err != nil {
		t.Errorf("cosigned checkpoint under the log's key: %v", err)
	}
}

func TestOneWitnessCountsOnce(t *testing.T) {
	signed := rawNote(t, emptyCheckpoint, logKey(t, origin, 1))
	a, b := witnessKey(t, "a", 1), witnessKey(t, "b", 2)
	twice := slices.Concat(signed, cosign(t, signed, a, seen), cosign(t, signed, a, seen+1))
	if _, by, err := witnesses(2, a, b).Time(twice); !errors.Is(err, translog.ErrNotWitnessed) || len(by) != 1 {
		t.Errorf("one witness twice: %v, %v", by, err)
	}
	// The name is not signed, so another name for the same key must not count again.
	again := slices.Concat(signed, cosign(t, signed, a, seen), cosign(t, signed, witnessKey(t, "b", 1), seen))
	if _, _, err := witnesses(2, a, witnessKey(t, "b", 1)).Time(again); !errors.Is(err, attest.ErrMalformed) {
		t.Errorf("one key under two names: %v", err)
	}
}

func TestUnknownSignatureLinesAreSkipped(t *testing.T) {
	log, a := logKey(t, origin, 1), witnessKey(t, "a", 1)
	signed := rawNote(t, emptyCheckpoint, log)
	good := slices.Concat(signed,
		signatureLine("a", 0x01020304, make([]byte, 72)),                 // known name, unknown key
		signatureLine("mldsa", 0x99999999, make([]byte, 2428)),           // a type of the future
		signatureLine("a", logKey(t, "a", 1).ID(), make([]byte, 64)),     // the same key as type 0x01
		signatureLine("other.example", a.VerifierKey.ID(), []byte{1, 2}), // known id, other name
		cosign(t, signed, a, seen))
	got, err := witnesses(1, a).Cosignatures(good)
	if err != nil || len(got) != 1 {
		t.Errorf("cosignatures %v, %v", got, err)
	}
	if _, err := translog.OpenCheckpoint(good, log.VerifierKey); err != nil {
		t.Errorf("under the log's key: %v", err)
	}
	got, err = witnesses(0).Cosignatures(good)
	if err != nil || len(got) != 0 {
		t.Errorf("without witnesses: %v, %v", got, err)
	}
}

func TestCosignaturesAreRefused(t *testing.T) {
	a, b := witnessKey(t, "a", 1), witnessKey(t, "b", 2)
	signed := rawNote(t, emptyCheckpoint, logKey(t, origin, 1))
	other := rawNote(t, origin+"\n1\n"+strings.Repeat("A", 43)+"=\n", logKey(t, origin, 1))
	line := cosign(t, signed, a, seen)
	body := func(seconds uint64) []byte {
		message := fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, emptyCheckpoint)
		return append(binary.BigEndian.AppendUint64(nil, seconds),
			ed25519.Sign(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize)), message)...)
	}
	for what, note := range map[string][]byte{
		"of another checkpoint": append(bytes.Clone(signed), cosign(t, other, a, seen)...),
		"cut short":             append(bytes.Clone(signed), signatureLine("a", a.ID(), make([]byte, 71))...),
		"of a plain signature":  append(bytes.Clone(signed), signatureLine("a", a.ID(), body(uint64(seen))[8:])...),
		"of the year 10000":     append(bytes.Clone(signed), signatureLine("a", a.ID(), body(253402300800))...),
		"of time zero":          append(bytes.Clone(signed), signatureLine("a", a.ID(), body(0))...),
		"beside a good one":     slices.Concat(signed, cosign(t, signed, b, seen), signatureLine("a", a.ID(), make([]byte, 72))),
		"of bad base64":         append(bytes.Clone(signed), []byte("— a !!!!\n")...),
		"without dash":          append(bytes.Clone(signed), bytes.TrimPrefix(line, []byte("— "))...),
		"without end":           append(bytes.Clone(signed), line[:len(line)-1]...),
		"with a return":         append(bytes.Clone(signed), append(line[:len(line)-1:len(line)-1], "\r\n"...)...),
		"with 100 others":       append(bytes.Clone(signed), bytes.Repeat(signatureLine("x", 1, make([]byte, 72)), 101)...),
		"nothing":               nil,
		"no note":               []byte(emptyCheckpoint),
		"too long":              append(bytes.Clone(signed), bytes.Repeat(signatureLine("x", 1, make([]byte, 4<<10)), 16)...),
	} {
		if got, err := witnesses(1, a, b).Cosignatures(note); err == nil {
			t.Errorf("%s: %v", what, got)
		}
	}
	for what, key := range map[string]attest.SigningKey{"a voter's": logKey(t, "a", 1), "P-256": statementKey(t, 1), "none": {}} {
		if got, err := translog.Cosign(signed, key, seen); err == nil {
			t.Errorf("cosigned with key %s: %s", what, got)
		}
		if got, err := witnesses(1, key).Cosignatures(append(bytes.Clone(signed), line...)); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("witness with key %s: %v, %v", what, got, err)
		}
	}
	for _, quorum := range []int{-1, 3} {
		if _, _, err := witnesses(quorum, a, b).Time(signed); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("quorum %d of 2: %v", quorum, err)
		}
	}
	if err := witnesses(0, make([]attest.SigningKey, translog.MaxWitnesses+1)...).Check(); !errors.Is(err, attest.ErrMalformed) {
		t.Errorf("too many witnesses: %v", err)
	}
	if got, err := translog.Cosign([]byte(emptyCheckpoint), a, seen); err == nil {
		t.Errorf("cosigned what nobody signed: %s", got)
	}
}

func TestAnswersOfWitnesses(t *testing.T) {
	a, b := witnessKey(t, "a", 1), witnessKey(t, "b", 2)
	signed := rawNote(t, emptyCheckpoint, logKey(t, origin, 1))
	line := cosign(t, signed, a, seen)
	future := signatureLine("a", 7, make([]byte, 2428))
	for what, answer := range map[string][]byte{
		"one line": line, "among others": slices.Concat(future, cosign(t, signed, b, seen), line), "twice": slices.Concat(line, line),
	} {
		got, c, err := translog.FindCosignature(signed, answer, a.VerifierKey)
		if err != nil || !bytes.Equal(got, line) || c.At != seen {
			t.Errorf("%s: %q, %v, %v", what, got, c, err)
		}
	}
	for what, answer := range map[string][]byte{
		"nothing":              nil,
		"a page":               []byte("<html>\n"),
		"another witness only": cosign(t, signed, b, seen),
		"of another note":      cosign(t, rawNote(t, origin+"\n1\n"+strings.Repeat("A", 43)+"=\n", logKey(t, origin, 1)), a, seen),
		"text of its own":      append([]byte("x\n\n"), line...),
		"empty line first":     append([]byte("\n"), line...),
		"empty line last":      append(bytes.Clone(line), '\n'),
		"too long":             bytes.Repeat(line, translog.MaxCosignatures/len(line)+1),
	} {
		if got, _, err := translog.FindCosignature(signed, answer, a.VerifierKey); err == nil {
			t.Errorf("%s: %q", what, got)
		}
	}
}

func FuzzCosignaturesCountOnlyWhatTheWitnessSigned(f *testing.F) {
	a, b := witnessKey(f, "a", 1), witnessKey(f, "b", 2)
	signed := rawNote(f, emptyCheckpoint, logKey(f, origin, 1))
	lines := slices.Concat(cosign(f, signed, a, seen), cosign(f, signed, b, seen+1))
	f.Add(lines)
	f.Add(append([]byte("\n"), lines...))
	f.Fuzz(func(t *testing.T, answer []byte) {
		got, err := witnesses(2, a, b).Cosignatures(append(bytes.Clone(signed), answer...))
		if err != nil {
			return
		}
		for _, c := range got {
			key := a
			if c.Witness == "b" {
				key = b
			}
			line := cosign(t, signed, key, c.At)
			// Package note takes every spelling of the last four bits.
			if !bytes.Contains(answer, line[:len(line)-len("A==\n")]) {
				t.Errorf("%v counts in %q", c, answer)
			}
		}
		for _, key := range []attest.SigningKey{a, b} {
			line, c, err := translog.FindCosignature(signed, answer, key.VerifierKey)
			if err == nil && !bytes.Equal(line, cosign(t, signed, key, c.At)) {
				t.Errorf("%q found in %q", line, answer)
			}
		}
	})
}
