"""The policy with a surface moved to a pin: its text changed in place, and read again to see that it says just that."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import yaml

from otel_llm_routing.analyze.pin.candidates import LOOSE
from otel_llm_routing.analyze.pin.yaml_edit import EditError, Text, as_json, is_json, scalar
from otel_llm_routing.policy.document import PolicyError
from otel_llm_routing.policy.loading import parse
from otel_llm_routing.policy.schema import MAX_TEXT, Band, Surface, Uses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_llm_routing.analyze.pin.yaml_edit import Entry
    from otel_llm_routing.policy.schema import Edge, Policy

BEFORE = ". Formerly to be pinned when "
"""Stands in ``pin_when`` between what was done and what was written there."""


Move = Callable[[Text, "Entry", Uses, Uses], None]
"""Changes the entry ``uses`` from the one to the other."""


class Change(NamedTuple):
    """What is to become of a surface."""

    surface: str
    moves: Mapping[str, str]
    """Identifiers of ``uses`` that are given up, to the model that is asked for in their place."""
    violated: Sequence[Edge]
    """Declared limits that the pinned mix would pass."""
    note: str
    """What is written into ``pin_when``, before what stands there."""


def edited(text: str, change: Change) -> str:
    """Return the policy ``text`` with ``change`` made. Raises ``EditError`` where that cannot be done in place."""
    policy = parse(text).policy
    wanted = _wanted(policy.surfaces[change.surface], change)
    reasons = []
    for move in (_move, _anew):
        made, why = _tried(text, policy, wanted, change, move)
        if not why:
            return made
        reasons.append(why)
    by_hand = f"write by hand, below {change.surface}: uses: {_uses(Text(text), wanted.uses)}"
    raise EditError(f"the policy cannot be changed in place: {reasons[0]}; {by_hand}")


def _tried(text: str, policy: Policy, wanted: Surface, change: Change, move: Move) -> tuple[str, str]:
    """Return the changed text, or why there is none."""
    try:
        made = _with(text, policy.surfaces[change.surface], wanted, change, move)
        if is_json(made) != is_json(text):
            return "", "it would be JSON no more"
        if _says(made, policy, wanted, change.surface):
            return made, ""
    except EditError as error:
        return "", str(error)
    except (PolicyError, yaml.YAMLError):
        pass  # an alias whose anchor was in the changed lines
    return "", "other lines use these by an anchor or a merge (& * <<)"


def _wanted(surface: Surface, change: Change) -> Surface:
    uses = surface.uses
    added = [model for model in dict.fromkeys(change.moves.values()) if model not in uses.pinned]
    kept = {kind: tuple(name for name in getattr(uses, kind) if name not in change.moves) for kind in LOOSE}
    expect = {glob: left for glob, band in surface.expect.items() if (left := _left(glob, band, change)) is not None}
    note = change.note if surface.pin_when is None else f"{change.note}{BEFORE}{surface.pin_when}"
    if len(note) > MAX_TEXT:
        note = change.note
    return surface.model_copy(
        update={"uses": Uses(pinned=(*uses.pinned, *added), **kept), "expect": expect, "pin_when": note}
    )


def _left(glob: str, band: float | Band, change: Change) -> float | Band | None:
    """Return what is left of a band without the limits that are passed; None: nothing."""
    sides = {edge.side for edge in change.violated if edge.glob == glob}
    if not sides:
        return band
    if not isinstance(band, Band):
        return None
    low = None if "min" in sides or not band.min else band.min
    high = None if "max" in sides or band.max == 1 else band.max
    return None if low is None and high is None else Band(min=low, max=high)


def _says(text: str, before: Policy, wanted: Surface, name: str) -> bool:
    """Return whether a text is the policy as it was, but for a surface that is as wanted."""
    after = parse(text).policy
    if [*after.surfaces] != [*before.surfaces] or after.model_copy(update={"surfaces": before.surfaces}) != before:
        return False
    if any(after.surfaces[other] != said for other, said in before.surfaces.items() if other != name):
        return False
    found = after.surfaces[name]
    words = [" ".join((surface.pin_when or "").split()) for surface in (found, wanted)]
    return words[0] == words[1] and found.model_copy(update={"pin_when": wanted.pin_when}) == wanted


# In place -------------------------------------------------------------------------------------------------------------


def _anew(file: Text, entry: Entry, _: Uses, wanted: Uses) -> None:
    """Write ``uses`` anew, where it is put together from elsewhere."""
    file.replace(entry.start, entry.end, _uses(file, wanted))


def _with(text: str, before: Surface, wanted: Surface, change: Change, move: Move) -> str:
    file = Text(text)
    surfaces = file.entry(file.root, "surfaces")
    if surfaces is None or surfaces.alias or not isinstance(surfaces.value, yaml.MappingNode):
        raise EditError("its surfaces are not written where they are expected")
    own = file.entry(surfaces.value, change.surface)
    if own is None:
        raise EditError("the surface comes from a merge (<<)")
    new = {"uses": _uses(file, wanted.uses), "pin_when": scalar(wanted.pin_when or "", flow=True)}
    if wanted.expect != before.expect:
        new["expect"] = _expect(file, wanted)
    if own.alias:
        fields = ", ".join(f"{name}: {value}" for name, value in new.items())
        file.replace(own.start, own.end, f"{{<<: {file.source(own)}, {fields}}}")
        return file.changed()
    if not isinstance(own.value, yaml.MappingNode):
        raise EditError("the surface is no mapping")
    surface = own.value
    last = file.entries(surface)[-1]
    if (uses := file.entry(surface, "uses")) is None:
        file.insert(surface, last, "uses", new["uses"])
    elif uses.alias:
        file.replace(uses.start, uses.end, new["uses"])
    else:
        move(file, uses, before.uses, wanted.uses)
    if "expect" in new:
        _limit(file, surface, before, wanted, new["expect"])
    if (pin_when := file.entry(surface, "pin_when")) is None:
        style = '"' if file.is_json else None
        file.insert(surface, last, "pin_when", scalar(wanted.pin_when or "", style, bool(surface.flow_style)))
    elif wanted.pin_when == change.note or not file.prepend(pin_when, f"{change.note}{BEFORE}".rstrip()):
        file.set(pin_when, " ".join((wanted.pin_when or "").split()))
    return file.changed()


def _move(file: Text, entry: Entry, before: Uses, wanted: Uses) -> None:
    """Move identifiers from one kind to the pinned ones."""
    uses = entry.value
    if not isinstance(uses, yaml.MappingNode):
        raise EditError("uses is no mapping")
    added = [name for name in wanted.pinned if name not in before.pinned]
    pinned = file.entry(uses, "pinned")
    if before.pinned and pinned is None:
        raise EditError("pinned comes from a merge (<<)")
    emptied: list[Entry] = []
    first: Entry | None = None
    for kind in LOOSE:
        gone = [name for name in getattr(before, kind) if name not in getattr(wanted, kind)]
        if not gone:
            continue
        found = file.entry(uses, kind)
        if found is None:
            raise EditError(f"{kind} comes from a merge (<<)")
        first = first or found
        if getattr(wanted, kind):
            if found.alias or not isinstance(found.value, yaml.SequenceNode):
                raise EditError(f"{kind} is an alias")
            items = file.items(found.value)
            file.remove(found.value, [one for one in items if one.value.value.strip() in gone])
        elif pinned is None and _takes_over(file, found, added):
            pinned, added = found, []
        else:
            emptied.append(found)
    if added and pinned is not None:
        file.append(pinned, added)
    elif added and first is not None:
        file.insert(uses, first, "pinned", file.names(added))
    if emptied:
        file.remove(uses, emptied)


def _takes_over(file: Text, found: Entry, models: list[str]) -> bool:
    """Make the entry of a kind that is given up the one of the pinned models; return False where that does not fit."""
    node = found.value
    if found.alias or not models:
        return False
    file.rename(found, "pinned")
    if isinstance(node, yaml.ScalarNode):
        new = _like(file, found, models[0]) if len(models) == 1 else file.names(models)
        file.replace(found.start, found.end, new)
        return True
    items = file.items(node)
    for one, model in zip(items, models, strict=False):
        file.replace(one.start, one.end, _like(file, one, model))
    if len(models) > len(items):
        file.append(found, models[len(items) :])
    elif isinstance(node, yaml.CollectionNode):
        file.remove(node, items[len(models) :])
    return True


def _like(file: Text, one: Entry, model: str) -> str:
    """Return a model's name in the quotes that another name has."""
    style = one.value.style if isinstance(one.value, yaml.ScalarNode) and not one.alias else None
    return scalar(model, style) if style in ("'", '"') else file.name(model)


def _limit(file: Text, surface: yaml.MappingNode, before: Surface, wanted: Surface, whole: str) -> None:
    """Take out the limits that the pin would pass."""
    expect = file.entry(surface, "expect")
    if expect is None:
        file.insert(surface, file.entries(surface)[-1], "expect", whole)
        return
    changed = [glob for glob, band in before.expect.items() if wanted.expect.get(glob) != band]
    own = (
        {glob: file.entry(expect.value, glob) for glob in changed} if isinstance(expect.value, yaml.MappingNode) else {}
    )
    if not wanted.expect:
        file.remove(surface, [expect])
        return
    if expect.alias or not isinstance(expect.value, yaml.MappingNode) or None in own.values():
        file.replace(expect.start, expect.end, whole)
        return
    gone = []
    for glob, found in own.items():
        left = wanted.expect.get(glob)
        if found is None or left is None:
            gone += [found] if found else []
        elif found.alias or not isinstance(found.value, yaml.MappingNode):
            file.replace(found.start, found.end, _band(file, left))
        else:
            kept = left.model_dump(exclude_none=True) if isinstance(left, Band) else {}
            file.remove(found.value, [one for one in file.entries(found.value) if one.key.value.strip() not in kept])
    if gone:
        file.remove(expect.value, gone)


# As YAML --------------------------------------------------------------------------------------------------------------


def _uses(file: Text, uses: Uses) -> str:
    kinds = {kind: getattr(uses, kind) for kind in ("pinned", *LOOSE)}
    return file.mapping({kind: file.names(names) for kind, names in kinds.items() if names})


def _expect(file: Text, surface: Surface) -> str:
    return "{" + ", ".join(f"{as_json(glob)}: {_band(file, band)}" for glob, band in surface.expect.items()) + "}"


def _band(file: Text, band: float | Band) -> str:
    if not isinstance(band, Band):
        return _share(band)
    return file.mapping({side: _share(share) for side, share in band.model_dump(exclude_none=True).items()})


def _share(share: float) -> str:
    return f'"{100 * share:.10g} %"'


# The difference -------------------------------------------------------------------------------------------------------


def unified(before: str, after: str, path: str) -> str:
    """Return the difference as ``patch -p0`` and ``git apply -p0`` take it; ``path`` is relative to where they run."""
    from difflib import unified_diff  # noqa: PLC0415  (used once a run)

    # A name with a space ends at a tab, as GNU diff writes it.
    name = f"{path}\t" if re.search(r"\s", path) else path
    lines = unified_diff(_lines(before), _lines(after), name, name, lineterm="\n")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(text: str) -> list[str]:
    """Return the lines as patch counts them; ``splitlines`` also ends them elsewhere."""
    return re.findall(r"[^\n]*\n|[^\n]+\Z", text)
