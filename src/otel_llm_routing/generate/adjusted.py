"""The rules of the adjusted share: what a share would be if requests had the sizes of the reference.

Recordings, by ``llm_routing_surface`` (S), ``gen_ai_request_model`` (R) and ``gen_ai_response_model`` (K), of streams
whose reference has sizes:

    llm_routing:size_requests:slice5m  (S R K)   what each 5 minutes brought, by llm_routing_size_upto, cumulative
    llm_routing:size_requests:W        (S R K)   by llm_routing_size: "512-1024" is above 512 and up to 1024 characters
    llm_routing:adjusted_share:W       (S R K)   Σ w0·s1 / Σ w0 over buckets with enough requests in 24h, 7d
    llm_routing:adjusted_requests:W    (S R)     n_adj = (Σ w0)² / Σ (w0²/n)
    llm_routing:adjusted_coverage:W    (S R)     Σ w0: how much of the reference's traffic those buckets are
    llm_routing:reference:size_share   (S R)     w0, a constant, by llm_routing_size

``analyze/adjusted.py`` computes the same; a test holds the two together.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from otel_llm_routing.generate.growth import growth
from otel_llm_routing.generate.promql import (
    PAIR,
    REQUESTED,
    SERVED,
    STREAM,
    SURFACE,
    Clock,
    bracket,
    constant,
    indent,
    labelled,
    quote,
)
from otel_llm_routing.policy.thresholds import SLICE, WINDOWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_llm_routing.policy.plan import Plan, StreamPlan
    from otel_llm_routing.policy.reference import Sizes

Rule = dict[str, Any]

HISTOGRAM = "llm_routing_input_size_bucket"
BUCKET = "llm_routing_size"
UPTO = "llm_routing_size_upto"
LEAST = 10
"""Requests that a bucket holds, for its share to be taken."""
EXPONENT = 1e6
"""From here on Go writes a number with an exponent."""
WEIGHT = "llm_routing:reference:size_share"
REPEATED = "llm_routing:reference:repeated_name"
_DAYS = WINDOWS["7d"].seconds // WINDOWS["24h"].seconds
_BY_BUCKET = f"{STREAM}, {BUCKET}"
_PAIR_BUCKET = f"{PAIR}, {BUCKET}"


def constants(plan: Plan) -> list[Rule]:
    """Return the recordings of what the reference says of sizes; none where it says nothing."""
    rules = []
    for stream in plan.streams:
        if stream.sizes is None:
            continue
        labels = {SURFACE: stream.surface, REQUESTED: stream.requested}
        rules += [
            _recording(WEIGHT, f"vector({share:.10g})", {**labels, BUCKET: _named(low, high)})
            for (low, high), share in zip(_buckets(stream.sizes), stream.sizes.share, strict=True)
            if share
        ]
        if stream.requested and stream.requested not in stream.shares:
            rules.append(_recording(REPEATED, "vector(1)", {**labels, SERVED: stream.requested}))
    return rules


def recordings(plan: Plan, clock: Clock, match: str) -> list[Rule]:
    """Return the recordings that need those constants; none where the plan has no sizes.

    ``match`` are further matchers, each after a comma.
    """
    sized = [stream for stream in plan.streams if stream.sizes is not None]
    if not sized:
        return []
    buckets = sorted({bucket for stream in sized for bucket in _weighty(stream)})
    rules: list[Rule] = [{"record": "llm_routing:size_requests:slice5m", "expr": _slice(buckets, clock, match)}]
    day = clock.window(WINDOWS["24h"].seconds)
    rules += [
        _recording("llm_routing:size_requests:24h", _between(low, high, day), {BUCKET: _named(low, high)})
        for low, high in buckets
    ]
    rules.append({"record": "llm_routing:size_requests:7d", "expr": _week(clock)})
    for window in ("24h", "7d"):
        rules += _adjusted(window, clock)
    return rules


def _buckets(sizes: Sizes) -> Iterator[tuple[float, float]]:
    return pairwise((0.0, *sizes.bounds, math.inf))


def _weighty(stream: StreamPlan) -> Iterable[tuple[float, float]]:
    if stream.sizes is None:
        return ()
    return [bucket for bucket, share in zip(_buckets(stream.sizes), stream.sizes.share, strict=True) if share]


def _named(low: float, high: float) -> str:
    return f"{low:.10g}-{'Inf' if math.isinf(high) else f'{high:.10g}'}"


def _spellings(bound: float) -> list[str]:
    """Return how clients and servers write a bound: 1024, 1024.0, 1.048576e+06."""
    if math.isinf(bound):
        return ["+Inf"]
    plain = f"{bound:.10f}".rstrip("0").rstrip(".")
    spelled = [plain] if "." in plain else [plain, f"{plain}.0"]
    if bound >= EXPONENT:
        digits, _, power = f"{bound:.10e}".partition("e")
        spelled.append(f"{digits.rstrip('0').rstrip('.')}e{power}")
    return spelled


def _one_of(bounds: Iterable[float]) -> str:
    spelled = dict.fromkeys(name for bound in bounds for name in _spellings(bound))
    return quote("|".join(name.replace(".", r"\.").replace("+", r"\+") for name in spelled))


def _slice(buckets: list[tuple[float, float]], clock: Clock, match: str) -> str:
    bounds = sorted({bound for bucket in buckets for bound in bucket if bound})
    series = f'{HISTOGRAM}{{{SERVED}!="", le=~{_one_of(bounds)}{match}}}'
    # To another label: while a server changes from 1024 to 1024.0, both are there.
    named = f'label_replace(\n{indent(bracket(growth(series, clock, "le")))},\n  "{UPTO}", "$1", "le", "(.+)"\n)'
    return (
        f"sum by ({PAIR}, {UPTO}) (\n{indent(named)}\n)\n"
        f"and on ({STREAM}) {constant(WEIGHT, STREAM)}\n"
        # Names that only repeat what was requested are no served models; the histogram does not say which those are.
        f"unless on ({PAIR}) {constant(REPEATED, PAIR)}"
    )


def _between(low: float, high: float, window: str) -> str:
    def upto(bound: float) -> str:
        slices = f"llm_routing:size_requests:slice5m{{{UPTO}=~{_one_of([bound])}}}"
        return f"sum by ({PAIR}) (sum_over_time({slices}[{window}]))"

    requests = f"{upto(high)}\n- {upto(low)}" if low else upto(high)
    weight = constant(f"{WEIGHT}{{{BUCKET}={quote(_named(low, high))}}}", STREAM)
    return f"{bracket(requests)}\nand on ({STREAM}) {weight}"


def _week(clock: Clock) -> str:
    """Return the sum of seven days. Over 7 days of slices, one query would read more than servers allow."""
    name = f"llm_routing:size_requests:24h[{clock(2 * SLICE)}]"
    days = [f"max by ({_PAIR_BUCKET}) (last_over_time({name}))"]
    for day in range(1, _DAYS):
        ago = f"max by ({_PAIR_BUCKET}) (last_over_time({name} offset {clock(day * WINDOWS['24h'].seconds)}))"
        days.append(f'label_replace({ago}, "ago", "{day}", "", "")')
    inner = "\nor ".join(days)
    return f"sum by ({_PAIR_BUCKET}) (\n{indent(inner)}\n)"


def _adjusted(window: str, clock: Clock) -> Iterator[Rule]:
    # Shares and totals are read at one time, within one expression: apart they would be of different slices.
    c = clock.recent(f"llm_routing:size_requests:{window}", _PAIR_BUCKET)
    n = f"(sum by ({_BY_BUCKET}) ({c}) >= {LEAST})"
    w = constant(WEIGHT, _BY_BUCKET)
    covered = f"sum by ({STREAM}) (\n  {w}\n  and on ({_BY_BUCKET}) {n}\n)"
    weighted = (
        f"sum by ({PAIR}) (\n  {c}\n  / on ({_BY_BUCKET}) group_left () {n}\n  * on ({_BY_BUCKET}) group_left () {w}\n)"
    )
    models = f"{weighted}\nor\n0 * {constant('llm_routing:reference:share', PAIR)}"
    yield {
        "record": f"llm_routing:adjusted_share:{window}",
        "expr": f"{bracket(models)}\n/ on ({STREAM}) group_left ()\n{covered}",
    }
    spread = f"sum by ({STREAM}) (\n  {w} * {w}\n  / on ({_BY_BUCKET}) {n}\n)"
    yield {"record": f"llm_routing:adjusted_requests:{window}", "expr": f"{covered} ^ 2\n/ on ({STREAM})\n{spread}"}
    yield {"record": f"llm_routing:adjusted_coverage:{window}", "expr": covered}


def _recording(name: str, expression: str, labels: dict[str, str]) -> Rule:
    expr, kept = labelled(expression, labels)
    return {"record": name, "expr": expr, "labels": kept}
