"""Clients over httpx, built as most SDKs are: every method goes through one that sends."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator


@dataclass
class Reply:
    """A whole answer, or a part of one."""

    id: str
    model: str
    usage: dict[str, int] | None
    choices: list[dict[str, Any]]


def _reply(document: Any) -> Reply:
    return Reply(document["id"], document["model"], document.get("usage"), list(document["choices"]))


def _part(line: str) -> Reply | None:
    data = line.removeprefix("data: ")
    return _reply(json.loads(data)) if line.startswith("data: ") and data != "[DONE]" else None


class Client:
    """Generates text."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._http = httpx.Client()

    def generate(self, model: str, messages: list[dict[str, str]]) -> Reply:
        """Return an answer."""
        return _reply(self._send({"model": model, "messages": messages}))

    def stream(self, model: str, messages: list[dict[str, str]]) -> Generator[Reply, None, None]:
        """Return the parts of an answer, as they come."""
        return self._send({"model": model, "messages": messages, "stream": True})

    def _send(self, body: dict[str, Any]) -> Any:
        request = self._http.build_request("POST", f"{self.base_url}/v1/chat/completions", json=body)
        response = self._http.send(request, stream=bool(body.get("stream")))
        response.raise_for_status()
        return self._parts(response) if body.get("stream") else response.json()

    def _parts(self, response: httpx.Response) -> Generator[Reply, None, None]:
        try:
            for line in response.iter_lines():
                if (part := _part(line)) is not None:
                    yield part
        finally:
            response.close()


class AsyncClient:
    """Generates text, asynchronously."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._http = httpx.AsyncClient()

    async def generate(self, model: str, messages: list[dict[str, str]]) -> Reply:
        """Return an answer."""
        return _reply(await self._send({"model": model, "messages": messages}))

    async def stream(self, model: str, messages: list[dict[str, str]]) -> AsyncGenerator[Reply, None]:
        """Return the parts of an answer, as they come."""
        return await self._send({"model": model, "messages": messages, "stream": True})

    async def _send(self, body: dict[str, Any]) -> Any:
        request = self._http.build_request("POST", f"{self.base_url}/v1/chat/completions", json=body)
        response = await self._http.send(request, stream=bool(body.get("stream")))
        response.raise_for_status()
        return self._parts(response) if body.get("stream") else response.json()

    async def _parts(self, response: httpx.Response) -> AsyncGenerator[Reply, None]:
        try:
            async for line in response.aiter_lines():
                if (part := _part(line)) is not None:
                    yield part
        finally:
            await response.aclose()
