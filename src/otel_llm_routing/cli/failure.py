"""How a command ends that cannot do what it was asked."""

from __future__ import annotations

from typing import NoReturn

import typer


def fail(message: object) -> NoReturn:
    """Say what is wrong, and exit with 2."""
    typer.echo(f"otel-llm-routing: {message}", err=True)
    raise typer.Exit(2)
