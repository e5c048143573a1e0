"""The ollama SDK, 0.4 to 0.6: ``Client``, ``AsyncClient``, and the module's functions, which use a ``Client``.

Every call goes through ``_request(cls, method, path, *, json, stream)`` (source: ollama 0.6.3 ``_client.py``). With
``stream`` it returns a generator that sends nothing before its first item is asked for.

Sources of the fields: ollama 0.6.3 ``_types.py``; for ``remote_model``, which the SDK's types leave out, the server's
``api/types.go``: the model that ran where the server passed the request on to another host, such as Ollama's cloud.
"""

from __future__ import annotations

import functools
from typing import Any
from weakref import WeakSet

import wrapt
from opentelemetry.context import get_current

from otel_llm_routing import semconv
from otel_llm_routing.instrument import streams
from otel_llm_routing.instrument.adapters.adapter import Adapter, see_headers, whole
from otel_llm_routing.instrument.adapters.fields import characters, count, field, text
from otel_llm_routing.instrument.call import Call, CallRequest, under_way
from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.models import clean_model

OPERATIONS = {
    "/api/chat": "chat",
    "/api/generate": "text_completion",
    "/api/embed": "embeddings",
    "/api/embeddings": "embeddings",
    "/v1/systemone": "generate_content",
}
"""Paths that are calls to a model; the others manage models."""


def read_answer(call: Call, answer: Any) -> None:
    """Read a whole answer, or one part of a stream."""
    fields = answer.__dict__
    if (model := fields.get("model")) != call.body_model:
        call.body(model)
    if fields.get("done") is False:
        return  # counts and reason come with the last part
    usage = fields.get("usage")  # as System One has it
    if read := count(fields.get("prompt_eval_count")) or count(field(usage, "input_tokens")):
        call.input_tokens = call.details[semconv.INPUT_TOKENS] = read
    if written := count(fields.get("eval_count")) or count(field(usage, "output_tokens")):
        call.output_tokens = call.details[semconv.OUTPUT_TOKENS] = written
    if (reason := text(fields.get("done_reason"))) is not None:
        call.details[semconv.FINISH_REASONS] = (reason,)


class OllamaAdapter(Adapter):
    """Hooks ``_request``; hears of each HTTP response through an event hook of the client's own httpx client."""

    def __init__(self, package: str, provider: str) -> None:
        super().__init__(package, provider)
        self._listening: WeakSet[Any] = WeakSet()

    def hook(self, sdk: Any) -> None:
        """Hook both clients of the module ``ollama._client``."""
        self.wrap(getattr(sdk, "Client", None), "_request", self._request)
        self.wrap(getattr(sdk, "AsyncClient", None), "_request", self._request_async)

    def uninstrument(self) -> None:
        """Take the hooks off, those of the httpx clients too."""
        super().uninstrument()
        while self._listening:
            hooks = self._listening.pop().event_hooks["response"]
            hooks[:] = [hook for hook in hooks if hook not in (_see_response, _see_response_async)]

    def _request(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not _is_call(args):
            return wrapped(*args, **kwargs)
        self._listen(instance, _see_response)
        arguments = _reading(args)
        if not kwargs.get("stream"):
            return self._around(self._begin, whole, wrapped, instance, arguments, kwargs)
        start = functools.partial(self.start, self._begin, instance, args, kwargs)
        return streams.lazy_items(wrapped(*arguments, **kwargs), start, get_current())

    async def _request_async(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not _is_call(args):
            return await wrapped(*args, **kwargs)
        self._listen(instance, _see_response_async)
        arguments = _reading(args)
        if not kwargs.get("stream"):
            return await self._around_async(self._begin, whole, wrapped, instance, arguments, kwargs)
        start = functools.partial(self.start, self._begin, instance, args, kwargs)
        return streams.lazy_async_items(await wrapped(*arguments, **kwargs), start, get_current())

    def _begin(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallRequest:
        body = kwargs["json"]
        request = CallRequest(OPERATIONS[args[2]], self.provider, clean_model(body.get("model")), read_answer)
        request.stream = bool(kwargs.get("stream"))
        request.input_size = sum(
            [characters(body.get(name)) for name in ("messages", "prompt", "system", "suffix", "input", "state")]
        )
        url = client._client.base_url  # noqa: SLF001  (the SDK has no public name for its httpx client)
        request.address = url.host
        request.port = url.port or (443 if url.scheme == "https" else 80)
        return request

    def _listen(self, client: Any, listener: Any) -> None:
        try:
            http = client._client  # noqa: SLF001
            if self._tracker is not None and http not in self._listening:
                http.event_hooks["response"].append(listener)
                self._listening.add(http)
        except Exception:  # noqa: BLE001
            swallowed("listen to the HTTP responses of ollama")


def _is_call(args: tuple[Any, ...]) -> bool:
    return len(args) > 2 and args[2] in OPERATIONS  # noqa: PLR2004  (cls, method, path)


def _reading(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments with the class of the answer seen, which makes the answer as before."""
    return (wrapt.FunctionWrapper(args[0], _made), *args[1:])


def _made(cls: Any, instance: Any, args: tuple[Any, ...], fields: dict[str, Any]) -> Any:  # noqa: ARG001
    """Make an answer, or a part of one; look at the fields that its class is going to drop."""
    if "remote_model" in fields and (call := under_way()) is not None:
        call.routed(fields["remote_model"])
    return cls(*args, **fields)


def _see_response(response: Any) -> None:
    see_headers("ollama", response)


async def _see_response_async(response: Any) -> None:
    _see_response(response)


ADAPTER = OllamaAdapter("ollama", "ollama")
