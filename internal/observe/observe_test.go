package observe_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/reprosign/reprosign/internal/observe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// process is a Run in a test.
type process struct {
	address string
	ready   chan struct{} // closed to make it ready
	isReady chan struct{} // closed when it is
	finish  chan error    // what work returns after its context has ended
	stopped chan struct{} // closed when work's context has ended
	cancel  context.CancelFunc
	result  chan error
}

func start(t *testing.T, o observe.Options) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &process{
		ready: make(chan struct{}), isReady: make(chan struct{}), finish: make(chan error, 1),
		stopped: make(chan struct{}), cancel: cancel, result: make(chan error, 1),
	}
	bound := make(chan net.Addr, 1)
	o.Listen, o.Listening = "127.0.0.1:0", func(a net.Addr) { bound <- a }
	go func() {
		p.result <- observe.Run(ctx, o, func(ctx context.Context, ready func()) error {
			select {
			case <-p.ready:
				ready()
				ready() // the second does nothing
				close(p.isReady)
			case <-ctx.Done():
			}
			<-ctx.Done()
			close(p.stopped)
			return <-p.finish
		})
	}()
	p.address = (<-bound).String()
	return p
}

// end lets the process end and returns its error.
func (p *process) end(err error) error {
	p.cancel()
	p.finish <- err
	return <-p.result
}

func get(t *testing.T, p *process, path string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	r, err := client.Get("http://" + p.address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

func wantAnswer(t *testing.T, p *process, path string, status int, body string) {
	t.Helper()
	if gotStatus, gotBody := get(t, p, path); gotStatus != status || gotBody != body {
		t.Errorf("%s: got %d %q, want %d %q", path, gotStatus, gotBody, status, body)
	}
}

func TestReadinessFollowsTheLifeOfTheProcess(t *testing.T) {
	t.Parallel()
	p := start(t, observe.Options{})
	wantAnswer(t, p, "/readyz?verbose", 503, "process: starting\nnot ok\n")
	wantAnswer(t, p, "/livez", 200, "ok\n")
	close(p.ready)
	<-p.isReady
	wantAnswer(t, p, "/readyz", 200, "ok\n")
	p.cancel()
	<-p.stopped
	// Work is still ending: the health page must outlive it, and say so.
	for {
		if status, body := get(t, p, "/readyz?verbose"); status == 503 {
			if body != "process: stopping\nnot ok\n" {
				t.Errorf("got %q", body)
			}
			break
		}
	}
	if err := p.end(nil); err != nil {
		t.Errorf("got %v", err)
	}
	if _, err := net.Dial("tcp", p.address); err == nil {
		t.Error("the health page is still served")
	}
}

func TestFailedChecksAreNamedToWhoeverAsks(t *testing.T) {
	t.Parallel()
	p := start(t, observe.Options{
		Ready: []observe.Check{
			{Name: "nats", Run: func(context.Context) error { return nil }},
			{Name: "database", Run: func(context.Context) error { return errors.New("connection refused") }},
		},
		Live: []observe.Check{{Name: "log", Run: func(context.Context) error { return errors.New("two histories") }}},
	})
	close(p.ready)
	<-p.isReady
	wantAnswer(t, p, "/readyz", 503, "not ok\n")
	wantAnswer(t, p, "/readyz?verbose", 503, "nats: ok\ndatabase: connection refused\nnot ok\n")
	wantAnswer(t, p, "/livez?verbose", 503, "log: two histories\nnot ok\n")
	if err := p.end(nil); err != nil {
		t.Error(err)
	}
}

func TestMetricsAreServed(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "reprosign_test_total", Help: "Tests."})
	registry.MustRegister(counter)
	counter.Add(3)
	p := start(t, observe.Options{Registry: registry})
	if status, body := get(t, p, "/metrics"); status != 200 || !strings.Contains(body, "reprosign_test_total 3\n") {
		t.Errorf("got %d %q", status, body)
	}
	if status, _ := get(t, p, "/debug/pprof/"); status != 404 {
		t.Errorf("unknown page: got %d", status)
	}
	if err := p.end(nil); err != nil {
		t.Error(err)
	}
}

func TestErrorOfTheWorkIsTheResult(t *testing.T) {
	t.Parallel()
	want := errors.New("disk on fire")
	p := start(t, observe.Options{})
	if got := p.end(want); !errors.Is(got, want) {
		t.Errorf("got %v", got)
	}
	// Work that ends by itself ends the process.
	err := observe.Run(t.Context(), observe.Options{Listen: "127.0.0.1:0"}, func(context.Context, func()) error { return want })
	if !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
}

func TestWorkDoesNotStartWithoutItsPage(t *testing.T) {
	t.Parallel()
	err := observe.Run(t.Context(), observe.Options{Listen: "256.0.0.1:1"}, func(context.Context, func()) error {
		t.Error("work was started")
		return nil
	})
	if err == nil {
		t.Error("an impossible address was accepted")
	}
}

func TestSystemdHearsOfReadyWatchdogAndStopping(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	next := func() string {
		buffer := make([]byte, 256)
		n, err := conn.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:n])
	}
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "30000")
	p := start(t, observe.Options{})
	for range 3 { // it is alive before it is ready
		if got := next(); got != "WATCHDOG=1" {
			t.Errorf("got %q", got)
		}
	}
	close(p.ready)
	for next() != "READY=1" {
		continue
	}
	p.cancel()
	for next() != "STOPPING=1" {
		continue
	}
	if err := p.end(nil); err != nil {
		t.Error(err)
	}
}

func TestWatchdogStarvesWhileALivenessCheckFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "3000")
	asked := make(chan struct{})
	p := start(t, observe.Options{Live: []observe.Check{{Name: "log", Run: func(ctx context.Context) error {
		select {
		case asked <- struct{}{}:
		case <-ctx.Done():
		}
		return errors.New("two histories")
	}}}})
	for range 5 {
		<-asked
	}
	if err := p.end(nil); err != nil {
		t.Error(err)
	}
	buffer := make([]byte, 256)
	n, err := conn.Read(buffer)
	if err != nil || string(buffer[:n]) != "STOPPING=1" {
		t.Errorf("first message: got %q, %v", buffer[:n], err)
	}
}

func TestLoggersWriteInTheirFormat(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{"json": `"msg":"seen"`, "text": "msg=seen"} {
		var b strings.Builder
		logger, err := observe.NewLogger(&b, format, "warn")
		if err != nil {
			t.Fatal(err)
		}
		logger.Info("unseen")
		logger.Warn("seen")
		if got := b.String(); !strings.Contains(got, want) || strings.Contains(got, "unseen") {
			t.Errorf("%s: got %q", format, got)
		}
	}
	for _, bad := range [][2]string{{"xml", "info"}, {"json", "loud"}, {"", ""}} {
		if _, err := observe.NewLogger(io.Discard, bad[0], bad[1]); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
