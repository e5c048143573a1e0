"""``otel-llm-routing reference``: pin the mix that shares are compared with, and see what moved since."""

from __future__ import annotations

import json
import time
from pathlib import Path  # noqa: TC003  (typer reads it)
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from otel_llm_routing.analyze.sources import SOURCE, SourceError, open_source
from otel_llm_routing.analyze.window import utc
from otel_llm_routing.analyze.wording import ABSENT, NOT_SAID, many, points
from otel_llm_routing.cli import terminal
from otel_llm_routing.cli.failure import fail, note
from otel_llm_routing.cli.files import refuse, replace
from otel_llm_routing.cli.options import REFERENCE, moment
from otel_llm_routing.cli.outside import outside
from otel_llm_routing.cli.progress import progress
from otel_llm_routing.policy.thresholds import FULL_DAYS

if TYPE_CHECKING:
    from otel_llm_routing.analyze.comparison import ServedChange, StreamChange
    from otel_llm_routing.analyze.reference import StreamNote
    from otel_llm_routing.analyze.sources import Source
    from otel_llm_routing.policy.reference import Reference, ReferenceStream

app = typer.Typer(
    help="The model mix that shares are compared with: pin it, show it, see what moved.", no_args_is_help=True
)

GAPS = 5
"""Days without counts that are listed."""


@app.command()
def pin(
    source: Annotated[str, typer.Option(help=SOURCE)],
    reason: Annotated[str, typer.Option(help="Why this mix is what you want; it is kept in the file.")],
    days: Annotated[int, typer.Option(min=1, max=366, help="Days to look back; at least 14.")] = 28,
    until: Annotated[str, typer.Option(help="The end of the period: a time back (3d) or a UTC time; now.")] = "",
    surface: Annotated[
        list[str] | None, typer.Option(help="Pin only this surface anew; may be given several times.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file; its history is kept.")] = REFERENCE,
) -> None:
    """Write the mix of the last weeks, and how much it wobbles, to a file that is reviewed and committed."""
    from otel_llm_routing.analyze import reference as pinning  # noqa: PLC0415  (NumPy takes its time)
    from otel_llm_routing.policy.reference import (  # noqa: PLC0415
        NoReferenceFileError,
        ReferenceFileError,
        dump,
        load,
    )

    if not reason.strip():
        fail("--reason is empty; say why this mix is what you want, for whoever reviews it")
    now = time.time()
    end = moment(until, now, "--until") if until else now
    if end > now:
        fail("--until is in the future; a reference is of weeks that have been")
    refuse(output)
    try:
        held = _content(output)
        try:
            before = load(output)
        except NoReferenceFileError:
            before = None
        with progress() as bar:
            found = pinning.pin(
                open_source(source, bar.advance),
                name=source,
                reason=reason,
                end=end,
                days=days,
                before=before,
                surfaces=tuple(surface or ()),
                now=now,
                progress=bar.begin,
            )
    except (SourceError, ReferenceFileError, pinning.PinError) as error:
        fail(error)
    if _content(output) != held:
        fail(f"{output}: somebody else has written it meanwhile; nothing was written, pin again")
    replace({output: dump(found.reference)})
    act = found.reference.pins[-1]
    pinned = [stream for stream in found.reference.streams if stream.pin == act.id]
    period = f"{utc(act.start.timestamp())} to {utc(act.end.timestamp())}"
    typer.echo(f"{output}: pinned {many(len(pinned), 'stream')} of {period}")
    if act.gaps:
        listed = ", ".join(str(day) for day in act.gaps[:GAPS]) + (", ..." if len(act.gaps) > GAPS else "")
        typer.echo(f"no counts of anything on {many(len(act.gaps), 'day')}, left out: {listed}")
    short = [stream for stream in pinned if stream.days < FULL_DAYS]
    if short:
        least = min(stream.days for stream in short)
        typer.echo(
            f"{many(len(short), 'stream')} with fewer than {FULL_DAYS} days, down to {least:g}: alerts on them are "
            f"slower until you pin {FULL_DAYS} days or more"
        )
    retired = {(one.surface, one.requested) for one in found.retired}
    for one in found.retired:
        typer.echo(f"retired {_stream(one)}: {one.text}")
    for one in found.skipped:
        if (one.surface, one.requested) not in retired:
            typer.echo(f"no reference for {_stream(one)}: {one.text}")
    for one in found.unsized:
        typer.echo(f"no sizes for {_stream(one)}: {one.text}")
    for one in found.restless:
        typer.echo(f"restless {_stream(one)}: {one.text}")


@app.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A reference file.")] = REFERENCE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print a reference: shares, noise, the smallest shift that would be seen, and who pinned it why."""
    from otel_llm_routing.analyze.comparison import detectable, in_words  # noqa: PLC0415

    reference = _load(file)
    if as_json:
        document = reference.model_dump(mode="json")
        for stream, written in zip(reference.streams, document["streams"], strict=True):
            written["detectable"] = detectable(stream)
            written["wobble"] = {served: _wobble(stream, share) for served, share in stream.shares.items()}
        typer.echo(json.dumps(document, indent=2))
        return
    console = terminal.console()
    for act in reference.pins:
        period = f"{utc(act.start.timestamp())} to {utc(act.end.timestamp())}"
        console.print(outside(f"pin {act.id}  {utc(act.at.timestamp())}  {period}  {act.source}"))
        console.print(outside(f"       {act.reason}"))
    table = _table("surface", "requested → served", "share", "wobbles by", "requests", "pin")
    for stream in reference.streams:
        name = outside(stream.surface)
        for served, share in stream.shares.items():
            table.add_row(
                name,
                outside(f"{stream.requested or NOT_SAID} → {served}"),
                f"{share:.1%}",
                f"±{100 * _wobble(stream, share):.1f}",
                str(round(share * stream.requests)),
                str(stream.pin),
            )
            name = Text("")
        table.add_row("", Text(in_words(detectable(stream)), style="dim"), "", "", "", "")
        table.add_section()
    console.print(table)
    for stream in reference.retired:
        by = "" if stream.retired_by is None else f" by pin {stream.retired_by}"
        console.print(outside(f"retired{by}: {stream.surface} / {stream.requested or NOT_SAID}"))


@app.command()
def diff(
    source: Annotated[str, typer.Option(help=SOURCE)],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A reference file.")] = REFERENCE,
    since: Annotated[str, typer.Option(help="A time back (24h, 7d) or a UTC time.")] = "7d",
    until: Annotated[str, typer.Option(help="The same; the default is now.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print what moved since the reference was pinned, in points, beside what is normal.

    Exits with 1 where the source has no requests with a known served model in that time.
    """
    from otel_llm_routing.analyze.comparison import compare  # noqa: PLC0415

    reference = _load(file)
    now = time.time()
    start = moment(since, now, "--since")
    end = moment(until, now, "--until") if until else now
    if start >= end:
        fail("--since is not before --until" if until else "--since is not in the past")
    try:
        with progress() as bar:
            opened = open_source(source, bar.advance)
            counts = _counts(opened, start, end)
    except SourceError as error:
        fail(error)
    empty = not counts
    changes = [compare(s, counts.pop((s.surface, s.requested), {}), end - start) for s in reference.streams]
    if as_json:
        document = {**_document(changes, counts, start, end), "partial": list(opened.warned(start))}
        typer.echo(json.dumps(document, indent=2))
    else:
        _print(changes, counts, start, end)
    if empty:
        note("no requests with a known served model in this time; otel-llm-routing report shows what the source holds")
        raise typer.Exit(1)


def _print(
    changes: list[StreamChange], unknown: dict[tuple[str, str], dict[str, int]], start: float, end: float
) -> None:
    from otel_llm_routing.analyze.comparison import in_words  # noqa: PLC0415

    table = _table("surface", "requested → served", "reference", "now", "points", "normal", "")
    for change in changes:
        name = outside(change.surface)
        for served in change.served:
            table.add_row(
                name,
                outside(f"{change.requested or NOT_SAID} → {served.served}"),
                ABSENT if served.reference is None else f"{served.reference:.1%}",
                ABSENT if served.now is None else f"{served.now:.1%}",
                "" if served.change is None else points(served.change),
                f"±{served.wobble * 100:.1f}" if served.reference is not None and change.requests else "",
                Text(_mark(served), style="bold red"),
            )
            name = Text("")
        said = in_words(change.detectable) if change.requests else "no requests with a known served model"
        table.add_row("", Text(said, style="dim"), "", "", "", "", "")
        table.add_section()
    console = terminal.console()
    console.print(f"{utc(start)} to {utc(end)}", highlight=False)
    console.print(table)
    for surface, requested in sorted(unknown):
        console.print(outside(f"no reference: {surface} / {requested or NOT_SAID}"))


def _mark(served: ServedChange) -> str:
    if served.reference is None:
        return "new"
    return "gone" if served.gone else "shifted" if served.shifted else ""


def _counts(source: Source, start: float, end: float) -> dict[tuple[str, str], dict[str, int]]:
    """Return the requests by served model of each (surface, requested identifier)."""
    from otel_llm_routing.analyze.shares import mix  # noqa: PLC0415

    counts: dict[tuple[str, str], dict[str, int]] = {}
    for surface in mix(source, start, end):
        for share in surface.served:
            of = counts.setdefault((surface.surface, share.requested), {})
            of[share.served] = of.get(share.served, 0) + share.requests
    return counts


def _document(
    changes: list[StreamChange], unknown: dict[tuple[str, str], dict[str, int]], start: float, end: float
) -> dict[str, Any]:
    return {
        "schema": "otel-llm-routing/reference-diff/v1",
        "start": utc(start),
        "end": utc(end),
        "streams": [
            {
                "surface": c.surface,
                "requested": c.requested,
                "requests": c.requests,
                "detectable": dict(c.detectable),
                "served": [{**s._asdict(), "change": s.change} for s in c.served],
            }
            for c in changes
        ],
        "without_reference": [{"surface": s, "requested": r, "served": of} for (s, r), of in sorted(unknown.items())],
    }


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _wobble(stream: ReferenceStream, share: float) -> float:
    """Return two standard deviations of how much a share wobbles by itself, 0 to 1."""
    return float(2 * (share * (1 - share) / stream.concentration) ** 0.5)


def _stream(note: StreamNote) -> str:
    return f"{outside(note.surface)} / {outside(note.requested or NOT_SAID)}"


def _load(file: Path) -> Reference:
    from otel_llm_routing.policy.reference import ReferenceFileError, load  # noqa: PLC0415

    try:
        return load(file)
    except ReferenceFileError as error:
        fail(error)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        right = column in {"share", "reference", "now", "points", "normal", "wobbles by", "requests", "pin"}
        table.add_column(column, justify="right" if right else "left", no_wrap=right, overflow="fold")
    return table
