package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

const (
	httpTimeout = 30 * time.Second
	maxAnswer   = 16 << 20
	// auditPatience bounds the wait until the last statement is in the log.
	auditPatience = 30 * time.Second
)

// count compares how many signatures the HSM says it made with what the log explains.
func (d *demo) count(ctx context.Context) error {
	d.screen.section("Accounts")
	d.screen.explain("The HSM counts for itself. Each signature must be explained by an entry of the public log,\nor by the key ceremony, in which every certificate signed itself once.")
	a := accounts{Ceremony: d.hsm.ceremony}
	var err error
	if a.HSM, err = d.hsmCount(ctx); err != nil {
		return err
	}
	if a.Log, err = d.explained(ctx, a.HSM-a.Ceremony); err != nil {
		return fmt.Errorf("auditing the log: %w", err)
	}
	d.summary.Signatures = a
	d.expect(a.balanced(), "the HSM says %d signatures; the log explains %d, the key ceremony %d", a.HSM, a.Log, a.Ceremony)
	if a.balanced() {
		d.screen.good("accounts", "the HSM says %d; the log explains %d, the key ceremony %d", a.HSM, a.Log, a.Ceremony)
	}
	silent, err := d.hsm.operator.Signatures(ctx, d.named(stampedName).suite)
	if err != nil {
		return err
	}
	d.expect(silent == 1, "the key of suite %s signed %d times, want 1, its own certificate", d.named(stampedName).suite, silent)
	if silent == 1 {
		d.screen.good("accounts", "the key of suite %s has signed its own certificate and nothing else: it was never asked", d.named(stampedName).suite)
	}
	return nil
}

// hsmCount is the sum of the device's own counters.
func (d *demo) hsmCount(ctx context.Context) (uint64, error) {
	var sum uint64
	for _, r := range d.releases {
		n, err := d.hsm.operator.Signatures(ctx, r.suite)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// explained reads the log until it explains as many signatures as are wanted:
// a statement about signatures is logged a moment after they were stored.
func (d *demo) explained(ctx context.Context, want uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, auditPatience)
	defer cancel()
	ticker := time.NewTicker(watchPause)
	defer ticker.Stop()
	l := logReader{face: d.face, client: &http.Client{Timeout: httpTimeout}}
	for {
		n, err := d.audit(ctx, l)
		if err != nil || n >= want {
			return n, err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return n, nil // too few: the accounts will say so
		}
	}
}

// audit reads the whole public log as a stranger would: every entry hashes to
// the signed root, and each statement about signatures is the signer's.
func (d *demo) audit(ctx context.Context, l logReader) (uint64, error) {
	note, err := l.get(ctx, "checkpoint")
	if err != nil {
		return 0, err
	}
	checkpoint, err := translog.OpenCheckpoint(note, d.policy.Log.Key)
	if err != nil {
		return 0, err
	}
	leaves, err := l.leaves(ctx, checkpoint.Size)
	if err != nil {
		return 0, err
	}
	if root, err := rootOf(leaves); err != nil || root != checkpoint.Root {
		return 0, errors.Join(errors.New("the entries are not those of the signed checkpoint"), err)
	}
	var signatures uint64
	for _, leaf := range leaves {
		n, err := d.signaturesIn(ctx, l, leaf)
		if err != nil {
			return 0, err
		}
		signatures += n
	}
	return signatures, nil
}

// signaturesIn returns how many signatures the statement behind a leaf is about.
func (d *demo) signaturesIn(ctx context.Context, l logReader, leaf []byte) (uint64, error) {
	digest, err := bodyOf(leaf)
	if err != nil {
		return 0, err
	}
	data, err := l.get(ctx, "body/"+digest.String())
	if err != nil {
		return 0, err
	}
	e, err := attest.ParseEnvelope(data)
	if err != nil {
		return 0, err
	}
	if translog.BodyDigest(e) != digest {
		return 0, fmt.Errorf("body %s is another statement's", digest.Short())
	}
	var statement struct {
		PredicateType string `json:"predicateType"`
	}
	if err := json.Unmarshal(e.Payload, &statement); err != nil {
		return 0, fmt.Errorf("reading body %s: %w", digest.Short(), err)
	}
	if statement.PredicateType != attest.SignaturesMadeType {
		return 0, nil
	}
	made, err := attest.OpenSignaturesMade(e, d.policy.SignerKey)
	if err != nil {
		return 0, err
	}
	return uint64(len(made.Signatures)), nil
}

// logReader reads the log from the dashboard.
type logReader struct {
	face   string
	client *http.Client
}

func (l logReader) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.face+"/"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", req.URL, resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil || len(data) > maxAnswer {
		return nil, errors.Join(fmt.Errorf("%s answered more than can be read", req.URL), err)
	}
	return data, nil
}

func (l logReader) leaves(ctx context.Context, size int64) ([][]byte, error) {
	var all [][]byte
	for n := int64(0); n*translog.TileWidth < size; n++ {
		width := int(min(translog.TileWidth, size-n*translog.TileWidth))
		data, err := l.get(ctx, translog.EntriesPath(n, width))
		if err != nil {
			return nil, err
		}
		leaves, err := translog.ParseEntries(data)
		if err != nil {
			return nil, err
		}
		if len(leaves) != width {
			return nil, fmt.Errorf("tile %d of the log holds %d entries, want %d", n, len(leaves), width)
		}
		all = append(all, leaves...)
	}
	return all, nil
}

// rootOf computes the root of the tree over all leaves.
func rootOf(leaves [][]byte) (tlog.Hash, error) {
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, at := range indexes {
			out[i] = stored[at]
		}
		return out, nil
	})
	for i, leaf := range leaves {
		hashes, err := tlog.StoredHashes(int64(i), leaf, read)
		if err != nil {
			return tlog.Hash{}, err
		}
		stored = append(stored, hashes...)
	}
	return tlog.TreeHash(int64(len(leaves)), read)
}

// bodyOf returns the digest that a leaf (Rekor's hashedrekord 0.0.2) is about.
func bodyOf(leaf []byte) (attest.Digest, error) {
	var entry struct {
		Spec struct {
			Record struct {
				Data struct {
					Digest []byte `json:"digest"`
				} `json:"data"`
			} `json:"hashedRekordV002"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(leaf, &entry); err != nil {
		return attest.Digest{}, fmt.Errorf("reading a log entry: %w", err)
	}
	if len(entry.Spec.Record.Data.Digest) != len(attest.Digest{}) {
		return attest.Digest{}, fmt.Errorf("reading a log entry: digest of %d bytes", len(entry.Spec.Record.Data.Digest))
	}
	return attest.Digest(entry.Spec.Record.Data.Digest), nil
}
