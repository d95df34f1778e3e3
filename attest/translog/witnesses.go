package translog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/reprosign/reprosign/attest"
)

// MaxWitnesses bounds the witnesses that somebody trusts. A signed note may
// have 100 signature lines, and every reader of tlog-policy files knows 32.
const MaxWitnesses = 32

// ErrNotWitnessed says that fewer witnesses than needed have cosigned a checkpoint.
var ErrNotWitnessed = errors.New("not cosigned by enough witnesses")

// Witnesses are those whose cosignatures count, and how many of them are
// needed. A quorum of zero, the zero value, means that the log is unwitnessed.
type Witnesses struct {
	Keys   []attest.VerifierKey // of type attest.Cosignature
	Quorum int
}

// Check reports why w cannot be anybody's witnesses: other keys than witness
// keys, a name or a key that occurs twice, a quorum that cannot be reached.
func (w Witnesses) Check() error {
	if len(w.Keys) > MaxWitnesses {
		return malformed("%d witnesses, at most %d allowed", len(w.Keys), MaxWitnesses)
	}
	names, keys := map[string]bool{}, map[attest.Digest]bool{}
	for _, k := range w.Keys {
		if k.Algorithm() != attest.Cosignature {
			return malformed("key of witness %q is %v, must be %v", k.Name(), k.Algorithm(), attest.Cosignature)
		}
		if names[k.Name()] || keys[k.Fingerprint()] {
			return malformed("witness %q or its key is listed twice", k.Name())
		}
		names[k.Name()], keys[k.Fingerprint()] = true, true
	}
	if w.Quorum < 0 || w.Quorum > len(w.Keys) {
		return malformed("quorum of %d out of %d witnesses", w.Quorum, len(w.Keys))
	}
	return nil
}

// Cosignatures returns who of the witnesses cosigned a checkpoint and when, in
// the order of their times. As C2SP signed-note has it, lines of unknown names,
// keys and types are skipped, a known witness's bad line spoils the whole note,
// and a witness counts once, by the first of its lines. The log's own signature
// is for [OpenCheckpoint] to verify.
func (w Witnesses) Cosignatures(signed []byte) ([]Cosignature, error) {
	if err := w.Check(); err != nil {
		return nil, fmt.Errorf("opening cosignatures: %w", err)
	}
	found, err := openCosignatures(signed, w)
	if err != nil {
		return nil, fmt.Errorf("opening cosignatures: %w", err)
	}
	var out []Cosignature
	for _, v := range found {
		out = append(out, v.Cosignature)
	}
	slices.SortFunc(out, func(a, b Cosignature) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Witness, b.Witness))
	})
	return out, nil
}

// Time returns when a checkpoint was witnessed, the time of the last
// cosignature that the quorum needs, and by whom until then. If fewer witnesses
// cosigned, or none are needed, the error wraps [ErrNotWitnessed] and by tells
// who did.
func (w Witnesses) Time(signed []byte) (at attest.Time, by []Cosignature, err error) {
	by, err = w.Cosignatures(signed)
	if err != nil {
		return 0, nil, err
	}
	if w.Quorum == 0 {
		return 0, by, fmt.Errorf("%w: no witnesses are asked for", ErrNotWitnessed)
	}
	if len(by) < w.Quorum {
		return 0, by, fmt.Errorf("%w: %d of %d", ErrNotWitnessed, len(by), w.Quorum)
	}
	return by[w.Quorum-1].At, by[:w.Quorum], nil
}
