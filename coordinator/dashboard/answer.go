package dashboard

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Media types.
const (
	typeHTML   = "text/html; charset=utf-8"
	typeText   = "text/plain; charset=utf-8"
	typeJSON   = "application/json"
	typeBinary = "application/octet-stream"
)

// How long an answer may be kept.
const (
	// cacheCheck has the client ask again, by ETag: a release moves on.
	cacheCheck = "no-cache"
	// cacheShort is for the checkpoint, which tlog-tiles wants no older than seconds.
	cacheShort = "public, max-age=3"
	// cacheForever is for what its name fixes.
	cacheForever = "public, max-age=31536000, immutable"
)

// file is an answer that is bytes.
type file struct {
	data        []byte
	contentType string
	cache       string
	encoding    string // Content-Encoding; empty for none
	varies      bool   // by Accept-Encoding
	name        string // to save it under; empty to show it
}

// link is an answer that is another URL of ours.
type link string

// page returns a writer of an HTML page.
func (b *Board) page(name string) write {
	return func(w http.ResponseWriter, r *http.Request, value any) error {
		data, err := b.looks.render(name, value)
		if err != nil {
			return err
		}
		return download(w, r, file{data: data, contentType: typeHTML, cache: cacheCheck})
	}
}

// asJSON writes a page's value as JSON.
func asJSON(w http.ResponseWriter, r *http.Request, value any) error {
	data, err := marshal(value)
	if err != nil {
		return err
	}
	return download(w, r, file{data: data, contentType: typeJSON, cache: cacheCheck})
}

// marshal writes JSON that people can read too.
func marshal(value any) ([]byte, error) {
	data, err := json.Marshal(value, jsontext.WithIndent("  "), json.Deterministic(true))
	return append(data, '\n'), err
}

// download writes a file, or 304 if the client has it.
func download(w http.ResponseWriter, r *http.Request, value any) error {
	f, ok := value.(file)
	if !ok {
		return errFault
	}
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", f.cache)
	// Of the bytes as sent, so that both encodings of one file have their own.
	sum := sha256.Sum256(f.data)
	h.Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	if f.varies {
		h.Set("Vary", "Accept-Encoding")
	}
	if f.encoding != "" {
		h.Set("Content-Encoding", f.encoding)
	}
	if f.name != "" {
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.name}))
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.data))
	return nil
}

// redirect sends the client to another page of ours.
func redirect(w http.ResponseWriter, r *http.Request, value any) error {
	to, ok := value.(link)
	if !ok || !strings.HasPrefix(string(to), "/") {
		return errFault
	}
	w.Header().Set("Cache-Control", cacheCheck)
	http.Redirect(w, r, string(to), http.StatusFound)
	return nil
}
