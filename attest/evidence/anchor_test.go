package evidence_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/translog"
)

const otherLog = "rekor.example.org"

// anchored has another log hold a release's decision and returns the anchor.
func anchored(t *testing.T, r *evidencetest.Release, log *evidencetest.Log) []byte {
	t.Helper()
	log.Add(t, translog.Entry{Leaf: []byte("of others")})
	index := log.Append(t, r.Decision, r.World.Signer.VerifierKey)
	s, err := evidence.NewSigstore(r.Decision, r.World.Signer.VerifierKey, log.Key.VerifierKey, log.Prove(t, index))
	if err != nil {
		t.Fatal(err)
	}
	data, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestAnAnchorIsOfTheVerifiedDecisionAndUnderTheOtherLogsKey(t *testing.T) {
	w := evidencetest.New(t, evidencetest.Options{})
	first, second := w.Release(t, 1), w.Release(t, 2)
	log := &evidencetest.Log{Key: evidencetest.Ed25519Key(t, "log", otherLog)}
	anchor, other := anchored(t, first, log), anchored(t, second, log)
	report, err := evidence.Verify(first.Bundle(t), evidence.Trust{Policy: w.Envelope})
	if err != nil {
		t.Fatal(err)
	}
	got, err := report.CheckAnchor(anchor, log.Key.VerifierKey)
	if want := (evidence.Anchored{Log: otherLog, Index: 1, TreeSize: 2}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for name, test := range map[string]struct {
		data []byte
		key  attest.VerifierKey
	}{
		"another decision":     {other, log.Key.VerifierKey},
		"foreign key":          {anchor, evidencetest.Ed25519Key(t, "thief", otherLog).VerifierKey},
		"our own log":          {anchor, w.Log.Key.VerifierKey},
		"nothing":              {nil, log.Key.VerifierKey},
		"no decision":          {[]byte(`{"dsseEnvelope":null}`), log.Key.VerifierKey},
		"another index":        {bytes.ReplaceAll(anchor, []byte(`"logIndex":"1"`), []byte(`"logIndex":"0"`)), log.Key.VerifierKey},
		"two indexes":          {bytes.Replace(anchor, []byte(`"logIndex":"1"`), []byte(`"logIndex":"0"`), 1), log.Key.VerifierKey},
		"something behind it":  {append(bytes.Clone(anchor), ' '), log.Key.VerifierKey},
		"the evidence instead": {encoded(t, first), log.Key.VerifierKey},
	} {
		if got, err := report.CheckAnchor(test.data, test.key); !errors.Is(err, evidence.ErrNotVerified) {
			t.Errorf("%s: got %+v, %v; want ErrNotVerified", name, got, err)
		}
	}
}

func encoded(t *testing.T, r *evidencetest.Release) []byte {
	t.Helper()
	data, err := r.Bundle(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}
