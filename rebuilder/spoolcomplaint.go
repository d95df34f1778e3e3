package rebuilder

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/bus"
)

const (
	decisionFile  = "decision.json"
	complaintFile = "complaint.json"
	publishedFile = "published.json"
	placeFile     = "place.json"

	maxPlace = 16 << 10
)

// place is how far an agent has read the log: the tree of all entries so far,
// which a checkpoint has confirmed.
type place struct {
	Origin string          `json:"origin"`
	Size   int64           `json:"size"`
	Edge   []attest.Digest `json:"edge"` // the tree's right edge
}

// published is where the log shows a complaint.
type published struct {
	Complaint attest.Digest `json:"complaint"`
	Index     int64         `json:"index"`
}

// loadComplaint notes what is still to be said about a release's decision, and
// what the log does not show yet.
func (s *Spool) loadComplaint(release attest.Digest) error {
	there := map[string]bool{}
	for _, name := range []string{decisionFile, complaintFile, publishedFile} {
		var err error
		if there[name], err = s.has(release, name); err != nil {
			return err
		}
	}
	switch {
	case there[publishedFile]:
	case there[complaintFile]:
		if _, err := s.Complaint(release); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unheard[release] = true
	case there[decisionFile]:
		v, err := s.Vote(release)
		if err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lacking[v.Envelope.Digest()] = release
	}
	return nil
}

func (s *Spool) complaining(release attest.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unheard[release]
}

// Unheard returns the releases with a complaint that the log does not show, in
// the order of their ids.
func (s *Spool) Unheard() []attest.Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	releases := slices.Collect(maps.Keys(s.unheard))
	attest.SortDigests(releases)
	return releases
}

// Lacking returns the releases, by statement, whose decision does not list the
// spool's statement and is neither complained about nor found in order.
func (s *Spool) Lacking() map[attest.Digest]attest.Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.lacking)
}

func (s *Spool) settle(release attest.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.lacking, func(_, r attest.Digest) bool { return r == release })
}

// PutDecision keeps the decision about a release that lacks the spool's
// statement: without a receipt nothing can be said yet, but it may still come.
func (s *Spool) PutDecision(release, statement attest.Digest, e *attest.Envelope) error {
	data, err := e.Encode()
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if err := s.write(release, decisionFile, data); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lacking[statement] = release
	return nil
}

// Decision returns what PutDecision kept, fs.ErrNotExist if nothing.
func (s *Spool) Decision(release attest.Digest) (*attest.Envelope, error) {
	return read(s, release, decisionFile, attest.ParseEnvelope)
}

// DropDecision forgets a decision that is nothing to complain about.
func (s *Spool) DropDecision(release attest.Digest) error {
	if err := errors.Join(os.Remove(s.path(release, decisionFile)), syncDir(s.path(release))); err != nil {
		return fmt.Errorf("clearing spool: %w", err)
	}
	s.settle(release)
	return nil
}

// Receipt returns the receipt or rejection of a release's statement,
// fs.ErrNotExist if there is none.
func (s *Spool) Receipt(release attest.Digest) (*attest.Envelope, error) {
	return read(s, release, receiptFile, attest.ParseEnvelope)
}

// PutComplaint makes a sealed complaint durable. A release has one: a second
// is refused.
func (s *Spool) PutComplaint(release attest.Digest, q bus.ComplainRequest) error {
	made, err := s.has(release, complaintFile)
	if err != nil {
		return err
	}
	if made {
		return fmt.Errorf("release %s has a complaint already", release)
	}
	data, err := attest.MarshalCanonical(q)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if err := s.write(release, complaintFile, data); err != nil {
		return err
	}
	s.settle(release)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unheard[release] = true
	return nil
}

// Complaint returns the complaint about a release, fs.ErrNotExist if there is none.
func (s *Spool) Complaint(release attest.Digest) (bus.ComplainRequest, error) {
	return read(s, release, complaintFile, func(data []byte) (bus.ComplainRequest, error) {
		q, err := bus.DecodeComplaint(data)
		if err != nil {
			return q, err
		}
		c, err := attest.ParseComplaint(q.Complaint.Payload)
		if err == nil && c.Release != release {
			err = errors.New("it holds a complaint about another release")
		}
		return q, err
	})
}

// Heard notes where the log shows the complaint about a release.
func (s *Spool) Heard(release, complaint attest.Digest, index int64) error {
	data, err := attest.MarshalCanonical(published{complaint, index})
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if err := s.write(release, publishedFile, data); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.unheard, release)
	return nil
}

// place returns how far the log was read, fs.ErrNotExist for an agent that
// never did.
func (s *Spool) place() (place, error) {
	path := filepath.Join(s.dir, placeFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return place{}, err
	}
	var p place
	if err == nil {
		err = attest.UnmarshalStrict(data, maxPlace, &p)
	}
	if err != nil {
		return place{}, fmt.Errorf("%s is damaged: %w; restore it, or remove it: then the agent begins again at the newest entry of the log, and does not see the decisions in between", path, err)
	}
	return p, nil
}

func (s *Spool) putPlace(p place) error {
	data, err := attest.MarshalCanonical(p)
	if err == nil {
		err = writeDurably(s.dir, placeFile, data)
	}
	if err != nil {
		return fmt.Errorf("writing to the spool how far the log was read: %w", err)
	}
	return nil
}
