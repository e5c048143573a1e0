"""What the vendors' models answer through Bedrock's InvokeModel, whole and in chunks.

Source: Bedrock's user guide, "Inference request parameters and response fields for foundation models", one page a
vendor. Only Anthropic's and OpenAI's name a model.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fake_provider import anthropic_wire, openai_wire
from fake_provider.openai_wire import pieces, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fake_provider.answers import Answers

READ, WRITTEN = 9, 4
_VENDOR = re.compile(r"(?:^|[./])(ai21|amazon\.nova|amazon\.titan|cohere|deepseek|meta|mistral|openai)\.?")

_CLAUDE = re.compile(r"anthropic\.(claude-.+?)(?:-v\d+(?::\d+)?)?$")


def vendor_of(requested: str) -> str:
    """Return whose model it is; Anthropic's where the identifier does not say."""
    found = _VENDOR.search(requested)
    return found[1] if found else "anthropic"


def _own_name(model: Any) -> Any:
    """Return what Anthropic calls a model whose identifier is Bedrock's."""
    found = _CLAUDE.search(model) if isinstance(model, str) else None
    return found[1] if found else model


def answer(requested: str, body: dict[str, Any], model: Any, answers: Answers, number: int) -> dict[str, Any]:
    """Return the whole answer."""
    if "embed" in requested:
        return _embeddings(requested, body, answers)
    vendor = vendor_of(requested)
    if vendor == "anthropic":
        return anthropic_wire.message(body, _own_name(model), answers, number)
    if vendor == "openai":
        return openai_wire.chat(body, model, answers, number)
    wrong = answers.fault == "wrong_types"
    whole = WHOLE[vendor](text_of(body, answers), number)
    return dict.fromkeys(whole, 17) if wrong else whole


def chunks(requested: str, body: dict[str, Any], model: Any, answers: Answers, number: int) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a streamed answer; the last one bears Bedrock's own count of tokens."""
    parts = [*_chunks(vendor_of(requested), body, model, answers, number)]
    counted: Any = {"inputTokenCount": READ, "outputTokenCount": WRITTEN, "invocationLatency": 9, "firstByteLatency": 3}
    counted = "many" if answers.fault == "wrong_types" else {**counted, **answers.usage}
    parts[-1] = {**parts[-1], "amazon-bedrock-invocationMetrics": counted}
    yield from parts


def _chunks(vendor: str, body: dict[str, Any], model: Any, answers: Answers, number: int) -> Iterator[dict[str, Any]]:
    if vendor == "anthropic":
        yield from (event for _, event in anthropic_wire.message_events(body, _own_name(model), answers, number))
        return
    if vendor == "openai":
        yield from (event for _, event in openai_wire.chat_events(body, model, answers, number))
        return
    if vendor == "amazon.nova":
        yield {"messageStart": {"role": "assistant"}}
        for piece in pieces(text_of(body, answers), answers):
            yield {"contentBlockDelta": {"delta": {"text": piece}, "contentBlockIndex": 0}}
        yield {"messageStop": {"stopReason": "end_turn"}}
        yield {"metadata": {"usage": {"inputTokens": READ, "outputTokens": WRITTEN}, "metrics": {}, "trace": {}}}
        return
    for piece in pieces(text_of(body, answers), answers):
        yield PART[vendor](piece, None)
    yield PART[vendor]("", REASON[vendor])


def _embeddings(requested: str, body: dict[str, Any], answers: Answers) -> dict[str, Any]:
    if answers.fault == "wrong_types":
        return {"embedding": "many", "inputTextTokenCount": "many", "model": 17}
    if vendor_of(requested) == "cohere":
        texts = body.get("texts") or [""]
        return {"id": "emb-1", "embeddings": [[1.0, 0.0] for _ in texts], "response_type": "embeddings_floats"}
    return {"embedding": [1.0, 0.0], "inputTextTokenCount": READ}


REASON = {
    "ai21": "stop",
    "amazon.titan": "FINISH",
    "cohere": "COMPLETE",
    "deepseek": "stop",
    "meta": "stop",
    "mistral": "stop",
}
WHOLE: dict[str, Callable[[str, int], dict[str, Any]]] = {
    "ai21": lambda text, number: {
        "id": f"chatcmpl-{number}",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": READ, "completion_tokens": WRITTEN, "total_tokens": READ + WRITTEN},
    },
    "amazon.nova": lambda text, number: {  # noqa: ARG005
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": READ, "outputTokens": WRITTEN, "totalTokens": READ + WRITTEN},
    },
    "amazon.titan": lambda text, number: {  # noqa: ARG005
        "inputTextTokenCount": READ,
        "results": [{"tokenCount": WRITTEN, "outputText": text, "completionReason": "FINISH"}],
    },
    "cohere": lambda text, number: {
        "response_id": f"r-{number}",
        "generation_id": f"g-{number}",
        "text": text,
        "finish_reason": "COMPLETE",
    },
    "deepseek": lambda text, number: {"choices": [{"text": text, "stop_reason": "stop"}]},  # noqa: ARG005
    "meta": lambda text, number: {  # noqa: ARG005
        "generation": text,
        "prompt_token_count": READ,
        "generation_token_count": WRITTEN,
        "stop_reason": "stop",
    },
    "mistral": lambda text, number: {"outputs": [{"text": text, "stop_reason": "stop"}]},  # noqa: ARG005
}
PART: dict[str, Callable[[str, str | None], dict[str, Any]]] = {
    "ai21": lambda text, reason: {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]},
    "amazon.titan": lambda text, reason: {"index": 0, "outputText": text, "completionReason": reason},
    "cohere": lambda text, reason: {"text": text, "is_finished": reason is not None, "finish_reason": reason},
    "deepseek": lambda text, reason: {"choices": [{"text": text, "stop_reason": reason}]},
    "meta": lambda text, reason: {"generation": text, "generation_token_count": 1, "stop_reason": reason},
    "mistral": lambda text, reason: {"outputs": [{"text": text, "stop_reason": reason}]},
}
