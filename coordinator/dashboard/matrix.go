package dashboard

import (
	"maps"
	"slices"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/policy"
	"github.com/reprosign/reprosign/coordinator"
)

// maxColumns bounds the artifacts in the vote matrix: beyond them nobody reads
// across. Those that differ come first.
const maxColumns = 6

// Cell is what one rebuilder built of one artifact.
type Cell struct {
	Name   string        `json:"name"`
	View   policy.View   `json:"view"`            // agrees, differs, or absent
	SHA256 attest.Digest `json:"sha256,omitzero"` // zero if absent
}

// viewAbsent says that a build gave no artifact of that name.
const viewAbsent policy.View = "absent"

// matrix lays out who built what. Before the embargo is over sets is empty and
// the matrix has outcome classes alone. More is how many artifacts have no column.
func matrix(v *coordinator.View, sets map[attest.Digest]attest.Artifacts) (votes []Vote, columns []string, more int) {
	votes = []Vote{}
	reference := map[string]attest.Digest{}
	var builds []map[string]attest.Digest
	for _, from := range v.Votes {
		votes = append(votes, Vote{
			Rebuilder: from.Rebuilder, Operator: from.Operator, View: from.View, At: from.At, Statement: from.Statement, Set: from.Set,
		})
		if built := digests(sets[from.Set]); len(built) > 0 {
			builds = append(builds, built)
			if from.View == policy.ViewAgrees {
				reference = built
			}
		}
	}
	alike, unlike := split(builds)
	if len(reference) == 0 { // no set leads: what all have in common still agrees
		for _, name := range alike {
			reference[name] = builds[0][name]
		}
	}
	columns = append(unlike, alike...)
	more = max(0, len(columns)-maxColumns)
	columns = columns[:len(columns)-more]
	for i := range votes {
		if built := digests(sets[votes[i].Set]); len(built) > 0 {
			for _, name := range columns {
				votes[i].Artifacts = append(votes[i].Artifacts, compare(name, built, reference))
			}
		}
	}
	return votes, columns, more
}

// split sorts the artifacts of several builds into those that all have, with
// the same content, and the others.
func split(builds []map[string]attest.Digest) (alike, unlike []string) {
	contents := map[string]map[attest.Digest]int{}
	for _, built := range builds {
		for name, digest := range built {
			if contents[name] == nil {
				contents[name] = map[attest.Digest]int{}
			}
			contents[name][digest]++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		if slices.Contains(slices.Collect(maps.Values(contents[name])), len(builds)) {
			alike = append(alike, name)
		} else {
			unlike = append(unlike, name)
		}
	}
	return alike, unlike
}

// compare compares what a build gave with what others agree on.
func compare(name string, built, reference map[string]attest.Digest) Cell {
	digest, ok := built[name]
	switch {
	case !ok:
		return Cell{Name: name, View: viewAbsent}
	case digest == reference[name]:
		return Cell{Name: name, View: policy.ViewAgrees, SHA256: digest}
	}
	return Cell{Name: name, View: policy.ViewDiffers, SHA256: digest}
}

func digests(list attest.Artifacts) map[string]attest.Digest {
	m := make(map[string]attest.Digest, len(list))
	for _, a := range list {
		m[a.Name] = a.SHA256
	}
	return m
}
