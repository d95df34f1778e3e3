package translog

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/reprosign/reprosign/attest"
)

// Limits of tlog-policy files.
const (
	// MaxTLogPolicy bounds a tlog-policy file, in bytes.
	MaxTLogPolicy = 64 << 10
	// MaxLogs bounds the logs in one.
	MaxLogs = 32
)

// noQuorum is the quorum, and so the one name that nothing may have, which
// asks for no witness.
const noQuorum = "none"

// TLogPolicy is a C2SP tlog-policy: which logs and which witnesses somebody
// trusts. Other tools read it; reprosign's own trust stands in its policy and
// in trust files. Of the grammar's nested groups it knows the one shape that
// those have: k out of n witnesses.
type TLogPolicy struct {
	Logs      []TLogPolicyKey
	Witnesses []TLogPolicyKey
	Quorum    int // how many witnesses must cosign; 0 if none has to
}

// TLogPolicyKey is a log or a witness in a tlog-policy.
type TLogPolicyKey struct {
	Key attest.VerifierKey
	URL string // empty if the file gives none
}

// Set returns the witnesses of the policy.
func (p TLogPolicy) Set() Witnesses {
	w := Witnesses{Quorum: p.Quorum}
	for _, k := range p.Witnesses {
		w.Keys = append(w.Keys, k.Key)
	}
	return w
}

// quorumName is the name of the group that the quorum is of.
func (p TLogPolicy) quorumName() string { return fmt.Sprintf("%d-of-%d", p.Quorum, len(p.Witnesses)) }

func (p TLogPolicy) check() error {
	if len(p.Logs) > MaxLogs {
		return malformed("%d logs, at most %d allowed", len(p.Logs), MaxLogs)
	}
	seen := map[attest.Digest]bool{}
	for _, k := range slices.Concat(p.Logs, p.Witnesses) {
		if seen[k.Key.Fingerprint()] {
			return malformed("key of %q is listed twice", k.Key.Name())
		}
		seen[k.Key.Fingerprint()] = true
		if strings.ContainsFunc(k.URL, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return malformed("URL %.80q", k.URL)
		}
	}
	for _, k := range p.Logs {
		if k.Key.Algorithm() != attest.Ed25519 {
			return malformed("log key of %q is %v, must be %v", k.Key.Name(), k.Key.Algorithm(), attest.Ed25519)
		}
	}
	for _, k := range p.Witnesses {
		if name := k.Key.Name(); name == noQuorum || name == p.quorumName() {
			return malformed("witness %q has a name with another meaning here", name)
		}
	}
	return p.Set().Check()
}

// Marshal returns the text form. Witnesses go by the names of their keys.
func (p TLogPolicy) Marshal() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("writing tlog-policy: %w", err)
	}
	var b bytes.Buffer
	line := func(items ...string) { fmt.Fprintln(&b, strings.TrimSuffix(strings.Join(items, " "), " ")) }
	for _, k := range p.Logs {
		line("log", k.Key.String(), k.URL)
	}
	members := make([]string, len(p.Witnesses))
	for i, k := range p.Witnesses {
		line("witness", k.Key.Name(), k.Key.String(), k.URL)
		members[i] = k.Key.Name()
	}
	if p.Quorum == 0 {
		line("quorum", noQuorum)
		return b.Bytes(), nil
	}
	line(append([]string{"group", p.quorumName(), strconv.Itoa(p.Quorum)}, members...)...)
	line("quorum", p.quorumName())
	return b.Bytes(), nil
}

// ParseTLogPolicy reads the text form. Witnesses that the quorum does not name
// are left out: they cannot count. Groups of groups are refused.
func ParseTLogPolicy(data []byte) (TLogPolicy, error) {
	if len(data) > MaxTLogPolicy {
		return TLogPolicy{}, malformed("tlog-policy of %d bytes, at most %d allowed", len(data), MaxTLogPolicy)
	}
	r := tlogPolicyReader{names: map[string][]TLogPolicyKey{}, thresholds: map[string]int{}, member: map[string]bool{}}
	for i, line := range strings.Split(string(data), "\n") {
		if err := r.line(line); err != nil {
			return TLogPolicy{}, fmt.Errorf("parsing tlog-policy: line %d: %w", i+1, err)
		}
	}
	if !r.done {
		return TLogPolicy{}, malformed("parsing tlog-policy: no quorum line")
	}
	for _, p := range []TLogPolicy{{Logs: r.Logs, Witnesses: r.all}, r.TLogPolicy} {
		if err := p.check(); err != nil {
			return TLogPolicy{}, fmt.Errorf("parsing tlog-policy: %w", err)
		}
	}
	return r.TLogPolicy, nil
}

// tlogPolicyReader is what the lines above have defined.
type tlogPolicyReader struct {
	TLogPolicy

	all        []TLogPolicyKey            // every witness
	names      map[string][]TLogPolicyKey // witnesses by name, and the members of groups
	thresholds map[string]int             // of groups
	member     map[string]bool            // names that a group has already
	done       bool                       // the quorum is known
}

func (r *tlogPolicyReader) line(line string) error {
	for i := range len(line) {
		if c := line[i]; c < ' ' && c != '\t' || c == 0x7f {
			return malformed("control character %#02x", c)
		}
	}
	items := strings.FieldsFunc(line, func(c rune) bool { return c == ' ' || c == '\t' })
	if len(items) == 0 || strings.HasPrefix(line, "#") {
		return nil
	}
	switch word, args := items[0], items[1:]; {
	case word == "log" && (len(args) == 1 || len(args) == 2):
		return r.key(&r.Logs, args)
	case word == "witness" && (len(args) == 2 || len(args) == 3):
		if err := r.define(args[0]); err != nil {
			return err
		}
		if err := r.key(&r.all, args[1:]); err != nil {
			return err
		}
		r.names[args[0]] = r.all[len(r.all)-1:]
		return nil
	case word == "group" && len(args) >= 3:
		return r.group(args[0], args[1], args[2:])
	case word == "quorum" && len(args) == 1:
		return r.quorum(args[0])
	}
	return malformed("not log, witness, group or quorum with what belongs to it")
}

// define refuses a name that is taken.
func (r *tlogPolicyReader) define(name string) error {
	if r.names[name] != nil || name == noQuorum {
		return malformed("name %.80q is taken", name)
	}
	return nil
}

func (r *tlogPolicyReader) key(list *[]TLogPolicyKey, args []string) error {
	k, err := attest.ParseVerifierKey(args[0])
	if err != nil {
		return err
	}
	out := TLogPolicyKey{Key: k}
	if len(args) == 2 {
		out.URL = args[1]
	}
	*list = append(*list, out)
	return nil
}

func (r *tlogPolicyReader) group(name, threshold string, members []string) error {
	if err := r.define(name); err != nil {
		return err
	}
	var keys []TLogPolicyKey
	for _, m := range members {
		switch {
		case r.thresholds[m] != 0:
			return malformed("group %.80q holds a group, which this reader does not know", name)
		case r.names[m] == nil:
			return malformed("group %.80q holds %.80q, which no line above defines", name, m)
		case r.member[m]:
			return malformed("%.80q is a member twice", m)
		}
		r.member[m] = true
		keys = append(keys, r.names[m]...)
	}
	k := 1
	switch threshold {
	case "any":
	case "all":
		k = len(keys)
	default:
		var err error
		if k, err = strconv.Atoi(threshold); err != nil || k < 1 || k > len(keys) || strconv.Itoa(k) != threshold {
			return malformed("threshold %.20q of group %.80q", threshold, name)
		}
	}
	r.names[name], r.thresholds[name] = keys, k
	return nil
}

func (r *tlogPolicyReader) quorum(name string) error {
	if r.done {
		return malformed("a second quorum")
	}
	r.done = true
	if name == noQuorum {
		r.Witnesses = r.all
		return nil
	}
	if r.names[name] == nil {
		return malformed("quorum %.80q, which no line above defines", name)
	}
	r.Witnesses, r.Quorum = r.names[name], max(1, r.thresholds[name])
	return nil
}
