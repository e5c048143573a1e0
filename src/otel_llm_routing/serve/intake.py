"""How much is being received at a time: what has been at it the longest makes room for what has just come."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 64 << 20
"""Bytes of bodies that wait, or are being worked on, over HTTP and gRPC together."""


class Intake:
    """Keeps account of the bodies that are held. One event loop's; not for threads."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._arriving: dict[asyncio.Future[None], int] = {}
        """Bodies of which some is still to come, the oldest first; what they wait for ends when they must go."""
        self.held = 0

    def begin(self) -> asyncio.Future[None]:
        """Return what stands for a body that begins to arrive; it is done when the body has to make room."""
        entry: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arriving[entry] = 0
        return entry

    def grow(self, entry: asyncio.Future[None], size: int) -> None:
        """Note ``size`` more bytes of a body that arrives."""
        self._arriving[entry] += size
        self.held += size
        while self.held > self._most and self._arriving:
            slowest = next(iter(self._arriving))
            self.end(slowest)
            slowest.set_result(None)

    def end(self, entry: asyncio.Future[None]) -> None:
        """Note that a body has arrived or was given up; its bytes are no longer held."""
        self.held -= self._arriving.pop(entry, 0)

    def fits(self, size: int) -> bool:
        """Return whether there is room for ``size`` bytes that have arrived."""
        return self.held + size <= self._most

    @contextlib.contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Hold ``size`` bytes of a body that has arrived, while it waits and is worked on."""
        self.held += size
        try:
            yield
        finally:
            self.held -= size
