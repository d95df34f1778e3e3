//go:build bench

package cmd_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/evidence/evidencetest"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/sequencer"
	"github.com/reprosign/reprosign/coordinator/store"
)

// front answers requests of the Rekor v2 API with our log. It stands for all
// who wait until their entry is under a checkpoint; the coordinator waits by
// the same notifications.
type front struct {
	*store.Writer

	pool     *pgxpool.Pool
	seq      *sequencer.Sequencer
	appended chan appending

	mu      sync.Mutex
	size    int64 // published
	waiting map[int64]chan place
	early   map[int64]place // published before their client waited
}

// place is where an entry came to stand.
type place struct {
	index, size int64
	note        []byte
}

// appending is a leaf on its way into the outbox.
type appending struct {
	leaf []byte
	id   chan int64 // closed without one if that failed
}

const (
	// frontWriters append entries, each as many as wait in one transaction, as
	// the coordinator appends the decisions that wait.
	frontWriters = 2
	frontBatch   = 500
)

func benchFront(ctx context.Context, t *testing.T, dir string) {
	dsn, err := os.ReadFile(filepath.Join(dir, "dsn"))
	if err != nil {
		t.Fatal(err)
	}
	f := &front{waiting: map[int64]chan place{}, early: map[int64]place{}, appended: make(chan appending, frontBatch)}
	if f.Writer, err = store.OpenWriter(ctx, string(dsn), benchLog()); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	config, err := pgxpool.ParseConfig(string(dsn))
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = frontWriters + 2
	config.ConnConfig.RuntimeParams["search_path"] = "reprosign, pg_temp"
	if f.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		t.Fatal(err)
	}
	defer f.pool.Close()
	if f.seq, err = sequencer.New(f, evidencetest.Ed25519Key(t, "log", evidencetest.Origin), benchLog()); err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(f.add)}
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(listener) })
	running.Go(func() { _ = f.seq.Run(ctx) })
	for range frontWriters {
		running.Go(func() { f.write(ctx, t) })
	}
	benchReady(t, dir, "log", "http://"+listener.Addr().String())
	<-ctx.Done()
	_ = server.Close()
	running.Wait()
}

// write appends what waits, until ctx ends.
func (f *front) write(ctx context.Context, t *testing.T) {
	for {
		var batch []appending
		select {
		case a := <-f.appended:
			batch = append(batch, a)
		case <-ctx.Done():
			return
		}
		for more := true; more && len(batch) < frontBatch; {
			select {
			case a := <-f.appended:
				batch = append(batch, a)
			default:
				more = false
			}
		}
		if err := f.append(ctx, batch); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		for _, a := range batch {
			close(a.id)
		}
	}
}

func (f *front) append(ctx context.Context, batch []appending) error {
	leaves, hashes := make([][]byte, len(batch)), make([][]byte, len(batch))
	byHash := make(map[tlog.Hash]appending, len(batch))
	for i, a := range batch {
		hash := tlog.RecordHash(a.leaf)
		leaves[i], hashes[i], byHash[hash] = a.leaf, hash[:], a
	}
	rows, err := f.pool.Query(ctx, `
		WITH l AS (INSERT INTO log_leaves (leaf, leaf_hash) SELECT * FROM unnest($1::bytea[], $2::bytea[]) RETURNING id, leaf_hash),
		     p AS (INSERT INTO log_pending SELECT id, leaf_hash FROM l),
		     n AS MATERIALIZED (SELECT pg_notify('reprosign', 'outbox'))
		SELECT id, leaf_hash FROM l, n`, leaves, hashes)
	if err != nil {
		return err
	}
	ids := make(map[tlog.Hash]int64, len(batch))
	var id int64
	var hash []byte
	if _, err := pgx.ForEachRow(rows, []any{&id, &hash}, func() error {
		ids[tlog.Hash(hash)] = id
		return nil
	}); err != nil {
		return err
	}
	for hash, id := range ids { // durable only now
		byHash[hash].id <- id
	}
	return nil
}

// Publish tells those who wait where their entries came to stand.
func (f *front) Publish(ctx context.Context, tree coordinator.Tree, note []byte) error {
	if err := f.Writer.Publish(ctx, tree, note); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	rows, err := f.pool.Query(ctx, `SELECT leaf, index FROM log_entries WHERE index >= $1 AND index < $2`, f.size, tree.Size)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var leaf int64
		at := place{size: tree.Size, note: note}
		if err := rows.Scan(&leaf, &at.index); err != nil {
			return err
		}
		if c, ok := f.waiting[leaf]; ok {
			delete(f.waiting, leaf)
			c <- at
			continue
		}
		f.early[leaf] = at
	}
	f.size = tree.Size
	return rows.Err()
}

// await returns where a leaf came to stand, once that is published.
func (f *front) await(ctx context.Context, leaf int64) (place, error) {
	c := make(chan place, 1)
	f.mu.Lock()
	if at, ok := f.early[leaf]; ok {
		delete(f.early, leaf)
		c <- at
	} else {
		f.waiting[leaf] = c
	}
	f.mu.Unlock()
	select {
	case at := <-c:
		return at, nil
	case <-ctx.Done():
		return place{}, ctx.Err()
	}
}

func (f *front) add(w http.ResponseWriter, r *http.Request) {
	answer, status, err := f.log(r)
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	w.WriteHeader(http.StatusCreated)
	_ = json.MarshalWrite(w, answer)
}

// log verifies an entry as the Rekor server does, appends it, waits and proves it.
func (f *front) log(r *http.Request) (any, int, error) {
	var q struct {
		Entry struct {
			Digest    []byte `json:"digest"`
			Signature struct {
				Content  []byte `json:"content"`
				Verifier struct {
					KeyDetails string `json:"keyDetails"`
					PublicKey  struct {
						RawBytes []byte `json:"rawBytes"`
					} `json:"publicKey"`
				} `json:"verifier"`
			} `json:"signature"`
		} `json:"hashedRekordRequestV002"`
	}
	if err := json.UnmarshalRead(r.Body, &q); err != nil {
		return nil, http.StatusBadRequest, err
	}
	public, err := x509.ParsePKIXPublicKey(q.Entry.Signature.Verifier.PublicKey.RawBytes)
	if err != nil {
		return nil, http.StatusBadRequest, err
	}
	key, ok := public.(*ecdsa.PublicKey)
	if !ok || !ecdsa.VerifyASN1(key, q.Entry.Digest, q.Entry.Signature.Content) {
		return nil, http.StatusBadRequest, attest.ErrBadSignature
	}
	leaf, err := attest.MarshalCanonical(map[string]any{"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": map[string]any{
		"hashedRekordV002": map[string]any{
			"data": map[string]any{"algorithm": "SHA2_256", "digest": q.Entry.Digest}, "signature": q.Entry.Signature,
		},
	}})
	if err != nil {
		return nil, http.StatusBadRequest, err
	}
	mine := appending{leaf, make(chan int64, 1)}
	f.appended <- mine
	id, ok := <-mine.id
	if !ok {
		return nil, http.StatusServiceUnavailable, errors.New("entry not appended")
	}
	at, err := f.await(r.Context(), id)
	if err != nil {
		return nil, http.StatusServiceUnavailable, err
	}
	hashes, err := f.seq.Prove(r.Context(), at.index, at.size)
	if err != nil {
		return nil, http.StatusServiceUnavailable, err
	}
	proof := make([][]byte, len(hashes))
	for i := range hashes {
		proof[i] = hashes[i][:]
	}
	return map[string]any{
		"logIndex": strconv.FormatInt(at.index, 10), "canonicalizedBody": leaf,
		"inclusionProof": map[string]any{"hashes": proof, "checkpoint": map[string]any{"envelope": string(at.note)}},
	}, http.StatusCreated, nil
}
