"""Bedrock's wire format: a model named in the path; Converse, or a vendor's body; AWS event streams.

Sources: botocore 1.44 ``data/bedrock-runtime/2023-09-30/service-2.json``; for the headers that count tokens, litellm
1.109.1 ``llms/bedrock``. Converse names a model only where the request named a prompt router: then the trace has the
model invoked, which a test names with ``answers(model=…)``.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from fake_provider import aws_events, bedrock_vendors
from fake_provider.openai_wire import pieces, text_of
from fake_provider.wire import Parts, Whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_provider.answers import Answers
    from fake_provider.wire import Asked

ACTIONS = frozenset({"converse", "converse-stream", "invoke", "invoke-with-response-stream", "count-tokens"})
INVOKED = "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0"
"""The model that a prompt router chooses where a test says nothing else."""
READ, WRITTEN = bedrock_vendors.READ, bedrock_vendors.WRITTEN


def usage(answers: Answers) -> Any:
    """Return the usage of Converse."""
    if answers.fault == "wrong_types":
        return "many"
    return {"inputTokens": READ, "outputTokens": WRITTEN, "totalTokens": READ + WRITTEN, **answers.usage}


def trace(requested: str, model: Any, answers: Answers) -> dict[str, Any]:
    """Return the member that names the invoked model, which only a prompt router's answer has."""
    if "prompt-router/" not in requested or answers.no_model:
        return {}
    return {"trace": {"promptRouter": {"invokedModelId": INVOKED if model == requested else model}}}


def converse(requested: str, body: dict[str, Any], model: Any, answers: Answers) -> dict[str, Any]:
    """Return an answer of Converse."""
    message = {"role": "assistant", "content": [{"text": text_of(body, answers)}]}
    document = {"output": {"message": message}, "stopReason": "end_turn", "usage": usage(answers)}
    return {**document, "metrics": {"latencyMs": 9}, **trace(requested, model, answers)}


def converse_events(requested: str, body: dict[str, Any], model: Any, answers: Answers) -> Iterator[tuple[str, Any]]:
    """Yield the events of ConverseStream."""
    yield "messageStart", {"role": "assistant"}
    for piece in pieces(text_of(body, answers), answers):
        yield "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}}
    yield "contentBlockStop", {"contentBlockIndex": 0}
    yield "messageStop", {"stopReason": "end_turn"}
    document = {"usage": usage(answers), "metrics": {"latencyMs": 9}}
    yield "metadata", {**document, **trace(requested, model, answers)}


def chunk(document: Any) -> bytes:
    """Return one chunk of a vendor's answer."""
    return aws_events.event("chunk", {"bytes": base64.b64encode(json.dumps(document).encode()).decode()})


def stream(parts: Iterator[bytes]) -> Parts:
    """Return ``parts`` as a stream, with what it says when the model fails."""
    failed = {"message": "the fake provider was told to fail", "originalStatusCode": 500, "originalMessage": "told to"}
    return Parts(
        parts,
        aws_events.KIND,
        error=aws_events.exception("modelStreamErrorException", failed),
        malformed=aws_events.broken("messageStop", {"stopReason": "end_turn"}),
    )


# What the server asks ---------------------------------------------------------------------------------------------


def mine(asked: Asked) -> bool:
    """Take what is posted to a model."""
    return asked.path.startswith("/model/") and asked.path.rpartition("/")[2] in ACTIONS


def error(asked: Asked, status: int) -> Whole:  # noqa: ARG001
    """Return what the service says when it fails; botocore finds the kind of error in the document as well."""
    kind = {429: "ThrottlingException", 400: "ValidationException"}.get(status, "InternalServerException")
    return Whole({"__type": kind, "message": "the fake provider was told to fail"}, status)


def answer(asked: Asked) -> Whole | Parts | None:
    """Answer Converse and InvokeModel, whole and streamed, and the count of tokens, which is no call to a model."""
    requested, _, action = asked.path.removeprefix("/model/").rpartition("/")
    body, answers, number = asked.body, asked.answers, asked.number
    model = asked.serve(requested, body)
    if action == "count-tokens":
        return Whole({"inputTokens": READ})
    if action == "converse":
        return Whole(converse(requested, body, model, answers))
    if action == "converse-stream":
        events = converse_events(requested, body, model, answers)
        return stream(aws_events.event(name, document) for name, document in events)
    if action == "invoke":
        counted = {"x-amzn-bedrock-input-token-count": str(READ), "x-amzn-bedrock-invocation-latency": "9"}
        if "embed" not in requested:
            counted["x-amzn-bedrock-output-token-count"] = str(WRITTEN)
        return Whole(bedrock_vendors.answer(requested, body, model, answers, number), headers=counted)
    return stream(chunk(document) for document in bedrock_vendors.chunks(requested, body, model, answers, number))
