package attest_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
)

func TestStatementsReadBackAsTheyWereSealed(t *testing.T) {
	for _, k := range kinds(t) {
		e, err := k.seal(k.key)
		if err != nil {
			t.Fatalf("%s: %v", k.name, err)
		}
		data, err := e.Encode()
		if err != nil {
			t.Fatalf("%s: %v", k.name, err)
		}
		again, err := attest.ParseEnvelope(data)
		if err != nil {
			t.Fatalf("%s: %v", k.name, err)
		}
		got, err := k.open(again, keyring(k.key))
		if err != nil {
			t.Errorf("%s: %v", k.name, err)
			continue
		}
		if diff := cmp.Diff(k.value, got); diff != "" {
			t.Errorf("%s (-sealed +opened):\n%s", k.name, diff)
		}
	}
}

// The files were written once. A change of any byte is a change of the format
// and orphans every statement and log entry made before it.
func TestStatementsArePinnedToTheByte(t *testing.T) {
	for _, k := range kinds(t) {
		e, err := k.seal(k.key)
		if err != nil {
			t.Fatalf("%s: %v", k.name, err)
		}
		got, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		for file, have := range map[string][]byte{k.name + ".envelope.json": got, k.name + ".payload.json": e.Payload} {
			want, err := os.ReadFile(filepath.Join("testdata", file))
			if err != nil {
				t.Error(err)
				continue
			}
			if diff := cmp.Diff(string(bytes.TrimSuffix(want, []byte("\n"))), string(have)); diff != "" {
				t.Errorf("%s drifted (-pinned +made):\n%s", file, diff)
			}
		}
	}
}

// A P-256 signature is in a log leaf; made again it must be the same (RFC 6979).
func TestSealingAgainGivesTheSameBytes(t *testing.T) {
	for _, k := range kinds(t) {
		first, err1 := k.seal(k.key)
		second, err2 := k.seal(k.key)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Signatures[0].Sig, second.Signatures[0].Sig) {
			t.Errorf("%s: two signatures over the same bytes by %v", k.name, k.key.Algorithm())
		}
	}
}

func TestStatementIsSealedOnlyByTheAuthorItNames(t *testing.T) {
	for _, k := range kinds(t) {
		if _, err := k.seal(edKey(t, "mallory", 9)); err == nil {
			t.Errorf("%s: sealed by a key of another name", k.name)
		}
	}
}

func TestStatementIsBelievedOnlyUnderItsAuthorsKey(t *testing.T) {
	for _, k := range kinds(t) {
		e, err := k.seal(k.key)
		if err != nil {
			t.Fatal(err)
		}
		namesake := edKey(t, k.key.Name(), 9)
		var asked string
		mislabelled := func(name string) (attest.VerifierKey, error) {
			asked = name
			return attest.NewVerifierKey("mallory", k.key.Public())
		}
		for what, keys := range map[string]attest.Keys{
			"unknown author":     keyring(edKey(t, "mallory", 9)),
			"other key":          keyring(namesake),
			"no key":             func(string) (attest.VerifierKey, error) { return attest.VerifierKey{}, nil },
			"key of other name":  mislabelled,
			"key of other curve": keyring(p256Key(t, k.key.Name(), 9)),
		} {
			if _, err := k.open(e, keys); err == nil {
				t.Errorf("%s: believed under %s", k.name, what)
			}
		}
		if asked != k.key.Name() {
			t.Errorf("%s: key of %q asked for, author is %q", k.name, asked, k.key.Name())
		}
		// The name in the statement, not the one in the hint, chooses the key.
		forged, err := attest.Seal(attest.StatementType, e.Payload, namesake)
		if err != nil {
			t.Fatal(err)
		}
		forged.Signatures[0].KeyID = k.key.String()
		if _, err := k.open(forged, keyring(k.key)); !errors.Is(err, attest.ErrBadSignature) {
			t.Errorf("%s: forged with the right keyid: %v", k.name, err)
		}
	}
}

func TestStatementNeedsExactlyOneSignature(t *testing.T) {
	for _, k := range kinds(t) {
		e, err := k.seal(k.key)
		if err != nil {
			t.Fatal(err)
		}
		two, none, other := *e, *e, *e
		two.Signatures = append([]attest.Signature{}, e.Signatures[0], e.Signatures[0])
		none.Signatures = nil
		other.PayloadType = attest.PolicyType
		if _, err := k.open(&two, keyring(k.key)); !errors.Is(err, attest.ErrSignatureCount) {
			t.Errorf("%s: two signatures: %v", k.name, err)
		}
		for what, bad := range map[string]*attest.Envelope{"no signature": &none, "policy type": &other, "no envelope": nil} {
			if _, err := k.open(bad, keyring(k.key)); !errors.Is(err, attest.ErrMalformed) {
				t.Errorf("%s: %s: %v", k.name, what, err)
			}
		}
	}
}

// A statement of one kind never passes for one of another, whoever signed it.
func TestStatementOfOneKindIsNoneOfAnother(t *testing.T) {
	all := kinds(t)
	for _, k := range all {
		for _, other := range all {
			if k.name == other.name || k.name == "rebuild" && other.name == "report" || k.name == "report" && other.name == "rebuild" {
				continue
			}
			e, err := other.seal(other.key)
			if err != nil {
				t.Fatal(err)
			}
			anybody := func(name string) (attest.VerifierKey, error) {
				return keyring(other.key)(other.key.Name())
			}
			if _, err := k.open(e, anybody); !errors.Is(err, attest.ErrMalformed) {
				t.Errorf("%s opened as %s: %v", other.name, k.name, err)
			}
		}
	}
}

func TestPredicateTypeTellsWhichParserToTry(t *testing.T) {
	types := map[string]string{
		"request": attest.RequestType, "opening": attest.OpeningType, "rebuild": attest.RebuildType, "report": attest.RebuildType,
		"receipt": attest.ReceiptType, "rejection": attest.RejectionType, "decision": attest.DecisionType,
		"signatures-made": attest.SignaturesMadeType, "record": attest.RecordType, "withdrawal": attest.WithdrawalType,
		"complaint": attest.ComplaintType,
	}
	for _, k := range kinds(t) {
		e, err := k.seal(k.key)
		if err != nil {
			t.Fatal(err)
		}
		if got := attest.PredicateType(e.Payload); got != types[k.name] {
			t.Errorf("%s: %q", k.name, got)
		}
	}
	for _, payload := range []string{"", "{}", `{"predicateType":1}`, `,"predicateType":"`} {
		if got := attest.PredicateType([]byte(payload)); got != "" {
			t.Errorf("%q: %q", payload, got)
		}
	}
}

func TestWithdrawalAsksForTheKeyInTheRoleItNames(t *testing.T) {
	key := edKey(t, "hello", 5)
	w := attest.Withdrawal{Role: attest.RolePublisher, By: "hello", Release: attest.Digest{6}, Reason: "wrong version", At: opened}
	e, err := w.Seal(key)
	if err != nil {
		t.Fatal(err)
	}
	var role attest.Role
	if _, err := attest.OpenWithdrawal(e, func(r attest.Role, _ string) (attest.VerifierKey, error) {
		role = r
		return key.VerifierKey, nil
	}); err != nil || role != attest.RolePublisher {
		t.Errorf("role %q asked for, %v", role, err)
	}
}

// The same word must not mean two things to two readers of one statement.
func TestContradictingMembersAreRefused(t *testing.T) {
	all := make(map[string]kind)
	for _, k := range kinds(t) {
		all[k.name] = k
	}
	for _, c := range []struct{ kind, from, to string }{
		{"decision", `"REPROSIGN_REPRODUCED_2_OF_3"`, `"REPROSIGN_REPRODUCED_3_OF_3"`},
		{"decision", `"PASSED"`, `"FAILED"`},
		{"decision", `"policySerial":4`, `"policySerial":5`},
		{"decision", `urn:reprosign:release:06`, `urn:reprosign:release:07`},
		{"decision", `urn:reprosign:statement:0d`, `urn:reprosign:statement:0c`},
		{"decision", `"urn:reprosign:policy:4"`, `"urn:reprosign:policy:5"`},
		{"decision", `"operators":3`, `"operators":4`},
		{"opening", `"name":"release-request"`, `"name":"something"`},
		{"request", `"size":1234`, `"size":1235`}, // another source digest than the subject's
		{"rebuild", `_outcome":"built"`, `_outcome":"build-failed"`},
		{"rebuild", `"name":"artifact-set"`, `"name":"source"`},
		{"rebuild", `"name":"input-manifest"`, `"name":"build-log"`},
		{"rebuild", attest.RebuildBuildType, attest.RebuildBuildType + "x"},
		{"report", `"name":"source"`, `"name":"artifact-set"`},
		{"receipt", `"rebuilder":"alpha"`, `"rebuilder":"Alpha"`},
		{"record", `"kind":"equivocation"`, `"kind":"approval"`},
		{"withdrawal", `"role":"admin"`, `"role":"rebuilder"`},
		{"complaint", `"name":"decision"`, `"name":"release"`},
		{"complaint", `"sha256":"14`, `"sha512":"14`},
	} {
		k := all[c.kind]
		e, err := k.seal(k.key)
		if err != nil {
			t.Fatal(err)
		}
		payload := bytes.Replace(e.Payload, []byte(c.from), []byte(c.to), 1)
		if bytes.Equal(payload, e.Payload) {
			t.Errorf("%s does not hold %s", c.kind, c.from)
			continue
		}
		if _, err := k.parse(payload); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%s with %s: %v", c.kind, c.to, err)
		}
	}
}
