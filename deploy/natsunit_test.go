package deploy_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSystemdAcceptsTheUnitOfTheBus(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nats-server.service")
	write(t, path, strings.Replace(read(t, "nats/nats-server.service"), "ExecStart=/usr/bin/nats-server", "ExecStart=/bin/true", 1))
	if said := analyze(t, "verify", "--man=no", "--recursive-errors=no", path); said != "" {
		t.Errorf("systemd-analyze verify:\n%s", said)
	}
	analyze(t, "security", "--offline=yes", "--no-pager", "--threshold=15", path)
}

func TestUnitOfTheBusFitsItsConfiguration(t *testing.T) {
	u := parseUnit(t, read(t, "nats/nats-server.service"))
	configuration := read(t, "nats/nats-server.conf")
	for setting, want := range map[string]string{
		"Service.ExecStart":      "/usr/bin/nats-server --config /etc/nats/nats-server.conf",
		"Service.StateDirectory": "nats",
		"Service.User":           "nats",
	} {
		if !slices.Equal(u[setting], []string{want}) {
			t.Errorf("%s is %q, want %q", setting, u[setting], want)
		}
	}
	if !strings.Contains(configuration, `store_dir: "/var/lib/nats"`) {
		t.Error("the streams are not in the state directory of the unit")
	}
	if !strings.Contains(read(t, "nats/sysusers.conf"), "\nu     nats ") {
		t.Error("sysusers.conf makes no user nats")
	}
}

// Without accounts, which a failed command leaves, NATS would let everybody in.
func TestBusIsNeitherStartedNorReloadedWithoutAccounts(t *testing.T) {
	const accounts = "/etc/nats/accounts.conf"
	if !strings.Contains(read(t, "nats/nats-server.conf"), "\ninclude \"accounts.conf\"\n") {
		t.Fatalf("nats-server.conf does not include %s", accounts)
	}
	u := parseUnit(t, read(t, "nats/nats-server.service"))
	if !slices.Equal(u["Unit.AssertFileNotEmpty"], []string{accounts}) {
		t.Errorf("starts if %q is not empty, want %s", u["Unit.AssertFileNotEmpty"], accounts)
	}
	if want := []string{"/usr/bin/test -s " + accounts, "/bin/kill -HUP $MAINPID"}; !slices.Equal(u["Service.ExecReload"], want) {
		t.Errorf("reloads with %q, want %q", u["Service.ExecReload"], want)
	}
}
