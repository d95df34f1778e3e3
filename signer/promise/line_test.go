package promise

import (
	"bytes"
	"crypto/sha512"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reprosign/reprosign/attest"
)

func FuzzLineIsReadAsWrittenOrRefused(f *testing.F) {
	before := attest.SHA256([]byte("before"))
	e := entry{"d8e8", before, []attest.Digest512{sha512.Sum512(nil), sha512.Sum512([]byte("a"))}, before}
	for _, promises := range [][]entry{{e}, {e, e}, {{}}, {}} {
		data, err := attest.MarshalCanonical(promises)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(append(data, ' '))
		f.Add(bytes.ToUpper(data))
	}
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, promises []byte) {
		// With the sum that these bytes would have, or no change would get any further.
		own := attest.SHA256(append(bytes.Clone(before[:]), promises...))
		data := fmt.Appendf(nil, `{"promises":%s,"sum":"%s"}`, promises, own)
		l, err := parse(before, data)
		if err != nil {
			return
		}
		again, sum, err := encode(before, l.Promises)
		if err != nil || sum != own || !bytes.Equal(again, append(data, '\n')) {
			t.Errorf("read %q, would be written as %q, %v", data, again, err)
		}
		if _, err := parse(attest.Digest{}, data); err == nil {
			t.Error("read after another line too")
		}
	})
}

func TestSenselessLinesAreRefusedWhateverTheirSum(t *testing.T) {
	first := attest.SHA256([]byte(form))
	good := entry{"d8e8", first, []attest.Digest512{sha512.Sum512(nil)}, first}
	for name, change := range map[string]func(e *entry) []entry{
		"nothing":              func(*entry) []entry { return []entry{} },
		"the same twice":       func(e *entry) []entry { return []entry{*e, *e} },
		"no bytes":             func(e *entry) []entry { e.SHA512 = []attest.Digest512{}; return []entry{*e} },
		"no certificate":       func(e *entry) []entry { e.Certificate = ""; return []entry{*e} },
		"a long certificate":   func(e *entry) []entry { e.Certificate = strings.Repeat("f", 65); return []entry{*e} },
		"no release":           func(e *entry) []entry { e.Release = attest.Digest{}; return []entry{*e} },
		"no decision":          func(e *entry) []entry { e.Statement = attest.Digest{}; return []entry{*e} },
		"what all others have": nil,
	} {
		promises := []entry{good}
		if change != nil {
			e := good
			promises = change(&e)
		}
		data, _, err := encode(first, promises)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName), data, fileMode); err != nil {
			t.Fatal(err)
		}
		b, err := Open(Config{Directory: dir, Log: slog.New(slog.DiscardHandler)})
		if (err == nil) != (change == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			_ = b.Close()
		}
	}
}

func TestAPromiseIsNotGivenUnlessItIsOnDisk(t *testing.T) {
	b, err := Open(Config{Directory: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	end, pipe, err := os.Pipe() // takes what is written and has no disk to put it on
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	defer pipe.Close()
	disk := b.file.f
	b.file.f = pipe
	d := Decision{Release: attest.SHA256([]byte{1}), Statement: attest.SHA256([]byte{2})}
	if err := b.Give("d8e8", []Promise{{sha512.Sum512(nil), d}}); !errors.Is(err, ErrBroken) {
		t.Errorf("promised: %v", err)
	}
	b.file.f = disk
}

func TestPromisesOfOneTimeAreWrittenAtOnce(t *testing.T) {
	const askers = 8
	dir := t.TempDir()
	b, err := Open(Config{Directory: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	b.writing.Lock() // as while another batch is on its way to the disk
	var all sync.WaitGroup
	for n := range askers {
		all.Go(func() {
			d := Decision{Release: attest.SHA256([]byte{1}), Statement: attest.SHA256([]byte{byte(n / 2)})}
			if err := b.Give("d8e8", []Promise{{sha512.Sum512([]byte{byte(n / 2)}), d}}); err != nil {
				t.Error(err)
			}
		})
	}
	waiting := func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.open.size
	}
	for deadline := time.Now().Add(time.Minute); waiting() < askers/2; {
		if time.Now().After(deadline) {
			t.Fatalf("%d promises wait", waiting())
		}
	}
	if data, err := os.ReadFile(filepath.Join(dir, fileName)); err != nil || len(data) != 0 {
		t.Errorf("%d bytes are written already, %v", len(data), err)
	}
	b.writing.Unlock()
	all.Wait()
	data, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(data, []byte{'\n'}); n != 1 {
		t.Errorf("%d lines, want one", n)
	}
}
