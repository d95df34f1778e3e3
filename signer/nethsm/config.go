package nethsm

import (
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/reprosign/reprosign/signer/key"
)

const (
	// MaxWorkers bounds the requests in flight to one device. It has one core: more only wait inside it, where nobody
	// can tell waiting from hanging.
	MaxWorkers = 4

	// MinRequestTimeout is the shortest time a request may be given. An RSA-4096 signature, or somebody else's key
	// generation in front of it, can take that long.
	MinRequestTimeout = 30 * time.Second

	defaultRequestTimeout = time.Minute
	connectTimeout        = 3 * time.Second
	idleTimeout           = time.Minute // shorter than any firewall forgets a connection

	// minPassphraseBytes and maxPassphraseBytes are the device's own limits.
	minPassphraseBytes = 10
	maxPassphraseBytes = 200
)

// Config says which device to use and as whom.
type Config struct {
	// URL is the device's address, scheme, host and port only: "https://192.168.1.1".
	URL string

	// Trust says how the device proves that it is the one. Required.
	Trust Trust

	// User is the device's user: "operator", or "stable~operator" in a namespace. The signer's is an Operator, whose
	// one key carries a tag the user shares. Administrators cannot sign.
	User string

	// Passphrase returns the user's passphrase, 10 to 200 bytes; see [PassphraseFile]. It is asked for each request, so
	// that a file can be replaced while the program runs, and kept nowhere, unless the device refuses it: then no
	// request is sent until Passphrase returns another one.
	Passphrase func() (string, error)

	// Workers is the number of requests in flight, 1 to [MaxWorkers]; 0 is 1.
	Workers int

	// RequestTimeout bounds one attempt at a request, the wait for its turn not included: at least
	// [MinRequestTimeout]; 0 is a minute.
	RequestTimeout time.Duration

	// Attempt, if not nil, is called before each time the device is asked to sign with the key, repetitions included;
	// an error of it ends the call. Whoever compares the device's count of signatures with the log (design §6,
	// invariant 11) records it there: an attempt without an answer may have been counted.
	Attempt func(id string) error

	// Logger receives repetitions and refused credentials; nil discards them.
	Logger *slog.Logger
}

// userPattern is the device's own rule.
var userPattern = regexp.MustCompile(`^([a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}~)?[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)

// check returns the parsed URL of a valid configuration. Errors are key.ErrMisconfigured; they never repeat the URL,
// which may hold a password by mistake.
func (c Config) check() (*url.URL, error) {
	base, err := url.Parse(c.URL)
	if err != nil || base.Host == "" || base.User != nil || strings.Trim(base.Path, "/") != "" || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("%w: the URL is not scheme, host and port only, like https://192.168.1.1", key.ErrMisconfigured)
	}
	if c.Trust.kind == trustNothing {
		return nil, fmt.Errorf("%w: no trust named: pin the device's certificate (%s…)", key.ErrMisconfigured, pinPrefix)
	}
	if want := c.Trust.scheme(); base.Scheme != want {
		return nil, fmt.Errorf("%w: URL scheme %q does not fit trust %q, want %q", key.ErrMisconfigured, base.Scheme, c.Trust, want)
	}
	if c.Workers < 0 || c.Workers > MaxWorkers {
		return nil, fmt.Errorf("%w: %d workers, want 1 to %d", key.ErrMisconfigured, c.Workers, MaxWorkers)
	}
	if c.RequestTimeout != 0 && c.RequestTimeout < MinRequestTimeout {
		return nil, fmt.Errorf("%w: request timeout of %v, want at least %v", key.ErrMisconfigured, c.RequestTimeout, MinRequestTimeout)
	}
	return base, nil
}

func (c Config) checkUser() error {
	if !userPattern.MatchString(c.User) {
		return fmt.Errorf("%w: user %q is not an id or namespace~id", key.ErrMisconfigured, c.User)
	}
	if c.Passphrase == nil {
		return fmt.Errorf("%w: no passphrase for user %q", key.ErrMisconfigured, c.User)
	}
	return nil
}

// PassphraseFile returns a source that reads the passphrase from a file each time: its content without one final
// newline. Others than its owner must not be able to read the file, nor its group to write it; a systemd credential
// passes.
func PassphraseFile(path string) func() (string, error) {
	return func() (string, error) {
		// Group-read is let through: it is how the access list of a systemd credential shows in the mode.
		const forbidden = 0o037
		file, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("%w: opening the passphrase file: %w", key.ErrMisconfigured, err)
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return "", fmt.Errorf("%w: reading the passphrase file: %w", key.ErrMisconfigured, err)
		}
		if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&forbidden != 0 {
			return "", fmt.Errorf("%w: passphrase file %s has mode %v: make it a regular file with mode 0600, and change the passphrase if others could read it", key.ErrMisconfigured, path, mode)
		}
		data := make([]byte, maxPassphraseBytes+2)
		defer clear(data)
		n, err := readFull(file, data)
		if err != nil {
			return "", fmt.Errorf("%w: reading the passphrase file: %w", key.ErrMisconfigured, err)
		}
		return strings.TrimSuffix(string(data[:n]), "\n"), nil
	}
}

func checkPassphrase(passphrase string) error {
	if len(passphrase) < minPassphraseBytes || len(passphrase) > maxPassphraseBytes {
		return fmt.Errorf("%w: passphrase is not %d to %d bytes long", key.ErrMisconfigured, minPassphraseBytes, maxPassphraseBytes)
	}
	return nil
}
