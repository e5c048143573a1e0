"""What an audit finds: the name of a model in a file, and what is to be said about it."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from otel_llm_routing.analyze.audit.identity import Identity, Knowledge, identify
from otel_llm_routing.analyze.audit.mention import ASKED, BARE, USES, Mention, Role
from otel_llm_routing.analyze.audit.vocabulary import chooses, names_a_model
from otel_llm_routing.models import canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

Level = Literal["error", "warning", "note", "none"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note", "none")
"""The worst first; ``none`` is a name with nothing to say against it."""

WAIVER = "waiver"
"""Stands as the rule of a finding that is about a waiver of the policy."""
ITEMS_OF_A_CATALOGUE = 3
"""So many different names as elements or keys of one list or mapping are a table of models, not a choice of one."""
NAMES_OF_A_CATALOGUE = 5
"""The same, wherever in it they stand, and in the body of a class."""
CONSTANTS_OF_A_CATALOGUE = 8
"""The same, as names of a module, and as what calls of one function in a file are handed on with."""


class Problem(NamedTuple):
    """One thing to say about a finding."""

    rule: str
    """A key of ``problems.RULES``."""
    level: Level
    text: str


class Waived(NamedTuple):
    """Why a finding is left alone, for now."""

    reason: str
    until: str
    line: int
    """Of the waiver, in the policy."""


class Seen(NamedTuple):
    """What telemetry saw of a name on one surface."""

    surface: str
    requests: int
    """All that asked for it; cached ones left out."""
    served: tuple[tuple[str, int], ...]
    """Requests by the model that served them, as far as it is known; the largest first."""
    unreported: int
    unconfirmed: int

    @property
    def known(self) -> int:
        """Requests whose served model is known: what shares are shares of."""
        return sum(requests for _, requests in self.served)


class Lifetime(NamedTuple):
    """What is known of how long a model is offered."""

    state: Literal["retired", "retiring", "deprecated"]
    on: str
    """The day after which it is not offered, or empty where only that it is deprecated or retired is known."""
    source: str
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """The name of a model at one place."""

    file: str
    line: int
    column: int
    end_column: int
    identifier: str
    kind: str
    role: Role
    key: str
    call: str
    provider: str | None
    rule: str
    """What says that it is a model, and of which kind."""
    source: str
    """Where that was read, or empty."""
    fingerprint: str
    used_at: tuple[int, ...] = ()
    """Lines of this file in which a call asks for this constant."""
    used_in: tuple[tuple[str, int], ...] = ()
    """Other files, and the lines in them."""
    surfaces: tuple[str, ...] = ()
    """Whose ``uses`` in the policy lists it."""
    customer_facing: bool | None = None
    """Whether customers see one of these surfaces; None where it is of none."""
    lifetime: Lifetime | None = None
    seen: tuple[Seen, ...] | None = None
    """None: no source was asked."""
    problems: tuple[Problem, ...] = ()
    waived: Waived | None = None
    waived_problems: tuple[Problem, ...] = ()
    """What would be said without the waiver."""
    known: bool = False
    """Whether all of its problems are in the baseline."""

    @property
    def level(self) -> Level:
        """The worst level of its problems."""
        return min((problem.level for problem in self.problems), key=LEVELS.index, default="none")

    @property
    def is_use(self) -> bool:
        """Whether the program asks for it here."""
        return self.role in USES


def findings(file: str, mentions: Sequence[Mention], known: Knowledge) -> list[Finding]:
    """Return the names of models among the texts of a file, in the order of their lines."""
    judged = [(mention, who) for mention in mentions if (who := identify(mention, known)) is not None]
    judged.sort(key=lambda one: (one[0].line, one[0].column))
    roles = _roles(judged)
    count: Counter[tuple[str, ...]] = Counter()
    found = []
    for (mention, who), role in zip(judged, roles, strict=True):
        # Not the line, nor which call asks for a constant: what is around may change. The same may be there twice.
        key = (file, mention.text, role, mention.key, mention.call if role == "call" else "")
        mark = hashlib.sha256("\0".join((*key, str(count[key]))).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        count[key] += 1
        found.append(
            Finding(
                file=file,
                line=mention.line,
                column=mention.column,
                end_column=mention.end_column,
                identifier=mention.text.strip(),
                kind=who.kind,
                role=role,
                key=mention.key,
                call=mention.call,
                provider=who.provider,
                rule=who.rule,
                source=who.source,
                fingerprint=mark,
                used_at=mention.used_at,
                used_in=mention.used_in,
            )
        )
    return found


def _roles(judged: Sequence[tuple[Mention, Identity]]) -> list[Role]:
    """Return the role of every name: what stands in a table of many is listed, not asked for."""
    tables = _Tables()
    for mention, _ in judged:
        tables.add(mention)
    return [_role(mention, tables) for mention, _ in judged]


class _Tables:
    """The different names in every table."""

    def __init__(self) -> None:
        self.items: dict[int, set[str]] = defaultdict(set)
        """What are elements or keys."""
        self.names: dict[int, set[str]] = defaultdict(set)
        """All."""
        self.behind: dict[tuple[int, str], set[str]] = defaultdict(set)
        """What stands behind keys, by the key if it says that a model stands there."""
        self.listed: dict[str, set[str]] = defaultdict(set)
        """What a function is called with, by its name, where what it returns is handed on and nobody says it asks."""

    def add(self, mention: Mention) -> None:
        """Count a name."""
        if (table := mention.table) is None:
            return
        name = canonical(mention.text)
        if table.slot == "argument" and mention.weight == BARE:
            self.listed[mention.call].add(name)
        self.names[table.number].add(name)
        if table.slot == "item":
            self.items[table.number].add(name)
        elif table.slot == "value":
            self.behind[table.number, _own_key(mention)].add(name)


def _own_key(mention: Mention) -> str:
    return mention.key if names_a_model(mention.key) else ""


def _role(mention: Mention, tables: _Tables) -> Role:
    table = mention.table
    is_used = bool(mention.used_at or mention.used_in)
    # `register(Model("gpt-5"))`, line after line, and what else is said of each of them.
    is_listed = len(tables.listed.get(mention.call, ())) >= CONSTANTS_OF_A_CATALOGUE
    if is_listed and mention.role in ("call", "config") and mention.weight < ASKED:
        return "catalogue"
    if table is None or table.slot == "argument" or (is_used and (table.slot != "item" or mention.weight == ASKED)):
        return mention.role
    chosen = chooses(mention.key)
    if table.slot == "item" and not chosen and len(tables.items[table.number]) >= ITEMS_OF_A_CATALOGUE:
        return "catalogue"
    if mention.role == "comparison" or chosen:
        return mention.role
    names = tables.names[table.number]
    if table.slot in ("item", "value"):
        # FAST_MODEL beside SMART_MODEL are settings; entries that all have a key `model` are a table.
        if table.slot == "value":
            own = _own_key(mention)
            names = tables.behind[table.number, own]
            names = names if own else names | tables.items[table.number]
        return "catalogue" if len(names) >= NAMES_OF_A_CATALOGUE else mention.role
    if mention.weight == ASKED:
        return mention.role
    most = NAMES_OF_A_CATALOGUE if table.slot == "class" else CONSTANTS_OF_A_CATALOGUE
    return "catalogue" if mention.weight == BARE and len(names) >= most else mention.role


def marked(finding: Finding, known: frozenset[tuple[str, str]]) -> Finding:
    """Return ``finding``, and whether all that is said of it was known: ``known`` are fingerprints and rules."""
    said = {(finding.fingerprint, problem.rule) for problem in finding.problems}
    return replace(finding, known=bool(said) and said <= known)
