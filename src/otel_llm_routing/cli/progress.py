"""How far a long read is, on a terminal."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 1.0
"""Seconds after which a bar is shown."""


class Bar:
    """A bar, once it is shown; its methods may be called before and without it."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._what = ""
        self._task = shown.add_task("reading", total=None)

    def begin(self, what: str) -> None:
        """Say that ``what`` begins, which nobody knows the length of yet."""
        self._shown.remove_task(self._task)
        self._what, self._task = what, self._shown.add_task(what, total=None)

    def advance(self, done: int, of: int) -> None:
        """Say how much is done of what has begun."""
        self._shown.update(self._task, completed=done, total=of or None)

    def tell(self, what: str, done: int, of: int) -> None:
        """Say how much is done of ``what``, which begins with the first time that it is named."""
        if what != self._what:
            self.begin(what)
        self.advance(done, of)


@contextmanager
def progress() -> Iterator[Bar]:
    """Show a bar on standard error while the block runs, if that is a terminal and it takes a while; leave no trace."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    shown = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
    if not sys.stderr.isatty():
        yield Bar(shown)
        return
    # Not with the first call of the bar: a source may take its time before it says anything.
    timer = threading.Timer(PATIENCE, shown.start)
    timer.daemon = True
    timer.start()
    try:
        yield Bar(shown)
    finally:
        timer.cancel()
        timer.join()
        if shown.live.is_started:
            shown.stop()
