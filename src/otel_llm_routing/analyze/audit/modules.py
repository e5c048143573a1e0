"""Which file a module is, among those that are audited; nothing is imported, and no path of folders is asked."""

from __future__ import annotations

from collections import defaultdict
from posixpath import dirname
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PACKAGE = "/__init__.py"


class Modules:
    """The modules of some files, each known by its stem: the path without ``.py``, or that of the package's folder."""

    def __init__(self, files: Iterable[str]) -> None:
        """``files`` are absolute paths with slashes."""
        self._files = frozenset(files)
        self._folders: set[str] = set()
        self._stems: dict[str, list[str]] = defaultdict(list)
        for file in self._files:
            stem = file.removesuffix(_PACKAGE).removesuffix(".py")
            self._stems[stem.rpartition("/")[2]].append(stem)
            folder = dirname(file)
            while folder not in self._folders:
                self._folders.add(folder)
                folder = dirname(folder)
        self._found: dict[tuple[str, int, str], str | None] = {}

    def file(self, stem: str) -> str | None:
        """Return the file of a module, a package before a file; None for a folder without one, and for no module."""
        return next((file for file in (f"{stem}{_PACKAGE}", f"{stem}.py") if file in self._files), None)

    def is_one(self, stem: str) -> bool:
        """Return whether a module, or a folder with modules, is there."""
        return self.file(stem) is not None or stem in self._folders

    def find(self, importer: str, level: int, dotted: str) -> str | None:
        """Return the stem of what a file imports: ``dotted`` with ``level`` dots before it."""
        key = (dirname(importer), level, dotted)
        if key not in self._found:
            self._found[key] = self._relative(*key) if level else self._absolute(key[0], dotted)
        return self._found[key]

    def _relative(self, folder: str, level: int, dotted: str) -> str | None:
        for _ in range(level - 1):
            folder = dirname(folder)
        stem = f"{folder}/{dotted.replace('.', '/')}" if dotted else folder
        return stem if self.is_one(stem) else None

    def _absolute(self, folder: str, dotted: str) -> str | None:
        path = dotted.replace(".", "/")
        for root in self._roots(folder):
            if self.is_one(stem := f"{root}/{path}"):
                return stem
        # From elsewhere, as tests do: only where there is one such module, for who knows which is meant.
        elsewhere = [stem for stem in self._stems[path.rpartition("/")[2]] if self._is_named(stem, path)]
        return elsewhere[0] if len(elsewhere) == 1 else None

    def _roots(self, folder: str) -> Iterator[str]:
        """Yield the folders in which the first package may be, from that around the importing package outwards."""
        within: list[str] = []
        root = folder
        while f"{root}{_PACKAGE}" in self._files:
            within.append(root)
            root = dirname(root)
        while root in self._folders:
            yield root
            yield f"{root}/src"
            if root == dirname(root):
                break
            root = dirname(root)
        yield from reversed(within)  # a program that is started in a package

    def _is_named(self, stem: str, path: str) -> bool:
        return stem.endswith(f"/{path}") and f"{stem[: -len(path) - 1]}{_PACKAGE}" not in self._files
