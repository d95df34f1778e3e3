package observe

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// checkTimeout bounds one health check. Probes commonly give up after a few seconds.
const checkTimeout = 2 * time.Second

// Check is a named condition of health. Run returns nil while it holds; its
// error is shown to operators and must hold no secret.
type Check struct {
	Name string
	Run  func(ctx context.Context) error
}

// phase is where a process is in its life.
type phase int32

const (
	starting phase = iota
	running
	stopping
)

func (p phase) String() string { return [...]string{"starting", "running", "stopping"}[p] }

// health answers what state the process is in.
type health struct {
	phase atomic.Int32
	live  []Check
	ready []Check
}

func (h *health) enter(p phase)  { h.phase.Store(int32(p)) }
func (h *health) current() phase { return phase(h.phase.Load()) }

// handler serves the metrics of the registry at /metrics.
func (h *health) handler(registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	if registry != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	}
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, r *http.Request) {
		reply(w, r, examine(r.Context(), h.live))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		results := examine(r.Context(), h.ready)
		if p := h.current(); p != running {
			results = append(results, result{"process", fmt.Errorf("%v", p)})
		}
		reply(w, r, results)
	})
	return mux
}

type result struct {
	name string
	err  error
}

// examine runs checks side by side, so that all end within the time of one.
func examine(ctx context.Context, checks []Check) []result {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	results := make([]result, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() { results[i] = result{c.Name, c.Run(ctx)} })
	}
	all.Wait()
	return results
}

// reply answers 200 if all is well, else 503. The names and reasons are for
// those who ask with ?verbose.
func reply(w http.ResponseWriter, r *http.Request, results []result) {
	var text strings.Builder
	status := http.StatusOK
	for _, c := range results {
		if c.err == nil {
			fmt.Fprintf(&text, "%s: ok\n", c.name)
			continue
		}
		status = http.StatusServiceUnavailable
		fmt.Fprintf(&text, "%s: %v\n", c.name, c.err)
	}
	if status == http.StatusOK {
		text.WriteString("ok\n")
	} else {
		text.WriteString("not ok\n")
	}
	body := text.String()
	if !r.URL.Query().Has("verbose") {
		body = body[strings.LastIndexByte(strings.TrimSuffix(body, "\n"), '\n')+1:]
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write([]byte(body)) //nolint:gosec // G705: plain text, and the type says so
}
