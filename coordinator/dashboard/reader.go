package dashboard

import (
	"context"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// Reader reads what is public. It is safe for concurrent use. Its errors wrap
// coordinator.ErrNotFound for what does not exist or may not be shown, without
// telling which, and coordinator.ErrUnavailable while the database is away.
type Reader interface {
	coordinator.Reader

	// Releases lists at most limit releases, newest first, without their votes
	// and artifacts.
	Releases(ctx context.Context, f coordinator.Filter, limit int) ([]*coordinator.View, error)
	// Counts returns how many releases of each suite are in each state.
	Counts(ctx context.Context) (map[string]map[coordinator.State]int, error)
	// Policies returns the signed policies, newest first.
	Policies(ctx context.Context) ([]*attest.Envelope, error)
	// Sets returns the artifact lists that were built in a release whose
	// embargo is over, by set digest.
	Sets(ctx context.Context, release attest.Digest) (map[attest.Digest]attest.Artifacts, error)
	// Certificate returns an OpenPGP certificate, binary, by its signing key's fingerprint.
	Certificate(ctx context.Context, fingerprint string) ([]byte, error)
	// Anchor returns the entry of a release's decision in another log;
	// ErrNotFound if there is none.
	Anchor(ctx context.Context, release attest.Digest) (*coordinator.Anchor, error)
	// Complaints returns the complaints about a release's decision that the log
	// shows, in the log's order.
	Complaints(ctx context.Context, release attest.Digest) ([]coordinator.ComplaintView, error)
	// Checkpoint returns the newest published checkpoint, a signed note.
	Checkpoint(ctx context.Context) ([]byte, error)
	// Tile returns a tile's bytes, exactly as wide as asked for, if the
	// published checkpoint covers it: hashes, or an entry bundle for the level
	// translog.EntriesLevel.
	Tile(ctx context.Context, t tlog.Tile) ([]byte, error)
	// Body returns the envelope that the log refers to by digest.
	Body(ctx context.Context, d attest.Digest) ([]byte, error)
}
