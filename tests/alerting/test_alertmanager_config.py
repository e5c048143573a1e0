"""The Alertmanager configuration: amtool accepts it, everybody is told of theirs, and what is in doubt is held back."""

from __future__ import annotations

import json
import urllib.request

import components
import pytest
from components import ROOT

from otel_llm_routing.generate.alertmanager import render
from otel_llm_routing.policy.loading import load, parse

pytestmark = pytest.mark.timeout(600)

COMMITTED = ROOT / "collector" / "rules" / "llm-routing.alertmanager.yaml"
EXAMPLE = ROOT / "examples" / "policy" / "policy.yaml"
SEVERITIES = ("page", "ticket", "info")


def receiver(file, **labels):
    """Return who is told of an alert with these labels."""
    matchers = [f"{name}={json.dumps(value)}" for name, value in labels.items()]
    return components.run(
        components.tool("amtool"), "config", "routes", "test", f"--config.file={file}", *matchers
    ).strip()


def test_amtool_accepts_the_committed_file():
    said = components.run(components.tool("amtool"), "check-config", COMMITTED)
    assert "SUCCESS" in said
    assert "2 inhibit rules" in said


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize(
    ("owner", "team"),
    [
        ("team-editor", "team-editor"),
        ("team-charts", "team-charts"),
        ("team-platform", "team-platform"),
        ("nobody the file knows", "team-platform"),
    ],
)
def test_an_alert_goes_to_its_owner_by_severity(owner, team, severity):
    labels = {"alertname": "LLMRoutingMixShiftFast", "llm_routing_surface": "x", "owner": owner, "severity": severity}
    assert receiver(COMMITTED, **labels) == f"llm-routing-{team}-{severity}"


@pytest.mark.parametrize("severity", SEVERITIES)
def test_an_alert_about_no_surface_goes_by_its_owner_too(severity):
    found = receiver(COMMITTED, alertname="LLMRoutingSeriesOverflow", owner="team-platform", severity=severity)
    assert found == f"llm-routing-team-platform-{severity}"


def test_an_alert_without_owner_or_with_an_odd_severity_is_not_lost():
    assert receiver(COMMITTED, alertname="LLMRoutingMixShiftDay") == "llm-routing-team-platform-ticket"
    odd = receiver(COMMITTED, alertname="LLMRoutingMixShiftDay", owner="team-editor", severity="critical")
    assert odd == "llm-routing-team-platform-ticket"


@pytest.mark.parametrize("name", ["NodeDown", "xLLMRoutingMixShiftFast"])
def test_alerts_of_others_are_not_taken(name):
    assert receiver(COMMITTED, alertname=name, owner="team-editor", severity="page") == "llm-routing-nobody"


def test_owners_whose_names_look_alike_have_receivers_of_their_own(tmp_path):
    owners = ["Team A", "team-a", "team a!", "日本", "語"]
    surfaces = "".join(f"  s{at}: {{owner: '{owner}', uses: {{alias: x}}}}\n" for at, owner in enumerate(owners))
    file = tmp_path / "alertmanager.yaml"
    file.write_text(render(parse(f"version: 1\nsurfaces:\n{surfaces}").policy), "utf-8")
    components.run(components.tool("amtool"), "check-config", file)
    found = {receiver(file, alertname="LLMRoutingPinViolated", owner=owner, severity="page") for owner in owners}
    assert len(found) == len(owners)


@pytest.mark.parametrize("divide", [0, -1, float("nan"), float("inf")])
def test_times_cannot_be_divided_by_what_is_no_positive_number(divide):
    with pytest.raises(ValueError, match="positive number"):
        render(load(EXAMPLE), divide=divide)


# On a running Alertmanager


@pytest.fixture
def told(tmp_path):
    """A running Alertmanager with the example's configuration in time-lapse, and the webhook that it tells."""
    with components.Webhook() as hook:
        text = render(load(EXAMPLE), divide=1000)
        assert "http://localhost:5001" in text
        file = tmp_path / "alertmanager.yaml"
        file.write_text(text.replace("http://localhost:5001", hook.url), "utf-8")
        with components.Alertmanager(tmp_path, file) as alertmanager:
            yield alertmanager, hook


def post(alertmanager, *alerts):
    request = urllib.request.Request(
        f"{alertmanager.url}/api/v2/alerts",
        json.dumps([{"labels": labels} for labels in alerts]).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def key(labels):
    return tuple(labels.get(n, "") for n in ("alertname", "severity", "llm_routing_surface", "gen_ai_response_model"))


def states(alertmanager):
    """Return {alert: whether it is held back}; None where Alertmanager has not come to it yet."""
    found = {}
    for alert in components.get(f"{alertmanager.url}/api/v2/alerts"):
        status = alert["status"]
        found[key(alert["labels"])] = bool(status["inhibitedBy"]) if status["state"] != "unprocessed" else None
    return found


def alert(name, surface, severity, model="", **more):
    labels = {"alertname": f"LLMRouting{name}", "owner": "team-editor", "severity": severity, **more}
    if surface:
        labels["llm_routing_surface"] = surface
    if model:
        labels |= {"gen_ai_request_model": "openrouter/auto", "gen_ai_response_model": model}
    return labels


def held_back(told, sources, others):
    """Post ``sources`` and then ``others``; return which of all are held back, once everybody else was told."""
    alertmanager, hook = told
    post(alertmanager, *sources)
    components.wait_for("sources", lambda: len(states(alertmanager)) == len(sources))
    post(alertmanager, *others)

    def settled():
        now = states(alertmanager)
        if len(now) < len(sources) + len(others) or None in now.values():
            return None
        free = {name for name, held in now.items() if not held}
        arrived = {key(one["labels"]) for _, one in hook.alerts()}
        return now if arrived >= free else None

    found = components.wait_for("notification of every alert that is free", settled)
    held = {name for name, is_held in found.items() if is_held}
    assert not held & {key(one["labels"]) for _, one in hook.alerts()}
    return held


def test_a_silent_surface_holds_back_its_own_shifts_and_nothing_else(told):
    held = held_back(
        told,
        [alert("SurfaceSilent", "autocomplete", "info")],
        [
            alert("MixShiftFast", "autocomplete", "page", "haiku"),
            alert("ServedModelVanished", "autocomplete", "ticket", "gpt"),
            alert("ShareBelowBand", "autocomplete", "page", llm_routing_band="*haiku*"),
            alert("PinViolated", "autocomplete", "page", "other"),
            alert("UnpinnedTraffic", "autocomplete", "ticket"),
            alert("MixShiftFast", "long-form-draft", "page", "haiku"),
            alert("NewServedModel", "", "ticket", "haiku"),
        ],
    )
    assert held == {
        ("LLMRoutingMixShiftFast", "page", "autocomplete", "haiku"),
        ("LLMRoutingServedModelVanished", "ticket", "autocomplete", "gpt"),
        ("LLMRoutingShareBelowBand", "page", "autocomplete", ""),
    }


def test_a_page_holds_back_the_tickets_about_the_same_share_only(told):
    held = held_back(
        told,
        [
            alert("MixShiftFast", "autocomplete", "page", "haiku"),
            alert("ShareAboveBand", "long-form-draft", "page", llm_routing_band="*haiku*"),
        ],
        [
            alert("MixShiftDay", "autocomplete", "ticket", "haiku"),
            alert("MixDriftSlow", "autocomplete", "ticket", "sonnet"),
            alert("PinViolated", "autocomplete", "ticket", "haiku"),
            alert("MixShiftDay", "long-form-draft", "ticket", "haiku"),
            alert("ShareAboveBand", "long-form-draft", "ticket", llm_routing_band="*haiku*", llm_routing_window="24h"),
        ],
    )
    assert held == {
        ("LLMRoutingMixShiftDay", "ticket", "autocomplete", "haiku"),
        ("LLMRoutingShareAboveBand", "ticket", "long-form-draft", ""),
    }


def test_a_doubt_about_no_surface_holds_back_nothing(told):
    held = held_back(
        told,
        [alert("ServedModelUnknown", "", "info")],
        [alert("MixShiftFast", "", "page", "haiku"), alert("MixShiftFast", "autocomplete", "page", "haiku")],
    )
    assert held == set()
