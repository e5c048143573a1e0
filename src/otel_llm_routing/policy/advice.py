"""What is wrong with a policy that can be read: limits that noise alone would break, and what people forget."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from difflib import get_close_matches
from itertools import combinations
from typing import TYPE_CHECKING

from otel_llm_routing.models import classify
from otel_llm_routing.policy import against_reference
from otel_llm_routing.policy.document import brief, shown
from otel_llm_routing.policy.findings import Finding, Note
from otel_llm_routing.policy.schema import Band
from otel_llm_routing.policy.thresholds import SMALLEST_BUDGET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_llm_routing.policy.document import Place
    from otel_llm_routing.policy.findings import Level
    from otel_llm_routing.policy.loading import Loaded
    from otel_llm_routing.policy.reference import Reference
    from otel_llm_routing.policy.schema import Policy, Surface, SurfacePolicy

MATCH_KINDS = ("route", "task", "message", "rpc", "faas", "name")
"""What a pattern of ``match`` may say before its colon; the instrumentation takes anything else for a route."""
MAX_PATTERNS = 2_000
MAX_PATTERN_CHARACTERS = 200_000
"""Of all patterns together: the instrumentation reads no policy that has more."""


def advise(loaded: Loaded, reference: Reference | None = None) -> list[Finding]:
    """Return what is wrong with a policy that can be read, in the order of the file.

    An error is a limit that the surface's own noise would break. Without a reference nothing is said of shares.
    """
    notes: list[tuple[Level, Note]] = [("warning", note) for note in _declared(loaded)]
    if reference is not None:
        notes += (("error", note) for note in against_reference.edges_within_noise(loaded.policy, reference))
        notes += (("warning", note) for note in against_reference.differences(loaded.policy, reference))
    found = [Finding(level, shown(place), loaded.located.line(*place), text) for level, (place, text) in notes]
    return sorted(found, key=lambda finding: (finding.line, finding.level))


def _declared(loaded: Loaded) -> Iterator[Note]:
    yield from _budget(loaded.policy.defaults.false_alarms_per_month, ("defaults",))
    yield from _too_many(loaded)
    yield from _shadowed(loaded)
    yield from _waivers(loaded.policy)
    for surface in loaded.policy.resolved():
        yield from _of_surface(surface)


def _of_surface(surface: SurfacePolicy) -> Iterator[Note]:
    declared, place = surface.declared, ("surfaces", surface.name)
    yield from _unpinned(declared, place)
    yield from _kinds(declared, place)
    yield from _patterns(declared, place)
    yield from _expectations(surface, place)
    yield from _budget(declared.false_alarms_per_month, place)
    yield from _typographic(declared, place)


# What the surface asks for --------------------------------------------------------------------------------------------


def _unpinned(declared: Surface, place: Place) -> Iterator[Note]:
    uses = declared.uses
    if not uses.identifiers:
        yield Note((*place, "uses"), "names nothing; list what the application asks for, or take the surface out")
    loose = (*uses.alias, *uses.router, *uses.unknown)
    if not loose or not declared.customer_facing:
        return
    missing = {
        "commitment": "commitment (a link to what the provider promises about changes, or none)",
        "pin_when": "pin_when (in words, when to move to a pinned model)",
    }
    if lacking := [what for field, what in missing.items() if getattr(declared, field) is None]:
        yield Note(
            place,
            f"customers see it, and {brief(loose[0])} is not pinned, so the provider decides what they see; "
            f"write {' and '.join(lacking)}, or customer_facing: false",
        )


def _kinds(declared: Surface, place: Place) -> Iterator[Note]:
    listed = {field: getattr(declared.uses, field) for field in ("pinned", "alias", "router")}
    for kind, identifiers in listed.items():
        for at, identifier in enumerate(identifiers):
            known = classify(identifier)
            if known.rule is None or (known.kind == "pinned") == (kind == "pinned") or known.kind not in listed:
                continue
            yield Note(
                (*place, "uses", kind, at),
                f"{brief(identifier)} is listed under {kind}, but is known as {known.kind} (rule {known.rule.id}: "
                f"{brief(known.rule.source)}); list it under {known.kind}, or add a rule of your own where it means "
                "something else with you",
            )


# How its calls are recognised -----------------------------------------------------------------------------------------

_KIND = re.compile(r"\s*([A-Za-z][A-Za-z_-]*)\s*:")
_METHOD = re.compile(r"(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)\s+")
_ADDRESS = re.compile(r"(?i)https?://")


def split(pattern: str) -> tuple[str, str]:
    """Return the kind and the glob of a pattern of ``match``, as the instrumentation reads it."""
    kind, colon, glob = pattern.partition(":")
    return (kind, glob.strip()) if colon and kind in MATCH_KINDS else ("route", pattern)


def _patterns(declared: Surface, place: Place) -> Iterator[Note]:
    for at, pattern in enumerate(declared.match):
        here = (*place, "match", at)
        kind, glob = split(pattern)
        said = None if pattern.startswith(f"{kind}:") else _KIND.match(pattern)
        if not glob:
            yield Note(
                here, f"{brief(pattern)} has nothing after its colon, so it never matches; write a name or a glob"
            )
        elif _ADDRESS.match(glob):
            yield Note(
                here, f"{brief(pattern)} is an address, and only the path is matched; write /path or a glob of it"
            )
        elif said is not None:
            near = get_close_matches(said[1].lower(), MATCH_KINDS, 1)
            hint = f"did you mean {near[0]}:?" if near else f"the kinds are {', '.join(f'{k}:' for k in MATCH_KINDS)}"
            yield Note(here, f"{brief(said[1])}: is not a kind, so this is matched against HTTP routes; {hint}")
        elif kind == "route" and (method := _METHOD.match(glob)) is not None:
            yield Note(
                here, f"a route holds no method; write {brief(glob[method.end() :])}, or {brief(f'name:{glob}')}"
            )


def _too_many(loaded: Loaded) -> Iterator[Note]:
    patterns = [pattern for declared in loaded.policy.surfaces.values() for pattern in declared.match]
    if len(patterns) > MAX_PATTERNS or sum(map(len, patterns)) > MAX_PATTERN_CHARACTERS:
        yield Note(
            ("surfaces",),
            f"{len(patterns):,} patterns of match; an application reads none of more than {MAX_PATTERNS:,}, or of more "
            f"than {MAX_PATTERN_CHARACTERS:,} characters; let globs stand for several",
        )


def _shadowed(loaded: Loaded) -> Iterator[Note]:
    """Yield patterns that an earlier surface leaves nothing: the first one that matches wins."""
    earlier: list[tuple[str, int, str, tuple[str, ...]]] = []
    exact: dict[tuple[str, str], tuple[str, int]] = {}
    for name, declared in loaded.policy.surfaces.items():
        own = []
        for at, pattern in enumerate(declared.match):
            kind, glob = split(pattern)
            line = loaded.located.line("surfaces", name, "match", at)
            taker = exact.get((kind, glob)) or next(
                ((other, where) for other, where, k, wide in earlier if k == kind and _covers(wide, glob)), None
            )
            if taker is not None:
                yield Note(
                    ("surfaces", name, "match", at),
                    f"{brief(pattern)} never matches: the pattern of {brief(taker[0])} in line {taker[1]} comes first "
                    "and takes all of its calls; move this surface above that one, or take one of the two out",
                )
            own.append((name, kind, glob, line))
        for surface, kind, glob, line in own:
            exact.setdefault((kind, glob), (surface, line))
            if "*" in glob and not set("?[") & set(glob):
                earlier.append((surface, line, kind, tuple(glob.split("*"))))


def _covers(wide: tuple[str, ...], glob: str) -> bool:
    """Return whether the texts of ``wide``, with anything between them, match whatever ``glob`` does; False if unsure.

    A ``*`` of ``wide`` takes in any character of ``glob``, its wildcards included; no letter of ``wide`` is a wildcard.
    """
    first, *middle, last = wide
    end = len(glob) - len(last)
    at = len(first)
    if "[" in glob or at > end or not glob.startswith(first) or not glob.endswith(last):
        return False
    for part in middle:
        at = glob.find(part, at, end) + len(part)
        if at < len(part):
            return False
    return True


# What is expected of it -----------------------------------------------------------------------------------------------


def _expectations(surface: SurfacePolicy, place: Place) -> Iterator[Note]:
    declared = surface.declared
    limited = {edge.glob for edge in surface.edges}
    for glob, expected in declared.expect.items():
        if glob in limited:
            continue
        todo = 'write one between, such as {max: "25 %"} (1 is 100 %)' if isinstance(expected, Band) else "lower it"
        what = "these limits" if isinstance(expected, Band) else "with this tolerance the limits"
        yield Note((*place, "expect", glob), f"{what} are 0 % and 100 %, which no share can pass; {todo}")
    least = {edge.glob: edge.share for edge in surface.edges if edge.side == "min"}
    total = sum(least.values())
    if total > 1 and all(_apart(a, b) for a, b in combinations(least, 2)):
        yield Note(
            (*place, "expect"), f"the lowest shares add up to {100 * total:.0f} %, so one is always missed; lower them"
        )


def _apart(one: str, other: str) -> bool:
    """Return whether no model can match both globs; False where unsure."""
    a, b = (re.split(r"[*?\[]", glob, maxsplit=1)[0] for glob in (one, other))
    return not a.startswith(b) and not b.startswith(a)


def _budget(budget: float | None, place: Place) -> Iterator[Note]:
    if budget is not None and budget < SMALLEST_BUDGET:
        yield Note(
            (*place, "false_alarms_per_month"),
            f"{budget:g} is fewer than the rules can promise, which is {SMALLEST_BUDGET:g}; write that or more",
        )


# Waivers --------------------------------------------------------------------------------------------------------------


def _waivers(policy: Policy) -> Iterator[Note]:
    today = datetime.now(timezone.utc).date()
    for at, waiver in enumerate(policy.waivers):
        place = ("waivers", at)
        if waiver.until < today:
            yield Note(
                (*place, "until"),
                f"{waiver.until} is over, so the audit counts {brief(waiver.model)} again; decide, then take the "
                "waiver out or write a new day",
            )
        if waiver.surface is not None and waiver.surface not in policy.surfaces:
            near = get_close_matches(waiver.surface, policy.surfaces, 1)
            hint = f"did you mean {brief(near[0])}?" if near else "name one of them, or take surface out"
            yield Note((*place, "surface"), f"{brief(waiver.surface)} is not a surface of this policy; {hint}")


# What a word processor did to it --------------------------------------------------------------------------------------

_QUOTES = tuple("\u201c\u201d\u201e\u2018\u2019")


def _typographic(declared: Surface, place: Place) -> Iterator[Note]:
    names: list[tuple[Place, str]] = [(place, str(place[-1]))]
    for field in ("pinned", "alias", "router", "unknown"):
        names += [((*place, "uses", field, at), name) for at, name in enumerate(getattr(declared.uses, field))]
    names += [((*place, "match", at), pattern) for at, pattern in enumerate(declared.match)]
    names += [((*place, "expect", glob), glob) for glob in declared.expect]
    for where, name in names:
        if name.startswith(_QUOTES) or name.endswith(_QUOTES):
            yield Note(
                where, f'the quotation marks of {brief(name)} are typographic, and part of the name; write " instead'
            )
