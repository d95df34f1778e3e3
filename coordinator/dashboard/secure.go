package dashboard

import (
	"net/http"
	"strings"
)

// contentPolicy lets a page load its style sheet and its icon, and send its own
// forms; nothing else, from nowhere else. There is no script to permit.
const contentPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// secure sets the headers that every answer carries. Transport security is the
// business of the proxy that ends TLS.
func secure(h http.Header, path string) {
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	if kindOf(path) == kindPage {
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		return
	}
	// Public and the same for everybody: a verifier in a browser may read it.
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
}

// kind is how a URL speaks, also when something is wrong.
type kind int

const (
	kindPage kind = iota
	kindJSON
	kindPlain // the log's own URLs: whoever asks is a program that reads the status
)

func kindOf(path string) kind {
	switch {
	case strings.HasPrefix(path, "/api/"):
		return kindJSON
	case path == "/checkpoint", strings.HasPrefix(path, "/tile/"), strings.HasPrefix(path, "/body/"):
		return kindPlain
	}
	return kindPage
}
