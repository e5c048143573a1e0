"""The replicate SDK, 0.x and 1.x: predictions of models of any kind.

A prediction is made by a POST through ``Client._request`` or ``_async_request``, whichever method of the SDK it is for.
``run`` and ``stream`` are around it, with the polling, or the reading of the stream. The request does not say what a
model generates, text or images, so every prediction is counted, as ``generate_content``. Trainings are not.

The answer names the model and, unless the model is an official one (``hidden``), the version that ran. The 2.x betas
have another client, which is not hooked.

Sources: replicate 1.0.7 and 0.34.2 ``client.py``, ``run.py``, ``stream.py``, ``prediction.py``, ``model.py``,
``deployment.py``.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from otel_llm_routing import semconv
from otel_llm_routing.instrument import streams
from otel_llm_routing.instrument.adapters.adapter import Adapter
from otel_llm_routing.instrument.adapters.fields import characters, count, text
from otel_llm_routing.instrument.call import Call, CallRequest, under_way
from otel_llm_routing.models import clean_model

if TYPE_CHECKING:
    from collections.abc import Callable

OPERATION = "generate_content"
_PATH = re.compile(r"/v1/(?:(?:models|deployments)/([^/]+/[^/]+)/)?predictions")
_VERSION = re.compile(r"[0-9a-f]{64}")
_TEXTS = ("prompt", "system_prompt", "messages", "text", "texts")
_OVER = ("succeeded", "failed", "canceled")


def read_prediction(call: Call, body: Any) -> None:
    """Read a prediction, as the API's JSON document. The events of a stream say nothing about the model."""
    if type(body) is not dict:
        return
    call.body(_served(call.request.model, body.get("model"), body.get("version")))
    if (value := text(body.get("id"))) is not None:
        call.details[semconv.RESPONSE_ID] = value
    if (status := text(body.get("status"))) in _OVER:
        call.details[semconv.FINISH_REASONS] = (status,)
    metrics = body.get("metrics")
    if type(metrics) is dict:
        if read := count(metrics.get("input_token_count")):
            call.input_tokens = call.details[semconv.INPUT_TOKENS] = read
        if written := count(metrics.get("output_token_count")):
            call.output_tokens = call.details[semconv.OUTPUT_TOKENS] = written


def _served(requested: str | None, model: Any, version: Any) -> Any:
    """Return the model in the spelling of a reference: ``owner/name:version``, or a version alone."""
    if type(version) is not str or _VERSION.fullmatch(version) is None or type(model) is not str:
        return model
    return version if requested == version else f"{model}:{version}"


class ReplicateAdapter(Adapter):
    """Hooks the functions that wait for a prediction, and the client's requests."""

    def hook(self, sdk: Any) -> None:  # noqa: ARG002  (its functions are bound to a client before this runs)
        """Surround them."""
        module = sys.modules.get("replicate.client")
        client = getattr(module, "Client", None)
        if module is None or client is None:
            self.missing("client.Client")
            return
        for name, stream in (("run", False), ("async_run", False), ("stream", True), ("async_stream", True)):
            self.surround(module, name, self._running(stream=stream), _ran)
        self.wrap(client, "_request", self._request)
        self.wrap(client, "_async_request", self._request_async)

    # What is asked for -------------------------------------------------------------------------------------------

    def _running(self, *, stream: bool) -> Callable[..., CallRequest]:
        def begin(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallRequest:
            client, reference, asked = [*args, *(kwargs.get(n) for n in ("client", "ref", "input")[len(args) :])][:3]
            request = self._asked(client, _name(reference), asked)
            request.stream = stream
            return request

        return begin

    def _posting(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallRequest | None:
        method, path = [*args, *(kwargs[name] for name in ("method", "path")[len(args) :])][:2]
        found = _PATH.fullmatch(path)
        if method != "POST" or found is None:
            return None
        body = kwargs.get("json") or {}
        return self._asked(client, found[1] or body.get("version"), body.get("input"))

    def _asked(self, client: Any, model: Any, asked: Any) -> CallRequest:
        request = CallRequest(OPERATION, self.provider, clean_model(model), read_prediction)
        if type(asked) is dict:
            request.input_size = sum(characters(asked[name]) for name in _TEXTS if name in asked)
        base = client.__dict__.get("_base_url") or os.environ.get("REPLICATE_API_BASE_URL")
        url = urlsplit(base or "https://api.replicate.com")
        request.address, request.port = url.hostname, url.port or (80 if url.scheme == "http" else 443)
        return request

    # The client's requests ---------------------------------------------------------------------------------------

    def _request(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = _around()
        if call is None:
            return self._around(self._posting, _posted, wrapped, instance, args, kwargs)
        return self.finish(_see, call, wrapped(*args, **kwargs))

    async def _request_async(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = _around()
        if call is None:
            return await self._around_async(self._posting, _posted, wrapped, instance, args, kwargs)
        return self.finish(_see, call, await wrapped(*args, **kwargs))


def _name(reference: Any) -> str | None:
    """Return ``owner/name``, with the version if there is one, of what ``run`` takes: strings, models and versions."""
    if type(reference) is str:
        return reference
    if isinstance(reference, tuple):  # ModelVersionIdentifier
        return "/".join(reference[:2]) + (f":{reference[2]}" if reference[2] else "")
    fields = reference.__dict__
    return f"{fields['owner']}/{fields['name']}" if "owner" in fields else fields.get("id")


def _around() -> Call | None:
    """Return the call of ``run`` or ``stream`` that a request is made for."""
    call = under_way()
    return call if call is not None and call.request.read is read_prediction else None


def _see(call: Call, response: Any) -> Any:
    call.headers(response.headers.raw)
    if len(response.content) <= streams.MAX_HELD:
        call.request.read(call, json.loads(response.content))
    return response


def _posted(call: Call, response: Any) -> Any:
    try:
        return _see(call, response)
    except ValueError:  # no JSON: the SDK says so
        return response
    finally:
        call.end()


def _ran(call: Call, result: Any) -> Any:
    # A generator polls, unless the prediction was over when it was made.
    if (inspect.isgenerator(result) or inspect.isasyncgen(result)) and semconv.FINISH_REASONS not in call.details:
        return streams.observed(result, call, call.request.read)
    call.end()
    return result


ADAPTER = ReplicateAdapter("replicate", "replicate")
