package attest

import (
	"strings"

	"github.com/reprosign/reprosign/attest/canonical"
)

// Limits of recipes.
const (
	// MaxRecipe bounds a recipe's canonical JSON, in bytes.
	MaxRecipe = 64 << 10

	maxParameters = 64
	maxParameter  = 4096
	maxSources    = 256
	maxURLs       = 8
	maxURL        = 2048
)

// Recipe tells an agent how to build: which back-end, with which parameters,
// from which exact source files. Parameters are the back-end's own and are
// checked by it; an executable named there is installed on the agent and
// pinned by digest.
type Recipe struct {
	Backend    string            `json:"backend"`
	Parameters map[string]string `json:"parameters"`
	Sources    []Source          `json:"sources"`
}

// Source is one input file, pinned by digest and size in bytes. The URLs are
// places to fetch it from, tried in order; they decide nothing.
type Source struct {
	Name   string   `json:"name"`
	SHA256 Digest   `json:"sha256"`
	Size   int64    `json:"size"`
	URLs   []string `json:"urls"`
}

// Check reports why the recipe is not acceptable to any agent.
func (r Recipe) Check() error {
	if err := CheckName(r.Backend); err != nil {
		return malformed("recipe: back-end: %w", err)
	}
	if len(r.Parameters) > maxParameters {
		return malformed("recipe: %d parameters, at most %d allowed", len(r.Parameters), maxParameters)
	}
	for k, v := range r.Parameters {
		if err := checkText("parameter name", k); err != nil {
			return malformed("recipe: %w", err)
		}
		if len(v) > maxParameter || !printable(v) {
			return malformed("recipe: parameter %q is longer than %d bytes, not UTF-8 or holds a control character", k, maxParameter)
		}
	}
	if len(r.Sources) == 0 || len(r.Sources) > maxSources {
		return malformed("recipe: %d sources, 1 to %d allowed", len(r.Sources), maxSources)
	}
	for i, s := range r.Sources {
		if err := s.check(); err != nil {
			return malformed("recipe: %w", err)
		}
		if i > 0 && r.Sources[i-1].Name >= s.Name {
			return malformed("recipe: source %q is out of order or named twice", s.Name)
		}
	}
	data, err := writeStatement(r.walk)
	if err != nil {
		return malformed("recipe: %w", err)
	}
	if len(data) > MaxRecipe {
		return malformed("recipe: %d bytes, at most %d allowed", len(data), MaxRecipe)
	}
	return nil
}

func (s Source) check() error {
	if err := CheckArtifactName(s.Name); err != nil {
		return malformed("source: %w", err)
	}
	if s.Size < 0 || s.Size > MaxArtifactSize || s.SHA256.IsZero() {
		return malformed("source %q: size %d or digest missing", s.Name, s.Size)
	}
	if len(s.URLs) > maxURLs {
		return malformed("source %q: %d URLs, at most %d allowed", s.Name, len(s.URLs), maxURLs)
	}
	for _, u := range s.URLs {
		if !plainURL(u) {
			return malformed("source %q: %q is not a plain https, http or file URL", s.Name, clip(u))
		}
	}
	return nil
}

// plainURL reports whether u is an absolute URL without credentials and
// fragment. Package net/url would decide differently from one Go version to
// the next.
func plainURL(u string) bool {
	if len(u) > maxURL || !printableASCII(u) || strings.ContainsAny(u, "#\"<>\\^`{|}") {
		return false
	}
	scheme, rest, _ := strings.Cut(u, "://")
	host, _, ok := strings.Cut(rest, "/")
	switch scheme {
	case "https", "http":
		return ok && host != "" && !strings.ContainsAny(host, "@?")
	case "file":
		return ok && host == ""
	}
	return false
}

// SourceDigest names the source whatever the mirrors: the SHA-256 of the
// canonical JSON array of {name, sha256, size} of all source files.
func (r Recipe) SourceDigest() (Digest, error) {
	data, err := writeStatement(func(w *canonical.Walk) {
		canonical.List(w, "", &r.Sources, func(s *Source) {
			canonical.Word(w, `{"name":`, &s.Name)
			w.Hex(`,"sha256":`, s.SHA256[:])
			canonical.Number(w, `,"size":`, &s.Size)
			w.Text(`}`)
		})
	})
	if err != nil {
		return Digest{}, err
	}
	return SHA256(data), nil
}

func (r *Recipe) walk(w *canonical.Walk) {
	canonical.Word(w, `{"backend":`, &r.Backend)
	w.Words(`,"parameters":`, &r.Parameters)
	canonical.List(w, `,"sources":`, &r.Sources, func(s *Source) {
		canonical.Word(w, `{"name":`, &s.Name)
		w.Hex(`,"sha256":`, s.SHA256[:])
		canonical.Number(w, `,"size":`, &s.Size)
		canonical.List(w, `,"urls":`, &s.URLs, func(u *string) { canonical.Word(w, "", u) })
		w.Text(`}`)
	})
	w.Text(`}`)
}
