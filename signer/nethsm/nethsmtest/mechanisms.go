package nethsmtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
)

const (
	typeRSA        = "RSA"
	typeCurve25519 = "Curve25519"
	typeP256       = "EC_P256"
	typeP384       = "EC_P384"
	typeP521       = "EC_P521"
	typeGeneric    = "Generic"

	minRSABits     = 1024
	maxRSABits     = 8192
	minGenericBits = 128
	maxGenericBits = 8192
)

var rsaMechanisms = []string{
	"RSA_Decryption_RAW", "RSA_Decryption_PKCS1",
	"RSA_Decryption_OAEP_MD5", "RSA_Decryption_OAEP_SHA1", "RSA_Decryption_OAEP_SHA224", "RSA_Decryption_OAEP_SHA256",
	"RSA_Decryption_OAEP_SHA384", "RSA_Decryption_OAEP_SHA512",
	"RSA_Signature_PKCS1",
	"RSA_Signature_PSS_MD5", "RSA_Signature_PSS_SHA1", "RSA_Signature_PSS_SHA224", "RSA_Signature_PSS_SHA256",
	"RSA_Signature_PSS_SHA384", "RSA_Signature_PSS_SHA512",
}

// mechanismsOf returns the mechanisms a key type can have, nil for types that do not exist here.
func mechanismsOf(keyType string) []string {
	switch keyType {
	case typeRSA:
		return rsaMechanisms
	case typeCurve25519:
		return []string{"EdDSA_Signature"}
	case typeP256, typeP384, typeP521:
		return []string{"ECDSA_Signature"}
	case typeGeneric:
		return []string{"AES_Encryption_CBC", "AES_Decryption_CBC"}
	}
	return nil
}

// checkMechanisms says what is wrong with the mechanisms asked for, or "".
func checkMechanisms(keyType string, mechanisms []string) string {
	known := mechanismsOf(keyType)
	if known == nil {
		return "Invalid data for JSON schema: unknown key type"
	}
	if len(mechanisms) == 0 {
		return "Keys need at least one mechanism"
	}
	for _, mechanism := range mechanisms {
		if !slices.Contains(known, mechanism) {
			return fmt.Sprintf("Mechanism %q does not fit key type %s", mechanism, keyType)
		}
	}
	return ""
}

func curveOf(keyType string) elliptic.Curve {
	switch keyType {
	case typeP256:
		return elliptic.P256()
	case typeP384:
		return elliptic.P384()
	case typeP521:
		return elliptic.P521()
	}
	return nil
}

// typeOf returns the key type of a private key, "" if the device has none for it.
func typeOf(private crypto.PrivateKey) string {
	switch private := private.(type) {
	case *rsa.PrivateKey:
		if bits := private.N.BitLen(); bits >= minRSABits && bits <= maxRSABits {
			return typeRSA
		}
	case ed25519.PrivateKey:
		return typeCurve25519
	case *ecdsa.PrivateKey:
		for _, keyType := range []string{typeP256, typeP384, typeP521} {
			if private.Curve == curveOf(keyType) {
				return keyType
			}
		}
	}
	return ""
}

// newSecret generates the secret of a key; bits counts for RSA and Generic keys only.
func newSecret(keyType string, bits int) ([]byte, error) {
	var private crypto.PrivateKey
	var err error
	switch keyType {
	case typeRSA:
		if bits < minRSABits || bits > maxRSABits {
			return nil, fmt.Errorf("RSA key length must be between %d and %d", minRSABits, maxRSABits)
		}
		private, err = rsa.GenerateKey(rand.Reader, bits)
	case typeCurve25519:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case typeGeneric:
		if bits < minGenericBits || bits > maxGenericBits {
			return nil, fmt.Errorf("key length must be between %d and %d", minGenericBits, maxGenericBits)
		}
		secret := make([]byte, (bits+7)/8)
		_, _ = rand.Read(secret) // documented never to fail
		return secret, nil
	default:
		private, err = ecdsa.GenerateKey(curveOf(keyType), rand.Reader)
	}
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(private)
}
