"""Exports to send: cumulative counts as applications send them, made before anything is measured."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from otel_llm_routing import semconv
from otel_llm_routing.instrument.metrics import SECOND_BOUNDS, SIZE_BOUNDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric, NumberDataPoint

MODELS = 8
"""Served models of a surface."""
BATCH = 1_000
"""Series of one export, which is that of one process."""
TURN = 10
"""Seconds between two exports of a process, by their own times."""
CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
COUNTERS = {semconv.REQUESTS: 1, semconv.INPUT_TOKENS_TOTAL: 700, semconv.OUTPUT_TOKENS_TOTAL: 90}
"""What each grows by in a turn."""
HISTOGRAMS = {semconv.INPUT_SIZE: SIZE_BOUNDS, semconv.DURATION: SECOND_BOUNDS}


class Load(NamedTuple):
    """What a run sends."""

    series: int
    """Series of requests: pairs of a surface and a served model."""
    turns: int
    """Exports of every process after its first; each counts one request more of each series."""
    whole: bool = False
    """With tokens, sizes and durations, as the instrumentation exports them; otherwise requests alone."""

    @property
    def points_a_turn(self) -> int:
        """Points that all processes together send in one turn."""
        return self.series * (len(COUNTERS) + len(HISTOGRAMS) if self.whole else 1)

    @property
    def requests(self) -> int:
        """Requests that were counted when all is sent."""
        return self.series * (self.turns + 1)


def turns(load: Load) -> list[list[bytes]]:
    """Return the exports of each turn."""
    start = time.time_ns() - (load.turns + 1) * TURN * 10**9
    return [
        [_export(load, first, start, start + turn * TURN * 10**9, turn) for first in range(0, load.series, BATCH)]
        for turn in range(1, load.turns + 2)
    ]


def _export(load: Load, first: int, start: int, at: int, turn: int) -> bytes:
    """Return what one process has counted until ``at``, both times in nanoseconds since the epoch."""
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    for name, text in {"service.name": "bench", "service.instance.id": f"process-{first // BATCH}"}.items():
        resource.resource.attributes.add(key=name).value.string_value = text
    scope = resource.scope_metrics.add()
    scope.scope.name = "otel-llm-routing"
    numbers = range(first, min(first + BATCH, load.series))
    for name, step in COUNTERS.items():
        if name == semconv.REQUESTS or load.whole:
            metric = scope.metrics.add(name=name)
            metric.sum.aggregation_temporality, metric.sum.is_monotonic = CUMULATIVE, True
            for number in numbers:
                point = metric.sum.data_points.add(as_int=step * turn)
                _about(point, start, at, _words(number, counted=name == semconv.REQUESTS))
    for name, bounds in HISTOGRAMS.items() if load.whole else ():
        _histograms(scope.metrics.add(name=name), bounds, numbers, start, at, turn)
    data: bytes = request.SerializeToString()
    return data


def _histograms(metric: Metric, bounds: list[float], numbers: range, start: int, at: int, turn: int) -> None:
    """Write a histogram for each series, of which each turn is in another bin."""
    metric.histogram.aggregation_temporality = CUMULATIVE
    bins = [0] * (len(bounds) + 1)
    for of in range(turn):
        bins[of % len(bins)] += 1
    for number in numbers:
        point = metric.histogram.data_points.add(count=turn, sum=1.0 * turn, bucket_counts=bins)
        point.explicit_bounds.extend(bounds)
        _about(point, start, at, _words(number, counted=False))


def _words(number: int, *, counted: bool) -> dict[str, str]:
    """Return the attributes of a series; requests are counted by more of them than the rest."""
    four = {
        semconv.SURFACE: f"surface-{number // MODELS}",
        semconv.PROVIDER: "openrouter",
        semconv.REQUEST_MODEL: "openrouter/auto",
        semconv.RESPONSE_MODEL: f"model-{number % MODELS}",
    }
    if not counted:
        return four
    more = {
        semconv.OPERATION: "chat",
        semconv.REQUEST_KIND: "router",
        semconv.MATCH: "resolved",
        semconv.SERVED_SOURCE: "body",
    }
    return four | more


def _about(point: NumberDataPoint | HistogramDataPoint, start: int, at: int, words: Mapping[str, str]) -> None:
    point.start_time_unix_nano, point.time_unix_nano = start, at
    for name, text in words.items():
        point.attributes.add(key=name).value.string_value = text
