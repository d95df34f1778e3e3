package policy

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/goccy/go-yaml"

	"github.com/reprosign/reprosign/attest"
)

// document is a policy as admins type it. YAML is read as the JSON that it
// spells, so this struct is decoded as strictly as everything else: unknown or
// repeated keys, 1.5 or "2" for a number and null are errors.
type document struct {
	Serial       uint64              `json:"serial"`
	Previous     attest.Digest       `json:"previous,omitzero"`
	Issued       attest.Time         `json:"issued"`
	Expires      attest.Time         `json:"expires"`
	Insecure     bool                `json:"insecure,omitzero"`
	Admins       Admins              `json:"admins"`
	Log          Log                 `json:"log"`
	Witnesses    Witnesses           `json:"witnesses,omitzero"`
	Coordinators []Party             `json:"coordinators"`
	Signers      []Party             `json:"signers"`
	Publishers   []Publisher         `json:"publishers"`
	Rebuilders   []rebuilderDocument `json:"rebuilders"`
	Suites       []suiteDocument     `json:"suites"`
}

type rebuilderDocument struct {
	Operator      string             `json:"operator"`
	Key           attest.VerifierKey `json:"key"`
	NATS          string             `json:"nats"`
	Architectures []string           `json:"architectures"`
	ValidFrom     attest.Time        `json:"valid_from"`
	ValidUntil    attest.Time        `json:"valid_until"`
}

type suiteDocument struct {
	Name             string           `json:"name"`
	Mode             Mode             `json:"mode"`
	Threshold        int              `json:"threshold"`
	Rebuilders       []string         `json:"rebuilders"`
	MaxDissent       int              `json:"max_dissent"`
	Settle           *duration        `json:"settle"` // what has no safe default is required
	Deadline         duration         `json:"deadline"`
	Retries          int              `json:"retries"`
	MaxCheckpointAge *duration        `json:"max_checkpoint_age,omitzero"`
	MinIsolation     attest.Isolation `json:"min_isolation"`
	Backends         []string         `json:"backends"`
	Recipes          []attest.Digest  `json:"recipes,omitzero"`
	Kinds            []string         `json:"kinds"`
	Certificates     []Certificate    `json:"certificates"`
}

// duration is typed as in Go, 90s, 30m or 1h30m, in whole seconds.
type duration Seconds

func (d duration) MarshalText() ([]byte, error) { return []byte(Seconds(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil || parsed%time.Second != 0 {
		return malformed("duration %q is not one in whole seconds, such as 90s, 30m or 1h30m", clip(string(text)))
	}
	*d = duration(parsed / time.Second)
	return nil
}

// ParseYAML reads a policy as admins type it (docs/spec/policy.md). What it
// returns is valid, but signed by nobody.
func ParseYAML(data []byte) (Policy, error) {
	value, err := jsonOfYAML(data)
	if err != nil {
		return Policy{}, fmt.Errorf("reading policy: %w", err)
	}
	var d document
	if err := json.Unmarshal(value, &d, json.RejectUnknownMembers(true)); err != nil {
		return Policy{}, fmt.Errorf("reading policy: %w: %w", attest.ErrMalformed, err)
	}
	p := Policy{
		Admins: d.Admins, Coordinators: d.Coordinators, Expires: d.Expires, Insecure: d.Insecure, Issued: d.Issued,
		Log: d.Log, Previous: d.Previous, Publishers: d.Publishers, Serial: d.Serial, Signers: d.Signers,
		Witnesses: d.Witnesses,
	}
	for _, r := range d.Rebuilders {
		p.Rebuilders = append(p.Rebuilders, Rebuilder{
			Architectures: r.Architectures, Key: r.Key, NATS: r.NATS, Operator: r.Operator,
			ValidFrom: r.ValidFrom, ValidUntil: r.ValidUntil,
		})
	}
	for _, s := range d.Suites {
		if s.Settle == nil {
			return Policy{}, fmt.Errorf("reading policy: suite %q: %w", clip(s.Name),
				malformed("settle is missing: how long n that agree wait for the others, 0s for not at all"))
		}
		suite := Suite{
			Backends: s.Backends, Certificates: s.Certificates, Deadline: Seconds(s.Deadline), Kinds: s.Kinds,
			MaxDissent: s.MaxDissent, MinIsolation: s.MinIsolation, Mode: s.Mode, Name: s.Name, Rebuilders: s.Rebuilders,
			Recipes: s.Recipes, Retries: s.Retries, Settle: Seconds(*s.Settle), Threshold: s.Threshold,
		}
		if age := s.MaxCheckpointAge; age != nil {
			if suite.MaxCheckpointAge = Seconds(*age); *age == 0 {
				return Policy{}, fmt.Errorf("reading policy: suite %q: %w", clip(s.Name),
					malformed("max_checkpoint_age 0s; leave it out for %v", Seconds(DefaultMaxCheckpointAge/time.Second)))
			}
		}
		p.Suites = append(p.Suites, suite)
	}
	if err := p.Check(); err != nil {
		return Policy{}, fmt.Errorf("reading %w", err)
	}
	return p, nil
}

// YAML returns the policy as admins type it; [ParseYAML] reads the same policy from it.
func (p Policy) YAML() ([]byte, error) {
	d := document{
		Serial: p.Serial, Previous: p.Previous, Issued: p.Issued, Expires: p.Expires, Insecure: p.Insecure,
		Admins: p.Admins, Log: p.Log, Witnesses: p.Witnesses, Coordinators: p.Coordinators, Signers: p.Signers, Publishers: p.Publishers,
	}
	for _, r := range p.Rebuilders {
		d.Rebuilders = append(d.Rebuilders, rebuilderDocument{
			Operator: r.Operator, Key: r.Key, NATS: r.NATS, Architectures: r.Architectures,
			ValidFrom: r.ValidFrom, ValidUntil: r.ValidUntil,
		})
	}
	for _, s := range p.Suites {
		settle, age := duration(s.Settle), duration(s.MaxCheckpointAge)
		suite := suiteDocument{
			Name: s.Name, Mode: s.Mode, Threshold: s.Threshold, Rebuilders: s.Rebuilders, MaxDissent: s.MaxDissent,
			Settle: &settle, Deadline: duration(s.Deadline), Retries: s.Retries, MinIsolation: s.MinIsolation,
			Backends: s.Backends, Recipes: s.Recipes, Kinds: s.Kinds, Certificates: s.Certificates,
		}
		if age != 0 {
			suite.MaxCheckpointAge = &age
		}
		d.Suites = append(d.Suites, suite)
	}
	data, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("writing policy: %w", err)
	}
	out, err := yaml.JSONToYAML(data)
	if err != nil {
		return nil, fmt.Errorf("writing policy: %w", err)
	}
	return out, nil
}
