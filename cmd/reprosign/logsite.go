package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/attest/translog"
	"github.com/reprosign/reprosign/monitor"
)

const (
	// maxListing bounds one page of a dashboard's list, in bytes.
	maxListing = 1 << 20
	// maxPages bounds how many pages of a list are read.
	maxPages = 200
)

// unsignedStates are those of releases that are decided, or about to be, and not
// signed yet: under another log key they never would be.
var unsignedStates = []string{"agreed", "logged"}

// logSite is a log and what its dashboard tells of the releases. Only the
// log proves what it says; the rest keeps operators from mistakes.
type logSite struct {
	*monitor.Log

	source monitor.Source
}

func openLogSite(url string) (logSite, error) {
	source, err := monitor.Open(url)
	if err != nil {
		return logSite{}, err
	}
	return logSite{monitor.NewLog(source), source}, nil
}

func (s logSite) get(ctx context.Context, path string, into any) error {
	data, err := s.source.Get(ctx, path, maxListing)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("reading %s/%s: %w", s.source, path, err)
	}
	return nil
}

// inForce reports an error unless the dashboard says that p is the newest policy.
func (s logSite) inForce(ctx context.Context, p policy.Policy) error {
	var log struct {
		Policy uint64 `json:"policy"`
	}
	if err := s.get(ctx, "api/v1/log", &log); err != nil {
		return err
	}
	switch {
	case log.Policy > p.Serial:
		return hinted(fmt.Errorf("policy %d is superseded: %s is under policy %d", p.Serial, s.source, log.Policy), "get the newest policy from the admins")
	case log.Policy < p.Serial:
		return hinted(fmt.Errorf("policy %d is not in force: %s is under policy %d", p.Serial, s.source, log.Policy), "submit it first: reprosign submit --policy")
	}
	return nil
}

// checkpoint returns the newest checkpoint if it is as a policy wants it:
// signed with the log's key, and cosigned by the quorum.
func (s logSite) checkpoint(ctx context.Context, p *policy.Policy) ([]byte, error) {
	signed, err := s.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := openUnder(p, signed); err != nil {
		return nil, &failure{code: exitUnverified, cause: fmt.Errorf("checkpoint of %s: %w", s.source, err)}
	}
	return signed, nil
}

// openUnder opens a checkpoint that a policy's log signed and its quorum cosigned.
func openUnder(p *policy.Policy, signed []byte) (translog.Checkpoint, error) {
	c, err := translog.OpenCheckpoint(signed, p.Log.Key)
	if err == nil && !p.Witnesses.IsZero() {
		_, _, err = translog.WitnessesOf(p.Witnesses).Time(signed)
	}
	return c, err
}

// listed is a release as the dashboard lists it.
type listed struct {
	Release      attest.Digest `json:"release"`
	Suite        string        `json:"suite"`
	Source       string        `json:"source"`
	Version      string        `json:"version"`
	Architecture string        `json:"architecture"`
	State        string        `json:"state"`
	Policy       struct {
		Serial uint64 `json:"serial"`
	} `json:"policy"`
}

func (l listed) String() string {
	return fmt.Sprintf("%s %s %s (%s), release %v, is %s", l.Source, l.Version, l.Architecture, l.Suite, l.Release, l.State)
}

// unsigned lists the releases that are agreed or logged under the log key of
// the chain's policy, and not signed. Those of a log key before it are past help.
func (s logSite) unsigned(ctx context.Context, chain *policy.Chain, newest policy.Policy) ([]listed, error) {
	strays := map[uint64]bool{}
	for _, v := range chain.Since(0) {
		if v.Log.Key.Fingerprint() != newest.Log.Key.Fingerprint() {
			strays[v.Serial] = true
		}
	}
	var all []listed
	for _, state := range unsignedStates {
		for page, query := 0, "?state="+state; query != ""; page++ {
			if page == maxPages {
				return nil, fmt.Errorf("%s lists more than %d pages of releases that are %s", s.source, maxPages, state)
			}
			var list struct {
				Releases []listed `json:"releases"`
				Next     string   `json:"next"`
			}
			if err := s.get(ctx, "api/v1/releases"+query, &list); err != nil {
				return nil, err
			}
			for _, l := range list.Releases {
				if l.State == state && !strays[l.Policy.Serial] {
					all = append(all, l)
				}
			}
			if query = list.Next; query != "" && !strings.HasPrefix(query, "?") {
				return nil, fmt.Errorf("%s continues its list at %q, which is no query", s.source, query)
			}
		}
	}
	return slices.Clip(all), nil
}
