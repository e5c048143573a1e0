"""The AWS event stream framing.

Source: botocore 1.44, ``botocore/eventstream.py``: prelude (total length, headers length, CRC-32 of both), headers,
payload, CRC-32 of everything before it.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

STRING = 7
KIND = "application/vnd.amazon.eventstream"


def event(name: str, document: Any) -> bytes:
    """Return one event, whose type is ``name``."""
    return _message({":event-type": name, ":content-type": "application/json", ":message-type": "event"}, document)


def exception(name: str, document: Any) -> bytes:
    """Return what ends a stream that fails: an exception that the service's model declares."""
    return _message(
        {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}, document
    )


def broken(name: str, document: Any) -> bytes:
    """Return an event whose last checksum is wrong."""
    whole = event(name, document)
    return whole[:-1] + bytes([whole[-1] ^ 0xFF])


def _message(named: dict[str, str], document: Any) -> bytes:
    headers = b"".join(_header(name, value) for name, value in named.items())
    payload = json.dumps(document).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))


def _header(name: str, value: str) -> bytes:
    key, data = name.encode(), value.encode()
    return struct.pack(">B", len(key)) + key + struct.pack(">BH", STRING, len(data)) + data
