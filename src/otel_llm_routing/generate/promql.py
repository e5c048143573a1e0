"""Pieces of PromQL: quoting, durations, and reading recordings so that joins hold."""

from __future__ import annotations

import re
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
_CLASS = re.compile(r"\[(!?)(\]?[^\]]*)\]")


def quote(text: str) -> str:
    """Return ``text`` as a PromQL string literal (the escapes of Go's interpreted strings)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def selector(labels: Mapping[str, str]) -> str:
    """Return ``{name="value",…}`` for labels that must be equal."""
    return "{" + ", ".join(f"{name}={quote(value)}" for name, value in labels.items()) + "}"


def regex(glob: str) -> str:
    """Return the RE2 expression that matches, as a whole, what ``fnmatch`` matches with ``glob``."""
    parts: list[str] = []
    at = 0
    while at < len(glob):
        char = glob[at]
        if char == "*":
            parts.append(".*")
        elif char == "?":
            parts.append(".")
        elif char == "[" and (found := _CLASS.match(glob, at)) is not None:
            inside = re.sub(r"([\\\[\]^&~|])", r"\\\1", found[2])
            parts.append(f"[{'^' if found[1] else ''}{inside}]")
            at = found.end()
            continue
        else:
            # RE2 takes a backslash before any ASCII punctuation, and before nothing else that is not special.
            parts.append(f"\\{char}" if char.isascii() and not char.isalnum() and char not in " _" else char)
        at += 1
    return "".join(parts)


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
