package nethsm

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/reprosign/reprosign/signer/key"
)

// maxMessageBytes bounds what is repeated of the device's own words.
const maxMessageBytes = 200

// statusError turns a refusal into the kind of error that says what to do; nil for success. The device's own words are
// added unless the request was secret.
func statusError(a *answer, secret bool) error {
	if a.status >= 200 && a.status < 300 || a.status == http.StatusNotModified {
		return nil
	}
	advice, kind := meaning(a.status)
	err := fmt.Errorf("%w: status %d: %s", kind, a.status, advice)
	if words := deviceMessage(a.body); words != "" && !secret {
		err = fmt.Errorf("%w (the device says: %q)", err, words)
	}
	return err
}

// meaning is the table of reactions; no status is answered by repeating the request here.
func meaning(status int) (advice string, kind error) {
	switch status {
	case http.StatusUnauthorized:
		return "user name or passphrase is wrong: correct the credential, do not try others", key.ErrUnauthorized
	case http.StatusForbidden:
		return "the user may not do this: check its role, its namespace and the tags of user and key", key.ErrMisconfigured
	case http.StatusNotFound:
		return "no such thing in the user's namespace: check the key id and the namespace", key.ErrMisconfigured
	case http.StatusPreconditionFailed:
		return "the device is locked, rebooted or not provisioned: have it unlocked", key.ErrLocked
	case http.StatusTooManyRequests:
		return "a log-in failed less than a second ago: wait, and find out whose", key.ErrThrottled
	case http.StatusConflict:
		return "it exists already", key.ErrMisconfigured
	}
	if status >= 300 && status < 400 {
		return "the address redirects elsewhere and was not followed: correct the URL", key.ErrMisconfigured
	}
	if status >= 500 && status != http.StatusNotImplemented {
		return "the device broke down while answering: wait, and look at its log", key.ErrUnavailable
	}
	return "the device does not accept the request: check key type, mechanisms and firmware version", key.ErrMisconfigured
}

// deviceMessage returns the device's own words from an error body: JSON {"message"}, or text. They come from outside
// and go into logs, hence short and printable.
func deviceMessage(body []byte) string {
	var decoded struct {
		Message string `json:"message"`
	}
	words := string(body)
	if json.Unmarshal(body, &decoded) == nil {
		words = decoded.Message
	}
	words = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, words)
	if len(words) > maxMessageBytes {
		words = strings.ToValidUTF8(words[:maxMessageBytes], "") + "…"
	}
	return strings.TrimSpace(words)
}

// readFull fills buffer as far as the reader goes.
func readFull(reader io.Reader, buffer []byte) (int, error) {
	n, err := io.ReadFull(reader, buffer)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, err
}
