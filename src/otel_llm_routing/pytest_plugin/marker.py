"""The marker ``@pytest.mark.surface("autocomplete")`` of tests, classes and modules; the nearest one counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otel_llm_routing.instrument.surface import clean

if TYPE_CHECKING:
    from _pytest.nodes import Node


def surface_of(item: Node) -> str | None:
    """Return the surface that ``item`` is a case of, None without a marker. A marker without a name fails the test."""
    marker = item.get_closest_marker("surface")
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
