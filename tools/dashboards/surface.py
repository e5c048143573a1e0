"""One surface: its mix against the reference and the band, what it costs in time and errors, what would be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.parts import (
    MODEL,
    PERCENT,
    POINTS,
    THIRD,
    beside,
    board,
    lines,
    number,
    query,
    requested_variable,
    stacked,
    surface_variable,
    window_variable,
)
from dashboards.promql import ONE, PAIR, SERVED, STREAM, constant, recorded

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Dashboard

SHARE = recorded("llm_routing:share:$window", PAIR, ONE)
REFERENCE = constant("llm_routing:reference:share", PAIR, ONE)
WOBBLE = recorded("llm_routing:wobble_points:$window", PAIR, ONE)
EFFECTIVE = recorded("llm_routing:effective_requests:$window", STREAM, ONE)
THRESHOLD = constant("llm_routing:reference:threshold", STREAM, ONE)
CHANGE = f"100 * ({SHARE} - {REFERENCE} or {SHARE} unless on ({PAIR}) {REFERENCE})"


def least_shift() -> str:
    """Return about the smallest change that the rules see, in points, for each model of the reference.

    The root formula, and one step from it towards the solution of J = L (docs/detection.md), as the root alone is far
    too small near 0 and 100 %.
    """
    share = f"(0.5 - abs(clamp_max(clamp_min({REFERENCE}, 0.001), 0.999) - 0.5))"  # the rest's change is as visible
    evidence = f"on ({STREAM}) group_left () ({THRESHOLD} / {EFFECTIVE})"
    root = f"sqrt(2 * {share} * (1 - {share}) * {evidence})"
    moved = f"clamp_max({share} + {root}, 0.9999)"
    logits = f"(ln({moved} / (1 - {moved})) - ln({share} / (1 - {share})))"
    return f"100 * sqrt({root} * 2 / {logits} * {evidence})"


def by_model(metric: str) -> str:
    """Return the rate of a counter of this stream, by served model."""
    return f"sum by ({SERVED}) (rate({metric}{{{ONE}}}[$__rate_interval]))"


def quantile(q: float, metric: str) -> str:
    """Return a quantile of a histogram of this stream, by served model."""
    return f"histogram_quantile({q}, sum by (le, {SERVED}) (rate({metric}_bucket{{{ONE}}}[$__rate_interval])))"


def make() -> Dashboard:
    """Return the board."""
    edge = 'max by (llm_routing_band, side) (llm_routing:band:edge{llm_routing_surface="$surface"})'
    return (
        board(
            "llm-routing-surface",
            "LLM routing / Surface",
            "Which models serve one surface, against the mix that was agreed.",
        )
        .with_variable(surface_variable())
        .with_variable(requested_variable())
        .with_variable(window_variable())
        .with_panel(
            stacked(
                "Who serves $surface",
                "The share of each served model, of the requests whose served model is known. A colour that grows over "
                "days, with nothing deployed, is the provider's doing.",
            ).with_target(query(f"max by ({SERVED}) ({SHARE})", MODEL))
        )
        .with_panel(
            lines(
                "Change against the reference",
                "Points above or below the reference, for each model; they add up to nothing. A model that the "
                "reference does not have counts from 0.",
                POINTS,
            )
            .axis_centered_zero(axis_centered_zero=True)
            .decimals(1)
            .with_target(query(f"max by ({SERVED}) ({CHANGE})", MODEL))
        )
        .with_panel(
            lines(
                "Share, reference and normal wobble",
                "Solid: the share. Dashed: the reference, and two standard errors to either side of it. A share "
                "outside for long is a shift; a single excursion is not.",
                PERCENT,
            )
            .decimals(0)
            .min(0)
            .with_target(query(f"max by ({SERVED}) ({SHARE})", MODEL))
            .with_target(query(f"max by ({SERVED}) ({REFERENCE})", MODEL, "B"))
            .with_target(query(f"max by ({SERVED}) ({REFERENCE} + {WOBBLE} / 100)", MODEL, "C"))
            .with_target(query(f"max by ({SERVED}) (clamp_min({REFERENCE} - {WOBBLE} / 100, 0))", MODEL, "D"))
            .override_by_query("B", beside())
            .override_by_query("C", beside(2, 6, width=1))
            .override_by_query("D", beside(2, 6, width=1))
        )
        .with_panel(
            lines(
                "The same hours a week ago",
                "Solid: now. Dashed: 7 days before. Where both swing alike it is the week's rhythm, not a shift.",
                PERCENT,
            )
            .decimals(0)
            .min(0)
            .with_target(query(f"max by ({SERVED}) ({SHARE})", MODEL))
            .with_target(
                query(
                    f"max by ({SERVED}) ({recorded('llm_routing:share:$window', PAIR, ONE, offset='7d')})",
                    MODEL,
                    "B",
                )
            )
            .override_by_query("B", beside())
        )
        .with_panel(
            lines(
                "The policy's bands",
                "Solid: the share of the models that a band names, of the whole surface, over 24 hours. Dashed: the "
                "edges that the policy declares. Empty where it declares none.",
                PERCENT,
            )
            .decimals(0)
            .min(0)
            .max(1)
            .no_value("The policy declares no band for this surface")
            .with_target(
                query(
                    recorded("llm_routing:band:requests:24h", "llm_routing_band", 'llm_routing_surface="$surface"')
                    + " / ("
                    + recorded(
                        "llm_routing:band:surface_requests:24h", "llm_routing_band", 'llm_routing_surface="$surface"'
                    )
                    + " > 0)",
                    "{{llm_routing_band}}",
                )
            )
            .with_target(query(edge, "{{llm_routing_band}}", "B"))
            .override_by_query("B", beside())
        )
        .with_panel(
            number(
                "Shift score",
                "The evidence that the share of any model moved, over the chosen window, and not by chance. An alert "
                "needs more than 10, over an hour more than 12, and a move that is large enough.",
                "none",
                [(None, "green"), (5, "orange"), (10, "red")],
            )
            .decimals(1)
            .with_target(query(f"max({recorded('llm_routing:shift_score:$window', STREAM, ONE)})", "score"))
            .span(THIRD)
        )
        .with_panel(
            number(
                "Effective requests",
                "The requests of the window, discounted for bursts from one session, for the reference's own size and "
                "for the share's natural wobble. It decides how small a shift can be seen.",
                "short",
                [(None, "blue")],
            )
            .with_target(query(f"max({EFFECTIVE})", "effective"))
            .span(THIRD)
        )
        .with_panel(
            number(
                "Smallest shift seen",
                "About how many points the share of a model has to move, over the chosen window, for the rules to see "
                "it, of the model for which that is most. More than what would hurt? Then a longer window, more "
                "traffic, or a declared band.",
                POINTS,
                [(None, "green"), (10, "orange"), (25, "red")],
            )
            .decimals(0)
            .with_target(query(f"max({least_shift()})", "shift"))
            .span(THIRD)
        )
        .with_panel(
            lines(
                "Time to the whole answer",
                "By served model; solid the median, dashed the 95th percentile. Points are exemplars and open the "
                "trace. A model that took over and is slower, or much faster, explains what users report.",
                "s",
                THIRD,
            )
            .with_target(query(quantile(0.5, "llm_routing_duration_seconds"), MODEL, exemplars=True))
            .with_target(query(quantile(0.95, "llm_routing_duration_seconds"), MODEL, "B", exemplars=True))
            .override_by_query("B", beside())
        )
        .with_panel(
            lines(
                "Output tokens per request",
                "By served model. Another length of answer is often the first that users notice of another model.",
                "short",
                THIRD,
            )
            .min(0)
            .with_target(
                query(
                    f"{by_model('llm_routing_output_tokens_total')} / ({by_model('llm_routing_requests_total')} > 0)",
                    MODEL,
                )
            )
        )
        .with_panel(
            lines(
                "Requests that fail",
                "The share of this surface's requests that ended with an error, by error. They have no served model "
                "and are in no share.",
                PERCENT,
                THIRD,
            )
            .min(0)
            .no_value("No request failed")
            .with_target(
                query(
                    f'sum by (error_type) (rate(llm_routing_requests_total{{{ONE}, error_type!=""}}[$__rate_interval]))'
                    f" / on () group_left () (sum(rate(llm_routing_requests_total{{{ONE}}}[$__rate_interval])) > 0)",
                    "{{error_type}}",
                )
            )
        )
    )
