package attest_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/keytable"
)

// sealedBy returns a rebuild statement of the rebuilder whose key it is.
func sealedBy(tb testing.TB, key attest.SigningKey) *attest.Envelope {
	tb.Helper()
	r := rebuild()
	r.Rebuilder = key.Name()
	e, err := r.Seal(key)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// Of keys with a table, with none yet and of another algorithm, and of none.
func TestStatementsOpenedTogetherAreOpenedEachByItself(t *testing.T) {
	t.Parallel()
	var tables keytable.Tables
	parties := map[string]attest.VerifierKey{}
	signers := []attest.SigningKey{edKey(t, "alpha", 1), edKey(t, "beta", 2), edKey(t, "gamma", 3), p256Key(t, "delta", 4)}
	for _, key := range signers {
		parties[key.Name()] = key.WithTables(&tables)
	}
	parties["gamma"] = signers[2].VerifierKey
	parties["epsilon"] = parties["alpha"]
	known := func(name string) (attest.VerifierKey, error) {
		if key, ok := parties[name]; ok {
			return key, nil
		}
		return attest.VerifierKey{}, fmt.Errorf("nobody knows %s", name)
	}
	var good []*attest.Envelope
	for _, key := range signers {
		good = append(good, sealedBy(t, key))
	}
	for range 200 { // until there are tables
		if _, errs := attest.OpenRebuilds([]*attest.Envelope{good[0], good[3]}, known); errors.Join(errs...) != nil {
			t.Fatal(errs)
		}
	}

	changed := func(e *attest.Envelope, change func(e *attest.Envelope)) *attest.Envelope {
		c := attest.Envelope{Payload: bytes.Clone(e.Payload), PayloadType: e.PayloadType}
		for _, s := range e.Signatures {
			c.Signatures = append(c.Signatures, attest.Signature{Sig: bytes.Clone(s.Sig)})
		}
		change(&c)
		return &c
	}
	bad := []*attest.Envelope{nil, {}, sealedBy(t, edKey(t, "zeta", 5)), sealedBy(t, edKey(t, "epsilon", 1)), sealedBy(t, edKey(t, "alpha", 6))}
	stranger := bad[2].Signatures[0].Sig
	for _, e := range good {
		bad = append(bad,
			changed(e, func(e *attest.Envelope) { e.Payload = bytes.Replace(e.Payload, []byte("6.1.0"), []byte("6.1.1"), 1) }),
			changed(e, func(e *attest.Envelope) { e.Payload = e.Payload[1:] }),
			changed(e, func(e *attest.Envelope) { e.PayloadType = attest.PolicyType }),
			changed(e, func(e *attest.Envelope) { e.Signatures = nil }),
			changed(e, func(e *attest.Envelope) { e.Signatures = append(e.Signatures, e.Signatures[0]) }),
			changed(e, func(e *attest.Envelope) { e.Signatures[0].Sig[40] ^= 1 }),
			changed(e, func(e *attest.Envelope) { e.Signatures[0].Sig = e.Signatures[0].Sig[:63] }),
			changed(e, func(e *attest.Envelope) { e.Signatures[0].Sig = stranger }),
		)
	}

	open := func(envelopes ...*attest.Envelope) {
		t.Helper()
		rebuilds, errs := attest.OpenRebuilds(envelopes, known)
		if len(rebuilds) != len(envelopes) || len(errs) != len(envelopes) {
			t.Fatalf("%d statements and %d errors of %d envelopes", len(rebuilds), len(errs), len(envelopes))
		}
		for i, e := range envelopes {
			want, err := attest.OpenRebuild(e, known)
			if diff := cmp.Diff(want, rebuilds[i]); diff != "" || fmt.Sprint(errs[i]) != fmt.Sprint(err) {
				t.Errorf("envelope %d of %d: got %v, want %v; statement (-alone +together):\n%s", i, len(envelopes), errs[i], err, diff)
			}
		}
	}
	open()
	open(good...)
	open(bad...)
	for _, b := range bad {
		if _, err := attest.OpenRebuild(b, known); err == nil {
			t.Errorf("%+v is good", b)
		}
		open(b)
		for at := range good {
			group := append([]*attest.Envelope{}, good...)
			group[at] = b
			open(group...)
			open(append(group, good[0], good[0])...)
		}
	}
}
