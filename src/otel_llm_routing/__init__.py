"""Which concrete model really serves each product surface, recorded through OpenTelemetry.

``surface("autocomplete")`` says for which surface a piece of code calls models; ``LLMRoutingInstrumentor`` records
requested model, served model and surface on every call. Importing this package imports no SDK, and OpenTelemetry only
once one of the two is asked for: the command line and the pytest plugin start without it. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from otel_llm_routing._version import __version__

if TYPE_CHECKING:
    from otel_llm_routing.instrument.instrumentor import LLMRoutingInstrumentor
    from otel_llm_routing.instrument.surface import surface

__all__ = ["LLMRoutingInstrumentor", "__version__", "surface"]

_HOMES = {"LLMRoutingInstrumentor": "instrument.instrumentor", "surface": "instrument.surface"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
