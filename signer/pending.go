package signer

import (
	"sync"
	"time"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/bus"
)

const (
	// pendingTime is how long the signer remembers the names in a decision that
	// has not come back in the log: longer than a decision is on its way, and not
	// so long that one which got lost is in the way of another release.
	pendingTime = 10 * time.Minute
	// sweepEvery is how many names there may be before old ones are looked for.
	sweepEvery = 1 << 12
)

// pending are file names in decisions that are on their way into the log. Once
// they are there the log keeps two contents from one name; before, this does.
type pending struct {
	mu    sync.Mutex
	names map[suiteName]claimed
	sweep int
}

type suiteName struct{ suite, name string }

type claimed struct {
	sha256 attest.Digest
	source string
	until  attest.Time
}

// claim takes the names of a release's artifacts, all or none.
func (p *pending) claim(r *release, artifacts attest.Artifacts, at attest.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range artifacts {
		c, taken := p.names[suiteName{r.suite.Name, a.Name}]
		if taken && c.until > at && (c.sha256 != a.SHA256 || c.source != r.request.Source) {
			return refusal(bus.KindNotReady, "the file name %s was decided a moment ago with other content or for another source; "+
				"once that is in the log, or in %v at the latest, this can be judged", a.Name, pendingTime)
		}
	}
	if len(p.names) >= p.sweep {
		for name, c := range p.names {
			if c.until <= at {
				delete(p.names, name)
			}
		}
		p.sweep = 2*len(p.names) + sweepEvery
	}
	for _, a := range artifacts {
		p.names[suiteName{r.suite.Name, a.Name}] = claimed{a.SHA256, r.request.Source, at.Add(pendingTime)}
	}
	return nil
}
