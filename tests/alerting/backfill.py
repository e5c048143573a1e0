"""Recording rules evaluated over the past by a real Prometheus, layer by layer, and written into its own blocks."""

from __future__ import annotations

import re
from pathlib import Path

import components
from simulation import SLICE, escape

NAME = re.compile(r"\bllm_routing:[a-z_]+(?::[a-z_]+)?(?::[0-9a-z]+)?\b")


def load(folder, text):
    """Write the OpenMetrics file ``text`` into the data of the Prometheus in ``folder``."""
    data = Path(folder) / "data"
    data.mkdir(exist_ok=True)
    components.run(
        components.tool("promtool"),
        *("tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=744h", "--quiet"),
        *(text, data),
    )


def record(folder, groups, start, end, binary=None):
    """Evaluate the recordings of ``groups`` at the end of every slice in ``(start, end]``, and keep what they give.

    ``promtool tsdb create-blocks-from rules`` does the same for one layer, in blocks of two hours.
    """
    for layer in _layers([rule for group in groups for rule in group["rules"] if "record" in rule]):
        path = Path(folder) / "layer.om"
        running = components.Prometheus(folder, binary=binary, flags=["--query.max-samples=200000000"])
        with running as prometheus, path.open("w", encoding="utf-8") as file:
            for name in sorted({rule["record"] for rule in layer}):
                file.write(f"# TYPE {name} gauge\n")
                for rule in layer:
                    if rule["record"] == name:
                        _write(file, rule, prometheus.range(rule["expr"], start + SLICE, end, SLICE))
            file.write("# EOF\n")
        load(folder, path)
        path.unlink()


def _write(file, rule, matrix):
    for metric, values in matrix:
        labels = {n: v for n, v in {**metric, **rule.get("labels", {})}.items() if n != "__name__" and v}
        text = ",".join(f'{n}="{escape(v)}"' for n, v in labels.items())
        file.writelines(f"{rule['record']}{{{text}}} {value!r} {at}\n" for at, value in values.items())


def _layers(rules):
    """Return the rules in layers, each of which needs only those before it."""
    records = {rule["record"] for rule in rules}
    needs = {
        name: {of for rule in rules if rule["record"] == name for of in NAME.findall(rule["expr"])} & records
        for name in records
    }
    done, layers = set(), []
    while done != records:
        ready = {name for name in records - done if needs[name] <= done}
        assert ready, f"the recordings {sorted(records - done)} need each other"
        layers.append([rule for rule in rules if rule["record"] in ready])
        done |= ready
    return layers
