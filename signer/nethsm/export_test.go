package nethsm

import "net/http"

// SetTransport lets tests answer without a network, under a fake clock.
func (d *Device) SetTransport(transport http.RoundTripper) { d.client.http.Transport = transport }

// SetTransport is the same for the administration.
func (a *Admin) SetTransport(transport http.RoundTripper) { a.client.http.Transport = transport }

// FirstPause, MaxAttempts and Breather are what the tests of time compare with.
const (
	FirstPause  = firstPause
	MaxAttempts = maxAttempts
	Breather    = breather
)
