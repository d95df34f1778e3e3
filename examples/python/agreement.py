"""Whether votes agree (docs/spec/policy.md, "Evaluation")."""

from forms import need, stamp
from policy import GRACE
from statements import ISOLATION


def evaluate(policy, request, opening, release, claim, votes, at, since):
    """Evaluation, rules 1 to 13, as far as it matters here: whether the case is
    Agreed, on which set, and which statements are accepted. since is when keys
    must have been valid already: the opening's time, or earlier by rule 14."""
    suite = policy.admit(request)
    need(opening["attempt"] <= suite["retries"] + 1, "an attempt too many")  # rule 5
    need(opening["deadline"] <= opening["opened"] + suite["deadline"], "the deadline is later than the suite's")
    need(policy.in_force(opening["opened"]), "the policy was not in force at the opening")

    seats = {r["key"].name: r for r in policy.invited(suite, request["architecture"])}
    standing = {r["operator"]: {"sets": set(), "valid": set(), "able": False, "open": False} for r in seats.values()}
    accepted, answered = [], set()
    lapsed = {who for who, r in seats.items() if at >= r["validUntil"] or r["validFrom"] > since}
    for v in votes:  # rules 1 and 2
        r = seats.get(v["rebuilder"])
        if v["release"] != release or r is None or r["validFrom"] > since or r["validUntil"] <= opening["opened"]:
            continue
        isolated = ISOLATION.index(v["isolation"]) >= ISOLATION.index(suite["minIsolation"])
        if v["built"] and not (isolated and (v["isolation"] != "none" or policy.insecure)):
            continue
        if not v["built"] and v["rebuilder"] in lapsed:
            continue
        accepted.append(v)
        answered.add(v["rebuilder"])
        if v["built"]:
            o = standing[r["operator"]]
            o["sets"].add(v["set"])
            if v["rebuilder"] not in lapsed:
                o["valid"].add(v["set"])
    for who, r in seats.items():
        if who not in lapsed:
            standing[r["operator"]]["able"] = True
            standing[r["operator"]]["open"] |= who not in answered

    stand = [next(iter(o["sets"])) for o in standing.values() if o["valid"] and len(o["sets"]) == 1]  # rule 3
    leading = max((stand.count(s) for s in stand), default=0)
    leaders = {s for s in stand if stand.count(s) == leading}
    candidate = claim["set"] if claim else leaders.pop() if len(leaders) == 1 else None
    a = stand.count(candidate) if candidate else leading
    d = sum(len(o["sets"]) > 1 or len(o["sets"]) == 1 and o["sets"] != {candidate} for o in standing.values())
    out = sum(not o["valid"] and o["able"] and o["open"] and o["sets"] <= {candidate} for o in standing.values())

    n, most = suite["threshold"], suite["maxDissent"]
    need(a >= n, f"the votes do not agree: {a} of {len(standing)} operators, {n} needed")
    need(opening["opened"] <= at < policy.expires and at <= opening["deadline"] + GRACE,
         f"at {stamp(at)} the release is not opened yet or has expired")
    need(d <= most, f"the votes do not agree: {d} dissent, {most} allowed")
    need(out + d <= most or at >= opening["opened"] + suite["settle"], "the votes do not agree yet: others may answer")

    listed, count = [], {}
    for v in sorted(accepted, key=lambda v: (not v["built"], v["statement"])):
        count[v["rebuilder"]] = count.get(v["rebuilder"], 0)
        if count[v["rebuilder"]] < 8 and not (v["rebuilder"] in lapsed and v["set"] == candidate):
            count[v["rebuilder"]] += 1
            listed.append(v["statement"])
    return candidate, n, len(standing), sorted(listed)
