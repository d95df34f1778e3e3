package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/internal/bus"
)

// target is what a person names a release by: its id, an artifact's digest, or
// an artifact.
type target struct {
	given string
	file  string // path, if it is a file
	// digest is the SHA-256 of the file; else the release id or an artifact's
	// SHA-256, which look alike.
	digest attest.Digest
	// request is the digest of the request behind the release, if this command
	// itself has submitted it.
	request attest.Digest
}

// parseTarget takes 64 hexadecimal digits for a digest and all else for a
// file. A file with such a name can be given as ./NAME.
func parseTarget(s string) (target, error) {
	if digest, err := attest.ParseDigest(s); err == nil {
		return target{given: s, digest: digest}, nil
	}
	digest, err := digestOf(s)
	if err != nil {
		return target{}, hinted(usage(err), "name a release id, an artifact's SHA-256 or a file")
	}
	return target{given: s, file: s, digest: digest}, nil
}

// parseTargets reads all files before anything is asked.
func parseTargets(args []string) ([]target, error) {
	targets := make([]target, len(args))
	for i, s := range args {
		var err error
		if targets[i], err = parseTarget(s); err != nil {
			return nil, err
		}
	}
	return targets, nil
}

// errUnknown says that the coordinator shows no such release. An artifact that
// is not decided yet and one that never will be look the same.
var errUnknown = errors.New("no such release, or no decided one with this artifact")

// lookUp finds the release once, as it is now.
func (t target) lookUp(ctx context.Context, conn *bus.Conn) (*bus.ReleaseStatus, error) {
	questions := []bus.StatusRequest{{Release: t.digest}, {Artifact: t.digest}}
	if t.file != "" {
		questions = questions[1:]
	}
	for _, q := range questions {
		reply, err := conn.Status(ctx, q)
		switch {
		case bus.KindOf(err) == bus.KindNotFound:
		case err != nil:
			return nil, err
		case reply.Release == nil:
			return nil, errors.New("the coordinator answered without a release")
		default:
			return reply.Release, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", t.given, errUnknown)
}
