package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reprosign/reprosign/attest"
)

func TestMirrorsOfTheReleaseAreFoundInBothFormsOfSources(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("sources.list", `# deb http://off.example bookworm main
deb [arch=amd64 signed-by=/a.gpg,/b.gpg] http://mirror.example/debian bookworm main contrib # here
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/debian bookworm-backports main
deb http://apt.postgresql.org/pub/repos/apt bookworm-pgdg main
deb http://mirror.example/debian bookworm non-free
deb [broken http://mirror.example/debian bookworm main
`)
	write("sources.list.d/debian.sources", `Types: deb
# a comment
URIs: http://one.example/debian http://two.example/debian
Suites: bookworm bookworm-updates bookworm-proposed-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 xyz
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb
URIs: http://security.example/debian-security
Suites: stable-security
Components: main
`)
	got, err := archiveSources(dir, "bookworm")
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, s := range got {
		text = append(text, s.stanza())
	}
	want := []string{
		"Types: deb deb-src\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\nsigned-by: /a.gpg /b.gpg\n\n",
		"Types: deb deb-src\nURIs: http://one.example/debian http://two.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n" +
			"signed-by:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n xyz\n -----END PGP PUBLIC KEY BLOCK-----\n\n",
		"Types: deb deb-src\nURIs: http://security.example/debian-security\nSuites: stable-security\nComponents: main\n\n",
	}
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}

func TestMachineWithoutAMirrorUsesDebiansOwn(t *testing.T) {
	t.Parallel()
	got, err := archiveSources(t.TempDir(), "trixie")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].uris[0] != "http://deb.debian.org/debian" || got[0].suites[0] != "trixie" {
		t.Errorf("got %+v", got)
	}
}

func TestFilesAreReadFromWhatAptPrints(t *testing.T) {
	t.Parallel()
	const digest = "d9d9fd7e84cd8d829eef89928079dc6daae96964a60c8a28a19b2095b0755567"
	got, err := parseURIs(`NOTICE: 'x' packaging is maintained in 'Git'
Need to get 12.0 kB of source archives.
'http://deb.debian.org/pool/x_0.58%2bdeb12u7.tar.xz' x_0.58+deb12u7.tar.xz 10852 SHA256:` + digest + `
'http://deb.debian.org/pool/weak' weak 1 MD5Sum:d41d8cd98f00b204e9800998ecf8427e
`)
	if err != nil {
		t.Fatal(err)
	}
	sha256, err := attest.ParseDigest(digest)
	if err != nil {
		t.Fatal(err)
	}
	want := []remoteFile{{
		name: "x_0.58+deb12u7.tar.xz", url: "http://deb.debian.org/pool/x_0.58%2bdeb12u7.tar.xz", size: 10852, sha256: sha256,
	}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(remoteFile{})); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
