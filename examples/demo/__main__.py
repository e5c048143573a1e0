"""The demo: a provider changes which model serves ``auto``, and the model mix of each surface shows it.

Everything runs on this machine: no key is needed, and nothing is left behind.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from otel_llm_routing.analyze.shares import SurfaceMix, mix
from otel_llm_routing.analyze.sources.sqlite import BUCKET, SQLiteSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BIN = Path(sys.executable).parent
# Surface: path, shortest and longest prompt in characters, share of the traffic.
SURFACES = {
    "autocomplete": ("/complete", 20, 119, 0.6),
    "chart-tooltip": ("/charts/tooltip", 120, 400, 0.3),
    "long-form-draft": ("/drafts", 1500, 4000, 0.1),
}
RULES = ";".join(f"{name}={path}" for name, (path, *_) in SURFACES.items())
START = {"threshold": 40}
SCENARIOS: dict[str, tuple[str, dict[str, Any]]] = {
    "relax": ("the same; at the provider, the router's threshold moves from 40 to 120 characters", {"threshold": 120}),
    "pool-swap": (
        "the same; at the provider, the strong model of the pool is swapped",
        {"pool": ["claude-haiku-4-5-20251001", "claude-opus-4-5-20251101"]},
    ),
    "new-model": (
        "the same; at the provider, a new model takes a fifth of everything",
        {"newcomer": "claude-haiku-5-5", "newcomer_share": 0.2},
    ),
    "steady": ("the same; nothing changes", {}),
}
CERTAIN = 4.0
"""Standard errors by which two shares must differ before the demo calls it a shift; noise alone does it about once in
15,000 comparisons."""
FEWEST = 3.0
"""Points below which a change is not worth naming, however certain."""
BAR = 12
"""Characters of a bar that stands for 100 %."""
FOREIGN = re.compile(r"(?i)(OTEL_|OPENAI_|ANTHROPIC_|(https?|all|no)_proxy$)")
"""Settings of the user's that would change the demo, or lead its requests elsewhere."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make demo", description="Watch the model mix of three surfaces shift.")
    parser.add_argument("--scenario", choices=SCENARIOS, default="relax")
    parser.add_argument("--requests", type=int, default=400, metavar="N", help="before the change, and again after it")
    parser.add_argument("--keep", action="store_true", help="in a terminal, leave the page up until Ctrl-C")
    parser.add_argument("--json", metavar="FILE", help="also write what was measured, and the provider's own log")
    parser.add_argument("--svg", metavar="FILE", help="also write the output as a picture")
    arguments = parser.parse_args()
    if arguments.requests < 1:
        parser.error("--requests must be positive")
    terminal = sys.stdout.isatty()
    console = Console(highlight=False, record=bool(arguments.svg), width=None if terminal else 100)
    with stoppable() as stack:
        run(arguments, stack, console)


@contextlib.contextmanager
def stoppable() -> Iterator[contextlib.ExitStack]:
    """Give a stack for what is to be ended, and end it whatever happens: also where the program is told to stop."""
    for number in SIGNALS:
        signal.signal(number, stop)
    try:
        with contextlib.ExitStack() as stack:
            # Entered first, so left last: while processes are being ended, a second Ctrl-C changes nothing.
            stack.callback(restore)
            try:
                yield stack
            finally:
                ignore()
    except Stopped as stopped:
        print("stopped; nothing is left running", file=sys.stderr)
        sys.exit(128 + stopped.number)


class Stopped(BaseException):
    """The user, or the system, wants the demo to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def stop(number: int, _frame: object) -> None:
    """End the demo, wherever it is."""
    ignore()
    raise Stopped(number)


def ignore() -> None:
    """Let nothing interrupt the ending."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def restore() -> None:
    """Be interruptible again."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def run(arguments: argparse.Namespace, stack: contextlib.ExitStack, console: Console) -> None:
    """Start the provider, the server and the application; drive both halves; say what moved."""
    with uninterrupted():
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
    console.print("started   a fake provider, otel-llm-routing serve, and an application with three surfaces:")
    console.print("          [cyan]opentelemetry-instrument uvicorn demo.app:app[/]")
    what, settings = SCENARIOS[arguments.scenario]
    control(provider, START)
    sent = random.Random(11)  # noqa: S311  (traffic, not a secret)
    windows = []
    for half, changes in (("before", {}), ("after", settings)):
        already = len(control(provider, changes)["served"])
        said = what if changes or half == "after" else f"{arguments.requests} requests for the model [bold]auto[/]"
        console.print(f"[bold]{half:10}[/]{said}")
        begin = next_bucket()
        drive(url, arguments.requests, sent, console)
        wait_for(database, begin, arguments.requests)
        windows.append((begin, time.time() + 1))
        served = control(provider, {})["served"][already:]
        windows[-1] += (served,)
    source = SQLiteSource(str(database))
    mixes = [{m.surface: m for m in mix(source, begin, end)} for begin, end, _ in windows]
    shifts = [shift for name in SURFACES if (shift := moved(mixes[0].get(name), mixes[1].get(name))) is not None]
    show(mixes[0], mixes[1], shifts, console)
    told = [by_surface(served) for _, _, served in windows]
    agrees = told == [counted(half.values()) for half in mixes]
    console.print(
        f"[green]✓[/] The provider's own log says the same of all {2 * arguments.requests} requests."
        if agrees
        else f"[red]✗[/] The provider's own log says otherwise, which should not be: {told}"
    )
    if arguments.json:
        document = {
            "scenario": arguments.scenario,
            "page": page,
            "agrees": agrees,
            "shifts": shifts,
            "served": [w[2] for w in windows],
            "measured": [{n: m.by_model() for n, m in half.items()} for half in mixes],
            "requests": [{n: m.requests for n, m in half.items()} for half in mixes],
        }
        Path(arguments.json).write_text(json.dumps(document), "utf-8")
    if arguments.svg:
        save_picture(console, Path(arguments.svg))
    if arguments.keep and sys.stdout.isatty():
        console.print(f"page      {page}  (Ctrl-C ends it)")
        with contextlib.suppress(Stopped):
            signal.pause()
    else:
        console.print(f"page      {page}  (make demo ARGS=--keep leaves it up)")


def counted(mixes: Iterable[SurfaceMix]) -> dict[str, dict[str, int]]:
    """Return what telemetry counted: of each surface, how many requests each model served."""
    return {mix.surface: mix.counts_by_model() for mix in mixes}


def by_surface(log: Iterable[tuple[int, str]]) -> dict[str, dict[str, int]]:
    """Return the same from the provider's log of (characters, model): no two surfaces have prompts of one length."""
    counts: dict[str, Counter[str]] = {}
    for characters, served in log:
        name = next(n for n, (_, shortest, longest, _) in SURFACES.items() if shortest <= characters <= longest)
        counts.setdefault(name, Counter())[served] += 1
    return {name: dict(of) for name, of in counts.items()}


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


def show(
    before: dict[str, SurfaceMix], after: dict[str, SurfaceMix], shifts: list[dict[str, Any]], console: Console
) -> None:
    """Print the mix of each surface, before and after, and say of each whether it shifted."""
    table = Table(title="Who served “auto”?", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("surface", "served model", "before", "after"):
        table.add_column(name, no_wrap=True)
    table.add_column("points", justify="right", no_wrap=True)
    shifted = {shift["surface"] for shift in shifts}
    for surface in SURFACES:
        if surface not in before or surface not in after:
            continue
        old, new = before[surface].by_model(), after[surface].by_model()
        name = surface
        for served in sorted({*old, *new}, key=lambda s: (-old.get(s, 0.0), s)):
            was, now = old.get(served, 0.0), new.get(served, 0.0)
            moved = Text(f"{100 * (now - was):+.1f}", "bold yellow" if surface in shifted else "dim")
            table.add_row(Text(name, "bold"), Text(served), bar(was), bar(now), moved)
            name = ""
        table.add_section()
    console.print()
    console.print(table)
    for name in SURFACES:
        console.print(sentence(name, before.get(name), after.get(name), shifts))
    console.print(
        f"[dim]A shift is {FEWEST:g} points or more and beyond {CERTAIN:g} standard errors (two-proportion z-test); "
        "chance alone goes so far once in 15,000 comparisons.[/]"
    )


def bar(share: float) -> Text:
    """Return a share as a bar and a figure."""
    full = round(share * BAR)
    return Text.assemble(("█" * full, "cyan"), ("░" * (BAR - full), "dim"), f" {share:4.0%}")


def sentence(surface: str, before: SurfaceMix | None, after: SurfaceMix | None, shifts: list[dict[str, Any]]) -> Text:
    """Say of one surface whether its mix shifted, and by how much."""
    found = next((shift for shift in shifts if shift["surface"] == surface), None)
    text = Text.assemble(("●", "yellow" if found else "green"), " ", (surface, "bold"))
    if found is not None:
        text.append(" shifted by ").append(f"{abs(found['points']):.0f} points", "bold")
        return text.append(f": {found['served']} went from {found['before']:.0%} to {found['after']:.0%} of it.")
    if before is None or after is None:
        return text.append(" had too few requests to tell.")
    old, new = before.by_model(), after.by_model()
    most = max((abs(new.get(served, 0.0) - old.get(served, 0.0)) for served in {*old, *new}), default=0.0)
    return text.append(
        " is steady" + (f": its largest move, {100 * most:.1f} points, is within noise." if most else ".")
    )


def save_picture(console: Console, path: Path) -> None:
    """Save what was printed as SVG, without the web fonts that rich links to."""
    svg = re.sub(r"@font-face\s*{[^}]*}\s*", "", console.export_svg(title="make demo"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE), "utf-8")


# Processes ---------------------------------------------------------------------------------------------------------


def start(
    stack: contextlib.ExitStack, folder: Path, name: str, command: list[Any], environment: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a process that ends, with its children, when the stack does."""
    errors = stack.enter_context((folder / f"{name}.log").open("w", encoding="utf-8"))
    kept = {k: v for k, v in os.environ.items() if not FOREIGN.match(k)}
    with uninterrupted():  # a process that is not yet on the stack would be left running
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={
                **kept,
                "PYTHONPATH": str(Path(__file__).parent.parent),
                "PYTHONUNBUFFERED": "1",
                **(environment or {}),
            },
            start_new_session=True,  # its own group: Ctrl-C reaches us alone, and we end the group
        )
        stack.callback(end, process)
    process.log = folder / f"{name}.log"  # type: ignore[attr-defined]
    return process


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off what would end the demo until the block is done."""
    pending: list[int] = []
    for number in SIGNALS:
        signal.signal(number, lambda number, _: pending.append(number))
    yield
    for number in SIGNALS:
        signal.signal(number, stop)
    if pending:
        stop(pending[0], None)


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
    sys.exit(f"demo: not all of {requests} requests were recorded within 20 s")


if __name__ == "__main__":
    main()
