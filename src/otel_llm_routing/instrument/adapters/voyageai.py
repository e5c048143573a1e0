"""The voyageai SDK: embeddings of texts, of texts in their context, and of images.

Every request goes through ``APIRequestor.request`` or ``arequest``: there the answer names its model. The clients'
methods are around it, with their retries, and return objects that name none. What runs on this machine
(``voyageai.local``) is no call to a provider; reranking is none that generates or embeds.

Sources: voyageai 0.5.0 and 0.3.0 ``client.py``, ``client_async.py``, ``api_resources/api_requestor.py``,
``object/embeddings.py``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from otel_llm_routing import semconv
from otel_llm_routing.instrument.adapters.adapter import Adapter
from otel_llm_routing.instrument.adapters.fields import characters, count
from otel_llm_routing.instrument.call import EMBEDDINGS, Call, CallRequest, under_way
from otel_llm_routing.models import clean_model

if TYPE_CHECKING:
    from collections.abc import Callable

PATHS = ("/embeddings", "/contextualizedembeddings", "/multimodalembeddings")
METHODS = {"embed": "texts", "contextualized_embed": "inputs", "multimodal_embed": "inputs"}
"""The clients' methods, and the name of the first argument of each. The second one is the model."""


def read_embeddings(call: Call, response: Any) -> None:
    """Read an answer as the requestor returns it: the headers, and the JSON document."""
    headers = response._headers.items()  # noqa: SLF001  (kept nowhere else)
    call.headers((name.encode(), value.encode("utf-8", "replace")) for name, value in headers)
    body = response.data
    if type(body) is not dict:
        return
    call.body(body.get("model"))
    usage = body.get("usage")
    if type(usage) is dict and (read := count(usage.get("total_tokens"))):
        call.input_tokens = call.details[semconv.INPUT_TOKENS] = read


class VoyageAdapter(Adapter):
    """Hooks the clients, and the requestor beneath them."""

    def hook(self, sdk: Any) -> None:
        """Surround the methods that this version has."""
        for name in ("Client", "AsyncClient"):
            client = getattr(sdk, name, None)
            if client is None:
                self.missing(name)
                continue
            for method, argument in METHODS.items():
                if method in client.__dict__:
                    self.surround(client, method, self._embedding(sdk, argument), _read_already)
        requestor = getattr(sys.modules.get("voyageai.api_resources.api_requestor"), "APIRequestor", None)
        self.wrap(requestor, "request", self._request)
        self.wrap(requestor, "arequest", self._request_async)

    def _embedding(self, sdk: Any, argument: str) -> Callable[..., CallRequest | None]:
        def begin(client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallRequest | None:
            model = args[1] if len(args) > 1 else kwargs.get("model")
            if model is None:
                model = sdk.VOYAGE_EMBED_DEFAULT_MODEL
            local = sys.modules.get("voyageai.local.helpers")
            if argument == "texts" and local is not None and local.is_local_model(model):
                return None
            settings = client.__dict__.get("_params") or {}
            base = settings.get("base_url") or settings.get("api_base") or getattr(sdk, "api_base", None)
            return self._asked(model, args[0] if args else kwargs.get(argument), base)

        return begin

    def _posting(self, requestor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallRequest | None:
        """Read a request of ``voyageai.Embedding.create`` and the like, which no client makes."""
        method, url = [*args, *(kwargs[name] for name in ("method", "url")[len(args) :])][:2]
        params = args[2] if len(args) > 2 else kwargs.get("params")  # noqa: PLR2004
        if method.lower() != "post" or url not in PATHS or type(params) is not dict:
            return None
        given = requestor.__dict__
        asked = params.get("input", params.get("inputs"))
        return self._asked(params.get("model"), asked, given.get("base_url") or given.get("api_base"))

    def _asked(self, model: Any, asked: Any, base: Any) -> CallRequest:
        request = CallRequest(EMBEDDINGS, self.provider, clean_model(model), read_embeddings)
        request.input_size = characters(asked)
        url = urlsplit(base) if type(base) is str else None
        if url is not None and url.hostname:
            request.address, request.port = url.hostname, url.port or (80 if url.scheme == "http" else 443)
        return request

    # The requestor -----------------------------------------------------------------------------------------------

    def _request(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = _of_the_client()
        if call is None:
            return self._around(self._posting, _whole, wrapped, instance, args, kwargs)
        return self.finish(_see, call, wrapped(*args, **kwargs))

    async def _request_async(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = _of_the_client()
        if call is None:
            return await self._around_async(self._posting, _whole, wrapped, instance, args, kwargs)
        return self.finish(_see, call, await wrapped(*args, **kwargs))


def _of_the_client() -> Call | None:
    call = under_way()
    return call if call is not None and call.request.read is read_embeddings else None


def _see(call: Call, response: Any) -> Any:
    call.request.read(call, response)
    return response


def _whole(call: Call, response: Any) -> Any:
    _see(call, response)
    call.end()
    return response


def _read_already(call: Call, result: Any) -> Any:
    call.end()
    return result


ADAPTER = VoyageAdapter("voyageai", "voyageai")
