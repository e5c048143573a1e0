"""The reference file: the model mix that shares are compared with, pinned by somebody who gave a reason.

``otel-llm-routing reference pin`` writes it, people review it, rules are generated from it.
"""

from __future__ import annotations

from datetime import date, datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from otel_llm_routing.policy.document import Place, brief, shown
from otel_llm_routing.policy.reference_document import Problem, ReferenceDocument, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = """\
# The model mix that shares are compared with. Written by: otel-llm-routing reference pin
# Review a change of it like code: whoever re-pins says that the new mix is wanted, and why.
"""
MAX_BYTES = 64 * 2**20
MAX_PROBLEMS = 20
VERSION = 1
REMEDY = "restore it from version control, or move it away and write a new one with otel-llm-routing reference pin"


class ReferenceFileError(Exception):
    """A reference file that cannot be used; the message says where, why and what to do."""


class NoReferenceFileError(ReferenceFileError):
    """There is no such file."""


class _MisplacedError(ValueError):
    """What is wrong at a place of the document that pydantic does not know of."""

    def __init__(self, place: Place, text: str) -> None:
        super().__init__(text)
        self.place = place


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _utc(value: datetime) -> datetime:
    """Read a time without an offset as UTC."""
    return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value


Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
ROUNDING = 0.01
"""How far shares may be from adding up to 1: there may be many small ones."""
Time = Annotated[datetime, AfterValidator(_utc)]


class Pin(_Strict):
    """One act of pinning."""

    id: int = Field(ge=1)
    at: Time
    reason: str = Field(min_length=1)
    start: Time
    end: Time
    source: str
    gaps: tuple[date, ...] = Field((), description="Days that nobody measured, by the date on which they begin.")

    @model_validator(mode="after")
    def _order(self) -> Pin:
        if self.start > self.end:
            msg = "the period ends before it starts"
            raise ValueError(msg)
        return self


class Sizes(_Strict):
    """How the requests of a stream are spread over sizes, and who serves which; one column for each bucket of sizes."""

    bounds: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = Field(
        min_length=1, description="The largest size of each bucket, in characters; one more bucket is above them."
    )
    share: tuple[Fraction, ...] = Field(description="Of the stream's requests, in each bucket.")
    served: dict[str, tuple[Fraction, ...]] = Field(
        min_length=1, description="Of the requests in each bucket, by served model; 0 where a bucket has none."
    )
    concentration: float = Field(gt=0, allow_inf_nan=False, description="m of the adjusted shares.")

    @model_validator(mode="after")
    def _whole(self) -> Sizes:
        if any(low >= high for low, high in pairwise(self.bounds)):
            raise _MisplacedError(("bounds",), "the bounds do not ascend")
        columns = len(self.bounds) + 1
        if len(self.share) != columns:
            msg = f"{len(self.share)} numbers for {columns} buckets, one more than there are bounds"
            raise _MisplacedError(("share",), msg)
        if abs(sum(self.share) - 1) > ROUNDING:
            raise _MisplacedError(("share",), f"the shares add up to {sum(self.share):.3f}, not to 1")
        for name, row in self.served.items():
            if len(row) != columns:
                raise _MisplacedError(("served", name), f"{len(row)} numbers for {columns} buckets")
        for at, share in enumerate(self.share):
            whole = sum(row[at] for row in self.served.values())
            if share and abs(whole - 1) > ROUNDING:
                msg = f"the shares of bucket {at + 1} add up to {whole:.3f}, not to 1"
                raise _MisplacedError(("served",), msg)
        return self


class Mix(_Strict):
    """The mix of one stream as one pin found it."""

    pin: int
    requests: int = Field(ge=1, description="Requests with a known served model; n_ref.")
    days: float = Field(
        gt=0, allow_inf_nan=False, description="Measured days from the stream's first request to the end of the period."
    )
    design_effect: float = Field(ge=1, allow_inf_nan=False, description="phi: how much bursts add to sampling noise.")
    concentration: float = Field(
        gt=0, allow_inf_nan=False, description="m: the share wobbles from day to day by sqrt(p(1-p)/m)."
    )
    shares: dict[str, Fraction] = Field(min_length=1)
    sizes: Sizes | None = Field(None, description="Where the source knows how large the requests were.")

    @model_validator(mode="after")
    def _whole(self) -> Mix:
        if abs(sum(self.shares.values()) - 1) > ROUNDING:
            msg = f"the shares add up to {sum(self.shares.values()):.3f}, not to 1"
            raise ValueError(msg)
        if self.sizes and (strange := next((name for name in self.sizes.served if name not in self.shares), None)):
            raise _MisplacedError(("sizes", "served", strange), "this model is not among the shares of the stream")
        return self


class ReferenceStream(Mix):
    """What one requested identifier resolves to on one surface."""

    surface: str
    requested: str = Field(description="Empty where the requests did not name a model.")
    before: tuple[Mix, ...] = Field((), description="What earlier pins found, the latest first.")

    @property
    def served(self) -> dict[str, float]:
        """The share of each served model, 0 to 1."""
        return self.shares


class RetiredStream(ReferenceStream):
    """A stream that is no longer watched."""

    retired_by: int | None = Field(None, description="The pin that did not find it.")


class Reference(_Strict):
    """The reference of every stream, and who pinned what when."""

    version: Literal[1] = 1
    pins: tuple[Pin, ...] = Field(min_length=1)
    streams: tuple[ReferenceStream, ...] = ()
    retired: tuple[RetiredStream, ...] = Field((), description="Streams that had too little traffic when re-pinned.")

    @model_validator(mode="after")
    def _consistent(self) -> Reference:
        known: set[int] = set()
        for at, pin in enumerate(self.pins):
            if pin.id in known:
                raise _MisplacedError(("pins", at, "id"), f"two pins have the id {pin.id}")
            known.add(pin.id)
        seen: set[tuple[str, str]] = set()
        for where, streams in (("streams", self.streams), ("retired", self.retired)):
            for at, stream in enumerate(streams):
                if (key := (stream.surface, stream.requested)) in seen:
                    named = " / ".join(brief(name) for name in key)
                    raise _MisplacedError((where, at), f"{named} is listed twice; take one of the two out")
                seen.add(key)
                mixes: list[tuple[Place, Mix]] = [((where, at, "pin"), stream)]
                mixes += [((where, at, "before", i, "pin"), mix) for i, mix in enumerate(stream.before)]
                for place, mix in mixes:
                    if mix.pin not in known:
                        raise _MisplacedError(place, f"there is no pin {mix.pin} under pins")
        return self

    def stream(self, surface: str, requested: str) -> ReferenceStream | None:
        """Return the reference of one stream, or None."""
        return next((s for s in self.streams if s.surface == surface and s.requested == requested), None)

    def pin_of(self, mix: Mix) -> Pin:
        """Return the pin that found ``mix``."""
        return next(pin for pin in self.pins if pin.id == mix.pin)

    def __iter__(self) -> Iterator[ReferenceStream]:  # type: ignore[override]
        return iter(self.streams)


def load(path: str | Path) -> Reference:
    """Read a reference file. Raises ``ReferenceFileError``, of a missing file ``NoReferenceFileError``."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        msg = f"{path}: no such file; write one with otel-llm-routing reference pin"
        raise NoReferenceFileError(msg) from None
    except (OSError, ValueError) as error:
        msg = f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}); name a readable file"
        raise ReferenceFileError(msg) from None
    if len(content) > MAX_BYTES:
        msg = f"{path}: larger than {MAX_BYTES // 2**20} MiB; this is not a reference file"
        raise ReferenceFileError(msg)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _error(str(path), [Problem(line, "not UTF-8 text")]) from None
    return parse(text, str(path))


def parse(text: str, name: str = "reference.yaml") -> Reference:
    """Read ``text`` as a reference file called ``name``. Raises ``ReferenceFileError``."""
    try:
        document = ReferenceDocument(text)
    except UnreadableError as error:
        raise _error(name, [Problem(error.line, str(error))]) from None
    data = document.value
    if not isinstance(data, dict):
        raise _error(name, [Problem(1, "empty" if data is None else "not a reference file")])
    version = data.get("version")
    if isinstance(version, int) and version > VERSION:
        said = f"version {version} is of a newer otel-llm-routing, this one reads {VERSION}; update it"
        msg = f"{name}:{document.line(('version',))}: {said}"
        raise ReferenceFileError(msg)
    problems = document.problems
    reference = None
    try:
        reference = Reference.model_validate(data)
    except ValidationError as error:
        # What a broken key leaves out is not what is wrong.
        problems = problems or list(_problems(document, error))
    if reference is None or problems:
        raise _error(name, problems)
    return reference


def _problems(document: ReferenceDocument, error: ValidationError) -> Iterator[Problem]:
    errors = error.errors(include_url=False)
    for found in errors:
        at = len(found["loc"])
        # A list whose only entry is broken counts as empty.
        if found["type"] != "too_short" or not any(o["loc"][:at] == found["loc"] and o["loc"][at:] for o in errors):
            yield _problem(document, found)


def _problem(document: ReferenceDocument, found: Any) -> Problem:
    place: Place = found["loc"]
    text = found["msg"].removeprefix("Value error, ")
    raised = found.get("ctx", {}).get("error")
    if isinstance(raised, _MisplacedError):
        place = (*place, *raised.place)
    elif found["type"] == "missing":
        text = "missing"
    elif found["type"] == "extra_forbidden":
        text = "unknown key"
    elif found["type"] != "value_error":
        text = f"{brief(found['input'])}: {text[:1].lower()}{text[1:]}"
    return Problem(document.line(place), f"{shown(place)}: {text}" if place else text)


def _error(name: str, problems: list[Problem]) -> ReferenceFileError:
    lines = [f"{name}:{line}: {text}" for line, text in sorted(problems)]
    if len(lines) > MAX_PROBLEMS:
        lines[MAX_PROBLEMS:] = [f"{name}: and {len(lines) - MAX_PROBLEMS} more"]
    if len(lines) == 1:
        return ReferenceFileError(f"{lines[0]}; {REMEDY}")
    return ReferenceFileError("\n".join((*lines, f"{name}: {REMEDY}")))


def dump(reference: Reference) -> str:
    """Return the text of a reference file, which ``load`` reads back."""
    document = reference.model_dump(mode="json")
    for where, optional in ((document, "retired"), *((pin, "gaps") for pin in document["pins"])):
        if not where[optional]:
            del where[optional]
    for name in ("streams", "retired"):
        if name in document:
            document[name] = [_ordered(stream) for stream in document[name]]
    text: str = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False
    )
    return HEADER + text


class _Dumper(yaml.SafeDumper):
    """Writes texts with characters that a reviewer cannot see in quotes, with escapes; PyYAML loses some of them."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')

    def write_double_quoted(self, text: str, split: bool = True) -> None:
        self.allow_unicode = False
        super().write_double_quoted(text, split)
        self.allow_unicode = True


class _Row(list[float]):
    """Numbers that stand in one line."""


def _row(dumper: _Dumper, row: _Row) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", row, flow_style=True)


_Dumper.add_representer(str, _Dumper.represent_text)
_Dumper.add_representer(_Row, _row)


def _ordered(stream: dict[str, Any]) -> dict[str, Any]:
    """Put a stream's name first and its past last."""
    before = [_sized(mix) for mix in stream.pop("before")]
    ordered = {name: stream.pop(name) for name in ("surface", "requested")} | _sized(stream)
    return ordered | {"before": before} if before else ordered


def _sized(mix: dict[str, Any]) -> dict[str, Any]:
    """Write the sizes, where there are some, as a table: a row for each model, a column for each bucket."""
    sizes = mix.pop("sizes")
    if sizes is None:
        return mix
    sizes["bounds"] = _Row(int(bound) if bound.is_integer() else bound for bound in sizes["bounds"])
    sizes["share"] = _Row(sizes["share"])
    sizes["served"] = {name: _Row(row) for name, row in sizes["served"].items()}
    return mix | {"sizes": sizes}
