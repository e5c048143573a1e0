"""The recording and alerting rules, as groups: counts, shifts, declared limits, and the constants of the two files.

Recordings, by ``llm_routing_surface`` (S), ``gen_ai_request_model`` (R) and ``gen_ai_response_model`` (K):

    llm_routing:requests:slice5m, :unknown_slice5m   what each 5 minutes brought, births and restarts counted
    llm_routing:requests:W           (S R K)         requests with a known served model in 1h, 6h, 24h, 7d
    llm_routing:stream_requests:W    (S R)           their sum
    llm_routing:share:W              (S R K)         share, 0 to 1
    llm_routing:shift_score:W        (S R K)         J of docs/detection.md
    llm_routing:wobble_points:W      (S R K)         two standard errors of an unchanged share, in points
    llm_routing:adjusted_share:W     (S R K)         share at the sizes of the reference; see adjusted.py
    llm_routing:reference:…, llm_routing:policy:…    constants from the two files

A group holds at most 20 rules, which is Mimir's limit as delivered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm_routing.generate import adjusted, alerts
from otel_llm_routing.generate.alerts import RUNBOOKS, Text
from otel_llm_routing.generate.growth import growth
from otel_llm_routing.generate.promql import (
    PAIR,
    REQUESTED,
    SERVED,
    STREAM,
    SURFACE,
    Clock,
    bracket,
    constant,
    equal,
    labelled,
    quote,
    regex,
    selector,
)
from otel_llm_routing.policy.plan import LEVELS, UNKNOWN_LIMIT, UNOWNED, Plan
from otel_llm_routing.policy.thresholds import (
    ALERTS,
    BAND_CONCENTRATION,
    BAND_THRESHOLD,
    LEAST_UNKNOWN,
    MODEL_DESIGN_EFFECT,
    NEW_REQUESTS,
    NEW_SHARE,
    NO_REFERENCE_REQUESTS,
    SHIFT_RULES,
    SILENT_REQUESTS,
    SLICE,
    TRAILING,
    UNKNOWN_SURFACE_LIMIT,
    VANISHED_EXPECTED,
    VANISHED_SHARE,
    WINDOWS,
    Level,
    ShiftRule,
    least_points,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

Rule = dict[str, Any]
Group = dict[str, Any]

MAX_RULES = 20
CONSTANTS_EVERY = 120
"""Seconds between samples of a constant: within the 5 minutes that Prometheus looks back, also when one is missed."""
COUNTER = "llm_routing_requests_total"
ALWAYS = 'llm_routing_cached!="true"'
BAND_WINDOWS = ("1h", "24h")
WORDS = {"1h": "hour", "6h": "6 hours", "24h": "24 hours", "7d": "7 days"}


class Builder:
    """Writes the groups for one plan; None stands for no files: references from the weeks before."""

    def __init__(self, plan: Plan | None, *, divide: float = 1, match: str = "", runbooks: str = RUNBOOKS) -> None:
        self.plan = plan
        self.clock = Clock(divide)
        self.match = f", {match}" if match else ""
        self.runbooks = runbooks.rstrip("/")

    def groups(self) -> list[Group]:
        """Return every group, what others build on first."""
        fixed = self._trailing() if self.plan is None else self._constants(self.plan)
        return [
            *fixed,
            self._group("llm_routing_counts", self._counts()),
            *self._bands(),
            *self._sizes(),
            self._group("llm_routing_shift", [*self._scores(), *self._shifts()]),
            self._group("llm_routing_limits", self._limits()),
            self._group("llm_routing_measurement", self._measurement()),
        ]

    def _group(self, name: str, rules: list[Rule], every: float = SLICE) -> Group:
        return {"name": name, "interval": self.clock(every), "rules": rules}

    def _chunks(self, name: str, rules: list[Rule], every: float) -> Iterable[Group]:
        for number, at in enumerate(range(0, len(rules), MAX_RULES), start=1):
            yield self._group(f"{name}_{number}", rules[at : at + MAX_RULES], every)

    # What the two files say, as constants. Names go into labels, never into an expression.

    def _constants(self, plan: Plan) -> Iterable[Group]:
        references: list[Rule] = []
        for stream in plan.streams:
            labels = {SURFACE: stream.surface, REQUESTED: stream.requested}
            references += [
                _fixed("llm_routing:reference:share", share, {**labels, SERVED: served})
                for served, share in stream.shares.items()
            ]
            references += [
                _fixed("llm_routing:reference:requests", stream.requests, labels),
                _fixed("llm_routing:reference:daily_requests", stream.requests / stream.days, labels),
                _fixed("llm_routing:reference:design_effect", stream.design_effect, labels),
                _fixed("llm_routing:reference:concentration", stream.concentration, labels),
                _fixed("llm_routing:reference:threshold", stream.threshold, labels),
            ]
            references += [
                _fixed("llm_routing:reference:least_change", change, {**labels, "window": window})
                for window, change in stream.points.items()
            ]
        yield from self._chunks("llm_routing_reference", references, CONSTANTS_EVERY)
        policies: list[Rule] = []
        for surface in plan.surfaces:
            labels = {SURFACE: surface.name}
            policies += [
                _fixed(
                    "llm_routing:policy:route",
                    1,
                    {**labels, "level": level, "owner": surface.owner, "severity": surface.severity[level]},
                )
                for level in LEVELS
            ]
            policies.append(_fixed("llm_routing:policy:unknown_limit", surface.unknown_limit, labels))
            policies.append(_fixed("llm_routing:policy:design_effect", surface.design_effect, labels))
            if surface.pinned:
                policies.append(_fixed("llm_routing:policy:pinned", 1, labels))
            for edge in surface.edges:
                named = {**labels, "llm_routing_band": edge.glob, "side": edge.side}
                policies.append(_fixed("llm_routing:band:edge", edge.share, named))
        policies += self._default_routes(plan.owner, {level: level for level in LEVELS})
        yield from self._chunks("llm_routing_policy", policies, CONSTANTS_EVERY)

    def _default_routes(self, owner: str, severity: dict[Level, Level]) -> list[Rule]:
        return [
            _fixed("llm_routing:policy:default_route", 1, {"level": level, "owner": owner, "severity": severity[level]})
            for level in LEVELS
        ]

    def _bands(self) -> Iterable[Group]:
        rules: list[Rule] = []
        for surface in () if self.plan is None else self.plan.surfaces:
            for glob in dict.fromkeys(edge.glob for edge in surface.edges):
                rules += self._band(surface.name, glob)
        yield from self._chunks("llm_routing_bands", rules, SLICE)

    def _band(self, surface: str, glob: str) -> Iterable[Rule]:
        # The band's requests and the surface's are read at one time: apart they would be of different slices, and the
        # share on a surface that is waking up would look smaller than it is. MAX_RULES is a multiple of these four.
        name = selector({SURFACE: surface})
        # The surface is a label here too: two surfaces with one glob would be duplicate rules to promtool.
        labels = {SURFACE: surface, "llm_routing_band": glob}
        models = f"{{{equal(SURFACE, surface)}, {SERVED}=~{quote(regex(glob))}}}"
        for window in BAND_WINDOWS:
            requests = f"llm_routing:requests:{window}"
            total = f"sum by ({SURFACE}) ({self.clock.recent(f'{requests}{name}', PAIR)})"
            matching = f"sum by ({SURFACE}) ({self.clock.recent(f'{requests}{models}', PAIR)})\nor\n0 * {total}"
            yield _recording(f"llm_routing:band:requests:{window}", matching, labels)
            yield _recording(f"llm_routing:band:surface_requests:{window}", total, labels)

    def _sizes(self) -> Iterable[Group]:
        if self.plan is not None:
            yield from self._chunks("llm_routing_reference_sizes", adjusted.constants(self.plan), CONSTANTS_EVERY)
            recordings = adjusted.recordings(self.plan, self.clock, self.match)
            yield from self._chunks("llm_routing_sizes", recordings, SLICE)

    # Without files: the week that ended a day ago stands in for the reference.

    def _trailing(self) -> Iterable[Group]:
        rule = self.clock
        ago = f"[{rule(2 * SLICE)}] offset {rule(86_400)}"
        streams = f"max by ({STREAM}) (last_over_time(llm_routing:stream_requests:7d{ago}))"
        every = f"({streams} > 0)"
        references: list[Rule] = [
            {
                "record": "llm_routing:reference:share",
                "expr": f"max by ({PAIR}) (last_over_time(llm_routing:share:7d{ago})) > 0",
            },
            {"record": "llm_routing:reference:requests", "expr": f"{streams} > 0"},
            {"record": "llm_routing:reference:daily_requests", "expr": f"({streams} > 0) / 7"},
        ]
        references += [
            {"record": f"llm_routing:reference:{name}", "expr": f"0 * {every} + {_number(value)}"}
            for name, value in TRAILING._asdict().items()
        ]
        references += [
            {
                "record": "llm_routing:reference:least_change",
                "expr": f"0 * {every} + {_number(least_points(shift, None) / 100)}",
                "labels": {"window": shift.window.name},
            }
            for shift in SHIFT_RULES
        ]
        # Weaker evidence wakes nobody.
        references += self._default_routes(UNOWNED, {"page": "ticket", "ticket": "ticket", "info": "info"})
        yield self._group("llm_routing_trailing", references, CONSTANTS_EVERY)

    # Counts and shares.

    def _slice(self, matchers: str) -> str:
        return growth(f"{COUNTER}{{{ALWAYS}, {matchers}{self.match}}}", self.clock)

    def _of_stream(self, window: str) -> str:
        """Return the requests of a stream: the sum of its models', read at one time with theirs.

        Where a group is evaluated in no order (Grafana), or read by another while it is being evaluated, the recorded
        sum is of a slice earlier, and the share on a surface that is waking up would look larger than it is.
        """
        return f"sum by ({STREAM}) ({self.clock.recent(f'llm_routing:requests:{window}', PAIR)})"

    def _counts(self) -> list[Rule]:
        recent, window = self.clock.recent, self.clock.window
        known = self._slice('llm_routing_match=~"exact|resolved|substituted"')
        # A failed call has no served model to report: it is no gap in the measurement.
        unknown = self._slice('llm_routing_match=~"unreported|unconfirmed", error_type=""')
        rules: list[Rule] = [
            {
                "record": "llm_routing:requests:slice5m",
                "expr": f"sum by ({PAIR}, llm_routing_match, llm_routing_request_kind) {bracket(known)}",
            },
            {
                "record": "llm_routing:unknown_requests:slice5m",
                "expr": f"sum by ({STREAM}, llm_routing_request_kind) {bracket(unknown)}",
            },
        ]
        for name, of in WINDOWS.items():
            counted = f"sum by ({PAIR}) (sum_over_time(llm_routing:requests:slice5m[{window(of.seconds)}]))"
            # A model that no longer serves has no series: the reference's models count 0 until they come back.
            rules.append(
                {
                    "record": f"llm_routing:requests:{name}",
                    "expr": f"{counted}\nor\n0 * {constant('llm_routing:reference:share', PAIR)}",
                }
            )
        rules += [{"record": f"llm_routing:stream_requests:{name}", "expr": self._of_stream(name)} for name in WINDOWS]
        rules += [
            {
                "record": f"llm_routing:share:{name}",
                "expr": f"{recent(f'llm_routing:requests:{name}', PAIR)}\n"
                f"/ on ({STREAM}) group_left ()\n"
                f"({self._of_stream(name)} > 0)",
            }
            for name in WINDOWS
        ]
        for name in ("6h", "24h"):
            span = window(WINDOWS[name].seconds)
            unknown = f"sum by ({SURFACE}) (sum_over_time(llm_routing:unknown_requests:slice5m[{span}]))"
            known = f"sum by ({SURFACE}) ({recent(f'llm_routing:stream_requests:{name}', STREAM)})"
            rules.append(
                {
                    "record": f"llm_routing:surface_requests:{name}",
                    "expr": f"{unknown} + {known}\nor {unknown}\nor {known}",
                }
            )
        span = window(WINDOWS["6h"].seconds)
        rules += [
            {
                "record": "llm_routing:unknown_share:6h",
                "expr": f"sum by ({SURFACE}) (sum_over_time(llm_routing:unknown_requests:slice5m[{span}]))\n"
                f"/ ({recent('llm_routing:surface_requests:6h', SURFACE)} > 0)",
            },
        ]
        return rules

    # The distance from the reference.

    def _scores(self) -> list[Rule]:
        recent = self.clock.recent
        rules: list[Rule] = []
        phi = constant("llm_routing:reference:design_effect", STREAM)
        pinned = constant("llm_routing:reference:requests", STREAM)
        m = constant("llm_routing:reference:concentration", STREAM)
        share = constant("llm_routing:reference:share", PAIR)
        p = f"clamp_max(clamp_min({share}, 0.001), 0.999)"
        for rule in SHIFT_RULES:
            name, factor = rule.window.name, _number(rule.window.factor)
            c, n = recent(f"llm_routing:requests:{name}", PAIR), self._of_stream(name)
            effective = recent(f"llm_routing:effective_requests:{name}", STREAM)
            rules += [
                {
                    "record": f"llm_routing:effective_requests:{name}",
                    "expr": f"1 / (\n  {phi} / ({n} > 0)\n  + {phi} / {pinned}\n  + 1 / ({factor} * {m})\n)",
                },
                {
                    "record": f"llm_routing:shift_score:{name}",
                    "expr": "0.5\n"
                    f"* (\n  ({c} + 0.5)\n  / on ({STREAM}) group_left () ({n} + 1)\n  - {p}\n)\n"
                    f"* (\n  ln(\n    ({c} + 0.5)\n"
                    f"    / clamp_min(0.5 - {c} + on ({STREAM}) group_left () {n}, 0.5)\n  )\n"
                    f"  - ln({p} / (1 - {p}))\n)\n"
                    f"* on ({STREAM}) group_left () {effective}",
                },
                {
                    "record": f"llm_routing:wobble_points:{name}",
                    "expr": f"200 * sqrt(\n  {share} * (1 - {share})\n  / on ({STREAM}) group_left () {effective}\n)",
                },
            ]
        return rules

    def _shifts(self) -> list[Rule]:
        recent = self.clock.recent
        reference = constant("llm_routing:reference:share", PAIR)
        phi = f"clamp_max({constant('llm_routing:reference:design_effect', STREAM)}, {_number(MODEL_DESIGN_EFFECT)})"
        rules = [self._shift(rule, reference) for rule in SHIFT_RULES]
        day, share = recent("llm_routing:requests:24h", PAIR), recent("llm_routing:share:24h", PAIR)
        rules.append(
            self._alert(
                "LLMRoutingNewServedModel",
                f"{share} >= {_number(NEW_SHARE)}\n"
                f"and (({day} + 0.5) / on ({STREAM}) group_left () {phi} >= {_number(NEW_REQUESTS)})\n"
                f"unless {reference}",
                alerts.NEW,
            )
        )
        vanished = []
        # Without a pinned reference the week itself is what is compared with.
        for window in ("6h",) if self.plan is None else ("6h", "7d"):
            c, n = recent(f"llm_routing:requests:{window}", PAIR), self._of_stream(window)
            vanished.append(
                f"{reference} >= {_number(VANISHED_SHARE)}\n"
                f"and ({c} < 0.5)\n"
                f"and ({reference} * on ({STREAM}) group_left () ({n} / {phi}) > {_number(VANISHED_EXPECTED)})"
            )
        rules.append(
            self._alert(
                "LLMRoutingServedModelVanished",
                "\nor\n".join(bracket(text) for text in vanished),
                alerts.VANISHED,
            )
        )
        return rules

    def _shift(self, rule: ShiftRule, reference: str) -> Rule:
        name = rule.window.name
        share = self.clock.recent(f"llm_routing:share:{name}", PAIR)
        score = self.clock.recent(f"llm_routing:shift_score:{name}", PAIR)
        limit = constant("llm_routing:reference:threshold", STREAM)
        above = f" + {_number(rule.above_threshold)}" if rule.above_threshold else ""
        least = constant(f"llm_routing:reference:least_change{selector({'window': name})}", STREAM)
        return self._alert(
            rule.alert,
            f"{share}\n"
            f"and ({score} > on ({STREAM}) group_left () ({limit}{above}))\n"
            f"and (abs({share} - {reference}) >= on ({STREAM}) group_left () {least})",
            alerts.shift(name, WORDS[name]),
            window=name,
        )

    # What the policy declares.

    def _limits(self) -> list[Rule]:
        recent = self.clock.recent
        rules: list[Rule] = []
        if self.plan is not None:
            rules += [self._edge(side, window) for window in BAND_WINDOWS for side in ("max", "min")]
        quarter = self.clock.window(3 * SLICE)
        substituted = (
            f"sum by ({PAIR}) (\n"
            f'  sum_over_time(llm_routing:requests:slice5m{{llm_routing_match="substituted"}}[{quarter}])\n'
            ") > 0"
        )
        rules.append(self._alert("LLMRoutingPinViolated", substituted, alerts.PIN_VIOLATED, anywhere=True))
        if self.plan is not None:
            span = self.clock.window(3600)
            kinds = '{llm_routing_request_kind=~"alias|router"}'
            unpinned = (
                f"sum by ({STREAM}) (\n"
                f"  sum_over_time(llm_routing:requests:slice5m{kinds}[{span}])\n"
                f"  or sum_over_time(llm_routing:unknown_requests:slice5m{kinds}[{span}])\n"
                ") > 0\n"
                f"and on ({SURFACE}) {constant('llm_routing:policy:pinned', SURFACE)}"
            )
            rules.append(self._alert("LLMRoutingUnpinnedTraffic", unpinned, alerts.UNPINNED))
        share, limit = recent("llm_routing:unknown_share:6h", SURFACE), "llm_routing:policy:unknown_limit"
        span = self.clock.window(WINDOWS["6h"].seconds)
        unknown = f"sum by ({SURFACE}) (sum_over_time(llm_routing:unknown_requests:slice5m[{span}]))"
        enough = f"{unknown} >= {_number(LEAST_UNKNOWN)}"
        default = UNKNOWN_LIMIT if self.plan is None else self.plan.unknown_limit
        rules.append(
            self._alert(
                "LLMRoutingServedModelUnknown",
                f"(\n  {share} > {constant(limit, SURFACE)}\n"
                f"  or ({share} unless {constant(limit, SURFACE)}) > {_number(default)}\n)\n"
                f"and ({enough})",
                alerts.unknown_served(default),
                anywhere=True,
            )
        )
        return rules

    def _edge(self, side: str, window: str) -> Rule:
        band = f"{SURFACE}, llm_routing_band"
        recent = self.clock.recent
        c = recent(f"llm_routing:band:requests:{window}", band)
        n = recent(f"llm_routing:band:surface_requests:{window}", band)
        phi = constant("llm_routing:policy:design_effect", SURFACE)
        e = constant(f"llm_routing:band:edge{selector({'side': side})}", band)
        clamped = f"clamp_max(clamp_min({e}, 0.001), 0.999)"
        return self._alert(
            "LLMRoutingShareAboveBand" if side == "max" else "LLMRoutingShareBelowBand",
            f"{c} / ({n} > 0)\n"
            f"{'>' if side == 'max' else '<'} {e}\n"
            "and (\n"
            "  0.5\n"
            f"  * (({c} + 0.5) / ({n} + 1) - {clamped})\n"
            f"  * (\n    ln(({c} + 0.5) / (0.5 - {c} + {n}))\n"
            f"    - ln({clamped} / (1 - {clamped}))\n  )\n"
            f"  / (1 / ({n} > 0) * on ({SURFACE}) group_left () {phi} + 1 / {_number(BAND_CONCENTRATION)})\n"
            f"  > {_number(BAND_THRESHOLD)}\n"
            ")",
            alerts.edge(side, WORDS[window]),
            window=window,
        )

    # Is the measurement itself working?

    def _measurement(self) -> list[Rule]:
        recent, clock = self.clock.recent, self.clock

        def ago(name: str, seconds: int) -> str:
            return f"max by ({SURFACE}) (last_over_time({name}[{clock(2 * SLICE)}] offset {clock(seconds)}))"

        def last_week(name: str) -> str:
            return ago(name, WINDOWS["7d"].seconds)

        day, hours = "llm_routing:surface_requests:24h", "llm_routing:surface_requests:6h"
        phi = f"clamp_max({constant('llm_routing:reference:design_effect', STREAM)}, {_number(MODEL_DESIGN_EFFECT)})"
        daily = f"sum by ({SURFACE}) ({constant('llm_routing:reference:daily_requests', STREAM)} / {phi})"
        many = _number(SILENT_REQUESTS * MODEL_DESIGN_EFFECT)
        span = clock.window(WINDOWS["6h"].seconds)
        rules = [
            self._alert(
                "LLMRoutingSurfaceSilent",
                # A surface that also rested at this time a week ago is resting, not broken; and on the day that rules
                # are loaded, nobody has looked for a day yet.
                f"(\n  {recent(day, SURFACE)} == 0\n  and {daily} >= {_number(SILENT_REQUESTS)}\n"
                f"  and {ago(day, WINDOWS['24h'].seconds)}\n"
                f"  unless {last_week(day)} == 0\n)\n"
                # Where there is no reference and the processes are gone, nothing says 0 any more.
                f"or\n0 * (\n  {last_week(hours)} > {many}\n"
                f"  unless sum by ({SURFACE}) (sum_over_time(llm_routing:requests:slice5m[{span}])) > 0\n"
                f"  unless sum by ({SURFACE}) (sum_over_time(llm_routing:unknown_requests:slice5m[{span}])) > 0\n"
                ")",
                alerts.SILENT,
                anywhere=True,
            )
        ]
        streams = recent("llm_routing:stream_requests:7d", STREAM)
        if self.plan is not None:
            rules.append(
                self._alert(
                    "LLMRoutingNoReference",
                    f"{streams} >= {_number(NO_REFERENCE_REQUESTS)}\n"
                    f"unless {constant('llm_routing:reference:requests', STREAM)}",
                    alerts.NO_REFERENCE,
                    anywhere=True,
                )
            )
        hour = clock.window(3600)
        merged = "\nor\n".join(
            f'sum by ({STREAM}) (sum_over_time(llm_routing:requests:slice5m{{{label}="other"}}[{hour}])) > 0'
            for label in (SURFACE, REQUESTED, SERVED)
        )
        overflow = f'{COUNTER}{{otel_metric_overflow="true"{self.match}}}[{clock(2 * SLICE)}]'
        rules.append(
            self._alert(
                "LLMRoutingSeriesOverflow",
                f"{merged}\nor\nsum by ({STREAM}) (last_over_time({overflow})) > 0",
                alerts.OVERFLOW,
                anywhere=True,
            )
        )
        unknown = recent('llm_routing:surface_requests:24h{llm_routing_surface="unknown"}', SURFACE)
        rules.append(
            self._alert(
                "LLMRoutingUnknownSurface",
                f"{unknown}\n/ on () group_left () (sum({recent(day, SURFACE)}) > 0)\n"
                f"> {_number(UNKNOWN_SURFACE_LIMIT)}",
                alerts.UNKNOWN_SURFACE,
                anywhere=True,
            )
        )
        return rules

    def _alert(
        self,
        name: str,
        condition: str,
        text: Text,
        *,
        window: str = "",
        anywhere: bool = False,
    ) -> Rule:
        """Return an alert whose owner and severity are those of its surface.

        ``anywhere`` also lets it fire for surfaces that neither file names, with the default owner.
        """
        about = ALERTS[name, window]
        by = f"{SURFACE}, owner, severity"
        level_is = selector({"level": about.level})
        # topk: whatever happens while an owner changes, a surface has one.
        route = f"topk by ({SURFACE}) (1, {constant(f'llm_routing:policy:route{level_is}', by)})"
        default = f"topk(1, {constant(f'llm_routing:policy:default_route{level_is}', 'owner, severity')})"
        inner = bracket(condition)
        named = f"{inner}\n* on ({SURFACE}) group_left (owner, severity) {route}"
        others = f"({inner} unless on ({SURFACE}) {constant(f'llm_routing:policy:route{level_is}', SURFACE)})"
        unnamed = f"{others}\n* on () group_left (owner, severity) {default}"
        expr = f"{inner}\n* on () group_left (owner, severity) {default}" if self.plan is None else named
        if anywhere and self.plan is not None:
            expr = f"{named}\nor\n{unnamed}"
        rule: Rule = {"alert": name, "expr": expr}
        if about.hold:
            rule["for"] = self.clock(about.hold)
        rule["keep_firing_for"] = self.clock(about.keep)
        if window:
            rule["labels"] = {"llm_routing_window": window}
        rule["annotations"] = {
            "summary": text.summary,
            "description": text.description,
            "runbook_url": f"{self.runbooks}/{name}.md",
        }
        return rule


def _fixed(name: str, value: float, labels: dict[str, str]) -> Rule:
    return _recording(name, f"vector({_number(value)})", labels)


def _recording(name: str, expression: str, labels: dict[str, str]) -> Rule:
    expr, kept = labelled(expression, labels)
    return {"record": name, "expr": expr, "labels": kept}


def _number(value: float) -> str:
    return format(value, ".10g")
