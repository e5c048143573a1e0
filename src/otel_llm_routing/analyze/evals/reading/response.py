"""What a provider's own response says of the model that served, where a log has kept it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.evals.reading import values
from otel_llm_routing.models.headers import GATEWAY_PREFIXES, MODEL_HEADERS, OVERWRITING_GATEWAYS

if TYPE_CHECKING:
    from collections.abc import Mapping

_BY_STRENGTH = sorted(MODEL_HEADERS, key=lambda name: MODEL_HEADERS[name][1], reverse=True)
_MODEL_NAMES = tuple(name.decode() for name in _BY_STRENGTH)
_OVERWRITERS = tuple(prefix.decode() for prefix, gateway in GATEWAY_PREFIXES if gateway in OVERWRITING_GATEWAYS)
_FIELDS = ("model", "modelVersion", "model_version")
"""The last two are Gemini's, on the wire and in its SDK."""


def served_of_headers(headers: Mapping[str, Any]) -> str:
    """Return the model that ``headers``, their names in lower case, say has served; empty where none does."""
    return next((found for name in _MODEL_NAMES if (found := values.model(headers.get(name)))), "")


def overwrites(headers: Mapping[str, Any]) -> bool:
    """Return whether ``headers`` are of a gateway that writes the requested name over the body's model."""
    return any(name.startswith(_OVERWRITERS) for name in headers)


def served_of_body(body: Mapping[str, Any]) -> str:
    """Return the model that ``body`` names: its router's trace (Bedrock), else its own field; empty where none is."""
    routed = values.member(body, "trace.promptRouter.invokedModelId")
    if routed is not values.MISSING and (found := values.model(routed)):
        return found
    return next((found for name in _FIELDS if (found := values.model(body.get(name)))), "")
