package anchor_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/anchor"
)

func isAdd(q *http.Request) bool { return q.Method == http.MethodPost }

// verify checks an anchor as somebody who knows the other log's key does.
func (r *rekor) verify(t *testing.T, a coordinator.Anchor) {
	t.Helper()
	var s evidence.Sigstore
	if err := attest.UnmarshalStrict(a.Bundle, 1<<20, &s); err != nil {
		t.Fatal(err)
	}
	d, proof, err := s.Open(func(string) (attest.VerifierKey, error) { return r.world.Signer.VerifierKey, nil }, r.log.Key.VerifierKey)
	if err != nil {
		t.Fatalf("anchor does not verify: %v", err)
	}
	if d.Release != a.Release || proof.Index != a.Index || a.Log != origin {
		t.Errorf("anchor %+v is about release %s at index %d", a, d.Release, proof.Index)
	}
}

func TestDecisionsGetAProofOfTheirOwnLeaf(t *testing.T) {
	r := newRekor(t)
	r.fill(300)
	first, second := r.decision(1), r.decision(2)
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(first, second)
		defer start(t, q, r)()
		synctest.Wait()
		if q.anchored() != 2 {
			t.Fatalf("%d decisions anchored, want 2: %+v", q.anchored(), q.waiting)
		}
		for _, a := range q.stored {
			r.verify(t, a)
		}
	})
}

func TestAnEntryWhoseAnswerWasLostIsFoundByItsTiles(t *testing.T) {
	r := newRekor(t)
	r.fill(300)
	d := r.decision(1)
	r.setSpoil(func(q *http.Request, w *httptest.ResponseRecorder) {
		if isAdd(q) {
			w.Code = http.StatusBadGateway // after the entry was logged
			r.setSpoil(nil)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(d)
		defer start(t, q, r)()
		<-time.After(time.Minute)
		synctest.Wait()
		if q.anchored() != 1 {
			t.Fatalf("not anchored: %+v", q.waiting[0])
		}
		r.verify(t, q.stored[d.Release])
		if len(r.log.Leaves) != 301 || r.asked != 2 {
			t.Errorf("%d entries after %d requests, want 301 after 2", len(r.log.Leaves), r.asked)
		}
	})
}

func TestAnOutageOnlyDelays(t *testing.T) {
	const away = 3 * time.Hour
	for name, fault := range map[string]func(*http.Request, *httptest.ResponseRecorder){
		"away":          func(_ *http.Request, w *httptest.ResponseRecorder) { w.Code = http.StatusServiceUnavailable },
		"overloaded":    func(_ *http.Request, w *httptest.ResponseRecorder) { w.Code = http.StatusTooManyRequests },
		"never answers": func(_ *http.Request, w *httptest.ResponseRecorder) { w.Code = hangs },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRekor(t)
			var all []coordinator.Unanchored
			for i := range 4 {
				all = append(all, r.decision(i+1))
			}
			r.setSpoil(fault)
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(all...)
				defer start(t, q, r)()
				<-time.After(away)
				if q.anchored() != 0 {
					t.Error("anchored during the outage")
				}
				// Four at first, then one at a time, ever more seldom.
				if n := r.requests(); n < 10 || n > 60 {
					t.Errorf("%d requests in %v", n, away)
				}
				r.setSpoil(nil)
				<-time.After(20 * time.Minute)
				synctest.Wait()
				if q.anchored() != len(all) {
					t.Errorf("%d of %d decisions anchored after the outage", q.anchored(), len(all))
				}
			})
		})
	}
}

func TestDecisionsThatBecomeLoggedAreAnchoredAtOnce(t *testing.T) {
	r := newRekor(t)
	d := r.decision(1)
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		defer start(t, q, r)()
		synctest.Wait()
		q.mu.Lock()
		q.waiting = append(q.waiting, &item{Unanchored: d})
		q.mu.Unlock()
		q.topics <- coordinator.TopicEvents
		synctest.Wait()
		if q.anchored() != 0 {
			t.Error("anchored without reason")
		}
		q.topics <- coordinator.TopicSign
		synctest.Wait()
		if q.anchored() != 1 {
			t.Error("not anchored")
		}
	})
}

// Whatever a server answers: nothing is stored that does not prove the leaf, the
// decision is set aside with the reason, and others go on.
func TestAnswersThatProveNothingAreNotStored(t *testing.T) {
	conflict := func(index string) func(*rekor, *http.Request, *httptest.ResponseRecorder) {
		return func(_ *rekor, q *http.Request, w *httptest.ResponseRecorder) {
			if isAdd(q) {
				w.Code = http.StatusConflict
				w.Header().Set("X-Log-Index", index)
			}
		}
	}
	body := func(change func(*rekor, []byte) []byte) func(*rekor, *http.Request, *httptest.ResponseRecorder) {
		return func(r *rekor, q *http.Request, w *httptest.ResponseRecorder) {
			if isAdd(q) && w.Code == http.StatusCreated {
				replace(w, func(b []byte) []byte { return change(r, b) })
			}
		}
	}
	for _, test := range []struct {
		name  string
		want  string // in the reason
		spoil func(*rekor, *http.Request, *httptest.ResponseRecorder)
	}{
		{"garbage", "reading its entry", body(func(*rekor, []byte) []byte { return []byte("garbage") })},
		{"nothing", "reading its entry", body(func(*rekor, []byte) []byte { return nil })},
		{"null", "another entry", body(func(*rekor, []byte) []byte { return []byte("null") })},
		{"member twice", "reading its entry", body(func(_ *rekor, b []byte) []byte {
			return append([]byte(`{"logIndex":"0",`), b[1:]...)
		})},
		{"endless", "more than", body(func(*rekor, []byte) []byte { return bytes.Repeat([]byte(" "), 1<<20) })},
		{"another entry", "another entry", body(func(r *rekor, _ []byte) []byte {
			w := httptest.NewRecorder()
			r.answer(w, 7)
			return w.Body.Bytes()
		})},
		{"another index", "not at index 3", body(func(_ *rekor, b []byte) []byte {
			return bytes.Replace(b, []byte(`"logIndex":"300"`), []byte(`"logIndex":"3"`), 1)
		})},
		{"index below zero", "log index", body(func(_ *rekor, b []byte) []byte {
			return bytes.Replace(b, []byte(`"logIndex":"300"`), []byte(`"logIndex":"-1"`), 1)
		})},
		{"no proof", "not at index", body(func(_ *rekor, b []byte) []byte { return shorten(b, `"hashes":[`, `]`) })},
		{"half a hash", "hash of 3 bytes", body(func(_ *rekor, b []byte) []byte {
			return bytes.Replace(b, []byte(`"hashes":[`), []byte(`"hashes":["AAAA",`), 1)
		})},
		{"no checkpoint", "checkpoint of 0 bytes", body(func(_ *rekor, b []byte) []byte { return shorten(b, `"envelope":"`, `"`) })},
		{"foreign key", "signature does not verify", body(signedBy("thief", origin))},
		{"foreign origin", "no signature of log", body(signedBy("log", "other.example.org"))},
		{"refusal", "status 400", func(_ *rekor, _ *http.Request, w *httptest.ResponseRecorder) { w.Code = http.StatusBadRequest }},
		{"elsewhere", "status 307", func(_ *rekor, _ *http.Request, w *httptest.ResponseRecorder) {
			w.Code = http.StatusTemporaryRedirect
			w.Header().Set("Location", "https://elsewhere.example.org/")
		}},
		{"known without index", "it knows the entry", conflict("")},
		{"known at no index", "it knows the entry", conflict("-5")},
		{"known at another index", "not at index 5", conflict("5")},
		{"known, and its tiles are gone", "status 404", func(r *rekor, q *http.Request, w *httptest.ResponseRecorder) {
			conflict("300")(r, q, w)
			if strings.Contains(q.URL.Path, "/tile/") {
				w.Code = http.StatusNotFound
			}
		}},
		{"known, and its tiles are others", "proving entry 300", func(r *rekor, q *http.Request, w *httptest.ResponseRecorder) {
			conflict("300")(r, q, w)
			if strings.Contains(q.URL.Path, "/tile/") {
				replace(w, func(b []byte) []byte { b[3] ^= 1; return b })
			}
		}},
		{"known, and its tiles are cut off", "proving entry 300", func(r *rekor, q *http.Request, w *httptest.ResponseRecorder) {
			conflict("300")(r, q, w)
			if strings.Contains(q.URL.Path, "/tile/") {
				replace(w, func(b []byte) []byte { return b[:31] })
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRekor(t)
			r.fill(300)
			d, other := r.decision(1), r.decision(2)
			r.setSpoil(func(q *http.Request, w *httptest.ResponseRecorder) { test.spoil(r, q, w) })
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(d)
				defer start(t, q, r)()
				synctest.Wait()
				if q.anchored() != 0 {
					t.Fatalf("stored %+v", q.stored[d.Release])
				}
				if i := q.waiting[0]; !strings.Contains(i.reason, test.want) || i.aside < time.Minute {
					t.Errorf("set aside for %v: %s; want %q", i.aside, i.reason, test.want)
				}
				r.setSpoil(nil)
				q.mu.Lock()
				q.waiting = append(q.waiting, &item{Unanchored: other})
				q.mu.Unlock()
				<-time.After(6 * time.Hour)
				synctest.Wait()
				if q.anchored() != 2 {
					t.Errorf("%d of 2 decisions anchored by an honest server", q.anchored())
				}
			})
		})
	}
}

// signedBy answers with a checkpoint by another key.
func signedBy(role, name string) func(*rekor, []byte) []byte {
	return func(r *rekor, _ []byte) []byte {
		honest := r.log.Key
		defer func() { r.log.Key = honest }()
		r.log.Key = evidencetest.Ed25519Key(r.t, role, name)
		w := httptest.NewRecorder()
		r.answer(w, 300)
		return w.Body.Bytes()
	}
}

// shorten removes what stands between two marks.
func shorten(b []byte, from, to string) []byte {
	before, rest, _ := bytes.Cut(b, []byte(from))
	_, after, _ := bytes.Cut(rest, []byte(to))
	return append(append(bytes.Clone(before), from+to...), after...)
}

func TestConfigurationThatCannotWorkIsRefused(t *testing.T) {
	good := evidencetest.Ed25519Key(t, "log", origin).VerifierKey
	for _, test := range []struct {
		url, tiles string
		key        attest.VerifierKey
	}{
		{"", "", good},
		{"rekor.example.org", "", good},
		{"ftp://rekor.example.org", "", good},
		{"https://user:password@rekor.example.org", "", good},
		{"https://rekor.example.org?x", "", good},
		{"https://rekor.example.org", "tiles", good},
		{"https://rekor.example.org", "", attest.VerifierKey{}},
		{"https://rekor.example.org", "", evidencetest.P256Key(t, "log", origin).VerifierKey},
		{"https://rekor.example.org", "", evidencetest.Ed25519Key(t, "log", "Rekor/1").VerifierKey},
	} {
		if _, err := anchor.New(anchor.Config{Store: newQueue(), URL: test.url, Tiles: test.tiles, Key: test.key}); err == nil {
			t.Errorf("taken: %+v", test)
		}
	}
}
