"""Which concrete model really serves each product surface, recorded through OpenTelemetry.

``surface("autocomplete")`` says for which surface a piece of code calls models; ``LLMRoutingInstrumentor`` records
requested model, served model and surface on every call. Importing this package imports no SDK.
"""

from otel_llm_routing._version import __version__
from otel_llm_routing.instrument.instrumentor import LLMRoutingInstrumentor
from otel_llm_routing.instrument.surface import surface

__all__ = ["LLMRoutingInstrumentor", "__version__", "surface"]
