"""The interactions of the google-genai SDK, 2.x and 3.x, whose client for them is another one within the package.

Hooked are (sources: google-genai 2.34.0 and 3.6.1, ``_gaos/google_genai.py``, ``_gaos/basesdk.py``,
``_gaos/utils/eventstreaming.py``; fields from ``_gaos/types/interactions``):

- ``create`` of both clients: one call, with whatever the SDK sends to continue an answer that came incomplete;
- ``do_request``: the headers;
- the stream objects, as they are made.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from otel_llm_routing import semconv
from otel_llm_routing.instrument import streams
from otel_llm_routing.instrument.adapters import gemini
from otel_llm_routing.instrument.adapters.adapter import Adapter, see_headers
from otel_llm_routing.instrument.adapters.fields import count, field, text
from otel_llm_routing.instrument.adapters.stream_objects import StreamObjects
from otel_llm_routing.instrument.call import Call, CallRequest
from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.models import clean_model

GAOS = "google.genai._gaos"
_UNDER_WAY = frozenset({"in_progress", "requires_continuation"})


def read_interaction(call: Call, body: Any) -> None:
    """Read an interaction, or an event of its stream: the first and the last carry it."""
    if field(body, "is_unknown") is True:  # an event that this version does not know, as it came
        body = field(body, "raw")
    interaction = field(body, "interaction")
    if interaction is None:
        if field(body, "event_type") is not None:
            return
        interaction = body
    call.body(_plain(field(interaction, "model")))
    details = call.details
    if (value := text(field(interaction, "id"))) is not None:
        details[semconv.RESPONSE_ID] = value
    if (usage := field(interaction, "usage")) is not None:
        _usage(call, usage)
    status = text(_plain(field(interaction, "status")))
    if status is not None and status not in _UNDER_WAY:
        details[semconv.FINISH_REASONS] = (status,)


def _plain(value: Any) -> Any:
    """Return the string that the SDK's own kind of string holds, which it uses for values that it does not know."""
    return str.__str__(value) if isinstance(value, str) else value


def _usage(call: Call, usage: Any) -> None:
    gemini.take_tokens(
        call,
        prompt=count(field(usage, "total_input_tokens")),
        tools=count(field(usage, "total_tool_use_tokens")),
        answer=count(field(usage, "total_output_tokens")),
        thoughts=count(field(usage, "total_thought_tokens")),
        cached=count(field(usage, "total_cached_tokens")),
    )


def interaction_size(body: Any) -> int:
    """Count the characters of an interaction's input."""
    return gemini.size(field(body, "input")) + gemini.size(field(body, "system_instruction"))


def asked(body: Any) -> str | None:
    """Return the model that an interaction asks for, or the agent, which chooses models by itself."""
    return clean_model(field(body, "model")) or clean_model(field(body, "agent"))


class GoogleInteractionsAdapter(Adapter):
    """Hooks ``google.genai._gaos.google_genai``."""

    def __init__(self, package: str, provider: str) -> None:
        super().__init__(package, provider)
        self._streams = StreamObjects(self, lambda call, stream: None)  # noqa: ARG005  (its events have said it all)

    def providers(self) -> set[str]:
        """Return the providers whose calls this adapter sees."""
        return {gemini.GEMINI, gemini.VERTEX}

    def hook(self, sdk: Any) -> None:
        """Hook the imported module."""
        for name in ("GeminiNextGenInteractions", "AsyncGeminiNextGenInteractions"):
            self.surround(getattr(sdk, name, None), "create", self._create, self._created, inside=True)
        base = sys.modules.get(f"{GAOS}.basesdk")
        for name, method, hook in (
            ("BaseSDK", "do_request", _response),
            ("AsyncBaseSDK", "do_request_async", _async_response),
        ):
            self.wrap(getattr(base, name, None), method, hook)
        events = sys.modules.get(f"{GAOS}.utils.eventstreaming")
        for name in ("Stream", "AsyncStream"):
            if (cls := getattr(events, name, None)) is not None:
                self._streams.hook(cls)

    def _create(self, interactions: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallRequest:  # noqa: ARG002
        whole = kwargs.get("request")
        body = kwargs if whole is None else field(whole, "body") or whole
        configuration = field(interactions, "sdk_configuration")
        place = text(field(field(configuration, "globals"), "api_version")) or ""
        provider = gemini.VERTEX if "/projects/" in place else gemini.GEMINI
        request = CallRequest(gemini.GENERATE_CONTENT, provider, asked(body), read_interaction)
        request.stream = field(body, "stream") is True
        request.input_size = interaction_size(body)
        gemini.aim(request, field(configuration, "server_url") or "")
        headers = field(field(field(interactions, "_api_client"), "_http_options"), "headers")
        request.surface = gemini.surface(kwargs.get("extra_headers")) or gemini.surface(headers)
        return request

    def _created(self, call: Call, result: Any) -> Any:
        response = field(result, "http_response")
        if response is not None:  # the application asked for the HTTP response
            if response.is_closed:
                call.request.read(call, json.loads(response.content))
                call.end()
            else:
                streams.observe_bytes(response, call, call.request.read)
        elif hasattr(result, "generator"):
            self._streams.watch(result, call, call.request.read)
        else:
            call.request.read(call, result)
            call.end()
        return result


def _prepare(kwargs: dict[str, Any]) -> None:
    try:
        gemini.remove_surface(kwargs["request"].headers)
    except Exception:  # noqa: BLE001
        swallowed("look at an HTTP request of google-genai")


def _response(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ARG001
    _prepare(kwargs)
    response = wrapped(*args, **kwargs)
    see_headers("google-genai", response)
    return response


async def _async_response(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ARG001
    _prepare(kwargs)
    response = await wrapped(*args, **kwargs)
    see_headers("google-genai", response)
    return response


ADAPTER = GoogleInteractionsAdapter("google-genai", gemini.GEMINI)
