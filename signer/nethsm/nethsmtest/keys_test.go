package nethsmtest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/signer/nethsm/nethsmtest"
)

// goldenPEM is an RSA-2048 key made by openssl, as are the vectors of sign_test.go.
//
//go:embed testdata/golden.pem
var goldenPEM []byte

func goldenKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	block, _ := pem.Decode(goldenPEM)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.(*rsa.PrivateKey)
}

func base64Of(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

type description struct {
	Mechanisms   []string          `json:"mechanisms"`
	Type         string            `json:"type"`
	Operations   int               `json:"operations"`
	Public       map[string]string `json:"public"`
	Restrictions struct {
		Tags []string `json:"tags"`
	} `json:"restrictions"`
	Label string `json:"label"`
}

func publicKey(t *testing.T, s *nethsmtest.Server, id string) any {
	t.Helper()
	response := ask{method: "GET", path: "keys/" + id + "/public.pem", user: "operator", header: map[string]string{"Accept": "application/x-pem-file"}}.want(t, s, 200, "")
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func TestKeysAreGenerated(t *testing.T) {
	s := device(t)
	generate := ask{method: "POST", path: "keys/generate", user: "admin", body: `{"type":"Curve25519","mechanisms":["EdDSA_Signature"],"id":"new","restrictions":{"tags":["x"]},"label":"l"}`}
	created := generate.want(t, s, 201, "")
	if got := created.Header.Get("Location"); got != "/api/v1/keys/new" {
		t.Errorf("Location is %q", got)
	}
	if body, _ := io.ReadAll(created.Body); string(body) != `{"id":"new"}` {
		t.Errorf("body is %s", body)
	}
	generate.want(t, s, 400, "Key with id new already exists")

	public, ok := publicKey(t, s, "new").(ed25519.PublicKey)
	if !ok {
		t.Fatal("not an Ed25519 key")
	}
	want := description{Mechanisms: []string{"EdDSA_Signature"}, Type: "Curve25519", Public: map[string]string{"data": base64Of(public)}, Label: "l"}
	want.Restrictions.Tags = []string{"x"}
	if diff := cmp.Diff(want, decode[description](t, s, ask{method: "GET", path: "keys/new", user: "operator"})); diff != "" {
		t.Error(diff)
	}

	for body, status := range map[string]int{
		`{"type":"Curve25519","mechanisms":[]}`:                                                            400,
		`{"type":"Curve25519","mechanisms":["ECDSA_Signature"]}`:                                           400,
		`{"type":"EC_P224","mechanisms":["ECDSA_Signature"]}`:                                              400,
		`{"type":"RSA","mechanisms":["RSA_Signature_PKCS1"],"length":1023}`:                                400,
		`{"type":"RSA","mechanisms":["RSA_Signature_PKCS1"],"length":8193}`:                                400,
		`{"type":"RSA","mechanisms":["RSA_Signature_PKCS1"]}`:                                              400,
		`{"type":"Generic","mechanisms":["AES_Encryption_CBC"],"length":120}`:                              400,
		`{"type":"Curve25519","mechanisms":["EdDSA_Signature"],"id":"-x"}`:                                 400,
		`{"type":"Curve25519","mechanisms":["EdDSA_Signature"],"label":"123456789012345678901234é"}`:       201,
		`{"type":"Curve25519","mechanisms":["EdDSA_Signature"],"label":"` + strings.Repeat("é", 17) + `"}`: 400,
		`{"type":"RSA","mechanisms":["RSA_Signature_PKCS1"],"length":1024,"id":"rsa"}`:                     201,
		`{"type":"EC_P384","mechanisms":["ECDSA_Signature"],"id":"p384"}`:                                  201,
		`{"type":"Generic","mechanisms":["AES_Encryption_CBC"],"length":256,"id":"aes"}`:                   201,
		"{ type: \"Curve25519\", /* as some shell clients write */ mechanisms: [\"EdDSA_Signature\"] } //": 201,
	} {
		ask{method: "POST", path: "keys/generate", user: "admin", body: body}.want(t, s, status, "")
	}
	ask{method: "GET", path: "keys/aes/public.pem", user: "admin"}.want(t, s, 400, "Generic keys have no public key")
	if got := decode[description](t, s, ask{method: "GET", path: "keys/aes", user: "admin"}); got.Public != nil {
		t.Errorf("a Generic key's public half is %v, want null", got.Public)
	}
}

func TestKeysAreListedByPrefixLabelAndETag(t *testing.T) {
	s := device(t)
	list := func(path string) (ids []string) {
		t.Helper()
		for _, item := range decode[[]map[string]string](t, s, ask{method: "GET", path: path, user: "operator"}) {
			ids = append(ids, item["id"])
		}
		return ids
	}
	ask{method: "POST", path: "keys/generate", user: "admin", body: `{"type":"Curve25519","mechanisms":["EdDSA_Signature"],"id":"tall","label":"x"}`}.want(t, s, 201, "")
	for path, want := range map[string][]string{
		"keys":         {"ed", "foreign", "tagged", "tall"},
		"keys/ta*":     {"tagged", "tall"},
		"keys/ta%2A":   {"tagged", "tall"},
		"keys/z*":      nil,
		"keys?label=x": {"tall"},
	} {
		if diff := cmp.Diff(want, list(path)); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	ask{method: "GET", path: "keys/*", user: "operator"}.want(t, s, 400, "")

	first := ask{method: "GET", path: "keys", user: "operator"}.want(t, s, 200, "")
	again := ask{method: "GET", path: "keys", user: "operator", header: map[string]string{"If-None-Match": first.Header.Get("ETag")}}
	again.want(t, s, 304, "-")
	ask{method: "DELETE", path: "keys/tall", user: "admin"}.want(t, s, 204, "-")
	again.want(t, s, 200, "")
	ask{method: "DELETE", path: "keys/tall", user: "admin"}.want(t, s, 404, "-")
}

func TestTheCertificateSlotHoldsOneCertificate(t *testing.T) {
	s := device(t)
	slot := func(method, user, body string) ask {
		return ask{method: method, path: "keys/ed/cert", user: user, body: body, header: map[string]string{"Content-Type": "application/octet-stream"}}
	}
	slot("GET", "operator", "").want(t, s, 404, "-")
	slot("DELETE", "admin", "").want(t, s, 404, "-")
	slot("PUT", "operator", "x").want(t, s, 403, "-")
	slot("PUT", "admin", "any\x00bytes").want(t, s, 201, "-")
	slot("PUT", "admin", "others").want(t, s, 409, "Key already contains a certificate")
	if got, _ := io.ReadAll(slot("GET", "operator", "").want(t, s, 200, "").Body); string(got) != "any\x00bytes" {
		t.Errorf("got %q back", got)
	}
	slot("DELETE", "admin", "").want(t, s, 204, "-")
	slot("PUT", "admin", strings.Repeat("x", 1<<20)).want(t, s, 201, "-")
	slot("DELETE", "admin", "").want(t, s, 204, "-")
	slot("PUT", "admin", strings.Repeat("x", 1<<20+1)).want(t, s, 413, "-")
}

func TestKeysAreImportedAsJSON(t *testing.T) {
	s := device(t)
	golden := goldenKey(t)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	scalar, err := curve.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	seed := bytes.Repeat([]byte{9}, ed25519.SeedSize)
	rsaJSON := fmt.Sprintf(`{"type":"RSA","mechanisms":["RSA_Signature_PKCS1"],"private":{"primeP":%q,"primeQ":%q,"publicExponent":"AQAB"}}`,
		base64Of(golden.Primes[0].Bytes()), base64Of(golden.Primes[1].Bytes()))
	put := func(id, body string) ask {
		return ask{method: "PUT", path: "keys/" + id, user: "admin", body: body}
	}
	put("rsa", rsaJSON).want(t, s, 204, "-")
	put("rsa", rsaJSON).want(t, s, 400, "Key with id rsa already exists")
	put("p256", fmt.Sprintf(`{"type":"EC_P256","mechanisms":["ECDSA_Signature"],"private":{"data":%q}}`, base64Of(scalar))).want(t, s, 204, "-")
	put("seed", fmt.Sprintf(`{"type":"Curve25519","mechanisms":["EdDSA_Signature"],"private":{"data":%q}}`, base64Of(seed))).want(t, s, 204, "-")
	if !golden.PublicKey.Equal(publicKey(t, s, "rsa")) || !curve.PublicKey.Equal(publicKey(t, s, "p256")) ||
		!ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey).Equal(publicKey(t, s, "seed")) {
		t.Error("an imported key has another public half")
	}
	got := decode[description](t, s, ask{method: "GET", path: "keys/rsa", user: "admin"}).Public
	if diff := cmp.Diff(map[string]string{"modulus": base64Of(golden.N.Bytes()), "publicExponent": "AQAB"}, got); diff != "" {
		t.Error(diff)
	}

	ask{method: "POST", path: "keys", user: "admin", body: rsaJSON}.want(t, s, 201, "")
	ask{method: "PUT", path: "keys/generate", user: "admin", body: rsaJSON}.want(t, s, 405, "-") // the id collides with the route
	notPrime := base64Of(new(big.Int).Add(golden.Primes[0], big.NewInt(2)).Bytes())
	for name, body := range map[string]string{
		"composite":    strings.Replace(rsaJSON, base64Of(golden.Primes[0].Bytes()), notPrime, 1),
		"one":          strings.Replace(rsaJSON, base64Of(golden.Primes[0].Bytes()), "AQ==", 1),
		"exponent 0":   strings.Replace(rsaJSON, "AQAB", "AA==", 1),
		"exponent 2":   strings.Replace(rsaJSON, "AQAB", "Ag==", 1),
		"no private":   `{"type":"RSA","mechanisms":["RSA_Signature_PKCS1"]}`,
		"short seed":   `{"type":"Curve25519","mechanisms":["EdDSA_Signature"],"private":{"data":"AAAA"}}`,
		"zero scalar":  `{"type":"EC_P256","mechanisms":["ECDSA_Signature"],"private":{"data":"` + base64Of(make([]byte, 32)) + `"}}`,
		"unknown type": `{"type":"EC","mechanisms":["ECDSA_Signature"],"private":{"data":"AAAA"}}`,
	} {
		t.Run(name, func(t *testing.T) { put("bad", body).want(t, s, 400, "") })
	}
	importType := func(contentType string, status int) {
		t.Helper()
		a := put("typed", rsaJSON)
		a.header = map[string]string{"Content-Type": contentType}
		a.want(t, s, status, "")
	}
	importType("", 415)
	importType("application/", 415)
	importType("application/json; charset=utf-8", 400) // goes to the multipart parser
	importType("Application/JSON", 204)
}

func TestKeysAreImportedAsPEMBesideJSON(t *testing.T) {
	s := device(t)
	put := func(id string, status int, parts ...[2]string) {
		t.Helper()
		var body bytes.Buffer
		writer := multipart.NewWriter(&body)
		for _, part := range parts {
			if err := writer.WriteField(part[0], part[1]); err != nil {
				t.Fatal(err)
			}
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		ask{method: "PUT", path: "keys/" + id, user: "admin", body: body.String(), header: map[string]string{"Content-Type": writer.FormDataContentType()}}.want(t, s, status, "")
	}
	arguments := [2]string{"arguments", `{"mechanisms":["RSA_Signature_PKCS1"],"restrictions":{"tags":["x"]}}`}
	file := [2]string{"key_file", string(goldenPEM)}
	pkcs1 := [2]string{"z", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(goldenKey(t))}))}

	put("one", 204, arguments, file)
	put("two", 204, file, arguments) // the names decide the order
	put("three", 204, [2]string{"a", arguments[1]}, pkcs1)
	for _, id := range []string{"one", "two", "three"} {
		if !goldenKey(t).PublicKey.Equal(publicKey(t, s, id)) {
			t.Errorf("key %s has another public half", id)
		}
	}
	put("bad", 400, arguments)
	put("bad", 400, arguments, arguments)
	put("bad", 400, arguments, file, pkcs1)
	put("bad", 400, [2]string{"z", arguments[1]}, file)
	put("bad", 400, arguments, [2]string{"key_file", "no PEM"})
	put("bad", 400, [2]string{"arguments", `{"type":"Curve25519","mechanisms":["EdDSA_Signature"]}`}, file)
}
