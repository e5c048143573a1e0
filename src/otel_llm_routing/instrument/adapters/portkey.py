"""The portkey-ai SDK, 1.x and 2.x: it carries an openai SDK of its own, and has a client of its own beside it.

Chats, completions, embeddings and responses are sent by the openai SDK under ``portkey_ai._vendor``, which the hooks of
the Stainless family see. Saved prompts, and what is posted by hand, go through ``APIClient._request`` or its
asynchronous twin, whose streams are of a class of their own.

Portkey is the gateway; the provider is the one the client names (``provider="anthropic"``), and Portkey where a
virtual key or a config on its side names it.

Sources: portkey-ai 2.3.4 ``api_resources/client.py``, ``base_client.py``, ``streaming.py``, ``utils.py`` (``Options``),
``apis/generation.py``, ``apis/create_headers.py``; 1.10.5 and 1.15.1, the same files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from otel_llm_routing.instrument import streams
from otel_llm_routing.instrument.adapters.completions import endpoints, read_completion
from otel_llm_routing.instrument.adapters.fields import characters, field
from otel_llm_routing.instrument.adapters.stainless import Endpoint, StainlessAdapter, take_surface
from otel_llm_routing.instrument.call import CallRequest
from otel_llm_routing.models import clean_model, provider_name, provider_of_host

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_llm_routing.instrument.call import Call

PROVIDER_HEADER = "x-portkey-provider"
PROMPT = re.compile(r"(?:/v1)?/prompts/[^/]+/(?:completions|generate)")


def _variables_size(body: Mapping[str, Any]) -> int:
    """Count the characters of what is filled into a saved prompt; the prompt itself is with Portkey."""
    variables = body.get("variables")
    return characters(list(variables.values())) if isinstance(variables, dict) else 0


_PROMPT = Endpoint("chat", read_completion, _variables_size)


class PortkeyAdapter(StainlessAdapter):
    """Adds Portkey's own client."""

    def hook(self, sdk: Any) -> None:
        """Hook both clients."""
        vendor = getattr(sdk, "_vendor", None)
        if vendor is not None:  # before, the openai SDK itself was used, which has its own adapter
            super().hook(getattr(vendor, "openai", None))
        resources = getattr(sdk, "api_resources", None)
        base = getattr(resources, "base_client", None)
        for name in ("APIClient", "AsyncAPIClient"):
            self.surround(getattr(base, name, None), "_request", self._begin_own, _finish_own)
        self.hook_streams(getattr(resources, "streaming", None))

    def refine(self, request: CallRequest, client: Any, options: Any, path: str) -> None:  # noqa: ARG002
        """Name the provider that the client's headers name."""
        request.provider = _provider(field(client, "_custom_headers")) or request.provider

    def _begin_own(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallRequest | None:  # noqa: ARG002
        options = kwargs["options"]
        if options.method.lower() != "post":
            return None
        path = urlsplit(options.url).path
        endpoint = _PROMPT if PROMPT.fullmatch(path) else self.endpoints.get(path.removeprefix("/v1"))
        if endpoint is None:
            return None
        body = options.json_body or {}
        url = urlsplit(str(client.base_url))
        provider = _provider(client.custom_headers) or provider_of_host(url.hostname or "") or self.provider
        request = CallRequest(endpoint.operation, provider, clean_model(body.get("model")), endpoint.read)
        request.stream = bool(kwargs.get("stream"))
        request.address = url.hostname
        request.port = url.port or (80 if url.scheme == "http" else 443)
        request.input_size = endpoint.size(body)
        options.headers = take_surface(request, options).headers
        return request


def _provider(headers: Any) -> str | None:
    for name, value in headers.items() if isinstance(headers, dict) else ():
        # `@slug` names an integration that an operator set up, and not who is behind it.
        if str(name).lower() == PROVIDER_HEADER and isinstance(value, str) and not value.startswith("@"):
            return provider_name(value)
    return None


def _finish_own(call: Call, result: Any) -> Any:
    response = field(result, "response")
    inner = field(result, "_iterator")
    if response is None or inner is None:
        if (headers := getattr(result, "_headers", None)) is not None:
            call.headers(headers.raw)
        call.request.read(call, result)
        call.end()
        return result
    call.headers(response.headers.raw)
    call.parsing = True
    response.extensions[streams.EXTENSION] = call
    streams.observe_bytes(response, call, call.request.read)
    observe = streams.async_items if hasattr(inner, "__anext__") else streams.items
    result._iterator = observe(inner, call, call.request.read)  # noqa: SLF001  (where a stream keeps its items)
    return result


ADAPTER = PortkeyAdapter("portkey-ai", "portkey", endpoints(), {})
