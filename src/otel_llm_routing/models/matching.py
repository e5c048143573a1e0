"""How a served model relates to the one requested, by their identifiers alone."""

from __future__ import annotations

from functools import lru_cache

from otel_llm_routing.models import rules
from otel_llm_routing.models.identifiers import same_model
from otel_llm_routing.models.rules import ALIAS, PINNED, ROUTER, UNKNOWN, kind_of, model_part

EXACT = "exact"
RESOLVED = "resolved"
SUBSTITUTED = "substituted"
UNCONFIRMED = "unconfirmed"
UNREPORTED = "unreported"
MATCHES = frozenset({EXACT, RESOLVED, SUBSTITUTED, UNCONFIRMED, UNREPORTED})
KNOWN_MATCHES = frozenset({EXACT, RESOLVED, SUBSTITUTED})
"""Matches whose served model counts towards a share; the others are shown beside it as the unknown share."""


@lru_cache(maxsize=4096)
def match(requested: str | None, provider: str | None, served: str | None, kind: str | None = None) -> str:
    """Return one of ``MATCHES``; ``requested`` and ``served`` may be None or empty where nobody named them.

    ``kind`` is given where something else than the requested identifier decides it.
    """
    if not served:
        return UNREPORTED
    kind = kind or (kind_of(requested, provider) if requested else UNKNOWN)
    if requested and same_model(requested, served):
        return UNCONFIRMED if kind in (ALIAS, ROUTER) else EXACT
    if kind_of(served, provider) == ROUTER:
        return UNCONFIRMED  # a router's name is not the name of a model, whoever says it
    if kind != PINNED:
        return RESOLVED
    return EXACT if requested and same_model(model_part(requested, provider), served) else SUBSTITUTED


def forget() -> None:
    """Forget loaded rules and answers given, so that the next question reads the environment again."""
    rules.forget()
    match.cache_clear()
