package openpgp_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	pgpentity "github.com/ProtonMail/go-crypto/openpgp"
	pgp "github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest/openpgp"
)

func TestCertificateSaysWhatWasCertified(t *testing.T) {
	for _, kind := range keyKinds {
		t.Run(kind.name, func(t *testing.T) {
			key := kind.key(t)
			c, err := openpgp.Certify(openpgp.NewCertificate{UserID: userID, Created: born, Lifetime: time.Hour}, key)
			if err != nil {
				t.Fatal(err)
			}
			expires, ever := c.Expires()
			if !ever || !expires.Equal(born.Add(time.Hour)) {
				t.Errorf("got expiry %v, %t, want %v", expires, ever, born.Add(time.Hour))
			}
			if !c.KeyCreated().Equal(born) {
				t.Errorf("got creation %v, want %v", c.KeyCreated(), born)
			}
			if diff := cmp.Diff(c.UserIDs(), []string{userID}); diff != "" {
				t.Errorf("user ids (-got +want):\n%s", diff)
			}
			if c.Fingerprint() != c.PrimaryFingerprint() || len(c.Fingerprint()) != 40 || c.Fingerprint() != strings.ToUpper(c.Fingerprint()) {
				t.Errorf("got fingerprints %s and %s", c.Fingerprint(), c.PrimaryFingerprint())
			}
			if !key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(c.SigningKey()) {
				t.Error("signing key is not the certified key")
			}
			for _, form := range [][]byte{c.Binary(), c.Armor(), bytes.ReplaceAll(c.Armor(), []byte("\n"), []byte("\r\n"))} {
				again, err := openpgp.ParseCertificate(form)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(again.Binary(), c.Binary()) || !bytes.Equal(again.Armor(), c.Armor()) {
					t.Error("parsed certificate has other bytes")
				}
			}
			forever, err := openpgp.Certify(openpgp.NewCertificate{UserID: userID, Created: born}, key)
			if err != nil {
				t.Fatal(err)
			}
			if expires, ever := forever.Expires(); ever {
				t.Errorf("certificate without lifetime expires %v", expires)
			}
		})
	}
}

func TestImpossibleCertificatesAreNotMade(t *testing.T) {
	key := ed25519Key(t)
	for name, n := range map[string]openpgp.NewCertificate{
		"no user id":        {Created: born},
		"user id of lines":  {UserID: "a\nb", Created: born},
		"long user id":      {UserID: strings.Repeat("u", openpgp.MaxUserID+1), Created: born},
		"no time":           {UserID: userID},
		"part of a second":  {UserID: userID, Created: born.Add(1)},
		"negative lifetime": {UserID: userID, Created: born, Lifetime: -time.Second},
		"lifetime in parts": {UserID: userID, Created: born, Lifetime: time.Second / 2},
		"ends after 2106":   {UserID: userID, Created: born, Lifetime: 90 * 366 * 24 * time.Hour},
	} {
		if _, err := openpgp.Certify(n, key); !errors.Is(err, openpgp.ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
	}
}

// packets cuts a certificate with go-crypto's reader.
func packets(t *testing.T, data []byte) []*pgp.OpaquePacket {
	t.Helper()
	var list []*pgp.OpaquePacket
	for r := pgp.NewOpaqueReader(bytes.NewReader(data)); ; {
		p, err := r.Next()
		if err != nil {
			return list
		}
		list = append(list, p)
	}
}

func join(t *testing.T, list ...*pgp.OpaquePacket) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, p := range list {
		if err := p.Serialize(&out); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// rpm 4.18 refuses to import a certificate with critical subpackets 9, 25, 32
// or 33.
func TestNoSubpacketIsCritical(t *testing.T) {
	key := ed25519Key(t)
	c := certify(t, key)
	list := append(packets(t, c.Binary()), packets(t, sign(t, c, key, nil))...)
	var kinds []byte
	for _, p := range list {
		const signature = 2
		if p.Tag != signature {
			continue
		}
		hashed := int(p.Contents[4])<<8 | int(p.Contents[5])
		subs, err := pgp.OpaqueSubpackets(p.Contents[6 : 6+hashed])
		if err != nil {
			t.Fatal(err)
		}
		for _, sub := range subs {
			kinds = append(kinds, sub.SubType)
		}
	}
	// SubType holds the critical bit: 2 would be 130.
	if diff := cmp.Diff(kinds, []byte{2, 16, 33, 27, 9, 25, 2, 16, 33, 20, 20}); diff != "" {
		t.Errorf("subpackets (-got +want):\n%s", diff)
	}
}

// withSubkey makes a certificate as an offline ceremony does: an Ed25519
// primary that only certifies, and the RSA test key as signing subkey.
func withSubkey(t *testing.T, change func(self, binding, answer *pgp.Signature)) ([]byte, error) {
	t.Helper()
	config := &pgp.Config{
		DefaultHash: crypto.SHA512, Algorithm: pgp.PubKeyAlgoEdDSA, Time: func() time.Time { return born },
		NonDeterministicSignaturesViaNotation: new(false),
	}
	entity, err := pgpentity.NewEntity("x", "", "x@example.org", config)
	if err != nil {
		t.Fatal(err)
	}
	primary := entity.PrivateKey
	sub := pgp.NewRSAPrivateKey(born, rsaKey(t).(*rsa.PrivateKey))
	sub.IsSubkey = true

	template := func(kind pgp.SignatureType, key *pgp.PrivateKey) *pgp.Signature {
		return &pgp.Signature{
			Version: 4, SigType: kind, PubKeyAlgo: key.PubKeyAlgo, Hash: crypto.SHA512,
			CreationTime: born, IssuerKeyId: &key.KeyId, IssuerFingerprint: key.Fingerprint,
		}
	}
	self := template(pgp.SigTypePositiveCert, primary)
	self.FlagsValid, self.FlagCertify = true, true
	binding := template(pgp.SigTypeSubkeyBinding, primary)
	binding.FlagsValid, binding.FlagSign = true, true
	answer := template(pgp.SigTypePrimaryKeyBinding, sub)
	change(self, binding, answer)

	if err := self.SignUserId(userID, &primary.PublicKey, primary, config); err != nil {
		return nil, err
	}
	if err := answer.CrossSignKey(&sub.PublicKey, &primary.PublicKey, sub, config); err != nil {
		return nil, err
	}
	if binding.EmbeddedSignature == nil {
		binding.EmbeddedSignature = answer
	}
	if err := binding.SignKey(&sub.PublicKey, primary, config); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	steps := []error{
		primary.PublicKey.Serialize(&out), (&pgp.UserId{Id: userID}).Serialize(&out), self.Serialize(&out),
		sub.PublicKey.Serialize(&out), binding.Serialize(&out),
	}
	return out.Bytes(), errors.Join(steps...)
}

func TestSigningSubkeyUnderAnOfflinePrimary(t *testing.T) {
	year := uint32(365 * 24 * 3600)
	data, err := withSubkey(t, func(self, binding, _ *pgp.Signature) {
		self.KeyLifetimeSecs = new(2 * year)
		binding.KeyLifetimeSecs = &year
		binding.CreationTime = born.Add(time.Hour)
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := openpgp.ParseCertificate(data)
	if err != nil {
		t.Fatal(err)
	}
	if c.Fingerprint() == c.PrimaryFingerprint() {
		t.Error("the primary signs, not the subkey")
	}
	if expires, _ := c.Expires(); !expires.Equal(born.Add(365 * 24 * time.Hour)) {
		t.Errorf("got expiry %v, want the subkey's", expires)
	}
	if !bytes.Equal(c.Binary(), data) {
		t.Error("certificate has other bytes than were parsed")
	}
	if _, err := openpgp.SignBytes(c, rsaKey(t), nil, openpgp.Options{Created: born}); !errors.Is(err, openpgp.ErrNotValidThen) {
		t.Errorf("signature before the binding: got %v, want ErrNotValidThen", err)
	}
	acceptedByTools(t, c, sign(t, c, rsaKey(t), []byte("data")), []byte("data"))
}

func TestUnsoundSubkeysAreRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(self, binding, answer *pgp.Signature)
		want   string
	}{
		{"primary signs too", func(self, _, _ *pgp.Signature) { self.FlagSign = true }, "key flags 0x03"},
		{"primary lacks flags", func(self, _, _ *pgp.Signature) { self.FlagsValid = false }, "key flags 0x00"},
		{"primary encrypts", func(self, _, _ *pgp.Signature) { self.FlagEncryptStorage = true }, "key flags 0x09"},
		{"subkey authenticates", func(_, binding, _ *pgp.Signature) { binding.FlagAuthenticate = true }, "type 0x18"},
		{"subkey lacks flags", func(_, binding, _ *pgp.Signature) { binding.FlagsValid = false }, "type 0x18"},
		{"answer of another type", func(_, _, answer *pgp.Signature) { answer.SigType = pgp.SigTypeSubkeyBinding }, "type 0x18"},
		{"signature expires", func(self, _, _ *pgp.Signature) { self.SigLifetimeSecs = new(uint32(3600)) }, "type 3 "},
		{"older than key", func(self, _, _ *pgp.Signature) { self.CreationTime = born.Add(-time.Second) }, "older than its key"},
		{"SHA3", func(self, _, _ *pgp.Signature) { self.Hash = crypto.SHA3_512 }, "only SHA-2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			data, err := withSubkey(t, test.change)
			if err != nil {
				t.Fatal(err)
			}
			_, err = openpgp.ParseCertificate(data)
			if !errors.Is(err, openpgp.ErrMalformed) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want ErrMalformed with %q", err, test.want)
			}
		})
	}
}

func TestStrangersCannotAdoptASubkey(t *testing.T) {
	whole := func() []*pgp.OpaquePacket {
		data, err := withSubkey(t, func(_, _, _ *pgp.Signature) {})
		if err != nil {
			t.Fatal(err)
		}
		return packets(t, data)
	}
	mine, theirs := whole(), whole()
	if _, err := openpgp.ParseCertificate(join(t, mine...)); err != nil {
		t.Fatalf("the subkey under its own primary: %v", err)
	}
	stolen := slices.Concat(mine[:3], theirs[3:])
	if _, err := openpgp.ParseCertificate(join(t, stolen...)); err == nil {
		t.Error("subkey bound by another primary was accepted")
	}
	var given *pgp.Signature
	if _, err := withSubkey(t, func(_, _, answer *pgp.Signature) { given = answer }); err != nil {
		t.Fatal(err)
	}
	taken, err := withSubkey(t, func(_, binding, _ *pgp.Signature) { binding.EmbeddedSignature = given })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openpgp.ParseCertificate(taken); !errors.Is(err, openpgp.ErrBadSignature) {
		t.Errorf("answer given to another primary: got %v, want ErrBadSignature", err)
	}
}

func TestMalformedCertificatesAreRefused(t *testing.T) {
	c, other := certify(t, ed25519Key(t)), certify(t, rsaKey(t))
	p, q := packets(t, c.Binary()), packets(t, other.Binary())
	key, id, self := p[0], p[1], p[2]
	changed := func(p *pgp.OpaquePacket, at int, to byte) *pgp.OpaquePacket {
		contents := slices.Clone(p.Contents)
		contents[(at+len(contents))%len(contents)] = to
		return &pgp.OpaquePacket{Tag: p.Tag, Contents: contents}
	}
	retagged := func(p *pgp.OpaquePacket, tag uint8) *pgp.OpaquePacket {
		return &pgp.OpaquePacket{Tag: tag, Contents: p.Contents}
	}
	longer := &pgp.OpaquePacket{Tag: self.Tag, Contents: append(slices.Clone(self.Contents), 0)}
	tests := map[string][]byte{
		"empty":                      nil,
		"text":                       []byte("hello"),
		"cut short":                  c.Binary()[:len(c.Binary())-1],
		"trailing byte":              append(c.Binary(), 0),
		"trailing armor":             append(c.Armor(), "more"...),
		"leading text":               append([]byte("more\n"), c.Armor()...),
		"two armored":                append(c.Armor(), c.Armor()...),
		"armored signature":          openpgp.Armor(c.Binary()),
		"two certificates":           append(c.Binary(), other.Binary()...),
		"no self-signature":          join(t, key, id),
		"no user id":                 join(t, key),
		"signature on key only":      join(t, key, self, id, self),
		"same self-signature twice":  join(t, key, id, self, self),
		"self-signature of other":    join(t, key, id, q[2]),
		"third-party certification":  join(t, key, id, self, q[2]),
		"user id changed":            join(t, key, changed(id, 0, 'X'), self),
		"user id with escape":        join(t, key, changed(id, 0, 0x1b), self),
		"creation time changed":      join(t, changed(key, 4, 0), id, self),
		"self-signature changed":     join(t, key, id, changed(self, -1, self.Contents[len(self.Contents)-1]^1)),
		"byte behind self-signature": join(t, key, id, longer),
		"byte behind key":            join(t, &pgp.OpaquePacket{Tag: key.Tag, Contents: append(slices.Clone(key.Contents), 0)}, id, self),
		"version 6 key":              join(t, changed(key, 0, 6), id, self),
		"version 3 signature":        join(t, key, id, changed(self, 0, 3)),
		"SHA-1":                      join(t, key, id, changed(self, 3, 2)),
		"algorithm 27":               join(t, changed(key, 5, 27), id, self),
		"revoked":                    join(t, key, id, self, changed(self, 1, 0x20)),
		"trust packet":               join(t, key, id, self, retagged(id, 12)),
		"photo":                      join(t, key, id, self, retagged(id, 17)),
		"encryption subkey":          join(t, key, id, self, retagged(key, 14), changed(self, 1, 0x18)),
		"primary as subkey":          join(t, key, id, self, retagged(key, 14), self),
		"too large":                  bytes.Repeat(c.Binary(), openpgp.MaxCertificate/len(c.Binary())+1),
		"nine user ids":              join(t, slices.Concat([]*pgp.OpaquePacket{key}, slices.Repeat([]*pgp.OpaquePacket{id, self}, 9))...),
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := openpgp.ParseCertificate(data)
			if !errors.Is(err, openpgp.ErrMalformed) && !errors.Is(err, openpgp.ErrBadSignature) {
				t.Errorf("got %v, want ErrMalformed or ErrBadSignature", err)
			}
		})
	}
}

func TestSecretKeysAreRefusedByName(t *testing.T) {
	p := packets(t, certify(t, ed25519Key(t)).Binary())
	secret := &pgp.OpaquePacket{Tag: 5, Contents: append(slices.Clone(p[0].Contents), 0, 0, 8, 42)}
	armored := []byte("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nxxxx\n-----END PGP PRIVATE KEY BLOCK-----\n")
	for _, data := range [][]byte{join(t, secret, p[1], p[2]), armored} {
		_, err := openpgp.ParseCertificate(data)
		if err == nil || !strings.Contains(err.Error(), "secret key") {
			t.Errorf("got %v, want an error that names the secret key", err)
		}
	}
}
