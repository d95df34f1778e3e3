package box

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// DSN returns the connection string for a database and user, in the keyword
// form that libpq and pgx read. It stays valid over Restart, and over Stop and
// a start on the same directory.
func (p *Postgres) DSN(db, user string) string {
	return fmt.Sprintf("host=%s port=5432 user=%s dbname=%s sslmode=disable",
		quoteValue(p.dir), quoteValue(user), quoteValue(db))
}

// quoteValue writes a value of a connection string.
func quoteValue(value string) string {
	if value != "" && !strings.ContainsAny(value, ` '\`) {
		return value
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

// EnsureDatabase creates the database if it does not exist.
func (p *Postgres) EnsureDatabase(ctx context.Context, name string) error {
	_, err := p.psql(ctx, superuser, map[string]string{"name": name}, `
SELECT format('CREATE DATABASE %I', :'name')
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec`)
	if err != nil {
		return fmt.Errorf("creating database %s: %w", name, err)
	}
	return nil
}

// Query runs an SQL script in a database as its owner and returns the rows:
// one line each, values separated by "|". It stops at the first error. It is a
// way in for tests and for setting up; the program's own SQL is in the store.
func (p *Postgres) Query(ctx context.Context, db, script string) (string, error) {
	return p.psql(ctx, db, nil, script)
}

// psql runs a script with psql's variables set. They, not string building,
// carry names into SQL: psql quotes them where they are used.
func (p *Postgres) psql(ctx context.Context, db string, vars map[string]string, script string) (string, error) {
	args := []string{"-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", p.DSN(db, superuser)}
	for name, value := range vars {
		args = append(args, "-v", name+"="+value)
	}
	cmd := exec.CommandContext(ctx, p.programs.psql, args...)
	cmd.Dir = p.dir
	cmd.Env = []string{childPath, "LC_ALL=C", "PGCLIENTENCODING=UTF8", "PGTZ=UTC"}
	cmd.Stdin = strings.NewReader(script)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSuffix(stdout.String(), "\n"), nil
}
