"""Amazon Bedrock's requests and answers, whichever of AWS's SDKs brings them.

Converse and ConverseStream name a model only where a prompt router chose it. InvokeModel passes on what the model's
vendor answers, and its headers and the last chunk of its stream tell the tokens.

Sources: botocore 1.44.8 ``data/bedrock-runtime/2023-09-30/service-2.json`` (``ConverseResponse``,
``ConverseStreamMetadataEvent``, ``PromptRouterTrace``, ``TokenUsage``, ``PayloadPart``); Bedrock's user guide,
"Inference request parameters and response fields" of each vendor, and "Prompt caching" (input tokens leave out cached
ones).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from otel_llm_routing import semconv
from otel_llm_routing.instrument.adapters.anthropic import read_message
from otel_llm_routing.instrument.adapters.completions import read_completion
from otel_llm_routing.instrument.adapters.fields import characters, count, field, first, text
from otel_llm_routing.models import canonical, clean_model

if TYPE_CHECKING:
    from collections.abc import Collection

    from otel_llm_routing.instrument.call import Call

MODEL_HEADER = "x-amzn-bedrock-model-id"
INPUT_HEADERS = (
    "x-amzn-bedrock-input-token-count",
    "x-amzn-bedrock-cache-read-input-token-count",
    "x-amzn-bedrock-cache-write-input-token-count",
)
OUTPUT_HEADER = "x-amzn-bedrock-output-token-count"
METRICS = "amazon-bedrock-invocationMetrics"

MAX_PARSED = 8 << 20
"""Bytes of a request's body that are parsed to learn what it asks for; of a longer one only the model is known."""
LONG = 1 << 20
"""Bytes from which on a body of many strings is not parsed: so much text is more than the sizes tell apart."""
MANY = 20_000
"""Quotation marks of many strings; images and documents, however long, are few, and quickly parsed."""
ENDS = 4096
"""Bytes at either end of such a body in which the names of its fields are looked for."""

_ANTHROPIC = frozenset({"message", "completion", "message_start", "message_delta", "content_block_start"})
_EMBEDDING_FIELDS = frozenset({"texts", "input_type", "embeddingConfig", "embeddingTypes", "embedding_types"})
_TEXT_FIELDS = ("messages", "system", "prompt", "inputText", "texts", "inputs", "message", "preamble")
_STRINGS = re.compile(r'"(\w+)"')
_LISTS = ("results", "outputs", "generations", "choices")
_REASONS = ("stop_reason", "stopReason", "finish_reason", "completionReason")
_IDS = ("id", "generation_id", "response_id")


# Requests -----------------------------------------------------------------------------------------------------------


def converse_size(parameters: dict[str, Any]) -> int:
    """Count the characters of the text in a request of Converse, results of tools included."""
    size = characters(parameters.get("messages")) + characters(parameters.get("system"))
    messages = parameters.get("messages")
    for message in messages if type(messages) is list else ():
        content = field(message, "content")
        for block in content if type(content) is list else ():
            if type(block) is dict and "toolResult" in block:
                size += characters(block["toolResult"])
    return size


def vendor_request(model: str | None, body: Any) -> tuple[str | None, int]:
    """Return what an InvokeModel request asks for, as ``vendor_operation`` does, and the characters of its text."""
    if not isinstance(body, (str, bytes, bytearray)):
        return vendor_operation(model, None), 0  # a file is the SDK's to read
    quote: Any = '"' if isinstance(body, str) else b'"'
    if len(body) > LONG and body.count(quote) > MANY:
        return vendor_operation(model, _fields_at_ends(body)), len(body)
    if len(body) > MAX_PARSED:
        return vendor_operation(model, None), 0
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if type(document) is not dict:
        return vendor_operation(model, None), 0
    return vendor_operation(model, document), vendor_size(document)


def _fields_at_ends(body: Any) -> frozenset[str]:
    """Return the names of fields, and maybe other strings, at the ends of a document; of messages, anywhere in it."""
    ends = body[:ENDS] + body[-ENDS:]
    text = ends if isinstance(body, str) else ends.decode("utf-8", "replace")
    messages = '"messages"' if isinstance(body, str) else b'"messages"'
    return frozenset([*_STRINGS.findall(text), *(["messages"] if messages in body else [])])


def vendor_size(document: dict[str, Any]) -> int:
    """Count the characters of the text in the document of an InvokeModel request."""
    size = sum([characters(document.get(name)) for name in _TEXT_FIELDS])
    history = document.get("chat_history")  # Cohere
    return size + sum([characters(field(turn, "message")) for turn in (history if type(history) is list else ())])


def vendor_operation(model: str | None, document: Collection[str] | None) -> str | None:
    """Return what an InvokeModel request asks for; None where nothing is generated: documents are put in order."""
    name = (model or "").lower()
    if "rerank" in name:
        return None
    if "embed" in name:
        return "embeddings"
    if document is None or "messages" in document or "message" in document:
        return "chat"
    if not _EMBEDDING_FIELDS.isdisjoint(document):
        return "embeddings"
    if ("prompt" in document or "inputText" in document) and "stability." not in name and "luma." not in name:
        return "text_completion"
    return "generate_content"


# Answers ------------------------------------------------------------------------------------------------------------


def read_headers(call: Call, headers: dict[str, str]) -> None:
    """Read what InvokeModel's headers say; of the tokens, the body knows better."""
    name = clean_model(headers.get(MODEL_HEADER))
    # The ARN of a router or of an application's profile repeats what was requested, and names no model.
    if name is not None and call.header_model is None and not canonical(name).startswith("arn:"):
        call.header_model = name
        call.write()
    if OUTPUT_HEADER in headers or INPUT_HEADERS[0] in headers:
        read, cached, wrote = [_number(headers.get(header)) for header in INPUT_HEADERS]
        _tokens(call, read, cached, wrote, _number(headers.get(OUTPUT_HEADER)))


def read_converse(call: Call, answer: Any) -> None:
    """Read an answer of Converse, or what one event of its stream carries."""
    if (reason := text(field(answer, "stopReason"))) is not None:
        call.details[semconv.FINISH_REASONS] = (reason,)
    if (usage := field(answer, "usage")) is not None:
        _tokens(
            call,
            count(field(usage, "inputTokens")),
            count(field(usage, "cacheReadInputTokens")) or count(field(usage, "cacheReadInputTokenCount")),
            count(field(usage, "cacheWriteInputTokens")) or count(field(usage, "cacheWriteInputTokenCount")),
            count(field(usage, "outputTokens")),
        )
    invoked = field(field(field(answer, "trace"), "promptRouter"), "invokedModelId")
    if invoked is not None:
        call.routed(invoked)


def read_converse_event(call: Call, event: Any) -> None:
    """Read one event of a ConverseStream."""
    if type(event) is dict and "contentBlockDelta" not in event:
        for name in ("messageStop", "metadata"):
            if name in event:
                read_converse(call, event[name])


def read_vendor(call: Call, body: Any) -> None:
    """Read what a model's vendor answers, whole or in one chunk of a stream."""
    if type(body) is not dict:
        return
    if body.get("type") in _ANTHROPIC:
        read_message(call, body)
    elif "output" in body or "messageStop" in body or "metadata" in body:  # Amazon Nova
        read_converse(call, body)
        read_converse_event(call, body)
    else:
        if "choices" in body:
            read_completion(call, body)
        _plain(call, body)
    if (metrics := body.get(METRICS)) is not None:
        _tokens(
            call,
            count(field(metrics, "inputTokenCount")),
            count(field(metrics, "cacheReadInputTokenCount")),
            count(field(metrics, "cacheWriteInputTokenCount")),
            count(field(metrics, "outputTokenCount")),
        )


def read_chunk(call: Call, event: Any) -> None:
    """Read one event of an InvokeModelWithResponseStream; most are text alone, and not worth parsing."""
    try:
        data = event["chunk"]["bytes"]
    except (KeyError, TypeError):
        return
    if type(data) is bytes and (
        b'"model"' in data or b'eason"' in data or b'"usage"' in data or b'Metrics"' in data or b'"fallback"' in data
    ):
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            return  # whoever wrote it, the application finds out
        read_vendor(call, document)


def _plain(call: Call, body: dict[str, Any]) -> None:
    """Read the formats of Amazon Titan, Meta, Mistral, Cohere, AI21 and DeepSeek."""
    call.body(body.get("model"))
    details = call.details
    for name in _IDS:
        if (identifier := text(body.get(name))) is not None:
            details[semconv.RESPONSE_ID] = identifier
            break
    for part in (body, *[first(body.get(name)) for name in _LISTS]):
        for name in _REASONS:
            if (reason := text(field(part, name))) is not None:
                details[semconv.FINISH_REASONS] = (reason,)
    read = count(body.get("prompt_token_count")) or count(body.get("inputTextTokenCount"))
    written = count(body.get("generation_token_count")) or count(body.get("totalOutputTextTokenCount"))
    results = body.get("results")
    if not written and type(results) is list:
        written = sum([count(field(result, "tokenCount")) for result in results])
    _tokens(call, read, 0, 0, written)


def _tokens(call: Call, read: int, cached: int, wrote: int, written: int) -> None:
    """Take counts that are given; ``read`` leaves out the input that a cache gave or took, the conventions do not."""
    details = call.details
    if total := read + cached + wrote:
        call.input_tokens = details[semconv.INPUT_TOKENS] = total
    if cached:
        details[semconv.CACHE_READ_TOKENS] = cached
    if wrote:
        details[semconv.CACHE_WRITE_TOKENS] = wrote
    if written:
        call.output_tokens = details[semconv.OUTPUT_TOKENS] = written


def _number(value: Any) -> int:
    return int(value[:12]) if type(value) is str and value[:12].isascii() and value[:12].isdigit() else 0
