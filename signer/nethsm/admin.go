package nethsm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/reprosign/reprosign/signer/key"
)

// MaxCertificateBytes is the largest content of a key's certificate slot.
const MaxCertificateBytes = 1 << 20

// Role is what a user of the device may do; each has one.
type Role string

// The device's roles. Only Operators sign, and only root users (those without a namespace) administer the device.
const (
	Administrator Role = "Administrator"
	Operator      Role = "Operator"
	Metrics       Role = "Metrics"
	Backup        Role = "Backup"
)

// KeyType is the type of a key to generate.
type KeyType string

// The key types that package key knows.
const (
	Curve25519 KeyType = "Curve25519"
	RSA        KeyType = "RSA"
)

// Admin sets devices up: provisioning, users, keys. Nothing it sends is repeated on its own, except questions. Errors
// are of package key's kinds; a thing that exists already is key.ErrMisconfigured. It is safe for concurrent use.
type Admin struct{ client *client }

// OpenAdmin prepares access to a device; nothing is sent yet. User and Passphrase may be left out of the configuration
// for [Admin.State], [Admin.Provision] and [Admin.Unlock].
func OpenAdmin(config Config) (*Admin, error) {
	c, err := newClient(config)
	if err != nil {
		return nil, err
	}
	return &Admin{c}, nil
}

// Close gives up connections.
func (a *Admin) Close() error {
	a.client.close()
	return nil
}

// State returns the device's state, like [Device.State].
func (a *Admin) State(ctx context.Context) (string, error) { return a.client.state(ctx) }

// Provision makes a new device operational, with one user "admin". The device's clock is set to now.
func (a *Admin) Provision(ctx context.Context, unlockPassphrase, adminPassphrase string, now time.Time) error {
	if err := errors.Join(checkPassphrase(unlockPassphrase), checkPassphrase(adminPassphrase)); err != nil {
		return fmt.Errorf("provisioning: %w", err)
	}
	return a.send(ctx, request{name: "provision", method: http.MethodPost, path: "provision", public: true, secret: true}, struct {
		Unlock string `json:"unlockPassphrase"`
		Admin  string `json:"adminPassphrase"`
		Time   string `json:"systemTime"`
	}{unlockPassphrase, adminPassphrase, now.UTC().Format(time.RFC3339)})
}

// Unlock makes a locked device operational. A wrong passphrase is key.ErrMisconfigured, and for one second after it
// every passphrase is key.ErrThrottled.
func (a *Admin) Unlock(ctx context.Context, passphrase string) error {
	if err := checkPassphrase(passphrase); err != nil {
		return fmt.Errorf("unlocking: %w", err)
	}
	return a.send(ctx, request{name: "unlock", method: http.MethodPost, path: "unlock", public: true, secret: true}, struct {
		Passphrase string `json:"passphrase"`
	}{passphrase})
}

// Lock makes the device refuse everything until it is unlocked.
func (a *Admin) Lock(ctx context.Context) error {
	return a.send(ctx, request{name: "lock", method: http.MethodPost, path: "lock"}, nil)
}

// AddNamespace creates a namespace. Create its administrator first: afterwards only an administrator inside it can
// create users there.
func (a *Admin) AddNamespace(ctx context.Context, namespace string) error {
	if err := key.CheckID(namespace); err != nil {
		return fmt.Errorf("adding a namespace: %w", err)
	}
	return a.send(ctx, request{name: "add_namespace", method: http.MethodPut, path: "namespaces/" + namespace}, nil)
}

// AddUser creates a user, "id" or "namespace~id".
func (a *Admin) AddUser(ctx context.Context, user, realName string, role Role, passphrase string) error {
	if err := checkUserID(user); err != nil {
		return fmt.Errorf("adding a user: %w", err)
	}
	if err := checkPassphrase(passphrase); err != nil {
		return fmt.Errorf("adding user %q: %w", user, err)
	}
	return a.send(ctx, request{name: "add_user", method: http.MethodPut, path: "users/" + user, secret: true}, struct {
		RealName   string `json:"realName"`
		Role       Role   `json:"role"`
		Passphrase string `json:"passphrase"`
	}{realName, role, passphrase})
}

// AddUserTag gives an Operator a tag; one that it has already is no error.
func (a *Admin) AddUserTag(ctx context.Context, user, tag string) error {
	if err := errors.Join(checkUserID(user), key.CheckID(tag)); err != nil {
		return fmt.Errorf("adding a tag to a user: %w", err)
	}
	return a.send(ctx, request{name: "add_user_tag", method: http.MethodPut, path: "users/" + user + "/tags/" + tag}, nil)
}

// AddKeyTag restricts a key to Operators with the tag, or another of its tags; one that it has already is no error.
func (a *Admin) AddKeyTag(ctx context.Context, id, tag string) error {
	if err := errors.Join(key.CheckID(id), key.CheckID(tag)); err != nil {
		return fmt.Errorf("adding a tag to a key: %w", err)
	}
	return a.send(ctx, request{name: "add_key_tag", method: http.MethodPut, path: "keys/" + id + "/restrictions/tags/" + tag}, nil)
}

// KeySpec describes a key to generate. It can sign as package key's keys do, and nothing else.
type KeySpec struct {
	ID   string
	Type KeyType
	Bits int      // RSA only: key.MinRSABits to key.MaxRSABits
	Tags []string // restrictions in force from the beginning
}

// GenerateKey makes a key inside the device. For RSA that can take minutes, in which the device answers nobody.
func (a *Admin) GenerateKey(ctx context.Context, spec KeySpec) error {
	if err := spec.check(); err != nil {
		return fmt.Errorf("generating key %q: %w", spec.ID, err)
	}
	type restrictions struct {
		Tags []string `json:"tags"`
	}
	return a.send(ctx, request{name: "generate_key", method: http.MethodPost, path: "keys/generate"}, struct {
		Type         KeyType      `json:"type"`
		Mechanisms   []string     `json:"mechanisms"`
		Length       int          `json:"length,omitzero"`
		ID           string       `json:"id"`
		Restrictions restrictions `json:"restrictions"`
	}{spec.Type, []string{kinds[string(spec.Type)].mechanism}, spec.Bits, spec.ID, restrictions{spec.Tags}})
}

func (s KeySpec) check() error {
	if err := key.CheckID(s.ID); err != nil {
		return err
	}
	for _, tag := range s.Tags {
		if err := key.CheckID(tag); err != nil {
			return fmt.Errorf("tag: %w", err)
		}
	}
	switch {
	case s.Type == Curve25519 && s.Bits == 0, s.Type == RSA && s.Bits >= key.MinRSABits && s.Bits <= key.MaxRSABits:
		return nil
	}
	return fmt.Errorf("%w: type %q with %d bits, want Curve25519 or RSA with %d to %d", key.ErrMisconfigured, s.Type, s.Bits, key.MinRSABits, key.MaxRSABits)
}

// PutCertificate stores the key's OpenPGP certificate beside it, where Operators can read it. A key that has one already
// keeps it: key.ErrMisconfigured.
func (a *Admin) PutCertificate(ctx context.Context, id string, certificate []byte) error {
	if err := key.CheckID(id); err != nil {
		return fmt.Errorf("storing a certificate: %w", err)
	}
	if len(certificate) == 0 || len(certificate) > MaxCertificateBytes {
		return fmt.Errorf("storing the certificate of key %q: %w: %d bytes, want 1 to %d", id, key.ErrMisconfigured, len(certificate), MaxCertificateBytes)
	}
	_, err := a.client.do(ctx, request{
		name: "put_certificate", method: http.MethodPut, path: "keys/" + id + "/cert", body: certificate, contentType: typeBytes,
	})
	if err != nil {
		return fmt.Errorf("storing the certificate of key %q: %w", id, err)
	}
	return nil
}

// GetCertificate returns what PutCertificate stored; key.ErrMisconfigured if there is nothing. Operators may ask.
func (a *Admin) GetCertificate(ctx context.Context, id string) ([]byte, error) {
	if err := key.CheckID(id); err != nil {
		return nil, fmt.Errorf("reading a certificate: %w", err)
	}
	got, err := a.client.do(ctx, request{
		name: "get_certificate", method: http.MethodGet, path: "keys/" + id + "/cert", accept: typeBytes,
		limit: MaxCertificateBytes, repeat: true,
	})
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of key %q: %w", id, err)
	}
	return got.body, nil
}

// ListKeys returns the ids of the keys in the user's namespace, in no particular order.
func (a *Admin) ListKeys(ctx context.Context) ([]string, error) {
	list, err := ask[[]struct {
		ID string `json:"id"`
	}](ctx, a, "list_keys", "keys")
	if err != nil {
		return nil, fmt.Errorf("listing keys: %w", err)
	}
	ids := make([]string, len(*list))
	for i, item := range *list {
		ids[i] = item.ID
	}
	return ids, nil
}

// Metrics returns the device's own counters by name, numbers as text. It wants a user with the role Metrics.
func (a *Admin) Metrics(ctx context.Context) (map[string]string, error) {
	metrics, err := ask[map[string]string](ctx, a, "get_metrics", "metrics")
	if err != nil {
		return nil, fmt.Errorf("reading the device's metrics: %w", err)
	}
	return *metrics, nil
}

func ask[T any](ctx context.Context, a *Admin, name, path string) (*T, error) {
	got, err := a.client.do(ctx, request{name: name, method: http.MethodGet, path: path, accept: typeJSON, limit: maxListBytes, repeat: true})
	if err != nil {
		return nil, err
	}
	return decode[T](got)
}

// send makes one change. A nil body is none, which the device wants called JSON all the same.
func (a *Admin) send(ctx context.Context, r request, body any) error {
	r.contentType = typeJSON
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("%w: encoding the request: %w", key.ErrMisconfigured, err)
		}
		r.body = encoded
	}
	if _, err := a.client.do(ctx, r); err != nil {
		return fmt.Errorf("sending %s to the NetHSM at %s: %w", r.path, a.client.base.Host, err)
	}
	return nil
}

func checkUserID(user string) error {
	if !userPattern.MatchString(user) {
		return fmt.Errorf("%w: user %q is not an id or namespace~id", key.ErrMisconfigured, user)
	}
	return nil
}
