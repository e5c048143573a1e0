"""The commands: they parse, call a wing, and print."""

from __future__ import annotations

import inspect
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


def _let_the_terminal_break_lines(commands: typer.Typer) -> None:
    """Join the lines of each paragraph of every command's help: typer does so with the first alone."""
    for command in commands.registered_commands:
        written = inspect.getdoc(command.callback) or ""
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in written.split("\n\n"))
    for group in commands.registered_groups:
        if group.typer_instance is not None:
            _let_the_terminal_break_lines(group.typer_instance)


_let_the_terminal_break_lines(app)


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
