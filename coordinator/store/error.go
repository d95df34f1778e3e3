package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/reprosign/reprosign/coordinator"
)

// SQLSTATE codes that the store acts on.
const (
	codeUniqueViolation  = "23505"
	codeRestrict         = "23001" // raised by the schema's own triggers
	codeSerialization    = "40001"
	codeDeadlock         = "40P01"
	codeReadOnly         = "25006" // connected to a standby: a failover is under way
	codeLockNotAvailable = "55P03"
	codeQueryCanceled    = "57014" // by statement_timeout

	classConnection = "08"
	classResources  = "53"  // out of connections, memory or disk
	classOperator   = "57P" // shutdown, crash, start-up, dropped database
)

// classify turns a driver's error into one that the coordinator acts on. The
// original stays wrapped.
func classify(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("%w: %w", coordinator.ErrNotFound, err)
	}
	if unavailable(err) {
		return fmt.Errorf("%w: %w", coordinator.ErrUnavailable, err)
	}
	return err
}

func unavailable(err error) bool {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch refused.Code {
		case codeSerialization, codeDeadlock, codeReadOnly, codeLockNotAvailable, codeQueryCanceled:
			return true
		}
		return strings.HasPrefix(refused.Code, classConnection) ||
			strings.HasPrefix(refused.Code, classResources) ||
			strings.HasPrefix(refused.Code, classOperator)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err)
}

// again reports whether a transaction only lost against another one, so that
// it can be repeated at once.
func again(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (refused.Code == codeSerialization || refused.Code == codeDeadlock)
}

// violates reports whether err says that the named constraint refused a row.
func violates(err error, constraint string) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && refused.Code == codeUniqueViolation && refused.ConstraintName == constraint
}

// fenced turns the absence of a leased row into ErrFenced.
func fenced(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return coordinator.ErrFenced
	}
	return err
}
