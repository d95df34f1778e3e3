package bus_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/box"
	"github.com/reprosign/reprosign/internal/bus"
)

func TestSpecificationShowsThePermissionsInForce(t *testing.T) {
	t.Parallel()
	spec, err := os.ReadFile("../../docs/spec/bus.md")
	if err != nil {
		t.Fatal(err)
	}
	if table := bus.PermissionTable(); !strings.Contains(string(spec), table) {
		t.Errorf("docs/spec/bus.md lacks this table:\n%s", table)
	}
}

func TestSpecificationNamesEveryKindAndLimit(t *testing.T) {
	t.Parallel()
	spec, err := os.ReadFile("../../docs/spec/bus.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []bus.Kind{
		bus.KindInvalid, bus.KindDenied, bus.KindNotFound, bus.KindConflict,
		bus.KindNotReady, bus.KindUnavailable, bus.KindInternal,
	} {
		if !strings.Contains(string(spec), "| `"+string(kind)+"` |") {
			t.Errorf("docs/spec/bus.md lacks kind %q", kind)
		}
	}
}

func nkey(t *testing.T) string {
	t.Helper()
	_, public, err := bus.GenerateNKey()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func TestUnusableParticipantsAreRefused(t *testing.T) {
	t.Parallel()
	party := func(name, nats string) policy.Party { return policy.Party{Key: verifierKey(t, name), NATS: nats} }
	same := nkey(t)
	for want, p := range map[string]policy.Policy{
		"not a public user nkey": {Coordinators: []policy.Party{party("one", "UNOTAKEY")}},
		"have the same nkey":     {Coordinators: []policy.Party{party("one", same)}, Signers: []policy.Party{party("hsm", same)}},
		"in the policy twice":    {Coordinators: []policy.Party{party("one", nkey(t)), party("one", nkey(t))}},
		"cannot be named":        {Rebuilders: []policy.Rebuilder{{Key: verifierKey(t, "all"), NATS: nkey(t)}}},
		"other characters":       {Signers: []policy.Party{party("Hsm.>", nkey(t))}},
	} {
		if _, err := bus.ServerConfig(&p, bus.ServerOptions{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func TestUnusableServerOptionsAreRefused(t *testing.T) {
	t.Parallel()
	for _, o := range []bus.ServerOptions{
		{StoreDir: "/var/\"; authorization {} #"},
		{Listen: "127.0.0.1:4222\nport: 1"},
		{TLSCert: "/etc/cert.pem"},
		{TLSCert: "$HOME/cert.pem", TLSKey: "/etc/key.pem"},
	} {
		if text, err := bus.ServerConfig(&policy.Policy{}, o); err == nil {
			t.Errorf("%+v gave\n%s", o, text)
		}
	}
}

func TestOptionsAppearInTheConfiguration(t *testing.T) {
	t.Parallel()
	p := &policy.Policy{Coordinators: []policy.Party{{Key: verifierKey(t, "one"), NATS: nkey(t)}}}
	text, err := bus.ServerConfig(p, bus.ServerOptions{
		Listen: "0.0.0.0:4222", WebSocket: "0.0.0.0:443", StoreDir: "/var/lib/nats", SyncInterval: 1e9,
		TLSCert: "/etc/cert.pem", TLSKey: "/etc/key.pem",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`listen: "0.0.0.0:4222"`, `listen: "0.0.0.0:443"`, `store_dir: "/var/lib/nats"`, `sync_interval: "1s"`, `cert_file: "/etc/cert.pem"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %s:\n%s", want, text)
		}
	}
	accounts, err := bus.ServerConfig(p, bus.ServerOptions{AccountsOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(accounts, "listen") || strings.Contains(accounts, "jetstream {") || !strings.Contains(accounts, "accounts {") {
		t.Errorf("accounts alone:\n%s", accounts)
	}
}

func TestReloadedPolicyAdmitsAndRemovesParties(t *testing.T) {
	t.Parallel()
	h := startHouse(t)
	c := h.connect(t, beta)
	lines := strings.Split(h.conf, "\n")
	// The same house without beta.
	var without []string
	skip := false
	for _, line := range lines {
		if strings.HasPrefix(line, "  rebuilder-beta {") {
			skip = true
		}
		if !skip && !strings.Contains(line, "accounts: [rebuilder-beta]") {
			without = append(without, strings.ReplaceAll(line, ", rebuilder-beta", ""))
		}
		if skip && line == "  }" {
			skip = false
		}
	}
	closed := make(chan struct{}, 1)
	c.Raw().SetDisconnectErrHandler(func(*nats.Conn, error) { closed <- struct{}{} })
	if err := h.nats.Reload(strings.Join(without, "\n")); err != nil {
		t.Fatal(err)
	}
	receive(t, closed)
	_, err := bus.Connect(within(t), h.config(beta))
	wantKind(t, err, bus.KindDenied)
	if err := h.nats.Reload(h.conf); err != nil {
		t.Fatal(err)
	}
	vote(t, h.connect(t, beta), "beta", "back again")
}

func TestPartyWithoutKeyHasNoUser(t *testing.T) {
	t.Parallel()
	p := &policy.Policy{
		Coordinators: []policy.Party{{Key: verifierKey(t, "one"), NATS: nkey(t)}},
		Rebuilders:   []policy.Rebuilder{{Key: verifierKey(t, "later")}},
	}
	text, err := bus.ServerConfig(p, bus.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "later") {
		t.Errorf("a party without nkey is in\n%s", text)
	}
	n, err := box.StartNATS(t.Context(), text, box.NATSOptions{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	n.Shutdown()
}

// parcel is a message with nothing but a body.
type parcel struct {
	jetstream.Msg

	data string
}

func (p parcel) Data() []byte { return []byte(p.data) }

func TestBatchTakesWhatIsThereAndNoMore(t *testing.T) {
	t.Parallel()
	queue := make(chan jetstream.Msg, 8)
	for _, d := range []string{"b", "c", "d", "e", "f"} {
		queue <- parcel{data: d}
	}
	text := func(messages []jetstream.Msg) string {
		var all strings.Builder
		for _, m := range messages {
			all.Write(m.Data())
		}
		return all.String()
	}
	got := []string{
		text(bus.Collect(parcel{data: "a"}, queue, 4)),
		text(bus.Collect(<-queue, queue, 4)),
	}
	close(queue)
	got = append(got, text(bus.Collect(parcel{data: "g"}, queue, 4)))
	if diff := cmp.Diff([]string{"abcd", "ef", "g"}, got); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
}
