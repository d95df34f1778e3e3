package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/reprosign/reprosign/coordinator/anchor"
	"github.com/reprosign/reprosign/coordinator/store"
	"github.com/reprosign/reprosign/internal/config"
	"github.com/reprosign/reprosign/internal/program"
)

// anchorSettings name the log of others that decisions are brought into.
type anchorSettings struct {
	URL    string `toml:"url" help:"Rekor v2 server that decisions are anchored in; empty means none"`
	Key    string `toml:"key" help:"file with the public key of that server's log"`
	Origin string `toml:"origin" help:"origin of that log; empty means the host name in the URL"`
	Tiles  string `toml:"tiles" help:"URL of its checkpoint and tiles; empty means the server's own"`
}

// open returns the loop that anchors, which ends at once if no log is named.
func (s anchorSettings) open(w *store.Writer, p *program.Program) (func(context.Context) error, error) {
	if s.URL == "" {
		return func(context.Context) error { return nil }, nil
	}
	if s.Origin == "" {
		u, err := url.Parse(s.URL)
		if err != nil {
			return nil, fmt.Errorf("reading anchor.url: %w", err)
		}
		s.Origin = u.Hostname()
	}
	key, err := config.LoadPublicKey(s.Key, s.Origin)
	if err != nil {
		return nil, err
	}
	a, err := anchor.New(anchor.Config{Store: w, URL: s.URL, Tiles: s.Tiles, Key: key, Log: p.Log})
	if err != nil {
		return nil, err
	}
	p.Measure(a)
	return a.Run, nil
}
