"""Making a proposal: a surface of the policy and its traffic in, the change and what it would do out."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import datetime, timezone
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from otel_llm_routing.analyze import tokens
from otel_llm_routing.analyze.evals.runs import mean_score, units
from otel_llm_routing.analyze.pin import candidates, mix
from otel_llm_routing.analyze.pin.edit import Change, edited
from otel_llm_routing.analyze.pin.model import Money, Proposal, SliceScore
from otel_llm_routing.analyze.pin.money import Pricing
from otel_llm_routing.analyze.pin.yaml_edit import EditError
from otel_llm_routing.analyze.reference import without_secrets
from otel_llm_routing.analyze.report import costs
from otel_llm_routing.analyze.window import utc
from otel_llm_routing.analyze.wording import NOT_SAID, many, percent, quoted
from otel_llm_routing.models import canonical, same_model
from otel_llm_routing.policy.advice import advise
from otel_llm_routing.policy.loading import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from otel_llm_routing.analyze.audit.lifetimes import Lifetimes
    from otel_llm_routing.analyze.evals.cases import Case
    from otel_llm_routing.analyze.pin.candidates import Requested
    from otel_llm_routing.analyze.pin.model import Candidate, Part
    from otel_llm_routing.analyze.report.model import Prices
    from otel_llm_routing.analyze.sources import Count, Source
    from otel_llm_routing.policy.loading import Loaded
    from otel_llm_routing.policy.reference import Reference
    from otel_llm_routing.policy.schema import SurfacePolicy

DAY = 86_400
LATELY = 7
"""Days before the end that are looked at by themselves: a router may have changed its mind since."""
BOM = "\ufeff"
MOST = 5


class PinError(Exception):
    """There is nothing that could be pinned; the message says why, and what to do."""


class PolicyText(NamedTuple):
    """The policy as it is in its file."""

    text: str
    file: str


class Wish(NamedTuple):
    """What is asked for."""

    surface: str
    days: int
    model: str | None = None
    """To pin instead of the one that serves most."""
    requested: str | None = None
    """The only identifier to move, of several."""
    costs: bool = True


def propose(
    source: Source,
    name: str,
    policy: PolicyText,
    wish: Wish,
    *,
    now: float,
    lifetimes: Lifetimes,
    reference: Reference | None = None,
    cases: Sequence[Case] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Proposal:
    """Return the proposal for a surface; ``name`` is what the source is called.

    Raises ``SourceError``, ``PolicyError`` and ``PinError``.
    """
    bom = BOM if policy.text.startswith(BOM) else ""
    text = policy.text.removeprefix(BOM)
    loaded = parse(text, policy.file)
    said = loaded.policy
    end = math.ceil(now)
    start = end - wish.days * DAY
    progress("counting the requests")
    counts = list(source.counts(start, end, DAY))
    if wish.surface not in said.surfaces:
        raise PinError(_absent(wish.surface, list(said.surfaces), counts, policy.file))
    surface = said.surface(wish.surface)
    _refuse(surface, wish)
    asked = candidates.by_identifier(counts, surface.name, surface.uses.identifiers)
    last_week = (count for count in counts if count.start >= end - LATELY * DAY)
    lately = candidates.by_identifier(last_week, surface.name, surface.uses.identifiers) if wish.days > LATELY else {}
    if not any(of.requests for of in asked.values()):
        raise PinError(_silent(surface.name, wish.days, source))
    parts = [
        _offered(candidates.lately(part, lately.get(part.requested), LATELY), lifetimes, now)
        for part in candidates.parts(surface.uses, asked, wish.days, wish.model, wish.requested)
    ]
    moves = {part.requested: part.chosen.model for part in parts if part.chosen is not None}
    if not moves:
        lines = [f"{quoted(part.requested)}: {part.why_not}" for part in parts]
        raise PinError("\n".join([f"{surface.name}: nothing to pin", *lines]))
    prices = None
    if wish.costs:
        progress("reading tokens")
        parts, prices = _priced(source, surface.name, parts, asked, counts, start, end)
    violated = mix.violated(surface, mix.served(asked, moves))
    rows = mix.rows(asked, moves)
    change = Change(surface.name, moves, violated, _note(parts, now, wish.days))
    changed, unchanged = "", ""
    try:
        changed = edited(text, change)
    except EditError as error:
        unchanged = str(error)
    notes = [f"The source answered in part only: {text}" for text in source.warned(start)]
    notes += _notes(surface, parts, asked, moves)
    if changed:
        notes += _newly_wrong(loaded, parse(changed), reference)
    return Proposal(
        surface=surface.name,
        start=start,
        end=end,
        source=without_secrets(name),
        policy=policy.file,
        requests=sum(of.requests for of in asked.values()),
        known=sum(of.known for of in asked.values()),
        parts=tuple(parts),
        mix=rows,
        violated=violated,
        prices=prices,
        scores=_scores(surface.name, cases, [row.model for row in rows]),
        notes=tuple(notes),
        steps=tuple(_steps(surface.name, moves, reference)),
        changed=bom + changed if changed else "",
        unchanged=unchanged,
    )


# Whether there is anything to pin -------------------------------------------------------------------------------------


def _absent(name: str, known: list[str], counts: Sequence[Count], file: str) -> str:
    seen = sum(count.requests for count in counts if count.surface == name)
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known[:MOST])}"
    if seen:
        hint = f"it has {many(seen, 'request')}; write it into the policy first"
    return f"{file}: no surface {name[:80]!r}; {hint}"


def _refuse(surface: SurfacePolicy, wish: Wish) -> None:
    uses = surface.uses
    loose = [name for kind in candidates.LOOSE for name in getattr(uses, kind)]
    if not uses.identifiers:
        raise PinError(f"{surface.name}: the policy lists nothing that it uses; list what the application asks for")
    if not loose:
        raise PinError(
            f"{surface.name}: asks for pinned models only ({', '.join(uses.pinned[:MOST])}); nothing to move"
        )
    if wish.requested is not None and not any(same_model(wish.requested, name) for name in loose):
        msg = f"{surface.name}: {wish.requested[:80]!r} is not among what it uses unpinned: {', '.join(loose[:MOST])}"
        raise PinError(msg)


def _silent(name: str, days: int, source: Source) -> str:
    extent = source.extent()
    held = "the source holds no request at all" if extent is None else f"the source holds some up to {utc(extent[1])}"
    return (
        f"{name}: no request in {many(days, 'day')} that could say what to pin ({held}); look back further with "
        "--days, or correct the surface's name"
    )


def _offered(part: Part, lifetimes: Lifetimes, now: float) -> Part:
    """Return what is proposed as far as the provider still offers the model; of others only a doubt is known."""
    if part.chosen is None:
        return part
    today = datetime.fromtimestamp(now, timezone.utc).date()
    known = own = lifetimes.of(part.chosen.model, part.chosen.provider, today)
    if known is None and (known := lifetimes.of(part.chosen.model, None, today)) is None:
        return part
    note = f"; {known.note}" if known.note else ""
    if own is None:
        note += f"; this is not said of {quoted(part.chosen.provider)}"
    if own is not None and own.state == "retired":
        since = f" since {known.on}" if known.on else ""
        why = f"{quoted(part.chosen.model)} serves most of it, and is said to be offered no longer{since}"
        return part._replace(chosen=None, doubts=(), why_not=f"{why} ({known.source}{note}); name another with --model")
    until = f"is offered until {known.on}" if known.on else "is deprecated, and no date is given"
    if known.state == "retired":
        until = f"is offered no longer, since {known.on}" if known.on else "is offered no longer"
    return part._replace(doubts=(*part.doubts, f"{quoted(part.chosen.model)} {until} ({known.source}{note})."))


# What it would do -----------------------------------------------------------------------------------------------------


def _priced(
    source: Source,
    surface: str,
    parts: Sequence[Part],
    asked: dict[str, Requested],
    counts: Sequence[Count],
    start: float,
    end: float,
) -> tuple[list[Part], Prices | None]:
    try:
        listed = costs.PriceList(end - 1)
    except ModuleNotFoundError:
        unsaid = Money(None, None, costs.NOT_INSTALLED)
        return [part._replace(money=unsaid) if part.chosen else part for part in parts], None
    pricing = Pricing(surface, listed, counts, tokens.read(source, start, end))
    found = [
        part._replace(money=pricing.of(asked[part.requested], part.chosen)) if part.chosen else part for part in parts
    ]
    return found, listed.prices


def _scores(surface: str, cases: Sequence[Case] | None, models: Sequence[str]) -> tuple[SliceScore, ...]:
    """Return what an eval gave each model on the surface: the mean over cases, runs of one case taken together."""
    found: dict[str, list[float]] = defaultdict(list)
    for unit in units(cases or ()):
        if unit.surface != surface:
            continue
        runs = defaultdict(list)
        for run in unit.runs:
            by = run.served_by()
            if by.kind == "model":
                runs[by.model].append(run)
        for model, of in runs.items():
            if (score := mean_score(of)) is not None:
                found[model].append(score)
    names = {canonical(model): model for model in models}
    return tuple(
        SliceScore(name, len(found[key]), math.fsum(found[key]) / len(found[key]))
        for key, name in names.items()
        if key in found
    )


# What is said ---------------------------------------------------------------------------------------------------------


def _note(parts: Sequence[Part], now: float, days: int) -> str:
    """Return what is written into ``pin_when``."""
    chosen: dict[str, list[tuple[Part, Candidate]]] = defaultdict(list)
    for part in parts:
        if part.chosen is not None:
            chosen[part.chosen.model].append((part, part.chosen))
    said = []
    for model, of in chosen.items():
        served = sum(one.requests for _, one in of)
        known = sum(part.known for part, _ in of)
        names = " and ".join(part.requested for part, _ in of)
        said.append(f"to {model}, which served {percent(served / known)} of {many(known, 'request')} for {names}")
    day = datetime.fromtimestamp(now, timezone.utc).date()
    return f"Pinned on {day} {' and '.join(said)} in {many(days, 'day')}"


def _notes(
    surface: SurfacePolicy, parts: Sequence[Part], asked: dict[str, Requested], moves: dict[str, str]
) -> Iterator[str]:
    left = [part for part in parts if part.chosen is None]
    for part in left:
        yield f"{quoted(part.requested)} stays as it is: {part.why_not}."
    total = sum(of.requests for of in asked.values())
    for requested, of in sorted(asked.items()):
        if requested not in surface.uses.identifiers:
            name = quoted(requested) if requested else NOT_SAID
            yield (
                f"{percent(of.requests / total)} of its requests asked for {name}, which the policy does not list: "
                "they are in the mix, and stay as they are."
            )
    if left:
        yield "So the surface is not pinned as a whole, and no alert watches for unpinned traffic."
    if surface.declared.unpin_when is None:
        yield "The policy does not say when to move back: write `unpin_when`."
    fresh = sorted(set(moves.values()) & set(surface.uses.pinned))
    if fresh:
        yield f"The policy lists {', '.join(map(quoted, fresh))} as pinned already."


def _newly_wrong(policy: Loaded, changed: Loaded, reference: Reference | None) -> Iterator[str]:
    """Yield the errors that ``policy check`` finds in the changed policy and not in the one that is there."""
    before = {finding.text for finding in advise(policy, reference)}
    for finding in advise(changed, reference):
        if finding.level == "error" and finding.text not in before:
            yield f"After the change, otel-llm-routing policy check says: {finding.text}."


def _steps(surface: str, moves: dict[str, str], reference: Reference | None) -> Iterator[str]:
    models = ", ".join(map(quoted, dict.fromkeys(moves.values())))
    yield f"make one call that asks for {models}: a provider need not take the name that it reports"
    yield (
        f"change what the code asks for: where that is cannot be seen from here; otel-llm-routing audit finds "
        f"{', '.join(map(quoted, moves))} in a source tree"
    )
    again = "when the traffic has moved, generate the rules again (otel-llm-routing generate prometheus)"
    if reference is not None and any(stream.surface == surface for stream in reference.streams):
        again += ", and re-pin the reference (otel-llm-routing reference pin): it has the mix from before"
    yield again
