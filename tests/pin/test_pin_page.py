"""``docs/pin.md`` and ``docs/checklist.md`` name what there is, and their examples are what is printed."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import stored
from stored import HAIKU, MINI, SONNET
from typer.testing import CliRunner

from otel_llm_routing.cli.app import app

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {name: (DOCS / f"{name}.md").read_text("utf-8") for name in ("pin", "checklist")}
AT = "2026-11-25T00:00"

folder, traffic = stored.folder, stored.traffic


@pytest.fixture
def shifted(traffic):
    return traffic.steady(autocomplete={HAIKU: 71, SONNET: 24, MINI: 5})


def words(text):
    """Return what is printed, however it is wrapped."""
    return " ".join(text.split())


@pytest.mark.parametrize("name", PAGES)
def test_the_page_names_every_option(name):
    shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).stdout
    options = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", shown)) - {"--help"}
    assert len(options) >= 11
    for option in options:
        assert f"`{option}`" in PAGES[name], option


@pytest.mark.parametrize(("name", "code"), [("pin", 0), ("checklist", 1)])
def test_the_example_of_the_page_is_what_is_printed(shifted, name, code):
    [(command, printed)] = re.findall(
        rf"```console\n\$ (otel-llm-routing {name} .*?)\n(.*?)```", PAGES[name], re.DOTALL
    )
    result = CliRunner().invoke(app, shlex.split(command)[1:], env={"COLUMNS": "100", "NO_COLOR": "1"})
    assert result.exit_code == code
    assert words(result.stdout) == words(printed)


@pytest.mark.parametrize(("name", "surface"), [("pin", "autocomplete"), ("checklist", "autocomplete")])
def test_the_page_names_every_field_of_the_document(shifted, name, surface):
    result = CliRunner().invoke(app, [name, surface, "--source", "sqlite:llm-routing.db", "--at", AT, "--json"])
    assert len(list(fields(json.loads(result.stdout)))) > 20
    for field in fields(json.loads(result.stdout)):
        assert f"`{field}`" in PAGES[name], field


def fields(value):
    if isinstance(value, dict):
        for field, inner in value.items():
            # The document's price list is described with the report.
            if field != "prices":
                yield field
                yield from fields(inner)
            else:
                yield field
    elif isinstance(value, list):
        for inner in value:
            yield from fields(inner)
