package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

const (
	// pageSize is how many releases a page lists.
	pageSize = 50
	// maxFilter bounds each filter, in bytes. Names are shorter.
	maxFilter = 256
)

// states are all states of a release, in the order pages show them.
var states = []coordinator.State{
	coordinator.Signed, coordinator.Logged, coordinator.Agreed, coordinator.Building,
	coordinator.Held, coordinator.Conflict, coordinator.Expired, coordinator.Withdrawn,
}

// List is the page of recent releases.
type List struct {
	Schema   string    `json:"schema"`
	Suites   []string  `json:"suites"`
	Counts   []Count   `json:"counts"` // of the suites listed
	Releases []Summary `json:"releases"`
	// Next continues the list, as the query of the same URL; empty at its end.
	Next string `json:"next,omitzero"`
	// What narrows the list; empty fields narrow nothing.
	Suite  string            `json:"suite,omitzero"`
	State  coordinator.State `json:"state,omitzero"`
	Source string            `json:"source,omitzero"`
	Later  bool              `json:"-"` // not the first page
}

// Count is how many releases are in a state.
type Count struct {
	State coordinator.State `json:"state"`
	N     int               `json:"n"`
}

func (b *Board) list(r *http.Request) (any, error) {
	query := r.URL.Query()
	for _, values := range query {
		if len(values) > 1 || len(values[0]) > maxFilter || strings.ContainsRune(values[0], 0) {
			return nil, badRequest("A filter is given once, in at most %d bytes.", maxFilter)
		}
	}
	f := coordinator.Filter{
		Suite: query.Get("suite"), Source: strings.TrimSpace(query.Get("source")), State: coordinator.State(query.Get("state")),
	}
	if f.State != "" && !slices.Contains(states, f.State) {
		return nil, badRequest("There is no such state of a release.")
	}
	if before := query.Get("before"); before != "" {
		var err error
		if f.Before, err = parsePosition(before); err != nil {
			return nil, err
		}
	}
	// One more than is shown tells whether there are more.
	found, err := b.reader.Releases(r.Context(), f, pageSize+1)
	if err != nil {
		return nil, err
	}
	counts, err := b.reader.Counts(r.Context())
	if err != nil {
		return nil, err
	}
	l := List{
		Schema: "reprosign.releases.v1", Suite: f.Suite, State: f.State, Source: f.Source, Later: !f.Before.Opened.IsZero(),
		Suites: []string{}, Releases: []Summary{},
	}
	l.count(counts)
	more := len(found) > pageSize
	for _, v := range found[:min(len(found), pageSize)] {
		l.Releases = append(l.Releases, summarize(v))
	}
	if more {
		last := found[pageSize-1]
		l.Next = l.query(f.State, formatPosition(coordinator.Position{Opened: last.Opened, Release: last.Release}))
	}
	return l, nil
}

func (l *List) count(counts map[string]map[coordinator.State]int) {
	sum := map[coordinator.State]int{}
	for suite, of := range counts {
		l.Suites = append(l.Suites, suite)
		if l.Suite != "" && l.Suite != suite {
			continue
		}
		for state, n := range of {
			sum[state] += n
		}
	}
	slices.Sort(l.Suites)
	for _, s := range states {
		l.Counts = append(l.Counts, Count{s, sum[s]})
	}
}

// query writes the list's filters as a URL's query, with another state.
func (l List) query(state coordinator.State, before string) string {
	values := url.Values{}
	for name, value := range map[string]string{"suite": l.Suite, "source": l.Source, "state": string(state), "before": before} {
		if value != "" {
			values.Set(name, value)
		}
	}
	return "?" + values.Encode()
}

// Only returns the query of the same list narrowed to a state; for the state
// it is narrowed to, of the list without.
func (l List) Only(state coordinator.State) string {
	if state == l.State {
		state = ""
	}
	return l.query(state, "")
}

// Newest returns the query of the list's first page.
func (l List) Newest() string { return l.query(l.State, "") }

// Filtered reports whether the list is narrowed.
func (l List) Filtered() bool { return l.Suite != "" || l.Source != "" || l.State != "" }

// A position in a URL is a time in seconds and a release id, with a dot between.
func formatPosition(p coordinator.Position) string {
	return fmt.Sprintf("%d.%v", int64(p.Opened), p.Release)
}

func parsePosition(text string) (coordinator.Position, error) {
	const decimal, bits = 10, 40
	seconds, id, _ := strings.Cut(text, ".")
	opened, err := strconv.ParseUint(seconds, decimal, bits)
	if err != nil || opened == 0 {
		return coordinator.Position{}, badRequest("The list cannot be continued from there.")
	}
	p := coordinator.Position{Opened: attest.Time(opened)}
	if p.Release, err = attest.ParseDigest(id); err != nil || formatPosition(p) != text {
		return coordinator.Position{}, badRequest("The list cannot be continued from there.")
	}
	return p, nil
}
