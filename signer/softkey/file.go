package softkey

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/reprosign/reprosign/signer/key"
)

const (
	keyFileMode = 0o600

	// maxKeyFileBytes is ample: an RSA-8192 key takes about 6,400 bytes.
	maxKeyFileBytes = 16 << 10

	pemType = "PRIVATE KEY" // PKCS#8, unencrypted
)

// readKey reads one key file. Every error is key.ErrMisconfigured, and none repeats what the file holds.
func readKey(root *os.Root, name string) (crypto.Signer, error) {
	data, err := readSecret(root, name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", key.ErrMisconfigured, err)
	}
	defer clear(data)
	block, rest := pem.Decode(data)
	if block == nil || block.Type != pemType || len(block.Headers) != 0 || len(bytes.TrimSpace(rest)) != 0 || !bytes.HasPrefix(data, []byte("-----BEGIN ")) {
		return nil, fmt.Errorf("%w: %s is not exactly one PEM block of type %q", key.ErrMisconfigured, name, pemType)
	}
	defer clear(block.Bytes)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is not a PKCS#8 private key", key.ErrMisconfigured, name)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: %s holds a %T, which cannot sign", key.ErrMisconfigured, name, parsed)
	}
	if err := key.CheckPublic(private.Public()); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return private, nil
}

// readSecret checks the open file, not its name, so that nothing can be exchanged between check and reading.
func readSecret(root *os.Root, name string) ([]byte, error) {
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not hold us up
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", name)
	case info.Mode().Perm() != keyFileMode:
		return nil, fmt.Errorf("%s has mode %04o, want %04o: chmod %04o it, and replace the key if others could read it", name, info.Mode().Perm(), keyFileMode, keyFileMode)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxKeyFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxKeyFileBytes {
		clear(data)
		return nil, errors.New(name + " is too large for a key file")
	}
	return data, nil
}
