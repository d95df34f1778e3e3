package translog_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

// rawSigner signs any text at all with the log's key.
type rawSigner struct{ attest.SigningKey }

func (s rawSigner) KeyHash() uint32 { return s.ID() }

func rawNote(tb testing.TB, text string, keys ...attest.SigningKey) []byte {
	tb.Helper()
	var signers []note.Signer
	for _, k := range keys {
		signers = append(signers, rawSigner{k})
	}
	signed, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		tb.Fatal(err)
	}
	return signed
}

const emptyCheckpoint = origin + "\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"

func TestCheckpointIsPinnedToTheByte(t *testing.T) {
	key := logKey(t, origin, 1)
	root, err := tlog.TreeHash(0, &tree{})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := translog.Checkpoint{Origin: origin, Root: root}.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	const want = emptyCheckpoint + "\n— log.example.org s9S6OY50SRfozzKNOIsGoNNaSKzYJNHnbmSPyVVstBr03Z3dLnz7Acl2J6JfqHaTYqAUW57DjwrHIQwJgtvdVWy46A4=\n"
	if diff := cmp.Diff(want, string(signed)); diff != "" {
		t.Errorf("checkpoint drifted (-pinned +made):\n%s", diff)
	}
	// Another reader of the format: it derives key id and form by itself.
	v, err := note.NewVerifier(key.VerifierKey.String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open(signed, note.VerifierList(v)); err != nil {
		t.Errorf("package note refuses the checkpoint: %v", err)
	}
}

func TestCheckpointReadsBack(t *testing.T) {
	key := logKey(t, origin, 1)
	want := translog.Checkpoint{Origin: origin, Size: 70000, Root: tlog.Hash{9}}
	signed, err := want.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := translog.OpenCheckpoint(signed, key.VerifierKey)
	if err != nil || got != want {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestCheckpointSkipsLinesOfUnknownKeys(t *testing.T) {
	key, witness, namesake := logKey(t, origin, 1), logKey(t, "witness.example.net", 2), logKey(t, origin, 3)
	signed := rawNote(t, emptyCheckpoint, witness, namesake, key)
	if _, err := translog.OpenCheckpoint(signed, key.VerifierKey); err != nil {
		t.Errorf("cosigned checkpoint: %v", err)
	}
	if _, err := translog.OpenCheckpoint(rawNote(t, emptyCheckpoint, witness, namesake), key.VerifierKey); !errors.Is(err, attest.ErrBadSignature) {
		t.Errorf("checkpoint without the log's signature: %v", err)
	}
}

func TestCheckpointRefusesOtherBytes(t *testing.T) {
	key := logKey(t, origin, 1)
	const root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
	for name, text := range map[string]string{
		"extension line":         emptyCheckpoint + "extra\n",
		"no root":                origin + "\n0\n",
		"leading zero":           origin + "\n01\n" + root + "\n",
		"sign":                   origin + "\n+1\n" + root + "\n",
		"negative":               origin + "\n-1\n" + root + "\n",
		"size beyond JSON":       origin + "\n9007199254740992\n" + root + "\n",
		"size beyond int64":      origin + "\n9223372036854775808\n" + root + "\n",
		"empty with other root":  origin + "\n0\n" + strings.Repeat("A", 43) + "=\n",
		"short root":             origin + "\n1\nAAAA\n",
		"loose base64":           origin + "\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=\n",
		"other origin":           "log.example.com\n1\n" + root + "\n",
		"origin with a path":     origin + "/x\n1\n" + root + "\n",
		"empty line in the text": origin + "\n\n1\n" + root + "\n",
	} {
		if c, err := translog.OpenCheckpoint(rawNote(t, text, key), key.VerifierKey); err == nil {
			t.Errorf("%s: accepted as %v", name, c)
		}
	}
	good := rawNote(t, emptyCheckpoint, key)
	for name, signed := range map[string][]byte{
		"empty":             nil,
		"no signature":      []byte(emptyCheckpoint),
		"cut off":           good[:len(good)-1],
		"text changed":      bytes.Replace(good, []byte("\n0\n"), []byte("\n1\n"), 1),
		"control character": append([]byte("\x07"), good...),
		"too long":          append(bytes.Repeat([]byte("x"), translog.MaxCheckpoint), good...),
	} {
		if c, err := translog.OpenCheckpoint(signed, key.VerifierKey); err == nil {
			t.Errorf("%s: accepted as %v", name, c)
		}
	}
	if _, err := translog.OpenCheckpoint(good, statementKey(t, 1).VerifierKey); err == nil {
		t.Error("accepted under a P-256 key")
	}
}

func TestCheckpointIsSignedOnlyByTheKeyOfItsOrigin(t *testing.T) {
	c := translog.Checkpoint{Origin: origin, Size: 1}
	for name, key := range map[string]attest.SigningKey{
		"other name": logKey(t, "log.example.com", 1), "P-256": statementKey(t, 1), "no key": {},
	} {
		if _, err := c.Sign(key); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	for _, size := range []int64{-1, translog.MaxTreeSize + 1, math.MaxInt64} {
		if _, err := (translog.Checkpoint{Origin: origin, Size: size}).Sign(logKey(t, origin, 1)); err == nil {
			t.Errorf("size %d: signed", size)
		}
	}
}

func TestOriginIsABareHostName(t *testing.T) {
	for _, s := range []string{"log.example.org", "localhost", "a-b.c0.example"} {
		if err := translog.CheckOrigin(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{
		"", "Log.example.org", "log.example.org/x", "log.example.org:443", "https://log.example.org", "log example",
		"log.example.org - 1", "-a.example", "a-.example", ".example", "example.", "a..b", "log+1", "lög.example",
		strings.Repeat("a", 64), strings.Repeat("a.", 127),
	} {
		if err := translog.CheckOrigin(s); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestLogIDStartsWithTheKeyID(t *testing.T) {
	key := logKey(t, origin, 1)
	id, err := translog.LogID(key.VerifierKey)
	if err != nil {
		t.Fatal(err)
	}
	if got := uint32(id[0])<<24 | uint32(id[1])<<16 | uint32(id[2])<<8 | uint32(id[3]); got != key.ID() {
		t.Errorf("log id starts with %08x, key id is %08x", got, key.ID())
	}
	if _, err := translog.LogID(statementKey(t, 1).VerifierKey); err == nil {
		t.Error("log id of a P-256 key")
	}
}

func FuzzCheckpointTextReadsBackOrIsRefused(f *testing.F) {
	key := logKey(f, origin, 1)
	f.Add(emptyCheckpoint)
	f.Add(origin + "\n12\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nextension\n")
	f.Fuzz(func(t *testing.T, text string) {
		signed, err := note.Sign(&note.Note{Text: text}, rawSigner{key})
		if err != nil {
			return
		}
		c, err := translog.OpenCheckpoint(signed, key.VerifierKey)
		if err != nil {
			return
		}
		again, err := c.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again, signed) {
			t.Errorf("%q reads back as %q", signed, again)
		}
	})
}

func TestCheckpointsOfOtherLogsAreOpenedForTheirWitnesses(t *testing.T) {
	const foreign = "log.example.com/2026/a"
	key, next, stranger := logKey(t, foreign, 1), logKey(t, foreign, 2), logKey(t, "other", 3)
	const root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
	keys := []attest.VerifierKey{key.VerifierKey, next.VerifierKey}
	for what, text := range map[string]string{
		"three lines": foreign + "\n12\n" + root + "\n", "extension": foreign + "\n12\n" + root + "\nsome\nmore\n",
	} {
		for _, by := range []attest.SigningKey{key, next} {
			signed := rawNote(t, text, stranger, by)
			got, err := translog.OpenForeign(signed, translog.Origin(signed), keys...)
			if err != nil || got.Origin != foreign || got.Size != 12 || got.Root.String() != root {
				t.Errorf("%s: %v, %v", what, got, err)
			}
		}
	}
	for what, text := range map[string]string{
		"no root":         foreign + "\n12\n",
		"empty extension": foreign + "\n12\n" + root + "\n\nx\n",
		"empty line":      foreign + "\n\n12\n" + root + "\n",
		"leading zero":    foreign + "\n012\n" + root + "\n",
		"sign":            foreign + "\n+12\n" + root + "\n",
		"negative":        foreign + "\n-1\n" + root + "\n",
		"beyond any log":  foreign + "\n9007199254740992\n" + root + "\n",
		"loose base64":    foreign + "\n12\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=\n",
		"other origin":    "log.example.com\n12\n" + root + "\n",
	} {
		if got, err := translog.OpenForeign(rawNote(t, text, key), foreign, keys...); err == nil {
			t.Errorf("%s: accepted as %v", what, got)
		}
	}
	good := rawNote(t, foreign+"\n12\n"+root+"\n", key)
	for what, signed := range map[string][]byte{
		"stranger's alone": rawNote(t, foreign+"\n12\n"+root+"\n", stranger),
		"text changed":     bytes.Replace(good, []byte("\n12\n"), []byte("\n13\n"), 1),
		"one key badly":    append(bytes.Clone(good), signatureLine(foreign, next.ID(), make([]byte, 64))...),
	} {
		if got, err := translog.OpenForeign(signed, foreign, keys...); !errors.Is(err, attest.ErrBadSignature) {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
}
