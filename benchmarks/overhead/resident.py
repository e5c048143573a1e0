"""The memory that this process holds at the moment."""

from __future__ import annotations

import os
from pathlib import Path


def resident() -> int:
    """Return its resident bytes; 0 where the system has no ``/proc``."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text("utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0
