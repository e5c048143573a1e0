"""The first board: which surfaces moved, how much of the traffic nobody pinned, what is new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.common import TableSortByFieldState

from dashboards.parts import (
    HALF,
    MODEL,
    PERCENT,
    POINTS,
    bars,
    board,
    joined,
    lines,
    now,
    number,
    properties,
    query,
    rows,
    stacked,
)
from dashboards.promql import PAIR, SERVED, STREAM, SURFACE, constant, recorded, requests, share_of, unknown

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Dashboard

UNPINNED = 'llm_routing_request_kind=~"alias|router"'
FIRING = 'ALERTS{alertname=~"LLMRouting.+", alertstate="firing"}'
# The largest change of any model, for streams that have a reference: a move between two models is counted once.
MOVED = (
    f"100 * max by ({STREAM}) (abs({recorded('llm_routing:share:%s', PAIR)}"
    f" - {constant('llm_routing:reference:share', PAIR)}"
    f" or ({recorded('llm_routing:share:%s', PAIR)}"
    f" and on ({STREAM}) {constant('llm_routing:reference:requests', STREAM)})))"
)
_WEEK = "llm_routing:requests:7d"
NEW = f"({recorded(_WEEK, PAIR)} > 0) unless ({recorded(_WEEK, PAIR, offset='7d')} > 0)"


def moved(window: str) -> str:
    """Return how many points the model that moved most, of each stream, is away from its reference."""
    return MOVED.replace("%s", window)


def make() -> Dashboard:
    """Return the board."""
    everywhere = f"{requests('24h')} + ({unknown('24h')} or vector(0)) > 0"
    kinds = (
        "sum by (llm_routing_request_kind) (sum_over_time(llm_routing:requests:slice5m[1h])"
        " or sum_over_time(llm_routing:unknown_requests:slice5m[1h]))"
    )
    return (
        board(
            "llm-routing-overview",
            "LLM routing / Overview",
            "Which surfaces are served by another mix of models than was agreed, and what nobody pinned.",
        )
        .with_panel(
            number(
                "Traffic nobody pinned",
                "The share of the last 24 hours' requests that ask for an alias or a router: the provider decides "
                "which model serves them, and may decide differently tomorrow. Lower it with pins, or watch it with "
                "alerts.",
                PERCENT,
                [(None, "green"), (0.25, "orange"), (0.75, "red")],
            )
            .decimals(0)
            .with_target(
                query(
                    f"(({requests('24h', UNPINNED)} or vector(0)) + ({unknown('24h', UNPINNED)} or vector(0)))"
                    f" / ({everywhere})",
                    "unpinned",
                )
            )
        )
        .with_panel(
            number(
                "Served model unknown",
                "The share of the last 24 hours' requests whose served model nobody reported, or for which only the "
                "requested name came back. Every share on these boards is of the rest: the larger this is, the less "
                "they say.",
                PERCENT,
                [(None, "green"), (0.05, "orange"), (0.2, "red")],
            )
            .decimals(1)
            .with_target(query(share_of(unknown("24h"), requests("24h")), "unknown"))
        )
        .with_panel(
            number(
                "Alerts firing",
                "Alerts of otel-llm-routing that fire now. Each has a runbook; the list is below.",
                "none",
                [(None, "green"), (1, "red")],
            ).with_target(query(f"count({FIRING}) or vector(0)", "firing"))
        )
        .with_panel(
            number(
                "New models this week",
                "Models that served in the last 7 days and not in the 7 days before, counted once for each surface and "
                "requested model. They are listed below. A new model is a decision somebody took: find out who.",
                "none",
                [(None, "green"), (1, "blue")],
            ).with_target(query(f"count({NEW}) or vector(0)", "new"))
        )
        .with_panel(
            rows(
                "Surfaces, the most moved first",
                "Moved: how far the share of the model that moved most is from its reference, in points. Beyond noise: "
                "the largest shift score; above 10 to 12 an alert fires, if the move is also large enough. Surfaces "
                "without a reference are not here: pin one. Click a surface for its board.",
            )
            .with_target(now(moved("24h"), "day"))
            .with_target(now(moved("7d"), "week"))
            .with_target(now(recorded("llm_routing:shift_score:24h", STREAM), "score"))
            .with_target(now(recorded("llm_routing:stream_requests:24h", STREAM), "requests"))
            .transformations(
                joined(
                    ("llm_routing_surface", "Surface"),
                    ("gen_ai_request_model", "Requested model"),
                    ("Value #day", "Moved, 24 h"),
                    ("Value #week", "Moved, 7 d"),
                    ("Value #score", "Shift score, 24 h"),
                    ("Value #requests", "Requests, 24 h"),
                )
            )
            .override_by_regexp("Moved.*", [*properties(unit=POINTS, decimals=1), *bars(50)])
            .override_by_name("Shift score, 24 h", properties(decimals=1))
            .override_by_name("Requests, 24 h", properties(decimals=0))
            .override_by_name(
                "Surface",
                properties(
                    links=[
                        {
                            "title": "Its board",
                            "url": "/d/llm-routing-surface?var-surface=${__data.fields.Surface:percentencode}"
                            '&var-requested=${__data.fields["Requested model"]:percentencode}'
                            "&var-datasource=${datasource}&${__url_time_range}",
                        }
                    ]
                ),
            )
            .sort_by([_descending("Moved, 24 h")])
        )
        .with_panel(
            lines(
                "How far each surface moved",
                "Points between the reference and the share of the model that moved most, over 24 hours. A line that "
                "rises and stays is a shift; one that swings with the day is traffic, which the Traffic or router "
                "board tells apart.",
                POINTS,
            )
            .min(0)
            .with_target(query(f"topk(10, {moved('24h')})", "{{llm_routing_surface}}, {{gen_ai_request_model}}"))
        )
        .with_panel(
            stacked(
                "Requests by what they ask for",
                "The share of requests, by the hour, that ask for a pinned model, an alias, a router, or a name of "
                "unknown kind. Pinned is what cannot change by itself.",
                HALF,
            )
            .with_target(query(f"{kinds} / on () group_left () (sum({kinds}) > 0)", "{{llm_routing_request_kind}}"))
            .height(9)
        )
        .with_panel(
            rows(
                "Alerts",
                "What fires now, whoever evaluates the rules. No rows is good news only while the Pipeline health "
                "board is.",
                HALF,
            )
            .with_target(now(f"max by (alertname, severity, {STREAM}, {SERVED}) ({FIRING})"))
            .transformations(
                joined(
                    ("alertname", "Alert"),
                    ("severity", "Severity"),
                    ("llm_routing_surface", "Surface"),
                    ("gen_ai_request_model", "Requested model"),
                    ("gen_ai_response_model", "Served model"),
                )
            )
        )
        .with_panel(
            rows(
                "New models of the week",
                "Models that served in the last 7 days and not in the 7 days before, with their share of the last 7 "
                "days.",
                HALF,
            )
            .with_target(now(f"{recorded('llm_routing:share:7d', PAIR)} and ({NEW})"))
            .transformations(
                joined(
                    ("llm_routing_surface", "Surface"),
                    ("gen_ai_request_model", "Requested model"),
                    ("gen_ai_response_model", "Served model"),
                    ("Value", "Share, 7 d"),
                )
            )
            .override_by_name("Share, 7 d", properties(unit=PERCENT, decimals=1))
            .sort_by([_descending("Share, 7 d")])
        )
        .with_panel(
            stacked(
                "Who serves everything",
                "All surfaces together, over 24 hours. It hides what one surface does: a small surface may change "
                "wholly and hardly show here. Use it for the bill, not for quality.",
            ).with_target(
                query(
                    f"sum by ({SERVED}) ({recorded('llm_routing:requests:24h', PAIR)})"
                    f" / on () group_left () (sum({recorded('llm_routing:requests:24h', PAIR)}) > 0)",
                    MODEL,
                )
            )
        )
        .with_panel(
            lines(
                "Served model unknown, by surface",
                "The share of each surface's requests of the last 6 hours whose served model is not known. A step up "
                "means that a gateway or an SDK stopped reporting.",
                PERCENT,
                24,
            )
            .min(0)
            .with_target(query(recorded("llm_routing:unknown_share:6h", SURFACE), "{{llm_routing_surface}}"))
        )
    )


def _descending(column: str) -> TableSortByFieldState:
    return TableSortByFieldState().display_name(column).desc(desc=True)
