"""Verifier keys (C2SP signed-note), and DSSE envelopes."""

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from forms import Refused, items, need, parse, sha256, shape, string, unbase64


ED25519, ECDSA, COSIGNATURE = 1, 2, 4
P256_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")


class Key:
    """A verifier key, <name>+<key id>+<base64(type || key)>."""

    def __init__(self, vkey, kind):
        parts = string(vkey, r"[!-~]+", "verifier key").split("+", 2)
        need(len(parts) == 3 and 0 < len(parts[0]) <= 128, "verifier key: not of the form name+id+base64")
        self.vkey, self.name = vkey, parts[0]
        raw = unbase64(parts[2], "verifier key", 2)
        self.kind, self.raw = raw[0], raw[1:]
        need(self.kind == kind, f"key of {self.name}: type {self.kind}, want {kind}")
        if self.kind == ECDSA:
            need(self.raw.startswith(P256_PREFIX) and len(self.raw) == 91, "verifier key: not P-256")
            try:
                self.public = load_der_public_key(self.raw)
            except ValueError:
                raise Refused("verifier key: not on P-256") from None
            self.id = hashlib.sha256(self.raw).digest()[:4]
        else:
            need(len(self.raw) == 32, "verifier key: not Ed25519")
            self.public = Ed25519PublicKey.from_public_bytes(self.raw)
            self.id = hashlib.sha256(self.name.encode() + b"\n" + raw).digest()[:4]
        need(self.id.hex() == parts[1], f"verifier key of {self.name}: its id is not {parts[1]:.20}")

    def verifies(self, message, signature):
        try:
            if self.kind == ECDSA:
                self.public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
            else:
                self.public.verify(signature, message)
            return True
        except InvalidSignature:
            return False


STATEMENT = "application/vnd.in-toto+json"
POLICY = "application/vnd.reprosign.policy+json"
SPEC = "https://github.com/reprosign/reprosign/docs/spec/"


class Envelope:
    def __init__(self, value, what):
        self.what = what
        shape(value, what, ["payload", "payloadType", "signatures"])
        self.payload = unbase64(value["payload"], what, 1, 655360)
        self.type = value["payloadType"]
        self.signatures = []
        for s in items(value["signatures"], f"{what}: signatures", 1, 64):
            shape(s, f"{what}: signature", ["sig"], ["keyid"])
            string(s.get("keyid", "x"), r"[!-~]{1,320}", f"{what}: keyid")
            self.signatures.append(unbase64(s["sig"], f"{what}: signature", 1, 256))
        self.digest = sha256(self.payload)
        kind = str(self.type).encode()
        self.pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(self.payload), self.payload)

    def statement(self, predicate_type, subject=None):
        """The predicate of an in-toto statement, and its subjects."""
        need(self.type == STATEMENT, f"{self.what}: payload type {self.type!r:.80}")
        s = shape(parse(self.payload, 655360), self.what, ["_type", "predicate", "predicateType", "subject"])
        need(s["_type"] == "https://in-toto.io/Statement/v1", f"{self.what}: statement type")
        need(s["predicateType"] == predicate_type, f"{self.what}: predicate type {s['predicateType']!r:.80}")
        return s["predicate"], s["subject"]

    def signed_by(self, key):
        """Exactly one signature, of the key of the party that the statement names."""
        need(len(self.signatures) == 1, f"{self.what}: {len(self.signatures)} signatures, want 1")
        need(key.verifies(self.pae, self.signatures[0]), f"{self.what}: the signature is not {key.name}'s")
