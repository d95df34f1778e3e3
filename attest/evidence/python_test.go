package evidence_test

import (
	"bufio"
	"bytes"
	"context"
	_ "embed" // the driver
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
)

// pythonDriver runs what examples/python verifies, one question a line.
//
//go:embed testdata/driver.py
var pythonDriver string

const pythonExample = "../../examples/python"

// interpreter returns a Python that has the package "cryptography". It reads the
// example, for go test to know that its results depend on it.
func interpreter(t *testing.T) string {
	t.Helper()
	sources, err := filepath.Glob(filepath.Join(pythonExample, "*.py"))
	if err != nil || len(sources) == 0 {
		t.Fatalf("no example in %s: %v", pythonExample, err)
	}
	for _, source := range sources {
		if _, err := os.ReadFile(source); err != nil {
			t.Fatal(err)
		}
	}
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.CommandContext(t.Context(), python, "-c", "import cryptography").Run() == nil {
			return python
		}
	}
	t.Fatal("no Python with the package cryptography: .ci/setup test installs it")
	return ""
}

// python is the independent verifier, kept running.
type python struct {
	in  io.Writer
	out *bufio.Reader
}

// question asks for a verdict on evidence, with a file or without, or on one document.
type question struct {
	What  string `json:"what"` // evidence, evaluate, policy, trust, request, opening, rebuild, decision or artifacts
	Data  []byte `json:"data"`
	Trust []byte `json:"trust,omitempty"`
	Name  string `json:"name,omitempty"`
	File  []byte `json:"file,omitempty"`
}

func startPython(t *testing.T) *python {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), interpreter(t), "-c", pythonDriver, pythonExample)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			t.Error(err)
		}
	})
	return &python{in, bufio.NewReader(out)}
}

// errRefused is a refusal by the independent verifier.
var errRefused = errors.New("refused by the independent verifier")

// ask returns nil if the answer is yes. A verifier that fails in any other way
// than by refusing fails the test.
func (p *python) ask(t *testing.T, q question) error {
	t.Helper()
	_, err := p.verdict(t, q)
	return err
}

// verdict asks, and returns what the answer holds besides.
func (p *python) verdict(t *testing.T, q question) (json.RawMessage, error) {
	t.Helper()
	line, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	answer, err := p.out.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var a struct {
		Refused, Failed string
		Verdict         json.RawMessage
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		t.Fatal(err)
	}
	if a.Failed != "" {
		t.Errorf("the independent verifier fails: %s", a.Failed)
	}
	if a.Refused != "" {
		return nil, fmt.Errorf("%w: %s", errRefused, a.Refused)
	}
	return a.Verdict, nil
}

// encode spells a bundle as it is, whatever is wrong with it.
func encode(t *testing.T, b *evidence.Bundle) []byte {
	t.Helper()
	data, err := attest.MarshalCanonical(b)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func encodeTrust(t *testing.T, trust evidence.Trust) []byte {
	t.Helper()
	data, err := trust.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestIndependentVerifierReachesTheSameVerdicts(t *testing.T) {
	t.Parallel()
	p := startPython(t)
	for _, c := range evidencetest.Spoils() {
		_, spoiled, trust := c.Make(t) // TestSpoiledEvidenceIsRefusedWithTheReason says that Verify refuses it
		q := question{What: "evidence", Data: encode(t, spoiled), Trust: encodeTrust(t, trust)}
		if err := p.ask(t, q); err == nil {
			t.Errorf("%s: the independent verifier accepts", c.Name)
		}
	}
	for _, c := range evidencetest.Sounds() {
		b, trust, name, file := c.Case(t)
		q := question{What: "evidence", Data: encode(t, b), Trust: encodeTrust(t, trust), Name: name, File: file}
		if err := p.ask(t, q); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		q.File = append(bytes.Clone(file), 'x')
		if err := p.ask(t, q); err == nil {
			t.Errorf("%s: the independent verifier accepts another file", c.Name)
		}
		q.Name, q.File = "other.deb", file
		if err := p.ask(t, q); err == nil {
			t.Errorf("%s: the independent verifier accepts another name", c.Name)
		}
	}
}

// Every value in every document is changed a little, and signed again where it
// is a policy: both readers must agree on what is still well-formed and valid.
func TestIndependentReaderAgreesOnEveryChangedValue(t *testing.T) {
	t.Parallel()
	p := startPython(t)
	w := evidencetest.New(t, evidencetest.Options{Witnesses: 3, Change: func(p *policy.Policy) {
		p.Suites[0].Recipes = []attest.Digest{attest.SHA256([]byte("build"))}
		p.Suites[0].MaxCheckpointAge, p.Suites[0].MaxDissent, p.Insecure = 600, 1, true
		p.Serial, p.Previous = 2, attest.SHA256([]byte("policy 1"))
	}})
	r := w.Release(t, 1)
	artifacts, err := r.Artifacts.Encode()
	if err != nil {
		t.Fatal(err)
	}
	trust := encodeTrust(t, evidence.Trust{Policy: w.Envelope, Witnesses: evidencetest.WitnessesOf(evidencetest.WitnessKey(t, "mine"), w.Witnesses[0])})
	agreed, both := 0, 0
	for _, c := range []struct {
		what string
		data []byte
		read func(data []byte) error
	}{
		{"policy", w.Envelope.Payload, func(data []byte) error { _, err := policy.Parse(data); return err }},
		{"trust", trust, func(data []byte) error { _, err := evidence.ParseTrust(data); return err }},
		{"request", r.Request.Payload, func(data []byte) error { _, err := attest.ParseRequest(data); return err }},
		{"opening", r.Opening.Payload, func(data []byte) error { _, err := attest.ParseOpening(data); return err }},
		{"rebuild", r.Votes[0].Payload, func(data []byte) error { _, err := attest.ParseRebuild(data); return err }},
		{"rebuild", r.Report(t, w.Rebuilders[0], attest.TimedOut).Payload, func(data []byte) error { _, err := attest.ParseRebuild(data); return err }},
		{"decision", r.Decision.Payload, func(data []byte) error { _, err := attest.ParseDecision(data); return err }},
		{"artifacts", artifacts, func(data []byte) error { _, err := attest.ParseArtifacts(data); return err }},
	} {
		for _, changed := range append(changes(t, c.data), c.data) {
			want, got := c.read(changed), p.ask(t, question{What: c.what, Data: changed})
			if (want == nil) != (got == nil) {
				t.Errorf("%s: %v, but independently %v:\n%s", c.what, want, got, changed)
			}
			both++
			if want == nil {
				agreed++
			}
		}
	}
	if agreed < 8 || both < 1000 {
		t.Errorf("%d of %d changed documents are well-formed: too few to compare", agreed, both)
	}
}

// The same for evidence as a whole, where nothing is signed again: few of the
// changes, as each is verified twice. The long tests try more.
func TestIndependentVerifierAgreesOnChangedEvidence(t *testing.T) {
	t.Parallel()
	r := evidencetest.New(t, evidencetest.Options{Witnesses: 3, Artifacts: 1}).Release(t, 1)
	agreeOnChangedEvidence(t, startPython(t), "signed", r.Bundle(t), evidence.Trust{Policy: r.World.Envelope}, 16)
}

// agreeOnChangedEvidence compares verdicts on every stride-th change of a bundle.
// Only the certificate's own signatures are left to gpg.
func agreeOnChangedEvidence(t *testing.T, p *python, what string, bundle *evidence.Bundle, trust evidence.Trust, stride int) {
	t.Helper()
	q := question{What: "evidence", Trust: encodeTrust(t, trust)}
	for i, changed := range changes(t, encode(t, bundle)) {
		if i%stride != 0 {
			continue
		}
		b, want := evidence.Parse(changed)
		if want == nil {
			_, want = evidence.Verify(b, trust)
		}
		if errors.Is(want, openpgp.ErrBadSignature) {
			continue
		}
		q.Data = changed
		if got := p.ask(t, q); (want == nil) != (got == nil) {
			t.Errorf("%s: %v, but independently %v:\n%s", what, want, got, changed)
		}
	}
}

// changes returns data with one value changed, in all ways that say something.
func changes(t *testing.T, data []byte) [][]byte {
	t.Helper()
	var out [][]byte
	var root any
	decode := json.NewDecoder(bytes.NewReader(data))
	decode.UseNumber()
	if err := decode.Decode(&root); err != nil {
		t.Fatal(err)
	}
	emit := func() {
		changed, err := attest.MarshalCanonical(numbers(root))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(changed, data) {
			out = append(out, changed)
		}
	}
	var walk func(v any, set func(any))
	walk = func(v any, set func(any)) {
		try := func(others ...any) {
			for _, other := range others {
				set(other)
				emit()
			}
			set(v)
		}
		switch v := v.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				member := v[key]
				walk(member, func(other any) { v[key] = other })
				delete(v, key)
				emit()
				v[key] = member
			}
			v["unknown"] = "x"
			emit()
			delete(v, "unknown")
			try([]any{}, "x", json.Number("1"))
		case []any:
			for i := range v {
				walk(v[i], func(other any) { v[i] = other })
			}
			if len(v) > 0 {
				try([]any{}, append(v[1:len(v):len(v)], v[0]), append(v[:len(v):len(v)], v[0]), v[1:])
			}
		case string:
			try("", v+"x", v+"\n", strings.ToUpper(v), "é"+v, strings.Repeat("0", len(v)), swapLast(v), json.Number("1"), v+strings.Repeat("a", 300))
		case json.Number:
			try(json.Number("0"), json.Number("1"), json.Number("-1"), json.Number("2"), json.Number("101"), json.Number("9007199254740991"), v.String())
		case bool:
			try(!v, json.Number("1"), "true")
		}
	}
	walk(root, func(other any) { root = other })
	return out
}

// numbers makes json.Number values ones that are spelled as they are.
func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, member := range v {
			m[key] = numbers(member)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i := range v {
			l[i] = numbers(v[i])
		}
		return l
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			panic(err)
		}
		return n
	}
	return v
}

// swapLast changes the last character to another of the same kind.
func swapLast(s string) string {
	if s == "" {
		return s
	}
	last := s[len(s)-1]
	other := byte('1')
	if last == '1' {
		other = '2'
	}
	return s[:len(s)-1] + string(other)
}

func TestIndependentVerifierRunsAsACommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := evidencetest.New(t, evidencetest.Options{Witnesses: 3}).Release(t, 1)
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	trust := write("trust.json", append(encodeTrust(t, evidence.Trust{Policy: r.World.Envelope}), '\n'))
	bundle := write("bundle.json", encode(t, r.Bundle(t)))
	unsigned := write("unsigned.json", encode(t, r.UnsignedBundle(t)))
	file := write(r.Artifacts[0].Name, r.Files[0])
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--trust", trust, bundle, file}, 0, "\nverified\n"},
		{[]string{"--trust", trust, bundle}, 0, "\nverified; no file was given\n"},
		{[]string{"--trust", trust, unsigned}, 0, "\nthe decision follows from its votes; nothing is signed, and no file verifies against it\n"},
		{[]string{"--trust", trust, unsigned, file}, 1, "is decided, but the bundle holds no signature over it"},
		{[]string{"--trust", trust, bundle, bundle}, 1, "not verified: bundle.json is none of the artifacts"},
		{[]string{"--trust", trust, bundle, bundle, "--name", r.Artifacts[0].Name}, 1, "has other bytes than were decided"},
		{[]string{"--trust", bundle, trust}, 1, "not verified: "},
		{[]string{bundle}, 2, "usage: "},
		{[]string{"--trust", filepath.Join(dir, "absent"), bundle}, 2, "error: "},
	} {
		cmd := exec.CommandContext(t.Context(), interpreter(t), append([]string{filepath.Join(pythonExample, "verify.py")}, c.args...)...)
		cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != c.code || !strings.Contains("\n"+string(out), c.want) {
			t.Errorf("%q: exit status %d, want %d and %q:\n%s", c.args, got, c.code, c.want, out)
		}
	}
}
