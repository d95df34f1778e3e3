package nethsmtest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"
)

const maxLabelBytes = 32

// keys are those of the caller's namespace.
func (c *call) keys() map[string]*key { return c.contents.Keys[c.namespace()] }

func (c *call) key() *key { return c.keys()[c.arguments["key"]] }

func keyExists(c *call) bool { return c.key() != nil }

// mayUse is the rule of tags: a key without tags is everybody's, another wants one in common.
func mayUse(u *user, k *key) bool {
	return len(k.Tags) == 0 || slices.ContainsFunc(k.Tags, func(tag string) bool { return slices.Contains(u.Tags, tag) })
}

// listKeys answers both /keys and /keys/prefix*.
func listKeys(c *call) reply {
	prefix, withPrefix := c.arguments["prefix"]
	if withPrefix && prefix == "" {
		return message(http.StatusBadRequest, "Empty prefix")
	}
	query := c.r.URL.Query()
	items := []identified{}
	for _, id := range slices.Sorted(maps.Keys(c.keys())) {
		k := c.keys()[id]
		if !strings.HasPrefix(id, prefix) || query.Has("filter") && !mayUse(c.caller, k) || query.Has("label") && query.Get("label") != k.Label {
			continue
		}
		items = append(items, identified{id})
	}
	return c.tagged(encoded(http.StatusOK, items))
}

type restrictions struct {
	Tags []string `json:"tags"`
}

func generateKey(c *call) reply {
	var request struct {
		Type         string       `json:"type"`
		Mechanisms   []string     `json:"mechanisms"`
		Length       int          `json:"length"`
		ID           string       `json:"id"`
		Restrictions restrictions `json:"restrictions"`
		Label        string       `json:"label"`
	}
	if refusal := c.decode(&request); refusal != nil {
		return *refusal
	}
	if fault := checkMechanisms(request.Type, request.Mechanisms); fault != "" {
		return message(http.StatusBadRequest, "%s", fault)
	}
	id := request.ID
	if id == "" {
		id = generatedID()
	}
	if refusal := c.checkNewKey(id, request.Restrictions.Tags, request.Label); refusal != nil {
		return *refusal
	}
	secret, err := newSecret(request.Type, request.Length)
	if err != nil {
		return message(http.StatusBadRequest, "%v", err)
	}
	c.generated++
	k := &key{Type: request.Type, Mechanisms: request.Mechanisms, Tags: request.Restrictions.Tags, Label: request.Label, Secret: secret}
	if refusal := c.addKey(id, k); refusal != nil {
		return *refusal
	}
	return created("keys", id, true)
}

func (c *call) checkNewKey(id string, tags []string, label string) *reply {
	if !idPattern.MatchString(id) {
		return new(message(http.StatusBadRequest, "Invalid key id"))
	}
	if slices.ContainsFunc(tags, func(tag string) bool { return !idPattern.MatchString(tag) }) {
		return new(message(http.StatusBadRequest, "Invalid tag"))
	}
	if len(label) > maxLabelBytes {
		return new(message(http.StatusBadRequest, "Label is longer than %d bytes", maxLabelBytes))
	}
	if _, ok := c.keys()[id]; ok {
		return new(message(http.StatusBadRequest, "Key with id %s already exists", id)) // for PUT the specification says 409
	}
	return nil
}

func (c *call) addKey(id string, k *key) *reply {
	if err := k.parse(); err != nil {
		return new(message(http.StatusBadRequest, "Invalid key: %v", err))
	}
	slices.Sort(k.Tags)
	c.keys()[id] = k
	c.changed = true
	return nil
}

func getKey(c *call) reply {
	k := c.key()
	return c.tagged(encoded(http.StatusOK, struct {
		Mechanisms   []string     `json:"mechanisms"`
		Type         string       `json:"type"`
		Operations   uint64       `json:"operations"`
		Public       any          `json:"public"`
		Restrictions restrictions `json:"restrictions"`
		Label        string       `json:"label,omitzero"`
	}{k.Mechanisms, k.Type, k.Operations, k.public(), restrictions{k.Tags}, k.Label}))
}

// public is the public half in the API's own form; nil, which becomes null, for a Generic key.
func (k *key) public() any {
	switch private := k.private.(type) {
	case *rsa.PrivateKey:
		return map[string]string{
			"modulus":        encodeBase64(private.N.Bytes()),
			"publicExponent": encodeBase64(big.NewInt(int64(private.E)).Bytes()),
		}
	case ed25519.PrivateKey:
		return map[string]string{"data": encodeBase64(private[ed25519.SeedSize:])}
	case *ecdsa.PrivateKey:
		point, err := private.PublicKey.Bytes()
		if err != nil {
			return nil // a key on an unknown curve cannot have been imported
		}
		return map[string]string{"data": encodeBase64(point)}
	}
	return nil
}

func getPublicKey(c *call) reply {
	k := c.key()
	if k.private == nil {
		return message(http.StatusBadRequest, "Generic keys have no public key")
	}
	der, err := x509.MarshalPKIXPublicKey(k.private.Public())
	if err != nil {
		return message(http.StatusBadRequest, "%v", err)
	}
	answer := c.tagged(reply{status: http.StatusOK, body: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})})
	answer.contentType = typePEM
	return answer
}

func deleteKey(c *call) reply {
	delete(c.keys(), c.arguments["key"])
	c.changed = true
	return empty(http.StatusNoContent)
}

func putKeyTag(c *call) reply    { return c.addTag(&c.key().Tags) }
func deleteKeyTag(c *call) reply { return c.removeTag(&c.key().Tags) }

func getCertificate(c *call) reply {
	if c.key().Certificate == nil {
		return empty(http.StatusNotFound)
	}
	return reply{status: http.StatusOK, contentType: typeBytes, body: c.key().Certificate}
}

// putCertificate does not replace: the old certificate has to be deleted first.
func putCertificate(c *call) reply {
	if c.key().Certificate != nil {
		return message(http.StatusConflict, "Key already contains a certificate")
	}
	c.key().Certificate = append([]byte{}, c.body...)
	c.changed = true
	return empty(http.StatusCreated)
}

func deleteCertificate(c *call) reply {
	if c.key().Certificate == nil {
		return empty(http.StatusNotFound)
	}
	c.key().Certificate = nil
	c.changed = true
	return empty(http.StatusNoContent)
}
