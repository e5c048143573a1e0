"""The AWS event stream framing in which Bedrock sends a vendor's events.

Source: botocore 1.44, ``botocore/eventstream.py``: prelude (total length, headers length, CRC-32 of both), headers,
payload, CRC-32 of everything before it.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

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
