"""What is to be said about the name of a model, by the policy, by how long it is offered, and by what telemetry saw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from pathspec import GitIgnoreSpec

from otel_llm_routing.analyze.audit.finding import WAIVER, Finding, Level, Problem, Waived
from otel_llm_routing.analyze.audit.identity import INHERIT, UNKNOWN, name_of
from otel_llm_routing.analyze.audit.lifetimes import SOON
from otel_llm_routing.analyze.wording import many, percent, quoted
from otel_llm_routing.models import canonical, same_model
from otel_llm_routing.policy.document import PolicyError, brief
from otel_llm_routing.policy.document import Problem as PolicyProblem
from otel_llm_routing.policy.schema import glob_matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date

    from otel_llm_routing.analyze.audit.lifetimes import Lifetimes
    from otel_llm_routing.analyze.audit.telemetry import Telemetry
    from otel_llm_routing.policy.loading import Loaded
    from otel_llm_routing.policy.schema import Policy, SurfacePolicy, Waiver

MOVING = ("alias", "router")


class Rule(NamedTuple):
    """One kind of problem."""

    level: Level
    title: str
    meaning: str
    """What it means and what to do, in a sentence or two."""


RULES: dict[str, Rule] = {
    "retired-model": Rule(
        "error",
        "The model is no longer offered",
        "Calls fail, or the provider answers them with another model. Move to a model that is offered.",
    ),
    "undecided-name": Rule(
        "error",
        "Customers see what the provider decides, and nobody has decided so",
        "An alias or a router serves a customer-facing surface, and the policy has no commitment and no pin_when for "
        "it. Pin a concrete model, or write both down.",
    ),
    "expired-waiver": Rule(
        "error",
        "A waiver of the policy is over",
        "Decide again: pin the model, or write a new day.",
    ),
    "retiring-model": Rule(
        "warning",
        "The model will soon no longer be offered",
        "Its end is near. Move to another model before, and compare the two in an eval.",
    ),
    "deprecated-model": Rule(
        "warning",
        "The model is deprecated",
        "Its provider advises against it, or has announced its end for later. Plan the move.",
    ),
    "moving-name": Rule(
        "warning",
        "The name moves, and no surface of the policy uses it",
        "The provider decides which model an alias or a router is. List it under uses of a surface, or pin a model.",
    ),
    "pin-not-held": Rule(
        "warning",
        "A pinned name was served by another model",
        "Telemetry saw another model answer requests for it. Ask the provider or the gateway why.",
    ),
    "decided-name": Rule(
        "note",
        "The name moves, and that was decided",
        "A surface of the policy uses it, with a commitment and pin_when, or customers do not see it.",
    ),
    "unlisted-model": Rule(
        "note",
        "No surface of the policy uses this model",
        "List it under uses of the surface that asks for it, so that its alerts know it.",
    ),
    "unknown-name": Rule(
        "note",
        "Nobody knows what the name stands for",
        "No rule says whether it moves: a deployment, a model group, or a model of which nothing was read. Add a "
        "rule of your own, or list it in the policy.",
    ),
    "inherited-model": Rule(
        "note",
        "The model is chosen elsewhere",
        "What runs here is decided by the caller, the session or the product's settings.",
    ),
    "unused-waiver": Rule(
        "note",
        "A waiver of the policy waives nothing",
        "No file that was read has what it is for. Take it out, or correct it.",
    ),
}
"""Every rule by its name, which is what baselines and reports know it by."""


@dataclass(frozen=True)
class Evidence:
    """What findings are judged by."""

    today: date
    loaded: Loaded | None = None
    policy_file: str = ""
    lifetimes: Lifetimes | None = None
    telemetry: Telemetry | None = None
    soon: int = SOON
    """Days before its end from which on a model is "retiring"."""
    whole: bool = True
    """Whether folders are read: of single files nobody can say that a waiver waives nothing."""


class Judged(NamedTuple):
    """The findings with all that is said of them, and what is said of the policy's waivers."""

    findings: list[Finding]
    of_waivers: list[Finding]


def judge(found: Iterable[Finding], by: Evidence) -> Judged:
    """Return every finding with its problems. What only speaks of a model has none. Raises ``PolicyError``."""
    waivers = _Waivers(by.loaded.policy.waivers if by.loaded else (), by)
    surfaces = _Surfaces(by.loaded.policy if by.loaded else None)
    return Judged([_judged(finding, by, surfaces, waivers) for finding in found], waivers.findings())


def _judged(finding: Finding, by: Evidence, surfaces: _Surfaces, waivers: _Waivers) -> Finding:
    using = surfaces.using(finding.identifier)
    finding = replace(
        finding,
        kind=_kind(finding, using),
        surfaces=tuple(surface.name for surface in using),
        customer_facing=any(surface.declared.customer_facing for surface in using) if using else None,
    )
    if not finding.is_use:
        return finding
    concrete = finding.kind != INHERIT
    if by.telemetry is not None:
        finding = replace(finding, seen=by.telemetry.of(finding.identifier) if concrete else ())
    if by.lifetimes is not None and concrete:
        lifetime = by.lifetimes.of(finding.identifier, finding.provider, by.today, by.soon)
        finding = replace(finding, lifetime=lifetime)
    return _waived(finding, by, using, waivers)


def _waived(finding: Finding, by: Evidence, using: Sequence[SurfacePolicy], waivers: _Waivers) -> Finding:
    """Return the finding with its problems, those apart that a waiver covers.

    A waiver for a surface covers what is said because of that surface; a model that ends does so for all of them.
    """
    everything = tuple(_problems(finding, by, using or None))
    if (waived := waivers.of(finding, None)) is not None:
        return replace(finding, waived=waived, waived_problems=everything)
    covering = {surface.name: waivers.of(finding, surface.name) for surface in using}
    waived = next(filter(None, covering.values()), None)
    if waived is None:
        return replace(finding, problems=everything)
    left = [surface for surface in using if covering[surface.name] is None]
    said = tuple(_problems(finding, by, left))
    return replace(
        finding, problems=said, waived=waived, waived_problems=tuple(one for one in everything if one not in said)
    )


class _Surfaces:
    """Which surfaces of the policy use a name."""

    def __init__(self, policy: Policy | None) -> None:
        self._using: dict[str, dict[str, SurfacePolicy]] = {}
        for surface in policy.resolved() if policy is not None else ():
            for name in surface.uses.identifiers:
                self._using.setdefault(canonical(name), {})[surface.name] = surface

    def using(self, identifier: str) -> list[SurfacePolicy]:
        """Return them, in the order of the policy."""
        as_written = self._using.get(canonical(identifier), {})
        return list((as_written or self._using.get(canonical(name_of(identifier)), {})).values())


def _kind(finding: Finding, using: Sequence[SurfacePolicy]) -> str:
    """Return the kind that rules give, or what the policy says of a name that no rule knows."""
    if finding.kind != UNKNOWN:
        return finding.kind
    for surface in using:
        for kind in ("pinned", *MOVING):
            if any(same_model(name, name_of(finding.identifier)) for name in getattr(surface.uses, kind)):
                return kind
    return finding.kind


# What is wrong with it ------------------------------------------------------------------------------------------------


def _problems(finding: Finding, by: Evidence, using: Sequence[SurfacePolicy] | None) -> Iterator[Problem]:
    """Yield what is to be said; ``using`` are the surfaces that count, None: no surface uses it."""
    yield from _of_lifetime(finding)
    name = quoted(finding.identifier)
    if finding.kind in MOVING:
        yield from _of_moving(finding, using, by)
    elif finding.kind == INHERIT:
        yield _problem("inherited-model", f"{name}: the model is chosen elsewhere")
    elif finding.kind == UNKNOWN:
        yield _problem("unknown-name", f"nothing that was read says whether {name} moves, or what it stands for")
    if finding.kind in ("pinned", UNKNOWN) and by.loaded is not None and using is None:
        yield _problem("unlisted-model", f"no surface of {by.policy_file} uses {name}")
    yield from _of_telemetry(finding)


def _problem(rule: str, text: str) -> Problem:
    return Problem(rule, RULES[rule].level, text)


def _of_lifetime(finding: Finding) -> Iterator[Problem]:
    life = finding.lifetime
    if life is None:
        return
    note = f": {life.note}" if life.note else ""
    name, source = quoted(finding.identifier), f" ({life.source}{note})"
    if life.state == "retired":
        since = f" since {life.on}" if life.on else ""
        yield _problem("retired-model", f"{name} is no longer offered{since}{source}")
    elif life.state == "retiring":
        yield _problem("retiring-model", f"{name} is offered until {life.on}{source}")
    else:
        until = f"; it is offered until {life.on}" if life.on else ""
        yield _problem("deprecated-model", f"{name} is deprecated{until}{source}")


def _of_moving(finding: Finding, using: Sequence[SurfacePolicy] | None, by: Evidence) -> Iterator[Problem]:
    name = quoted(finding.identifier)
    what = "a router, which picks a model for each request" if finding.kind == "router" else "an alias, which moves"
    if using is None:
        where = f", and no surface of {by.policy_file} uses it" if by.loaded is not None else ""
        yield _problem("moving-name", f"{name} is {what}{where}")
        return
    undecided = []
    for surface in using:
        lacking = [field for field in ("commitment", "pin_when") if getattr(surface.declared, field) is None]
        if surface.declared.customer_facing and lacking:
            undecided.append(f"{surface.name} (no {' and no '.join(lacking)})")
    if undecided:
        yield _problem(
            "undecided-name",
            f"{name} is {what}; customers see what it serves on {', '.join(undecided)}. Pin a model, or write it down "
            f"in {by.policy_file}",
        )
    elif using:
        yield _problem("decided-name", f"{name} is {what}; decided for {', '.join(s.name for s in using)}")


def _of_telemetry(finding: Finding) -> Iterator[Problem]:
    if finding.kind != "pinned":
        return
    plain = name_of(finding.identifier)
    for seen in finding.seen or ():
        other = [
            (model, requests)
            for model, requests in seen.served
            if not same_model(model, finding.identifier) and not same_model(model, plain)
        ]
        if other:
            model, requests = other[0]
            yield _problem(
                "pin-not-held",
                f"{quoted(model)} served {percent(requests / seen.known)} of the {many(seen.known, 'request')} for "
                f"{quoted(finding.identifier)} on {seen.surface} whose model is known",
            )


# Waivers --------------------------------------------------------------------------------------------------------------


class _Waivers:
    """The policy's waivers, and which of them were of use."""

    def __init__(self, waivers: Sequence[Waiver], by: Evidence) -> None:
        self._by = by
        self._all = [(waiver, self._path(waiver, at), at) for at, waiver in enumerate(waivers)]
        self._used: set[int] = set()

    def _path(self, waiver: Waiver, at: int) -> GitIgnoreSpec | None:
        try:
            return GitIgnoreSpec.from_lines([waiver.path]) if waiver.path else None
        except ValueError:
            text = f"{brief(waiver.path)} is no glob of files; write one as in .gitignore, such as src/search/**"
            problem = PolicyProblem(self._line(at, "path"), ("waivers", at, "path"), text)
            raise PolicyError(self._by.policy_file, [problem]) from None

    def of(self, finding: Finding, surface: str | None) -> Waived | None:
        """Return why a finding is left alone, altogether or for ``surface``; an expired waiver waives nothing."""
        for waiver, path, at in self._all:
            if waiver.surface is not None and waiver.surface != surface:
                continue
            if not glob_matches(waiver.model, finding.identifier) or (path and not path.match_file(finding.file)):
                continue
            self._used.add(at)
            if waiver.until >= self._by.today:
                return Waived(waiver.reason, waiver.until.isoformat(), self._line(at))
        return None

    def _line(self, at: int, field: str = "until") -> int:
        return self._by.loaded.located.line("waivers", at, field) if self._by.loaded else 1

    def findings(self) -> list[Finding]:
        """Return what is to be said of the waivers themselves, as findings in the policy."""
        found = []
        for waiver, _, at in self._all:
            if waiver.until < self._by.today:
                text = f"the waiver of {quoted(waiver.model)} is over since {waiver.until}: {waiver.reason}"
                found.append(self._finding(waiver, at, _problem("expired-waiver", text)))
            elif at not in self._used and self._by.whole:
                text = f"the waiver of {quoted(waiver.model)} waives nothing in what was read"
                found.append(self._finding(waiver, at, _problem("unused-waiver", text)))
        return found

    def _finding(self, waiver: Waiver, at: int, problem: Problem) -> Finding:
        return Finding(
            file=self._by.policy_file,
            line=self._line(at),
            column=1,
            end_column=2,
            identifier=waiver.model,
            kind=UNKNOWN,
            role="config",
            key="waivers",
            call="",
            provider=None,
            rule=WAIVER,
            source="",
            fingerprint=f"waiver:{waiver.model}:{waiver.path or ''}:{waiver.surface or ''}",
            problems=(problem,),
        )
