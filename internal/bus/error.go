package bus

import (
	"errors"
	"fmt"
)

// Kind classes an error on the bus for programs.
type Kind string

// The kinds of errors and what a caller does about them.
const (
	KindInvalid     Kind = "invalid"     // the message is wrong; do not repeat it
	KindDenied      Kind = "denied"      // signature, key, policy or quota says no
	KindNotFound    Kind = "not-found"   // no such release, or none that may be shown
	KindConflict    Kind = "conflict"    // contradicts what is recorded already
	KindNotReady    Kind = "not-ready"   // votes, settle time or log entry missing; later
	KindUnavailable Kind = "unavailable" // device, database or signer away; back off and repeat
	KindInternal    Kind = "internal"    // a fault of ours, logged there
)

// Error is an error as it travels: a kind for programs and a sentence for people.
type Error struct {
	Kind    Kind   `json:"kind"`
	Message string `json:"message"`
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Errorf returns an Error of a kind.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of an error of this package's calls, KindInternal
// for any other error, and "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}

// failure is an Error that arose on this side, with its cause.
type failure struct {
	as    *Error
	cause error
}

func failed(cause error, kind Kind, format string, args ...any) error {
	return &failure{Errorf(kind, format, args...), cause}
}

// Error implements error.
func (f *failure) Error() string {
	if f.cause == nil {
		return f.as.Message
	}
	return f.as.Message + ": " + f.cause.Error()
}

// Unwrap makes both the kind and the cause visible to errors.As and errors.Is.
func (f *failure) Unwrap() []error {
	if f.cause == nil {
		return []error{f.as}
	}
	return []error{f.as, f.cause}
}
