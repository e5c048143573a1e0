"""Reading the files of a source tree: what names a model in them, and what could not be read."""

from __future__ import annotations

import codecs
import gc
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from otel_llm_routing.analyze.audit import data_files, python
from otel_llm_routing.analyze.audit.finding import Finding, findings
from otel_llm_routing.analyze.audit.identity import identify
from otel_llm_routing.analyze.audit.mention import NOTHING, Found, Trouble, Unreadable
from otel_llm_routing.analyze.audit.names import Names
from otel_llm_routing.analyze.audit.uses import Source, follow
from otel_llm_routing.analyze.audit.vocabulary import vocabulary
from otel_llm_routing.models import RULES_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otel_llm_routing.analyze.audit.identity import Knowledge
    from otel_llm_routing.analyze.audit.walk import File

MAX_BYTES = 4 * 2**20
"""Larger files are data or machine-made; that they were left out is said."""
GENERATED = b"Written by: otel-llm-routing "
"""In the first lines of rules and boards that this program writes: what they name is what the policy names."""
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
    sources: dict[str, Source] = field(default_factory=dict)
    """What was read of each file, by its name in reports."""

    def has_a_name_for(self, file: str, text: str) -> bool:
        """Return whether a name in ``file`` stands for ``text``: whoever asks for that may be elsewhere."""
        if (source := self.sources.get(file)) is None:
            return False
        return any(source.mentions[number].text == text for number in source.names.texts())

    def looked_at(self, file: str) -> bool:
        """Return whether ``file`` was read, or is no longer there to be read."""
        return file in self.read or not os.path.lexists(file)


def _text(scan: Callable[[str], Found]) -> Callable[[bytes], Found]:
    def read(content: bytes) -> Found:
        encoding = "utf-16" if content.startswith(_UTF_16) else "utf-8-sig"
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            found = scan(content.decode("latin-1"))
            return found._replace(troubles=[Trouble(line, "not UTF-8; read as Latin-1 instead"), *found.troubles])
        return scan(text)

    return read


_READERS: dict[str, Callable[[bytes], Found]] = {
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
    # What is read is kept until all is: looking for cycles in it again and again takes as long as parsing it.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return _scanned(files, known)
    finally:
        if was_enabled:
            gc.enable()


def _scanned(files: Iterable[File], known: Knowledge) -> Scanned:
    made = Scanned()
    words = vocabulary()
    everything = bool(os.environ.get(RULES_VARIABLE))  # of whose rules nobody knows which words they match
    sources: dict[str, Source] = {}
    modules: dict[str, File] = {}
    for file in files:
        content = _content(file, made)
        if content is None:
            continue
        made.files += 1
        made.lines += content.count(b"\n")
        if b"\0" in content[:4096] and not content.startswith(_UTF_16):
            made.unreadable.append(Unreadable(file.shown, None, "binary, so it was left out"))
            continue
        path = Path(os.path.abspath(file.path)).as_posix()  # noqa: PTH100  (links stay)
        if file.format == "python":
            modules[path] = file
        ours = GENERATED in content[:200]
        if ours or (not everything and not words.may_name_a_model(content) and not content.startswith(_UTF_16)):
            made.read.add(file.shown)
            continue
        found = _read(file, content)
        if not found.troubles:
            made.read.add(file.shown)
        sources[path] = _source(file, found, known)
        made.unreadable += [Unreadable(file.shown, one.line, one.text) for one in found.troubles]
    follow(sources, modules, lambda path: _loaded(modules[path], known))
    for source in sources.values():
        made.sources[source.shown] = source
        made.findings += findings(source.shown, source.mentions, known)
    return made


def _loaded(file: File, known: Knowledge) -> Source:
    """Read a file in which no word told of a model, and to which a name has led."""
    content = _content(file, Scanned())
    return _source(file, _read(file, content) if content is not None else Found([], []), known)


def _source(file: File, found: Found, known: Knowledge) -> Source:
    names = found.names or Names()
    numbers = names.texts()
    mentions = [
        mention if number in numbers or identify(mention, known) is not None else NOTHING
        for number, mention in enumerate(found.mentions)
    ]
    return Source(file.shown, mentions, names)


def _read(file: File, content: bytes) -> Found:
    try:
        return _READERS[file.format](content)
    except (RecursionError, MemoryError):
        return Found([], [Trouble(None, "nested too deeply, so it was left out")])


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
