package nethsm

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/reprosign/reprosign/signer/key"
)

// Trust says how the device proves its identity. The zero value trusts nothing and is refused; [ParseTrust] makes one.
// It is a [encoding.TextUnmarshaler], so that a configuration file holds its text.
type Trust struct {
	kind trustKind
	pins [][sha256.Size]byte
}

type trustKind int

const (
	trustNothing trustKind = iota
	trustPins
	trustSystem
	trustInsecure
)

const (
	systemWord   = "system"
	insecureWord = "insecure-plain-http"
	pinPrefix    = "sha256:"
)

// ParseTrust reads one of
//
//	sha256:<64 hexadecimal digits>[,sha256:…]   the device's TLS certificate is one of these (SHA-256 of its DER form)
//	system                                      a certificate authority of the operating system vouches for the host name
//	insecure-plain-http                         no TLS: passphrases travel in the clear
//
// Pins are the usual choice, since the certificate a device makes for itself names no host; two of them allow for a
// change of certificates. The error is key.ErrMisconfigured.
func ParseTrust(text string) (Trust, error) {
	switch text {
	case systemWord:
		return Trust{kind: trustSystem}, nil
	case insecureWord:
		return Trust{kind: trustInsecure}, nil
	}
	trust := Trust{kind: trustPins}
	for part := range strings.SplitSeq(text, ",") {
		digits, ok := strings.CutPrefix(part, pinPrefix)
		raw, err := hex.DecodeString(digits)
		if !ok || err != nil || len(raw) != sha256.Size || strings.ToLower(digits) != digits {
			return Trust{}, fmt.Errorf("%w: trust is none of %q, %q and %s<64 lower-case hexadecimal digits>", key.ErrMisconfigured, systemWord, insecureWord, pinPrefix)
		}
		trust.pins = append(trust.pins, [sha256.Size]byte(raw))
	}
	return trust, nil
}

// UnmarshalText implements [encoding.TextUnmarshaler] with [ParseTrust].
func (t *Trust) UnmarshalText(text []byte) error {
	parsed, err := ParseTrust(string(text))
	if err == nil {
		*t = parsed
	}
	return err
}

// String returns the text that [ParseTrust] reads, "" for the zero value.
func (t Trust) String() string {
	switch t.kind {
	case trustSystem:
		return systemWord
	case trustInsecure:
		return insecureWord
	case trustPins:
		parts := make([]string, len(t.pins))
		for i, pin := range t.pins {
			parts[i] = pinPrefix + hex.EncodeToString(pin[:])
		}
		return strings.Join(parts, ",")
	default:
		return ""
	}
}

func (t Trust) scheme() string {
	if t.kind == trustInsecure {
		return "http"
	}
	return "https"
}

func (t Trust) tlsConfig() *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.kind == trustPins {
		config.InsecureSkipVerify = true // the pin takes the place of names and authorities
		config.VerifyConnection = t.verifyPin
	}
	return config
}

// errPin travels through net/http, which wraps what VerifyConnection returns.
var errPin = errors.New("the certificate is not the pinned one")

func (t Trust) verifyPin(connection tls.ConnectionState) error {
	if len(connection.PeerCertificates) == 0 {
		return errPin
	}
	sum := sha256.Sum256(connection.PeerCertificates[0].Raw)
	for _, pin := range t.pins {
		if subtle.ConstantTimeCompare(sum[:], pin[:]) == 1 {
			return nil
		}
	}
	return fmt.Errorf("%w: the device shows %s%x", errPin, pinPrefix, sum)
}
