"""What the commands of ``evals`` are given: production, cases, and mixes."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from otel_llm_routing.analyze.sources import SourceError, open_source
from otel_llm_routing.analyze.sources.sqlite import BUCKET
from otel_llm_routing.analyze.window import utc
from otel_llm_routing.analyze.wording import printable
from otel_llm_routing.cli.failure import fail, note
from otel_llm_routing.cli.options import held, moment
from otel_llm_routing.cli.progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otel_llm_routing.analyze.evals.cases import Case
    from otel_llm_routing.analyze.evals.mixes import Mix
    from otel_llm_routing.analyze.evals.production import Production
    from otel_llm_routing.analyze.evals.reading import CaseFile
    from otel_llm_routing.policy.reference import Reference

Since = Annotated[
    str,
    typer.Option(
        "--since", help="Production from then on: a time (28d) before --until, or a UTC time (2026-11-01T00:00)."
    ),
]
Until = Annotated[
    str | None, typer.Option("--until", help="Up to then: a time back (3d) or a UTC time.", show_default="now")
]
Surfaces = Annotated[list[str] | None, typer.Option("--surface", help="Only this surface; may be given several times.")]
Cases = Annotated[
    Path, typer.Argument(metavar="CASES", help="The cases of an eval; docs/eval-files.md has the formats.")
]
CasesFormat = Annotated[
    str | None, typer.Option("--format", help="The format of CASES.", show_default="told by the file itself")
]
Today = Annotated[str, typer.Option("--today", help="How far back what serves production today goes.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column", metavar="NAME=WHERE", help="Where the cases have what: surface=metadata.feature. May be repeated."
    ),
]
MOST_BYTES = 2**20
"""Of a file with a mix."""


def cases(path: Path, fmt: str | None, columns: list[str] | None) -> CaseFile:
    """Return the cases of a file; what was read with a loss is said."""
    from otel_llm_routing.analyze.evals.reading import CasesError, read_cases  # noqa: PLC0415

    where = {}
    for column in columns or ():
        name, equals, place = column.partition("=")
        if not equals or not name.strip() or not place.strip():
            fail(f"--column {printable(column[:80])}: write what it is and where, such as surface=metadata.feature")
        where[name.strip()] = place.strip()
    try:
        with progress() as bar:
            bar.begin("reading cases")
            found = read_cases(path, fmt, where or None)
    except CasesError as error:
        fail(error)
    for warning in found.warnings:
        note(printable(warning))
    return found


def of_surfaces(read: list[Case], surfaces: Iterable[str] | None) -> list[Case]:
    """Return the cases of ``surfaces`` alone; all, where none is named."""
    from otel_llm_routing.analyze.evals.runs import surface_of  # noqa: PLC0415  (NumPy takes its time)

    wanted = set(surfaces or ())
    return [case for case in read if surface_of(case) in wanted] if wanted else read


def production(source: str, since: str, until: str | None, surfaces: Iterable[str] | None) -> Production:
    """Return what production was like; where there were no requests, say so and end."""
    from otel_llm_routing.analyze.evals.check import no_traffic  # noqa: PLC0415  (NumPy takes its time)
    from otel_llm_routing.analyze.evals.production import read  # noqa: PLC0415

    start, end = window(since, until)
    try:
        with progress() as bar:
            opened = open_source(source, bar.advance)
            found = read(opened, start, end)
            extent = None if found.surfaces else opened.extent()
    except SourceError as error:
        fail(error)
    if not found.surfaces:
        fail(f"{utc(start)} to {utc(end)}: {no_traffic(found)}" + ("" if found.nameless else f"; {held(extent)}"))
    if not surfaces:
        return found
    try:
        return found.of(surfaces)
    except KeyError as error:
        has = ", ".join(repr(name) for name in found.surfaces)
        fail(f"--surface {error.args[0][:80]!r} has no requests in that time; production has {has[:500]}")


def window(since: str, until: str | None) -> tuple[float, float]:
    """Return the seconds since the epoch between the two."""
    now = time.time()
    end = moment(until, now, "--until") if until else now + BUCKET
    start = moment(since, min(end, now), "--since")
    if start >= end:
        fail("--since is not before --until")
    return start, end


# Mixes ----------------------------------------------------------------------------------------------------------------


def mixes(texts: list[str] | None, now: Production, of: Production, reference: Reference | None) -> list[Mix]:
    """Return the mixes that are asked for: today's, the reference's if there is one, and those of ``--mix``."""
    from otel_llm_routing.analyze.evals import mixes as making  # noqa: PLC0415  (NumPy takes its time)

    wanted = dict.fromkeys(["today", *(["reference"] if reference else []), *(texts or ())])
    lately = making.of_production("today", now, of)
    made = []
    for text in wanted:
        if text == "today":
            made.append(lately)
        elif text == "production":
            made.append(making.of_production("production", of, of))
        elif text == "reference":
            if reference is None:
                fail("--mix reference: there is no reference.yaml here; name one with --reference")
            made.append(making.of_reference("reference", reference, of))
        else:
            written = _written(text, of.surfaces)
            _hint(written, of)
            try:
                made.append(making.of_shares(text, written, lately, of))
            except making.MixError as error:
                fail(f"--mix {printable(text[:80])}: {printable(str(error))}")
    return made


def _hint(written: Mapping[str, Mapping[str, float]], of: Production) -> None:
    """Say which model of production may have been meant: an alias is not the model that it stands for."""
    from difflib import get_close_matches  # noqa: PLC0415  (for this alone)

    from otel_llm_routing.models import canonical  # noqa: PLC0415

    for model in dict.fromkeys(model for models in written.values() for model in models):
        name = canonical(model)
        if name not in of.names and (near := get_close_matches(name, of.names, 1)):
            said = f"--mix: {printable(model[:80])} serves nothing in production"
            note(f"{said}; if you mean {printable(of.name(near[0]))}, write that")


def today(source: str, back: str, end: float) -> Production:
    """Return the last part of production, ``back`` from ``end`` on; it may hold no request."""
    from otel_llm_routing.analyze.evals.production import read  # noqa: PLC0415

    start = moment(back, end, "--today")
    if start >= end:
        fail("--today is not a time back such as 24h")
    try:
        with progress() as bar:
            return read(open_source(source, bar.advance), start, end)
    except SourceError as error:
        fail(error)


def _written(text: str, known: Iterable[str]) -> dict[str, dict[str, float]]:
    """Read a mix: ``surface:model=share,model=share;surface:...``, or the name of a JSON file of the same."""
    if text.endswith(".json"):
        return _file(Path(text))
    found: dict[str, dict[str, float]] = {}
    for part in text.split(";"):
        # The name of a surface may hold a colon, such as task:digest.
        surface = max((name for name in known if part.startswith(f"{name}:")), key=len, default=part.partition(":")[0])
        rest = part[len(surface) + 1 :]
        if not surface or not rest:
            _malformed(text, part)
        of = found.setdefault(surface.strip(), {})
        for item in rest.split(","):
            model, equals, share = item.rpartition("=")
            if not equals or not model.strip() or (number := _share(share)) is None:
                _malformed(text, item)
            if model.strip() in of:
                again = printable(model.strip()[:80])
                fail(f"--mix {printable(text[:80])}: {again!r} a second time; take one of the two out")
            of[model.strip()] = number
    return found


def _share(value: Any) -> float | None:
    """Return a share that is written as 0.4 or 40%; None: it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value) if abs(value) <= 1 else None
    if isinstance(value, str) and (said := re.fullmatch(r"\s*(\d{1,3}(?:\.\d{1,9})?|\.\d{1,9})\s*(%?)\s*", value)):
        share = float(said[1]) / (100 if said[2] else 1)
        return share if share <= 1 else None
    return None


def _malformed(text: str, part: str) -> NoReturn:
    fail(
        f"--mix {printable(text[:80])}: {printable(part[:80])!r} is no part of a mix; write today, reference, "
        "production, surface:model=share,model=share (autocomplete:gpt-5=40%), or the name of a .json file"
    )


def _file(path: Path) -> dict[str, dict[str, float]]:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        fail(f"--mix {path}: cannot be read ({getattr(error, 'strerror', None) or error}); name a readable file")
    if len(content) > MOST_BYTES:
        fail(f"--mix {path}: larger than {MOST_BYTES // 2**20} MiB; this is no mix")
    try:
        found = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        fail(f"{path}:{error.lineno}: not JSON ({error.msg}); correct it")
    except (UnicodeDecodeError, RecursionError):
        fail(f"{path}: not JSON; correct it")
    except KeyError as error:
        fail(f"{path}: the key {printable(str(error.args[0])[:80])!r} a second time; take one of the two out")
    right = 'write {"surface": {"served model": 0.4}}'
    if not isinstance(found, dict) or not found:
        fail(f"{path}: no mapping of surfaces; {right}")
    read: dict[str, dict[str, float]] = {}
    for surface, models in found.items():
        if not isinstance(models, dict) or not models:
            fail(f"{path}: {printable(surface[:80])!r} has no mapping of served models; {right}")
        read[surface] = {}
        for model, value in models.items():
            share = _share(value)
            if share is None or share < 0:
                fail(f"{path}: {printable(surface[:80])!r}, {printable(model[:80])!r}: no share from 0 to 1; {right}")
            read[surface][model] = share
    return read


def _once(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise KeyError(name)
        found[name] = value
    return found
