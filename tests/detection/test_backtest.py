"""`otel-llm-routing backtest`: the alarms of a past with known causes, their rates, and what a budget needs."""

from __future__ import annotations

import json
import re
import shlex
import time
import tracemalloc
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

import numpy as np
import pytest
import simulation
from components import ROOT
from simulation import DAY, SLICE, SLICES, Change, Stream
from typer.testing import CliRunner

from otel_llm_routing.analyze import backtest as replaying
from otel_llm_routing.analyze import verdicts
from otel_llm_routing.analyze.archive import Archive
from otel_llm_routing.analyze.check import check
from otel_llm_routing.analyze.history import History, Known
from otel_llm_routing.analyze.reference import pin
from otel_llm_routing.analyze.sources import Count, open_source
from otel_llm_routing.cli.app import app
from otel_llm_routing.policy import loading
from otel_llm_routing.policy.plan import plan
from otel_llm_routing.policy.reference import Pin, Reference, ReferenceStream, dump
from otel_llm_routing.policy.thresholds import threshold
from otel_llm_routing.serve.receiver import Point
from otel_llm_routing.serve.store import Store

SONNET, HAIKU, MINI = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001", "gpt-5-mini-2025-08-07"
NEWCOMER, AUTO = "gemini-3-flash-001", "openrouter/auto"
MIX = {SONNET: 0.83, HAIKU: 0.12, MINI: 0.05}
START = 1_760_000_000 // DAY * DAY
DAYS, PINNED = 70, 28
END = START + DAYS * DAY
GAP = (60.25, 62.0)
JUMP, NEW, SUBSTITUTED, SILENT = (40, 44), 50, (46, 46.5), (52.5, 54.5)

STREAMS = (
    Stream("calm", AUTO, MIX, 2400, session=2),
    Stream(
        "jumps",
        AUTO,
        MIX,
        2400,
        session=2,
        changes=(Change(JUMP[0], {SONNET: 0.6, HAIKU: 0.35, MINI: 0.05}, 0, JUMP[1]),),
    ),
    Stream("gains", AUTO, MIX, 2400, session=2, changes=(Change(NEW, {**MIX, SONNET: 0.78, NEWCOMER: 0.05}),)),
    Stream(
        *("pinned", SONNET, {SONNET: 1.0}, 1200, "pinned"),
        changes=(Change(SUBSTITUTED[0], {SONNET: 0.97, MINI: 0.03}, until=SUBSTITUTED[1]),),
    ),
    Stream("falls-silent", AUTO, MIX, 2400, session=2, silent=(SILENT,)),
)
POLICY = """
version: 1
defaults: {owner: team-platform, false_alarms_per_month: 0.1}
surfaces:
  jumps: {owner: team-editor, uses: {router: openrouter/auto}}
  pinned: {uses: {pinned: claude-sonnet-4-5-20250929}, false_alarms_per_month: 2}
"""


def fill(path, traffic):
    """Write a simulated traffic to a real store, each slice's requests a minute after it begins."""
    store = Store(str(path))

    def points():
        number = 0
        for series, counts in traffic.counts.items():
            key = (series.surface, "openai", "chat", series.requested, series.served, series.kind, series.match)
            for at in np.flatnonzero(counts):
                number += 1
                seconds = traffic.start + int(at) * SLICE + 60
                yield Point(
                    number.to_bytes(4, "big"),
                    seconds * 10**9,
                    False,
                    seconds,
                    "llm_routing.requests",
                    (*key, "body", "", series.error, "shop"),
                    (float(counts[at]),),
                    None,
                )

    store.write(points())
    store.close()
    return f"sqlite:{path}"


class Past(NamedTuple):
    traffic: simulation.Traffic
    source: str
    policy: object
    reference: Reference
    """What the first 28 days give."""
    found: replaying.Backtest


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    traffic = simulation.simulate(STREAMS, START, DAYS, seed=5)
    for counts in traffic.counts.values():
        counts[int(GAP[0] * SLICES) : int(GAP[1] * SLICES)] = 0
    source = fill(tmp_path_factory.mktemp("past") / "counts.db", traffic)
    policy = loading.parse(POLICY).policy
    opened = open_source(source)
    reference = pin(opened, name="s", reason="r", end=START + PINNED * DAY, days=PINNED).reference
    found = replaying.backtest(opened, policy, None, at=END, days=DAYS)
    return Past(traffic, source, policy, reference, found)


def of(found, surface):
    return next(one for one in found.surfaces if one.surface == surface)


def raised(found, surface):
    """When the alarms of each alert of a surface began and ended, in days of the simulation."""
    times = defaultdict(list)
    for alarm in of(found, surface).alarms:
        times[alarm.alert.alert].append(((alarm.begin - START) / DAY, (alarm.end - START) / DAY))
    return dict(times)


def history(traffic):
    """The truth of the simulation as the rules' twin takes it."""
    made = History(traffic.start, SLICE, traffic.slices)
    for series, counts in traffic.counts.items():
        if series.match != "unreported":
            made.known[Known(series.surface, series.requested, series.served, series.match, series.kind)] = counts
    return made


def begins(fires):
    return [i for i in np.flatnonzero(fires).tolist() if i == 0 or not fires[i - 1]]


# What is found --------------------------------------------------------------------------------------------------------


def test_the_alarms_are_those_that_the_causes_explain(past):
    found = {surface.surface: set(raised(past.found, surface.surface)) for surface in past.found.surfaces}
    shifts = {"LLMRoutingMixShiftDay", "LLMRoutingMixDriftSlow"}
    assert found["calm"] == set()
    assert shifts <= found["jumps"] <= shifts | {"LLMRoutingMixShiftFast"}
    assert {"LLMRoutingNewServedModel"} <= found["gains"] <= {"LLMRoutingNewServedModel", *shifts}
    assert "LLMRoutingPinViolated" in found["pinned"]
    assert found["pinned"] <= {"LLMRoutingPinViolated", "LLMRoutingNewServedModel", "LLMRoutingMixShiftFast", *shifts}
    assert found["falls-silent"] == {"LLMRoutingSurfaceSilent"}


def test_no_alarm_comes_before_its_cause_and_the_first_soon_after(past):
    for surface, cause, soon in (("jumps", JUMP[0], 1), ("gains", NEW, 1), ("pinned", SUBSTITUTED[0], 0.2)):
        first = min(begin for times in raised(past.found, surface).values() for begin, _ in times)
        assert cause < first < cause + soon, surface
    # A day of nothing, or six hours where there was something a week ago, and a quarter of an hour.
    [(begin, end)] = raised(past.found, "falls-silent")["LLMRoutingSurfaceSilent"]
    assert SILENT[0] + 0.25 < begin < SILENT[0] + 0.3
    assert SILENT[1] < end < SILENT[1] + 0.1


def test_what_fires_is_what_check_says_at_that_time(past):
    opened = open_source(past.source)
    watched = plan(past.policy, past.reference)
    seen = set()
    for day in (41.3, 43, 45, 46.25, 50.9, 53.5, 55, 59):
        at = START + day * DAY
        now = {(a.surface, a.alert, a.window) for a in check(opened, watched, at).alerts}
        replayed = {
            (alarm.alert.surface, alarm.alert.alert, alarm.alert.window)
            for surface in past.found.surfaces
            for alarm in surface.alarms
            if alarm.begin <= at and (at < alarm.end or alarm.ongoing)
        }
        assert replayed == now, day
        seen |= now
    assert len(seen) >= 5


def test_an_alarm_says_what_would_have_been_sent_and_all_models_it_was_about(past):
    day = next(a for a in of(past.found, "jumps").alarms if a.alert.alert == "LLMRoutingMixShiftDay")
    assert {HAIKU, SONNET} <= set(day.served)
    assert (day.alert.owner, day.alert.severity, day.alert.requested) == ("team-editor", "ticket", AUTO)
    served = history(past.traffic).streams()["jumps", AUTO]
    last = round((day.begin - START) / SLICE)
    share = served[day.alert.served][last - SLICES : last].sum() / sum(
        c[last - SLICES : last].sum() for c in served.values()
    )
    assert day.alert.value == pytest.approx(share)
    assert not day.before
    assert not day.ongoing


def test_the_daily_detector_finds_the_shift_and_dates_it(past):
    found = past.found.detected()
    assert set(found) <= {"jumps", "gains"}
    first = found["jumps"][0].alarm
    assert first.onset == START + JUMP[0] * DAY
    assert first.at <= START + (JUMP[0] + 2) * DAY
    assert of(past.found, "jumps").after == pytest.approx(DAYS - PINNED - (GAP[1] - GAP[0]), abs=0.02)


# Rates ----------------------------------------------------------------------------------------------------------------


def test_rates_are_alarms_over_the_days_that_were_measured(past):
    watched = plan(past.policy, past.reference)
    truth = history(past.traffic)
    together = defaultdict(lambda: np.zeros(truth.size, dtype=bool))
    for verdict in verdicts.evaluate(truth, watched):
        together[verdict.surface, verdict.alert, verdict.window] |= verdicts.firing(verdict)
    days = DAYS - PINNED - (GAP[1] - GAP[0])
    counted = 0
    for surface in past.found.surfaces:
        assert surface.days == pytest.approx(days, abs=0.02)
        for rate in surface.rates:
            if rate.alert == "LLMRoutingSurfaceSilent":
                continue
            fires = together[surface.surface, rate.alert, rate.window][PINNED * SLICES :]
            first = [START + (PINNED * SLICES + i + 1) * SLICE for i in begins(fires)]
            assert (rate.fired, rate.not_counted) == (len(first), 0)
            assert rate.per_month == pytest.approx(len(first) / (days / 30), rel=1e-3)
            assert (rate.first, rate.last) == (first[0], first[-1])
            assert rate.firing == pytest.approx(fires.sum() * SLICE, abs=SLICE)
            lengths = np.diff(np.flatnonzero(np.diff(fires, prepend=False, append=False)))[::2]
            assert rate.longest == pytest.approx(lengths.max() * SLICE, abs=SLICE)
            counted += len(first)
    assert counted >= 5


def test_a_gap_is_left_out_and_silences_nobody(past):
    [gap] = past.found.gaps
    assert ((gap.start - START) / DAY, (gap.end - START) / DAY) == pytest.approx(GAP, abs=0.02)
    assert past.found.gap_days == pytest.approx(GAP[1] - GAP[0], abs=0.02)
    for surface in past.found.surfaces:
        for alarm in surface.alarms:
            assert alarm.alert.alert != "LLMRoutingSurfaceSilent" or surface.surface == "falls-silent"
    # The rules alone would have called every surface silent.
    watched = plan(past.policy, past.reference)
    silent = [
        v.surface for v in verdicts.evaluate(history(past.traffic), watched) if v.alert == "LLMRoutingSurfaceSilent"
    ]
    assert set(silent) == {stream.surface for stream in STREAMS}


# The budget -----------------------------------------------------------------------------------------------------------


def shift_alarms(past, limit):
    """How often a shift alert begins on a surface that has none, with L as given: by the rules from scratch."""
    watched = plan(past.policy, past.reference)
    watched = watched._replace(streams=tuple(s._replace(threshold=limit) for s in watched.streams))
    fires = defaultdict(lambda: np.zeros(past.traffic.slices, dtype=bool))
    for verdict in verdicts.evaluate(history(past.traffic), watched):
        if verdict.alert in {"LLMRoutingMixShiftFast", "LLMRoutingMixShiftDay", "LLMRoutingMixDriftSlow"}:
            fires[verdict.surface] |= verdicts.firing(verdict)
    return {surface: len(begins(slices[PINNED * SLICES :])) for surface, slices in fires.items()}


@pytest.mark.parametrize("limit", [5.0, 8.0, 15.0, 50.0, 100.0])
def test_alarms_under_another_threshold_are_those_of_rules_with_that_threshold(past, limit):
    expected = shift_alarms(past, limit)
    for surface in past.found.surfaces:
        assert surface.budget.by_threshold[limit] == expected.get(surface.surface, 0), surface.surface
    row = next(row for row in replaying.by_threshold(past.found) if row.threshold == limit)
    assert row.alarms == sum(expected.values())
    days = sum(surface.days for surface in past.found.surfaces)
    assert row.per_month == pytest.approx(row.alarms * 30 / days)
    within = {"pinned": 2 * 40.25 / 30}
    assert row.over == sum(n > within.get(surface, 0.1 * 40.25 / 30) for surface, n in expected.items())


def test_the_threshold_that_a_budget_needs_is_the_lowest_from_which_on_it_is_kept(past):
    for surface in past.found.surfaces:
        kept = surface.budget
        most = kept.allowed * surface.days / 30
        fit = [
            limit
            for limit in kept.by_threshold
            if all(n <= most for higher, n in kept.by_threshold.items() if higher >= limit)
        ]
        assert kept.needed == min(fit, default=None)
        assert kept.kept is (kept.alarms <= most)
        assert kept.alarms == kept.by_threshold[kept.threshold]
    jumps, calm = of(past.found, "jumps").budget, of(past.found, "calm").budget
    assert (jumps.allowed, jumps.kept, jumps.alarms >= 1) == (0.1, False, True)
    assert (calm.alarms, calm.kept) == (0, True)
    assert "jumps" in {surface.surface for surface in past.found.over_budget()}


def test_the_budget_to_write_gives_the_threshold_that_is_needed(past):
    [stream] = [s for s in past.reference.streams if s.surface == "calm"]
    calm = of(past.found, "calm").budget
    assert threshold(calm.write, 28, stream.concentration) >= calm.needed


def test_what_no_budget_gives_is_not_offered(past):
    for surface in past.found.surfaces:
        kept = surface.budget
        assert (kept.write is None) == (kept.needed is None or kept.needed > 15)
    rows = {row.threshold: (row.mild, row.rough) for row in replaying.by_threshold(past.found)}
    assert rows[20.0] == rows[100.0] == (None, None)
    for limit in (5.0, 10.0, 15.0):
        mild, rough = rows[limit]
        assert (threshold(mild, 28, 500), threshold(rough, 28, 60)) == (limit, limit)


def test_a_surface_without_a_budget_is_neither_over_nor_within_it(past):
    found = replaying.backtest(open_source(past.source), None, None, at=END, days=DAYS)
    assert found.over_budget() == []
    jumps = of(found, "jumps").budget
    assert (jumps.allowed, jumps.kept, jumps.needed, jumps.write) == (None, None, None, None)
    assert (jumps.alarms, jumps.threshold) == (shift_alarms(past, 10)["jumps"], 10)


# The reference --------------------------------------------------------------------------------------------------------


def moved(reference, start, end):
    """The reference as if it had been pinned from other days."""
    act = reference.pins[0].model_copy(update={"start": utc(start), "end": utc(end)})
    return reference.model_copy(update={"pins": (act,)})


def utc(day):
    return datetime.fromtimestamp(START, timezone.utc) + timedelta(days=day)


def test_a_given_reference_judges_all_days_but_its_own(past):
    given = moved(past.reference, 38, 45)
    found = replaying.backtest(open_source(past.source), past.policy, given, at=END, days=DAYS - 10)
    assert found.pinned is None
    assert found.replayed == (START + 10 * DAY, END)
    jumps = of(found, "jumps")
    assert jumps.pinned == ((START + 38 * DAY, START + 45 * DAY),)
    assert jumps.days == pytest.approx(60 - 7 - (GAP[1] - GAP[0]), abs=0.02)
    assert jumps.older == pytest.approx(28)
    assert {alarm.counted for alarm in jumps.alarms} == {False}
    assert [(rate.fired, rate.per_month) for rate in jumps.rates] == [(0, 0.0)] * len(jumps.rates)
    assert all(rate.not_counted for rate in jumps.rates)
    assert (jumps.budget.alarms, jumps.budget.kept) == (0, True)
    # The others are judged as before; the detector only by what came after.
    assert raised(found, "gains") == raised(past.found, "gains")
    assert all(alarm.at > START + 45 * DAY for alarm in found.detection.alarms)
    assert of(found, "calm").after == pytest.approx(25 - (GAP[1] - GAP[0]), abs=0.02)


def test_a_reference_from_before_the_replay_takes_no_days_away(past):
    found = replaying.backtest(open_source(past.source), past.policy, past.reference, at=END, days=DAYS - PINNED)
    assert [(s.pinned, s.older) for s in found.surfaces] == [((), 0)] * len(STREAMS)
    assert [s.alarms for s in found.surfaces] == [s.alarms for s in past.found.surfaces]
    assert [s.budget for s in found.surfaces] == [s.budget for s in past.found.surfaces]


def test_what_fires_when_the_replay_begins_counts_from_there(past):
    at_begin = JUMP[0] + 2
    found = replaying.backtest(open_source(past.source), past.policy, past.reference, at=END, days=DAYS - at_begin)
    day = of(found, "jumps").alarms[0]
    assert (day.begin, day.before, day.counted) == (START + at_begin * DAY + SLICE, True, True)
    assert of(found, "jumps").budget.alarms >= 1


def test_a_short_history_is_judged_by_the_first_two_weeks(past):
    found = replaying.backtest(open_source(past.source), None, None, at=START + 30 * DAY, days=90)
    assert found.pinned == (START, START + 14 * DAY)
    assert found.replayed == (START + 14 * DAY, START + 30 * DAY)
    assert found.asked.start == START - 60 * DAY
    assert {s.budget.threshold for s in found.surfaces} == {14}


def test_too_short_a_history_is_an_error_that_says_what_to_do(past):
    with pytest.raises(replaying.BacktestError, match=r"there are 20\.0 days of counts.*--reference"):
        replaying.backtest(open_source(past.source), None, None, at=START + 20 * DAY, days=90)
    with pytest.raises(replaying.BacktestError, match=r"nothing can be replayed; there are some from 20"):
        replaying.backtest(open_source(past.source), None, None, at=START - 200 * DAY, days=90)


# Sources --------------------------------------------------------------------------------------------------------------


class Counts:
    """A source that yields one count at a time, in any order, and says that some are missing."""

    def __init__(self, counts, warnings=()):
        self._counts = counts
        self.warnings = list(warnings)

    def counts(self, start, end, step=0):
        for one in self._counts:
            if start <= one.start < end:
                yield one

    def sizes(self, start, end, step=0):
        return iter(())

    def extent(self):
        return None


def count(slice_, requests=1, surface="s", served="m", **more):
    said = {"kind": "router", "match": "resolved", "served_source": "body", "cached": False, "error": "", **more}
    return Count(START + slice_ * SLICE, surface, "p", "chat", AUTO, served, **said, requests=requests)


def test_what_a_source_could_not_give_is_said():
    counts = [count(i, 10) for i in range(0, 40 * SLICES, 12)]
    found = replaying.backtest(Counts(counts, ["one of two stores is down"]), None, None, at=START + 40 * DAY, days=40)
    assert found.partial == ("one of two stores is down",)
    assert replaying.as_json(found)["partial"] == ["one of two stores is down"]


def test_the_archive_keeps_every_number_exactly_and_adds_up_what_comes_late():
    numbers = [1, 255, 256, 65_535, 65_536, 2**32, 2**40]
    counts = [count(week * 7 * SLICES + 5, n) for week, n in enumerate(numbers)]
    counts += [count(5, 300), count(6, 7, match="unreported", served=""), count(7, cached=True), count(8, surface="t")]
    archive = Archive(START, 50 * SLICES)
    archive.take(Counts(counts))
    kept = archive.of("s")
    [known] = kept.known.values()
    assert {i: int(n) for i, n in enumerate(known) if n} == {
        week * 7 * SLICES + 5: n + (300 if week == 0 else 0) for week, n in enumerate(numbers)
    }
    [unknown] = kept.unknown.values()
    assert (np.flatnonzero(unknown).tolist(), unknown.sum()) == ([6], 7)
    assert archive.surfaces() == ["s", "t"]
    assert np.flatnonzero(archive.measured)[:4].tolist() == [5, 6, 7, 8]  # a cached answer shows that somebody measures
    assert archive.of("nobody").known == {}


@pytest.mark.parametrize("hours", [range(24), range(8, 18)])
def test_nights_are_no_gaps_and_missing_days_are(hours):
    missing = (20 * SLICES, 22 * SLICES)
    slices = [d * SLICES + h * 12 + m for d in range(35) for h in hours for m in range(12)]
    archive = Archive(START, 35 * SLICES)
    archive.take(Counts([count(i, 3) for i in slices if not missing[0] <= i < missing[1]]))
    [gap] = archive.gaps()
    assert gap.begin == max(i for i in slices if i < missing[0]) + 1
    assert gap.end == min(i for i in slices if i >= missing[1])


def test_a_source_that_has_stopped_ends_in_a_gap():
    archive = Archive(START, 20 * SLICES)
    archive.take(Counts([count(i, 3) for i in range(15 * SLICES)]))
    assert archive.gaps() == [(15 * SLICES, 20 * SLICES)]
    late = Archive(START - 10 * DAY, 25 * SLICES)
    late.take(Counts([count(i, 3) for i in range(15 * SLICES)]))
    assert late.gaps() == []  # nor is what was before the first request


def test_requests_without_a_surface_are_judged_among_those_of_all_surfaces():
    fine = [count(i, 99) for i in range(0, 42 * SLICES, 6)]
    for share, fires in ((4, False), (20, True)):
        counts = fine + [count(i, share, surface="unknown") for i in range(35 * SLICES, 42 * SLICES, 6)]
        found = replaying.backtest(Counts(counts), None, None, at=START + 42 * DAY, days=42)
        alerts = {rate.alert for surface in found.surfaces for rate in surface.rates}
        assert ("LLMRoutingUnknownSurface" in alerts) is fires


def test_many_surfaces_are_replayed_in_seconds_and_little_memory():
    surfaces, models, days = 60, 8, 99
    rng = np.random.default_rng(3)
    shares = {f"m{k}": 0.125 for k in range(models)}
    act = Pin(id=1, at=utc(0), reason="r", start=utc(-28), end=utc(0), source="s")
    streams = (
        ReferenceStream(
            pin=1,
            surface=f"s{i}",
            requested=AUTO,
            requests=60_000,
            days=28,
            design_effect=1.5,
            concentration=300,
            shares=shares,
        )
        for i in range(surfaces)
    )
    archive = Archive(START, days * SLICES)
    for begin in range(0, days * SLICES, 7 * SLICES):
        week = History(START + begin * SLICE, SLICE, min(7 * SLICES, archive.size - begin))
        week.measured[:] = True
        for i in range(surfaces):
            for model in shares:
                week.known[Known(f"s{i}", AUTO, model, "resolved", "router")] = rng.poisson(1.0, week.size).astype(
                    float
                )
        if begin == 0:
            tracemalloc.start()
        archive.add(week)
        if begin == 0:
            held = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            assert held < 2 * surfaces * models * week.size  # bytes; as numbers of eight it would be 8
    begun = time.process_time()
    end = START + days * DAY
    reference = Reference(pins=(act,), streams=tuple(streams))
    found, _ = replaying.judged(archive, archive.gaps(), None, reference, replaying.Period(START + 9 * DAY, end))
    assert time.process_time() - begun < 30
    assert len(found) == surfaces
    assert {round(surface.days) for surface in found} == {90}


# The command ----------------------------------------------------------------------------------------------------------

PAGE = ROOT / "docs" / "backtest.md"


def run(*arguments, width=110):
    return CliRunner().invoke(app, ["backtest", *map(str, arguments)], env={"COLUMNS": str(width)})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def example(path):
    """Sixty days of the example's autocomplete, of which two weeks ago Haiku took a third for two days."""
    store = Store(str(path))
    end = int(datetime(2026, 11, 10, tzinfo=timezone.utc).timestamp())

    def points():
        for hour in range(60 * 24):
            ago = 60 * 24 - hour
            shifted = 12 * 24 < ago <= 14 * 24
            mix = {SONNET: 62, HAIKU: 33, MINI: 5} if shifted else {SONNET: 83, HAIKU: 12, MINI: 5}
            for served, requests in mix.items():
                at = end - ago * 3600 + 600
                key = ("autocomplete", "openrouter", "chat", AUTO, served, "router", "resolved", "body", "", "", "shop")
                name = f"{hour}-{served}".encode()
                yield Point(name, at * 10**9, False, at, "llm_routing.requests", key, (float(requests),), None)

    store.write(points())
    store.close()


def test_the_example_of_the_page(folder):
    [(command, printed)] = re.findall(
        r"```console\n\$ (otel-llm-routing backtest .*?)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL
    )
    (folder / "policy.yaml").write_text((ROOT / "examples/policy/policy.yaml").read_text("utf-8"), "utf-8")
    example(folder / "llm-routing.db")
    result = run(*shlex.split(command)[2:])
    assert result.exit_code == 0, result.output
    [said] = result.stderr.splitlines()
    assert said.startswith("otel-llm-routing: reference.yaml: no such file; a reference is pinned in memory")
    shown = [line.rstrip() for line in result.stdout.splitlines()]
    assert shown == printed.splitlines(), result.stdout


def test_a_real_store_with_both_files(past, folder):
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "reference.yaml").write_text(dump(moved(past.reference, 38, 45)))
    arguments = ("--source", past.source, "--at", f"{utc(DAYS):%Y-%m-%d}", "--days", DAYS - 10)
    result = run(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    first = f"{utc(10):%Y-%m-%d %H:%M}"
    assert result.stdout.startswith(f"replayed {first} to {utc(DAYS):%Y-%m-%d %H:%M}, 60.0 days, 5 surfaces\n")
    assert f"{utc(38):%Y-%m-%d %H:%M} to {utc(45):%Y-%m-%d %H:%M}: the reference comes from these days" in result.stdout
    assert "up to 28.0 days are older than the reference" in result.stdout
    assert "nobody measured for 1.7 days" in result.stdout or "nobody measured for 1.8 days" in result.stdout
    assert "Not counted: the reference comes from this day." in result.stdout
    document = json.loads(run(*arguments, "--json").stdout)
    assert document["schema"] == "otel-llm-routing/backtest/v1"
    jumps = next(one for one in document["surfaces"] if one["surface"] == "jumps")
    assert jumps["pinned"] == [{"start": f"{utc(38):%Y-%m-%dT%H:%M:%SZ}", "end": f"{utc(45):%Y-%m-%dT%H:%M:%SZ}"}]
    assert {alarm["counted"] for alarm in jumps["alarms"]} == {False}


def test_the_page_names_every_field_and_option(past):
    page = PAGE.read_text("utf-8")

    def fields(value):
        if isinstance(value, dict):
            for name, inner in value.items():
                yield name
                yield from fields(inner)
        for inner in value if isinstance(value, list) else ():
            yield from fields(inner)

    named = set(fields(replaying.as_json(past.found)))
    assert {"schema", "not_counted", "by_threshold", "onset", "older_days"} <= named
    assert {name for name in named if f"`{name}`" not in page} == set()
    for option in ("--source", "--policy", "--reference", "--days", "--at", "--json", "--exit-code"):
        assert f"`{option}`" in page, option


@pytest.mark.parametrize(("budget", "code"), [("0.1", 1), ("9", 0)])
def test_it_fails_on_request_where_a_budget_is_exceeded(past, folder, budget, code):
    (folder / "policy.yaml").write_text(
        POLICY.replace("false_alarms_per_month: 0.1", f"false_alarms_per_month: {budget}")
    )
    arguments = ("--source", past.source, "--at", f"{utc(DAYS):%Y-%m-%d}", "--days", DAYS)
    assert run(*arguments).exit_code == 0
    result = run(*arguments, "--exit-code")
    assert result.exit_code == code
    assert ("jumps: " in result.stdout.splitlines()[-2]) is bool(code)
    assert ("every declared budget is kept (5 of 5 surfaces declare one)" in result.stdout) is not bool(code)


def test_names_are_neither_markup_nor_obeyed_by_a_terminal(folder):
    name, model = "[bold]s", "[red]m[/red]\x1b]0;owned"
    streams = [Stream(name, AUTO, {SONNET: 0.8, model: 0.2}, 1200, changes=(Change(30, {SONNET: 0.2, model: 0.8}),))]
    source = fill(folder / "t.db", simulation.simulate(streams, START, 36, seed=1))
    result = run("--source", source, "--at", f"{utc(36):%Y-%m-%d}", "--days", 36)
    assert result.exit_code == 0, result.output
    assert "[bold]s" in result.stdout
    assert "[red]m[/red]" in result.stdout
    assert "\x1b" not in result.stdout


def test_a_calm_past_says_so(folder):
    source = fill(folder / "t.db", simulation.simulate([Stream("calm", AUTO, MIX, 1200)], START, 36, seed=1))
    result = run("--source", source, "--at", f"{utc(36):%Y-%m-%d}")
    assert result.exit_code == 0, result.output
    assert "no alert would have fired\n" in result.stdout
    assert "no surface declares false_alarms_per_month" in result.stdout
    assert (
        f"there are no counts before {utc(0):%Y-%m-%d %H:%M}, though {utc(36 - 90):%Y-%m-%d %H:%M} was asked for"
        in result.stdout
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--source", "sqlite:nowhere.db"], "nowhere.db: no such file"),
        (["--source", "redis:x"], "not a kind of source"),
        (["--source", "sqlite:empty.db"], "none were ever received"),
        (["--source", "sqlite:empty.db", "--at", "yesterday"], "--at 'yesterday'"),
        (["--source", "sqlite:empty.db", "--days", "0"], "--days"),
        (["--source", "sqlite:empty.db", "--policy", "other.yaml"], "other.yaml: no such file"),
        (["--source", "sqlite:empty.db", "--reference", "other.yaml"], "other.yaml: no such file"),
        (["--source", "sqlite:empty.db", "--policy", "bad.yaml"], "bad.yaml:3: "),
        ([], "--source"),
    ],
)
def test_bad_input_exits_with_2(folder, arguments, said):
    Store("empty.db").close()
    (folder / "bad.yaml").write_text("version: 1\nsurfaces:\n  a: {uses: {ruter: x}}\n")
    result = run(*arguments, width=160)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
