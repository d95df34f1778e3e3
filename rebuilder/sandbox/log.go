package sandbox

import (
	"crypto/sha256"
	"hash"
	"io"
)

// cappedLog keeps the first limit bytes of a stream and counts the rest.
type cappedLog struct {
	w     io.Writer
	limit int64
	kept  hash.Hash
	size  int64 // bytes kept
	total int64 // bytes seen
	err   error // first error of w; nothing is kept after it
}

func newCappedLog(w io.Writer, limit int64) *cappedLog {
	return &cappedLog{w: w, limit: limit, kept: sha256.New()}
}

// Write never fails: a writer that cannot store the log must not stop the build's output from being drained.
func (l *cappedLog) Write(p []byte) (int, error) {
	l.total += int64(len(p))
	keep := p[:min(int64(len(p)), l.limit-l.size)]
	if l.err == nil && len(keep) > 0 {
		var n int
		n, l.err = l.w.Write(keep)
		l.kept.Write(keep[:n])
		l.size += int64(n)
	}
	return len(p), nil
}

func (l *cappedLog) digest() (d [32]byte) {
	l.kept.Sum(d[:0])
	return d
}
