"""The Python examples of the README and of the pages about the instrumentation run, and do what is said of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from driver import MESSAGES
from sdk_drivers import OpenAIChat

ROOT = Path(__file__).parents[2]
EXAMPLES = [
    (name, code)
    for name in ("README.md", "docs/instrumentation.md", "docs/surfaces.md")
    for code in re.findall(r"```python\n(.*?)```", (ROOT / name).read_text("utf-8"), re.DOTALL)
]


def test_every_page_has_its_example():
    assert {name for name, _ in EXAMPLES} == {"README.md", "docs/instrumentation.md", "docs/surfaces.md"}


@pytest.mark.parametrize(("name", "code"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_an_example_runs(telemetry, provider, name, code):
    client = OpenAIChat(provider.url).client
    exec(compile(code, name, "exec"), {"client": client, "messages": MESSAGES})  # noqa: S102
    if "surface(" in code:
        assert telemetry.one()["llm_routing.surface"] == "autocomplete"
    else:
        client.chat.completions.create(model="auto", messages=MESSAGES)
        telemetry.one()
