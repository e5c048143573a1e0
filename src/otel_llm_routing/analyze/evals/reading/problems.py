"""What could not be read of a file of cases: all of it, or some."""

from __future__ import annotations


class CasesError(Exception):
    """A file of cases that cannot be used; the message says where, what is wrong and what to do."""


class Notes:
    """What was read with a loss, each kind once, with its first place and how often it came."""

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[str, int]] = {}

    def add(self, what: str, place: str) -> None:
        """Note that ``what`` was found at ``place``. ``what`` is of few kinds: it holds no values."""
        first, number = self._kinds.get(what, (place, 0))
        self._kinds[what] = (first, number + 1)

    def warnings(self) -> list[str]:
        """Return one line for each kind, in the order in which they were found."""
        return [
            f"{first}: {what}" + (f" (and {number - 1:,} more like it)" if number > 1 else "")
            for what, (first, number) in self._kinds.items()
        ]
