package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// cliName is the command that people type; the demo types it for them.
const cliName = "reprosign"

// reprosign runs the command and returns its standard output without the last
// line break. What it said on standard error is in the error.
func (d *demo) reprosign(ctx context.Context, args ...string) (string, error) {
	stdout, stderr, err := d.try(ctx, args...)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", cliName, strings.Join(args, " "), err, stderr)
	}
	return stdout, nil
}

// try is reprosign for commands that may be meant to fail.
func (d *demo) try(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	cmd := exec.CommandContext(ctx, filepath.Join(d.supervisor.bin, cliName), args...)
	cmd.Dir = d.place.work
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "NO_COLOR=1"}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return strings.TrimSuffix(out.String(), "\n"), strings.TrimSpace(errs.String()), err
}

// keygen has a party make one of its keys and returns the public half.
func (d *demo) keygen(ctx context.Context, k keyToMake) (string, error) {
	args := []string{"keygen", "--out", d.place.party(k.party, k.file)}
	if k.role == natsKey {
		args = append(args, "--nats")
	} else {
		args = append(args, "--role", k.role, "--name", k.name)
	}
	return d.reprosign(ctx, args...)
}

// adminsSign has each admin sign the policy in turn, on his own machine as it were.
func (d *demo) adminsSign(ctx context.Context, draft string) error {
	for i, name := range adminNames {
		signed := d.place.party(name, "policy.json")
		if i == len(adminNames)-1 {
			signed = d.policyPath()
		}
		if _, err := d.reprosign(ctx, "policy", "sign", draft, "--key", d.place.party(name, "admin.pem"), "--out", signed); err != nil {
			return err
		}
		draft = signed
	}
	return nil
}
