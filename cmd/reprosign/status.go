package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) statusCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status RELEASE|SHA256|FILE",
		Short: "Show how a release stands",
		Long: `Show how a release stands: what each rebuilder made of it, and why it is not signed yet. An artifact
is found by its digest, or by the file itself, once its release is decided.

This is what the coordinator says. reprosign wait verifies the evidence, and so does reprosign verify.`,
		Example: `  reprosign status 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
  reprosign status hello_2.10-3_amd64.deb -o json`,
		Args: cobra.ExactArgs(1),
		RunE: a.do(func(ctx context.Context, args []string) error {
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			t, err := parseTarget(args[0])
			if err != nil {
				return err
			}
			conn, err := a.connect(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			r, err := t.lookUp(ctx, conn)
			if errors.Is(err, errUnknown) {
				return hinted(err, "by its artifacts a release is found only once it is decided; its id is what submit printed")
			}
			if err != nil {
				return err
			}
			d := documentOf(r)
			if output == "json" {
				return a.printJSON(d)
			}
			a.printRelease(d)
			return nil
		}),
	}
	outputFlag(cmd, &output, "text", "json")
	a.takes(cmd, connection...)
	return cmd
}

func (a *app) printRelease(d *releaseDocument) {
	a.print("%s: %s", d.title(), d.State)
	a.print("  release   %v, attempt %d", d.Release, d.Attempt)
	if d.Newest != d.Release {
		a.print("  newest    %v", d.Newest)
	}
	a.print("  policy    %d, %d of %d operators", d.Policy.Serial, d.Policy.N, d.Policy.M)
	a.print("  reason    %s", d.Reason)
	a.print("  opened    %v, deadline %v", d.Opened, d.Deadline)
	for _, v := range d.Votes {
		a.print("  %-12s %s (%s)", v.View, v.Rebuilder, v.Operator)
	}
	for _, f := range d.Artifacts {
		a.print("  %v  %s, %s", f.SHA256, f.Name, count(len(f.Signatures), "signature"))
	}
	if d.Log != nil {
		a.print("  log       entry %d in a tree of %d", d.Log.Index, d.Log.Size)
	}
	a.hint("%s", next(d))
}

// next says what a person can do about a release in its state.
func next(d *releaseDocument) string {
	switch {
	case d.State == "signed":
		return fmt.Sprintf("reprosign wait %v --timeout=0 verifies the evidence here", d.Release)
	case d.Newest != d.Release:
		return fmt.Sprintf("there is a newer attempt: reprosign status %v", d.Newest)
	case d.State == "held":
		return "operators disagree more than the policy allows: look at what differs; an admin can withdraw it"
	case d.Final:
		return "it will not be signed; mend what the reason names before you submit another version"
	}
	return fmt.Sprintf("reprosign wait %v returns when it is signed", d.Release)
}
