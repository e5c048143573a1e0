"""Tokens by served model are the same numbers from a database and from a real Prometheus."""

from __future__ import annotations

import components
import pytest
from backfill import load
from stored import AUTO, HAIKU, SONNET, at, key

from otel_llm_routing import semconv
from otel_llm_routing.analyze.sources import open_source
from otel_llm_routing.analyze.tokens import Caller, read

START, END = at("2026-11-24"), at("2026-11-25")
NAMES = ("llm_routing.surface", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model")
CALLERS = [
    Caller("autocomplete", "openrouter", AUTO, SONNET),
    Caller("autocomplete", "openrouter", AUTO, HAIKU),
    Caller("chart-tooltip", "openai", "gpt-5-mini", ""),
]
GREW = {
    # Twice within the day, and once before it.
    semconv.INPUT_TOKENS_TOTAL: ((START - 3600, 1000), (START + 3600, 500), (START + 7200, 250)),
    semconv.OUTPUT_TOKENS_TOTAL: ((START - 3600, 100), (START + 3600, 50), (START + 7200, 25)),
}


def of_a_database(traffic, folder):
    traffic.write(
        (when, key(caller.surface, caller.requested, caller.served, caller.provider), grew * number, metric)
        for number, caller in enumerate(CALLERS, 1)
        for metric, points in GREW.items()
        for when, grew in points
    )
    return traffic.source


def of_prometheus(traffic, folder):
    with (folder / "counts.om").open("w", encoding="utf-8") as file:
        for metric, points in GREW.items():
            name = metric.replace(".", "_")
            file.write(f"# TYPE {name} counter\n")
            for number, caller in enumerate(CALLERS, 1):
                labels = ",".join(
                    f'{label.replace(".", "_")}="{word}"' for label, word in zip(NAMES, caller, strict=True) if word
                )
                total, grown = 0, dict(points)
                for when in range(START - 3600, START + 7500, 300):
                    total += grown.get(when, 0) * number
                    file.write(f"{name}_total{{{labels}}} {total} {when}\n")
        file.write("# EOF\n")
    load(folder, folder / "counts.om")


@pytest.mark.parametrize("store", [of_a_database, of_prometheus])
def test_tokens_of_a_day(traffic, folder, store):
    name = store(traffic, folder)
    if name is None:
        with components.Prometheus(folder) as prometheus:
            found = read(open_source(f"prometheus:{prometheus.url}"), START, END)
    else:
        found = read(open_source(name), START, END)
    assert {caller: (round(of.read), round(of.written)) for caller, of in found.items()} == {
        caller: (750 * number, 75 * number) for number, caller in enumerate(CALLERS, 1)
    }


def test_a_source_without_tokens(traffic):
    assert read(open_source(traffic.steady("2026-11-24").source), START, END) == {}
