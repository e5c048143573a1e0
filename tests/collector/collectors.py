"""The Collector with this project's configurations: certificates, environment, ports, what goes in, what comes out."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import urllib.request
from functools import cached_property
from pathlib import Path

import components

from otel_llm_routing.generate.collector import configurations

TOKEN = "a-token-of-the-tests"
TARGET = "prometheus-otlp"
WRITING = ("--web.enable-otlp-receiver", "--web.enable-remote-write-receiver")
"""Flags with which Prometheus takes what a Collector writes."""


def written(folder, to=(TARGET,), policy=None, *, own_spans=False):
    """Write the configurations into ``folder`` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in configurations(to, policy, own_spans=own_spans).items():
        (folder / name).write_text(text)
    return folder


def certificate(folder):
    """Make a certificate for localhost; return the files of it and of its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    if not cert.exists():
        components.run(
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert),
        )
    return cert, key


class Collector(components.Program):
    """A Collector with ``config``, started on free ports; ``variables`` are added to its environment."""

    def __init__(self, folder, config, name=None, **variables):
        folder = Path(folder)
        name = name or config.stem
        self.cert, key = certificate(folder)
        ports = {key: components.free_port() for key in ("HEALTH", "GRPC", "HTTP", "SCRAPE", "TELEMETRY_PORT")}
        self.grpc, self.http = f"localhost:{ports['GRPC']}", f"localhost:{ports['HTTP']}"
        self.scraped = f"localhost:{ports['SCRAPE']}"
        self.telemetry = f"http://127.0.0.1:{ports['TELEMETRY_PORT']}/metrics"
        settings = {
            **{f"LLM_ROUTING_{key}": f"127.0.0.1:{port}" for key, port in ports.items() if key != "TELEMETRY_PORT"},
            "LLM_ROUTING_TELEMETRY_PORT": ports["TELEMETRY_PORT"],
            "LLM_ROUTING_TOKEN": TOKEN,
            "LLM_ROUTING_CERT": self.cert,
            "LLM_ROUTING_KEY": key,
            "LLM_ROUTING_CA": self.cert,
            "LLM_ROUTING_STATE": folder / f"{name}-state",
            **variables,
        }
        command = [
            *("env", *(f"{key}={value}" for key, value in settings.items())),
            *(components.tool("otelcol"), "--config", config),
        ]
        super().__init__(folder, name, command, f"http://127.0.0.1:{ports['HEALTH']}")

    def kill(self):
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def send(self, signal, document, scheme="https"):
        """Send a request of ``signal`` (``traces``, ``metrics``) to the HTTP receiver. Raises if it is refused."""
        request = urllib.request.Request(
            f"{scheme}://{self.http}/v1/{signal}",
            json.dumps(document).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"},
        )
        with urllib.request.urlopen(request, timeout=10, context=self.trust) as answer:
            answer.read()

    @cached_property
    def trust(self):
        return ssl.create_default_context(cafile=self.cert)

    def scrape(self, job="shop"):
        """Return the counts derived from the spans of the service ``job`` as [(labels, value)]."""
        request = urllib.request.Request(
            f"https://{self.scraped}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        with urllib.request.urlopen(request, timeout=10, context=self.trust) as answer:
            text = answer.read().decode()
        return [
            ({name: json.loads(value) for name, value in _LABEL.findall(found[1])}, float(found[2]))
            for line in text.splitlines()
            if f'job="{job}"' in line and (found := _SAMPLE.fullmatch(line))
        ]


_SAMPLE = re.compile(r"llm_routing_requests_total\{(.*)\} (\S+)")
_LABEL = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*")')


def validate(config, **variables):
    """Let the Collector validate ``config``; return its exit code and what it said."""
    settings = {
        "LLM_ROUTING_GATEWAY": "localhost:4317",
        "LLM_ROUTING_TOKEN": TOKEN,
        "LLM_ROUTING_PROMETHEUS_WRITE_URL": "http://localhost:9090/api/v1/write",
        "LLM_ROUTING_PROMETHEUS_OTLP_URL": "http://localhost:9090/api/v1/otlp/v1/metrics",
        "LLM_ROUTING_MIMIR_URL": "http://localhost:9009/api/v1/push",
        "LLM_ROUTING_VICTORIAMETRICS_URL": "http://localhost:8428/api/v1/write",
        "LLM_ROUTING_TIER2": "localhost",
        "LLM_ROUTING_DERIVE": "localhost",
        "LLM_ROUTING_TRACES": "localhost:4317",
        **variables,
    }
    cert, key = certificate(Path(config).parent)
    environment = {**os.environ, "LLM_ROUTING_CERT": str(cert), "LLM_ROUTING_KEY": str(key), **settings}
    command = [components.tool("otelcol"), "validate", "--config", str(config)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={k: v for k, v in environment.items() if v}
    )
    return done.returncode, done.stdout + done.stderr


# OTLP in JSON ---------------------------------------------------------------------------------------------------------


def attributes(given):
    """Return ``given`` as OTLP writes attributes."""
    return [{"key": key, "value": _value(value)} for key, value in given.items()]


def _value(value):
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"stringValue": value}


def spans(*given, resource=None, scope="somebody.else"):
    """Return a request with one span for each of ``given``: its attributes, and more of its fields in a dict at ""."""
    made = []
    for number, one in enumerate(given, 1):
        more = one.get("", {})
        said = {name: value for name, value in one.items() if name}
        made.append(
            {
                "traceId": f"{number:032x}",
                "spanId": f"{number:016x}",
                "parentSpanId": f"{number + 1_000_000:016x}",
                "name": "chat",
                "kind": 3,
                "startTimeUnixNano": "1",
                "endTimeUnixNano": "2",
                "attributes": attributes(said),
                **more,
            }
        )
    about = {"service.name": "shop"} if resource is None else resource
    group = {"scope": {"name": scope}, "spans": made}
    return {"resourceSpans": [{"resource": {"attributes": attributes(about)}, "scopeSpans": [group]}]}
