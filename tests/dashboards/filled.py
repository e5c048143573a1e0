"""A real Prometheus with a simulated month in it, which ends now: what the dashboards are shown with.

Every metric of the instrumentation is there, as four surfaces would send it; the recordings of the rules are evaluated
over the last ten days and kept, and so is where the alerts hold. While it runs, it scrapes itself and a real Collector.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

import backfill
import components
import numpy as np
import simulation
import yaml
from simulation import DAY, SLICE, SLICES, Change, Stream, escape
from typer.testing import CliRunner

from otel_llm_routing.cli.app import app

SONNET, HAIKU, MINI = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001", "gpt-5-mini-2025-08-07"
NEWCOMER = "gemini-3-flash-001"
AUTO = "openrouter/auto"
REFERENCE_DAYS, DAYS, SHOWN = 14, 12, 10
"""The reference is of so many days; so many follow; the recordings are there for the last of them."""
END = REFERENCE_DAYS + DAYS

STREAMS = (
    Stream(
        "autocomplete",
        AUTO,
        {SONNET: 0.83, HAIKU: 0.12, MINI: 0.05},
        9000,
        session=2,
        changes=(Change(END - 3, {SONNET: 0.55, HAIKU: 0.4, MINI: 0.05}),),
    ),
    Stream("chart-tooltip", "gpt-5-mini", {MINI: 1.0}, 4000, kind="alias", unreported=0.02),
    Stream(
        "long-form-draft",
        SONNET,
        {SONNET: 1.0},
        2500,
        kind="pinned",
        changes=(Change(END - 1, {SONNET: 0.98, MINI: 0.02}),),
    ),
    Stream(
        "nightly-digest",
        AUTO,
        {SONNET: 0.9, HAIKU: 0.1},
        2500,
        changes=(Change(END - 4, {SONNET: 0.82, HAIKU: 0.1, NEWCOMER: 0.08}),),
        unreported_from=(END - 2, 0.12),
    ),
)
POLICY = """
version: 1
defaults: {owner: team-platform}
surfaces:
  autocomplete: {owner: team-editor, uses: {router: openrouter/auto}, expect: {"*haiku*": {max: "25 %"}}}
  chart-tooltip: {owner: team-charts, uses: {alias: gpt-5-mini}}
  long-form-draft: {owner: team-editor, uses: {pinned: claude-sonnet-4-5-20250929}}
  nightly-digest: {uses: {router: openrouter/auto}}
"""
BOUNDS = (256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)
SECONDS = (0.25, 0.5, 1, 2, 4, 8)
# Mean of log2(characters), seconds, and tokens of an answer, by the model that serves: what a router sends where.
HABITS = {SONNET: (11.6, 2.2, 420), HAIKU: (9.1, 0.7, 180), MINI: (9.6, 0.9, 230), NEWCOMER: (10.5, 1.1, 260)}


@dataclass
class Filled:
    """The data of a Prometheus, and the files that made its recordings."""

    folder: Path
    rules: Path
    policy: Path
    reference: Path
    start: int
    end: int

    @contextlib.contextmanager
    def running(self):
        """Yield the Prometheus, which has the rules, and has scraped itself and a Collector at least twice."""
        with collector(self.folder) as telemetry:
            jobs = {"prometheus": None, "otel-collector": telemetry}
            prometheus = components.Prometheus(self.folder, rules=[self.rules])
            jobs["prometheus"] = f"127.0.0.1:{prometheus.port}"
            settings = yaml.safe_load((self.folder / "prometheus.yml").read_text())
            settings["global"]["scrape_interval"] = "2s"
            settings["scrape_configs"] = [
                {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in jobs.items()
            ]
            (self.folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
            with prometheus:
                for metric in (
                    "prometheus_rule_group_last_duration_seconds",
                    "otelcol_exporter_sent_metric_points",
                ):
                    components.wait_for(
                        f"two scrapes of {metric}",
                        lambda metric=metric: prometheus.query(f"count_over_time({metric}[5m]) >= 2"),
                    )
                yield prometheus


def fill(folder):
    """Simulate the month, and write it and what the rules make of it into a Prometheus in ``folder``."""
    folder = Path(folder)
    end = int(time.time()) // SLICE * SLICE
    start = end - END * DAY
    traffic = simulation.simulate(STREAMS, start, END, seed=3)
    with (folder / "month.om").open("w", encoding="utf-8") as file:
        _metrics(file, traffic)
    backfill.load(folder, folder / "month.om")
    (folder / "month.om").unlink()
    policy, reference, rules = folder / "policy.yaml", folder / "reference.yaml", folder / "rules"
    policy.write_text(POLICY)
    with components.Prometheus(folder) as prometheus:
        pinned = start + REFERENCE_DAYS * DAY
        _command(
            *("reference", "pin", "--source", f"prometheus:{prometheus.url}", "-o", reference),
            *("--reason", "the mix we launched with", "--days", REFERENCE_DAYS),
            *("--until", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(pinned))),
        )
    _command("generate", "prometheus", "--policy", policy, "--reference", reference, "-o", rules)
    rules = rules / "llm-routing.rules.yaml"
    groups = yaml.safe_load(rules.read_text())["groups"]
    backfill.record(folder, groups, end - SHOWN * DAY, end)
    _alerts(folder, groups, end - 2 * DAY, end)
    return Filled(folder, rules, policy, reference, start, end)


@contextlib.contextmanager
def collector(folder):
    """Yield where a real Collector's own metrics are scraped; it has sent some data points and refused none."""
    port, own = components.free_port(), components.free_port()
    readers = [{"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": own}}}}]
    lost = {"receivers": ["otlp"], "exporters": ["otlp_http"]}
    config = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "exporters": {
            "debug": {},
            "otlp_http": {  # nobody is there, so that some points fail
                "endpoint": f"http://127.0.0.1:{components.free_port()}",
                "retry_on_failure": {"enabled": False},
            },
        },
        "service": {
            "telemetry": {"metrics": {"level": "detailed", "readers": readers}},
            "pipelines": {"metrics": {"receivers": ["otlp"], "exporters": ["debug"]}, "metrics/lost": lost},
        },
    }
    path = Path(folder) / "otelcol.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [components.tool("otelcol"), f"--config={path}"]
    with components.Program(folder, "otelcol", command, f"http://127.0.0.1:{own}/metrics"):
        _send(f"http://127.0.0.1:{port}/v1/metrics")
        yield f"127.0.0.1:{own}"


def _send(endpoint):
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(endpoint))])
    provider.get_meter("filled").create_counter("filled").add(1)
    assert provider.force_flush()
    provider.shutdown()


def _command(*words):
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, (done.output, done.stderr, done.exception)


def _alerts(folder, groups, start, end):
    """Write ``ALERTS`` where the alerts' expressions hold, as the server does that evaluates them."""
    path = folder / "alerts.om"
    with components.Prometheus(folder) as prometheus, path.open("w", encoding="utf-8") as file:
        file.write("# TYPE ALERTS gauge\n")
        for rule in (rule for group in groups for rule in group["rules"] if "alert" in rule):
            for labels, values in prometheus.range(rule["expr"], start + SLICE, end, SLICE):
                said = {**labels, **rule.get("labels", {}), "alertname": rule["alert"], "alertstate": "firing"}
                text = _text({name: value for name, value in said.items() if name != "__name__"})
                file.writelines(f"ALERTS{{{text}}} 1 {at}\n" for at in values)
        file.write("# EOF\n")
    backfill.load(folder, path)
    path.unlink()


# The month as OpenMetrics -----------------------------------------------------------------------------------------


def _metrics(file, traffic):
    """Write every metric, as one process sends it that is replaced every six days by a new version."""
    lives = 6 * SLICES
    file.write("# TYPE target_info gauge\n")
    for life, begin in enumerate(range(0, traffic.slices, lives)):
        labels = _text({**_process(life), "service_name": "shop", "service_version": f"1.{life}.0"})
        for index in range(begin, min(begin + lives, traffic.slices)):
            file.write(f"target_info{{{labels}}} 1 {_at(traffic, index)}\n")
    for kind, name, rows in _families(traffic):
        file.write(f"# TYPE {name} {kind}\n")
        suffix = "_total" if kind == "counter" else ""
        for labels, increments in rows:
            for life, begin in enumerate(range(0, traffic.slices, lives)):
                _series(file, traffic, name + suffix, labels, increments, range(begin, begin + lives), life)
    file.write("# EOF\n")


def _series(file, traffic, name, labels, increments, indices, life):
    part = increments[indices.start : indices.stop]
    total = np.cumsum(part)
    born = np.flatnonzero(np.cumsum(labels["_born"][indices.start : indices.stop]))
    shown = {name: value for name, value in labels.items() if name not in ("_born", "_name")}
    text = _text({**shown, **_process(life)})
    for index in born:
        file.write(f"{labels['_name'] or name}{{{text}}} {total[index]:g} {_at(traffic, indices.start + index)}\n")


def _families(traffic):
    """Return every metric as (kind, name, [(labels, increments in every slice)])."""
    rng = np.random.default_rng(11)
    known = {series: counts for series, counts in traffic.counts.items() if series.served}
    counter = [({**series.labels(), "_born": counts, "_name": ""}, counts) for series, counts in traffic.counts.items()]
    yield "counter", "llm_routing_requests", counter
    for which, factor in (("input", 3.0), ("output", 1.0)):
        tokens = [
            ({**_coarse(s), "_born": c, "_name": ""}, np.round(c * HABITS[s.served][2] * factor))
            for s, c in known.items()
        ]
        yield "counter", f"llm_routing_{which}_tokens", tokens
    for name, bounds, values in (
        ("llm_routing_input_size", BOUNDS, lambda s: (2 ** HABITS[s.served][0], 1.0)),
        ("llm_routing_duration_seconds", SECONDS, lambda s: (HABITS[s.served][1], 0.6)),
    ):
        yield "histogram", name, list(_histogram(known, name, bounds, values, rng))


def _histogram(known, name, bounds, values, rng):
    for series, counts in known.items():
        middle, spread = values(series)
        edges = np.array(bounds)
        below = 0.5 * (1 + np.vectorize(_erf)((np.log(edges) - np.log(middle)) / spread / np.sqrt(2)))
        chances = np.diff(np.concatenate([[0], below, [1]]))
        drawn = np.array([rng.multinomial(int(n), chances) for n in counts])
        upto = np.cumsum(drawn, axis=1)
        base = {**_coarse(series), "_born": counts}
        for column, bound in enumerate([*(f"{b:.1f}" for b in bounds), "+Inf"]):
            yield {**base, "le": bound, "_name": f"{name}_bucket"}, upto[:, column]
        yield {**base, "_name": f"{name}_sum"}, counts * middle
        yield {**base, "_name": f"{name}_count"}, counts


def _erf(x):
    from math import erf

    return erf(x)


def _coarse(series):
    """Return the labels that sizes, tokens and times have."""
    names = ("llm_routing_surface", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_response_model")
    labels = series.labels()
    return {name: labels[name] for name in names if name in labels}


def _process(life):
    return {"job": "shop", "instance": f"shop-{life}"}


def _at(traffic, index):
    return traffic.start + (index + 1) * SLICE - 60


def _text(labels):
    return ",".join(f'{name}="{escape(value)}"' for name, value in labels.items())
