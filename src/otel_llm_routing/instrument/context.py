"""What the OpenTelemetry context carries for this project, and what it says about keeping silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, create_key  # the API has no public name for the first

if TYPE_CHECKING:
    from opentelemetry.context import Context

CALL = create_key("llm_routing.call")
"""The call that is being made."""

_SUPPRESS = "suppress_instrumentation"


def suppressed(context: Context) -> bool:
    """Say whether instrumentation is switched off here."""
    return bool(context.get(_SUPPRESS_INSTRUMENTATION_KEY) or context.get(_SUPPRESS))
