"""The commands: they parse, call a wing, and print."""

from __future__ import annotations

import json
import os
import re
import time
from datetime import datetime, timezone
from typing import Annotated, Literal, NoReturn

import typer
from rich.console import Console

from otel_llm_routing import __version__
from otel_llm_routing.analyze.report import as_json, as_table
from otel_llm_routing.analyze.shares import mix
from otel_llm_routing.analyze.sources import SourceError, open_source
from otel_llm_routing.analyze.sources.sqlite import BUCKET
from otel_llm_routing.cli import models

app = typer.Typer(
    help="See which concrete model really serves each product surface.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(models.app, name="models")


def fail(message: object) -> NoReturn:
    """Say what is wrong, and exit with 2."""
    typer.echo(f"otel-llm-routing: {message}", err=True)
    raise typer.Exit(2)


def _version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def serve(
    db: Annotated[str, typer.Option(help="The SQLite file; created if there is none.")] = "llm-routing.db",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="OTLP/gRPC; 0 takes a free one.")] = 4317,
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="OTLP/HTTP and the page; 0: a free one.")] = 4318,
    retention: Annotated[float, typer.Option(min=0.01, help="Days that counts are kept.")] = 90,
) -> None:
    """Receive OTLP, keep the counts in one SQLite file, and show the mix of every surface on a page."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it would add its own lines to ours
    try:
        from otel_llm_routing.serve.app import run  # noqa: PLC0415  (an extra)
        from otel_llm_routing.serve.store import StoreError  # noqa: PLC0415
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed; serve needs: pip install 'otel-llm-routing[serve]'")

    def ready(otlp: int, page: int) -> None:
        typer.echo(f"OTLP/gRPC http://{host}:{otlp}")
        typer.echo(f"OTLP/HTTP http://{host}:{page}")
        typer.echo(f"page      http://{host}:{page}/")
        typer.echo(f"database  {db}")

    try:
        run(db, host, grpc_port, http_port, retention, ready)
    except StoreError as error:
        fail(error)


@app.command()
def report(
    source: Annotated[str, typer.Option(help="Where counts come from: sqlite:PATH.")],
    since: Annotated[str, typer.Option(help="A time back (24h, 7d, 30m) or a UTC time (2026-11-01T00:00).")] = "24h",
    until: Annotated[str, typer.Option(help="The same; the default is now.")] = "",
    format: Annotated[  # noqa: A002
        Literal["terminal", "json"], typer.Option(help="A table for people, or JSON for scripts.")
    ] = "terminal",
) -> None:
    """Print the share of every served model, by surface. Exits with 1 where there is nothing to report."""
    now = time.time()
    start, end = _time(since, now, "--since"), _time(until, now, "--until") if until else now + BUCKET
    if start >= end:
        fail("--since is not before --until")
    try:
        mixes = mix(open_source(source), start, end)
    except SourceError as error:
        fail(error)
    if format == "json":
        typer.echo(json.dumps(as_json(mixes, start, end), indent=2))
    elif mixes:
        Console().print(as_table(mixes, start, end))
    if not mixes:
        typer.echo(f"otel-llm-routing: no calls between {_utc(start)} and {_utc(end)}; try a longer --since", err=True)
        raise typer.Exit(1)


_BACK = re.compile(r"(\d{1,6}(?:\.\d+)?)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def _time(text: str, now: float, option: str) -> float:
    if (back := _BACK.fullmatch(text)) is not None:
        return now - float(back[1]) * _SECONDS[back[2]]
    try:
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        fail(f"{option} {text!r} is neither a time back such as 24h nor a time such as 2026-11-01T00:00")
    return (when if when.tzinfo else when.replace(tzinfo=timezone.utc)).timestamp()


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
