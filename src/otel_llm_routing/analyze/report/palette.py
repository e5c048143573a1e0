"""Which letter, colour and shape stand for a served model: one in all charts of a document, and from day to day."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

COLOURS = ("#2376d6", "#da6506", "#179b7c", "#5f6815", "#9e4baa", "#8f90be", "#046c80", "#bb1366")
"""Each has a contrast of 3 or more to the page, light and dark; any two differ for colour-blind eyes as well.

Found by search: simulated as by Machado, Oliveira and Fernandes (2009) in full protanopia, deuteranopia and tritanopia,
the nearest two are 0.052 apart in OKLab. tests/report/test_palette.py measures it.
"""
SHAPES = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "cross",
    "triangle-down",
    "triangle-left",
    "triangle-right",
)
"""Vega's names. Colour is never the only difference."""
_ALPHABET = 26


class Sign(NamedTuple):
    """What stands for a served model."""

    number: int
    letter: str
    """A to Z, then A2 to Z2, and so on; no two models of a document have the same."""
    colour: str
    """Past the eighth model of a document colours come again; letters do not."""
    shape: str


def signs(names: Iterable[str], settled: Iterable[str] = ()) -> dict[str, Sign]:
    """Return the sign of each of ``names``.

    A name has the place that it hashes to, or the next that is free. Those of ``settled`` choose first, and the others
    in the order of their names, so that a model that comes or goes seldom moves another, and none of the reference's.
    """
    wanted = set(names)
    first = sorted(wanted.intersection(settled))
    found: dict[str, Sign] = {}
    taken: set[int] = set()
    for name in [*first, *sorted(wanted.difference(first))]:
        number = _place(name, taken)
        taken.add(number)
        found[name] = _sign(number)
    return found


def _place(name: str, taken: set[int]) -> int:
    size = len(COLOURS)
    wish = zlib.crc32(name.encode("utf-8", "replace")) % size
    free = ((wish + step) % size for step in range(size))
    return next((number for number in free if number not in taken), len(taken))


def _sign(number: int) -> Sign:
    turn, letter = divmod(number, _ALPHABET)
    size = len(COLOURS)
    return Sign(
        number, f"{chr(ord('A') + letter)}{turn + 1 if turn else ''}", COLOURS[number % size], SHAPES[number % size]
    )
