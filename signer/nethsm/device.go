// Package nethsm signs with keys in a Nitrokey NetHSM, over its HTTP API.
//
//	trust, err := nethsm.ParseTrust("sha256:9f86d0…")
//	device, err := nethsm.Open(nethsm.Config{
//		URL:        "https://192.168.1.1",
//		Trust:      trust,
//		User:       "stable~signer",
//		Passphrase: nethsm.PassphraseFile("/run/credentials/reprosign-signer/hsm"),
//	})
//	k, err := device.Open(ctx, "artifacts")
//	signature, err := k.Sign(ctx, digest)
//
// # Reactions
//
// A request without an answer is repeated, at most twice, because a signature changes nothing in the device but its
// count and both kinds of key give the same bytes again. Whatever the device does answer is final here and becomes one
// of package key's kinds of error. After 401 nothing more is sent with that passphrase; after 429 and 503 nothing is
// sent for a second. Every signature is verified with the public key read when the key was opened, which also finds
// firmware 3.0: it wraps an RSA digest once more.
//
// # Load
//
// The device computes on one core. Requests in flight are bounded by the configuration, connections are kept open (a
// new one costs more than ten Ed25519 signatures) and dropped before a firewall forgets them.
//
// [Device] is what the signer uses, with an Operator's credentials. [Admin] sets devices up.
package nethsm

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/reprosign/reprosign/signer/key"
)

const (
	typeJSON  = "application/json"
	typePEM   = "application/x-pem-file"
	typeBytes = "application/octet-stream"
)

// Device is one NetHSM, seen with one user's rights.
type Device struct{ client *client }

var _ key.Device = (*Device)(nil)

// Open prepares access to a device; nothing is sent yet. The error is key.ErrMisconfigured.
func Open(config Config) (*Device, error) {
	if err := config.checkUser(); err != nil {
		return nil, fmt.Errorf("configuring the NetHSM: %w", err)
	}
	c, err := newClient(config)
	if err != nil {
		return nil, err
	}
	return &Device{c}, nil
}

// State returns the device's state: "Operational", "Locked", "Unprovisioned" or "Failed". It needs no credentials, so it
// is what to poll while the device is locked.
func (d *Device) State(ctx context.Context) (string, error) { return d.client.state(ctx) }

// Collectors returns the device's metrics, labelled with its host.
func (d *Device) Collectors() []prometheus.Collector { return d.client.metrics.collectors() }

// Close implements [key.Device].
func (d *Device) Close() error {
	d.client.close()
	return nil
}

// Open implements [key.Device]: it reads the key's type, mechanisms and public half.
func (d *Device) Open(ctx context.Context, id string) (key.Key, error) {
	k, err := d.open(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("opening key %q of the NetHSM at %s: %w", id, d.client.base.Host, err)
	}
	return k, nil
}

// Signatures implements [key.Device] with the key's "operations". The device keeps that number in memory and writes it
// from time to time, so a power failure may set it back a little.
func (d *Device) Signatures(ctx context.Context, id string) (uint64, error) {
	about, err := d.client.describe(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("counting the signatures of key %q of the NetHSM at %s: %w", id, d.client.base.Host, err)
	}
	return about.Operations, nil
}

func (d *Device) open(ctx context.Context, id string) (*hsmKey, error) {
	about, err := d.client.describe(ctx, id)
	if err != nil {
		return nil, err
	}
	kind, ok := kinds[about.Type]
	if !ok {
		return nil, fmt.Errorf("%w: key of type %q, want RSA or Curve25519", key.ErrMisconfigured, about.Type)
	}
	if !slices.Contains(about.Mechanisms, kind.mechanism) {
		return nil, fmt.Errorf("%w: key without mechanism %s: generate one that has it", key.ErrMisconfigured, kind.mechanism)
	}
	public, err := d.client.publicKey(ctx, id)
	if err != nil {
		return nil, err
	}
	if !kind.fits(public) {
		return nil, fmt.Errorf("%w: key of type %s has a public key of type %T", key.ErrMisconfigured, about.Type, public)
	}
	if err := key.CheckPublic(public); err != nil {
		return nil, err
	}
	return &hsmKey{client: d.client, id: id, kind: kind, public: public}, nil
}

// description is what the device says about a key. Later firmware may say more.
type description struct {
	Type       string   `json:"type"`
	Mechanisms []string `json:"mechanisms"`
	Operations uint64   `json:"operations"`
}

func (c *client) describe(ctx context.Context, id string) (*description, error) {
	if err := key.CheckID(id); err != nil {
		return nil, err
	}
	a, err := c.do(ctx, request{name: "get_key", method: http.MethodGet, path: "keys/" + id, accept: typeJSON, repeat: true})
	if err != nil {
		return nil, err
	}
	return decode[description](a)
}

func (c *client) publicKey(ctx context.Context, id string) (crypto.PublicKey, error) {
	a, err := c.do(ctx, request{name: "get_public_key", method: http.MethodGet, path: "keys/" + id + "/public.pem", accept: typePEM, repeat: true})
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(a.body)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("%w: public key is not in PEM", key.ErrUnavailable)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: parsing the public key: %w", key.ErrUnavailable, err)
	}
	return public, nil
}

func (c *client) state(ctx context.Context) (string, error) {
	a, err := c.do(ctx, request{name: "get_state", method: http.MethodGet, path: "health/state", accept: typeJSON, public: true, repeat: true})
	if err != nil {
		return "", fmt.Errorf("asking for the state of the NetHSM at %s: %w", c.base.Host, err)
	}
	health, err := decode[struct {
		State string `json:"state"`
	}](a)
	if err != nil {
		return "", fmt.Errorf("asking for the state of the NetHSM at %s: %w", c.base.Host, err)
	}
	return health.State, nil
}

// decode parses an answer's JSON. An answer that is none means a device out of order, or something else in its place.
func decode[T any](a *answer) (*T, error) {
	value := new(T)
	if err := json.Unmarshal(a.body, value); err != nil {
		return nil, fmt.Errorf("%w: parsing the device's answer: %w", key.ErrUnavailable, err)
	}
	return value, nil
}
