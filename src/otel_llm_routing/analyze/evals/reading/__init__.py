"""Files of eval cases, whatever tool wrote them. ``read_cases`` takes any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from otel_llm_routing.analyze.evals.reading.columns import COLUMNS, resolved
from otel_llm_routing.analyze.evals.reading.draft import Finish
from otel_llm_routing.analyze.evals.reading.formats import FORMATS, named, told
from otel_llm_routing.analyze.evals.reading.opening import contents, is_json
from otel_llm_routing.analyze.evals.reading.problems import CasesError, Notes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from otel_llm_routing.analyze.evals.cases import Case
    from otel_llm_routing.analyze.evals.reading.formats import Format

__all__ = ["COLUMNS", "FORMATS", "CaseFile", "CasesError", "read_cases"]

IN_FOLDER = (".eval", ".json", ".jsonl")
"""What is read of a folder: tools that write one write these."""


class CaseFile(NamedTuple):
    """The cases of a file, and how it was read."""

    cases: list[Case]
    format: str
    """The name of its format, as ``--format`` takes it."""
    warnings: list[str]
    """What was read with a loss, one line each; none: all of it was read."""


def read_cases(path: Path, fmt: str | None = None, columns: Mapping[str, str] | None = None) -> CaseFile:
    """Read the cases of a file, or of every log in a folder.

    ``fmt`` is one of ``FORMATS``; None: told from what the file holds. ``columns`` says where a case's columns
    (``COLUMNS``) are: names, dotted paths into the tool's own record, ``=`` and a constant, for a score also the name
    of a scorer; ``file`` names a file of such pairs. Raises ``CasesError`` where nothing can be read; what is lost of a
    file that can be is in ``warnings``.
    """
    said = resolved(columns or {})
    notes = Notes()
    finish = Finish(said, notes)
    form = named(fmt) if fmt else None
    cases: list[Case] = []
    refused: list[CasesError] = []
    for file in _files(path):
        form, found = _read(file, form, finish, said, notes)
        cases += found if isinstance(found, list) else []
        refused += [found] if isinstance(found, CasesError) else []
    if form is None or not cases:
        why = "; ".join(notes.warnings())
        first = str(refused[0]) if refused else f"{path}: no case in it; name a file of cases"
        raise CasesError(first + (f" ({why})" if why else ""))
    finish.warn(str(path))
    return CaseFile(cases, form.name, [*notes.warnings(), *(f"{error}; this file was left out" for error in refused)])


def _files(path: Path) -> list[Path]:
    if "\0" in str(path):
        msg = f"{str(path)!r}: no name of a file; name a file of cases"
        raise CasesError(msg)
    if not path.is_dir():
        return [path]
    found = sorted(filter(_is_log, path.iterdir()))
    if not found:
        kinds = ", ".join(f"*{suffix}" for suffix in IN_FOLDER)
        msg = f"{path}: no {kinds} in this folder; name one with logs, or a file"
        raise CasesError(msg)
    return found


def _is_log(file: Path) -> bool:
    """Return whether a file of a folder may hold cases; DeepEval up to 3 names its files by the time alone."""
    if file.name.startswith("."):
        return False
    return file.suffix in IN_FOLDER or (not file.suffix and file.is_file() and is_json(file))


def _read(
    path: Path, form: Format | None, finish: Finish, columns: Mapping[str, str], notes: Notes
) -> tuple[Format | None, list[Case] | CasesError]:
    """Return the format of one file, and its cases or why there are none."""
    try:
        with contents(path, notes) as held:
            form = form or told(path, held.head, columns)
            return form, [finish.case(draft) for draft in form.drafts(held.records, notes)]
    except CasesError as error:
        return form, error
