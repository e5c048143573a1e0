"""Collector configurations: beside the application, at the gateway, and counts derived from other libraries' spans."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING

from otel_llm_routing.generate.collector import derived

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_llm_routing.policy.schema import Policy

# In their order, one sample of a series after the other, by one worker; until the store has them.
_REMOTE_WRITE = (
    "max_batch_request_parallelism: 1",
    "remote_write_queue:",
    "  num_consumers: 1",
    "retry_on_failure:",
    "  max_elapsed_time: 0s",
)
_OTLP = (
    "retry_on_failure:",
    "  max_elapsed_time: 0s",
    "sending_queue:",
    "  storage: file_storage",
    "  num_consumers: 1",
    "  queue_size: 10000",
)


def targets() -> dict[str, dict[str, str | list[str]]]:
    """Return what the gateway can write to: its name, its exporter, and what it needs from the environment."""
    found: dict[str, dict[str, str | list[str]]] = json.loads(_shipped("targets.json"))
    return found


def configurations(to: Iterable[str], policy: Policy | None = None, *, own_spans: bool = False) -> dict[str, str]:
    """Return the configurations by file name.

    The gateway writes to the targets ``to``, keys of ``targets()``. Surfaces are found by the ``match`` of ``policy``.
    ``own_spans`` derives counts also from spans of this package's instrumentation, whose own counts must then not be
    sent. Raises ``KeyError`` for a target that there is not.
    """
    return {
        "agent.yaml": _shipped("agent.yaml"),
        "gateway-tier1.yaml": _shipped("gateway-tier1.yaml"),
        "gateway-tier2.yaml": _gateway(to),
        "derive-from-spans.yaml": derived.fill(_shipped("derive-from-spans.yaml"), policy, own_spans=own_spans),
    }


def _gateway(to: Iterable[str]) -> str:
    known = targets()
    chosen = [known[name] for name in dict.fromkeys(to)]
    variables = {str(one["variable"]): str(one["variable_says"]) for one in reversed(chosen)}
    lines: list[str] = []
    for one in chosen:
        lines.append(f"  {one['exporter']}:")
        for line in one["lines"]:
            more = {"@remote_write@": _REMOTE_WRITE, "@otlp@": _OTLP}.get(line, (line,))
            lines += [f"    {said}" for said in more]
    width = max(len("LLM_ROUTING_CERT, LLM_ROUTING_KEY"), *map(len, variables))
    text = _shipped("gateway-tier2.yaml")
    text = text.replace("@targets@", ", ".join(str(one["name"]) for one in chosen))
    text = text.replace("@variables@", "\n".join(f"#   {name:{width}}  {says}" for name, says in variables.items()))
    text = text.replace("@exporters@", "\n".join(lines))
    return text.replace("@names@", ", ".join(str(one["exporter"]) for one in chosen))


def _shipped(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")
