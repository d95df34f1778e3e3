package nethsmtest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
)

// importRequest is the JSON of an import; Private is absent beside a PEM file.
type importRequest struct {
	Type         string       `json:"type"`
	Mechanisms   []string     `json:"mechanisms"`
	Private      privateParts `json:"private"`
	Restrictions restrictions `json:"restrictions"`
	Label        string       `json:"label"`
}

// privateParts are base64 of big-endian numbers (RSA), or of the seed, scalar or secret itself.
type privateParts struct {
	PrimeP         string `json:"primeP"`
	PrimeQ         string `json:"primeQ"`
	PublicExponent string `json:"publicExponent"`
	Data           string `json:"data"`
}

// importKey serves POST /keys, where the device makes up the id, and PUT /keys/{key}.
func importKey(c *call) reply {
	var request importRequest
	var secret []byte
	var err error
	if strings.EqualFold(c.r.Header.Get("Content-Type"), typeJSON) {
		if refusal := c.decode(&request); refusal != nil {
			return *refusal
		}
		secret, err = request.Private.secret(request.Type)
	} else {
		arguments, file, partsErr := c.parts()
		if partsErr != nil {
			return message(http.StatusBadRequest, "Invalid multipart data: %v", partsErr)
		}
		if refusal := decode(arguments, &request); refusal != nil {
			return *refusal
		}
		secret, err = secretFromPEM(file, &request.Type)
	}
	if err != nil {
		return message(http.StatusBadRequest, "Invalid key: %v", err)
	}
	if fault := checkMechanisms(request.Type, request.Mechanisms); fault != "" {
		return message(http.StatusBadRequest, "%s", fault)
	}
	id, given := c.arguments["key"]
	if !given {
		id = generatedID()
	}
	if refusal := c.checkNewKey(id, request.Restrictions.Tags, request.Label); refusal != nil {
		return *refusal
	}
	k := &key{Type: request.Type, Mechanisms: request.Mechanisms, Tags: request.Restrictions.Tags, Label: request.Label, Secret: secret}
	if refusal := c.addKey(id, k); refusal != nil {
		return *refusal
	}
	if given {
		return empty(http.StatusNoContent)
	}
	return created("keys", id, true)
}

// parts takes a multipart body of exactly two parts apart. Their names do not matter but for their order: the JSON's
// sorts first.
func (c *call) parts() (arguments, file []byte, err error) {
	media, parameters, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || media != "multipart/form-data" {
		return nil, nil, errors.New("neither application/json without parameters nor multipart/form-data")
	}
	reader := multipart.NewReader(bytes.NewReader(c.body), parameters["boundary"])
	contents := make(map[string][]byte)
	var names []string
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, err
		}
		if contents[part.FormName()], err = io.ReadAll(part); err != nil {
			return nil, nil, err
		}
		names = append(names, part.FormName())
	}
	if len(names) != 2 || names[0] == names[1] {
		return nil, nil, fmt.Errorf("%d parts, want two with different names", len(names))
	}
	slices.Sort(names)
	return contents[names[0]], contents[names[1]], nil
}

// secretFromPEM takes PKCS#8, PKCS#1 and SEC 1; the type may be left out of the request.
func secretFromPEM(file []byte, keyType *string) ([]byte, error) {
	block, _ := pem.Decode(file)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	for _, parse := range []func([]byte) (any, error){
		x509.ParsePKCS8PrivateKey,
		func(der []byte) (any, error) { return x509.ParsePKCS1PrivateKey(der) },
		func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) },
	} {
		private, err := parse(block.Bytes)
		if err != nil {
			continue
		}
		found := typeOf(private)
		if found == "" || *keyType != "" && *keyType != found {
			return nil, fmt.Errorf("a %T is not of type %s", private, *keyType)
		}
		*keyType = found
		return x509.MarshalPKCS8PrivateKey(private)
	}
	return nil, errors.New("no private key in the PEM block")
}

func (p privateParts) secret(keyType string) ([]byte, error) {
	if keyType == typeRSA {
		private, err := p.rsa()
		if err != nil {
			return nil, err
		}
		return x509.MarshalPKCS8PrivateKey(private)
	}
	data, err := decodeBase64(p.Data)
	if err != nil || len(data) == 0 {
		return nil, errors.New("data is missing or not base64")
	}
	var private crypto.PrivateKey
	switch keyType {
	case typeGeneric:
		if bits := 8 * len(data); bits < minGenericBits || bits > maxGenericBits {
			return nil, fmt.Errorf("secret of %d bits", bits)
		}
		return data, nil
	case typeCurve25519:
		if len(data) != ed25519.SeedSize {
			return nil, fmt.Errorf("seed of %d bytes", len(data))
		}
		private = ed25519.NewKeyFromSeed(data)
	case typeP256, typeP384, typeP521:
		if private, err = ecdsa.ParseRawPrivateKey(curveOf(keyType), data); err != nil {
			return nil, err
		}
	default:
		return nil, errors.New("unknown key type")
	}
	return x509.MarshalPKCS8PrivateKey(private)
}

func (p privateParts) rsa() (*rsa.PrivateKey, error) {
	var numbers [3]*big.Int
	for i, text := range []string{p.PrimeP, p.PrimeQ, p.PublicExponent} {
		data, err := decodeBase64(text)
		if err != nil || len(data) == 0 || len(data) > maxRSABits/8 {
			return nil, errors.New("primeP, primeQ or publicExponent is missing or not base64")
		}
		numbers[i] = new(big.Int).SetBytes(data)
	}
	primeP, primeQ, exponent := numbers[0], numbers[1], numbers[2]
	one := big.NewInt(1)
	totient := new(big.Int).Mul(new(big.Int).Sub(primeP, one), new(big.Int).Sub(primeQ, one))
	if totient.Sign() <= 0 || exponent.BitLen() > 31 {
		return nil, errors.New("primes or exponent out of range")
	}
	d := new(big.Int).ModInverse(exponent, totient)
	if d == nil {
		return nil, errors.New("exponent does not fit the primes")
	}
	private := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(primeP, primeQ), E: int(exponent.Int64())},
		D:         d,
		Primes:    []*big.Int{primeP, primeQ},
	}
	if typeOf(private) == "" {
		return nil, fmt.Errorf("modulus of %d bits", private.N.BitLen())
	}
	if err := private.Validate(); err != nil {
		return nil, err
	}
	private.Precompute()
	return private, nil
}
