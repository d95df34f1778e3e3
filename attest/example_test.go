package attest_test

import (
	"crypto/ed25519"
	"fmt"
	"strings"

	"github.com/reprosign/reprosign/attest"
)

// A rebuilder hashes what it built and signs the outcome; whoever trusts its
// key reads the outcome back.
func Example() {
	artifact, _, err := attest.HashArtifact(strings.NewReader("built bytes"), "hello_2.10_amd64.deb", "deb")
	if err != nil {
		fmt.Println(err)
		return
	}
	set, err := attest.Artifacts{artifact}.SetDigest()
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := attest.NewSigningKey("alpha", ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		fmt.Println(err)
		return
	}
	envelope, err := attest.Rebuild{
		Release: attest.SHA256([]byte("an opening")), Rebuilder: "alpha", Outcome: attest.Built, Set: set,
		Isolation: attest.IsolationUserns, Started: 1_800_000_000, Finished: 1_800_000_060,
	}.Seal(key)
	if err != nil {
		fmt.Println(err)
		return
	}

	vote, err := attest.OpenRebuild(envelope, func(name string) (attest.VerifierKey, error) {
		if name != "alpha" {
			return attest.VerifierKey{}, fmt.Errorf("no rebuilder %q", name)
		}
		return key.VerifierKey, nil
	})
	fmt.Println(vote.Rebuilder, vote.Outcome, vote.Set == set, err)
	// Output: alpha built true <nil>
}
