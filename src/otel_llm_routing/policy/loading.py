"""Reading the policy file: every problem is named with its line, its path and what to do, all of them at once."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema

from otel_llm_routing.policy.document import Document, Located, Place, PolicyError, Problem, brief
from otel_llm_routing.policy.schema import Band, Defaults, Evals, Policy, Surface, SurfaceEvals, Uses, Waiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import core_schema

__all__ = ["MAX_BYTES", "Loaded", "PolicyError", "json_schema", "load", "parse", "read"]

MAX_BYTES = 2**20
SCHEMA_ID = "urn:otel-llm-routing:policy:1"


class Loaded(NamedTuple):
    """A policy, and where in the file it says what."""

    policy: Policy
    located: Located


def load(path: str | Path) -> Policy:
    """Read the policy file at ``path``. Raises ``PolicyError``."""
    return read(path).policy


def read(path: str | Path) -> Loaded:
    """Read the policy file at ``path``, with its lines. Raises ``PolicyError``."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        _refuse(path, "no such file; write one with otel-llm-routing policy init")
    except (OSError, ValueError) as error:
        _refuse(path, f"cannot be read ({getattr(error, 'strerror', None) or error}); name a readable file")
    if len(content) > MAX_BYTES:
        _refuse(path, f"larger than {MAX_BYTES // 2**20} MiB; this is not a policy file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse(path, "not UTF-8 text; save the file as UTF-8", content.count(b"\n", 0, error.start) + 1)
    return parse(text, str(path))


def _refuse(path: str | Path, text: str, line: int | None = None) -> NoReturn:
    raise PolicyError(str(path), [Problem(line, (), text)]) from None


def parse(text: str, name: str = "policy.yaml") -> Loaded:
    """Read ``text`` as a policy file called ``name``. Raises ``PolicyError``."""
    document = Document(text, name)
    data = document.read()
    policy = None
    try:
        policy = Policy.model_validate(data)
    except ValidationError as error:
        for place, problem in _problems(error):
            document.problem(place, problem)
    document.complain()
    if policy is None:  # pragma: no cover  (an error without a problem)
        _refuse(name, "not a policy; compare it with docs/policy.md")
    return Loaded(policy, Located(name, document.lines))


# From pydantic's errors to sentences ----------------------------------------------------------------------------------

_NAMES = ("a name or a list of names", "the name that the application sends, or a list such as [gpt-5, gpt-5-mini]")
_SHARE = ("a share", 'a percentage such as "95 %", or a number from 0 to 1')
_WORDS = ("text", "a sentence, of at most 2,000 characters")
# Field -> what it is, and what to write.
_RIGHT: dict[str, tuple[str, str]] = {
    "version": ("a version of this format", "1"),
    "defaults": ("a mapping", "what holds for all surfaces, such as owner: team-x"),
    "surfaces": ("a mapping", "the name of a surface, and below it what it uses"),
    "owner": ("an owner", "a name such as team-search, of at most 64 characters"),
    "purpose": _WORDS,
    "match": ("a pattern or a list of patterns", "the HTTP route such as /api/complete*, or task:send_digest"),
    "uses": ("a mapping", "what the surface asks for, such as router: openrouter/auto"),
    "pinned": _NAMES,
    "alias": _NAMES,
    "router": _NAMES,
    "unknown": _NAMES,
    "customer_facing": ("yes or no", "true or false"),
    "expect": ("a mapping", 'served models and their share, such as "claude-*": "95 %"'),
    "min": _SHARE,
    "max": _SHARE,
    "tolerance": ("a number of points", "a number from 0.5 to 50"),
    "false_alarms_per_month": ("a rate of false alarms", "a number above 0, at most 10, such as 0.1"),
    "unknown_limit": _SHARE,
    "evals": ("a mapping", 'how far an eval may be from production, such as distance: "25 %"'),
    "distance": _SHARE,
    "served_distance": _SHARE,
    "missing": _SHARE,
    "unplaced": _SHARE,
    "waivers": ("a list", "- {model: gpt-5, reason: why, until: 2026-12-31}"),
    "model": ("a model", "an identifier such as gpt-5, or a glob of them"),
    "path": ("a glob of files", "one as in .gitignore, such as src/search/**"),
    "surface": ("a surface", "the name of one, as it stands under surfaces"),
    "reason": _WORDS,
    "until": ("a day", "a day such as 2026-12-31"),
    "severity": ("a severity", "page, ticket or info"),
    "commitment": ("a commitment", "a link (https://...) to what the provider promises about changes, or none"),
    "pin_when": _WORDS,
    "unpin_when": _WORDS,
}
_SURFACE = ("a mapping", "what the surface uses, such as uses: {router: openrouter/auto}")
_BAND_OR_SHARE = ("a share or a band", 'a percentage such as "95 %", or {min: "60 %", max: "80 %"}')
_EXPECT = 4
"""How deep a served model's expectation is: surfaces, name, expect, glob."""


def _problems(error: ValidationError) -> Iterator[tuple[Place, str]]:
    """Yield each place and what is wrong there."""
    for found in error.errors(include_url=False, include_context=False):
        place, value = found["loc"], found["input"]
        if place[2:3] == ("expect",) and len(place) > _EXPECT and place[_EXPECT] != "[key]":
            # One branch of "a share or a band" has failed here; the other one is not what the writer meant.
            is_band = "Band" in str(place[_EXPECT])
            inner = place[_EXPECT + 1 :]
            if is_band != (isinstance(value, dict) or bool(inner)):
                continue
            place = (*place[:_EXPECT], *inner)
        yield _stripped(place), _sentence(place, found["type"], found["msg"], value)


def _stripped(place: Place) -> Place:
    kept = place[:-1] if place[-1:] == ("[key]",) else place
    return tuple(part.strip() if isinstance(part, str) else part for part in kept)


def _sentence(place: Place, kind: str, message: str, value: Any) -> str:
    if place[-1] == "[key]":
        noun, right = "a name", "a name of 1 to 256 characters" if len(place) > _EXPECT else "1 to 64 characters"
    else:
        noun, right = _right(place)
    if kind == "extra_forbidden":
        return _unknown_key(place)
    if kind == "missing":
        return f"missing; write {right}"
    if value is None or kind in ("string_too_short", "too_short"):
        return f"empty; write {right}"
    if kind == "string_too_long":
        return f"{len(value.strip())} characters are too many; write {right}"
    if kind == "value_error" and (isinstance(value, dict) or noun in ("a name", _NAMES[0], _RIGHT["owner"][0])):
        return message.removeprefix("Value error, ")
    if kind in ("float_type", "bool_type") and isinstance(value, str):
        return f"{brief(value)} is text here; write {right}, without quotes"
    if kind in ("string_type", "tuple_type") and not isinstance(value, (str, dict, list)):
        return f"{brief(value)} is not read as text; put it in quotes"
    if isinstance(value, str) and value == right:
        return f"{value} is text here; write it without quotes"
    if "match" in place and isinstance(value, dict) and len(value) == 1:
        [(name, pattern)] = value.items()
        if isinstance(pattern, str):
            return f"a mapping; write {brief(f'{name}:{pattern}')} without a space after the colon"
    return f"{brief(value)} is not {noun}; write {right}"


def _right(place: Place) -> tuple[str, str]:
    if place[0] == "surfaces" and len(place) == 2:  # noqa: PLR2004
        return _SURFACE
    if place[0] == "waivers" and len(place) == 2:  # noqa: PLR2004
        return "a waiver", _RIGHT["waivers"][1].removeprefix("- ")
    if place[2:3] == ("expect",) and len(place) == _EXPECT:
        return _BAND_OR_SHARE
    field = place[-2] if isinstance(place[-1], int) else place[-1]
    return _RIGHT.get(str(field), ("a value for this", "another"))


def _unknown_key(place: Place) -> str:
    model: type[BaseModel] = Policy
    if place[0] == "defaults":
        model = Defaults
    elif place[0] == "waivers":
        model = Waiver
    elif place[0] == "evals":
        model = Evals
    elif place[2:3] == ("evals",) and len(place) == _EXPECT:
        model = SurfaceEvals
    elif len(place) > _EXPECT:
        model = Band
    elif len(place) > 3:  # noqa: PLR2004
        model = Uses
    elif len(place) > 1:
        model = Surface
    known = list(model.model_fields)
    near = get_close_matches(str(place[-1]), known, 1)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; the keys here are {', '.join(known)}"


# For editors ----------------------------------------------------------------------------------------------------------


class _Generator(GenerateJsonSchema):
    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Say what names may be as ``propertyNames``: pydantic's ``patternProperties`` leave other names alone."""
        made = super().dict_schema(schema)
        made.pop("patternProperties", None)
        made["propertyNames"] = self.generate_inner(schema["keys_schema"])
        made["additionalProperties"] = self.generate_inner(schema["values_schema"])
        return made

    def tuple_schema(self, schema: core_schema.TupleSchema) -> JsonSchemaValue:
        """Say that one text may stand for a list of one."""
        listed = super().tuple_schema(schema)
        return {"anyOf": [listed["items"], listed]}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the policy file."""
    schema = Policy.model_json_schema(schema_generator=_Generator)
    head = {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": SCHEMA_ID,
        "title": "otel-llm-routing policy",
    }
    return {**head, **{key: value for key, value in schema.items() if key not in head}}
