"""Writing the files that people review: each as a whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from otel_llm_routing.cli.failure import fail
from otel_llm_routing.whole_file import is_device, part_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


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
        fail(f"{path}: cannot be written ({error.strerror}); check the folder and its permissions")
    except BaseException:
        for part, _ in parts:
            part.unlink(missing_ok=True)
        raise
