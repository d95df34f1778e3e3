package translog

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
)

// Origin returns the first line of a note, which is the origin if the note is a
// checkpoint. It verifies nothing: it tells whose keys to verify with.
func Origin(signed []byte) string {
	line, _, _ := bytes.Cut(signed, []byte("\n"))
	return string(line)
}

// OpenForeign verifies the checkpoint of any log that follows C2SP
// tlog-checkpoint, as its witnesses do: other origins than host names are
// allowed, and extension lines, which the Checkpoint does not show. One of keys,
// the log's, must have signed; none of them may have signed badly. Whether an
// empty tree has the root of one is for [CheckConsistency] to see.
func OpenForeign(signed []byte, origin string, keys ...attest.VerifierKey) (Checkpoint, error) {
	c, err := openForeign(signed, origin, keys)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("opening checkpoint: %w", err)
	}
	return c, nil
}

func openForeign(signed []byte, origin string, keys []attest.VerifierKey) (Checkpoint, error) {
	text, err := openNote(signed, origin, keys...)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := parseForeign(text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != origin {
		return Checkpoint{}, fmt.Errorf("checkpoint of log %.80q, want %.80q", c.Origin, origin)
	}
	return c, nil
}

// ReadForeign reads what [OpenForeign] opens, and verifies nothing.
func ReadForeign(signed []byte) (Checkpoint, error) {
	text, err := noteText(signed)
	if err != nil {
		return Checkpoint{}, err
	}
	return parseForeign(string(text))
}

func parseForeign(text string) (Checkpoint, error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) != 4 || strings.HasPrefix(lines[3], "\n") || strings.Contains(lines[3], "\n\n") {
		return Checkpoint{}, malformed("checkpoint has an empty line, or fewer lines than origin, size and root")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || size > MaxTreeSize || strconv.FormatInt(size, 10) != lines[1] {
		return Checkpoint{}, malformed("tree size %.20q", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil || root.String() != lines[2] {
		return Checkpoint{}, malformed("root hash %.50q", lines[2])
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: root}, nil
}

// Prune returns a checkpoint that one of a log's keys signed with the signature
// lines of these keys alone: anybody can append lines that nobody verifies.
func Prune(signed []byte, keys ...attest.VerifierKey) ([]byte, error) {
	opened, err := openSigned(signed, Origin(signed), keys)
	if err != nil {
		return nil, fmt.Errorf("pruning checkpoint: %w", err)
	}
	pruned := []byte(opened.Text + "\n")
	for _, s := range opened.Sigs {
		pruned = fmt.Appendf(pruned, "— %s %s\n", s.Name, s.Base64)
	}
	return pruned, nil
}
