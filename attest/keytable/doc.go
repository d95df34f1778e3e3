// Package keytable verifies signatures with tables of multiples of their keys,
// for the keys that are known for long and used a lot: those of a policy's
// rebuilders, publishers, coordinators and signers. The answers stay the same.
//
//	var tables keytable.Tables
//	…
//	key := tables.Key(edtable.Plain(public)) // once
//	…
//	ok := key.Verify(message, signature) // a thousand times
//
// A verification multiplies two points by numbers of 256 bits. Without a table
// that doubles a point 256 times, anew for each signature. With one, what the
// doubling leads to is looked up, and a product is the sum of 33 points; see
// [Digits]. Packages edtable and p256table have the tables of Ed25519 and of
// ECDSA P-256 keys; this one decides which keys get one, and when.
//
// Time depends on what is verified: keys, messages and signatures are public.
// Nothing here or there may ever touch a private key.
package keytable
