package key

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"io"
)

// Signer presents k as a [crypto.Signer], which has no room for a context, for one request: the context given here
// bounds every Sign on the value. Make a new one per request; it costs nothing.
//
// It signs what k signs and nothing else. An Ed25519 key wants [crypto.Hash](0), because OpenPGP's digest is the message
// and [crypto.SHA512] would mean Ed25519ph; an RSA key wants [crypto.SHA512]; PSS is refused. The random source is not
// used.
func Signer(ctx context.Context, k Key) crypto.Signer {
	return signer{ctx: ctx, key: k}
}

// signer keeps the context in the value, against the usual rule, because that is its whole purpose.
type signer struct {
	ctx context.Context
	key Key
}

// Public implements [crypto.Signer].
func (s signer) Public() crypto.PublicKey { return s.key.Public() }

// Sign implements [crypto.Signer].
func (s signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := checkOptions(s.key.Public(), opts); err != nil {
		return nil, err
	}
	return s.key.Sign(s.ctx, digest)
}

func checkOptions(public crypto.PublicKey, opts crypto.SignerOpts) error {
	if opts == nil {
		return fmt.Errorf("%w: no signature options", ErrMisconfigured)
	}
	if _, ok := opts.(*rsa.PSSOptions); ok {
		return fmt.Errorf("%w: PSS signature asked for, only PKCS#1 v1.5 is deterministic", ErrMisconfigured)
	}
	want := crypto.SHA512
	if _, ok := public.(ed25519.PublicKey); ok {
		want = crypto.Hash(0)
		if o, ok := opts.(*ed25519.Options); ok && o.Context != "" {
			return fmt.Errorf("%w: Ed25519ctx signature asked for, OpenPGP uses plain Ed25519", ErrMisconfigured)
		}
	}
	if got := opts.HashFunc(); got != want {
		return fmt.Errorf("%w: signature over hash %d asked for, this key signs %d only", ErrMisconfigured, got, want)
	}
	return nil
}
