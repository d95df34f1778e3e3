package translog

import "github.com/reprosign/reprosign/attest/policy"

// WitnessesOf returns the witnesses that a policy, or a trust file, names.
func WitnessesOf(w policy.Witnesses) Witnesses {
	set := Witnesses{Quorum: w.Quorum}
	for _, k := range w.Keys {
		set.Keys = append(set.Keys, k.Key)
	}
	return set
}
