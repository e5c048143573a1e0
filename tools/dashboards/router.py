"""What each requested identifier resolves to, and how that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.parts import HALF, MODEL, PERCENT, board, chosen, joined, lines, now, properties, query, rows, states
from dashboards.promql import PAIR, REQUESTED, SERVED, recorded

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Dashboard

WHERE = f'{REQUESTED}=~"$requested"'
BY = f"{REQUESTED}, {SERVED}"
DAY = f"sum by ({BY}) ({recorded('llm_routing:requests:24h', PAIR, WHERE)})"
RESOLVES = f"{DAY} / on ({REQUESTED}) group_left () (sum by ({REQUESTED}) ({DAY}) > 0)"


def seen(function: str) -> str:
    """Return when each pair was first or last seen, in milliseconds, within the board's time."""
    hour = f"timestamp(sum by ({BY}) ({recorded('llm_routing:requests:1h', PAIR, WHERE)}) > 0)"
    return f"1000 * max by ({BY}) ({function}(({hour})[$__range:30m]))"


def counted(by: str) -> str:
    """Return the share of each requested identifier's requests, by a label, over the board's time."""
    several = f"sum by ({REQUESTED}, {by}) (increase(llm_routing_requests_total{{{WHERE}}}[$__range]))"
    return f"{several} / on ({REQUESTED}) group_left () (sum by ({REQUESTED}) ({several}) > 0)"


def make() -> Dashboard:
    """Return the board."""
    return (
        board(
            "llm-routing-router",
            "LLM routing / Router",
            "What each requested identifier resolves to, since when, and on what evidence.",
        )
        .with_variable(
            chosen(
                "requested",
                "Requested model",
                "The identifiers to show.",
                "label_values(llm_routing:stream_requests:7d, gen_ai_request_model)",
                several=True,
            )
        )
        .with_panel(
            states(
                "What it resolves to",
                "One row for each requested identifier and model that served it, over all surfaces: the darker, the "
                "larger its share of 24 hours. A row that begins is a new model in the pool; one that ends has left "
                "it; two that swap darkness are a retuned router.",
            ).with_target(query(f"{RESOLVES} > 0", "{{gen_ai_request_model}} → {{gen_ai_response_model}}"))
        )
        .with_panel(
            rows(
                "First and last seen",
                "Each model that served an identifier within the board's time. First seen at the left edge means "
                "earlier than that: widen the time.",
            )
            .with_target(now(RESOLVES, "share"))
            .with_target(now(seen("min_over_time"), "first"))
            .with_target(now(seen("max_over_time"), "last"))
            .transformations(
                joined(
                    ("gen_ai_request_model", "Requested model"),
                    ("gen_ai_response_model", "Served model"),
                    ("Value #share", "Share, 24 h"),
                    ("Value #first", "First seen"),
                    ("Value #last", "Last seen"),
                )
            )
            .override_by_name("Share, 24 h", properties(unit=PERCENT, decimals=1))
            .override_by_regexp("(First|Last) seen", properties(unit="dateTimeAsIso"))
        )
        .with_panel(
            lines(
                "Share of each model",
                "The same as lines, to read numbers from. With several identifiers chosen, a model has one line for "
                "each.",
                PERCENT,
            )
            .min(0)
            .max(1)
            .decimals(0)
            .with_target(query(RESOLVES, MODEL))
        )
        .with_panel(
            lines(
                "Pinned models that were replaced",
                "The share of requests whose pinned name was served by something else, by the hour. Anything above 0 "
                "is a broken promise: see the alert LLMRoutingPinViolated.",
                PERCENT,
            )
            .min(0)
            .no_value("None")
            .with_target(
                query(
                    f"sum by ({REQUESTED}) (sum_over_time(llm_routing:requests:slice5m{{{WHERE}, "
                    f'llm_routing_match="substituted"}}[1h])) / (sum by ({REQUESTED}) '
                    f"(sum_over_time(llm_routing:requests:slice5m{{{WHERE}}}[1h])) > 0)",
                    "{{gen_ai_request_model}}",
                )
            )
        )
        .with_panel(
            rows(
                "How the served model is known",
                "Evidence of the requests in the board's time: a header, a routing trace, or the body. None means that "
                "nobody reported a model.",
                HALF,
            )
            .with_target(now(counted("llm_routing_served_source")))
            .transformations(
                joined(
                    ("gen_ai_request_model", "Requested model"),
                    ("llm_routing_served_source", "Evidence"),
                    ("Value", "Share"),
                )
            )
            .override_by_name("Share", properties(unit=PERCENT, decimals=1))
        )
        .with_panel(
            rows(
                "How it relates to what was requested",
                "exact: the very model. resolved: an alias or router, and what it turned into. substituted: a pin that "
                "was not kept. unconfirmed: only the alias came back. unreported: nothing did.",
                HALF,
            )
            .with_target(now(counted("llm_routing_match")))
            .transformations(
                joined(
                    ("gen_ai_request_model", "Requested model"),
                    ("llm_routing_match", "Match"),
                    ("Value", "Share"),
                )
            )
            .override_by_name("Share", properties(unit=PERCENT, decimals=1))
        )
    )
