"""The first policy of a product, written from the traffic that was seen; people fill in what traffic cannot say."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from glob import escape
from typing import TYPE_CHECKING, NamedTuple

import yaml

from otel_llm_routing.models.rules import KINDS, PINNED, UNKNOWN
from otel_llm_routing.policy.document import brief
from otel_llm_routing.policy.schema import MAX_IDENTIFIER, MAX_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_TEXT = 900_000
"""Bytes after which no further surface is written: a policy file is at most 1 MiB."""
MAX_IDENTIFIERS = 50
"""Requested identifiers of one surface that are written, the most requested first."""
MAX_SERVED = 5
MAX_LEFT_OUT = 20

UNNAMED = ("unknown", "other")
"""What the instrumentation calls calls of no surface, and those of too many surfaces (docs/surfaces.md)."""


class SeenName(NamedTuple):
    """One requested identifier of a surface."""

    requested: str
    """Empty where the requests did not name a model."""
    kind: str
    """As recorded: pinned, alias, router or unknown; anything else counts as unknown."""
    requests: int


class SeenSurface(NamedTuple):
    """One surface, as traffic showed it."""

    name: str
    requests: int
    names: tuple[SeenName, ...]
    served: Mapping[str, int]
    """Requests with a known served model, by model."""


class Draft(NamedTuple):
    """The text of a policy, and what could not be written into it."""

    text: str
    """Empty where no surface has a name that a policy can hold."""
    written: tuple[str, ...]
    """Surfaces, the busiest first."""
    left_out: tuple[str, ...]
    """What is not in it and why, a line each."""


def draft(surfaces: Iterable[SeenSurface], period: str) -> Draft:
    """Return the policy that allows what ``surfaces`` did in ``period`` (words such as ``28 days up to 2026-11-02``).

    Names are data from outside: each is quoted where YAML would read it as anything else, and one that no policy can
    hold (unprintable, too long) is left out. The text can be read by ``loading.parse``.
    """
    ordered = sorted(surfaces, key=lambda surface: (-surface.requests, surface.name))
    total = sum(surface.requests for surface in ordered)
    written: list[str] = []
    blocks: list[str] = []
    left_out: list[str] = []
    size = 0
    for surface in ordered:
        if why := _unusable(surface.name):
            left_out.append(f"{brief(surface.name)}: {_of(surface.requests, total)}; {why}")
            continue
        block = "\n".join(_surface(surface, total)) + "\n"
        size += len(block.encode())
        if size > MAX_TEXT:
            left_out.append(f"{brief(surface.name)}: {_of(surface.requests, total)}; the file is large enough")
            continue
        written.append(surface.name)
        blocks.append(block)
    if not blocks:
        return Draft("", (), tuple(left_out))
    head = HEAD.format(period=_comment(period))
    tail = "".join(f"# Left out: {_comment(line)}\n" for line in left_out[:MAX_LEFT_OUT])
    if len(left_out) > MAX_LEFT_OUT:
        tail += f"# Left out: {len(left_out) - MAX_LEFT_OUT} more.\n"
    return Draft("\n".join([head, *blocks]) + (f"\n{tail}" if tail else ""), tuple(written), tuple(left_out))


HEAD = """\
# What each surface may run on, and why. Drafted by otel-llm-routing policy init from {period}.
# A draft says what is, not what should be: go through it, fill in what is commented out, then run
# otel-llm-routing policy check. Every key is described in docs/policy.md.
version: 1

defaults:
  # owner: team-platform  # who is told; the label "owner" of alerts
  unknown_limit: "5 %"

surfaces:"""


def _surface(surface: SeenSurface, total: int) -> list[str]:
    known = sum(surface.served.values())
    lines = [
        f"  {quoted(surface.name)}:  # {_of(surface.requests, total)}",
        "    # owner: team-platform",
        "    # purpose: What customers see of it.",
    ]
    if surface.name.startswith("/"):
        lines.append(
            f"    # match: {quoted(escape(surface.name))}  # the name is the route; keep this line when you rename it"
        )
    lines += _uses(surface)
    if known:
        lines.append(f"    # Served, of {known:,} requests whose model is known:")
        most = sorted(surface.served.items(), key=lambda item: (-item[1], item[0]))
        lines += [f"    #   {brief(model)}: {_percent(count, known)}" for model, count in most[:MAX_SERVED]]
        if len(most) > MAX_SERVED:
            rest = sum(count for _, count in most[MAX_SERVED:])
            lines.append(f"    #   {len(most) - MAX_SERVED} more: {_percent(rest, known)}")
    else:
        lines.append("    # No response named the model that served it.")
    lines.append("    customer_facing: true  # false if no customer sees what the model writes")
    if _loose(surface):
        lines += [
            '    # expect: {"*haiku*": {max: "25 %"}}  # a limit, if you have one; without it every shift is told',
            "    # commitment: none  # or a link to what the provider promises about changes",
            "    # pin_when: In words, when to move to a pinned model.",
            "    # unpin_when: In words, when to move back.",
        ]
    return lines


def _uses(surface: SeenSurface) -> list[str]:
    usable = [name for name in _merged(surface.names) if not _unusable_identifier(name.requested)]
    shown = usable[:MAX_IDENTIFIERS]
    by_kind: dict[str, list[SeenName]] = defaultdict(list)
    for name in shown:
        by_kind[name.kind].append(name)
    lines = ["    uses:" if shown else "    uses: {}"]
    for kind in KINDS:
        if kind in by_kind:
            lines.append(f"      {kind}:")
            lines += [
                f"        - {quoted(name.requested)}  # {_percent(name.requests, surface.requests)}"
                for name in by_kind[kind]
            ]
    rest = surface.requests - sum(name.requests for name in shown)
    if rest > 0:
        lines.append(f"      # {_percent(rest, surface.requests)} asked for nothing, or for what is not listed here")
    return lines


def _loose(surface: SeenSurface) -> bool:
    return any(name.kind != PINNED for name in _merged(surface.names))


def _merged(names: Iterable[SeenName]) -> list[SeenName]:
    """Return every identifier once, of the kind that most of its requests were recorded with; most requested first."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for name in names:
        counts[name.requested][name.kind if name.kind in KINDS else UNKNOWN] += name.requests
    merged = [
        SeenName(requested, max(kinds, key=lambda kind: (kinds[kind], kind)), sum(kinds.values()))
        for requested, kinds in counts.items()
    ]
    return sorted(merged, key=lambda name: (-name.requests, name.requested))


def _unusable(surface: str) -> str:
    """Return why no policy can hold a surface of this name, or nothing."""
    if surface in UNNAMED:
        return "calls without a name of their own; name their surfaces, see docs/surfaces.md"
    if not surface.isprintable() or surface != surface.strip() or not surface:
        return "no name that the instrumentation would send"
    if len(surface) > MAX_NAME:
        return f"longer than {MAX_NAME} characters, which the instrumentation would not send"
    return ""


def _unusable_identifier(requested: str) -> bool:
    return (
        not requested
        or not requested.isprintable()
        or requested != requested.strip()
        or len(requested) > MAX_IDENTIFIER
    )


_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]+")


def quoted(name: str) -> str:
    """Return a printable ``name`` as YAML: as it is where every reader takes that for text, else in double quotes."""
    if _PLAIN.fullmatch(name) and yaml.safe_load(name) == name:
        return name
    return json.dumps(name, ensure_ascii=False)


def _comment(text: str) -> str:
    return text if text.isprintable() else repr(text)


def _of(requests: int, total: int) -> str:
    return f"{requests:,} requests, {_percent(requests, total)}"


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole if whole else 0.0
    if 0 < share < 0.1:  # noqa: PLR2004
        return "less than 0.1 %"
    return f"{share:.0f} %" if share >= 10 or share == round(share) else f"{share:.1f} %"  # noqa: PLR2004
