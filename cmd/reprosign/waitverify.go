package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/internal/bus"
)

// verify gets the evidence and verifies it. Before a release is signed there is none.
func (f *follower) verify(ctx context.Context) (*evidence.Report, []byte, error) {
	if !bus.Reached(f.last.State, "signed") || f.trust.Policy == nil {
		return nil, nil, nil
	}
	reply, err := f.conn.Status(ctx, bus.StatusRequest{Release: f.last.Release, Evidence: true})
	if err != nil {
		return nil, nil, err
	}
	if len(reply.Evidence) == 0 {
		return nil, nil, unverified("the coordinator gives none for a release that it calls signed")
	}
	bundle, err := evidence.Parse(reply.Evidence)
	if err != nil {
		return nil, nil, &failure{code: exitUnverified, cause: err}
	}
	report, err := evidence.Verify(bundle, f.trust)
	if err != nil {
		return nil, nil, err
	}
	for _, check := range []error{signedAll(report, bundle), describes(report, f.last), f.target.covered(report, f.last)} {
		if check != nil {
			return nil, nil, check
		}
	}
	return report, reply.Evidence, nil
}

func unverified(format string, args ...any) error {
	return fmt.Errorf("%w: %w", evidence.ErrNotVerified, fmt.Errorf(format, args...))
}

// signedAll reports which artifact has no signature in the evidence.
func signedAll(r *evidence.Report, b *evidence.Bundle) error {
	for _, a := range r.Decision.Artifacts {
		if !slices.ContainsFunc(b.Signatures, func(s evidence.Signature) bool { return s.Artifact == a.Name }) {
			return unverified("it holds no signature over %q", a.Name)
		}
	}
	return nil
}

// describes reports where the coordinator says otherwise than the evidence:
// what is printed about a verified release is true.
func describes(r *evidence.Report, s *bus.ReleaseStatus) error {
	q := r.Request
	if r.Release != s.Release || r.Decision.Request != s.Request || q.Suite != s.Suite || q.Source != s.Source ||
		q.Version != s.Version || q.Architecture != s.Architecture || r.Policy.Digest != s.Policy {
		return unverified("the coordinator describes another release than its evidence, which is about %s %s %s in suite %s",
			q.Source, q.Version, q.Architecture, q.Suite)
	}
	if len(s.Artifacts) != len(r.Decision.Artifacts) {
		return unverified("the coordinator lists %d artifacts, decided were %d", len(s.Artifacts), len(r.Decision.Artifacts))
	}
	for _, a := range s.Artifacts {
		if err := r.Covers(a.Artifact); err != nil {
			return err
		}
	}
	return nil
}

// covered reports why verified evidence is not about the target.
func (t target) covered(r *evidence.Report, s *bus.ReleaseStatus) error {
	switch {
	case t.file != "":
		f, err := openRegular(t.file)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = r.CheckFile(filepath.Base(t.file), f)
		return err
	case !t.request.IsZero() && r.Decision.Request != t.request:
		return unverified("it is about another request than the one submitted")
	case t.isArtifactOf(r) || t.isRelease(s):
		return nil
	}
	// The named release expired, and the coordinator says that this is the next
	// attempt at its request. The result tells: see waitResult.caveats.
	if s.Attempt < 2 {
		return unverified("it is about another release")
	}
	return nil
}

func (t target) isRelease(s *bus.ReleaseStatus) bool { return s.Release == t.digest }

func (t target) isArtifactOf(r *evidence.Report) bool {
	return slices.ContainsFunc(r.Decision.Artifacts, func(a attest.Agreed) bool { return a.SHA256 == t.digest })
}
