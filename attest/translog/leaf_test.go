package translog_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

func TestLeafIsPinnedToTheByte(t *testing.T) {
	want, err := os.ReadFile("testdata/opening.leaf")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := translog.Leaf(statement(t, 3), statementKey(t, 1).VerifierKey)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSuffix(string(want), "\n"), string(leaf)); diff != "" {
		t.Errorf("leaf drifted (-pinned +made):\n%s", diff)
	}
}

func TestLeafClaimsNothingThatWasNeverSigned(t *testing.T) {
	e := statement(t, 3)
	twice := *e
	twice.Signatures = append(twice.Signatures, twice.Signatures[0])
	changed := *e
	changed.Payload = bytes.Replace(e.Payload, []byte(`"attempt":1`), []byte(`"attempt":2`), 1)
	ed := logKey(t, "opener", 7)
	byEd, err := attest.Seal(attest.StatementType, e.Payload, ed)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		e    *attest.Envelope
		key  attest.VerifierKey
		want error
	}{
		{"other key", e, statementKey(t, 2).VerifierKey, attest.ErrBadSignature},
		{"changed payload", &changed, statementKey(t, 1).VerifierKey, attest.ErrBadSignature},
		{"two signatures", &twice, statementKey(t, 1).VerifierKey, attest.ErrSignatureCount},
		{"Ed25519", byEd, ed.VerifierKey, nil},
		{"no key", e, attest.VerifierKey{}, nil},
	} {
		if _, err := translog.Leaf(c.e, c.key); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
}

func TestBodyDigestIsOverTheSignedBytesAndNotThePayload(t *testing.T) {
	e := statement(t, 3)
	if got := translog.BodyDigest(e); got != attest.SHA256(e.PAE()) || got == e.Digest() {
		t.Errorf("body digest %v", got)
	}
}

func TestEntryBundleReadsBackAsItsLeaves(t *testing.T) {
	leaves := [][]byte{[]byte("a"), bytes.Repeat([]byte("b"), translog.MaxLeaf), []byte("ccc")}
	var bundle []byte
	var err error
	for _, leaf := range leaves {
		if bundle, err = translog.AppendEntry(bundle, leaf); err != nil {
			t.Fatal(err)
		}
	}
	got, err := translog.ParseEntries(bundle)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(leaves, got); diff != "" {
		t.Errorf("entries (-put +got):\n%s", diff)
	}
}

func TestEntryBundleRefusesWhatTilesCannotHold(t *testing.T) {
	for _, leaf := range [][]byte{nil, make([]byte, translog.MaxLeaf+1)} {
		if _, err := translog.AppendEntry(nil, leaf); err == nil {
			t.Errorf("leaf of %d bytes appended", len(leaf))
		}
	}
	for _, bundle := range [][]byte{
		nil,
		{0},
		{0, 0},
		{0, 2, 'a'},
		{0, 1, 'a', 0},
		bytes.Repeat([]byte{0, 1, 'a'}, translog.TileWidth+1),
	} {
		if _, err := translog.ParseEntries(bundle); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("bundle of %d bytes: %v", len(bundle), err)
		}
	}
}

func FuzzEntriesParseEncodeIsIdentityOrRefused(f *testing.F) {
	f.Add([]byte{0, 1, 'a', 0, 2, 'b', 'b'})
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		leaves, err := translog.ParseEntries(data)
		if err != nil {
			return
		}
		var again []byte
		for _, leaf := range leaves {
			if again, err = translog.AppendEntry(again, leaf); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(again, data) {
			t.Errorf("%x reads back as %x", data, again)
		}
	})
}
