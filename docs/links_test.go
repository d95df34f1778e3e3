// Package docs_test checks the pages against the tree that they describe.
package docs_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fence   = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	noise   = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// tree is the repository.
var tree = os.DirFS("..")

// pages returns every Markdown file of the tree by its path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if entry.IsDir() && name != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "bin") {
			return fs.SkipDir
		}
		if path.Ext(name) != ".md" {
			return nil
		}
		data, err := fs.ReadFile(tree, name)
		all[name] = fence.ReplaceAllString(string(data), "")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("found %d pages only", len(all))
	}
	return all
}

// anchors are the fragments that a page's headings can be linked by.
func anchors(page string) []string {
	var all []string
	for _, match := range heading.FindAllStringSubmatch(page, -1) {
		text := noise.ReplaceAllString(strings.ToLower(match[1]), "")
		all = append(all, strings.ReplaceAll(text, " ", "-"))
	}
	return all
}

func TestEveryRelativeLinkLeadsSomewhere(t *testing.T) {
	all := pages(t)
	for name, text := range all {
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			target, fragment, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			file := name
			if target != "" {
				file = path.Join(path.Dir(name), target)
			}
			if _, err := fs.Stat(tree, file); err != nil {
				t.Errorf("%s: link to %s: %v", name, match[1], err)
				continue
			}
			if fragment != "" && !slices.Contains(anchors(all[file]), fragment) {
				t.Errorf("%s: %s has no heading #%s", name, file, fragment)
			}
		}
	}
}

// metric is a name in the manual; its type and labels follow in braces or not at all.
var metric = regexp.MustCompile("`(reprosign_[a-z_]+)(?:\\{[^}]*\\})?`")

func TestMetricsInTheManualExist(t *testing.T) {
	var code strings.Builder
	for _, file := range []string{
		"coordinator/metrics.go", "coordinator/sequencer/*.go", "coordinator/dashboard/*.go",
		"witness/metrics.go", "signer/metrics.go", "signer/ledger/metrics.go", "signer/promise/metrics.go", "signer/nethsm/metrics.go", "rebuilder/metrics.go", "monitor/metrics.go", "internal/bus/metrics.go",
	} {
		matches, err := fs.Glob(tree, file)
		if err != nil || len(matches) == 0 {
			t.Fatalf("%s: %d files, %v", file, len(matches), err)
		}
		for _, m := range matches {
			data, err := fs.ReadFile(tree, m)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(data)
		}
	}
	data, err := fs.ReadFile(tree, "docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	found := metric.FindAllStringSubmatch(string(data), -1)
	if len(found) < 10 {
		t.Fatalf("the manual names %d metrics only", len(found))
	}
	for _, match := range found {
		name := strings.TrimPrefix(match[1], "reprosign_")
		_, rest, _ := strings.Cut(name, "_") // the part behind a subsystem
		if !strings.Contains(code.String(), `"`+match[1]+`"`) && !strings.Contains(code.String(), `"`+rest+`"`) && !strings.Contains(code.String(), `"`+name+`"`) {
			t.Errorf("no metric %s", match[1])
		}
	}
}
