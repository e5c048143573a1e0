"""What the generated rules cost a real Prometheus: evaluation time, by rule group, at 1,000 surfaces of 8 models.

Fills a Prometheus with 8 days of slices and six hours of counters, loads the rules, lets every group be evaluated a few
times, and prints how long that took. Windows, offsets and expressions are those that users load; only the interval of
the groups is shorter, so that nobody waits.

    make rulecost
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import backfill
import components
from rich.console import Console
from rich.table import Table

from otel_llm_routing.generate.prometheus import rule_file, rule_groups
from otel_llm_routing.policy.plan import plan
from otel_llm_routing.policy.reference import Mix, Pin, Reference, ReferenceStream
from otel_llm_routing.policy.schema import Policy

MODELS = [0.3, 0.2, 0.15, 0.1, 0.1, 0.07, 0.05, 0.03]
"""Reference shares."""
DAYS = 8
SLICE = 300
MINUTES = 370
"""Samples of each counter: more than the rules look back."""
TIMES = 3
"""Evaluations of each group; the first, which finds nothing cached, is not counted."""


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--surfaces", type=int, default=1000)
    arguments.add_argument("--processes", type=int, default=2, help="that count each series")
    options = arguments.parse_args()
    console = Console()
    watched = plan(_policy(options.surfaces), _reference(options.surfaces))
    with tempfile.TemporaryDirectory(prefix="rule-cost-") as name:
        folder = Path(name)
        with console.status("writing 8 days of slices"):
            _slices(folder, options.surfaces)
        with console.status("writing six hours of counters"):
            now = int(time.time())
            _counters(folder, options.surfaces, options.processes, now)
        groups = rule_groups(watched)
        for group in groups:
            group["interval"] = "60s"
        rules = folder / "rules.yaml"
        rules.write_text(rule_file(groups))
        with components.Prometheus(folder, [rules], flags=["--query.timeout=5m"]) as prometheus:
            durations = _measure(prometheus, groups, console)
    _print(console, options, durations, groups)


def _policy(surfaces: int) -> Policy:
    one = {"uses": {"router": "openrouter/auto"}, "expect": {"model-0*": {"max": "60 %"}}}
    return Policy.model_validate({"version": 1, "surfaces": {f"surface-{n}": one for n in range(surfaces)}})


def _reference(surfaces: int) -> Reference:
    day = "2026-11-02T00:00:00Z"
    act = Pin.model_validate({"id": 1, "at": day, "reason": "bench", "start": day, "end": day, "source": "bench"})
    shares = {f"model-{n}": share for n, share in enumerate(MODELS)}
    mix = Mix(pin=1, requests=28_000, days=28, design_effect=2, concentration=300, shares=shares)
    streams = [
        ReferenceStream(**mix.model_dump(), surface=f"surface-{n}", requested="openrouter/auto")
        for n in range(surfaces)
    ]
    return Reference(pins=(act,), streams=tuple(streams))


def _slices(folder: Path, surfaces: int) -> None:
    """Write one series a surface, and let Prometheus make one of each model of it."""
    end = int(time.time()) // SLICE * SLICE
    path = folder / "slices.om"
    with path.open("w") as file:
        file.write("# TYPE base gauge\n")
        for n in range(surfaces):
            labels = f'llm_routing_surface="surface-{n}",gen_ai_request_model="openrouter/auto"'
            file.writelines(f"base{{{labels}}} {n % 7 + 1} {at}\n" for at in range(end - DAYS * 86_400, end, SLICE))
        file.write("# EOF\n")
    backfill.load(folder, path)
    path.unlink()
    copied = folder / "copy.yaml"
    copied.write_text(
        rule_file(
            [
                {
                    "name": f"copy_{n}",
                    "rules": [
                        {
                            "record": "llm_routing:requests:slice5m",
                            "expr": "base",
                            "labels": {
                                "gen_ai_response_model": f"model-{n}",
                                "llm_routing_match": "resolved",
                                "llm_routing_request_kind": "router",
                            },
                        }
                    ],
                }
                for n in range(len(MODELS))
            ]
        )
    )
    with components.Prometheus(folder) as prometheus:
        components.run(
            components.tool("promtool"),
            *("tsdb", "create-blocks-from", "rules", "--url", prometheus.url, "--eval-interval=5m"),
            *("--start", str(end - DAYS * 86_400), "--end", str(end - SLICE), "--output-dir", folder / "data"),
            copied,
        )


def _counters(folder: Path, surfaces: int, processes: int, now: int) -> None:
    path = folder / "counters.om"
    with path.open("w") as file:
        file.write("# TYPE llm_routing_requests counter\n")
        for n in range(surfaces):
            for model in range(len(MODELS)):
                for process in range(processes):
                    labels = (
                        f'llm_routing_surface="surface-{n}",gen_ai_request_model="openrouter/auto",'
                        f'gen_ai_response_model="model-{model}",llm_routing_match="resolved",'
                        f'llm_routing_request_kind="router",instance="{process}"'
                    )
                    file.writelines(
                        f"llm_routing_requests_total{{{labels}}} {minute} {now - 60 * (MINUTES - minute)}\n"
                        for minute in range(MINUTES)
                    )
        file.write("# EOF\n")
    backfill.load(folder, path)
    path.unlink()


def _measure(
    prometheus: components.Prometheus, groups: list[dict[str, object]], console: Console
) -> dict[str, list[float]]:
    """Return the seconds that each group's evaluations took."""
    found: dict[str, dict[str, float]] = {str(group["name"]): {} for group in groups}
    with console.status("evaluating") as status:
        while (done := min(map(len, found.values()))) < TIMES:
            status.update(f"evaluating, {done} of {TIMES} times")
            for group in prometheus.rules():
                if broken := [rule for rule in group["rules"] if rule.get("lastError")]:
                    raise SystemExit(f"{group['name']}: {broken[0]['lastError']}")
                if group["evaluationTime"]:
                    found[group["name"]][group["lastEvaluation"]] = group["evaluationTime"]
            time.sleep(2)
    return {name: list(of.values())[1:] for name, of in found.items()}


def _print(
    console: Console,
    options: argparse.Namespace,
    durations: dict[str, list[float]],
    groups: list[dict[str, object]],
) -> None:
    table = Table(title=f"{options.surfaces} surfaces of {len(MODELS)} models, {options.processes} processes")
    for column in ("groups", "number", "interval s", "all, s", "slowest, s"):
        table.add_column(column, justify="left" if column == "groups" else "right")
    kinds: dict[str, list[list[float]]] = {}
    for name, seconds in durations.items():
        kinds.setdefault(name.rstrip("0123456789").rstrip("_"), []).append(seconds)
    for kind, of in kinds.items():
        interval = 120 if kind.endswith(("reference", "policy")) else 300
        middle = [sorted(seconds)[len(seconds) // 2] for seconds in of]
        table.add_row(kind, str(len(of)), str(interval), f"{sum(middle):.2f}", f"{max(middle):.2f}")
    console.print(table)
    rules = sum(len(group["rules"]) for group in groups)  # type: ignore[arg-type, misc]
    console.print(f"{rules:,} rules; {options.surfaces * len(MODELS) * options.processes:,} counters")


if __name__ == "__main__":
    main()
