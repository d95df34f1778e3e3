"""The policy document (docs/spec/policy.md, "Members", "Validity" and "Witnesses")."""

import base64
import binascii

from forms import digest, items, moment, name, need, number, parse, shape, string, text
from keys import COSIGNATURE, ECDSA, ED25519, POLICY, Key
from statements import ISOLATION


GRACE = 600  # seconds


class Policy:
    """A policy that is valid by itself ("Validity")."""

    def __init__(self, envelope):
        self.envelope, self.digest = envelope, envelope.digest
        need(envelope.type == POLICY, "policy: payload type")
        self.keys = {}  # raw public keys, each in one role
        v = shape(parse(envelope.payload, 256 << 10), "policy", [
            "admins", "coordinators", "expires", "issued", "log", "publishers", "rebuilders", "serial", "signers", "suites",
        ], ["insecure", "previous", "witnesses"])
        self.serial = number(v["serial"], "policy: serial", 1)
        self.previous = digest(v["previous"]) if "previous" in v else None
        need((self.serial == 1) == (self.previous is None), "policy: only policy 1 has none before it")
        self.insecure = v.get("insecure", False)
        need(type(self.insecure) is bool, "policy: insecure")
        self.issued, self.expires = moment(v["issued"]), moment(v["expires"])
        need(self.issued < self.expires <= self.issued + 366 * 86400, "policy: issued and expires")

        a = shape(v["admins"], "admins", ["keys", "threshold"])
        self.admins = [self.key("admin", k, ED25519) for k in items(a["keys"], "admins", 1, 64)]
        self.k = number(a["threshold"], "admins: threshold", 1 if self.insecure else 2, len(self.admins))

        log = shape(v["log"], "log", ["key", "origin"], ["operator"])
        self.origin = string(log["origin"], r"(?=.{1,128}$)[a-z0-9-]{1,64}(\.[a-z0-9-]{1,64})*", "log: origin")
        for label in self.origin.split("."):
            name(label, "log: origin")
        self.log = self.key("log", log["key"], ED25519, check=False)
        need(self.log.name == self.origin, "log: the key is not named as its origin")
        self.log_operator = name(log["operator"]) if "operator" in log else ""
        self.witnesses = Witnesses(v["witnesses"]) if "witnesses" in v else None
        if self.witnesses:
            need(self.log_operator, "log: operator is missing")
            for w in self.witnesses.keys:
                self.once("witness", w.name, w.raw)

        self.coordinators = self.parties("coordinator", v["coordinators"], ECDSA, 1, 64)
        self.signers = self.parties("signer", v["signers"], ECDSA, 1, 64)
        self.publishers = self.parties("publisher", v["publishers"], ED25519, 0, 1024, ["quota", "sources", "suites"])
        self.rebuilders = self.parties("rebuilder", v["rebuilders"], ED25519, 1, 128, ["architectures", "operator", "validFrom", "validUntil"])
        for r in self.rebuilders.values():
            name(r["operator"], "operator")
            words(r["architectures"], "architectures", text)
            r["validFrom"], r["validUntil"] = moment(r["validFrom"]), moment(r["validUntil"])
            need(r["validFrom"] < r["validUntil"], "rebuilder: valid from and until")
        self.suites = {}
        fingerprints = []
        for s in items(v["suites"], "suites", 1, 128):
            self.suite(s, fingerprints)
        for p in self.publishers.values():
            number(p["quota"], "quota", 1, 1_000_000)
            need(set(words(p["suites"], "suites", name)) <= set(self.suites), "publisher: unknown suite")
            words(p["sources"], "sources", lambda s, _: string(s, r"(?=[!-~]{1,128}$)[^*]*\*?", "source pattern"))

    def once(self, role, who, raw):
        need(raw not in self.keys, f"policy: {who} has a key that occurs twice")
        need((role, who) not in self.keys.values(), f"policy: two of role {role} are named {who}")
        self.keys[raw] = (role, who)

    def key(self, role, vkey, kind, check=True):
        k = Key(vkey, kind)
        if check:
            name(k.name, role)
        self.once(role, k.name, k.raw)
        return k

    def parties(self, role, value, kind, least, most, more=()):
        found = {}
        for p in items(value, role, least, most):
            shape(p, role, ["key", "nats", *more])
            k = self.key(role, p["key"], kind)
            self.once("nats " + role, k.name, nkey(p["nats"]))
            found[k.name] = {**p, "key": k}
        return found

    def suite(self, s, fingerprints):
        shape(s, "suite", [
            "backends", "certificates", "deadline", "kinds", "maxDissent", "minIsolation", "mode", "name", "rebuilders", "retries", "settle", "threshold",
        ], ["maxCheckpointAge", "recipes"])
        need(name(s["name"]) not in self.suites, "two suites of one name")
        need(s["mode"] == "enforce", "suite: mode")
        words(s["backends"], "backends", name)
        words(s["kinds"], "kinds", text)
        words(s.get("recipes", ["0" * 63 + "1"]), "recipes", digest)
        for c in items(s["certificates"], "certificates", 1, 8):
            shape(c, "certificate", ["fingerprint", "use"])
            string(c["fingerprint"], r"[0-9A-F]{40}", "fingerprint")
            need(c["use"] == "artifacts" and c["fingerprint"] not in fingerprints, "suite: certificates")
            fingerprints.append(c["fingerprint"])
        number(s["deadline"], "deadline", 1, 90 * 86400)
        number(s["settle"], "settle", 0, s["deadline"])
        number(s["retries"], "retries", 0, 99)
        number(s.get("maxCheckpointAge", 1), "maxCheckpointAge", 1, 7 * 86400)
        need(set(words(s["rebuilders"], "rebuilders", name)) <= set(self.rebuilders), "suite: unknown rebuilder")
        m = len({self.rebuilders[r]["operator"] for r in s["rebuilders"]})
        n = number(s["threshold"], "threshold", 1 if self.insecure else 2, m)
        need(2 * n > m or self.insecure, "suite: threshold is not more than half")
        need(number(s["maxDissent"], "maxDissent", 0, m - n) < n, "suite: maxDissent")
        need(s["minIsolation"] in ISOLATION[0 if self.insecure else 1:], "suite: minIsolation")
        self.suites[s["name"]] = s

    def find(self, parties, who, what):
        need(who in parties, f"{what} {who} is not in the policy")
        return parties[who]["key"]

    def signed_by(self, admins, k):
        n = sum(any(a.verifies(self.envelope.pae, s) for s in self.envelope.signatures) for a in admins)
        need(n >= k, f"policy {self.serial}: signed by {n} of the {k} admins needed")

    def in_force(self, at):
        return at < self.expires and at + GRACE >= self.issued

    def invited(self, suite, architecture):
        return [r for who, r in self.rebuilders.items() if who in suite["rebuilders"] and architecture in r["architectures"]]

    def admit(self, request):
        """Admission, but for the number of operators."""
        need(request["publisher"] in self.publishers, f"publisher {request['publisher']} is not in the policy")
        need(request["suite"] in self.suites, f"suite {request['suite']} is not in the policy")
        p, s = self.publishers[request["publisher"]], self.suites[request["suite"]]
        need(request["suite"] in p["suites"], "the publisher may not request releases of the suite")
        need(any(request["source"] == x or x.endswith("*") and request["source"].startswith(x[:-1]) for x in p["sources"]),
             "the publisher may not request releases of the source")
        recipe = request["recipe"]
        need(recipe["backend"] in s["backends"], "the suite does not build with the back-end")
        if recipe["backend"] == "command" and "recipes" in s:
            need(recipe["parameters"].get("sha256") in s["recipes"], "the suite does not allow the executable")
        return s


class Witnesses:
    """Those whose cosignatures count, and how many must have cosigned."""

    def __init__(self, value):
        shape(value, "witnesses", ["keys", "quorum"])
        self.keys, self.operators = [], []
        for w in items(value["keys"], "witnesses", 1, 15):
            shape(w, "witness", ["key", "operator"])
            self.keys.append(Key(w["key"], COSIGNATURE))
            self.operators.append(name(w["operator"], "witness: operator"))
        self.quorum = number(value["quorum"], "witnesses: quorum", 1, len(self.keys))
        need(len({k.name for k in self.keys}) == len({k.raw for k in self.keys}) == len(self.keys), "a witness is there twice")

    def independent(self, log_operators):
        """Whether every quorum has members of two operators other than the log's."""
        others = [o for o in self.operators if o not in log_operators]
        most = max((others.count(o) for o in others), default=0)
        return self.quorum > len(self.operators) - len(others) + most


def words(value, what, check):
    for w in items(value, what, 1, 1024):
        check(w, what)
    need(len(set(value)) == len(value), f"{what}: something is listed twice")
    return value


def nkey(value):
    """The Ed25519 key of a party's NATS connection."""
    string(value, r"U[A-Z2-7]{55}", "nats")
    raw = base64.b32decode(value)
    need(raw[0] == 20 << 3 and int.from_bytes(raw[33:], "little") == binascii.crc_hqx(raw[:33], 0), "nats: mistyped")
    return raw[1:33]
