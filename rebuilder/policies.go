package rebuilder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
)

// policiesDir holds the policies that the agent knows, as <serial>.json, each
// the envelope that its admins signed.
const policiesDir = "policies"

// Recall adds to a chain that begins with the pinned policy those that the
// agent learned before it was restarted, so that nobody can bring it back to an
// earlier one by telling it less. It refuses a pinned policy from which they do
// not follow. The newest is durable when it returns.
func (s *Spool) Recall(trust *policy.Chain) error {
	serials, err := s.policies()
	if err != nil {
		return err
	}
	pinned := trust.Newest().Serial
	for _, serial := range serials {
		if serial < pinned {
			continue // the pinned one supersedes it, whatever led there
		}
		path := s.policyPath(serial)
		data, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("reading policy %d, which the agent learned earlier: %w", serial, err)
		}
		e, err := attest.ParseEnvelope(data)
		if err != nil {
			return fmt.Errorf("%s, which the agent wrote, is damaged: %w; ask an admin for policy %d or a newer one, pin that and remove the file", path, err, serial)
		}
		if err := trust.Add(e); err != nil {
			return fmt.Errorf("policy %d, which the agent learned earlier, does not follow from the pinned policy %d: %w; pin a policy that the admins confirm, and if they do not know %s, remove it",
				serial, pinned, err, path)
		}
	}
	return s.keepPolicy(trust.Newest())
}

// Learn adds a policy to the chain. It is durable before anything is done under it.
func (s *Spool) Learn(trust *policy.Chain, e *attest.Envelope) error {
	s.learning.Lock()
	defer s.learning.Unlock()
	if err := trust.Check(e); err != nil {
		return err
	}
	p, err := policy.Parse(e.Payload)
	if err != nil {
		return err
	}
	if p.Serial > trust.Newest().Serial {
		if err := s.keepPolicy(&policy.Version{Policy: p, Digest: e.Digest(), Envelope: e}); err != nil {
			return err
		}
	}
	return trust.Add(e)
}

func (s *Spool) keepPolicy(v *policy.Version) error {
	data, err := v.Envelope.Encode()
	if err != nil {
		return fmt.Errorf("keeping policy %d: %w", v.Serial, err)
	}
	dir := filepath.Join(s.dir, policiesDir)
	if err := makePrivate(dir); err != nil {
		return fmt.Errorf("keeping policy %d: %w", v.Serial, err)
	}
	if err := writeDurably(dir, filepath.Base(s.policyPath(v.Serial)), data); err != nil {
		return fmt.Errorf("keeping policy %d: %w", v.Serial, err)
	}
	return nil
}

func (s *Spool) policyPath(serial uint64) string {
	return filepath.Join(s.dir, policiesDir, strconv.FormatUint(serial, 10)+".json")
}

// policies lists the serials of the policies that are kept, in order.
func (s *Spool) policies() ([]uint64, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, policiesDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the policies that the agent learned: %w", err)
	}
	var serials []uint64
	for _, e := range entries {
		number, ok := strings.CutSuffix(e.Name(), ".json")
		serial, err := strconv.ParseUint(number, 10, 64)
		if ok && err == nil { // others are halves that a crash left
			serials = append(serials, serial)
		}
	}
	slices.Sort(serials)
	return serials, nil
}
