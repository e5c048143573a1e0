"""The huggingface_hub SDK, 0.30 to 2: ``InferenceClient`` and ``AsyncInferenceClient``, each in a module of its own.

Surrounded are the methods that call a language model, as the identifier the application passed is not always the one
that is sent: the SDK maps it to the chosen provider's. ``client.chat.completions.create`` is ``chat_completion``. The
address and the headers are seen below, in ``_inner_post(request_parameters)`` and ``hf_raise_for_status(response)``.

Sources: huggingface_hub 2.4.0 ``inference/_client.py``, ``inference/_providers/__init__.py``,
``inference/_generated/types/chat_completion.py`` and ``text_generation.py``.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from otel_llm_routing import semconv
from otel_llm_routing.instrument.adapters.adapter import Adapter
from otel_llm_routing.instrument.adapters.completions import read_completion
from otel_llm_routing.instrument.adapters.fields import characters, count, field, text
from otel_llm_routing.instrument.call import Call, CallRequest, under_way
from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.models import clean_model, provider_name, provider_of_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CLIENTS = ("InferenceClient", "AsyncInferenceClient")
OWN = (None, "auto", "hf-inference")
"""Values of a client's ``provider`` that leave the choice to Hugging Face, or stay there."""


def read_text(call: Call, answer: Any) -> None:
    """Read generated text with its details, or a token of its stream; text alone says nothing."""
    if type(answer) is str:
        return
    call.body(field(answer, "model"))
    details = field(answer, "details")
    if (reason := text(field(details, "finish_reason"))) is not None:
        call.details[semconv.FINISH_REASONS] = (reason,)
    if read := count(field(details, "input_length")):
        call.input_tokens = call.details[semconv.INPUT_TOKENS] = read
    if written := count(field(details, "generated_tokens")):
        call.output_tokens = call.details[semconv.OUTPUT_TOKENS] = written


def read_vectors(call: Call, answer: Any) -> None:
    """Read an embedding: the SDK returns the numbers alone."""


class HuggingFaceAdapter(Adapter):
    """Hooks whichever of the clients the imported module defines."""

    def hook(self, sdk: Any) -> None:
        """Hook the client in ``sdk``, one of the two modules that define one."""
        client = next((vars(sdk)[name] for name in CLIENTS if name in vars(sdk)), None)
        for method, operation, argument, read in (
            ("chat_completion", "chat", "messages", read_completion),
            ("text_generation", "text_completion", "prompt", read_text),
            ("feature_extraction", "embeddings", "text", read_vectors),
        ):
            self.surround(client, method, functools.partial(self._begin, operation, argument, read), inside=True)
        self.wrap(client, "_inner_post", _see_request)
        if "hf_raise_for_status" in vars(sdk):  # the asynchronous client before 1.0 has another way
            self.wrap(sdk, "hf_raise_for_status", _see_response)

    def _begin(
        self,
        operation: str,
        argument: str,
        read: Callable[[Call, Any], None],
        client: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> CallRequest:
        named = (kwargs.get("model"), client.model)
        model = next((name for name in named if name and not _is_url(name)), None)
        url = next((name for name in named if _is_url(name)), None)
        provider, kind = self._provider(client, url)
        request = CallRequest(operation, provider, clean_model(model), read)
        request.kind = kind
        request.stream = bool(kwargs.get("stream"))
        request.input_size = characters(args[0] if args else kwargs.get(argument))
        return request

    def _provider(self, client: Any, url: str | None) -> tuple[str, str | None]:
        """Return whom the client calls, and the kind of its identifiers where that follows from it."""
        if url is not None:
            return provider_of_host(urlsplit(url).hostname or "") or self.provider, None
        chosen = getattr(client, "provider", None)
        if chosen in OWN:
            return self.provider, None
        if chosen == "openai":
            return chosen, None  # the one provider whose own identifiers the application passes
        # Nobody picks a provider, and a table of Hugging Face's, which may change, gives it the name it knows.
        routed = client.token is None or client.token.startswith("hf_")
        return self.provider if routed else provider_name(chosen) or self.provider, "unknown"


def _is_url(name: Any) -> bool:
    return isinstance(name, str) and name.startswith(("http://", "https://"))


def _see_request(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ARG001
    try:
        call = under_way()
        if call is not None and call.request.address is None:
            url = urlsplit((args[0] if args else kwargs["request_parameters"]).url)
            call.details[semconv.SERVER_ADDRESS] = url.hostname
            call.details[semconv.SERVER_PORT] = url.port or (443 if url.scheme == "https" else 80)
    except Exception:  # noqa: BLE001
        swallowed("read where huggingface_hub sends a request")
    return wrapped(*args, **kwargs)


def _see_response(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ARG001
    try:
        if (call := under_way()) is not None:
            call.headers(_raw((args[0] if args else kwargs["response"]).headers))
    except Exception:  # noqa: BLE001
        swallowed("look at an HTTP response of huggingface_hub")
    return wrapped(*args, **kwargs)


def _raw(headers: Any) -> Iterable[tuple[bytes, bytes]]:
    if hasattr(headers, "raw"):
        return headers.raw  # type: ignore[no-any-return]
    return [
        (name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
    ]  # requests, before 1.0


ADAPTER = HuggingFaceAdapter("huggingface_hub", "huggingface")
