package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	// MaxSecret bounds a secret file, in bytes.
	MaxSecret = 64 << 10

	// credentialScheme marks a systemd credential in the place of a path.
	credentialScheme = "credential:"
	// credentialsDirectory is the variable by which systemd names the
	// directory of a unit's credentials.
	credentialsDirectory = "CREDENTIALS_DIRECTORY"

	ownerOnly    os.FileMode = 0o077 // bits that a secret file must not have
	notForOthers os.FileMode = 0o007 // the same for a credential
)

// ReadSecretFile returns the content of a secret file without its last line
// break. Path is a file that nobody but its owner may access, or
// "credential:ID" for the credential of that name that systemd passed to this
// unit (LoadCredential= or LoadCredentialEncrypted=). The content is 1 to
// MaxSecret bytes and never part of an error.
func ReadSecretFile(path string) ([]byte, error) {
	forbidden := ownerOnly
	if strings.HasPrefix(path, credentialScheme) {
		// systemd lets the unit's user in by an access list, which shows as
		// group bits; the directory is closed to everybody else.
		forbidden = notForOthers
	}
	path, err := SecretFile(path)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading a secret: %w", err)
	}
	defer f.Close()
	// Of the open file, so that nobody can put another in its place meanwhile.
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading a secret: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("reading a secret: %s is no regular file", path)
	}
	if mode := info.Mode().Perm(); mode&forbidden != 0 {
		return nil, fmt.Errorf("reading a secret: %s has mode %04o, others can read it: treat the secret as known to them, or if you are sure that it is not, chmod 600 %s", path, mode, path)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxSecret+1))
	if err != nil {
		return nil, fmt.Errorf("reading a secret: %w", err)
	}
	if len(data) > MaxSecret {
		return nil, fmt.Errorf("reading a secret: %s has more than %d bytes", path, MaxSecret)
	}
	if n := len(data); n > 0 && data[n-1] == '\n' {
		data = data[:n-1]
		if n := len(data); n > 0 && data[n-1] == '\r' {
			data = data[:n-1]
		}
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("reading a secret: %s is empty", path)
	}
	return data, nil
}

// SecretFile returns where a secret lies in the file system: path itself, or
// the file of the credential that it names (see [ReadSecretFile]).
func SecretFile(path string) (string, error) {
	id, ok := strings.CutPrefix(path, credentialScheme)
	if !ok {
		return path, nil
	}
	dir := os.Getenv(credentialsDirectory)
	if dir == "" {
		return "", fmt.Errorf("reading %s: systemd passed no credentials; the unit needs LoadCredential=%s:/path", path, id)
	}
	if id == "" || id != filepath.Base(id) || id == "." || id == ".." {
		return "", fmt.Errorf("reading %s: a credential's name has no slashes", path)
	}
	return filepath.Join(dir, id), nil
}

// WriteSecretFile writes a new file of mode 0600 and returns when it is on the
// disk. An existing file is never replaced: it may be the only copy of a key.
func WriteSecretFile(path string, data []byte) (err error) {
	const mode = 0o600
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("writing a secret: %s exists already and is not replaced; move it away first if it is not needed", path)
	}
	if err != nil {
		return fmt.Errorf("writing a secret: %w", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing a secret: %w", errors.Join(err, os.Remove(path)))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("writing a secret: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("writing a secret: %w", err)
	}
	return nil
}
