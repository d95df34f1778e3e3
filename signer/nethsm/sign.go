package nethsm

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/reprosign/reprosign/signer/key"
)

// kind is what differs between the two types of key.
type kind struct {
	mode      string
	mechanism string
	prefix    []byte // before the digest in the message
	fits      func(crypto.PublicKey) bool
}

var kinds = map[string]kind{
	"Curve25519": {
		mode: "EdDSA", mechanism: "EdDSA_Signature",
		fits: func(public crypto.PublicKey) bool { _, ok := public.(ed25519.PublicKey); return ok },
	},
	"RSA": {
		mode: "PKCS1", mechanism: "RSA_Signature_PKCS1",
		// The device pads whatever it is given: the DigestInfo of SHA-512 (RFC 8017, section 9.2) is the client's part.
		prefix: []byte{0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40},
		fits:   func(public crypto.PublicKey) bool { _, ok := public.(*rsa.PublicKey); return ok },
	},
}

// hsmKey is one key in the device.
type hsmKey struct {
	client *client
	id     string
	kind   kind
	public crypto.PublicKey
}

// Public implements [key.Key].
func (k *hsmKey) Public() crypto.PublicKey { return k.public }

// Sign implements [key.Key].
func (k *hsmKey) Sign(ctx context.Context, digest []byte) ([]byte, error) {
	signature, err := k.sign(ctx, digest)
	if err != nil {
		return nil, fmt.Errorf("signing with key %q of the NetHSM at %s: %w", k.id, k.client.base.Host, err)
	}
	return signature, nil
}

func (k *hsmKey) sign(ctx context.Context, digest []byte) ([]byte, error) {
	if err := key.CheckDigest(digest); err != nil {
		return nil, err
	}
	body, err := json.Marshal(struct {
		Mode    string `json:"mode"`
		Message []byte `json:"message"`
	}{k.kind.mode, slices.Concat(k.kind.prefix, digest)})
	if err != nil {
		return nil, fmt.Errorf("%w: encoding the request: %w", key.ErrMisconfigured, err)
	}
	r := request{
		name: "sign", method: http.MethodPost, path: "keys/" + k.id + "/sign",
		body: body, contentType: typeJSON, accept: typeJSON, repeat: true,
	}
	if attempt := k.client.config.Attempt; attempt != nil {
		r.before = func() error { return attempt(k.id) }
	}
	a, err := k.client.do(ctx, r)
	if err != nil {
		return nil, err
	}
	made, err := decode[struct {
		Signature string `json:"signature"`
	}](a)
	if err != nil {
		return nil, err
	}
	// The device's base64 may set the unused bits that strict decoders refuse; what is decoded is verified next.
	signature, err := base64.StdEncoding.DecodeString(made.Signature)
	if err != nil {
		return nil, fmt.Errorf("%w: the answer is not base64", key.ErrWrongSignature)
	}
	if err := key.Verify(k.public, digest, signature); err != nil {
		return nil, fmt.Errorf("%w: take the device out of service until this is understood (RSA: firmware 3.0 wraps the digest twice)", err)
	}
	return signature, nil
}
