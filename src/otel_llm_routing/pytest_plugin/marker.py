"""The marker ``@pytest.mark.surface("autocomplete")`` of parameters, tests, classes and modules; the nearest counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otel_llm_routing.instrument.surface import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.nodes import Node


def surface_of(item: Node) -> str | None:
    """Return the surface that ``item`` is a case of, None without a marker. A marker without a name fails the test."""
    marker = _nearest(item)
    if marker is None:
        return None
    given = [*marker.args, *marker.kwargs.values()]
    name = clean(given[0]) if len(given) == 1 and set(marker.kwargs) <= {"name"} else None
    if name is None:
        said = ", ".join([*map(repr, marker.args), *(f"{key}={value!r}" for key, value in marker.kwargs.items())])
        pytest.fail(
            f'{item.nodeid}: @pytest.mark.surface({said}) names no surface; write @pytest.mark.surface("autocomplete")',
            pytrace=False,
        )
    return name


def _nearest(item: Node) -> pytest.Mark | None:
    """Return the marker that counts: that of a parameter before its test's, of a class before that of its base.

    ``get_closest_marker`` has these two the other way round: a node lists its markers in the order of their making.
    """
    return next((marker for marker in _nearest_first(item) if marker.name == "surface"), None)


def _nearest_first(item: Node) -> Iterator[pytest.Mark]:
    yield from getattr(getattr(item, "callspec", None), "marks", ())
    for node in reversed(item.listchain()):
        yield from reversed(node.own_markers) if isinstance(node, pytest.Class) else node.own_markers
