package nethsmtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	_ "crypto/md5" // the mode PSS_MD5 exists on the device
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1"   // PSS_SHA1
	_ "crypto/sha256" // PSS_SHA224 and PSS_SHA256
	_ "crypto/sha512" // PSS_SHA384 and PSS_SHA512
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// digests are those a PSS mode can be over, by the end of its name.
var digests = map[string]crypto.Hash{
	"MD5": crypto.MD5, "SHA1": crypto.SHA1, "SHA224": crypto.SHA224, "SHA256": crypto.SHA256, "SHA384": crypto.SHA384, "SHA512": crypto.SHA512,
}

// sign makes one signature. What the message is depends on the mode: the bytes of the padded block for PKCS1 (the client
// brings its DigestInfo), a digest for PSS and ECDSA, the message itself for EdDSA.
func sign(c *call) reply {
	var request struct {
		Mode    string `json:"mode"`
		Message string `json:"message"`
	}
	if refusal := c.decode(&request); refusal != nil {
		return *refusal
	}
	k := c.key()
	if !mayUse(c.caller, k) {
		return message(http.StatusForbidden, "tags restriction not met")
	}
	mechanism, ok := mechanismOf(request.Mode)
	if !ok {
		return message(http.StatusBadRequest, "Invalid data for JSON schema: unknown mode")
	}
	if !slices.Contains(k.Mechanisms, mechanism) {
		return message(http.StatusBadRequest, "Key mechanisms do not allow requested signing.")
	}
	data, err := decodeBase64(strings.ReplaceAll(request.Message, "\n", ""))
	if err != nil {
		return message(http.StatusBadRequest, "Invalid base64 encoded message.")
	}
	signature, err := k.sign(request.Mode, data)
	if err != nil {
		return message(http.StatusBadRequest, "Signing failure: %v", err)
	}
	k.Operations++
	c.changed = true
	if c.corrupt {
		signature[len(signature)-1] ^= 1
	}
	return encoded(http.StatusOK, map[string]string{"signature": encodeBase64(signature)})
}

// mechanismOf returns the mechanism a mode needs on the key.
func mechanismOf(mode string) (string, bool) {
	switch mode {
	case "EdDSA", "ECDSA":
		return mode + "_Signature", true
	}
	name := "RSA_Signature_" + mode
	return name, slices.Contains(rsaMechanisms, name)
}

// sign is called with a mode that one of the key's mechanisms allows, so the mode decides the key's type.
func (k *key) sign(mode string, data []byte) ([]byte, error) {
	switch private := k.private.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(private, data), nil
	case *ecdsa.PrivateKey:
		want := map[string]int{typeP256: 32, typeP384: 48, typeP521: 64}[k.Type]
		if len(data) != want {
			return nil, fmt.Errorf("digest of %d bytes, want %d", len(data), want)
		}
		return ecdsa.SignASN1(rand.Reader, private, data)
	case *rsa.PrivateKey:
		if mode == "PKCS1" {
			return rsa.SignPKCS1v15(nil, private, 0, data)
		}
		hash := digests[strings.TrimPrefix(mode, "PSS_")]
		if len(data) != hash.Size() {
			return nil, fmt.Errorf("digest of %d bytes, want %d", len(data), hash.Size())
		}
		return rsa.SignPSS(rand.Reader, private, hash, data, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	}
	return nil, fmt.Errorf("keys of type %s do not sign", k.Type)
}
