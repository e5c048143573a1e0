"""``make preview``: draw every board from a Prometheus with a simulated month, without a Grafana, into PNG files.

These are previews: the queries, their data, the layout and the words are the boards'; the drawing is Vega-Lite's and a
browser's, where Grafana has its own.
"""

from __future__ import annotations

import argparse
import html
import json
import math
import re
import subprocess
import tempfile
import time
from pathlib import Path

import components
import filled
import vl_convert
from boards import BOARDS, put_in
from simulation import DAY

CHOSEN = {"surface": "autocomplete", "requested": filled.AUTO, "served": filled.HAIKU, "window": "24h"}
WIDTH, COLUMN, ROW = 1280, 53, 36
SHOWN = 7 * DAY
STEP = 3600
# Grafana's classic palette, the colours that differ most first.
PALETTE = ("#3274d9", "#ff9830", "#73bf69", "#b877d9", "#f2495c", "#5794f2", "#fade2a", "#8ab8ff", "#ffa6b0", "#96d98d")
STYLE = """
body { margin: 0; width: 1280px; font: 13px/1.35 sans-serif; background: #f4f5f5; color: #24292e; }
h1 { font-size: 17px; margin: 10px 12px 4px; } p.what { margin: 0 12px 8px; color: #5f6b76; }
.panel { position: absolute; background: #fff; border: 1px solid #dcdfe3; border-radius: 2px; overflow: hidden; }
.panel h2 { font-size: 13px; margin: 6px 8px 2px; } .panel > div { margin: 0 8px; }
.stat { font-size: 34px; font-weight: 600; text-align: center; padding-top: 26px; }
.none { color: #8a949e; text-align: center; padding-top: 60px; }
table { border-collapse: collapse; width: 100%; font-size: 12px; } td, th { text-align: left; padding: 3px 6px; }
th { border-bottom: 1px solid #dcdfe3; color: #5f6b76; font-weight: 500; } td { border-bottom: 1px solid #f0f1f2; }
"""


def main():
    """Draw the boards."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/images"))
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        print("simulating a month, and recording what the rules make of it", flush=True)
        made = filled.fill(folder)
        with made.running() as prometheus:
            colours = Colours(prometheus, made.end)
            for name, board in BOARDS.items():
                path = output / f"preview-{name.removesuffix('.json').removeprefix('llm-routing-')}.png"
                draw(board, prometheus, made.end, colours, Path(folder), path)
                print(path, flush=True)


class Colours(dict):
    """A colour for every name, the same on all panels: models first, in the order of their names."""

    def __init__(self, prometheus, at):
        super().__init__()
        for labels, _ in prometheus.query("group by (gen_ai_response_model) (llm_routing:share:24h)", at):
            self[labels["gen_ai_response_model"]]

    def __missing__(self, name):
        self[name] = PALETTE[len(self) % len(PALETTE)]
        return self[name]


def draw(board, prometheus, end, colours, folder, path):
    """Write one board to ``path``."""
    top = 66
    panels = "".join(drawn(panel, prometheus, end, colours, top) for panel in board["panels"])
    height = top + max((p["gridPos"]["y"] + p["gridPos"]["h"]) * ROW for p in board["panels"]) + 12
    chosen = " · ".join(
        f"{v['label']}: {text(v['name'])}" for v in board["templating"]["list"] if v["type"] != "datasource"
    )
    head = f"<h1>{html.escape(board['title'])}</h1><p class=what>A preview, not Grafana. {html.escape(chosen)}</p>"
    page = folder / "page.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>{head}{panels}", "utf-8")
    flags = (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "hide-scrollbars",
        "no-first-run",
        "disable-background-networking",
    )
    where = (f"user-data-dir={folder / 'browser'}", f"window-size={WIDTH},{height}", f"screenshot={path.resolve()}")
    subprocess.run(
        [components.on_path("chromium"), *(f"--{flag}" for flag in (*flags, *where)), page.as_uri()],
        check=True,
        capture_output=True,
        timeout=120,
    )


def text(name):
    return CHOSEN.get(name, "All")


def drawn(panel, prometheus, end, colours, top):
    """Return one panel as HTML."""
    at, title = panel["gridPos"], put_in(panel["title"], CHOSEN, SHOWN)
    width, height = at["w"] * COLUMN - 6, at["h"] * ROW - 6
    place = f"left:{at['x'] * COLUMN + 4}px;top:{top + at['y'] * ROW}px;width:{width}px;height:{height}px"
    unit = panel["fieldConfig"]["defaults"].get("unit", "none")
    if panel["type"] == "table":
        inside = as_table(panel, prometheus, end)
    elif panel["type"] == "stat":
        inside = as_number(panel, prometheus, end, unit)
    else:
        inside = as_lines(panel, prometheus, end, unit, colours, width - 24, height - 70)
    none = panel["fieldConfig"]["defaults"].get("noValue", "No data")
    return f'<div class=panel style="{place}"><h2>{html.escape(title)}</h2><div>{inside or none_of(none)}</div></div>'


def none_of(words):
    return f"<div class=none>{html.escape(words)}</div>"


def series(panel, prometheus, end):
    """Return the panel's series as [(refId, name, {time: value})]."""
    found = []
    for target in panel["targets"]:
        expr = put_in(target["expr"], CHOSEN, SHOWN)
        live = "prometheus_rule" in expr or "otelcol" in expr
        until, step = (time.time(), 2) if live else (end, STEP)
        for labels, values in prometheus.range(expr, until - (60 if live else SHOWN), until, step):
            legend = target.get("legendFormat", "__auto")
            name = re.sub(r"\{\{(\w+)\}\}", lambda m, labels=labels: labels.get(m[1], ""), legend)
            found.append((target["refId"], name, values))
    return found


def as_lines(panel, prometheus, end, unit, colours, width, height):
    found = series(panel, prometheus, end)
    if not found:
        return ""
    rows = [
        {"t": t * 1000, "v": value, "name": name, "dash": ref}
        for ref, name, values in found
        for t, value in values.items()
        if not math.isnan(value)
    ]
    names = list(dict.fromkeys(name for _, name, _ in found))
    if panel["type"] == "state-timeline":
        return svg(heat(rows, width, height))
    stacked = panel["fieldConfig"]["defaults"]["custom"].get("stacking", {}).get("mode") == "percent"
    axis = {"title": None, "format": ".0%" if unit == "percentunit" else "~s", "gridColor": "#eceef0"}
    if unit == "s":
        axis["labelExpr"] = "datum.label + ' s'"
    spec = {
        "mark": {"type": "area", "opacity": 0.75} if stacked else {"type": "line", "strokeWidth": 1.6},
        "encoding": {
            "x": {"field": "t", "type": "temporal", "axis": {"title": None, "grid": False}},
            "y": {
                "field": "v",
                "type": "quantitative",
                "axis": axis,
                "stack": "normalize" if stacked else None,
            },
            "color": {
                "field": "name",
                "type": "nominal",
                "scale": {"domain": names, "range": [colours[name] for name in names]},
                "legend": {
                    "orient": "bottom",
                    "title": None,
                    "columns": max(1, width // 260),
                    "labelLimit": 225,
                    "columnPadding": 24,
                },
            },
        },
    }
    if not stacked:
        spec["encoding"]["strokeDash"] = {
            "field": "dash",
            "type": "nominal",
            "scale": {"domain": ["A", "B", "C", "D"], "range": [[1, 0], [6, 4], [2, 4], [2, 4]]},
            "legend": None,
        }
    return svg(
        {
            **spec,
            "data": {"values": rows},
            "width": width - 60,
            "height": height - 30 - 18 * -(-len(names) // max(1, width // 260)),
        }
    )


def heat(rows, width, height):
    return {
        "data": {"values": rows},
        "width": width - 380,
        "height": height - 20,
        "mark": {"type": "rect"},
        "encoding": {
            "x": {
                "field": "t",
                "type": "temporal",
                "timeUnit": "yearmonthdatehours",
                "axis": {"title": None, "grid": False},
            },
            "y": {"field": "name", "type": "nominal", "axis": {"title": None, "labelLimit": 330}},
            "color": {
                "field": "v",
                "type": "quantitative",
                "scale": {
                    "type": "threshold",
                    "domain": [0.005, 0.05, 0.25, 0.5, 0.75],
                    "range": ["#fff", "#dce9f5", "#a9c9e6", "#6ba3d0", "#3579b1", "#124f86"],
                },
                "legend": None,
            },
        },
    }


def svg(spec):
    base = {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "config": {"view": {"stroke": None}}}
    return vl_convert.vegalite_to_svg(json.dumps({**base, **spec}))


def as_number(panel, prometheus, end, unit):
    found = series(panel, prometheus, end)
    if not found:
        return ""
    value = found[0][2][max(found[0][2])]
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    color = [s["color"] for s in steps if s["value"] is None or value >= s["value"]][-1]
    named = {"green": "#299c46", "orange": "#e0762b", "red": "#d44a3a", "blue": "#3274d9"}[color]
    return f'<div class=stat style="color:{named}">{html.escape(shown(value, unit))}</div>'


def shown(value, unit):
    """Return a value as Grafana writes it, nearly."""
    if unit == "percentunit":
        return f"{value:.1%}"
    if unit.startswith("suffix:"):
        return f"{value:.1f} {unit.partition(':')[2].strip()}"
    if unit == "dateTimeAsIso":
        return time.strftime("%Y-%m-%d %H:%M", time.gmtime(value / 1000))
    return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.2f}"


def as_table(panel, prometheus, end):
    """Return the joined queries as a table, with the columns that the transformations name."""
    [organise] = [t["options"] for t in panel["transformations"] if t["id"] == "organize"]
    columns = {
        field: organise["renameByName"][field]
        for field in sorted(organise["renameByName"], key=organise["indexByName"].get)
    }
    rows = {}
    many = len(panel["targets"]) > 1
    for target in panel["targets"]:
        expr = put_in(target["expr"], {**CHOSEN, "requested": ".*"}, SHOWN)
        for labels, value in prometheus.query(expr, end):
            row = rows.setdefault(tuple(sorted(labels.items())), dict(labels))
            row[f"Value #{target['refId']}" if many else "Value"] = value
    if not rows:
        return ""
    units = {}
    for override in panel["fieldConfig"].get("overrides", ()):
        unit = {p["id"]: p["value"] for p in override["properties"]}.get("unit")
        pattern = override["matcher"]["options"]
        units.update({title: unit for title in columns.values() if unit and re.fullmatch(pattern.strip("/"), title)})
    body = list(rows.values())
    if sort := panel["options"].get("sortBy"):
        field = next(f for f, title in columns.items() if title == sort[0]["displayName"])
        body.sort(key=lambda row: row.get(field, 0), reverse=bool(sort[0].get("desc")))
    head = "".join(f"<th>{html.escape(title)}</th>" for title in columns.values())
    lines = "".join(
        "<tr>"
        + "".join(
            f"<td>{html.escape(v if isinstance(v := row.get(f, ''), str) else shown(v, units.get(title, 'none')))}</td>"
            for f, title in columns.items()
        )
        + "</tr>"
        for row in body[:12]
    )
    return f"<table><tr>{head}</tr>{lines}</table>"


if __name__ == "__main__":
    main()
