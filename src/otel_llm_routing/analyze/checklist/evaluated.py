"""Whether an eval slice matches a surface's traffic: what ``evals check`` found, surface by surface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_llm_routing.analyze.checklist.answers import Answer, Fact
from otel_llm_routing.analyze.wording import many, percent

if TYPE_CHECKING:
    from otel_llm_routing.analyze.evals.check import SurfaceCheck

PLAN = "otel-llm-routing evals plan says how many cases of which size it needs"


def unasked() -> Answer:
    """Answer where no cases were named."""
    said = "No cases were named, so none was compared with its traffic."
    return Answer("cannot be said", (Fact(said),), (f"name the eval's cases with --cases; {PLAN}",))


def unjudged(why: str) -> Answer:
    """Answer where the cases cannot be compared with anything."""
    return Answer("cannot be said", (Fact(f"The cases cannot be compared with production: {why}."),), (PLAN,))


def evaluated(checked: SurfaceCheck | None, cases: int, file: str) -> Answer:
    """Answer for one surface; ``cases`` of the file are of it. ``checked`` is None where it has no requests."""
    if checked is None:
        found = f"There are {many(cases, 'case')} of it" if cases else "There is no case of it"
        said = f"{found}, and no requests to compare them with."
        return Answer("cannot be said", (Fact(said, file),), ("look again when it has traffic",))
    traffic = f"It is {percent(checked.traffic_share)} of all traffic"
    if not checked.cases:
        return Answer("no", (Fact(f"{traffic}, and there is no case of it.", file),), (f"add cases; {PLAN}",))
    share = percent(checked.eval_share)
    facts = [Fact(f"{traffic}, and {share} of the eval: {many(checked.cases, 'case')}.", file)]
    todo = []
    if checked.sizes is None:
        facts.append(Fact(f"Sizes were not compared: {checked.sizes_unsaid}."))
        todo.append(
            "have sizes of requests and of cases recorded, or nobody knows whether the cases are like the traffic"
        )
    else:
        value, limit, chance = (percent(share) for share in checked.sizes)
        said = f"By size, {value} of its cases would have to be other ones; the limit is {limit}"
        facts.append(Fact(f"{said}, and chance alone gives up to {chance}."))
        if checked.sizes.too_few:
            todo.append(f"add cases, as so few cannot tell whether they match; {PLAN}")
    if checked.missing and checked.sizes is not None:
        facts.append(Fact(f"{percent(checked.missing)} of its requests are of sizes of which there is no case."))
    if checked.served is None:
        facts.append(Fact(f"The models that served the cases were not compared: {checked.served_unsaid}."))
        todo.append("run the eval instrumented, so that it is known which model served each case")
    facts += [Fact(finding.sentence) for finding in checked.findings]
    if checked.findings:
        todo.append(f"make the slice like the traffic, or weigh it with evals score; {PLAN}")
    return Answer("partly" if todo else "yes", tuple(facts), tuple(todo))
