package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/reprosign/reprosign/internal/config"
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
	d.screen.line(fmt.Sprintf("  %d attempts to cheat were refused", len(d.summary.Refusals)))
	d.screen.line(fmt.Sprintf("  the HSM says %d signatures; the log explains %d, the key ceremony %d", a.HSM, a.Log, a.Ceremony))
	if len(d.summary.Failures) == 0 {
		d.screen.line("  " + d.screen.paint(green, "everything verified"))
	}
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
	d.screen.section("Check it yourself")
	d.screen.line("  cd " + d.place.results)
	d.hint("stock gpg, with nothing but the published certificates",
		"export GNUPGHOME=$(mktemp -d); gpg --import "+certificateFile)
	for _, r := range d.summary.Releases {
		for _, a := range r.Artifacts {
			d.hint("", "gpg --verify "+a.Signature+" "+a.File)
		}
	}
	verify := d.programPath() + " verify %s %s --trust " + filepath.Join(trustDir, policyFile)
	d.hint("every step from the pinned policy on, offline")
	for _, r := range d.summary.Releases {
		for _, a := range r.Artifacts {
			d.hint("", fmt.Sprintf(verify, a.File, r.Evidence))
		}
	}
	for _, r := range d.releases {
		if r.claim != "" && r.evidence != "" {
			d.hint("the signed package is the one that Debian published",
				"apt-cache show "+r.name+"="+r.version+" | grep SHA256; sha256sum "+artifactsDir+"/*.deb")
		}
	}
	program := d.named(goProgram)
	changed := filepath.Join("changed", goProgram)
	d.hint("a byte more, and both refuse",
		fmt.Sprintf("mkdir -p changed && (cat %s; echo) >%s", filepath.Join(artifactsDir, goProgram), changed),
		fmt.Sprintf("gpg --verify %s %s", filepath.Join(signaturesDir, goProgram+".sig"), changed),
		fmt.Sprintf(verify, changed, filepath.Join(evidenceDir, filepath.Base(program.evidence))))
	d.hint("who built what, with which outcome",
		d.programPath()+" evidence show "+filepath.Join(evidenceDir, filepath.Base(program.evidence))+" --trust "+filepath.Join(trustDir, policyFile))
	d.hint("what each party did, and why it refused", "grep -h refused "+logsDir+"/*.log; less "+summaryFile)
}

// hint prints commands under a comment.
func (d *demo) hint(comment string, commands ...string) {
	if comment != "" {
		d.screen.line("  " + d.screen.paint(faint, "# "+comment))
	}
	for _, c := range commands {
		d.screen.line("  " + c)
	}
}

func (d *demo) programPath() string { return filepath.Join(d.supervisor.bin, cliName) }

// stayOpen keeps the dashboard up until somebody interrupts the demo.
func (d *demo) stayOpen(ctx context.Context) error {
	d.screen.section("Still running: open " + d.face)
	d.hint("the releases again, from the bus", d.programPath()+" status "+d.named(goProgram).id.String()+" --config "+d.place.party(publisherName, configFile))
	d.hint("the log: its signed checkpoint", "curl "+d.face+"/checkpoint")
	if err := d.writeCurlConfig(); err != nil {
		return err
	}
	for _, r := range d.releases {
		d.hint("", "curl -K "+d.place.party(signerName, curlFile)+" "+d.hsm.url+"/api/v1/keys/"+r.suite)
	}
	d.screen.line("  Ctrl-C ends all processes and takes keys and database away; the results stay in " + d.place.results)
	<-ctx.Done()
	return nil
}

const curlFile = "curl.conf"

// writeCurlConfig lets curl ask the device for its counters, without the
// passphrase in anybody's process list.
func (d *demo) writeCurlConfig() error {
	passphrase, err := config.ReadSecretFile(d.place.party(signerName, passphraseFile))
	if err != nil {
		return err
	}
	// The device's certificate names no host; the demo itself pins it.
	return config.WriteSecretFile(d.place.party(signerName, curlFile), fmt.Appendf(nil, "silent\ninsecure\nwrite-out = \"\\n\"\nuser = \"%s:%s\"\n", hsmOperator, passphrase))
}
