"""Standard output for people: as many columns as their terminal has, and whole lines where it is none."""

from __future__ import annotations

import os
import sys
from io import StringIO
from typing import TYPE_CHECKING, Literal

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable

LEAST = 80
"""Columns that tables need: on a narrower terminal their lines run on, where they would lose columns."""
WHOLE = 10_000
"""Columns of a pipe and of a file: no line is broken there, so that grep finds what it looks for."""
STYLES: dict[Literal["page", "ticket", "info"], str] = {"page": "bold red", "ticket": "yellow", "info": "dim"}
"""How alerts look, by severity."""


def console(least: int = LEAST) -> Console:
    """Return standard output. ``COLUMNS`` says how wide it is, whatever it is."""
    made = Console(highlight=False)
    # Not is_terminal: whoever sets FORCE_COLOR wants colours in a pipe, not a terminal's width.
    if not sys.stdout.isatty() and not os.environ.get("COLUMNS", "").isdigit():
        made.width = WHOLE
    made.width = max(made.width, least)
    return made


def page(draw: Callable[[Console], None]) -> str:
    """Return what ``draw`` draws for a file, as a pipe would get it."""
    drawn = Console(file=StringIO(), width=WHOLE, highlight=False, force_terminal=False)
    with drawn.capture() as captured:
        draw(drawn)
    return captured.get()
