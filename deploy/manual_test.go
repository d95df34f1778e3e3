package deploy_test

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestTheManualNamesEveryFile holds the manual against this directory: a file that it
// does not name, no operator installs. Unit and settings of a process go by its name.
func TestTheManualNamesEveryFile(t *testing.T) {
	manual := read(t, "..", "docs", "operations.md")
	ofProcess := regexp.MustCompile(`^(?:systemd/reprosign-(\w+)@?\.service|config/(\w+)\.toml)$`)
	err := fs.WalkDir(os.DirFS("."), ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(file, "_test.go") {
			return err
		}
		named := strings.Contains(manual, "deploy/"+file)
		if m := ofProcess.FindStringSubmatch(file); m != nil {
			named = named || strings.Contains(manual, "reprosign-"+m[1]+m[2])
		}
		if !named {
			t.Errorf("docs/operations.md does not say what deploy/%s is for", file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
