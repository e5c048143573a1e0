"""The configuration that counts model calls from their spans: ``model_span`` and ``models.match``, said in OTTL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_llm_routing import semconv
from otel_llm_routing.generate.collector.kinds import PROVIDER, Statement, is_router, kind_of
from otel_llm_routing.generate.collector.ottl import attribute, cache, matches, re2_escape, text
from otel_llm_routing.generate.collector.spelling import canonical, cut, named, printable, providers
from otel_llm_routing.generate.collector.surfaces import SURFACE, surface
from otel_llm_routing.model_span import (
    INVOCATION_PARAMETERS,
    LOGFIRE_REPEATS,
    LOGFIRE_TYPE,
    OPENINFERENCE_KIND,
    OPENINFERENCE_OPERATIONS,
    PROVIDER_NAMES,
    TRACELOOP_OPERATIONS,
    TRACELOOP_TYPE,
)
from otel_llm_routing.models import EXACT, RESOLVED, SUBSTITUTED, UNCONFIRMED, UNREPORTED
from otel_llm_routing.models.identifiers import MAX_LENGTH
from otel_llm_routing.models.rules import ALIAS, KINDS, PINNED, ROUTER, UNKNOWN, builtin_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_llm_routing.policy.schema import Policy

OPERATION = attribute(semconv.OPERATION)
ASKED, SERVED, MATCH = cache("asked"), cache("served"), cache("match")
MAX_WORD = 64
"""Characters of a provider's name, and of an error's type."""
FAILED = "_OTHER"
"""``error.type`` where a span says that the call failed, and not how: the conventions' word."""
RAREST = "ffff"
"""How the threshold of a sampler begins that keeps less than 1 in 65,536: the trace state comes from outside, and one
request must not be able to stand for a million."""


def fill(template: str, policy: Policy | None, *, own_spans: bool) -> str:
    """Return the configuration: ``template`` with its ``@names@`` replaced."""
    statements = list(_statements(policy))
    keys = (f"- {{key: {name}, optional: true}}" for name in semconv.REQUEST_ATTRIBUTES)
    for name, lines in {
        "operation": _lines(map(Statement, _operation()), 6),
        "conditions": _lines(map(Statement, _dropped(own_spans=own_spans)), 6),
        "statements": _lines(statements, 6),
        "attributes": "\n".join(" " * 10 + key for key in keys),
    }.items():
        template = template.replace(f"@{name}@\n", f"{lines}\n")
    return template


def _lines(statements: Iterable[Statement], indent: int) -> str:
    lines = []
    for statement, about in statements:
        if about:
            lines.append(f"# {about}")
        lines.append("- '" + statement.replace("'", "''") + "'")
    return "\n".join(" " * indent + line for line in lines)


def _operation() -> Iterator[str]:
    kind = attribute(OPENINFERENCE_KIND)
    for value, operation in OPENINFERENCE_OPERATIONS.items():
        yield f"set({OPERATION}, {text(operation)}) where {OPERATION} == nil and {kind} == {text(value)}"
    for value, operation in TRACELOOP_OPERATIONS.items():
        asked = f"{OPERATION} == nil and {kind} == nil and {attribute(TRACELOOP_TYPE)} == {text(value)}"
        yield f"set({OPERATION}, {text(operation)}) where {asked}"


def _dropped(*, own_spans: bool) -> Iterator[str]:
    operations = "|".join(map(re2_escape, sorted(semconv.MODEL_OPERATIONS)))
    yield f"not {matches(OPERATION, f'^(?:{operations})$')}"
    for value in LOGFIRE_REPEATS:
        yield f"{attribute(LOGFIRE_TYPE)} == {text(value)}"
    if not own_spans:
        # The process that made these spans counts the calls itself.
        yield f"scope.name == {text(semconv.SCOPE)}"
        yield f"{attribute(semconv.MATCH)} != nil"
        yield f"{attribute(semconv.SURFACE_SOURCE)} != nil"


def _statements(policy: Policy | None) -> Iterator[Statement]:
    rules = builtin_rules()
    yield from map(Statement, _provider())
    yield from map(Statement, _models())
    yield from kind_of("asked", rules)
    yield from is_router("served", rules)
    yield from map(Statement, _match())
    yield from map(Statement, surface(policy))
    yield from map(Statement, _attributes())
    yield from map(Statement, _sampling())


def _provider() -> Iterator[str]:
    path = cache(PROVIDER)
    for name in PROVIDER_NAMES:
        yield f"set({path}, ToLowerCase({attribute(name)})) where {path} == nil and {named(attribute(name))}"
    yield cut(path, MAX_WORD)
    yield from printable(path)
    yield f"set({path}, {text('unknown')}) where {path} == nil"
    yield from providers(PROVIDER)


def _models() -> Iterator[str]:
    inference, parameters = f"{attribute(OPENINFERENCE_KIND)} != nil", attribute(INVOCATION_PARAMETERS)
    sources = {
        ASKED: (semconv.REQUEST_MODEL, "asked"),
        SERVED: (semconv.RESPONSE_MODEL, "served"),
    }
    for path, (name, _) in sources.items():
        yield f"set({path}, {attribute(name)}) where {named(attribute(name))}"
    # OpenInference overwrites `llm.model_name` with the response's model; what was asked for stays in the parameters.
    overwritten = attribute("llm.model_name")
    yield f"set({SERVED}, {overwritten}) where {SERVED} == nil and {inference} and {named(overwritten)}"
    json = matches(parameters, r"(?s)^\s*\{.*\}\s*$")
    given = f"{ASKED} == nil and {inference} and IsString({parameters}) and {json}"
    yield f"set({cache('parameters')}, ParseJSON({parameters})) where {given}"
    said = f"{cache('parameters')}[{text('model')}]"
    yield f"set({ASKED}, {said}) where {ASKED} == nil and {named(said)}"
    for path, (_, name) in sources.items():
        yield cut(path, MAX_LENGTH)
        yield from printable(path)
        yield from canonical(name)


def _match() -> Iterator[str]:
    """Yield what ``models.match`` decides; the first that holds stands."""
    kind, served_kind = cache("asked_kind"), cache("served_kind")
    same = f"{ASKED} != nil and {cache('asked_canonical')} == {cache('served_canonical')}"
    moves = f"({kind} == {text(ALIAS)} or {kind} == {text(ROUTER)})"
    part = [f"set({cache('part')}, {cache('asked_part')}) where {cache('asked_part')} != nil", *canonical("part")]
    yield f"set({kind}, {text(UNKNOWN)}) where {kind} == nil"
    yield from part
    for match, condition in (
        (UNREPORTED, f"{SERVED} == nil"),
        (UNCONFIRMED, f"{same} and {moves}"),
        (EXACT, same),
        (UNCONFIRMED, f"{served_kind} == {text(ROUTER)}"),
        (RESOLVED, f"{kind} != {text(PINNED)}"),
        (EXACT, f"{cache('part')} != nil and {cache('part_canonical')} == {cache('served_canonical')}"),
        (SUBSTITUTED, f"{SERVED} != nil"),
    ):
        yield f"set({MATCH}, {text(match)}) where {MATCH} == nil and {condition}"


def _attributes() -> Iterator[str]:
    """Yield what writes the variables to the attributes that are counted by; our own instrumentation's word stands."""
    for name, path in ((semconv.REQUEST_MODEL, ASKED), (semconv.RESPONSE_MODEL, SERVED)):
        yield f"delete_key(span.attributes, {text(name)})"
        yield f"set({attribute(name)}, {path}) where {path} != nil"
    yield f"set({attribute(semconv.PROVIDER)}, {cache(PROVIDER)})"
    yield f"set({attribute(semconv.SURFACE)}, {SURFACE})"
    source = attribute(semconv.SERVED_SOURCE)
    yield f"set({cache('source')}, {text('body')}) where {SERVED} != nil"
    yield f"set({cache('source')}, {text('none')}) where {SERVED} == nil"
    matched = (EXACT, RESOLVED, SUBSTITUTED, UNCONFIRMED, UNREPORTED)
    for name, path, values in (
        (attribute(semconv.REQUEST_KIND), cache("asked_kind"), KINDS),
        (attribute(semconv.MATCH), MATCH, matched),
        (source, cache("source"), ("header", "trace", "body", "none")),
    ):
        known = f"^(?:{'|'.join(values)})$"
        yield f"set({name}, {path}) where not {matches(name, known)}"
    yield f"delete_key(span.attributes, {text(semconv.CACHED)}) where {attribute(semconv.CACHED)} != true"
    error = attribute(semconv.ERROR_TYPE)
    yield f"delete_key(span.attributes, {text(semconv.ERROR_TYPE)}) where not ({named(error)})"
    yield f"set({error}, {text(FAILED)}) where {error} == nil and span.status.code == STATUS_CODE_ERROR"
    yield cut(error, MAX_WORD)


def _sampling() -> Iterator[str]:
    """Yield what leaves only a sampler's threshold in the trace state: one that cannot be read would lose the span."""
    state, found = "span.trace_state", cache("sampled")
    threshold = r"(?:^|,)\s*ot=(?:[^,;]*;)*th:(?P<th>[0-9a-f]{1,14})\s*(?:[;,]|$)"
    yield f"set({found}, ExtractPatterns({state}, {text(threshold)})[{text('th')}])"
    yield f"set({state}, {text('')})"
    usable = f"{found} != nil and not {matches(found, '^' + RAREST)}"
    yield f"set({state}, Concat([{text('ot=th:')}, {found}], {text('')})) where {usable}"
