"""OTTL, the Collector's transformation language: texts and patterns as it writes them, inside a Collector's YAML."""

from __future__ import annotations

import re

_LOOKAHEAD = re.compile(r"([\w./-]*)\(\?!([^()]*)\)(.*)", re.DOTALL)
# What Go's RE2 does not have, and the classes that would also match the line break between two spellings.
_NOT_RE2 = re.compile(r"\(\?(?:[=!>]|<[=!])|\(\?P=|\\[1-9ZsWDS]|[*+?}]\+")


def text(value: str) -> str:
    """Return ``value`` as an OTTL string that a Collector reads from its configuration, where ``$`` is doubled."""
    for char, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("$", "$$")):
        value = value.replace(char, escaped)
    return f'"{value}"'


def cache(name: str) -> str:
    """Return the path of a variable that lives as long as one span is being looked at."""
    return f"span.cache[{text(name)}]"


def attribute(name: str) -> str:
    """Return the path of an attribute of the span."""
    return f"span.attributes[{text(name)}]"


def matches(path: str, pattern: str) -> str:
    """Return the condition that the RE2 ``pattern`` matches what stands at ``path``."""
    return f"IsMatch({path}, {text(pattern)})"


def re2(pattern: str) -> tuple[str, str | None]:
    """Return RE2 patterns for a whole line that the Python ``pattern`` matches: one it matches, and one it must not.

    RE2 has no lookahead; a negative one behind plain text becomes the second pattern. Raises ``ValueError`` for what
    cannot be said in RE2.
    """
    without, forbidden = pattern, None
    if found := _LOOKAHEAD.fullmatch(pattern):
        without, forbidden = found[1] + found[3], _lines(f"{found[1]}(?:{found[2]}).*")
    if _NOT_RE2.search(without):
        msg = f"the pattern {pattern!r} cannot be written in RE2, the Collector's regular expressions; write it plainer"
        raise ValueError(msg)
    return _lines(without), forbidden


def _lines(pattern: str) -> str:
    # Two spellings of a name stand on two lines: a negated class must not run from one into the other.
    return "(?im)^(?:" + pattern.replace("[^", r"[^\n") + ")$"


def glob(pattern: str) -> str:
    """Return the RE2 pattern of a glob as ``fnmatch`` reads it; it matches whole texts, and case counts."""
    out, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        end = pattern.find("]", at + (2 if pattern.startswith("!", at) else 1)) if char == "[" else -1
        if char == "*":
            out += ".*"
        elif char == "?":
            out += "."
        elif end > 0:
            out += _class(pattern[at:end])
            at = end + 1
        else:
            out += re2_escape(char)
    return f"(?s)^{out}$"


def _class(inside: str) -> str:
    negated = inside.startswith("!")
    body = inside[1:] if negated else inside
    parts, at = [], 0
    while at < len(body):
        if at + 2 < len(body) and body[at + 1] == "-":
            if body[at] <= body[at + 2]:  # an empty range matches nothing, for fnmatch
                parts.append(f"{re2_escape(body[at])}-{re2_escape(body[at + 2])}")
            at += 3
        else:
            parts.append(re2_escape(body[at]))
            at += 1
    if not parts:
        return "." if negated else r"[^\x{0}-\x{10FFFF}]"
    return f"[{'^' if negated else ''}{''.join(parts)}]"


def re2_escape(literal: str) -> str:
    """Return ``literal`` as an RE2 pattern that matches it and nothing else."""
    return "".join(map(_escaped, literal))


def _escaped(char: str) -> str:
    if not char.isascii() or char == " " or not char.isprintable():
        return f"\\x{{{ord(char):X}}}"
    return char if char.isalnum() else f"\\{char}"
