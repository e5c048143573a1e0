"""What a finding says: one or two sentences in plain text, with names in backticks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_llm_routing.analyze.report.model import Finding
from otel_llm_routing.analyze.wording import many, percent, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_llm_routing.analyze.comparison import ServedChange
    from otel_llm_routing.analyze.detector import Alarm
    from otel_llm_routing.analyze.novelty import NewModel, VanishedModel
    from otel_llm_routing.analyze.report.model import Limit

    When = Callable[[float], str]

MOST_NAMED = 2
"""Models beside the first that a sentence names."""
CONFIDENCE = "95%"


def asked(requested: str) -> str:
    """Return how requests for ``requested`` are spoken of."""
    return quoted(requested) if requested else "the requests that name no model"


def pin_violated(requested: str, served: str, requests: int, of: int) -> Finding:
    """Say that a pinned model was asked for, and another one answered."""
    text = f"{asked(requested)} is pinned, and {quoted(served)} answered {requests:,} of its {many(of, 'request')}."
    return Finding("pin_violated", text, "count", requested, served)


def shifted_since(alarm: Alarm, today: float | None, others: Sequence[ServedChange], when: When) -> Finding:
    """Say what the detector found."""
    of = f" of {asked(alarm.requested)}"
    now = "" if today is None or percent(today) == percent(alarm.share) else f"{percent(today)}{of}, and "
    text = (
        f"{quoted(alarm.served)} served {now}{percent(alarm.share)}{'' if now else of} since {when(alarm.onset)} "
        f"({CONFIDENCE}: {percent(alarm.low)} to {percent(alarm.high)}){_reference(alarm.reference)}.{_others(others)}"
    )
    return Finding("shifted", text, "detector", alarm.requested, alarm.served, alarm.onset)


def shifted(requested: str, change: ServedChange, others: Sequence[ServedChange]) -> Finding:
    """Say what the score of the range found."""
    wobble = f", normal wobble ±{100 * change.wobble:.1f} points"
    text = (
        f"{quoted(change.served)} served {percent(change.now or 0)} of {asked(requested)}"
        f"{_reference(change.reference)}{wobble}.{_others(others)}"
    )
    return Finding("shifted", text, "score", requested, change.served)


def recovered(alarm: Alarm, today: float, when: When) -> Finding:
    """Say that a shift is over."""
    text = (
        f"{quoted(alarm.served)} served {percent(alarm.share)} of {asked(alarm.requested)} from {when(alarm.onset)} "
        f"on, and is back at {percent(today)}{_reference(alarm.reference)}."
    )
    return Finding("recovered", text, "detector", alarm.requested, alarm.served, alarm.onset)


def new(found: NewModel, when: When) -> Finding:
    """Say that a model answers that the reference does not have."""
    text = (
        f"{quoted(found.served)} served {percent(found.share)} of {asked(found.requested)} "
        f"({many(found.requests, 'request')}, first seen {when(found.since)}); the reference does not have it."
    )
    return Finding("new_model", text, "rule", found.requested, found.served, found.since)


def vanished(found: VanishedModel, successor: NewModel | None, when: When) -> Finding:
    """Say that a model of the reference no longer answers; ``successor`` is new and has about its share."""
    last = "" if found.last is None else f", last seen before {when(found.last)}"
    instead = ""
    if successor is not None:
        instead = (
            f" {quoted(successor.served)}, which the reference does not have, serves {percent(successor.share)}: "
            "it seems to have taken its place."
        )
    text = (
        f"{quoted(found.served)} no longer answers {asked(found.requested)}{last}; reference "
        f"{percent(found.reference)}, {found.expected:,.0f} requests were to be expected.{instead}"
    )
    return Finding("vanished_model", text, "rule", found.requested, found.served, found.last)


def renamed(requested: str, served: str, spelling: str) -> Finding:
    """Say that a model of the reference is spelled in another way."""
    text = f"{quoted(served)} now answers as {quoted(spelling)}: another spelling of one model, and no shift."
    return Finding("renamed", text, "count", requested, served)


def beyond(limit: Limit) -> Finding:
    """Say that a share is beyond a limit that the policy declares."""
    least = "at most" if limit.side == "max" else "at least"
    text = (
        f"Models matching {quoted(limit.glob)} served {percent(limit.now or 0)} of its requests; the policy allows "
        f"{least} {percent(limit.share)}."
    )
    return Finding("beyond_limit", text, "score")


def beyond_since(alarm: Alarm, limit: Limit, when: When) -> Finding:
    """Say that the detector found a share beyond a limit."""
    least = "at most" if limit.side == "max" else "at least"
    text = (
        f"Models matching {quoted(limit.glob)} served {percent(alarm.share)} of its requests since {when(alarm.onset)} "
        f"({CONFIDENCE}: {percent(alarm.low)} to {percent(alarm.high)}); the policy allows {least} "
        f"{percent(limit.share)}."
    )
    return Finding("beyond_limit", text, "detector", since=alarm.onset)


def unpinned(requested: str, kind: str, requests: int) -> Finding:
    """Say that a surface declared pinned is not."""
    article = "an" if kind == "alias" else "a"
    text = (
        f"{many(requests, 'request')} for {asked(requested)}, which is {article} {kind}; the policy declares this "
        "surface pinned."
    )
    return Finding("unpinned", text, "count", requested)


def partial(warnings: Sequence[str]) -> Finding:
    """Say that calm, or an absence, would mean nothing."""
    more = f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""
    text = f"The source answered in part only, so that calm would mean nothing: {quoted(warnings[0])}{more}."
    return Finding("partial", text, "source")


def silent(expected: float, *, everything: bool, last: str) -> Finding:
    """Say that requests are missing; ``last`` is when there were some, such as ``on 2026-11-24``, or empty."""
    seen = f"; the last was counted {last}" if last else ""
    of = ", nor of any other surface" if everything else ""
    text = f"No request was counted{of}, where {expected:,.0f} were to be expected by the reference{seen}."
    return Finding("silent", text, "rule")


def no_traffic(*, everything: bool, last: str) -> Finding:
    """Say that there is no request."""
    seen = f" The last was counted {last}." if last else ""
    text = f"No request was counted{', nor of any other surface' if everything else ''}.{seen}"
    return Finding("no_traffic", text, "none")


def idle(requested: str) -> Finding:
    """Say that nobody asked for a stream of the reference."""
    return Finding("no_traffic", f"No request for {asked(requested)} with a known served model.", "none", requested)


def unmeasured(lost: int, of: int, limit: float) -> Finding:
    """Say that too many requests have no known served model."""
    text = (
        f"For {percent(lost / of)} of {many(of, 'request')} nobody reported the served model, or only the requested "
        f"name came back; the limit is {percent(limit)}. Shares are of the rest."
    )
    return Finding("unmeasured", text, "rule")


def nothing_known(requests: int, errors: int, cached: int) -> Finding:
    """Say that no request has a known served model."""
    why = [
        f"{number:,} {text}" for number, text in ((errors, "failed"), (cached, "were answered from a cache")) if number
    ]
    beside = f" ({', '.join(why)})" if why else ""
    text = f"Of {many(requests, 'request')}{beside}, none has a known served model: there are no shares."
    return Finding("unmeasured", text, "count")


def no_reference(requested: str, *, any_reference: bool) -> Finding:
    """Say that there is nothing to compare with."""
    what = f"{asked(requested)} has no reference" if any_reference else "There is no reference"
    text = f"{what}: a shift would not be seen. Pin one with otel-llm-routing reference pin."
    return Finding("no_reference", text, "none", requested)


def steady(requested: str, words: str) -> Finding:
    """Say that nothing shifted; ``words`` are about the smallest shift that would be seen."""
    text = f"No share moved further from its reference than noise explains; {words}."
    return Finding("steady", text, "detector", requested)


def too_little(requested: str, words: str) -> Finding:
    """Say that calm means little."""
    return Finding("too_little", f"Too few requests to tell: {words}.", "none", requested)


def _reference(share: float | None) -> str:
    return "; the reference does not have it" if share is None else f"; reference {percent(share)}"


def _others(others: Sequence[ServedChange]) -> str:
    named = [
        f"{quoted(change.served)} {percent(change.now or 0)}, reference {percent(change.reference or 0)}"
        for change in others[:MOST_NAMED]
    ]
    return f" Also {'; '.join(named)}." if named else ""
