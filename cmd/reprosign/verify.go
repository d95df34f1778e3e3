package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
)

// verification is what the flags of verify say.
type verification struct {
	file, bundle    string
	name, signature string
	output          string
}

type verifyDocument struct {
	Schema       string              `json:"schema"`
	Verified     bool                `json:"verified"`
	Error        string              `json:"error,omitzero"`
	Steps        []stepDocument      `json:"steps"`
	Caveats      []string            `json:"caveats"`
	Release      attest.Digest       `json:"release,omitzero"`
	Suite        string              `json:"suite,omitzero"`
	Source       string              `json:"source,omitzero"`
	Version      string              `json:"version,omitzero"`
	Architecture string              `json:"architecture,omitzero"`
	Policy       *policyDocument     `json:"policy,omitzero"`
	Ground       string              `json:"ground,omitzero"`
	Log          *logDocument        `json:"log,omitzero"`
	Witnesses    []witnessDocument   `json:"witnesses,omitzero"`
	Artifact     *attest.Artifact    `json:"artifact,omitzero"`
	Signatures   []verifiedSignature `json:"signatures,omitzero"`

	unwitnessed bool
}

type stepDocument struct {
	What   string `json:"what"`
	Detail string `json:"detail"`
}

// witnessDocument is a witness who saw the decision in the log.
type witnessDocument struct {
	Name string      `json:"name"`
	At   attest.Time `json:"at"`
}

type verifiedSignature struct {
	Fingerprint string    `json:"fpr"`
	UserID      string    `json:"user_id"`
	Created     time.Time `json:"created"`
}

func (a *app) verifyCommand() *cobra.Command {
	var v verification
	cmd := &cobra.Command{
		Use:   "verify FILE BUNDLE --trust POLICY",
		Short: "Verify a file and its evidence, offline",
		Long: `Verify a file and its evidence, offline, and say line by line what was checked: from the pinned policy
through request, opening and every vote to the decision, its place in the log, and the OpenPGP
signature over the file. Nothing in the bundle is believed, and no network is used.

The file must have the name that was decided; --name says so if it is kept under another.
--signature compares a detached signature, binary or armored, with the one in the evidence.

If the trust file names witnesses of the log, enough of them must have cosigned it in time. With witnesses
of fewer than two operators other than the log's, the verdict says unwitnessed.`,
		Example: `  reprosign verify hello_2.10-3_amd64.deb hello.evidence.json --trust policy.json
  reprosign verify hello_2.10-3_amd64.deb hello.evidence.json --trust policy.json --signature hello_2.10-3_amd64.deb.sig -o json`,
		Args: cobra.ExactArgs(2),
		RunE: a.do(func(_ context.Context, args []string) error {
			if err := oneOf("output", v.output, "text", "json"); err != nil {
				return err
			}
			trust, err := a.trust()
			if err != nil {
				return err
			}
			v.file, v.bundle = args[0], args[1]
			return a.verify(v, trust)
		}),
	}
	cmd.Flags().StringVar(&v.name, "name", "", "name of the file where it is published (default its own)")
	cmd.Flags().StringVar(&v.signature, "signature", "", "detached signature that must be the one in the evidence")
	outputFlag(cmd, &v.output, "text", "json")
	a.takes(cmd, "trust")
	return cmd
}

func (a *app) verify(v verification, trust evidence.Trust) error {
	doc, err := v.run(trust)
	doc.Schema, doc.Verified = "reprosign/verify/v1", err == nil
	if v.output == "json" {
		if err != nil {
			doc.Error = plain(err.Error())
		}
		if err := a.printJSON(doc); err != nil {
			return err
		}
	} else {
		for _, s := range doc.Steps {
			a.printStep("ok", s.What+": "+s.Detail)
		}
		for _, c := range doc.Caveats {
			a.printStep("note", c)
		}
		if err == nil {
			a.print("%s: %s of %s %s %s (%s)", verdict(doc.unwitnessed), doc.Artifact.Name, doc.Source, doc.Version, doc.Architecture, doc.Suite)
		}
	}
	if errors.Is(err, translog.ErrNotWitnessed) {
		return hinted(err, "do not use the file; if the log's witnesses were replaced since you got your trust file, ask the admins for the new one")
	}
	if errors.Is(err, policy.ErrStale) {
		return hinted(err, "do not use the file, unless you mean to believe the keys of that older policy, also those that were replaced since: then verify with the trust file of that time")
	}
	if errors.Is(err, evidence.ErrUnsigned) {
		return hinted(err, "do not use the file; if its release is signed by now, fetch the evidence again")
	}
	if exitCode(err) == exitUnverified {
		return hinted(err, "do not use the file; if it came from a mirror, fetch file and evidence again")
	}
	return err
}

// run checks everything. The document holds what was checked until then.
func (v verification) run(trust evidence.Trust) (verifyDocument, error) {
	// Before there is a report, this is all that can be said of any bundle.
	doc := verifyDocument{Steps: []stepDocument{}, Caveats: []string{unwitnessed}}
	bundle, err := readBundle(v.bundle)
	if err != nil {
		return doc, err
	}
	report, err := evidence.Verify(bundle, trust)
	if err != nil {
		return doc, err
	}
	doc.take(report)
	name := v.name
	if name == "" {
		name = filepath.Base(v.file)
	}
	f, err := openRegular(v.file)
	if err != nil {
		return doc, err
	}
	defer f.Close()
	file, err := report.CheckFile(name, f)
	if err != nil {
		return doc, err
	}
	doc.step("file", fmt.Sprintf("%s has the %d bytes that were decided, SHA-256 %v", file.Artifact.Name, file.Artifact.Size, file.Artifact.SHA256))
	doc.Artifact = &file.Artifact
	for _, s := range file.Signatures {
		doc.Signatures = append(doc.Signatures, verifiedSignature{s.Certificate, plain(s.UserID), s.Created})
		doc.step("OpenPGP signature", fmt.Sprintf("over the file, by %s (%s), created %v", s.Certificate, s.UserID, attest.At(s.Created)))
	}
	if v.signature == "" {
		return doc, nil
	}
	if err := sameSignature(v.signature, bundle, file.Artifact.Name); err != nil {
		return doc, err
	}
	doc.step("detached signature", filepath.Base(v.signature)+" is the one in the evidence")
	return doc, nil
}

// unwitnessed is the least that is said of any bundle.
const unwitnessed = "unwitnessed: nobody but the log's own key would vouch for the log"

// verdict is the first word of every line that says: it verifies.
func verdict(unwitnessed bool) string {
	if unwitnessed {
		return "verified, unwitnessed"
	}
	return "verified"
}

func (d *verifyDocument) step(what, detail string) {
	d.Steps = append(d.Steps, stepDocument{what, plain(detail)})
}

func (d *verifyDocument) take(r *evidence.Report) {
	for _, s := range r.Steps {
		d.step(s.What, s.Detail)
	}
	d.Caveats = r.Caveats()
	d.Release, d.Suite, d.Source = r.Release, r.Request.Suite, r.Request.Source
	d.Version, d.Architecture, d.Ground = r.Request.Version, r.Request.Architecture, string(r.Decision.Ground)
	d.Policy = &policyDocument{r.Policy.Serial, r.Policy.Digest, r.Decision.Threshold, r.Decision.Operators}
	d.Log, d.unwitnessed = &logDocument{r.LogIndex, r.TreeSize}, r.Unwitnessed
	for _, w := range r.Witnesses {
		d.Witnesses = append(d.Witnesses, witnessDocument{w.Witness, w.At})
	}
}

// sameSignature reports why a detached signature is not the evidence's own:
// over one artifact by one certificate there is one signature, ever.
func sameSignature(path string, b *evidence.Bundle, artifact string) error {
	const most = 1 << 20 // an armored signature has a few thousand bytes
	data, err := readFile(path, most)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(data, []byte("-----BEGIN")) {
		if data, err = openpgp.Dearmor(data); err != nil {
			return fmt.Errorf("%w: detached signature: %w", evidence.ErrNotVerified, err)
		}
	}
	var others []string
	for _, s := range b.Signatures {
		if s.Artifact != artifact {
			continue
		}
		if bytes.Equal(s.Signature, data) {
			return nil
		}
		others = append(others, s.Certificate)
	}
	return fmt.Errorf("%w: detached signature: %w", evidence.ErrNotVerified,
		errors.New("it is not the one in the evidence, by "+strings.Join(others, ", ")))
}
