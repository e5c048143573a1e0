"""What a provider's own response says of the model that served, where a log has kept it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.evals.reading import values

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADERS = ("cf-aig-routed-model", "cf-aig-model", "ngrok-aig-model", "x-litellm-model-name", "x-ms-served-model")
"""Headers that name the served model, the strongest first (their sources: ``instrument/served.py``)."""
_OVERWRITER = "x-litellm-"
_FIELDS = ("model", "modelVersion", "model_version")
"""The last two are Gemini's, on the wire and in its SDK."""


def served_of_headers(headers: Mapping[str, Any]) -> str:
    """Return the model that ``headers``, their names in lower case, say has served; empty where none does."""
    return next((found for name in HEADERS if (found := values.model(headers.get(name)))), "")


def overwrites(headers: Mapping[str, Any]) -> bool:
    """Return whether ``headers`` are of a gateway that writes the requested name over the body's model."""
    return any(name.startswith(_OVERWRITER) for name in headers)


def served_of_body(body: Mapping[str, Any]) -> str:
    """Return the model that ``body`` names: its router's trace (Bedrock), else its own field; empty where none is."""
    routed = values.member(body, "trace.promptRouter.invokedModelId")
    if routed is not values.MISSING and (found := values.model(routed)):
        return found
    return next((found for name in _FIELDS if (found := values.model(body.get(name)))), "")
