"""``otel-llm-routing generate``: the files that Prometheus, Alertmanager, Grafana and the Collector load."""

from __future__ import annotations

import re
from collections import Counter
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from otel_llm_routing.cli.failure import fail
from otel_llm_routing.cli.files import replace
from otel_llm_routing.cli.options import POLICY, REFERENCE, PolicyFile, ReferenceFile, files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_llm_routing.policy.plan import Plan
    from otel_llm_routing.policy.reference import Reference
    from otel_llm_routing.policy.schema import Policy

app = typer.Typer(
    help="Write the files that Prometheus, Alertmanager, Grafana and the Collector load.", no_args_is_help=True
)

_URL = re.compile(r"https?://[^\s{}<>\"'`\\]+")

Output = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write to.")]
Check = Annotated[
    bool, typer.Option("--check", help="Write nothing; exit with 1 if the files there are not what would be written.")
]


Runbooks = Annotated[str, typer.Option(metavar="URL", help="Where your copy of the runbooks is read.")]


class Target(str, Enum):
    """Where the gateway's second tier can write; the keys of the targets that it ships with."""

    PROMETHEUS_REMOTE_WRITE = "prometheus-remote-write"
    PROMETHEUS_OTLP = "prometheus-otlp"
    MIMIR = "mimir"
    VICTORIAMETRICS = "victoriametrics"


class Inputs(NamedTuple):
    """What was read, and what is missing."""

    policy: Policy | None
    reference: Reference | None
    plan: Plan | None


@app.command()
def prometheus(
    output: Output,
    policy: PolicyFile = None,
    reference: ReferenceFile = None,
    generic: Annotated[
        bool, typer.Option("--generic", help="Rules that need no files: weaker, for the time before there is a policy.")
    ] = False,
    match: Annotated[
        str, typer.Option(metavar="MATCHERS", help="Count only series with these labels, such as 'job=\"shop\"'.")
    ] = "",
    runbooks: Runbooks = "",
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="Also write a PrometheusRule for the Prometheus operator.")
    ] = False,
    name: Annotated[str, typer.Option(help="Its name.  [default: llm-routing]")] = "",
    namespace: Annotated[str | None, typer.Option(help="Its namespace.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="A label of it, such as release=prometheus; may be given several times."
        ),
    ] = None,
    check: Check = False,
) -> None:
    """Write recording and alerting rules, and promtool tests of these very rules."""
    from otel_llm_routing.cli.rehearsal import Rehearsal  # noqa: PLC0415  (NumPy and pydantic take their time)
    from otel_llm_routing.generate.alerts import RUNBOOKS  # noqa: PLC0415
    from otel_llm_routing.generate.matchers import example_labels, matchers  # noqa: PLC0415
    from otel_llm_routing.generate.prometheus import kubernetes as manifest  # noqa: PLC0415
    from otel_llm_routing.generate.prometheus import rule_file, rule_groups  # noqa: PLC0415
    from otel_llm_routing.generate.rule_tests import rule_tests  # noqa: PLC0415

    _refuse_both(generic, policy, reference)
    if not kubernetes and (name or namespace is not None or label):
        fail("--name, --namespace and --label are those of the PrometheusRule; add --kubernetes")
    if runbooks:
        _refuse_address("--runbooks", runbooks)
    try:
        conditions = matchers(match)
        labels = example_labels(conditions)
    except ValueError as error:
        fail(f"--match {error}")
    read = _inputs(policy, reference, generic)
    stem = "llm-routing-generic" if generic else "llm-routing"
    address = runbooks or RUNBOOKS
    groups = rule_groups(read.plan, match=", ".join(map(str, conditions)), runbooks=address)
    rules, tests = output / f"{stem}.rules.yaml", output / f"{stem}.tests.yaml"
    texts = {
        rules: rule_file(groups),
        tests: rule_tests(
            read.plan,
            read.policy,
            groups,
            rules.name,
            lambda traffic: Rehearsal(read.plan, address, traffic),
            labels=labels,
            accepts=lambda of: all(one.accepts(of.get(one.label, "")) for one in conditions),
        ),
    }
    manifests = output / f"{stem}.prometheusrule.yaml"
    if kubernetes:
        try:
            texts[manifests] = manifest(groups, name or stem, namespace, _labels(label or []))
        except ValueError as error:
            fail(error)
    if check:
        _compare(texts)
        return
    replace(texts)
    count = sum(len(group["rules"]) for group in groups)
    typer.echo(f"wrote {rules}: {count} rules in {len(groups)} groups")
    typer.echo(f"wrote {tests}")
    if kubernetes:
        typer.echo(f"wrote {manifests}")
    for line in _weaker(read, generic):
        typer.echo(line)
    typer.echo(f"test  promtool test rules {tests}")
    typer.echo(f"load  add {rules} to rule_files of prometheus.yml, and reload")
    if kubernetes:
        typer.echo(f"      or: kubectl apply -f {manifests}")


@app.command()
def alertmanager(
    output: Output,
    policy: Annotated[Path, typer.Option(help="The policy.")] = POLICY,
    check: Check = False,
) -> None:
    """Write who is told of which alert, by owner and severity, and which alerts are held back."""
    from otel_llm_routing.generate.alertmanager import render  # noqa: PLC0415  (pydantic takes its time)

    file = output / "llm-routing.alertmanager.yaml"
    texts = {file: render(_policy(policy))}
    if check:
        _compare(texts)
        return
    replace(texts)
    typer.echo(f"wrote {file}")
    typer.echo(f"test  amtool check-config {file}")
    typer.echo("load  merge it into your alertmanager.yml as its first lines say")


@app.command()
def grafana(
    output: Output,
    policy: PolicyFile = None,
    reference: ReferenceFile = None,
    generic: Annotated[
        bool, typer.Option("--generic", help="Alert rules that need no files: weaker, as of generate prometheus.")
    ] = False,
    datasource_uid: Annotated[
        str, typer.Option(metavar="UID", help="Grafana's data source that alert rules read, and write recordings to.")
    ] = "prometheus",
    runbooks: Runbooks = "",
    prometheus_url: Annotated[
        str, typer.Option(metavar="URL", help="Where Grafana reaches the Prometheus.")
    ] = "http://prometheus:9090",
    traces: Annotated[
        str, typer.Option(metavar="UID", help="Grafana's data source of the traces that exemplars open.")
    ] = "tempo",
    path: Annotated[
        str, typer.Option(metavar="DIR", help="Where Grafana sees the dashboards, for provisioning.")
    ] = "/var/lib/grafana/dashboards/llm-routing",
    rules: Annotated[
        str, typer.Option(metavar="FILE", help="The rules, as seen from the folder, for the jsonnet mixin.")
    ] = "llm-routing.rules.yaml",
    check: Check = False,
) -> None:
    """Write the dashboards, files that provision them and their data source, a jsonnet mixin, and alert rules.

    The alert rules are those of generate prometheus, for a Grafana without a Prometheus that evaluates rules. They
    need a policy, a reference or --generic.
    """
    from otel_llm_routing.generate import grafana as made  # noqa: PLC0415

    _refuse_both(generic, policy, reference)
    _refuse_address("--prometheus-url", prometheus_url)
    if runbooks:
        _refuse_address("--runbooks", runbooks)
    read = None if _nothing(policy, reference) and not generic else _inputs(policy, reference, generic)
    boards = made.dashboards()
    alerts = output / "alerting" / "llm-routing.yaml"
    texts = {
        **{output / "dashboards" / name: text for name, text in boards.items()},
        output / "provisioning" / "dashboards" / "llm-routing.yaml": made.dashboard_provisioning(path),
        output / "provisioning" / "datasources" / "llm-routing.yaml": made.source_provisioning(
            prometheus_url, traces or None, datasource_uid
        ),
        output / "mixin.libsonnet": made.mixin(rules),
        **({} if read is None else {alerts: _grafana_alerts(read, datasource_uid, runbooks, alerts)}),
    }
    if check:
        _compare(texts)
        return
    replace(texts)
    typer.echo(f"wrote {len(boards)} dashboards to {output / 'dashboards'}")
    typer.echo(f"wrote {output / 'provisioning'} and {output / 'mixin.libsonnet'}")
    if read is None:
        typer.echo(
            f"no alert rules for Grafana: neither {POLICY} nor {REFERENCE} is here; name them with --policy and "
            "--reference, or take the rules that need no files with --generic"
        )
    else:
        typer.echo(f"wrote {alerts}: for a Grafana without a Prometheus that evaluates the rules")
        for line in _weaker(read, generic):
            typer.echo(line)
    typer.echo(
        "load  in Grafana: Dashboards, New, Import, and choose the data source; or mount the provisioning folder"
    )
    typer.echo("      the boards read the recordings of otel-llm-routing generate prometheus")


def _grafana_alerts(read: Inputs, source: str, runbooks: str, file: Path) -> str:
    """Return the alert rules for Grafana, and of those that ``file`` has now, which are gone."""
    from otel_llm_routing.generate.alerts import RUNBOOKS  # noqa: PLC0415  (pydantic takes its time)
    from otel_llm_routing.generate.grafana.alerting import alerting  # noqa: PLC0415
    from otel_llm_routing.generate.prometheus import rule_groups  # noqa: PLC0415

    try:
        before = file.read_text("utf-8", errors="replace") if file.exists() else ""
    except OSError as error:
        fail(f"{file}: cannot be read ({error.strerror}); check the folder and its permissions")
    try:
        return alerting(rule_groups(read.plan, runbooks=runbooks or RUNBOOKS), source, before)
    except ValueError as error:
        fail(f"--datasource-uid {error}")


def _refuse_both(generic: bool, policy: Path | None, reference: Path | None) -> None:
    if generic and (policy or reference):
        fail("--generic takes no --policy and no --reference; leave one or the other out")


def _refuse_address(option: str, said: str) -> None:
    if not _URL.fullmatch(said):
        fail(f"{option} {said!r} is no address; write https://...")


def _nothing(policy: Path | None, reference: Path | None) -> bool:
    """Say whether there is no file to read, neither named nor of its usual name."""
    return not (policy or reference or POLICY.exists() or REFERENCE.exists())


def _inputs(policy: Path | None, reference: Path | None, generic: bool) -> Inputs:
    return Inputs(None, None, None) if generic else _read(policy, reference)


@app.command()
def collector(
    output: Output,
    to: Annotated[
        list[Target],
        typer.Option(help="Where the gateway writes; may be given several times."),
    ] = [Target.PROMETHEUS_REMOTE_WRITE],  # noqa: B006  (typer reads it and changes nothing)
    policy: PolicyFile = None,
    own_spans: Annotated[
        bool,
        typer.Option(
            "--own-spans", help="Also count from spans of this package, where the counts it makes itself are not sent."
        ),
    ] = False,
    check: Check = False,
) -> None:
    """Write Collector configurations: beside the application, at the gateway, and counts derived from others' spans."""
    from otel_llm_routing.generate.collector import configurations  # noqa: PLC0415

    said = None
    if policy is not None or POLICY.exists():
        said = _policy(policy or POLICY)
    made = configurations([one.value for one in to], said, own_spans=own_spans)
    texts = {output / name: text for name, text in made.items()}
    if check:
        _compare(texts)
        return
    replace(texts)
    for file in texts:
        typer.echo(f"wrote {file}")
    if said is None:
        typer.echo("weaker: no policy, so surfaces are what spans, resources and routes say; name it with --policy")
    typer.echo(f"test  otelcol-contrib validate --config {output / 'agent.yaml'}, with the variables that it names")
    typer.echo("load  each file's first lines say where it runs, and what it needs from the environment")


def _read(policy: Path | None, reference: Path | None) -> Inputs:
    """Read the two files; those of the default names may be missing, though not both."""
    from otel_llm_routing.policy.plan import plan  # noqa: PLC0415

    said, pinned = files(policy, reference)
    for stream in pinned.streams if pinned else ():
        for text in (stream.surface, stream.requested, *stream.shares):
            if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
                fail(f"{reference or REFERENCE}: {text!r} is not text; pin the reference again")
    if said is None and pinned is None:
        fail(
            f"neither {POLICY} nor {REFERENCE} is here; name them with --policy and --reference, write a policy with "
            "otel-llm-routing policy init, or take the rules that need no files with --generic"
        )
    return Inputs(said, pinned, plan(said, pinned))


def _policy(path: Path) -> Policy:
    from otel_llm_routing.policy.loading import PolicyError, load  # noqa: PLC0415

    try:
        return load(path)
    except PolicyError as error:
        fail(error)


def _labels(said: list[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for text in said:
        key, equals, value = text.partition("=")
        if not equals:
            fail(f"--label {text!r} has no value; write NAME=VALUE")
        labels[key] = value
    return labels


def _weaker(read: Inputs, generic: bool) -> list[str]:
    """Return what the rules cannot do for want of a file."""
    if generic:
        text = "weaker: compared with the week that ended a day ago, which takes a shift for normal after a while; "
        return [f"{text}nobody is paged; no bands, and no surface is known to be pinned"]
    lines = []
    if read.policy is None:
        lines.append(
            "weaker: no policy, so no bands, no surface known to be pinned, and every alert is of the owner `unowned`; "
            "write one with otel-llm-routing policy init"
        )
    if read.reference is None:
        lines.append(
            "weaker: no reference, so no alert about a shift, a new or a vanished model; "
            "write one with otel-llm-routing reference pin"
        )
    elif read.policy is not None:
        have = {stream.surface for stream in read.reference.streams}
        if without := [surface for surface in read.policy.surfaces if surface not in have]:
            more = f" and {len(without) - 5} more" if len(without) > 5 else ""  # noqa: PLR2004
            lines.append(f"weaker: no reference for {', '.join(without[:5])}{more}, so no alert about their shifts")
    return lines


def _compare(texts: Mapping[Path, str]) -> None:
    """Exit with 1 if a file is not what would be written, and say which and from where on."""
    different = []
    for path, text in texts.items():
        try:
            there = path.read_text("utf-8")
        except FileNotFoundError:
            different.append(f"{path}: missing")
            continue
        except (OSError, UnicodeDecodeError) as error:
            different.append(f"{path}: cannot be read ({error})")
            continue
        if there != text:
            different.append(f"{path}:{_difference(there.splitlines(), text.splitlines())}")
    if different:
        typer.echo("\n".join([*different, "otel-llm-routing: generate again, and review what changes"]), err=True)
        raise typer.Exit(1)
    typer.echo(f"{len(texts)} files are up to date")


def _difference(there: list[str], wanted: list[str]) -> str:
    same = (at for at, (one, other) in enumerate(zip(there, wanted, strict=False), start=1) if one != other)
    first = next(same, min(len(there), len(wanted)) + 1)
    new, old = Counter(wanted) - Counter(there), Counter(there) - Counter(wanted)
    return f"{first}: differs from here on, {new.total()} lines to add and {old.total()} to take out"
