"""The ibm-watsonx-ai SDK: chats, text generation and embeddings, of models and of deployments.

``ModelInference`` hands every call on to ``FMModelInference`` or ``DeploymentModelInference``; their methods return the
API's documents, and their generators send the request when the first item is asked for. One call of ``generate`` with
many prompts is one call, however many requests the SDK makes of it. A model gateway (``ibm_watsonx_ai.gateway``) makes
its classes anew for each object and is not hooked.

Sources: ibm-watsonx-ai 1.8.1 and 1.3.42 ``foundation_models/inference/{base,fm,deployment}_model_inference.py``,
``foundation_models/embeddings/embeddings.py``; IBM's watsonx.ai API reference for the documents.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from otel_llm_routing import semconv
from otel_llm_routing.instrument.adapters.adapter import Adapter
from otel_llm_routing.instrument.adapters.fields import characters, count, first, text
from otel_llm_routing.instrument.call import EMBEDDINGS, Call, CallRequest, under_way
from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.models import clean_model

if TYPE_CHECKING:
    from collections.abc import Callable

CHAT, TEXT = "chat", "text_completion"
WHOLE = {"chat": CHAT, "achat": CHAT, "generate": TEXT, "_agenerate_single": TEXT}
STREAMS = {
    "_generate_chat_stream_with_url": CHAT,
    "_agenerate_chat_stream_with_url": CHAT,
    "_generate_deployment_chat_stream_with_url": CHAT,
    "_agenerate_deployment_chat_stream_with_url": CHAT,
    "_generate_stream_with_url": TEXT,
    "_agenerate_stream_with_url": TEXT,
}
SAID = ("messages", "prompt", "inputs")


def read_answer(call: Call, body: Any) -> None:
    """Read an answer, several of them, or one event of a stream; of a stream of plain text there is nothing to read."""
    bodies = body if type(body) is list else [body]
    read = written = 0
    for document in bodies:
        if type(document) is dict:
            counts = _document(call, document)
            read, written = read + counts[0], written + counts[1]
    # Events of a stream repeat totals; one that leaves a count out does not erase it.
    if read:
        call.input_tokens = call.details[semconv.INPUT_TOKENS] = read
    if written:
        call.output_tokens = call.details[semconv.OUTPUT_TOKENS] = written


def read_each(call: Call, body: Any) -> None:
    """Read one answer of several that come as they are ready."""
    read, written = call.input_tokens, call.output_tokens
    call.input_tokens = call.output_tokens = 0
    read_answer(call, body)
    for name, value in (
        (semconv.INPUT_TOKENS, read + call.input_tokens),
        (semconv.OUTPUT_TOKENS, written + call.output_tokens),
    ):
        if value:
            call.details[name] = value
    call.input_tokens, call.output_tokens = read + call.input_tokens, written + call.output_tokens


def _document(call: Call, body: dict[str, Any]) -> tuple[int, int]:
    """Read one document; return the tokens read and written."""
    call.body(body["model_id"] if "model_id" in body else body.get("model"))
    if (value := text(body.get("id"))) is not None:
        call.details[semconv.RESPONSE_ID] = value
    answer = first(body.get("choices")) or first(body.get("results"))
    answer = answer if type(answer) is dict else {}
    reason = text(answer.get("finish_reason")) or text(answer.get("stop_reason"))
    if reason is not None and reason != "not_finished":
        call.details[semconv.FINISH_REASONS] = (reason,)
    usage = body.get("usage")
    if type(usage) is dict:
        return count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    asked = count(body.get("input_token_count"))  # of embeddings
    return asked or count(answer.get("input_token_count")), count(answer.get("generated_token_count"))


class WatsonxAdapter(Adapter):
    """Hooks the classes that send, and those that see the answers of theirs that are not handed on."""

    def hook(self, sdk: Any) -> None:  # noqa: ARG002  (the module that was imported holds none of the classes)
        """Surround the methods that this version has."""
        inference = "ibm_watsonx_ai.foundation_models.inference"
        base = _class(f"{inference}.base_model_inference", "BaseModelInference")
        ends = [
            _class(f"{inference}.fm_model_inference", "FMModelInference"),
            _class(f"{inference}.deployment_model_inference", "DeploymentModelInference"),
        ]
        embeddings = _class("ibm_watsonx_ai.foundation_models.embeddings.embeddings", "Embeddings")
        for owner in ends:
            for method, operation in WHOLE.items():
                self.surround(owner, method, self._asking(operation))
        for owner in (base, *ends):
            for method, operation in STREAMS.items():
                if owner is not None and method in owner.__dict__:
                    self.surround(owner, method, self._asking(operation, stream=True))
        self.surround(base, "_generate_with_url_async", self._asking(TEXT, read=read_each))
        self.wrap(base, "_return_guardrails_stats", self._see_event)
        self.wrap(_class("ibm_watsonx_ai.wml_resource", "WMLResource"), "_handle_response", self._see_response)
        self.surround(embeddings, "generate", self._asking(EMBEDDINGS))
        if embeddings is not None and "agenerate" in embeddings.__dict__:
            self.surround(embeddings, "agenerate", self._asking(EMBEDDINGS))

    def _asking(
        self, operation: str, *, stream: bool = False, read: Callable[[Call, Any], None] = read_answer
    ) -> Callable[..., CallRequest | None]:
        def begin(instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallRequest | None:
            if kwargs.get("async_mode") is True:
                return None  # a generator, which is surrounded itself
            fields = instance.__dict__
            model = fields.get("model_id") or fields.get("deployment_id")
            request = CallRequest(operation, self.provider, clean_model(model), read)
            request.stream = stream
            request.input_size = _size(args, kwargs)
            url = urlsplit(fields["_client"].credentials.url)
            if url.hostname:
                request.address, request.port = url.hostname, url.port or (80 if url.scheme == "http" else 443)
            return request

        return begin

    # What is seen on the way --------------------------------------------------------------------------------------

    def _see_event(self, wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Read an event of which only the text is handed on."""
        try:
            if (call := _under_way()) is not None:
                call.request.read(call, args[0] if args else kwargs.get("single_response"))
        except Exception:  # noqa: BLE001
            swallowed(f"read a chunk of {self.package}")
        return wrapped(*args, **kwargs)

    def _see_response(self, wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Take the headers, which the methods do not return."""
        try:
            response = args[2] if len(args) > 2 else kwargs.get("response")  # noqa: PLR2004
            if response is not None and (call := _under_way()) is not None:
                call.headers((n.encode(), v.encode("utf-8", "replace")) for n, v in response.headers.items())
        except Exception:  # noqa: BLE001
            swallowed(f"look at an HTTP response of {self.package}")
        return wrapped(*args, **kwargs)


def _class(module: str, name: str) -> Any:
    return getattr(sys.modules.get(module), name, None)


def _under_way() -> Call | None:
    call = under_way()
    return call if call is not None and call.request.read in (read_answer, read_each) else None


def _size(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    payloads = kwargs.get("payloads") or [kwargs.get("payload")]
    if type(payloads[0]) is dict:
        return sum(characters(payload.get("input")) for payload in payloads)
    said = [kwargs[name] for name in SAID if name in kwargs]
    return characters(said[0] if said else next(iter(args), None))


ADAPTER = WatsonxAdapter("ibm-watsonx-ai", "ibm.watsonx.ai")
