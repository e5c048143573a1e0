"""The measured tables as Markdown, and where they stand in a page."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pages import Places, table

from overhead.contenders import EVERY, FLOOR, OURS, PEERS
from overhead.environments import SHOWN
from overhead.workloads import CHUNKS

if TYPE_CHECKING:
    from overhead.environments import Installed
    from overhead.measure import Added

PLACES = Places("measured", ("by", "added", "quiet", "start", "size", "memory", "failed", "counted", "compared"))
MEBIBYTE = 1 << 20


@dataclass
class Measured:
    """Everything that was measured."""

    machine: str
    command: str
    rounds: int
    added: dict[tuple[str, str, str], Added] = field(default_factory=dict)
    """By contender, telemetry and workload."""
    starts: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, dict[str, Installed]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    grown: dict[str, dict[str, int]] = field(default_factory=dict)
    soak_calls: int = 0
    soak_streams: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Why a contender is not there."""


@dataclass
class Counts:
    """Every instruction that was counted."""

    own: dict[str, float] = field(default_factory=dict)
    """What this project adds, by what is counted."""
    added: dict[str, dict[str, float]] = field(default_factory=dict)
    """By contender and workload."""
    versions: dict[str, dict[str, Installed]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def tables(measured: Measured) -> dict[str, str]:
    """Return the text of every place of the page, but for what is counted."""
    return {
        "by": _by(measured),
        "added": _added(measured),
        "quiet": _quiet(measured),
        "start": _start(measured),
        "size": _size(measured),
        "memory": _memory(measured),
        "failed": _failed(measured.failed),
    }


def counted(counts: Counts) -> dict[str, str]:
    """Return the text of the places of what is counted."""
    nothing = _failed(counts.failed)
    return {
        "counted": _own(counts.own) if counts.own else nothing,
        "compared": _compared(counts) if counts.added else nothing,
    }


def _by(measured: Measured) -> str:
    own = measured.versions.get(OURS.key, {})
    versions = ", ".join(f"{name} {own[name].version}" for name in SHOWN if name in own)
    python = f"Python {platform.python_version()}"
    return f"`{measured.command}`, {measured.rounds} rounds: {measured.machine}; {python}, {versions}."


def _added(measured: Measured) -> str:
    head = ("µs of CPU time", "chat", "async, 50 at once", "responses", "messages", f"stream of {CHUNKS}", "per chunk")
    rows = []
    for contender in EVERY:
        cells = [_cell(measured, contender.key, "exporting", w) for w in ("chat", "async", "responses", "messages")]
        if any(cells):
            stream = _cell(measured, contender.key, "exporting", "stream")
            rows.append((_name(measured.versions, contender.key), *cells, stream, _per_chunk(measured, contender.key)))
    bare = next((key for key in measured.added if key[1] == "exporting"), None)
    if bare is not None:
        taken = [
            measured.added[OURS.key, "exporting", w].bare for w in ("chat", "async", "responses", "messages", "stream")
        ]
        rows.append(("the call itself", *(f"{us:,.0f}" for us in taken), ""))
    return table(head, rows)


def _quiet(measured: Measured) -> str:
    head = (
        "µs of CPU time",
        "chat, sampled out",
        "messages, sampled out",
        "chat, no provider",
        "messages, no provider",
    )
    rows = []
    for contender in EVERY:
        cells = [
            _cell(measured, contender.key, mode, workload)
            for mode in ("unsampled", "no-op")
            for workload in ("chat", "messages")
        ]
        if any(cells):
            rows.append((_name(measured.versions, contender.key), *cells))
    return table(head, rows)


def _start(measured: Measured) -> str:
    head = ("", "ms, SDKs imported", "ms, not imported", "MiB, SDKs imported", "imports SDKs")
    rows = []
    for contender in EVERY:
        found = measured.starts.get(contender.key)
        if found is not None:
            after, before = found["sdks"], found["nothing"]
            rows.append(
                (
                    _name(measured.versions, contender.key),
                    f"{after['seconds'] * 1e3:.0f}",
                    f"{before['seconds'] * 1e3:.0f}",
                    f"{after['bytes'] / MEBIBYTE:.1f}",
                    " and ".join(before["imported"]) or "none",
                )
            )
    return table(head, rows)


def _size(measured: Measured) -> str:
    rows = [
        (_name(measured.versions, key), str(number), f"{size / MEBIBYTE:.1f}")
        for key, (number, size) in measured.sizes.items()
    ]
    return table(("added to the SDKs and `opentelemetry-sdk`", "distributions", "MiB"), rows)


def _memory(measured: Measured) -> str:
    rows = [
        (name, *(f"{grown[what] / MEBIBYTE:+.1f}" for what in ("chat", "abandoned")))
        for key, name in (("bare", "without"), (OURS.key, OURS.name))
        if (grown := measured.grown.get(key)) is not None
    ]
    head = ("MiB grown over", f"{measured.soak_calls:,} calls", f"{measured.soak_streams:,} abandoned streams")
    return table(head, rows)


def _own(own: dict[str, float]) -> str:
    said = {"chat": "chat", "messages": "messages", "no-op chat": "chat, no provider", "chunk": "chunk of a stream"}
    rows = [
        (name, *(f"{own[of]:,.0f}" if of in own else "" for of in (key, f"sdk {key}", f"floor {key}")))
        for key, name in said.items()
    ]
    return table(("instructions added", OURS.name, "of these, OpenTelemetry's SDK", FLOOR.name), rows)


def _compared(counts: Counts) -> str:
    workloads = list(next(iter(counts.added.values())))
    rows = []
    for contender in EVERY:
        if (added := counts.added.get(contender.key)) is not None:
            named = _name(counts.versions, contender.key)
            rows.append((named, *(f"{added[workload]:,.0f}" for workload in workloads)))
    own, others = counts.added.get(OURS.key), [counts.added[p.key] for p in PEERS if p.key in counts.added]
    if own and others:
        of_least = (own[workload] / min(other[workload] for other in others) for workload in workloads)
        rows.append((f"{OURS.name}, of the least of the other libraries", *(f"{share:.0%}" for share in of_least)))
    failed = f"\n{_failed(counts.failed)}" if counts.failed else ""
    return table(("instructions added", *workloads), rows) + failed


def _failed(failed: dict[str, str]) -> str:
    known = {contender.key: contender.name for contender in EVERY}
    said = [f"{known.get(key, key)}: {why}." for key, why in failed.items()]
    return "Not measured: " + " ".join(said) if said else "Everything was measured."


def _cell(measured: Measured, key: str, mode: str, workload: str) -> str:
    added = measured.added.get((key, mode, workload))
    return "" if added is None else f"{added.middle:,.0f} ({added.low:,.0f} to {added.high:,.0f})"


def _per_chunk(measured: Measured, key: str) -> str:
    long, short = (measured.added.get((key, "exporting", workload)) for workload in ("stream", "short"))
    return "" if long is None or short is None else f"{(long.middle - short.middle) / (CHUNKS - 1):.1f}"


def _name(versions: dict[str, dict[str, Installed]], key: str) -> str:
    contender = next(one for one in EVERY if one.key == key)
    installed = versions.get(key, {})
    if contender not in PEERS:
        return f"**{contender.name}**" if contender is OURS else contender.name
    first = re.split(r"[<>=]", contender.requirements[0])[0]
    return f"{contender.name} {installed[first].version}" if first in installed else contender.name
