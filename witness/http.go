package witness

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/reprosign/reprosign/attest/translog"
)

// Handler serves C2SP tlog-witness: POST /add-checkpoint, and for monitors
// GET /<lower-case hex SHA-256 of the origin>/checkpoint, the last checkpoint
// of a log that was cosigned. Both are for everybody: the log's signature is
// the only authentication there is. Time-outs are the server's.
func (w *Witness) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", w.serveAdd)
	mux.HandleFunc("GET /{log}/checkpoint", w.serveNewest)
	return mux
}

// statuses are those of C2SP tlog-witness.
var statuses = []struct {
	refusal error
	status  int
}{
	{ErrMalformed, http.StatusBadRequest},
	{ErrUnsigned, http.StatusForbidden},
	{ErrUnknownLog, http.StatusNotFound},
	{ErrConflict, http.StatusConflict},
	{ErrInconsistent, http.StatusUnprocessableEntity},
	{ErrClock, http.StatusServiceUnavailable},
}

func (w *Witness) serveAdd(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, translog.MaxAddCheckpoint))
	if err != nil {
		status := http.StatusBadRequest
		var tooLong *http.MaxBytesError
		if errors.As(err, &tooLong) {
			status = http.StatusRequestEntityTooLarge
		}
		w.refuse(rw, r, status, err)
		return
	}
	line, err := w.AddCheckpoint(body)
	if err == nil {
		w.metrics.requests.WithLabelValues(strconv.Itoa(http.StatusOK)).Inc()
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = rw.Write(line)
		return
	}
	for _, s := range statuses {
		if errors.Is(err, s.refusal) {
			w.refuse(rw, r, s.status, err)
			return
		}
	}
	w.log.ErrorContext(r.Context(), "checkpoint not cosigned", slog.Any("reason", err))
	w.refuse(rw, r, http.StatusInternalServerError, errors.New("fault of the witness"))
}

// refuse answers with a status and, in the body, the reason, or for a conflict
// the size.
func (w *Witness) refuse(rw http.ResponseWriter, r *http.Request, status int, reason error) {
	w.metrics.requests.WithLabelValues(strconv.Itoa(status)).Inc()
	w.log.DebugContext(r.Context(), "request refused", slog.Int("status", status), slog.Any("reason", reason))
	text, kind := reason.Error()+"\n", "text/plain; charset=utf-8"
	var conflict Conflict
	if errors.As(reason, &conflict) {
		text, kind = strconv.FormatInt(conflict.Size, 10)+"\n", "text/x.tlog.size"
	}
	rw.Header().Set("Content-Type", kind)
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	rw.WriteHeader(status)
	_, _ = rw.Write([]byte(text))
}

func (w *Witness) serveNewest(rw http.ResponseWriter, r *http.Request) {
	note, err := w.newest(r.PathValue("log"))
	if err != nil {
		w.log.ErrorContext(r.Context(), "checkpoint not shown", slog.Any("reason", err))
		http.Error(rw, "fault of the witness", http.StatusInternalServerError)
		return
	}
	if note == nil {
		http.Error(rw, "no checkpoint of such a log was cosigned", http.StatusNotFound)
		return
	}
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Header().Set("Cache-Control", "no-cache")
	_, _ = rw.Write(note)
}
