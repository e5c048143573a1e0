"""Pieces of PromQL: quoting, durations, and reading recordings so that joins hold."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from otel_llm_routing.policy.thresholds import SLICE

if TYPE_CHECKING:
    from collections.abc import Mapping

SURFACE = "llm_routing_surface"
REQUESTED = "gen_ai_request_model"
SERVED = "gen_ai_response_model"
STREAM = f"{SURFACE}, {REQUESTED}"
PAIR = f"{STREAM}, {SERVED}"

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
BROKEN = "\ufffd"
"""What decoders put where bytes were no UTF-8."""
_ESCAPES = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F)},
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\\"): "\\\\",
    ord('"'): '\\"',
    # Prometheus' parser takes the character itself for broken UTF-8.
    ord(BROKEN): "\\ufffd",
}
_NOTHING = r"[^\s\S]"


def quote(text: str) -> str:
    """Return ``text`` as a PromQL string literal (the escapes of Go's interpreted strings)."""
    return f'"{text.translate(_ESCAPES)}"'


def selector(labels: Mapping[str, str]) -> str:
    """Return ``{name="value",…}`` for labels that must be equal."""
    return "{" + ", ".join(equal(name, value) for name, value in labels.items()) + "}"


def equal(label: str, value: str) -> str:
    """Return the matcher of exactly this value."""
    if BROKEN in value:
        # Prometheus writes a rule's expression anew, without our escapes, and parses that.
        return f"{label}=~{quote(''.join(map(_literal, value)))}"
    return f"{label}={quote(value)}"


def labelled(expression: str, labels: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the expression and the labels of a recording that has ``labels``; those that are empty are left out.

    vmalert reads the labels of recordings as templates, Prometheus does not. A value that looks like one goes through
    the expression.
    """
    given = {name: value for name, value in labels.items() if value}
    # U+FFFD cannot stand in an expression; that leaves vmalert out, and nobody else.
    inside = {name: value for name, value in given.items() if "{{" in value and BROKEN not in value}
    for name, value in inside.items():
        expression = f'label_replace(\n{indent(expression)},\n  "{name}", {quote(value.replace("$", "$$"))}, "", ""\n)'
    if inside:
        # Without a label of their own, such recordings would be duplicates to promtool.
        given["rule"] = sha256(repr(sorted(inside.items())).encode()).hexdigest()[:12]
    return expression, {name: value for name, value in given.items() if name not in inside}


def regex(glob: str) -> str:
    """Return the RE2 expression that matches, as a whole, what ``fnmatch`` matches with ``glob``.

    Python's ``re`` reads it alike, but for the escape of U+FFFD.
    """
    parts: list[str] = []
    at = 0
    while at < len(glob):
        char = glob[at]
        at += 1
        if char == "*":
            parts.append(".*")
        elif char == "?":
            parts.append(".")
        elif char == "[" and (end := _end_of_class(glob, at)):
            parts.append(_class(glob[at:end]))
            at = end + 1
        else:
            parts.append(_literal(char))
    # Prometheus 2 does not let a dot match the end of a line by itself.
    return "".join(["(?s)", *parts] if {".", ".*"} & set(parts) else parts)


def _literal(char: str) -> str:
    if char == BROKEN:
        return r"\x{fffd}"
    # RE2 takes a backslash before any ASCII punctuation, and before nothing else that is not special.
    return f"\\{char}" if char.isascii() and not char.isalnum() and char not in " _" else char


def _end_of_class(glob: str, at: int) -> int:
    """Return where the bracket closes that opened before ``at``, or 0: then it is an ordinary character."""
    # A bracket that comes first, or first after the !, is a member.
    first = at + 1 if glob.startswith("!", at) else at
    return max(glob.find("]", first + 1), 0)


def _class(inside: str) -> str:
    """Return the RE2 class of what stands between the brackets of a glob, ranges read as ``fnmatch`` reads them."""
    denied = inside.startswith("!")
    members, at = "", int(denied)
    while at < len(inside):
        char = inside[at]
        if inside.startswith("-", at + 1) and at + 2 < len(inside):
            last = inside[at + 2]
            if char <= last:  # a range that runs backwards has no members
                members += f"{_literal(char)}-{_literal(last)}"
            at += 3
        else:
            members += _literal(char)
            at += 1
    if not members:
        return "." if denied else _NOTHING
    return f"[{'^' if denied else ''}{members}]"


class Clock:
    """Writes durations, all divided by one number where rules are to be watched in time-lapse."""

    def __init__(self, divide: float = 1) -> None:
        self.divide = divide

    def __call__(self, seconds: float) -> str:
        """Return ``seconds`` as a duration of Prometheus: ``1h``, ``57m30s``, ``500ms``."""
        left = max(round(seconds * 1000 / self.divide), 1)
        text = ""
        for unit, size in _UNITS:
            count, left = divmod(left, size)
            if count:
                text += f"{count}{unit}"
        return text

    def window(self, seconds: int) -> str:
        """Return the range that holds exactly the slices of a window.

        Prometheus 2 includes a sample at the far end of a range and Prometheus 3 leaves it out: half a slice less is
        the same in both.
        """
        return self(seconds - SLICE / 2)

    def recent(self, name: str, by: str) -> str:
        """Return the latest value of a recording, by the labels ``by``.

        A recording of every 5 minutes is just out of the 5 minutes that an instant selector looks back when a rule is
        evaluated a moment late; ``max`` drops labels that rulers and replicas add, on which a join would fail.
        """
        return f"max by ({by}) (last_over_time({name}[{self(2 * SLICE)}]))"


def constant(name: str, by: str) -> str:
    """Return a recorded constant, by the labels ``by``. It goes away as soon as its rule does."""
    return f"max by ({by}) ({name})"


def indent(text: str, by: int = 2) -> str:
    """Return ``text`` with every line moved right."""
    return "\n".join(" " * by + line if line else line for line in text.splitlines())


def bracket(text: str) -> str:
    """Return ``text`` in brackets, over several lines where it has several."""
    return f"(\n{indent(text)}\n)" if "\n" in text else f"({text})"
