"""Writing the files that people review: each as a whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from otel_llm_routing.cli.failure import fail
from otel_llm_routing.whole_file import is_device, part_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def refuse(output: Path | None) -> None:
    """Say of a file that cannot be written, before long reads are done for it."""
    if output is None or is_device(output):
        return
    if output.is_dir():
        _cannot(output, os.strerror(errno.EISDIR))
    folder = next(parent for parent in Path(os.path.realpath(output)).parents if parent.exists())
    if not folder.is_dir():
        _cannot(output, os.strerror(errno.ENOTDIR))
    if not os.access(folder, os.W_OK | os.X_OK):
        _cannot(output, os.strerror(errno.EACCES))


def replace(texts: Mapping[Path, str]) -> None:
    """Write every text to its path; where one cannot be written, say so, and leave all files as they were.

    Others see the old text or the new one, whoever else writes and whenever the program is killed. A link is followed,
    and the file keeps its permissions. What is there and no file, such as ``/dev/stdout``, is written to.
    """
    parts: list[tuple[Path, Path]] = []
    path = None
    try:
        for path, text in texts.items():
            if is_device(path):
                continue
            part, target = part_of(path)
            parts.append((part, target))
            with part.open("x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                part.chmod(target.stat().st_mode & 0o777)
        for path, text in texts.items():
            if is_device(path):
                path.write_text(text, "utf-8")
        for part, target in parts:
            part.replace(target)
    except OSError as error:
        for part, _ in parts:
            part.unlink(missing_ok=True)
        _cannot(path, error.strerror)
    except BaseException:
        for part, _ in parts:
            part.unlink(missing_ok=True)
        raise


def _cannot(path: Path | None, why: str | None) -> NoReturn:
    fail(f"{path}: cannot be written ({why}); check the folder and its permissions")
