package main

import (
	"context"
	_ "embed" // the template
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest"
)

//go:embed policy.yaml.tmpl
var policyTemplate string

// newPolicy is what the template is filled with.
type newPolicy struct {
	Issued, Expires attest.Time
	Insecure        bool
	AdminThreshold  int
	Admins          []string
	Origin, Log     string
	LogOperator     string
	Witnesses       []newWitness
	WitnessQuorum   int
	Coordinators    []newParty
	Signers         []newParty
	Publishers      []newParty
	Rebuilders      []newParty
	Suite           string
	Threshold       int
	Architecture    string
	Backends, Kinds []string
	MinIsolation    attest.Isolation
	Certificate     string
}

// newParty is a party's verifier key and public nkey, or words in their place.
type newParty struct{ Name, Key, NATS string }

// newWitness is a witness's verifier key and who runs it.
type newWitness struct{ Key, Operator string }

// newFlags are the flags of policy new as they were typed.
type newFlags struct {
	admins, coordinators, signers, publishers, rebuilders, backends, kinds []string
	witnesses                                                              []string
	log, logOperator, suite, architecture, certificate                     string
	threshold, quorum                                                      int
	insecure                                                               bool
}

func (a *app) policyNewCommand() *cobra.Command {
	var f newFlags
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Print an annotated policy to start from",
		Long: `Print an annotated policy in YAML, with the keys that are given filled in, to be edited and then
signed. Keys are what reprosign keygen prints: a verifier key, and with a comma behind it the nkey.
What is not given has a placeholder in capitals, which reprosign policy check refuses.`,
		Example: `  reprosign policy new --admin "$ALICE" --admin "$BOB" --log "$LOG" \
    --coordinator "$COORDINATOR,$COORDINATOR_NATS" --signer "$SIGNER,$SIGNER_NATS" \
    --publisher "$PUBLISHER,$PUBLISHER_NATS" --rebuilder "$GAMMA,$GAMMA_NATS" --rebuilder "$DELTA,$DELTA_NATS" \
    --suite stable --kind deb --backend debian --certificate "$FINGERPRINT" >policy.yaml`,
		Args: cobra.NoArgs,
		RunE: a.do(func(context.Context, []string) error {
			p, err := f.fill(attest.At(time.Now()))
			if err != nil {
				return err
			}
			t, err := template.New("policy").Funcs(template.FuncMap{"join": strings.Join}).Parse(policyTemplate)
			if err != nil {
				return err
			}
			return t.Execute(a.stdout, p)
		}),
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.admins, "admin", nil, "verifier key of an admin; may be given several times")
	flags.StringVar(&f.log, "log", "", "verifier key of the log, named by its origin")
	flags.StringVar(&f.logOperator, "log-operator", "", "who runs the log; needed with --witness")
	flags.StringArrayVar(&f.witnesses, "witness", nil, "verifier key and operator of a witness; may be given several times")
	flags.IntVar(&f.quorum, "witness-quorum", 0, "witnesses that must cosign (default more than half)")
	flags.StringArrayVar(&f.coordinators, "coordinator", nil, "verifier key and nkey of a coordinator; may be given several times")
	flags.StringArrayVar(&f.signers, "signer", nil, "verifier key and nkey of a signer; may be given several times")
	flags.StringArrayVar(&f.publishers, "publisher", nil, "verifier key and nkey of a publisher; may be given several times")
	flags.StringArrayVar(&f.rebuilders, "rebuilder", nil, "verifier key and nkey of a rebuilder; may be given several times")
	flags.StringVar(&f.suite, "suite", "stable", "name of the suite")
	flags.StringVar(&f.architecture, "arch", "amd64", "architecture that the rebuilders build")
	flags.IntVar(&f.threshold, "threshold", 0, "operators that must agree (default more than half)")
	flags.StringSliceVar(&f.backends, "backend", []string{"debian"}, "back-ends allowed")
	flags.StringSliceVar(&f.kinds, "kind", []string{"deb"}, "artifact kinds to sign")
	flags.StringVar(&f.certificate, "certificate", "", "fingerprint of the OpenPGP signing key")
	flags.BoolVar(&f.insecure, "insecure", false, "relax the rules, for a trial; everything that the policy leads to says so")
	return cmd
}

func (f *newFlags) fill(now attest.Time) (newPolicy, error) {
	const validity = 365 * 24 * time.Hour
	p := newPolicy{
		Issued: now, Expires: now.Add(validity), Insecure: f.insecure, Suite: f.suite, Architecture: f.architecture,
		Backends: f.backends, Kinds: f.kinds, Certificate: f.certificate, MinIsolation: attest.IsolationUID,
		Origin: "LOG-ORIGIN", Log: "LOG-KEY", Threshold: f.threshold,
	}
	if p.Certificate == "" {
		p.Certificate = "FINGERPRINT"
	}
	if f.insecure {
		p.MinIsolation = attest.IsolationNone
	}
	if f.log != "" {
		key, err := attest.ParseVerifierKey(f.log)
		if err != nil {
			return p, usage(fmt.Errorf("--log: %w", err))
		}
		p.Log, p.Origin = key.String(), key.Name()
	}
	if err := f.fillWitnesses(&p); err != nil {
		return p, err
	}
	for _, s := range orPlaceholders(f.admins, "ADMIN", 2) {
		party, err := parseParty("admin", s)
		if err != nil {
			return p, err
		}
		p.Admins = append(p.Admins, party.Key)
	}
	p.AdminThreshold = max(len(p.Admins)/2+1, min(2, len(p.Admins)))
	for _, role := range []struct {
		name  string
		given []string
		least int
		into  *[]newParty
	}{
		{"coordinator", f.coordinators, 1, &p.Coordinators},
		{"signer", f.signers, 1, &p.Signers},
		{"publisher", f.publishers, 1, &p.Publishers},
		{"rebuilder", f.rebuilders, 3, &p.Rebuilders},
	} {
		for _, s := range orPlaceholders(role.given, strings.ToUpper(role.name), role.least) {
			party, err := parseParty(role.name, s)
			if err != nil {
				return p, err
			}
			*role.into = append(*role.into, party)
		}
	}
	if p.Threshold == 0 {
		p.Threshold = len(p.Rebuilders)/2 + 1
	}
	return p, nil
}

// fillWitnesses reads the witnesses, a verifier key and an operator each.
func (f *newFlags) fillWitnesses(p *newPolicy) error {
	given, err := parseWitnesses(f.witnesses, f.quorum)
	if err != nil {
		return err
	}
	for _, w := range given.Keys {
		p.Witnesses = append(p.Witnesses, newWitness{w.Key.String(), w.Operator})
	}
	if len(p.Witnesses) > 0 && f.logOperator == "" {
		return usagef("--witness needs --log-operator: it says which witnesses are not the log's own")
	}
	if p.LogOperator, p.WitnessQuorum = f.logOperator, f.quorum; f.quorum == 0 {
		p.WitnessQuorum = len(p.Witnesses)/2 + 1
	}
	return nil
}

// orPlaceholders returns what was given, or n words in capitals that are no keys.
func orPlaceholders(given []string, word string, n int) []string {
	if len(given) > 0 {
		return given
	}
	for i := range n {
		given = append(given, fmt.Sprintf("%s-%d-KEY,%s-%d-NKEY", word, i+1, word, i+1))
	}
	return given
}

// parseParty reads a verifier key, or a placeholder, and the nkey behind the comma.
func parseParty(role, s string) (newParty, error) {
	key, nats, _ := strings.Cut(s, ",")
	party := newParty{Name: strings.ToLower(strings.TrimSuffix(key, "-KEY")), Key: key, NATS: nats}
	if strings.Contains(key, "+") {
		k, err := attest.ParseVerifierKey(key)
		if err != nil {
			return party, usage(fmt.Errorf("--%s: %w", role, err))
		}
		party.Name = k.Name()
	} else if !strings.HasSuffix(key, "-KEY") {
		return party, usagef("--%s: %q is not a verifier key, as reprosign keygen prints it", role, key)
	}
	if party.NATS == "" {
		party.NATS = strings.ToUpper(party.Name) + "-NKEY"
	}
	return party, nil
}
