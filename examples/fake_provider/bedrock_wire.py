"""Bedrock's wire format: a model named in the path, a vendor's body, and events in the AWS event stream framing.

Source: botocore 1.44, ``botocore/eventstream.py``: prelude (total length, headers length, CRC-32 of both), headers,
payload, CRC-32 of everything before it.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

from fake_provider import anthropic_wire
from fake_provider.wire import Parts, Whole

if TYPE_CHECKING:
    from fake_provider.wire import Asked

STRING = 7


def frame(event: Any) -> bytes:
    """Return one chunk event that carries ``event``."""
    payload = json.dumps({"bytes": base64.b64encode(json.dumps(event).encode()).decode()}).encode()
    headers = b"".join(
        header(name, value)
        for name, value in (
            (":event-type", "chunk"),
            (":content-type", "application/json"),
            (":message-type", "event"),
        )
    )
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))


def header(name: str, value: str) -> bytes:
    """Return one header with a text value."""
    key, data = name.encode(), value.encode()
    return struct.pack(">B", len(key)) + key + struct.pack(">BH", STRING, len(data)) + data


# What the server asks ---------------------------------------------------------------------------------------------


def mine(asked: Asked) -> bool:
    """Take what is posted to a model."""
    return asked.path.startswith("/model/")


def error(asked: Asked, status: int) -> Whole:  # noqa: ARG001
    """Return what the service says when it fails."""
    return Whole(anthropic_wire.failure(status), status)


def answer(asked: Asked) -> Whole | Parts | None:
    """Answer ``InvokeModel`` and ``InvokeModelWithResponseStream`` of Anthropic's models."""
    requested, _, action = asked.path.removeprefix("/model/").rpartition("/")
    body, answers, number = asked.body, asked.answers, asked.number
    model = asked.serve(requested, body)
    if action == "invoke":
        return Whole(anthropic_wire.message(body, model, answers, number))
    if action == "invoke-with-response-stream":
        events = anthropic_wire.message_events(body, model, answers, number)
        return Parts((frame(event) for _, event in events), "application/vnd.amazon.eventstream")
    return None
