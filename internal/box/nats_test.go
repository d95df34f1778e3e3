package box_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/internal/box"
	"github.com/reprosign/reprosign/internal/box/boxtest"
)

// natsConfig is what a real cluster's nats-server reads too: its store_dir and
// port are the machine's to replace.
const natsConfig = `
listen: "127.0.0.1:4222"
max_payload: 2048
jetstream { store_dir: "/nonexistent", max_file_store: 64MB }
authorization { users = [ { user: alice, password: secret } ] }
`

// natsClient speaks NATS's text protocol: this package must not know nats.go.
type natsClient struct {
	conn net.Conn
	in   *bufio.Reader
}

// dialNATS logs in and returns the server's answer: PONG, or an error line.
func dialNATS(t *testing.T, url, user string) (natsClient, string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // often closed by the server
	c := natsClient{conn, bufio.NewReader(conn)}
	if info := c.line(t); !strings.HasPrefix(info, "INFO ") {
		t.Fatalf("greeting: got %q", info)
	}
	c.send(t, fmt.Sprintf(`CONNECT {"verbose":false,"user":%q,"pass":"secret"}`, user)+"\r\nPING\r\n")
	return c, c.line(t)
}

func (c natsClient) send(t *testing.T, text string) {
	t.Helper()
	if _, err := c.conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func (c natsClient) line(t *testing.T) string {
	t.Helper()
	line, err := c.in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// ask publishes a request and returns the reply's body.
func (c natsClient) ask(t *testing.T, subject, body string) string {
	t.Helper()
	c.send(t, fmt.Sprintf("SUB inbox 1\r\nUNSUB 1 1\r\nPUB %s inbox %d\r\n%s\r\n", subject, len(body), body))
	if head := c.line(t); !strings.HasPrefix(head, "MSG inbox 1") {
		t.Fatalf("reply on %s: got %q", subject, head)
	}
	return c.line(t)
}

func TestStreamOutlivesShutdownAndKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	owner, url := own(t, "nats", dir, natsConfig)
	client, hello := dialNATS(t, url, "alice")
	if hello != "PONG" {
		t.Fatalf("login: got %q", hello)
	}
	created := client.ask(t, "$JS.API.STREAM.CREATE.VOTES", `{"name":"VOTES","subjects":["vote.*"],"storage":"file"}`)
	if strings.Contains(created, `"error"`) {
		t.Fatalf("creating a stream: %s", created)
	}
	if ack := client.ask(t, "vote.r1", "ballot"); !strings.Contains(ack, `"seq":1`) {
		t.Fatalf("publishing: got %s", ack)
	}
	kill(t, owner)

	for _, life := range []string{"after a kill", "after a shutdown"} {
		nats, err := box.StartNATS(t.Context(), natsConfig, box.NATSOptions{Dir: dir, Listen: "127.0.0.1:0"})
		if err != nil {
			t.Fatalf("starting %s: %v", life, err)
		}
		client, hello := dialNATS(t, nats.ClientURL(), "alice")
		if hello != "PONG" {
			t.Fatalf("login %s: got %q", life, hello)
		}
		got := client.ask(t, "$JS.API.STREAM.MSG.GET.VOTES", `{"seq":1}`)
		if !strings.Contains(got, `"data":"YmFsbG90"`) { // ballot
			t.Errorf("message %s: got %s", life, got)
		}
		nats.Shutdown()
		nats.Shutdown() // the second does nothing
	}
}

func TestConfigurationTextGovernsTheServer(t *testing.T) {
	t.Parallel()
	nats := boxtest.NATS(t, natsConfig)
	if _, hello := dialNATS(t, nats.ClientURL(), "mallory"); hello != "-ERR 'Authorization Violation'" {
		t.Errorf("login of a stranger: got %q", hello)
	}
	client, _ := dialNATS(t, nats.ClientURL(), "alice")
	client.send(t, "PUB vote.r1 4096\r\n")
	if got := client.line(t); got != "-ERR 'Maximum Payload Violation'" {
		t.Errorf("over max_payload: got %q", got)
	}
}

func TestMessagesAreSyncedUnlessTheConfigurationSaysOtherwise(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		jetstream string
		want      bool
	}{
		{"jetstream { }", true},
		{"jetstream { sync_interval: always }", true},
		{"jetstream { sync_interval: 5s }", false},
	} {
		if got := boxtest.NATS(t, test.jetstream).SyncsAlways(); got != test.want {
			t.Errorf("%s: synced always %v, want %v", test.jetstream, got, test.want)
		}
	}
}

func TestReloadChangesUsersWithoutARestart(t *testing.T) {
	t.Parallel()
	nats := boxtest.NATS(t, natsConfig)
	url := nats.ClientURL()
	alice, _ := dialNATS(t, url, "alice")
	if err := nats.Reload(strings.ReplaceAll(natsConfig, "alice", "bob")); err != nil {
		t.Fatal(err)
	}
	if got := nats.ClientURL(); got != url {
		t.Errorf("address after reload: got %s, want %s", got, url)
	}
	if _, hello := dialNATS(t, url, "bob"); hello != "PONG" {
		t.Errorf("login of the new user: got %q", hello)
	}
	if _, err := io.ReadAll(alice.in); err != nil {
		t.Errorf("connection of the removed user: got error %v, want it closed", err)
	}
	if err := nats.Reload("jetstream { } server_name: another"); err == nil {
		t.Error("changing what cannot change succeeded")
	}
}

func TestUnusableNATSConfigurationsAreRefused(t *testing.T) {
	t.Parallel()
	taken := boxtest.NATS(t, natsConfig)
	address := strings.TrimPrefix(taken.ClientURL(), "nats://")
	for _, test := range []struct{ name, config, dir, listen, want string }{
		{"no JetStream", "port: 4222", t.TempDir(), "127.0.0.1:0", "no jetstream block"},
		{"no directory", natsConfig, "", "127.0.0.1:0", "no directory"},
		{"unknown setting", natsConfig + "max_paylod: 1", t.TempDir(), "127.0.0.1:0", "unknown field"},
		{"not a configuration", "}", t.TempDir(), "127.0.0.1:0", "parsing the NATS configuration"},
		{"no port", natsConfig, t.TempDir(), "127.0.0.1", "missing port"},
		{"bad port", natsConfig, t.TempDir(), "127.0.0.1:70000", "value out of range"},
		{"port in use", natsConfig, t.TempDir(), address, "address already in use"},
		{"directory is a device", natsConfig, "/dev/null", "127.0.0.1:0", "/dev/null"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			nats, err := box.StartNATS(t.Context(), test.config, box.NATSOptions{Dir: test.dir, Listen: test.listen})
			if err == nil {
				nats.Shutdown()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %q in it", err, test.want)
			}
		})
	}
}
