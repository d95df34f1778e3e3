"""OpenPGP signatures (RFC 9580, version 4 only)."""

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from forms import Refused, need


def packets(data):
    """The packets of a certificate or a signature: (tag, body)."""
    found = []
    while data:
        tag, data = data[0], data[1:]
        need(tag & 0x80 and data, "OpenPGP: no packet")
        if tag & 0x40:
            tag &= 0x3F
            if data[0] < 192:
                size, data = data[0], data[1:]
            elif data[0] < 224 and len(data) > 1:
                size, data = ((data[0] - 192) << 8) + data[1] + 192, data[2:]
            else:
                need(data[0] == 255 and len(data) > 4, "OpenPGP: partial packet")
                size, data = int.from_bytes(data[1:5], "big"), data[5:]
        else:
            octets = {0: 1, 1: 2, 2: 4}.get(tag & 3, 0)
            need(octets and len(data) > octets, "OpenPGP: packet without length")
            tag, size, data = (tag >> 2) & 0xF, int.from_bytes(data[:octets], "big"), data[octets:]
        need(size <= len(data), "OpenPGP: packet cut off")
        found.append((tag, data[:size]))
        data = data[size:]
    return found


def mpis(data):
    found = []
    while data:
        bits = int.from_bytes(data[:2], "big")
        size = (bits + 7) // 8
        need(len(data) >= 2 + size, "OpenPGP: number cut off")
        value, data = data[2:2 + size], data[2 + size:]
        need(int.from_bytes(value, "big").bit_length() == bits, "OpenPGP: number in another spelling")
        found.append(value)
    return found


ED25519_CURVE = bytes.fromhex("092b06010401da470f01")  # length and object identifier


def signing_keys(certificate):
    """The public keys in a certificate, by fingerprint. Whoever knows the
    fingerprint from the policy needs no self-signature to know the key; whether it
    had expired is for gpg to say."""
    found = {}
    for tag, body in packets(certificate):
        need(tag in (2, 6, 13, 14), f"OpenPGP certificate: packet of type {tag}")
        if tag not in (6, 14):
            continue
        need(len(body) > 6 and body[0] == 4, "OpenPGP certificate: not version 4")
        fingerprint = hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body).hexdigest().upper()
        if body[5] == 22 and body[6:].startswith(ED25519_CURVE):
            point = mpis(body[6 + len(ED25519_CURVE):])
            need(len(point) == 1 and len(point[0]) == 33 and point[0][0] == 0x40, "OpenPGP certificate: key")
            found[fingerprint] = Ed25519PublicKey.from_public_bytes(point[0][1:])
        elif body[5] == 1:
            numbers = mpis(body[6:])
            need(len(numbers) == 2, "OpenPGP certificate: key")
            n, e = (int.from_bytes(x, "big") for x in numbers)
            found[fingerprint] = rsa.RSAPublicNumbers(e, n).public_key()
    need(found, "OpenPGP certificate: no key")
    return found


def hashed_area(created, fingerprint, notations):
    """The hashed subpackets, which follow from decision, artifact and certificate."""
    def subpacket(kind, content):
        size = len(content) + 1
        return (bytes([size]) if size < 192 else ((size - 192) + (192 << 8)).to_bytes(2, "big")) + bytes([kind]) + content

    issuer = bytes.fromhex(fingerprint)
    area = subpacket(2, created.to_bytes(4, "big")) + subpacket(16, issuer[-8:]) + subpacket(33, b"\4" + issuer)
    for key, value in notations:
        area += subpacket(20, b"\x80\0\0\0" + len(key).to_bytes(2, "big") + len(value).to_bytes(2, "big") + key.encode() + value.encode())
    return area


class Signature:
    """One signature packet over an artifact; explained by a decision."""

    def __init__(self, raw, key, fingerprint, artifact, decisions):
        need(0 < len(raw) <= 16384, "OpenPGP signature: its length")
        found = packets(raw)
        need(len(found) == 1 and found[0][0] == 2, "OpenPGP signature: not one signature")
        body = found[0][1]
        algorithm = 22 if isinstance(key, Ed25519PublicKey) else 1
        need(body[:4] == bytes([4, 0, algorithm, 10]), "OpenPGP signature: not of type 0x00 with SHA-512")
        size = int.from_bytes(body[4:6], "big")
        self.head, rest = body[:6 + size], body[6 + size:]
        need(len(rest) > 4 and rest[:2] == b"\0\0", "OpenPGP signature: unhashed subpackets")
        self.left, self.numbers, self.key = rest[2:4], mpis(rest[4:]), key
        self.artifact = artifact
        for d in decisions:
            value = d.value
            if (artifact["sha256"], artifact["sha512"]) not in [a[1:] for a in value["agreed"]]:
                continue
            area = hashed_area(value["decided"], fingerprint, [
                ("evidence@reprosign.github.io", f"{d.origin} {value['digest']}"),
                ("ground@reprosign.github.io", value["ground"]),
                ("data-digest@reprosign.github.io", "sha512:" + artifact["sha512"]),
            ])
            if self.head[6:] == area:
                self.decision = d
                return
        raise Refused(f"the signature over {artifact['name']} names no decision in this bundle about it")

    def verify(self, file):
        """Over the file, whose bytes follow the trailer of version 4 signatures."""
        digest = hashlib.sha512(file + self.head + b"\4\xff" + len(self.head).to_bytes(4, "big")).digest()
        need(digest[:2] == self.left, "OpenPGP signature: it is over another file")
        try:
            if isinstance(self.key, Ed25519PublicKey):
                need(len(self.numbers) == 2 and all(len(x) <= 32 for x in self.numbers), "OpenPGP signature: numbers")
                self.key.verify(b"".join(x.rjust(32, b"\0") for x in self.numbers), digest)
            else:
                need(len(self.numbers) == 1, "OpenPGP signature: numbers")
                size = self.key.key_size // 8
                self.key.verify(self.numbers[0].rjust(size, b"\0"), digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA512()))
        except InvalidSignature:
            raise Refused("OpenPGP signature: it does not verify") from None
