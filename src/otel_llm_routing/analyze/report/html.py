"""The report as one HTML file: what to do first, then a table and charts for each stream. It loads nothing.

Needs the extra ``html``: ``charts`` are Altair's, and the JavaScript that draws them is in the file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_llm_routing._version import __version__
from otel_llm_routing.analyze.report.drawing import STATES, labels, signs_of, strip
from otel_llm_routing.analyze.report.summary import WORDS, dollars, period, prices, summary, zone_of
from otel_llm_routing.analyze.wording import ABSENT, many, percent, points, printable

try:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup, escape

    from otel_llm_routing.analyze.report import vega
    from otel_llm_routing.analyze.report.charts import specifications
except ModuleNotFoundError as error:
    msg = f"{error.name} is not installed; the HTML report needs: pip install 'otel-llm-routing[html]'"
    raise ModuleNotFoundError(msg, name=error.name) from None

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_llm_routing.analyze.report.model import Finding, Report, ServedRow, StreamReport, SurfaceReport
    from otel_llm_routing.analyze.report.palette import Sign

MOST_CHARTS = 60
"""Streams with charts, the most urgent first: more would keep a browser busy for long. Tables are there for all."""
MARKS = {"shifted": "shifted", "new": "new", "vanished": "gone", "substituted": "substituted", "": ""}


class _Row(NamedTuple):
    """A row of a table of shares, as it is shown."""

    of: ServedRow
    name: str
    sign: Sign
    cells: tuple[tuple[str, str, str], ...]
    """Head, text, and class."""


class _Chart(NamedTuple):
    """One chart."""

    name: str
    caption: str
    text: str
    """What it shows, for those who do not see it."""


class _Day(NamedTuple):
    """A row of a table of days."""

    label: str
    over: bool
    why: str
    """Why there are no shares, or empty."""
    shares: tuple[float | None, ...]
    requests: int


class _Stream(NamedTuple):
    """A stream as it is shown."""

    of: StreamReport
    name: str
    detectable: str
    """The smallest shift that would be seen, where no finding says it."""
    cause: str
    """Whose change it is, where there is something to say of it."""
    strip: str
    """The key of what its charts are drawn from."""
    pinned: str
    heads: tuple[str, ...]
    rows: tuple[_Row, ...]
    charts: tuple[_Chart, ...]
    days: tuple[_Day, ...]
    compared: bool


class _Surface(NamedTuple):
    """A surface as it is shown."""

    of: SurfaceReport
    name: str
    findings: tuple[Finding, ...]
    """All but those that say that all is well, unless nothing else is said."""
    counts: str
    streams: tuple[_Stream, ...]


def as_html(report: Report) -> str:
    """Return the report as a file that a browser shows without a network; about 0.9 MB of it is the JavaScript."""
    page = _Page(report)
    surfaces = page.surfaces()
    style = "\n".join((_file("charts.css"), _file("report.css")))
    scripts = (libraries(), f"{_file('charts.js')}\n{_file('report.js')}") if page.strips else ()
    drawing = {"specifications": specifications("day", page.day_title), "strips": page.strips}
    text: str = _template().render(
        report=report,
        policy=_security_policy(style, scripts),
        version=__version__,
        title=f"Which model served: {period(report)}",
        period=period(report),
        source=printable(report.source),
        made=page.when(report.made),
        held=[page.when(at) for at in report.held] if report.held else None,
        summary=summary(report),
        prices=prices(report),
        words=WORDS,
        surfaces=surfaces,
        day_title=page.day_title,
        most_charts=MOST_CHARTS,
        adjusted=any(row.adjusted is not None for s in report.surfaces for of in s.streams for row in of.served),
        # Names in it can neither end the element nor begin another one.
        drawing=Markup(json.dumps(drawing, separators=(",", ":")).replace("<", "\\u003c")),  # noqa: S704
        style=Markup(style),  # noqa: S704  (our own)
        scripts=[Markup(script) for script in scripts],  # noqa: S704  (our own)
    )
    return text


@cache
def libraries() -> str:
    """Return the JavaScript of Vega, once a process."""
    return vega.javascript()


class _Page:
    """Puts together what the template shows."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._zone = zone_of(report)
        self._signs = signs_of(report)
        self._labels = labels(report)
        rows = [row for s in report.surfaces for stream in s.streams for row in stream.served]
        self._costs = any(row.cost for row in rows)
        self.strips: dict[str, Any] = {}
        """By key: what the charts of a stream are drawn from."""
        self.day_title = self._day_title()

    def when(self, seconds: float) -> str:
        """Return a time as it is shown."""
        return f"{datetime.fromtimestamp(seconds, self._zone):%Y-%m-%d %H:%M} ({self._report.timezone})"

    def surfaces(self) -> list[_Surface]:
        """Return all surfaces, in the report's order."""
        return [self._surface(surface) for surface in self._report.surfaces]

    def _day_title(self) -> str:
        begins = datetime.fromtimestamp(self._report.end, self._zone)
        if (begins.hour, begins.minute) == (0, 0):
            return f"day ({self._report.timezone})"
        return f"24 hours from {begins:%H:%M} on ({self._report.timezone})"

    def _surface(self, surface: SurfaceReport) -> _Surface:
        urgent = tuple(one for one in surface.findings if one.level != "calm")
        return _Surface(
            of=surface,
            name=printable(surface.surface),
            findings=urgent or (surface.verdict,),
            counts=" · ".join(_counts(surface)),
            streams=tuple(self._stream(surface, stream) for stream in surface.streams),
        )

    def _stream(self, surface: SurfaceReport, stream: StreamReport) -> _Stream:
        compared = any(row.reference is not None for row in stream.served)
        words = stream.detectable_words
        heads = ["served", "share", "95 %", *(("reference", "change, points", "band") if compared else ())]
        heads += ["adjusted"] if any(row.adjusted is not None for row in stream.served) else []
        heads += ["requests"]
        heads += ["$ per 1,000"] if self._costs else []
        heads += ["state"] if any(row.state for row in stream.served) else []
        rows = tuple(
            _Row(row, printable(row.served), self._signs[row.served], tuple(self._cells(row, heads[1:])))
            for row in stream.served
        )
        key = ""
        if "measured" in stream.days and len(self.strips) < MOST_CHARTS:
            key = f"s{len(self.strips)}"
            self.strips[key] = strip(self._report, stream, self._signs, self._labels)
        return _Stream(
            of=stream,
            name=printable(stream.requested),
            detectable="" if any(words in one.sentence for one in stream.findings) else words[:1].upper() + words[1:],
            cause=_cause(stream),
            strip=key,
            pinned="" if stream.pinned is None else self.when(stream.pinned),
            heads=tuple(heads),
            rows=rows,
            charts=tuple(self._charts(surface, stream, rows, compared=compared)) if key else (),
            days=tuple(self._days(stream)) if "measured" in stream.days else (),
            compared=compared,
        )

    def _cells(self, row: ServedRow, heads: Sequence[str]) -> Iterator[tuple[str, str, str]]:
        between = row.interval and f"{100 * row.interval.low:.1f} to {100 * row.interval.high:.1f}%"
        band = row.band and f"{100 * row.band.low:.1f} to {100 * row.band.high:.1f}%"
        texts = {
            "share": _percent(row.share),
            "95 %": between or ABSENT,
            "reference": _percent(row.reference),
            "change, points": ABSENT if row.change is None else points(row.change).replace("-", "\N{MINUS SIGN}"),
            "band": band or ABSENT,
            "adjusted": _percent(row.adjusted),
            "requests": f"{row.requests:,}",
            "$ per 1,000": "unknown" if row.cost is None else dollars(row.cost.per_thousand),
            "state": MARKS[row.state],
        }
        for head in heads:
            kind = "" if texts[head] else "nothing"
            yield head, texts[head], "alarm left" if texts[head] and head == "state" else kind

    def _charts(
        self, surface: SurfaceReport, stream: StreamReport, rows: Sequence[_Row], *, compared: bool
    ) -> Iterator[_Chart]:
        span = f"{len(self._labels)} days, {self._labels[0]} to {self._labels[-1]}"
        of = f"{printable(surface.surface)}, asked for {printable(stream.requested) or 'no model by name'}"
        last = [at for at, state in enumerate(stream.days) if state == "measured"][-1]
        gaps = sum(state != "measured" for state in stream.days)
        without = f" {gaps} of them have no shares." if gaps else ""
        now = ", ".join(f"{row.name} {_percent(row.of.daily[last])}" for row in rows)
        lines = "; dashed: the reference" if compared else ""
        yield _Chart(
            "mix",
            f"Share of each served model, by day{lines}",
            f"Stacked bars: share of each served model of {of}. {span}.{without} On {self._labels[last]}: {now}. "
            "The table below has all of them.",
        )
        if compared:
            moved = ", ".join(
                f"{row.name} {points((row.of.daily[last] or 0) - (row.of.reference or 0))} points" for row in rows
            )
            yield _Chart(
                "change",
                "Change since the reference, in points; shaded: the band of each model",
                f"Lines: change of each share since the reference, of {of}. {span}.{without} On {self._labels[last]}: "
                f"{moved}. The table below has the shares.",
            )

    def _days(self, stream: StreamReport) -> Iterator[_Day]:
        days = zip(self._labels, self._report.days, stream.days, stream.daily_requests, strict=True)
        for at, (label, day, state, requests) in enumerate(days):
            shares = tuple(row.daily[at] for row in stream.served)
            yield _Day(label, day.over, STATES.get(state, ""), shares, requests)


def _cause(stream: StreamReport) -> str:
    found = stream.decomposition
    if found is None or (stream.verdict.level != "alarm" and found.verdict == "none"):
        return ""
    return found.sentence


def _counts(surface: SurfaceReport) -> Iterator[str]:
    mix = surface.mix
    yield many(mix.requests, "request")
    if surface.kinds:
        yield "requested: " + ", ".join(f"{kind} {requests:,}" for kind, requests in surface.kinds.items())
    if mix.unknown:
        yield f"served model unknown for {percent(mix.unknown_share)}"
    for text, number in (
        ("unreported", mix.unreported),
        ("unconfirmed", mix.unconfirmed),
        ("failed", mix.errors),
        ("from a cache", mix.cached),
    ):
        if number:
            yield f"{number:,} {text}"


def _percent(share: float | None) -> str:
    return ABSENT if share is None else percent(share)


def _prose(sentence: str) -> Markup:
    """Return a sentence with names in backticks: those as code."""
    parts = printable(sentence).split("`")
    return Markup("").join(Markup("<code>{}</code>").format(p) if at % 2 else escape(p) for at, p in enumerate(parts))


def _file(name: str) -> str:
    return resources.files("otel_llm_routing.analyze.report").joinpath("web", name).read_text("utf-8")


@cache
def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters.update(prose=_prose, shown=printable, percent=_percent)
    return environment.from_string(_file("report.html"))


def _security_policy(style: str, scripts: Sequence[str]) -> str:
    """Return what the browser may do with the file: run and apply what is in it, and load nothing."""

    def hashes(texts: Sequence[str]) -> str:
        # As the browser hashes them: with line ends that HTML has made "\n".
        found = (hashlib.sha256(re.sub(r"\r\n?", "\n", text).encode()).digest() for text in texts)
        return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in found) or "'none'"

    return (
        f"default-src 'none'; script-src {hashes(scripts)}; style-src {hashes([style])}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
