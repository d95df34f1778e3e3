package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/openpgp"
)

func (a *app) evidenceExtractCommand() *cobra.Command {
	var dir string
	var force bool
	cmd := &cobra.Command{
		Use:   "extract BUNDLE --dir DIR",
		Short: "Write the parts of a bundle to files that other tools read",
		Long: `Write the parts of an evidence bundle to files that other tools read, and print their names:

  NAME.sig, NAME.asc          OpenPGP signatures over artifact NAME, binary and armored
  certificate.pgp             the OpenPGP certificates they verify under
  decision.sigstore.json      the decision as a Sigstore bundle
  trusted_root.json           the log's key for cosign; only with --trust
  decision.tlog-proof         proof that the decision is in the log, with its cosignatures (C2SP tlog-proof)
  opening.tlog-proof          the same for the opening
  decision.leaf, opening.leaf the entries of the log that they prove; the latter only with --trust
  request.json, opening.json  the signed statements; votes/REBUILDER-DIGEST.json, policies/SERIAL.json
  artifacts.json              the artifact set

What the checks of other tools prove, and what they do not, says the README that reprosign trust export
writes. No file is replaced unless --force is given.`,
		Example: `  reprosign evidence extract hello.evidence.json --dir hello.evidence --trust policy.json
  cosign verify-blob-attestation --bundle hello.evidence/decision.sigstore.json \
    --trusted-root trust/trusted_root.json --key trust/statement-SIGNER.pub \
    --type https://slsa.dev/verification_summary/v1 hello_2.10-3_amd64.deb`,
		Args: cobra.ExactArgs(1),
		RunE: a.do(func(_ context.Context, args []string) error {
			b, err := readBundle(args[0])
			if err != nil {
				return err
			}
			report, err := a.verifyIfTrusted(b)
			if err != nil {
				return err
			}
			if len(b.Signatures) == 0 {
				a.warn("nothing is signed in this evidence: what other tools say of its parts vouches for no file")
			}
			parts, err := partsOf(b, report)
			if err != nil {
				return err
			}
			return a.writeParts(dir, parts, force)
		}),
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory for the files; it is made if it is not there")
	cmd.Flags().BoolVar(&force, "force", false, "replace files that are there")
	a.takes(cmd, "trust")
	required(cmd, "dir")
	return cmd
}

// part is one file of a bundle.
type part struct {
	name string
	data []byte
}

// partsOf takes a bundle apart. The report is nil if it was not verified; then
// the log's key is nothing to hand on.
func partsOf(b *evidence.Bundle, report *evidence.Report) ([]part, error) {
	p := &parts{}
	// Names come from the bundle and become files.
	if err := b.Artifacts.Check(); err != nil {
		return nil, unreadable(err)
	}
	p.add("artifacts.json", b.Artifacts.Encode)
	p.add("request.json", b.Request.Encode)
	p.add("opening.json", b.Opening.Encode)
	p.raw("opening.tlog-proof", []byte(b.OpeningProof))
	p.add("decision.sigstore.json", b.SigstoreBundle)
	p.add("decision.tlog-proof", b.Decision.TLogProof)
	p.add("decision.leaf", b.Decision.Leaf)
	for _, e := range b.Policies {
		version, err := serialOf(e)
		if err != nil {
			return nil, unreadable(err)
		}
		p.add(fmt.Sprintf("policies/%d.json", version), e.Encode)
	}
	for _, e := range b.Votes {
		r, err := attest.ParseRebuild(e.Payload)
		if err != nil {
			return nil, unreadable(err)
		}
		p.add(fmt.Sprintf("votes/%s-%s.json", r.Rebuilder, e.Digest().Short()), e.Encode)
	}
	var certificates []byte
	for _, c := range b.Certificates {
		certificates = append(certificates, c...)
	}
	if len(certificates) > 0 {
		p.raw("certificate.pgp", certificates)
	}
	if err := p.signatures(b); err != nil {
		return nil, unreadable(err)
	}
	if report != nil {
		p.raw("opening.leaf", report.OpeningLeaf)
		p.add("trusted_root.json", func() ([]byte, error) {
			return evidence.TrustedRoot(report.Policy.Log.Key, report.Policy.Issued)
		})
	}
	return p.list, p.err
}

// parts collects files and remembers the first error.
type parts struct {
	list []part
	err  error
}

func (p *parts) raw(name string, data []byte) { p.list = append(p.list, part{name, data}) }

func (p *parts) add(name string, encode func() ([]byte, error)) {
	data, err := encode()
	if err != nil && p.err == nil {
		p.err = unreadable(err)
	}
	p.raw(name, data)
}

// signatures adds the signatures over each artifact. Those by several
// certificates stand in one file one after the other, as gpg and sqv read them.
func (p *parts) signatures(b *evidence.Bundle) error {
	known := map[string]bool{}
	for _, a := range b.Artifacts {
		known[a.Name] = true
	}
	bySignature := map[string][]byte{}
	var order []string
	for _, s := range b.Signatures {
		if !known[s.Artifact] {
			return errors.New("a signature is over something else than the artifacts")
		}
		if bySignature[s.Artifact] == nil {
			order = append(order, s.Artifact)
		}
		bySignature[s.Artifact] = append(bySignature[s.Artifact], s.Signature...)
	}
	for _, name := range order {
		p.raw(name+".sig", bySignature[name])
		p.raw(name+".asc", openpgp.Armor(bySignature[name]))
	}
	return nil
}

// writeParts writes the files below dir and prints their names.
func (a *app) writeParts(dir string, list []part, force bool) error {
	if err := writeParts(dir, list, force); err != nil {
		return err
	}
	for _, f := range list {
		a.print("%s", f.name)
	}
	return nil
}

// writeParts writes files below a directory, in their order.
func writeParts(dir string, list []part, force bool) error {
	const dirMode = 0o755
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return fmt.Errorf("making the directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("opening the directory: %w", err)
	}
	defer root.Close()
	for _, f := range list {
		if err := root.MkdirAll(path.Dir(f.name), dirMode); err != nil {
			return fmt.Errorf("making a directory: %w", err)
		}
		if err := writeFile(root, f.name, f.data, force); err != nil {
			return err
		}
	}
	return nil
}
