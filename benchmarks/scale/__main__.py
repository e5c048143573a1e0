"""Run the pods, compare what the store holds with what the provider served, and print what it took.

``make scale``, or for less ``make scale ARGS="--pods 100 --store victoriametrics"``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import components
from backend.processes import resident
from collectors import WRITING, Collector, written
from fake_provider import FakeProvider
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from otel_llm_routing.generate.prometheus import rule_groups
from scale.series import Stream, series

PODS, ALIVE = 2_000, 8
AGGREGATION = Path(__file__).with_name("aggregation.yaml")
SERVED = ("claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001")
OURS = '{__name__=~"llm_routing_.+|target_info"}'
WINDOW = 300
"""Seconds of a slice of the generated rules."""


class Provided(NamedTuple):
    """One call as the provider saw it."""

    process: str
    surface: str
    served: str
    streamed: bool


class Found(NamedTuple):
    """What a run measured."""

    pods: int
    calls: int
    seconds: float
    expected: int
    """Series by arithmetic, of all pods."""
    held: int
    """Series that the store holds."""
    truth: dict[tuple[str, str], int]
    """{(surface, served): calls} at the provider."""
    counted: dict[tuple[str, str], float]
    """The same as the store's series add up."""
    ruled: dict[tuple[str, str], float]
    """The same as the recording rules count them."""
    rule_seconds: float
    """How long one slice of requests takes to compute."""
    memory: dict[str, int]
    """Resident bytes by program: at the start, and at the end."""


def main() -> int:
    """Run; return 1 where a count is not the truth."""
    parser = argparse.ArgumentParser(prog="make scale", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pods", type=int, default=PODS)
    parser.add_argument("--alive", type=int, default=ALIVE, help="pods at once")
    parser.add_argument("--store", choices=("prometheus", "victoriametrics"), default="prometheus")
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        found = run(Path(name), options.pods, options.alive, options.store, Console(stderr=True))
    console.print(_table(found))
    if found.counted != found.truth or found.ruled != found.truth:
        console.print("[bold red]the counts are not what the provider served[/]")
        return 1
    console.print("every call of every pod is counted once")
    return 0


def run(folder: Path, pods: int, alive: int, store: str, console: Console) -> Found:
    """Send what ``pods`` pods count through agent and gateway into ``store``, and measure.

    VictoriaMetrics adds the pods up as they arrive (``aggregation.yaml``); Prometheus holds each by itself.
    """
    provided: list[Provided] = []

    def route(_requested: str, body: Any) -> str:
        process, surface, *streamed = body["messages"][0]["content"].split()
        served = SERVED[len(provided) % 20 == 7]  # noqa: PLR2004  (one in twenty)
        provided.append(Provided(process, surface, served, bool(streamed)))
        return served

    to = "prometheus-remote-write" if store == "prometheus" else store
    configs = written(folder / "config", [to])
    with FakeProvider() as provider, _store(folder, store) as kept:
        provider.route = route
        writing = f"{kept.url}/api/v1/write"
        urls = {"LLM_ROUTING_PROMETHEUS_WRITE_URL": writing, "LLM_ROUTING_VICTORIAMETRICS_URL": writing}
        gateway = Collector(folder, configs / "gateway-tier2.yaml", **urls)
        with gateway, Collector(folder, configs / "agent.yaml", LLM_ROUTING_GATEWAY=gateway.grpc) as agent:
            programs = {"agent": agent, "gateway": gateway, store: kept}
            memory = {f"{name}, at the start": resident(of.process.pid) for name, of in programs.items()}
            began = time.monotonic()
            _pods(provider.url, f"http://{agent.http}/v1/metrics", pods, alive, console)
            seconds = time.monotonic() - began
            arrived = _arrived(kept, len(provided))
            memory |= {f"{name}, at the end": resident(of.process.pid) for name, of in programs.items()}
            held = sum(value for _, value in kept.query(f"count(last_over_time({OURS}[6h]))"))
            ruled, rule_seconds = _ruled(kept, time.time())
    streams = {Stream(*one[:2], "openrouter/auto", one.served, one.streamed, not one.streamed) for one in provided}
    truth = Counter((one.surface, one.served) for one in provided)
    return Found(
        pods, len(provided), seconds, series(streams), int(held), dict(truth), arrived, ruled, rule_seconds, memory
    )


def _store(folder: Path, store: str) -> Any:
    if store == "prometheus":
        return components.Prometheus(folder, flags=WRITING)
    # The same with shorter intervals, so that nobody waits.
    text = AGGREGATION.read_text("utf-8")
    config = folder / "aggregation.yaml"
    config.write_text(text.replace("interval: 1m", "interval: 5s").replace("interval: 2m", "interval: 1s"), "utf-8")
    return components.VictoriaMetrics(folder, "-search.latencyOffset=0s", f"-streamAggr.config={config}")


def _pods(provider: str, otlp: str, pods: int, alive: int, console: Console) -> None:
    command = [sys.executable, "-m", "scale.pods", provider, otlp, str(pods), str(alive)]
    columns = (TextColumn("pods"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as process,
        Progress(*columns, console=console) as bar,
    ):
        task = bar.add_task("", total=pods)
        for _ in process.stdout or ():
            bar.advance(task)
    if process.returncode:
        sys.exit("a pod failed; its error is above")


def _by_surface(vector: list[tuple[dict[str, str], float]]) -> dict[tuple[str, str], float]:
    found: Counter[tuple[str, str]] = Counter()
    for labels, value in vector:
        found[labels["llm_routing_surface"], labels["gen_ai_response_model"]] += round(value)
    return dict(found)


def _arrived(store: Any, calls: int) -> dict[tuple[str, str], float]:
    """Return what the series add up to, once all calls have arrived."""
    query = "sum by (llm_routing_surface, gen_ai_response_model) (last_over_time(llm_routing_requests_total[6h]))"

    def whole() -> dict[tuple[str, str], float] | None:
        found = _by_surface(store.query(query))
        return found if sum(found.values()) >= calls else None

    return components.wait_for(f"{calls} calls in the store", whole, 120)


def _ruled(store: Any, now: float) -> tuple[dict[tuple[str, str], float], float]:
    """Return what the generated recording rule counts in its slices, and how long the fullest took, in seconds."""
    (counting,) = (
        rule["expr"]
        for group in rule_groups(None)
        for rule in group["rules"]
        if rule.get("record") == "llm_routing:requests:slice5m"
    )
    found: Counter[tuple[str, str]] = Counter()
    longest = 0.0
    end = now + 31
    for number in range(-11, 3):
        began = time.perf_counter()
        vector = store.query(counting, at=end + WINDOW * number)
        longest = max(longest, time.perf_counter() - began)
        for key, value in _by_surface(vector).items():
            found[key] += value
    return dict(found), longest


def _table(found: Found) -> Table:
    table = Table(show_header=False)
    table.add_row("pods", f"{found.pods:,}")
    table.add_row("calls", f"{found.calls:,}")
    table.add_row("seconds", f"{found.seconds:.0f}")
    table.add_row("series, by arithmetic, if each pod has its own", f"{found.expected:,}")
    table.add_row("series that the store holds", f"{found.held:,}")
    table.add_row("one slice of requests computed in", f"{1000 * found.rule_seconds:.0f} ms")
    for name, size in found.memory.items():
        table.add_row(f"memory: {name}", f"{size / 2**20:.0f} MiB")
    for key, calls in sorted(found.truth.items()):
        counted = f"{found.counted.get(key, 0):,.0f} counted, {found.ruled.get(key, 0):,.0f} by the rules"
        table.add_row(f"{key[0]}, {key[1]}", f"{calls:,} served, {counted}")
    return table


if __name__ == "__main__":
    sys.exit(main())
