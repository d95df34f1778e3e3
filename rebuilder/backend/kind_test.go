package backend_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/reprosign/reprosign/rebuilder/backend"
)

func tarOf(t *testing.T, w io.WriteCloser, names ...string) {
	t.Helper()
	tw := tar.NewWriter(w)
	for _, name := range names {
		if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func zipOf(t *testing.T, name string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	if _, err := z.Create(name); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestKindIsWhatTheBytesAre(t *testing.T) {
	var pacman, sdist, plain bytes.Buffer
	z, err := zstd.NewWriter(&pacman)
	if err != nil {
		t.Fatal(err)
	}
	tarOf(t, z, ".BUILDINFO", ".MTREE", ".PKGINFO", "usr/bin/x")
	tarOf(t, gzip.NewWriter(&sdist), "x-1.0/setup.py", "x-1.0/PKG-INFO")
	tarOf(t, gzip.NewWriter(&plain), "x-1.0/setup.py", "x-1.0/sub/PKG-INFO")
	program, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	deb := "!<arch>\n" + "debian-binary   1700000000  0     0     100644  4         `\n2.0\n" + "control.tar.xz  1700000000  0     0     100644  4         `\n"
	rpm := append([]byte{0xed, 0xab, 0xee, 0xdb, 3, 0, 0, 0}, make([]byte, 88)...)
	srpm := bytes.Clone(rpm)
	srpm[7] = 1

	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"deb":               {[]byte(deb), backend.KindDeb},
		"deb cut short":     {[]byte(deb)[:100], backend.KindFile},
		"other archive":     {[]byte("!<arch>\nlibx.o/         0           0     0     100644  4         `\nxxxx"), backend.KindFile},
		"pacman package":    {pacman.Bytes(), backend.KindPacman},
		"pacman cut short":  {pacman.Bytes()[:20], backend.KindFile},
		"sdist":             {sdist.Bytes(), backend.KindSdist},
		"tarball":           {plain.Bytes(), backend.KindFile},
		"wheel":             {zipOf(t, "x-1.0.dist-info/WHEEL"), backend.KindWheel},
		"zip":               {zipOf(t, "x/WHEEL"), backend.KindFile},
		"rpm":               {rpm, backend.KindRPM},
		"source rpm":        {srpm, backend.KindSourceRPM},
		"program":           {program, backend.KindExecutable},
		"program cut short": {program[:40], backend.KindFile},
		"text":              {[]byte("#!/bin/sh\n"), backend.KindFile},
		"nothing":           {nil, backend.KindFile},
	} {
		if got := backend.Kind(bytes.NewReader(c.content), int64(len(c.content))); got != c.want {
			t.Errorf("%s: got kind %q, want %q", name, got, c.want)
		}
	}
}

// FuzzKindNeverPanicsAndIsOneOfTheKinds feeds what a hostile build might write.
func FuzzKindNeverPanicsAndIsOneOfTheKinds(f *testing.F) {
	for _, head := range []string{"!<arch>\n", "\x28\xb5\x2f\xfd", "\xed\xab\xee\xdb", "PK\x03\x04", "\x1f\x8b", "\x7fELF", "MZ", "\xcf\xfa\xed\xfe"} {
		f.Add([]byte(head))
	}
	known := map[string]bool{
		backend.KindDeb: true, backend.KindPacman: true, backend.KindRPM: true, backend.KindSourceRPM: true,
		backend.KindWheel: true, backend.KindSdist: true, backend.KindExecutable: true, backend.KindFile: true,
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if kind := backend.Kind(bytes.NewReader(content), int64(len(content))); !known[kind] {
			t.Errorf("kind %q", kind)
		}
	})
}
