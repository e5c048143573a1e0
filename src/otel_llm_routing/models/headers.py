"""Which headers of a response say what served, through which gateway, and how: names in lower case, as sent."""

from __future__ import annotations

# Headers that name the served model, strongest first where a gateway sends several.
# Sources: Azure OpenAI `x-ms-served-model` (openai/openai-python issue 3271); LiteLLM proxy
# litellm/proxy/common_request_processing.py (litellm 1.109.1); Cloudflare AI Gateway "Dynamic routing" and
# "Auto" documentation pages; ngrok AI gateway documentation, "Response headers".
MODEL_HEADERS: dict[bytes, tuple[str, int]] = {
    b"x-ms-served-model": ("azure", 4),
    b"x-litellm-model-name": ("litellm", 5),
    b"cf-aig-routed-model": ("cloudflare", 7),
    b"cf-aig-model": ("cloudflare", 6),
    b"ngrok-aig-model": ("ngrok", 6),
}
# Header prefixes by which a gateway is recognised.
GATEWAY_PREFIXES: tuple[tuple[bytes, str], ...] = (
    (b"x-litellm-", "litellm"),
    (b"cf-aig-", "cloudflare"),
    (b"x-portkey-", "portkey"),
    (b"ngrok-aig-", "ngrok"),
)
# Headers by which a gateway says that it answered from its cache, with the values that say so.
# Sources: Cloudflare AI Gateway documentation, "Caching"; Portkey documentation, "Response Schema".
CACHE_HEADERS: dict[bytes, frozenset[bytes]] = {
    b"cf-aig-cache-status": frozenset({b"hit"}),
    b"x-portkey-cache-status": frozenset({b"hit", b"semantic hit"}),
}
# Headers that count attempts before the one that answered: more than this many means a fallback.
ATTEMPT_HEADERS: dict[bytes, int] = {
    b"x-litellm-attempted-fallbacks": 0,
    b"ngrok-aig-attempts": 1,
}
# Gateways that write the requested name over the body's model, so that the body alone proves nothing.
OVERWRITING_GATEWAYS = frozenset({"litellm"})
