package monitor

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/internal/durable"
)

// Limits of a log's memory.
const (
	// maxState bounds the file of what is not in the facts, in bytes.
	maxState = 64 << 20
	// maxAlarms bounds the alarms that are kept; the oldest that are over go first.
	maxAlarms = 1000
)

// Files of a log's memory.
const (
	stateFile = "state.json"
	// factsFile holds what each entry means, a line each, in their order.
	factsFile = "facts"
	lockFile  = "lock"

	dirMode  = 0o750
	fileMode = 0o640
)

// stateSchema names the form of the state file.
const stateSchema = "reprosign/monitor-state/v1"

// state is what a monitor remembers of a log beside the meaning of its entries.
// Writing it is what makes a pass happen.
type state struct {
	Schema string        `json:"schema"`
	Trust  attest.Digest `json:"trust"` // of the pinned policy, from which the facts follow
	// Older are the policies before the pinned one, the newest first.
	Older []*attest.Envelope `json:"older"`
	// Seen is the newest checkpoint that continues all before it, a signed note;
	// First is when it was first seen, and Answered when the log answered last.
	Seen     []byte      `json:"seen,omitzero"`
	First    attest.Time `json:"first,omitzero"`
	Answered attest.Time `json:"answered,omitzero"`
	// Rival is the checkpoint that does not continue it.
	Rival   []byte    `json:"rival,omitzero"`
	Facts   int64     `json:"facts"`   // bytes of the facts file that count
	Entries int64     `json:"entries"` // and the lines in them
	Pending []pending `json:"pending"`
	// Complaints were read and not judged yet.
	Complaints []complaint             `json:"complaints,omitzero"`
	Alarms     []raised                `json:"alarms"`
	Device     map[string]deviceRecord `json:"device,omitzero"` // by certificate
}

// chain begins the chain of policies again as it was begun.
func (s *state) chain(pinned *attest.Envelope) (*policy.Chain, error) {
	chain, err := policy.Pin(pinned)
	if err != nil {
		return nil, err
	}
	for _, e := range s.Older {
		if err := chain.Precede(e); err != nil {
			return nil, err
		}
	}
	return chain, nil
}

// olderThan returns what a chain holds before the pinned policy, the newest first.
func olderThan(chain *policy.Chain, pinned *attest.Envelope) []*attest.Envelope {
	var older []*attest.Envelope
	for _, v := range chain.Since(0) {
		if v.Digest == pinned.Digest() {
			break
		}
		older = append([]*attest.Envelope{v.Envelope}, older...)
	}
	return older
}

// pending is a decided release whose decision was not evaluated again yet.
type pending struct {
	Release attest.Digest `json:"release"`
	Signed  bool          `json:"signed"`
	Since   attest.Time   `json:"since"` // when the decision, or that it is signed, was seen in the log
	Next    attest.Time   `json:"next"`  // when to ask for its evidence again
}

// raised is an alarm with what became of it.
type raised struct {
	Alarm

	Stands bool `json:"stands"` // its condition holds
	Told   bool `json:"told"`   // the webhook took it
}

// memory is the directory of one log.
type memory struct {
	dir   string
	lock  *os.File
	facts *os.File
}

// learner takes the facts of a memory, in their order, after its state.
type learner func(*state) (each func(translog.Fact) error, err error)

// openMemory opens or makes the memory of a log, which stays locked until it is
// closed, and has the facts that it holds learned.
func openMemory(dir string, trust attest.Digest, learn learner) (*memory, *state, error) {
	m := &memory{dir: dir}
	s, err := m.open(trust, learn)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("opening the monitor's memory %s: %w", dir, err), m.close())
	}
	return m, s, nil
}

func (m *memory) open(trust attest.Digest, learn learner) (*state, error) {
	if err := os.MkdirAll(m.dir, dirMode); err != nil {
		return nil, err
	}
	var err error
	if m.lock, err = durable.OpenAppend(m.path(lockFile), fileMode); err != nil {
		return nil, err
	}
	s, err := m.load(trust)
	if err != nil {
		return nil, err
	}
	if m.facts, err = os.OpenFile(m.path(factsFile), os.O_RDWR|os.O_CREATE, fileMode); err != nil {
		return nil, err
	}
	each, err := learn(s)
	if err != nil {
		return nil, err
	}
	return s, m.replay(s, each)
}

func (m *memory) path(file string) string { return filepath.Join(m.dir, file) }

func (m *memory) load(trust attest.Digest) (*state, error) {
	data, err := os.ReadFile(m.path(stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return &state{Schema: stateSchema, Trust: trust, Device: map[string]deviceRecord{}}, nil
	}
	if err != nil {
		return nil, err
	}
	s, err := parseState(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", stateFile, err)
	}
	if s.Trust != trust {
		return nil, fmt.Errorf("it follows from the policy %s, pinned is %s: name another state directory, or move this one away to read the log anew",
			s.Trust.Short(), trust.Short())
	}
	return s, nil
}

// parseState reads a state in the one spelling that it is written in.
func parseState(data []byte) (*state, error) {
	var s state
	if err := attest.UnmarshalStrict(data, maxState, &s); err != nil {
		return nil, err
	}
	if s.Schema != stateSchema {
		return nil, fmt.Errorf("schema %.80q, want %q", s.Schema, stateSchema)
	}
	if s.Facts < 0 || s.Entries < 0 {
		return nil, fmt.Errorf("%d entries in %d bytes of facts", s.Entries, s.Facts)
	}
	if s.Device == nil {
		s.Device = map[string]deviceRecord{}
	}
	return &s, nil
}

// replay reads the facts that count. Lines behind them were written by a pass
// that did not happen; the next one writes over them.
func (m *memory) replay(s *state, each func(translog.Fact) error) error {
	lines := bufio.NewReader(io.NewSectionReader(m.facts, 0, s.Facts))
	if err := eachFact(lines, s.Entries, each); err != nil {
		return err
	}
	if _, err := lines.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: more than %d lines", factsFile, s.Entries)
	}
	return nil
}

// root returns the root of the tree of the first entries. There are at least so many facts.
func (m *memory) root(size int64) (tlog.Hash, error) {
	var edge translog.Range
	err := eachFact(bufio.NewReader(io.NewSectionReader(m.facts, 0, math.MaxInt64)), size, func(f translog.Fact) error {
		return edge.Append(tlog.Hash(f.Leaf))
	})
	return edge.Root(), err
}

// eachFact reads so many lines of facts.
func eachFact(lines *bufio.Reader, n int64, each func(translog.Fact) error) error {
	for i := range n {
		line, err := readLine(lines)
		if err != nil {
			return fmt.Errorf("%s: line %d of %d: %w", factsFile, i+1, n, err)
		}
		fact, err := translog.ParseFact(line)
		if err == nil {
			err = each(fact)
		}
		if err != nil {
			return fmt.Errorf("%s: line %d: %w", factsFile, i+1, err)
		}
	}
	return nil
}

// readLine returns a line without its end, and an error at the end of the file.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, io.ErrUnexpectedEOF
		case len(line) > translog.MaxFact:
			return nil, ErrTooLarge
		}
	}
}

// save makes facts and then the state durable: afterwards the pass has happened,
// before it has not.
func (m *memory) save(s *state, facts []translog.Fact) error {
	if err := m.write(s, facts); err != nil {
		return fmt.Errorf("saving the monitor's memory %s: %w", m.dir, err)
	}
	return nil
}

func (m *memory) write(s *state, facts []translog.Fact) error {
	var lines bytes.Buffer
	for i := range facts {
		line, err := facts[i].Encode()
		if err != nil {
			return err
		}
		lines.Write(append(line, '\n'))
	}
	if lines.Len() > 0 {
		if _, err := m.facts.WriteAt(lines.Bytes(), s.Facts); err != nil {
			return err
		}
		if err := m.facts.Sync(); err != nil {
			return err
		}
	}
	next := *s
	next.Facts, next.Entries = s.Facts+int64(lines.Len()), s.Entries+int64(len(facts))
	next.Alarms = forgetOldest(next.Alarms)
	data, err := attest.MarshalCanonical(next)
	if err != nil {
		return err
	}
	if err := durable.Replace(m.path(stateFile), data, fileMode); err != nil {
		return err
	}
	*s = next
	return nil
}

// forgetOldest drops alarms that are over and told, the oldest first, above a number.
func forgetOldest(alarms []raised) []raised {
	excess := len(alarms) - maxAlarms
	if excess <= 0 {
		return alarms
	}
	kept := alarms[:0:0]
	for _, a := range alarms {
		if excess > 0 && !a.Stands && a.Told {
			excess--
			continue
		}
		kept = append(kept, a)
	}
	return kept
}

// close lets another process have the memory.
func (m *memory) close() error {
	var errs []error
	for _, f := range []*os.File{m.facts, m.lock} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
