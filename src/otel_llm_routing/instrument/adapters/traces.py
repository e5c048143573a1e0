"""Routing traces: what gateways and systems of several models add to an answer to say which model they chose.

They stand in the body whatever SDK the call is made with, and are read wherever the body is.

Sources: openrouter 1.3.84 ``components/openroutermetadata.py``, ``routerattempt.py``, ``endpointinfo.py``, and
OpenRouter's documentation, "Router Metadata" (in a stream, on the last chunk); groq 1.7.0
``types/chat/chat_completion.py`` and ``chat_completion_chunk.py`` (``usage_breakdown``; in a stream, in ``x_groq``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm_routing.instrument.adapters.adapter import FAILED
from otel_llm_routing.instrument.adapters.fields import count, field
from otel_llm_routing.models import clean_model, same_model

if TYPE_CHECKING:
    from otel_llm_routing.instrument.call import Call

_NAMES = frozenset({"openrouter_metadata", "usage_breakdown", "x_groq"})


def read_traces(call: Call, body: Any) -> None:
    """Read the routing traces in ``body``, an answer or the last chunks of one."""
    fields = body if type(body) is dict else getattr(body, "__dict__", ())
    if not getattr(body, "__pydantic_extra__", None) and _NAMES.isdisjoint(fields):
        return
    if (metadata := field(body, "openrouter_metadata")) is not None:
        _openrouter(call, metadata)
    breakdown = field(body, "usage_breakdown") or field(field(body, "x_groq"), "usage_breakdown")
    if breakdown is not None:
        _compound(call, breakdown)


def _openrouter(call: Call, metadata: Any) -> None:
    call.gateway = call.gateway or "openrouter"
    attempts = [(clean_model(field(a, "model")), field(a, "status")) for a in _list(field(metadata, "attempts"))]
    tried = [model for model, _ in attempts if model is not None]
    answered = [model for model, status in attempts if model is not None and count(status) < FAILED]
    if tried:
        served = (answered or tried)[-1]
        call.routed(served, fallback=any(not same_model(model, served) for model in tried))
        return
    for endpoint in _list(field(field(metadata, "endpoints"), "available")):
        if field(endpoint, "selected") is True:
            call.routed(field(endpoint, "model"))


def _compound(call: Call, breakdown: Any) -> None:
    """Take the model that wrote most of what a compound system of Groq's wrote; of equals, the last."""
    most = -1
    for part in _list(field(breakdown, "models")):
        written = count(field(field(part, "usage"), "completion_tokens"))
        if written >= most and clean_model(field(part, "model")) is not None:
            most = written
            call.routed(field(part, "model"))


def _list(value: Any) -> list[Any]:
    return value if type(value) is list else []
