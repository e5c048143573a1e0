"""Reading fields of requests and responses, whatever form and type they have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_NONE: dict[str, Any] = {}
MAX_DEPTH = 6
MAX_COUNT = 1 << 53
"""What is larger, or infinite, counts nothing."""
MAX_TEXT = 256
"""Characters of a text that is kept."""


def field(obj: Any, name: str) -> Any:
    """Return ``obj``'s field ``name``, of a dictionary or an SDK's model object; None where there is none.

    A model object is read through its ``__dict__``: attribute access on a pydantic object that lacks a field is slow,
    and may run code of the SDK's.
    """
    if type(obj) is dict:
        return obj.get(name)
    try:
        members = obj.__dict__
        if name in members:
            value = members[name]
            if value is not None:
                return value
        extra = getattr(obj, "__pydantic_extra__", None)
        return extra.get(name) if extra else None
    except AttributeError:
        return None


def members(obj: Any) -> Mapping[str, Any]:
    """Return the fields of a dictionary or an SDK's model object, of which several are to be read; empty of else."""
    if type(obj) is dict:
        return obj
    try:
        own: Mapping[str, Any] = obj.__dict__
    except AttributeError:
        return _NONE
    extra = getattr(obj, "__pydantic_extra__", None)
    return {**own, **extra} if extra and type(extra) is dict else own


def first(obj: Any) -> Any:
    """Return the first element of a list, None of anything else."""
    return obj[0] if type(obj) is list and obj else None


def count(value: Any) -> int:
    """Return ``value`` if it is a count, which some SDKs' types have as a float, and 0 otherwise."""
    return int(value) if type(value) in (int, float) and 0 < value < MAX_COUNT else 0


def text(value: Any) -> str | None:
    """Return ``value`` if it is a string that is not empty, cut to ``MAX_TEXT`` characters."""
    return value[:MAX_TEXT] if type(value) is str and value else None


def characters(value: Any, depth: int = 0) -> int:
    """Count the characters of the text in a request's field: a string, or lists and dictionaries that hold text.

    Of a dictionary, or a pydantic object, only the members that hold text count (``text``, ``content``, ``input`` and
    the like), so that images, tool schemas and identifiers do not. Nothing is iterated that can be iterated only once.
    """
    if type(value) is str:
        return len(value)
    if depth > MAX_DEPTH:
        return 0
    total = 0  # in loops: this is done in every call, and a comprehension is a function
    if type(value) is list or type(value) is tuple:
        for item in value:
            if type(item) is dict and type(said := item.get("content")) is str and _BESIDE.isdisjoint(item):
                total += len(said)  # a message as most are
            else:
                total += characters(item, depth + 1)
        return total
    if type(value) is not dict:
        if not hasattr(type(value), "__pydantic_validator__"):
            return 0
        value = value.__dict__
    for name in _TEXT:
        if name in value:
            part = value[name]
            total += len(part) if type(part) is str else characters(part, depth + 1)
    return total


_TEXT = ("content", "text", "input", "output", "refusal")
_BESIDE = frozenset(_TEXT) - {"content"}
