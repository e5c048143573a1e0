"""The formats that are read, each by its name, and how to tell them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from otel_llm_routing.analyze.evals.reading import (
    deepeval,
    inspect_log,
    openai_log,
    openai_platform,
    ours,
    plain,
    promptfoo,
    ragas,
    values,
)
from otel_llm_routing.analyze.evals.reading.problems import CasesError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from otel_llm_routing.analyze.evals.reading.draft import Draft
    from otel_llm_routing.analyze.evals.reading.opening import Record
    from otel_llm_routing.analyze.evals.reading.problems import Notes


class Format(NamedTuple):
    """How cases are written down."""

    name: str
    """As ``--format`` takes it."""
    fits: Callable[[Any], bool]
    """Whether a value is of this format."""
    drafts: Callable[[Iterator[Record], Notes], Iterator[Draft]]


PLAIN = Format("plain", lambda value: isinstance(value, dict), plain.drafts)
TOOLS = (
    Format("cases", ours.fits, ours.drafts),
    Format("promptfoo", promptfoo.fits, promptfoo.drafts),
    Format("inspect", inspect_log.fits, inspect_log.drafts),
    Format("openai-evals", openai_log.fits, openai_log.drafts),
    Format("openai-platform", openai_platform.fits, openai_platform.drafts),
    Format("deepeval", deepeval.fits, deepeval.drafts),
    Format("ragas", ragas.fits, ragas.drafts),
)
FORMATS = {one.name: one for one in (*TOOLS, PLAIN)}
ROWS = frozenset({"csv", "jsonl", "parquet", "tsv"})
"""Kinds of files, by which people may ask for plain rows: which of them it is, the file itself tells."""


def named(name: str) -> Format:
    """Return the format of that name. Raises ``CasesError``."""
    name = PLAIN.name if name in ROWS else name
    if name not in FORMATS:
        msg = f"--format {name!r}: no such format; formats are {', '.join(FORMATS)}"
        raise CasesError(msg)
    return FORMATS[name]


def told(path: object, head: Sequence[Record], columns: Mapping[str, str]) -> Format:
    """Return the format that the first records are of. Raises ``CasesError`` where none is, or several are."""
    if not head:
        msg = f"{path}: no case in it; name a file of cases"
        raise CasesError(msg)
    found = [one for one in TOOLS if any(one.fits(record.value) for record in head)]
    if len(found) > 1:
        names = " and ".join(one.name for one in found)
        msg = f"{path}: could be {names}; say which with --format, the other lines are then left out"
        raise CasesError(msg)
    if found:
        return found[0]
    if any(promptfoo.wide(record.value) for record in head):
        msg = (
            f"{path}: promptfoo's CSV, which has columns for each provider and names no models; write JSON: promptfoo "
            "eval -o results.json"
        )
        raise CasesError(msg)
    if any(plain.fits(record.value, columns) for record in head):
        return PLAIN
    first = next((record.value for record in head if isinstance(record.value, dict)), {})
    names = ", ".join(values.text(name) for name in list(first)[:20])
    has = f"its first record has {names}" if names else "it holds no records of named values"
    msg = (
        f"{path}: of no format that is known; {has}. {_unwrapping(first)}Formats are {', '.join(FORMATS)}; for columns "
        "of other names say which is which: --column surface=metadata.feature"
    )
    raise CasesError(msg)


def _unwrapping(document: Mapping[str, Any]) -> str:
    """Say how to get at the records that a document holds in a list, as pydantic-evals' reports do."""
    lists = [name for name, held in document.items() if name.isidentifier() and values.objects(held)]
    return f"If its cases are in {lists[0]}, write each on a line: jq -c '.{lists[0]}[]'. " if lists else ""
