package bus_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/internal/config"
)

func TestTypedCallsUnderAnothersNameAreDeniedAtOnce(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	// Each call has its own connection: on a shared one it might be told of another's refusal.
	a := func() *bus.Conn { return h.connect(t, alpha) }
	p := func() *bus.Conn { return h.connect(t, press) }
	vote := encoded(t, bus.Vote{Envelope: envelope(t, "vote")})
	for name, call := range map[string]func(ctx context.Context) error{
		`"vote.beta"`: func(ctx context.Context) error { return a().PublishVote(ctx, "beta", vote) },
		`"api.v1.receipts.beta"`: func(ctx context.Context) error {
			_, err := a().AskReceipts(ctx, "beta", bus.ReceiptsRequest{})
			return err
		},
		`"api.v1.complain.beta"`: func(ctx context.Context) error {
			_, err := a().Complain(ctx, "beta", bus.ComplainRequest{})
			return err
		},
		`"api.v1.complain.press"`: func(ctx context.Context) error {
			_, err := p().Complain(ctx, "press", bus.ComplainRequest{})
			return err
		},
		`reb-beta"`:             func(ctx context.Context) error { return a().Tasks(ctx, "beta", 1, nil) },
		`rcpt-beta"`:            func(ctx context.Context) error { return a().Receipts(ctx, "beta", nil) },
		`VOTES.coordinators"`:   func(ctx context.Context) error { return a().Votes(ctx, 1, nil) },
		`"api.v1.submit.alpha"`: func(ctx context.Context) error { _, err := a().Submit(ctx, "alpha", bus.SubmitRequest{}); return err },
		`"signer.v1.sign"`:      func(ctx context.Context) error { _, err := p().Sign(ctx, bus.SignRequest{}); return err },
		`"signer.v1.decide"`:    func(ctx context.Context) error { _, err := a().Decide(ctx, bus.DecideRequest{}); return err },
		`"api.v1.submit.other"`: func(ctx context.Context) error { _, err := p().Submit(ctx, "other", bus.SubmitRequest{}); return err },
		`reb-alpha"`:            func(ctx context.Context) error { return p().Tasks(ctx, "alpha", 1, nil) },
		`"vote.press"`:          func(ctx context.Context) error { return p().PublishVote(ctx, "press", vote) },
		`"event.stable.signed"`: func(ctx context.Context) error {
			return p().PublishEvent(ctx, bus.Event{Suite: "stable", State: "signed"})
		},
		`"log.v1.read"`:   func(ctx context.Context) error { _, err := p().ReadLog(ctx, bus.LogRequest{}); return err },
		`"receipt.alpha"`: func(ctx context.Context) error { return a().PublishReceipt(ctx, "alpha", envelope(t, "r")) },
		`"task.all.stable"`: func(ctx context.Context) error {
			return a().PublishTask(ctx, "stable", bus.Task{Opening: envelope(t, "o"), Request: envelope(t, "r")})
		},
		`STREAM.`: func(ctx context.Context) error { return a().EnsureStreams(ctx, bus.StreamOptions{Replicas: 1}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			wantKind(t, call(ctx), bus.KindDenied, "NATS does not let", strings.Trim(name, `"`))
			if ctx.Err() != nil {
				t.Error("it took the whole time-out")
			}
		})
	}
}

// refusals reports what the server refuses, one message for each deed.
func refusals(t *testing.T, c *bus.Conn) <-chan string {
	t.Helper()
	refused := make(chan string, 64)
	c.Raw().SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err.Error() })
	return refused
}

func TestForbiddenSubjectsAreRefused(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	for _, test := range []struct {
		who       bus.Identity
		publish   []string
		subscribe []string
	}{
		{
			alpha,
			[]string{
				"vote.beta", "vote.alpha.x", "receipt.alpha", "task.alpha.stable", "event.stable.signed", "api.v1.receipts.beta",
				"api.v1.complain.beta", "api.v1.complain", "api.v1.submit.press", "signer.v1.sign", "$JS.API.STREAM.DELETE.VOTES", "js.STREAM.DELETE.VOTES",
				"js.CONSUMER.MSG.NEXT.TASKS.reb-beta", "js.CONSUMER.MSG.NEXT.RECEIPTS.rcpt-beta", "js.CONSUMER.MSG.NEXT.VOTES.coordinators",
				"js.CONSUMER.CREATE.TASKS.mine", "js.STREAM.MSG.GET.VOTES", "log.v1.write", "$JS.ACK.TASKS.reb-beta.1.1.1.1.1", bus.Inbox(beta) + ".x", "$SYS.REQ.SERVER.PING", "$SRV.PING",
			},
			[]string{">", "vote.>", "vote.beta", "receipt.>", "task.>", "event.>", "api.v1.>", "signer.v1.>", "log.v1.read", "log.>", "_INBOX.>", bus.Inbox(beta) + ".>", "$JS.>", "$SYS.>", "_R_.>"},
		},
		{
			press,
			[]string{
				"vote.press", "vote.alpha", "log.v1.read", "api.v1.submit.other", "api.v1.receipts.alpha", "api.v1.complain.alpha", "api.v1.complain.press", "signer.v1.decide", "event.stable.signed",
				"task.all.stable", "js.CONSUMER.MSG.NEXT.TASKS.reb-alpha", "js.CONSUMER.INFO.VOTES.coordinators",
			},
			[]string{">", "vote.>", "task.>", "receipt.>", "api.v1.>", bus.Inbox(other) + ".>", bus.Inbox(alpha) + ".>"},
		},
		{
			hsm,
			[]string{"vote.alpha", "task.all.stable", "receipt.alpha", "event.stable.signed", "signer.v1.sign", "api.v1.status", "api.v1.complain.hsm", "$JS.API.INFO", bus.Inbox(one) + ".x", "log.v1.write", "$SRV.PING"},
			[]string{">", "vote.>", "task.>", "api.v1.>", "event.>", bus.Inbox(one) + ".>", "signer.v1.>", "signer.v1.sign", "$SRV.>", "log.v1.read", "_INBOX.>"},
		},
		{
			one,
			[]string{"vote.alpha", "api.v1.submit.press", "$JS.API.STREAM.DELETE.VOTES", "$JS.API.STREAM.PURGE.RECEIPTS", "$JS.API.STREAM.CREATE.MINE", "$SYS.REQ.SERVER.PING", bus.Inbox(alpha) + ".x"},
			[]string{">", "vote.>", "signer.v1.sign", bus.Inbox(two) + ".>"},
		},
	} {
		t.Run(test.who.String(), func(t *testing.T) {
			t.Parallel()
			c := h.connect(t, test.who)
			refused := refusals(t, c)
			for _, subject := range test.publish {
				if err := c.Raw().Publish(subject, nil); err != nil {
					t.Fatal(err)
				}
				if got := receive(t, refused); !strings.Contains(got, `for Publish to "`+subject+`"`) {
					t.Errorf("publishing to %s: got %q", subject, got)
				}
			}
			for _, subject := range test.subscribe {
				if _, err := c.Raw().SubscribeSync(subject); err != nil {
					t.Fatal(err)
				}
				if got := receive(t, refused); !strings.Contains(got, `for Subscription to "`+subject+`"`) {
					t.Errorf("subscribing to %s: got %q", subject, got)
				}
			}
		})
	}
}

// NATS does not check the reply subject of a request, and JetStream answers
// with the server's own rights. This test deletes the streams when all parties
// share one account.
func TestAnswersCannotBeAimedAtOthersSubjects(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	c, a, p := h.connect(t, one), h.connect(t, alpha), h.connect(t, press)
	run(t, func(ctx context.Context) error { return c.ServeAPI(ctx, &fakeAPI{}) })
	if err := a.PublishVote(within(t), "alpha", encoded(t, bus.Vote{Envelope: envelope(t, "mine")})); err != nil {
		t.Fatal(err)
	}
	if _, err := available(t, func() (bus.PolicyReply, error) { return a.Policies(within(t), bus.PolicyRequest{}) }); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{
		"$JS.API.STREAM.DELETE.VOTES", "$JS.API.STREAM.PURGE.VOTES", "$JS.API.STREAM.PURGE.TASKS", "vote.beta", "receipt.beta", "task.all.stable",
		"signer.v1.sign", "event.stable.signed", bus.Inbox(beta) + ".x", "js.STREAM.DELETE.VOTES",
	} {
		for _, through := range []string{"js.CONSUMER.MSG.NEXT.TASKS.reb-alpha", "js.CONSUMER.INFO.TASKS.reb-alpha", "api.v1.status", "api.v1.receipts.alpha", "api.v1.complain.alpha"} {
			if err := a.Raw().PublishRequest(through, target, []byte(`{"batch":1,"no_wait":true}`)); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Raw().PublishRequest("api.v1.status", target, nil); err != nil {
			t.Fatal(err)
		}
	}
	// Answers to what came later on the same connections: all of the above is done.
	for _, conn := range []*bus.Conn{a, p} {
		if _, err := conn.Policies(within(t), bus.PolicyRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.PublishVote(within(t), "alpha", encoded(t, bus.Vote{Envelope: envelope(t, "mine too")})); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(c.Raw())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, name := range []string{bus.StreamVotes, bus.StreamTasks, bus.StreamReceipts, bus.StreamEvents} {
		s, err := js.Stream(within(t), name)
		if err != nil {
			t.Fatalf("stream %s: %v", name, err)
		}
		got[name] = s.CachedInfo().State.Msgs
	}
	want := map[string]uint64{bus.StreamVotes: 2, bus.StreamTasks: 0, bus.StreamReceipts: 0, bus.StreamEvents: 0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages in the streams (-want +got):\n%s", diff)
	}
}

func TestSignerAnswersInboxesOnly(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	c, s := h.connect(t, one), h.connect(t, hsm)
	run(t, func(ctx context.Context) error { return s.ServeSigner(ctx, device{}) })
	sign := func() (bus.SignReply, error) { return c.Sign(within(t), bus.SignRequest{Certificate: "A1"}) }
	if _, err := available(t, sign); err != nil {
		t.Fatal(err)
	}
	if err := c.Raw().PublishRequest("signer.v1.sign", "vote.alpha", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := sign(); err != nil { // the one before has been dealt with
		t.Fatal(err)
	}
	js, err := jetstream.New(c.Raw())
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(within(t), bus.StreamVotes)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 0 {
		t.Errorf("the signer published %d votes", n)
	}
}

// A signer is in the house, where nothing rewrites its reply subjects: what it
// may ask must not let it speak as somebody else.
func TestReaderOfTheLogCannotSpeakThroughTheAnswers(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	c, d, s, a := h.connect(t, one), h.connect(t, two), h.connect(t, hsm), h.connect(t, alpha)
	run(t, func(ctx context.Context) error { return c.ServeLog(ctx, logOf(t, 3)) })
	run(t, func(ctx context.Context) error { return c.ServeAPI(ctx, &fakeAPI{}) })
	read := func(r *bus.Conn) (bus.LogReply, error) { return r.ReadLog(within(t), bus.LogRequest{}) }
	for _, r := range []*bus.Conn{s, a} {
		if _, err := available(t, func() (bus.LogReply, error) { return read(r) }); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := available(t, func() (bus.PolicyReply, error) { return s.Policies(within(t), bus.PolicyRequest{}) }); err != nil {
		t.Fatal(err)
	}
	heard, err := d.Raw().SubscribeSync(bus.Inbox(two) + ".victim")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Raw().Flush(); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{
		"$JS.API.STREAM.DELETE.VOTES", "$JS.API.STREAM.PURGE.VOTES", "$JS.API.STREAM.PURGE.TASKS", "vote.beta", "receipt.alpha", "task.all.stable",
		"signer.v1.sign", "signer.v1.decide", "event.stable.signed", "log.v1.read", "api.v1.withdraw",
		bus.Inbox(two) + ".victim", bus.Inbox(alpha) + ".x", "_INBOX.x",
	} {
		for _, r := range []*bus.Conn{s, a} {
			for _, through := range []string{"log.v1.read", "api.v1.policy"} {
				if err := r.Raw().PublishRequest(through, target, []byte(`{"from":0}`)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	// Answers to what came later: all of the above is done.
	for _, r := range []*bus.Conn{s, a} {
		if _, err := read(r); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Policies(within(t), bus.PolicyRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Raw().Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := heard.Pending(); err != nil || n != 0 {
		t.Errorf("%d answers reached the inbox of %v, %v", n, two, err)
	}
	js, err := jetstream.New(c.Raw())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{bus.StreamVotes, bus.StreamTasks, bus.StreamReceipts, bus.StreamEvents} {
		stream, err := js.Stream(within(t), name)
		if err != nil {
			t.Fatalf("stream %s: %v", name, err)
		}
		if n := stream.CachedInfo().State.Msgs; n != 0 {
			t.Errorf("stream %s holds %d messages", name, n)
		}
	}
}

func TestUnknownKeyIsToldWhatToDo(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	seed, public, err := bus.GenerateNKey()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "seed")
	if err := config.WriteSecretFile(path, seed); err != nil {
		t.Fatal(err)
	}
	_, err = bus.Connect(within(t), bus.Config{URL: h.url, SeedFile: path, Identity: alpha, Logger: quiet})
	wantKind(t, err, bus.KindDenied, public, "rebuilder alpha", "policy")
	if strings.Contains(err.Error(), string(seed)) {
		t.Error("the seed is in the error")
	}
}

func TestSeedOfAnotherPartyGivesOnlyItsRights(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	c, err := bus.Connect(within(t), bus.Config{URL: h.url, SeedFile: h.seeds[beta], Identity: alpha})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	err = c.PublishVote(within(t), "alpha", encoded(t, bus.Vote{Envelope: envelope(t, "v")}))
	wantKind(t, err, bus.KindDenied, `"vote.alpha"`)
}

func TestSeedsStayOutOfErrorsAndPrinting(t *testing.T) {
	t.Parallel()
	seed, public, err := bus.GenerateNKey()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	good, broken, open := filepath.Join(dir, "good"), filepath.Join(dir, "broken"), filepath.Join(dir, "open")
	half := string(seed[:len(seed)-4]) + "AAAA"
	for path, text := range map[string]string{good: string(seed) + "\n", broken: half} {
		if err := config.WriteSecretFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(open, seed, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := bus.LoadSeed(good)
	if err != nil {
		t.Fatal(err)
	}
	if s.Public() != public || s.String() != public || s.GoString() != public {
		t.Errorf("got %v, want %s", s, public)
	}
	for _, path := range []string{broken, open} {
		_, err := bus.LoadSeed(path)
		if err == nil {
			t.Errorf("%s was accepted", path)
		} else if strings.Contains(err.Error(), half[:20]) {
			t.Errorf("the seed is in the error: %v", err)
		}
	}
}

func TestImpossibleIdentitiesAndAddressesAreRefused(t *testing.T) {
	t.Parallel()
	for _, cfg := range []bus.Config{
		{URL: "nats://127.0.0.1:1", Identity: bus.Identity{Role: "admin", Name: "root"}},
		{URL: "nats://127.0.0.1:1", Identity: bus.Identity{Role: bus.RoleRebuilder, Name: "a.b"}},
		{URL: "nats://127.0.0.1:1", Identity: bus.Identity{Role: bus.RoleRebuilder, Name: ">"}},
		{URL: "nats://127.0.0.1:1", Identity: bus.Identity{Role: bus.RoleRebuilder, Name: "all"}},
		{URL: "", Identity: alpha},
		{URL: "nats://me:secret@127.0.0.1:1", Identity: alpha},
	} {
		_, err := bus.Connect(t.Context(), cfg)
		if err == nil {
			t.Errorf("%v at %q was accepted", cfg.Identity, cfg.URL)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("password in the error: %v", err)
		}
	}
}

func digestOf(text string) attest.Digest { return attest.SHA256([]byte(text)) }
