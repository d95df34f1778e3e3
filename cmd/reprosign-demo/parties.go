package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// The parties, by the names that are in the policy.
const (
	coordinatorName = "coordinator"
	signerName      = "signer"
	publisherName   = "publisher"
	dashboardName   = "dashboard"
	hsmName         = "softhsm"

	logOrigin   = "log.demo.reprosign.example"
	logOperator = "house"
	// misconfigured is the rebuilder whose go command drops -trimpath.
	misconfigured = "delta"
)

var (
	adminNames = []string{"ada", "grace"}
	// rebuilderNames and the operators they belong to.
	rebuilderNames = []string{"alpha", "beta", "gamma", misconfigured}
	operatorOf     = map[string]string{"alpha": "north", "beta": "south", "gamma": "east", misconfigured: "west"}
)

// The rules of the demo's suites.
const (
	threshold  = 3 // of the four operators
	deadline   = policy.Seconds(30 * 60)
	settleTime = policy.Seconds(10 * 60)
	policyLife = 7 * 24 * time.Hour
	quota      = 10
)

// keys are the public halves of everybody's keys.
type keys struct {
	verifier map[string]attest.VerifierKey
	nats     map[string]string
}

// generateKeys has every party make its keys, in its own directory.
func (d *demo) generateKeys(ctx context.Context) error {
	d.keys = keys{verifier: map[string]attest.VerifierKey{}, nats: map[string]string{}}
	for _, k := range d.keysToMake() {
		if _, err := os.Stat(d.place.party(k.party)); err != nil {
			if _, err := d.place.directory(privateDir, k.party); err != nil {
				return err
			}
		}
		public, err := d.keygen(ctx, k)
		if err != nil {
			return fmt.Errorf("making a key of %s: %w", k.party, err)
		}
		if k.role == natsKey {
			d.keys.nats[k.party] = public
			continue
		}
		if d.keys.verifier[k.name], err = attest.ParseVerifierKey(public); err != nil {
			return fmt.Errorf("making a key of %s: %w", k.party, err)
		}
	}
	d.screen.event("everybody", "made their own keys: %d in all, and no two parties share one", len(d.keys.verifier)+len(d.keys.nats))
	return nil
}

// keyToMake is one private key.
type keyToMake struct {
	party string // whose directory it lies in
	file  string
	role  string // as `reprosign keygen` calls it, or natsKey
	name  string // in the policy
}

// natsKey in the place of a role is the key that a party connects to the bus with.
const natsKey = "nats"

func (d *demo) keysToMake() []keyToMake {
	list := []keyToMake{
		{coordinatorName, "opening.pem", "coordinator", coordinatorName},
		{coordinatorName, "log.pem", "log", logOrigin},
		{signerName, "statement.pem", "signer", signerName},
		{publisherName, "publisher.pem", "publisher", publisherName},
	}
	for _, name := range adminNames {
		list = append(list, keyToMake{name, "admin.pem", "admin", name})
	}
	for _, name := range rebuilderNames {
		list = append(list, keyToMake{name, "attestation.pem", "rebuilder", name})
	}
	for _, name := range witnessNames {
		list = append(list, keyToMake{name, "witness.pem", "witness", witnessKey(name)})
	}
	for _, name := range append([]string{coordinatorName, signerName, publisherName}, rebuilderNames...) {
		list = append(list, keyToMake{name, seedFile, natsKey, name})
	}
	return list
}

const seedFile = "nats.seed"

// signPolicy has the admins write the policy down and sign it, both of them.
func (d *demo) signPolicy(ctx context.Context) error {
	p := d.rules(time.Now())
	text, err := p.YAML()
	if err != nil {
		return err
	}
	draft := d.place.party(adminNames[0], "policy.yaml")
	if err := writePublic(draft, text); err != nil {
		return fmt.Errorf("writing the policy: %w", err)
	}
	if err := d.adminsSign(ctx, draft); err != nil {
		return fmt.Errorf("signing the policy: %w", err)
	}
	data, err := os.ReadFile(d.policyPath())
	if err != nil {
		return fmt.Errorf("reading the signed policy: %w", err)
	}
	e, err := attest.ParseEnvelope([]byte(strings.TrimSuffix(string(data), "\n")))
	if err != nil {
		return fmt.Errorf("reading the signed policy: %w", err)
	}
	chain, err := policy.Pin(e)
	if err != nil {
		return fmt.Errorf("reading the signed policy: %w", err)
	}
	d.policy = chain.Newest()
	if err := writePublic(d.place.result(trustDir, logKeyFile), []byte(d.policy.Log.Key.String()+"\n")); err != nil {
		return fmt.Errorf("writing the log's verifier key: %w", err)
	}
	d.screen.event("admins", "%s signed policy 1: %d of %d operators must agree, in each of %d suites",
		strings.Join(adminNames, " and "), threshold, len(rebuilderNames), len(p.Suites))
	return nil
}

func (d *demo) policyPath() string { return d.place.result(trustDir, policyFile) }

// rules is the policy that the admins agreed on.
func (d *demo) rules(now time.Time) policy.Policy {
	at := attest.At(now)
	p := policy.Policy{
		Serial: 1, Issued: at, Expires: at.Add(policyLife),
		Admins:       policy.Admins{Threshold: len(adminNames)},
		Log:          policy.Log{Origin: logOrigin, Key: d.keys.verifier[logOrigin], Operator: logOperator},
		Witnesses:    policy.Witnesses{Quorum: len(witnessNames)},
		Coordinators: []policy.Party{{Key: d.keys.verifier[coordinatorName], NATS: d.keys.nats[coordinatorName]}},
		Signers:      []policy.Party{{Key: d.keys.verifier[signerName], NATS: d.keys.nats[signerName]}},
	}
	for _, name := range adminNames {
		p.Admins.Keys = append(p.Admins.Keys, d.keys.verifier[name])
	}
	for _, name := range witnessNames {
		p.Witnesses.Keys = append(p.Witnesses.Keys, policy.Witness{Key: d.keys.verifier[witnessKey(name)], Operator: name})
	}
	publisher := policy.Publisher{Key: d.keys.verifier[publisherName], NATS: d.keys.nats[publisherName], Quota: quota}
	for _, r := range d.releases {
		publisher.Sources = append(publisher.Sources, r.name)
		publisher.Suites = append(publisher.Suites, r.suite)
		p.Suites = append(p.Suites, r.rules(d.certificates[r.suite].Fingerprint()))
	}
	p.Publishers = []policy.Publisher{publisher}
	for _, name := range rebuilderNames {
		p.Rebuilders = append(p.Rebuilders, policy.Rebuilder{
			Operator: operatorOf[name], Key: d.keys.verifier[name], NATS: d.keys.nats[name],
			Architectures: []string{d.architecture}, ValidFrom: at, ValidUntil: at.Add(policyLife),
		})
	}
	return p
}
