"""The points of OTLP-JSON files, one line after the other in the order of their times.

A line is an ExportMetricsServiceRequest in OTLP's JSON encoding (opentelemetry.io/docs/specs/otlp, "JSON Protobuf
Encoding"): numbers of 64 bits as text, enumerations as numbers, names in lowerCamelCase. Names as protobuf spells them,
and enumerations by name, are read too.
"""

from __future__ import annotations

import heapq
import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_llm_routing.analyze.sources import SourceError
from otel_llm_routing.analyze.sources.json_files import JSONFile
from otel_llm_routing.analyze.sources.points import AHEAD, BEHIND, COUNTERS, Point, histogram, identity, point
from otel_llm_routing.analyze.sources.series import key, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from otel_llm_routing.analyze.sources import Progress

MAX_KNOWN = 50_000
"""Sets of attributes whose meaning is remembered, of a file."""
SECOND = 10**9
NO_VALUE = 1
"""The flag of a point that only says that its series ended."""
CUMULATIVE = (2, "AGGREGATION_TEMPORALITY_CUMULATIVE")
DELTA = (1, "AGGREGATION_TEMPORALITY_DELTA")

_Series = tuple[tuple[tuple[str, str], ...], tuple[str, ...]]


class Read(NamedTuple):
    """A point with what says where a cumulative stream began."""

    point: Point
    sender: bytes
    start: int
    """Nanoseconds since the epoch; 0: not said."""


class Files:
    """The points of some metrics in many files, in the order of their times."""

    def __init__(self, paths: list[Path], metrics: tuple[str, ...], progress: Progress | None) -> None:
        self._total = sum(_length(path) for path in paths)
        self._done = 0
        self._progress = progress
        self._files = [File(path, metrics, self._advance) for path in paths]

    def merged(self) -> Iterator[tuple[float, list[Read]]]:
        """Yield the points of one line after the other, with the line's time in seconds.

        Two replicas of a Collector write the same at the same time, each to its own file, and rotated files follow one
        another. A file is opened when its time has come, so that few are open at a time.
        """
        waiting = sorted((first, number) for number, file in enumerate(self._files) if (first := file.first()))
        open_: list[tuple[float, int, list[Read], Iterator[tuple[float, list[Read]]]]] = []
        waiting.reverse()
        while waiting or open_:
            while waiting and (not open_ or waiting[-1][0] <= open_[0][0]):
                number = waiting.pop()[1]
                lines = self._files[number].lines()
                if (line := next(lines, None)) is not None:
                    heapq.heappush(open_, (line[0], number, line[1], lines))
            if not open_:
                break
            now, number, reads, lines = open_[0]
            yield now, reads
            following = next(lines, None)
            if following is None:
                heapq.heappop(open_)
            else:
                # A line that comes late does not move time back.
                heapq.heapreplace(open_, (max(now, following[0]), number, following[1], lines))
        if not any(file.good for file in self._files) and any(file.bad for file in self._files):
            path = next(file.path for file in self._files if file.bad)
            msg = (
                f"{path}: no OTLP-JSON; the Collector's file exporter writes it with format: json and without "
                "compression"
            )
            raise SourceError(msg)

    def warnings(self) -> list[str]:
        """Return what is to be said of the files that were read."""
        return [warning for file in self._files for warning in file.warnings()]

    def _advance(self, read: int) -> None:
        self._done += read
        if self._progress:
            self._progress(min(self._done, self._total), self._total)


class File:
    """The points of some metrics in one file."""

    def __init__(self, path: Path, metrics: tuple[str, ...], read: Callable[[int], None]) -> None:
        self.path = path
        self.good = False
        """Whether there was any OTLP in it."""
        self._metrics = metrics
        self._known: dict[tuple[object, ...], _Series] = {}
        self._json = JSONFile(path, read)
        self._written = _written(path)
        self._begin()

    def _begin(self) -> None:
        self._foreign = self._refused = self._moved = 0
        self._now: float | None = None

    @property
    def bad(self) -> bool:
        """Whether there was anything else in it."""
        return bool(self._foreign or self._json.warning)

    def first(self) -> float | None:
        """Return the time of the first line with points, in seconds; None if there is none."""
        found = next(self.lines(), None)
        return None if found is None else found[0]

    def lines(self) -> Iterator[tuple[float, list[Read]]]:
        """Yield the points of each line that has any, with the latest of their times in seconds."""
        self._begin()
        for document in self._json.objects():
            reads = [read for request in _requests(document) for read in self._reads(request)]
            if reads and self._now is not None:
                yield self._now, reads

    def warnings(self) -> list[str]:
        """Return what is to be said of what was read so far."""
        said = [self._json.warning] if self._json.warning else []
        metrics = " and ".join(self._metrics)
        if self._foreign:
            said.append(f"{self.path}: {self._foreign} JSON objects are no OTLP; they were left out")
        if self._refused:
            said.append(
                f"{self.path}: {self._refused} points of {metrics} make no sense (neither sum nor histogram, "
                "without time, temporality or value, or a value that is no count); they were left out"
            )
        if self._moved:
            said.append(
                f"{self.path}: {self._moved} points of {metrics} have times that cannot be, in the future or a "
                "year before the others; they count at the time of those before them"
            )
        return said

    def _reads(self, request: Any) -> Iterator[Read]:
        resources = _field(request, "resourceMetrics") if isinstance(request, dict) else None
        if not isinstance(resources, list):
            if isinstance(request, dict) and all(name in OTHERS for name in request):
                self.good = True
            else:
                self._foreign += 1
            return
        self.good = True
        for resource in resources:
            yield from self._of_resource(resource)

    def _of_resource(self, resource: Any) -> Iterator[Read]:
        try:
            attributes = _list(_field(resource, "resource") or {}, "attributes")
            names = dict(_texts(attributes))
            sender = identity(names, _canonical(attributes))
            service = words(names.items()).get("service.name", "")
            for scope in _list(resource, "scopeMetrics"):
                of = _field(scope, "scope") or {}
                named = str(of.get("name") or ""), str(of.get("version") or "")
                origin = (sender, *named, *_canonical(_list(of, "attributes")))
                for metric in _list(scope, "metrics"):
                    if metric.get("name") in self._metrics:
                        yield from self._points(metric, origin, service)
        except (AttributeError, KeyError, TypeError, ValueError):
            self._foreign += 1

    def _points(self, metric: dict[str, Any], origin: tuple[Any, ...], service: str) -> Iterator[Read]:
        name = metric["name"]
        shapes = ("sum",) if name in COUNTERS else ("histogram", "exponentialHistogram")
        shape = next((shape for shape in shapes if _field(metric, shape)), "")
        data = _field(metric, shape) if shape else {}
        temporality = _field(data, "aggregationTemporality")
        if temporality not in (*CUMULATIVE, *DELTA):
            others = [data] if shape else [of for of in metric.values() if isinstance(of, dict)]
            self._refused += sum(len(_list(of, "dataPoints")) for of in others)
            return
        for node in _list(data, "dataPoints"):
            try:
                if int(node.get("flags") or 0) & NO_VALUE:
                    continue
                values, bounds = _values(node, shape)
                attributes, series = self._series(_list(node, "attributes"), service)
                start, at = (_integer(_field(node, name)) for name in ("startTimeUnixNano", "timeUnixNano"))
                arrived = self._arrival(at / SECOND)
                read = point(
                    origin,
                    attributes,
                    series,
                    metric=name,
                    cumulative=temporality in CUMULATIVE,
                    start=start,
                    at=at,
                    values=values,
                    bounds=bounds,
                    arrived=arrived,
                )
            except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
                read = None
            if read is None:
                self._refused += 1
                continue
            if abs(at / SECOND - arrived) >= AHEAD:
                self._moved += 1
            self._now = max(self._now or 0.0, arrived)
            yield Read(read, origin[0], start)

    def _series(self, attributes: list[Any], service: str) -> _Series:
        """Return the attributes in one form, and what they count as. They come again and again, and are remembered."""
        try:
            written = (service, *[(of["key"], of["value"]["stringValue"]) for of in attributes])
            if (found := self._known.get(written)) is not None:
                return found
        except (KeyError, TypeError):  # other kinds of attributes, or another spelling
            return _canonical(attributes), key(words(_texts(attributes)), service)
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[written] = found = _canonical(attributes), key(words(_texts(attributes)), service)
        return found

    def _arrival(self, seconds: float) -> float:
        """Return the time at which a point arrived: the one that it says, unless that cannot be."""
        if seconds > self._written + AHEAD:
            return self._written if self._now is None else self._now
        if self._now is not None and seconds < self._now - BEHIND:
            return self._now
        return seconds


# OTLP's JSON encoding -------------------------------------------------------------------------------------------------

_SNAKE = {
    name: "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
    for name in (
        "aggregationTemporality",
        "asDouble",
        "asInt",
        "boolValue",
        "bucketCounts",
        "dataPoints",
        "explicitBounds",
        "exponentialHistogram",
        "resourceMetrics",
        "scopeMetrics",
        "startTimeUnixNano",
        "stringValue",
        "timeUnixNano",
    )
}
OTHERS = frozenset(
    {"resourceSpans", "resourceLogs", "resourceProfiles", "resource_spans", "resource_logs", "resource_profiles"}
)
"""What else a file of the Collector may hold."""


def _requests(document: Any) -> Iterable[Any]:
    return document if isinstance(document, list) else (document,)


def _field(node: dict[str, Any], name: str) -> Any:
    value = node.get(name)
    return node.get(_SNAKE.get(name, name)) if value is None else value


def _list(node: dict[str, Any], name: str) -> list[Any]:
    value = _field(node, name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise TypeError(name)
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(value)
    return 0 if value is None else int(value)


def _values(node: dict[str, Any], shape: str) -> tuple[tuple[float, ...], tuple[str, ...] | None]:
    if shape == "sum":
        whole, other = _field(node, "asInt"), _field(node, "asDouble")
        if whole is None and other is None:
            return (), None
        return (float(other) if whole is None else float(_integer(whole)),), None
    # The bins of an exponential histogram change their widths as it grows: only its count and sum add up.
    bins = [float(_integer(of)) for of in _list(node, "bucketCounts")] if shape == "histogram" else []
    bounds = [float(of) for of in _list(node, "explicitBounds")] if bins else []
    return histogram(float(_integer(node.get("count"))), float(node.get("sum") or 0), bins, bounds)


def _texts(attributes: list[Any]) -> Iterator[tuple[str, str]]:
    """Yield the attributes that are text or true; those of other kinds are empty."""
    for attribute in attributes:
        value = attribute.get("value") or {}
        text = _field(value, "stringValue")
        yield (
            str(attribute.get("key") or ""),
            text if isinstance(text, str) else "true" if _field(value, "boolValue") is True else "",
        )


def _canonical(attributes: list[Any]) -> tuple[tuple[str, str], ...]:
    """Return attributes in one form, whatever their order and spelling."""
    return tuple(sorted((str(of.get("key") or ""), _one_form(of.get("value") or {})) for of in attributes))


def _one_form(value: dict[str, Any]) -> str:
    text = _field(value, "stringValue")
    if isinstance(text, str):
        return text
    written = {name.replace("_", "").lower(): of for name, of in value.items()}
    if "intvalue" in written:
        written["intvalue"] = _integer(written["intvalue"])
    return json.dumps(written, sort_keys=True)


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _written(path: Path) -> float:
    """Return when the file was last written to, in seconds since the epoch; what it holds cannot be of later."""
    try:
        return path.stat().st_mtime
    except OSError:
        return math.inf
