"""Ends that the garbage collector brings about, put off until it is safe to end a span.

The collector runs between any two instructions, also of a thread that holds a lock of a span processor or an exporter.
A stream that it finds dropped must not be ended there: that may ask for the very lock, and would wait for it for ever.
What is put off is done before the next call starts, before metrics are collected, and at the exit of the process.
"""

from __future__ import annotations

import atexit
import gc
import os
from collections import deque
from threading import get_ident
from typing import TYPE_CHECKING, Any

from otel_llm_routing.instrument.guard import swallowed

if TYPE_CHECKING:
    from collections.abc import Callable

waiting: deque[Callable[[], None]] = deque()
"""What was put off, oldest first."""
_collecting: set[int] = set()
"""Threads in which the garbage collector is running."""


def collecting() -> bool:
    """Say whether this is called by the garbage collector."""
    return get_ident() in _collecting if _collecting else False


def settle() -> None:
    """Do what was put off. Never raises, and never waits for a lock of ours."""
    while waiting and not collecting():
        try:
            end = waiting.popleft()
        except IndexError:  # another thread was faster
            return
        try:
            end()
        except Exception:  # noqa: BLE001
            swallowed("end a call whose stream was dropped")


def watch() -> None:
    """Notice when the garbage collector runs."""
    if _watch not in getattr(gc, "callbacks", [_watch]):
        gc.callbacks.append(_watch)
        atexit.unregister(settle)
        atexit.register(settle)


def _watch(phase: str, info: dict[str, Any]) -> None:  # noqa: ARG001
    if phase == "start":
        _collecting.add(get_ident())
    else:
        _collecting.discard(get_ident())


def _after_fork() -> None:
    waiting.clear()  # the parent ends them
    _collecting.intersection_update({get_ident()})  # no other thread is there, and new ones may get the idents


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
