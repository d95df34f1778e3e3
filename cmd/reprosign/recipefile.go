package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/goccy/go-yaml"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/rebuilder/backend"
)

// maxRecipeFile bounds a recipe as people write it, with comments and spaces.
const maxRecipeFile = 4 * attest.MaxRecipe

// readRecipe reads a recipe in JSON or YAML; "-" is standard input. Sources
// may stand in any order.
func (a *app) readRecipe(path string) (attest.Recipe, error) {
	var data []byte
	var err error
	if path == "-" {
		data, err = readAll("standard input", a.stdin, maxRecipeFile)
	} else {
		data, err = readFile(path, maxRecipeFile)
	}
	if err != nil {
		return attest.Recipe{}, err
	}
	r, err := parseRecipe(data)
	if err != nil {
		return attest.Recipe{}, fmt.Errorf("recipe %s: %w", path, err)
	}
	return r, nil
}

func parseRecipe(data []byte) (attest.Recipe, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		// A digest that happens to look like a number becomes one here, and is
		// then refused, never misread.
		var err error
		if data, err = yaml.YAMLToJSON(data); err != nil {
			return attest.Recipe{}, err
		}
	}
	var r attest.Recipe
	if err := json.Unmarshal(data, &r, json.RejectUnknownMembers(true)); err != nil {
		return attest.Recipe{}, err
	}
	slices.SortFunc(r.Sources, func(a, b attest.Source) int { return strings.Compare(a.Name, b.Name) })
	return r, r.Check()
}

// checkRecipe finds out here what every rebuilder would refuse. Back-ends that
// this version does not know are for the rebuilders to judge.
func checkRecipe(r attest.Request) error {
	for _, b := range []backend.Backend{
		backend.Debian(backend.Fetcher{}), backend.Golang(backend.GolangConfig{}),
	} {
		if b.Name() == r.Recipe.Backend {
			if err := b.Check(backend.JobOf(r)); err != nil {
				return err
			}
		}
	}
	return nil
}
