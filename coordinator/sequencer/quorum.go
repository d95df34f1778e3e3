package sequencer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
)

// courtesy is how long others are waited for once the quorum is there. What
// comes later is kept out of the checkpoint, not out of our memory.
const courtesy = 50 * time.Millisecond

// missing says which witnesses a checkpoint waits for. It is an error that
// passes by itself.
type missing struct{ what string }

func (m *missing) Error() string { return m.what }

// answer is how an exchange with a witness ended.
type answer struct {
	from *witness
	line []byte
	err  error
}

// of returns the witnesses of a rule, in the order of its keys, with what is
// known of them from earlier rules.
func (s *Sequencer) of(r rule) []*witness {
	out := make([]*witness, len(r.set.Keys))
	for i, k := range r.set.Keys {
		w := s.witnesses[k.String()]
		if w == nil {
			w = &witness{key: k, url: s.endpoints[k.Name()], http: s.http, turn: make(chan struct{}, 1)}
			s.witnesses[k.String()] = w
		}
		out[i] = w
	}
	return out
}

// ask starts an exchange with every witness that may be asked now, side by
// side, and returns how many there are and where they answer. Each ends by its
// own time-out; nobody has to wait for it.
func (s *Sequencer) ask(ctx context.Context, origin string, all []*witness, exchange func(context.Context, *witness) answer) (<-chan answer, int) {
	answers := make(chan answer, len(all))
	asked := 0
	for _, w := range all {
		if !w.queue(time.Now()) {
			continue
		}
		asked++
		s.asking.Go(func() {
			if err := w.begin(ctx); err != nil {
				answers <- answer{from: w, err: err}
				return
			}
			ctx, cancel := context.WithTimeout(ctx, s.timeout)
			defer cancel()
			a := exchange(ctx, w)
			a.from = w
			var c *contradiction
			if errors.As(a.err, &c) {
				c.note = w.shown(ctx, origin)
			}
			w.end(time.Now(), a.err)
			s.metrics.answered(ctx, w, a.err)
			if a.err != nil {
				s.log.WarnContext(ctx, "witness did not cosign", slog.String("witness", w.key.Name()), slog.Any("reason", a.err))
			}
			answers <- a
		})
	}
	return answers, asked
}

// collect takes answers until as many witnesses as needed have answered well,
// and a little longer if others are under way. It returns their lines.
func collect(ctx context.Context, answers <-chan answer, pending, enough int) (map[*witness][]byte, error) {
	lines := map[*witness][]byte{}
	var up <-chan time.Time
	for ; pending > 0; pending-- {
		select {
		case a := <-answers:
			if a.err == nil {
				lines[a.from] = a.line
			}
		case <-up:
			return lines, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if len(lines) >= enough && up == nil {
			timer := time.NewTimer(courtesy)
			defer timer.Stop()
			up = timer.C
		}
	}
	return lines, nil
}

// cosigned has a signed checkpoint cosigned by a quorum of the witnesses and
// returns it with their lines, and when the quorum had cosigned.
func (s *Sequencer) cosigned(ctx context.Context, r rule, tree coordinator.Tree, signed []byte) ([]byte, attest.Time, error) {
	c := translog.Checkpoint{Origin: r.key.Name(), Size: tree.Size, Root: tree.Root}
	all := s.of(r)
	answers, asked := s.ask(ctx, c.Origin, all, func(ctx context.Context, w *witness) answer {
		line, err := w.cosign(ctx, c, signed, s.consistency)
		return answer{line: line, err: err}
	})
	lines, err := collect(ctx, answers, asked, r.set.Quorum)
	if err != nil {
		return nil, 0, err
	}
	if err := s.undisputed(ctx, r, all); err != nil {
		return nil, 0, err
	}
	note := signed
	for _, w := range all {
		note = append(note[:len(note):len(note)], lines[w]...)
	}
	at, _, err := r.set.Time(note)
	if errors.Is(err, translog.ErrNotWitnessed) {
		return nil, 0, lacking("waiting for cosignatures", r.set.Quorum, all, lines)
	}
	return note, at, err
}

// renewals is how often the newest checkpoint is cosigned again within the time
// after which a signer finds it stale.
const renewals = 3

// renew has the newest checkpoint cosigned again when its cosignatures grow old,
// or when a newer policy wants others, or another log key: another replica may
// have published the entry of that policy before it knew.
func (s *Sequencer) renew(ctx context.Context, r rule, tree coordinator.Tree) error {
	if !r.witnessed() {
		return nil
	}
	stored, note, err := s.store.Checkpoint(ctx)
	if err != nil || stored.Size != tree.Size {
		return err
	}
	stale := policy.DefaultMaxCheckpointAge
	for _, suite := range s.trust.Newest().Suites {
		stale = min(stale, suite.CheckpointAge())
	}
	_, otherKey := translog.OpenCheckpoint(note, r.key.VerifierKey)
	if at, _, err := r.set.Time(note); err == nil && otherKey == nil && time.Since(at.Time()) < stale/renewals {
		return nil
	}
	if err := s.vouched(ctx, r); err != nil {
		return err
	}
	signed, err := translog.Checkpoint{Origin: r.key.Name(), Size: tree.Size, Root: tree.Root}.Sign(r.key)
	if err != nil {
		return err
	}
	note, at, err := s.cosigned(ctx, r, tree, signed)
	if err != nil {
		return err
	}
	return s.store.Renew(ctx, tree.Size, note, at)
}

// lacking says who is missing, in the words that the releases' pages show.
func lacking(what string, want int, all []*witness, there map[*witness][]byte) error {
	var said strings.Builder
	fmt.Fprintf(&said, "%s: %d of %d witnesses", what, len(there), want)
	for _, w := range all {
		if _, ok := there[w]; !ok {
			fmt.Fprintf(&said, ", %s %s", w.key.Name(), w.trouble())
		}
	}
	return &missing{said.String()}
}
