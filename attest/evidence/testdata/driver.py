"""Asks examples/python what it makes of documents: one question a line on
standard input, one answer a line on standard output."""

import base64
import json
import sys
import traceback

sys.path.insert(0, sys.argv[1])

import agreement
import forms
import keys
import policy
import statements
import verify


def envelope(payload, kind=keys.STATEMENT):
    return keys.Envelope({"payload": forms.b64(payload), "payloadType": kind, "signatures": [{"sig": "AA=="}]}, "document")


def evidence(data, question):
    found = verify.Evidence(data, verify.read_trust(base64.b64decode(question["trust"])))
    if question.get("file"):
        found.check_file(question["name"], base64.b64decode(question["file"]))


def evaluate(data, question):
    """The case that a JSON object describes."""
    case = json.loads(data)
    raw = {member: base64.b64decode(case[member]) for member in ("policy", "request", "opening")}
    opening = envelope(raw["opening"])
    agreed, n, m, listed = agreement.evaluate(
        policy.Policy(envelope(raw["policy"], keys.POLICY)), statements.read_request(envelope(raw["request"])),
        statements.read_opening(opening), opening.digest, case.get("claim"), case["votes"], case["at"], case["since"])
    return {"Set": agreed, "Threshold": n, "Operators": m, "Accepted": listed}


READERS = {
    "evaluate": evaluate,
    "evidence": evidence,
    "trust": lambda data, _: verify.read_trust(data),
    "policy": lambda data, _: policy.Policy(envelope(data, keys.POLICY)),
    "request": lambda data, _: statements.read_request(envelope(data)),
    "opening": lambda data, _: statements.read_opening(envelope(data)),
    "rebuild": lambda data, _: statements.read_rebuild(envelope(data)),
    "decision": lambda data, _: statements.read_decision(envelope(data)),
    "artifacts": lambda data, _: statements.read_artifacts(forms.parse(data, 512 << 10)),
}

for line in sys.stdin:
    question = json.loads(line)
    answer = {}
    try:
        answer["Verdict"] = READERS[question["what"]](base64.b64decode(question["data"]), question)
    except forms.Refused as e:
        answer["Refused"] = str(e)
    except Exception:
        answer["Refused"] = answer["Failed"] = traceback.format_exc()
    print(json.dumps(answer, default=lambda _: None), flush=True)
