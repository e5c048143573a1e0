"""What a command says beside its result, and how it ends if it cannot do what it was asked."""

from __future__ import annotations

from typing import NoReturn

import typer


def note(message: str) -> None:
    """Say what is to be known beside the result, which scripts read."""
    typer.echo(f"otel-llm-routing: {message}", err=True)


def fail(message: object) -> NoReturn:
    """Say what is wrong, and exit with 2."""
    note(str(message))
    raise typer.Exit(2)
