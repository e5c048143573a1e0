"""The page about traffic and router: its examples run, and its figures are those of the program."""

from __future__ import annotations

import doctest
import re
from datetime import datetime, timezone
from pathlib import Path

import adjusted_share
import numpy as np
import pytest

from otel_llm_routing.analyze.sizes import SizeTable, for_reference
from otel_llm_routing.policy import reference
from otel_llm_routing.policy.reference import Pin, Reference, ReferenceStream
from otel_llm_routing.serve.receiver import Point
from otel_llm_routing.serve.store import Store

PAGE = Path(__file__).parents[2] / "docs" / "traffic-or-router.md"
TEXT = PAGE.read_text("utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_the_example_prints_what_the_page_says():
    test = doctest.DocTestParser().get_doctest(EXAMPLES[0], {}, "example", str(PAGE), 0)
    assert len(test.examples) > 5
    failures = []
    doctest.DocTestRunner().run(test, out=failures.append)
    assert not failures, "".join(failures)


def test_the_example_with_a_source_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    at, served = datetime(2026, 1, 29, tzinfo=timezone.utc), ("sonnet", "haiku")
    counts = np.array([[1000, 1700, 1300, 550], [1000, 300, 100, 50.0]])
    table = SizeTable(served, (1024, 4096, 16384, np.inf), counts)
    stream = ReferenceStream(
        surface="autocomplete",
        requested="openrouter/auto",
        pin=1,
        requests=6000,
        days=28,
        design_effect=1,
        concentration=400,
        shares={"sonnet": 0.758, "haiku": 0.242},
        sizes=for_reference(table, 400),
    )
    act = Pin(id=1, at=at, reason="agreed", start=at, end=at, source="sqlite:llm-routing.db")
    Path("reference.yaml").write_text(reference.dump(Reference(pins=(act,), streams=(stream,))), "utf-8")
    store = Store("llm-routing.db")
    for row, name in enumerate(served):
        values = (float(counts[row].sum()), 0.0, *counts[row].tolist())
        key = ("autocomplete", "openai", "", "openrouter/auto", name, "", "", "", "", "", "shop")
        bounds = ("1024", "4096", "16384", "+Inf")
        point = Point(name.encode(), 10**18, False, 10**9, "llm_routing.input_size", key, values, bounds)
        store.write([point])
    store.close()
    exec(compile(EXAMPLES[1], PAGE.name, "exec"), {"start": 10**9, "end": 10**9 + 60})  # noqa: S102
    assert capsys.readouterr().out.startswith("Neither our traffic nor the router moved a share")


def rows(begins):
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in TEXT[TEXT.index(begins) :].split("\n\n")[0].split("\n")[2:]
    ]


def test_the_picture_is_of_the_example():
    tables = [np.array(eval(found)) for found in re.findall(r"np\.array\((.*?)\)", EXAMPLES[0])]  # noqa: S307
    picture = [
        [list(map(float, re.findall(r"[\d.]+(?= %)", cell))) for cell in row[1:]] for row in rows("| characters")
    ]
    for column, table in enumerate(tables):
        n = table.sum(axis=0)
        for bucket in range(4):
            of, haiku = 100 * n[bucket] / n.sum(), 100 * table[1, bucket] / n[bucket]
            assert picture[bucket][column] == pytest.approx([of, haiku], abs=0.51), (column, bucket)
        assert picture[4][column][0] == pytest.approx(100 * table[1].sum() / table.sum(), abs=0.051)


def test_the_table_is_that_of_the_benchmark():
    found = {row[0]: [int(cell.rstrip("%")) / 100 for cell in row[2:]] for row in rows("| 200 requests/day")}
    assert list(found) == [scenario.name for scenario in adjusted_share.SCENARIOS]
    for scenario in adjusted_share.SCENARIOS[1::4]:
        assert adjusted_share.compare(scenario, 8)[:3] == pytest.approx(found[scenario.name], abs=0.35)
