"""The ``OTEL_LLM_ROUTING_*`` variables, read once when the instrumentation starts.

A value that cannot be used is logged and ignored: a typing error in the environment must not stop an application.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from otel_llm_routing.instrument.adapters import SDKS
from otel_llm_routing.instrument.guard import once
from otel_llm_routing.instrument.patterns import kind_and_glob

if TYPE_CHECKING:
    from collections.abc import Mapping

DISABLED_SDKS = "OTEL_LLM_ROUTING_DISABLED_SDKS"
SURFACE = "OTEL_LLM_ROUTING_SURFACE"
SURFACES = "OTEL_LLM_ROUTING_SURFACES"
POLICY = "OTEL_LLM_ROUTING_POLICY"
BAGGAGE_SURFACES = "OTEL_LLM_ROUTING_BAGGAGE_SURFACES"
MAX_SURFACES = "OTEL_LLM_ROUTING_MAX_SURFACES"
MAX_MODELS = "OTEL_LLM_ROUTING_MAX_MODELS"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says."""

    disabled_sdks: frozenset[str] = frozenset()
    """Names of SDK packages, lower case, that are left alone."""
    default_surface: str | None = None
    surface_rules: tuple[tuple[str, str, str], ...] = ()
    """``(surface, kind, pattern)``, the first that matches wins; kind is one of ``route task message rpc faas name``.
    Those of the environment come before those of the policy file."""
    baggage_surfaces: frozenset[str] = frozenset()
    """Surfaces that baggage may name. Empty: baggage is not read."""
    max_surfaces: int = 200
    max_models: int = 200


def read(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings that ``environ`` (by default the process's environment) holds."""
    env = os.environ if environ is None else environ
    return Settings(
        disabled_sdks=_sdks(env.get(DISABLED_SDKS, "")),
        default_surface=env.get(SURFACE, "").strip() or None,
        surface_rules=parse_rules(env.get(SURFACES, "")) + _policy_rules(env.get(POLICY, "").strip()),
        baggage_surfaces=frozenset(_words(env.get(BAGGAGE_SURFACES, ""))),
        max_surfaces=_positive(env, MAX_SURFACES, 200),
        max_models=_positive(env, MAX_MODELS, 200),
    )


def parse_rules(text: str) -> tuple[tuple[str, str, str], ...]:
    """Parse ``surface=pattern[,pattern];surface=kind:pattern`` into rules, first match wins.

    A pattern without a kind is matched against the route. Parts that make no sense are logged and left out.
    """
    rules: list[tuple[str, str, str]] = []
    for part in filter(None, (p.strip() for p in text.split(";"))):
        name, equals, patterns = part.partition("=")
        if not equals or not name.strip() or not patterns.strip():
            once(f"{SURFACES}: {part!r} is not of the form surface=pattern; it is ignored")
            continue
        rules += [(name.strip(), *kind_and_glob(pattern)) for pattern in _words(patterns)]
    return tuple(rules)


def _policy_rules(path: str) -> tuple[tuple[str, str, str], ...]:
    if not path:
        return ()
    from otel_llm_routing.instrument import policy_file  # noqa: PLC0415  (it costs something, and most have no file)

    return policy_file.rules(path)


def _sdks(text: str) -> frozenset[str]:
    """Return the words of ``text`` in lower case, and the SDKs that they name, in whichever of its spellings."""
    words = _words(text.lower())
    wanted = {_spelling(word) for word in words}
    return frozenset(words) | {sdk.name for sdk in SDKS if _spelling(sdk.name) in wanted}


def _spelling(name: str) -> str:
    # The index takes these for the same (packaging.python.org, "Names and normalization").
    return re.sub(r"[-_.]+", "-", name).lower()


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _positive(env: Mapping[str, str], name: str, default: int) -> int:
    value = env.get(name, "").strip()
    if not value:
        return default
    if value.isascii() and value.isdigit() and int(value) > 0:
        return int(value)
    once(f"{name}: {value!r} is not a positive whole number; {default} is used")
    return default
