"""What the commands say of themselves: paragraphs that the terminal breaks, at whatever width."""

from __future__ import annotations

import itertools
import re

import pytest
import typer
from typer.testing import CliRunner

from otel_llm_routing.cli.app import app


def commands(group, path=()):
    """Yield the words that call each command."""
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))
        yield (*path, name)


COMMANDS = sorted(commands(typer.main.get_command(app)))


def described(words, columns):
    """Return the paragraphs above the options, each with its lines."""
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": str(columns), "NO_COLOR": "1"}).stdout
    text = re.split(r"^╭", shown, maxsplit=1, flags=re.MULTILINE)[0]
    return [[line.strip() for line in part.splitlines() if line.strip()] for part in re.split(r"\n\s*\n", text)][1:]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_line_of_the_help_ends_before_it_is_full(words):
    paragraphs = [lines for lines in described(words, 80) if lines]
    assert paragraphs
    for lines in paragraphs:
        for line, following in itertools.pairwise(lines):
            assert len(line) + 1 + len(following.split()[0]) > 76, line


def test_there_are_commands_to_ask():
    assert ("evals", "plan") in COMMANDS
    assert len(COMMANDS) > 15
