"""``otel-llm-routing report``: what served each surface in a day or a range, and what is to be made of it."""

from __future__ import annotations

import functools
import json
import os
import time
from datetime import date, datetime, timedelta, timezone, tzinfo
from importlib import import_module
from pathlib import Path  # noqa: TC003  (typer reads it)
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from otel_llm_routing.analyze.sources import SOURCE, SourceError, open_source
from otel_llm_routing.analyze.sources.sqlite import BUCKET
from otel_llm_routing.analyze.window import utc
from otel_llm_routing.cli import terminal
from otel_llm_routing.cli.failure import fail, note
from otel_llm_routing.cli.files import refuse, replace
from otel_llm_routing.cli.options import POLICY, REFERENCE, PolicyFile, ReferenceFile, files, held, moment
from otel_llm_routing.cli.progress import progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from otel_llm_routing.analyze.report.model import Report
    from otel_llm_routing.policy.reference import Reference
    from otel_llm_routing.policy.schema import Policy

Format = Literal["terminal", "markdown", "json", "html"]


class Range(NamedTuple):
    """The seconds since the epoch that a report is of."""

    start: float
    end: float


def report(
    source: Annotated[str, typer.Option(help=SOURCE)],
    policy: PolicyFile = None,
    reference: ReferenceFile = None,
    since: Annotated[
        str | None,
        typer.Option(help="A time back (24h, 7d, 30m) or a UTC time (2026-11-01T00:00).", show_default="24h"),
    ] = None,
    until: Annotated[str | None, typer.Option(help="The same.", show_default="now")] = None,
    day: Annotated[str | None, typer.Option(help="A day, instead of the two: 2026-11-24, today or yesterday.")] = None,
    timezone_: Annotated[
        str, typer.Option("--timezone", help="Where days begin at midnight, such as Europe/Vienna.")
    ] = "UTC",
    format: Annotated[  # noqa: A002
        Format, typer.Option(help="For people, for a chat or a pull request, for scripts, or as a page.")
    ] = "terminal",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 if something shifted, with 2 if calm would mean nothing.")
    ] = False,
    webhook: Annotated[
        str | None,
        typer.Option(help="Send a message to this URL too (Slack's format); env:NAME reads it from the environment."),
    ] = None,
    costs: Annotated[bool, typer.Option("--costs/--no-costs", help="Price what served models read and wrote.")] = True,
    false_alarm_days: Annotated[
        float | None,
        typer.Option(
            min=1,
            max=1_000_000,
            help="Days in which all surfaces together may raise one false alarm.",
            show_default="1000 for each surface",
        ),
    ] = None,
) -> None:
    """Say what served each surface, how that compares with the reference, and what shifted.

    Without a policy and a reference it gives the shares alone. Exits with 1 where there is nothing to report.
    """
    now = time.time()
    zone = _zone(timezone_)
    start, end = _range(since, until, day, zone, now)
    address = _webhook(webhook)
    refuse(output)
    said, pinned = files(policy, reference)
    if exit_code and said is None and pinned is None:
        fail(f"--exit-code judges by {REFERENCE} or {POLICY}, and there is neither here; name them")
    render = _renderer(format)
    made = _build(source, Range(start, end), now, said, pinned, zone, costs, false_alarm_days)
    if format != "terminal" or made.surfaces:  # that there is nothing is said anyway
        _write(made, render, output)
    if address:
        _send(address, made)
    if not made.requests:
        note(f"no calls between {utc(start)} and {utc(end)}; {held(made.held)}")
        raise typer.Exit(2 if exit_code else 1)
    if exit_code:
        if made.at("alarm"):
            raise typer.Exit(1)
        if not made.judged:
            note("the source answered in part only; calm would mean nothing")
            raise typer.Exit(2)


# What to report -------------------------------------------------------------------------------------------------------


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    if name.upper() == "UTC":
        return timezone.utc
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not known, not a name, or a folder of the database
        fail(f"--timezone {name[:40]!r} is no time zone that is known here; name one such as Europe/Vienna, or UTC")


def _range(since: str | None, until: str | None, day: str | None, zone: tzinfo, now: float) -> Range:
    if day is not None:
        if since is not None or until is not None:
            fail("--day is a range by itself; leave out --since and --until, or name those")
        return _day(day, zone, now)
    start = moment("24h" if since is None else since, now, "--since")
    end = moment(until, now, "--until") if until else now + BUCKET
    if start >= end:
        fail("--since is not before --until")
    return Range(start, end)


def _day(text: str, zone: tzinfo, now: float) -> Range:
    today = datetime.fromtimestamp(now, zone).date()
    try:
        named = {"today": today, "yesterday": today - timedelta(days=1)}.get(text) or date.fromisoformat(text)
        first, last = (
            datetime(at.year, at.month, at.day, tzinfo=zone).timestamp() for at in (named, named + timedelta(days=1))
        )
    except (ValueError, OverflowError):
        fail(f"--day {text[:40]!r} is no day such as 2026-11-24, today or yesterday")
    if first > now:
        fail(f"--day {text} has not begun")
    if first < 0:
        fail(f"--day {text} is before 1970")
    return Range(first, last)


def _build(
    source: str,
    of: Range,
    now: float,
    policy: Policy | None,
    reference: Reference | None,
    zone: tzinfo,
    costs: bool,
    false_alarm_days: float | None,
) -> Report:
    from otel_llm_routing.analyze.report.build import build  # noqa: PLC0415  (NumPy takes its time)

    try:
        with progress() as bar:
            return build(
                open_source(source, bar.advance),
                *of,
                now=now,
                policy=policy,
                reference=reference,
                name=source,
                zone=zone,
                costs=costs,
                false_alarm_days=false_alarm_days,
                progress=bar.begin,
            )
    except SourceError as error:
        fail(error)


# Where it goes --------------------------------------------------------------------------------------------------------


def _renderer(as_format: Format) -> Callable[[Report], str] | None:
    """Return what writes a report in a format; None: a terminal's, which is drawn."""
    if as_format == "json":
        from otel_llm_routing.analyze.report.document import as_json  # noqa: PLC0415

        return lambda made: json.dumps(as_json(made), indent=2) + "\n"
    if as_format == "markdown":
        from otel_llm_routing.analyze.report.markdown import as_markdown  # noqa: PLC0415

        return as_markdown
    if as_format == "html":
        try:
            html = import_module("otel_llm_routing.analyze.report.html")
        except ModuleNotFoundError as error:
            fail(f"{error.name} is not installed; --format html needs: pip install 'otel-llm-routing[html]'")
        as_html: Callable[[Report], str] = html.as_html
        return as_html
    return None


def _write(made: Report, render: Callable[[Report], str] | None, output: Path | None) -> None:
    if render is None and output is None:
        _draw(made, terminal.console(least=1))
        return
    text = terminal.page(functools.partial(_draw, made)) if render is None else render(made)
    if output is None:
        typer.echo(text, nl=False)
    else:
        replace({output: text})


def _draw(made: Report, console: Console) -> None:
    from otel_llm_routing.analyze.report.terminal import as_text  # noqa: PLC0415

    console.print(as_text(made, console.width))


def _webhook(webhook: str | None) -> str:
    """Return the address that ``--webhook`` names, or nothing."""
    from otel_llm_routing.analyze.report.webhook import WebhookError, host  # noqa: PLC0415

    if webhook is None:
        return ""
    name = webhook.removeprefix("env:") if webhook.startswith("env:") else ""
    address = os.environ.get(name, "").strip() if name else webhook.strip()
    if not address:
        fail(f"--webhook: the environment variable {name} is empty" if name else "--webhook is empty")
    try:
        host(address)
    except WebhookError as error:
        fail(error)
    return address


def _send(address: str, made: Report) -> None:
    from otel_llm_routing.analyze.report.webhook import WebhookError, message, send  # noqa: PLC0415

    try:
        send(address, message(made))
    except WebhookError as error:
        fail(error)
