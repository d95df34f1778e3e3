package openpgp_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reprosign/reprosign/attest/openpgp"
)

// rpmHouse is a directory with a package, an empty key ring, and in the place of
// gpg a script that hands rpmsign a signature which was made elsewhere.
type rpmHouse struct {
	dir, pkg string
}

func (h *rpmHouse) run(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	return tool(t, "rpm", h.dir, name, append([]string{
		"--dbpath", filepath.Join(h.dir, "keys"), "--define", "_topdir " + h.dir, "--define", "_gpg_name somebody",
		"--define", "__gpg_sign_cmd /bin/sh sh " + filepath.Join(h.dir, "sign") + " %{__plaintext_filename} %{__signature_filename}",
	}, args...)...)
}

func newRPMHouse(t *testing.T) *rpmHouse {
	t.Helper()
	h := &rpmHouse{dir: t.TempDir()}
	t.Setenv("HOME", h.dir) // with no settings of the person who runs the test
	spec := write(t, filepath.Join(h.dir, "hello.spec"), []byte(`Name: hello
Version: 1
Release: 1
Summary: Nothing
License: None
BuildArch: noarch
%description
Nothing.
%files
`))
	write(t, filepath.Join(h.dir, "sign"), []byte(`cat "$1" >`+h.path("header")+` && cp `+h.path("signature")+` "$2"
`))
	if out, err := h.run(t, "rpmbuild", "-bb", "--target", "noarch", spec); err != nil {
		t.Fatalf("rpmbuild: %v\n%s", err, out)
	}
	h.pkg = h.path("RPMS/noarch/hello-1-1.noarch.rpm")
	return h
}

func (h *rpmHouse) path(name string) string { return filepath.Join(h.dir, name) }

// check has rpm judge a package that must be signed.
func (h *rpmHouse) check(t *testing.T, pkg string) (string, error) {
	t.Helper()
	return h.run(t, "rpmkeys", "--define", "_pkgverify_level signature", "--checksig", "--verbose", pkg)
}

func TestRPMImportsTheCertificateAndAcceptsItsSignatures(t *testing.T) {
	for i, kind := range keyKinds {
		t.Run(kind.name, func(t *testing.T) {
			key := kind.key(t)
			c := certify(t, key)
			h := newRPMHouse(t)
			// rpmsign asks for a signature over the header, and gets none yet.
			if out, err := h.run(t, "rpmsign", "--addsign", h.pkg); err == nil {
				t.Fatalf("rpmsign signs with nothing:\n%s", out)
			}
			header, err := os.ReadFile(h.path("header"))
			if err != nil {
				t.Fatal(err)
			}
			write(t, h.path("signature"), sign(t, c, key, header))
			if out, err := h.run(t, "rpmsign", "--addsign", h.pkg); err != nil {
				t.Fatalf("rpmsign: %v\n%s", err, out)
			}
			trust := func(c *openpgp.Certificate) {
				t.Helper()
				if out, err := h.run(t, "rpmkeys", "--import", write(t, h.path("cert.asc"), c.Armor())); err != nil {
					t.Fatalf("rpmkeys --import: %v\n%s", err, out)
				}
			}
			trust(certify(t, keyKinds[1-i].key(t)))
			if out, err := h.check(t, h.pkg); err == nil || !strings.Contains(out, "NOKEY") {
				t.Errorf("with another's certificate: %v\n%s", err, out)
			}
			trust(c)
			keyID := strings.ToLower(c.Fingerprint()[len(c.Fingerprint())-8:])
			out, err := h.check(t, h.pkg)
			if err != nil || !strings.Contains(out, "Signature, key ID "+keyID+": OK") {
				t.Errorf("rpmkeys --checksig: %v\n%s", err, out)
			}
			data, err := os.ReadFile(h.pkg)
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)-1] ^= 1
			if out, err := h.check(t, write(t, h.path("changed.rpm"), data)); err == nil {
				t.Errorf("rpm accepts a changed payload:\n%s", out)
			}
		})
	}
}
