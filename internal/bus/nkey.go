package bus

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/nats-io/nkeys"

	"github.com/reprosign/reprosign/internal/config"
)

// GenerateNKey makes the key with which one party connects: a seed, to be
// written to a file of mode 0600 on the party's machine, and the public key for
// the policy.
func GenerateNKey() (seed []byte, public string, err error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, "", fmt.Errorf("making an nkey: %w", err)
	}
	defer pair.Wipe()
	if seed, err = pair.Seed(); err != nil {
		return nil, "", fmt.Errorf("making an nkey: %w", err)
	}
	if public, err = pair.PublicKey(); err != nil {
		return nil, "", fmt.Errorf("making an nkey: %w", err)
	}
	// Seed shares no memory with the pair's, which is wiped.
	return bytes.Clone(seed), public, nil
}

// Seed is a private nkey. It prints as its public key.
type Seed struct{ pair nkeys.KeyPair }

// LoadSeed reads a seed from a file that nobody but its owner may read, or
// from a systemd credential (see [config.ReadSecretFile]).
func LoadSeed(path string) (Seed, error) {
	data, err := config.ReadSecretFile(path)
	if err != nil {
		return Seed{}, fmt.Errorf("reading the NATS seed: %w", err)
	}
	defer clear(data)
	pair, err := nkeys.FromSeed(data)
	if err != nil {
		// The library's errors name no part of the seed, but need not stay so.
		return Seed{}, fmt.Errorf("reading the NATS seed: %s holds no nkey seed", path)
	}
	public, err := pair.PublicKey()
	if err != nil || !nkeys.IsValidPublicUserKey(public) {
		return Seed{}, fmt.Errorf("reading the NATS seed: %s holds the seed of something else than a user", path)
	}
	return Seed{pair}, nil
}

// Public returns the public nkey, as the policy names it.
func (s Seed) Public() string {
	if s.pair == nil {
		return ""
	}
	public, err := s.pair.PublicKey()
	if err != nil {
		return ""
	}
	return public
}

// String implements fmt.Stringer and keeps the seed out of logs.
func (s Seed) String() string { return s.Public() }

// GoString does so for %#v.
func (s Seed) GoString() string { return s.Public() }

func (s Seed) sign(nonce []byte) ([]byte, error) {
	if s.pair == nil {
		return nil, errors.New("signing in to NATS without a seed")
	}
	return s.pair.Sign(nonce)
}
