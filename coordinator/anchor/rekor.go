package anchor

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

// Bounds of what is asked of the server.
const (
	// requestTime is how long an entry may take: the server answers when a
	// checkpoint covers it, and asks clients to wait at least 20 seconds.
	requestTime = time.Minute
	connectTime = 10 * time.Second
	idleTime    = 2 * time.Minute

	maxAnswer = translog.MaxCheckpoint * 4
	maxReason = 200 // bytes of a refusal that are repeated
)

// Paths and names of the Rekor v2 API.
const (
	addPath    = "api/v2/log/entries"
	tilesPath  = "api/v2/"
	knownIndex = "X-Log-Index" // of the entry that is there already
)

// Why there is no anchor yet.
var (
	// errUnavailable: the server did not answer, or asks to come back later.
	errUnavailable = errors.New("log server unavailable")
	// errRefused: the server does not take the entry.
	errRefused = errors.New("refused by the log server")
	// errUntrusted: what the server answered does not prove the entry.
	errUntrusted = errors.New("answer of the log server proves nothing")
)

// server is a Rekor v2 server and the key that its log is believed under.
type server struct {
	http  *http.Client
	add   string // URL that takes entries
	tiles string // URL below which the log is read, with a slash at its end
	key   attest.VerifierKey
}

func newServer(base, tiles string, key attest.VerifierKey) (*server, error) {
	write, err := checkURL(base)
	if err != nil {
		return nil, err
	}
	read := write.JoinPath(tilesPath)
	if tiles != "" {
		if read, err = checkURL(tiles); err != nil {
			return nil, err
		}
		read = read.JoinPath("/")
	}
	if key.Algorithm() != attest.Ed25519 {
		return nil, fmt.Errorf("key of log %q is %v, must be %v", key.Name(), key.Algorithm(), attest.Ed25519)
	}
	if err := translog.CheckOrigin(key.Name()); err != nil {
		return nil, err
	}
	return &server{
		http: &http.Client{
			Transport: &http.Transport{
				Proxy:               http.ProxyFromEnvironment,
				DialContext:         (&net.Dialer{Timeout: connectTime}).DialContext,
				TLSHandshakeTimeout: connectTime,
				MaxIdleConnsPerHost: inFlight,
				MaxConnsPerHost:     inFlight,
				IdleConnTimeout:     idleTime,
				ForceAttemptHTTP2:   true,
			},
			// An answer from elsewhere is no answer of the server that was configured.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		add: write.JoinPath(addPath).String(), tiles: read.String(), key: key,
	}, nil
}

// checkURL takes http too: what is sent is public, what comes back is signed.
func checkURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("log server %q is no URL of the form https://host/path", s)
	}
	return u, nil
}

// addRequest is a request to log a hashedrekord entry.
type addRequest struct {
	Entry struct {
		Digest    []byte       `json:"digest"`
		Signature addSignature `json:"signature"`
	} `json:"hashedRekordRequestV002"`
}

type addSignature struct {
	Content  []byte `json:"content"`
	Verifier struct {
		KeyDetails string `json:"keyDetails"`
		PublicKey  struct {
			RawBytes []byte `json:"rawBytes"`
		} `json:"publicKey"`
	} `json:"verifier"`
}

// addAnswer is what counts in a TransparencyLogEntry. The rest of it is in the
// signed checkpoint too, or follows from the entry.
type addAnswer struct {
	Index          int64  `json:"logIndex,string"`
	Body           []byte `json:"canonicalizedBody"`
	InclusionProof struct {
		Hashes     [][]byte `json:"hashes"`
		Checkpoint struct {
			Envelope string `json:"envelope"`
		} `json:"checkpoint"`
	} `json:"inclusionProof"`
}

// prove has the server log a decision, or finds it where it is already, and
// returns the proof of leaf, verified under the log's key.
func (s *server) prove(ctx context.Context, decision *attest.Envelope, statement attest.VerifierKey, leaf []byte) (translog.Proof, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	var q addRequest
	digest := translog.BodyDigest(decision)
	q.Entry.Digest, q.Entry.Signature.Content = digest[:], decision.Signatures[0].Sig
	q.Entry.Signature.Verifier.KeyDetails = "PKIX_ECDSA_P256_SHA_256"
	q.Entry.Signature.Verifier.PublicKey.RawBytes = statement.SPKI()
	body, err := json.Marshal(q)
	if err != nil {
		return translog.Proof{}, err
	}
	answer, err := s.do(ctx, http.MethodPost, s.add, body, maxAnswer)
	if err != nil {
		return translog.Proof{}, err
	}
	var proof translog.Proof
	switch answer.status {
	case http.StatusCreated:
		proof, err = proofOf(answer.body, leaf)
	case http.StatusConflict:
		proof, err = s.find(ctx, answer.header.Get(knownIndex))
	default:
		return translog.Proof{}, answer.refusal()
	}
	if err != nil {
		return translog.Proof{}, err
	}
	if _, err := proof.Verify(leaf, s.key); err != nil {
		return translog.Proof{}, fmt.Errorf("%w: %w", errUntrusted, err)
	}
	return proof, nil
}

func proofOf(body, leaf []byte) (translog.Proof, error) {
	var a addAnswer
	if err := json.Unmarshal(body, &a); err != nil {
		return translog.Proof{}, fmt.Errorf("%w: reading its entry: %w", errUntrusted, err)
	}
	if !bytes.Equal(a.Body, leaf) {
		return translog.Proof{}, fmt.Errorf("%w: it has logged another entry than the one that was sent", errUntrusted)
	}
	proof := translog.Proof{Index: a.Index, Checkpoint: []byte(a.InclusionProof.Checkpoint.Envelope)}
	for _, h := range a.InclusionProof.Hashes {
		if len(h) != tlog.HashSize {
			return translog.Proof{}, fmt.Errorf("%w: hash of %d bytes in its inclusion proof", errUntrusted, len(h))
		}
		proof.Hashes = append(proof.Hashes, tlog.Hash(h))
	}
	return proof, nil
}

// find makes the proof of an entry that an earlier request logged whose answer
// was lost: from the log's newest checkpoint and its tiles.
func (s *server) find(ctx context.Context, at string) (translog.Proof, error) {
	index, err := strconv.ParseInt(at, 10, 64)
	if err != nil || index < 0 || index >= translog.MaxTreeSize {
		return translog.Proof{}, fmt.Errorf("%w: it knows the entry, at index %.20q", errUntrusted, at)
	}
	answer, err := s.do(ctx, http.MethodGet, s.tiles+"checkpoint", nil, translog.MaxCheckpoint)
	if err != nil {
		return translog.Proof{}, err
	}
	if answer.status != http.StatusOK {
		return translog.Proof{}, fmt.Errorf("reading the checkpoint at %s: %w", s.tiles, answer.refusal())
	}
	c, err := translog.OpenCheckpoint(answer.body, s.key)
	if err != nil {
		return translog.Proof{}, fmt.Errorf("%w: %w", errUntrusted, err)
	}
	if index >= c.Size {
		return translog.Proof{}, fmt.Errorf("%w: entry %d is not published yet, checkpoint of size %d", errUnavailable, index, c.Size)
	}
	hashes, err := tlog.ProveRecord(c.Size, index, tlog.TileHashReader(tlog.Tree{N: c.Size, Hash: c.Root}, tileReader{ctx, s}))
	if err != nil {
		return translog.Proof{}, fmt.Errorf("proving entry %d from the tiles at %s: %w", index, s.tiles, classed(err))
	}
	return translog.Proof{Index: index, Hashes: hashes, Checkpoint: answer.body}, nil
}

// classed returns err with a class: tiles that are there and contradict the
// checkpoint come without one.
func classed(err error) error {
	if errors.Is(err, errUnavailable) || errors.Is(err, errRefused) {
		return err
	}
	return fmt.Errorf("%w: %w", errUntrusted, err)
}

// tileReader reads the log's tiles; package tlog verifies them.
type tileReader struct {
	ctx context.Context // of the one call that it lives for: the interface takes none
	*server
}

func (r tileReader) Height() int                     { return translog.TileHeight }
func (r tileReader) SaveTiles([]tlog.Tile, [][]byte) {}

func (r tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		answer, err := r.do(r.ctx, http.MethodGet, r.tiles+translog.TilePath(t.L, t.N, t.W), nil, t.W*tlog.HashSize)
		if err != nil {
			return nil, err
		}
		if answer.status != http.StatusOK {
			return nil, answer.refusal()
		}
		data[i] = answer.body
	}
	return data, nil
}

// answer is a server's answer, read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (s *server) do(ctx context.Context, method, url string, body []byte, limit int) (*answer, error) {
	q, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	a, err := s.http.Do(q)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	defer a.Body.Close()
	data, err := io.ReadAll(io.LimitReader(a.Body, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	if len(data) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", errUntrusted, limit)
	}
	return &answer{a.StatusCode, a.Header, data}, nil
}

// refusal classes an answer that is no success. 499 is what the server says of
// a request that ended early.
func (a *answer) refusal() error {
	class := errRefused
	const closedRequest = 499
	if a.status >= 500 || a.status == http.StatusTooManyRequests || a.status == http.StatusRequestTimeout || a.status == closedRequest {
		class = errUnavailable
	}
	return fmt.Errorf("%w: status %d: %s", class, a.status, attest.CleanReason(string(a.body[:min(len(a.body), maxReason)])))
}

// statementKey returns the key that a leaf names, under the name of the signer
// that the decision names. The leaf must be the decision's own.
func statementKey(decision *attest.Envelope, leaf []byte) (attest.VerifierKey, error) {
	d, err := attest.ParseDecision(decision.Payload)
	if err != nil {
		return attest.VerifierKey{}, err
	}
	var body struct {
		Spec struct {
			HashedRekord struct {
				Signature addSignature `json:"signature"`
			} `json:"hashedRekordV002"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(leaf, &body); err != nil {
		return attest.VerifierKey{}, fmt.Errorf("reading log leaf: %w", err)
	}
	public, err := x509.ParsePKIXPublicKey(body.Spec.HashedRekord.Signature.Verifier.PublicKey.RawBytes)
	if err != nil {
		return attest.VerifierKey{}, fmt.Errorf("reading log leaf: %w", err)
	}
	key, err := attest.NewVerifierKey(d.Signer, public)
	if err != nil {
		return attest.VerifierKey{}, err
	}
	made, err := translog.Leaf(decision, key)
	if err != nil {
		return attest.VerifierKey{}, err
	}
	if !bytes.Equal(made, leaf) {
		return attest.VerifierKey{}, errors.New("log leaf is another decision's")
	}
	return key, nil
}
