"""Server-sent events, as every provider that streams JSON over HTTP sends them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fake_provider.wire import Parts

if TYPE_CHECKING:
    from collections.abc import Iterable


def event(name: str | None, data: str) -> bytes:
    """Return one event; ``name`` may be None, as OpenAI's chunks have none."""
    return (f"event: {name}\n" if name else "").encode() + b"data: " + data.encode() + b"\n\n"


def stream(
    events: Iterable[tuple[str | None, Any]],
    *,
    done: bool,
    error: tuple[str | None, Any],
    malformed: str | None = None,
) -> Parts:
    """Return ``events``, as (name, document), as a stream; with ``done``, it ends with OpenAI's ``[DONE]``."""
    return Parts(
        (event(name, json.dumps(data)) for name, data in events),
        "text/event-stream",
        end=event(None, "[DONE]") if done else b"",
        error=event(error[0], json.dumps(error[1])),
        malformed=event(malformed, '{"id": tru'),
    )
