package policy_test

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// breaches are policies that are not valid, each for one reason.
var breaches = map[string]struct {
	change func(*policy.Policy)
	want   string
}{
	"no serial":                {func(p *policy.Policy) { p.Serial = 0 }, "serial 0"},
	"first with previous":      {func(p *policy.Policy) { p.Previous = digest("x") }, "policy 1 has none before it"},
	"later without previous":   {func(p *policy.Policy) { p.Serial = 2 }, "every later one names"},
	"no expiry":                {func(p *policy.Policy) { p.Expires = 0 }, "both are required"},
	"expires at issue":         {func(p *policy.Policy) { p.Expires = p.Issued }, "in this order"},
	"not issued":               {func(p *policy.Policy) { p.Issued = 0 }, "both are required"},
	"valid over a year":        {func(p *policy.Policy) { p.Expires = p.Issued.Add(policy.MaxValidity + time.Second) }, "at most a year"},
	"no admins":                {func(p *policy.Policy) { p.Admins.Keys = nil }, "admins: 0 entries"},
	"k of 1":                   {func(p *policy.Policy) { p.Admins.Threshold = 1 }, "at least 2 needed"},
	"k of 0":                   {func(p *policy.Policy) { p.Admins.Threshold = 0; p.Insecure = true }, "threshold 0 of 3 keys"},
	"k above the admins":       {func(p *policy.Policy) { p.Admins.Threshold = 4 }, "threshold 4 of 3 keys"},
	"origin with a port":       {func(p *policy.Policy) { p.Log.Origin = "log.example.org:80" }, "bare lower-case host name"},
	"origin with a path":       {func(p *policy.Policy) { p.Log.Origin = "log.example.org/log" }, "bare lower-case host name"},
	"origin with a scheme":     {func(p *policy.Policy) { p.Log.Origin = "https://log.example.org" }, "bare lower-case host name"},
	"origin in upper case":     {func(p *policy.Policy) { p.Log.Origin = "Log.example.org" }, "bare lower-case host name"},
	"origin missing":           {func(p *policy.Policy) { p.Log.Origin = "" }, "origin of 0 bytes"},
	"origin not of its key":    {func(p *policy.Policy) { p.Log.Origin = "example.org" }, `key is named "log.example.org"`},
	"no log key":               {func(p *policy.Policy) { p.Log.Key = attest.VerifierKey{} }, `key is named ""`},
	"no coordinator":           {func(p *policy.Policy) { p.Coordinators = nil }, "coordinators: 0 entries"},
	"no signer":                {func(p *policy.Policy) { p.Signers = nil }, "signers: 0 entries"},
	"no suite":                 {func(p *policy.Policy) { p.Suites = nil }, "suites: 0 entries"},
	"too many rebuilders":      {func(p *policy.Policy) { p.Rebuilders = make([]policy.Rebuilder, policy.MaxRebuilders+1) }, "rebuilders: 129 entries"},
	"coordinator with Ed25519": {func(p *policy.Policy) { p.Coordinators[0].Key = edKey("coordinator", "c").VerifierKey }, "want ECDSA P-256"},
	"signer with Ed25519":      {func(p *policy.Policy) { p.Signers[0].Key = edKey("signer", "s").VerifierKey }, "want ECDSA P-256"},
	"rebuilder with P-256":     {func(p *policy.Policy) { p.Rebuilders[0].Key = ecKey("alpha", "a").VerifierKey }, "want Ed25519"},
	"admin with P-256":         {func(p *policy.Policy) { p.Admins.Keys[0] = ecKey("ann", "a").VerifierKey }, "want Ed25519"},
	"publisher with P-256":     {func(p *policy.Policy) { p.Publishers[0].Key = ecKey("builds", "b").VerifierKey }, "want Ed25519"},
	"log with P-256":           {func(p *policy.Policy) { p.Log.Key = ecKey("log.example.org", "l").VerifierKey }, "want Ed25519"},
	"name that is no name":     {func(p *policy.Policy) { p.Rebuilders[0].Key = edKey("Alpha", "a").VerifierKey }, "lower-case letters"},
	"a name twice in a role":   {func(p *policy.Policy) { p.Rebuilders[1].Key = edKey("alpha", "other").VerifierKey }, `two keys of role rebuilder are named "alpha"`},
	"a key twice in a role":    {func(p *policy.Policy) { p.Admins.Keys[1] = edKey("bob", "admin ann").VerifierKey }, `admin "bob" has the same key as admin "ann"`},
	"a key in two roles":       {func(p *policy.Policy) { p.Rebuilders[0].Key = edKey("alpha", "admin ann").VerifierKey }, `rebuilder "alpha" has the same key as admin "ann"`},
	"a P-256 key in two roles": {func(p *policy.Policy) { p.Signers[0].Key = ecKey("signer", "coordinator").VerifierKey }, `signer "signer" has the same key as coordinator "coordinator"`},
	"a NATS key twice":         {func(p *policy.Policy) { p.Rebuilders[0].NATS = p.Signers[0].NATS }, "has the same key as the NATS connection of signer"},
	"no NATS key":              {func(p *policy.Policy) { p.Rebuilders[0].NATS = "" }, "not a public user nkey"},
	"a NATS key mistyped":      {func(p *policy.Policy) { p.Rebuilders[0].NATS = swapped(p.Rebuilders[0].NATS) }, "mistyped"},
	"no quota":                 {func(p *policy.Policy) { p.Publishers[0].Quota = 0 }, "quota 0"},
	"publisher's suite":        {func(p *policy.Policy) { p.Publishers[0].Suites = []string{"testing"} }, `suite "testing": not in the policy`},
	"no sources":               {func(p *policy.Policy) { p.Publishers[0].Sources = nil }, "list of source pattern: 0 entries"},
	"asterisk inside":          {func(p *policy.Policy) { p.Publishers[0].Sources = []string{"a*b"} }, "asterisk that is not its end"},
	"no operator":              {func(p *policy.Policy) { p.Rebuilders[0].Operator = "" }, "operator"},
	"no architecture":          {func(p *policy.Policy) { p.Rebuilders[0].Architectures = nil }, "list of architecture: 0 entries"},
	"architecture twice":       {func(p *policy.Policy) { p.Rebuilders[0].Architectures = []string{"amd64", "amd64"} }, `"amd64" is listed twice`},
	"key never valid":          {func(p *policy.Policy) { p.Rebuilders[0].ValidUntil = p.Rebuilders[0].ValidFrom }, "in this order"},
	"suite twice":              {func(p *policy.Policy) { p.Suites = append(p.Suites, p.Suites[0]) }, `two suites are named "stable"`},
	"certificate of two suites": {func(p *policy.Policy) {
		s := p.Suites[0]
		s.Name = "testing"
		p.Suites = append(p.Suites, s)
	}, "serves another suite or use already"},
	"no certificate":        {func(p *policy.Policy) { p.Suites[0].Certificates = nil }, "certificates: 0 entries"},
	"fingerprint":           {func(p *policy.Policy) { p.Suites[0].Certificates[0].Fingerprint = "abcd" }, "fingerprint of 4 characters"},
	"use":                   {func(p *policy.Policy) { p.Suites[0].Certificates[0].Use = "text" }, `use "text"`},
	"mode":                  {func(p *policy.Policy) { p.Suites[0].Mode = "observe" }, `mode "observe"`},
	"no back-end":           {func(p *policy.Policy) { p.Suites[0].Backends = nil }, "list of back-end: 0 entries"},
	"no kind":               {func(p *policy.Policy) { p.Suites[0].Kinds = nil }, "list of artifact kind: 0 entries"},
	"empty recipes":         {func(p *policy.Policy) { p.Suites[0].Recipes = []attest.Digest{} }, "leave the list out"},
	"recipe twice":          {func(p *policy.Policy) { p.Suites[0].Recipes = []attest.Digest{digest("x"), digest("x")} }, "listed twice"},
	"no deadline":           {func(p *policy.Policy) { p.Suites[0].Deadline = 0 }, "deadline 0s"},
	"deadline in a year":    {func(p *policy.Policy) { p.Suites[0].Deadline = 365 * 86400 }, "to 2160h allowed"},
	"settle after deadline": {func(p *policy.Policy) { p.Suites[0].Settle = p.Suites[0].Deadline + 1 }, "settle time 2h0m1s"},
	"settle before opening": {func(p *policy.Policy) { p.Suites[0].Settle = -1 }, "settle time -1s"},
	"retries":               {func(p *policy.Policy) { p.Suites[0].Retries = policy.MaxRetries + 1 }, "100 retries"},
	"unknown rebuilder":     {func(p *policy.Policy) { p.Suites[0].Rebuilders = append(p.Suites[0].Rebuilders, "mallory") }, `rebuilder "mallory": not in the policy`},
	"rebuilder twice":       {func(p *policy.Policy) { p.Suites[0].Rebuilders[1] = "alpha" }, `"alpha" is listed twice`},
	"n of 1":                {func(p *policy.Policy) { p.Suites[0].Threshold = 1 }, "at least 2 needed"},
	"n of 0":                {func(p *policy.Policy) { p.Suites[0].Threshold = 0; p.Insecure = true }, "threshold 0 of 3 operators"},
	"n above m":             {func(p *policy.Policy) { p.Suites[0].Threshold = 4; p.Insecure = true }, "threshold 4 of 3 operators"},
	"n above the operators": {func(p *policy.Policy) { p.Suites[0].Threshold = 3; p.Rebuilders[1].Operator = "alpha" }, "threshold 3 of 2 operators"},
	"n is half of m": {func(p *policy.Policy) {
		p.Rebuilders = append(p.Rebuilders, rebuilder("delta", "delta"))
		p.Suites[0].Rebuilders = append(p.Suites[0].Rebuilders, "delta")
	}, "more than half needed"},
	"more dissent than there can be": {func(p *policy.Policy) { p.Suites[0].MaxDissent = 2 }, "max_dissent 2"},
	"dissent where all must agree":   {func(p *policy.Policy) { p.Suites[0].Threshold, p.Suites[0].MaxDissent = 3, 1 }, "max_dissent 1"},
	"as much dissent as agreement": {func(p *policy.Policy) {
		for _, name := range []string{"delta", "epsilon"} {
			p.Rebuilders = append(p.Rebuilders, rebuilder(name, name))
			p.Suites[0].Rebuilders = append(p.Suites[0].Rebuilders, name)
		}
		p.Suites[0].MaxDissent, p.Insecure = 2, true
	}, "max_dissent 2"},
	"log's operator": {func(p *policy.Policy) { p.Log.Operator = "The Log" }, "log: operator"},
	"witnesses, but who runs the log": {func(p *policy.Policy) {
		p.Witnesses = policy.Witnesses{Quorum: 1, Keys: []policy.Witness{witness("w", "w")}}
	}, "log: operator is missing"},
	"quorum of no witness":       {witnesses(1), "witnesses: 0 entries"},
	"no quorum":                  {witnesses(0, witness("w", "w")), "quorum 0 of 1 keys"},
	"quorum above the witnesses": {witnesses(2, witness("w", "w")), "quorum 2 of 1 keys"},
	"too many witnesses":         {witnesses(1, slices.Repeat([]policy.Witness{witness("w", "w")}, 16)...), "16 entries, 1 to 15"},
	"witness without operator":   {witnesses(1, witness("w", "")), `witness "w": operator`},
	"witness twice":              {witnesses(1, witness("w", "w"), witness("w", "w")), `witness "w": its name or its key is there twice`},
	"witness under two names": {func(p *policy.Policy) {
		again := must(attest.NewCosignatureKey("again", witness("w", "w").Key.Public().(ed25519.PublicKey)))
		witnesses(1, witness("w", "w"), policy.Witness{Key: again, Operator: "again"})(p)
	}, `witness "again": its name or its key is there twice`},
	"witness with another kind of key": {witnesses(1, policy.Witness{Key: edKey("w", "w").VerifierKey, Operator: "w"}), "key is Ed25519, want"},
	"the log as its own witness": {func(p *policy.Policy) {
		own := must(attest.NewCosignatureKey("w", p.Log.Key.Public().(ed25519.PublicKey)))
		witnesses(1, policy.Witness{Key: own, Operator: "w"})(p)
	}, `witness "w" has the same key as log "log.example.org"`},
	"a rebuilder as a witness": {func(p *policy.Policy) {
		own := must(attest.NewCosignatureKey("w", p.Rebuilders[0].Key.Public().(ed25519.PublicKey)))
		witnesses(1, policy.Witness{Key: own, Operator: "w"})(p)
	}, `rebuilder "alpha" has the same key as witness "w"`},
	"a cosignature key that votes": {func(p *policy.Policy) { p.Rebuilders[0].Key = witness("alpha", "w").Key }, `rebuilder "alpha": key is`},
	"negative age of checkpoints":  {func(p *policy.Policy) { p.Suites[0].MaxCheckpointAge = -1 }, "max_checkpoint_age -1s"},
	"checkpoints of last month":    {func(p *policy.Policy) { p.Suites[0].MaxCheckpointAge = 30 * 86400 }, "1s to 168h allowed"},
	"negative dissent":             {func(p *policy.Policy) { p.Suites[0].MaxDissent = -1 }, "max_dissent -1"},
	"isolation unknown":            {func(p *policy.Policy) { p.Suites[0].MinIsolation = "some" }, "not a known level"},
	"isolation none":               {func(p *policy.Policy) { p.Suites[0].MinIsolation = attest.IsolationNone }, "needs an insecure policy"},
}

// witnesses gives a policy witnesses.
func witnesses(quorum int, keys ...policy.Witness) func(*policy.Policy) {
	return func(p *policy.Policy) {
		p.Log.Operator, p.Witnesses = "example", policy.Witnesses{Keys: keys, Quorum: quorum}
	}
}

// swapped exchanges two different neighbours, as hasty fingers do.
func swapped(s string) string {
	for i := 2; ; i++ {
		if s[i] != s[i+1] {
			return s[:i] + s[i+1:i+2] + s[i:i+1] + s[i+2:]
		}
	}
}

func TestInvalidPoliciesAreRefused(t *testing.T) {
	t.Parallel()
	for name, breach := range breaches {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPolicy(2, 0, "alpha", "beta", "gamma")
			if err := p.Check(); err != nil {
				t.Fatalf("unchanged: %v", err)
			}
			breach.change(&p)
			err := p.Check()
			if err == nil || !strings.Contains(err.Error(), breach.want) || !errors.Is(err, attest.ErrMalformed) {
				t.Errorf("error %v, want malformed and %q", err, breach.want)
			}
			if _, err := p.Encode(); err == nil {
				t.Error("it can be encoded, and so be signed")
			}
			if data, err := attest.MarshalCanonical(p); err == nil {
				if _, err := policy.Parse(data); err == nil {
					t.Error("it can be parsed")
				}
			}
		})
	}
}

func TestInsecureRelaxesThresholdsAndIsolationOnly(t *testing.T) {
	t.Parallel()
	relaxed := []string{"k of 1", "n of 1", "n is half of m", "isolation none"}
	for name, breach := range breaches {
		p := newPolicy(2, 0, "alpha", "beta", "gamma")
		breach.change(&p)
		p.Insecure = true
		free := false
		for _, r := range relaxed {
			free = free || r == name
		}
		if err := p.Check(); (err == nil) != free {
			t.Errorf("%s in an insecure policy: %v", name, err)
		}
	}
}

func TestAPolicyIsInForceUntilItExpires(t *testing.T) {
	t.Parallel()
	p := newPolicy(2, 0, "alpha", "beta", "gamma")
	for at, want := range map[attest.Time]bool{
		p.Issued - grace - 1: false, p.Issued - grace: true, p.Issued: true, p.Expires - 1: true, p.Expires: false,
	} {
		if err := p.InForce(at); (err == nil) != want || err != nil && !errors.Is(err, policy.ErrNotInForce) {
			t.Errorf("at %v: %v", at, err)
		}
	}
}
