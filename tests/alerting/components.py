"""The real programs that the tests run: found, started on free ports, and stopped whatever happens."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BUILT = ROOT / ".tools" / "bin"
# By its path: whoever imports this need not have deploy/ among its modules.
free_port = runpy.run_path(str(ROOT / "deploy" / "stack" / "ports.py"))["free_port"]
DEBIAN = Path("/usr/bin/prometheus")
"""Debian 12's Prometheus, which is 2.42: the oldest that the rules support."""


def tool(name):
    """Return the path of a program that tools/build.sh builds, or of one on PATH that will do.

    Without either the test is skipped by the program's name; in CI it must be there.
    """
    if (built := BUILT / name).is_file():
        return str(built)
    if (found := shutil.which(name)) and (name not in ("prometheus", "promtool") or "version 3." in _version(found)):
        return found
    return _absent(f"{name} is not built; tools/build.sh builds it, with Go 1.26 or later")


def debian_prometheus(name="prometheus"):
    """Return the path of Prometheus 2.42 (or its promtool), or skip; in CI it must be there."""
    path = DEBIAN.with_name(name)
    if path.is_file() and " 2.42." in _version(path):
        return str(path)
    return _absent(f"{name} 2.42 is not installed; it is Debian 12's package prometheus")


def _version(path):
    done = subprocess.run([path, "--version"], check=False, capture_output=True, text=True)
    return done.stdout + done.stderr


def on_path(name):
    """Return the path of a program that cannot be built here, or skip."""
    return shutil.which(name) or pytest.skip(f"{name} is not on PATH")


def _absent(reason):
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def run(*command, **more):
    """Run a program to its end and return what it printed; fail with all of it if it fails."""
    done = subprocess.run([*map(str, command)], check=False, capture_output=True, text=True, **more)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def wait_for(what, condition, seconds=90.0):
    """Return what ``condition`` returns as soon as that is true; fail with ``what`` after some time."""
    end = time.monotonic() + seconds
    while True:
        try:
            if found := condition():
                return found
        except OSError as error:
            if getattr(error, "code", 0) == HTTPStatus.BAD_REQUEST:
                raise
        if time.monotonic() > end:
            pytest.fail(f"no {what} within {seconds:.0f} s")
        time.sleep(0.05)


def get(url, **query):
    """Return the JSON at ``url``."""
    text = f"{url}?{urllib.parse.urlencode(query, doseq=True)}" if query else url
    with urllib.request.urlopen(text, timeout=30) as answer:
        return json.load(answer)


class Program:
    """A running program whose output goes to a file; a context manager."""

    def __init__(self, folder, name, command, ready):
        self.folder = Path(folder)
        self.log = self.folder / f"{name}.log"
        self.name = name
        self._command = [*map(str, command)]
        self._ready = ready

    def __enter__(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self.folder)
        try:
            wait_for(f"{self.name} that is ready; its output is in {self.log}", self._answers)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _answers(self):
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        with urllib.request.urlopen(self._ready, timeout=5):
            return True

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Prometheus(Program):
    """Prometheus with rule files, its data in ``folder``/data."""

    def __init__(self, folder, rules=(), alertmanager=None, binary=None, flags=(), config=None, port=None):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        folder = Path(folder)
        binary = binary or tool("prometheus")
        settings = {
            "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
            "rule_files": [str(Path(rule).resolve()) for rule in rules],
            **(config or {}),
        }
        if alertmanager:
            settings["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.address]}]}]}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
        command = [
            binary,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--storage.tsdb.retention.time=10y",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
            *flags,
        ]
        super().__init__(folder, "prometheus", command, f"{self.url}/-/ready")

    def query(self, expression, at=None):
        """Return the instant vector as [(labels, value)]."""
        data = get(f"{self.url}/api/v1/query", query=expression, **({} if at is None else {"time": at}))
        return [(one["metric"], float(one["value"][1])) for one in data["data"]["result"]]

    def range(self, expression, start, end, step):
        """Return the matrix as [(labels, {time: value})]."""
        data = get(f"{self.url}/api/v1/query_range", query=expression, start=start, end=end, step=step)
        return [
            (one["metric"], {round(float(t)): float(v) for t, v in one["values"]}) for one in data["data"]["result"]
        ]

    def rules(self):
        """Return the rule groups as the program sees them."""
        return get(f"{self.url}/api/v1/rules")["data"]["groups"]

    def alerts(self):
        return get(f"{self.url}/api/v1/alerts")["data"]["alerts"]


class Alertmanager(Program):
    """Alertmanager with a configuration file."""

    def __init__(self, folder, config):
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"
        command = [
            tool("alertmanager"),
            f"--config.file={config}",
            f"--storage.path={Path(folder) / 'alertmanager'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
        ]
        super().__init__(folder, "alertmanager", command, f"{self.url}/-/ready")


class VictoriaMetrics(Program):
    """A single-node VictoriaMetrics, which answers as Prometheus does, its data in ``folder``/victoria."""

    def __init__(self, folder, *flags):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [
            tool("victoria-metrics"),
            f"-storageDataPath={folder / 'victoria'}",
            f"-httpListenAddr=127.0.0.1:{port}",
            *flags,
        ]
        super().__init__(folder, "victoria-metrics", command, f"{self.url}/health")

    query = Prometheus.query


class VMAlert(Program):
    """VictoriaMetrics' vmalert with a rule file, on the data of a Prometheus that takes what it records."""

    def __init__(self, folder, rules, store):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [
            tool("vmalert"),
            f"-rule={rules}",
            f"-datasource.url={store}",
            f"-remoteWrite.url={store}",
            "-notifier.blackhole",
            f"-httpListenAddr=127.0.0.1:{port}",
            "-remoteWrite.flushInterval=100ms",
            "-rule.evalDelay=0s",  # half a minute, which is hours where durations are divided
        ]
        super().__init__(folder, "vmalert", command, f"{self.url}/health")

    def rules(self):
        """Return the rule groups as the program sees them."""
        return get(f"{self.url}/api/v1/rules")["data"]["groups"]


class Webhook:
    """Receives what Alertmanager sends: ``received`` holds (path, document); a context manager."""

    def __init__(self):
        self.received = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.received.append((self.path, body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self):
                body = outer.get().encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/openmetrics-text; version=1.0.0")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def get(self):
        """Return what a GET answers."""
        return ""

    def alerts(self):
        """Return every alert that arrived, firing or resolved, with the path it arrived at."""
        return [(path, alert) for path, document in self.received for alert in document["alerts"]]

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
