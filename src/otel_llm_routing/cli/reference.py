"""``otel-llm-routing reference``: pin the mix that shares are compared with, and see what moved since."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from otel_llm_routing.analyze.sources import SourceError, open_source
from otel_llm_routing.analyze.window import moment, utc
from otel_llm_routing.cli.failure import fail
from otel_llm_routing.cli.files import replace

if TYPE_CHECKING:
    from otel_llm_routing.analyze.comparison import StreamChange
    from otel_llm_routing.policy.reference import Reference

app = typer.Typer(
    help="The model mix that shares are compared with: pin it, show it, see what moved.", no_args_is_help=True
)

SOURCE = "Where counts come from: sqlite:PATH or prometheus:URL."
ABSENT = "\N{EN DASH}"


@app.command()
def pin(
    source: Annotated[str, typer.Option(help=SOURCE)],
    reason: Annotated[str, typer.Option(help="Why this mix is what you want; it is kept in the file.")],
    days: Annotated[int, typer.Option(min=1, max=366, help="Days to look back; at least 14.")] = 28,
    until: Annotated[str, typer.Option(help="The end of the period: a time back (3d) or a UTC time; now.")] = "",
    surface: Annotated[
        list[str] | None, typer.Option(help="Pin only this surface anew; may be given several times.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file; its history is kept.")] = Path(
        "reference.yaml"
    ),
) -> None:
    """Write the mix of the last weeks, and how much it wobbles, to a file that is reviewed and committed."""
    from otel_llm_routing.analyze import reference as pinning  # noqa: PLC0415  (NumPy takes its time)
    from otel_llm_routing.policy.reference import ReferenceFileError, dump, load  # noqa: PLC0415

    if not reason.strip():
        fail("--reason is empty; say why this mix is what you want, for whoever reviews it")
    now = time.time()
    try:
        end = moment(until, now) if until else now
    except ValueError as error:
        fail(f"--until {error}")
    console = Console(stderr=True)
    try:
        before = load(output) if output.exists() else None
        with console.status("") as status:
            made, skipped = pinning.pin(
                open_source(source),
                name=source,
                reason=reason,
                end=end,
                days=days,
                before=before,
                surfaces=tuple(surface or ()),
                now=now,
                progress=status.update,
            )
    except (SourceError, ReferenceFileError, pinning.PinError) as error:
        fail(error)
    replace({output: dump(made)})
    act = made.pins[-1]
    pinned = [stream for stream in made.streams if stream.pin == act.id]
    typer.echo(f"{output}: pinned {len(pinned)} streams of {utc(act.start.timestamp())} to {utc(act.end.timestamp())}")
    for without in skipped:
        typer.echo(f"no reference for {without.surface} / {without.requested or '(not said)'}: {without.reason}")
    was = set() if before is None else {(s.surface, s.requested) for s in before.streams}
    for stream in made.retired:
        if (stream.surface, stream.requested) in was:
            typer.echo(
                f"retired {stream.surface} / {stream.requested or '(not said)'}: too few requests in this period"
            )


@app.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A reference file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print a reference: shares, noise, the smallest shift that would be seen, and who pinned it why."""
    from otel_llm_routing.analyze.comparison import detectable, in_words  # noqa: PLC0415

    reference = _load(file)
    if as_json:
        document = reference.model_dump(mode="json")
        for stream, written in zip(reference.streams, document["streams"], strict=True):
            written["detectable"] = detectable(stream)
        typer.echo(json.dumps(document, indent=2))
        return
    console = Console()
    for act in reference.pins:
        period = f"{utc(act.start.timestamp())} to {utc(act.end.timestamp())}"
        console.print(Text(f"pin {act.id}  {utc(act.at.timestamp())}  {period}  {act.source}\n       {act.reason}"))
    table = _table("surface", "requested → served", "share", "wobbles by", "requests", "pin")
    for stream in reference.streams:
        name = Text(stream.surface)
        for served, share in stream.shares.items():
            own = 100 * (share * (1 - share) / stream.concentration) ** 0.5
            table.add_row(
                name,
                Text(f"{stream.requested or '(not said)'} → {served}"),
                f"{share:.1%}",
                f"±{2 * own:.1f}",
                str(round(share * stream.requests)),
                str(stream.pin),
            )
            name = Text("")
        table.add_row("", Text(in_words(detectable(stream)), style="dim"), "", "", "", "")
        table.add_section()
    console.print(table)


@app.command()
def diff(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A reference file.")],
    source: Annotated[str, typer.Option(help=SOURCE)],
    since: Annotated[str, typer.Option(help="A time back (24h, 7d) or a UTC time.")] = "7d",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print what moved since the reference was pinned, in points, beside what is normal."""
    from otel_llm_routing.analyze.comparison import compare, in_words  # noqa: PLC0415
    from otel_llm_routing.analyze.shares import mix  # noqa: PLC0415

    reference = _load(file)
    now = time.time()
    try:
        start = moment(since, now)
    except ValueError as error:
        fail(f"--since {error}")
    if start >= now:
        fail("--since is not in the past")
    counts: dict[tuple[str, str], dict[str, int]] = {}
    try:
        for surface in mix(open_source(source), start, now):
            for share in surface.served:
                of = counts.setdefault((surface.surface, share.requested), {})
                of[share.served] = of.get(share.served, 0) + share.requests
    except SourceError as error:
        fail(error)
    changes = [compare(s, counts.pop((s.surface, s.requested), {}), now - start) for s in reference.streams]
    if as_json:
        typer.echo(json.dumps(_document(changes, counts, start, now), indent=2))
        return
    table = _table("surface", "requested → served", "reference", "now", "points", "normal", "")
    for change in changes:
        name = Text(change.surface)
        for served in change.served:
            route = Text(f"{change.requested or '(not said)'} → {served.served}")
            moved = "" if served.change is None else f"{served.change * 100:+.1f}"
            table.add_row(
                name,
                route,
                ABSENT if served.reference is None else f"{served.reference:.1%}",
                ABSENT if served.now is None else f"{served.now:.1%}",
                moved,
                f"±{served.wobble * 100:.1f}" if served.reference is not None and change.requests else "",
                Text(_mark(served.reference, served.shifted, served.requests), style="bold red"),
            )
            name = Text("")
        note = in_words(change.detectable) if change.requests else "no requests with a known served model"
        table.add_row("", Text(note, style="dim"), "", "", "", "", "")
        table.add_section()
    console = Console()
    console.print(table)
    for name_, requested in sorted(counts):
        console.print(Text(f"no reference: {name_} / {requested or '(not said)'}"))


def _mark(reference: float | None, shifted: bool, requests: int) -> str:
    if reference is None:
        return "new" if requests else ""
    return "shifted" if shifted else ""


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
