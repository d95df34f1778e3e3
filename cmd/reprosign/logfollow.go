package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/reprosign/reprosign/attest/translog"
)

// finishSwitch waits for the first checkpoint under the next policy, and records the change.
func (a *app) finishSwitch(ctx context.Context, s *logSwitch) error {
	first, err := a.awaitSwitch(ctx, s)
	if err != nil {
		return err
	}
	r, err := s.record(ctx, first)
	if err != nil {
		return err
	}
	a.printStep("ok", fmt.Sprintf("the checkpoint of %d entries is signed with the key of %s%s", r.First.Size, s.next.Log.Key, r.by()))
	if err := a.writeRecord(s, r); err != nil {
		return err
	}
	a.tellLost(ctx, s)
	if !r.Continues {
		return hinted(&failure{code: exitUnverified, cause: fmt.Errorf("the log of %d entries does not continue the last checkpoint under the old key, of %d entries", r.First.Size, r.Last.Size)},
			"if the database was lost, publish %s: it says so; if not, stop, and find out what was changed", s.dir)
	}
	a.tellAfter(s)
	return nil
}

// awaitSwitch returns the first checkpoint that is signed with the new key. The
// last one under the old key may be newer than the one before the policy.
func (a *app) awaitSwitch(ctx context.Context, s *logSwitch) ([]byte, error) {
	line := a.newProgress(1)
	defer line.clear()
	for told := false; ; told = true {
		signed, err := s.site.Checkpoint(ctx)
		var opened translog.Checkpoint
		if err == nil {
			if _, err = openUnder(&s.next.Policy, signed); err == nil {
				return signed, nil
			}
			opened, _ = openUnder(&s.before.Policy, signed)
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("waiting for the first checkpoint under policy %d: %w", s.next.Serial, ctx.Err())
		}
		if opened.Origin != "" && len(s.switchFlags.last) == 0 {
			// What cannot be compared now is not taken, and the one before stands.
			if err := s.takeNewer(ctx, signed); exitCode(err) == exitUnverified {
				return nil, err
			}
		}
		if !told {
			a.hint("waiting until %s shows a checkpoint of the new key; coordinators need it as next_log_key, and witnesses in their logs", s.site.source)
		}
		line.show("waiting for the new key's checkpoint", fmt.Sprint(err))
		if pause(ctx) != nil {
			return nil, fmt.Errorf("waiting for the first checkpoint under policy %d: %w", s.next.Serial, err)
		}
	}
}

// takeNewer takes a checkpoint under the old key, which has been opened, for the
// last one, unless that is newer. The old key may be in other hands: one that does
// not continue what was seen is never taken, and both are kept.
func (s *logSwitch) takeNewer(ctx context.Context, signed []byte) error {
	was, err := openUnder(&s.before.Policy, s.last)
	if err != nil {
		return err
	}
	now, err := openUnder(&s.before.Policy, signed)
	if err != nil || now.Size < was.Size {
		return err
	}
	root, err := s.site.Tree(now).Root(ctx, was.Size)
	if err != nil {
		return fmt.Errorf("checking that the log of %d entries continues that of %d: %w", now.Size, was.Size, err)
	}
	if root == was.Root {
		s.last = signed
		return nil
	}
	if err := writeParts(s.dir, []part{{fileLast, s.last}, {fileRival, signed}}, true); err != nil {
		return err
	}
	return hinted(&failure{code: exitUnverified, cause: fmt.Errorf("the old key signed two histories: the log of %d entries does not continue that of %d", now.Size, was.Size)},
		"stop, and publish %s and %s: together they prove it", filepath.Join(s.dir, fileLast), filepath.Join(s.dir, fileRival))
}

// tellLost names what the change of the key has left unsigned for good.
func (a *app) tellLost(ctx context.Context, s *logSwitch) {
	left, err := s.unsigned(ctx)
	if err != nil {
		a.warn("what is left unsigned cannot be seen: %v", err)
		return
	}
	for _, l := range left {
		if l.Policy.Serial <= s.before.Serial && l.State == unsignedStates[1] {
			a.warn("%v, and never will be signed: withdraw it, and request it again under a changed request", l)
		}
	}
}

// tellAfter says what may be put away now.
func (a *app) tellAfter(s *logSwitch) {
	a.hint("publish %s, and hand out the new trust: reprosign trust export --trust %s --dir DIR", s.dir, s.switchFlags.next)
	a.hint("coordinators: the new key's file as log_key and no next_log_key, a restart, and then destroy the old key")
	if s.next.Witnesses.IsZero() {
		return
	}
	names := make([]string, len(s.next.Witnesses.Keys))
	for i, w := range s.next.Witnesses.Keys {
		names[i] = w.Key.Name()
	}
	a.hint("witnesses %s: drop %s from logs, and keep their memory", strings.Join(names, ", "), s.before.Log.Key)
}
