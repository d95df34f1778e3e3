package backend

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/sys/unix"

	"github.com/reprosign/reprosign/attest"
)

// Limits of what one job may fetch.
const (
	maxModuleFiles = 16_384
	maxModuleBytes = 8 << 30
	maxGoSum       = 16 << 20
)

// takeModules copies the modules of a go download cache to a directory that serves as GOPROXY, and checks every zip file
// among them: the main module's against the recipe, all others against the main module's go.sum.
func takeModules(download, proxy string, job Job) (Inputs, error) {
	inputs, err := copyModules(download, proxy)
	if err != nil {
		return nil, err
	}
	p, source := job.Recipe.Parameters, job.Recipe.Sources[0]
	main, err := zipName(p["module"], p["version"])
	if err != nil {
		return nil, refuse("%w", err)
	}
	found := false
	for _, in := range inputs {
		if in.Name != main {
			continue
		}
		found = true
		if in.SHA256 != source.SHA256 || in.Size != source.Size {
			return nil, failure(attest.FetchFailed, "zip file of %s@%s has SHA-256 %v and %d bytes, not the recipe's %v and %d",
				p["module"], p["version"], in.SHA256, in.Size, source.SHA256, source.Size)
		}
	}
	if !found {
		return nil, failure(attest.FetchFailed, "go fetched no zip file of %s@%s", p["module"], p["version"])
	}
	// go asks which versions there are, to warn of retractions. Later ones than the recipe's do not concern the build.
	list := filepath.Join(proxy, filepath.FromSlash(path.Dir(main)), "list")
	if err := os.WriteFile(list, []byte(p["version"]+"\n"), 0o644); err != nil {
		return nil, err
	}
	sums, err := readGoSum(filepath.Join(proxy, filepath.FromSlash(main)), p["module"]+"@"+p["version"]+"/go.sum")
	if err != nil {
		return nil, err
	}
	return inputs, checkSums(inputs, main, proxy, sums)
}

// checkSums fills in the h1 sums of all zip files and compares those of dependencies with go.sum.
func checkSums(inputs Inputs, main, proxy string, sums map[string]string) error {
	for i := range inputs {
		in := &inputs[i]
		if !strings.HasSuffix(in.Name, ".zip") {
			continue
		}
		sum, err := dirhash.HashZip(filepath.Join(proxy, filepath.FromSlash(in.Name)), dirhash.Hash1)
		if err != nil {
			return failure(attest.FetchFailed, "reading %s: %w", in.Name, err)
		}
		in.Sum = sum
		if in.Name == main {
			continue
		}
		switch sums[in.Name] {
		case sum:
		case "":
			return failure(attest.BuildFailed, "go.sum of the module does not pin %s", in.Name)
		default:
			return failure(attest.FetchFailed, "%s has sum %s, not the %s of go.sum", in.Name, sum, sums[in.Name])
		}
	}
	return nil
}

// zipName is where proxies and caches keep a module's zip file.
func zipName(mod, version string) (string, error) {
	escMod, err := module.EscapePath(mod)
	if err != nil {
		return "", err
	}
	escVersion, err := module.EscapeVersion(version)
	if err != nil {
		return "", err
	}
	return escMod + "/@v/" + escVersion + ".zip", nil
}

// readGoSum returns the sums of zip files by zipName. A module without dependencies has no go.sum.
func readGoSum(zipFile, member string) (map[string]string, error) {
	z, err := zip.OpenReader(zipFile)
	if err != nil {
		return nil, failure(attest.FetchFailed, "opening the module's zip file: %w", err)
	}
	defer z.Close()
	sums := map[string]string{}
	f, err := z.Open(member)
	if errors.Is(err, fs.ErrNotExist) {
		return sums, nil
	}
	if err != nil {
		return nil, failure(attest.BuildFailed, "opening go.sum: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxGoSum+1))
	if err != nil || len(data) > maxGoSum {
		return nil, failure(attest.BuildFailed, "go.sum is unreadable or larger than %d bytes", maxGoSum)
	}
	for line := range bytes.Lines(data) {
		w := strings.Fields(string(line))
		if len(w) != 3 || strings.HasSuffix(w[1], "/go.mod") || !strings.HasPrefix(w[2], "h1:") {
			continue
		}
		if name, err := zipName(w[0], w[1]); err == nil {
			sums[name] = w[2]
		}
	}
	return sums, nil
}

// copyModules copies the files that make up module versions, and nothing else of a download cache.
func copyModules(download, proxy string) (Inputs, error) {
	root, err := os.OpenRoot(download)
	if err != nil {
		return nil, failure(attest.FetchFailed, "go left no download cache: %w", err)
	}
	defer root.Close()
	var inputs Inputs
	var total int64
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.Type().IsRegular() || path.Base(path.Dir(name)) != "@v" {
			return nil
		}
		switch path.Ext(name) {
		case ".zip", ".mod", ".info":
		default:
			return nil
		}
		in, err := copyModuleFile(root, name, proxy)
		if err != nil {
			return err
		}
		inputs = append(inputs, in)
		if total += in.Size; total > maxModuleBytes || len(inputs) > maxModuleFiles {
			return failure(attest.FetchFailed, "modules of more than %d files or %d bytes", maxModuleFiles, int64(maxModuleBytes))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("taking over modules: %w", err)
	}
	return inputs.sorted(), nil
}

func copyModuleFile(root *os.Root, name, proxy string) (Input, error) {
	src, err := root.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return Input{}, err
	}
	defer src.Close()
	to := filepath.Join(proxy, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return Input{}, err
	}
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return Input{}, err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(dst, h), src)
	if err := errors.Join(err, dst.Close()); err != nil {
		return Input{}, err
	}
	return Input{Name: name, SHA256: attest.Digest(h.Sum(nil)), Size: n}, nil
}
