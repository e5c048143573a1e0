"""The few forms of Prometheus' templates that the alerts use, filled in as Prometheus does it.

For the generated tests, which say what an alert will say. promtool compares that with what Prometheus itself makes of
the same template.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_ACTION = re.compile(r"\{\{ (.*?) \}\}")
_LABEL = re.compile(r"\$labels\.(\w+)")
_QUERY = re.compile(r"printf `max\(([\w:]+)\{(.*)\}\)` ((?:\$labels\.\w+ ?)+)\| query")
_MATCHER = re.compile(r"(\w+)=(?:%\+q|\"(\w+)\")")
_VALUE = re.compile(r"(?:\$value|\. \| first \| value) \| (humanizePercentage|printf `%\.(\d)f`)")


class Moment(NamedTuple):
    """What a template sees: the alert's labels and value, and the recordings at that time."""

    labels: Mapping[str, str]
    value: float
    lookup: Callable[[str, Mapping[str, str]], float | None]
    """A recording's name and labels to its value; None where there is none."""


def expand(template: str, moment: Moment) -> str:
    """Return ``template`` filled in. Raises ``ValueError`` for a form that is not known here."""
    pieces = iter(_ACTION.split(template))
    text, ended = _run(pieces, moment, None)
    if ended:
        msg = f"{ended} without a beginning: {template}"
        raise ValueError(msg)
    return text


def _run(pieces: Iterator[str], moment: Moment, dot: str | float | None) -> tuple[str, str]:
    """Return the text up to the end, ``else`` or ``end``, and which of them it was."""
    text = next(pieces)
    for action in pieces:
        if action in ("else", "end"):
            return text, action
        if action.startswith("with "):
            found = _argument(action.removeprefix("with "), moment)
            # Both branches have to be read, one is kept.
            first, ended = _run(pieces, moment, found)
            second = _run(pieces, moment, dot)[0] if ended == "else" else ""
            text += second if found in (None, "") else first
        else:
            text += _shown(action, moment, dot)
        text += next(pieces)
    return text, ""


def _argument(text: str, moment: Moment) -> str | float | None:
    if label := _LABEL.fullmatch(text):
        return moment.labels.get(label[1], "")
    if (query := _QUERY.fullmatch(text)) is None:
        msg = f"not a form of argument that is known here: {text}"
        raise ValueError(msg)
    values = iter(_LABEL.findall(query[3]))
    matchers = {name: fixed or moment.labels.get(next(values), "") for name, fixed in _MATCHER.findall(query[2])}
    return moment.lookup(query[1], matchers)


def _shown(action: str, moment: Moment, dot: str | float | None) -> str:
    if action == "." and isinstance(dot, str):
        return dot
    if label := _LABEL.fullmatch(action):
        return moment.labels.get(label[1], "")
    if (form := _VALUE.fullmatch(action)) is None:
        msg = f"not a form of action that is known here: {action}"
        raise ValueError(msg)
    value = moment.value if action.startswith("$value") else dot
    if not isinstance(value, float):
        return ""  # the branch that is not taken
    return f"{value * 100:.4g}%" if form[1] == "humanizePercentage" else f"{value:.{form[2]}f}"
