"""The openai SDK: 1.x and 2.x over httpx, 3.x over httpx2; Azure and every OpenAI-compatible server.

The formats are read by ``completions.py``, which other SDKs share.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from otel_llm_routing.instrument.adapters.completions import endpoints
from otel_llm_routing.instrument.adapters.fields import text
from otel_llm_routing.instrument.adapters.stainless import StainlessAdapter

if TYPE_CHECKING:
    from otel_llm_routing.instrument.call import CallRequest

AZURE = "azure.ai.openai"
FOUNDRY = "azure.ai.inference"


class OpenAIAdapter(StainlessAdapter):
    """Adds what is particular to OpenAI: Azure's Responses API, service tiers, OpenLLMetry's late span."""

    def refine(self, request: CallRequest, client: Any, options: Any, path: str) -> None:  # noqa: ARG002
        """Note the requested tier, and who is known to overwrite the body's model."""
        body = options.json_data
        if type(body) is dict and "service_tier" in body:
            request.service_tier = text(body["service_tier"])
        if path.endswith("/responses"):
            # openai/openai-python issue 3271: the body repeats the deployment's name.
            request.overwrites_body = request.provider in (AZURE, FOUNDRY)
            request.late_span = _opens_late_spans()


def _opens_late_spans() -> bool:
    """Say whether OpenLLMetry has wrapped the Responses API: it opens its span once the call has returned."""
    module = sys.modules.get("openai.resources.responses.responses")
    method = getattr(module, "Responses", None) if "opentelemetry.instrumentation.openai.v1" in sys.modules else None
    wrapper = getattr(method.__dict__.get("create"), "_self_wrapper", None) if method is not None else None
    return getattr(wrapper, "__module__", "").startswith("opentelemetry.instrumentation.openai.")


ADAPTER = OpenAIAdapter("openai", "openai", endpoints(), {"BaseAzureClient": AZURE})
