"""``make stack``: what ``deploy/compose.yaml`` describes, on this machine, without Grafana and Tempo."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from stack import proofs
from stack.processes import Processes, Stopped
from stack.services import DEPLOY, Addresses, Service, StackError, load, services, write

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = DEPLOY.parent
TOOLS = ROOT / ".tools" / "bin"
BIN = Path(sys.executable).parent
ENTRYPOINTS = {"collector": ["otelcol"], "prometheus": ["prometheus"], "alertmanager": ["alertmanager"]}
"""The program that each image starts; the demo's image starts none but its command's."""
SHOWN = ("pager", "traffic")
"""Services whose output is for the user."""
FOREIGN = re.compile(r"(?i)(OTEL_|OPENAI_|ANTHROPIC_|(https?|all|no)_proxy$)")
"""Settings of the user's that would change the stack, or lead its requests elsewhere."""
READY = 60.0
"""Seconds within which a program has to be ready."""
# What stands where Tempo would: it writes traces to a file, so that --check can look for an exemplar's.
TRACES = """
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "{address}"}}}}}}}}
exporters: {{file: {{path: "{file}", rotation: {{max_megabytes: 20, max_backups: 1}}}}}}
service:
  pipelines: {{traces: {{receivers: [otlp], exporters: [file]}}}}
  telemetry: {{metrics: {{level: none}}}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make stack", description=__doc__)
    parser.add_argument("--check", action="store_true", help="end as soon as everything has been seen to work")
    parser.add_argument("--rules", metavar="DIR", help="your rules, instead of deploy/rules")
    parser.add_argument(
        "--seconds", type=float, default=120.0, help="how long --check waits for each thing it looks for"
    )
    arguments = parser.parse_args()
    variables = {
        **os.environ,
        **({"LLM_ROUTING_RULES": str(Path(arguments.rules).resolve())} if arguments.rules else {}),
    }
    try:
        with tempfile.TemporaryDirectory(prefix="llm-routing-stack-") as folder:
            run(Path(folder), variables, arguments)
    except StackError as error:
        sys.exit(f"make stack: {error}")
    except Stopped:
        print("stopped; nothing is left running", file=sys.stderr)
        sys.exit(1 if arguments.check else 0)


def run(folder: Path, variables: dict[str, str], arguments: argparse.Namespace) -> None:
    """Start everything, and either look for what has to be seen, or leave it running."""
    compose = load(DEPLOY / "compose.yaml", variables)
    addresses = Addresses(compose)
    planned = services(compose, folder, addresses)
    traces = folder / "traces.json"
    with Processes(folder) as processes:
        stand_in(folder, traces, addresses, processes)
        for service in planned:
            start(service, folder, processes, shown=service.name in SHOWN and not arguments.check)
            until(f"{service.name} that is ready", partial(ready, service, addresses), READY, processes)
            print(f"started   {service.name}", flush=True)
        prometheus, alertmanager = (
            f"http://{addresses.of(*at)}" for at in (("prometheus", 9090), ("alertmanager", 9093))
        )
        expected = groups(next(s for s in planned if s.name == "prometheus"))
        looks: dict[str, Callable[[], str | None]] = {
            "share of both models of surface autocomplete": lambda: proofs.shares(prometheus),
            "loaded rules": lambda: proofs.rules(prometheus, expected),
            "alert in Alertmanager": lambda: proofs.alert(alertmanager),
            "exemplar whose trace arrived": lambda: proofs.trace(prometheus, traces),
        }
        if arguments.check:
            for what, look in looks.items():
                print(f"✓ {until(what, look, arguments.seconds, processes)}", flush=True)
            return
        say(prometheus, alertmanager, addresses)
        while True:
            processes.check()
            time.sleep(1)


def say(prometheus: str, alertmanager: str, addresses: Addresses) -> None:
    """Print where to look, and for what."""
    grpc, http = addresses.of("collector", 4317), addresses.of("collector", 4318)
    print(
        f"""
application   http://{addresses.of("app", 8000)}/docs
Prometheus    {prometheus}/alerts and {prometheus}/query; try llm_routing:share:1h, from some 5 minutes on
Alertmanager  {alertmanager}/api/v2/alerts; whom it tells is printed here
Collector     takes OTLP at http://{grpc} (gRPC) and http://{http} (HTTP)

The provider retunes its router after 15 minutes. Within some 20 minutes the owner of autocomplete is paged.
Ctrl-C ends everything. Grafana and Tempo are not here: docker compose -f deploy/compose.yaml up --build
""",
        flush=True,
    )


def start(service: Service, folder: Path, processes: Processes, *, shown: bool) -> None:
    """Write what a service reads, and start it."""
    write(service)
    command = [*ENTRYPOINTS.get(service.name, ()), *service.command]
    place = folder / service.name
    place.mkdir(exist_ok=True)
    processes.start(service.name, [program(command[0]), *command[1:]], environment(service), place, shown=shown)


def stand_in(folder: Path, traces: Path, addresses: Addresses, processes: Processes) -> None:
    """Start what takes the traces in Tempo's place."""
    config = folder / "traces.yaml"
    config.write_text(TRACES.format(address=addresses.of("tempo", 4317), file=traces), "utf-8")
    processes.start("traces", [program("otelcol"), f"--config={config}"], dict(os.environ), folder)


def environment(service: Service) -> dict[str, str]:
    """Return the settings of a service, as its image and the Compose file have them."""
    kept = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}
    return {
        **kept,
        "PATH": f"{BIN}{os.pathsep}{kept.get('PATH', '')}",
        "PYTHONPATH": str(ROOT / "examples"),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",
        **service.environment,
    }


def program(name: str) -> str:
    """Return the path of a program: this Python, one of its environment's, or one that tools/build.sh builds."""
    if name == "python":
        return sys.executable
    for folder in (BIN, TOOLS):
        if (folder / name).is_file():
            return str(folder / name)
    raise StackError(f"{name} is not here; make tools builds it, with Go 1.26 or later")


def ready(service: Service, addresses: Addresses) -> bool:
    """Whether a service answers, by its own health check where it has one."""
    if service.name == "collector":
        proofs.get(f"http://{addresses.of('collector', 13133)}/")
        return True
    if service.health is None:
        return True
    command = [program(service.health[0]), *service.health[1:]]
    return subprocess.run(command, check=False, capture_output=True, env=environment(service)).returncode == 0


def groups(prometheus: Service) -> set[str]:
    """Return the names of the rule groups that Prometheus is to load."""
    return {
        group["name"]
        for path, text in prometheus.files.items()
        if path.name.endswith(".rules.yaml")
        for group in yaml.safe_load(text)["groups"]
    }


def until(what: str, condition: Callable[[], object], seconds: float, processes: Processes) -> object:
    """Return what a condition returns as soon as that is true; fail if a process ends or the time is over."""
    end = time.monotonic() + seconds
    while True:
        processes.check()
        try:
            if found := condition():
                return found
        except (OSError, ValueError) as error:
            last = f" ({error})"
        else:
            last = ""
        if time.monotonic() > end:
            raise StackError(f"no {what} within {seconds:.0f} s{last}")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
