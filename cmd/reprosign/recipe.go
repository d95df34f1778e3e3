package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"
	"golang.org/x/mod/module"

	"github.com/reprosign/reprosign/attest"
)

func (a *app) recipeCommand() *cobra.Command {
	return group("recipe", "Write recipes for release requests", a.recipeDebianCommand(), a.recipeGolangCommand())
}

func (a *app) recipeDebianCommand() *cobra.Command {
	var base, build, options string
	cmd := &cobra.Command{
		Use:   "debian DSC --url-base URL",
		Short: "Print the recipe for a Debian source package",
		Long: `Print the recipe for a Debian source package: the .dsc, which is hashed, and the files that it lists
with SHA-256 and size. Rebuilders fetch them from the directory --url-base.`,
		Example: `  reprosign recipe debian hello_2.10-3.dsc --url-base https://deb.example.org/pool/h/hello >hello.json`,
		Args:    cobra.ExactArgs(1),
		RunE: a.do(func(_ context.Context, args []string) error {
			r := attest.Recipe{Backend: "debian", Parameters: map[string]string{}}
			set(r.Parameters, "build", build)
			set(r.Parameters, "build_options", options)
			data, err := readFile(args[0], maxDSC)
			if err != nil {
				return err
			}
			sources, err := dscSources(data)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			r.Sources = append(sources, attest.Source{
				Name: filepath.Base(args[0]), SHA256: attest.SHA256(data), Size: int64(len(data)),
			})
			for i := range r.Sources {
				r.Sources[i].URLs = []string{strings.TrimSuffix(base, "/") + "/" + r.Sources[i].Name}
			}
			return a.printRecipe(r)
		}),
	}
	cmd.Flags().StringVar(&base, "url-base", "", "where the files are: a directory's URL")
	cmd.Flags().StringVar(&build, "build", "", "packages to build: binary (all), any or all")
	cmd.Flags().StringVar(&options, "build-options", "", "words of DEB_BUILD_OPTIONS")
	required(cmd, "url-base")
	complete(cmd, "build", "binary", "any", "all")
	return cmd
}

// maxDSC bounds a .dsc file.
const maxDSC = 1 << 20

// dscSources reads the files that a .dsc lists under Checksums-Sha256. It
// checks no signature: who made the .dsc is the publisher's to know.
func dscSources(data []byte) ([]attest.Source, error) {
	var sources []attest.Source
	inside := false
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, " ") {
			inside = strings.EqualFold(strings.TrimSpace(line), "Checksums-Sha256:")
			continue
		}
		if !inside {
			continue
		}
		f := strings.Fields(line)
		if len(f) != 3 {
			return nil, fmt.Errorf("line %q is not digest, size and name", plain(line))
		}
		digest, err := attest.ParseDigest(f[0])
		if err != nil {
			return nil, err
		}
		size, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return nil, err
		}
		sources = append(sources, attest.Source{Name: f[2], SHA256: digest, Size: size})
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(sources) == 0 {
		return nil, errors.New("no files under Checksums-Sha256: is it a .dsc")
	}
	return sources, nil
}

func (a *app) recipeGolangCommand() *cobra.Command {
	var zip, download, goos, goarch, tags string
	var urls []string
	cmd := &cobra.Command{
		Use:   "golang MODULE@VERSION PACKAGE… (--zip FILE | --download FILE)",
		Short: "Print the recipe for programs of a Go module",
		Long: `Print the recipe for programs of a Go module. The module's zip file, as module proxies serve it, pins
the source: name it with --zip, or name what go mod download -json printed with --download.`,
		Example: `  go mod download -json example.org/hello@v1.2.3 >hello.download
  reprosign recipe golang example.org/hello@v1.2.3 example.org/hello/cmd/hello --download hello.download >hello.json`,
		Args: cobra.MinimumNArgs(2),
		RunE: a.do(func(_ context.Context, args []string) error {
			mod, version, _ := strings.Cut(args[0], "@")
			if err := module.Check(mod, version); err != nil {
				return usage(err)
			}
			if download != "" {
				var err error
				if zip, err = downloadedZip(download, mod, version); err != nil {
					return err
				}
			}
			source, err := zipSource(zip, version, urls)
			if err != nil {
				return err
			}
			r := attest.Recipe{Backend: "golang", Sources: []attest.Source{source}, Parameters: map[string]string{
				"module": mod, "version": version, "packages": strings.Join(args[1:], " "),
			}}
			set(r.Parameters, "goos", goos)
			set(r.Parameters, "goarch", goarch)
			set(r.Parameters, "tags", tags)
			return a.printRecipe(r)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&zip, "zip", "", "the module's zip file")
	f.StringVar(&download, "download", "", "file with the output of go mod download -json")
	f.StringArrayVar(&urls, "url", nil, "where the zip file is; may be given several times")
	f.StringVar(&goos, "goos", "", "target system (default linux)")
	f.StringVar(&goarch, "goarch", "", "target architecture in Go's words (default that of the release)")
	f.StringVar(&tags, "tags", "", "build tags, separated by commas")
	cmd.MarkFlagsOneRequired("zip", "download")
	cmd.MarkFlagsMutuallyExclusive("zip", "download")
	return cmd
}

// downloadedZip returns the path of the zip file from the output of go mod
// download -json, which must be about this module.
func downloadedZip(path, mod, version string) (string, error) {
	const most = 1 << 20
	data, err := readFile(path, most)
	if err != nil {
		return "", err
	}
	var d struct{ Path, Version, Zip, Error string } // among others
	if err := json.Unmarshal(data, &d); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	switch {
	case d.Error != "":
		return "", fmt.Errorf("%s: go could not download it: %s", path, plain(d.Error))
	case d.Path != mod || d.Version != version:
		return "", fmt.Errorf("%s: it is about %s@%s, not %s@%s", path, plain(d.Path), plain(d.Version), mod, version)
	case d.Zip == "":
		return "", fmt.Errorf("%s: it names no zip file", path)
	}
	return d.Zip, nil
}

func zipSource(path, version string, urls []string) (attest.Source, error) {
	f, err := openRegular(path)
	if err != nil {
		return attest.Source{}, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return attest.Source{}, fmt.Errorf("reading %s: %w", path, err)
	}
	digest, err := digestOf(path)
	if err != nil {
		return attest.Source{}, err
	}
	return attest.Source{Name: version + ".zip", SHA256: digest, Size: size, URLs: urls}, nil
}

// printRecipe checks a recipe and prints it in the form that submit reads.
func (a *app) printRecipe(r attest.Recipe) error {
	data, err := attest.MarshalCanonical(r)
	if err != nil {
		return err
	}
	if r, err = parseRecipe(data); err != nil { // sorted and checked
		return err
	}
	return a.printJSON(r)
}

// set sets a parameter unless it is empty.
func set(parameters map[string]string, name, value string) {
	if value != "" {
		parameters[name] = value
	}
}
