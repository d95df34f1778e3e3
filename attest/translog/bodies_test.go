package translog_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/translog"
)

func TestLeavesAndStatementsNameWhatIsServedBesideTheLog(t *testing.T) {
	w := evidencetest.New(t, evidencetest.Options{})
	r := w.Release(t, 1)
	got, err := translog.BodyOf(w.Log.Leaves[r.OpeningIndex])
	if err != nil || got != translog.BodyDigest(r.Opening) {
		t.Errorf("leaf of the opening names %v, %v", got, err)
	}
	if _, err := translog.BodyOf([]byte("a leaf of others")); err == nil {
		t.Error("a leaf of others names a body")
	}
	record, err := attest.NewRecord(w.Coordinator.Name(), attest.RecordEquivocation, r.Votes[0], r.Votes[1])
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := record.Seal(w.Coordinator)
	if err != nil {
		t.Fatal(err)
	}
	for what, test := range map[string]struct {
		statement *attest.Envelope
		want      []attest.Digest
	}{
		"opening":  {r.Opening, []attest.Digest{r.Request.Digest()}},
		"record":   {sealed, []attest.Digest{r.Votes[0].Digest(), r.Votes[1].Digest()}},
		"decision": {r.Decision, nil},
		"nonsense": {&attest.Envelope{PayloadType: attest.StatementType, Payload: []byte("{}")}, nil},
	} {
		if diff := cmp.Diff(test.want, translog.BodiesOf(test.statement)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}
