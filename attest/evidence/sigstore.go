package evidence

import (
	"bytes"
	"crypto/ed25519"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

// The words of Sigstore's formats.
const (
	sigstoreMediaType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
	trustedRootMediaType = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
	entryKind            = "hashedrekord"
	entryVersion         = "0.0.2"
	noTime               = "0" // the log keeps no time of its own
	hashAlgorithm        = "SHA2_256"
	logKeyDetails        = "PKIX_ED25519"
)

// Sigstore is a decision as a Sigstore bundle v0.3: its envelope, its log
// entry and the proof that the log holds it. Only what stock cosign needs is
// there; numbers are decimal strings, as protocol buffers have them.
type Sigstore struct {
	Envelope  *attest.Envelope `json:"dsseEnvelope"`
	MediaType string           `json:"mediaType"`
	Material  sigstoreMaterial `json:"verificationMaterial"`
}

type sigstoreMaterial struct {
	PublicKey sigstoreKeyHint `json:"publicKey"`
	Entries   []sigstoreEntry `json:"tlogEntries"`
}

type sigstoreKeyHint struct {
	Hint []byte `json:"hint"` // SHA-256 of the statement key's SubjectPublicKeyInfo
}

type sigstoreEntry struct {
	CanonicalizedBody []byte        `json:"canonicalizedBody"` // the leaf
	InclusionProof    sigstoreProof `json:"inclusionProof"`
	IntegratedTime    string        `json:"integratedTime"`
	KindVersion       sigstoreKind  `json:"kindVersion"`
	LogID             sigstoreLogID `json:"logId"`
	LogIndex          int64         `json:"logIndex,string"`
}

type sigstoreProof struct {
	Checkpoint sigstoreCheckpoint `json:"checkpoint"`
	Hashes     [][]byte           `json:"hashes"` // leaf to root
	LogIndex   int64              `json:"logIndex,string"`
	RootHash   []byte             `json:"rootHash"`
	TreeSize   int64              `json:"treeSize,string"`
}

type sigstoreCheckpoint struct {
	Envelope string `json:"envelope"`
}

type sigstoreKind struct {
	Kind    string `json:"kind"`
	Version string `json:"version"`
}

type sigstoreLogID struct {
	KeyID []byte `json:"keyId"`
}

// NewSigstore makes the Sigstore bundle of a decision. The statement key must
// have signed it, and the proof must show its leaf in the log.
func NewSigstore(decision *attest.Envelope, statement, log attest.VerifierKey, proof translog.Proof) (*Sigstore, error) {
	leaf, err := translog.Leaf(decision, statement)
	if err != nil {
		return nil, err
	}
	checkpoint, err := proof.Verify(leaf, log)
	if err != nil {
		return nil, err
	}
	id, err := translog.LogID(log)
	if err != nil {
		return nil, err
	}
	hint := attest.SHA256(statement.SPKI())
	hashes := make([][]byte, len(proof.Hashes))
	for i := range proof.Hashes {
		hashes[i] = proof.Hashes[i][:]
	}
	return &Sigstore{
		Envelope:  decision,
		MediaType: sigstoreMediaType,
		Material: sigstoreMaterial{
			PublicKey: sigstoreKeyHint{hint[:]},
			Entries: []sigstoreEntry{{
				CanonicalizedBody: leaf,
				InclusionProof: sigstoreProof{
					Checkpoint: sigstoreCheckpoint{string(proof.Checkpoint)}, Hashes: hashes,
					LogIndex: proof.Index, RootHash: checkpoint.Root[:], TreeSize: checkpoint.Size,
				},
				IntegratedTime: noTime,
				KindVersion:    sigstoreKind{entryKind, entryVersion},
				LogID:          sigstoreLogID{id[:]},
				LogIndex:       proof.Index,
			}},
		},
	}, nil
}

// Encode returns the Sigstore bundle's bytes.
func (s *Sigstore) Encode() ([]byte, error) { return attest.MarshalCanonical(s) }

// Open verifies the decision under the statement key it names, and that the
// log holds it. It returns the decision and the proof.
func (s *Sigstore) Open(signers attest.Keys, log attest.VerifierKey) (attest.Decision, translog.Proof, error) {
	decision, err := attest.OpenDecision(s.Envelope, signers)
	if err != nil {
		return attest.Decision{}, translog.Proof{}, err
	}
	key, err := signers(decision.Signer)
	if err != nil {
		return attest.Decision{}, translog.Proof{}, err
	}
	proof, err := s.proof()
	if err != nil {
		return attest.Decision{}, translog.Proof{}, err
	}
	made, err := NewSigstore(s.Envelope, key, log, proof)
	if err != nil {
		return attest.Decision{}, translog.Proof{}, err
	}
	// Much is in a Sigstore bundle twice or follows from the rest. Making it
	// again proves that none of it says anything else.
	want, err := made.Encode()
	if err != nil {
		return attest.Decision{}, translog.Proof{}, err
	}
	if have, err := s.Encode(); err != nil || !bytes.Equal(have, want) {
		return attest.Decision{}, translog.Proof{}, malformed("members of the Sigstore bundle contradict its statement or its log entry")
	}
	return decision, proof, nil
}

// TLogProof returns the proof that the log holds the decision, as a C2SP
// tlog-proof with all cosignatures. It verifies nothing.
func (s *Sigstore) TLogProof() ([]byte, error) {
	proof, err := s.proof()
	if err != nil {
		return nil, err
	}
	return proof.MarshalTLogProof(), nil
}

// Leaf returns the entry of the log that the proof is of. It verifies nothing.
func (s *Sigstore) Leaf() ([]byte, error) {
	if _, err := s.proof(); err != nil {
		return nil, err
	}
	return s.Material.Entries[0].CanonicalizedBody, nil
}

func (s *Sigstore) proof() (translog.Proof, error) {
	if len(s.Material.Entries) != 1 {
		return translog.Proof{}, malformed("%d log entries in the Sigstore bundle, want 1", len(s.Material.Entries))
	}
	p := s.Material.Entries[0].InclusionProof
	proof := translog.Proof{Index: p.LogIndex, Checkpoint: []byte(p.Checkpoint.Envelope)}
	for _, h := range p.Hashes {
		if len(h) != tlog.HashSize {
			return translog.Proof{}, malformed("hash of %d bytes in the inclusion proof", len(h))
		}
		proof.Hashes = append(proof.Hashes, tlog.Hash(h))
	}
	return proof, nil
}

type trustedRoot struct {
	MediaType string           `json:"mediaType"`
	Logs      []trustedRootLog `json:"tlogs"`
}

type trustedRootLog struct {
	BaseURL       string         `json:"baseUrl"`
	HashAlgorithm string         `json:"hashAlgorithm"`
	LogID         sigstoreLogID  `json:"logId"`
	PublicKey     trustedRootKey `json:"publicKey"`
}

type trustedRootKey struct {
	KeyDetails string          `json:"keyDetails"`
	RawBytes   []byte          `json:"rawBytes"` // SubjectPublicKeyInfo
	ValidFor   trustedRootTime `json:"validFor"`
}

type trustedRootTime struct {
	Start attest.Time `json:"start"`
}

// ed25519Prefix is the DER that precedes the key in every Ed25519
// SubjectPublicKeyInfo (RFC 8410).
var ed25519Prefix = []byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}

// TrustedRoot returns the file that tells stock cosign which log to trust, and
// since when. It is handed out apart from the bundles: what came with the
// evidence cannot vouch for it.
func TrustedRoot(log attest.VerifierKey, since attest.Time) ([]byte, error) {
	id, err := translog.LogID(log)
	if err != nil {
		return nil, fmt.Errorf("making trusted root: %w", err)
	}
	public, ok := log.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("making trusted root: log key is a %T", log.Public())
	}
	return attest.MarshalCanonical(trustedRoot{trustedRootMediaType, []trustedRootLog{{
		BaseURL:       "https://" + log.Name(),
		HashAlgorithm: hashAlgorithm,
		LogID:         sigstoreLogID{id[:]},
		PublicKey:     trustedRootKey{logKeyDetails, append(bytes.Clone(ed25519Prefix), public...), trustedRootTime{since}},
	}}})
}
