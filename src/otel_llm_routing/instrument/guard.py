"""Nothing of ours may reach the application: failures are logged once per place and dropped."""

from __future__ import annotations

import logging
from contextlib import suppress

_log = logging.getLogger("otel_llm_routing")
_seen: set[str] = set()


def swallowed(where: str) -> None:
    """Log the exception being handled, once per ``where``; later ones of the same place only at debug level."""
    with suppress(Exception):  # a filter or handler of the application's may raise, or the stack be exhausted
        if where in _seen:
            _log.debug("LLM routing: %s failed again", where, exc_info=True)
            return
        _seen.add(where)
        _log.warning(
            "LLM routing could not %s; the application is not affected, this call's telemetry may be incomplete. "
            "Further failures of this kind are logged at debug level.",
            where,
            exc_info=True,
        )


def once(message: str) -> None:
    """Log ``message`` as a warning the first time it is given."""
    if message not in _seen:
        _seen.add(message)
        with suppress(Exception):
            _log.warning("%s", message)
