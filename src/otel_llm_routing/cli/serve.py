"""``otel-llm-routing serve``: the embedded backend and its page."""

from __future__ import annotations

import os
from pathlib import Path  # noqa: TC003  (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated

import typer

from otel_llm_routing.analyze.sources import SourceError
from otel_llm_routing.cli.failure import fail

if TYPE_CHECKING:
    from otel_llm_routing.policy.reference import Reference
    from otel_llm_routing.policy.schema import Policy


def serve(
    db: Annotated[str, typer.Option(help="The SQLite file; created if there is none.")] = "llm-routing.db",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="OTLP/gRPC; 0 takes a free one.")] = 4317,
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="OTLP/HTTP and the page; 0: a free one.")] = 4318,
    policy: Annotated[Path | None, typer.Option(help="The policy file that the page judges by.")] = None,
    reference: Annotated[Path | None, typer.Option(help="The reference file that it compares with.")] = None,
    retention: Annotated[float, typer.Option(min=0.01, max=36_500, help="Days that counts are kept.")] = 90,
    max_series: Annotated[int, typer.Option(min=1, help="Series kept apart; past it they become 'other'.")] = 100_000,
    max_size: Annotated[
        float, typer.Option(min=0.001, max=1_000_000, help="GiB of the file; past it the oldest counts go.")
    ] = 20,
) -> None:
    """Receive OTLP, keep the counts in one SQLite file, and show the mix of every surface on a page."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it would add its own lines to ours
    try:
        from otel_llm_routing.serve.app import Options, run  # noqa: PLC0415  (an extra)
        from otel_llm_routing.serve.limits import Limits  # noqa: PLC0415
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed; serve needs: pip install 'otel-llm-routing[serve]'")

    def ready(grpc: int, http: int) -> None:
        name = f"[{host}]" if ":" in host else host
        typer.echo(f"OTLP/gRPC http://{name}:{grpc}")
        typer.echo(f"OTLP/HTTP http://{name}:{http}")
        typer.echo(f"page      http://{name}:{http}/")
        typer.echo(f"database  {db}")

    try:
        limits = Limits(series=max_series, bytes=int(max_size * 2**30))
        run(Options(db, host, grpc_port, http_port, retention, limits, *_files(policy, reference)), ready)
    except SourceError as error:
        fail(error)


def _files(policy: Path | None, reference: Path | None) -> tuple[Policy | None, Reference | None]:
    """Return what the two files say, those that are named."""
    if policy is None and reference is None:
        return None, None
    from otel_llm_routing.policy import loading  # noqa: PLC0415  (pydantic takes its time)
    from otel_llm_routing.policy import reference as pinned  # noqa: PLC0415
    from otel_llm_routing.policy.document import PolicyError  # noqa: PLC0415

    try:
        return (
            None if policy is None else loading.load(policy),
            None if reference is None else pinned.load(reference),
        )
    except (PolicyError, pinned.ReferenceFileError) as error:
        fail(error)
