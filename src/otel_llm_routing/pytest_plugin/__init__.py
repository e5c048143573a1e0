"""The pytest plugin: which model served the tests of an eval, and a file of their cases.

Every pytest of an environment with this package imports this module, so it imports nothing and does nothing until
``--llm-routing`` is given, or a test asks for the fixture. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_llm_routing.pytest_plugin.fixture import LLMRouting

CASES = "llm-routing-cases"
"""The name of the plugin that ``--llm-routing`` turns on."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two options."""
    group = parser.getgroup("llm-routing", "which models serve the tests of an eval")
    group.addoption(
        "--llm-routing",
        action="store_true",
        help="record the calls to models that each test makes, say which models served them, and write the cases that "
        "otel-llm-routing evals reads",
    )
    group.addoption(
        "--llm-routing-cases",
        metavar="FILE",
        default=f"{CASES}.jsonl",
        help="where --llm-routing writes the cases (default: %(default)s)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and turn recording on where it is asked for."""
    config.addinivalue_line("markers", "surface(name): the product surface that the test is a case of (llm-routing)")
    if config.getoption("llm_routing"):
        from otel_llm_routing.pytest_plugin.session import Cases  # noqa: PLC0415  (it imports OpenTelemetry)

        config.pluginmanager.register(Cases(config), CASES)


@pytest.fixture
def llm_routing(request: pytest.FixtureRequest) -> Iterator[LLMRouting]:
    """The calls to models that this test has made, as telemetry tells of them; see LLMRouting.

    ``llm_routing.served_model`` is the model that served them all; ``llm_routing.score(0.8)`` gives the case its score.
    """
    from otel_llm_routing.pytest_plugin import fixture  # noqa: PLC0415  (it imports OpenTelemetry)

    with fixture.of(request.node, request.config.pluginmanager.get_plugin(CASES)) as found:
        yield found
