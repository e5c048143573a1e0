"""Ports for programs that are told theirs before they start. Imports nothing of ours: the tests read this file too."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

TRIES = 100
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_given: set[int] = set()


def free_port() -> int:
    """Return a port that nobody has, and another one each time.

    None of those that the system gives to whoever asks for any: until the program that is told this one listens, no
    connection and no other server takes it. Raises ``OSError`` where there is none.
    """
    first, last = _any()
    ports = [port for port in (*range(10_000, first), *range(last + 1, 65_536)) if port not in _given]
    for port in random.SystemRandom().sample(ports, min(TRIES, len(ports))):
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            _given.add(port)
            return port
    raise OSError(f"no port is free from 10000 to {first - 1} or from {last + 1} on")


def _any() -> tuple[int, int]:
    """Return the first and the last port that the system gives to whoever asks for any."""
    try:
        first, last = map(int, _RANGE.read_text("ascii").split())
    except (OSError, ValueError):
        first, last = 32_768, 65_535
    # Where those are all there are, one of them will do.
    return (first, last) if first > 20_000 or last < 55_000 else (32_768, 65_535)  # noqa: PLR2004
