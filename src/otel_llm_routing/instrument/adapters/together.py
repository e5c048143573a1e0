"""The together SDK: 2.x and 3.x are Stainless SDKs over httpx; 1.x has a client of its own over requests and aiohttp.

In 1.x every call goes through ``APIRequestor.request`` or ``arequest``, which return ``(answer, is_stream, key)``: the
answer is a ``TogetherResponse``, or a generator of them, whose ``data`` is the JSON document.

Sources: together 3.1.1 and 2.42.0 ``_base_client.py``, ``_streaming.py``, ``resources/chat/completions.py``; together
1.6.0 ``abstract/api_requestor.py``, ``together_response.py``, ``types/common.py`` (``TogetherRequest``). The fields are
OpenAI's (``completions.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from otel_llm_routing.instrument import streams
from otel_llm_routing.instrument.adapters.completions import endpoints
from otel_llm_routing.instrument.adapters.fields import field
from otel_llm_routing.instrument.adapters.stainless import StainlessAdapter
from otel_llm_routing.instrument.call import CallRequest
from otel_llm_routing.models import clean_model, provider_of_host

if TYPE_CHECKING:
    from otel_llm_routing.instrument.call import Call


class TogetherAdapter(StainlessAdapter):
    """Adds the client of the 1.x versions."""

    def hook(self, sdk: Any) -> None:
        """Hook whichever client this version has."""
        requestor = getattr(getattr(getattr(sdk, "abstract", None), "api_requestor", None), "APIRequestor", None)
        if requestor is None:
            super().hook(sdk)
            return
        self.surround(requestor, "request", self._begin_1x, _finish_1x)
        self.surround(requestor, "arequest", self._begin_1x, _finish_1x)

    def _begin_1x(self, requestor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallRequest | None:
        options = args[0] if args else kwargs["options"]
        endpoint = self.endpoints.get(f"/{options.url}") if options.method.lower() == "post" else None
        body = options.params
        if endpoint is None or type(body) is not dict:
            return None
        url = urlsplit(requestor.api_base)
        provider = provider_of_host(url.hostname or "") or self.provider
        request = CallRequest(endpoint.operation, provider, clean_model(body.get("model")), endpoint.read)
        request.stream = bool(args[1] if len(args) > 1 else kwargs.get("stream"))
        request.address = url.hostname
        request.port = url.port or (80 if url.scheme == "http" else 443)
        request.input_size = endpoint.size(body)
        return request


def _finish_1x(call: Call, result: Any) -> Any:
    answer, is_stream, key = result
    if is_stream:
        return streams.observed(answer, call, _read_1x), is_stream, key
    _read_1x(call, answer)
    call.end()
    return result


def _read_1x(call: Call, answer: Any) -> None:
    headers = field(answer, "_headers")
    if call.http_response is None and headers is not None:
        call.http_response = answer
        call.headers([(str(name).encode(), str(value).encode()) for name, value in headers.items()])
    call.request.read(call, answer.data)


ADAPTER = TogetherAdapter("together", "together", {**endpoints("/v1"), **endpoints()}, {})
