"""From what a format tells of a case to the case: surface, size, score and calls, with the mapping of the user."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_llm_routing.analyze.evals.cases import Case, CaseCall
from otel_llm_routing.analyze.evals.reading import values
from otel_llm_routing.analyze.evals.reading.values import MISSING, member
from otel_llm_routing.models import KNOWN_MATCHES, MATCHES, UNCONFIRMED, UNREPORTED, kind_of, match, provider_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_llm_routing.analyze.evals.reading.problems import Notes

OVERWRITING = frozenset({"litellm"})
"""Providers that write the requested name over the body's model: it proves nothing (``instrument/served.py``)."""
SAID: dict[str, tuple[str, ...]] = {
    "surface": ("surface", "llm_routing.surface"),
    "provider": ("provider", "gen_ai.provider.name"),
    "requested_model": ("requested_model", "gen_ai.request.model"),
    "served_model": ("served_model", "gen_ai.response.model"),
    "match": ("match", "llm_routing.match"),
    "input_size": ("input_size",),
}
"""What metadata may say of a case, and under which names. The dotted ones are those of telemetry."""
TOLD = ("provider", "requested_model", "served_model", "match")
"""What is said of a call."""


class Draft(NamedTuple):
    """What a format tells of one case."""

    place: str
    record: Any
    """What the paths of a mapping lead into."""
    id: str = ""
    """Empty: it is named by its place."""
    labels: tuple[Any, ...] = ()
    """Where a surface may be named: mappings, or lists of tags such as ``surface:autocomplete``; the first wins."""
    size: int | None = None
    score: Any = None
    """The tool's own main score."""
    scores: Mapping[str, Any] = {}
    """Every score by its scorer's name."""
    calls: tuple[CaseCall, ...] = ()


class Finish:
    """Makes cases of drafts."""

    def __init__(self, columns: Mapping[str, str], notes: Notes) -> None:
        self._columns = columns
        self._notes = notes
        self._found: set[str] = set()
        self._scorers: dict[str, None] = {}
        self._ids: dict[tuple[str, str], int | None] = {}

    def case(self, draft: Draft) -> Case:
        """Return the case that ``draft`` tells of."""
        said = {name: value for name in SAID if (value := self._said(draft, name)) is not MISSING}
        surface = values.text(said.get("surface"))
        case = Case(
            values.text(self._mapped(draft, "id"), values.ID) or draft.id or draft.place.rpartition("/")[2],
            surface,
            self._size(draft, said),
            self._score(draft),
            tuple(call if call.surface else call._replace(surface=surface) for call in self._calls(draft, said)),
            draft.place,
        )
        self._known(case)
        return case

    def warn(self, path: str) -> None:
        """Note which columns of the mapping led nowhere."""
        for name, where in self._columns.items():
            if name in self._found:
                continue
            there = (
                f"; scorers are {', '.join(values.text(name) for name in list(self._scorers)[:20])}"
                if name == "score" and self._scorers
                else ""
            )
            self._notes.add(f"no case has {where!r}, which was named for {name}{there}", path)

    def _mapped(self, draft: Draft, name: str) -> Any:
        """Return what the user's mapping says of ``name``; ``MISSING`` where it says nothing."""
        if (where := self._columns.get(name)) is None:
            return MISSING
        value = where[1:] if where.startswith("=") else member(draft.record, where)
        if value is not MISSING:
            self._found.add(name)
        return value

    def _said(self, draft: Draft, name: str) -> Any:
        """Return what is said of ``name``; None where its place is there and empty."""
        if name in self._columns:
            return self._mapped(draft, name)
        found = MISSING
        for label in draft.labels:
            for key in SAID[name]:
                value = _tag(label, key) if isinstance(label, (list, tuple)) else member(label, key)
                if value is None or value == "":
                    found = None
                elif value is not MISSING:
                    return value
        return found

    def _size(self, draft: Draft, said: Mapping[str, Any]) -> int | None:
        given = said.get("input_size", MISSING)
        if given is not MISSING and given is not None and given != "":
            size = values.size(given)
            if size is not None:
                return size
            self._notes.add("an input size that is no number of characters; read as not known", draft.place)
        if "input" in self._columns:
            found = self._mapped(draft, "input")
            return values.length(found) if found else None
        return draft.size

    def _score(self, draft: Draft) -> float | None:
        for scorer in draft.scores:
            self._scorers.setdefault(scorer)
        value = draft.score
        if where := self._columns.get("score"):
            if where in draft.scores:
                self._found.add("score")
                value = draft.scores[where]
            else:
                value = self._mapped(draft, "score")
        try:
            return None if value is MISSING else values.score(value)
        except values.NoScoreError:
            self._notes.add("a score that is no number; read as a case without score", draft.place)
            return None

    def _calls(self, draft: Draft, said: Mapping[str, Any]) -> tuple[CaseCall, ...]:
        """Return the calls of the format, or the one that metadata or the mapping tells of."""
        if not any(name in self._columns for name in TOLD):
            told = said.get("served_model") or (said.get("requested_model") and not draft.calls)
            if not told or any(call.served for call in draft.calls):
                return draft.calls
        first = draft.calls[0] if draft.calls else CaseCall(size=draft.size)
        given = {name: values.text(said.get(name)) for name in ("provider", "match")}
        requested = values.model(said["requested_model"]) if "requested_model" in said else first.requested
        served = values.model(said["served_model"]) if "served_model" in said else first.served
        if given["match"] and given["match"] not in MATCHES:
            self._notes.add("a match that is none of the known ones, left out", draft.place)
            given["match"] = ""
        if not served and given["match"] in KNOWN_MATCHES:
            self._notes.add("a match without a served model; read as unreported", draft.place)
            given["match"] = UNREPORTED
        reported = "served_model" in said or bool(served) or first.match == UNREPORTED
        if not (requested or served or given["provider"] or given["match"]):
            return draft.calls
        one = call(requested, served, given["provider"] or first.provider, given["match"], reported=reported)
        return (one._replace(size=first.size),)

    def _known(self, case: Case) -> None:
        """Note an id that names two cases. That it comes again is well: such cases are repetitions of one."""
        named = (case.id, case.surface)  # of another surface, it is another case
        size = self._ids.setdefault(named, case.size)
        if size is None:
            self._ids[named] = case.size
        elif case.size is not None and size != case.size:
            self._notes.add(
                "an id that came before with an input of another size: it counts as a repetition of that case; give "
                "cases ids of their own",
                case.place,
            )


def call(
    requested: str,
    served: str,
    provider: str,
    matched: str = "",
    *,
    reported: bool = True,
    overwritten: bool | None = None,
) -> CaseCall:
    """Return a call, its match decided from the names where ``matched`` does not say it.

    ``reported`` says whether the log would have told who served: if not, nothing is known of that, not even that it
    was unreported. ``overwritten`` says whether the served name may be the requested one, written by a gateway; None:
    as the provider is known to do.
    """
    name = provider_name(provider) or ""
    if not matched and reported:
        over = name in OVERWRITING if overwritten is None else overwritten
        matched = UNCONFIRMED if served and over else _match(requested, name, served)
    return CaseCall(provider=name, requested=requested, served=served, match=matched)


@lru_cache(maxsize=4096)
def _match(requested: str, provider: str, served: str) -> str:
    if served and not requested and kind_of(served, provider) in ("alias", "router"):
        return UNCONFIRMED  # it may be the requested name come back, and is that of no one model
    return match(requested or None, provider or None, served or None)


def _tag(tags: Any, key: str) -> Any:
    for tag in tags:
        if isinstance(tag, str) and tag.startswith((f"{key}:", f"{key}=")):
            return tag[len(key) + 1 :].strip()
    return MISSING
