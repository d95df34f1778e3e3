// Package openpgp makes and checks the OpenPGP certificates and signatures of
// reprosign (design §3 "OpenPGP"): version 4, SHA-512, Ed25519 (algorithm 22)
// or RSA-4096, and nothing else. These are the signatures that gpg, sqv, apt,
// rpm, pacman and git on today's long-term distributions accept, and both
// algorithms are deterministic: the same inputs give the same bytes, whatever
// crashed in between.
//
// # Signing without the file
//
// A signature covers the SHA-512 of the file followed by the signature's own
// hashed fields. [SignState] therefore needs no file, only the strict SHA-512
// state that the rebuilders computed. It checks that the state finishes to the
// agreed digest and size, appends the hashed fields and asks the key. The type
// of the signature is fixed by this package, never by the state or its sender;
// so a state can become a signature over a file and nothing else.
//
//	signature, err := openpgp.SignState(certificate, hsmKey, state, size, sha512, openpgp.Options{
//		Created:   decision.TimeVerified,
//		Notations: []openpgp.Notation{{Name: "ground@example.org", Value: "quorum"}},
//	})
//
// # Keys
//
// A key is a [crypto.Signer]; the private half usually lies in a hardware
// security module. Sign is called once per signature:
//
//   - RSA: with the 64-byte digest and [crypto.SHA512], for PKCS #1 v1.5;
//   - Ed25519: with the 64-byte digest as the message and crypto.Hash(0),
//     because OpenPGP signs the digest with plain Ed25519.
//
// crypto.Signer knows no context: deadlines and cancellation belong into the
// signer value, which is made per request. Every error of the key comes back
// wrapped.
//
// # What a signature looks like
//
// One packet. Hashed subpackets, in this order, none critical: creation time,
// issuer key id, issuer fingerprint, notations as given. No unhashed
// subpackets. No signature leaves [SignState] or [SignBytes] before its bytes
// were parsed back and verified twice, with the standard library and with
// go-crypto, each time over a freshly resumed state. [ParseSignature] accepts exactly what the
// writer writes.
//
// # What a certificate looks like
//
// [Certify] makes a certificate of one key that certifies itself and signs.
// [ParseCertificate] also accepts an offline primary with one signing subkey.
// Every subpacket that Certify writes is non-critical: rpm refuses to import a
// certificate with a critical key expiration, primary user id, embedded
// signature or issuer fingerprint.
//
// The package is pure: it asks neither clock nor network nor file system. It
// takes from go-crypto the armor, the verification of certificates and the
// second opinion, but never its signing functions, which lose the errors of
// hardware keys.
package openpgp
