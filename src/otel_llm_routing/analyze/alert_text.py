"""What an alert says: the words that Prometheus sends, whose templates are in ``generate/alerts.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_llm_routing.analyze.alerts import Alert

WORDS = {"1h": "hour", "24h": "24 hours", "7d": "7 days"}


def summary(alert: Alert) -> str:
    """Return what ``alert`` is about in a few words."""
    return _SUMMARIES[alert.alert](alert)


def description(alert: Alert) -> str:
    """Return what ``alert`` says, on its surface: what served which share of what, and what was to be expected."""
    return f"{alert.surface}: {sentence(alert)}" if alert.alert not in _GENERAL else sentence(alert)


def sentence(alert: Alert) -> str:
    """Return what ``alert`` says, without the name of its surface."""
    return _SENTENCES[alert.alert](alert)


def percentage(share: float) -> str:
    """Return a share, 0 to 1, as Prometheus' ``humanizePercentage`` writes it."""
    return f"{100 * share:.4g}%"


def _asked(alert: Alert) -> str:
    return f"`{alert.requested}`" if alert.requested else "requests without a model"


def _shift(a: Alert) -> str:
    reference = "unknown" if a.reference is None else percentage(a.reference)
    wobble = "" if a.wobble is None else f", normal wobble ±{a.wobble:.1f} points"
    return (
        f"{a.served} served {percentage(a.value)} of {_asked(a)} in the last {WORDS[a.window]}; reference {reference}"
        f"{wobble}. The mix of models moved further than noise explains."
    )


def _edge(least_or_most: str) -> Callable[[Alert], str]:
    def say(a: Alert) -> str:
        limit = "" if a.limit is None else percentage(a.limit)
        return (
            f"models matching {a.band} served {percentage(a.value)} of its requests in the last {WORDS[a.window]}; the "
            f"policy allows {least_or_most} {limit}."
        )

    return say


def _new(a: Alert) -> str:
    return (
        f"{a.served} served {percentage(a.value)} of {_asked(a)} in the last 24 hours; the reference does not have it."
    )


def _vanished(a: Alert) -> str:
    return (
        f"{a.served} served {percentage(a.value)} of {_asked(a)} when the reference was pinned, and none of the "
        "requests now, of which there were enough to expect at least twenty."
    )


def _pin_violated(a: Alert) -> str:
    return (
        f"{a.served} served {a.value:.0f} requests for {_asked(a)} in the last 15 minutes. That name is pinned: the "
        "provider or a gateway put another model in its place."
    )


def _unpinned(a: Alert) -> str:
    return (
        f"{a.value:.0f} requests for {_asked(a)} in the last hour. The policy declares this surface pinned, and that "
        "name is an alias or a router."
    )


def _unknown_served(a: Alert) -> str:
    limit = "the default" if a.limit is None else percentage(a.limit)
    return (
        f"for {percentage(a.value)} of the requests of the last 6 hours nobody reported the served model, or only the "
        f"requested name came back; the limit is {limit}. Shares are of the rest."
    )


def _silent(_: Alert) -> str:
    return (
        "no request was counted, where this surface usually has traffic at this time. Its shares say nothing until "
        "requests come back."
    )


def _no_reference(a: Alert) -> str:
    return (
        f"{a.value:.0f} requests for {_asked(a)} in the last 7 days, and no reference: a shift would raise no alert. "
        "Pin one with otel-llm-routing reference pin."
    )


def _overflow(_: Alert) -> str:
    return (
        "Some process has more distinct surfaces or models than it keeps apart; what is past the limit is counted as "
        "`other` and its shares are lost."
    )


def _unknown_surface(a: Alert) -> str:
    return (
        f"{percentage(a.value)} of the requests of the last 24 hours have the surface `unknown`: name their surfaces, "
        "or a shift on them is seen late and by nobody in particular."
    )


_SENTENCES: dict[str, Callable[[Alert], str]] = {
    "LLMRoutingMixShiftFast": _shift,
    "LLMRoutingMixShiftDay": _shift,
    "LLMRoutingMixDriftSlow": _shift,
    "LLMRoutingNewServedModel": _new,
    "LLMRoutingServedModelVanished": _vanished,
    "LLMRoutingShareAboveBand": _edge("at most"),
    "LLMRoutingShareBelowBand": _edge("at least"),
    "LLMRoutingPinViolated": _pin_violated,
    "LLMRoutingUnpinnedTraffic": _unpinned,
    "LLMRoutingServedModelUnknown": _unknown_served,
    "LLMRoutingSurfaceSilent": _silent,
    "LLMRoutingNoReference": _no_reference,
    "LLMRoutingSeriesOverflow": _overflow,
    "LLMRoutingUnknownSurface": _unknown_surface,
}
_SUMMARIES: dict[str, Callable[[Alert], str]] = {
    **dict.fromkeys(
        ("LLMRoutingMixShiftFast", "LLMRoutingMixShiftDay", "LLMRoutingMixDriftSlow"),
        lambda a: f"{a.surface}: {a.served} serves {percentage(a.value)} of {_asked(a)}",
    ),
    "LLMRoutingNewServedModel": lambda a: f"{a.surface}: {a.served} is new among the models that serve {_asked(a)}",
    "LLMRoutingServedModelVanished": lambda a: f"{a.surface}: {a.served} no longer serves {_asked(a)}",
    "LLMRoutingShareAboveBand": lambda a: f"{a.surface}: {a.band} serves {percentage(a.value)}, above its band",
    "LLMRoutingShareBelowBand": lambda a: f"{a.surface}: {a.band} serves {percentage(a.value)}, below its band",
    "LLMRoutingPinViolated": lambda a: f"{a.surface}: {a.served} served requests for the pinned model {_asked(a)}",
    "LLMRoutingUnpinnedTraffic": lambda a: f"{a.surface}: asks for {_asked(a)}, which is not pinned",
    "LLMRoutingServedModelUnknown": lambda a: (
        f"{a.surface}: the served model of {percentage(a.value)} of requests is unknown"
    ),
    "LLMRoutingSurfaceSilent": lambda a: f"{a.surface}: no requests are seen any more",
    "LLMRoutingNoReference": lambda a: f"{a.surface}: nothing to compare {_asked(a)} with",
    "LLMRoutingSeriesOverflow": lambda _: "Surfaces or models are being merged into one series",
    "LLMRoutingUnknownSurface": lambda a: f"{percentage(a.value)} of requests come without a surface",
}
_GENERAL = frozenset({"LLMRoutingSeriesOverflow", "LLMRoutingUnknownSurface"})
"""Alerts whose sentence is not about one surface."""
