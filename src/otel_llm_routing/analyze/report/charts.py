"""The charts, in Altair: what served over time, and how far that is from the reference.

They hold no data. A page draws one specification for every stream, each time with the rows that ``web/charts.js`` makes
of a stream's ``drawing.strip``. Names from outside are values of rows, and never a part of a specification. What is
neither a model's nor transparent has the colour of the text around it, so that light and dark are the page's.
"""

from __future__ import annotations

from typing import Any, Literal

import altair as alt

INK = "currentColor"
HEIGHT = 190
"""Pixels of the shares; the changes have three quarters."""
FAINT = 0.16
FONT_SIZE = 12
LABELS = {
    # The labels of axes are ours: a date or a time, or seconds since the epoch, which the browser's own clock writes.
    "day": "slice(datum.label, 5, 10)",
    "clock": "timeFormat(1000 * toNumber(datum.label), '%H:%M')",
    "date": "timeFormat(1000 * toNumber(datum.label), '%b %d')",
}
Columns = Literal["day", "clock", "date"]
TIPS = ("time", "served", "share", "reference", "change", "requests", "note")


def specifications(columns: Columns, title: str) -> dict[str, Any]:
    """Return the two charts as Vega-Lite, by name; ``title`` says what a column is."""
    return {
        name: chart.to_dict()
        for name, chart in (("mix", mix_chart(columns, title)), ("change", change_chart(columns, title)))
    }


def mix_chart(columns: Columns, title: str) -> alt.LayerChart:
    """Return the chart of the shares: 100 % for each column, with the reference's boundaries between models."""
    x = _x(columns, title)
    share = alt.Y(
        "from:Q",
        title="share of requests",
        scale=alt.Scale(domain=[0, 1], nice=False),
        axis=alt.Axis(format=".0%", tickCount=5),
    )
    bars = (
        alt.Chart(alt.NamedData("bars"), name="bars")
        .mark_bar()
        .encode(x=x, y=share, y2="to:Q", fill=_colour(), opacity=alt.Opacity("opacity:Q", scale=None), tooltip=_tips())
    )
    boundaries = (
        alt.Chart(alt.NamedData("boundaries"), name="boundaries")
        .mark_rule(color=INK, strokeDash=[5, 3], strokeWidth=1.5)
        .encode(y=alt.Y("share:Q"), tooltip=alt.Tooltip("note:N", title="reference"))
    )
    letters = (
        alt.Chart(alt.NamedData("letters"))
        .mark_text(align="left", dx=5, color=INK, fontSize=FONT_SIZE, fontWeight="bold")
        .encode(x=alt.value("width"), y=alt.Y("share:Q"), text="letter:N")
    )
    return _finished([*_gaps(x), bars, boundaries, letters], HEIGHT)


def change_chart(columns: Columns, title: str) -> alt.LayerChart:
    """Return the chart of the changes since the reference, in points, with the band of each model."""
    x = _x(columns, title)
    points = alt.Y("change:Q", title="change, points", axis=alt.Axis(format="+.3~g", tickCount=5))
    bands = (
        alt.Chart(alt.NamedData("bands"), name="bands")
        .mark_rect(opacity=FAINT)
        .encode(y=alt.Y("low:Q"), y2="high:Q", fill=_colour(), tooltip=alt.Tooltip("note:N", title="band"))
    )
    zero = (
        alt.Chart(alt.NamedData("zero"))
        .mark_rule(color=INK, strokeDash=[5, 3], strokeWidth=1.5)
        .encode(y="change:Q", opacity=alt.Opacity("opacity:Q", scale=None))
    )
    lines = (
        alt.Chart(alt.NamedData("changes"))
        .mark_line(strokeWidth=2)
        .encode(x=x, y=points, detail="served:N", stroke=_colour())
    )
    dots = (
        alt.Chart(alt.NamedData("changes"), name="dots")
        .mark_point(filled=True, size=38)
        .encode(
            x=x,
            y=points,
            fill=_colour(),
            shape=alt.Shape("shape:N", scale=None, legend=None),
            opacity=alt.Opacity("opacity:Q", scale=None),
            tooltip=_tips(),
        )
    )
    letters = (
        alt.Chart(alt.NamedData("ends"))
        .mark_text(align="left", dx=5, color=INK, fontSize=FONT_SIZE, fontWeight="bold")
        .encode(x=alt.value("width"), y=alt.Y("change:Q"), text="letter:N")
    )
    return _finished([*_gaps(x), bands, zero, lines, dots, letters], HEIGHT * 3 // 4)


def _x(columns: Columns, title: str) -> alt.X:
    axis = alt.Axis(
        labelExpr=LABELS[columns], labelAngle=0, labelOverlap="greedy", labelSeparation=8, labelFlush=True, grid=False
    )
    return alt.X("column:O", title=title, axis=axis, scale=alt.Scale(paddingInner=0.12, paddingOuter=0.05))


def _gaps(x: alt.X) -> tuple[alt.Chart, alt.Chart]:
    """Return what stands where there are no shares: a grey column, and once for a run of them why."""
    areas = (
        alt.Chart(alt.NamedData("gaps"), name="gaps")
        .mark_rect(color=INK)
        .encode(
            x=x,
            opacity=alt.Opacity("opacity:Q", scale=None),
            tooltip=[alt.Tooltip("time:N", title="time"), alt.Tooltip("note:N", title="no shares")],
        )
    )
    words = (
        alt.Chart(alt.NamedData("words"))
        .mark_text(color=INK, angle=270, fontSize=FONT_SIZE - 1)
        .encode(x=x, y=alt.value({"expr": "height / 2"}), text="word:N")
    )
    return areas, words


def _colour() -> Any:
    return alt.Color("colour:N", scale=None, legend=None)


def _tips() -> list[alt.Tooltip]:
    # Written out in each row: Vega-Lite would format what is not known as 0.
    return [alt.Tooltip(f"{name}_text:N", title=name) for name in TIPS]


def _finished(layers: list[alt.Chart], height: int) -> alt.LayerChart:
    ink = {"labelColor": INK, "titleColor": INK, "domainColor": INK, "tickColor": INK, "gridColor": INK}
    chart: alt.LayerChart = (
        alt.LayerChart(layer=layers)
        .properties(width="container", height=height, background="transparent")
        .configure(font="system-ui, sans-serif")
        .configure_view(stroke=None)
        .configure_axis(
            **ink, gridOpacity=FAINT, labelFontSize=FONT_SIZE, titleFontSize=FONT_SIZE, titleFontWeight="normal"
        )
    )
    return chart
