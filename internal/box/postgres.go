package box

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// superuser is the database user that owns the cluster.
	superuser = "postgres"

	// maxConnections is the cluster's connection limit. Tests open a pool per
	// database and run many at once; the single box stays far below.
	maxConnections = 200

	// startPatience bounds the time from starting the server to its readiness,
	// recovery after a crash included.
	startPatience = 2 * time.Minute

	// stopPatience bounds a fast shutdown, which waits for a checkpoint; after
	// it the server is stopped as by a crash.
	stopPatience = 30 * time.Second
)

// PostgresOptions say where a private cluster lives and what it must survive.
type PostgresOptions struct {
	// Dir is the cluster's directory, at most MaxPostgresDir bytes long as an
	// absolute path. It is created if need be; a directory with other files in
	// it is refused. It and all in it belong to the cluster, and as root to
	// the user the cluster runs under. Started on the same directory again, the
	// cluster has its data of before. Empty means a throw-away directory that
	// Stop removes, in memory if there is the room.
	Dir string

	// Durable makes a commit survive a crash of the cluster and of the
	// machine. Without it a commit survives neither: for tests.
	Durable bool

	// Logger receives the server's own output at debug level, and its start
	// and stop. Nil discards them.
	Logger *slog.Logger
}

// Postgres is a private PostgreSQL cluster, run as a child of this process.
// Its methods may be called concurrently; Stop, Crash and Restart take turns.
type Postgres struct {
	dir       string
	temporary bool
	durable   bool
	as        account
	programs  programs
	lock      *os.File
	output    *output
	logger    *slog.Logger

	mu     sync.Mutex
	server *child // the current server, or the last one
	closed bool   // after Stop
}

// StartPostgres starts a private cluster, creating it if Dir is new, and
// returns when it accepts connections. The context bounds the start only: the
// cluster runs until Stop, or until this process dies.
//
// The error wraps ErrNoPostgres if the server programs are not installed; if
// the server fails it ends with the server's own last lines.
func StartPostgres(ctx context.Context, opts PostgresOptions) (*Postgres, error) {
	logger := opts.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	as, err := currentAccount()
	if err != nil {
		return nil, err
	}
	p := &Postgres{
		durable:   opts.Durable,
		temporary: opts.Dir == "",
		as:        as,
		logger:    logger,
		output:    &output{logger: logger, server: "postgres"},
	}
	if p.temporary {
		p.dir, err = newTemporaryDir(as)
	} else {
		p.dir, err = filepath.Abs(opts.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("choosing the cluster directory: %w", err)
	}
	if p.lock, err = openDir(ctx, p.dir, as); err != nil {
		if p.temporary {
			err = errors.Join(err, os.RemoveAll(p.dir))
		}
		return nil, fmt.Errorf("opening the PostgreSQL cluster: %w", err)
	}
	if err := p.open(ctx); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// open creates the cluster if it is new, and runs it.
func (p *Postgres) open(ctx context.Context) error {
	major, err := dataMajor(p.data())
	if err != nil {
		return err
	}
	if p.programs, err = findPrograms(ctx, major); err != nil {
		return err
	}
	if major == 0 {
		if err := p.initialise(ctx); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run(ctx)
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// dataMajor returns the version that made the data directory, or 0 if there is
// none yet.
func dataMajor(data string) (int, error) {
	text, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading the cluster's version: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("reading the cluster's version: %w", err)
	}
	return major, nil
}

// initialise creates the data directory. It gets its name when it is complete:
// one that an interrupted run left behind is never used.
func (p *Postgres) initialise(ctx context.Context) error {
	unfinished := p.data() + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("removing an unfinished cluster: %w", err)
	}
	args := []string{"-D", unfinished, "-U", superuser, "-A", "trust", "-E", "UTF8", "--locale=C"}
	if !p.durable {
		args = append(args, "--no-sync")
	}
	initdb, err := spawn(p.as.command(p.dir, p.programs.initdb, args...), p.output)
	if err != nil {
		return fmt.Errorf("starting initdb: %w", err)
	}
	if err := initdb.wait(ctx); err != nil {
		return fmt.Errorf("creating the PostgreSQL cluster: %w\n%s", err, p.output.last())
	}
	if err := os.Rename(unfinished, p.data()); err != nil {
		return fmt.Errorf("naming the new cluster: %w", err)
	}
	return nil
}

// roomy are the settings that PostgreSQL's defaults are too small for: a mass
// rebuild touches its tables and indexes at random, since their keys are digests.
// What does not fit into the buffers goes to the kernel and back for every batch,
// and the first change of a page after a checkpoint writes the page whole to the
// write-ahead log. Memory and disk are taken as they are needed. The same is
// recommended in deploy/postgresql/postgresql.conf.
var roomy = []string{
	"-c", "shared_buffers=512MB",
	"-c", "max_wal_size=4GB",
	"-c", "checkpoint_timeout=30min",
}

// run starts the server and waits until it is ready. The caller holds p.mu.
func (p *Postgres) run(ctx context.Context) error {
	if err := clearStalePid(p.data()); err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	args := []string{
		"-D", p.data(),
		"-c", "listen_addresses=",
		"-c", "unix_socket_directories=" + p.dir,
		"-c", "unix_socket_permissions=0700",
		"-c", "max_connections=" + strconv.Itoa(maxConnections),
	}
	if p.durable {
		args = append(args, roomy...)
	} else {
		args = append(args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	cmd := p.as.command(p.dir, p.programs.postgres, args...)
	cmd.ExtraFiles = []*os.File{p.lock} // see lockName
	server, err := spawn(cmd, p.output)
	if err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	p.server = server
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	if err := p.awaitReady(ctx); err != nil {
		return errors.Join(err, server.end(syscall.SIGQUIT))
	}
	p.logger.InfoContext(ctx, "postgres started", slog.String("dir", p.dir), slog.Int("major", p.programs.major))
	return nil
}

// awaitReady waits until the server reports itself ready in its lock file,
// which holds its process number first and its status on line eight. pg_ctl
// reads it there too.
func (p *Postgres) awaitReady(ctx context.Context) error {
	const statusLine = 7
	pid := strconv.Itoa(p.server.process.Pid)
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		text, err := os.ReadFile(filepath.Join(p.data(), "postmaster.pid"))
		if err == nil {
			lines := strings.Split(string(text), "\n")
			if len(lines) > statusLine && lines[0] == pid && strings.TrimSpace(lines[statusLine]) == "ready" {
				return nil
			}
		}
		select {
		case <-p.server.exited:
			return p.exitError()
		case <-ctx.Done():
			return fmt.Errorf("waiting for PostgreSQL to be ready: %w; its last lines:\n%s", ctx.Err(), p.output.last())
		case <-ticker.C:
		}
	}
}

func (p *Postgres) exitError() error {
	return fmt.Errorf("PostgreSQL in %s ended by itself (%w); its last lines:\n%s", p.dir, p.server.err, p.output.last())
}
