package main

import (
	"strings"
	"testing"
)

func TestTextFromOthersCannotMoveTheCursor(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                   "plain",
		"a\x1b[2Jb":               "a [2Jb",
		"a\nb\r\u202ec":           "a b  c",
		"\xff":                    " ",
		strings.Repeat("ä", 1000): strings.Repeat("ä", 1000),
	} {
		if got := plain(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	t.Parallel()
	a := &app{settings: defaults()}
	root, err := a.root()
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range append(root.Commands(), root) {
		for _, c := range group.Commands() {
			if c.HasSubCommands() || !c.Runnable() {
				continue
			}
			if c.Short == "" || c.Example == "" || c.Args == nil {
				t.Errorf("%s lacks a summary, an example or a rule for its arguments", c.CommandPath())
			}
		}
	}
}
