"""Writing the files that people review: each as a whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_llm_routing.cli.failure import fail

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def replace(texts: Mapping[Path, str]) -> None:
    """Write every text to its path; where one cannot be written, say so, and leave all files as they were."""
    parts: list[tuple[Path, Path]] = []
    path = None
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(path.name + ".part")
            parts.append((part, path))
            part.write_text(text, "utf-8")
        for part, path in parts:
            part.replace(path)
    except OSError as error:
        for part, _ in parts:
            part.unlink(missing_ok=True)
        fail(f"{path}: cannot be written ({error.strerror}); check the folder and its permissions")
