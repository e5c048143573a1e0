"""One module per SDK family: where to hook it, how to read its requests and responses.

``SDKS`` names each SDK, the module whose import lets it be hooked, and the module here that hooks it. Nothing is
imported before the SDK is.
"""

from __future__ import annotations

from typing import NamedTuple


class Sdk(NamedTuple):
    """An SDK that calls models."""

    name: str
    """Its distribution, which is also its name in ``OTEL_LLM_ROUTING_DISABLED_SDKS``."""
    on: str
    """The module of it that has to be imported before it can be hooked."""
    adapter: str
    """The module of this package whose ``ADAPTER`` hooks it."""


SDKS = (
    Sdk("anthropic", on="anthropic", adapter="anthropic"),
    Sdk("openai", on="openai", adapter="openai"),
)
