"""How requests are answered, and what was received."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

RESOLVED = {
    "gpt-5": "gpt-5-2025-08-07",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
    "auto": "claude-haiku-4-5-20251001",
    "gemini-flash-latest": "gemini-3.8-flash-001",
    "gemini-2.0-flash": "gemini-2.0-flash-001",
    "mistral-small-latest": "mistral-small-2506",
    "codestral-latest": "codestral-2508",
    "openrouter/auto": "claude-haiku-4-5-20251001",
}
"""What an alias resolves to where a test says nothing else."""


@dataclass
class Answers:
    """How the requests that follow are answered."""

    model: str | None = None
    no_model: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    chunks: int = 3
    gap: float = 0.0
    """Seconds between two chunks of a stream."""
    first_byte_delay: float = 0.0
    switch_to: str | None = None
    """The model that the second half of a stream names."""
    fallback_to: str | None = None
    """The model that Anthropic's server-side fallback turns to."""
    usage: dict[str, Any] = field(default_factory=dict)
    call_tool: bool = False
    """Ask for the first tool of the request, until a tool has answered."""
    service_tier: str | None = None
    system_fingerprint: str | None = None
    more: dict[str, Any] = field(default_factory=dict)
    """Members that a provider adds to OpenAI's format: to an answer, and to the last chunk of a stream."""
    gzip: bool = False
    fault: str | None = None
    """``drop stall error_event malformed truncated wrong_types status:N flaky:N``."""

    def served(self, requested: str) -> Any:
        """Return what the answer names as the model."""
        if self.fault == "wrong_types":
            return 17
        return self.model or RESOLVED.get(requested, requested)


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: Any
    """The JSON document, or None."""
