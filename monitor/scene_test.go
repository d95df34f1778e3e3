package monitor_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// stateOf returns the state file of a scene's log.
func stateOf(t *testing.T, s *scene) string {
	t.Helper()
	data, err := os.ReadFile(fileOf(t, s, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// fileOf returns the path of a file in the memory of a scene's log.
func fileOf(t *testing.T, s *scene, name string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.config.Dir, "*", name))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %q, %v", name, found, err)
	}
	return found[0]
}

func encoded(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

// handler answers posts.
func handler(answer func(w http.ResponseWriter, body string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		answer(w, string(body))
	})
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}
