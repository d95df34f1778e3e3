#!/usr/bin/env python3
"""Verify reprosign evidence, independently of reprosign.

    verify.py --trust TRUST BUNDLE [FILE [--name NAME]]

An example of how little it takes to check evidence without trusting the tool
that made it: written from docs/spec alone, with nothing but Python's standard
library and the package "cryptography". No network, no clock.

It checks everything that reprosign verify checks but the OpenPGP certificate's
own validity (self-signatures and expiry), which is left to gpg. The numbers of
sections refer to docs/spec/evidence-bundle.md and docs/spec/policy.md.

Exit status: 0 verified, 1 not verified, 2 usage.
"""

import argparse
import hashlib
import os
import sys

from agreement import evaluate
from forms import Refused, items, need, parse, sha256, shape, stamp, string, unbase64
from keys import Envelope
from log import Decision, leaf_of, logged, read_tlog_proof
from openpgp import Signature, signing_keys
from policy import Policy, Witnesses
from statements import read_artifacts, read_decision, read_opening, read_rebuild, read_request


def read_trust(data):
    """Trust: a signed policy, and the witnesses that count."""
    data = data[:-1] if data.endswith(b"\n") else data
    value = parse(data, (655360 // 3 * 4 + (64 << 10)) + (64 << 10))
    own = None
    if isinstance(value, dict) and "mediaType" in value:
        shape(value, "trust file", ["mediaType", "policy", "witnesses"])
        need(value["mediaType"] == "application/vnd.reprosign.trust.v1+json", "trust file: media type")
        own, value = Witnesses(value["witnesses"]), value["policy"]
    pinned = Policy(Envelope(value, "policy"))
    pinned.signed_by(pinned.admins, pinned.k)
    if own:
        held = {raw for raw, (role, _) in pinned.keys.items() if role != "witness"}
        need(not held & {w.raw for w in own.keys}, "trust file: a witness has a key of another role")
    return pinned, own or pinned.witnesses


MEMBERS = ["artifacts", "certificates", "decision", "earlier", "mediaType", "opening", "openingLogProof", "policies", "request", "signatures", "votes"]


class Evidence:
    """A verified bundle. Each step says, in self.steps, what it showed."""

    def __init__(self, data, trust):
        self.steps = []
        self.pinned, self.witnesses = trust
        data = data[:-1] if data.endswith(b"\n") else data
        self.b = b = shape(parse(data, 64 << 20), "bundle", MEMBERS, ["claim"])
        need(b["mediaType"] == "application/vnd.reprosign.evidence.v1+json", "bundle: media type")
        for member, least, most in (("policies", 1, 256), ("votes", 1, 1024), ("earlier", 0, 64), ("certificates", 0, 8), ("signatures", 0, 8192)):
            items(b[member], f"bundle: {member}", least, most)
        self.step("pinned policy", f"policy {self.pinned.serial}, signed by its admins")
        self.opening_envelope = Envelope(b["opening"], "opening")
        self.chain()
        self.statements()
        self.agreement()
        self.certificates()

    def step(self, what, detail):
        self.steps.append((what, detail))

    def chain(self):
        """Policy chain: from the pinned policy to the one that the opening names, and back."""
        opening = read_opening(self.opening_envelope)
        known, newest, serial, last = {self.pinned.digest: self.pinned}, self.pinned, 0, None
        older = []
        for value in self.b["policies"]:
            p = last = Policy(Envelope(value, "policy"))
            need(p.serial > serial, f"policy {p.serial} does not stand in order")
            serial = p.serial
            if p.serial < self.pinned.serial:
                older.append(p)
            if p.serial < self.pinned.serial or p.digest in known:
                continue
            need(p.serial > newest.serial, f"two policies with serial {p.serial}")
            p.signed_by(newest.admins, newest.k)
            p.signed_by(p.admins, p.k)
            need(p.serial != newest.serial + 1 or p.previous == newest.digest, f"policy {p.serial} does not follow the one before")
            known[p.digest] = newest = p
        need(last.digest == opening["policy"], "the chain does not end with the policy of the opening")
        need(last.digest in known, "the release was opened under an older policy than the pinned one")
        self.known, self.policy = known, known[last.digest]
        self.older, oldest = {}, self.pinned  # what each names as the one before it
        for p in reversed(older):
            if p.digest != oldest.previous:
                break
            self.older[p.digest] = oldest = p
        self.insecure = any(p.insecure for p in known.values())
        self.step("policy chain", f"leads to policy {self.policy.serial}")

    def statements(self):
        b, p = self.b, self.policy
        envelope = Envelope(b["request"], "request")
        self.request = read_request(envelope)
        envelope.signed_by(p.find(p.publishers, self.request["publisher"], "publisher"))
        self.suite = p.admit(self.request)
        operators = {r["operator"] for r in p.invited(self.suite, self.request["architecture"])}
        need(len(operators) >= self.suite["threshold"], "too few operators rebuild the architecture")
        self.request_digest = envelope.digest
        self.step("request", "{publisher} asked for {source} {version} ({architecture}) in {suite}".format(**self.request))

        self.opening = read_opening(self.opening_envelope)
        key = p.find(p.coordinators, self.opening["coordinator"], "coordinator")
        self.opening_envelope.signed_by(key)
        need(self.opening["request"] == self.request_digest, "the opening is of another request")
        need(self.opening["policySerial"] == p.serial, "the opening names another serial than its policy's")
        self.release = self.opening_envelope.digest
        self.step("opening", f"release {self.release}, attempt {self.opening['attempt']}")

        self.opening_index, path, checkpoint = read_tlog_proof(b["openingLogProof"])
        size, _, self.opening_seen = logged(leaf_of(self.opening_envelope, key), self.opening_index, path, checkpoint, p.log, self.witnesses)
        self.step("opening in the log", f"entry {self.opening_index} of {p.origin}, in a tree of {size}")

        self.claim = b.get("claim")
        need(("claim" in self.request) == (self.claim is not None), "the claim is missing, or there is one that was not made")
        if self.claim is not None:
            shape(self.claim, "claim", ["salt", "set"])
            both = string(self.claim["salt"], "[0-9a-f]{64}", "claim") + string(self.claim["set"], "[0-9a-f]{64}", "claim")
            need(sha256(bytes.fromhex(both)) == self.request["claim"], "the claim is not the one that the request hides")
        self.step("claim", "opened" if self.claim else "none was made")

        self.votes = []
        for value in b["votes"]:
            vote = Envelope(value, "vote")
            r = read_rebuild(vote)
            vote.signed_by(p.find(p.rebuilders, r["rebuilder"], "rebuilder"))
            need(r["release"] == self.release, f"the vote of {r['rebuilder']} is about another release")
            need(not self.votes or self.votes[-1]["statement"] < r["statement"], "votes out of order or there twice")
            self.votes.append(r)
        self.step("votes", ", ".join(sorted(f"{v['rebuilder']} {v['outcome']}" for v in self.votes)))

        self.set = read_artifacts(b["artifacts"])
        for a in b["artifacts"]:
            need(a["kind"] in self.suite["kinds"], f"artifact {a['name']} is of kind {a['kind']}")
        self.step("artifacts", f"{len(b['artifacts'])}, of kinds that the suite allows")

    def agreement(self):
        b, p = self.b, self.policy
        self.decision = Decision(b["decision"], p, p.log, self.witnesses)
        d = self.decision.value
        need(d["release"] == self.release and d["request"] == self.request_digest, "the decision is about another release")
        need(d["policy"] == p.digest and d["policySerial"] == p.serial, "the decision was made under another policy")
        need(d["blind"] != self.request.get("claimPublic", False), "the decision says otherwise than the request whether votes were blind")
        need(d["artifactSet"] == self.set, "the decision is about another artifact set")
        need(d["agreed"] == [(a["name"], a["sha256"], a["sha512"]) for a in b["artifacts"]], "the decision is about other artifacts")
        need(self.opening_index < self.decision.index, "the decision stands before its opening in the log")
        self.step("decision in the log", f"entry {self.decision.index}, by {d['signer']} at {stamp(d['decided'])}")
        need(p.in_force(d["decided"]), "the policy was not in force when it was decided")

        case = (p, self.request, self.opening, self.release, self.claim, self.votes)
        agreed, n, m, listed = evaluate(*case, d["decided"], self.opening["opened"])
        need((agreed, n, m) == (d["artifactSet"], d["threshold"], d["operators"]), "the votes agree on another set, or by another quorum")
        need(listed == d["votes"] == [v["statement"] for v in self.votes], "the decision lists other votes than the policy accepts, or than there are")
        self.step("agreement", f"{n} of {m} operators needed")

        self.unwitnessed = True
        if self.witnesses:
            self.unwitnessed = not self.witnesses.independent({self.pinned.log_operator, p.log_operator})
            opened, decided = self.opening_seen[-1][0], self.decision.seen[-1][0]
            again, *_ = evaluate(*case, max(d["decided"], decided), min(self.opening["opened"], opened, decided))  # rule 14
            need(again == agreed, "by the witnesses' time the votes agree on another set")
            self.step("witness time", ", ".join(f"{who} at {stamp(at)}" for at, who in self.decision.seen))

        self.earlier = []
        for value in b["earlier"]:
            need(isinstance(value, dict), "earlier decision: no object")
            claimed = read_decision(Envelope(value.get("dsseEnvelope"), "earlier decision"))
            own = {**self.older, **self.known}.get(claimed["policy"], p)
            e = Decision(value, own, p.log, self.witnesses)
            self.insecure |= own.insecure
            need(e.index < self.decision.index and (not self.earlier or self.earlier[-1].index < e.index), "earlier decision out of order")
            self.earlier.append(e)
            if own.serial < self.pinned.serial:
                self.step("earlier decision", f"entry {e.index}, under policy {own.serial}, older than the pinned policy {self.pinned.serial}")

    def certificates(self):
        b = self.b
        allowed = [c["fingerprint"] for c in self.suite["certificates"]]
        keys, order = {}, []
        for value in b["certificates"]:
            found = signing_keys(unbase64(value, "OpenPGP certificate", 1, 32 << 10))
            named = [f for f in found if f in allowed]
            need(len(named) == 1, "an OpenPGP certificate is not one of the suite's")
            keys[named[0]] = found[named[0]]
            order.append(named[0])
        need(order == sorted(set(order)), "OpenPGP certificates out of order")
        self.signatures, place = [], []
        artifacts = {a["name"]: a for a in b["artifacts"]}
        for s in b["signatures"]:
            shape(s, "signature", ["artifact", "certificate", "kind", "signature"])
            need(s["kind"] == "detached-binary", "signature: kind")
            need(s["artifact"] in artifacts and s["certificate"] in keys, "signature: over no artifact, or by no certificate of this bundle")
            place.append((s["artifact"], s["certificate"]))
            raw = unbase64(s["signature"], "signature")
            self.signatures.append(Signature(raw, keys[s["certificate"]], s["certificate"], artifacts[s["artifact"]], [self.decision, *self.earlier]))
        need(place == sorted(set(place)), "signatures out of order, or two by one certificate")
        need({c for _, c in place} == set(keys), "an OpenPGP certificate signs nothing")
        need({s.decision for s in self.signatures} >= set(self.earlier), "an earlier decision is named by no signature")
        self.step("signatures", f"{len(self.signatures)} name a decision of this evidence")

    def check_file(self, file_name, file):
        """File: its name, size and both digests, and every signature over it."""
        found = [a for a in self.b["artifacts"] if a["name"] == file_name]
        need(found, f"{file_name} is none of the artifacts of this release")
        a = found[0]
        need((len(file), sha256(file), hashlib.sha512(file).hexdigest()) == (a["size"], a["sha256"], a["sha512"]), f"{file_name} has other bytes than were decided")
        over = [s for s in self.signatures if s.artifact is a]
        need(over, f"{file_name} is decided, but the bundle holds no signature over it")
        for s in over:
            s.verify(file)
        self.step("file", f"{file_name} is what was decided, with {len(over)} OpenPGP signature(s) over it")

    def caveats(self):
        found = []
        if not self.signatures:
            found.append("unsigned: nothing in this evidence is signed, and it vouches for no file")
        if self.unwitnessed:
            found.append("unwitnessed: no witnesses of two other operators than the log's own vouch for log and time")
        if self.insecure:
            found.append("insecure policy: it relaxes the rules that others rely on")
        if not self.decision.value["blind"]:
            found.append("not blind: the artifacts were public before the votes")
        found.append("not checked here: whether the OpenPGP certificate is valid by its own signatures and had not expired; gpg says so")
        return found


def main(arguments):
    parser = argparse.ArgumentParser(description="Verify reprosign evidence, independently of reprosign.")
    parser.add_argument("--trust", required=True, help="trust file: the pinned, signed policy")
    parser.add_argument("--name", help="name of the file where it is published (default its own)")
    parser.add_argument("bundle")
    parser.add_argument("file", nargs="?")
    args = parser.parse_args(arguments)
    try:
        with open(args.trust, "rb") as trust, open(args.bundle, "rb") as bundle:
            evidence = Evidence(bundle.read(), read_trust(trust.read()))
        if args.file:
            with open(args.file, "rb") as file:
                evidence.check_file(args.name or os.path.basename(args.file), file.read())
    except Refused as e:
        print(f"not verified: {e}", file=sys.stderr)
        return 1
    except OSError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    for what, detail in evidence.steps:
        print(f"ok: {what}: {detail}")
    for caveat in evidence.caveats():
        print(f"note: {caveat}")
    if not evidence.signatures:
        print("the decision follows from its votes; nothing is signed, and no file verifies against it")
        return 0
    print("verified" + (", unwitnessed" if evidence.unwitnessed else "") + ("" if args.file else "; no file was given"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
