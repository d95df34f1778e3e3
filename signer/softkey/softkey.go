// Package softkey keeps signing keys in files. It exists for development, demonstrations and tests of package key's
// callers, and protects nothing: whoever reads the file has the key, and nobody counts what they sign with it. It
// therefore opens only where the configuration says insecure by name.
//
//	device, err := softkey.Open(softkey.Config{Directory: "keys", Insecure: true})
//	k, err := device.Open(ctx, "stable-artifacts") // keys/stable-artifacts.pem, PKCS#8, mode 0600
package softkey

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/reprosign/reprosign/signer/key"
)

// Config names the keys.
type Config struct {
	// Directory holds one file <id>.pem for each key: PKCS#8 in PEM, nothing before or after it, mode 0600.
	Directory string

	// Insecure has to be set: it is the acknowledgement that these keys are protected by file permissions alone.
	Insecure bool
}

// Device is a directory of keys. Its count of signatures begins at zero with the process, so it cannot show what
// another process signed: invariant 11 of the design has no force with software keys.
type Device struct {
	root *os.Root

	mu     sync.Mutex
	closed bool
	keys   map[string]*softKey
}

var _ key.Device = (*Device)(nil)

// Open opens the directory. Keys are read when [Device.Open] first asks for them. The error is key.ErrMisconfigured.
func Open(config Config) (*Device, error) {
	if !config.Insecure {
		return nil, fmt.Errorf("%w: software keys protect nothing: name insecure in the configuration to use them, or use a hardware security module", key.ErrMisconfigured)
	}
	root, err := os.OpenRoot(config.Directory)
	if err != nil {
		return nil, fmt.Errorf("%w: opening the directory of keys: %w", key.ErrMisconfigured, err)
	}
	return &Device{root: root, keys: make(map[string]*softKey)}, nil
}

// Open implements [key.Device]. The file is read once; later changes to it are not seen.
func (d *Device) Open(ctx context.Context, id string) (key.Key, error) {
	k, err := d.open(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("opening software key %q: %w", id, err)
	}
	return k, nil
}

// Signatures implements [key.Device]: the signatures made by this Device value.
func (d *Device) Signatures(ctx context.Context, id string) (uint64, error) {
	k, err := d.open(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("counting the signatures of software key %q: %w", id, err)
	}
	return k.signatures.Load(), nil
}

// Close implements [key.Device].
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	return d.root.Close()
}

func (d *Device) open(ctx context.Context, id string) (*softKey, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := key.CheckID(id); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, key.ErrClosed
	}
	if k, ok := d.keys[id]; ok {
		return k, nil
	}
	private, err := readKey(d.root, id+".pem")
	if err != nil {
		return nil, err
	}
	k := &softKey{device: d, private: private}
	d.keys[id] = k
	return k, nil
}

func (d *Device) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

// softKey is one key in memory.
type softKey struct {
	device     *Device
	private    crypto.Signer // ed25519.PrivateKey or *rsa.PrivateKey
	signatures atomic.Uint64
}

// Public implements [key.Key].
func (k *softKey) Public() crypto.PublicKey { return k.private.Public() }

// Sign implements [key.Key].
func (k *softKey) Sign(ctx context.Context, digest []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := key.CheckDigest(digest); err != nil {
		return nil, err
	}
	if k.device.isClosed() {
		return nil, key.ErrClosed
	}
	k.signatures.Add(1)
	var signature []byte
	switch private := k.private.(type) {
	case ed25519.PrivateKey:
		signature = ed25519.Sign(private, digest)
	case *rsa.PrivateKey:
		var err error
		if signature, err = rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA512, digest); err != nil {
			return nil, fmt.Errorf("%w: signing with a software key: %w", key.ErrMisconfigured, err)
		}
	}
	if err := key.Verify(k.Public(), digest, signature); err != nil {
		return nil, err
	}
	return signature, nil
}
