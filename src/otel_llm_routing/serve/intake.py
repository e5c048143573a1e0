"""How much is being received at a time: what has been at it the longest makes room for what has just come."""

from __future__ import annotations

import asyncio

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

    def end(self, entry: asyncio.Future[None]) -> int:
        """Note that a body has arrived or was given up; return the bytes there were, which are no longer held."""
        size = self._arriving.pop(entry, 0)
        self.held -= size
        return size

    def fits(self, size: int) -> bool:
        """Return whether there is room for ``size`` bytes that have arrived."""
        return self.held + size <= self._most

    def take(self, size: int) -> None:
        """Hold ``size`` bytes of a body that has arrived, until it is worked on."""
        self.held += size

    def give_back(self, size: int) -> None:
        """No longer hold ``size`` bytes."""
        self.held -= size
