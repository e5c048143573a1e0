"""``otel-llm-routing audit``: which models a source tree names, and whether anybody decided so."""

from __future__ import annotations

import dataclasses
import functools
import json
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from otel_llm_routing.analyze.sources import SOURCE, SourceError, open_source
from otel_llm_routing.cli.failure import fail, note
from otel_llm_routing.cli.files import refuse, replace
from otel_llm_routing.cli.options import POLICY, LifetimesFile, PolicyFile, known_lifetimes, named
from otel_llm_routing.cli.progress import progress
from otel_llm_routing.cli.terminal import console, page

if TYPE_CHECKING:
    from rich.console import Console

    from otel_llm_routing.analyze.audit.audit import Audit
    from otel_llm_routing.analyze.audit.baseline import Known
    from otel_llm_routing.analyze.audit.problems import Evidence
    from otel_llm_routing.analyze.audit.telemetry import Telemetry

DAY = 86_400
Format = Literal["text", "json", "sarif", "github"]


def audit(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Files and folders to read.", show_default="the working folder"),
    ] = None,
    policy: PolicyFile = None,
    source: Annotated[str | None, typer.Option(help=f"{SOURCE} To say what names resolved to.")] = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="Days of --source to look back.")] = 28,
    lifetimes: LifetimesFile = None,
    soon: Annotated[
        int, typer.Option("--retiring-within", min=0, max=3650, help="Days before a model's end that it is a warning.")
    ] = 90,
    exclude: Annotated[
        list[str] | None, typer.Option(help="A glob of files to leave out, as in .gitignore; may be repeated.")
    ] = None,
    gitignore: Annotated[
        bool, typer.Option("--gitignore/--no-gitignore", help="Leave out what .gitignore files ignore.")
    ] = True,
    baseline: Annotated[
        Path | None, typer.Option(help="A file of what is known; only what is new counts for the exit code.")
    ] = None,
    update_baseline: Annotated[
        bool, typer.Option("--update-baseline", help="Write what is found to the --baseline, and exit with 0.")
    ] = False,
    fail_on: Annotated[
        Literal["error", "warning", "note", "never"], typer.Option(help="The least level that makes it exit with 1.")
    ] = "error",
    all_: Annotated[bool, typer.Option("--all", help="List catalogues and comparisons too, in text and JSON.")] = False,
    format: Annotated[  # noqa: A002
        Format, typer.Option(help="For people, for scripts, for code scanning, or as annotations of GitHub Actions.")
    ] = "text",
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
) -> None:
    """Find the models that source code and its settings name: pinned, alias, router, unknown, inherited.

    Python is read as a syntax tree, YAML, TOML, JSON, .env, .ini, variables of Makefiles, Dockerfiles and Terraform,
    notebooks and the front matter of Markdown as data; nothing is run. With a policy it says which surface uses a name
    and whether that was decided, with a source what it resolved to. Exits with 1 if a finding that is not in the
    baseline is as bad as --fail-on, with 2 on bad input.
    """
    if update_baseline and baseline is None:
        fail("--update-baseline writes to the file that --baseline names; name one")
    paths = paths or [Path()]
    for path in paths:
        if not path.exists():
            fail(f"{path}: no such file or folder; name one that is there")
    refuse(output)
    refuse(baseline if update_baseline else None)
    whole = any(path.is_dir() for path in paths)
    by = dataclasses.replace(_evidence(policy, source, days, lifetimes, soon), whole=whole)
    known = _known(baseline, update_baseline)
    made = _audit(paths, by, exclude or [], gitignore, known)
    _write(made, "json" if as_json else format, output, all_)
    if update_baseline and baseline is not None:
        _update(made, baseline, known)
        return
    if made.files == 0 and made.unreadable:
        fail("nothing could be read; name files or folders with source code")
    if fail_on != "never" and made.fails(fail_on):
        raise typer.Exit(1)


# What it is judged by -------------------------------------------------------------------------------------------------


def _evidence(policy: Path | None, source: str | None, days: int, lifetimes: Path | None, soon: int) -> Evidence:
    from otel_llm_routing.analyze.audit.problems import Evidence  # noqa: PLC0415  (pydantic takes its time)
    from otel_llm_routing.policy.document import PolicyError  # noqa: PLC0415
    from otel_llm_routing.policy.loading import read  # noqa: PLC0415

    file = named(policy, POLICY)
    try:
        loaded = read(file) if file is not None else None
    except PolicyError as error:
        fail(error)
    return Evidence(
        today=datetime.now(timezone.utc).date(),
        loaded=loaded,
        policy_file=file.as_posix() if file is not None else "",
        lifetimes=known_lifetimes(lifetimes),
        telemetry=_telemetry(source, days),
        soon=soon,
    )


def _telemetry(source: str | None, days: int) -> Telemetry | None:
    if source is None:
        return None
    from otel_llm_routing.analyze.audit.telemetry import Telemetry  # noqa: PLC0415

    now = time.time()
    try:
        with progress() as bar:
            opened = open_source(source, bar.advance)
            telemetry = Telemetry(opened, now - days * DAY, now)
    except SourceError as error:
        fail(error)
    for warning in opened.warned(now - days * DAY):
        note(warning)
    return telemetry


def _known(baseline: Path | None, update: bool) -> list[Known] | None:
    from otel_llm_routing.analyze.audit.baseline import BaselineError, read  # noqa: PLC0415

    if baseline is None or (update and not baseline.exists()):
        return None
    try:
        return read(baseline)
    except BaselineError as error:
        fail(error)


def _audit(paths: list[Path], by: Evidence, exclude: list[str], gitignore: bool, known: list[Known] | None) -> Audit:
    from otel_llm_routing.analyze.audit import audit as auditing  # noqa: PLC0415
    from otel_llm_routing.policy.document import PolicyError  # noqa: PLC0415

    try:
        with progress() as bar:
            bar.begin("reading files")
            return auditing.audit(paths, by, exclude=exclude, gitignore=gitignore, known=known)
    except PolicyError as error:
        fail(error)
    except ValueError as error:
        fail(f"--exclude: {error}; write globs as in .gitignore, such as tests/**")


# Where it goes --------------------------------------------------------------------------------------------------------


def _write(made: Audit, as_format: Format, output: Path | None, all_: bool) -> None:
    if as_format == "text" and output is None:
        _draw(made, all_, console())
        return
    text = _text(made, as_format, all_)
    if output is None:
        typer.echo(text, nl=False)
    else:
        replace({output: text})


def _text(made: Audit, as_format: Format, all_: bool) -> str:
    if as_format == "json":
        from otel_llm_routing.analyze.audit.document import as_json  # noqa: PLC0415

        return json.dumps(as_json(made, all_=all_), indent=2) + "\n"
    if as_format == "sarif":
        from otel_llm_routing.analyze.audit.sarif import as_sarif  # noqa: PLC0415

        return json.dumps(as_sarif(made), indent=2) + "\n"
    if as_format == "github":
        from otel_llm_routing.analyze.audit.github import as_commands  # noqa: PLC0415

        return "".join(f"{command}\n" for command in as_commands(made))
    return page(functools.partial(_draw, made, all_))


def _draw(made: Audit, all_: bool, console: Console) -> None:
    from otel_llm_routing.analyze.audit.terminal import as_text  # noqa: PLC0415

    console.print(as_text(made, all_=all_))


def _update(made: Audit, file: Path, known: list[Known] | None) -> None:
    from otel_llm_routing.analyze.audit import baseline  # noqa: PLC0415
    from otel_llm_routing.analyze.wording import many  # noqa: PLC0415

    fixed = set(made.fixed)
    now = baseline.of(made.uses)
    there = {one.key for one in now}
    # What is known of files that were not read this time stays.
    kept = [one for one in known or () if one not in fixed and one.key not in there]
    replace({file: baseline.text([*now, *kept])})
    note(f"{file}: {many(len(now) + len(kept), 'known problem')}, {len(fixed):,} taken out")
