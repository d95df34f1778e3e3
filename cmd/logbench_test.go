//go:build bench

package cmd_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/box/boxtest"
)

// swift is the fastest that the Rekor server goes: a checkpoint as often as it
// may make one, and no memory of its entries.
var swift = rekorOptions{"--checkpoint-interval", "100ms"}

// benchTime is how long each number of clients keeps at it.
const benchTime = 15 * time.Second

// contender is a log that answers a Rekor v2 request with a proof under a
// checkpoint, when the entry is durable.
type contender struct {
	name string
	url  string
	key  attest.VerifierKey
	cpu  func(t *testing.T) time.Duration
}

// TestBenchEntriesAgainstRekor has the same clients log entries in our log and
// in a Rekor v2 server on the same machine, one after the other.
func TestBenchEntriesAgainstRekor(t *testing.T) {
	for _, clients := range []int{1, 32, 256} {
		for _, open := range []func(*testing.T) contender{openOurs, openRekor} {
			t.Run(fmt.Sprint(clients), func(t *testing.T) { open(t).race(t, clients) })
		}
	}
}

// openOurs starts our log: PostgreSQL and, as a process of its own, sequencer
// and front.
func openOurs(t *testing.T) contender {
	h := &benchHouse{house: &house{}, postgres: boxtest.Postgres(t), processes: map[string]*exec.Cmd{}}
	if err := h.postgres.EnsureDatabase(t.Context(), "bench"); err != nil {
		t.Fatal(err)
	}
	dsn := h.postgres.DSN("bench", "postgres")
	if err := store.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dsn"), []byte(dsn), 0o600); err != nil {
		t.Fatal(err)
	}
	h.start(t, dir, "log")
	url, err := os.ReadFile(filepath.Join(dir, "log.ready"))
	if err != nil {
		t.Fatal(err)
	}
	return contender{"reprosign", string(url), evidencetest.Ed25519Key(t, "log", evidencetest.Origin).VerifierKey, func(t *testing.T) time.Duration {
		used := h.cpu(t)
		return used["log"] + used["postgresql"]
	}}
}

func openRekor(t *testing.T) contender {
	r := newRekor(t, swift)
	return contender{"rekor-tiles", r.url, r.key, func(t *testing.T) time.Duration { return processTime(t, r.cmd.Process.Pid) }}
}

// race has clients log one entry after the other and reports what they saw.
func (c contender) race(t *testing.T, clients int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients, MaxConnsPerHost: clients}}
	t.Cleanup(client.CloseIdleConnections)
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all []time.Duration
	var running sync.WaitGroup
	used, started := c.cpu(t), time.Now()
	for i := range clients {
		running.Go(func() {
			var mine []time.Duration
			for n := 0; time.Since(started) < benchTime; n++ {
				body, leaf := newEntry(t, signer, spki, fmt.Sprintf("%s %d %d", c.name, i, n))
				sent := time.Now()
				proof, err := logEntry(t.Context(), client, c.url, body)
				if err != nil {
					t.Error(err)
					return
				}
				mine = append(mine, time.Since(sent))
				if n%64 == 0 { // the checks cost the contenders' processor
					if _, err := proof.Verify(leaf, c.key); err != nil {
						t.Error(err)
						return
					}
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, mine...)
		})
	}
	running.Wait()
	took, spent := time.Since(started), c.cpu(t)-used
	if len(all) == 0 {
		t.Fatal("nothing was logged")
	}
	slices.Sort(all)
	t.Logf("%-11s %3d clients: %7.1f entries/s durable and under a checkpoint, p50 %6.0f ms, p99 %6.0f ms, %5.0f µs of processor time each",
		c.name, clients, float64(len(all))/took.Seconds(), ms(all[len(all)/2]), ms(all[(len(all)-1)*99/100]), float64(spent.Microseconds())/float64(len(all)))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// newEntry returns a request for a text of its own, and the leaf that it must
// become. It takes little of the processor that the contenders share with it.
func newEntry(t *testing.T, signer *ecdsa.PrivateKey, spki []byte, text string) (body, leaf []byte) {
	digest := sha256.Sum256([]byte(text))
	signature, err := ecdsa.SignASN1(rand.Reader, signer, digest[:])
	if err != nil {
		t.Error(err)
	}
	const request = `{"hashedRekordRequestV002":{"digest":"%s","signature":{"content":"%s","verifier":{"keyDetails":"PKIX_ECDSA_P256_SHA_256","publicKey":{"rawBytes":"%s"}}}}}`
	const entry = `{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"SHA2_256","digest":"%s"},` +
		`"signature":{"content":"%s","verifier":{"keyDetails":"PKIX_ECDSA_P256_SHA_256","publicKey":{"rawBytes":"%s"}}}}}}`
	b64 := base64.StdEncoding.EncodeToString
	parts := []any{b64(digest[:]), b64(signature), b64(spki)}
	return fmt.Appendf(nil, request, parts...), fmt.Appendf(nil, entry, parts...)
}

// logged is what an answer says of its entry.
type logged struct {
	Index int64 `json:"logIndex,string"`
	Proof struct {
		Hashes     [][]byte `json:"hashes"`
		Checkpoint struct {
			Envelope string `json:"envelope"`
		} `json:"checkpoint"`
	} `json:"inclusionProof"`
}

func logEntry(ctx context.Context, client *http.Client, url string, body []byte) (translog.Proof, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v2/log/entries", bytes.NewReader(body))
	if err != nil {
		return translog.Proof{}, err
	}
	q.Header.Set("Content-Type", "application/json")
	a, err := client.Do(q)
	if err != nil {
		return translog.Proof{}, err
	}
	defer a.Body.Close()
	answer, err := io.ReadAll(a.Body)
	if err != nil {
		return translog.Proof{}, err
	}
	if a.StatusCode != http.StatusCreated {
		return translog.Proof{}, fmt.Errorf("status %d: %s", a.StatusCode, strings.TrimSpace(string(answer)))
	}
	var l logged
	if err := json.Unmarshal(answer, &l); err != nil {
		return translog.Proof{}, err
	}
	proof := translog.Proof{Index: l.Index, Checkpoint: []byte(l.Proof.Checkpoint.Envelope)}
	for _, h := range l.Proof.Hashes {
		proof.Hashes = append(proof.Hashes, tlog.Hash(h))
	}
	return proof, nil
}
