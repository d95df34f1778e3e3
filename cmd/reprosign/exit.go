package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/internal/bus"
	"github.com/reprosign/reprosign/monitor"
)

// The exit statuses. Scripts rely on them; none ever changes its meaning.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitRefused     = 3
	exitDenied      = 4
	exitUnreachable = 5
	exitUnverified  = 6
	exitAlarm       = 7
	exitTimeout     = 124 // as timeout(1)
)

// failure is an error with an exit status of its own and advice for a person.
type failure struct {
	code  int
	cause error
	hint  string
}

// Error implements error.
func (f *failure) Error() string { return f.cause.Error() }

// Unwrap implements errors.Unwrap.
func (f *failure) Unwrap() error { return f.cause }

// usage marks an error as one in what the person typed or configured.
func usage(err error) error { return &failure{code: exitUsage, cause: err} }

func usagef(format string, args ...any) error { return usage(fmt.Errorf(format, args...)) }

// hinted adds advice on what to do next.
func hinted(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &failure{code: exitCode(err), cause: err, hint: fmt.Sprintf(format, args...)}
}

// exitCode returns the exit status for an error.
func exitCode(err error) int {
	var f *failure
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &f):
		return f.code
	case errors.Is(err, evidence.ErrNotVerified), errors.Is(err, monitor.ErrNotVerified):
		return exitUnverified
	case errors.Is(err, monitor.ErrUnreachable):
		return exitUnreachable
	}
	switch bus.KindOf(err) {
	case bus.KindDenied:
		return exitDenied
	case bus.KindUnavailable:
		return exitUnreachable
	default:
		return exitFailed
	}
}

// report tells a person what went wrong and what to do.
func (a *app) report(err error) {
	for line := range strings.Lines(err.Error()) {
		a.say("error", strings.TrimRight(line, "\n"))
	}
	var f *failure
	for errors.As(err, &f) {
		if f.hint != "" {
			a.say("hint", f.hint)
		}
		err = f.cause
	}
}

// warn tells of something that does not stop the command.
func (a *app) warn(format string, args ...any) { a.say("warning", fmt.Sprintf(format, args...)) }

// hint tells what to do next after success.
func (a *app) hint(format string, args ...any) { a.say("hint", fmt.Sprintf(format, args...)) }

func exitCodesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit status says",
		Long: `What the exit status says

  0    done; for wait and verify: the evidence was verified here
  1    error
  2    usage or configuration
  3    will not be signed: conflict, withdrawn, or expired with no attempt left; do not retry
  4    denied: the keys at hand, the policy or a quota do not permit it
  5    coordinator or log unreachable
  6    evidence or log does not verify
  7    log monitor --once: an alarm was raised, or one stands
  124  timeout, still pending

Several releases at once: the status of the worst, in the order 6, 3, 4, 1, 5, 124.`,
	}
}
