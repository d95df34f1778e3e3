package signer

import (
	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
)

// mayDecide refuses decisions under any other policy than the newest: who may
// vote or request is what the admins say now. And a release is decided once.
func (r *release) mayDecide(own attest.SigningKey) error {
	newest := r.log.newest
	if newest.Digest != r.version.Digest {
		return refusal(bus.KindDenied, "policy %d is superseded by policy %d; open the release again", r.version.Serial, newest.Serial)
	}
	if key, err := newest.SignerKey(own.Name()); err != nil || key.Fingerprint() != own.Fingerprint() {
		return refusal(bus.KindUnavailable, "statement key %q of this signer is not in policy %d", own.Name(), newest.Serial)
	}
	if d := r.log.Decision; d != nil {
		return refusal(bus.KindDenied, "release %s is decided already, at log entry %d", r.id.Short(), d.Index)
	}
	return nil
}

// maySign refuses signatures that the newest policy no longer allows. A
// decision made lawfully under an older policy stays good as long as its
// statement key, its log and its certificate are still trusted: otherwise a
// harmless new policy would strand every release between decision and signature.
func (r *release) maySign(d attest.Decision, certificate string) error {
	under, newest := r.version, r.log.newest
	then, err := under.SignerKey(d.Signer)
	if err != nil {
		return err
	}
	now, err := newest.SignerKey(d.Signer)
	if err != nil || now.Fingerprint() != then.Fingerprint() {
		return refusal(bus.KindDenied, "statement key of %q is not trusted any more by policy %d", d.Signer, newest.Serial)
	}
	if newest.Log.Key.Fingerprint() != under.Log.Key.Fingerprint() {
		return refusal(bus.KindDenied, "log of policy %d is not the log of policy %d", under.Serial, newest.Serial)
	}
	for _, v := range []*policy.Version{under, newest} {
		rules, err := v.Suite(r.suite.Name)
		if err != nil {
			return refusal(bus.KindDenied, "policy %d: %w", v.Serial, err)
		}
		if err := rules.MaySign(certificate); err != nil {
			return refusal(bus.KindDenied, "policy %d: %w", v.Serial, err)
		}
	}
	return nil
}
