"""Plain values out of what files hold: texts, sizes, scores, and members by a dotted path."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from otel_llm_routing.models import clean_model

NAME = 64
"""Characters of a surface's name, as the instrumentation cuts it."""
ID = 512
DEEPEST = 6
"""How far into lists and dictionaries text is counted, as the instrumentation does."""
ABSENT = frozenset({"", "-", "n/a", "na", "nan", "none", "null", "unknown", "unreported"})
"""Words that stand for a model that nobody named."""
WORDS = {
    **dict.fromkeys(("true", "yes", "pass", "passed", "correct"), 1.0),
    **dict.fromkeys(("false", "no", "fail", "failed", "incorrect"), 0.0),
}
"""Scores in words."""
_TEXTS = ("content", "text", "input", "output", "refusal")
"""Members of a message that hold text, as the instrumentation counts them."""
_LONGEST_NUMBER = 64


def text(value: Any, most: int = NAME) -> str:
    """Return ``value`` as a printable text of at most ``most`` characters; empty where it is none."""
    if type(value) is str and len(value) <= most and value.isprintable():
        return value.strip()
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # pandas writes whole numbers so, in a column with gaps
    if isinstance(value, int):
        value = str(value).lower() if abs(value) < 1 << 64 else ""
    if not isinstance(value, str):
        return ""
    found = value[: 4 * most].strip()
    if not found.isprintable():
        found = "".join(c for c in found if c.isprintable()).strip()
    return found[:most].strip()


def model(value: Any) -> str:
    """Return ``value`` if it can be the identifier of a model, else an empty text."""
    found = clean_model(value) or ""
    return "" if found.lower() in ABSENT else sys.intern(found)  # a few names, in millions of cases


def size(value: Any) -> int | None:
    """Return a number of characters; None where ``value`` is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = value.strip()
        if not 0 < len(value) < _LONGEST_NUMBER:
            return None
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, float):
        value = int(value) if value.is_integer() else -1
    return value if isinstance(value, int) and 0 <= value < 1 << 53 else None


class NoScoreError(ValueError):
    """A score that cannot be taken for a number."""


def score(value: Any) -> float | None:
    """Return a score as a number; None where there is none. Raises ``NoScoreError``.

    True and ``passed`` are 1, false and ``failed`` 0. NaN and the infinities are no scores.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str):
        word = value.strip().lower()
        if word in WORDS:
            return WORDS[word]
        if len(word) > _LONGEST_NUMBER or "_" in word:
            raise NoScoreError
        value = word
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise NoScoreError from None
    if not math.isfinite(number):
        raise NoScoreError
    return number


def length(value: Any, depth: int = 0) -> int | None:
    """Count the characters of text or messages, as ``llm_routing.input_size`` does; None where it is neither."""
    if isinstance(value, str):
        if not depth and value.lstrip().startswith("[{") and (said := messages(value)) is not None:
            return length(said, 1)
        return len(value)
    if depth > DEEPEST:
        return 0
    if isinstance(value, list):
        return sum(length(item, depth + 1) or 0 for item in value)
    if isinstance(value, dict):
        return sum(length(value[name], depth + 1) or 0 for name in _TEXTS if name in value)
    return None


def messages(value: str) -> list[Any] | None:
    """Return the messages that ``value`` is the JSON of, or None."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return None
    said = isinstance(found, list) and found and all(isinstance(one, dict) and "role" in one for one in found)
    return found if said else None


MISSING = object()
"""What ``member`` returns for what is not there."""


def member(record: Any, path: str) -> Any:
    """Return what ``path`` leads to: ``metadata.feature``, ``messages.0.content``; ``MISSING`` where it leads nowhere.

    A name with dots in it is found as it is written. A text that is JSON is looked into, as CSV cells can be.
    """
    if type(record) is str and record.lstrip()[:1] in ("{", "["):
        try:
            record = json.loads(record)
        except (ValueError, RecursionError):
            return MISSING
    if type(record) is dict:
        return record[path] if path in record else _below(record, path) if "." in path else MISSING
    if type(record) is not list:
        return MISSING
    first, _, rest = path.partition(".")
    at = int(first) if first.isdecimal() and len(first) < 10 else len(record)  # noqa: PLR2004  (digits)
    found = record[at] if at < len(record) else MISSING
    return found if not rest or found is MISSING else member(found, rest)


def _below(record: dict[str, Any], path: str) -> Any:
    """Return what is in the member that ``path`` begins with; of names with dots, the shortest that leads on."""
    cut = path.find(".")
    while cut > 0:
        if path[:cut] in record and (found := member(record[path[:cut]], path[cut + 1 :])) is not MISSING:
            return found
        cut = path.find(".", cut + 1)
    return MISSING


def mapping(value: Any) -> dict[str, Any]:
    """Return ``value`` if it has members, else nothing of it. A text that is the JSON of an object is looked into."""
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """Return what in ``value`` has members, if it is a list, else nothing of it."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
