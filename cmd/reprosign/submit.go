package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
)

// submission is what the flags of submit say.
type submission struct {
	request          attest.Request
	recipe           string
	inputs           string
	claim            []string
	claimSet, policy string
	wait             bool
	waiting          waiting
}

type submitDocument struct {
	Schema  string        `json:"schema"`
	Release attest.Digest `json:"release,omitzero"`
	Request attest.Digest `json:"request,omitzero"`
	Attempt int           `json:"attempt,omitzero"`
	Policy  attest.Digest `json:"policy,omitzero"`
}

const schemaSubmit = "reprosign/submit/v1"

func (a *app) submitCommand() *cobra.Command {
	var s submission
	cmd := &cobra.Command{
		Use:   "submit (--suite SUITE --source NAME --version VERSION --arch ARCH --recipe FILE | --policy FILE)",
		Short: "Request a release, or submit a signed policy",
		Long: `Request that a release be rebuilt and signed, and print its id. The same request submitted again is
the same release, so submitting again after an error does no harm.

--claim names the files of your own build: the release is signed only if the rebuilders get the same
bytes. What you claim stays with the coordinator until it is decided. --claim-public says that the
files are public already, so that rebuilders could copy instead of build; the evidence will say so.

--policy submits a policy that enough admins have signed. One that changes the log's key is for reprosign log switch.`,
		Example: `  reprosign submit --suite stable --source hello --version 2.10-3 --arch amd64 --recipe hello.json --claim hello_2.10-3_amd64.deb
  reprosign recipe debian hello_2.10-3.dsc --url-base https://deb.example.org/pool/h/hello |
    reprosign submit --suite stable --source hello --version 2.10-3 --arch amd64 --recipe - --wait
  reprosign submit --policy policy-2.json`,
		Args: cobra.NoArgs,
		RunE: a.do(func(ctx context.Context, _ []string) error {
			if s.policy != "" {
				return a.submitPolicy(ctx, s.policy, s.waiting.output)
			}
			return a.submit(ctx, s)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&s.request.Suite, "suite", "", "suite that the release belongs to")
	f.StringVar(&s.request.Source, "source", "", "source name")
	f.StringVar(&s.request.Version, "version", "", "version")
	f.StringVar(&s.request.Architecture, "arch", "", "architecture, as the rebuilders are listed in the policy")
	f.StringVar(&s.recipe, "recipe", "", "file with the recipe, JSON or YAML; - is standard input")
	f.StringVar(&s.inputs, "inputs", "", "file that describes the wanted build inputs, a .buildinfo for one")
	f.StringArrayVar(&s.claim, "claim", nil, "file of your own build; may be given several times")
	f.StringVar(&s.claimSet, "claim-set", "", "file with the artifact set of your own build, in canonical JSON")
	f.BoolVar(&s.request.ClaimPublic, "claim-public", false, "say that what you claim is public already")
	f.StringVar(&s.policy, "policy", "", "signed policy to submit")
	f.BoolVar(&s.wait, "wait", false, "wait for the release, as reprosign wait does")
	s.waiting.flags(cmd, "signed")
	outputFlag(cmd, &s.waiting.output, "text", "json", "github")
	a.takes(cmd, append(connection, "key", "trust")...)
	cmd.MarkFlagsOneRequired("recipe", "policy")
	cmd.MarkFlagsMutuallyExclusive("recipe", "policy")
	cmd.MarkFlagsMutuallyExclusive("claim", "claim-set")
	cmd.MarkFlagsMutuallyExclusive("wait", "policy")
	return cmd
}

func (a *app) submit(ctx context.Context, s submission) error {
	if s.wait {
		if err := a.prepareWait(&s.waiting); err != nil {
			return err
		}
	} else if err := oneOf("output", s.waiting.output, "text", "json"); err != nil {
		return err
	}
	sealed, claim, err := a.sealRequest(s)
	if err != nil {
		return err
	}
	conn, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	reply, err := conn.Submit(ctx, a.settings.Name, bus.SubmitRequest{Request: sealed, Claim: claim})
	if err != nil {
		return submitFailed(err)
	}
	if s.wait {
		a.hint("submitted as release %v; should this be interrupted, reprosign wait goes on", reply.Release)
		t := target{given: reply.Release.String(), digest: reply.Release, request: sealed.Digest()}
		return a.wait(ctx, conn, s.waiting, []target{t})
	}
	if s.waiting.output == "json" {
		return a.printJSON(submitDocument{Schema: schemaSubmit, Release: reply.Release, Request: sealed.Digest(), Attempt: reply.Attempt})
	}
	a.print("%v", reply.Release)
	a.hint("attempt %d at %s %s %s is open; reprosign wait %v returns when it is signed",
		reply.Attempt, s.request.Source, s.request.Version, s.request.Architecture, reply.Release)
	return nil
}

// sealRequest makes the signed request and the claim that goes beside it.
func (a *app) sealRequest(s submission) (*attest.Envelope, *attest.Claim, error) {
	if a.settings.Role != string(bus.RolePublisher) {
		return nil, nil, usagef("role is %q; only publishers submit", a.settings.Role)
	}
	if a.settings.Key == "" {
		return nil, nil, usagef("no publisher key; give --key FILE or put it into the configuration file")
	}
	r := s.request
	r.Publisher = a.settings.Name
	var err error
	if r.Recipe, err = a.readRecipe(s.recipe); err != nil {
		return nil, nil, usage(err)
	}
	if s.inputs != "" {
		if r.Inputs, err = digestOf(s.inputs); err != nil {
			return nil, nil, err
		}
	}
	key, err := config.LoadKey(a.settings.Key, a.settings.Name)
	if err != nil {
		return nil, nil, err
	}
	claim, err := s.makeClaim(key)
	if err != nil {
		return nil, nil, err
	}
	if claim != nil {
		r.Claim = claim.Digest()
	}
	if err := errors.Join(r.Check(), checkRecipe(r)); err != nil {
		return nil, nil, usage(err)
	}
	sealed, err := r.Seal(key)
	return sealed, claim, err
}

// makeClaim returns what the flags claim, or nil.
func (s *submission) makeClaim(key attest.SigningKey) (*attest.Claim, error) {
	var set attest.Artifacts
	var err error
	switch {
	case len(s.claim) > 0:
		set, err = claimedSet(s.claim)
	case s.claimSet != "":
		set, err = readSet(s.claimSet)
	default:
		return nil, nil //nolint:nilnil // nothing is claimed
	}
	if err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	digest, err := set.SetDigest()
	if err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	salt, err := saltOf(key, s.request, digest)
	if err != nil {
		return nil, err
	}
	return &attest.Claim{Salt: salt, Set: digest}, nil
}

func (a *app) submitPolicy(ctx context.Context, file, output string) error {
	if err := oneOf("output", output, "text", "json"); err != nil {
		return err
	}
	p, err := readPolicy(file)
	if err != nil {
		return err
	}
	if p.envelope == nil {
		return usagef("%s is not signed; reprosign policy sign does", file)
	}
	if _, err := policy.Pin(p.envelope); err != nil {
		return hinted(err, "reprosign policy check %s tells whose signatures are missing", file)
	}
	conn, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := keepsLog(ctx, conn, file, p.Policy); err != nil {
		return err
	}
	reply, err := conn.Submit(ctx, a.settings.Name, bus.SubmitRequest{Policy: p.envelope})
	if err != nil {
		return submitFailed(err)
	}
	if reply.Policy != p.envelope.Digest() {
		return fmt.Errorf("the coordinator accepted policy %v, submitted was %v", reply.Policy, p.envelope.Digest())
	}
	if output == "json" {
		return a.printJSON(submitDocument{Schema: schemaSubmit, Policy: reply.Policy})
	}
	a.print("%v", reply.Policy)
	a.hint("policy %d is accepted; if parties changed, nats-config prints the new configuration of the bus", p.Serial)
	return nil
}

// submitFailed adds what a publisher can do.
func submitFailed(err error) error {
	switch bus.KindOf(err) {
	case bus.KindDenied:
		return hinted(err, "nothing was opened; the policy says what this publisher may request: reprosign policy check")
	case bus.KindUnavailable:
		return hinted(err, "submitting the same request again does no harm: it is the same release")
	default:
		return err
	}
}
