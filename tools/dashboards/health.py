"""Is the measurement itself working? What is counted, what is merged, what fell silent, what the ruler does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.parts import PERCENT, THIRD, board, joined, lines, now, number, properties, query, rows
from dashboards.promql import STREAM, SURFACE, recorded

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Dashboard

MERGED = (
    'sum(sum_over_time(llm_routing:requests:slice5m{llm_routing_surface="other"}[1h])'
    ' or sum_over_time(llm_routing:requests:slice5m{gen_ai_request_model="other"}[1h])'
    ' or sum_over_time(llm_routing:requests:slice5m{gen_ai_response_model="other"}[1h])'
    ' or last_over_time(llm_routing_requests_total{otel_metric_overflow="true"}[1h]))'
)
DAY = recorded("llm_routing:surface_requests:24h", SURFACE)
ASKED = recorded("llm_routing:stream_requests:7d", STREAM)
GROUPS = 'rule_group=~".*llm_routing_.*"'


def points(what: str, by: str) -> str:
    """Return a rate of the Collector's own counters, which have a suffix or not, by how it is told to report them."""
    return f'sum by ({by}) (rate({{__name__=~"otelcol_{what}_metric_points(_total)?"}}[$__rate_interval]))'


def make() -> Dashboard:
    """Return the board."""
    nameless = recorded("llm_routing:surface_requests:24h", SURFACE, 'llm_routing_surface="unknown"')
    return (
        board(
            "llm-routing-health",
            "LLM routing / Pipeline health",
            "Whether the other boards can be believed.",
        )
        .with_panel(
            number(
                "Series",
                "Series of the request counter. It grows with surfaces, models and processes, and is capped in each "
                "process. A jump means that something puts an identifier into a surface's name.",
                "short",
                [(None, "blue"), (100_000, "orange"), (1_000_000, "red")],
            ).with_target(query("count(llm_routing_requests_total)", "series"))
        )
        .with_panel(
            number(
                "Merged into other",
                "Requests of the last hour that were counted as `other`, or lost to OpenTelemetry's own limit, as a "
                "process has more surfaces or models than it keeps apart. Above 0, shares are missing something.",
                "short",
                [(None, "green"), (1, "red")],
            )
            .decimals(0)
            .with_target(query(f"{MERGED} or vector(0)", "merged"))
        )
        .with_panel(
            number(
                "Without a surface",
                "The share of the last 24 hours' requests whose surface is unknown. They are in no surface's share: "
                "name their routes or tasks.",
                PERCENT,
                [(None, "green"), (0.05, "orange"), (0.25, "red")],
            )
            .decimals(1)
            .with_target(query(f"(sum({nameless}) or vector(0)) / (sum({DAY}) > 0)", "unknown"))
        )
        .with_panel(
            number(
                "Surfaces that fell silent",
                "Surfaces with requests a week ago and none in the last 24 hours. Either they are gone, or their "
                "measurement is: a silent surface raises no alert of its mix.",
                "none",
                [(None, "green"), (1, "red")],
            ).with_target(
                query(
                    f"count({recorded('llm_routing:surface_requests:24h', SURFACE, offset='7d')} > 0"
                    f" unless on ({SURFACE}) {DAY} > 0) or vector(0)",
                    "silent",
                )
            )
        )
        .with_panel(
            rows(
                "Surfaces",
                "When each surface was last heard of, its requests, and how much of them has a known served model. "
                "Without a reference, a shift raises no alert.",
            )
            .with_target(now(DAY, "requests"))
            .with_target(now(f"1000 * max by ({SURFACE}) (max_over_time((timestamp({DAY} > 0))[7d:30m]))", "last"))
            .with_target(now(recorded("llm_routing:unknown_share:6h", SURFACE), "unknown"))
            .with_target(
                now(
                    f"count by ({SURFACE}) ({ASKED} unless {recorded('llm_routing:reference:requests', STREAM)})"
                    f" or 0 * count by ({SURFACE}) ({ASKED})",
                    "unpinned",
                )
            )
            .transformations(
                joined(
                    ("llm_routing_surface", "Surface"),
                    ("Value #requests", "Requests, 24 h"),
                    ("Value #last", "Last heard of"),
                    ("Value #unknown", "Served model unknown, 6 h"),
                    ("Value #unpinned", "Requested models without a reference"),
                )
            )
            .override_by_name("Requests, 24 h", properties(decimals=0))
            .override_by_name("Last heard of", properties(unit="dateTimeAsIso"))
            .override_by_name("Served model unknown, 6 h", properties(unit=PERCENT, decimals=1))
        )
        .with_panel(
            lines(
                "Processes that report",
                "Instances that send the counter, by service. A service that drops to none is silent, whatever its "
                "surfaces' shares still show.",
                "short",
            )
            .min(0)
            .decimals(0)
            .with_target(query("count by (job) (count by (job, instance) (llm_routing_requests_total))", "{{job}}"))
        )
        .with_panel(
            lines(
                "Requests, and where they come from",
                "Requests per second by service, known and unknown. For the scale only: how many there are says "
                "nothing about who serves them.",
                "reqps",
            )
            .min(0)
            .with_target(query("sum by (job) (rate(llm_routing_requests_total[$__rate_interval]))", "{{job}}"))
        )
        .with_panel(
            lines(
                "The Collector: sent and refused",
                "Data points per second that the Collector sent, failed to send, and refused. Failures here are holes "
                "in every other panel. Empty if no Collector is scraped.",
                "short",
                THIRD,
            )
            .min(0)
            .no_value("No Collector is scraped")
            .with_target(
                query(
                    points("exporter_sent", "exporter"),
                    "{{exporter}} sent",
                )
            )
            .with_target(
                query(
                    points("exporter_send_failed", "exporter"),
                    "{{exporter}} failed",
                    "B",
                )
            )
            .with_target(
                query(
                    points("receiver_refused", "receiver"),
                    "{{receiver}} refused",
                    "C",
                )
            )
        )
        .with_panel(
            lines(
                "Rule evaluation",
                "Seconds that each group of these rules took, of the 300 it has. Near its interval, evaluations are "
                "missed and shares have gaps. Empty if the ruler's own metrics are not scraped.",
                "s",
                THIRD,
            )
            .min(0)
            .no_value("The ruler is not scraped")
            .with_target(
                query(
                    f"label_replace(max by (rule_group) (prometheus_rule_group_last_duration_seconds{{{GROUPS}}}), "
                    '"group", "$1", "rule_group", ".*;(.*)")',
                    "{{group}}",
                )
            )
        )
        .with_panel(
            lines(
                "Rules that failed or were missed",
                "Evaluations per second that failed, and that were missed as the one before was still running. Both "
                "should be 0.",
                "short",
                THIRD,
            )
            .min(0)
            .no_value("The ruler is not scraped")
            .with_target(
                query(f"sum(rate(prometheus_rule_evaluation_failures_total{{{GROUPS}}}[$__rate_interval]))", "failed")
            )
            .with_target(
                query(
                    f"sum(rate(prometheus_rule_group_iterations_missed_total{{{GROUPS}}}[$__rate_interval]))",
                    "missed",
                    "B",
                )
            )
        )
    )
