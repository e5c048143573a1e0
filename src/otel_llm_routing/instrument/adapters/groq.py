"""The groq SDK, 0.x and 1.x: a Stainless SDK over httpx.

Sources: groq 1.7.0 ``_base_client.py``, ``_streaming.py``, ``resources/chat/completions.py``; the fields are OpenAI's
(``completions.py``), and ``usage_breakdown`` says which models a compound system used (``traces.py``).
"""

from __future__ import annotations

from otel_llm_routing.instrument.adapters.completions import endpoints
from otel_llm_routing.instrument.adapters.stainless import StainlessAdapter

ADAPTER = StainlessAdapter("groq", "groq", endpoints("/openai/v1"), {})
