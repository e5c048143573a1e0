"""The programs that receive: ``otel-llm-routing serve``, and the Collector built from this project's manifest."""

from __future__ import annotations

import contextlib
import re
import socket
import sqlite3
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from backend.processes import COMMAND, FailedError
from otel_llm_routing import semconv

if TYPE_CHECKING:
    from typing_extensions import Self

COLLECTOR = Path(__file__).parents[2] / ".tools" / "bin" / "otelcol"
PATIENCE = 60
"""Seconds to wait for a program to start, and to end."""
LARGEST = 8
"""MiB of a gRPC message; what `serve` takes. The Collector's default is 4."""


class Receiver:
    """A running program; a context manager. ``http`` and ``grpc`` are where it listens, as HOST:PORT."""

    name: str
    http: str
    grpc: str

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder

    def __enter__(self) -> Self:
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(self._command(), stdout=log, stderr=log, cwd=self.folder)
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def requests(self) -> int:
        """Return how many requests it counted."""
        raise NotImplementedError

    def bytes(self) -> int | None:
        """Return the bytes of what it wrote to disk; None: it writes nothing."""
        raise NotImplementedError

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _ready(self) -> bool:
        raise NotImplementedError

    def _wait(self) -> None:
        end = time.monotonic() + PATIENCE
        while not self._ready():
            said = (self.folder / "log").read_text("utf-8", "replace").strip()
            if self.process.poll() is not None or time.monotonic() > end:
                msg = f"{self.name} does not start: {said[-500:] or 'it says nothing'}"
                raise FailedError(msg)
            time.sleep(0.05)


class Serve(Receiver):
    """``otel-llm-routing serve`` with a database of its own."""

    name = "serve"

    def _command(self) -> list[str]:
        return [COMMAND, "serve", "--db", "counts.db", "--grpc-port", "0", "--http-port", "0"]

    def _ready(self) -> bool:
        said = (self.folder / "log").read_text("utf-8")
        found = dict(re.findall(r"(?m)^OTLP/(\w+) +http://(\S+)$", said))
        if not re.search(r"(?m)^database ", said):
            return False
        self.grpc, self.http = found["gRPC"], found["HTTP"]
        return True

    def requests(self) -> int:
        """Return how many requests are in the database."""
        path = self.folder / "counts.db"
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            query = "SELECT coalesce(sum(value), 0) FROM points WHERE metric = ?"
            (found,) = connection.execute(query, (semconv.REQUESTS,)).fetchone()
        return int(found)

    def bytes(self) -> int:
        """Return the bytes of the database with its write-ahead log."""
        return sum(file.stat().st_size for file in self.folder.glob("counts.db*"))


class Collector(Receiver):
    """The Collector with the shortest configuration that keeps counts: OTLP in, the Prometheus exporter out."""

    name = "Collector"

    def _command(self) -> list[str]:
        self.grpc, self.http, self._scraped = (f"127.0.0.1:{port}" for port in _free_ports(3))
        config = self.folder / "config.yaml"
        config.write_text(yaml.safe_dump(self._config()), "utf-8")
        return [str(COLLECTOR), "--config", str(config)]

    def _config(self) -> dict[str, object]:
        protocols = {
            "grpc": {"endpoint": self.grpc, "max_recv_msg_size_mib": LARGEST},
            "http": {"endpoint": self.http},
        }
        pipeline = {"receivers": ["otlp"], "exporters": ["prometheus"]}
        return {
            "receivers": {"otlp": {"protocols": protocols}},
            "exporters": {
                "prometheus": {"endpoint": self._scraped, "resource_to_telemetry_conversion": {"enabled": True}}
            },
            "service": {"pipelines": {"metrics": pipeline}, "telemetry": {"metrics": {"level": "none"}}},
        }

    def _ready(self) -> bool:
        for address in (self.grpc, self.http, self._scraped):
            host, _, port = address.partition(":")
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))):
                    return False
        return True

    def requests(self) -> int:
        """Return how many requests a scrape of it finds."""
        with urllib.request.urlopen(f"http://{self._scraped}/metrics", timeout=PATIENCE) as answer:
            lines = answer.read().decode().splitlines()
        return round(
            sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("llm_routing_requests_total{"))
        )

    def bytes(self) -> None:
        """Return None: everything is in memory."""


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
