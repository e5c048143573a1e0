"""What the page's charts need of the extra ``html``: Vega, and the charts' specifications.

A child process makes both, once, when a page first asks: they take 150 MB of memory, which the server does not keep.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from importlib.util import find_spec
from typing import Any, NamedTuple

MODULES = ("altair", "vl_convert")
MISSING = "Simple charts: for interactive ones, pip install 'otel-llm-routing[html]' and start serve again."
PATIENCE = 60.0
"""Seconds that the child process may take."""
_PROGRAM = "import sys; sys.path[:] = {path!r}; from otel_llm_routing.analyze.report.vega import main; main()"


class Drawing(NamedTuple):
    """What there is to draw with."""

    javascript: str
    """Empty where there is none."""
    charts: dict[str, Any]
    """Specifications by kind of column, ``clock`` and ``date``, and by name."""
    error: str
    """Why there is none, in one line; else empty."""

    @property
    def tag(self) -> str:
        """What changes when the JavaScript does."""
        return f'"{hashlib.sha256(self.javascript.encode()).hexdigest()[:32]}"'


class Drawings:
    """Has it made when it is first asked for, and keeps it."""

    def __init__(self) -> None:
        self._made: asyncio.Task[Drawing] | None = None

    async def get(self) -> Drawing:
        """Return what there is to draw with."""
        if self._made is None:
            self._made = asyncio.ensure_future(_make())
        return await asyncio.shield(self._made)  # a reader who leaves does not stop it for the others


async def _make() -> Drawing:
    if any(find_spec(name) is None for name in MODULES):
        return Drawing("", {}, MISSING)
    # The path of this process, and not the folder that it happens to run in.
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _PROGRAM.format(path=[entry for entry in sys.path if entry]),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(child.communicate(), PATIENCE)
    except asyncio.TimeoutError:
        return Drawing("", {}, f"Simple charts: Vega could not be prepared within {PATIENCE:g} s.")
    finally:
        if child.returncode is None:
            child.kill()
    if child.returncode:
        lines = errors.decode("utf-8", "replace").strip().splitlines() or [f"exit {child.returncode}"]
        return Drawing("", {}, f"Simple charts: Vega could not be prepared ({lines[-1][:200]}).")
    made = json.loads(output)
    return Drawing(made["javascript"], made["charts"], "")
