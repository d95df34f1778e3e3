package backend

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reprosign/reprosign/attest"
)

// fetchTimeout bounds one source from one mirror.
const fetchTimeout = 30 * time.Minute

// Fetcher brings sources named by URL. The zero value fetches over http and https.
type Fetcher struct {
	// Client makes the requests; nil is a client with Go's defaults, proxies of the environment included.
	Client *http.Client
	// FileRoots are the directories that file URLs may name. A recipe comes from a publisher, and without this an agent
	// would tell publishers which files it has.
	FileRoots []string
}

// Sources fetches every source of the recipe into dir, under its name. Each is written and checked in one pass: what has
// the wrong size or digest never gets its name. The mirrors of a source are tried in order.
func (f Fetcher) Sources(ctx context.Context, sources []attest.Source, dir string) (Inputs, error) {
	inputs := make(Inputs, 0, len(sources))
	for _, s := range sources {
		if len(s.URLs) == 0 {
			return nil, refuse("source %q has no URL", s.Name)
		}
		var errs []error
		for _, u := range s.URLs {
			err := f.source(ctx, s, u, dir)
			if err == nil {
				errs = nil
				break
			}
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			errs = append(errs, fmt.Errorf("%s: %w", u, err))
		}
		if errs != nil {
			return nil, failure(attest.FetchFailed, "source %q: %w", s.Name, errors.Join(errs...))
		}
		inputs = append(inputs, Input{Name: s.Name, SHA256: s.SHA256, Size: s.Size})
	}
	return inputs.sorted(), nil
}

func (f Fetcher) source(ctx context.Context, s attest.Source, from, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	body, err := f.open(ctx, from)
	if err != nil {
		return err
	}
	defer body.Close()
	return storeChecked(body, filepath.Join(dir, s.Name), s.SHA256, s.Size)
}

func (f Fetcher) open(ctx context.Context, from string) (io.ReadCloser, error) {
	u, err := url.Parse(from)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "file" {
		return f.openFile(u.Path)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return nil, err
	}
	// Transparent decompression would hash something else than the mirror holds.
	req.Header.Set("Accept-Encoding", "identity")
	client := f.Client
	if client == nil {
		client = &http.Client{}
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("answered %s", resp.Status)
	}
	return resp.Body, nil
}

func (f Fetcher) openFile(name string) (io.ReadCloser, error) {
	for _, root := range f.FileRoots {
		rel, err := filepath.Rel(root, filepath.Clean(name))
		if err != nil || !filepath.IsLocal(rel) {
			continue
		}
		// Links inside the root may not lead out of it, and a pipe must not block.
		file, err := openInRoot(root, rel)
		if err != nil {
			return nil, err
		}
		return file, nil
	}
	return nil, errors.New("not under a directory that this agent's sources.file_roots allow")
}

func openInRoot(root, rel string) (*os.File, error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	file, err := r.OpenFile(rel, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// storeChecked writes exactly size bytes with the given digest to name, or nothing.
func storeChecked(r io.Reader, name string, want attest.Digest, size int64) error {
	part := filepath.Join(filepath.Dir(name), ".part")
	out, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(part) }()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, h), io.LimitReader(r, size+1))
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("size is not the %d bytes that the recipe says (read %d)", size, n)
	}
	if got := attest.Digest(h.Sum(nil)); got != want {
		return fmt.Errorf("SHA-256 is %v, not the recipe's %v", got, want)
	}
	return os.Rename(part, name)
}

// isName reports whether s is one plain file name that needs no quoting in any program.
func isName(s string) bool {
	return attest.CheckArtifactName(s) == nil && !strings.ContainsAny(s, "'\"$`*?[]{}()<>|&;#!")
}
