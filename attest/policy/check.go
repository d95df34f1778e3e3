package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/reprosign/reprosign/attest"
)

// Check reports why the policy is not valid (docs/spec/policy.md, "Validity").
// The error says which entry to change.
func (p Policy) Check() error {
	for _, check := range []func() error{p.checkHead, p.checkAdmins, p.checkLog, p.checkWitnesses, p.checkParties, p.checkKeys, p.checkSuites} {
		if err := check(); err != nil {
			return fmt.Errorf("policy: %w", err)
		}
	}
	return nil
}

func (p Policy) checkHead() error {
	if p.Serial < 1 || p.Serial > maxSerial {
		return malformed("serial %d, 1 to %d allowed", p.Serial, uint64(maxSerial))
	}
	if first := p.Serial == 1; first != p.Previous.IsZero() {
		return malformed("serial %d: policy 1 has none before it, every later one names the digest of the one before", p.Serial)
	}
	if p.Issued <= 0 || p.Expires <= p.Issued {
		return malformed("issued %v, expires %v: both are required, in this order", p.Issued, p.Expires)
	}
	if p.Expires > p.Issued.Add(MaxValidity) {
		return malformed("issued %v, expires %v: at most a year later is allowed", p.Issued, p.Expires)
	}
	return nil
}

func (p Policy) checkAdmins() error {
	k, a := p.Admins.Threshold, len(p.Admins.Keys)
	if err := checkCount("admins", a, 1, MaxAdmins); err != nil {
		return err
	}
	if k < 1 || k > a {
		return malformed("admins: threshold %d of %d keys", k, a)
	}
	if k < secureAdmins && !p.Insecure {
		return malformed("admins: threshold %d, at least %d needed unless the policy is insecure", k, secureAdmins)
	}
	return nil
}

// checkLog wants an origin without scheme, port or path: it is a name in
// signatures, and where the log is served from may change.
func (p Policy) checkLog() error {
	if p.Log.Origin == "" || len(p.Log.Origin) > attest.MaxText {
		return malformed("log: origin of %d bytes, 1 to %d allowed", len(p.Log.Origin), attest.MaxText)
	}
	for label := range strings.SplitSeq(p.Log.Origin, ".") {
		if attest.CheckName(label) != nil {
			return malformed("log: origin %q is not a bare lower-case host name", clip(p.Log.Origin))
		}
	}
	if p.Log.Key.Name() != p.Log.Origin {
		return malformed("log: key is named %q, want the origin %q", p.Log.Key.Name(), p.Log.Origin)
	}
	if p.Log.Operator == "" {
		return nil
	}
	if err := attest.CheckName(p.Log.Operator); err != nil {
		return fmt.Errorf("log: operator: %w", err)
	}
	return nil
}

func (p Policy) checkParties() error {
	for _, c := range []struct {
		what        string
		n, min, max int
	}{
		{"coordinators", len(p.Coordinators), 1, MaxParties},
		{"signers", len(p.Signers), 1, MaxParties},
		{"publishers", len(p.Publishers), 0, MaxPublishers},
		{"rebuilders", len(p.Rebuilders), 1, MaxRebuilders},
		{"suites", len(p.Suites), 1, MaxSuites},
	} {
		if err := checkCount(c.what, c.n, c.min, c.max); err != nil {
			return err
		}
	}
	for i := range p.Publishers {
		if err := p.checkPublisher(&p.Publishers[i]); err != nil {
			return fmt.Errorf("publisher %q: %w", clip(p.Publishers[i].Key.Name()), err)
		}
	}
	for i := range p.Rebuilders {
		if err := p.Rebuilders[i].check(); err != nil {
			return fmt.Errorf("rebuilder %q: %w", clip(p.Rebuilders[i].Key.Name()), err)
		}
	}
	return nil
}

func (p Policy) checkPublisher(b *Publisher) error {
	if b.Quota < 1 || b.Quota > MaxQuota {
		return malformed("quota %d, 1 to %d allowed", b.Quota, MaxQuota)
	}
	if err := checkList("suite", b.Suites, attest.CheckName); err != nil {
		return err
	}
	for _, name := range b.Suites {
		if _, err := p.Suite(name); err != nil {
			return fmt.Errorf("%w: %w", attest.ErrMalformed, err)
		}
	}
	return checkList("source pattern", b.Sources, checkPattern)
}

func (r *Rebuilder) check() error {
	if err := attest.CheckName(r.Operator); err != nil {
		return fmt.Errorf("operator: %w", err)
	}
	if r.ValidFrom <= 0 || r.ValidUntil <= r.ValidFrom {
		return malformed("valid from %v until %v: both are required, in this order", r.ValidFrom, r.ValidUntil)
	}
	return checkList("architecture", r.Architectures, checkWord)
}

// checkList wants at least one entry, each valid and none twice.
func checkList(what string, list []string, check func(string) error) error {
	if err := checkCount("list of "+what, len(list), 1, MaxEntries); err != nil {
		return err
	}
	seen := make(map[string]bool, len(list))
	for _, s := range list {
		if err := check(s); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if seen[s] {
			return malformed("%s %q is listed twice", what, s)
		}
		seen[s] = true
	}
	return nil
}

func checkCount(what string, n, least, most int) error {
	if n < least || n > most {
		return malformed("%s: %d entries, %d to %d allowed", what, n, least, most)
	}
	return nil
}

// checkPattern admits a source name, or the beginning of one followed by an asterisk.
func checkPattern(s string) error {
	if s == "*" {
		return nil
	}
	if err := checkWord(s); err != nil {
		return err
	}
	if at := strings.Index(s, "*"); at >= 0 && at != len(s)-1 {
		return malformed("%q has an asterisk that is not its end", clip(s))
	}
	return nil
}

// checkWord admits what requests admit as source name and architecture.
func checkWord(s string) error {
	if s == "" || len(s) > attest.MaxText {
		return malformed("%d bytes, 1 to %d allowed", len(s), attest.MaxText)
	}
	if strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return malformed("%q holds a character outside printable ASCII", clip(s))
	}
	return nil
}

func matches(pattern, source string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(source, prefix)
	}
	return pattern == source
}

// operators counts the distinct operators among rebuilders.
func operators(rebuilders []*Rebuilder) int {
	var names []string
	for _, r := range rebuilders {
		if !slices.Contains(names, r.Operator) {
			names = append(names, r.Operator)
		}
	}
	return len(names)
}
