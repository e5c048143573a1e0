"""The command line. ``main`` is what ``otel-llm-routing`` runs."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper


def main() -> None:
    """Run the command line, or say what it needs to be installed."""
    # Names may be of any script, and a terminal or a pipe of few: a question mark is better than no report.
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")
    try:
        from otel_llm_routing.cli.app import app  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"otel-llm-routing: {error.name} is not installed; the command line needs: "
            "pip install 'otel-llm-routing[cli]'\n"
        )
        raise SystemExit(2) from None
    try:
        app()
    except OSError as error:  # what is printed to may be full
        sys.stderr.write(f"otel-llm-routing: {error}; nothing more was written\n")
        _give_up_what_cannot_be_written()
        raise SystemExit(2) from None


def _give_up_what_cannot_be_written() -> None:
    """Keep the interpreter from trying it again at its end, which would have an exit code of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
