package main

import (
	"context"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/monitor"
)

func (a *app) logCommand() *cobra.Command {
	return group("log", "Check and watch evidence logs, change their keys, end them",
		a.logVerifyCommand(), a.logMonitorCommand(), a.logRotateCommand(), a.logEndCommand(), a.logSwitchCommand())
}

type logVerifyDocument struct {
	Schema     string            `json:"schema"`
	Verified   bool              `json:"verified"`
	Error      string            `json:"error,omitzero"`
	Log        string            `json:"log"`
	Origin     string            `json:"origin,omitzero"`
	Size       int64             `json:"size"`
	Root       tlog.Hash         `json:"root"`
	Policy     uint64            `json:"policy"`
	Decisions  int               `json:"decisions"`
	Evaluated  int               `json:"evaluated"`
	Signatures int64             `json:"signatures"`
	Steps      []stepDocument    `json:"steps"`
	Caveats    []string          `json:"caveats"`
	Witnesses  []witnessDocument `json:"witnesses"`
	Findings   []monitor.Alarm   `json:"findings"`
}

func (a *app) logVerifyCommand() *cobra.Command {
	var output string
	var options monitor.VerifyOptions
	cmd := &cobra.Command{
		Use:   "verify URL|DIR --trust FILE",
		Short: "Check a whole evidence log",
		Long: `Check a whole evidence log, over HTTP or in a directory with a copy of it, and say line by line what was
checked: the checkpoint's signature, the witnesses of the trust file, every tile and every entry, the root that
the entries give, that every entry has its body and means something under the policies in force, that the votes in
the evidence carry every decision, whether anything was signed on it or not, that every signature was made on a
decision before it, and what becomes of complaints.

Nothing that is served is believed, and nothing is written. It takes one request for each body: to watch a
large log, log monitor asks for what is new alone.`,
		Example: `  reprosign log verify https://log.example.org --trust policy.json
  reprosign log verify ./mirror --trust policy.json --without-evidence -o json`,
		Args: cobra.ExactArgs(1),
		RunE: a.do(func(ctx context.Context, args []string) error {
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			trust, err := a.trust()
			if err != nil {
				return err
			}
			source, err := monitor.Open(args[0])
			if err != nil {
				return usage(err)
			}
			if output == "text" {
				options.Step = func(s evidence.Step) { a.printStep("ok", s.What+": "+s.Detail) }
			}
			report, err := monitor.Verify(ctx, monitor.NewLog(source), trust, options)
			return a.printLogVerified(source.String(), output, report, err)
		}),
	}
	cmd.Flags().BoolVar(&options.WithoutEvidence, "without-evidence", false, "do not evaluate decisions again: the copy holds no evidence")
	outputFlag(cmd, &output, "text", "json")
	a.takes(cmd, "trust")
	return cmd
}

func (a *app) printLogVerified(log, output string, r *monitor.Report, err error) error {
	if output == "json" {
		if err := a.printJSON(documentOfLog(log, r, err)); err != nil {
			return err
		}
	} else {
		for _, f := range r.Findings {
			word := "note"
			if f.Kind.Breaks() {
				word = "finding"
			}
			a.printStep(word, f.String())
		}
		if err == nil {
			a.print("%s: %s, %d entries, %d decisions, %d signatures", verdict(r.Unwitnessed), r.Checkpoint.Origin, r.Checkpoint.Size, r.Decisions, r.Signatures)
		}
	}
	if exitCode(err) == exitUnverified {
		return hinted(err, "read the log from its operator or another mirror; if it does not verify there either, believe nothing that it shows")
	}
	return err
}

func documentOfLog(log string, r *monitor.Report, err error) logVerifyDocument {
	doc := logVerifyDocument{
		Schema: "reprosign/log-verify/v1", Verified: err == nil, Log: plain(log),
		Origin: r.Checkpoint.Origin, Size: r.Checkpoint.Size, Root: r.Checkpoint.Root, Policy: r.Policy,
		Decisions: r.Decisions, Evaluated: r.Evaluated, Signatures: r.Signatures,
		Steps: []stepDocument{}, Caveats: []string{}, Witnesses: []witnessDocument{}, Findings: r.Findings,
	}
	if err != nil {
		doc.Error = plain(err.Error())
	}
	for _, s := range r.Steps {
		doc.Steps = append(doc.Steps, stepDocument{s.What, plain(s.Detail)})
	}
	for _, w := range r.Witnesses {
		doc.Witnesses = append(doc.Witnesses, witnessDocument{w.Witness, w.At})
	}
	if r.Unwitnessed {
		doc.Caveats = append(doc.Caveats, unwitnessed)
	}
	return doc
}
