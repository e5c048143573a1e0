"""How many messages a body is made of, told before they are made: empty ones take two bytes, and eighty in memory."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

SMALL = 2 << 20
"""Bytes of a body that may be as dense as it likes."""
MAX_MESSAGES = 1_200_000
"""Of a larger one. An attribute as exporters write it is two messages, of some fifteen bytes each."""
MAX_DEPTH = 100
"""Source: protobuf.dev, "recursion limit"."""


class TooDenseError(Exception):
    """A body of more messages than any exporter makes of so many bytes."""


def objects(body: bytes) -> None:
    """Look at a JSON body. Raises ``TooDenseError``."""
    if body.count(b"{") + body.count(b"[") > MAX_MESSAGES // 2 or body.count(b",") > MAX_MESSAGES:
        raise TooDenseError(_words())


def messages(body: bytes, kind: Descriptor, *, small: int = SMALL, most: int = MAX_MESSAGES) -> None:
    """Look at a protobuf body that is a ``kind``. Raises ``TooDenseError``; what is malformed is left to the decoder.

    Source of the format: protobuf.dev/programming-guides/encoding.
    """
    if len(body) <= small:
        return
    found = 0
    at = 0
    within = [(len(body), _nested(kind))]
    try:
        while within:
            end, nested = within[-1]
            if at >= end:
                within.pop()
                continue
            tag, at = _varint(body, at)
            form = tag & 7
            if form == 2:  # noqa: PLR2004  (a length, and as many bytes)
                length, at = _varint(body, at)
                inner = nested.get(tag >> 3)
                if inner is None or at + length > end or len(within) > MAX_DEPTH:
                    at += length
                    continue
                found += 1
                if found > most:
                    raise TooDenseError(_words())
                if length:
                    within.append((at + length, _nested(inner)))
            elif form == 0:
                _, at = _varint(body, at)
            elif form in (1, 5):
                at += 8 if form == 1 else 4
            else:
                return
    except IndexError:
        return


def _varint(body: bytes, at: int) -> tuple[int, int]:
    byte = body[at]
    if byte < 0x80:  # noqa: PLR2004  (the last byte of a number)
        return byte, at + 1
    value = byte & 0x7F
    for shift in range(7, 70, 7):
        at += 1
        byte = body[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004
            return value, at + 1
    raise IndexError


@cache
def _nested(kind: Descriptor) -> dict[int, Descriptor]:
    """Return the fields of ``kind`` that are messages, by number."""
    return {field.number: field.message_type for field in kind.fields if field.message_type is not None}


def _words() -> str:
    return f"the body is made of more than {MAX_MESSAGES} pieces; send smaller batches"
