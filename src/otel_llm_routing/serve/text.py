"""The attributes of OTLP messages as text, made harmless."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_llm_routing.analyze.sources.series import words
from otel_llm_routing.model_span import INVOCATION_PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue

LIMITS = {INVOCATION_PARAMETERS: 1 << 16}
"""Characters that are looked at, of what is longer than other texts."""


def texts(attributes: Iterable[KeyValue]) -> dict[str, str]:
    """Return the attributes that are text or true, cleaned; empty ones count as absent."""
    return words(_pairs(attributes), LIMITS)


def _pairs(attributes: Iterable[KeyValue]) -> Iterator[tuple[str, str]]:
    for attribute in attributes:
        value = attribute.value
        kind = value.WhichOneof("value")
        if kind == "string_value":
            yield attribute.key, value.string_value
        else:
            yield attribute.key, "true" if kind == "bool_value" and value.bool_value else ""
