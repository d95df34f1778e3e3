package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// startDashboard starts the public face: it has a read-only view of the
// database, and neither a key nor the bus.
func (d *demo) startDashboard(ctx context.Context) error {
	if _, err := d.place.directory(privateDir, dashboardName); err != nil {
		return err
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	if err := d.serve(ctx, dashboardName, "reprosign-dashboard", "metrics", section{
		"listen": address, "database": section{"dsn_file": d.dsnFile},
	}); err != nil {
		return err
	}
	d.face = "http://" + address
	d.screen.event(dashboardName, "shows everything public at %s", d.face)
	return nil
}

// conclude writes the summary, and says what a person can do by hand.
func (d *demo) conclude(context.Context) error {
	d.summary.complete = true
	data, err := d.summary.encode()
	if err != nil {
		return err
	}
	if err := writePublic(d.place.result(summaryFile), data); err != nil {
		return fmt.Errorf("writing the summary: %w", err)
	}
	d.screen.section("Summary")
	for _, r := range d.summary.Releases {
		d.screen.line(fmt.Sprintf("  %-18s %-16s %-9s %s", r.Name, r.Version, r.State, votesLine(r.Votes)))
	}
	for _, s := range d.summary.Skipped {
		d.screen.line("  skipped: " + s)
	}
	a := d.summary.Signatures
	d.screen.line(fmt.Sprintf("  %d attempts to cheat, all refused where listed. HSM signatures: %d = %d in the log + %d of the ceremony",
		len(d.summary.Refusals), a.HSM, a.Log, a.Ceremony))
	for _, f := range d.summary.Failures {
		d.screen.line("  " + d.screen.paint(yellow, "FAILED: "+f))
	}
	d.hints()
	return nil
}

// votesLine says who agrees with whom in one line.
func votesLine(votes map[string]string) string {
	by := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(votes)) {
		by[votes[name]] = append(by[votes[name]], name)
	}
	var parts []string
	for _, view := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, view+": "+strings.Join(by[view], " "))
	}
	return strings.Join(parts, "; ")
}

// hints prints the commands with which each check can be repeated.
func (d *demo) hints() {
	d.screen.section("Check it yourself, without us")
	say := func(comment, command string) {
		d.screen.line("  " + d.screen.paint(faint, "# "+comment))
		d.screen.line("  " + command)
	}
	bin := filepath.Join(d.supervisor.bin, program)
	d.screen.line("  cd " + d.place.results)
	if a := d.anArtifact(); a != nil {
		say("stock gpg, with nothing but the published certificates",
			fmt.Sprintf("export GNUPGHOME=$(mktemp -d); gpg --import %s; gpg --verify %s %s", certificateFile, a.artifact.Signature, a.artifact.File))
		say("every step from the pinned policy on, offline",
			fmt.Sprintf("%s verify %s %s --trust %s/%s", bin, a.artifact.File, a.evidence, trustDir, policyFile))
		say("the same with a byte added: refused",
			fmt.Sprintf("mkdir -p tampered && (cat %s; echo) >tampered/%s && %s verify tampered/%s %s --trust %s/%s",
				a.artifact.File, filepath.Base(a.artifact.File), bin, filepath.Base(a.artifact.File), a.evidence, trustDir, policyFile))
	}
	say("what was signed, and what was refused", "less "+summaryFile)
}

// shown is an artifact with its release's evidence.
type shown struct {
	artifact artifactSummary
	evidence string
}

func (d *demo) anArtifact() *shown {
	for _, r := range d.summary.Releases {
		if len(r.Artifacts) > 0 {
			return &shown{r.Artifacts[0], r.Evidence}
		}
	}
	return nil
}

// stayOpen keeps the dashboard up until somebody interrupts the demo.
func (d *demo) stayOpen(ctx context.Context) error {
	bin := filepath.Join(d.supervisor.bin, program)
	d.screen.section("Still running")
	d.screen.line("  dashboard          " + d.face)
	d.screen.line("  ask the bus        " + strings.Join(append([]string{bin}, d.publisherArgs("status")...), " ") + " RELEASE")
	d.screen.line("  logs               " + d.place.result(logsDir))
	d.screen.line("  end it             Ctrl-C")
	<-ctx.Done()
	return nil
}
