"""``otel-llm-routing models``: what is known about identifiers, and which rule said so."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from otel_llm_routing.cli import terminal
from otel_llm_routing.models import RULES_VARIABLE, RulesError, classify, load_rules

app = typer.Typer(help="What is known about model identifiers.", no_args_is_help=True)


@app.callback()
def _main() -> None:
    pass


@app.command("classify")
def classify_(
    names: Annotated[list[str], typer.Argument(metavar="MODEL", help="Identifiers as an application sends them.")],
    provider: Annotated[str | None, typer.Option(help="The provider, as in gen_ai.provider.name.")] = None,
    rules: Annotated[str | None, typer.Option(help="A JSON file of rules that come before the built-in ones.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say whether each MODEL is pinned, an alias, a router, or unknown, and which rule says so."""
    try:
        # An application logs a broken file and goes on; whoever asks here wants to know.
        path = rules or os.environ.get(RULES_VARIABLE)
        own = load_rules(path) if path else None
    except RulesError as error:
        typer.echo(f"otel-llm-routing: {error}", err=True)
        raise typer.Exit(2) from None
    found = [classify(name, provider, own) for name in names]
    if as_json:
        documents = [
            {
                "model": c.model,
                "provider": c.provider,
                "kind": c.kind,
                "rule": c.rule.id if c.rule else None,
                "evidence": c.rule.evidence if c.rule else None,
                "source": c.rule.source if c.rule else None,
                "note": c.rule.note if c.rule else None,
            }
            for c in found
        ]
        typer.echo(json.dumps(documents, indent=2))
        return
    table = Table(pad_edge=False)
    for column in ("model", "kind", "provider", "rule", "evidence", "source"):
        table.add_column(column, overflow="fold")
    for c in found:
        if c.rule is None:
            row = (c.model, c.kind, c.provider or "", "no rule knows it", "", "")
        else:
            source = f"{c.rule.source}. {c.rule.note}" if c.rule.note else c.rule.source
            row = (c.model, c.kind, c.provider or "", c.rule.id, c.rule.evidence, source)
        table.add_row(*(Text(cell) for cell in row))
    terminal.console().print(table)
