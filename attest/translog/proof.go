package translog

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
)

// Limits of proofs.
const (
	// MaxProofHashes is the height of the largest tree.
	MaxProofHashes = 53
	// MaxTLogProof bounds the text form of a proof, in bytes.
	MaxTLogProof = MaxCheckpoint + 4<<10
)

const (
	proofHeader = "c2sp.org/tlog-proof@v1\n"
	proofIndex  = "index "
)

// Proof shows that a leaf stands in a log: at which index, and by which hashes,
// from leaf to root, it leads to the root of the signed checkpoint.
type Proof struct {
	Index      int64
	Hashes     []tlog.Hash
	Checkpoint []byte // signed note, byte for byte, with all cosignatures
}

func (p Proof) check() error {
	if p.Index < 0 || p.Index >= MaxTreeSize {
		return malformed("log index %d, 0 to %d allowed", p.Index, int64(MaxTreeSize)-1)
	}
	if len(p.Hashes) > MaxProofHashes {
		return malformed("%d hashes, at most %d allowed", len(p.Hashes), MaxProofHashes)
	}
	if len(p.Checkpoint) == 0 || len(p.Checkpoint) > MaxCheckpoint {
		return malformed("checkpoint of %d bytes, 1 to %d allowed", len(p.Checkpoint), MaxCheckpoint)
	}
	return nil
}

// Verify checks that leaf stands in the log and returns the checkpoint that
// proves it, verified under the log's key.
func (p Proof) Verify(leaf []byte, log attest.VerifierKey) (Checkpoint, error) {
	if err := p.check(); err != nil {
		return Checkpoint{}, fmt.Errorf("verifying inclusion: %w", err)
	}
	c, err := OpenCheckpoint(p.Checkpoint, log)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("verifying inclusion: %w", err)
	}
	if p.Index >= c.Size {
		return Checkpoint{}, fmt.Errorf("verifying inclusion: index %d is beyond the checkpoint's tree of %d entries", p.Index, c.Size)
	}
	if err := tlog.CheckRecord(p.Hashes, c.Size, c.Root, p.Index, LeafHash(leaf)); err != nil {
		return Checkpoint{}, fmt.Errorf("verifying inclusion: entry is not at index %d of the tree of %d entries: %w", p.Index, c.Size, err)
	}
	return c, nil
}

// MarshalTLogProof returns the proof in the text form of C2SP tlog-proof,
// without extra data.
func (p Proof) MarshalTLogProof() []byte {
	var b bytes.Buffer
	b.WriteString(proofHeader)
	fmt.Fprintf(&b, "%s%d\n", proofIndex, p.Index)
	for _, h := range p.Hashes {
		fmt.Fprintf(&b, "%s\n", h)
	}
	b.WriteByte('\n')
	b.Write(p.Checkpoint)
	return b.Bytes()
}

// ParseTLogProof reads the text form. It verifies nothing. Extra data, which
// nothing authenticates, is refused; the checkpoint is kept as it is.
func ParseTLogProof(data []byte) (Proof, error) {
	p, err := parseTLogProof(data)
	if err != nil {
		return Proof{}, fmt.Errorf("parsing log proof: %w", err)
	}
	return p, nil
}

func parseTLogProof(data []byte) (Proof, error) {
	if len(data) > MaxTLogProof {
		return Proof{}, malformed("%d bytes, at most %d allowed", len(data), MaxTLogProof)
	}
	head, checkpoint, ok := bytes.Cut(data, []byte("\n\n"))
	body, known := strings.CutPrefix(string(head)+"\n", proofHeader)
	if !ok || !known {
		return Proof{}, malformed("no text of the form %q", strings.TrimSpace(proofHeader))
	}
	lines := strings.Split(strings.TrimSuffix(body, "\n"), "\n")
	index, ok := strings.CutPrefix(lines[0], proofIndex)
	if !ok {
		return Proof{}, malformed("index does not follow the first line")
	}
	p := Proof{Checkpoint: checkpoint}
	var err error
	if p.Index, err = strconv.ParseInt(index, 10, 64); err != nil {
		return Proof{}, malformed("index %.20q", index)
	}
	for _, line := range lines[1:] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return Proof{}, malformed("hash %.50q", line)
		}
		p.Hashes = append(p.Hashes, h)
	}
	if err := p.check(); err != nil {
		return Proof{}, err
	}
	if !bytes.Equal(p.MarshalTLogProof(), data) {
		return Proof{}, malformed("index or hash in another spelling than the canonical one")
	}
	return p, nil
}
