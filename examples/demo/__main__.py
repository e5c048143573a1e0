"""Runs the demo; see ``--help``."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from otel_llm_routing.analyze.shares import SurfaceMix, mix
from otel_llm_routing.analyze.sources.sqlite import BUCKET, SQLiteSource

BIN = Path(sys.executable).parent
# Surface: path, shortest and longest prompt in characters, share of the traffic.
SURFACES = {
    "autocomplete": ("/complete", 20, 120, 0.6),
    "chart-tooltip": ("/charts/tooltip", 120, 400, 0.3),
    "long-form-draft": ("/drafts", 1500, 4000, 0.1),
}
RULES = ";".join(f"{name}={path}" for name, (path, *_) in SURFACES.items())
START = {"threshold": 40}
SCENARIOS: dict[str, tuple[str, dict[str, Any]]] = {
    "relax": ("the router's threshold moves from 40 to 120 characters", {"threshold": 120}),
    "pool-swap": (
        "the strong model of the pool is swapped",
        {"pool": ["claude-haiku-4-5-20251001", "claude-opus-4-5-20251101"]},
    ),
    "new-model": (
        "a new model takes a fifth of everything",
        {"newcomer": "claude-haiku-5-5", "newcomer_share": 0.2},
    ),
    "steady": ("nothing changes", {}),
}
CERTAIN = 4.0
"""Standard errors by which two shares must differ before the demo calls it a shift; noise alone does it about once in
15,000 comparisons."""
FEWEST = 3.0
"""Points below which a change is not worth naming, however certain."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make demo", description="Watch the model mix of three surfaces shift.")
    parser.add_argument("--scenario", choices=SCENARIOS, default="relax")
    parser.add_argument("--requests", type=int, default=400, metavar="N", help="before the change, and again after it")
    parser.add_argument("--keep", action="store_true", help="leave the page up until Ctrl-C")
    parser.add_argument("--json", metavar="FILE", help="also write what was measured, and the provider's own log")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        try:
            run(arguments, stack, Console())
        except KeyboardInterrupt:
            Console(stderr=True).print("stopped")
            sys.exit(130)


def run(arguments: argparse.Namespace, stack: contextlib.ExitStack, console: Console) -> None:
    """Start the provider, the server and the application; drive both halves; say what moved."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llm-routing-demo-")))
    provider = json.loads(first_line(start(stack, folder, "provider", [sys.executable, "-m", "fake_provider"])))["url"]
    database = folder / "demo.db"
    serving = start(
        stack,
        folder,
        "serve",
        [BIN / "otel-llm-routing", "serve", "--db", database, "--grpc-port", "0", "--http-port", "0"],
    )
    otlp = first_line(serving).split()[1]
    first_line(serving)
    page = first_line(serving).split()[1]
    port = free_port()
    environment = {
        "PROVIDER_URL": provider,
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_SERVICE_NAME": "demo",
        "OTEL_LLM_ROUTING_SURFACES": RULES,
        "PYTHONWARNINGS": "ignore",
    }
    command = [BIN / "opentelemetry-instrument", BIN / "uvicorn", "demo.app:app", "--port", str(port)]
    start(stack, folder, "application", [*command, "--log-level", "warning"], environment)
    url = f"http://127.0.0.1:{port}"
    until_up(url, folder)
    console.print(f"page      {page}")
    what, settings = SCENARIOS[arguments.scenario]
    control(provider, START)
    sent = random.Random(11)  # noqa: S311  (traffic, not a secret)
    windows = []
    for half, changes in (("before", {}), ("after", settings)):
        already = len(control(provider, changes)["served"])
        console.print(f"[bold]{half}[/]" + (f": {what}; the application's code does not change" if changes else ""))
        begin = next_bucket()
        drive(url, arguments.requests, sent, console)
        wait_for(database, begin, arguments.requests)
        windows.append((begin, time.time() + 1))
        served = control(provider, {})["served"][already:]
        windows[-1] += (served,)
    source = SQLiteSource(str(database))
    mixes = [{m.surface: m for m in mix(source, begin, end)} for begin, end, _ in windows]
    show(mixes[0], mixes[1], console)
    shifts = [shift for name in SURFACES if (shift := moved(mixes[0].get(name), mixes[1].get(name))) is not None]
    for name in SURFACES:
        found = next((s for s in shifts if s["surface"] == name), None)
        if found is None:
            console.print(f"{name}: steady, no share moved beyond noise")
        else:
            console.print(
                f"[bold]{name} shifted[/]: {found['served']} went from {found['before']:.0%} to {found['after']:.0%} "
                f"({found['points']:+.0f} points)"
            )
    if arguments.json:
        document = {
            "scenario": arguments.scenario,
            "shifts": shifts,
            "served": [w[2] for w in windows],
            "measured": [{n: m.by_model() for n, m in half.items()} for half in mixes],
            "requests": [{n: m.requests for n, m in half.items()} for half in mixes],
        }
        Path(arguments.json).write_text(json.dumps(document), "utf-8")
    console.print(f"page      {page}" + ("" if arguments.keep else "  (make demo ARGS=--keep leaves it up)"))
    if arguments.keep:
        console.print("Ctrl-C ends it")
        signal.pause()


def moved(before: SurfaceMix | None, after: SurfaceMix | None) -> dict[str, Any] | None:
    """Return the share that moved most beyond noise, by a two-proportion z-test; None where none did."""
    if before is None or after is None or not before.known or not after.known:
        return None
    old, new = before.by_model(), after.by_model()
    found = None
    for served in sorted({*old, *new}):
        p0, p1 = old.get(served, 0.0), new.get(served, 0.0)
        pooled = (p0 * before.known + p1 * after.known) / (before.known + after.known)
        error = math.sqrt(pooled * (1 - pooled) * (1 / before.known + 1 / after.known))
        points = 100 * (p1 - p0)
        certain = error > 0 and abs(p1 - p0) / error > CERTAIN and abs(points) >= FEWEST
        if certain and (found is None or points > found["points"]):
            found = {"surface": before.surface, "served": served, "before": p0, "after": p1, "points": points}
    return found


def show(before: dict[str, SurfaceMix], after: dict[str, SurfaceMix], console: Console) -> None:
    """Print the mix of each surface, before and after."""
    table = Table(title="share of each served model, requested: auto", title_justify="left")
    for name, how in (("surface", "left"), ("served", "left"), ("before", "right"), ("after", "right"), ("", "left")):
        table.add_column(name, justify=how)  # type: ignore[arg-type]
    for surface in SURFACES:
        if surface not in before or surface not in after:
            continue
        old, new = before[surface].by_model(), after[surface].by_model()
        name = surface
        for served in sorted({*old, *new}, key=lambda s: -new.get(s, 0.0)):
            share = new.get(served, 0.0)
            table.add_row(name, served, f"{old.get(served, 0.0):.0%}", f"{share:.0%}", "█" * round(20 * share))
            name = ""
        table.add_section()
    console.print(table)


# Processes ---------------------------------------------------------------------------------------------------------


def start(
    stack: contextlib.ExitStack, folder: Path, name: str, command: list[Any], environment: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a process that ends, with its children, when the stack does."""
    errors = stack.enter_context((folder / f"{name}.log").open("w", encoding="utf-8"))
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    process = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env={**kept, "PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONUNBUFFERED": "1", **(environment or {})},
        start_new_session=True,  # its own group: Ctrl-C reaches us alone, and we end the group
    )
    stack.callback(end, process)
    process.log = folder / f"{name}.log"  # type: ignore[attr-defined]
    return process


def end(process: subprocess.Popen[str]) -> None:
    """Ask the process group to stop, then make it."""
    for number, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
        break
    if process.stdout is not None:
        process.stdout.close()


def first_line(process: subprocess.Popen[str]) -> str:
    """Return the next line the process prints; exit with its complaint if it ended instead."""
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line:
        process.wait()
        sys.exit(f"demo: could not start {process.args}:\n" + process.log.read_text("utf-8")[-2000:])  # type: ignore[attr-defined]
    return line.strip()


def free_port() -> int:
    """Return a port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until_up(url: str, folder: Path) -> None:
    """Wait until the application answers."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{url}/openapi.json", timeout=2).close()  # noqa: S310
            return
        time.sleep(0.1)
    sys.exit("demo: the application did not start:\n" + (folder / "application.log").read_text("utf-8")[-2000:])


def control(provider: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Change the provider's router, and return what it has served so far."""
    return post(f"{provider}/_control", settings)  # type: ignore[no-any-return]


def post(url: str, document: Any) -> Any:
    """Post JSON and return what comes back, JSON or text."""
    data = json.dumps(document).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        text = answer.read().decode()
    return json.loads(text) if text.startswith("{") else text


# Traffic -----------------------------------------------------------------------------------------------------------


def drive(url: str, requests: int, sent: random.Random, console: Console) -> None:
    """Send ``requests`` prompts, spread over the surfaces."""
    names = list(SURFACES)
    weights = [SURFACES[name][3] for name in names]
    plan = []
    for name in sent.choices(names, weights, k=requests):
        path, shortest, longest, _ = SURFACES[name]
        plan.append((url + path, "x" * sent.randint(shortest, longest)))
    with Progress(console=console, transient=True) as progress, ThreadPoolExecutor(4) as pool:
        task = progress.add_task("requests", total=requests)
        for _ in pool.map(lambda p: post(p[0], {"text": p[1]}), plan):
            progress.advance(task)


def next_bucket() -> float:
    """Wait for the next time bucket of the server to begin, so that the halves do not mix; return its start."""
    begin = math.floor(time.time() / BUCKET + 1) * BUCKET
    time.sleep(max(0.0, begin - time.time()))
    return begin


def wait_for(database: Path, begin: float, requests: int) -> None:
    """Wait until the server has counted what was sent."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if sum(m.requests for m in mix(SQLiteSource(str(database)), begin, time.time() + BUCKET)) >= requests:
            return
        time.sleep(0.2)


if __name__ == "__main__":
    main()
