package sequencer_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
	"github.com/reprosign/reprosign/coordinator/sequencer"
	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/box/boxtest"
)

func TestMain(m *testing.M) { boxtest.Main(m) }

func migrate(dsn string) error { return store.Migrate(context.Background(), dsn) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func logKey(t testing.TB) attest.SigningKey {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	key, err := attest.NewSigningKey("log.example.org", private)
	must(t, err)
	return key
}

func openWriter(t testing.TB, dsn string) *store.Writer {
	w, err := store.OpenWriter(t.Context(), dsn, nil)
	must(t, err)
	t.Cleanup(w.Close)
	return w
}

func newSequencer(t testing.TB, s sequencer.Store, key attest.SigningKey) *sequencer.Sequencer {
	q, err := sequencer.New(s, key, nil)
	must(t, err)
	return q
}

// connect opens a connection as the owner.
func connect(t testing.TB, dsn string) *pgx.Conn {
	config, err := pgx.ParseConfig(dsn)
	must(t, err)
	config.RuntimeParams["search_path"] = "reprosign, pg_temp"
	c, err := pgx.ConnectConfig(t.Context(), config)
	must(t, err)
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// add puts n leaves into the outbox, each naming its writer.
func add(t testing.TB, c *pgx.Conn, writer string, n int) {
	t.Helper()
	for i := range n {
		leaf := fmt.Appendf(nil, "%s %d", writer, i)
		hash := tlog.RecordHash(leaf)
		_, err := c.Exec(t.Context(), `
			WITH l AS (INSERT INTO log_leaves (leaf, leaf_hash) VALUES ($1, $2::bytea) RETURNING id, leaf_hash)
			INSERT INTO log_pending SELECT id, leaf_hash FROM l`, leaf, hash[:])
		must(t, err)
	}
}

// check reads the published log as an outsider does and proves every entry.
func check(t testing.TB, dsn string, key attest.SigningKey, q *sequencer.Sequencer) []string {
	t.Helper()
	r, err := store.OpenReader(t.Context(), dsn)
	must(t, err)
	defer r.Close()
	note, err := r.Checkpoint(t.Context())
	must(t, err)
	c, err := translog.OpenCheckpoint(note, key.VerifierKey)
	must(t, err)
	var leaves []string
	for first := int64(0); first < c.Size; first += translog.TileWidth {
		width := int(min(c.Size-first, translog.TileWidth))
		bundle, err := r.Tile(t.Context(), tlog.Tile{H: translog.TileHeight, L: translog.EntriesLevel, N: first / translog.TileWidth, W: width})
		must(t, err)
		for len(bundle) > 0 {
			n := int(bundle[0])<<8 | int(bundle[1])
			leaves, bundle = append(leaves, string(bundle[2:2+n])), bundle[2+n:]
		}
	}
	tiles := tileReader{t, r}
	reader := tlog.TileHashReader(tlog.Tree{N: c.Size, Hash: c.Root}, tiles)
	for i, leaf := range leaves {
		if i%97 != 0 && i != len(leaves)-1 {
			continue
		}
		hashes, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(i))})
		must(t, err)
		if hashes[0] != tlog.RecordHash([]byte(leaf)) {
			t.Fatalf("entry %d is not the one in the tree", i)
		}
		p, err := q.Proof(t.Context(), int64(i), nil)
		must(t, err)
		if _, err := p.Verify([]byte(leaf), key.VerifierKey); err != nil {
			t.Fatalf("proof of entry %d: %v", i, err)
		}
	}
	return leaves
}

// tileReader serves published tiles to x/mod's verifying reader.
type tileReader struct {
	t testing.TB
	r *store.Reader
}

func (t tileReader) Height() int { return translog.TileHeight }

func (t tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, tile := range tiles {
		data, err := t.r.Tile(t.t.Context(), tile)
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}

func (t tileReader) SaveTiles([]tlog.Tile, [][]byte) {}

func TestCompetingIntegratorsPlaceEveryLeafOnce(t *testing.T) {
	const writers, each = 4, 400
	dsn := boxtest.Database(t, migrate)
	key := logKey(t)
	var sequencers []*sequencer.Sequencer
	for range 2 {
		sequencers = append(sequencers, newSequencer(t, openWriter(t, dsn), key))
	}
	var adding, draining sync.WaitGroup
	done := make(chan struct{})
	for i := range writers {
		c := connect(t, dsn)
		adding.Go(func() { add(t, c, fmt.Sprintf("writer-%d", i), each) })
	}
	for i := range 6 {
		draining.Go(func() {
			for {
				if err := sequencers[i%2].Drain(t.Context()); err != nil {
					t.Errorf("draining: %v", err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	adding.Wait()
	close(done)
	draining.Wait()
	must(t, sequencers[0].Drain(t.Context()))
	leaves := check(t, dsn, key, sequencers[0])
	seen := map[string]int{}
	for _, l := range leaves {
		seen[l]++
	}
	if len(leaves) != writers*each || len(seen) != writers*each {
		t.Errorf("%d leaves, %d of them distinct, want %d", len(leaves), len(seen), writers*each)
	}
}

func TestRunPublishesWhatIsAddedAndEndsWithItsContext(t *testing.T) {
	dsn := boxtest.Database(t, migrate)
	key := logKey(t)
	w := openWriter(t, dsn)
	q := newSequencer(t, w, key)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	c := connect(t, dsn)
	add(t, c, "writer", 3)
	_, err := c.Exec(t.Context(), `SELECT pg_notify('reprosign', 'outbox')`)
	must(t, err)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(time.Minute); ; {
		if tree, _, err := w.Checkpoint(t.Context()); err == nil && tree.Size == 3 {
			break
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal("nothing was published within a minute")
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v", err)
	}
}

// faulty is a store in which one step fails or is preceded by something.
type faulty struct {
	*store.Writer

	integrate   func(context.Context, int, coordinator.Grow) (int, error)
	publish     func(context.Context, coordinator.Tree, []byte) error
	publishSeen func(context.Context, coordinator.Tree, []byte, coordinator.Seen) error
}

func (f *faulty) PublishSeen(ctx context.Context, tree coordinator.Tree, note []byte, seen coordinator.Seen) error {
	if f.publishSeen != nil {
		return f.publishSeen(ctx, tree, note, seen)
	}
	return f.Writer.PublishSeen(ctx, tree, note, seen)
}

func (f *faulty) Integrate(ctx context.Context, limit int, grow coordinator.Grow) (int, error) {
	if f.integrate != nil {
		return f.integrate(ctx, limit, grow)
	}
	return f.Writer.Integrate(ctx, limit, grow)
}

func (f *faulty) Publish(ctx context.Context, tree coordinator.Tree, note []byte) error {
	if f.publish != nil {
		return f.publish(ctx, tree, note)
	}
	return f.Writer.Publish(ctx, tree, note)
}

var emptyRoot = tlog.Hash(attest.SHA256(nil))

var errFault = errors.New("fault of the test")

func TestRolledBackIntegrationIsNeverSigned(t *testing.T) {
	dsn := boxtest.Database(t, migrate)
	key := logKey(t)
	f := &faulty{Writer: openWriter(t, dsn)}
	var noted []coordinator.Tree
	f.publish = func(ctx context.Context, tree coordinator.Tree, note []byte) error {
		noted = append(noted, tree)
		return f.Writer.Publish(ctx, tree, note)
	}
	q := newSequencer(t, f, key)
	must(t, q.Drain(t.Context())) // the empty tree
	c := connect(t, dsn)
	add(t, c, "writer", 5)

	// The new tree is computed, and then its transaction fails.
	f.integrate = func(ctx context.Context, limit int, grow coordinator.Grow) (int, error) {
		return f.Writer.Integrate(ctx, limit, func(old coordinator.Tree, leaves []tlog.Hash, read func([]tlog.Tile) ([][]byte, error)) (coordinator.Tree, []coordinator.Tile, error) {
			if _, _, err := grow(old, leaves, read); err != nil {
				return coordinator.Tree{}, nil, err
			}
			return coordinator.Tree{}, nil, errFault
		})
	}
	if err := q.Drain(t.Context()); !errors.Is(err, errFault) {
		t.Fatalf("drain: %v, want the fault", err)
	}
	// Another integrator gets in between: the update of the state row finds
	// another size and the transaction is rolled back.
	f.integrate = func(ctx context.Context, limit int, grow coordinator.Grow) (int, error) {
		return f.Writer.Integrate(ctx, limit, func(old coordinator.Tree, leaves []tlog.Hash, read func([]tlog.Tile) ([][]byte, error)) (coordinator.Tree, []coordinator.Tile, error) {
			tree, tiles, err := grow(old, leaves, read)
			tree.Size++
			return tree, tiles, err
		})
	}
	if err := q.Drain(t.Context()); err == nil {
		t.Fatal("a tree of the wrong size was committed")
	}
	if len(noted) != 1 || noted[0].Size != 0 {
		t.Fatalf("signed %v, want the empty tree alone", noted)
	}
	f.integrate = nil
	must(t, q.Drain(t.Context()))
	if leaves := check(t, dsn, key, q); len(leaves) != 5 {
		t.Errorf("%d leaves, want 5", len(leaves))
	}
}

func TestCrashBetweenCommitAndPublicationIsMadeGood(t *testing.T) {
	dsn := boxtest.Database(t, migrate)
	key := logKey(t)
	f := &faulty{Writer: openWriter(t, dsn)}
	f.publish = func(context.Context, coordinator.Tree, []byte) error { return errFault }
	add(t, connect(t, dsn), "writer", 300)
	if err := newSequencer(t, f, key).Drain(t.Context()); !errors.Is(err, errFault) {
		t.Fatalf("drain: %v, want the fault", err)
	}
	if _, published, err := f.Committed(t.Context()); err != nil || published {
		t.Fatalf("published %v, %v", published, err)
	}
	next := newSequencer(t, openWriter(t, dsn), key) // the process that comes after
	must(t, next.Drain(t.Context()))
	if leaves := check(t, dsn, key, next); len(leaves) != 300 {
		t.Errorf("%d leaves, want 300", len(leaves))
	}
}

func TestForkedDatabaseIsNotSigned(t *testing.T) {
	for _, test := range []struct{ name, sql string }{
		{"put back to size 3", `
			DELETE FROM log_checkpoints WHERE size > 3;
			DELETE FROM log_entries WHERE index >= 3;
			UPDATE log_tiles SET data = substring(data FOR 3 * 32);
			UPDATE log_state SET size = 3, root = (SELECT root FROM log_checkpoints WHERE size = 3)`},
		{"leaf changed", `UPDATE log_tiles SET data = substring(data FOR 32) || sha256('x') || substring(data FROM 65)`},
		{"root changed", `UPDATE log_state SET root = sha256('x')`},
	} {
		t.Run(test.name, func(t *testing.T) {
			dsn := boxtest.Database(t, migrate)
			key := logKey(t)
			f := &faulty{Writer: openWriter(t, dsn)}
			q := newSequencer(t, f, key)
			c := connect(t, dsn)
			for range 2 {
				add(t, c, "first", 3)
				must(t, q.Drain(t.Context()))
			}
			// session_replication_role takes the triggers off, as a restore does.
			_, err := c.Exec(t.Context(), `SET session_replication_role = replica;`+test.sql)
			must(t, err)
			add(t, c, "second", 5)
			f.publish = func(_ context.Context, tree coordinator.Tree, _ []byte) error {
				t.Errorf("a checkpoint of size %d was signed", tree.Size)
				return nil
			}
			for range 2 { // and also not when it is tried again
				if err := q.Drain(t.Context()); !errors.Is(err, coordinator.ErrForked) {
					t.Errorf("drain: %v, want ErrForked", err)
				}
			}
		})
	}
}
