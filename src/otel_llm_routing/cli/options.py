"""What the options that several commands take stand for: times, and the two files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from otel_llm_routing.analyze import window
from otel_llm_routing.cli.failure import fail

if TYPE_CHECKING:
    from otel_llm_routing.analyze.audit.lifetimes import Lifetimes
    from otel_llm_routing.policy.reference import Reference
    from otel_llm_routing.policy.schema import Policy

POLICY, REFERENCE = Path("policy.yaml"), Path("reference.yaml")
PolicyFile = Annotated[
    Path | None, typer.Option("--policy", help="The policy file.", show_default=f"{POLICY}, if there is one")
]
ReferenceFile = Annotated[
    Path | None, typer.Option("--reference", help="The reference file.", show_default=f"{REFERENCE}, if there is one")
]
LifetimesFile = Annotated[
    Path | None, typer.Option("--lifetimes", help="A YAML or JSON file that says until when models are offered.")
]


class Files(NamedTuple):
    """What was read; None: it is not there."""

    policy: Policy | None
    reference: Reference | None


def named(file: Path | None, usual: Path) -> Path | None:
    """Return the file that was named, else the ``usual`` one, if it is there."""
    return file or (usual if usual.exists() else None)


def files(policy: Path | None, reference: Path | None) -> Files:
    """Return what the two files say; one that is not named is read where it has its usual name, if it is there."""
    from otel_llm_routing.policy import loading  # noqa: PLC0415  (pydantic takes its time)
    from otel_llm_routing.policy import reference as pinned  # noqa: PLC0415
    from otel_llm_routing.policy.document import PolicyError  # noqa: PLC0415

    policy_file, reference_file = named(policy, POLICY), named(reference, REFERENCE)
    try:
        return Files(
            None if policy_file is None else loading.load(policy_file),
            None if reference_file is None else pinned.load(reference_file),
        )
    except (PolicyError, pinned.ReferenceFileError) as error:
        fail(error)


def known_lifetimes(file: Path | None) -> Lifetimes:
    """Return how long models are offered, as far as installed packages and the user's own file say."""
    from otel_llm_routing.analyze.audit.lifetimes import (  # noqa: PLC0415  (pydantic takes its time)
        Lifetimes,
        of_anthropic,
        of_file,
        of_prices,
    )
    from otel_llm_routing.policy.document import PolicyError  # noqa: PLC0415

    try:
        return Lifetimes(of_file(file) if file else (), of_anthropic(), of_prices())
    except PolicyError as error:
        fail(error)


def moment(text: str, now: float, option: str) -> float:
    """Return the time that ``option`` names; see ``window.moment``."""
    try:
        return window.moment(text, now)
    except ValueError as error:
        fail(f"{option} {error}")


def held(extent: tuple[float, float] | None) -> str:
    """Say of which time a source holds requests, where there are none of the time that was asked for."""
    if extent is None:
        return "none were ever received"
    return f"there are some from {window.utc(extent[0])} to {window.utc(extent[1])}"
