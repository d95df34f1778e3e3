package bus_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/box"
	"github.com/reprosign/reprosign/internal/bus"
)

func task(t *testing.T, name string) bus.Task {
	t.Helper()
	return bus.Task{Opening: envelope(t, "opening "+name), Request: envelope(t, "request "+name)}
}

func TestTasksReachEveryRebuilder(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	c := h.connect(t, one)
	want := []bus.Task{task(t, "first"), task(t, "second")}
	if err := c.PublishTask(within(t), "stable", want...); err != nil {
		t.Fatal(err)
	}
	if err := c.PublishTask(within(t), "stable", want[0]); err != nil { // again, after a crash
		t.Fatal(err)
	}
	if err := c.PublishTask(within(t), "stable", task(t, "last")); err != nil {
		t.Fatal(err)
	}
	for _, id := range []bus.Identity{alpha, beta} {
		r := h.connect(t, id)
		got := make(chan bus.Task, 4)
		stop := run(t, func(ctx context.Context) error {
			return r.Tasks(ctx, id.Name, 1, func(_ context.Context, m bus.TaskMessage) {
				if m.Redelivered {
					t.Error("task is marked as redelivered")
				}
				got <- m.Task
				m.Extend()
				m.Done()
			})
		})
		all := []bus.Task{receive(t, got), receive(t, got), receive(t, got)}
		if diff := cmp.Diff(append(slices.Clone(want), task(t, "last")), all); diff != "" {
			t.Errorf("tasks of %v (-want +got):\n%s", id, diff)
		}
		stop()
	}
}

func TestTaskGivenBackIsDeliveredAgainAndSaysSo(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	if err := h.connect(t, one).PublishTask(within(t), "stable", task(t, "x")); err != nil {
		t.Fatal(err)
	}
	r := h.connect(t, alpha)
	deliveries := make(chan bool, 2)
	run(t, func(ctx context.Context) error {
		return r.Tasks(ctx, "alpha", 2, func(_ context.Context, m bus.TaskMessage) {
			deliveries <- m.Redelivered
			if m.Redelivered {
				m.Done()
			} else {
				m.Later(1)
			}
		})
	})
	if first, second := receive(t, deliveries), receive(t, deliveries); first || !second {
		t.Errorf("redelivered: got %v, %v, want false, true", first, second)
	}
}

func TestNoMoreTasksThanSlots(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	if err := h.connect(t, one).PublishTask(within(t), "stable", task(t, "a"), task(t, "b"), task(t, "c")); err != nil {
		t.Fatal(err)
	}
	// Two agents of one rebuilder: what the full one may not take, the other gets.
	busy, idle := make(chan struct{}, 3), make(chan struct{}, 3)
	release := make(chan struct{})
	full, free := h.connect(t, alpha), h.connect(t, alpha)
	run(t, func(ctx context.Context) error {
		return full.Tasks(ctx, "alpha", 1, func(_ context.Context, m bus.TaskMessage) {
			busy <- struct{}{}
			<-release
			m.Done()
		})
	})
	receive(t, busy)
	run(t, func(ctx context.Context) error {
		return free.Tasks(ctx, "alpha", 1, func(_ context.Context, m bus.TaskMessage) {
			idle <- struct{}{}
			m.Done()
		})
	})
	receive(t, idle)
	receive(t, idle)
	close(release)
	if len(busy) != 0 {
		t.Error("an agent with one slot was given a second task")
	}
}

// ballot collects what Votes hands over.
type ballot struct {
	mu      sync.Mutex
	seen    map[string]int
	batches []int
	all     chan struct{}
	want    int
}

func newBallot(want int) *ballot {
	return &ballot{seen: map[string]int{}, all: make(chan struct{}), want: want}
}

func (b *ballot) take(_ context.Context, votes []bus.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.batches = append(b.batches, len(votes))
	for _, m := range votes {
		v, err := bus.DecodeVote(m.Data)
		if err != nil {
			return err
		}
		b.seen[m.Rebuilder+" "+string(v.Envelope.Payload)]++
		if len(b.seen) == b.want && b.all != nil {
			close(b.all)
			b.all = nil
		}
	}
	return nil
}

func encoded(t *testing.T, v bus.Vote) bus.EncodedVote {
	t.Helper()
	e, err := bus.EncodeVote(v)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func vote(t *testing.T, c *bus.Conn, rebuilder, text string) {
	t.Helper()
	if err := c.PublishVote(within(t), rebuilder, encoded(t, bus.Vote{Envelope: envelope(t, text)})); err != nil {
		t.Fatal(err)
	}
}

func TestTwoCoordinatorsShareVotesWithoutLossOrRepeat(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	const each = 100
	b := newBallot(2 * each)
	done := b.all
	var took [2]int
	for i, id := range []bus.Identity{one, two} {
		c := h.connect(t, id)
		run(t, func(ctx context.Context) error {
			return c.Votes(ctx, 10, func(ctx context.Context, votes []bus.Message) error {
				b.mu.Lock()
				took[i] += len(votes)
				b.mu.Unlock()
				return b.take(ctx, votes)
			})
		})
	}
	var senders sync.WaitGroup
	for _, id := range []bus.Identity{alpha, beta} {
		r := h.connect(t, id)
		senders.Go(func() {
			for i := range each {
				vote(t, r, id.Name, fmt.Sprint(i))
			}
		})
	}
	senders.Wait()
	receive(t, done)
	b.mu.Lock()
	defer b.mu.Unlock()
	for v, n := range b.seen {
		if n != 1 {
			t.Errorf("vote %q came %d times", v, n)
		}
	}
	if took[0] == 0 || took[1] == 0 {
		t.Errorf("votes per coordinator: got %v, want some for both", took)
	}
}

func TestBatchesAreGreedy(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	r, c := h.connect(t, alpha), h.connect(t, one)
	batches := make(chan []bus.Message)
	resume := make(chan struct{})
	run(t, func(ctx context.Context) error {
		return c.Votes(ctx, 4, func(ctx context.Context, votes []bus.Message) error {
			select {
			case batches <- votes:
				<-resume
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	vote(t, r, "alpha", "0")
	if got := len(receive(t, batches)); got != 1 { // a lone vote waits for no others
		t.Errorf("first batch: got %d votes, want 1", got)
	}
	for i := range 6 {
		vote(t, r, "alpha", fmt.Sprint(i+1))
	}
	// What comes during a batch fills the next; it is in the server's pipe to
	// us when the server has answered something sent after it.
	if err := c.Raw().Flush(); err != nil {
		t.Fatal(err)
	}
	var order []string
	for resume <- struct{}{}; len(order) < 6; {
		batch := receive(t, batches)
		if len(batch) > 4 {
			t.Errorf("batch of %d votes, at most 4 asked for", len(batch))
		}
		for _, m := range batch {
			v, err := bus.DecodeVote(m.Data)
			if err != nil {
				t.Fatal(err)
			}
			order = append(order, string(v.Envelope.Payload))
		}
		resume <- struct{}{}
	}
	if got := strings.Join(order, ""); got != "123456" {
		t.Errorf("order: got %s", got)
	}
}

func TestBatchIsKeptWhileItCannotBeStored(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	r, c := h.connect(t, alpha), h.connect(t, one)
	attempts := make(chan []bus.Message, 16)
	run(t, func(ctx context.Context) error {
		n := 0
		return c.Votes(ctx, 8, func(_ context.Context, votes []bus.Message) error {
			n++
			attempts <- votes
			if n < 3 {
				return errAway
			}
			return nil
		})
	})
	vote(t, r, "alpha", "first")
	first := receive(t, attempts)
	vote(t, r, "alpha", "second")
	for range 2 {
		if diff := cmp.Diff(first, receive(t, attempts)); diff != "" {
			t.Errorf("batch changed between attempts (-first +later):\n%s", diff)
		}
	}
	last := receive(t, attempts)
	if len(last) != 1 || last[0].Delivered != 1 {
		t.Errorf("after the trouble: got %d votes, delivered %d times, want the second vote once", len(last), last[0].Delivered)
	}
}

func TestUnacknowledgedVotesSurviveARestartOfTheServer(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	dir := t.TempDir()
	h.nats.Shutdown()
	start := func(listen string) *box.NATS {
		n, err := box.StartNATS(t.Context(), h.conf, box.NATSOptions{Dir: dir, Listen: listen})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	n := start("127.0.0.1:0")
	h.url = n.ClientURL()
	c, r := h.connect(t, one), h.connect(t, alpha)
	if err := c.EnsureStreams(within(t), bus.StreamOptions{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	if err := c.EnsureRebuilder(within(t), "alpha"); err != nil {
		t.Fatal(err)
	}
	const votes = 40
	b := newBallot(votes)
	done := b.all
	run(t, func(ctx context.Context) error { return c.Votes(ctx, 5, b.take) })
	for i := range votes {
		if i == votes/2 {
			n.Shutdown()
			n = start(strings.TrimPrefix(h.url, "nats://"))
			t.Cleanup(n.Shutdown)
		}
		v := encoded(t, bus.Vote{Envelope: envelope(t, fmt.Sprint(i))})
		if _, err := available(t, func() (struct{}, error) { return struct{}{}, r.PublishVote(within(t), "alpha", v) }); err != nil {
			t.Fatal(err)
		}
	}
	receive(t, done)
}

func TestOversizedVotesAreRefusedOnBothSides(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	r := h.connect(t, alpha)
	v := bus.Vote{Envelope: envelope(t, "v")}
	for range bus.MaxVote / attest.StateSize {
		v.States = append(v.States, make(attest.State, attest.StateSize))
	}
	_, err := bus.EncodeVote(v)
	wantKind(t, err, bus.KindInvalid, "at most 1048576")
	// A client that does not look is stopped by the stream.
	answer, err := r.Raw().RequestWithContext(within(t), "vote.alpha", make([]byte, bus.MaxVote+1))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(answer.Data), "10054") {
		t.Errorf("the stream answered %s", answer.Data)
	}
}

func TestFloodOfOneRebuilderLeavesRoomForTheOthers(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	c, flooder, r := h.connect(t, one), h.connect(t, alpha), h.connect(t, beta)
	const quota = 8
	if err := c.EnsureStreams(within(t), bus.StreamOptions{Replicas: 1, MaxUnread: quota}); err != nil {
		t.Fatal(err)
	}
	for i := range quota {
		vote(t, flooder, "alpha", fmt.Sprint(i))
	}
	over := encoded(t, bus.Vote{Envelope: envelope(t, "one too many")})
	wantKind(t, flooder.PublishVote(within(t), "alpha", over), bus.KindUnavailable, "wait for a coordinator already", "maximum messages per subject")
	for range 1000 { // without asking for an acknowledgement
		if err := flooder.Raw().Publish("vote.alpha", make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, flooder.PublishVote(within(t), "alpha", over), bus.KindUnavailable)
	vote(t, r, "beta", "as if nothing had happened")
	js, err := jetstream.New(c.Raw())
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(within(t), bus.StreamVotes)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != quota+1 {
		t.Errorf("the stream holds %d votes, want %d", n, quota+1)
	}

	b := newBallot(quota + 2)
	done := b.all
	run(t, func(ctx context.Context) error { return c.Votes(ctx, 4, b.take) })
	// What is stored makes room, also when nothing more can come in.
	if _, err := available(t, func() (struct{}, error) { return struct{}{}, flooder.PublishVote(within(t), "alpha", over) }); err != nil {
		t.Fatal(err)
	}
	receive(t, done)
}

func TestLargeVotesPassWithinTheMemoryBound(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	c, r := h.connect(t, one), h.connect(t, alpha)
	b := newBallot(12)
	done := b.all
	v := bus.Vote{}
	for range 3000 {
		v.States = append(v.States, make(attest.State, attest.StateSize))
	}
	for i := range 12 { // more than maxBatchBytes in all
		v.Envelope = envelope(t, fmt.Sprint(i))
		if err := r.PublishVote(within(t), "alpha", encoded(t, v)); err != nil {
			t.Fatal(err)
		}
	}
	run(t, func(ctx context.Context) error { return c.Votes(ctx, 500, b.take) })
	receive(t, done)
}

func TestReceiptsReachTheirRebuilderAlone(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	c := h.connect(t, one)
	for _, id := range []bus.Identity{alpha, beta} {
		if err := c.PublishReceipt(within(t), id.Name, envelope(t, "for "+id.Name), envelope(t, "more for "+id.Name)); err != nil {
			t.Fatal(err)
		}
	}
	r := h.connect(t, beta)
	got := make(chan string, 8)
	tries := 0
	run(t, func(ctx context.Context) error {
		return r.Receipts(ctx, "beta", func(e *attest.Envelope) error {
			if tries++; tries == 1 {
				return errAway // handed over again, in order
			}
			got <- string(e.Payload)
			return nil
		})
	})
	if a, b := receive(t, got), receive(t, got); a != "for beta" || b != "more for beta" {
		t.Errorf("got %q, %q", a, b)
	}
}

func TestEventsReachPublishers(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	c, p := h.connect(t, one), h.connect(t, press)
	got := make(chan bus.Event, 16)
	run(t, func(ctx context.Context) error { return p.Events(ctx, func(e bus.Event) { got <- e }) })
	want := bus.Event{Release: digestOf("r"), Suite: "stable", State: "signed", At: 1_700_000_000}
	for { // an event may come before the subscription has
		if err := c.PublishEvent(within(t), want); err != nil {
			t.Fatal(err)
		}
		if err := p.Raw().Flush(); err != nil {
			t.Fatal(err)
		}
		if len(got) > 0 {
			break
		}
	}
	if diff := cmp.Diff(want, receive(t, got)); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	wantKind(t, h.connect(t, alpha).Events(within(t), nil), bus.KindDenied, "event.>")
}

func TestUnreadableTasksAreDroppedNotRepeated(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	c, r := h.connect(t, one), h.connect(t, alpha)
	for _, data := range []string{"", "{}", `{"opening":null,"request":null}`, `{"opening":{},"request":{},"opening":{}}`} {
		if _, err := c.Raw().RequestMsgWithContext(within(t), &nats.Msg{Subject: "task.all.stable", Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.PublishTask(within(t), "stable", task(t, "good")); err != nil {
		t.Fatal(err)
	}
	got := make(chan bus.Task, 8)
	run(t, func(ctx context.Context) error {
		return r.Tasks(ctx, "alpha", 1, func(_ context.Context, m bus.TaskMessage) {
			got <- m.Task
			m.Done()
		})
	})
	if diff := cmp.Diff(task(t, "good"), receive(t, got)); diff != "" {
		t.Errorf("task (-want +got):\n%s", diff)
	}
}
