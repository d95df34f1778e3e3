package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/translog"
)

func (a *app) evidenceCommand() *cobra.Command {
	return group("evidence", "Look into evidence bundles", a.evidenceShowCommand(), a.evidenceExtractCommand(), a.evidenceAnchorCommand(), a.evidenceComplaintCommand())
}

func (a *app) evidenceShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show BUNDLE",
		Short: "Say what a bundle holds",
		Long: `Say what an evidence bundle holds. With --trust it is verified, all but the files; without, it is what
the bundle says of itself.`,
		Example: `  reprosign evidence show hello.evidence.json --trust policy.json`,
		Args:    cobra.ExactArgs(1),
		RunE: a.do(func(_ context.Context, args []string) error {
			b, err := readBundle(args[0])
			if err != nil {
				return err
			}
			report, err := a.verifyIfTrusted(b)
			if err != nil {
				return err
			}
			if err := a.printBundle(b, report); err != nil {
				return err
			}
			if report != nil {
				if report.Unsigned() {
					a.print("the decision follows from its votes; nothing is signed, and no file verifies against it")
				} else {
					a.print("%s; reprosign verify checks a file against it", verdict(report.Unwitnessed))
				}
				for _, c := range report.Caveats() {
					a.printStep("note", c)
				}
			}
			return nil
		}),
	}
	a.takes(cmd, "trust")
	return cmd
}

// verifyIfTrusted verifies a bundle if there is a trust file. Without, it
// warns, and the report is nil.
func (a *app) verifyIfTrusted(b *evidence.Bundle) (*evidence.Report, error) {
	if a.settings.Trust == "" {
		a.warn("nothing was verified; with --trust FILE it would be")
		return nil, nil //nolint:nilnil // nothing to report
	}
	trust, err := a.trust()
	if err != nil {
		return nil, err
	}
	return evidence.Verify(b, trust)
}

// printBundle prints what the statements in a bundle say, and who witnessed
// the decision if that was verified.
func (a *app) printBundle(b *evidence.Bundle, report *evidence.Report) error {
	q, err := attest.ParseRequest(b.Request.Payload)
	if err != nil {
		return unreadable(err)
	}
	o, err := attest.ParseOpening(b.Opening.Payload)
	if err != nil {
		return unreadable(err)
	}
	if b.Decision.Envelope == nil {
		return unreadable(errors.New("the decision is missing"))
	}
	d, err := attest.ParseDecision(b.Decision.Envelope.Payload)
	if err != nil {
		return unreadable(err)
	}
	a.print("%s %s %s (%s), asked for by %s", q.Source, q.Version, q.Architecture, q.Suite, q.Publisher)
	a.print("  release   %v, attempt %d", b.Opening.Digest(), o.Attempt)
	a.print("  opened    %v by %s, under policy %d", o.Opened, o.Coordinator, o.PolicySerial)
	a.print("  decided   %v by %s: %s, %d of %d operators", d.Decided, d.Signer, d.Ground, d.Threshold, d.Operators)
	if report != nil && len(report.Witnesses) > 0 {
		a.print("  witnessed %v by %s", report.Seen.Decision, cosigners(report.Witnesses))
	}
	for _, e := range b.Votes {
		r, err := attest.ParseRebuild(e.Payload)
		if err != nil {
			return unreadable(err)
		}
		a.print("  %-12s %s, isolation %s, finished %v", r.Outcome, r.Rebuilder, r.Isolation, r.Finished)
	}
	for _, f := range b.Artifacts {
		a.print("  %v  %s, %s, %d bytes", f.SHA256, f.Name, f.Kind, f.Size)
	}
	for _, s := range b.Signatures {
		a.print("  signature over %s by %s", s.Artifact, s.Certificate)
	}
	return nil
}

func cosigners(by []translog.Cosignature) string {
	names := make([]string, len(by))
	for i, c := range by {
		names[i] = c.Witness
	}
	return strings.Join(names, ", ")
}

// unreadable marks evidence that is well-formed as a bundle and holds nonsense.
func unreadable(err error) error {
	return &failure{code: exitUnverified, cause: fmt.Errorf("evidence bundle: %w", err)}
}
