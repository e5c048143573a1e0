"""One module per SDK family: where to hook it, how to read its requests and responses.

``ADAPTERS`` names each SDK's package and the module that hooks it. Nothing is imported before the SDK is.
"""

ADAPTERS: dict[str, str] = {
    "anthropic": "otel_llm_routing.instrument.adapters.anthropic",
    "openai": "otel_llm_routing.instrument.adapters.openai",
}
