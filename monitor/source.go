package monitor

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Errors of a source that its callers act on.
var (
	// ErrMissing says that there is no such file.
	ErrMissing = errors.New("not there")
	// ErrUnreachable says that nobody can tell: the server did not answer, or
	// answered with a fault of its own.
	ErrUnreachable = errors.New("not reachable")
	// ErrTooLarge says that a file is longer than any of its kind may be.
	ErrTooLarge = errors.New("too large")
)

// Bounds of requests over HTTP.
const (
	// requestTime bounds one attempt at one file.
	requestTime = 30 * time.Second
	// attempts at a file, with longer and longer pauses between them.
	attempts   = 4
	firstPause = 500 * time.Millisecond
	// compressedSlack is more than gzip adds to what it cannot compress.
	compressedSlack = 1 << 10
	// maxIdle keeps as many connections open as a reader has requests under way.
	maxIdle = parallel
)

// Source gives the files of a log by their paths below it. It is safe for
// concurrent use.
type Source interface {
	// Get returns a file. Errors wrap [ErrMissing], [ErrUnreachable] or, above
	// limit bytes, [ErrTooLarge].
	Get(ctx context.Context, path string, limit int64) ([]byte, error)
	// String names the source for people.
	String() string
}

// Open returns the source at a URL (http or https) or in a directory.
func Open(where string) (Source, error) {
	if !strings.Contains(where, "://") {
		info, err := os.Stat(where)
		if err != nil {
			return nil, fmt.Errorf("opening log: %w", err)
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("opening log: %s is neither a URL nor a directory", where)
		}
		return directory(where), nil
	}
	base, err := url.Parse(where)
	if err != nil {
		return nil, errors.New("opening log: the address is no URL") // err quotes it, and whatever secret is in it
	}
	if base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.Fragment != "" || base.User != nil {
		return nil, fmt.Errorf("opening log: %s is not the http or https URL of a host and a path alone", base.Redacted())
	}
	return &web{base: strings.TrimSuffix(where, "/"), client: newClient(), pause: firstPause}, nil
}

// newClient returns a client that asks the named host and nobody else: where a
// log stands is for its operator to say, not for whoever answers there.
func newClient() *http.Client {
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		MaxIdleConnsPerHost:   maxIdle,
		IdleConnTimeout:       time.Minute,
		TLSHandshakeTimeout:   requestTime,
		ResponseHeaderTimeout: requestTime,
		// Content-Encoding is handled here: tlog-tiles lets servers compress
		// also for those who did not ask.
		DisableCompression: true,
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// web is a log over HTTP.
type web struct {
	base   string
	client *http.Client
	pause  time.Duration // before the second attempt
}

var _ Source = (*web)(nil)

// String implements Source.
func (w *web) String() string { return w.base }

// Get implements Source. What fails for a moment is tried again.
func (w *web) Get(ctx context.Context, path string, limit int64) ([]byte, error) {
	for attempt, pause := 1, w.pause; ; attempt, pause = attempt+1, 2*pause {
		data, err := w.get(ctx, path, limit)
		if !errors.Is(err, ErrUnreachable) || attempt == attempts || ctx.Err() != nil {
			return data, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

func (w *web) get(ctx context.Context, path string, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	at := w.base + "/" + path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", at, err)
	}
	req.Header.Set("Accept-Encoding", "gzip")
	res, err := w.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusOK:
	case res.StatusCode == http.StatusNotFound, res.StatusCode == http.StatusGone:
		return nil, fmt.Errorf("reading %s: %w", at, ErrMissing)
	default:
		return nil, fmt.Errorf("reading %s: %w: status %d", at, ErrUnreachable, res.StatusCode)
	}
	data, err := readBody(res, limit)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", at, err)
	}
	return data, nil
}

// readBody reads an answer, compressed or not, up to limit bytes of content.
func readBody(res *http.Response, limit int64) ([]byte, error) {
	// What does not compress grows a little by the attempt.
	content := io.LimitReader(res.Body, limit+limit/compressedSlack+compressedSlack)
	switch encoding := res.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		unpacked, err := gzip.NewReader(content)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		content = io.LimitReader(unpacked, limit+1)
	default:
		return nil, fmt.Errorf("%w: unknown content encoding %.40q", ErrUnreachable, encoding)
	}
	data, err := io.ReadAll(content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	return data, nil
}

// directory is a log as static files.
type directory string

var _ Source = directory("")

// String implements Source.
func (d directory) String() string { return string(d) }

// Get implements Source.
func (d directory) Get(_ context.Context, path string, limit int64) ([]byte, error) {
	if !filepath.IsLocal(path) {
		return nil, fmt.Errorf("reading %s: %w", path, ErrMissing)
	}
	name := filepath.Join(string(d), filepath.FromSlash(path))
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !info.Mode().IsRegular():
		return nil, fmt.Errorf("reading %s: %w", name, ErrMissing)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	case info.Size() > limit:
		return nil, fmt.Errorf("reading %s: %w: more than %d bytes", name, ErrTooLarge, limit)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return data, nil
}
