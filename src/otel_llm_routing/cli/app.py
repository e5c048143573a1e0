"""The commands: they parse, call a wing, and print."""

from __future__ import annotations

from typing import Annotated

import typer

from otel_llm_routing import __version__
from otel_llm_routing.cli import (
    audit,
    backtest,
    check,
    checklist,
    evals,
    generate,
    models,
    pin,
    policy,
    reference,
    report,
    serve,
)

app = typer.Typer(
    help="See which concrete model really serves each product surface.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(evals.app, name="evals")
app.add_typer(generate.app, name="generate")
app.add_typer(models.app, name="models")
app.add_typer(policy.app, name="policy")
app.add_typer(reference.app, name="reference")
app.command()(audit.audit)
app.command()(backtest.backtest)
app.command()(check.check)
app.command()(checklist.checklist)
app.command()(pin.pin)
app.command()(report.report)
app.command()(serve.serve)


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
