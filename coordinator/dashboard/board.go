package dashboard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// requestTime bounds the work on one request. The database gives up earlier.
const requestTime = 15 * time.Second

// Config is what a board needs.
type Config struct {
	Reader Reader
	Logger *slog.Logger // nil discards
}

// Board serves the public face over HTTP. It is safe for concurrent use and
// keeps no state but signed policies that it has read before.
type Board struct {
	reader   Reader
	log      *slog.Logger
	looks    *looks
	policies policies
	seconds  *prometheus.HistogramVec
}

// New returns a board. The error is about this program's own templates.
func New(c Config) (*Board, error) {
	if c.Reader == nil {
		return nil, errors.New("dashboard has no reader")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	looks, err := loadLooks()
	if err != nil {
		return nil, fmt.Errorf("loading the dashboard's pages: %w", err)
	}
	return &Board{
		reader: c.Reader, log: c.Logger, looks: looks,
		policies: policies{read: c.Reader.Policies},
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "reprosign_dashboard_request_seconds", Help: "Time to answer a request, by route and status.",
			Buckets: []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10},
		}, []string{"route", "status"}),
	}, nil
}

// Collectors returns the board's metrics.
func (b *Board) Collectors() []prometheus.Collector { return []prometheus.Collector{b.seconds} }

// Handler returns the handler of all URLs in docs/spec/http.md. It belongs at
// the root of a host name.
func (b *Board) Handler() http.Handler {
	mux := http.NewServeMux()
	b.serve(mux, "/{$}", b.page("list"), b.list)
	b.serve(mux, "/releases/{id}", b.page("release"), b.release)
	b.serve(mux, "/log", b.page("log"), b.logPage)
	b.serve(mux, "/log/{index}", b.page("entry"), b.entry)
	b.serve(mux, "/artifacts", redirect, b.artifactPage)
	b.serve(mux, "/artifacts/{sha256}", redirect, b.artifactPage)
	b.serve(mux, "/releases/{id}/signatures/{certificate}/{file}", download, b.signature)
	b.serve(mux, "/certificates/{file}", download, b.certificate)

	b.serve(mux, "/api/v1/releases", asJSON, b.list)
	b.serve(mux, "/api/v1/releases/{id}", asJSON, b.release)
	b.serve(mux, "/api/v1/releases/{id}/evidence", download, b.evidence)
	b.serve(mux, "/api/v1/releases/{id}/anchor", download, b.anchor)
	b.serve(mux, "/api/v1/artifacts/{sha256}", asJSON, b.artifact)
	b.serve(mux, "/api/v1/artifacts/{sha256}/evidence", download, b.artifactEvidence)
	b.serve(mux, "/api/v1/log", asJSON, b.logPage)
	b.serve(mux, "/api/v1/log/{index}", asJSON, b.entry)

	b.serve(mux, "/checkpoint", download, b.checkpoint)
	b.serve(mux, "/tile/{path...}", download, b.tile)
	b.serve(mux, "/body/{digest}", download, b.body)

	b.serve(mux, "/assets/{file}", download, b.looks.asset)
	b.serve(mux, "/", b.page("list"), func(*http.Request) (any, error) { return nil, errNoPage })
	return b.around(mux)
}

// fill reads what a URL shows: the value of a page and of its JSON twin, or a
// file. write answers with it.
type (
	fill  func(r *http.Request) (any, error)
	write func(w http.ResponseWriter, r *http.Request, value any) error
)

// serve answers a route. Whatever goes wrong before the first byte is answered
// with a page, JSON or a line, by the kind of the route.
func (b *Board) serve(mux *http.ServeMux, route string, write write, fill fill) {
	mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			b.fail(w, r, errMethod)
			return
		}
		value, err := fill(r)
		if err == nil {
			err = write(w, r, value)
		}
		if err != nil {
			b.fail(w, r, err)
		}
	})
}

// around adds to every answer what all of them need.
func (b *Board) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		ctx, cancel := context.WithTimeout(r.Context(), requestTime)
		defer cancel()
		r = r.WithContext(ctx)
		secure(w.Header(), r.URL.Path)
		counted := &counter{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			if p := recover(); p != nil {
				b.log.ErrorContext(ctx, "request panicked", slog.String("path", r.URL.Path), slog.Any("panic", p))
				b.fail(counted, r, errors.New("panic")) // a header that was sent already stays
			}
			// The pattern, not the path: paths have no end.
			b.seconds.WithLabelValues(r.Pattern, strconv.Itoa(counted.status)).Observe(time.Since(started).Seconds())
		}()
		next.ServeHTTP(counted, r)
	})
}

// counter remembers the status of an answer.
type counter struct {
	http.ResponseWriter

	status int
}

// WriteHeader implements http.ResponseWriter.
func (c *counter) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}
