package sequencer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/translog"
)

const (
	// DefaultTimeout bounds one exchange with a witness, all its requests together.
	DefaultTimeout = 5 * time.Second

	// firstBackOff and longBackOff bound how long a witness is left alone that
	// did not cosign.
	firstBackOff = 250 * time.Millisecond
	longBackOff  = 15 * time.Second

	// clockTolerance is how far a witness's time may be from ours. A time far
	// ahead would make every decision too late, one far behind none.
	clockTolerance = 5 * time.Minute

	// exchanges bounds the requests of one exchange: the second follows a 409,
	// the third a 409 because another replica was in between.
	exchanges = 3
)

// Endpoint is where a witness of the policy can be reached.
type Endpoint struct {
	Name string // of its key in the policy
	URL  string // submission prefix, to which /add-checkpoint is appended
}

// contradiction says that a witness knows another history, or claims to.
type contradiction struct {
	size int64 // of what it cosigned; -1 if it did not say
	why  string
	note []byte // what it shows for it, unverified; nil if nothing
}

func (c *contradiction) Error() string { return c.why }

// witness is one witness as this process knows it. What it cosigned last is
// remembered so that one request is enough; the witness itself knows best.
type witness struct {
	key  attest.VerifierKey
	url  string
	http *http.Client
	turn chan struct{} // of one: whose exchange is under way

	mu       sync.Mutex
	queued   bool // an exchange waits for its turn
	busy     bool // an exchange is under way
	old      int64
	last     attest.Time // of its last cosignature
	failures int
	again    time.Time // when it may be asked again
	fault    error     // why it did not cosign the last time; nil if it did
}

// queue reports whether the witness may be asked now, and if so takes the place
// behind the exchange that may be under way. There is one such place.
func (w *witness) queue(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queued || w.url == "" || now.Before(w.again) {
		return false
	}
	w.queued = true
	return true
}

// begin waits for the exchange before, if one is under way. If that failed, the
// witness is left alone and its error returned.
func (w *witness) begin(ctx context.Context) error {
	var err error
	select {
	case w.turn <- struct{}{}:
	case <-ctx.Done():
		err = ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queued = false
	if err != nil {
		return err
	}
	if time.Now().Before(w.again) {
		<-w.turn
		return w.fault
	}
	w.busy = true
	return nil
}

// end notes how an exchange ended.
func (w *witness) end(now time.Time, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	<-w.turn
	w.busy, w.fault = false, err
	if err == nil {
		w.failures, w.again = 0, time.Time{}
		return
	}
	pause := min(firstBackOff<<min(w.failures, 10), longBackOff)
	w.failures, w.again = w.failures+1, now.Add(pause/2+jitter(pause/2))
}

// contradicts returns the last exchange's contradiction, or nil.
func (w *witness) contradicts() *contradiction {
	w.mu.Lock()
	defer w.mu.Unlock()
	var c *contradiction
	errors.As(w.fault, &c)
	return c
}

// trouble says in a few words why the witness did not cosign.
func (w *witness) trouble() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.url == "":
		return "has no address here"
	case (w.busy || w.queued) && w.fault == nil:
		return "has not answered yet"
	case w.fault == nil:
		return "was not asked"
	}
	return w.fault.Error()
}

// prover proves that one size of the log continues an older one.
type prover func(ctx context.Context, size, old int64) ([]tlog.Hash, error)

// cosign has the witness cosign a checkpoint and returns its line. A witness
// that is elsewhere than we thought says where (409) and is asked from there.
func (w *witness) cosign(ctx context.Context, c translog.Checkpoint, signed []byte, prove prover) ([]byte, error) {
	w.mu.Lock()
	old := w.old
	w.mu.Unlock()
	if old > c.Size { // a newer checkpoint was cosigned meanwhile; ask for this one as one that knows nothing
		old = 0
	}
	for range exchanges {
		proof, err := prove(ctx, c.Size, old)
		if err != nil {
			return nil, err
		}
		status, body, err := w.post(ctx, translog.AddCheckpoint{Old: old, Proof: proof, Checkpoint: signed})
		if err != nil {
			return nil, err
		}
		switch status {
		case http.StatusOK:
			return w.accept(c, signed, body)
		case http.StatusConflict:
			size, err := parseSize(body)
			if err != nil {
				return nil, err
			}
			if size > c.Size {
				return nil, &contradiction{size: size, why: fmt.Sprintf("says that it cosigned size %d already", size)}
			}
			if size == old {
				return nil, fmt.Errorf("says 409, and the size that it was asked from")
			}
			old = size
		case http.StatusUnprocessableEntity:
			return nil, &contradiction{size: -1, why: "says that our log does not continue what it cosigned"}
		default:
			return nil, fmt.Errorf("refuses with status %d", status)
		}
	}
	return nil, errors.New("says another size at every request")
}

// accept checks a cosignature and remembers what it covers.
func (w *witness) accept(c translog.Checkpoint, signed, body []byte) ([]byte, error) {
	line, cosignature, err := translog.FindCosignature(signed, body, w.key)
	if err != nil {
		return nil, fmt.Errorf("answers with no cosignature of its key")
	}
	if off := time.Since(cosignature.At.Time()); off.Abs() > clockTolerance {
		return nil, fmt.Errorf("has a clock that is off by %v", off.Round(time.Second))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.old, w.last = c.Size, cosignature.At
	return line, nil
}

// size asks the witness for the size of what it cosigned last. It shows the
// empty tree, signed, which every history continues: nothing is given away by
// it, whatever the database holds.
func (w *witness) size(ctx context.Context, empty []byte) (int64, error) {
	status, body, err := w.post(ctx, translog.AddCheckpoint{Checkpoint: empty})
	if err != nil {
		return 0, err
	}
	var size int64
	switch status {
	case http.StatusOK: // it had seen nothing of this log
	case http.StatusConflict:
		if size, err = parseSize(body); err != nil {
			return 0, err
		}
	default:
		return 0, fmt.Errorf("refuses with status %d", status)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.old = size
	return size, nil
}

// shown returns the last checkpoint that the witness shows to monitors, or nil:
// not every witness does.
func (w *witness) shown(ctx context.Context, origin string) []byte {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/"+attest.SHA256([]byte(origin)).String()+"/checkpoint", nil)
	if err != nil {
		return nil
	}
	status, body, err := w.do(req, translog.MaxCheckpoint)
	if err != nil || status != http.StatusOK {
		return nil
	}
	return body
}

func (w *witness) post(ctx context.Context, r translog.AddCheckpoint) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/add-checkpoint", bytes.NewReader(r.Marshal()))
	if err != nil {
		return 0, nil, err
	}
	return w.do(req, translog.MaxCosignatures)
}

// do sends a request and reads at most limit bytes of the answer.
func (w *witness) do(req *http.Request, limit int64) (int, []byte, error) {
	resp, err := w.http.Do(req)
	if err != nil {
		return 0, nil, unreachable(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return 0, nil, unreachable(err)
	}
	if int64(len(body)) > limit {
		return 0, nil, errors.New("answers without end")
	}
	return resp.StatusCode, body, nil
}

// unreachable keeps addresses and the like out of what everybody may read.
func unreachable(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("did not answer in time")
	}
	return errors.New("unreachable")
}

// parseSize reads the body of a 409 in its one spelling.
func parseSize(body []byte) (int64, error) {
	text, ok := strings.CutSuffix(string(body), "\n")
	size, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || size < 0 || size > translog.MaxTreeSize || strconv.FormatInt(size, 10) != text {
		return 0, errors.New("says 409 without a size")
	}
	return size, nil
}
