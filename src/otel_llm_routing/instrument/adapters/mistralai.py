"""The mistralai SDK: 1.x and 2.x over httpx, 3.x over httpx2; its clients for Azure and Google Cloud.

``conversations`` runs agents of Mistral's, whose outputs name a model each: the last one counts.

Sources of the fields: mistralai 3.7.0 ``client/models/chatcompletionresponse.py``, ``completionchunk.py``,
``usageinfo.py``, ``conversationresponse.py``, ``conversationevents.py``; of the paths: ``client/chat.py``,
``agents.py``, ``fim.py``, ``embeddings.py``, ``responses.py``, ``conversations.py``, ``gcp/client/chat.py``; of its
own spans: 1.12.4 to 3.7.0 ``_hooks/tracing.py``.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from otel_llm_routing import semconv
from otel_llm_routing.instrument.adapters.completions import chat_size, endpoints, read_completion
from otel_llm_routing.instrument.adapters.fields import characters, count, field
from otel_llm_routing.instrument.adapters.speakeasy import SpeakeasyAdapter, ends, payload
from otel_llm_routing.instrument.adapters.stainless import Endpoint
from otel_llm_routing.instrument.call import Call, under_way
from otel_llm_routing.instrument.guard import swallowed

if TYPE_CHECKING:
    from otel_llm_routing.instrument.call import CallRequest


def read_conversation(call: Call, body: Any) -> None:
    """Read what the agents of a conversation put out, or one event of it."""
    outputs = field(body, "outputs")
    for output in outputs if type(outputs) is list else (body,):
        call.body(field(output, "model"))
    if (usage := field(body, "usage")) is not None:
        for attribute, name in ((semconv.INPUT_TOKENS, "prompt_tokens"), (semconv.OUTPUT_TOKENS, "completion_tokens")):
            if tokens := count(field(usage, name)):
                call.details[attribute] = tokens
        call.input_tokens = count(field(usage, "prompt_tokens"))
        call.output_tokens = count(field(usage, "completion_tokens"))


def _conversation_size(body: dict[str, Any]) -> int:
    return characters(body.get("inputs")) + characters(body.get("instructions"))


def _prompt_size(body: dict[str, Any]) -> int:
    return chat_size(body) + characters(body.get("prompt")) + characters(body.get("suffix"))


_FIM = Endpoint("text_completion", payload(read_completion), _prompt_size)
_CHAT = Endpoint("chat", payload(read_completion), _prompt_size)
_ENDPOINTS = {
    "/fim/completions": _FIM,
    "/agents/completions": _CHAT,
    "/rawPredict": _CHAT,
    "/streamRawPredict": _CHAT,
    **{
        path: Endpoint(endpoint.operation, payload(endpoint.read), endpoint.size)
        for path, endpoint in endpoints().items()
        if path != "/completions"
    },
}
_CONVERSATION = Endpoint("chat", payload(read_conversation), _conversation_size)
_CONVERSATIONS = re.compile(r"/conversations(?:/[^/]+(?:/restart)?)?\Z")


class MistralAdapter(SpeakeasyAdapter):
    """Adds what is particular to Mistral: its conversations, and the SDK's own spans."""

    def endpoint(self, path: str) -> Endpoint | None:
        """Return what is done at ``path``."""
        return _CONVERSATION if _CONVERSATIONS.search(path) else ends(_ENDPOINTS, path)

    def refine(self, request: CallRequest, client: Any, body: dict[str, Any]) -> None:
        """Note whether the SDK is about to open a span of its own for the call."""
        if "messages" not in body and "prompt" in body:  # Google Cloud has one path for both
            request.operation = _FIM.operation
        hooks = client.sdk_configuration.__dict__.get("_hooks")
        hook = next((h for h in getattr(hooks, "before_request_hooks", ()) if type(h).__name__ == "TracingHook"), None)
        provider = None if hook is None else _spans_go_to(hook, client.sdk_configuration)
        if provider is None or self._tracker is None:
            return
        request.native_span = True
        self._tracker.processor.attach(provider)
        if type(hook) not in self._seen and self.wrap(type(hook), "after_success", _before_its_span_ends):
            self._seen.add(type(hook))


def _spans_go_to(hook: Any, configuration: Any) -> Any:
    """Return the application's tracer provider that the SDK's own spans go to, or None where they go nowhere, or away.

    Until 2.4 they go to whatever global provider there is; later ones ask the application first, and may send them to
    Mistral, where the application does not see them.
    """
    provider = getattr(hook, "tracer_provider", None)
    if hasattr(hook, "_telemetry_use_global_provider"):
        try:
            configure = sys.modules[type(hook).__module__].configure_telemetry_for_hook
            configure(hook, configuration, respect_global_provider=True)  # as it does itself in a moment
        except Exception:  # noqa: BLE001  (which the application will get from the SDK)
            return None
        provider = hook.tracer_provider
        if provider is not None and provider is hook._auto_telemetry_provider:  # noqa: SLF001  (there is no other way)
            return None
        if provider is None and not hook._telemetry_use_global_provider:  # noqa: SLF001
            return None
    provider = provider or trace.get_tracer_provider()
    return None if isinstance(provider, (trace.ProxyTracerProvider, trace.NoOpTracerProvider)) else provider


def _before_its_span_ends(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ARG001
    """Read a whole answer while the SDK's span, which is the call's, can be written to."""
    try:
        call = under_way()
        response = kwargs["response"] if "response" in kwargs else args[1]
        if call is not None and call.request.native_span:
            call.headers(response.headers.raw)
            if response.is_closed and response.is_success:
                call.request.read(call, json.loads(response.content))
            call.write()
    except Exception:  # noqa: BLE001
        swallowed("read a response of mistralai")
    return wrapped(*args, **kwargs)


ADAPTER = MistralAdapter("mistralai", "mistral_ai")
