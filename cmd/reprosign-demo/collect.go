package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
)

// collect gathers what a verifier needs, verifies it, and notes it.
func (d *demo) collect(ctx context.Context, r *release, status *bus.ReleaseStatus, entry *releaseSummary) error {
	_, err := d.reprosign(ctx, append(d.publisherArgs("wait"), r.id.String(), "--trust", d.policyPath(),
		"--timeout", "1m", "--evidence", d.place.result(evidenceDir))...)
	if err != nil {
		return err
	}
	entry.Evidence = filepath.Join(evidenceDir, r.name+".evidence.json")
	r.evidence = d.place.result(entry.Evidence)
	if err := os.Rename(d.place.result(evidenceDir, r.id.String()+".evidence.json"), r.evidence); err != nil {
		return err
	}
	parts := d.place.party(publisherName, r.name)
	if _, err := d.reprosign(ctx, "evidence", "extract", r.evidence, "--dir", parts, "--trust", d.policyPath()); err != nil {
		return err
	}
	for _, a := range status.Artifacts {
		kept := artifactSummary{
			File: filepath.Join(artifactsDir, a.Name), SHA256: a.SHA256.String(), Signature: filepath.Join(signaturesDir, a.Name+".sig"),
		}
		for from, to := range map[string]string{
			d.fileOf(r, status, a.Name):         kept.File,
			filepath.Join(parts, a.Name+".sig"): kept.Signature,
		} {
			if err := copyFile(from, d.place.result(to)); err != nil {
				return fmt.Errorf("keeping %s: %w", to, err)
			}
		}
		entry.Artifacts = append(entry.Artifacts, kept)
		d.verify(ctx, r, kept)
	}
	return nil
}

// fileOf is where the signed bytes are: the archive's own file if there is a
// claim, else what an agreeing rebuilder built.
func (d *demo) fileOf(r *release, status *bus.ReleaseStatus, name string) string {
	if r.claim != "" {
		return r.claim
	}
	for _, v := range status.Votes {
		if v.View == string(policy.ViewAgrees) {
			return filepath.Join(d.spool(v.Rebuilder), r.id.String(), "out", name)
		}
	}
	return ""
}

// verify checks a signed file with stock gpg and with reprosign verify.
func (d *demo) verify(ctx context.Context, r *release, a artifactSummary) {
	file, signature := d.place.result(a.File), d.place.result(a.Signature)
	err := d.gpg(ctx, signature, file)
	d.expect(err == nil, "gpg --verify of %s: %v", a.File, err)
	out, stderr, verr := d.try(ctx, "verify", file, r.evidence, "--trust", d.policyPath())
	d.expect(verr == nil, "reprosign verify of %s: %s", a.File, lastLine(stderr))
	if err == nil && verr == nil {
		whose := ""
		if r.claim != "" {
			whose = ", on the very file that Debian published"
		}
		d.screen.good("verifier", "gpg --verify and reprosign verify pass on %s%s", filepath.Base(a.File), whose)
		d.screen.event("verifier", "%s", lastLine(out))
	}
}

// errBadSignature is gpg's own verdict.
var errBadSignature = errors.New("BAD signature")

// gpg verifies a detached signature with nothing but the published certificates.
// It reads the status lines: the exit status alone would let revoked keys pass.
func (d *demo) gpg(ctx context.Context, signature, file string) error {
	home := d.place.party("verifier")
	if _, err := os.Stat(home); err != nil {
		if _, err := d.place.directory(privateDir, "verifier"); err != nil {
			return err
		}
		if _, err := output(ctx, "/", "gpg", "--homedir", home, "--no-autostart", "--batch", "--quiet", "--import", d.place.result(certificateFile)); err != nil {
			return err
		}
	}
	status := d.place.party("verifier", "status")
	_, err := output(ctx, "/", "gpg", "--homedir", home, "--no-autostart", "--batch", "--yes", "--status-file", status, "--verify", signature, file)
	said, readErr := os.ReadFile(status)
	switch {
	case readErr != nil:
		return errors.Join(err, readErr)
	case strings.Contains(string(said), "[GNUPG:] BADSIG "):
		return errBadSignature
	case err != nil:
		return err
	case !strings.Contains(string(said), "[GNUPG:] GOODSIG ") || !strings.Contains(string(said), "[GNUPG:] VALIDSIG "):
		return fmt.Errorf("gpg reports no good signature: %s", lastLine(string(said)))
	}
	return nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
