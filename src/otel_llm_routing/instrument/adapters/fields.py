"""Reading fields of requests and responses, whatever form and type they have."""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 6
MAX_COUNT = 1 << 53
"""What is larger, or infinite, counts nothing."""


def field(obj: Any, name: str) -> Any:
    """Return ``obj``'s field ``name``, of a dictionary or an SDK's model object; None where there is none.

    A model object is read through its ``__dict__``: attribute access on a pydantic object that lacks a field is slow,
    and may run code of the SDK's.
    """
    if type(obj) is dict:
        return obj.get(name)
    try:
        value = obj.__dict__.get(name)
        if value is None and (extra := getattr(obj, "__pydantic_extra__", None)):
            value = extra.get(name)
    except AttributeError:
        return None
    return value


def first(obj: Any) -> Any:
    """Return the first element of a list, None of anything else."""
    return obj[0] if type(obj) is list and obj else None


def count(value: Any) -> int:
    """Return ``value`` if it is a count, which some SDKs' types have as a float, and 0 otherwise."""
    return int(value) if type(value) in (int, float) and 0 < value < MAX_COUNT else 0


def text(value: Any) -> str | None:
    """Return ``value`` if it is a string that is not empty, cut to 256 characters."""
    return value[:256] if type(value) is str and value else None


def characters(value: Any, depth: int = 0) -> int:
    """Count the characters of the text in a request's field: a string, or lists and dictionaries that hold text.

    Of a dictionary, or a pydantic object, only the members that hold text count (``text``, ``content``, ``input`` and
    the like), so that images, tool schemas and identifiers do not. Nothing is iterated that can be iterated only once.
    """
    if type(value) is str:
        return len(value)
    if depth > MAX_DEPTH:
        return 0
    if type(value) is list or type(value) is tuple:
        return sum([characters(item, depth + 1) for item in value])
    if type(value) is not dict:
        if not hasattr(type(value), "__pydantic_validator__"):
            return 0
        value = value.__dict__
    return sum([characters(value[name], depth + 1) for name in _TEXT if name in value])


_TEXT = ("content", "text", "input", "output", "refusal")
