"""The policy file's schema: what each surface may run on, and why. ``docs/policy.md`` describes it for its writers."""

from __future__ import annotations

import re
from datetime import date, datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

MAX_NAME = 64
"""Characters of a surface's name: the instrumentation cuts longer ones."""
MAX_IDENTIFIER = 256
"""Characters of a model's identifier, or of a glob of them."""
MAX_TEXT = 2000

_COMMITMENT = r"none|https?://\S+"

Severity = Literal["page", "ticket", "info"]


def _share(value: Any) -> Any:
    """Read ``"95 %"`` and ``0.95`` alike."""
    if isinstance(value, str) and (percent := re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*", value)):
        return float(percent[1]) / 100
    if isinstance(value, bool) or (isinstance(value, str) and not re.fullmatch(r"\s*[0-9]*\.?[0-9]+\s*", value)):
        msg = 'write a share as a percentage such as "95 %" or as a number from 0 to 1'
        raise ValueError(msg)
    return value


def _shown(value: str) -> str:
    if not value.isprintable():
        msg = "unprintable characters; take them out, as the instrumentation does: with them no name ever matches"
        raise ValueError(msg)
    return value


def _listed(value: Any) -> Any:
    """Read one string as a list of one."""
    return [value] if isinstance(value, str) else value


def _whole(value: Any) -> Any:
    """Refuse ``true`` and ``1.0``, which Python takes for 1 and the instrumentation does not."""
    if type(value) is not int:
        msg = "not a whole number"
        raise ValueError(msg)
    return value


def _day(value: Any) -> Any:
    """Read a day of YAML, and the same in quotes."""
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{4}-[0-9]{2}-[0-9]{2}\s*", value):
        return value.strip()
    if not isinstance(value, date) or isinstance(value, datetime):
        msg = "not a day"
        raise ValueError(msg)  # noqa: TRY004  (of which pydantic makes an error of the field)
    return value


def _commitment(value: str) -> str:
    if not re.fullmatch(_COMMITMENT, value):
        msg = "a link (https://...) to what the provider has promised, or none"
        raise ValueError(msg)
    return value


_SHARE_SCHEMA = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": 1},
        {"type": "string", "pattern": r"^\s*0*(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)\s*%\s*$"},
        {"type": "string", "pattern": r"^\s*(0*\.[0-9]+|0+|0*1(\.0+)?)\s*$"},
    ]
}
"""What editors are told: a share is a number or a text."""

Share = Annotated[float, BeforeValidator(_share), Field(ge=0, le=1, allow_inf_nan=False), WithJsonSchema(_SHARE_SCHEMA)]


def _editors(most: int, pattern: str) -> WithJsonSchema:
    """Return what editors are told of a text."""
    return WithJsonSchema({"type": "string", "minLength": 1, "maxLength": most, "pattern": pattern})


_ONE_LINE = r"^\s*[^\s\u0000-\u001f\u007f][^\u0000-\u001f\u007f]*\s*$"
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NAME),
    AfterValidator(_shown),
    _editors(MAX_NAME, _ONE_LINE),
]
Identifier = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_IDENTIFIER),
    AfterValidator(_shown),
    _editors(MAX_IDENTIFIER, _ONE_LINE),
]
Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT), _editors(MAX_TEXT, r"\S")
]
Commitment = Annotated[
    str,
    StringConstraints(strip_whitespace=True),
    AfterValidator(_commitment),
    WithJsonSchema({"type": "string", "pattern": rf"^\s*({_COMMITMENT})\s*$"}),
]
# Strict, or a number would be seconds since 1970.
Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
Identifiers = Annotated[tuple[Identifier, ...], BeforeValidator(_listed)]
# Strict, or `tolerance: yes` would be one point.
Points = Annotated[float, Field(ge=0.5, le=50, allow_inf_nan=False, strict=True)]
FalseAlarms = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False, strict=True)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Uses(_Strict):
    """What the surface asks for, by what kind of name it is."""

    pinned: Identifiers = Field((), description="Names of concrete models.")
    alias: Identifiers = Field((), description="Names that the provider moves from one model to another.")
    router: Identifiers = Field((), description="Names behind which something picks a model for each request.")
    unknown: Identifiers = Field((), description="Names of which nobody knows: a deployment, a model group.")

    @property
    def identifiers(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.pinned, *self.alias, *self.router, *self.unknown)

    @model_validator(mode="after")
    def _once(self) -> Uses:
        if twice := sorted({name for name in self.identifiers if self.identifiers.count(name) > 1}):
            msg = f"{twice[0]} is listed twice; a name is of one kind, take one out"
            raise ValueError(msg)
        return self


class Band(_Strict):
    """Between which shares of the surface's requests the matching models should stay."""

    min: Share | None = Field(None, description='The lowest share: "60 %" or 0.6.')
    max: Share | None = Field(None, description='The highest share: "80 %" or 0.8.')

    @model_validator(mode="after")
    def _order(self) -> Band:
        if self.min is None and self.max is None:
            msg = "a band needs min, max or both; write one"
            raise ValueError(msg)
        if self.min is not None and self.max is not None and self.min >= self.max:
            msg = f"min ({100 * self.min:g} %) is not below max ({100 * self.max:g} %); write the lower one as min"
            raise ValueError(msg)
        return self


class Edge(NamedTuple):
    """One declared limit of the share of the models that match a glob."""

    glob: str
    side: Literal["min", "max"]
    share: float


class Defaults(_Strict):
    """What holds for surfaces that do not say otherwise."""

    owner: Name = Field("unowned", description="Who is told; becomes the label `owner` of alerts.")
    severity: Severity | None = Field(None, description="The most urgent that alerts may be.")
    tolerance: Points | None = Field(None, description="Points that a share may move; smaller moves raise no alert.")
    false_alarms_per_month: FalseAlarms | None = Field(
        None, description="How many false alarms of a shift a surface may raise in a month."
    )
    unknown_limit: Share = Field(
        0.05, description="The highest share of requests whose served model nobody reported or confirmed."
    )


class SurfaceEvals(_Strict):
    """How far the eval of a surface may be from its traffic before `evals check` says so."""

    distance: Share | None = Field(
        None, description="The highest distance (total variation) between cases and traffic, over surfaces and sizes."
    )
    served_distance: Share | None = Field(
        None, description="The highest distance between the models that served the eval and those of production."
    )


class Evals(SurfaceEvals):
    """What holds for evals of surfaces that do not say otherwise, and for an eval as a whole."""

    missing: Share | None = Field(
        None, description="The largest share of traffic that may be of surfaces and sizes without a case."
    )
    unplaced: Share | None = Field(
        None, description="The largest share of cases that may name no surface, or one without traffic."
    )


class Surface(_Strict):
    """One surface of the product."""

    owner: Name | None = Field(None, description="Who is told; becomes the label `owner` of alerts.")
    purpose: Text | None = Field(None, description="What the surface is, for whoever reviews the policy.")
    match: Annotated[tuple[Text, ...], BeforeValidator(_listed)] = Field(
        (),
        description="How calls are recognised: globs of the HTTP route, or with a kind: task:, message:, rpc:, faas:, "
        "name:. Empty where the application names the surface itself.",
    )
    uses: Uses = Field(description="The model, alias or router that the surface asks for.")
    customer_facing: bool = Field(True, strict=True, description="Whether customers see what the model writes.")
    expect: dict[Identifier, Share | Band] = Field(
        default_factory=dict,
        description="Glob of served models: the share expected of them, give or take the tolerance, or a band.",
    )
    tolerance: Points | None = Field(None, description="Points that a share may move; smaller moves raise no alert.")
    false_alarms_per_month: FalseAlarms | None = Field(
        None, description="How many false alarms of a shift this surface may raise in a month."
    )
    unknown_limit: Share | None = Field(
        None, description="The highest share of requests whose served model nobody reported or confirmed."
    )
    severity: Severity | None = Field(
        None, description="The most urgent that alerts may be; page if customers see it, otherwise ticket."
    )
    evals: SurfaceEvals | None = Field(None, description="How far this surface's eval may be from its traffic.")
    commitment: Commitment | None = Field(
        None, description="A link to what the provider promises about changes, or none."
    )
    pin_when: Text | None = Field(None, description="In words: when to move to a pinned model.")
    unpin_when: Text | None = Field(None, description="In words: when to move back.")


DEFAULT_TOLERANCE = 10.0
"""Points around an expected share that has no band, where the policy names no tolerance."""


class SurfacePolicy(NamedTuple):
    """One surface with the defaults filled in."""

    name: str
    owner: str
    severity: Severity
    uses: Uses
    tolerance: float | None
    """Points; None leaves each rule its own."""
    false_alarms_per_month: float | None
    """None leaves the rules their own thresholds."""
    unknown_limit: float
    edges: tuple[Edge, ...]
    declared: Surface

    @property
    def pinned(self) -> bool:
        """Whether the surface is declared to ask for pinned models only."""
        return bool(self.uses.pinned) and self.uses.pinned == self.uses.identifiers


class Waiver(_Strict):
    """Names of models that the audit leaves alone until a day, and why."""

    model: Identifier = Field(description="The identifier, or a glob of identifiers; case counts.")
    path: Text | None = Field(None, description="A glob of files, as in .gitignore; everywhere, if there is none.")
    surface: Name | None = Field(None, description="The surface for which it holds; for all, if there is none.")
    reason: Text = Field(description="Why.")
    until: Day = Field(description="The last day on which it holds (UTC).")


class Policy(_Strict):
    """What each surface may run on, and why."""

    version: Annotated[Literal[1], BeforeValidator(_whole)] = Field(description="The version of this format.")
    defaults: Defaults = Defaults()
    evals: Evals | None = Field(None, description="How far an eval may be from production.")
    surfaces: dict[Name, Surface] = Field(min_length=1)
    waivers: tuple[Waiver, ...] = Field((), description="Names of models that the audit leaves alone, for a time.")

    def surface(self, name: str) -> SurfacePolicy:
        """Return the surface ``name`` with the defaults filled in. Raises ``KeyError``."""
        said, default = self.surfaces[name], self.defaults
        tolerance = said.tolerance if said.tolerance is not None else default.tolerance
        budget = said.false_alarms_per_month
        return SurfacePolicy(
            name=name,
            owner=said.owner or default.owner,
            severity=said.severity or default.severity or ("page" if said.customer_facing else "ticket"),
            uses=said.uses,
            tolerance=tolerance,
            false_alarms_per_month=budget if budget is not None else default.false_alarms_per_month,
            unknown_limit=default.unknown_limit if said.unknown_limit is None else said.unknown_limit,
            edges=tuple(_edges(said, DEFAULT_TOLERANCE if tolerance is None else tolerance)),
            declared=said,
        )

    def resolved(self) -> list[SurfacePolicy]:
        """Return every surface, in the file's order, with the defaults filled in."""
        return [self.surface(name) for name in self.surfaces]


def _edges(surface: Surface, tolerance: float) -> list[Edge]:
    edges: list[Edge] = []
    for glob, expected in surface.expect.items():
        if isinstance(expected, Band):
            low, high = expected.min, expected.max
        else:
            low, high = expected - tolerance / 100, expected + tolerance / 100
        if low is not None and low > 0:
            edges.append(Edge(glob, "min", round(low, 6)))
        if high is not None and high < 1:
            edges.append(Edge(glob, "max", round(high, 6)))
    return edges


def glob_matches(glob: str, model: str) -> bool:
    """Return whether a served model's identifier matches a glob of the policy; case counts."""
    return fnmatchcase(model, glob)
