"""The log: leaves, proofs, checkpoints, cosignatures (docs/spec/log.md), and decisions in it."""

import hashlib
import re

from forms import Refused, b64, canonical, items, need, number, shape, string, unbase64
from keys import Envelope
from statements import read_decision, same


def leaf_of(envelope, key):
    return canonical({
        "apiVersion": "0.0.2", "kind": "hashedrekord",
        "spec": {"hashedRekordV002": {
            "data": {"algorithm": "SHA2_256", "digest": b64(hashlib.sha256(envelope.pae).digest())},
            "signature": {"content": b64(envelope.signatures[0]), "verifier": {"keyDetails": "PKIX_ECDSA_P256_SHA_256", "publicKey": {"rawBytes": b64(key.raw)}}},
        }},
    })


def root_of(leaf, index, size, path):
    """The root that an inclusion proof leads to (RFC 6962)."""
    node, last = hashlib.sha256(b"\0" + leaf).digest(), size - 1
    for sibling in path:
        need(last > 0, "the proof is too long")
        if index % 2 or index == last:
            node = hashlib.sha256(b"\1" + sibling + node).digest()
            while index % 2 == 0 and index:
                index, last = index >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\1" + node + sibling).digest()
        index, last = index >> 1, last >> 1
    need(last == 0, "the proof is too short")
    return node


class Note:
    """A signed note: the text, and signatures by name and key id."""

    def __init__(self, note):
        need(0 < len(note) <= 64 << 10, "checkpoint: too long or missing")
        try:
            decoded = note.decode()
        except UnicodeDecodeError:
            raise Refused("checkpoint: not UTF-8") from None
        need(not re.search("[\0-\x09\x0b-\x1f]", decoded), "checkpoint: control character")
        head, found, tail = decoded.rpartition("\n\n")
        need(found and tail.endswith("\n"), "checkpoint: no signed note")
        self.text, self.lines = head.encode() + b"\n", []
        for line in tail[:-1].split("\n"):
            match = re.fullmatch("— ([^ +]+) ([A-Za-z0-9+/=]+)", line)
            need(match and len(self.lines) < 100, "checkpoint: signature line")
            raw = unbase64(match[2], "checkpoint: signature line", 5)
            self.lines.append((match[1], raw[:4], raw[4:]))

    def first(self, key):
        """The first signature of a known key; unknown ones are passed over."""
        return next((s for who, id, s in self.lines if (who, id) == (key.name, key.id)), None)


def read_checkpoint(raw, log):
    note = Note(raw)
    signature = note.first(log)
    need(signature is not None and log.verifies(note.text, signature), "checkpoint: not signed by the log")
    lines = note.text.decode().split("\n")
    need(len(lines) == 4, "checkpoint: other lines than origin, size and root")
    need(lines[0] == log.name, "checkpoint: of another log")
    string(lines[1], r"0|[1-9]\d{0,15}", "checkpoint: size")
    return number(int(lines[1]), "checkpoint: size"), unbase64(lines[2], "checkpoint: root", 32, 32), note


def logged(leaf, index, path, raw_checkpoint, log, witnesses):
    """Proves that a leaf is in the log. Returns the checkpoint's size and root,
    and who cosigned it, in the order of their times."""
    size, root, note = read_checkpoint(raw_checkpoint, log)
    need(0 <= index < size and len(path) <= 53, "index beyond the tree")
    need(root_of(leaf, index, size, path) == root, f"the entry is not at index {index} of the tree of {size}")
    return size, root, cosigners(note, witnesses)


def cosigners(note, witnesses):
    """The quorum of witnesses (docs/spec/policy.md, "Witnesses"). A bad line of a
    known witness spoils the note; enough must have cosigned."""
    if witnesses is None:
        return []
    found = []
    for w in witnesses.keys:
        line = note.first(w)
        if line is None:
            continue
        need(len(line) == 72, f"cosignature of {w.name}: its length")
        at = int.from_bytes(line[:8], "big")
        need(0 < at <= 253402300799, f"cosignature of {w.name}: its time")
        need(w.verifies(b"cosignature/v1\ntime %d\n" % at + note.text, line[8:]), f"bad cosignature of {w.name}")
        found.append((at, w.name))
    need(len(found) >= witnesses.quorum, f"cosigned by {len(found)} of {witnesses.quorum} witnesses")
    return sorted(found)[:witnesses.quorum]


def read_tlog_proof(value):
    """C2SP tlog-proof text."""
    need(isinstance(value, str) and "\n\n" in value, "no tlog-proof")
    head, checkpoint = value.split("\n\n", 1)
    lines = head.split("\n")
    need(len(lines) >= 2 and lines[0] == "c2sp.org/tlog-proof@v1", "no tlog-proof")
    string(lines[1], r"index (0|[1-9]\d{0,15})", "tlog-proof: index")
    path = [unbase64(line, "tlog-proof: hash", 32, 32) for line in lines[2:]]
    return int(lines[1][6:]), path, checkpoint.encode()


class Decision:
    """A decision as a Sigstore bundle: verified, and in the log."""

    def __init__(self, value, policy, log, witnesses):
        self.origin = policy.origin
        shape(value, "Sigstore bundle", ["dsseEnvelope", "mediaType", "verificationMaterial"])
        envelope = Envelope(value["dsseEnvelope"], "decision")
        self.value = read_decision(envelope)
        signer = policy.find(policy.signers, self.value["signer"], "signer")
        envelope.signed_by(signer)
        material = shape(value["verificationMaterial"], "Sigstore bundle", ["publicKey", "tlogEntries"])
        entry = items(material["tlogEntries"], "Sigstore bundle: log entries", 1, 1)[0]
        need(isinstance(entry, dict) and isinstance(entry.get("inclusionProof"), dict), "Sigstore bundle: inclusion proof")
        proof = entry["inclusionProof"]
        string(proof.get("logIndex"), r"0|[1-9]\d{0,15}", "Sigstore bundle: log index")
        self.index = int(proof["logIndex"])
        path = [unbase64(h, "inclusion proof", 32, 32) for h in items(proof.get("hashes"), "inclusion proof", 0, 53)]
        note = shape(proof.get("checkpoint"), "Sigstore bundle: checkpoint", ["envelope"])["envelope"]
        need(isinstance(note, str), "Sigstore bundle: checkpoint")
        leaf = leaf_of(envelope, signer)
        size, root, self.seen = logged(leaf, self.index, path, note.encode(), log, witnesses)
        # Much is there twice or follows from the rest: it is made again and compared.
        same(value, {
            "dsseEnvelope": value["dsseEnvelope"],
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "publicKey": {"hint": b64(hashlib.sha256(signer.raw).digest())},
                "tlogEntries": [{
                    "canonicalizedBody": b64(leaf),
                    "inclusionProof": {
                        "checkpoint": {"envelope": note}, "hashes": [b64(h) for h in path],
                        "logIndex": str(self.index), "rootHash": b64(root), "treeSize": str(size),
                    },
                    "integratedTime": "0",
                    "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
                    "logId": {"keyId": b64(hashlib.sha256(log.name.encode() + b"\n\1" + log.raw).digest())},
                    "logIndex": str(self.index),
                }],
            },
        }, "Sigstore bundle")
