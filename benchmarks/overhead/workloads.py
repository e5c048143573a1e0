"""The calls that are timed: real SDKs, with a transport in this process that answers with a provider's bytes."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    Workload = Callable[[int], None]
    """Makes so many calls."""

CHUNKS = 200
"""Of a stream."""
AT_ONCE = 50
"""Calls that are under way at the same time."""

MESSAGES: Any = [
    {"role": "system", "content": "You finish the sentences of a quarterly report."},
    {"role": "user", "content": "Revenue grew by a fifth, mostly because " * 10},
]
OPENAI_USAGE = {
    "prompt_tokens": 90,
    "completion_tokens": 24,
    "total_tokens": 114,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
COMPLETION = {
    "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
    "object": "chat.completion",
    "created": 1764080000,
    "model": "gpt-5-2025-08-07",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "of the new line.", "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": OPENAI_USAGE,
    "service_tier": "default",
    "system_fingerprint": "fp_50cad350e4",
}
RESPONSE = {
    "id": "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b",
    "object": "response",
    "created_at": 1764080000,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "model": "gpt-5-2025-08-07",
    "output": [
        {
            "type": "message",
            "id": "msg_67ccd2bf17f0819081ff3bb2cf6508e60bb6a6b452d3795b",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "of the new line.", "annotations": []}],
        }
    ],
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "usage": {
        "input_tokens": 90,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 24,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 114,
    },
    "metadata": {},
}
MESSAGE = {
    "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": "of the new line."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 90,
        "output_tokens": 24,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    },
}


def chunks(number: int = CHUNKS) -> list[bytes]:
    """Return a streamed chat completion of ``number`` chunks, as they arrive."""
    shared = {name: COMPLETION[name] for name in ("id", "created", "model", "service_tier", "system_fingerprint")}
    shared["object"] = "chat.completion.chunk"
    sent = []
    for n in range(number):
        last = n == number - 1
        delta = {} if last else {"content": f"word{n} "}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": "stop" if last else None}
        sent.append({**shared, "choices": [choice], **({"usage": OPENAI_USAGE} if last else {})})
    return [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in sent] + [b"data: [DONE]\n\n"]


# What is answered, by the path that the SDK posts to.
PLAIN = {
    "/v1/chat/completions": json.dumps(COMPLETION).encode(),
    "/v1/responses": json.dumps(RESPONSE).encode(),
    "/v1/messages": json.dumps(MESSAGE).encode(),
}
# As OpenAI's servers send them.
HEADERS = {
    "content-type": "application/json",
    "openai-processing-ms": "412",
    "openai-version": "2020-10-01",
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "x-request-id": "req_8c1e0a7d7d1f4b6f9d1b1a2f3c4d5e6f",
    "cf-cache-status": "DYNAMIC",
    "server": "cloudflare",
}


def _httpx(base_client: Any) -> Any:
    return getattr(base_client, "httpx", None) or base_client.httpx2


def _transport(httpx: Any) -> Any:
    """Return a transport for either kind of client, of the httpx that the SDK uses."""
    long, short = chunks(), chunks(1)

    class Arriving(httpx.SyncByteStream, httpx.AsyncByteStream):  # type: ignore[misc]
        """The chunks of a stream, one after the other, as they come from a server."""

        def __init__(self, stream: list[bytes]) -> None:
            self._stream = stream

        def __iter__(self) -> Iterator[bytes]:
            yield from self._stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in self._stream:
                yield chunk

    def answer(request: Any) -> Any:
        if b'"stream":true' in request.content:
            arriving = Arriving(short if b'"gpt-5-mini"' in request.content else long)
            return httpx.Response(200, headers={**HEADERS, "content-type": "text/event-stream"}, stream=arriving)
        return httpx.Response(200, headers=HEADERS, content=PLAIN[request.url.path])

    return httpx.MockTransport(answer)


def openai_workloads() -> dict[str, Workload]:
    """Return the workloads of the openai SDK, whose clients are made here."""
    import openai  # noqa: PLC0415  (the instrumentation may have to be there before)
    from openai import _base_client  # noqa: PLC0415

    httpx = _httpx(_base_client)
    client: Any = openai.OpenAI(
        api_key="none", base_url="https://api.openai.com/v1", http_client=httpx.Client(transport=_transport(httpx))
    )
    async_client: Any = openai.AsyncOpenAI(
        api_key="none", base_url="https://api.openai.com/v1", http_client=httpx.AsyncClient(transport=_transport(httpx))
    )
    loop = asyncio.new_event_loop()

    def chat(calls: int) -> None:
        for _ in range(calls):
            client.chat.completions.create(model="gpt-5", messages=MESSAGES)

    def async_chat(calls: int) -> None:
        async def at_once() -> None:
            create = async_client.chat.completions.create
            await asyncio.gather(*(create(model="gpt-5", messages=MESSAGES) for _ in range(AT_ONCE)))

        for _ in range(calls // AT_ONCE):
            loop.run_until_complete(at_once())

    def responses(calls: int) -> None:
        for _ in range(calls):
            client.responses.create(model="gpt-5", input=MESSAGES)

    def stream(calls: int) -> None:
        for _ in range(calls):
            for _ in client.chat.completions.create(model="gpt-5", messages=MESSAGES, stream=True):
                pass

    def short(calls: int) -> None:
        for _ in range(calls):
            for _ in client.chat.completions.create(model="gpt-5-mini", messages=MESSAGES, stream=True):
                pass

    def abandoned(calls: int) -> None:
        for _ in range(calls):
            next(iter(client.chat.completions.create(model="gpt-5", messages=MESSAGES, stream=True)))

    return {
        "chat": chat,
        "async": async_chat,
        "responses": responses,
        "stream": stream,
        "short": short,
        "abandoned": abandoned,
    }


def parsed_chunks() -> list[Any]:
    """Return the chunks of a stream as the openai SDK hands them over, but for the last, which says more."""
    from openai.types.chat import ChatCompletionChunk  # noqa: PLC0415

    return [ChatCompletionChunk.model_validate_json(chunk[len(b"data: ") :]) for chunk in chunks()[:-2]]


def anthropic_workloads() -> dict[str, Workload]:
    """Return the workloads of the anthropic SDK."""
    import anthropic  # noqa: PLC0415
    from anthropic import _base_client  # noqa: PLC0415

    httpx = _httpx(_base_client)
    client: Any = anthropic.Anthropic(
        api_key="none", base_url="https://api.anthropic.com", http_client=httpx.Client(transport=_transport(httpx))
    )

    def messages(calls: int) -> None:
        for _ in range(calls):
            client.messages.create(model="claude-sonnet-4-5", max_tokens=64, messages=MESSAGES[1:])

    return {"messages": messages}
