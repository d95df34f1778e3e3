package cmd_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryTestNamedForAnInvariantExists keeps docs/invariants.md true.
func TestEveryTestNamedForAnInvariantExists(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "invariants.md"))
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	tree := os.DirFS("..")
	err = fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := fs.ReadFile(tree, path)
		if err != nil {
			return err
		}
		for _, m := range declared.FindAllSubmatch(text, -1) {
			there[string(m[1])] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	named := regexp.MustCompile("`(Test\\w+)`")
	for line := range strings.Lines(string(page)) {
		names := named.FindAllStringSubmatch(line, -1)
		if regexp.MustCompile(`^\| \d+ \|`).MatchString(line) {
			lines++
			if len(names) == 0 {
				t.Errorf("no test is named for %q", line)
			}
		}
		for _, m := range names {
			if !there[m[1]] && m[1] != "TestLong" {
				t.Errorf("%s is named, but there is no such test", m[1])
			}
		}
	}
	if lines != 11 {
		t.Errorf("%d invariants are listed, the design has 11", lines)
	}
}
