package policy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/reprosign/reprosign/attest"
)

// ErrUnjustified is wrapped by what says why a complaint is not justified.
var ErrUnjustified = errors.New("complaint is not justified")

func unjustified(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrUnjustified, fmt.Errorf(format, args...))
}

// Dispute is a complaint with everything that it is judged by. Nothing in it
// needs to be verified before.
type Dispute struct {
	// Policy is the one that the release was opened under. Newest is the newest
	// one that is known, or nil: a party may have got another key since.
	Policy, Newest *Version
	// Opening, Request and Decision are the release's, as the log has them.
	Opening, Request, Decision *attest.Envelope
	// Complaint, Receipt and Statement are what the rebuilder shows.
	Complaint, Receipt, Statement *attest.Envelope
	// Listed are statements that the decision lists, as far as they are known. A
	// decision lists at most [MaxListed] of one rebuilder, and those who hold so
	// many of this one show with them that the signer had to leave out the others.
	Listed []*attest.Envelope
}

// Judge returns the complaint if it is justified: a coordinator has signed that
// it counted a statement of this rebuilder about this release, the release's
// decision does not list the statement, and nothing in the policy lets the
// signer leave it out. Else the error wraps [ErrUnjustified] and says why.
//
// A justified complaint shows that a counted statement was missing where the
// decision was made. It does not show whether the coordinator or the signer
// lost it, by a fault or on purpose, nor that the decision would have been
// another one with it.
func (d Dispute) Judge() (attest.Complaint, error) {
	c, err := underEither(d, d.Complaint, attest.OpenComplaint, (*Policy).RebuilderKey)
	if err != nil {
		return attest.Complaint{}, unjustified("%w", err)
	}
	release, err := d.release()
	if err != nil {
		return attest.Complaint{}, unjustified("%w", err)
	}
	statement, err := d.counted(c)
	if err != nil {
		return attest.Complaint{}, unjustified("%w", err)
	}
	decision, err := attest.OpenDecision(d.Decision, d.Policy.SignerKey)
	if err != nil {
		return attest.Complaint{}, unjustified("%w", err)
	}
	for _, named := range []struct {
		by      string
		release attest.Digest
	}{{"complaint", c.Release}, {"statement", statement.Release}, {"decision", decision.Release}} {
		if named.release != release.Release {
			return attest.Complaint{}, unjustified("the %s is about release %s, not about %s", named.by, named.release.Short(), release.Release.Short())
		}
	}
	if digest := d.Decision.Digest(); c.Decision != digest {
		return attest.Complaint{}, unjustified("it is about decision %s, the release's is %s", c.Decision.Short(), digest.Short())
	}
	if slices.Contains(decision.Votes, c.Statement) {
		return attest.Complaint{}, unjustified("the decision lists the statement")
	}
	if reason := release.ignores(statement, decision); reason != "" {
		return attest.Complaint{}, unjustified("the signer had to leave the statement out: %s", reason)
	}
	if d.full(c.Rebuilder, decision) {
		return attest.Complaint{}, unjustified("the decision lists %d statements of this rebuilder, as many as it may", MaxListed)
	}
	return c, nil
}

// underEither opens an envelope with the key of the release's policy or of the newest.
func underEither[S any](d Dispute, e *attest.Envelope, open func(*attest.Envelope, attest.Keys) (S, error),
	key func(*Policy, string) (attest.VerifierKey, error),
) (S, error) {
	var opened S
	err := errors.New("the policy of the release is not known")
	for _, v := range []*Version{d.Policy, d.Newest} {
		if v == nil {
			continue
		}
		if opened, err = open(e, func(name string) (attest.VerifierKey, error) { return key(&v.Policy, name) }); err == nil {
			return opened, nil
		}
	}
	return opened, err
}

// release verifies what the release was opened with.
func (d Dispute) release() (*Case, error) {
	if d.Policy == nil {
		return nil, errors.New("the policy of the release is not known")
	}
	opening, err := attest.OpenOpening(d.Opening, d.Policy.CoordinatorKey)
	if err != nil {
		return nil, err
	}
	c := &Case{Policy: d.Policy, Opening: opening, Release: d.Opening.Digest(), RequestDigest: opening.Request}
	if opening.Policy != d.Policy.Digest {
		return nil, fmt.Errorf("the release was opened under another policy than %d", d.Policy.Serial)
	}
	if d.Request == nil || d.Request.Digest() != opening.Request {
		return nil, errors.New("the request is not the one that the opening names")
	}
	c.Request, err = attest.ParseRequest(d.Request.Payload) // the opening's digest fixes every byte
	return c, err
}

// counted returns the statement, if the receipt says that it is counted.
func (d Dispute) counted(c attest.Complaint) (Vote, error) {
	statement, err := attest.OpenRebuild(d.Statement, d.Policy.RebuilderKey)
	if err != nil {
		return Vote{}, err
	}
	receipt, err := underEither(d, d.Receipt, attest.OpenReceipt, (*Policy).CoordinatorKey)
	if err != nil {
		return Vote{}, err
	}
	v := Vote{Rebuild: statement, Statement: d.Statement.Digest()}
	switch {
	case v.Statement != c.Statement:
		return v, fmt.Errorf("it is about statement %s, with it came %s", c.Statement.Short(), v.Statement.Short())
	case d.Receipt.Digest() != c.Receipt:
		return v, fmt.Errorf("it names receipt %s, with it came %s", c.Receipt.Short(), d.Receipt.Digest().Short())
	case statement.Rebuilder != c.Rebuilder:
		return v, fmt.Errorf("the statement is of rebuilder %q, the complaint of %q", statement.Rebuilder, c.Rebuilder)
	case receipt.Rebuilder != c.Rebuilder:
		return v, fmt.Errorf("the receipt is for rebuilder %q, the complaint of %q", receipt.Rebuilder, c.Rebuilder)
	case slices.Contains(receipt.Late, c.Statement):
		return v, errors.New("the receipt says that the statement came late, after the votes were closed")
	case !slices.Contains(receipt.Counted, c.Statement):
		return v, errors.New("the receipt does not name the statement")
	}
	return v, nil
}

// ignores says why a statement has no place in a decision, or nothing.
func (c *Case) ignores(v Vote, d attest.Decision) string {
	suite, err := c.Policy.Suite(c.Request.Suite)
	if err != nil {
		return err.Error()
	}
	t := newTally(c, suite, d.Decided, c.Opening.Opened)
	t.take(&v)
	t.candidate = d.Set
	t.list()
	return t.ignored[v.Statement]
}

// full reports whether the decision lists as many statements of a rebuilder as
// it may.
func (d Dispute) full(rebuilder string, decision attest.Decision) bool {
	listed := map[attest.Digest]bool{}
	for _, e := range d.Listed {
		s, err := attest.OpenRebuild(e, d.Policy.RebuilderKey)
		if err == nil && s.Rebuilder == rebuilder && slices.Contains(decision.Votes, e.Digest()) {
			listed[e.Digest()] = true
		}
	}
	return len(listed) >= MaxListed
}
