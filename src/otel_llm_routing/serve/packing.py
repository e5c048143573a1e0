"""Bodies without their content encoding, in bounded memory and time: a small one can unpack to an enormous one."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import zstandard

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_UNPACKED = 16 << 20
"""Bytes of one request's body, unpacked."""
MEMBERS = 256
"""Packed pieces that a body may be made of, one after the other: for each of them, what follows is copied."""
WINDOW = 8 << 20
"""Bytes that a Zstandard body may make its reader remember. Source: RFC 9659, the content encoding ``zstd``."""
STEP = 64
"""Bytes of a Zstandard body that are unpacked at a time: four of them can become 128 KiB (RFC 8878, 3.1.1.2)."""


class RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def unpack(data: bytes, headers: Any) -> bytes:
    """Return the body without its content encoding. Raises ``RefusedError``, also for more than ``MAX_UNPACKED``."""
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding in ("", "identity"):
        return data
    unpacked = bytearray()
    for part in _parts(data, coding):
        unpacked += part
        if len(unpacked) > MAX_UNPACKED:
            raise RefusedError(413, f"the body unpacks to more than {MAX_UNPACKED} bytes; send smaller batches")
    return bytes(unpacked)


def _parts(data: bytes, coding: str) -> Iterator[bytes]:
    if coding == "zstd":
        return _of_zstandard(data)
    if coding in ("gzip", "deflate", "zlib"):  # the last two are the same, and the Collector has both
        return _of_zlib(data, coding)
    raise RefusedError(415, f"content-encoding {coding[:40]!r} is not read here; set the sender's compression to gzip")


def _of_zlib(data: bytes, coding: str) -> Iterator[bytes]:
    try:
        for _ in range(MEMBERS):
            inflate = zlib.decompressobj(31 if coding == "gzip" else 15)
            yield inflate.decompress(data, MAX_UNPACKED + 1)
            if not inflate.eof:
                raise _cut_off(coding)
            data = inflate.unused_data
            if coding != "gzip" or not data:
                return
    except zlib.error as error:
        raise RefusedError(400, f"the body is not {coding} ({error})") from None
    raise _too_many(coding)


def _of_zstandard(data: bytes) -> Iterator[bytes]:
    try:
        for _ in range(MEMBERS):
            inflate = zstandard.ZstdDecompressor(max_window_size=WINDOW).decompressobj()
            at = 0
            while at < len(data) and not inflate.eof:
                yield inflate.decompress(data[at : at + STEP])
                at += STEP
            if not inflate.eof:
                raise _cut_off("zstd")
            data = inflate.unused_data + data[at:]
            if not data:
                return
    except zstandard.ZstdError as error:
        raise RefusedError(400, f"the body is not zstd ({error})") from None
    raise _too_many("zstd")


def _cut_off(coding: str) -> RefusedError:
    return RefusedError(400, f"the body is cut off: its {coding} data do not end")


def _too_many(coding: str) -> RefusedError:
    return RefusedError(400, f"the body is of more than {MEMBERS} {coding} pieces, one after the other; send one")
