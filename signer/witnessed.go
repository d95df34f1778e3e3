package signer

import (
	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/bus"
)

// witnessed returns when the witnesses of the release's own policy saw its
// opening and its decision. The request proves both under checkpoints of the
// coordinator's choice: the earliest ones, whose times are the best.
func (r *release) witnessed(req bus.SignRequest, d attest.Decision) (policy.Seen, error) {
	var seen policy.Seen
	coordinator, err := r.version.CoordinatorKey(r.opening.Coordinator)
	if err != nil {
		return seen, err
	}
	if seen.Opening, err = r.seen("opening", translog.OwnLeaf(req.Opening, coordinator), r.log.Index, req.OpeningProof); err != nil {
		return seen, err
	}
	signer, err := r.version.SignerKey(d.Signer)
	if err != nil {
		return seen, err
	}
	seen.Decision, err = r.seen("decision", translog.OwnLeaf(req.Decision, signer), r.log.Decision.Index, req.Proof)
	return seen, err
}

func (r *release) seen(what string, leaf []byte, index int64, shown bus.LogProof) (attest.Time, error) {
	if shown.Index != index {
		return 0, refusal(bus.KindDenied, "%s stands at entry %d of the log, the proof is of entry %d", what, index, shown.Index)
	}
	proof := translog.Proof{Index: shown.Index, Checkpoint: shown.Checkpoint}
	for _, h := range shown.Hashes {
		proof.Hashes = append(proof.Hashes, tlog.Hash(h))
	}
	if _, err := proof.Verify(leaf, r.version.Log.Key); err != nil {
		return 0, refusal(bus.KindDenied, "%s in the log: %w", what, err)
	}
	at, _, err := translog.WitnessesOf(r.version.Witnesses).Time(shown.Checkpoint)
	if err != nil {
		return 0, refusal(bus.KindDenied, "%s in the log: %w", what, err)
	}
	return at, nil
}
