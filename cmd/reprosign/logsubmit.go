package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
)

// submitSwitch submits the next policy when nothing is lost by it, unless that
// is done. From then on the log's last checkpoint is on disk.
func (a *app) submitSwitch(ctx context.Context, s *logSwitch) error {
	conn, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	submitted, err := s.submitted(ctx, conn)
	if err != nil {
		return err
	}
	done := fmt.Sprintf("policy %d is submitted", s.next.Serial)
	if submitted {
		s.soFar = done
		a.printStep("ok", fmt.Sprintf("policy %d is in force already", s.next.Serial))
		return s.recall(ctx)
	}
	if s.last, err = s.lastCheckpoint(ctx); err != nil {
		return err
	}
	if err := a.awaitSigned(ctx, s); err != nil {
		return err
	}
	// It may have moved on while releases were waited for.
	if len(s.switchFlags.last) == 0 {
		newest, err := s.lastCheckpoint(ctx)
		if err != nil {
			return err
		}
		if err := s.takeNewer(ctx, newest); err != nil {
			return err
		}
	}
	if err := writeParts(s.dir, []part{{fileLast, s.last}}, true); err != nil {
		return err
	}
	s.soFar = fmt.Sprintf("policy %d was sent, and may be in force", s.next.Serial)
	if _, err := conn.Submit(ctx, a.settings.Name, bus.SubmitRequest{Policy: s.next.envelope}); err != nil {
		return hinted(err, "whether policy %d was accepted, the same command finds out", s.next.Serial)
	}
	s.soFar = done
	a.printStep("ok", fmt.Sprintf("policy %d is accepted", s.next.Serial))
	return nil
}

// submitted reports whether the next policy is in force, and that no other one is.
func (s *logSwitch) submitted(ctx context.Context, conn *bus.Conn) (bool, error) {
	reply, err := conn.Policies(ctx, bus.PolicyRequest{After: s.before.Serial})
	if err != nil {
		return false, err
	}
	switch n := len(reply.Policies); {
	case n == 0:
		return false, nil
	case reply.Policies[n-1].Digest() == s.next.envelope.Digest():
		return true, nil
	default:
		serial, err := serialOf(reply.Policies[n-1])
		if err != nil {
			return false, err
		}
		return false, hinted(fmt.Errorf("policy %d is superseded: policy %d is in force", s.before.Serial, serial),
			"begin again from that one, with log rotate or log end")
	}
}

// lastCheckpoint returns the newest checkpoint under the policy before.
func (s *logSwitch) lastCheckpoint(ctx context.Context) ([]byte, error) {
	if len(s.switchFlags.last) == 0 {
		return s.site.checkpoint(ctx, &s.before.Policy)
	}
	note, all, err := lastSeen(ctx, &s.before.Policy, s.switchFlags.last)
	s.seen = all
	return note, err
}

// recall takes the last checkpoint up that an interrupted run has left.
func (s *logSwitch) recall(ctx context.Context) error {
	from := s.switchFlags.last
	if len(from) == 0 {
		from = []string{filepath.Join(s.dir, fileLast)}
	}
	var err error
	s.last, s.seen, err = lastSeen(ctx, &s.before.Policy, from)
	if errors.Is(err, fs.ErrNotExist) {
		return hinted(err, "name the directory of the run that submitted the policy, or who has seen the last checkpoint under the old key: --last")
	}
	return err
}

// unsigned lists what would be lost, or is.
func (s *logSwitch) unsigned(ctx context.Context) ([]listed, error) {
	if s.chain == nil {
		var err error
		if s.chain, err = s.site.Chain(ctx, s.before.envelope); err != nil {
			return nil, err
		}
	}
	return s.site.unsigned(ctx, s.chain, s.before.Policy)
}

// awaitSigned returns when nothing is lost by a change of the key.
func (a *app) awaitSigned(ctx context.Context, s *logSwitch) error {
	if s.atOnce {
		a.warn("releases that are agreed or logged are given up")
		return nil
	}
	line := a.newProgress(1)
	defer line.clear()
	for told := false; ; told = true {
		left, err := s.unsigned(ctx)
		if err != nil {
			return err
		}
		if len(left) == 0 {
			line.clear()
			a.printStep("ok", "nothing is agreed or logged that is not signed")
			return nil
		}
		if !s.wait || !told {
			for _, l := range left {
				a.warn("%v", l)
			}
		}
		lost := fmt.Errorf("%s agreed or logged and not signed: under another key of the log they never would be", isAre(len(left), "release"))
		if !s.wait {
			return hinted(lost, "ask publishers to wait, and give --wait; a log key that was stolen is changed with --at-once")
		}
		line.show("waiting for signatures", left[0].String())
		if err := pause(ctx); err != nil {
			return lost
		}
	}
}

func isAre(n int, what string) string {
	if n == 1 {
		return count(n, what) + " is"
	}
	return count(n, what) + " are"
}

// keepsLog refuses to submit a policy that changes the log's key as any other:
// what is decided and not signed would be lost.
func keepsLog(ctx context.Context, conn *bus.Conn, file string, p policy.Policy) error {
	var before []*attest.Envelope
	// The policy before has the serial before, unless serials were skipped.
	for _, after := range []uint64{max(p.Serial, 2) - 2, 0} {
		reply, err := conn.Policies(ctx, bus.PolicyRequest{After: after})
		if err != nil {
			return err
		}
		if before = reply.Policies; len(before) > 0 {
			break
		}
	}
	if len(before) == 0 {
		return nil
	}
	newest, err := policy.Parse(before[len(before)-1].Payload)
	if err != nil || newest.Log.Key.Fingerprint() == p.Log.Key.Fingerprint() {
		return err
	}
	return hinted(usagef("policy %d changes the log's key: what is decided and not signed would be lost", p.Serial),
		"reprosign log switch submits it when nothing is: --next %s", file)
}
