package cmd_test

import (
	"slices"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/signer"
)

// another returns a certificate of the signer beside the suite's first.
func another(t *testing.T) (signer.Certificate, *countingKey) {
	t.Helper()
	device := &countingKey{private: evidencetest.Ed25519("openpgp another")}
	c, err := openpgp.Certify(openpgp.NewCertificate{
		UserID: "another <another@example.org>", Created: (attest.At(time.Now()) - 3600).Time(), Lifetime: 1000 * time.Hour,
	}, device.private)
	if err != nil {
		t.Fatal(err)
	}
	return signer.Certificate{Certificate: c, Key: device}, device
}

// wantSignedBy wants evidence of the release that verifies every file under
// exactly these certificates.
func (h *house) wantSignedBy(t *testing.T, release attest.Digest, b built, certificates ...string) {
	t.Helper()
	h.awaitState(t, release, coordinator.Signed)
	bundle := h.evidenceOf(t, release)
	if _, err := evidence.Verify(bundle, evidence.Trust{Policy: h.Envelope}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range bundle.Signatures {
		if s.Artifact == b.artifacts[0].Name {
			got = append(got, s.Certificate)
		}
	}
	slices.Sort(certificates)
	if !slices.Equal(got, certificates) {
		t.Errorf("signed by %v, want %v", got, certificates)
	}
}

func TestASuiteWithTwoCertificatesSignsOneReleaseAfterAnother(t *testing.T) {
	t.Parallel()
	second, device := another(t)
	h := newHouse(t, houseOptions{also: []signer.Certificate{second}, change: func(p *policy.Policy) {
		c := p.Suites[0].Certificates[0]
		c.Fingerprint = second.Certificate.Fingerprint()
		p.Suites[0].Certificates = append(p.Suites[0].Certificates, c)
		slices.SortFunc(p.Suites[0].Certificates, func(a, b policy.Certificate) int { return slices.Compare([]byte(a.Fingerprint), []byte(b.Fingerprint)) })
	}})
	releases, builds := h.several(t, 2)
	for i, release := range releases { // one after another: the first brings both certificates
		h.voteAll(t, release, builds[i])
		h.wantSignedBy(t, release, builds[i], h.Certificate.Fingerprint(), second.Certificate.Fingerprint())
	}
	if made, also := h.device.made.Load(), device.made.Load(); made != 4 || also != 4 {
		t.Errorf("the devices made %d and %d signatures, want 4 each", made, also)
	}
}

// The same bytes in two suites: each suite's certificate signs them, and no
// evidence shows the other's.
func TestTheSameBytesInTwoSuitesAreSignedByEachCertificate(t *testing.T) {
	t.Parallel()
	second, device := another(t)
	const other = "testing"
	h := newHouse(t, houseOptions{also: []signer.Certificate{second}, change: func(p *policy.Policy) {
		s := p.Suites[0]
		s.Name, s.Certificates = other, slices.Clone(s.Certificates)
		s.Certificates[0].Fingerprint = second.Certificate.Fingerprint()
		p.Suites = append(p.Suites, s)
		p.Publishers[0].Suites = append(p.Publishers[0].Suites, other)
	}})
	b := build(t, "1.0", "")
	for suite, certificate := range map[string]string{evidencetest.Suite: h.Certificate.Fingerprint(), other: second.Certificate.Fingerprint()} {
		q := h.request(t, "1.0", nil)
		r, err := attest.ParseRequest(q.Request.Payload)
		if err != nil {
			t.Fatal(err)
		}
		r.Suite = suite
		if q.Request, err = r.Seal(h.Publisher); err != nil {
			t.Fatal(err)
		}
		release := h.submit(t, q)
		h.voteAll(t, release, b)
		h.wantSignedBy(t, release, b, certificate)
	}
	if made, also := h.device.made.Load(), device.made.Load(); made != 2 || also != 2 {
		t.Errorf("the devices made %d and %d signatures, want 2 each", made, also)
	}
}
