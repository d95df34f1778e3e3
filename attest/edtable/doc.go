// Package edtable verifies Ed25519 signatures by keys that are known for long
// and used a lot, such as those of a policy's rebuilders. It gives exactly the
// answers of crypto/ed25519, in about a third of the time, and some signatures
// together in a fourth.
//
//	table, err := edtable.NewTable(public) // once
//	…
//	ok := table.Verify(message, signature) // a thousand times
//	…
//	var batch edtable.Batch
//	batch.Add(table, message, signature) // for each of some
//	good := batch.Good()                 // one answer for each
//
// Package keytable says which keys get a table.
//
// # What is computed
//
// A signature R ‖ S of a message M by the key A is good if S is less than the
// order of the base point B, and
//
//	R = [S]B - [k]A, where k = SHA-512(R ‖ A ‖ M)
//
// and the encoding of the right side is, byte for byte, R as it was given. That
// is RFC 8032 §5.1.7 without the cofactor, as crypto/ed25519 has it. It finds
// the right side anew for every signature, by doubling a point 256 times. But B
// never changes, and A seldom does: a [Table] holds their multiples, so that the
// right side is the sum of 64 points that need only be looked up.
//
// That sum is a fraction, and to encode it takes one division, a fifth of the work
// that is left. A [Batch] divides once for all its signatures, by the product of
// their denominators.
//
// # Why the answers are the same
//
// Both ways lead to the same point of the curve, and a point has one encoding.
// What else decides is the same too: which bytes are a public key, small orders
// and unreduced coordinates included, what is hashed, that S must be reduced
// and that the bytes of R are compared. Nothing is approximated or sampled, and no
// signature is judged by a sum over several: in a [Batch], too, each is compared
// with its own R. Decoding, field and scalars are those of filippo.io/edwards25519,
// which is crypto/ed25519's own code, published by its maintainer; here are only
// the table, the addition of a point from it, and its encoding.
//
// Time depends on what is verified: keys, messages and signatures are public.
// Nothing here may ever touch a private key.
package edtable
