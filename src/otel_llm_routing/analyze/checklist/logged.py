"""Whether the concrete model of each request is logged, and can be asked for."""

from __future__ import annotations

import json
import shlex
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from otel_llm_routing.analyze.checklist.answers import Answer, Fact
from otel_llm_routing.analyze.checklist.traffic import DAY
from otel_llm_routing.analyze.window import utc
from otel_llm_routing.analyze.wording import NOT_SAID, many, percent, quoted
from otel_llm_routing.models import UNREPORTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_llm_routing.analyze.checklist.traffic import Traffic

RESTED = 7 * DAY
"""Seconds without a request after which what was logged is called old."""
MOST = 3
"""Models, or reasons, that a sentence names."""
REASONS = {
    UNREPORTED: "nothing named the served model",
    "unconfirmed": "only the requested name came back, or one that a gateway had written",
}


def logged(surface: str, traffic: Traffic | None, limit: float, days: int, now: float, source: str) -> Answer:
    """Answer for one surface; ``limit`` is the highest unknown share that the policy allows, 0 to 1."""
    where = query(source, surface, days, now)
    if traffic is None or not traffic.requests:
        hint = (
            "instrument the application that makes its calls (docs/instrumentation.md), or correct the surface's name"
        )
        return Answer("no", (Fact(f"No request in {many(days, 'day')}.", where),), (hint,))
    if not traffic.known:
        said = f"Of none of {many(traffic.requests, 'request')} in {many(days, 'day')} is the served model known."
        return Answer("no", (Fact(said, where), *_beside(traffic)), (_missing(traffic),))
    total = traffic.known + traffic.unknown.total()
    top = ", ".join(
        f"{quoted(name)} {percent(requests / traffic.known)}" for name, requests in traffic.served.most_common(MOST)
    )
    more = f", and {len(traffic.served) - MOST} more" if len(traffic.served) > MOST else ""
    said = (
        f"The served model of {percent(1 - traffic.unknown_share)} of {many(total, 'request')} in {many(days, 'day')} "
        f"is known: {top}{more}."
    )
    facts = [Fact(said, where), *_beside(traffic), _last(traffic)]
    todo = []
    if traffic.unknown_share > limit:
        facts.append(Fact(f"Unknown are {percent(traffic.unknown_share)}; the limit is {percent(limit)}."))
        todo.append(_missing(traffic))
    if traffic.last is not None and traffic.last < now - RESTED:
        facts.append(Fact("There was no request in the last 7 days, so this may no longer be so."))
        todo.append("see whether the application still runs, and still sends what it measures")
    return Answer("partly" if todo else "yes", tuple(facts), tuple(todo))


def query(source: str, surface: str, days: int, now: float) -> str:
    """Return what to ask to see a surface's served models: a query, or a command where the source takes none."""
    kind, _, rest = source.partition(":")
    if kind == "prometheus" or rest.startswith("//"):
        # The escapes of JSON are among those of PromQL.
        name = json.dumps(surface, ensure_ascii=False)
        series = f"llm_routing_requests_total{{llm_routing_surface={name}}}"
        return f"sum by (gen_ai_response_model) (increase({series}[{days}d]))"
    since, until = utc(now - days * DAY), utc(now)
    return f"otel-llm-routing report --source {shlex.quote(source)} --since {since} --until {until}"


def _beside(traffic: Traffic) -> Iterator[Fact]:
    """Yield what shares leave out."""
    for reason, meaning in REASONS.items():
        by = {key: requests for key, requests in traffic.unknown.items() if key.reason == reason}
        if by:
            most = sorted(by, key=lambda key: (-by[key], key))[:MOST]
            names = ", ".join(
                f"{quoted(key.requested) if key.requested else NOT_SAID} at {quoted(key.provider)} {by[key]:,}"
                for key in most
            )
            rest = f", and {len(by) - MOST} more" if len(by) > MOST else ""
            yield Fact(f"{reason.capitalize()}, as {meaning}: {sum(by.values()):,} ({names}{rest}).")
    if traffic.failed or traffic.cached:
        parts = []
        if traffic.failed:
            parts.append(f"{many(traffic.failed, 'failed call')} that no model is known to have served")
        if traffic.cached:
            parts.append(f"{traffic.cached:,} answered from a gateway's cache")
        yield Fact(f"Left out: {' and '.join(parts)}.")


def _last(traffic: Traffic) -> Fact:
    at = datetime.fromtimestamp((traffic.last or 0) - 1, timezone.utc)
    return Fact(
        f"The last request was on {at:%Y-%m-%d}, in the hour from {at:%H}:00 UTC."
        if traffic.exact
        else f"The last request was on or about {at:%Y-%m-%d}."
    )


def _missing(traffic: Traffic) -> str:
    if not traffic.unknown:
        return "see why its calls fail, or why a cache answers all of them"
    where = "the runbook of LLMRoutingServedModelUnknown says where it gets lost, by provider and gateway"
    return f"have the served model reported: {where}"
