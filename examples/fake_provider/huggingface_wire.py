"""The wire formats of Hugging Face's own servers: text generation (TGI) and embeddings (TEI); chats are OpenAI's.

Source: text-generation-inference ``docs/openapi.json`` (``compat_generate`` at ``/``), text-embeddings-inference
``docs/openapi.json`` (``/embed``), as huggingface_hub 2.4.0 ``inference/_common.py`` reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fake_provider import sse
from fake_provider.openai_wire import pieces, text_of
from fake_provider.wire import Parts, Whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_provider.answers import Answers
    from fake_provider.wire import Asked


def mine(asked: Asked) -> bool:
    """Take what is posted to the two servers' own paths, with their name of the input."""
    return asked.method == "POST" and asked.path in ("/", "/embed") and "inputs" in asked.body


def error(asked: Asked, status: int) -> Whole:  # noqa: ARG001
    """Return what the server says when it fails."""
    return Whole(failure(), status)


def failure() -> dict[str, Any]:
    """Return the document that says that generation failed."""
    return {"error": "the fake provider was told to fail", "error_type": "generation"}


def answer(asked: Asked) -> Whole | Parts:
    """Answer a text or an embedding; neither names the model."""
    body, answers = asked.body, asked.answers
    if asked.path == "/embed":
        inputs = body["inputs"]
        return Whole([[1.0, 0.0]] * (len(inputs) if isinstance(inputs, list) else 1))
    if body.get("stream") is True:
        return sse.stream(((None, token) for token in tokens(body, answers)), done=False, error=(None, failure()))
    details = {"finish_reason": "length", "generated_tokens": 4, "seed": None, "prefill": [], "tokens": []}
    generated = {"generated_text": 17 if answers.fault == "wrong_types" else text_of(body, answers)}
    if (body.get("parameters") or {}).get("details"):
        generated["details"] = details
    return Whole([generated])


def tokens(body: dict[str, Any], answers: Answers) -> Iterator[dict[str, Any]]:
    """Yield the tokens of a streamed text; the last one carries the whole of it, and the details."""
    texts = [*pieces(text_of(body, answers), answers), "."]
    for i, text in enumerate(texts):
        token = {"id": i, "text": text, "logprob": -0.5, "special": False}
        said: Any = "many" if answers.fault == "wrong_types" else token
        document = {"index": i + 1, "token": said, "generated_text": None, "details": None}
        if i == len(texts) - 1:
            document["generated_text"] = "".join(texts)
            document["details"] = {"finish_reason": "length", "generated_tokens": 4, "input_length": 9, "seed": None}
        yield document
