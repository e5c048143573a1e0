"""The writer-sdk, 1.x to 3.x: a Stainless SDK over httpx.

Chats have OpenAI's fields at a path of their own. The streamed parts of a text completion, and the answers of the
vision and translation models, name no model. An application of AI Studio is asked for by its id, and names no model
at all, so it is no call to one.

Sources: writer-sdk 3.0.0 ``resources/{chat,completions,vision,translation}.py``, ``types/chat_completion.py``,
``types/completion.py``, ``types/completion_chunk.py``, ``types/vision_response.py``, ``types/translation_response.py``.
"""

from __future__ import annotations

from typing import Any

from otel_llm_routing.instrument.adapters.completions import chat_size, prompt_size, read_completion
from otel_llm_routing.instrument.adapters.fields import characters
from otel_llm_routing.instrument.adapters.stainless import Endpoint, StainlessAdapter


def _translation_size(body: dict[str, Any]) -> int:
    return characters(body.get("text"))


ADAPTER = StainlessAdapter(
    "writer-sdk",
    "writer",
    {
        "/v1/chat": Endpoint("chat", read_completion, chat_size),
        "/v1/completions": Endpoint("text_completion", read_completion, prompt_size),
        "/v1/vision": Endpoint("generate_content", read_completion, prompt_size),
        "/v1/translation": Endpoint("generate_content", read_completion, _translation_size),
    },
    {},
)
