"""Reading the files of a source tree: what names a model in them, and what could not be read."""

from __future__ import annotations

import codecs
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from otel_llm_routing.analyze.audit import data_files, python
from otel_llm_routing.analyze.audit.finding import Finding, findings
from otel_llm_routing.analyze.audit.mention import Mention, Trouble, Unreadable
from otel_llm_routing.analyze.audit.vocabulary import vocabulary
from otel_llm_routing.models import RULES_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otel_llm_routing.analyze.audit.identity import Knowledge
    from otel_llm_routing.analyze.audit.walk import File

MAX_BYTES = 4 * 2**20
"""Larger files are data or machine-made; that they were left out is said."""
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass
class Scanned:
    """What is in the files."""

    findings: list[Finding] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    files: int = 0
    lines: int = 0
    read: set[str] = field(default_factory=set)
    """The files that were read as a whole."""

    def looked_at(self, file: str) -> bool:
        """Return whether ``file`` was read, or is no longer there to be read."""
        return file in self.read or not os.path.lexists(file)


def _text(scan: Callable[[str], data_files.Found]) -> Callable[[bytes], data_files.Found]:
    def read(content: bytes) -> data_files.Found:
        encoding = "utf-16" if content.startswith(_UTF_16) else "utf-8-sig"
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            found, troubles = scan(content.decode("latin-1"))
            return found, [Trouble(line, "not UTF-8; read as Latin-1 instead"), *troubles]
        return scan(text)

    return read


_READERS: dict[str, Callable[[bytes], data_files.Found]] = {
    "python": python.scan,
    "notebook": _text(data_files.scan_notebook),
    "yaml": _text(data_files.scan_yaml),
    "json": _text(data_files.scan_json),
    "toml": _text(data_files.scan_toml),
    "settings": _text(data_files.scan_settings),
    "markdown": _text(data_files.scan_markdown),
}


def scan(files: Iterable[File], known: Knowledge) -> Scanned:
    """Read every file and return what names a model."""
    made = Scanned()
    telling = vocabulary().telling
    everything = bool(os.environ.get(RULES_VARIABLE))  # of whose rules nobody knows which words they match
    for file in files:
        content = _content(file, made)
        if content is None:
            continue
        made.files += 1
        made.lines += content.count(b"\n")
        if b"\0" in content[:4096] and not content.startswith(_UTF_16):
            made.unreadable.append(Unreadable(file.shown, None, "binary, so it was left out"))
            continue
        if not everything and not telling.search(content) and not content.startswith(_UTF_16):
            made.read.add(file.shown)
            continue
        mentions, troubles = _read(file, content)
        if not troubles:
            made.read.add(file.shown)
        made.findings += findings(file.shown, mentions, known)
        made.unreadable += [Unreadable(file.shown, one.line, one.text) for one in troubles]
    return made


def _read(file: File, content: bytes) -> tuple[list[Mention], list[Trouble]]:
    try:
        return _READERS[file.format](content)
    except (RecursionError, MemoryError):
        return [], [Trouble(None, "nested too deeply, so it was left out")]


def _content(file: File, made: Scanned) -> bytes | None:
    try:
        with file.path.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        made.unreadable.append(Unreadable(file.shown, None, f"cannot be read ({error.strerror or error})"))
        return None
    if len(content) > MAX_BYTES:
        made.unreadable.append(
            Unreadable(file.shown, None, f"larger than {MAX_BYTES // 2**20} MiB, so it was left out")
        )
        return None
    return content
