"""google-cloud-aiplatform's generative models and text embeddings (``vertexai``), over gRPC and over REST.

Hooked are, of the module that has each, the methods that all others of a model go through, whatever the transport:
``_generate_content`` and its asynchronous and streaming kinds, and ``get_embeddings`` of text embedding models.

Sources: google-cloud-aiplatform 1.71.1 and 2.7.0 ``vertexai/generative_models/_generative_models.py``,
``vertexai/language_models/_language_models.py``; fields from
``google/cloud/aiplatform_v1beta1/types/prediction_service.py`` and ``content.py``.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

from otel_llm_routing import semconv
from otel_llm_routing.instrument.adapters import gemini
from otel_llm_routing.instrument.adapters.fields import MAX_DEPTH, count, field, text
from otel_llm_routing.instrument.adapters.turns import TurnAdapter
from otel_llm_routing.instrument.call import EMBEDDINGS, Call, CallRequest
from otel_llm_routing.models import clean_model

if TYPE_CHECKING:
    from collections.abc import Callable

ROUTER = "router"


def read_response(call: Call, response: Any) -> None:
    """Read generated content, or one chunk of it: a protocol buffer within wrappers, whose empty fields are zero."""
    message = _message(field(response, "_raw_response"))
    if message is None:
        return
    model = message.model_version
    if model != call.body_model:
        call.body(model)
    details = call.details
    if semconv.RESPONSE_ID not in details and (value := text(getattr(message, "response_id", None))) is not None:
        details[semconv.RESPONSE_ID] = value
    if message.HasField("usage_metadata"):
        _usage(call, message.usage_metadata)
    reasons = [c.finish_reason for c in message.candidates if c.finish_reason]
    if reasons:
        names = message.candidates[0].DESCRIPTOR.fields_by_name["finish_reason"].enum_type.values_by_number
        details[semconv.FINISH_REASONS] = tuple(names[r].name.lower() for r in reasons if r in names)


def _usage(call: Call, usage: Any) -> None:
    gemini.take_tokens(
        call,
        prompt=count(usage.prompt_token_count),
        tools=count(getattr(usage, "tool_use_prompt_token_count", 0)),
        answer=count(usage.candidates_token_count),
        thoughts=count(getattr(usage, "thoughts_token_count", 0)),
        cached=count(getattr(usage, "cached_content_token_count", 0)),
    )


def read_embeddings(call: Call, embeddings: Any) -> None:
    """Read text embeddings, which name no model."""
    if type(embeddings) is list:
        tokens = [field(field(embedding, "statistics"), "token_count") for embedding in embeddings]
        if total := sum([count(int(n)) for n in tokens if type(n) is float or type(n) is int]):
            call.input_tokens = call.details[semconv.INPUT_TOKENS] = total


def _message(wrapped: Any) -> Any:
    """Return the protocol buffer in a wrapper of proto-plus: its fields are read without making wrappers of each."""
    return field(wrapped, "_pb")


def size(value: Any, depth: int = 0) -> int:
    """Count the characters of text in contents: strings, contents, parts, or lists of them."""
    if type(value) is str:
        return len(value)
    if value is None or depth > MAX_DEPTH:
        return 0
    if type(value) is list or type(value) is tuple:
        return sum([size(item, depth + 1) for item in value])
    part = _message(field(value, "_raw_part") or value)
    content = _message(field(value, "_raw_content") or value)
    if hasattr(part, "text"):
        return len(part.text)
    if hasattr(content, "parts"):
        return sum([len(p.text) for p in content.parts])
    return gemini.size(value, depth)


class VertexAIAdapter(TurnAdapter):
    """Hooks ``vertexai``, one module or the other."""

    def hook(self, sdk: Any) -> None:
        """Hook the imported module."""
        if sdk.__name__.endswith("_language_models"):
            for name in ("get_embeddings", "get_embeddings_async"):
                self.surround(getattr(sdk, "_TextEmbeddingModel", None), name, self._embeddings)
            return
        models = getattr(sdk, "_GenerativeModel", None)
        for stream, name in ((False, "_generate_content"), (True, "_generate_content_streaming")):
            begin = functools.partial(self._content, stream)
            self.surround(models, name, begin)
            self.surround(models, f"{name}_async", begin)
        for name in ("_send_message_streaming", "_send_message_streaming_async"):
            self.wrap(getattr(sdk, "ChatSession", None), name, self.turn)

    def _content(self, stream: bool, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallRequest:
        # The application names a model; the SDK writes where Google's are in front of it.
        name = (text(field(model, "_model_name")) or "").removeprefix("publishers/google/models/")
        request = self._request(gemini.GENERATE_CONTENT, name, read_response)
        request.stream = stream
        contents = kwargs["contents"] if "contents" in kwargs else args[0]
        request.input_size = size(contents) + size(field(model, "_system_instruction"))
        config = kwargs.get("generation_config") or field(model, "_generation_config")
        if _is_routed(config):
            request.kind = ROUTER
        _aim(request, field(model, "_location"))
        return request

    def _embeddings(self, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallRequest:
        request = self._request(EMBEDDINGS, field(model, "_model_id"), read_embeddings)
        request.input_size = size(kwargs["texts"] if "texts" in kwargs else args[0])
        _aim(request, None)
        return request

    def _request(self, operation: str, model: Any, read: Callable[[Call, Any], None]) -> CallRequest:
        return CallRequest(operation, gemini.VERTEX, clean_model(model), read)


def _is_routed(config: Any) -> bool:
    """Say whether the configuration leaves the choice of the model to Vertex AI."""
    message = _message(field(config, "_raw_generation_config") or config)
    if message is None:
        return field(field(config, "routing_config"), "auto_mode") is not None
    fields = message.DESCRIPTOR.fields_by_name
    return "routing_config" in fields and message.routing_config.HasField("auto_mode")


def _aim(request: CallRequest, location: Any) -> None:
    """Note where the request goes; the clients are told the same by the global configuration."""
    initializer = sys.modules.get("google.cloud.aiplatform.initializer")
    configuration = getattr(initializer, "global_config", None)
    endpoint = field(configuration, "_api_endpoint")
    location = location or field(configuration, "_location") or "us-central1"
    host = "aiplatform.googleapis.com" if location == "global" else f"{location}-aiplatform.googleapis.com"
    gemini.aim(request, endpoint or host)


ADAPTER = VertexAIAdapter("google-cloud-aiplatform", gemini.VERTEX)
