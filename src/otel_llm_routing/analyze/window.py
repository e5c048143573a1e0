"""Windows of time, as people write them."""

from __future__ import annotations

import re
from datetime import datetime, timezone

_BACK = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LAST = 253_402_300_799.0
"""The end of the year 9999, past which datetime cannot write a time."""


def moment(text: str, now: float) -> float:
    """Return the time that ``text`` names, in seconds since the epoch: ``24h`` before ``now``, or an ISO time.

    An ISO time without an offset is UTC. Raises ``ValueError``.
    """
    text = text.strip()
    if (back := _BACK.fullmatch(text)) is not None:
        seconds = now - float(back[1]) * _SECONDS[back[2]]
    else:
        try:
            when = datetime.fromisoformat(text.replace("Z", "+00:00"))
            seconds = (when if when.tzinfo else when.replace(tzinfo=timezone.utc)).timestamp()
        except (ValueError, OverflowError):
            msg = f"{text[:40]!r} is neither a time back such as 24h or 7d nor a time such as 2026-11-01T00:00"
            raise ValueError(msg) from None
    return min(max(seconds, 0.0), _LAST)


def utc(seconds: float) -> str:
    """Return ``seconds`` since the epoch as ``2026-11-01T00:00:00Z``."""
    return datetime.fromtimestamp(min(max(seconds, 0.0), _LAST), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
