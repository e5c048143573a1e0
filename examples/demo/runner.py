"""The demo: a provider changes which model serves ``auto``, and the model mix of each surface shows it.

It starts, each as a process of its own on a free port of this machine: a fake provider with a router behind ``auto``,
``otel-llm-routing serve``, and ``app.py`` under ``opentelemetry-instrument``. It sends the same prompts twice; between
the two the provider changes its mind and tells nobody. Nothing is installed, no key is needed, nothing leaves this
machine, and nothing is left behind.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import signal
import sys
import sysconfig
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from children import ChildError, Children, Interrupted
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text
from shift import MAX_P, MIN_POINTS, compare

from otel_llm_routing.analyze.shares import mix
from otel_llm_routing.analyze.sources import open_source
from otel_llm_routing.analyze.sources.sqlite import BUCKET

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shift import Shift

    from otel_llm_routing.analyze.shares import SurfaceMix

HERE = Path(__file__).resolve().parent
SCRIPTS = Path(sysconfig.get_path("scripts"))
SURFACE_RULES = "autocomplete=/complete;chart-tooltip=/charts/*;long-form-draft=/drafts"
# Surface, route, and the shortest and longest prompt in characters. The ranges do not overlap, so the provider's own
# log, which knows only lengths, can be held against what telemetry says of each surface.
SURFACES = (
    ("autocomplete", "/complete", 40, 120),
    ("chart-tooltip", "/charts/tooltip", 500, 800),
    ("long-form-draft", "/drafts", 3000, 6000),
)
START = {"threshold": 400}
"""The router at first: prompts shorter than about so many characters go to the cheap model."""
SCENARIOS: dict[str, tuple[str, dict[str, Any]]] = {
    "relax": ("sends longer prompts to its cheap model as well", {"threshold": 800}),
    "pool-swap": (
        "replaces its strong model by another",
        {"pool": ["claude-haiku-4-5-20251001", "gpt-5-2025-08-07"]},
    ),
    "new-model": (
        "tries a new model on a fifth of all requests",
        {"newcomer": "gpt-5-mini-2025-08-07", "newcomer_share": 0.2},
    ),
    "steady": ("changes nothing", {}),
}
# Settings of the user's own that would change what the demo does, or send it to a real provider with a real key.
FOREIGN = re.compile(r"(?i)^(OTEL_|OPENAI_|ANTHROPIC_|(https?|all|no)_proxy$|PYTHONPATH$)")
BAR = 16
"""Characters of a bar that stands for 100 %."""


def main() -> int:
    """Run the demo; the exit code."""
    options = arguments()
    console = Console(highlight=False, record=bool(options.svg), width=None if sys.stdout.isatty() else 100)
    stage = "start"
    try:
        with Children() as children, tempfile.TemporaryDirectory(prefix="llm-routing-demo-") as folder:
            demo = Demo(children, Path(folder), console, options.scenario)
            demo.start()
            result = demo.run(options.requests)
            stage = "show"
            show(console, result, demo.page)
            if options.svg:
                save_picture(console, options.svg)
            if options.json:
                Path(options.json).write_text(json.dumps(result.as_json(demo.page), indent=2))
            if options.keep and sys.stdout.isatty():
                console.print(f"The page: [link]{demo.page}[/link]   Ctrl-C ends the demo.")
                while True:
                    time.sleep(1)
                    children.check()
    except Interrupted as interrupted:
        if stage == "show" and interrupted.exit_code == 128 + signal.SIGINT:
            return 0
        print("\nStopped; nothing is left running.", file=sys.stderr)
        return interrupted.exit_code
    except (ChildError, DemoError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    return 0


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--scenario", choices=SCENARIOS, default="relax", help="what the provider does halfway (default: %(default)s)"
    )
    parser.add_argument(
        "--requests", type=int, default=300, metavar="N", help="requests before, and again after (default: %(default)s)"
    )
    parser.add_argument("--keep", action="store_true", help="in a terminal: keep the page up until Ctrl-C")
    parser.add_argument("--json", metavar="FILE", help="also write what was found, and the provider's log")
    parser.add_argument("--svg", metavar="FILE", help="also write the output as a picture")
    options = parser.parse_args()
    if options.requests < len(SURFACES):
        parser.error(f"--requests must be {len(SURFACES)} or more, one for each surface")
    return options


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


class Result:
    """The two windows, what is made of them, and what the provider knows."""

    def __init__(self, scenario: str, before: list[SurfaceMix], after: list[SurfaceMix], log: list[Any]) -> None:
        self.scenario = scenario
        self.before, self.after = served(before), served(after)
        half = len(log) // 2
        self.truth_before, self.truth_after = by_surface(log[:half]), by_surface(log[half:])
        self.shifts = [compare(name, self.before[name], self.after[name]) for name, *_ in SURFACES]

    @property
    def agrees(self) -> bool:
        """Telemetry says of every request what the provider's own log says."""
        return (self.before, self.after) == (self.truth_before, self.truth_after)

    def as_json(self, page: str) -> dict[str, Any]:
        """Return all of it as a document."""
        return {
            "scenario": self.scenario,
            "page": page,
            "before": self.before,
            "after": self.after,
            "provider": {"before": self.truth_before, "after": self.truth_after},
            "surfaces": {
                s.surface: {"shift": s.established, "model": s.model, "points": s.points, "p": s.p} for s in self.shifts
            },
        }


def served(mixes: Iterable[SurfaceMix]) -> dict[str, dict[str, int]]:
    """Return, of each surface, how many requests each model served."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for surface in mixes:
        for share in surface.served:
            counts[surface.surface][share.served] += share.requests
    return {name: dict(of) for name, of in counts.items()}


def by_surface(log: Iterable[tuple[int, str]]) -> dict[str, dict[str, int]]:
    """Return the same from the provider's log of (characters, model)."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for characters, model in log:
        name = next(name for name, _, shortest, longest in SURFACES if shortest <= characters <= longest)
        counts[name][model] += 1
    return {name: dict(of) for name, of in counts.items()}


class Demo:
    """The processes, and the traffic."""

    def __init__(self, children: Children, folder: Path, console: Console, scenario: str) -> None:
        self.children, self.console, self.scenario = children, console, scenario
        self.db = folder / "llm-routing.db"
        self.page = self.provider = self.app = ""

    def start(self) -> None:
        """Start the three processes, each on a port that is free."""
        say = self.console.print
        env = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}
        env["PATH"] = f"{SCRIPTS}{os.pathsep}{env.get('PATH', '')}"
        env["PYTHONUNBUFFERED"] = "1"
        say("[bold]1[/]  Starting a fake provider, [bold]otel-llm-routing serve[/], and an application with three surfaces:")
        provider = self.children.start(
            "the fake provider", [sys.executable, "-m", "fake_provider"], {**env, "PYTHONPATH": str(HERE.parent)}
        )
        serve = self.children.start(
            "otel-llm-routing serve",
            [str(SCRIPTS / "otel-llm-routing"), "serve", "--db", str(self.db), "--grpc-port", "0", "--http-port", "0"],
            env,
        )
        self.provider = json.loads(provider.wait_for("{"))["url"]
        otlp = serve.wait_for("OTLP/HTTP").split()[-1]
        self.page = f"{otlp}/"
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": otlp,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_LLM_ROUTING_SURFACES": SURFACE_RULES,
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            "OTEL_SERVICE_NAME": "document-editor",
        }
        keys = {"OPENAI_API_KEY": "none", "ANTHROPIC_API_KEY": "none"}
        urls = {"OPENAI_BASE_URL": f"{self.provider}/v1", "ANTHROPIC_BASE_URL": self.provider}
        say("   [dim]$[/] opentelemetry-instrument uvicorn app:app", style="cyan")
        app = self.children.start(
            "the application",
            [
                str(SCRIPTS / "opentelemetry-instrument"),
                *("uvicorn", "app:app", "--app-dir", str(HERE), "--port", "0", "--no-access-log"),
            ],
            {**env, **settings, **keys, **urls},
        )
        said = app.wait_for("Uvicorn running on")
        self.app = re.findall(r"http://[\d.:]+", said)[0]

    def run(self, requests: int) -> Result:
        """Send the traffic, change the router in the middle, and read what was recorded."""
        say = self.console.print
        self.control(START)
        say(f"[bold]2[/]  Sending {requests} requests. Every one asks for the model [bold]auto[/].")
        self.traffic(requests)
        self.recorded(requests)
        now = time.time()
        turn = int(now // BUCKET + 1) * BUCKET  # counts are kept in buckets of time, so "before" ends where one ends
        time.sleep(turn - now)
        what, change = SCENARIOS[self.scenario]
        say(f"[bold]3[/]  The provider {what}. It tells nobody.")
        self.control(change)
        say(f"[bold]4[/]  Sending the same {requests} requests again.")
        self.traffic(requests)
        self.recorded(2 * requests)
        source = open_source(f"sqlite:{self.db}")
        end = time.time() + BUCKET
        return Result(self.scenario, mix(source, 0, turn), mix(source, turn, end), self.control({})["served"])

    def control(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Change the router; returns what it has served so far."""
        answer: dict[str, Any] = json.loads(post(connect(self.provider), "/_control", settings))
        return answer

    def traffic(self, requests: int) -> None:
        """Send the prompts, the same ones at every call, one after the other."""
        dice = random.Random(11)  # noqa: S311  (prompts, not secrets)
        app = connect(self.app)
        columns = (TextColumn("  "), BarColumn(40), MofNCompleteColumn())
        with Progress(*columns, console=self.console, transient=True, disable=not sys.stdout.isatty()) as progress:
            for i in progress.track(range(requests), description=""):
                _, route, shortest, longest = SURFACES[i % len(SURFACES)]
                try:
                    post(app, route, {"prompt": prompt(dice, dice.randint(shortest, longest))})
                except (OSError, http.client.HTTPException) as error:
                    self.children.check()
                    raise DemoError(f"the application did not answer {route}: {error}") from None

    def recorded(self, requests: int, seconds: float = 30.0) -> None:
        """Wait until so many requests are in the database."""
        source = open_source(f"sqlite:{self.db}")
        deadline, found = time.monotonic() + seconds, 0
        while time.monotonic() < deadline:
            found = sum(surface.requests for surface in mix(source, 0, time.time() + BUCKET))
            if found >= requests:
                return
            self.children.check()
            time.sleep(0.1)
        raise DemoError(f"of {requests} requests only {found} were recorded within {seconds:g} s")


WORDS = "the revenue of each region in the last quarter as a table with a short note on what changed and why ".split()


def prompt(dice: random.Random, characters: int) -> str:
    """Return words, cut at so many characters."""
    text = " ".join(dice.choice(WORDS) for _ in range(characters // 2 + 1))
    return text[:characters]


def connect(url: str) -> http.client.HTTPConnection:
    """Return a connection to ``url``, opened at its first request and kept."""
    return http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)


def post(connection: http.client.HTTPConnection, path: str, document: Any) -> bytes:
    """Post JSON and return the body of the answer. Raises ``DemoError`` unless it is a success."""
    connection.request("POST", path, json.dumps(document), {"content-type": "application/json"})
    response = connection.getresponse()
    body = response.read()
    if response.status != http.HTTPStatus.OK:
        raise DemoError(f"{path} answered {response.status}: {body[:500].decode(errors='replace')}")
    return body


# Showing -----------------------------------------------------------------------------------------------------------


def show(console: Console, result: Result, page: str) -> None:
    """Print both mixes side by side, and a sentence about each surface."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="Who served “auto”?", title_justify="left")
    for name, justify in (("surface", "left"), ("served model", "left"), ("before", "left"), ("after", "left")):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("points", justify="right", no_wrap=True)
    for shift in result.shifts:
        before, after = result.before[shift.surface], result.after[shift.surface]
        label = Text(shift.surface, style="bold")
        for model in sorted({*before, *after}, key=lambda m: (-before.get(m, 0), m)):
            was, now = (of.get(model, 0) / sum(of.values()) for of in (before, after))
            moved = Text(f"{100 * (now - was):+.1f}", style="bold yellow" if shift.established else "dim")
            table.add_row(label, model, bar(was), bar(now), moved)
            label = Text("")
        table.add_section()
    console.print()
    console.print(table)
    for shift in result.shifts:
        console.print(sentence(shift))
    console.print(
        f"[dim]Shifted means: some model's share moved by {MIN_POINTS:g} points or more, and chance alone moves the mix as "
        f"far less than once in {1 / MAX_P:,.0f} such comparisons (G-test).[/]"
    )
    requests = sum(sum(of.values()) for of in (*result.truth_before.values(), *result.truth_after.values()))
    if result.agrees:
        console.print(f"[green]✓[/] The provider's own log says the same of all {requests} requests.")
    else:
        console.print("[red]✗[/] The provider's own log says otherwise; please report this:", result.truth_before,
                      result.truth_after)
    console.print()


def bar(share: float) -> Text:
    """Return a share as a bar and a figure."""
    full = round(share * BAR)
    return Text.assemble(("█" * full, "cyan"), ("░" * (BAR - full), "dim"), f" {share:4.0%}")


def sentence(shift: Shift) -> Text:
    """Say of one surface whether its mix shifted."""
    if not shift.established:
        return Text.assemble(
            ("●", "green"), " ", (shift.surface, "bold"), " is steady",
            "." if not shift.points else f": no share moved by more than {abs(shift.points):.1f} points, which is noise.",
        )
    odds = "p < 0.000001" if shift.p < 1e-6 else f"p = {shift.p:.6f}"
    return Text.assemble(
        ("●", "yellow"), " ", (shift.surface, "bold"), " shifted by ", (f"{abs(shift.points):.1f} points", "bold"),
        f": {shift.model} now serves {shift.after:.0%} of it, where it served {shift.before:.0%} ({odds}).",
    )


def save_picture(console: Console, path: str) -> None:
    """Save what was printed as SVG, without the web fonts that rich links to."""
    svg = console.export_svg(title="make demo")
    svg = re.sub(r"@font-face\s*{[^}]*}\s*", "", svg)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE))


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        sys.exit(main())
