"""Surface rules from the policy file, in the running application: ``surfaces.NAME.match``, and nothing else of it.

The application must not notice the file, whatever it is. It is read as events, never as objects: no value is built but
the few that are needed, aliases stay references, and size, events and rules have limits. Where the full reader
(``otel_llm_routing.policy``) accepts a file, this one sees the same rules, unless a limit here is lower.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_llm_routing.instrument.guard import once, swallowed
from otel_llm_routing.instrument.patterns import kind_and_glob
from otel_llm_routing.whole_text import whole

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "OTEL_LLM_ROUTING_POLICY"
MAX_BYTES = 2**20
MAX_VALUES = 100_000
"""In the file with its aliases written out, as the full reader counts them."""
MAX_DEPTH = 50
"""Of brackets within brackets, over which PyYAML's own scanner takes minutes."""
MAX_RULES = 2_000
MAX_CHARACTERS = 200_000
"""Of all patterns together: each is compiled once, which takes about a second for so many."""
MAX_NAME = 64
MAX_PATTERN = 2_000

_TAG = "tag:yaml.org,2002:"


class _UnusableError(Exception):
    """The message says why, for the log."""


class _Scalar(NamedTuple):
    tag: str | None
    value: str
    implicit: tuple[bool, bool]


class _Collection(list[Any]):
    anchor: str | None = None
    size = 1
    """Values in it, those that its aliases stand for counted each time."""


class _Sequence(_Collection):
    pass


class _Mapping(_Collection):
    """Keys and values by turns."""


def rules(path: str) -> tuple[tuple[str, str, str], ...]:
    """Return ``(surface, kind, glob)`` of every pattern in the file's order. Never raises: what is wrong is logged."""
    try:
        return tuple(_Reader(_text(path)).rules())
    except _UnusableError as error:
        once(f"{VARIABLE}: {path[:200]!r}: {error}; no surface rules are read from it")
    except Exception:  # noqa: BLE001
        swallowed("read the policy file")
    return ()


def _text(path: str) -> str:
    try:
        # A pipe or a device might never end, or never begin.
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  (pathlib takes its time to import)
            raise _UnusableError("not a regular file")
        with open(path, "rb") as file:  # noqa: PTH123
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _UnusableError(f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if len(content) > MAX_BYTES:
        raise _UnusableError(f"larger than {MAX_BYTES // 2**20} MiB, which no policy is")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _UnusableError("not UTF-8 text") from None


class _Reader:
    def __init__(self, text: str) -> None:
        try:
            import yaml  # noqa: PLC0415  (an extra, and of no use without the file)
        except ImportError:
            raise _UnusableError("PyYAML is not installed; pip install 'otel-llm-routing[policy]'") from None
        self._yaml = yaml
        self._text = text

    def rules(self) -> Iterator[tuple[str, str, str]]:
        """Yield every rule, or raise ``_UnusableError`` on the way."""
        found = characters = 0
        top = self._mapping(self._tree(), "the file")
        if not self._is_one(top.get("version")):
            raise _UnusableError("no policy of version 1")
        for name, node in self._mapping(top.get("surfaces"), "surfaces").items():
            if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
                raise _UnusableError(f"{name[:80]!r} is not the name of a surface")
            match = self._mapping(node, f"surfaces.{name}").get("match", _Sequence())
            for pattern in match if isinstance(match, _Sequence) else (match,):
                text = self._string(pattern, f"surfaces.{name}.match").strip()
                found, characters = found + 1, characters + len(text)
                if found > MAX_RULES or characters > MAX_CHARACTERS:
                    raise _UnusableError(f"more than {MAX_RULES:,} patterns, or {MAX_CHARACTERS:,} characters of them")
                if not 1 <= len(text) <= MAX_PATTERN:
                    raise _UnusableError(f"surfaces.{name}.match: a pattern is 1 to {MAX_PATTERN:,} characters")
                yield (name, *kind_and_glob(text))

    def _tree(self) -> Any:
        """Return the one document as nested lists. An alias is the list or the scalar that it stands for, itself."""
        yaml = self._yaml
        try:
            try:
                # libyaml is ten times as fast, where PyYAML was built with it.
                self._loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(self._text)
                return self._document()
            except yaml.YAMLError:  # it refuses JSON's escapes of characters beyond U+FFFF
                self._loader = yaml.SafeLoader(self._text)
                return self._document()
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"line {mark.line + 1}: " if mark else ""
            said = str(getattr(error, "problem", None) or "")[:100]
            raise _UnusableError(f"{where}not YAML{f' ({said})' if said.isprintable() and said else ''}") from None

    def _document(self) -> Any:
        yaml, loader = self._yaml, self._loader
        top = _Sequence()
        open_: list[_Collection] = [top]
        anchors: dict[str, tuple[Any, int]] = {}
        while loader.check_event():
            event = loader.get_event()
            inner = open_[-1]
            if isinstance(event, yaml.AliasEvent):
                if event.anchor not in anchors:
                    line = event.start_mark.line + 1
                    raise _UnusableError(f"line {line}: an alias of nothing, or of something it is in")
                node, size = anchors[event.anchor]
                inner.append(node)
                inner.size += size
            elif isinstance(event, yaml.ScalarEvent):
                inner.append(_Scalar(event.tag, whole(event.value), event.implicit))
                inner.size += 1
                if event.anchor is not None:
                    anchors[event.anchor] = (inner[-1], 1)
            elif isinstance(event, yaml.CollectionStartEvent):
                made = _Mapping() if isinstance(event, yaml.MappingStartEvent) else _Sequence()
                made.anchor = event.anchor
                inner.append(made)
                open_.append(made)
            elif isinstance(event, yaml.CollectionEndEvent):
                open_.pop()
                open_[-1].size += inner.size
                if inner.anchor is not None:
                    anchors[inner.anchor] = (inner, inner.size)
            if len(open_) > MAX_DEPTH:
                raise _UnusableError("nested too deeply, as no policy is")
            if open_[-1].size > MAX_VALUES:
                raise _UnusableError(f"more than {MAX_VALUES:,} values with its aliases, which no policy has")
        if len(top) != 1:
            raise _UnusableError("more than one document" if top else "empty")
        return top[0]

    def _mapping(self, node: Any, what: str) -> dict[str, Any]:
        """Return a mapping by its keys, what it takes in by ``<<`` first, as the full reader orders it."""
        if not isinstance(node, _Mapping):
            raise _UnusableError(f"{what} is not a mapping")
        found: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key, value in zip(node[::2], node[1::2], strict=True):
            if self._tag(key) == f"{_TAG}merge":
                for source in value if isinstance(value, _Sequence) else (value,):
                    for name, taken in self._mapping(source, f"what {what} takes in by <<").items():
                        found.setdefault(name, taken)
            else:
                name = self._string(key, f"a key of {what}").strip()
                if name in own:
                    raise _UnusableError(f"{what} has the key {name[:80]!r} a second time")
                own[name] = value
        return {**found, **own}

    def _string(self, node: Any, what: str) -> str:
        if self._tag(node) != f"{_TAG}str":
            raise _UnusableError(f"{what} is not text")
        value: str = node.value
        return value

    def _is_one(self, node: Any) -> bool:
        return self._tag(node) == f"{_TAG}int" and node.value == "1"

    def _tag(self, node: Any) -> str | None:
        """Return what a scalar is by its tag or its look, None of anything else."""
        if not isinstance(node, _Scalar):
            return None
        if node.tag not in (None, "!"):
            return node.tag
        found: str = self._loader.resolve(self._yaml.ScalarNode, node.value, node.implicit)
        return found
