"""The file of cases: JSON Lines, a case a line, which ``otel-llm-routing evals`` reads.

``analyze/evals/reading/ours.py`` has the format as well; it is not imported, as nothing of ``analyze`` belongs into the
process of somebody's tests.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otel_llm_routing.whole_file import is_device, part_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_llm_routing.pytest_plugin.recording import Attempt, RecordedCall

SCHEMA = "otel-llm-routing/cases/v1"


def line(attempt: Attempt) -> str:
    """Return the line of one case."""
    calls = [call_json(call) for call in counted(attempt.calls)]
    surfaces = {call["surface"] for call in calls}
    sizes = {call["input_size"] for call in calls}
    document = {
        "schema": SCHEMA,
        "id": attempt.test,
        "surface": attempt.surface or (surfaces.pop() if len(surfaces) == 1 else ""),
        "input_size": sizes.pop() if len(sizes) == 1 else None,
        "score": attempt.score,
        "calls": calls,
    }
    return json.dumps(document, allow_nan=False)


def counted(calls: Iterable[RecordedCall]) -> list[RecordedCall]:
    """Return the calls that say what the case ran on, by the rules of production's shares.

    Left out are answers from a gateway's cache, which no model gave just now, and failed calls that no known model
    served, unless nothing else was tried.
    """
    fresh = [call for call in calls if not call.cached]
    return [call for call in fresh if call.known or call.error is None] or fresh


def call_json(call: RecordedCall) -> dict[str, Any]:
    """Return one call of a case."""
    return {
        "surface": "" if call.surface == "unknown" else call.surface,
        "input_size": call.input_size,
        "provider": call.provider,
        "requested_model": call.requested or "",
        "served_model": call.served or "",
        "match": call.match,
    }


def obstacle(path: Path) -> str:
    """Return why ``path`` cannot be written, or nothing. Its folder is made."""
    if path.is_dir():
        return "is a folder; name a file"
    if is_device(path):
        return "" if os.access(path, os.W_OK) else "cannot be written; check its permissions"
    try:
        folder = Path(os.path.realpath(path)).parent
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"cannot be written ({error.strerror}); name a file in another folder"
    return "" if os.access(folder, os.W_OK) else "cannot be written; check the permissions of its folder"


def write(path: Path, lines: Iterable[str]) -> None:
    """Write the file as a whole or not at all; a link is followed, and a device written to. Raises ``OSError``."""
    if is_device(path):
        path.write_text("".join(f"{text}\n" for text in lines), "utf-8")
        return
    part, target = part_of(path)
    try:
        with part.open("x", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{text}\n" for text in lines)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def relative(path: Path, folder: Path) -> Path:
    """Return ``path`` as it is said best from ``folder``."""
    return path.relative_to(folder) if path.is_relative_to(folder) else path
