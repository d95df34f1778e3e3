// Package p256table verifies ECDSA P-256 signatures by public keys that are known
// for long and used a lot, such as those of a policy's coordinators and signers.
// It gives exactly the answers of crypto/ecdsa, in less than half of the time.
//
//	table, err := p256table.NewTable(public) // once
//	…
//	ok := table.Verify(message, signature) // a thousand times
//
// Package keytable says which keys get a table.
//
// # What is computed
//
// A signature (r, s) of a message by the key Q is good if r and s are between 1
// and n-1, where n is the order of the base point G, and the point
//
//	[e/s]G + [r/s]Q, where e is the SHA-256 of the message
//
// is not the one at infinity and has an x-coordinate that equals r modulo n. That
// is FIPS 186-5 §6.4.2. crypto/ecdsa finds the second product anew for every
// signature, by doubling a point 256 times. But Q seldom changes: a [Table] holds
// its multiples, so that the product is the sum of 33 points that need only be
// looked up. For the first one, nistec has such a table itself.
//
// # Why the answers are the same
//
// Both ways lead to the same point of the curve, and a point has one
// x-coordinate. What else decides is the same too: which keys are on the curve,
// which DER is a pair of numbers (that of cryptobyte, which crypto/ecdsa reads it
// with), that zero and numbers from n on are refused, and what is hashed. Nothing is approximated,
// sampled or checked in batches. Points are those of filippo.io/nistec, which is
// crypto/ecdsa's own code, published by its maintainer; here are only the table
// and numbers modulo n, which are math/big's.
//
// Time depends on what is verified: keys, messages and signatures are public.
// Nothing here may ever touch a private key.
package p256table
