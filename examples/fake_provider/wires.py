"""The wire formats, in the order in which they are asked whether a request is theirs; the last takes what is left.

A wire format is a module with three functions: ``mine(asked)`` says whether a request is of its format;
``answer(asked)`` returns the answer, or None for a path it does not know; ``error(asked, status)`` returns what the
provider says when it fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fake_provider import (
    anthropic_wire,
    bedrock_wire,
    cohere_wire,
    gemini_wire,
    groq_wire,
    huggingface_wire,
    mistral_wire,
    ollama_wire,
    openai_wire,
    openrouter_wire,
    portkey_wire,
    replicate_wire,
    together_wire,
    voyage_wire,
    watsonx_wire,
    writer_wire,
)

if TYPE_CHECKING:
    from fake_provider.wire import Asked

WIRES = (
    portkey_wire,
    together_wire,
    writer_wire,
    voyage_wire,
    bedrock_wire,
    cohere_wire,
    gemini_wire,
    huggingface_wire,
    ollama_wire,
    groq_wire,
    mistral_wire,
    openrouter_wire,
    replicate_wire,
    watsonx_wire,
    anthropic_wire,
    openai_wire,
)


def of(asked: Asked) -> Any:
    """Return the wire format of a request."""
    return next(wire for wire in WIRES if wire.mine(asked))
