"""How names and numbers stand in sentences."""

from __future__ import annotations

ABSENT = "\N{EN DASH}"
"""Stands where there is no number."""
NOT_SAID = "(not said)"
"""Stands where requests named no model."""


def quoted(name: str) -> str:
    """Return a name from outside in backticks, and none within."""
    return f"`{name.replace('`', chr(39))}`"


def printable(text: str) -> str:
    """Return ``text`` from outside with what is not printable spelled out, so that a terminal obeys none of it."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def many(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def percent(share: float) -> str:
    """Return a share, 0 to 1, with one digit."""
    return f"{share:.1%}"


def points(change: float) -> str:
    """Return a change of a share, -1 to 1, in points."""
    return f"{round(100 * change, 1) + 0.0:+.1f}"  # -0.0 + 0.0 is 0.0
