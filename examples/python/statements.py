"""The statements that evidence is made of (docs/spec/envelope-and-statements.md)."""

from forms import canonical, digest, items, moment, name, need, number, printable, sha256, shape, string, text
from keys import SPEC


def same(have, want, what):
    """Not ==, by which True is 1."""
    need(canonical(have) == canonical(want), f"{what}: it says one thing twice and differently, or more than it may")


def subject(name, value):
    return [{"digest": {"sha256": value}, "name": name}]


ARTIFACT_NAME = r"[A-Za-z0-9][!-.0-\[\]-~]{0,127}"


def read_request(envelope):
    p, subjects = envelope.statement(SPEC + "release-request/v1")
    shape(p, "request", ["architecture", "publisher", "recipe", "source", "suite", "version"], ["claim", "claimPublic", "inputs"])
    for member in ("architecture", "source", "version"):
        text(p[member], f"request: {member}")
    name(p["publisher"], "request: publisher")
    name(p["suite"], "request: suite")
    for member in ("claim", "inputs"):
        if member in p:
            digest(p[member], f"request: {member}")
    if "claimPublic" in p:
        need(p["claimPublic"] is True and "claim" in p, "request: a claim is public, but there is none")
    r = shape(p["recipe"], "recipe", ["backend", "parameters", "sources"])
    need(len(canonical(r)) <= 64 << 10, "recipe: too long")
    name(r["backend"], "recipe: back-end")
    need(isinstance(r["parameters"], dict) and len(r["parameters"]) <= 64, "recipe: parameters")
    for key, value in r["parameters"].items():
        text(key, "recipe: parameter")
        printable(value, "recipe: parameter", 4096)
    pins = []
    for s in items(r["sources"], "recipe: sources", 1, 256):
        shape(s, "source", ["name", "sha256", "size", "urls"])
        string(s["name"], ARTIFACT_NAME, "source: name")
        digest(s["sha256"])
        number(s["size"], "source: size")
        for u in items(s["urls"], "source: urls", 0, 8):
            string(u, r"(https?://[^@?/]+/|file:///)[!$-\]_a-z~%]*", "source: url")
        pins.append({"name": s["name"], "sha256": s["sha256"], "size": s["size"]})
    need([x["name"] for x in pins] == sorted({x["name"] for x in pins}), "recipe: sources out of order")
    same(subjects, subject("source", sha256(canonical(pins))), "request")
    return p


def read_opening(envelope):
    p, subjects = envelope.statement(SPEC + "opening/v1")
    shape(p, "opening", ["attempt", "coordinator", "deadline", "nonce", "opened", "policy", "policySerial", "request"])
    name(p["coordinator"], "opening: coordinator")
    for member in ("nonce", "policy", "request"):
        digest(p[member], f"opening: {member}")
    number(p["attempt"], "opening: attempt", 1, 100)
    number(p["policySerial"], "opening: serial", 1)
    same(subjects, subject("release-request", p["request"]), "opening")
    opened, deadline = moment(p["opened"]), moment(p["deadline"])
    need(opened < deadline, "opening: its deadline is not later")
    return {**p, "opened": opened, "deadline": deadline}


ISOLATION = ["none", "uid", "userns", "bwrap"]


def read_rebuild(envelope):
    p, subjects = envelope.statement("https://slsa.dev/provenance/v1")
    shape(p, "vote", ["buildDefinition", "runDetails"])
    d = shape(p["buildDefinition"], "vote", ["buildType", "externalParameters", "internalParameters", "resolvedDependencies"])
    r = shape(p["runDetails"], "vote", ["builder", "byproducts", "metadata", "reprosign_outcome"])
    release = digest(shape(d["externalParameters"], "vote", ["release"])["release"], "vote: release")
    internal = shape(d["internalParameters"], "vote", ["environment", "isolation"])
    rebuilder = name(shape(r["builder"], "vote", ["id"])["id"], "vote: rebuilder")
    times = shape(r["metadata"], "vote", ["finishedOn", "startedOn"])
    need(moment(times["startedOn"]) <= moment(times["finishedOn"]), "vote: it ended before it began")
    need(d["buildType"] == SPEC + "rebuild/v1", "vote: build type")
    need(internal["isolation"] in ISOLATION, "vote: isolation")
    need(isinstance(internal["environment"], dict) and len(internal["environment"]) <= 32, "vote: environment")
    for key, value in internal["environment"].items():
        text(key, "vote: environment")
        string(value, r"[ -~]{0,256}", "vote: environment")
    for member, called in ((d["resolvedDependencies"], "input-manifest"), (r["byproducts"], "build-log")):
        for reference in items(member, f"vote: {called}", 0, 1):
            shape(reference, f"vote: {called}", ["digest", "name"])
            same(reference, subject(called, digest(shape(reference["digest"], "vote", ["sha256"])["sha256"]))[0], "vote")
    outcome = r["reprosign_outcome"]
    need(outcome in ("built", "build-failed", "fetch-failed", "timed-out", "infra-error"), "vote: outcome")
    need(isinstance(subjects, list) and len(subjects) == 1, "vote: subject")
    about = digest(shape(shape(subjects[0], "vote", ["digest", "name"])["digest"], "vote", ["sha256"])["sha256"])
    same(subjects, subject("artifact-set" if outcome == "built" else "source", about), "vote")
    return {
        "statement": envelope.digest, "release": release, "rebuilder": rebuilder, "built": outcome == "built",
        "outcome": outcome, "set": about, "isolation": internal["isolation"],
    }


def read_decision(envelope):
    p, subjects = envelope.statement("https://slsa.dev/verification_summary/v1")
    shape(p, "decision", ["inputAttestations", "policy", "reprosign", "resourceUri", "timeVerified", "verificationResult", "verifiedLevels", "verifier"])
    d = shape(p["reprosign"], "decision", ["artifactSet", "blind", "ground", "operators", "policySerial", "release", "request", "threshold"])
    for member in ("artifactSet", "release", "request"):
        digest(d[member], f"decision: {member}")
    need(type(d["blind"]) is bool, "decision: blind")
    need(d["ground"] == "quorum", "decision: ground")
    number(d["operators"], "decision: operators", number(d["threshold"], "decision: threshold", 1), 1024)
    number(d["policySerial"], "decision: policy", 1)
    signer = name(shape(p["verifier"], "decision", ["id"])["id"], "decision: signer")
    policy = digest(shape(shape(p["policy"], "decision", ["digest", "uri"])["digest"], "decision", ["sha256"])["sha256"])
    votes = []
    for v in items(p["inputAttestations"], "decision: votes", d["threshold"], 1024):
        votes.append(digest(shape(shape(v, "decision", ["digest", "uri"])["digest"], "decision", ["sha256"])["sha256"]))
    need(votes == sorted(set(votes)), "decision: votes out of order or there twice")
    agreed = []
    for s in items(subjects, "decision: artifacts", 1, 1024):
        both = shape(shape(s, "decision", ["digest", "name"])["digest"], "decision", ["sha256", "sha512"])
        agreed.append((string(s["name"], ARTIFACT_NAME, "decision: artifact"), digest(both["sha256"]), digest(both["sha512"], size=128)))
    names = [a[0] for a in agreed]
    need(names == sorted(set(names)), "decision: artifacts out of order")
    decided = moment(p["timeVerified"])
    same(p, {
        "inputAttestations": [{"digest": {"sha256": v}, "uri": "urn:reprosign:statement:" + v} for v in votes],
        "policy": {"digest": {"sha256": policy}, "uri": f"urn:reprosign:policy:{d['policySerial']}"},
        "reprosign": d,
        "resourceUri": "urn:reprosign:release:" + d["release"],
        "timeVerified": p["timeVerified"],
        "verificationResult": "PASSED",
        "verifiedLevels": [f"REPROSIGN_REPRODUCED_{d['threshold']}_OF_{d['operators']}"],
        "verifier": {"id": signer},
    }, "decision")
    return {**d, "signer": signer, "policy": policy, "votes": votes, "agreed": agreed, "decided": decided, "digest": envelope.digest}


def read_artifacts(value):
    """The artifact set and its digest (docs/spec/artifact-set.md)."""
    for a in items(value, "artifacts", 1, 1024):
        shape(a, "artifact", ["kind", "name", "sha256", "sha512", "size"])
        string(a["kind"], r"[a-z0-9.-]{1,32}", "artifact: kind")
        string(a["name"], ARTIFACT_NAME, "artifact: name")
        digest(a["sha256"])
        digest(a["sha512"], size=128)
        number(a["size"], "artifact: size")
    names = [a["name"] for a in value]
    need(names == sorted(set(names)), "artifacts out of order or named twice")
    return sha256(canonical(value))
