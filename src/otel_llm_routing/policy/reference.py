"""The reference file: the model mix that shares are compared with, pinned by somebody who gave a reason.

``otel-llm-routing reference pin`` writes it, people review it, rules are generated from it.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  (pydantic reads it)
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = """\
# The model mix that shares are compared with. Written by: otel-llm-routing reference pin
# Review a change of it like code: whoever re-pins says that the new mix is wanted, and why.
"""
MAX_BYTES = 64 * 2**20


class ReferenceFileError(Exception):
    """A reference file that cannot be used; the message says where, why and what to do."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Pin(_Strict):
    """One act of pinning."""

    id: int = Field(ge=1)
    at: datetime
    reason: str = Field(min_length=1)
    start: datetime
    end: datetime
    source: str


class Mix(_Strict):
    """The mix of one stream as one pin found it."""

    pin: int
    requests: int = Field(ge=1, description="Requests with a known served model; n_ref.")
    days: float = Field(gt=0, description="Days from the stream's first request to the end of the period.")
    design_effect: float = Field(ge=1, allow_inf_nan=False, description="phi: how much bursts add to sampling noise.")
    concentration: float = Field(
        gt=0, allow_inf_nan=False, description="m: the share wobbles from day to day by sqrt(p(1-p)/m)."
    )
    shares: dict[str, Fraction] = Field(min_length=1)

    @model_validator(mode="after")
    def _whole(self) -> Mix:
        if abs(sum(self.shares.values()) - 1) > 0.01:  # noqa: PLR2004  (rounding of many small shares)
            msg = f"the shares add up to {sum(self.shares.values()):.3f}, not to 1"
            raise ValueError(msg)
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


class Reference(_Strict):
    """The reference of every stream, and who pinned what when."""

    version: Literal[1] = 1
    pins: tuple[Pin, ...] = Field(min_length=1)
    streams: tuple[ReferenceStream, ...] = ()
    retired: tuple[ReferenceStream, ...] = Field((), description="Streams that had no traffic when all were re-pinned.")

    @model_validator(mode="after")
    def _consistent(self) -> Reference:
        known = {pin.id for pin in self.pins}
        if len(known) != len(self.pins):
            msg = "two pins have the same id"
            raise ValueError(msg)
        seen: set[tuple[str, str]] = set()
        for stream in self.streams:
            if (key := (stream.surface, stream.requested)) in seen:
                msg = f"{stream.surface} / {stream.requested} is listed twice"
                raise ValueError(msg)
            seen.add(key)
            if unknown := {mix.pin for mix in (stream, *stream.before)} - known:
                msg = f"{stream.surface} / {stream.requested} names pin {min(unknown)}, which is not listed"
                raise ValueError(msg)
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
    """Read a reference file. Raises ``ReferenceFileError``."""
    file = Path(path)
    try:
        if file.stat().st_size > MAX_BYTES:
            msg = f"{path}: larger than {MAX_BYTES // 2**20} MiB; this is not a reference file"
            raise ReferenceFileError(msg)
        text = file.read_text("utf-8")
    except FileNotFoundError:
        msg = f"{path}: no such file; write one with otel-llm-routing reference pin"
        raise ReferenceFileError(msg) from None
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read ({error})"
        raise ReferenceFileError(msg) from None
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506  (a SafeLoader without aliases)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or "not YAML"
        msg = f"{where}: {problem}; restore it from version control"
        raise ReferenceFileError(msg) from None
    except (RecursionError, ValueError) as error:
        msg = f"{path}: {error}; restore it from version control"
        raise ReferenceFileError(msg) from None
    if not isinstance(document, dict):
        msg = f"{path}: not a reference file; write one with otel-llm-routing reference pin"
        raise ReferenceFileError(msg)
    try:
        return Reference.model_validate(document)
    except ValidationError as error:
        lines = [
            f"{path}: {'.'.join(str(part) for part in problem['loc']) or 'the file'}: "
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        ]
        raise ReferenceFileError("\n".join(lines[:20])) from None


def dump(reference: Reference) -> str:
    """Return the text of a reference file, which ``load`` reads back."""
    document = reference.model_dump(mode="json")
    if not document["retired"]:
        del document["retired"]
    for stream in (*document["streams"], *document.get("retired", ())):
        if not stream["before"]:
            del stream["before"]
        first = {name: stream.pop(name) for name in ("surface", "requested")}
        rest = dict(stream)
        stream.clear()
        stream.update(first | rest)
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False)
    return HEADER + text


class _Loader(yaml.SafeLoader):
    """Refuses aliases: no reference file has any, and they are how a small file becomes a huge document."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            msg = "aliases are not used in reference files"
            raise yaml.composer.ComposerError(None, None, msg, event.start_mark)
        return super().compose_node(parent, index)
