"""The azure-ai-inference SDK, 1.0.0b7 to b9: chat completions and embeddings, and their asynchronous clients.

Surrounded are ``ChatCompletionsClient.complete`` and the ``embed`` of both embeddings clients. The HTTP response is
seen by azure-core's own ``raw_response_hook``; that of a stream carries the call too, as the SDK's own tracing makes
another stream object of it.

Sources: azure-ai-inference 1.0.0b9 ``_patch.py``, ``aio/_patch.py``, ``models/_patch.py``, ``tracing.py`` and
``_model_base.py`` (a model object keeps the JSON document in ``_data``); azure-core 1.41.0
``pipeline/policies/_custom_hook.py``.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import wrapt

from otel_llm_routing.instrument.adapters.adapter import Adapter, put_back
from otel_llm_routing.instrument.adapters.completions import read_completion
from otel_llm_routing.instrument.adapters.fields import characters, field
from otel_llm_routing.instrument.adapters.stream_objects import ATTRIBUTE, StreamObjects
from otel_llm_routing.instrument.call import Call, CallRequest, under_way
from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.models import clean_model, provider_of_host

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class AzureInferenceAdapter(Adapter):
    """Hooks the synchronous or the asynchronous clients; the streams of both with the former."""

    def __init__(self, package: str, provider: str) -> None:
        super().__init__(package, provider)
        self._streams = StreamObjects(self, _nothing)

    def hook(self, sdk: Any) -> None:
        """Hook the clients of ``sdk``, the package or its ``aio``."""
        for client, method, operation, argument in (
            ("ChatCompletionsClient", "complete", "chat", "messages"),
            ("EmbeddingsClient", "embed", "embeddings", "input"),
            ("ImageEmbeddingsClient", "embed", "embeddings", "input"),
        ):
            begin = functools.partial(self._begin, operation, argument)
            self.surround(getattr(sdk, client, None), method, begin, self._finish, inside=True)
        if (models := getattr(sdk, "models", None)) is not None:
            for stream in ("StreamingChatCompletions", "AsyncStreamingChatCompletions"):
                self.wrap(getattr(models, stream, None), "__init__", _share)

    def wrap(self, owner: Any, name: str, wrapper: Callable[..., Any], *, inside: bool = False) -> bool:
        """Wrap ``owner.name``, inside the SDK's own tracing where the application has switched that on before."""
        tracing: Any = None if owner is None else owner.__dict__.get(name)
        original: Any = getattr(tracing, "_original", None)
        cell = None if original is None else _cell_of(tracing, original)
        if cell is None:
            return super().wrap(owner, name, wrapper, inside=inside)
        ours = wrapt.FunctionWrapper(original, wrapper)
        cell.cell_contents = ours.__get__(None, owner)  # as their tracing found the method: it passes the client along
        tracing._original = ours  # noqa: SLF001  (what they put back when they are switched off)
        self._undo.append(functools.partial(_put_back_inside, tracing, cell, ours, original))
        self._undo.append(functools.partial(put_back, owner, name, ours, original))
        return True

    def _begin(
        self, operation: str, argument: str, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> CallRequest:
        body = args[0] if args else kwargs.get("body")
        given: Mapping[str, Any] = body if isinstance(body, dict) else kwargs
        own = vars(client) if body is None else {}  # a body of the application's own is sent as it is
        endpoint = urlsplit(client._config.endpoint)  # noqa: SLF001  (the SDK has no public name for it)
        host = endpoint.hostname or ""
        extras = (kwargs.get("model_extras") or own.get("_model_extras") or {}) if body is None else {}
        model = extras.get("model") or given.get("model") or own.get("_model") or _deployment(endpoint.path)
        request = CallRequest(operation, provider_of_host(host) or self.provider, clean_model(model), _read)
        request.stream = given.get("stream") is True
        request.address = host
        request.port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
        request.input_size = characters(_plain(given.get(argument)))
        _listen(client, kwargs)
        return request

    def _finish(self, call: Call, result: Any) -> Any:
        response = field(result, "_response")
        if response is None:
            _read(call, result)
            call.end()
        else:
            self._streams.watch(result, call, _read)
            vars(response)[ATTRIBUTE] = vars(result)[ATTRIBUTE]
        return result


def _cell_of(function: Any, value: Any) -> Any:
    """Return the cell of ``function``'s closure that holds ``value``."""
    cells = getattr(function, "__closure__", None) or ()
    return next((cell for cell in cells if cell.cell_contents is value), None)


def _put_back_inside(tracing: Any, cell: Any, ours: Any, original: Any) -> None:
    if tracing._original is ours:  # noqa: SLF001
        cell.cell_contents = tracing._original = original  # noqa: SLF001


def _deployment(path: str) -> str | None:
    """Return the deployment that the path of an Azure OpenAI endpoint names."""
    _, found, rest = path.partition("/deployments/")
    return unquote(rest.partition("/")[0]) if found else None


def _plain(value: Any) -> Any:
    """Return the documents inside the SDK's model objects, as dictionaries."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    data = field(value, "_data")
    value = data if type(data) is dict else value
    if type(value) is dict:
        return {name: _plain(item) for name, item in value.items() if name in ("content", "text", "input")}
    return value


# The HTTP response --------------------------------------------------------------------------------------------------


def _listen(client: Any, kwargs: dict[str, Any]) -> None:
    """Hear of the HTTP response, where the client's pipeline has the policy that takes the option for it."""
    steps = getattr(client._client._pipeline, "_impl_policies", ())  # noqa: SLF001
    if any(type(getattr(step, "_policy", step)).__name__ == "CustomHookPolicy" for step in steps):
        usual = getattr(client._config.custom_hook_policy, "_response_callback", None)  # noqa: SLF001
        theirs = kwargs.get("raw_response_hook") or usual
        kwargs["raw_response_hook"] = functools.partial(_see_response, theirs)


def _see_response(theirs: Any, response: Any) -> None:
    try:
        call = under_way()
        if call is not None:
            headers = response.http_response.headers
            call.headers([(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()])
    except Exception:  # noqa: BLE001
        swallowed("look at an HTTP response of azure-ai-inference")
    if theirs is not None:
        theirs(response)


def _read(call: Call, answer: Any) -> None:
    """Read a whole answer, or one update of a stream."""
    data = field(answer, "_data")
    if type(data) is dict:
        read_completion(
            call, {**data, "usage": _document(data.get("usage")), "choices": _document(data.get("choices"))}
        )


def _document(value: Any) -> Any:
    """Return ``value`` with the documents inside model objects: the SDK makes those of known types when it reads."""
    if type(value) is list:
        return [field(item, "_data") or item for item in value]
    data = field(value, "_data")
    return {name: field(item, "_data") or item for name, item in data.items()} if type(data) is dict else value


def _share(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Give a stream object that is made of another one's response the call of that response."""
    wrapped(*args, **kwargs)
    if (watched := field(field(instance, "_response"), ATTRIBUTE)) is not None:
        vars(instance)[ATTRIBUTE] = watched


def _nothing(call: Call, stream: Any) -> None:
    """Read nothing of a stream at its end: its updates have said it all."""


ADAPTER = AzureInferenceAdapter("azure-ai-inference", "azure.ai.inference")
