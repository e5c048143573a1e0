"""Did our traffic change, or their router? Shares at the sizes of the reference, beside the raw ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.parts import (
    MODEL,
    PERCENT,
    POINTS,
    THIRD,
    beside,
    board,
    chosen,
    lines,
    number,
    query,
    requested_variable,
    stacked,
    surface_variable,
)
from dashboards.promql import ONE, PAIR, SERVED, STREAM, constant, recorded

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Dashboard

RAW = recorded("llm_routing:share:24h", PAIR, ONE)
ADJUSTED = recorded("llm_routing:adjusted_share:24h", PAIR, ONE)
REFERENCE = constant("llm_routing:reference:share", PAIR, ONE)
IN_SIZE = f"max by ({PAIR}, llm_routing_size) (last_over_time(llm_routing:size_requests:24h{{{ONE}}}[10m]))"
CHOSEN = IN_SIZE.replace(ONE, f'{ONE}, {SERVED}="$served"')
NO_SIZES = "The reference has no sizes for this surface: pin it again with a source that has them"


def make() -> Dashboard:
    """Return the board."""
    size = f"sum by (llm_routing_size) ({IN_SIZE})"
    return (
        board(
            "llm-routing-traffic-or-router",
            "LLM routing / Traffic or router",
            "Whether a share moved because we ask other things, or because they answer differently.",
        )
        .with_variable(surface_variable())
        .with_variable(requested_variable())
        .with_variable(
            chosen(
                "served",
                "Served model",
                "The model whose share is shown by size.",
                f"label_values(llm_routing:size_requests:24h{{{ONE}}}, {SERVED})",
            )
        )
        .with_panel(
            lines(
                "The router's part",
                "Points by which each share moved at equal sizes of request: what is left when our own traffic is held "
                "still. It is the router, or a property of requests that is not recorded.",
                POINTS,
            )
            .axis_centered_zero(axis_centered_zero=True)
            .decimals(1)
            .no_value(NO_SIZES)
            .with_target(query(f"100 * max by ({SERVED}) ({ADJUSTED} - {REFERENCE})", MODEL))
        )
        .with_panel(
            lines(
                "Our traffic's part",
                "Points by which each share moved because requests are longer or shorter than they were. Nobody "
                "changed a model: the router decides as before.",
                POINTS,
            )
            .axis_centered_zero(axis_centered_zero=True)
            .decimals(1)
            .no_value(NO_SIZES)
            .with_target(query(f"100 * max by ({SERVED}) ({RAW} - {ADJUSTED})", MODEL))
        )
        .with_panel(
            lines(
                "Share, and share at the reference's sizes",
                "Solid: the share. Dashed: what it would be if requests had the sizes they had when the reference was "
                "pinned. Only the solid one moved: our traffic. Both moved: the router.",
                PERCENT,
                24,
            )
            .decimals(0)
            .min(0)
            .with_target(query(f"max by ({SERVED}) ({RAW})", MODEL))
            .with_target(query(f"max by ({SERVED}) ({ADJUSTED})", MODEL, "B"))
            .override_by_query("B", beside())
        )
        .with_panel(
            number(
                "Traffic compared",
                "How much of the reference's traffic is in sizes that have enough requests now. Below 80 % the "
                "adjusted share speaks for a part only.",
                PERCENT,
                [(None, "red"), (0.5, "orange"), (0.8, "green")],
            )
            .decimals(0)
            .with_target(query(f"max({recorded('llm_routing:adjusted_coverage:24h', STREAM, ONE)})", "compared"))
            .span(THIRD)
        )
        .with_panel(
            number(
                "Requests behind it",
                "What the adjusted share is worth, in requests: a reweighted sample is worth less than its size.",
                "short",
                [(None, "blue")],
            )
            .with_target(query(f"max({recorded('llm_routing:adjusted_requests:24h', STREAM, ONE)})", "requests"))
            .span(THIRD)
        )
        .with_panel(
            number(
                "Largest part of the router",
                "The largest change of any model at equal sizes, in points. Two points or less are within what sizes "
                "cannot explain away.",
                POINTS,
                [(None, "green"), (2, "orange"), (10, "red")],
            )
            .decimals(1)
            .with_target(query(f"100 * max(abs({ADJUSTED} - {REFERENCE}))", "router"))
            .span(THIRD)
        )
        .with_panel(
            stacked(
                "Sizes of requests",
                "Requests by their characters, over 24 hours. A band that grows is our own change: a new feature, "
                "longer context, another kind of user.",
                12,
            ).with_target(query(f"{size} / on () group_left () (sum({IN_SIZE}) > 0)", "{{llm_routing_size}}"))
        )
        .with_panel(
            lines(
                "Share of $served within each size",
                "The share of the chosen model among requests of one size. Lines that stay level while the surface's "
                "share moves mean that the router did not change.",
                PERCENT,
            )
            .min(0)
            .max(1)
            .decimals(0)
            .height(10)
            .with_target(
                query(
                    f"sum by (llm_routing_size) ({CHOSEN}) / ({size} > 0)",
                    "{{llm_routing_size}}",
                )
            )
        )
    )
