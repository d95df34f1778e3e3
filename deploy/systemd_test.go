package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/internal/config/configtest"
)

// exposed is the worst verdict that systemd-analyze security may give, times
// ten: 0 is closed, 100 open. The agent's builds need namespaces of their own.
var exposed = map[string]string{
	"reprosign-coordinator.service": "15",
	"reprosign-dashboard.service":   "15",
	"reprosign-monitor.service":     "15",
	migration:                       "15",
	"reprosign-rebuilder@.service":  "45",
	"reprosign-signer.service":      "15",
	"reprosign-witness.service":     "15",
}

// commands are the units whose program is a command of another one.
var commands = map[string]string{"reprosign-monitor": "reprosign log monitor", "reprosign-witness": "reprosign witness"}

// migration is the one unit that is no daemon: somebody starts it and it ends.
const migration = "reprosign-migrate.service"

// unit is the settings of a unit file in order, by section and name.
type unit map[string][]string

func parseUnit(t *testing.T, text string) unit {
	t.Helper()
	u, section := unit{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
		default:
			name, value, ok := strings.Cut(line, "=")
			if !ok || section == "" {
				t.Fatalf("line %q is no setting of a section", line)
			}
			u[section+"."+name] = append(u[section+"."+name], value)
		}
	}
	return u
}

// program is a unit's name without what systemd adds.
func program(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, ".service"), "@")
}

func TestSystemdAcceptsEveryUnit(t *testing.T) {
	// A copy, with a command that exists here.
	dir := t.TempDir()
	command := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/\S+`)
	for name := range exposed {
		write(t, filepath.Join(dir, name), command.ReplaceAllString(read(t, "systemd", name), "ExecStart=/bin/true"))
	}
	for name, threshold := range exposed {
		path := filepath.Join(dir, name)
		verify := analyze(t, "verify", "--man=no", "--recursive-errors=no", path)
		if verify != "" {
			t.Errorf("systemd-analyze verify %s:\n%s", name, verify)
		}
		analyze(t, "security", "--offline=yes", "--no-pager", "--threshold="+threshold, path)
		// What is commented out, for addresses to be filled in.
		filter := regexp.MustCompile(`(?m)^#(IPAddress\w+=)`)
		text := read(t, dir, name)
		if !filter.MatchString(text) {
			t.Errorf("%s offers no filter of addresses", name)
		}
		write(t, path, filter.ReplaceAllString(text, "$1"))
		if said := analyze(t, "verify", "--man=no", "--recursive-errors=no", path); said != "" {
			t.Errorf("systemd-analyze verify %s with its filter of addresses:\n%s", name, said)
		}
	}
	// The drop-in, by systemd itself, on a unit that has it.
	dropin := filepath.Join(dir, "reprosign-rebuilder@.service.d")
	if err := os.Mkdir(dropin, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dropin, "root-agent.conf"), read(t, "systemd", "root-agent.conf"))
	if said := analyze(t, "verify", "--man=no", "--recursive-errors=no", filepath.Join(dir, "reprosign-rebuilder@.service")); said != "" {
		t.Errorf("systemd-analyze verify with root-agent.conf:\n%s", said)
	}
}

// analyze runs systemd-analyze, whose mistakes in a file are lines, not a status.
func analyze(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", arguments...).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze %s: %v; it is in the package systemd\n%s", strings.Join(arguments, " "), err, out)
	}
	return string(out)
}

func TestEveryDaemonHasAUnitOfItsOwnThatFitsIt(t *testing.T) {
	users := declaredUsers(t)
	taken := map[string]string{}
	for name := range exposed {
		if name == migration {
			continue
		}
		u := parseUnit(t, read(t, "systemd", name))
		p := program(name)
		one := func(setting string) string {
			if len(u[setting]) != 1 {
				t.Errorf("%s: %s is there %d times, want once", name, setting, len(u[setting]))
				return ""
			}
			return u[setting][0]
		}
		command := p
		if c, ok := commands[p]; ok {
			command = c
		}
		binary, _, _ := strings.Cut(command, " ")
		if _, err := os.Stat(filepath.Join("..", "cmd", binary, "main.go")); err != nil {
			t.Errorf("%s: no such program: %v", name, err)
		}
		file := strings.TrimPrefix(p, "reprosign-")
		instance := ""
		if strings.Contains(name, "@") {
			instance = "-%i"
		}
		if want := "/usr/bin/" + command + " --config /etc/reprosign/" + file + instance + ".toml"; one("Service.ExecStart") != want {
			t.Errorf("%s: got %s, want %s", name, one("Service.ExecStart"), want)
		}
		user := strings.ReplaceAll(one("Service.User"), "%i", "1")
		if !slices.Contains(users, user) {
			t.Errorf("%s: user %s is not in sysusers.conf", name, user)
		}
		if other, shared := taken[user]; shared {
			t.Errorf("%s and %s share user %s", name, other, user)
		}
		taken[user] = name
		if one("Service.Type") != "notify" || one("Service.WatchdogSec") == "0" || one("Service.Restart") != "on-failure" || one("Service.RestartSec") == "0" {
			t.Errorf("%s: does not notify, has no watchdog, or does not restart after a pause", name)
		}
		checkCredentials(t, name, file, u["Service.LoadCredential"])
	}
	for _, user := range users {
		if taken[user] == "" {
			t.Errorf("sysusers.conf: no unit runs as %s", user)
		}
	}
}

func TestOwnerOfTheSchemaSharesNothingWithADaemon(t *testing.T) {
	u := parseUnit(t, read(t, "systemd", migration))
	mine := u["Service.LoadCredential"]
	if !slices.Equal(u["Service.DynamicUser"], []string{"yes"}) || len(u["Service.User"]) > 0 {
		t.Errorf("%s: user %q, want one that exists while it runs", migration, u["Service.User"])
	}
	if len(u["Install.WantedBy"]) > 0 {
		t.Errorf("%s: starts with %q, want by hand alone", migration, u["Install.WantedBy"])
	}
	if want := []string{"/usr/bin/reprosign-coordinator migrate --owner credential:owner"}; !slices.Equal(u["Service.ExecStart"], want) {
		t.Errorf("%s: starts %q, want %q", migration, u["Service.ExecStart"], want)
	}
	if len(mine) != 1 || !strings.HasPrefix(mine[0], "owner:/etc/reprosign/private/migrate/") {
		t.Fatalf("%s: loads %q", migration, mine)
	}
	if !strings.Contains(read(t, "systemd", "tmpfiles.conf"), " /etc/reprosign/private/migrate ") {
		t.Error("the directory of the owner's connection string is not in tmpfiles.conf")
	}
	for name := range exposed {
		if name != migration && strings.Contains(read(t, "systemd", name), "/private/migrate") {
			t.Errorf("%s can read the owner's connection string", name)
		}
	}
}

func declaredUsers(t *testing.T) []string {
	t.Helper()
	var users []string
	for line := range strings.Lines(read(t, "systemd", "sysusers.conf")) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "u" {
			users = append(users, fields[1])
		}
	}
	return users
}

// checkCredentials holds what a unit loads against what the program's example
// reads: as credential:NAME, or in the passfile of a connection string.
func checkCredentials(t *testing.T, name, file string, loaded []string) {
	t.Helper()
	path := filepath.Join("config", file+".toml")
	wanted := configtest.Credentials(t, path)
	if passfile := "/run/credentials/" + name + "/pgpass"; strings.Contains(read(t, path), "passfile="+passfile) {
		wanted = append(wanted, "pgpass")
	}
	tmpfiles := read(t, "systemd", "tmpfiles.conf")
	var given []string
	for _, l := range loaded {
		id, source, _ := strings.Cut(l, ":")
		given = append(given, id)
		if !strings.Contains(tmpfiles, " "+filepath.Dir(source)+" ") {
			t.Errorf("%s: the directory of %s is not in tmpfiles.conf", name, source)
		}
	}
	slices.Sort(wanted)
	slices.Sort(given)
	if !slices.Equal(wanted, given) {
		t.Errorf("%s: loads credentials %q, %s wants %q", name, given, path, wanted)
	}
}

func TestSystemdMakesUsersAndDirectories(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*exec.Cmd{
		exec.CommandContext(t.Context(), "systemd-sysusers", "--root="+root, abs(t, "systemd/sysusers.conf")),
		// The prefix keeps it from what the host's own files ask for.
		exec.CommandContext(t.Context(), "systemd-tmpfiles", "--root="+root, "--create", "--prefix=/etc/reprosign", abs(t, "systemd/tmpfiles.conf")),
	} {
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v; it is in the package systemd\n%s", c.Args, err, out)
		}
	}
	passwd := read(t, root, "etc", "passwd")
	for _, user := range declaredUsers(t) {
		if !strings.Contains(passwd, user+":") {
			t.Errorf("user %s was not made:\n%s", user, passwd)
		}
	}
	info, err := os.Stat(filepath.Join(root, "etc/reprosign/private/signer"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory of the signer's secrets: got %v, %v, want mode 0700", info, err)
	}
}

func abs(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
