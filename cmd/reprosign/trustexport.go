package main

import (
	"bytes"
	"context"
	_ "embed" // the README
	"encoding/pem"
	"fmt"
	"slices"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
)

//go:embed trust-readme.tmpl
var trustReadme string

// export is what the flags of trust export say, and what follows from them.
type export struct {
	dir, bundle, logURL string
	certificates        []string
	force               bool

	trust     evidence.Trust
	policy    *policy.Version // whose keys are exported
	witnesses policy.Witnesses
	found     map[string]*openpgp.Certificate // by fingerprint of the signing key
}

func (a *app) trustExportCommand() *cobra.Command {
	var x export
	cmd := &cobra.Command{
		Use:   "export --trust FILE --dir DIR",
		Short: "Write what you trust to files for all tools",
		Long: `Write what you trust to files that other tools read, and print their names:

  trust.json             for reprosign verify
  trusted_root.json      the log's key, for cosign
  statement-SIGNER.pub   a signer's key, for cosign
  tlog-policy            the log and its witnesses (C2SP tlog-policy), for whoever checks tlog-proofs
  SUITE.pgp              the OpenPGP certificates of a suite, for gpg, sqv and package managers
  README                 what each tool's check proves, and what it does not

All of it follows from the trust file but for the OpenPGP certificates, of which a policy holds the
fingerprints alone. They come from files (--certificate), or from evidence that verifies (--bundle);
then the keys are those of the policy that the evidence leads to.

Hand these files out by a way that people trust already, never beside the evidence.`,
		Example: `  reprosign trust export --trust policy.json --certificate stable.pgp --dir trust
  reprosign trust export --trust policy.json --bundle hello.evidence.json --dir trust`,
		Args: cobra.NoArgs,
		RunE: a.do(func(context.Context, []string) error { return a.exportTrust(x) }),
	}
	cmd.Flags().StringVar(&x.dir, "dir", "", "directory for the files; it is made if it is not there")
	cmd.Flags().StringArrayVar(&x.certificates, "certificate", nil, "file with an OpenPGP certificate; may be given several times")
	cmd.Flags().StringVar(&x.bundle, "bundle", "", "evidence to take the OpenPGP certificates from")
	cmd.Flags().StringVar(&x.logURL, "log-url", "", "where the log is read, for the tlog-policy (default none)")
	cmd.Flags().BoolVar(&x.force, "force", false, "replace files that are there")
	a.takes(cmd, "trust")
	required(cmd, "dir")
	return cmd
}

func (a *app) exportTrust(x export) error {
	var err error
	if x.trust, err = a.trust(); err != nil {
		return err
	}
	if x.policy, x.witnesses, err = x.trust.Pinned(); err != nil {
		return err
	}
	x.found = map[string]*openpgp.Certificate{}
	if err := x.fromBundle(); err != nil {
		return err
	}
	if err := x.fromFiles(); err != nil {
		return err
	}
	files, err := x.files()
	if err != nil {
		return err
	}
	for i := range x.policy.Suites {
		for _, c := range x.policy.Suites[i].Certificates {
			if x.found[c.Fingerprint] == nil {
				a.warn("suite %s: no certificate with signing key %s at hand; name it with --certificate", x.policy.Suites[i].Name, c.Fingerprint)
			}
		}
	}
	return a.writeParts(x.dir, files, x.force)
}

// fromBundle takes certificates, and the policy that is in force by then, from
// evidence that verifies.
func (x *export) fromBundle() error {
	if x.bundle == "" {
		return nil
	}
	b, err := readBundle(x.bundle)
	if err != nil {
		return err
	}
	report, err := evidence.Verify(b, x.trust)
	if err != nil {
		return err
	}
	x.policy = report.Policy
	for _, raw := range b.Certificates {
		c, err := openpgp.ParseCertificate(raw)
		if err != nil {
			return unreadable(err)
		}
		x.found[c.Fingerprint()] = c
	}
	return nil
}

// fromFiles takes certificates that the policy names.
func (x *export) fromFiles() error {
	for _, file := range x.certificates {
		const most = 2 * openpgp.MaxCertificate // it may be armored
		data, err := readFile(file, most)
		if err != nil {
			return err
		}
		c, err := openpgp.ParseCertificate(data)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if !slices.ContainsFunc(x.policy.Suites, func(s policy.Suite) bool { return s.MaySign(c.Fingerprint()) == nil }) {
			return hinted(fmt.Errorf("%s: signing key %s is of no suite of policy %d", file, c.Fingerprint(), x.policy.Serial),
				"what a policy does not name is not to be trusted; if the certificate is newer than the policy, give the newer policy")
		}
		x.found[c.Fingerprint()] = c
	}
	return nil
}

// files makes all files.
func (x *export) files() ([]part, error) {
	p := &parts{}
	p.add("trust.json", x.trust.Encode)
	p.add("trusted_root.json", func() ([]byte, error) { return evidence.TrustedRoot(x.policy.Log.Key, x.policy.Issued) })
	var signers []string
	for _, s := range x.policy.Signers {
		name := "statement-" + s.Key.Name() + ".pub"
		p.raw(name, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: s.Key.SPKI()}))
		signers = append(signers, name)
	}
	p.add("tlog-policy", x.tlogPolicy().Marshal)
	var suites []string
	for i := range x.policy.Suites {
		var keyring []byte
		for _, c := range x.policy.Suites[i].Certificates {
			if found := x.found[c.Fingerprint]; found != nil {
				keyring = append(keyring, found.Binary()...)
			}
		}
		if len(keyring) > 0 {
			name := x.policy.Suites[i].Name + ".pgp"
			p.raw(name, keyring)
			suites = append(suites, name)
		}
	}
	readme, err := x.readme(signers, suites)
	if err != nil {
		return nil, err
	}
	p.raw("README", readme)
	return p.list, p.err
}

func (x *export) tlogPolicy() translog.TLogPolicy {
	p := translog.TLogPolicy{
		Logs:   []translog.TLogPolicyKey{{Key: x.policy.Log.Key, URL: x.logURL}},
		Quorum: x.witnesses.Quorum,
	}
	for _, w := range x.witnesses.Keys {
		p.Witnesses = append(p.Witnesses, translog.TLogPolicyKey{Key: w.Key})
	}
	return p
}

func (x *export) readme(signers, suites []string) ([]byte, error) {
	names := make([]string, len(x.witnesses.Keys))
	for i, w := range x.witnesses.Keys {
		names[i] = fmt.Sprintf("%s (%s)", w.Key.Name(), w.Operator)
	}
	t, err := template.New("README").Parse(trustReadme)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, struct {
		Origin          string
		Serial          uint64
		Digest          attest.Digest
		Expires         attest.Time
		Witnesses       []string
		Quorum          int
		Independent     bool
		Signer, Keyring string
	}{
		Origin: x.policy.Log.Origin, Serial: x.policy.Serial, Digest: x.policy.Digest, Expires: x.policy.Expires,
		Witnesses: names, Quorum: x.witnesses.Quorum,
		Independent: x.witnesses.Independent(x.policy.Log.Operator),
		Signer:      first(signers, "statement-SIGNER.pub"), Keyring: first(suites, "SUITE.pgp"),
	})
	return out.Bytes(), err
}

// first returns the first of some names, or a word in their place.
func first(names []string, none string) string {
	if len(names) == 0 {
		return none
	}
	return names[0]
}
