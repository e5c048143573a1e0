"""Child processes that never outlive this one's interruption: each is a process group, ended as a whole."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from typing_extensions import Self

SIGNALS = tuple(getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n))
GRACE = 5.0
"""Seconds that a child has to end by itself once asked."""


class Interrupted(BaseException):  # noqa: N818
    """The user, or the system, wants the program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class ChildError(Exception):
    """A child ended, or was silent, when it should not have; the message holds its last words."""


class Child:
    """A started program. What it prints is kept, the last lines of it."""

    def __init__(self, name: str, command: list[str], env: Mapping[str, str]) -> None:
        self.name = name
        self.process = subprocess.Popen(
            command,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._tail: deque[str] = deque(maxlen=30)
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self._tail.append(line)
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, what: str, seconds: float = 60.0) -> str:
        """Return the first line it prints from now on that contains ``what``. Raises ``ChildError``."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise ChildError(f"{self.name} did not start within {seconds:g} s\n{self.last_words()}") from None
            if line is None:
                raise ChildError(f"{self.name} ended while it started\n{self.last_words()}")
            if what in line:
                return line

    def last_words(self) -> str:
        """Return the last lines that it printed."""
        return "".join(self._tail) or "(it printed nothing)\n"

    def signal(self, number: int) -> None:
        """Send a signal to the whole process group, if there still is one."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


class Children:
    """Starts children, and ends them in reverse order on the way out, whatever the reason; a context manager.

    While it is active SIGINT, SIGTERM and SIGHUP raise ``Interrupted`` in the main thread, but never between the start
    of a child and its being remembered, nor while the children are being ended.
    """

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._busy = False
        self._pending: int | None = None
        self._before = {number: signal.getsignal(number) for number in SIGNALS}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            signal.signal(number, self._on_signal)
        return self

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._busy:
            self._pending = number
        else:
            self._busy = True  # from here on the only thing left to do is to end the children
            raise Interrupted(number)

    def start(self, name: str, command: list[str], env: Mapping[str, str]) -> Child:
        """Start a program in a process group of its own."""
        self._busy = True
        try:
            child = Child(name, command, env)
            self._children.append(child)
        finally:
            self._busy = False
        if self._pending is not None:
            self._busy = True
            raise Interrupted(self._pending)
        return child

    def check(self) -> None:
        """Raise ``ChildError`` if one of the children has ended."""
        for child in self._children:
            if child.process.poll() is not None:
                raise ChildError(f"{child.name} ended with {child.process.returncode}\n{child.last_words()}")

    def __exit__(self, *_: object) -> None:
        self._busy = True
        for child in reversed(self._children):  # one after the other: the application's last export needs a receiver
            child.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(GRACE)
            child.signal(signal.SIGKILL)
            child.process.wait()
        for number, handler in self._before.items():
            signal.signal(number, handler)
