"""Which spans are one model call, whoever made them, and which models they name.

Sources: github.com/open-telemetry/semantic-conventions-genai for ``gen_ai.*``; OpenLLMetry's
opentelemetry-semantic-conventions-ai 0.5.1 for ``llm.request.type``; openinference-semantic-conventions 0.1.42 for
``openinference.span.kind`` and the other ``llm.*``; logfire 5.4.0 ``_internal/main.py`` and ``_internal/tracer.py`` for
``logfire.span_type``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from otel_llm_routing import semconv
from otel_llm_routing.models import clean_model

if TYPE_CHECKING:
    from collections.abc import Mapping

OPENINFERENCE_KIND = "openinference.span.kind"
OPENINFERENCE_OPERATIONS = {"LLM": "chat", "EMBEDDING": "embeddings"}
TRACELOOP_TYPE = "llm.request.type"
TRACELOOP_OPERATIONS = {"chat": "chat", "completion": "text_completion", "embedding": "embeddings"}
LOGFIRE_TYPE = "logfire.span_type"
LOGFIRE_REPEATS = ("log", "pending_span")
"""What Logfire makes besides the span of a call: a log when a stream is over, a placeholder when a span begins."""
INVOCATION_PARAMETERS = "llm.invocation_parameters"
PROVIDER_NAMES = (semconv.PROVIDER, "gen_ai.system", "llm.provider", "llm.system")
"""Attributes that name the provider, the current one first."""


def operation_of(attributes: Mapping[str, Any]) -> str | None:
    """Return the GenAI operation if the attributes are those of one model call: not of an agent, tool or log."""
    if attributes.get(LOGFIRE_TYPE) in LOGFIRE_REPEATS:
        return None
    operation = attributes.get(semconv.OPERATION)
    if operation is not None:
        return operation if operation in semconv.MODEL_OPERATIONS else None
    kind = attributes.get(OPENINFERENCE_KIND)
    if kind is not None:
        return OPENINFERENCE_OPERATIONS.get(kind)
    return TRACELOOP_OPERATIONS.get(attributes.get(TRACELOOP_TYPE, ""))


def models_of(attributes: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the requested and the served model that a span's attributes name; neither stands in for the other."""
    requested = clean_model(attributes.get(semconv.REQUEST_MODEL))
    reported = clean_model(attributes.get(semconv.RESPONSE_MODEL))
    if OPENINFERENCE_KIND in attributes:
        # OpenInference overwrites `llm.model_name` with the response's model; what was asked for stays in the
        # invocation parameters.
        reported = reported or clean_model(attributes.get("llm.model_name"))
        requested = requested or _parameter(attributes.get(INVOCATION_PARAMETERS))
    return requested, reported


def _parameter(parameters: object) -> str | None:
    if not isinstance(parameters, str):
        return None
    try:
        return clean_model(json.loads(parameters).get("model"))
    except (ValueError, AttributeError, RecursionError):
        return None
