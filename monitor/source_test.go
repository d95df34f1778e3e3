package monitor_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reprosign/reprosign/monitor"
)

func packed(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

func TestAnswersAreReadCompressedOrNotAndWithinLimits(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	give := func(path, encoding string, data []byte) {
		mux.HandleFunc("/log/"+path, func(w http.ResponseWriter, _ *http.Request) {
			if encoding != "" {
				w.Header().Set("Content-Encoding", encoding)
			}
			_, _ = w.Write(data)
		})
	}
	give("plain", "", []byte("content"))
	give("gzip", "gzip", packed([]byte("content")))
	give("identity", "identity", []byte("content"))
	give("long", "", make([]byte, 101))
	give("bomb", "gzip", packed(make([]byte, 1<<20)))
	give("brotli", "br", []byte("content"))
	give("no-gzip", "gzip", []byte("content"))
	mux.HandleFunc("/log/elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/log/plain", http.StatusFound) })
	mux.HandleFunc("/log/gone", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s, err := monitor.Open(server.URL + "/log")
	if err != nil {
		t.Fatal(err)
	}
	monitor.Hasten(s)
	for path, want := range map[string]error{
		"plain": nil, "gzip": nil, "identity": nil, "long": monitor.ErrTooLarge, "bomb": monitor.ErrTooLarge,
		"brotli": monitor.ErrUnreachable, "no-gzip": monitor.ErrUnreachable, "elsewhere": monitor.ErrUnreachable,
		"gone": monitor.ErrMissing, "nothing": monitor.ErrMissing,
	} {
		data, err := s.Get(t.Context(), path, 100)
		if !errors.Is(err, want) || want == nil && string(data) != "content" {
			t.Errorf("%s: got %q, %v, want %v", path, data, err, want)
		}
	}
}

// transport answers without a network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAServerIsAskedAFewTimesAndThenNoMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		faults := int32(2)
		s := monitor.Over("http://log.example.org", transport(func(*http.Request) (*http.Response, error) {
			status := http.StatusOK
			if asked.Add(1) <= faults {
				status = http.StatusBadGateway
			}
			return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("content"))}, nil
		}))
		began := time.Now()
		if data, err := s.Get(t.Context(), "checkpoint", 100); err != nil || string(data) != "content" {
			t.Errorf("after two faults: %q, %v", data, err)
		}
		if took := time.Since(began); took != 1500*time.Millisecond {
			t.Errorf("waited %v", took)
		}
		faults = 100
		asked.Store(0)
		if _, err := s.Get(t.Context(), "checkpoint", 100); !errors.Is(err, monitor.ErrUnreachable) || asked.Load() != 4 {
			t.Errorf("asked %d times: %v", asked.Load(), err)
		}
	})
}

func TestAServerThatNeverAnswersIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := monitor.Over("http://log.example.org", transport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}))
		began := time.Now()
		if _, err := s.Get(t.Context(), "checkpoint", 100); !errors.Is(err, monitor.ErrUnreachable) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took > 3*time.Minute {
			t.Errorf("waited %v", took)
		}
	})
}

func TestADirectoryGivesItsOwnFilesAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "log")
	for name, text := range map[string]string{"checkpoint": "content", "../secret": "secret", "long": strings.Repeat("x", 101)} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := monitor.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		"checkpoint": nil, "../secret": monitor.ErrMissing, "nothing": monitor.ErrMissing, ".": monitor.ErrMissing, "long": monitor.ErrTooLarge,
		"checkpoint/x": monitor.ErrUnreachable,
	} {
		if data, err := s.Get(t.Context(), path, 100); !errors.Is(err, want) || want == nil && string(data) != "content" {
			t.Errorf("%s: got %q, %v, want %v", path, data, err, want)
		}
	}
}

func TestAddressesThatAreNoLogAreRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{
		"", file, "/nonexistent", "ftp://log.example.org", "https://", "https://log.example.org?x", "https://log.example.org#x",
		"https://somebody:secret@log.example.org", "https://%zz", "https://somebody:secret@%zz",
	} {
		s, err := monitor.Open(where)
		if err == nil {
			t.Errorf("%q opens as %v", where, s)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error tells the password: %v", where, err)
		}
	}
}
