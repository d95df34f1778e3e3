package nethsmtest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "embed"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/signer/nethsm/nethsmtest"
)

// The golden vector is a raw PKCS#1 v1.5 block over 31 bytes without a DigestInfo, by "openssl pkeyutl -sign -pkeyopt
// rsa_padding_mode:pkcs1" without a digest.
var (
	//go:embed testdata/golden.message
	goldenMessage []byte
	//go:embed testdata/golden.signature
	goldenSignature []byte
)

func signingDevice(t *testing.T) *nethsmtest.Server {
	t.Helper()
	setup := nethsmtest.Setup{
		Users: []nethsmtest.User{{ID: "operator", Role: "Operator"}},
		Keys: []nethsmtest.Key{
			{ID: "rsa", Private: goldenKey(t)},
			{ID: "decrypt", Private: goldenKey(t), Mechanisms: []string{"RSA_Decryption_PKCS1", "RSA_Signature_PSS_SHA256"}},
			{ID: "ed"},
		},
	}
	for id, curve := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		private, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		setup.Keys = append(setup.Keys, nethsmtest.Key{ID: id, Private: private})
	}
	s, err := nethsmtest.Provisioned(setup)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func signing(id, mode, message string) ask {
	return ask{method: "POST", path: "keys/" + id + "/sign", user: "operator", body: fmt.Sprintf(`{"mode":%q,"message":%q}`, mode, message)}
}

func sign(t *testing.T, s *nethsmtest.Server, id, mode string, message []byte) []byte {
	t.Helper()
	answer := decode[map[string]string](t, s, signing(id, mode, base64Of(message)))
	signature, err := base64.StdEncoding.Strict().DecodeString(answer["signature"])
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func TestPKCS1PadsTheMessageAsItIs(t *testing.T) {
	if diff := cmp.Diff(goldenSignature, sign(t, signingDevice(t), "rsa", "PKCS1", goldenMessage)); diff != "" {
		t.Error(diff)
	}
}

func TestEveryModeMakesItsKindOfSignature(t *testing.T) {
	s := signingDevice(t)
	message := make([]byte, 64)
	if public := publicKey(t, s, "ed").(ed25519.PublicKey); !ed25519.Verify(public, []byte("x"), sign(t, s, "ed", "EdDSA", []byte("x"))) {
		t.Error("EdDSA: signature does not verify")
	}
	for id, length := range map[string]int{"p256": 32, "p384": 48, "p521": 64} {
		if public := publicKey(t, s, id).(*ecdsa.PublicKey); !ecdsa.VerifyASN1(public, message[:length], sign(t, s, id, "ECDSA", message[:length])) {
			t.Errorf("%s: signature does not verify", id)
		}
		signing(id, "ECDSA", base64Of(make([]byte, length+1))).want(t, s, 400, "")
	}
	for name, hash := range map[string]crypto.Hash{
		"MD5": crypto.MD5, "SHA1": crypto.SHA1, "SHA224": crypto.SHA224, "SHA256": crypto.SHA256, "SHA384": crypto.SHA384, "SHA512": crypto.SHA512,
	} {
		signature := sign(t, s, "rsa", "PSS_"+name, message[:hash.Size()])
		err := rsa.VerifyPSS(&goldenKey(t).PublicKey, hash, message[:hash.Size()], signature, &rsa.PSSOptions{SaltLength: hash.Size()})
		if err != nil {
			t.Errorf("PSS_%s: %v", name, err)
		}
		signing("rsa", "PSS_"+name, base64Of(message[:hash.Size()-1])).want(t, s, 400, "")
	}
}

func TestSigningRefusesWhatTheDeviceRefuses(t *testing.T) {
	s := signingDevice(t)
	const mechanism = "Key mechanisms do not allow requested signing."
	signing("ed", "PKCS1", "eA==").want(t, s, 400, mechanism)
	signing("rsa", "EdDSA", "eA==").want(t, s, 400, mechanism)
	signing("decrypt", "PKCS1", "eA==").want(t, s, 400, mechanism)
	signing("ed", "ECDSA", "eA==").want(t, s, 400, mechanism)
	signing("ed", "eddsa", "eA==").want(t, s, 400, "")
	signing("nobody", "EdDSA", "eA==").want(t, s, 404, "-")
	signing("ed", "EdDSA", "eA").want(t, s, 400, "Invalid base64 encoded message.")
	signing("ed", "EdDSA", "eA=\r=").want(t, s, 400, "Invalid base64 encoded message.")
	signing("rsa", "PKCS1", base64Of(make([]byte, 256-11+1))).want(t, s, 400, "")
	generate := ask{method: "POST", path: "keys/generate", user: "admin", body: `{"type":"Generic","mechanisms":["AES_Decryption_CBC"],"length":128,"id":"aes"}`}
	generate.want(t, s, 201, "")
	signing("aes", "PKCS1", "eA==").want(t, s, 400, mechanism)
	if diff := cmp.Diff(map[string]uint64{"rsa": 0, "decrypt": 0, "ed": 0, "p256": 0, "p384": 0, "p521": 0, "aes": 0}, s.Signatures()); diff != "" {
		t.Errorf("refused requests were counted: %s", diff)
	}
}

func TestSigningTakesTheDevicesLooseEncodings(t *testing.T) {
	s := signingDevice(t)
	want := sign(t, s, "ed", "EdDSA", []byte("x"))
	for name, body := range map[string]string{
		"unused bits":         `{"mode":"EdDSA","message":"eB=="}`,
		"line breaks":         `{"mode":"EdDSA","message":"e\nA==\n"}`,
		"bare names":          `{ mode: "EdDSA", message : "eA==" }`,
		"comments":            "{/* : */\"mode\"// \"\n:\"EdDSA\",message/**/:\"eA==\"}",
		"comments in strings": `{"message":"eA==","mode":"EdDSA"}//`,
	} {
		got := decode[map[string]string](t, s, ask{method: "POST", path: "keys/ed/sign", user: "operator", body: body})
		if got["signature"] != base64Of(want) {
			t.Errorf("%s: another signature", name)
		}
	}
	for name, body := range map[string]string{
		"unknown field": `{"mode":"EdDSA","message":"eA==","x":1}`,
		"twice":         `{"mode":"EdDSA","message":"eA==","message":"eA=="}`,
		"trailing":      `{"mode":"EdDSA","message":"eA=="}{}`,
		"open comment":  `{"mode":"EdDSA","message":"eA=="}/*`,
		"bare value":    `{"mode":EdDSA,"message":"eA=="}`,
		"empty":         ``,
	} {
		t.Run(name, func(t *testing.T) {
			ask{method: "POST", path: "keys/ed/sign", user: "operator", body: body}.want(t, s, 400, "")
		})
	}
}

func TestOperationsCountSignatures(t *testing.T) {
	s := signingDevice(t)
	for range 3 {
		sign(t, s, "ed", "EdDSA", []byte("x"))
	}
	if got := decode[description](t, s, ask{method: "GET", path: "keys/ed", user: "operator"}).Operations; got != 3 {
		t.Errorf("operations are %d, want 3", got)
	}
	if got := s.Signatures()["ed"]; got != 3 {
		t.Errorf("Signatures says %d, want 3", got)
	}
}

func TestAnEdDSAMessageMayBeLargerThanOtherBodies(t *testing.T) {
	s := signingDevice(t)
	sign(t, s, "ed", "EdDSA", []byte(strings.Repeat("x", 2<<20)))
}

func TestRandomGivesTheBytesAskedFor(t *testing.T) {
	s := signingDevice(t)
	for length, status := range map[int]int{0: 400, 1: 200, 1024: 200, 1025: 400, -1: 400} {
		a := ask{method: "POST", path: "random", user: "operator", body: fmt.Sprintf(`{"length":%d}`, length)}
		response := a.want(t, s, status, "")
		if status != 200 {
			continue
		}
		response.Body.Close()
		got := decode[map[string]string](t, s, a)
		if data, err := base64.StdEncoding.DecodeString(got["random"]); err != nil || len(data) != length {
			t.Errorf("%d bytes asked for, got %d and %v", length, len(data), err)
		}
	}
}
