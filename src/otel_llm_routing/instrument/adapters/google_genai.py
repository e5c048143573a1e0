"""The google-genai SDK, 1.x to 3.x: content, its streams, chats and embeddings, of the Gemini API and of Vertex AI.

Hooked are (sources: google-genai 1.30.0, 1.75.0, 2.34.0, 3.6.1, ``models.py``, ``chats.py``, ``_api_client.py``):

- ``_generate_content``, ``_generate_content_stream`` and the embedding method of ``Models`` and ``AsyncModels``: one
  request each. Chats, automatic function calling and continuations all go through them, as often as they ask a model;
- the public generators around these: what is current when the application makes one is current when it sends;
- ``HttpResponse``: the headers, whatever HTTP library has read them;
- ``_build_request``: where this project's own header is taken out.
"""

from __future__ import annotations

import functools
import json
import re
import sys
from typing import Any

from otel_llm_routing import semconv
from otel_llm_routing.instrument.adapters import gemini
from otel_llm_routing.instrument.adapters.fields import count, field
from otel_llm_routing.instrument.adapters.turns import TurnAdapter
from otel_llm_routing.instrument.call import EMBEDDINGS, Call, CallRequest, under_way
from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.models import clean_model

ROUTER = "router"
_UPPER = re.compile(r"(?<=[a-z])([A-Z])")


def read_response(call: Call, response: Any) -> None:
    """Read generated content, or the raw response that the application asked for instead."""
    if field(response, "candidates") is None:
        body = field(field(response, "sdk_http_response"), "body")
        if type(body) is str:
            response = _snake(body)
    gemini.read_content(call, response)


def read_embeddings(call: Call, response: Any) -> None:
    """Read embeddings, which name no model."""
    if (usage := field(response, "usage_metadata")) is not None:
        gemini.read_usage(call, usage)
    embeddings = field(response, "embeddings")
    if type(embeddings) is list:
        tokens = [field(field(embedding, "statistics"), "token_count") for embedding in embeddings]
        # Vertex AI writes them as 3.0.
        if total := sum([count(int(n)) for n in tokens if type(n) is float or type(n) is int]):
            call.input_tokens = call.details[semconv.INPUT_TOKENS] = total


def _snake(body: str) -> Any:
    """Return the JSON document in ``body`` with its fields as the SDK names them; None where it is none."""
    try:
        return json.loads(body, object_pairs_hook=lambda pairs: {_UPPER.sub(r"_\1", k).lower(): v for k, v in pairs})
    except (ValueError, RecursionError):
        return None


class GoogleGenAIAdapter(TurnAdapter):
    """Hooks ``google.genai``."""

    def providers(self) -> set[str]:
        """Return the providers whose calls this adapter sees."""
        return {gemini.GEMINI, gemini.VERTEX}

    def hook(self, sdk: Any) -> None:  # noqa: ARG002  (the modules that are hooked are beneath it)
        """Hook the imported package."""
        modules = {name: sys.modules.get(f"google.genai.{name}") for name in ("models", "chats", "_api_client")}
        content = functools.partial(self._content, False)
        streamed = functools.partial(self._content, True)
        for name in ("Models", "AsyncModels"):
            models = getattr(modules["models"], name, None)
            self.surround(models, "_generate_content", content)
            self.surround(models, "_generate_content_stream", streamed)
            # Once they had no other method beneath.
            embed = "_embed_content" if hasattr(models, "_embed_content") else "embed_content"
            self.surround(models, embed, self._embeddings)
            self.wrap(models, "generate_content_stream", self.turn)
        for name in ("Chat", "AsyncChat"):
            self.wrap(getattr(modules["chats"], name, None), "send_message_stream", self.turn)
        api = modules["_api_client"]
        client = getattr(api, "BaseApiClient", None) or getattr(api, "ApiClient", None)
        self.wrap(getattr(api, "HttpResponse", None), "__init__", _headers)
        self.wrap(client, "_build_request", _without_our_header)

    def _content(self, stream: bool, models: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallRequest:  # noqa: ARG002
        config = kwargs.get("config")
        request = _request(gemini.GENERATE_CONTENT, read_response, models, kwargs)
        request.stream = stream
        request.input_size = gemini.size(kwargs.get("contents")) + gemini.size(field(config, "system_instruction"))
        if field(field(config, "routing_config"), "auto_mode") is not None:
            request.kind = ROUTER
        return request

    def _embeddings(self, models: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallRequest:  # noqa: ARG002
        request = _request(EMBEDDINGS, read_embeddings, models, kwargs)
        request.input_size = sum(gemini.size(kwargs.get(name)) for name in ("contents", "content", "batch_contents"))
        return request


def _request(operation: str, read: Any, models: Any, kwargs: dict[str, Any]) -> CallRequest:
    client = field(models, "_api_client")
    provider = gemini.VERTEX if field(client, "vertexai") else gemini.GEMINI
    request = CallRequest(operation, provider, clean_model(kwargs.get("model")), read)
    own = field(kwargs.get("config"), "http_options")
    options = field(client, "_http_options")
    gemini.aim(request, field(own, "base_url") or field(options, "base_url") or "")
    request.surface = gemini.surface(field(own, "headers")) or gemini.surface(field(options, "headers"))
    return request


def _without_our_header(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ARG001
    request = wrapped(*args, **kwargs)
    try:
        if gemini.surface(request.headers) is not None:
            request.headers = dict(request.headers)  # it may be the client's own
            gemini.remove_surface(request.headers)
    except Exception:  # noqa: BLE001
        swallowed("look at the headers of a request of google-genai")
    return request


def _headers(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = wrapped(*args, **kwargs)
    try:
        call = under_way()
        if call is not None:
            headers = field(instance, "headers")
            call.headers([(k.encode(), v.encode("utf-8", "replace")) for k, v in (headers or {}).items()])
    except Exception:  # noqa: BLE001
        swallowed("look at an HTTP response of google-genai")
    return result


ADAPTER = GoogleGenAIAdapter("google-genai", gemini.GEMINI)
