package evidence

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/openpgp"
)

// certificate is an OpenPGP certificate that may sign the suite's artifacts.
type certificate struct {
	*openpgp.Certificate

	used bool // by a signature
}

func (v *verifier) openCertificates() (string, error) {
	for i, raw := range v.bundle.Certificates {
		c, err := openpgp.ParseCertificate(raw)
		if err != nil {
			return "", err
		}
		if !bytes.Equal(c.Binary(), raw) {
			return "", malformed("certificate %s is armored", c.Fingerprint())
		}
		if i > 0 && v.certificates[i-1].Fingerprint() >= c.Fingerprint() {
			return "", malformed("certificate %s is out of order or there twice", c.Fingerprint())
		}
		if err := v.suite.MaySign(c.Fingerprint()); err != nil {
			return "", err
		}
		v.certificates = append(v.certificates, certificate{Certificate: c})
	}
	if len(v.certificates) == 0 {
		return "none", nil
	}
	return fmt.Sprintf("%d, for artifacts of suite %s", len(v.certificates), v.suite.Name), nil
}

// openSignatures checks what the signatures say. Whether they are over the
// file is for [Report.CheckFile], which has the file.
func (v *verifier) openSignatures() (string, error) {
	reused := 0
	if len(v.bundle.Signatures) == 0 && len(v.bundle.Certificates)+len(v.bundle.Earlier) == 0 {
		return "none: this evidence shows what was decided, and vouches for no file", nil
	}
	for _, s := range v.bundle.Signatures {
		opened, err := v.openSignature(s)
		if err != nil {
			return "", fmt.Errorf("over %.128q: %w", s.Artifact, err)
		}
		if opened.reused {
			reused++
		}
		v.report.signatures = append(v.report.signatures, opened)
	}
	for _, c := range v.certificates {
		if !c.used {
			return "", malformed("certificate %s signs nothing", c.Fingerprint())
		}
	}
	for _, d := range v.earlier {
		if !d.used {
			return "", malformed("earlier decision at entry %d is named by no signature", d.index)
		}
	}
	detail := fmt.Sprintf("%d name a decision in this evidence", len(v.bundle.Signatures))
	if reused > 0 {
		detail += fmt.Sprintf(", %d of them an earlier one about the same bytes", reused)
	}
	return detail, nil
}

func (v *verifier) openSignature(s Signature) (signature, error) {
	i := slices.IndexFunc(v.bundle.Artifacts, func(a attest.Artifact) bool { return a.Name == s.Artifact })
	if i < 0 {
		return signature{}, malformed("not an artifact of this release")
	}
	c := slices.IndexFunc(v.certificates, func(c certificate) bool { return c.Fingerprint() == s.Certificate })
	if c < 0 {
		return signature{}, malformed("certificate %.40q is not in the bundle", s.Certificate)
	}
	parsed, err := openpgp.ParseSignature(s.Signature)
	if err != nil {
		return signature{}, err
	}
	if parsed.IssuerFingerprint != s.Certificate {
		return signature{}, fmt.Errorf("%w: it is by %s, listed under %s", openpgp.ErrOtherKey, parsed.IssuerFingerprint, s.Certificate)
	}
	v.certificates[c].used = true
	opened := signature{Signature: s, certificate: v.certificates[c].Certificate}
	if v.own.explains(parsed, v.bundle.Artifacts[i]) {
		return opened, nil
	}
	for j := range v.earlier {
		if v.earlier[j].explains(parsed, v.bundle.Artifacts[i]) {
			v.earlier[j].used = true
			opened.reused = true
			return opened, nil
		}
	}
	return signature{}, fmt.Errorf("its time and notations name no decision in this bundle about the artifact; it says %v, created %v",
		parsed.Notations, attest.At(parsed.Created))
}

// explains reports whether a signature over a says exactly what this decision
// makes it say.
func (d *decided) explains(s *openpgp.Signature, a attest.Artifact) bool {
	return d.agreedOn(a) && attest.At(s.Created) == d.Decided &&
		slices.Equal(s.Notations, Notations(d.origin, d.digest, d.Ground, a.SHA512))
}
