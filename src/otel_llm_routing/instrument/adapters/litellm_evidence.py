"""Which model answered a call through litellm.

litellm writes the requested name into every chunk of a stream, and into the answers of providers that name no model. So
an answer's model is believed where it differs from what was called; where it repeats that, the raw answer decides.

Sources: litellm 1.108.7 ``litellm_core_utils/streaming_handler.py``, ``litellm_logging.py`` (``post_call``),
``llm_response_utils/get_headers.py`` (a provider's headers are ``llm_provider-…``) and ``response_metadata.py``,
``router_utils/add_retry_fallback_headers.py``, ``llms/*/transformation.py`` (which write the requested name).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from otel_llm_routing.instrument import streams
from otel_llm_routing.instrument.adapters.anthropic import read_message
from otel_llm_routing.instrument.adapters.completions import read_completion, read_response
from otel_llm_routing.instrument.adapters.fields import count, field, text
from otel_llm_routing.instrument.adapters.litellm_request import LITELLM, Asked
from otel_llm_routing.models import clean_model, provider_name, same_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_llm_routing.instrument.call import Call

PROVIDER_HEADER = "llm_provider-"
MODEL_FIELDS = ("model", "modelVersion", "model_id")
"""Where providers name the model in their answers."""
NO_MODEL = "unknown-model"
"""What litellm names in an answer that it has translated where there was no name."""


def read_answer(call: Call, answer: Any) -> None:
    """Read an answer that is complete."""
    request: Any = call.request
    fields = _fields(answer)
    hidden = fields.get("_hidden_params") if type(answer) is dict else getattr(answer, "_hidden_params", None)
    read_hidden(call, hidden)
    if request.mocked or not fields:
        return
    model = clean_model(fields.get("model"))
    prefix = f"{_param(hidden, 'custom_llm_provider')}/"
    if model is not None and model.startswith(prefix):
        model = model[len(prefix) :]  # which litellm has put before what the provider said
    fields["model"] = _named(request, model)
    _reader_of(fields)(call, fields)
    _read_fallback(call, request.raw)
    conclude(call)


def read_chunk(call: Call, chunk: Any) -> None:
    """Read a chunk of a stream as the provider's part of litellm hands it over."""
    request: Any = call.request
    if request.mocked:
        return
    fields = _fields(chunk)
    if (model := clean_model(fields.get("model"))) is not None:
        request.named = model
    else:
        fields["model"] = call.body_model
    read_completion(call, fields)


def read_event(call: Call, event: Any) -> None:
    """Read an event of the Responses API."""
    request: Any = call.request
    response = field(event, "response")
    if request.mocked or response is None:
        return
    fields = {**_fields(response), "object": "response"}
    if request.named is not None:
        fields["model"] = request.named  # litellm has made the events, of chunks that name the model
    read_response(call, fields)


class MessageStream:
    """Reads one stream in Anthropic's format."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes: streams.BodyReader | None = None

    def read(self, call: Call, item: Any) -> None:
        """Read an item: an event, or bytes that hold some, or a part of one."""
        request: Any = call.request
        if request.mocked:
            return
        if type(item) is dict:
            _read_message_event(call, item)
        elif isinstance(item, (bytes, str)):
            if self._bytes is None:  # not kept with the call, which it holds
                self._bytes = streams.BodyReader(call, _read_message_event, events=True, zipped=False)
            self._bytes.feed(item if isinstance(item, bytes) else item.encode())


def _read_message_event(call: Call, event: Any) -> None:
    request: Any = call.request
    kind = event.get("type")
    if kind == "message_start" and request.translated:
        # It repeats the requested name: what litellm has translated has been read before it got there.
        event = {**event, "message": {**_fields(event.get("message")), "model": request.named}}
    read_message(call, event)
    if kind == "error":
        conclude(call)
        call.end(text(field(event.get("error"), "type")) or "error")


def read_hidden(call: Call, hidden: Any) -> None:
    """Read what litellm keeps beside an answer: the provider's headers, fallbacks, a hit of its cache."""
    if hidden is None:
        return
    request: Any = call.request
    headers = _param(hidden, "additional_headers")
    if isinstance(headers, dict):
        sent = [
            (name[len(PROVIDER_HEADER) :].encode("latin-1", "replace"), str(value).encode("latin-1", "replace"))
            for name, value in headers.items()
            if isinstance(name, str) and name.startswith(PROVIDER_HEADER)
        ]
        if sent:
            call.headers(sent)
        fallbacks = headers.get("x-litellm-attempted-fallbacks")
        # Older ones do not say it of streams. Where it is said that decides, as a router may change the group at first.
        call.fallback = call.fallback or (request.regrouped if fallbacks is None else count(fallbacks) > 0)
    call.cached = call.cached or _param(hidden, "cache_hit") is True
    if request.provider == LITELLM and (name := _param(hidden, "custom_llm_provider")):
        call.sent_to(provider_name(str(name)) or LITELLM, request.address, request.port)


def conclude(call: Call) -> None:
    """Take what a router dispatched to as the model, where the provider has named none, or the router's own name."""
    request: Any = call.request
    dispatched, named = request.dispatched, call.body_model
    if dispatched is None or request.mocked or not (request.routed or call.fallback):
        return
    if named is None or (same_model(named, request.model or "") and not same_model(named, dispatched)):
        call.routed(dispatched)


def _reader_of(fields: dict[str, Any]) -> Callable[[Call, Any], None]:
    if fields.get("object") == "response":
        return read_response
    return read_message if fields.get("type") == "message" else read_completion


def _named(request: Asked, model: str | None) -> str | None:
    """Return the model that the provider itself named, of an answer in which litellm names ``model``."""
    if request.named is not None:
        return request.named
    raw = request.raw
    if model == NO_MODEL and request.translated:
        model = None
    if raw is None or (type(raw) is str and not request.translated and not _repeats(model, request.dispatched)):
        return model
    document = _document(raw) if type(raw) is str else raw
    named = next((name for name in (clean_model(field(document, f)) for f in MODEL_FIELDS) if name is not None), None)
    return named if named is not None or type(document) is dict else model


def _repeats(model: str | None, dispatched: str | None) -> bool:
    if model is None or dispatched is None:
        return False
    return same_model(model, dispatched) or dispatched.endswith("/" + model) or model.endswith("/" + dispatched)


def _document(raw: str) -> Any:
    if len(raw) > streams.MAX_HELD or not raw.lstrip().startswith("{"):
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return None


def _read_fallback(call: Call, raw: Any) -> None:
    """Read whether Anthropic turned to another model by itself, which litellm's answer does not say."""
    if type(raw) is str and '"fallback' in raw and field(document := _document(raw), "type") == "message":
        read_message(call, document)


def _fields(answer: Any) -> dict[str, Any]:
    if type(answer) is dict:
        return dict(answer)
    fields = getattr(answer, "__dict__", None)
    extra = getattr(answer, "__pydantic_extra__", None)
    return {**(fields or {}), **(extra or {})}


def _param(hidden: Any, name: str) -> Any:
    return hidden.get(name) if isinstance(hidden, dict) else field(hidden, name)
