"""What the OpenTelemetry context carries for this project, and what it says about keeping silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import (
    _SUPPRESS_INSTRUMENTATION_KEY,  # the API has no public name for it
    attach,
    create_key,
    get_current,
)

if TYPE_CHECKING:
    from opentelemetry.context import Context

CALL = create_key("llm_routing.call")
"""The call that is being made."""

_SUPPRESS = "suppress_instrumentation"


def suppressed(context: Context) -> bool:
    """Say whether instrumentation is switched off here."""
    return bool(context.get(_SUPPRESS_INSTRUMENTATION_KEY) or context.get(_SUPPRESS))


class Within:
    """Makes a context the current one while something is awaited, as a context manager.

    What is awaited may be dropped, and closed in another context, where there is nothing to take back.
    """

    __slots__ = ("_before", "_context")

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._before = get_current()
        attach(self._context)

    def __exit__(self, *_: object) -> None:
        if get_current() is self._context:
            attach(self._before)
