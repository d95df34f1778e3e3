package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/attest/openpgp"
	"github.com/reprosign/reprosign/coordinator"
)

// Endings of the files that are served.
const (
	endBinary  = ".sig"
	endArmored = ".asc"
)

const typeArmored = "application/pgp-signature"

// artifactOf says where an artifact's signatures are.
func artifactOf(release attest.Digest, a coordinator.ArtifactView) Artifact {
	out := Artifact{Artifact: a.Artifact, Signatures: []Signature{}}
	for _, s := range a.Signatures {
		at := fmt.Sprintf("/releases/%v/signatures/%s/%s", release, s.Certificate, url.PathEscape(a.Name))
		out.Signatures = append(out.Signatures, Signature{
			Certificate: s.Certificate, Kind: s.Kind, Release: s.Release, Made: s.At, Binary: at + endBinary, Armored: at + endArmored,
		})
	}
	return out
}

// signature serves an artifact's signature, binary or armored by its ending.
func (b *Board) signature(r *http.Request) (any, error) {
	id, err := digestIn(r, "id")
	if err != nil {
		return nil, err
	}
	name, armored := strings.CutSuffix(r.PathValue("file"), endArmored)
	if !armored {
		var ok bool
		if name, ok = strings.CutSuffix(name, endBinary); !ok {
			return nil, errNoPage
		}
	}
	v, err := b.reader.View(r.Context(), id)
	if err != nil {
		return nil, err
	}
	for _, a := range v.Artifacts {
		for _, s := range a.Signatures {
			if a.Name != name || s.Certificate != r.PathValue("certificate") || s.Kind != attest.DetachedBinary {
				continue
			}
			// One artifact, one certificate, one kind: one signature, ever.
			f := file{data: s.Signature, contentType: typeBinary, cache: cacheForever, name: name + endBinary}
			if armored {
				f.data, f.contentType, f.name = openpgp.Armor(s.Signature), typeArmored, name+endArmored
			}
			return f, nil
		}
	}
	return nil, errNotFound
}

// certificate serves an OpenPGP certificate.
func (b *Board) certificate(r *http.Request) (any, error) {
	fingerprint, ok := strings.CutSuffix(r.PathValue("file"), endArmored)
	if !ok || len(fingerprint) != 40 || strings.Trim(fingerprint, "0123456789ABCDEF") != "" {
		return nil, errNoPage
	}
	data, err := b.reader.Certificate(r.Context(), fingerprint)
	if err != nil {
		return nil, err
	}
	c, err := openpgp.ParseCertificate(data)
	if err != nil {
		return nil, err
	}
	return file{data: c.Armor(), contentType: "application/pgp-keys", cache: cacheCheck, name: fingerprint + endArmored}, nil
}

// evidence serves a release's bundle. It grows when a certificate signs, so it is
// not kept for ever.
func (b *Board) evidence(r *http.Request) (any, error) {
	id, err := digestIn(r, "id")
	if err != nil {
		return nil, err
	}
	return b.bundle(r, id)
}

func (b *Board) bundle(r *http.Request, id attest.Digest) (any, error) {
	data, err := b.reader.Evidence(r.Context(), id)
	if err != nil {
		return nil, err
	}
	v, err := b.reader.View(r.Context(), id)
	if err != nil {
		return nil, err
	}
	return file{data: data, contentType: typeJSON, cache: cacheCheck, name: evidenceName(v)}.compressed(r)
}

// evidenceName is what a bundle is saved under. That of a release which is not
// signed vouches for no file, and is not to be taken for one that does.
func evidenceName(v *coordinator.View) string {
	if v.SignedAt.IsZero() {
		return plainName(v) + ".unsigned.evidence.json"
	}
	return plainName(v) + ".evidence.json"
}

// plainName names a release in a way that every file system takes.
func plainName(v *coordinator.View) string {
	plain := func(r rune) rune {
		if r == '/' || r == '\\' || r < ' ' {
			return '_'
		}
		return r
	}
	return strings.Map(plain, v.Source+"_"+v.Version+"_"+v.Architecture)
}

// Found is what is said about a decided artifact.
type Found struct {
	Schema   string            `json:"schema"`
	State    coordinator.State `json:"state"`
	Release  attest.Digest     `json:"release"`
	Suite    string            `json:"suite"`
	Source   string            `json:"source"`
	Version  string            `json:"version"`
	Artifact Artifact          `json:"artifact"`
	Evidence string            `json:"evidence,omitzero"`
}

// artifact answers for a file by its SHA-256, among decided releases alone:
// else the answer would tell what others are building.
func (b *Board) artifact(r *http.Request) (any, error) {
	sum, err := digestIn(r, "sha256")
	if err != nil {
		return nil, err
	}
	id, err := b.reader.ByArtifact(r.Context(), sum)
	if err != nil {
		return nil, err
	}
	v, err := b.reader.View(r.Context(), id)
	if err != nil {
		return nil, err
	}
	out := Found{Schema: "reprosign.artifact.v1", State: v.State, Release: id, Suite: v.Suite, Source: v.Source, Version: v.Version}
	if v.HasEvidence {
		out.Evidence = fmt.Sprintf("/api/v1/artifacts/%v/evidence", sum)
	}
	for _, a := range v.Artifacts {
		if a.SHA256 == sum {
			out.Artifact = artifactOf(id, a)
			return out, nil
		}
	}
	return nil, errNotFound
}

func (b *Board) artifactEvidence(r *http.Request) (any, error) {
	sum, err := digestIn(r, "sha256")
	if err != nil {
		return nil, err
	}
	id, err := b.reader.ByArtifact(r.Context(), sum)
	if err != nil {
		return nil, err
	}
	return b.bundle(r, id)
}

// artifactPage leads from a file's SHA-256, in the path or sent by the form of
// the list, to the page of its release.
func (b *Board) artifactPage(r *http.Request) (any, error) {
	if asked := strings.ToLower(strings.TrimSpace(r.URL.Query().Get("sha256"))); r.PathValue("sha256") == "" {
		r.SetPathValue("sha256", asked)
	}
	sum, err := digestIn(r, "sha256")
	if err != nil {
		return nil, err
	}
	id, err := b.reader.ByArtifact(r.Context(), sum)
	if err != nil {
		return nil, err
	}
	return link("/releases/" + id.String()), nil
}
