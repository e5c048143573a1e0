"""Files that are written as a whole or not at all: where to write, and what must not be replaced by a file."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def is_device(path: Path) -> bool:
    """Return whether ``path`` is there, and neither a file nor a folder, such as ``/dev/null``: it is written to."""
    return path.exists() and not path.is_file() and not path.is_dir()


def part_of(path: Path) -> tuple[Path, Path]:
    """Return what to write to, and what to replace with it; a link is followed, its folder made. Raises ``OSError``."""
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    # A name of our own: two programs that write one part would mix their texts.
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.part"), target
