package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/reprosign/reprosign/attest"
)

// Witness is a cosigner of the log's checkpoints: a key of type
// [attest.Cosignature], under whatever name it cosigns, and who runs it.
type Witness struct {
	Key      attest.VerifierKey `json:"key"`
	Operator string             `json:"operator"`
}

// Witnesses are those whose cosignatures count, and how many of them it takes
// for a checkpoint to be witnessed. The zero value means that there are none.
type Witnesses struct {
	Keys   []Witness `json:"keys"`
	Quorum int       `json:"quorum"`
}

// IsZero reports whether there are no witnesses, so that policies without them
// are spelled as they were before there were any.
func (w Witnesses) IsZero() bool { return w.Keys == nil && w.Quorum == 0 }

// Check reports why the witnesses are not valid by themselves. That a key
// holds no other role is for the policy's own check.
func (w Witnesses) Check() error {
	if w.IsZero() {
		return nil
	}
	if err := checkCount("witnesses", len(w.Keys), 1, MaxWitnesses); err != nil {
		return err
	}
	if w.Quorum < 1 || w.Quorum > len(w.Keys) {
		return malformed("witnesses: quorum %d of %d keys", w.Quorum, len(w.Keys))
	}
	names, keys := map[string]bool{}, map[attest.Digest]bool{}
	for _, k := range w.Keys {
		who := fmt.Sprintf("witness %q", clip(k.Key.Name()))
		if k.Key.Algorithm() != attest.Cosignature {
			return malformed("%s: key is %v, want %v", who, k.Key.Algorithm(), attest.Cosignature)
		}
		if err := attest.CheckName(k.Operator); err != nil {
			return fmt.Errorf("%s: operator: %w", who, err)
		}
		if names[k.Key.Name()] || keys[k.Key.Fingerprint()] {
			return malformed("%s: its name or its key is there twice", who)
		}
		names[k.Key.Name()], keys[k.Key.Fingerprint()] = true, true
	}
	return nil
}

// Independent reports whether every quorum of the witnesses, whoever makes it
// up, has members of at least two operators other than those of the log. The quorum
// with the fewest is made up of all keys of the log's operators and of all keys
// of one other operator, the one with most; a larger quorum needs a second one.
func (w Witnesses) Independent(logOperators ...string) bool {
	own, most := 0, 0
	others := map[string]int{}
	for _, k := range w.Keys {
		if slices.Contains(logOperators, k.Operator) {
			own++
			continue
		}
		others[k.Operator]++
		most = max(most, others[k.Operator])
	}
	return w.Quorum > own+most
}

// Witnessed reports whether the policy's witnesses are independent of the log
// ([Witnesses.Independent]). If not, every verdict under it says "unwitnessed".
func (p *Policy) Witnessed() bool { return p.Witnesses.Independent(p.Log.Operator) }

// CheckWitnesses reports why others than the policy's own witnesses cannot
// witness its log: they are not valid, or hold a key of the policy in another role.
func (p Policy) CheckWitnesses(w Witnesses) error {
	if err := w.Check(); err != nil {
		return err
	}
	p.Witnesses = w
	return p.checkKeys()
}

func (p Policy) checkWitnesses() error {
	if err := p.Witnesses.Check(); err != nil {
		return err
	}
	if !p.Witnesses.IsZero() && p.Log.Operator == "" {
		return malformed("log: operator is missing: where there are witnesses, it says which of them are not the log's own")
	}
	return nil
}

// CheckpointAge is how old the newest checkpoint that a signer has seen may be
// when it signs for the suite.
func (s *Suite) CheckpointAge() time.Duration {
	if s.MaxCheckpointAge == 0 {
		return DefaultMaxCheckpointAge
	}
	return s.MaxCheckpointAge.Duration()
}
