package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
)

func (a *app) evidenceComplaintCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "complaint COMPLAINT BUNDLE --trust POLICY",
		Short: "Judge a rebuilder's complaint about a decision",
		Long: `Judge a rebuilder's complaint that a decision leaves out a statement of its, although the coordinator had
signed that it is counted. The complaint is a file as an agent keeps it in its spool, with receipt and
statement; the bundle is the release's evidence, and is verified first, all but the files. It may be that of
a decision which the log's witnesses saw too late, as long as nothing is signed on it.

A justified complaint shows that a counted statement was missing where the decision was made. It does
not show whose fault that was, nor that the decision would have been another one.`,
		Example: `  reprosign evidence complaint complaint.json hello.evidence.json --trust policy.json`,
		Args:    cobra.ExactArgs(2),
		RunE: a.do(func(_ context.Context, args []string) error {
			trust, err := a.trust()
			if err != nil {
				return err
			}
			b, err := readBundle(args[1])
			if err != nil {
				return err
			}
			report, err := evidence.Reevaluate(b, trust)
			if err != nil {
				return err
			}
			q, err := readComplaint(args[0])
			if err != nil {
				return err
			}
			c, err := policy.Dispute{
				Policy: report.Policy, Opening: b.Opening, Request: b.Request, Decision: b.Decision.Envelope,
				Complaint: q.Complaint, Receipt: q.Receipt, Statement: q.Statement, Listed: b.Votes,
			}.Judge()
			if err != nil {
				return &failure{code: exitUnverified, cause: fmt.Errorf("%s: %w", args[0], err)}
			}
			return a.printComplaint(c, q.Statement, report)
		}),
	}
	a.takes(cmd, "trust")
	return cmd
}

// printComplaint prints what a justified complaint is about, and what the
// decision does not say for lack of the statement.
func (a *app) printComplaint(c attest.Complaint, statement *attest.Envelope, report *evidence.Report) error {
	s, err := attest.ParseRebuild(statement.Payload)
	if err != nil {
		return err
	}
	if report.TooLate != nil {
		a.printStep("note", "nothing may be signed on this decision: "+report.TooLate.Error())
	}
	a.print("justified: the decision on release %s leaves out a statement of %s that was counted", c.Release.Short(), c.Rebuilder)
	switch {
	case s.Outcome != attest.Built:
		a.print("  it reports %s", s.Outcome)
	case s.Set == report.Decision.Set:
		a.print("  it is a vote for the decided files")
	default:
		a.print("  it is a vote for OTHER files than the decided ones: dissent was hidden")
	}
	return nil
}

func readComplaint(path string) (bus.ComplainRequest, error) {
	data, err := readFile(path, bus.MaxRequest+1)
	if err != nil {
		return bus.ComplainRequest{}, err
	}
	q, err := bus.DecodeComplaint(bytes.TrimSuffix(data, []byte("\n")))
	if err != nil {
		return q, &failure{code: exitUnverified, cause: fmt.Errorf("%s: %w", path, err)}
	}
	return q, nil
}
