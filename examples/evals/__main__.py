"""The example, from beginning to end: a green eval, a router that is retuned, and what the evals commands then say.

Everything runs on this machine: no key is needed, and nothing is left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from demo.__main__ import BIN, FOREIGN, control, first_line, next_bucket, start, stoppable

from otel_llm_routing.analyze.evals.production import read
from otel_llm_routing.analyze.evals.reading import read_cases
from otel_llm_routing.analyze.evals.score import score
from otel_llm_routing.analyze.shares import mix
from otel_llm_routing.analyze.sources.sqlite import BUCKET, SQLiteSource
from otel_llm_routing.analyze.window import utc

if TYPE_CHECKING:
    import contextlib

BEFORE, AFTER = {"threshold": 40}, {"threshold": 150}
SUITE = Path(__file__).parent / "suite"
BOLD, PLAIN = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")


class Half(NamedTuple):
    """What was measured before, or after, the router was retuned."""

    begin: float
    right: float
    """The share of production's answers that were right, which only this example can know."""
    green: bool
    """The eval's exit code is 0."""
    unweighted: float
    weighted: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="make evals", description=__doc__)
    parser.add_argument("--requests", type=int, default=600, metavar="N", help="of production, before and again after")
    parser.add_argument("--keep", metavar="FOLDER", help="leave the database and the cases in this folder")
    parser.add_argument("--json", metavar="FILE", help="also write what was measured")
    arguments = parser.parse_args()
    if arguments.requests < 1:
        parser.error("--requests must be positive")
    with stoppable() as stack:
        Example(arguments, stack).run()


class Example:
    """A provider, the embedded backend, and what is run against them."""

    def __init__(self, arguments: argparse.Namespace, stack: contextlib.ExitStack) -> None:
        self.requests = arguments.requests
        self.report = arguments.json
        self.folder = Path(
            arguments.keep or stack.enter_context(tempfile.TemporaryDirectory(prefix="llm-routing-evals-"))
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        self.database = self.folder / "llm-routing.db"
        self.provider = json.loads(
            first_line(start(stack, self.folder, "provider", [sys.executable, "-m", "evals.provider"]))
        )["url"]
        ports = ["--grpc-port", "0", "--http-port", "0"]
        serving = start(stack, self.folder, "serve", [BIN / "otel-llm-routing", "serve", "--db", self.database, *ports])
        self.otlp = first_line(serving).split()[1]

    def run(self) -> None:
        """Tell the story, and measure it."""
        say("Before", f"the router sends prompts under {BEFORE['threshold']} characters or so to the small model")
        before = self.half("before", BEFORE, 1)
        say("After", f"the provider moves that to {AFTER['threshold']} characters; nothing else changes")
        after = self.half("after", AFTER, 2)
        say("Why", "compare the eval with production")
        check = self.evals("check", "after.jsonl", "--since", utc(after.begin))
        print(f"(exit code {check})")
        say("What to do", "spread the cases as production's requests are")
        self.evals("plan", "--cases", "150", "--minimum", "5", "--since", utc(after.begin))
        print()
        for name, half in (("before", before), ("after", after)):
            print(
                f"{name:8}eval {'green' if half.green else 'red':6}score {half.unweighted:.2f}   "
                f"as production weighs it {half.weighted:.2f}   right in production {half.right:.2f}"
            )
        if self.report:
            document = {"before": before._asdict(), "after": after._asdict(), "check": check}
            Path(self.report).write_text(json.dumps(document), "utf-8")

    def half(self, name: str, router: dict[str, Any], seed: int) -> Half:
        """Let production run, and then the eval; score it."""
        control(self.provider, router)
        begin = next_bucket()
        shown(f"opentelemetry-instrument python -m evals.production --requests {self.requests}")
        right = self.produce(begin, seed)
        shown(f"pytest -q --llm-routing --llm-routing-cases {name}.jsonl examples/evals/suite")
        done = self.command(
            "pytest", "-q", "--llm-routing", "--llm-routing-cases", self.folder / f"{name}.jsonl", SUITE
        )
        lines = done.stdout.splitlines()
        print(*lines[next((n for n, line in enumerate(lines) if "which models served" in line), 0) :], sep="\n")
        if done.returncode not in (0, 1):
            sys.exit(f"evals: the eval did not run:\n{done.stderr[-2000:]}")
        self.evals("score", f"{name}.jsonl", "--since", utc(begin), "--today", utc(begin))
        cases = read_cases(self.folder / f"{name}.jsonl").cases
        scored = score(cases, read(SQLiteSource(str(self.database)), begin, time.time() + BUCKET))
        return Half(begin, right, done.returncode == 0, scored.unweighted.score, scored.weighted.score)

    def produce(self, begin: float, seed: int) -> float:
        """Send a day's requests, wait until they are counted, and return the share of right answers."""
        done = self.command(
            *("opentelemetry-instrument", sys.executable, "-m", "evals.production"),
            *("--requests", self.requests, "--seed", seed),
            OTEL_EXPORTER_OTLP_ENDPOINT=self.otlp,
            OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
            OTEL_LOGS_EXPORTER="none",
            OTEL_SERVICE_NAME="editor",
        )
        if done.returncode:
            sys.exit(f"evals: production failed:\n{done.stderr[-2000:]}")
        deadline = time.monotonic() + 20
        counted = 0
        while counted < self.requests:
            if time.monotonic() > deadline:
                sys.exit(f"evals: {counted} of {self.requests} requests were recorded within 20 s")
            counted = sum(of.requests for of in mix(SQLiteSource(str(self.database)), begin, time.time() + BUCKET))
            time.sleep(0.1)
        found = json.loads(done.stdout)
        return float(found["right"] / found["requests"])

    def evals(self, command: str, *arguments: str) -> int:
        """Run a command of ``evals`` for everybody to see; return its exit code."""
        shown(f"otel-llm-routing evals {' '.join([command, *arguments])} --source sqlite:llm-routing.db")
        done = self.command("otel-llm-routing", "evals", command, *arguments, "--source", f"sqlite:{self.database}")
        print(done.stdout + done.stderr, end="")
        return done.returncode

    def command(self, *command: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder, and return what it said."""
        program, *rest = map(str, command)
        return subprocess.run(
            [str(BIN / program), *rest],
            cwd=self.folder,
            env={
                **{name: value for name, value in os.environ.items() if not FOREIGN.match(name)},
                "PYTHONPATH": str(Path(__file__).parent.parent),
                "PROVIDER_URL": self.provider,
                "COLUMNS": "110",
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )


def shown(command: str) -> None:
    print(f"{BOLD}$ {command}{PLAIN}", flush=True)


def say(head: str, text: str) -> None:
    print(f"\n{BOLD}{head}{PLAIN}: {text}\n", flush=True)


if __name__ == "__main__":
    main()
