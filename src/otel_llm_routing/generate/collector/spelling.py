"""Statements that bring models and providers to one spelling, as ``models.identifiers`` does inside an application."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from otel_llm_routing.generate.collector.ottl import cache, matches, re2_escape, text

if TYPE_CHECKING:
    from collections.abc import Iterator

# Not printable, for Python: control and format characters, private use, and every separator but the plain space.
_UNPRINTABLE = r"\p{C}\p{Zl}\p{Zp}\x{A0}\x{1680}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}"
# As `_RESOURCE` of models/identifiers.py; RE2 has no lookahead to leave out Workers AI's own @cf/ and @hf/.
_RESOURCE = (
    r"(?:projects/[^/]+/locations/[^/]+/)?publishers/[^/]+/models/"
    r"|arn:aws[a-z-]*:bedrock:[a-z0-9-]*:[0-9]*:(?:foundation-model|inference-profile)/"
    r"|@(?:[abd-gi-z0-9][a-z0-9._-]*|[ch](?:[a-eg-z0-9._-][a-z0-9._-]*)?|[ch]f[a-z0-9._-]+)/"
)


def named(path: str) -> str:
    """Return the condition that a text with something to read in it stands at ``path``."""
    return f"IsString({path}) and {matches(path, f'[^ {_UNPRINTABLE}]')}"


def cut(path: str, limit: int) -> str:
    """Return the statement that leaves the first ``limit`` characters at ``path``."""
    return f"replace_pattern({path}, {text(f'(?s)^(.{{{limit}}}).+$')}, {text('${1}')})"


def printable(path: str) -> list[str]:
    """Return the statements that leave what is printable at ``path``."""
    return [
        f"replace_pattern({path}, {text(f'[{_UNPRINTABLE}]')}, {text('')})",
        f"set({path}, Trim({path}, {text(' ')})) where {path} != nil",
    ]


def canonical(name: str) -> list[str]:
    """Return statements that write the spellings of the model in the variable ``name`` into variables beside it.

    They are ``name``_written in lower case, ``name``_canonical, and both on a line each in ``name``_names.
    """
    written, plain = cache(f"{name}_written"), cache(f"{name}_canonical")
    changes = [
        (rf"^(?:{_RESOURCE}|{_prefixes()})+(.)", "$1"),
        # Twice: matches do not overlap, and of 1.2.3 the first change sees one dot.
        (r"(\d)\.(\d)", "$1-$2"),
        (r"(\d)\.(\d)", "$1-$2"),
        (r"^(claude-.*\d)-v\d+(?::\d+k?)*$", "$1"),
        (r"^(claude-.*\d)-v\d+(?::\d+k?)*$", "$1"),
        (r"^(claude-.+?)(?:-v\d+)?@(\d{8})$", "$1-$2"),
        (r"^gpt-35-turbo", "gpt-3-5-turbo"),
    ]
    exists = f"where {cache(name)} != nil"
    return [
        f"set({written}, ToLowerCase({cache(name)})) {exists}",
        f"set({plain}, {written}) {exists}",
        *(f"replace_pattern({plain}, {text(_braced(old))}, {text(_braced(new))})" for old, new in changes),
        f"set({cache(f'{name}_names')}, Concat([{written}, {plain}], {text(chr(10))})) {exists}",
    ]


def _braced(pattern: str) -> str:
    # Go reads `$1-` as the group 1, and `$1x` as the group 1x: braces leave no doubt.
    return pattern.replace("$1", "${1}").replace("$2", "${2}")


def providers(name: str) -> Iterator[str]:
    """Yield statements that give the provider in the variable ``name`` its GenAI name."""
    path = cache(name)
    for entry in _data()["providers"]:
        if others := entry.get("aliases"):
            pattern = f"^(?:{'|'.join(map(re2_escape, others))})$"
            yield f"set({path}, {text(entry['name'])}) where {matches(path, pattern)}"


def _prefixes() -> str:
    data = _data()
    prefixes = {*data["prefixes"], *(p for entry in data["providers"] for p in entry.get("prefixes") or ())}
    slashed = "|".join(map(re2_escape, sorted(prefixes, key=lambda prefix: (-len(prefix), prefix))))
    regions = "|".join(map(re2_escape, data["bedrock"]["regions"]))
    vendors = "|".join(map(re2_escape, data["bedrock"]["vendors"]))
    return rf"{slashed}|(?:(?:{regions})\.)?(?:{vendors})\."


def _data() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files("otel_llm_routing.models").joinpath("providers.json").read_text("utf-8"))
    return found
