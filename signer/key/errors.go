package key

import "errors"

// The kinds of failure. Errors of this package's implementations wrap exactly one of them, or the context's error when
// the caller gave up; test with [errors.Is]. Each kind is one reaction, and the sentence after it says which.
var (
	// ErrUnavailable: the device cannot be reached or broke down while answering. Try again later, with growing pauses.
	ErrUnavailable = errors.New("device unavailable")

	// ErrLocked: the device is locked, rebooted or not provisioned, and will not sign until a person unlocks it. Alert;
	// poll its state instead of repeating the request.
	ErrLocked = errors.New("device locked")

	// ErrThrottled: the device turns requests away because a log-in failed less than a second ago, perhaps not ours.
	// Wait at least one second.
	ErrThrottled = errors.New("device throttled")

	// ErrUnauthorized: the device refused user name or passphrase. Stop at once: each further try locks everybody with
	// this address and user name out for a second.
	ErrUnauthorized = errors.New("credentials refused")

	// ErrMisconfigured: the request can never succeed as configured: no such key, no permission, an unsuitable key, a
	// malformed digest. Alert and correct the configuration.
	ErrMisconfigured = errors.New("device misconfigured")

	// ErrWrongSignature: the device answered with a signature that its own public key does not verify: a faulty or
	// replaced device, or NetHSM firmware 3.0. Stop using it. Nothing was released.
	ErrWrongSignature = errors.New("signature does not verify")

	// ErrClosed: the device was closed by this process.
	ErrClosed = errors.New("device closed")
)
