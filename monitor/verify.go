package monitor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
)

// ErrNotVerified says that a log does not show what it should. The rest of the
// error says what is wrong.
var ErrNotVerified = errors.New("log not verified")

// maxFindings bounds what a report lists; it counts the others.
const maxFindings = 1000

// Report is what [Verify] found.
type Report struct {
	Checkpoint translog.Checkpoint
	Witnesses  []translog.Cosignature // whose cosignatures the quorum needs
	// Unwitnessed says that nobody but the log's own operator need be behind it.
	Unwitnessed bool
	Policy      uint64 // serial of the newest policy
	Steps       []evidence.Step
	Findings    []Alarm // in the order of the log
	Broken      int     // findings that no lawful log has, those not listed included
	Decisions   int
	Evaluated   int   // decisions that were evaluated again
	Signatures  int64 // that the log explains
}

// VerifyOptions are the knobs of [Verify]; zero values mean the defaults.
type VerifyOptions struct {
	// Step is called with every check that passed, as it does.
	Step func(evidence.Step)
	// WithoutEvidence leaves out the evaluation of decisions: a mirror of the log
	// need not hold the evidence.
	WithoutEvidence bool
	// Now is the clock; nil means the machine's. A decision that was made less than
	// [DefaultEvidence] ago need not have evidence yet.
	Now func() time.Time
}

// Verify checks a whole log, from its first entry to its checkpoint: see
// docs/spec/log.md. It reads everything once and writes nothing. Errors wrap
// [ErrNotVerified], or [ErrUnreachable] if nobody can tell; the report says what
// was checked until then.
func Verify(ctx context.Context, l *Log, trust evidence.Trust, o VerifyOptions) (*Report, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	v := &verification{log: l, trust: trust, options: o, report: &Report{Unwitnessed: true}, kinds: map[translog.Kind]int{}}
	for _, step := range []struct {
		what  string
		check func(context.Context) (detail string, err error)
	}{
		{"pinned policy", v.pin},
		{"checkpoint", v.checkpoint},
		{"witnesses", v.witnesses},
		{"tree", v.tree},
		{"entries", v.entries},
		{"decisions", v.decisions},
		{"signatures", v.signatures},
	} {
		detail, err := step.check(ctx)
		if err != nil && (errors.Is(err, ErrUnreachable) || ctx.Err() != nil) {
			return v.report, fmt.Errorf("%s: %w", step.what, err)
		}
		if err != nil {
			return v.report, fmt.Errorf("%w: %s: %w", ErrNotVerified, step.what, err)
		}
		if v.report.Broken > v.told {
			v.told = v.report.Broken
			continue // its findings say more
		}
		s := evidence.Step{What: step.what, Detail: detail}
		v.report.Steps = append(v.report.Steps, s)
		if o.Step != nil {
			o.Step(s)
		}
	}
	if n := v.report.Broken; n > 0 {
		return v.report, fmt.Errorf("%w: %d findings that no lawful log has", ErrNotVerified, n)
	}
	return v.report, nil
}

// verification is under way.
type verification struct {
	log     *Log
	trust   evidence.Trust
	options VerifyOptions
	report  *Report
	told    int // findings before the step

	pinned   *policy.Version
	auditor  *auditor
	kinds    map[translog.Kind]int
	decided  []attest.Digest        // releases
	mustShow map[attest.Digest]bool // releases with signatures
	raised   []Alarm                // by the entries, not reported yet
}

func (v *verification) found(alarms ...Alarm) {
	for _, a := range alarms {
		if a.Kind.Breaks() {
			v.report.Broken++
		}
		if len(v.report.Findings) < maxFindings {
			v.report.Findings = append(v.report.Findings, a)
		}
	}
}

// foundOf reports what the entries raised of some kinds, and keeps the rest.
func (v *verification) foundOf(kinds ...Kind) {
	v.raised = slices.DeleteFunc(v.raised, func(a Alarm) bool {
		if !slices.Contains(kinds, a.Kind) {
			return false
		}
		v.found(a)
		return true
	})
}

func (v *verification) pin(ctx context.Context) (string, error) {
	var err error
	if v.pinned, _, err = v.trust.Pinned(); err != nil {
		return "", err
	}
	chain, err := v.log.Chain(ctx, v.trust.Policy)
	if err != nil {
		return "", err
	}
	v.auditor, v.mustShow = newAuditor(v.log, v.trust, chain), map[attest.Digest]bool{}
	return fmt.Sprintf("policy %d is pinned and signed by its admins; its log is %s", v.pinned.Serial, v.pinned.Log.Origin), nil
}

func (v *verification) checkpoint(ctx context.Context) (string, error) {
	signed, err := v.log.Checkpoint(ctx)
	if err != nil {
		return "", err
	}
	c, err := v.log.open(ctx, v.auditor.follower.Chain(), 0, signed)
	if err != nil {
		return "", err
	}
	v.report.Checkpoint = c
	v.report.Witnesses, err = witnessed(signed, v.trust)
	return fmt.Sprintf("the key of %s signed a tree of %d entries, root %v", c.Origin, c.Size, c.Root), err
}

// witnessed returns which of the trust's witnesses cosigned a checkpoint, as
// many as must.
func witnessed(signed []byte, trust evidence.Trust) ([]translog.Cosignature, error) {
	_, w, err := trust.Pinned()
	if err != nil || w.IsZero() {
		return nil, err
	}
	return cosigned(signed, w)
}

// cosigned returns which witnesses cosigned a checkpoint, as many as must.
func cosigned(signed []byte, w policy.Witnesses) ([]translog.Cosignature, error) {
	_, by, err := translog.WitnessesOf(w).Time(signed)
	return by, err
}

func (v *verification) witnesses(context.Context) (string, error) {
	_, w, err := v.trust.Pinned()
	if err != nil {
		return "", err
	}
	v.report.Unwitnessed = !w.Independent(v.pinned.Log.Operator)
	if w.IsZero() {
		return "none are trusted: only the log's own key vouches for it", nil
	}
	names := make([]string, len(v.report.Witnesses))
	for i, by := range v.report.Witnesses {
		names[i] = fmt.Sprintf("%s at %v", by.Witness, by.At)
	}
	return fmt.Sprintf("%d of %d must cosign, and did: %s", w.Quorum, len(w.Keys), strings.Join(names, " and ")), nil
}

// tree reads every entry bundle, and every tile that they make.
func (v *verification) tree(ctx context.Context) (string, error) {
	t, w := v.log.Tree(v.report.Checkpoint), tower{log: v.log}
	bundles := int64(0)
	for ; t.Width(bundles) > 0; bundles++ {
		leaves, err := v.log.bundle(ctx, bundles, t.Width(bundles))
		if err != nil {
			return "", err
		}
		if err := w.add(ctx, leaves); err != nil {
			return "", err
		}
	}
	if err := w.finish(ctx); err != nil {
		return "", err
	}
	if root := w.edge.Root(); root != v.report.Checkpoint.Root {
		return "", fmt.Errorf("%w: its %d entries have the root %v, signed is %v", ErrDamaged, w.edge.Size(), root, v.report.Checkpoint.Root)
	}
	return fmt.Sprintf("%d entries in %d bundles give the %d tiles that are served, and the signed root", w.edge.Size(), bundles, w.tiles), nil
}

// entries reads the entries again, each of which is in the tree now, with their bodies.
func (v *verification) entries(ctx context.Context) (string, error) {
	t := v.log.Tree(v.report.Checkpoint)
	for n := int64(0); t.Width(n) > 0; n++ {
		leaves, err := t.Leaves(ctx, n)
		if err != nil {
			return "", err
		}
		if err := v.read(ctx, n*translog.TileWidth, leaves); err != nil {
			v.foundOf(ForeignEntry, TwoPolicies, NewPolicy, Equivocation)
			if a, halted := v.auditor.halted(err); halted {
				v.found(a)
				return "", fmt.Errorf("entry %d of %d: %w", v.auditor.follower.Size(), v.report.Checkpoint.Size, err)
			}
			return "", err
		}
	}
	v.foundOf(ForeignEntry, TwoPolicies, NewPolicy, Equivocation)
	v.report.Policy = v.auditor.follower.Chain().Newest().Serial
	var counts []string
	for kind, n := range v.kinds {
		counts = append(counts, fmt.Sprintf("%d %s", n, kind))
	}
	slices.Sort(counts)
	if len(counts) == 0 {
		counts = []string{"none"}
	}
	return fmt.Sprintf("each has its body and means something under the policies, of which %d is the newest: %s",
		v.report.Policy, strings.Join(counts, ", ")), nil
}

// read reads what some entries say.
func (v *verification) read(ctx context.Context, first int64, leaves [][]byte) error {
	entries, err := v.log.Entries(ctx, first, leaves)
	if err != nil {
		return err
	}
	facts, alarms, err := v.auditor.read(entries)
	v.raised = append(v.raised, alarms...)
	for _, fact := range facts {
		v.kinds[fact.Kind]++
		switch {
		case fact.Problem != "":
		case fact.Decision != nil:
			v.decided = append(v.decided, fact.Decision.Release)
		case fact.Signatures != nil:
			v.mustShow[fact.Signatures.Release] = true
			v.report.Signatures += int64(fact.Signatures.Count)
		}
	}
	return err
}

// decisions evaluates every decision again. Of one that was made a moment ago,
// and that nothing is signed on, the evidence may be missing.
func (v *verification) decisions(ctx context.Context) (string, error) {
	v.foundOf(LoneDecision, NameTwice)
	v.report.Decisions = len(v.decided)
	if v.options.WithoutEvidence {
		for _, c := range v.auditor.takeComplaints() {
			v.found(v.auditor.unjudged(c, errWithoutEvidence))
		}
		return fmt.Sprintf("%d, not evaluated again: their evidence was left out", len(v.decided)), nil
	}
	outcomes := make([]error, len(v.decided))
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, release := range v.decided {
		group.Go(func() error {
			outcomes[i] = v.auditor.reevaluate(within, release, v.mustShow[release])
			if errors.Is(outcomes[i], ErrUnreachable) {
				return outcomes[i]
			}
			return within.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return "", err
	}
	fresh, from := 0, attest.At(v.options.Now().Add(-DefaultEvidence))
	for i, release := range v.decided {
		a, bad := v.auditor.judge(release, outcomes[i])
		switch {
		case bad:
			v.found(a)
		case outcomes[i] == nil:
			v.report.Evaluated++
		case !v.mustShow[release] && v.auditor.decidedTime(release) > from:
			fresh++
		default:
			v.found(missingEvidence(v.auditor, release, v.mustShow[release], outcomes[i]))
		}
	}
	if err := v.complaints(ctx); err != nil {
		return "", err
	}
	detail := fmt.Sprintf("%d, of which %d were evaluated again from their votes", len(v.decided), v.report.Evaluated)
	if fresh > 0 {
		detail += fmt.Sprintf("; %d are so new that their evidence is not served yet", fresh)
	}
	return detail, nil
}

var errWithoutEvidence = errors.New("evidence was left out")

// complaints judges every complaint in the log.
func (v *verification) complaints(ctx context.Context) error {
	for _, c := range v.auditor.takeComplaints() {
		a, err := v.auditor.judgeComplaint(ctx, c)
		switch {
		case errors.Is(err, ErrUnreachable) || ctx.Err() != nil:
			return err
		case err != nil:
			a = v.auditor.unjudged(c, err)
		}
		v.found(a)
	}
	return nil
}

func (v *verification) signatures(context.Context) (string, error) {
	v.foundOf(LoneSignature)
	return fmt.Sprintf("%d by %d certificates, each made on a decision that stands before it", v.report.Signatures, len(v.auditor.signed)), nil
}
