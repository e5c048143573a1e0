"""The queries' building blocks: recordings and counters by the labels that panels show."""

from __future__ import annotations

SURFACE = "llm_routing_surface"
REQUESTED = "gen_ai_request_model"
SERVED = "gen_ai_response_model"
STREAM = f"{SURFACE}, {REQUESTED}"
PAIR = f"{STREAM}, {SERVED}"

ONE = f'{SURFACE}="$surface", {REQUESTED}="$requested"'
"""The stream that the board's variables choose."""


def recorded(name: str, by: str, where: str = "", *, offset: str = "") -> str:
    """Return a recording as it is now, the same from every replica of the server that evaluates the rules.

    Recordings are made every five minutes, which is as long as a selector looks back: it would see gaps.
    """
    shifted = f" offset {offset}" if offset else ""
    return f"max by ({by}) (last_over_time({name}{{{where}}}[10m]{shifted}))"


def constant(name: str, by: str, where: str = "") -> str:
    """Return a constant of the policy or the reference."""
    return recorded(name, by, where)


def share_of(part: str, rest: str) -> str:
    """Return ``part / (part + rest)``, where either may have no series, and nothing where there are no requests."""
    return f"({part} or vector(0)) / (({part} or vector(0)) + ({rest} or vector(0)) > 0)"


def requests(window: str, where: str = "") -> str:
    """Return the requests of a window whose served model is known."""
    return f"sum(sum_over_time(llm_routing:requests:slice5m{{{where}}}[{window}]))"


def unknown(window: str, where: str = "") -> str:
    """Return the requests of a window whose served model is not known."""
    return f"sum(sum_over_time(llm_routing:unknown_requests:slice5m{{{where}}}[{window}]))"
