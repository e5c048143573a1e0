"""What the alerts say to whoever is woken by them."""

from __future__ import annotations

from typing import NamedTuple

RUNBOOKS = "https://github.com/otel-llm-routing/otel-llm-routing/blob/main/docs/runbooks"
"""Where the runbooks are read, unless the user keeps them elsewhere."""


class Text(NamedTuple):
    """The annotations of one alert; Go templates of Prometheus."""

    summary: str
    description: str


def lookup(metric: str, labels: tuple[str, ...], extra: str = "") -> str:
    """Return a template expression that queries ``metric`` for the alert's own labels.

    The values go through ``%+q``, so that a quote in a model's name stays inside its string, and what is not ASCII is
    escaped: Prometheus takes U+FFFD in a string for broken UTF-8.
    """
    matchers = ", ".join(f"{label}=%+q" for label in labels)
    values = " ".join(f"$labels.{label}" for label in labels)
    return f"printf `max({metric}{{{matchers}{extra}}})` {values} | query"


_PAIR = ("llm_routing_surface", "gen_ai_request_model", "gen_ai_response_model")
_SURFACE = ("llm_routing_surface",)
_WHO = "{{ $labels.gen_ai_response_model }}"
_ASKED = "{{ with $labels.gen_ai_request_model }}`{{ . }}`{{ else }}requests without a model{{ end }}"
_ON = "{{ $labels.llm_routing_surface }}"
_VALUE = "{{ $value | humanizePercentage }}"


def _reference(window: str) -> str:
    reference = lookup("llm_routing:reference:share", _PAIR)
    wobble = lookup(f"llm_routing:wobble_points:{window}", _PAIR)
    return (
        f"reference {{{{ with {reference} }}}}{{{{ . | first | value | humanizePercentage }}}}"
        "{{ else }}unknown{{ end }}"
        f"{{{{ with {wobble} }}}}, normal wobble ±{{{{ . | first | value | printf `%.1f` }}}} points{{{{ end }}}}"
    )


def shift(window: str, words: str) -> Text:
    """Return the text of an alert about a share and its reference."""
    return Text(
        f"{_ON}: {_WHO} serves {_VALUE} of {_ASKED}",
        f"{_ON}: {_WHO} served {_VALUE} of {_ASKED} in the last {words}; {_reference(window)}. "
        "The mix of models moved further than noise explains.",
    )


def edge(side: str, words: str) -> Text:
    """Return the text of an alert about a declared band."""
    way = "above" if side == "max" else "below"
    limit = lookup("llm_routing:band:edge", ("llm_routing_surface", "llm_routing_band"), f', side="{side}"')
    return Text(
        f"{_ON}: {{{{ $labels.llm_routing_band }}}} serves {_VALUE}, {way} its band",
        f"{_ON}: models matching {{{{ $labels.llm_routing_band }}}} served {_VALUE} of its requests in the last "
        f"{words}; the policy allows {'at most' if side == 'max' else 'at least'} "
        f"{{{{ with {limit} }}}}{{{{ . | first | value | humanizePercentage }}}}{{{{ end }}}}.",
    )


def unknown_served(default: float) -> Text:
    """Return the text of the alert about unknown served models; ``default`` is the limit where no file has one."""
    return Text(
        f"{_ON}: the served model of {_VALUE} of requests is unknown",
        f"{_ON}: for {_VALUE} of the requests of the last 6 hours nobody reported the served model, or only the "
        f"requested name came back; the limit is {{{{ with {lookup('llm_routing:policy:unknown_limit', _SURFACE)} }}}}"
        f"{{{{ . | first | value | humanizePercentage }}}}{{{{ else }}}}{100 * default:.4g}%{{{{ end }}}}. "
        "Shares are of the rest.",
    )


NEW = Text(
    f"{_ON}: {_WHO} is new among the models that serve {_ASKED}",
    f"{_ON}: {_WHO} served {_VALUE} of {_ASKED} in the last 24 hours; the reference does not have it.",
)
VANISHED = Text(
    f"{_ON}: {_WHO} no longer serves {_ASKED}",
    f"{_ON}: {_WHO} served {_VALUE} of {_ASKED} when the reference was pinned, and none of the requests now, "
    "of which there were enough to expect at least twenty.",
)
PIN_VIOLATED = Text(
    f"{_ON}: {_WHO} served requests for the pinned model {_ASKED}",
    f"{_ON}: {_WHO} served {{{{ $value | printf `%.0f` }}}} requests for {_ASKED} in the last 15 minutes. That name is "
    "pinned: the provider or a gateway put another model in its place.",
)
UNPINNED = Text(
    f"{_ON}: asks for {_ASKED}, which is not pinned",
    f"{_ON}: {{{{ $value | printf `%.0f` }}}} requests for {_ASKED} in the last hour. The policy declares this surface "
    "pinned, and that name is an alias or a router.",
)
SILENT = Text(
    f"{_ON}: no requests are seen any more",
    f"{_ON}: no request was counted, where this surface usually has traffic at this time. Its shares say nothing "
    "until requests come back.",
)
NO_REFERENCE = Text(
    f"{_ON}: nothing to compare {_ASKED} with",
    f"{_ON}: {{{{ $value | printf `%.0f` }}}} requests for {_ASKED} in the last 7 days, and no reference: a shift "
    "would raise no alert. Pin one with otel-llm-routing reference pin.",
)
OVERFLOW = Text(
    "Surfaces or models are being merged into one series",
    "Some process has more distinct surfaces or models than it keeps apart; what is past the limit is counted as "
    "`other` and its shares are lost.",
)
UNKNOWN_SURFACE = Text(
    f"{_VALUE} of requests come without a surface",
    f"{_VALUE} of the requests of the last 24 hours have the surface `unknown`: name their surfaces, or a shift on "
    "them is seen late and by nobody in particular.",
)
