package backend

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Kinds of artifacts that Kind can tell. Policies list the kinds a suite may sign.
const (
	KindDeb        = "deb"         // Debian binary package, .deb or .udeb
	KindPacman     = "pkg.tar.zst" // pacman package
	KindRPM        = "rpm"         // binary rpm
	KindSourceRPM  = "srpm"        // source rpm
	KindWheel      = "wheel"       // Python wheel
	KindSdist      = "sdist"       // Python source distribution
	KindExecutable = "executable"  // ELF, PE or Mach-O program
	KindFile       = "file"        // anything else
)

// What is read at most to tell a kind.
const (
	kindMembers = 64        // members of a tar archive
	kindBytes   = 4 << 20   // decompressed
	kindWindow  = 128 << 20 // zstd window; pacman's own packages need at most 8 MiB
	kindEntries = 65536     // entries of a zip archive
)

// Kind says what the bytes are, whatever the name. It reads no more than it needs, and what looks broken is a file: the
// answer only has to be the same for the same bytes.
func Kind(r io.ReaderAt, size int64) string {
	head := make([]byte, 512)
	n, _ := r.ReadAt(head, 0)
	head = head[:n]
	whole := func() *bufio.Reader { return bufio.NewReader(io.NewSectionReader(r, 0, size)) }
	switch {
	case bytes.HasPrefix(head, []byte("!<arch>\n")):
		if isDeb(whole()) {
			return KindDeb
		}
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		if isPacman(whole()) {
			return KindPacman
		}
	case bytes.HasPrefix(head, []byte{0xed, 0xab, 0xee, 0xdb}) && len(head) >= 96:
		// The lead holds the type at offset 6: 0 is binary, 1 is source.
		switch binary.BigEndian.Uint16(head[6:]) {
		case 0:
			return KindRPM
		case 1:
			return KindSourceRPM
		}
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		if isWheel(r, size) {
			return KindWheel
		}
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		if isSdist(whole()) {
			return KindSdist
		}
	case bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		if isProgram(r) {
			return KindExecutable
		}
	case isPE(head), isMachO(head):
		return KindExecutable
	}
	return KindFile
}

// isDeb looks for the first two members that deb(5) prescribes.
func isDeb(r io.Reader) bool {
	const header = 60
	buf := make([]byte, 8+header+4+header)
	if _, err := io.ReadFull(r, buf); err != nil {
		return false
	}
	first, content, second := buf[8:8+header], buf[8+header:8+header+4], buf[8+header+4:]
	return arName(first) == "debian-binary" && string(content) == "2.0\n" && strings.HasPrefix(arName(second), "control.tar")
}

func arName(header []byte) string {
	return strings.TrimSuffix(strings.TrimRight(string(header[:16]), " "), "/")
}

// isPacman looks for the package's own description among the first members.
func isPacman(r io.Reader) bool {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(kindWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return false
	}
	defer z.Close()
	return tarHas(z, func(name string) bool { return name == ".PKGINFO" })
}

// isSdist looks for PKG-INFO in the one top directory, as PEP 517 archives have it.
func isSdist(r io.Reader) bool {
	z, err := gzip.NewReader(r)
	if err != nil {
		return false
	}
	return tarHas(z, func(name string) bool {
		dir, file := path.Split(name)
		return file == "PKG-INFO" && strings.Count(dir, "/") == 1
	})
}

func tarHas(r io.Reader, match func(name string) bool) bool {
	t := tar.NewReader(io.LimitReader(r, kindBytes))
	for range kindMembers {
		h, err := t.Next()
		if err != nil {
			return false
		}
		if h.Typeflag == tar.TypeReg && match(h.Name) {
			return true
		}
	}
	return false
}

// isWheel looks for NAME.dist-info/WHEEL.
func isWheel(r io.ReaderAt, size int64) bool {
	z, err := zip.NewReader(r, size)
	if err != nil || len(z.File) > kindEntries {
		return false
	}
	for _, f := range z.File {
		dir, file := path.Split(f.Name)
		if file == "WHEEL" && strings.HasSuffix(dir, ".dist-info/") && strings.Count(dir, "/") == 1 {
			return true
		}
	}
	return false
}

// isProgram tells a program from a shared object: it has a fixed address, an interpreter, or says it is a static PIE.
func isProgram(r io.ReaderAt) bool {
	f, err := elf.NewFile(r)
	if err != nil {
		return false
	}
	if f.Type == elf.ET_EXEC {
		return true
	}
	if f.Type != elf.ET_DYN {
		return false
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return true
		}
	}
	flags, err := f.DynValue(elf.DT_FLAGS_1)
	return err == nil && len(flags) == 1 && elf.DynFlag1(flags[0])&elf.DF_1_PIE != 0
}

func isPE(head []byte) bool {
	if len(head) < 64 || string(head[:2]) != "MZ" {
		return false
	}
	at := binary.LittleEndian.Uint32(head[60:])
	return int64(at)+4 <= int64(len(head)) && string(head[at:at+4]) == "PE\x00\x00"
}

func isMachO(head []byte) bool {
	return len(head) >= 16 && binary.LittleEndian.Uint32(head)&^1 == 0xfeedface && binary.LittleEndian.Uint32(head[12:]) == 2 // MH_EXECUTE
}
