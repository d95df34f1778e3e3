package dashboard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/reprosign/reprosign/coordinator"
)

// problem is an answer that is no answer. Text is for people; it says nothing
// of what is behind the dashboard, and nothing that was asked for.
type problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Text   string `json:"message"`
}

// Error implements error.
func (p *problem) Error() string { return p.Title + ": " + p.Text }

var (
	errNoPage = &problem{http.StatusNotFound, "No such page", "There is nothing at this address. Releases are listed on the first page."}
	// One answer for what does not exist and for what may not be shown yet.
	errNotFound = &problem{
		http.StatusNotFound, "Not found",
		"There is no such release, file or log entry, or it may not be shown yet: digests are public once a release is decided and in the log.",
	}
	errMethod = &problem{http.StatusMethodNotAllowed, "Only for reading", "This service answers GET and HEAD. Requests and votes go over the message bus, signed."}
	errAway   = &problem{http.StatusServiceUnavailable, "Away for a moment", "The database does not answer right now. Nothing is lost; try again in a few seconds."}
	errFault  = &problem{http.StatusInternalServerError, "Something went wrong here", "This page could not be made. The operators find the reason in their log."}
)

func badRequest(format string, args ...any) error {
	return &problem{http.StatusBadRequest, "Not understood", fmt.Sprintf(format, args...)}
}

// problemOf says what a client is told of an error.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	switch {
	case errors.Is(err, coordinator.ErrNotFound):
		return errNotFound
	case errors.Is(err, coordinator.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return errAway
	}
	return errFault
}

// fail answers with an error, in the kind of the URL. What is behind it goes to
// the log alone.
func (b *Board) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	if p.Status >= http.StatusInternalServerError && r.Context().Err() == nil {
		b.log.ErrorContext(r.Context(), "request not answered", slog.String("path", r.URL.Path), slog.Int("status", p.Status), slog.Any("reason", err))
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if p == errAway {
		h.Set("Retry-After", "5")
	}
	var body []byte
	switch kindOf(r.URL.Path) {
	case kindJSON:
		h.Set("Content-Type", typeJSON)
		body, err = marshal(struct {
			Error *problem `json:"error"`
		}{p})
	case kindPlain:
		h.Set("Content-Type", typeText)
		body, err = []byte(p.Text+"\n"), nil
	case kindPage:
		h.Set("Content-Type", typeHTML)
		body, err = b.looks.render("problem", p)
	}
	if err != nil {
		b.log.ErrorContext(r.Context(), "error page not made", slog.String("path", r.URL.Path), slog.Any("reason", err))
	}
	w.WriteHeader(p.Status)
	send(w, r, body)
}

// send writes a body to whoever still listens.
func send(w http.ResponseWriter, r *http.Request, body []byte) {
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // whoever asked has gone: there is nobody to tell
	}
}
