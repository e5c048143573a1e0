"""What a wire format is given, and what it gives back to the server: a whole document, or the parts of a stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fake_provider.answers import Answers


@dataclass(frozen=True)
class Asked:
    """One request, read."""

    method: str
    path: str
    """Unquoted, without the query."""
    query: dict[str, str]
    headers: dict[str, str]
    """Names in lower case."""
    body: dict[str, Any]
    """The JSON document; empty where there is none."""
    number: int
    answers: Answers
    serve: Callable[[str, dict[str, Any]], Any]
    """``(requested, body)``: the model that serves, as the test or the router says."""


@dataclass(frozen=True)
class Whole:
    """A document, sent as JSON unless ``data`` says otherwise."""

    document: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    data: bytes | None = None
    kind: str = "application/json"


@dataclass(frozen=True)
class Parts:
    """The parts of a stream, each as the bytes on the wire."""

    parts: Iterable[bytes]
    kind: str
    """The content type."""
    end: bytes = b""
    """What says that the stream is complete; a truncated one lacks it."""
    error: bytes = b""
    """A part that says that the provider failed."""
    malformed: bytes = b""
    """A part that is no part of this format."""
    headers: dict[str, str] = field(default_factory=dict)
