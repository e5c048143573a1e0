"""What the names of one file say of the constants of another: which of them a call asks for, and where."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from otel_llm_routing.analyze.audit.following import Follower
from otel_llm_routing.analyze.audit.mention import ASKED, Mention
from otel_llm_routing.analyze.audit.modules import Modules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from otel_llm_routing.analyze.audit.names import Asked, Names, Path

MAX_USED = 50
"""Places that are told of one constant, in its file and in others."""


class Source(NamedTuple):
    """A file that was read."""

    shown: str
    """As people and reports name it."""
    mentions: list[Mention]
    names: Names


class _Use(NamedTuple):
    shown: str
    asked: Asked

    @property
    def is_by_a_call(self) -> bool:
        place = self.asked.place
        return place.weight == ASKED or place.role == "call"


def follow(sources: dict[str, Source], files: Iterable[str], load: Callable[[str], Source]) -> None:
    """Note at every text of ``sources`` where it is asked for by a name that stands for it.

    Both are known by absolute paths. ``files`` are all that may be imported; one of which nothing is known yet is
    loaded when a name leads there.
    """

    def names(path: str) -> Names:
        if path not in sources:
            sources[path] = load(path)
        return sources[path].names

    follower = Follower(Modules(files), names)
    uses: dict[tuple[str, int], list[_Use]] = defaultdict(list)
    for path, source in list(sources.items()):
        attributes: dict[Path, list[int]] | None = None
        for asked in source.names.asked:
            texts = follower.texts(path, asked.reference)
            if not texts and asked.place.weight == ASKED:
                attributes = source.names.attributes() if attributes is None else attributes
                texts = [(path, index) for index in attributes.get(_attribute(asked.reference.path), ())]
            for text in texts:
                uses[text].append(_Use(source.shown, asked))
    for (path, index), used in uses.items():
        source = sources[path]
        source.mentions[index] = _used(source.mentions[index], source.shown, used)


def _attribute(path: Path) -> Path:
    """Return the last attribute of a path, and what is taken of it; empty if there is none."""
    at = max((at for at, step in enumerate(path) if at and step[0] == "." and step != ".value"), default=0)
    return (path[at][1:], *(step for step in path[at + 1 :] if step != ".value")) if at else ()


def _used(said: Mention, shown: str, uses: Sequence[_Use]) -> Mention:
    """Return ``said`` as what those ask for who use it; where no call does, as what it is handed on as."""
    calls = [use for use in uses if use.is_by_a_call] or uses
    lines = sorted({use.asked.line for use in calls if use.shown == shown})[:MAX_USED]
    others = sorted({(use.shown, use.asked.line) for use in calls if use.shown != shown})[:MAX_USED]
    places = [use.asked.place for use in calls]
    is_a_member = said.role == "catalogue" and (said.table is None or said.table.slot != "item")
    providers = {place.provider for place in places}
    return said._replace(
        role="constant" if is_a_member else said.role,
        weight=max(said.weight, *(place.weight for place in places)),
        provider=said.provider or (providers.pop() if len(providers) == 1 else None),
        call=said.call or next((place.call for place in places if place.call), ""),
        used_at=tuple(lines),
        used_in=tuple(others),
    )
