package dashboard

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/coordinator"
)

// Log is what the page of the log shows.
type Log struct {
	Schema     string             `json:"schema"`
	Origin     string             `json:"origin"`
	Key        attest.VerifierKey `json:"key"` // verifier key of the checkpoints
	Size       int64              `json:"size"`
	Root       tlog.Hash          `json:"root"`
	Checkpoint string             `json:"checkpoint"` // the signed note
	Policy     uint64             `json:"policy"`     // serial of the policy that names the key
	Insecure   bool               `json:"insecure"`
	// Witnesses are the policy's, and Quorum is how many of them must cosign.
	Witnesses   []LogWitness `json:"witnesses"`
	Quorum      int          `json:"quorum"`
	Unwitnessed bool         `json:"unwitnessed"` // they may all be of the log's operator and of one other
}

// LogWitness is a witness, and when it cosigned the checkpoint if it did.
type LogWitness struct {
	Name     string      `json:"name"`
	Operator string      `json:"operator"`
	At       attest.Time `json:"at,omitzero"`
}

func (b *Board) logPage(r *http.Request) (any, error) {
	newest, err := b.policies.newest(r.Context())
	if err != nil {
		return nil, err
	}
	signed, err := b.reader.Checkpoint(r.Context())
	if err != nil {
		return nil, err
	}
	// A checkpoint that its own key does not verify is shown to nobody.
	c, err := translog.OpenCheckpoint(signed, newest.Log.Key)
	if err != nil {
		return nil, err
	}
	witnesses, err := witnessesOf(newest.Witnesses, signed)
	if err != nil {
		return nil, err
	}
	return Log{
		Schema: "reprosign.log.v1", Origin: c.Origin, Key: newest.Log.Key, Size: c.Size, Root: c.Root,
		Checkpoint: string(signed), Policy: newest.Serial, Insecure: newest.Insecure,
		Witnesses: witnesses, Quorum: newest.Witnesses.Quorum, Unwitnessed: !newest.Witnessed(),
	}, nil
}

// witnessesOf tells which of a policy's witnesses cosigned a checkpoint.
func witnessesOf(w policy.Witnesses, signed []byte) ([]LogWitness, error) {
	seen, err := translog.WitnessesOf(w).Cosignatures(signed)
	if err != nil {
		return nil, err
	}
	out := make([]LogWitness, len(w.Keys))
	for i, k := range w.Keys {
		out[i] = LogWitness{Name: k.Key.Name(), Operator: k.Operator}
		if at := slices.IndexFunc(seen, func(c translog.Cosignature) bool { return c.Witness == k.Key.Name() }); at >= 0 {
			out[i].At = seen[at].At
		}
	}
	return out, nil
}

// Entry is one entry of the log.
type Entry struct {
	Schema string         `json:"schema"`
	Index  int64          `json:"index"`
	Hash   tlog.Hash      `json:"hash"` // SHA-256(0x00 ‖ leaf)
	Leaf   jsontext.Value `json:"leaf"`
	// Statement is the digest the leaf names: its envelope is at /body/<digest>.
	Statement attest.Digest `json:"statement"`
	Bundle    string        `json:"bundle"` // URL of the entry bundle that holds it
}

// Entries is the number of entries, in a template's arithmetic.
func (l Log) Entries() int { return int(l.Size) }

// Last is the index of the newest entry.
func (l Log) Last() int64 { return l.Size - 1 }

func (b *Board) entry(r *http.Request) (any, error) {
	const decimal, bits = 10, 63
	text := r.PathValue("index")
	index, err := strconv.ParseUint(text, decimal, bits)
	if err != nil || strconv.FormatUint(index, decimal) != text || index >= translog.MaxTreeSize {
		return nil, badRequest("A log index is a whole number, without leading zeros.")
	}
	n, width := int64(index>>translog.TileHeight), int(index%translog.TileWidth)+1
	bundle, err := b.reader.Tile(r.Context(), tlog.Tile{H: translog.TileHeight, L: translog.EntriesLevel, N: n, W: width})
	if err != nil {
		return nil, err
	}
	leaves, err := translog.ParseEntries(bundle)
	if err != nil {
		return nil, err
	}
	leaf := leaves[len(leaves)-1]
	statement, err := statementOf(leaf)
	if err != nil {
		return nil, err
	}
	return Entry{
		Schema: "reprosign.entry.v1", Index: int64(index), Hash: translog.LeafHash(leaf), Leaf: leaf, Statement: statement,
		Bundle: "/" + translog.EntriesPath(n, width),
	}, nil
}

// statementOf returns the digest of the statement that a leaf is about.
func statementOf(leaf []byte) (attest.Digest, error) {
	var body struct {
		Spec struct {
			HashedRekord struct {
				Data struct {
					Digest []byte `json:"digest"`
				} `json:"data"`
			} `json:"hashedRekordV002"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(leaf, &body); err != nil {
		return attest.Digest{}, fmt.Errorf("parsing log leaf: %w", err)
	}
	digest := body.Spec.HashedRekord.Data.Digest
	if len(digest) != len(attest.Digest{}) {
		return attest.Digest{}, fmt.Errorf("parsing log leaf: digest of %d bytes", len(digest))
	}
	return attest.Digest(digest), nil
}

// Previous and Following are the indexes beside the entry's own.
func (e Entry) Previous() int64 { return e.Index - 1 }

// Following may not exist yet.
func (e Entry) Following() int64 { return e.Index + 1 }

// Pretty returns the leaf with line breaks.
func (e Entry) Pretty() (string, error) {
	leaf := e.Leaf.Clone()
	if err := leaf.Indent(jsontext.WithIndent("  ")); err != nil {
		return "", fmt.Errorf("log entry %d: %w", e.Index, err)
	}
	return string(leaf), nil
}

// checkpoint serves the newest signed note.
func (b *Board) checkpoint(r *http.Request) (any, error) {
	signed, err := b.reader.Checkpoint(r.Context())
	return file{data: signed, contentType: typeText, cache: cacheShort}, err
}

// errNoTile and errNoTilePath tell a program apart from a typing error what
// the log does not hold, or not yet.
var (
	errNoTile = &problem{
		http.StatusNotFound, "No such tile",
		"The published log does not fill this tile, or not as wide. The newest checkpoint says how far it goes.",
	}
	errNoTilePath = &problem{
		http.StatusNotFound, "No such tile",
		"No log has a tile of this path: tile/<level>/<number>[.p/<width>] or tile/entries/<number>[.p/<width>], as C2SP tlog-tiles spells them.",
	}
)

// tile serves hashes and entry bundles. A path that no log can have is refused
// before the database hears of it.
func (b *Board) tile(r *http.Request) (any, error) {
	t, err := translog.ParseTilePath(strings.TrimPrefix(r.URL.EscapedPath(), "/"))
	if err != nil {
		return nil, errNoTilePath
	}
	data, err := b.reader.Tile(r.Context(), t)
	if errors.Is(err, coordinator.ErrNotFound) {
		return nil, errNoTile
	}
	if err != nil {
		return nil, err
	}
	f := file{data: data, contentType: typeBinary, cache: cacheForever}
	if t.L != translog.EntriesLevel {
		return f, nil // hashes do not compress
	}
	return f.compressed(r)
}

// compressed returns the file as the client wants it: gzip if it accepts that.
func (f file) compressed(r *http.Request) (file, error) {
	f.varies = true
	if !acceptsGzip(r.Header.Get("Accept-Encoding")) {
		return f, nil
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(f.data); err != nil {
		return file{}, err
	}
	if err := w.Close(); err != nil {
		return file{}, err
	}
	f.data, f.encoding = packed.Bytes(), "gzip"
	return f, nil
}

// acceptsGzip reports whether a client named gzip and did not weigh it zero.
func acceptsGzip(header string) bool {
	for item := range strings.SplitSeq(header, ",") {
		coding, weight, weighed := strings.Cut(item, ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimPrefix(strings.ReplaceAll(weight, " ", ""), "q="), 64)
		return !weighed || err == nil && q > 0
	}
	return false
}

// body serves an envelope beside the log.
func (b *Board) body(r *http.Request) (any, error) {
	d, err := digestIn(r, "digest")
	if err != nil {
		return nil, err
	}
	data, err := b.reader.Body(r.Context(), d)
	if err != nil {
		return nil, err
	}
	return file{data: data, contentType: typeJSON, cache: cacheForever}.compressed(r)
}

// digestIn reads a digest from the path. What is no digest names nothing.
func digestIn(r *http.Request, name string) (attest.Digest, error) {
	d, err := attest.ParseDigest(r.PathValue(name))
	if err != nil {
		return d, fmt.Errorf("%w: %w", coordinator.ErrNotFound, err)
	}
	return d, nil
}
