// Package anchor brings decisions into a second transparency log, a Rekor v2
// server that somebody else runs, and keeps that log's proof with the evidence
// (docs/spec/log.md, "Anchors").
//
// An anchor shows to those who watch that other log, and do not know ours, that
// a decision was made. It is optional and comes afterwards: nothing that decides
// or signs waits for it, and a server that is away, slow or wrong only delays it.
//
// Our leaves are Rekor's own entries (hashedrekord 0.0.2), so what is sent says
// the same as the leaf, and what comes back is believed only if it proves that
// very leaf under the configured key: its bytes, its inclusion and the signed
// checkpoint. The result is stored as a Sigstore bundle, which stock cosign
// verifies like any other.
//
//	a, err := anchor.New(anchor.Config{Store: writer, URL: "https://rekor.example.org", Key: key, Log: logger})
//	go a.Run(ctx)
package anchor
