package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
)

//go:embed templates assets
var content embed.FS

// layout is the template that every page fills in.
const layout = "templates/layout.html"

// looks are the parsed pages and the files they load.
type looks struct {
	pages  map[string]*template.Template
	assets map[string]file // by file name with digest
	paths  map[string]string
}

func loadLooks() (*looks, error) {
	l := &looks{pages: map[string]*template.Template{}, assets: map[string]file{}, paths: map[string]string{}}
	if err := l.loadAssets(); err != nil {
		return nil, err
	}
	names, err := fs.Glob(content, "templates/*.html")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if name == layout {
			continue
		}
		page, err := template.New(path.Base(layout)).Funcs(l.functions()).ParseFS(content, layout, name)
		if err != nil {
			return nil, err
		}
		l.pages[strings.TrimSuffix(path.Base(name), ".html")] = page
	}
	return l, nil
}

// loadAssets gives each file a name with its digest in it, so that it can be
// kept for ever and a new version is seen at once.
func (l *looks) loadAssets() error {
	types := map[string]string{".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
	entries, err := content.ReadDir("assets")
	if err != nil {
		return err
	}
	for _, e := range entries {
		data, err := content.ReadFile("assets/" + e.Name())
		if err != nil {
			return err
		}
		end := path.Ext(e.Name())
		sum := sha256.Sum256(data)
		named := strings.TrimSuffix(e.Name(), end) + "-" + hex.EncodeToString(sum[:6]) + end
		l.assets[named] = file{data: data, contentType: types[end], cache: cacheForever}
		l.paths[e.Name()] = "/assets/" + named
	}
	return nil
}

func (l *looks) asset(r *http.Request) (any, error) {
	f, ok := l.assets[r.PathValue("file")]
	if !ok {
		return nil, errNoPage
	}
	return f, nil
}

// render makes a page as a whole, so that an error in the middle shows nothing
// of it.
func (l *looks) render(name string, value any) ([]byte, error) {
	page, ok := l.pages[name]
	if !ok {
		return nil, fmt.Errorf("no page %q", name)
	}
	var b bytes.Buffer
	if err := page.Execute(&b, value); err != nil {
		return nil, fmt.Errorf("making page %q: %w", name, err)
	}
	return b.Bytes(), nil
}

// functions are what templates call.
func (l *looks) functions() template.FuncMap {
	return template.FuncMap{
		"asset":  func(name string) string { return l.paths[name] },
		"state":  lookOfState,
		"view":   lookOfView,
		"short":  func(d attest.Digest) string { return d.Short() },
		"tint":   func(d attest.Digest) string { return fmt.Sprintf("tint-%d", d[0]%tints) },
		"minute": func(t attest.Time) string { return t.Time().Format("2006-01-02 15:04 UTC") },
		"since":  func(t, from attest.Time) string { return "+" + policy.Seconds(t-from).String() },
		"bytes":  size,
		"quote":  quote,
		"plural": plural,
		"groups": groups,
	}
}

// tints is how many tints the style sheet has. A tint helps to see which
// digests are alike; the digest beside it is what counts.
const tints = 18

// look is how a word is shown: never by its colour alone.
type look struct {
	Icon string // an SVG symbol of the layout
	Word string
	Tone string // a class of the style sheet
}

func lookOfState(s coordinator.State) look {
	switch s {
	case coordinator.Signed:
		return look{"check", "signed", "good"}
	case coordinator.Logged:
		return look{"book", "decided", "near"}
	case coordinator.Agreed:
		return look{"book", "agreed", "near"}
	case coordinator.Building:
		return look{"dots", "building", "calm"}
	case coordinator.Held:
		return look{"pause", "held", "notice"}
	case coordinator.Conflict:
		return look{"unequal", "conflict", "notice"}
	case coordinator.Expired:
		return look{"clock", "expired", "calm"}
	case coordinator.Withdrawn:
		return look{"back", "withdrawn", "calm"}
	}
	return look{"dots", string(s), "calm"}
}

func lookOfView(v policy.View) look {
	switch v {
	case policy.ViewPending:
		return look{"dots", "not rebuilt yet", "calm"}
	case coordinator.Reported:
		return look{"box", "reported a build", "near"}
	case policy.ViewAgrees:
		return look{"equal", "agrees", "good"}
	case policy.ViewDiffers:
		return look{"unequal", "differs", "notice"}
	case policy.ViewBuildFailed:
		return look{"gap", "did not build", "calm"}
	case policy.ViewInfraError:
		return look{"gap", "machine or network trouble", "calm"}
	case policy.ViewEquivocated:
		return look{"fork", "said two things, does not count", "notice"}
	case viewAbsent:
		return look{"gap", "not in this build", "notice"}
	}
	return look{"dots", string(v), "calm"}
}

// size writes a number of bytes for people.
func size(n int64) string {
	const step = 1024
	if n < step {
		return plural(int(n), "byte", "bytes")
	}
	value, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB"} {
		if value /= step; value < step {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}

// quote writes a word as a shell takes it: names of artifacts may hold what a
// shell would act on, and people copy these lines.
func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._+-:@%=,/", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// groups cuts a fingerprint into groups of four, as gpg shows it.
func groups(fingerprint string) string {
	var b strings.Builder
	for i, r := range fingerprint {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}
