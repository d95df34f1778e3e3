package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/internal/bus"
)

// demo is one run.
type demo struct {
	screen     *screen
	place      *place
	supervisor *supervisor

	architecture string
	goTools      goTools
	shared       string // files that all agents may read: the third release's source and program
	releases     []*release

	hsm          hsm
	certificates map[string]*openpgp.Certificate // by suite
	keys         keys
	policy       *policy.Version
	witnesses    []section // where the coordinator reaches them
	busURL       string
	dsnFile      string
	face         string // address of the dashboard
	publisher    *bus.Conn

	summary summary
}

// errNotVerified is the exit status of a demo that went through, but whose
// results are not what they must be.
var errNotVerified = errors.New("not everything verified; see above")

// run is the whole demo. Its results are in dir; it returns when it is done,
// or if it is to stay open, when ctx ends.
func run(ctx context.Context, s *screen, dir string, once bool) error {
	defer s.still()
	p, err := makePlace(dir)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return errors.Join(fmt.Errorf("finding the programs: %w", err), p.remove())
	}
	interrupted := ctx
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	d := &demo{screen: s, place: p, supervisor: &supervisor{bin: filepath.Dir(self), logs: p.result(logsDir), fail: fail}}

	err = d.play(ctx)
	if err == nil && !once {
		err = d.stayOpen(ctx)
	}
	d.close()
	switch cause := context.Cause(ctx); {
	case interrupted.Err() != nil:
		if !once && d.summary.complete {
			return d.judge()
		}
		return errors.New("interrupted; nothing is left running")
	case cause != nil: // a process died, which explains every other error
		return cause
	case err != nil:
		return fmt.Errorf("%w\nThe logs of all processes are in %s", err, p.result(logsDir))
	}
	return d.judge()
}

// play is the story, from an empty machine to the summary.
func (d *demo) play(ctx context.Context) error {
	for _, act := range []func(context.Context) error{
		d.prepare, d.setUp, d.releaseAll, d.attack, d.count, d.conclude,
	} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepare finds out what this machine can show.
func (d *demo) prepare(ctx context.Context) error {
	d.screen.section("What will happen")
	d.screen.explain("Four independent rebuilders build the same source. Only when three of four publish the same hashes\n" +
		"does a hardware security module sign (here: a software one). Everything runs in processes of its own,\nwith keys of its own, on this machine.")
	var err error
	if d.architecture, err = architecture(); err != nil {
		return err
	}
	if d.goTools, err = findGo(ctx); err != nil {
		return err
	}
	if d.shared, err = d.place.directory(publicDir, "shared"); err != nil {
		return err
	}
	codename, err := debianRelease()
	switch {
	case errors.Is(err, errNoDebian):
		d.summary.Skipped = append(d.summary.Skipped, debianName+": "+err.Error())
		d.screen.notable("demo", "skips the Debian package: %v", err)
	case err != nil:
		return err
	default:
		d.releases = append(d.releases, debianRebuild(codename))
	}
	// The agents want to find the program of the third release when they start.
	stamped := stampedRebuild()
	d.releases = append(d.releases, goRebuild(), stamped)
	return stamped.fillStamped(d.shared)
}

// setUp brings the parties up while the sources are looked up.
func (d *demo) setUp(ctx context.Context) error {
	d.screen.section("Keys, policy, processes")
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.lookUpSources(ctx) })
	group.Go(func() error {
		for _, step := range []func(context.Context) error{
			d.startHSM, d.holdCeremony, d.generateKeys, d.signPolicy, d.startWitnesses, d.startCoordinator, d.startRest, d.connect,
		} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

// startRest starts what needs the coordinator's bus and database.
func (d *demo) startRest(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, start := range []func(context.Context) error{d.startSigner, d.startRebuilders, d.startDashboard} {
		group.Go(func() error { return start(ctx) })
	}
	return group.Wait()
}

// lookUpSources completes the recipes with what is true today.
func (d *demo) lookUpSources(ctx context.Context) error {
	for _, r := range d.releases {
		var err error
		switch r.backend {
		case "debian":
			err = d.lookUpDebian(ctx, r)
		case "golang":
			err = r.fillGo(ctx, d.goTools.command, d.shared)
		}
		if err != nil {
			return fmt.Errorf("looking up the source of %s: %w", r.name, err)
		}
	}
	return nil
}

func (d *demo) lookUpDebian(ctx context.Context, r *release) error {
	dir, err := d.place.directory(publicDir, "archive")
	if err != nil {
		return err
	}
	a, err := openArchive(ctx, dir, r.suite[len("debian-"):])
	if err != nil {
		return err
	}
	published, err := a.find(ctx, r.name)
	if err != nil {
		return err
	}
	r.fillDebian(published)
	d.screen.event("archive", "publishes %s %s: %d source files, and a .deb with SHA-256 %s…",
		r.name, r.version, len(published.sources), published.binary.sha256.String()[:16])
	return nil
}

// connect connects as the publisher, to watch.
func (d *demo) connect(ctx context.Context) error {
	if _, err := d.configure(publisherName, configFile, section{
		"name": publisherName, "key": d.place.party(publisherName, "publisher.pem"), "trust": d.policyPath(),
		"nats": section{"url": d.busURL, "seed": d.place.party(publisherName, seedFile)},
	}); err != nil {
		return err
	}
	var err error
	d.publisher, err = d.dial(ctx, bus.RolePublisher, publisherName)
	return err
}

// dial connects to the bus with a party's own credentials.
func (d *demo) dial(ctx context.Context, role bus.Role, name string) (*bus.Conn, error) {
	return bus.Connect(ctx, bus.Config{
		URL: d.busURL, SeedFile: d.place.party(name, seedFile), Identity: bus.Identity{Role: role, Name: name},
		Logger: slog.New(slog.DiscardHandler),
	})
}

// close ends the processes and takes keys and database away.
func (d *demo) close() {
	d.screen.live("ending %d processes", len(d.supervisor.running))
	if d.publisher != nil {
		d.publisher.Close()
	}
	d.supervisor.stopAll()
	d.screen.still()
	if err := d.place.remove(); err != nil {
		d.screen.notable("demo", "left %s behind: %v", d.place.work, err)
	}
}
