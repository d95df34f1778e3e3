package nethsm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/reprosign/reprosign/signer/key"
)

const (
	apiPath = "/api/v1/"

	// maxAttempts bounds how often one request is sent, and firstPause, which doubles, how closely.
	maxAttempts = 3
	firstPause  = 250 * time.Millisecond

	// breather is how long nothing is sent after the device asked for a pause (429) or broke down (503).
	breather = time.Second

	maxAnswerBytes = 64 << 10 // a signature, a key, a tag list
	maxListBytes   = 16 << 20
	maxDrainBytes  = 256 << 10
)

// client sends requests: one at a time per worker, over connections kept open.
type client struct {
	config  Config
	base    *url.URL
	http    *http.Client
	logger  *slog.Logger
	metrics *metrics
	slots   chan struct{} // a token per request in flight

	mu       sync.Mutex
	closed   bool
	refused  [sha256.Size]byte // of the passphrase the device refused, zero for none
	resumeAt time.Time         // nothing is sent earlier
}

func newClient(config Config) (*client, error) {
	base, err := config.check()
	if err != nil {
		return nil, fmt.Errorf("configuring the NetHSM: %w", err)
	}
	if config.Workers == 0 {
		config.Workers = 1
	}
	if config.RequestTimeout == 0 {
		config.RequestTimeout = defaultRequestTimeout
	}
	logger := config.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &client{
		config:  config,
		base:    base,
		http:    &http.Client{Transport: newTransport(config), CheckRedirect: refuseRedirect},
		logger:  logger.With(slog.String("device", base.Host)),
		metrics: newMetrics(base.Host),
		slots:   make(chan struct{}, config.Workers),
	}, nil
}

// newTransport has no proxy, whatever the environment says: passphrases go to the device only.
func newTransport(config Config) *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: connectTimeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:     config.Trust.tlsConfig(),
		TLSHandshakeTimeout: connectTimeout,
		MaxIdleConnsPerHost: config.Workers,
		MaxConnsPerHost:     config.Workers,
		IdleConnTimeout:     idleTimeout,
		DisableCompression:  true,
	}
}

func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// request is one call of the API.
type request struct {
	name        string // for metrics and logs
	method      string
	path        string // after /api/v1/, escaped
	body        []byte
	contentType string
	accept      string
	limit       int64 // bytes of the answer's body; 0 is maxAnswerBytes
	public      bool  // sent without credentials
	repeat      bool  // may be sent again after a network error: nothing but a count changes in the device
	secret      bool  // the body holds a passphrase: the device's words, which could quote it, are not repeated
	before      func() error
}

// answer is a successful answer, status 2xx or 304.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends the request, again if it may be and the network failed. Whatever the device itself answers is final.
func (c *client) do(ctx context.Context, r request) (*answer, error) {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		a, err := c.once(ctx, r)
		var network *networkError
		if err == nil || !errors.As(err, &network) || !r.repeat || attempt == maxAttempts {
			return a, err
		}
		c.metrics.retries.Inc()
		c.logger.WarnContext(ctx, "repeating a request", slog.String("request", r.name), slog.Int("attempt", attempt), slog.Any("error", err))
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
		pause *= 2
	}
}

// networkError is a request without an answer: the only failure after which a request is repeated. It does not unwrap to
// its cause, so that the time-out of an attempt is not taken for the end of the caller's context.
type networkError struct{ cause error }

func (e *networkError) Error() string {
	return fmt.Sprintf("%v: no answer: %v", key.ErrUnavailable, e.cause)
}
func (e *networkError) Unwrap() error { return key.ErrUnavailable }

func (c *client) once(ctx context.Context, r request) (*answer, error) {
	if err := c.takeSlot(ctx); err != nil {
		return nil, err
	}
	defer func() { <-c.slots }()
	sent, passphrase, err := c.build(ctx, r)
	if err != nil {
		return nil, err
	}
	if r.before != nil {
		if err := r.before(); err != nil {
			return nil, fmt.Errorf("recording the attempt: %w", err)
		}
	}
	attempt, cancel := context.WithTimeout(ctx, c.config.RequestTimeout)
	defer cancel()
	started := time.Now()
	a, err := c.roundTrip(sent.WithContext(attempt), r)
	c.metrics.observe(r.name, a, time.Since(started))
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err() // the caller gave up, whatever the network said about it
		}
		return nil, err
	}
	secret := r.secret || passphrase != "" && bytes.Contains(a.body, []byte(passphrase))
	if err := statusError(a, secret); err != nil {
		c.remember(ctx, a.status, passphrase)
		return nil, err
	}
	return a, nil
}

// takeSlot waits for a free worker and for the end of a pause the device asked for.
func (c *client) takeSlot(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	closed, wait := c.closed, time.Until(c.resumeAt)
	c.mu.Unlock()
	err := key.ErrClosed
	if !closed {
		err = sleep(ctx, wait)
	}
	if err != nil {
		<-c.slots
	}
	return err
}

func (c *client) build(ctx context.Context, r request) (*http.Request, string, error) {
	sent, err := http.NewRequestWithContext(ctx, r.method, c.base.Scheme+"://"+c.base.Host+apiPath+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, "", fmt.Errorf("%w: building the request: %w", key.ErrMisconfigured, err)
	}
	if r.contentType != "" {
		sent.Header.Set("Content-Type", r.contentType)
	}
	if r.accept != "" {
		sent.Header.Set("Accept", r.accept)
	}
	if r.public {
		return sent, "", nil
	}
	if err := c.config.checkUser(); err != nil {
		return nil, "", err
	}
	passphrase, err := c.config.Passphrase()
	if err != nil {
		return nil, "", fmt.Errorf("obtaining the passphrase of user %q: %w", c.config.User, err)
	}
	if err := checkPassphrase(passphrase); err != nil {
		return nil, "", fmt.Errorf("user %q: %w", c.config.User, err)
	}
	c.mu.Lock()
	refused := c.refused == sha256.Sum256([]byte(passphrase))
	c.mu.Unlock()
	if refused {
		return nil, "", fmt.Errorf("%w: the device has refused this passphrase of user %q, nothing was sent: put the right one in place", key.ErrUnauthorized, c.config.User)
	}
	sent.SetBasicAuth(c.config.User, passphrase)
	return sent, passphrase, nil
}

func (c *client) roundTrip(sent *http.Request, r request) (*answer, error) {
	response, err := c.http.Do(sent)
	if err != nil {
		var certificate *tls.CertificateVerificationError
		switch {
		case errors.Is(err, errPin):
			return nil, fmt.Errorf("%w: %w: ask the device's administrator for the pin, and correct it only then", key.ErrMisconfigured, err)
		case errors.As(err, &certificate):
			return nil, fmt.Errorf("%w: %w: install a certificate of an authority the system knows, or pin the device's", key.ErrMisconfigured, err)
		}
		return nil, &networkError{err}
	}
	defer func() {
		_, _ = io.CopyN(io.Discard, response.Body, maxDrainBytes) // a connection is reused only when its answer was read
		_ = response.Body.Close()
	}()
	limit := r.limit
	if limit == 0 {
		limit = maxAnswerBytes
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, &networkError{err}
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("%w: answer of more than %d bytes", key.ErrUnavailable, limit)
	}
	return &answer{status: response.StatusCode, header: response.Header, body: body}, nil
}

// remember draws the conclusions of a refusal for the requests to come.
func (c *client) remember(ctx context.Context, status int, passphrase string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch status {
	case http.StatusUnauthorized:
		c.refused = sha256.Sum256([]byte(passphrase))
		c.logger.ErrorContext(ctx, "credentials refused, sending nothing more with them", slog.String("user", c.config.User))
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		c.resumeAt = time.Now().Add(breather)
	}
}

func (c *client) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.http.CloseIdleConnections()
}

func sleep(ctx context.Context, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
