"""What an application asks litellm for, and whom litellm asks in turn.

Sources: litellm 1.108.7 ``main.py`` and ``responses/main.py`` (parameters), ``types/utils.py`` (``LlmProviders``),
``router.py`` (parameters of the ``Router``); ``model_cost``: the price list, which names the provider of each model.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from otel_llm_routing.instrument.adapters.fields import characters, field, text
from otel_llm_routing.instrument.call import EMBEDDINGS, CallRequest
from otel_llm_routing.instrument.surface import CALL_HEADER
from otel_llm_routing.models import clean_model, provider_name, provider_of_host

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_llm_routing.instrument.call import Call

LITELLM = "litellm"
"""The provider where nobody has said yet whom the call goes to."""


class Target(NamedTuple):
    """A function of litellm that is a call to a model."""

    operation: str
    model_at: int
    """Where the model is among the positional arguments."""
    text_at: int
    """Where the text is."""
    texts: tuple[str, ...]
    """The names of the arguments that hold text; the first may be positional."""
    messages: bool = False
    """It speaks Anthropic's format, whoever the provider is; older versions do not have it."""


_CHAT = Target("chat", 0, 1, ("messages",))
_TEXT = Target("text_completion", 1, 0, ("prompt",))
_EMBEDDING = Target(EMBEDDINGS, 0, 1, ("input",))
_RESPONSES = Target("chat", 1, 0, ("input", "instructions"))
_MESSAGES = Target("chat", 2, 1, ("messages", "system"), messages=True)

FUNCTIONS = {
    "completion": _CHAT,
    "acompletion": _CHAT,
    "completion_with_retries": _CHAT,
    "acompletion_with_retries": _CHAT,
    "text_completion": _TEXT,
    "atext_completion": _TEXT,
    "embedding": _EMBEDDING,
    "aembedding": _EMBEDDING,
    "responses": _RESPONSES,
    "aresponses": _RESPONSES,
    "responses_with_retries": _RESPONSES,
    "aresponses_with_retries": _RESPONSES,
    "anthropic_messages": _MESSAGES,
    "anthropic_messages_handler": _MESSAGES,
}
METHODS = {
    "completion": _CHAT,
    "acompletion": _CHAT,
    "schedule_acompletion": _CHAT,
    "text_completion": _TEXT._replace(model_at=0, text_at=1),
    "atext_completion": _TEXT._replace(model_at=0, text_at=1),
    "embedding": _EMBEDDING,
    "aembedding": _EMBEDDING,
}
"""Of the ``Router``; its responses and Anthropic's messages are functions that it makes for each instance."""
CORE_METHODS = {
    **{name: target for name, target in METHODS.items() if name != "schedule_acompletion"},
    "aresponses": _RESPONSES,
    "aanthropic_messages": _MESSAGES,
    "anthropic_messages": _MESSAGES,
}
"""Of what a ``Router`` since 1.110 hands its calls to; a scheduled completion becomes one of these."""

MOCKS = ("mock_response", "mock_tool_calls", "mock_timeout")


class Asked(CallRequest):
    """A request, and what litellm has made of it so far."""

    __slots__ = ("dispatched", "falls_back", "messages", "mocked", "named", "raw", "regrouped", "routed", "translated")

    def __init__(self, operation: str, model: str | None, read: Callable[[Call, Any], None]) -> None:
        super().__init__(operation, LITELLM, model, read)
        self.routed = False
        """A router chooses what is called."""
        self.regrouped = False
        """The router has gone on to another group of deployments."""
        self.falls_back = False
        """Other models are to be tried should this one fail."""
        self.dispatched = model
        """The model that litellm was last told to call."""
        self.mocked = False
        """No provider is asked."""
        self.raw: Any = None
        """What the provider answered, as litellm logs it."""
        self.named: str | None = None
        """The model that the provider named in a stream."""
        self.messages = False
        """It is asked, and answered, in Anthropic's format."""
        self.translated = False
        """Such an answer is litellm's translation of one in the provider's own."""


class Destination(NamedTuple):
    """Whom litellm calls."""

    provider: str
    address: str | None
    port: int | None


def argument(args: tuple[Any, ...], kwargs: dict[str, Any], name: str, at: int) -> Any:
    """Return the argument ``name``, which may stand at position ``at``."""
    return kwargs.get(name, args[at] if len(args) > at else None)


def model_of(target: Target, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """Return the model that is asked for."""
    return clean_model(argument(args, kwargs, "model", target.model_at) or kwargs.get("engine"))


def mocked(kwargs: dict[str, Any]) -> bool:
    """Say whether litellm is told to answer by itself."""
    return any(kwargs.get(name) for name in MOCKS)


def group_of(kwargs: dict[str, Any]) -> str | None:
    """Return the group of deployments for which a router calls litellm with these arguments."""
    # Of a call in Anthropic's format, the first is what the application tells Anthropic.
    kept = (kwargs.get("metadata"), kwargs.get("litellm_metadata"))
    return next((group for group in (text(field(k, "model_group")) for k in kept) if group is not None), None)


def request_of(
    target: Target, args: tuple[Any, ...], kwargs: dict[str, Any], read: Callable[[Call, Any], None]
) -> Asked:
    """Return what is asked for. The header that names the surface is taken out of ``kwargs``."""
    request = Asked(target.operation, model_of(target, args, kwargs), read)
    request.messages = target.messages
    request.stream = kwargs.get("stream") is True
    first, *others = target.texts
    request.input_size = characters(argument(args, kwargs, first, target.text_at))
    for name in others:
        request.input_size += characters(kwargs.get(name))
    request.service_tier = text(kwargs.get("service_tier"))
    request.falls_back = bool(kwargs.get("fallbacks"))
    headers = kwargs.get("extra_headers")
    if isinstance(headers, dict):
        for name in [n for n in headers if isinstance(n, str) and n.lower() == CALL_HEADER]:
            request.surface = headers[name]
            # A dictionary of our own: neither the application's nor its arguments change.
            kwargs["extra_headers"] = {n: v for n, v in kwargs["extra_headers"].items() if n != name}
    return request


def destination(sdk: Any, model: str | None, kwargs: dict[str, Any]) -> Destination:
    """Say whom litellm calls with these arguments."""
    base = kwargs.get("api_base") or kwargs.get("base_url")
    address, port = _endpoint(str(base)) if base else (None, None)
    name = kwargs.get("custom_llm_provider")
    if not isinstance(name, str):
        name = _litellm_provider(sdk, model or "")
    provider = provider_name(name)
    if address is not None and provider in (None, "openai", "custom_openai", "openai_like"):
        provider = provider_of_host(address) or provider
    return Destination(provider or LITELLM, address, port)


def _litellm_provider(sdk: Any, model: str) -> str | None:
    prefix, slash, _ = model.partition("/")
    if slash and prefix in _prefixes(sdk.__dict__.get("LlmProviders")):
        return prefix
    prices = sdk.__dict__.get("model_cost")
    return text(field(prices.get(model), "litellm_provider")) if isinstance(prices, dict) else None


@lru_cache(maxsize=1)
def _prefixes(providers: Any) -> frozenset[str]:
    return frozenset(str(getattr(provider, "value", provider)) for provider in providers or ())


@lru_cache(maxsize=256)
def _endpoint(base: str) -> tuple[str | None, int | None]:
    try:
        url = urlsplit(base)
        port = url.port
    except ValueError:  # of a kind that litellm will refuse as well
        return None, None
    return url.hostname, port or (80 if url.scheme == "http" else 443)
