package nethsmtest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net"
	"net/http"
	"strings"
	"time"
)

// The roles, one per user. R-users have no namespace and administer the device; N-users see their namespace only.
const (
	roleAdministrator = "Administrator"
	roleOperator      = "Operator"
	roleMetrics       = "Metrics"
	roleBackup        = "Backup"
)

func administrator(c *call) bool     { return c.caller.Role == roleAdministrator }
func rootAdministrator(c *call) bool { return administrator(c) && c.namespace() == "" }
func operator(c *call) bool          { return c.caller.Role == roleOperator }
func metricsReader(c *call) bool     { return c.caller.Role == roleMetrics }

func administratorOrOperator(c *call) bool { return administrator(c) || operator(c) }

// administratorOfUser is an administrator in the namespace of the user named; an R-administrator has also the users
// whose namespace does not exist.
func administratorOfUser(c *call) bool {
	namespace := namespaceOf(c.arguments["user"])
	return administrator(c) && (namespace == c.namespace() || c.namespace() == "" && !c.contents.Namespaces[namespace])
}

// readerOfUser is the user itself, or an administrator who may look: in the namespace, or of the whole device.
func readerOfUser(c *call) bool {
	namespace := namespaceOf(c.arguments["user"])
	return administrator(c) && (namespace == c.namespace() || c.namespace() == "") || operator(c) && c.name == c.arguments["user"]
}

func ownerOfPassphrase(c *call) bool {
	return administratorOfUser(c) || operator(c) && c.name == c.arguments["user"]
}

// namespace is the caller's: it decides which keys "keys" means.
func (c *call) namespace() string {
	return namespaceOf(c.name)
}

// namespaceOf returns the namespace of a user called "namespace~id", and "" for a plain id.
func namespaceOf(name string) string {
	namespace, _, ok := strings.Cut(name, "~")
	if !ok {
		return ""
	}
	return namespace
}

func qualified(namespace, id string) string {
	if namespace == "" {
		return id
	}
	return namespace + "~" + id
}

// pauseAfterFailure is how long a failed log-in keeps the same user name at the same address out.
const pauseAfterFailure = time.Second

// attempts remembers failed log-ins, and failed unlocks under the empty name. A restart forgets them.
type attempts struct {
	now    func() time.Time
	failed map[string]time.Time
}

func (a *attempts) fail(address, name string) {
	for key, at := range a.failed {
		if a.now().Sub(at) >= pauseAfterFailure {
			delete(a.failed, key)
		}
	}
	a.failed[address+" "+name] = a.now()
}

func (a *attempts) paused(address, name string) bool {
	at, ok := a.failed[address+" "+name]
	return ok && a.now().Sub(at) < pauseAfterFailure
}

func clientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// passphrase is a stored passphrase: salted, as on the device without a slow key derivation.
type passphrase struct {
	Salt []byte `json:"salt"`
	Hash []byte `json:"hash"`
}

func newPassphrase(text string) passphrase {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // documented never to fail
	return passphrase{Salt: salt, Hash: passphraseHash(salt, text)}
}

func (p passphrase) matches(text string) bool {
	return hmac.Equal(p.Hash, passphraseHash(p.Salt, text))
}

func passphraseHash(salt []byte, text string) []byte {
	mac := hmac.New(sha256.New, salt)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
