"""Canonical JSON and the words in it (docs/spec/envelope-and-statements.md, "Encoding")."""

import base64
import calendar
import hashlib
import json
import re
import time


class Refused(Exception):
    """The evidence does not show what it should."""


def need(condition, reason):
    if not condition:
        raise Refused(reason)


MAX_INTEGER = 2**53 - 1


def canonical(value):
    """RFC 8785, for the values that occur here: member names are ASCII, numbers
    are integers. Names are sorted by code point, which is the same for ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def parse(data, limit):
    """The value of canonical JSON; any other spelling is refused."""
    need(len(data) <= limit, f"{len(data)} bytes, at most {limit} allowed")

    def members(pairs):
        need(len({name for name, _ in pairs}) == len(pairs), "a member is there twice")
        return dict(pairs)

    def integer(text):
        need(abs(int(text)) <= MAX_INTEGER, "a number is too large")
        return int(text)

    def no(text):
        raise Refused(f"{text} is no integer")

    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=members, parse_int=integer, parse_float=no, parse_constant=no)
        need(canonical(value) == data, "not the canonical form of what it says")
    except (ValueError, RecursionError) as e:
        raise Refused(f"not JSON: {e}") from None
    return value


def shape(value, what, required, optional=()):
    """An object with exactly these members; optional ones say something."""
    need(isinstance(value, dict), f"{what}: no object")
    need(set(required) <= set(value) <= {*required, *optional}, f"{what}: members {sorted(value)}")
    for name in optional:
        need(value.get(name, 1) not in (0, "", [], None, False, "0" * 64), f"{what}: {name} says nothing and is there")
    return value


def items(value, what, least, most):
    need(isinstance(value, list) and least <= len(value) <= most, f"{what}: want a list of {least} to {most}")
    return value


def number(value, what, least=0, most=MAX_INTEGER):
    need(type(value) is int and least <= value <= most, f"{what}: want a number from {least} to {most}")
    return value


def string(value, pattern, what):
    need(isinstance(value, str) and re.fullmatch(pattern, value), f"{what}: {value!r:.100}")
    return value


def name(value, what="name"):
    return string(value, r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?", what)


def text(value, what="text"):
    return string(value, r"[!-~]{1,128}", what)


# Controls, line separators, and marks that turn the direction of writing or show nothing.
CONTROL = "\0-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"


def printable(value, what, most):
    string(value, f"[^{CONTROL}]*", what)
    need(len(value.encode()) <= most, f"{what}: too long")
    return value


def digest(value, what="digest", size=64):
    need(value != "0" * size, f"{what}: missing")
    return string(value, f"[0-9a-f]{{{size}}}", what)


def moment(value, what="time"):
    """Seconds since 1970."""
    string(value, r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", what)
    try:
        seconds = calendar.timegm(time.strptime(value, "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        raise Refused(f"{what}: {value}") from None
    need(seconds > 0 and stamp(seconds) == value, f"{what}: {value}")
    return seconds


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def unbase64(value, what, least=1, most=MAX_INTEGER):
    try:
        raw = base64.b64decode(value, validate=True)
    except (TypeError, ValueError):
        raise Refused(f"{what}: no base64") from None
    need(base64.b64encode(raw).decode() == value, f"{what}: base64 in another spelling")
    need(least <= len(raw) <= most, f"{what}: {len(raw)} bytes")
    return raw


def b64(raw):
    return base64.b64encode(raw).decode()


def sha256(data):
    return hashlib.sha256(data).hexdigest()
