"""The openrouter SDK: chat, Responses API, embeddings; a gateway to the models of many providers.

Whom it chose stands in the body's ``model``, and in the routing trace where the application asked for one.

Sources of the fields: openrouter 1.3.84 ``components/chatresult.py``, ``chatstreamchunk.py``,
``openresponsesresult.py``, ``operations/createembeddings.py``; of the paths: ``chat.py``, ``responses.py``,
``embeddings.py``; of the routing trace, see ``traces.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm_routing.instrument.adapters.completions import endpoints
from otel_llm_routing.instrument.adapters.fields import first, text
from otel_llm_routing.instrument.adapters.speakeasy import SpeakeasyAdapter, ends, payload
from otel_llm_routing.instrument.adapters.stainless import Endpoint

if TYPE_CHECKING:
    from otel_llm_routing.instrument.call import Call, CallRequest

GATEWAY = "openrouter"


class OpenRouterAdapter(SpeakeasyAdapter):
    """Adds what is particular to OpenRouter: it is a gateway, and takes a list of models to try."""

    def endpoint(self, path: str) -> Endpoint | None:
        """Return what is done at ``path``; a preset is made by a request that looks like a call."""
        return None if "/presets/" in path else ends(_ENDPOINTS, path)

    def model(self, body: dict[str, Any]) -> Any:
        """Return the model that the request asks for, which may be the first of several."""
        return body.get("model") or first(body.get("models"))

    def refine(self, request: CallRequest, client: Any, body: dict[str, Any]) -> None:  # noqa: ARG002
        """Note the requested tier."""
        request.service_tier = text(body.get("service_tier"))

    def _response(self, call: Call, response: Any) -> Any:
        result = super()._response(call, response)
        call.gateway = call.gateway or GATEWAY
        return result


_ENDPOINTS = {
    path: Endpoint(endpoint.operation, payload(endpoint.read), endpoint.size)
    for path, endpoint in endpoints().items()
    if path != "/completions"
}

ADAPTER = OpenRouterAdapter("openrouter", GATEWAY)
