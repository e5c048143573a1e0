"""Statements that find the surface of a model span: what it says, its resource, a rule of the policy, a route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_llm_routing import semconv
from otel_llm_routing.generate.collector.ottl import attribute, cache, glob, matches, text
from otel_llm_routing.generate.collector.spelling import cut, named, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_llm_routing.policy.schema import Policy

KINDS = ("route", "task", "message", "rpc", "faas", "name")
MAX_LENGTH = 64
SURFACE = cache("surface")
# As instrument/surface.py, in the order in which a span without a rule is named; rules take in the path as well.
ATTRIBUTES = {
    "route": ("http.route",),
    "task": ("celery.task_name", "messaging.celery.task_name"),
    "faas": ("faas.name", "faas.invoked_name"),
    "rpc": ("rpc.method",),
    "message": ("messaging.destination.template", "messaging.destination.name", "messaging.destination"),
}
PATHS = {"path": "url.path", "target": "http.target"}


def surface(policy: Policy | None) -> Iterator[str]:
    """Yield statements that leave the surface in a variable, and ``unknown`` there if nothing names one."""
    yield _first(attribute(semconv.SURFACE))
    yield _first(f"resource.attributes[{text(semconv.SURFACE)}]")
    if policy is not None:
        for name, path in PATHS.items():
            yield f"set({cache(name)}, {attribute(path)}) where IsString({attribute(path)})"
            yield f"replace_pattern({cache(name)}, {text(r'(?s)[?].*$')}, {text('')})"
        method, service = attribute("rpc.method"), attribute("rpc.service")
        called = f"Concat([{service}, {method}], {text('/')})"
        yield f"set({cache('called')}, {called}) where IsString({service}) and IsString({method})"
        yield from (
            f"set({SURFACE}, {text(name)}) where {SURFACE} == nil and {_rule(pattern)}"
            for name, said in policy.surfaces.items()
            for pattern in said.match
        )
    for names in ATTRIBUTES.values():
        for name in names:
            yield _first(attribute(name))
    yield from printable(SURFACE)
    yield cut(SURFACE, MAX_LENGTH)
    yield f"set({SURFACE}, {text('unknown')}) where {SURFACE} == nil"


def _first(path: str) -> str:
    return f"set({SURFACE}, {path}) where {SURFACE} == nil and {named(path)}"


def _rule(said: str) -> str:
    kind, colon, pattern = said.partition(":")
    kind, pattern = (kind, pattern.strip()) if colon and kind in KINDS else ("route", said)
    wanted = glob(pattern)
    if kind == "name":
        return f"IsRootSpan() and {matches('span.name', wanted)}"
    parts = [matches(attribute(name), wanted) for name in ATTRIBUTES[kind]]
    if kind == "route":
        route = attribute("http.route")
        parts += [f"({route} == nil and {matches(cache(name), wanted)})" for name in PATHS]
    if kind == "rpc":
        parts.append(matches(cache("called"), wanted))
    return f"({' or '.join(parts)})"
