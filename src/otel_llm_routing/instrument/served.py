"""Which model served, how do we know, and how does it relate to the one requested."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_llm_routing import models
from otel_llm_routing.models import UNCONFIRMED, clean_model
from otel_llm_routing.models.headers import (
    ATTEMPT_HEADERS,
    CACHE_HEADERS,
    GATEWAY_PREFIXES,
    MODEL_HEADERS,
    OVERWRITING_GATEWAYS,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

HEADER = "header"
TRACE = "trace"
BODY = "body"
NONE = "none"


class HeaderEvidence:
    """What the response's headers say."""

    __slots__ = ("cached", "fallback", "gateway", "model")

    def __init__(self) -> None:
        self.model: str | None = None
        self.gateway: str | None = None
        self.cached = False
        self.fallback = False


NOTHING = HeaderEvidence()
"""What most responses' headers say; not to be written to."""


def read_headers(raw: Iterable[tuple[bytes, bytes]]) -> HeaderEvidence:
    """Read the evidence in ``raw``, the headers as pairs of bytes."""
    found = NOTHING
    strength = -1
    for key, value in raw:
        if key in _dull:  # as nearly all are: this is done in every call
            continue
        name = key.lower()
        if not _tells(name):
            _remember_dull(key)
            continue
        if found is NOTHING:
            found = HeaderEvidence()
        for prefix, gateway in GATEWAY_PREFIXES:
            # Of several gateways, one that writes over the body decides what the body proves.
            if name.startswith(prefix) and found.gateway not in OVERWRITING_GATEWAYS:
                found.gateway = gateway
        if name in MODEL_HEADERS:
            gateway, rank = MODEL_HEADERS[name]
            model = clean_model(value.decode("utf-8", "replace"))
            if model is not None and rank > strength:
                found.model, strength = model, rank
            found.gateway = found.gateway or gateway
        elif name in CACHE_HEADERS:
            found.cached = found.cached or value.strip().lower() in CACHE_HEADERS[name]
        elif name in ATTEMPT_HEADERS:
            text = value.strip()
            found.fallback = found.fallback or (text.isdigit() and int(text[:9]) > ATTEMPT_HEADERS[name])
    return found


_dull: set[bytes] = set()
"""Names of headers that say nothing, as they were sent. They repeat in each answer."""
_MAX_DULL = 512
_PREFIXES = tuple(prefix for prefix, _ in GATEWAY_PREFIXES)


def _tells(name: bytes) -> bool:
    return name in MODEL_HEADERS or name in CACHE_HEADERS or name in ATTEMPT_HEADERS or name.startswith(_PREFIXES)


def _remember_dull(key: bytes) -> None:
    if len(_dull) >= _MAX_DULL:
        _dull.clear()
    _dull.add(key)


def match(
    requested: str | None,
    provider: str,
    served: str | None,
    source: str,
    *,
    overwritten: bool,
    kind: str | None = None,
) -> str:
    """Say how ``served`` relates to ``requested``.

    ``overwritten`` says that whoever wrote the body is known to put the requested name there; ``kind`` is that of the
    request, where it is not what the requested identifier alone says.
    """
    if served is not None and source == BODY and overwritten:
        return UNCONFIRMED
    return models.match(requested, provider, served, kind)
