package coordinator

import (
	"context"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// Tree is the evidence log's tree as the database holds it.
type Tree struct {
	Size int64
	Root tlog.Hash
}

// Tile is a stored tile: up to 256 hashes of one level, one after the other.
type Tile struct {
	Level int
	N     int64
	Data  []byte
}

// Grow computes what a tree becomes when leaves are appended: the new tree and
// every tile that changed. read returns stored tiles, in the order asked for.
type Grow func(old Tree, leaves []tlog.Hash, read func([]tlog.Tile) ([][]byte, error)) (Tree, []Tile, error)

// Seen is what the witnesses of a checkpoint make known.
type Seen struct {
	// At is when a quorum of them had cosigned it.
	At attest.Time
	// Confirm judges a decision below the checkpoint by the witnesses' time
	// (policy.Confirm). It is pure. Its error expires the release if it wraps
	// policy.ErrTooLate; every other one undoes the publication.
	Confirm func(Case, attest.Decision, policy.Seen) error
}

// LogStore is the evidence log in the database (design §2.6). Its methods may
// be called from several replicas at once.
type LogStore interface {
	// Integrate moves up to limit leaves from the outbox into the tree, in one
	// transaction that holds the log's state row, and returns how many. Zero
	// means that none waits, or that another replica is at it.
	Integrate(ctx context.Context, limit int, grow Grow) (int, error)
	// Committed returns the committed tree, and whether a checkpoint of its
	// size is stored. Only what it returns may be signed.
	Committed(ctx context.Context) (tree Tree, published bool, err error)
	// Publish stores a signed checkpoint of a committed tree. In the same
	// transaction the decisions below its size become logged and their signing
	// jobs open. Publishing the same tree again changes nothing, with other
	// cosignatures either; another tree of the same size is ErrForked.
	Publish(ctx context.Context, tree Tree, note []byte) error
	// PublishSeen is Publish for a checkpoint that witnesses had to cosign and
	// did. Decisions that do not hold by the witnesses' time expire, and their
	// requests get the next attempt if there is one left.
	PublishSeen(ctx context.Context, tree Tree, note []byte, seen Seen) error
	// Await shows a reason at every decided release that is not logged yet.
	Await(ctx context.Context, reason string) error
	// Covering returns the smallest stored checkpoint above an index, as it was
	// cosigned first, among all or only those that witnesses had to cosign;
	// ErrNotFound if there is none.
	Covering(ctx context.Context, index int64, seen bool) (Tree, []byte, error)
	// Renew stores the newest checkpoint, of a size that is stored, as it was
	// cosigned again at a later time.
	Renew(ctx context.Context, size int64, note []byte, at attest.Time) error
	// Checkpoint returns the newest stored checkpoint, as it was cosigned last;
	// ErrNotFound if there is none.
	Checkpoint(ctx context.Context) (Tree, []byte, error)
	// Tiles returns stored tiles, in the order asked for, as long as they are;
	// ErrNotFound if one is missing or shorter than asked for.
	Tiles(ctx context.Context, tiles []tlog.Tile) ([][]byte, error)
}
