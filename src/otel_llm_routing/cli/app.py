"""The commands: they parse, call a wing, and print."""

from __future__ import annotations

import json
import os
import time
from typing import Annotated, Literal

import typer
from rich.console import Console

from otel_llm_routing import __version__
from otel_llm_routing.analyze.report import as_json, as_table
from otel_llm_routing.analyze.shares import mix
from otel_llm_routing.analyze.sources import SourceError, open_source
from otel_llm_routing.analyze.sources.sqlite import BUCKET
from otel_llm_routing.analyze.window import moment, utc
from otel_llm_routing.cli import check, generate, models, policy, reference
from otel_llm_routing.cli.failure import fail

app = typer.Typer(
    help="See which concrete model really serves each product surface.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(generate.app, name="generate")
app.add_typer(models.app, name="models")
app.add_typer(policy.app, name="policy")
app.add_typer(reference.app, name="reference")
app.command()(check.check)


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
    retention: Annotated[float, typer.Option(min=0.01, max=36_500, help="Days that counts are kept.")] = 90,
    max_series: Annotated[int, typer.Option(min=1, help="Series kept apart; past it they become 'other'.")] = 100_000,
) -> None:
    """Receive OTLP, keep the counts in one SQLite file, and show the mix of every surface on a page."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it would add its own lines to ours
    try:
        from otel_llm_routing.serve.app import Options, run  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed; serve needs: pip install 'otel-llm-routing[serve]'")

    def ready(grpc: int, http: int) -> None:
        name = f"[{host}]" if ":" in host else host
        typer.echo(f"OTLP/gRPC http://{name}:{grpc}")
        typer.echo(f"OTLP/HTTP http://{name}:{http}")
        typer.echo(f"page      http://{name}:{http}/")
        typer.echo(f"database  {db}")

    try:
        run(Options(db, host, grpc_port, http_port, retention, max_series), ready)
    except SourceError as error:
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
    start = _moment(since, now, "--since")
    end = _moment(until, now, "--until") if until else now + BUCKET
    if start >= end:
        fail("--since is not before --until")
    try:
        opened = open_source(source)
        mixes = mix(opened, start, end)
        extent = None if mixes else opened.extent()
    except SourceError as error:
        fail(error)
    if format == "json":
        typer.echo(json.dumps(as_json(mixes, start, end), indent=2))
    elif mixes:
        Console().print(as_table(mixes, start, end))
    if not mixes:
        held = (
            "none were ever received" if extent is None else f"there are some from {utc(extent[0])} to {utc(extent[1])}"
        )
        typer.echo(f"otel-llm-routing: no calls between {utc(start)} and {utc(end)}; {held}", err=True)
        raise typer.Exit(1)


def _moment(text: str, now: float, option: str) -> float:
    try:
        return moment(text, now)
    except ValueError as error:
        fail(f"{option} {error}")
