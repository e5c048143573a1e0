"""How long models are offered: from what is installed, and from a file of the user's own; each with its source."""

from __future__ import annotations

import ast
import re
from datetime import date, datetime, timedelta
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from otel_llm_routing.analyze.audit.finding import Lifetime
from otel_llm_routing.analyze.audit.identity import name_of
from otel_llm_routing.models import canonical, provider_name
from otel_llm_routing.policy.document import Document, Located, PolicyError, Problem, brief

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SOON = 90
"""Days before a model's end from which on it is a warning."""
MAX_BYTES = 2**20

_ANTHROPIC = ("_data/deprecated_models.py", "resources/messages/messages.py")
"""Where the SDK has had its table: since 2.13, and before."""
_TABLE = "DEPRECATED_MODELS"


class Told(NamedTuple):
    """What one source says of one model, or of those that a glob matches."""

    model: str
    provider: str | None
    """Whose models it is about; None: anybody's."""
    retires: date | None
    """None: it is deprecated, and nobody says until when it is offered."""
    source: str
    note: str = ""
    retired: bool = False
    """Whether the source says that it is no longer offered, without saying since when."""


class Lifetimes:
    """What is known, asked by identifier; the user's own file comes first."""

    def __init__(self, own: Iterable[Told] = (), installed: Iterable[Told] = (), prices: Prices | None = None) -> None:
        self._own = tuple(own)
        self._installed: dict[str, Told] = {canonical(told.model): told for told in installed}
        self._prices = prices
        self.sources: tuple[str, ...] = tuple(
            dict.fromkeys(
                [
                    *(told.source for told in self._own),
                    *(told.source for told in self._installed.values()),
                    *([prices.source] if prices else []),
                ]
            )
        )

    def of(self, identifier: str, provider: str | None, today: date, soon: int = SOON) -> Lifetime | None:
        """Return what is known of ``identifier``, called at ``provider`` (a GenAI name, or None), on ``today``."""
        name = canonical(name_of(identifier))
        told = next((one for one in self._own if _is_about(one, name, identifier, provider)), None)
        if told is None:
            found = self._installed.get(name)
            told = found if found is not None and provider in (None, found.provider) else None
        if told is None and self._prices is not None:
            told = self._prices.of(name, provider)
        return None if told is None else _state(told, today, soon)


def _is_about(told: Told, name: str, identifier: str, provider: str | None) -> bool:
    if told.provider is not None and provider is not None and told.provider != provider:
        return False
    return fnmatchcase(identifier, told.model) or fnmatchcase(name, told.model) or canonical(told.model) == name


def _state(told: Told, today: date, soon: int) -> Lifetime:
    on = told.retires.isoformat() if told.retires else ""
    state: Literal["retired", "retiring", "deprecated"] = "deprecated"
    if told.retired or (told.retires is not None and told.retires < today):
        state = "retired"
    elif told.retires is not None and told.retires - today <= timedelta(days=soon):
        state = "retiring"
    return Lifetime(state, on, told.source, told.note)


# What is installed ----------------------------------------------------------------------------------------------------


def of_anthropic(package: Path | None = None) -> list[Told]:
    """Return the table of the anthropic SDK that is installed here, read from its source and not imported.

    ``package`` is the folder of the package, where it is another than that of this Python. Empty without one.
    """
    if package is None:
        found = find_spec("anthropic")
        places = list(found.submodule_search_locations or ()) if found is not None else []
        if not places:
            return []
        package = Path(places[0])
    said = _version("anthropic")
    for file in _ANTHROPIC:
        try:
            tree = ast.parse((package / file).read_bytes())
        except (OSError, ValueError, SyntaxError):
            continue
        source = f"anthropic {said}, anthropic/{file} ({_TABLE})"
        told = [
            Told(model, "anthropic", ends, source, "" if ends else day)
            for model, day in _table(tree)
            for ends in [_day(day)]
        ]
        if told:
            return told
    return []


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(version unknown)"


def _table(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)):
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if not isinstance(target, ast.Name) or target.id != _TABLE:
            continue
        try:
            table = ast.literal_eval(node.value) if node.value is not None else None
        except ValueError:
            continue
        if isinstance(table, dict):
            yield from ((k, v) for k, v in table.items() if isinstance(k, str) and isinstance(v, str))


_SHORT = 3
"""Letters of a month that is cut short; May is as long either way."""


def _day(text: str) -> date | None:
    """Read ``January 22nd, 2027``, ``Oct 2, 2026`` and ``2026-10-02``."""
    plain = re.sub(r"(?<=\d)(?:st|nd|rd|th)\b", "", text.strip())
    form = "%Y-%m-%d" if plain[:1].isdigit() else "%B %d, %Y" if len(plain.partition(" ")[0]) > _SHORT else "%b %d, %Y"
    try:
        return datetime.strptime(plain, form).date()  # noqa: DTZ007  (a day, of no time zone)
    except ValueError:
        return None


_DAY = r"(?P<day>\d{4}-\d\d-\d\d|[A-Z][a-z]+ \d{1,2}, \d{4})"
_ENDS = re.compile(rf"(?i:retires?|retired|shut ?down|sunset)(?: (?i:on|date|from))? {_DAY}")
_ENDED = re.compile(rf"\A(?i:retired) (?:on )?{_DAY}")
_GONE = re.compile(r"\((?i:shut down|retired)\)")
_LONGEST_NOTE = 300


class Prices:
    """The installed price list, genai-prices, which flags deprecated models and tells of some until when they last."""

    def __init__(self, library: Any, of: Mapping[str, str]) -> None:
        """Take the list's providers; ``of`` is their id by the GenAI name."""
        self._providers = {provider.id: provider for provider in library.providers}
        self._ids = of
        self.source = f"genai-prices {_version('genai-prices')}"

    def of(self, name: str, provider: str | None) -> Told | None:
        """Return what the list says of a model of ``provider``; None where it does not know it, or knows no end."""
        listed = self._providers.get(self._ids.get(provider or "", ""))
        found = listed.find_model(name) if listed is not None else None
        if listed is None or found is None:
            return None
        comment = " ".join((found.price_comments or "").split())
        source = f"{self.source}, {listed.id}/{found.id}"
        if getattr(found, "deprecated", None):
            ends = _ENDS.search(comment)
            gone = _GONE.search(comment) is not None
        else:
            # Of a model in service the comment may speak of something else that was retired.
            ends, gone = _ENDED.match(comment), False
            if ends is None:
                return None
        day = _day(ends["day"]) if ends else None
        return Told(found.id, provider, day, source, comment[:_LONGEST_NOTE], retired=gone)


def of_prices() -> Prices | None:
    """Return the installed price list; None without one."""
    try:
        from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415  (an extra)
    except ImportError:
        return None
    from otel_llm_routing.analyze.report.costs import PROVIDERS  # noqa: PLC0415

    return Prices(get_snapshot(), PROVIDERS)


# The user's own file --------------------------------------------------------------------------------------------------

_KEYS = ("model", "provider", "retires", "deprecated", "source", "note")
_NO_LIST = "has no list of lifetimes; write lifetimes: and below it - {model: ..., retires: ..., source: ...}"


class _Document(Document):
    EMPTY = NO_MAPPING = _NO_LIST
    SECOND = "a second document begins here; this is one document, so take out the ---"
    FOREIGN = "this is not a file of lifetimes"


def of_file(path: Path) -> list[Told]:
    """Read the user's file, YAML or JSON: a list ``lifetimes`` of ``model``, ``retires`` and ``source``.

    Raises ``PolicyError``, which names every line that is wrong.
    """
    name = str(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise PolicyError(name, [Problem(None, (), f"larger than {MAX_BYTES // 2**20} MiB; write a shorter one")])
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PolicyError(name, [Problem(None, (), "not UTF-8 text; save the file as UTF-8")]) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise PolicyError(name, [Problem(None, (), f"cannot be read ({why}); name a readable file")]) from None
    document = _Document(text, name)
    entries = document.read().get("lifetimes")
    if not isinstance(entries, list):
        document.problem((), _NO_LIST)
        entries = []
    told = [one for at, entry in enumerate(entries) if (one := _entry(entry, at, document, name)) is not None]
    document.complain()
    return told


def _entry(entry: Any, at: int, document: Document, file: str) -> Told | None:
    place = ("lifetimes", at)
    line = Located(file, document.lines).line(*place)
    if not isinstance(entry, dict):
        document.problem(place, f"{brief(entry)} is no entry; write {{model: ..., retires: 2026-12-31, source: ...}}")
        return None
    for key in entry.keys() - set(_KEYS):
        document.problem((*place, key), f"unknown key; the keys here are {', '.join(_KEYS)}")
    for key in ("model", "source"):
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            hint = "where you read it" if key == "source" else "an identifier, or a glob of them"
            document.problem((*place, key), f"missing, or not text; write {hint}")
            return None
    ends = entry.get("retires")
    day = _day(ends) if isinstance(ends, str) else ends
    if not isinstance(day, date) or isinstance(day, datetime):
        day = None
    if ends is not None and day is None:
        document.problem((*place, "retires"), f"{brief(ends)} is not a day; write one such as 2026-12-31")
    if ends is None and entry.get("deprecated") is not True:
        document.problem(place, "says nothing; write retires: and a day, or deprecated: true")
    provider = entry.get("provider")
    if provider is not None and not isinstance(provider, str):
        document.problem((*place, "provider"), f"{brief(provider)} is not text; write a name such as openai")
        provider = None
    source = f"{file}:{line} ({entry['source'].strip()[:200]})"
    note = str(entry.get("note") or "")[:_LONGEST_NOTE]
    return Told(entry["model"].strip(), provider_name(provider), day, source, note)
