"""``otel-llm-routing policy``: check the policy file, write a first one, and its JSON Schema."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from otel_llm_routing.analyze.sources import SOURCE, SourceError, open_source
from otel_llm_routing.analyze.window import utc
from otel_llm_routing.analyze.wording import many
from otel_llm_routing.cli.failure import fail
from otel_llm_routing.cli.files import refuse, replace
from otel_llm_routing.cli.progress import progress

if TYPE_CHECKING:
    from otel_llm_routing.policy.reference import Reference

app = typer.Typer(help="The policy file: what each surface may run on, and why.", no_args_is_help=True)

DAY = 86_400
SCHEMA = "otel-llm-routing/policy-check/v1"
REFERENCE = "reference.yaml"
MAX_PROBLEMS = 100
"""Lines printed for people."""


class Said(NamedTuple):
    """One problem, as it is printed."""

    level: str
    place: str
    line: int | None
    text: str

    def shown(self, file: Path) -> str:
        """Return it as one line: where, how bad, what is wrong, what to do."""
        where = f"{file}:{self.line}" if self.line else str(file)
        return ": ".join(part for part in (where, self.level, self.place, self.text) if part)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A policy file.")] = Path("policy.yaml"),
    reference: Annotated[
        Path | None,
        typer.Option(help=f"A reference file to compare with; {REFERENCE} beside the policy, if there is one."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 where there are warnings.")] = False,
) -> None:
    """Say what is wrong with a policy: line by line, and what to do. Exits with 2 where there are errors."""
    from otel_llm_routing.policy.reference import ReferenceFileError, load  # noqa: PLC0415  (pydantic takes its time)

    compared = reference or _beside(file)
    known, unread = None, ""
    try:
        known = load(compared) if compared else None
    except ReferenceFileError as error:
        unread = str(error)
    said, surfaces = _read(file, known)
    errors = [one for one in said if one.level == "error"]
    if as_json:
        of_reference = [Said("error", "", None, line) for line in unread.splitlines()]
        typer.echo(json.dumps(_document(file, compared, [*of_reference, *said]), indent=2))
    else:
        for one in said:
            if one.level != "error":
                typer.echo(one.shown(file))
        if errors or unread:
            lines = [*unread.splitlines(), *(one.shown(file) for one in errors)]
            several = errors and len(lines) > 1
            head = [f"{many(len(errors), 'error')}, so the policy cannot be used"] if several else []
            if len(lines) > MAX_PROBLEMS:
                lines[MAX_PROBLEMS:] = [f"and {len(lines) - MAX_PROBLEMS:,} more; mend these first"]
            fail("\n".join([*head, *lines]))
        beside = "" if reference else ", which is beside it"
        with_what = f"compared with {compared}{beside}" if compared else "no reference, so nothing is said of shares"
        typer.echo(f"{file}: {many(surfaces, 'surface')}, {many(len(said), 'warning')}; {with_what}")
    if errors or unread:
        raise typer.Exit(2)
    if said and strict:
        raise typer.Exit(1)


@app.command()
def init(
    source: Annotated[str, typer.Option(help=SOURCE)],
    days: Annotated[int, typer.Option(min=1, max=366, help="Days to look back.")] = 28,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file; it must not exist yet.")] = Path(
        "policy.yaml"
    ),
) -> None:
    """Write a policy that allows what was seen, for people to fill in and review."""
    from otel_llm_routing.analyze.traffic import seen  # noqa: PLC0415  (pydantic takes its time)
    from otel_llm_routing.policy.draft import draft  # noqa: PLC0415

    if os.path.lexists(output):
        fail(f"{output}: exists, and is not overwritten; name another file with -o, or move it away")
    refuse(output)
    now = time.time()
    try:
        with progress() as bar:
            opened = open_source(source, bar.advance)
            surfaces = seen(opened, now - days * DAY, now)
            extent = None if surfaces else opened.extent()
    except SourceError as error:
        fail(error)
    if not surfaces:
        held = "none were ever received" if extent is None else f"the last are of {utc(extent[1])}; see --days"
        fail(f"no calls in the last {many(days, 'day')}, and {held}")
    made = draft(surfaces, f"{many(days, 'day')} of calls up to {utc(now)[:10]}")
    if not made.text:
        fail("\n".join(["no surface has a name to write down", *made.left_out]))
    replace({output: made.text})
    typer.echo(f"{output}: {many(len(made.written), 'surface')}; fill in what is commented out, then run")
    typer.echo(f"otel-llm-routing policy check {output}")
    for line in made.left_out:
        typer.echo(f"left out: {line}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of policy files, which editors complete and check with."""
    from otel_llm_routing.policy.loading import json_schema  # noqa: PLC0415  (pydantic takes its time)

    typer.echo(json.dumps(json_schema(), indent=2))


def _beside(file: Path) -> Path | None:
    found = file.parent / REFERENCE
    return found if found.is_file() else None


def _read(file: Path, reference: Reference | None) -> tuple[list[Said], int]:
    """Return what is to be said of the policy, in the order of its lines, and how many surfaces it has."""
    from otel_llm_routing.policy.advice import advise  # noqa: PLC0415  (pydantic takes its time)
    from otel_llm_routing.policy.document import PolicyError, shown  # noqa: PLC0415
    from otel_llm_routing.policy.loading import read  # noqa: PLC0415

    try:
        loaded = read(file)
    except PolicyError as error:
        return [Said("error", shown(one.place), one.line, one.text) for one in error.problems], 0
    found = advise(loaded, reference)
    return [Said(one.level, one.place, one.line, one.text) for one in found], len(loaded.policy.surfaces)


def _document(file: Path, reference: Path | None, said: list[Said]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "file": str(file),
        "reference": str(reference) if reference else None,
        "problems": [{"line": one.line, "place": one.place, "level": one.level, "text": one.text} for one in said],
    }
