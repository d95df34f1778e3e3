package dashboard

import (
	"context"
	"fmt"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// Complaint is what a rebuilder says in public about a release's decision.
type Complaint struct {
	Rebuilder string      `json:"rebuilder"`
	Operator  string      `json:"operator"`
	Sentence  string      `json:"sentence"`
	At        attest.Time `json:"at"` // when the coordinator took it
	Index     int64       `json:"index"`
	Entry     string      `json:"entry"`     // URL, as all below
	Complaint string      `json:"complaint"` // the signed complaint
	Receipt   string      `json:"receipt"`   // that says counted
	Statement string      `json:"statement"` // that the decision does not list
}

func (b *Board) complaintsOf(ctx context.Context, release attest.Digest) ([]Complaint, error) {
	all, err := b.reader.Complaints(ctx, release)
	if err != nil {
		return nil, err
	}
	var out []Complaint
	for _, c := range all {
		out = append(out, Complaint{
			Rebuilder: c.Rebuilder, Operator: c.Operator, Sentence: grievance(c), At: c.At, Index: c.LogIndex,
			Entry:     fmt.Sprintf("/log/%d", c.LogIndex),
			Complaint: fmt.Sprintf("/body/%v", c.Complaint), Receipt: fmt.Sprintf("/body/%v", c.Receipt), Statement: fmt.Sprintf("/body/%v", c.Statement),
		})
	}
	return out, nil
}

// grievance says in one sentence what a rebuilder complains about.
func grievance(c coordinator.ComplaintView) string {
	what := "report"
	if c.Vote {
		what = "vote"
	}
	return fmt.Sprintf("%s of %s complains that this decision leaves out its %s, though the coordinator had confirmed with its signature that it is counted.",
		c.Rebuilder, c.Operator, what)
}
