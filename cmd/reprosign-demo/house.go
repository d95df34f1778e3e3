package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"golang.org/x/sync/errgroup"

	"github.com/reprosign/reprosign/attest"
)

// section is a table of a configuration file.
type section map[string]any

const configFile = "config.toml"

// configure writes a party's configuration file, as its operator would, and
// returns its path.
func (d *demo) configure(name, file string, settings section) (string, error) {
	data, err := toml.Marshal(settings)
	if err != nil {
		return "", fmt.Errorf("writing the configuration of %s: %w", name, err)
	}
	path := d.place.party(name, file)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return "", fmt.Errorf("writing the configuration of %s: %w", name, err)
	}
	return path, nil
}

// serve starts a party and waits until it is of use. The program may be a
// command of one. Health is the setting that names the address where it says so.
func (d *demo) serve(ctx context.Context, name, program, health string, settings section) error {
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	settings[health] = address
	file, err := d.configure(name, configFile, settings)
	if err != nil {
		return err
	}
	words := strings.Fields(program)
	p, err := d.supervisor.start(name, words[0], nil, append(words[1:], "--config", file)...)
	if err != nil {
		return err
	}
	return p.ready(ctx, address)
}

func (d *demo) startCoordinator(ctx context.Context) error {
	bus, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	state, err := d.place.directory(passableDir, coordinatorName+"-state")
	if err != nil {
		return err
	}
	if err := d.serve(ctx, coordinatorName, "reprosign-coordinator", "listen", section{
		"name": coordinatorName, "policy": d.policyPath(), "state": state,
		"opening_key": d.place.party(coordinatorName, "opening.pem"),
		"log_key":     d.place.party(coordinatorName, "log.pem"),
		"nats":        section{"seed": d.place.party(coordinatorName, seedFile), "listen": bus},
		"witnesses":   d.witnesses,
	}); err != nil {
		return err
	}
	url, err := os.ReadFile(filepath.Join(state, "nats.url"))
	if err != nil {
		return fmt.Errorf("reading the address of the bus: %w", err)
	}
	d.busURL, d.dsnFile = strings.TrimSpace(string(url)), filepath.Join(state, "dashboard.dsn")
	d.screen.event(coordinatorName, "runs, with a private PostgreSQL and a message bus that knows every party by its key")
	return nil
}

func (d *demo) startSigner(ctx context.Context) error {
	state, err := d.place.directory(privateDir, signerName+"-state")
	if err != nil {
		return err
	}
	var certificates []section
	for _, r := range d.releases {
		certificates = append(certificates, section{"file": d.certificatePath(r.suite), "key": r.suite})
	}
	if err := d.serve(ctx, signerName, "reprosign-signer", "listen", section{
		"name": signerName, "policy": d.policyPath(), "key": d.place.party(signerName, "statement.pem"), "state": state,
		"nats":        section{"url": d.busURL, "seed": d.place.party(signerName, seedFile)},
		"nethsm":      d.hsmSettings(),
		"certificate": certificates,
	}); err != nil {
		return err
	}
	d.screen.event(signerName, "runs before the HSM; it has no database, and believes nothing it cannot check")
	return nil
}

// Ranges of user ids for builds; each agent has its own.
const (
	firstBuildUID  = 3_000_000
	buildUIDsEach  = 16
	drainOnInquiry = "2s" // nobody waits for the demo's builds when it ends
)

// startRebuilders starts the four agents side by side.
func (d *demo) startRebuilders(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for i, name := range rebuilderNames {
		group.Go(func() error { return d.startRebuilder(ctx, name, firstBuildUID+i*buildUIDsEach) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	d.screen.event("rebuilders", "%s run; each has its own operator, keys, spool, caches and build accounts", strings.Join(rebuilderNames, ", "))
	return nil
}

func (d *demo) startRebuilder(ctx context.Context, name string, uid int) error {
	work, err := d.place.directory(passableDir, name+"-builds")
	if err != nil {
		return err
	}
	goCommand := d.goTools.command
	if name == misconfigured {
		if goCommand, err = d.installWrapper(name); err != nil {
			return err
		}
	}
	return d.serve(ctx, name, "reprosign-rebuilder", "listen", section{
		"name": name, "policy": d.policyPath(), "key": d.place.party(name, "attestation.pem"),
		"spool": d.spool(name), "drain": drainOnInquiry,
		"nats":    section{"url": d.busURL, "seed": d.place.party(name, seedFile)},
		"sandbox": section{"work_dir": work, "uid_base": uid, "uid_count": buildUIDsEach},
		"sources": section{"file_roots": []string{d.shared}},
		"debian":  section{"enabled": true},
		"golang":  section{"go": goCommand, "proxy": d.goTools.proxy, "sumdb": d.goTools.sumdb},
		"command": []section{{
			"name": stampedCommand, "path": filepath.Join(d.shared, stampedCommand),
			"sha256": attest.SHA256([]byte(stampedBuild)).String(),
		}},
	})
}

func (d *demo) spool(rebuilder string) string { return d.place.party(rebuilder, "spool") }

// installWrapper puts a go command in the agent's way that drops -trimpath.
func (d *demo) installWrapper(name string) (string, error) {
	dir, err := d.place.directory(publicDir, name+"-bin")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "go")
	err = os.WriteFile(path, fmt.Appendf(nil, wrapper, d.goTools.command), publicDir)
	if err != nil {
		return "", fmt.Errorf("installing the go wrapper of %s: %w", name, err)
	}
	return path, nil
}

// goTools is the machine's Go: the command and where it fetches modules.
type goTools struct{ command, proxy, sumdb string }

func findGo(ctx context.Context) (goTools, error) {
	command, err := exec.LookPath("go")
	if err == nil {
		command, err = filepath.EvalSymlinks(command)
	}
	if err != nil {
		return goTools{}, fmt.Errorf("looking for Go, which the second release is built with: %w; install it from https://go.dev/dl/", err)
	}
	out, err := output(ctx, "/", command, "env", "GOPROXY", "GOSUMDB")
	if err != nil {
		return goTools{}, err
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 {
		return goTools{}, fmt.Errorf("go env printed %q", out)
	}
	return goTools{command, lines[0], lines[1]}, nil
}
