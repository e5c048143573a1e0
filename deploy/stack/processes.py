"""Processes that end with the stack: started each in a group of its own, and stopped in reverse, whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING

from stack.services import StackError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from typing_extensions import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = 10.0
"""Seconds that a process is given to end by itself."""
TAIL = 2000
"""Characters of a log that are worth reading."""


class Stopped(BaseException):
    """The user, or the system, wants the stack to end."""


class Processes:
    """The running processes; a context manager, in which SIGINT, SIGTERM and SIGHUP raise ``Stopped``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._starting = False
        self._wanted_stop = False

    def start(
        self, name: str, command: list[str], environment: Mapping[str, str], folder: Path, *, shown: bool = False
    ) -> None:
        """Start a process; what it prints goes to its log, or is shown, errors excepted."""
        self._starting = True  # one that is not yet in the list would be left running
        with self._log(name).open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=None if shown else log,
                stderr=log,
                env=environment,
                cwd=folder,
                start_new_session=True,  # Ctrl-C reaches us alone
            )
        self._running.append((name, process))
        self._starting = False
        if self._wanted_stop:
            raise Stopped

    def check(self) -> None:
        """Raise if a process has ended, with what it said last."""
        for name, process in self._running:
            if (status := process.poll()) is not None:
                said = self._log(name).read_text("utf-8", "replace")[-TAIL:]
                raise StackError(f"{name} ended with {status}:\n{said}")

    def __enter__(self) -> Self:
        for number in SIGNALS:
            signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        for _name, process in reversed(self._running):
            _end(process)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    def _stop(self, *_: object) -> None:
        if self._starting:
            self._wanted_stop = True
        else:
            raise Stopped

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
            return
