package nethsmtest

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/go-json-experiment/json"
)

// state is the device's state, a bit so that a route can name several.
type state int

const (
	unprovisioned state = 1 << iota
	locked
	operational

	anyState = unprovisioned | locked | operational
)

func (s state) String() string {
	switch s {
	case unprovisioned:
		return "Unprovisioned"
	case locked:
		return "Locked"
	default:
		return "Operational"
	}
}

// contents is everything the device would keep over a restart. Unlike the device's, it is not encrypted.
type contents struct {
	State      state                      `json:"state"`
	Unlock     passphrase                 `json:"unlock"`
	Users      map[string]*user           `json:"users"`      // by [namespace~]id
	Namespaces map[string]bool            `json:"namespaces"` // the root namespace "" is not among them
	Keys       map[string]map[string]*key `json:"keys"`       // by namespace, id
	TLS        identity                   `json:"tls,omitzero"`
}

type user struct {
	RealName   string     `json:"realName"`
	Role       string     `json:"role"`
	Passphrase passphrase `json:"passphrase"`
	Tags       []string   `json:"tags"`
}

type key struct {
	Type        string   `json:"type"`
	Mechanisms  []string `json:"mechanisms"`
	Tags        []string `json:"tags"`
	Label       string   `json:"label"`
	Operations  uint64   `json:"operations"`
	Certificate []byte   `json:"certificate,omitzero"` // nil: none
	Secret      []byte   `json:"secret"`               // PKCS#8, or the bytes of a Generic key

	private crypto.Signer // Secret parsed, nil for a Generic key
}

func newContents() contents {
	return contents{
		State:      unprovisioned,
		Users:      make(map[string]*user),
		Namespaces: make(map[string]bool),
		Keys:       make(map[string]map[string]*key),
	}
}

// Load returns a device that keeps its contents in the file, which is created with mode 0600 when there is something to
// keep. They include every private key, unencrypted: the file protects nothing. A device comes back in the state in
// which it was left, so one that was killed while Operational does not want to be unlocked. The counts of signatures
// survive the end of the process, but not necessarily a crash of the host.
func Load(file string, options ...Option) (*Server, error) {
	s := New(options...)
	s.file = file
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the soft HSM's state: %w", err)
	}
	if err := json.Unmarshal(data, &s.contents, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("parsing the soft HSM's state in %s: %w", file, err)
	}
	for namespace, keys := range s.contents.Keys {
		for id, k := range keys {
			if err := k.parse(); err != nil {
				return nil, fmt.Errorf("parsing key %s of the soft HSM's state in %s: %w", qualified(namespace, id), file, err)
			}
		}
	}
	return s, nil
}

// save replaces the file as a whole: a process killed at any moment leaves the old contents or the new ones.
func (s *Server) save() error {
	if s.file == "" {
		return nil
	}
	data, err := json.Marshal(s.contents, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("encoding the soft HSM's state: %w", err)
	}
	next := s.file + ".new"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		return fmt.Errorf("writing the soft HSM's state: %w", err)
	}
	if err := os.Rename(next, s.file); err != nil {
		return fmt.Errorf("replacing the soft HSM's state: %w", err)
	}
	return nil
}

// parse sets private from Secret.
func (k *key) parse() error {
	if k.Type == typeGeneric {
		return nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(k.Secret)
	if err != nil {
		return err
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return fmt.Errorf("private key of type %T", parsed)
	}
	k.private = private
	return nil
}
