"""Files of JSON objects, one a line or one after the other: whatever is whole in them, and what is not."""

from __future__ import annotations

import glob
import gzip
import io
import json
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from otel_llm_routing.analyze.sources import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

PIECE = 1 << 23
"""Characters that are read at a time where a line is longer."""
MOST = 1 << 26
"""Characters of the longest object."""
GZIP = b"\x1f\x8b"
EXAMPLE = "name a file, a folder or a pattern in quotes, as the Collector's file exporter writes them"

_START = re.compile(r'\{\s*"(?:resource|scope)_?(?:metrics|spans|logs|profiles)"', re.IGNORECASE)
"""How the objects of OTLP begin: where one is broken, the next one is found by it."""
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_SPACE = re.compile(r"[\s,]*")
_NAMES = re.compile(r"\.(?:json|jsonl|ndjson)\b", re.IGNORECASE)
_decoder = json.JSONDecoder()


def find(name: str) -> list[Path]:
    """Return the files that ``name`` means, in the order of their names. Raises ``SourceError``."""
    path = Path(name)
    try:
        if path.is_dir():
            inside = (file for file in path.rglob("*") if _NAMES.search(file.name) and file.is_file())
            found = sorted(file for file in inside if not file.name.startswith("."))
            if not found:
                msg = f"{name}: no *.json, *.jsonl or *.json.gz in this folder; {EXAMPLE}"
                raise SourceError(msg)
            return found
        if path.exists():
            return [path]
        found = sorted(file for file in map(Path, glob.glob(name, recursive=True)) if file.is_file())  # noqa: PTH207
    except (OSError, ValueError) as error:
        msg = f"{name}: cannot be looked at ({_reason(error)}); {EXAMPLE}"
        raise SourceError(msg) from None
    if not found:
        what = "matches no file" if glob.has_magic(name) else "no such file"
        msg = f"{name}: {what}; {EXAMPLE}"
        raise SourceError(msg)
    return found


class JSONFile:
    """Reads the objects of one file, packed by gzip or not. What cannot be read is left out, and said."""

    def __init__(self, path: Path, read: Callable[[int], None] = lambda _: None) -> None:
        self.path = path
        self._read = read
        """Called with the bytes of the file that were read since the last time."""
        self._broken: list[int] = []
        self._lines = 0
        self._cut = ""

    @property
    def warning(self) -> str:
        """One line on what could not be read so far; empty if nothing."""
        said: list[str] = []
        if number := len(self._broken):
            first = "the first in" if number > 1 else "in"
            pieces = "piece is" if number == 1 else "pieces are"
            said.append(f"{number} {pieces} no whole JSON, {first} line {self._broken[0]}")
        if self._cut:
            said.append(self._cut)
        return f"{self.path}: {'; '.join(said)}; the rest was read" if said else ""

    def objects(self) -> Iterator[Any]:
        """Yield every whole JSON value. Raises ``SourceError`` if the file cannot be opened."""
        self._broken, self._lines, self._cut = [], 0, ""
        held, held_line, depth = "", 0, 0
        for text, line in self._pieces():
            if held and (_START.match(text) or (text.rstrip() == "{" and _indented(held))):
                self._broken.append(held_line)  # the next one begins
                held = ""
            if held:
                depth += _depth(text)
                held += text
                if depth > 0 and text.endswith("\n") and len(held) < MOST:
                    continue
                text, line = held, held_line  # noqa: PLW2901
            rest = yield from self._decode(text, line)
            held, held_line = rest, line + text.count("\n", 0, len(text) - len(rest))
            depth = _depth(rest)
            if rest and (depth <= 0 or len(rest) >= MOST):
                self._broken.append(held_line)
                held = ""
        if held:
            self._broken.append(held_line)

    def _decode(self, text: str, line: int) -> Generator[Any, None, str]:
        """Yield the values of ``text``, and return the rest of it, which may go on in the next line."""
        at = _skip(text, 0)
        while at < len(text):
            try:
                if text[at] not in "{[":
                    raise json.JSONDecodeError("", text, at)
                value, end = _decoder.raw_decode(text, at)
            except (ValueError, RecursionError) as error:
                following = _START.search(text, at + 1)
                if following is None:
                    if text[at] in "{[" and not isinstance(error, RecursionError):
                        return text[at:]
                    end = len(text)
                else:
                    end = following.start()
                self._broken.append(line + text.count("\n", 0, at))
            else:
                yield value
            at = _skip(text, end)
        return ""

    def _pieces(self) -> Iterator[tuple[str, int]]:
        """Yield lines, with their numbers, or pieces of those that are very long."""
        try:
            with self.path.open("rb") as raw:
                done = 0
                packed = raw.peek(2)[:2] == GZIP
                data: BinaryIO = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
                line = 1
                try:
                    with io.TextIOWrapper(data, "utf-8-sig", "replace", newline="\n") as text:
                        while piece := text.readline(PIECE):
                            yield piece, line
                            line += piece.endswith("\n")
                            now = raw.tell()
                            self._read(now - done)
                            done = now
                except (EOFError, zlib.error, gzip.BadGzipFile):
                    self._cut = f"its gzip ends early or is damaged, after line {line - 1}"
        except OSError as error:
            msg = f"{self.path}: cannot be read ({_reason(error)}); {EXAMPLE}"
            raise SourceError(msg) from None


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _depth(text: str) -> int:
    """Return how many brackets are open at the end of ``text``."""
    found = _BRACKETS.findall(text)
    return sum(1 if one in "{[" else -1 if one in "}]" else 0 for one in found)


def _indented(text: str) -> bool:
    return "\n " in text or "\n\t" in text


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
