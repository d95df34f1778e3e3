package dashboard_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/coordinator/dashboard"
)

// cosigned is a reader whose checkpoints the world's witnesses have cosigned.
type cosigned struct {
	dashboard.Reader

	h *house
}

func (c cosigned) Checkpoint(ctx context.Context) ([]byte, error) {
	signed, err := c.Reader.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	return c.h.world.Log.Cosign(c.h.t, signed), nil
}

func TestWitnessesAreShownWithTheTimesOfTheirCosignatures(t *testing.T) {
	t.Parallel()
	h := newHouseWith(t, 3)
	h.publish()
	h.world.Log.Now, h.world.Log.Witnesses = evidencetest.Opened, h.world.Witnesses[:2] // the third is away
	h.server = serve(t, cosigned{h.reader, h}, h.logged)
	page := decode[dashboard.Log](h, "/api/v1/log")
	want := []dashboard.LogWitness{
		{Name: "witness-1", Operator: "operator-of-witness-1", At: evidencetest.Opened},
		{Name: "witness-2", Operator: "operator-of-witness-2", At: evidencetest.Opened + 1},
		{Name: "witness-3", Operator: "operator-of-witness-3"},
	}
	if diff := cmp.Diff(want, page.Witnesses); diff != "" || page.Quorum != 2 || page.Unwitnessed {
		t.Errorf("log %+v; witnesses (-want +got):\n%s", page, diff)
	}
	html := h.page("/log")
	wantText(t, html, "2 of 3 must cosign", "witness-1 (operator-of-witness-1) at "+evidencetest.Opened.String(), "witness-3 (operator-of-witness-3) not yet")
	n := h.open("hello", "1.0")
	if r := decode[dashboard.Release](h, "/api/v1/releases/"+n.ID.String()); r.Unwitnessed {
		t.Error("a release under a policy with witnesses is called unwitnessed")
	}
}
