"""The pages that the benchmarks write what they measured into."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Places(NamedTuple):
    """The places of one benchmark's tables: each from a line ``<!-- MARKER: NAME -->`` to the next empty line."""

    marker: str
    names: tuple[str, ...]

    def lacking(self, page: Path) -> str:
        """Return why the tables cannot be written into ``page``; empty where they can."""
        try:
            text = page.read_text("utf-8")
        except (OSError, ValueError) as error:
            return f"cannot be read ({error})"
        names = ", ".join(sorted(set(self.names) - {place["name"] for place in self.find(text)}))
        return f"no place for {names}; it begins with a line <!-- {self.marker}: NAME -->" if names else ""

    def find(self, text: str) -> Iterator[re.Match[str]]:
        """Yield each place in the text of a page, with its ``name``."""
        return re.finditer(self._pattern, text)

    def write(self, page: Path, found: Mapping[str, str]) -> None:
        """Put what was ``found`` for each name into its place in ``page``; leave the other places as they are."""

        def filled(place: re.Match[str]) -> str:
            return f"{place[1]}{found[place['name']]}\n" if place["name"] in found else place[0]

        page.write_text(re.sub(self._pattern, filled, page.read_text("utf-8")), "utf-8")

    @property
    def _pattern(self) -> str:
        return rf"(?m)^(<!-- {self.marker}: (?P<name>[a-z-]+) -->\n)(?:.+\n)*"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], below: str = "---") -> str:
    """Return a Markdown table; ``below`` aligns every column but the first."""
    lines = [head, ("---", *(below for _ in head[1:])), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine() -> str:
    """Return what the figures were measured on."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text("utf-8").splitlines() if cpu.exists() else []
    model = next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} cores"
