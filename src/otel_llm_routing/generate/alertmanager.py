"""Alertmanager configuration: who is told of which alert, and which alerts are held back."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from otel_llm_routing.generate.promql import REQUESTED, SERVED, SURFACE, Clock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_llm_routing.policy.schema import Policy, Severity

SHIFT_ALERTS = (
    "LLMRoutingMixShiftFast",
    "LLMRoutingMixShiftDay",
    "LLMRoutingMixDriftSlow",
    "LLMRoutingNewServedModel",
    "LLMRoutingServedModelVanished",
    "LLMRoutingShareAboveBand",
    "LLMRoutingShareBelowBand",
)
"""What is said about shares, and means nothing while the shares themselves are in doubt."""
DOUBT_ALERTS = ("LLMRoutingSurfaceSilent", "LLMRoutingServedModelUnknown")
"""What puts the shares of a surface in doubt."""

TIMES: dict[Severity, tuple[int, int, int]] = {
    "page": (30, 300, 14_400),
    "ticket": (300, 3600, 86_400),
    "info": (1800, 21_600, 604_800),
}
"""Seconds: ``group_wait``, ``group_interval``, ``repeat_interval``."""

HEADER = """\
# Alertmanager configuration: who is told of which alert of otel-llm-routing, and which alerts are held back.
# Generated from the policy. Change the policy, not this file, and write it again:
#
#   otel-llm-routing generate alertmanager
#
# It loads as it is (amtool check-config). To merge it into a configuration of your own:
#
#   1. Copy the one entry of route.routes to the front of yours: a route before it may take the alerts away.
#   2. Append the receivers, and put your own pager, tracker or chat in each. Leave out llm-routing-nobody.
#   3. Append the inhibit_rules.
"""


def render(policy: Policy, divide: float = 1) -> str:
    """Return the text of an Alertmanager configuration file.

    Every duration is divided by ``divide``, which must be positive, for demonstrations in time-lapse.
    """
    if not (math.isfinite(divide) and divide > 0):
        msg = f"divide must be a positive number, not {divide}"
        raise ValueError(msg)
    clock = Clock(divide)
    default = policy.defaults.owner
    slugs = _slugs({default, *(surface.owner for surface in policy.resolved())})
    # Alerts of surfaces that the policy does not name have the default owner. Its routes come last and take every
    # owner, so that an alert of an owner this file does not know yet still reaches somebody.
    owners = [owner for owner in slugs if owner != default] + [default]
    lines = [
        HEADER,
        "route:",
        "  receiver: llm-routing-nobody  # alerts that are not ours",
        "  routes:",
        f"    - receiver: {_receiver(slugs[default], 'ticket')}",
        "      matchers:",
        f"        - {_scalar('alertname=~' + _quoted('LLMRouting.*'))}",
        f"      group_by: [{SURFACE}]",
        *_times("ticket", clock, 6),
        "      routes:",
    ]
    for owner in owners:
        if owner == default:
            lines.append("        # The default owner: these take the alerts of every owner not named above.")
        for severity in TIMES:
            lines += [f"        - receiver: {_receiver(slugs[owner], severity)}", "          matchers:"]
            if owner != default:
                lines.append(f"            - {_equals('owner', owner)}")
            lines += [f"            - {_equals('severity', severity)}", *_times(severity, clock, 10)]
    lines += ["", "receivers:", "  - name: llm-routing-nobody"]
    for owner in owners:
        for severity in TIMES:
            name = _receiver(slugs[owner], severity)
            lines += [
                f"  - name: {name}",
                "    webhook_configs:",
                f"      - url: http://localhost:5001/{name}  # REPLACE: a placeholder",
            ]
    return "\n".join(lines) + "\n\n" + _inhibit_rules()


def _inhibit_rules() -> str:
    shift = _scalar("alertname=~" + _quoted("|".join(SHIFT_ALERTS)))
    doubt = _scalar("alertname=~" + _quoted("|".join(DOUBT_ALERTS)))
    # Two missing labels are equal to Alertmanager: without this an alert about no surface would hold back others.
    named = _scalar(f"{SURFACE}!={_quoted('')}")
    return f"""\
inhibit_rules:
  # Nobody knows what serves the surface, or it has no requests: its shares prove nothing. A violated pin is proof by
  # itself, and is never held back.
  - source_matchers:
      - {doubt}
      - {named}
    target_matchers:
      - {shift}
    equal: [{SURFACE}]
  # The page is enough: no ticket about the same share besides. The alerts about a band name it and no model, the others
  # name a model and no band. A label that both alerts lack counts as equal.
  - source_matchers:
      - {shift}
      - {_equals("severity", "page")}
      - {named}
    target_matchers:
      - {shift}
      - {_equals("severity", "ticket")}
    equal: [{SURFACE}, {REQUESTED}, {SERVED}, llm_routing_band]
"""


def _times(severity: Severity, clock: Clock, indent: int) -> list[str]:
    names = ("group_wait", "group_interval", "repeat_interval")
    return [f"{' ' * indent}{name}: {clock(value)}" for name, value in zip(names, TIMES[severity], strict=True)]


def _receiver(slug: str, severity: Severity) -> str:
    return f"llm-routing-{slug}-{severity}"


def _slugs(owners: Iterable[str]) -> dict[str, str]:
    """Return a name of letters, digits and hyphens for each owner, no two alike.

    In the order of the alphabet, so that moving a surface within the policy renames no receiver.
    """
    slugs: dict[str, str] = {}
    for owner in sorted(owners):
        base = re.sub(r"[^a-z0-9]+", "-", owner.lower()).strip("-") or "owner"
        slug, count = base, 1
        while slug in slugs.values():
            count += 1
            slug = f"{base}-{count}"
        slugs[owner] = slug
    return slugs


def _equals(label: str, value: str) -> str:
    return _scalar(f"{label}={_quoted(value)}")


def _quoted(text: str) -> str:
    """Return one line of printable text as a string of a matcher, as both of Alertmanager's parsers read it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _scalar(text: str) -> str:
    """Return one line of printable text as a YAML string, in which only the quote itself is special."""
    return "'" + text.replace("'", "''") + "'"
