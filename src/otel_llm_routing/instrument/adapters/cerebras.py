"""The cerebras-cloud-sdk, 1.x: a Stainless SDK over httpx.

Sources: cerebras-cloud-sdk 1.91.0 ``_base_client.py``, ``_streaming.py``, ``resources/chat/completions.py``,
``types/chat/chat_completion.py``; the fields are OpenAI's (``completions.py``).
"""

from __future__ import annotations

from otel_llm_routing.instrument.adapters.completions import endpoints
from otel_llm_routing.instrument.adapters.stainless import StainlessAdapter

ADAPTER = StainlessAdapter("cerebras-cloud-sdk", "cerebras", endpoints("/v1"), {})
