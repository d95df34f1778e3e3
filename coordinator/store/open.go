package store

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reprosign/reprosign/coordinator"
)

// The schemas and the group roles of the migrations.
const (
	schema       = "reprosign"
	publicSchema = "public_face"

	writerRole = "reprosign_coordinator"
	readerRole = "reprosign_dashboard"
)

// Bounds of the connections. A writer's loops hold one connection each, ingest
// at most two; more would only queue up on the same rows.
const (
	writerConnections = 12
	readerConnections = 8
	connectTimeout    = 5 * time.Second
	connectionLife    = time.Hour
	writerStatement   = time.Minute
	readerStatement   = 10 * time.Second
	// idleTransaction ends a transaction whose process hangs, with its locks.
	idleTransaction = 30 * time.Second
)

// Writer is the coordinator's read-write store. It is safe for concurrent use.
type Writer struct {
	pool  *pgxpool.Pool
	log   *slog.Logger
	terms recentTerms
}

var (
	_ coordinator.Store    = (*Writer)(nil)
	_ coordinator.LogStore = (*Writer)(nil)
)

// OpenWriter returns a writer on a migrated database. It connects when it is
// first used, and again whenever a connection is lost; the error is about dsn
// alone. A logger of nil discards.
func OpenWriter(ctx context.Context, dsn string, logger *slog.Logger) (*Writer, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	pool, err := open(ctx, dsn, settings{
		role: writerRole, searchPath: schema + ", pg_temp", name: "reprosign-coordinator",
		connections: writerConnections, statement: writerStatement, byKey: true,
	})
	if err != nil {
		return nil, err
	}
	return &Writer{pool: pool, log: logger}, nil
}

// Close ends all connections. It waits for those in use.
func (w *Writer) Close() { w.pool.Close() }

// Now returns the database's time.
func (w *Writer) Now(ctx context.Context) (time.Time, error) {
	var now time.Time
	err := w.pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now)
	return now, wrap("reading the database's time", err)
}

type settings struct {
	role, searchPath, name string
	connections            int32
	statement              time.Duration
	readOnly               bool
	// byKey: every query finds its rows by an index. Until the first ANALYZE the
	// planner takes a table that has just been filled for a small one, or an array
	// of keys for most of a table, and reads it whole, for every batch again. Nor
	// by a bitmap: that visits every row that has left a queue since the last
	// vacuum, each time anew, where an index scan marks them as gone.
	byKey bool
}

func open(ctx context.Context, dsn string, s settings) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		// pgx leaves the password out of this error.
		return nil, fmt.Errorf("reading the database connection settings: %w", err)
	}
	config.MaxConns = s.connections
	config.MaxConnLifetime = connectionLife
	config.MaxConnLifetimeJitter = connectionLife / 10
	config.ConnConfig.ConnectTimeout = connectTimeout
	params := config.ConnConfig.RuntimeParams
	params["role"] = s.role
	// Pinned, so that nobody who may create objects elsewhere can put one before ours.
	params["search_path"] = s.searchPath
	params["application_name"] = s.name
	params["timezone"] = "UTC"
	params["statement_timeout"] = fmt.Sprint(s.statement.Milliseconds())
	params["idle_in_transaction_session_timeout"] = fmt.Sprint(idleTransaction.Milliseconds())
	// The planner takes the entries of a bundle for thousands and starts workers
	// for them, which takes fifty times as long as reading the entries.
	params["max_parallel_workers_per_gather"] = "0"
	if s.byKey {
		for _, way := range []string{"enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_bitmapscan", "jit"} {
			params[way] = "off"
		}
		params["plan_cache_mode"] = "force_generic_plan" // there is one plan, whatever the keys
	}
	if s.readOnly {
		params["default_transaction_read_only"] = "on"
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	return pool, nil
}
