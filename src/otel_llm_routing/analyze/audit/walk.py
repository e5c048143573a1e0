"""Which files of a source tree are read, and in which format."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pathspec import GitIgnoreSpec

from otel_llm_routing.analyze.audit.mention import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SKIPPED_FOLDERS = frozenset(
    {
        ".git", ".hg", ".svn", ".venv", "venv", "node_modules", "__pycache__", ".tox", ".nox", ".eggs",
        ".mypy_cache", ".ruff_cache", ".pytest_cache", ".cache", ".idea",
    }
)  # fmt: skip
"""Folders that hold nothing which its owner writes. So is one with a ``pyvenv.cfg``."""
SKIPPED_FILES = frozenset({"package-lock.json", "composer.lock", "pnpm-lock.yaml", "npm-shrinkwrap.json"})
_FORMATS = {
    ".py": "python", ".pyw": "python", ".ipynb": "notebook", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml",
    ".json": "json", ".jsonc": "json", ".json5": "json", ".env": "settings", ".ini": "settings", ".cfg": "settings",
    ".conf": "settings", ".properties": "settings", ".mk": "settings", ".tf": "settings", ".tfvars": "settings",
    ".dockerfile": "settings", ".md": "markdown", ".mdx": "markdown", ".mdc": "markdown",
}  # fmt: skip
_BUILDS = re.compile(r"(?:GNU)?[Mm]akefile|(?:[Dd]ocker|[Cc]ontainer)file(?:\..+)?")
"""Names of files that set variables for what they build."""
_ENV = re.compile(r"\.?env(?:\..+)?|\.env(?:[-_].+|rc)|.+\.env(?:\..+)?", re.IGNORECASE)


class File(NamedTuple):
    """A file to read."""

    path: Path
    shown: str
    """As people and reports name it: from the working folder on where it is in it, with slashes."""
    format: str


def format_of(name: str) -> str | None:
    """Return the format of a file by its name; None: not one that is read."""
    if name in SKIPPED_FILES:
        return None
    if _ENV.fullmatch(name) and not name.endswith((".py", ".json", ".yaml", ".yml", ".ts", ".js", ".d.ts")):
        return "settings"
    if (found := _FORMATS.get(os.path.splitext(name)[1].lower())) is not None:  # noqa: PTH122  (a million of them)
        return found
    return "settings" if _BUILDS.fullmatch(name) else None


class Walk:
    """Finds files below some paths, in the order of their names."""

    def __init__(self, exclude: Iterable[str] = (), *, gitignore: bool = True) -> None:
        self._exclude = GitIgnoreSpec.from_lines(exclude)
        self._gitignore = gitignore
        self.unread: list[Unreadable] = []
        """What could not be looked at."""
        self._seen: set[str] = set()

    def files(self, paths: Iterable[Path]) -> Iterator[File]:
        """Yield the files of every path: a file that is named is read whatever ignores it, links are not followed."""
        for path in paths:
            try:
                mode = path.stat().st_mode
            except (OSError, ValueError) as error:
                self._unread(path, getattr(error, "strerror", None) or str(error))
                continue
            if stat.S_ISDIR(mode):
                yield from self._folder(path, self._ignoring_above(path))
            elif stat.S_ISREG(mode):
                yield from self._file(path, explicit=True)
            else:
                self._unread(path, "neither a file nor a folder")

    def _unread(self, path: Path, why: str) -> None:
        self.unread.append(Unreadable(shown(path), None, why))

    def _file(self, path: Path, *, explicit: bool = False) -> Iterator[File]:
        name, found = shown(path), format_of(path.name)
        if found is None:
            if explicit and path.name not in SKIPPED_FILES:
                self._unread(path, "not a kind of file that is read")
            return
        if not self._exclude.match_file(name) and name not in self._seen:
            self._seen.add(name)
            yield File(path, name, found)

    def _folder(self, top: Path, above: tuple[tuple[Path, GitIgnoreSpec], ...]) -> Iterator[File]:
        waiting = [(top, above)]
        while waiting:
            folder, ignoring = waiting.pop()
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError as error:
                self._unread(folder, error.strerror or str(error))
                continue
            if folder != top and any(entry.name == "pyvenv.cfg" for entry in entries):
                continue
            ignoring = (*ignoring, *self._ignoring(folder))
            inner = []
            for entry in entries:
                path = folder / entry.name
                if entry.is_symlink() or _ignored(path, ignoring, entry.is_dir(follow_symlinks=False)):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in SKIPPED_FOLDERS and not self._exclude.match_file(f"{shown(path)}/"):
                        inner.append((path, ignoring))
                elif entry.is_file(follow_symlinks=False):
                    yield from self._file(path)
            waiting += reversed(inner)

    def _ignoring(self, folder: Path) -> tuple[tuple[Path, GitIgnoreSpec], ...]:
        if not self._gitignore:
            return ()
        try:
            lines = (folder / ".gitignore").read_text("utf-8", errors="replace").splitlines()
        except (OSError, ValueError):
            return ()
        kept = []
        for line in lines:
            try:
                GitIgnoreSpec.from_lines([line])
            except ValueError:  # a pattern that git would not take either
                continue
            kept.append(line)
        return ((folder, GitIgnoreSpec.from_lines(kept)),)

    def _ignoring_above(self, folder: Path) -> tuple[tuple[Path, GitIgnoreSpec], ...]:
        """Return what the folders around ``folder`` say, up to that of its repository."""
        found: list[tuple[Path, GitIgnoreSpec]] = []
        around = Path(os.path.abspath(folder))  # noqa: PTH100  (links stay)
        if (around / ".git").exists():
            return ()
        for parent in around.parents:
            found = [*self._ignoring(parent), *found]
            if (parent / ".git").exists():
                return tuple(found)
        return ()


def _ignored(path: Path, ignoring: tuple[tuple[Path, GitIgnoreSpec], ...], is_folder: bool) -> bool:
    """Return whether the innermost .gitignore that says anything of ``path`` ignores it."""
    for folder, spec in reversed(ignoring):
        name = os.path.relpath(path, folder).replace(os.sep, "/")
        include = spec.check_file(f"{name}/" if is_folder else name).include
        if include is not None:
            return include
    return False


def shown(path: Path) -> str:
    """Return how a path is named in reports: from the working folder on, if it is in it."""
    absolute = os.path.abspath(path)  # noqa: PTH100  (links stay)
    here = os.getcwd()  # noqa: PTH109
    if absolute.startswith(here.rstrip(os.sep) + os.sep):
        return os.path.relpath(absolute, here).replace(os.sep, "/")
    return path.as_posix()
