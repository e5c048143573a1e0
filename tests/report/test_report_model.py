"""What the report makes of known traffic: verdicts and their sentences, gaps, costs, names."""

from __future__ import annotations

import json
import sys
from zoneinfo import ZoneInfo

import pytest
from stored import AUTO, AUTOCOMPLETE, DAY, HAIKU, HOUR, LAST, MINI, SONNET, at, key

from otel_llm_routing import semconv
from otel_llm_routing.analyze.reference import pin
from otel_llm_routing.analyze.report.build import build
from otel_llm_routing.analyze.report.summary import prices, summary
from otel_llm_routing.analyze.sources import open_source
from otel_llm_routing.policy import loading
from otel_llm_routing.policy import reference as pinned

SEEN = "with this traffic the smallest shift seen within 24 h is 12 points, within 7 days 8 points"


def report(traffic, start="2026-11-24", end="2026-11-25", *, policy=True, reference=True, now=None, **options):
    folder = traffic.path.parent
    return build(
        open_source(options.pop("source", traffic.source)),
        at(start),
        at(end),
        now=at(end) + 3600 if now is None else at(now),
        policy=loading.load(folder / "policy.yaml") if policy else None,
        reference=pinned.load(folder / "reference.yaml") if reference else None,
        **options,
    )


def surface(made, name="autocomplete"):
    return next(surface for surface in made.surfaces if surface.surface == name)


def stream(made, name="autocomplete"):
    return surface(made, name).streams[0]


def row(made, served, name="autocomplete"):
    return next(row for row in stream(made, name).served if row.served == served)


def kinds(made, name="autocomplete"):
    return [finding.kind for finding in surface(made, name).findings]


# Verdicts -------------------------------------------------------------------------------------------------------------


def test_calm_is_said_with_what_would_have_been_seen(traffic):
    made = report(traffic.steady())
    assert {s.surface: s.verdict.kind for s in made.surfaces} == dict.fromkeys(
        ("autocomplete", "chart-tooltip", "long-form-draft", "nightly-digest"), "steady"
    )
    verdict = surface(made).verdict
    assert verdict.sentence == f"No share moved further from its reference than noise explains; {SEEN}."
    assert (verdict.level, verdict.evidence) == ("calm", "detector")
    assert summary(made) == "2026-11-24 (UTC): 4 surfaces, no shift."
    assert made.judged


def test_a_share_beside_its_reference_with_its_interval(traffic):
    haiku = row(report(traffic.steady()), HAIKU)
    assert (haiku.requests, haiku.share, haiku.reference) == (288, 0.12, 0.12)
    assert haiku.change == pytest.approx(0)
    low, high = haiku.interval
    # Wilson with 1 / (2.1/2400 + 1/310) requests: bursts and the wobble of a day.
    n = 1 / (2.1 / 2400 + 1 / 310)
    z = 1.959964
    middle, half = (n * 0.12 + z * z / 2) / (n + z * z), z / (n + z * z) * (n * 0.12 * 0.88 + z * z / 4) ** 0.5
    assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-6)
    assert haiku.band.low < 0.12 < haiku.band.high
    assert (haiku.band.high, haiku.band.high_declared, haiku.band.low_declared) == (0.25, True, False)


def test_a_large_shift_is_seen_on_its_first_day(traffic):
    traffic.steady(end="2026-11-24").steady(begin="2026-11-24", autocomplete={SONNET: 45, HAIKU: 12, MINI: 43})
    made = report(traffic)
    found = surface(made).verdict
    assert (found.kind, found.level, found.requested) == ("shifted", "alarm", AUTO)
    assert found.sentence.startswith(f"`{MINI}` served 43.0% of `{AUTO}`")
    assert f"Also `{SONNET}` 45.0%, reference 83.0%." in found.sentence
    assert row(made, MINI).state == row(made, SONNET).state == "shifted"
    assert row(made, HAIKU).state == ""
    assert summary(made) == "2026-11-24 (UTC): 1 of 4 surfaces not as agreed: `autocomplete` (shifted)."


def test_a_small_shift_that_lasts_is_found_by_the_detector_with_its_onset(traffic):
    traffic.steady(end="2026-11-14").steady(begin="2026-11-14", autocomplete={SONNET: 76, HAIKU: 12, MINI: 12})
    found = surface(report(traffic)).verdict
    assert (found.kind, found.evidence) == ("shifted", "detector")
    assert found.since == at("2026-11-14")
    assert " since 2026-11-14 (95%: " in found.sentence
    assert "; reference " in found.sentence


def test_a_shift_that_is_over_is_said_to_be_over(traffic):
    traffic.steady(end="2026-11-10").steady(
        begin="2026-11-10", end="2026-11-13", autocomplete={SONNET: 45, HAIKU: 12, MINI: 43}
    )
    traffic.steady(begin="2026-11-13")
    during = surface(report(traffic, "2026-11-12", "2026-11-13")).verdict
    after = surface(report(traffic, "2026-11-19", "2026-11-20")).verdict
    later = surface(report(traffic, "2026-11-24", "2026-11-25")).verdict
    assert (during.kind, after.kind, later.kind) == ("shifted", "recovered", "steady")
    assert after.sentence == (
        f"`{MINI}` served 43.0% of `{AUTO}` from 2026-11-10 on, and is back at 5.0%; reference 5.0%."
    )


def test_a_new_model_is_named_with_when_it_was_first_seen(traffic):
    traffic.steady(end="2026-11-23").steady(
        begin="2026-11-23", autocomplete={SONNET: 81, HAIKU: 12, MINI: 5, "gemini-3-flash-001": 2}
    )
    made = report(traffic)
    found = surface(made).verdict
    assert (found.kind, found.evidence, found.served) == ("new_model", "rule", "gemini-3-flash-001")
    assert found.sentence == (
        f"`gemini-3-flash-001` served 2.0% of `{AUTO}` (48 requests, first seen 2026-11-23); "
        "the reference does not have it."
    )
    assert row(made, "gemini-3-flash-001").reference is None
    assert row(made, "gemini-3-flash-001").change == pytest.approx(0.02)


def test_a_model_that_vanished_is_listed_with_no_requests_and_named(traffic):
    traffic.steady(end="2026-11-24").steady(begin="2026-11-24", autocomplete={SONNET: 88, HAIKU: 12})
    made = report(traffic)
    gone = next(f for f in surface(made).findings if f.kind == "vanished_model")
    assert gone.sentence == (
        f"`{MINI}` no longer answers `{AUTO}`, last seen before 2026-11-24; reference 5.0%, 120 requests were to be "
        "expected."
    )
    assert (row(made, MINI).requests, row(made, MINI).share, row(made, MINI).state) == (0, 0.0, "vanished")


def test_a_model_that_takes_anothers_place_is_said_to(traffic):
    newer = "gpt-5-mini-2026-11-20"
    traffic.steady(end="2026-11-24").steady(begin="2026-11-24", chart_tooltip={newer: 8})
    made = report(traffic)
    assert kinds(made, "chart-tooltip") == ["vanished_model", "new_model"]
    assert surface(made, "chart-tooltip").verdict.sentence.endswith(
        f"`{newer}`, which the reference does not have, serves 100.0%: it seems to have taken its place."
    )


def test_another_spelling_of_a_model_is_no_shift(traffic):
    spelled = "anthropic/claude-sonnet-4.5-20250929"
    traffic.steady(end="2026-11-20").steady(begin="2026-11-20", autocomplete={spelled: 83, HAIKU: 12, MINI: 5})
    made = report(traffic)
    assert kinds(made) == ["renamed", "steady"]
    assert surface(made).verdict.level == "note"
    assert surface(made).verdict.sentence == (
        f"`{SONNET}` now answers as `{spelled}`: another spelling of one model, and no shift."
    )
    assert row(made, SONNET).spellings == (spelled,)
    assert row(made, SONNET).share == 0.83
    assert None not in row(made, SONNET).daily
    # What was counted stays what was counted.
    assert surface(made).mix.served[0].served == spelled


def test_one_answer_for_a_pinned_model_by_another_is_enough(traffic):
    traffic.steady().write([(at("2026-11-24T10:00"), key("long-form-draft", SONNET, HAIKU), 1)])
    made = report(traffic)
    assert made.surfaces[0].surface == "long-form-draft"
    found = made.surfaces[0].verdict
    assert (found.kind, found.evidence) == ("pin_violated", "count")
    assert found.sentence == f"`{SONNET}` is pinned, and `{HAIKU}` answered 1 of its 193 requests."
    assert row(made, HAIKU, "long-form-draft").state == "substituted"


def test_an_alias_on_a_surface_that_is_declared_pinned(traffic):
    traffic.steady().write([(at("2026-11-24T10:00"), key("long-form-draft", "gpt-5-mini", MINI), 4)])
    found = surface(report(traffic), "long-form-draft").verdict
    assert found.kind == "unpinned"
    assert found.sentence == (
        "4 requests for `gpt-5-mini`, which is an alias; the policy declares this surface pinned."
    )


def test_a_share_beyond_a_declared_limit(traffic):
    traffic.steady(end="2026-11-24").steady(begin="2026-11-24", autocomplete={SONNET: 20, HAIKU: 75, MINI: 5})
    made = report(traffic, reference=False)
    [limit] = surface(made).limits
    assert (limit.glob, limit.side, limit.share, limit.now, limit.beyond) == ("*haiku*", "max", 0.25, 0.75, True)
    found = surface(made).verdict
    assert found.kind == "beyond_limit"
    assert found.sentence.startswith("Models matching `*haiku*` served 75.0% of its requests")
    assert found.sentence.endswith("the policy allows at most 25.0%.")
    assert "no_reference" in kinds(made)


def test_requests_without_a_known_served_model_stay_beside_the_shares(traffic):
    traffic.steady().write(
        [
            (at("2026-11-24T10:00"), key("autocomplete", AUTO, ""), 600),
            (at("2026-11-24T10:00"), key("chart-tooltip", "gpt-5-mini", "", error="Timeout"), 50),
        ]
    )
    made = report(traffic)
    found = surface(made).verdict
    assert (found.kind, found.level) == ("unmeasured", "note")
    assert found.sentence == (
        "For 20.0% of 3,000 requests nobody reported the served model, or only the requested name came back; the "
        "limit is 5.0%. Shares are of the rest."
    )
    assert row(made, HAIKU).share == 0.12
    # A failed call has no served model to be reported.
    assert surface(made, "chart-tooltip").verdict.kind == "steady"


def test_a_surface_of_which_nothing_is_known_has_no_shares(traffic):
    traffic.steady(without=("chart-tooltip",)).write(
        [(at("2026-11-24T10:00"), key("chart-tooltip", "gpt-5-mini", ""), 90)]
    )
    made = report(traffic)
    found = surface(made, "chart-tooltip").verdict
    assert found.kind == "unmeasured"
    assert found.sentence == "Of 90 requests, none has a known served model: there are no shares."
    assert row(made, MINI, "chart-tooltip").share is None
    assert stream(made, "chart-tooltip").days[-1] == "unnamed"


def test_without_policy_and_reference_there_are_shares_and_no_verdict(traffic):
    made = report(traffic.steady(), policy=False, reference=False)
    assert {s.verdict.kind for s in made.surfaces} == {"no_reference"}
    assert not made.judged
    haiku = row(made, HAIKU)
    assert (haiku.share, haiku.reference, haiku.change, haiku.band) == (0.12, None, None, None)
    assert haiku.interval.low < 0.12 < haiku.interval.high


def test_that_there_is_no_reference_is_said_once_for_all_identifiers_of_a_surface(traffic):
    traffic.steady().write([(at("2026-11-24T10:00"), key("autocomplete", "auto", MINI), 400)])
    found = surface(report(traffic, policy=False, reference=False), "autocomplete")
    assert [stream.verdict.kind for stream in found.streams] == ["no_reference"] * 2
    assert [finding.kind for finding in found.findings] == ["no_reference"]


def test_a_stream_without_reference_is_named(traffic):
    traffic.steady().write([(at("2026-11-24T10:00"), key("beta", "auto", MINI), 400)])
    found = surface(report(traffic), "beta").verdict
    assert (found.kind, found.level) == ("no_reference", "note")
    assert found.sentence.startswith("`auto` has no reference: a shift would not be seen.")


def test_too_few_requests_are_not_called_steady(traffic):
    text = (traffic.path.parent / "reference.yaml").read_text("utf-8")
    (traffic.path.parent / "reference.yaml").write_text(
        text.replace("requests: 8400", "requests: 50").replace("effect: 3.4", "effect: 9.0")
    )
    traffic.steady(nightly_digest={SONNET: 0}, without=("nightly-digest",)).write(
        [(at("2026-11-24T10:00"), key("nightly-digest", AUTO, SONNET), 2)]
    )
    found = surface(report(traffic), "nightly-digest").verdict
    assert (found.kind, found.level) == ("too_little", "calm")
    assert found.sentence == "Too few requests to tell: with this traffic no shift is seen within 7 days."


# Absence --------------------------------------------------------------------------------------------------------------


def test_a_gap_is_a_gap_and_no_zero(traffic):
    traffic.steady(end="2026-11-15").steady(begin="2026-11-17")
    made = report(traffic)
    labels = [day.label for day in made.days]
    gap = labels.index("2026-11-15")
    assert stream(made).days[gap : gap + 3] == ("gap", "gap", "measured")
    assert row(made, SONNET).daily[gap : gap + 3] == (None, None, 0.83)
    assert stream(made).daily_requests[gap] == 0
    assert surface(made).verdict.kind == "steady"


def test_a_day_on_which_only_others_have_traffic_is_idle(traffic):
    traffic.steady(end="2026-11-15").steady(begin="2026-11-15", end="2026-11-16", without=("nightly-digest",))
    traffic.steady(begin="2026-11-16")
    made = report(traffic)
    day = [day.label for day in made.days].index("2026-11-15")
    assert stream(made, "nightly-digest").days[day] == "idle"
    assert row(made, MINI, "nightly-digest").daily[day] is None


def test_the_days_begin_with_the_first_request(traffic):
    made = report(traffic.steady())
    assert (made.days[0].label, made.days[-1].label, len(made.days)) == ("2026-11-03", "2026-11-24", 22)
    assert [day.in_range for day in made.days[-2:]] == [False, True]


def test_a_silent_surface_is_said_to_be_silent(traffic):
    traffic.steady(end="2026-11-24").steady(begin="2026-11-24", without=("chart-tooltip",))
    found = surface(report(traffic), "chart-tooltip").verdict
    assert (found.kind, found.level, found.evidence) == ("silent", "note", "rule")
    assert found.sentence == (
        "No request was counted, where 200 were to be expected by the reference; the last was counted on 2026-11-23."
    )


def test_of_days_that_begin_at_noon_it_says_before_when_the_last_request_was_counted(traffic):
    traffic.steady(end="2026-11-23T18:00").steady(begin="2026-11-23T18:00", without=("chart-tooltip",))
    found = surface(report(traffic, start="2026-11-24T12:00", end="2026-11-25T12:00"), "chart-tooltip").verdict
    assert "the last was counted before 2026-11-24 12:00" in found.sentence


def test_a_surface_that_rests_on_this_weekday_is_not_silent(traffic):
    for day in range(3, 25):
        begin, end = f"2026-11-{day:02}", f"2026-11-{day + 1:02}"
        traffic.steady(begin, end, without=("chart-tooltip",) if day in (3, 10, 17, 24) else ())
    found = surface(report(traffic), "chart-tooltip").verdict
    assert (found.kind, found.level) == ("no_traffic", "calm")


def test_an_hour_without_requests_is_no_silence(traffic):
    traffic.steady(end="2026-11-24")
    made = report(traffic, "2026-11-24T02:00", "2026-11-24T03:00")
    assert {s.verdict.kind for s in made.surfaces} == {"no_traffic"}


def test_a_day_without_any_traffic_says_so(traffic):
    traffic.steady(end="2026-11-24")
    made = report(traffic)
    assert (made.requests, made.judged) == (0, False)
    assert summary(made) == "No requests were counted in 2026-11-24 (UTC)."
    assert made.held == (at("2026-11-03T00:10"), at("2026-11-23T23:10"))
    assert surface(made).verdict.sentence.startswith("No request was counted, nor of any other surface, where 2,400")


def test_a_source_that_never_had_traffic(traffic):
    made = report(traffic, policy=False, reference=False)
    assert (made.surfaces, made.days, made.held) == ((), (), None)


# Ranges ---------------------------------------------------------------------------------------------------------------


def test_a_week_is_compared_as_a_week(traffic):
    made = report(traffic.steady(), "2026-11-18", LAST)
    assert row(made, HAIKU).requests == 7 * 288
    day, week = (row(report(traffic, start), HAIKU).interval for start in ("2026-11-24", "2026-11-18"))
    assert week.high - week.low < day.high - day.low
    assert [day.in_range for day in made.days] == [False] * 15 + [True] * 7


def test_a_day_that_is_not_over_is_marked_and_left_out_by_the_detector(traffic):
    traffic.steady(end="2026-11-24").steady(begin="2026-11-24", end="2026-11-24T05:00")
    made = report(traffic, now="2026-11-24T05:00")
    assert (made.over, made.days[-1].over, made.days[-2].over) == (False, False, True)
    assert surface(made).verdict.kind == "steady"


def test_the_last_24_hours_count_as_a_day_though_now_is_rounded_up(traffic):
    traffic.steady(end="2026-11-14").steady(begin="2026-11-14", autocomplete={SONNET: 76, HAIKU: 12, MINI: 12})
    source = open_source(traffic.source)
    end = at(LAST)
    made = build(source, end - DAY, end + 9.5, now=end, reference=pinned.load(traffic.path.parent / "reference.yaml"))
    assert made.over
    assert surface(made).verdict.evidence == "detector"


def test_a_range_that_ends_before_it_starts(traffic):
    with pytest.raises(ValueError, match="ends before it starts"):
        report(traffic, "2026-11-24", "2026-11-24")


def test_a_budget_for_all_surfaces_together_makes_the_detector_slower(traffic):
    traffic.steady(end="2026-11-16").steady(begin="2026-11-16", autocomplete={SONNET: 76, HAIKU: 12, MINI: 12})
    closeness = [stream(report(traffic, false_alarm_days=days)).closeness for days in (30, 1e9)]
    assert stream(report(traffic, false_alarm_days=30)).verdict.kind == "shifted"
    assert stream(report(traffic, false_alarm_days=1e30)).verdict.kind == "steady"
    assert all(0 <= of <= 1 for of in closeness)


# Partial sources ------------------------------------------------------------------------------------------------------


def otlp(path, rows, broken=False):
    """A file as the Collector's exporter writes it, of delta points."""
    with path.open("w", encoding="utf-8") as file:
        for when, (surface_, provider, operation, requested, served, kind, match, *_), requests in rows:
            words = {
                "llm_routing.surface": surface_,
                "gen_ai.provider.name": provider,
                "gen_ai.operation.name": operation,
                "gen_ai.request.model": requested,
                "gen_ai.response.model": served,
                "llm_routing.request.kind": kind,
                "llm_routing.match": match,
            }
            point = {
                "attributes": [{"key": name, "value": {"stringValue": value}} for name, value in words.items()],
                "startTimeUnixNano": str((when - HOUR) * 10**9),
                "timeUnixNano": str(when * 10**9),
                "asInt": str(requests),
            }
            metric = {
                "name": "llm_routing.requests",
                "sum": {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": [point]},
            }
            file.write(json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}) + "\n")
        if broken:
            file.write('{"resourceMetrics": [{"scopeMetrics": [{"metr\n{}\n')


def hours(mix, begin, end):
    for hour in range(at(begin), at(end), HOUR):
        for served, requests in mix.items():
            yield hour + 600, key(*AUTOCOMPLETE, served), requests


@pytest.mark.parametrize(
    ("mix", "kind"), [({SONNET: 83, HAIKU: 12, MINI: 5}, "partial"), ({SONNET: 45, HAIKU: 12, MINI: 43}, "shifted")]
)
def test_a_source_that_answers_in_part_is_reported_as_partial(traffic, tmp_path, mix, kind):
    otlp(tmp_path / "metrics.json", hours(mix, "2026-11-24", LAST), broken=True)
    made = report(traffic, policy=False, source=f"otlp:{tmp_path / 'metrics.json'}")
    assert len(made.partial) == 1
    assert surface(made).verdict.kind == kind
    assert "partial" in kinds(made)
    assert not made.judged
    # That others are missing may be for the same reason.
    assert {s.verdict.kind for s in made.surfaces if s.surface != "autocomplete"} == {"partial"}


def test_a_whole_file_gives_what_a_database_gives(traffic, tmp_path):
    mix = {SONNET: 83, HAIKU: 12, MINI: 5}
    otlp(tmp_path / "metrics.json", hours(mix, "2026-11-03", LAST))
    traffic.write(hours(mix, "2026-11-03", LAST))
    from_file = report(traffic, policy=False, source=f"otlp:{tmp_path / 'metrics.json'}")
    assert from_file.partial == ()
    assert from_file.surfaces == report(traffic, policy=False).surfaces


# Costs ----------------------------------------------------------------------------------------------------------------


def tokens(surface_, requested, served, read, written, provider="openai"):
    words = key(surface_, requested, served, provider, kind="unknown", match="unreported", source="none")
    when = at("2026-11-24T10:05")
    return [(when, words, read, "llm_routing.input_tokens"), (when, words, written, "llm_routing.output_tokens")]


def test_a_served_model_is_priced_by_its_own_name_and_provider(traffic):
    pytest.importorskip("genai_prices")
    when = at("2026-11-24T10:00")
    traffic.write(
        [
            (when, key("chat", "gpt-5", "gpt-5-mini-2025-08-07", "openai"), 100),
            (when, key("chat", "gpt-5", "gpt-5-2025-08-07", "openai"), 100),
            (when, key("chat", "gpt-5", "gpt-99-2099-01-01", "openai"), 100),
            (when, key("chat", "gpt-5", "some-model", "openai"), 100),
            (when, key("chat", "gpt-5", "gpt-5-nano-2025-08-07", "my-gateway"), 100),
            *tokens("chat", "gpt-5", "gpt-5-mini-2025-08-07", 100_000, 10_000),
            *tokens("chat", "gpt-5", "gpt-5-2025-08-07", 100_000, 10_000),
            *tokens("chat", "gpt-5", "gpt-99-2099-01-01", 100_000, 10_000),
            *tokens("chat", "gpt-5", "gpt-5-nano-2025-08-07", 100_000, 10_000, "my-gateway"),
        ]
    )
    made = report(traffic, policy=False, reference=False)
    mini = row(made, "gpt-5-mini-2025-08-07", "chat").cost
    # $0.25 and $2 a million tokens: 1,000 requests of 1,000 and 100 tokens.
    assert mini.per_thousand == pytest.approx(0.25 + 0.2)
    assert mini.total == pytest.approx(0.045)
    assert (mini.input_tokens, mini.output_tokens, mini.priced_as) == (1000, 100, "openai/gpt-5-mini")
    assert row(made, "gpt-5-2025-08-07", "chat").cost.per_thousand == pytest.approx(1.25 + 1.0)
    assert {
        name: row(made, name, "chat").cost_unknown
        for name in ("gpt-99-2099-01-01", "some-model", "gpt-5-nano-2025-08-07")
    } == {
        "gpt-99-2099-01-01": "unknown price",
        "some-model": "no token counts",
        "gpt-5-nano-2025-08-07": "unknown price",
    }
    assert (made.prices.date, made.prices.name.split()[0]) == ("2026-11-24", "genai-prices")


def test_answers_from_a_cache_and_failed_calls_do_not_make_a_model_dearer(traffic):
    pytest.importorskip("genai_prices")
    when = at("2026-11-24T10:00")
    name = "gpt-5-mini-2025-08-07"
    traffic.write(
        [
            (when, key("chat", "gpt-5", name, "openai"), 100),
            (when, key("chat", "gpt-5", name, "openai", cached="true"), 100),
            *tokens("chat", "gpt-5", name, 200_000, 20_000),
        ]
    )
    cost = row(report(traffic, policy=False, reference=False), name, "chat").cost
    assert (cost.per_thousand, cost.total) == (pytest.approx(0.45), pytest.approx(0.045))


def test_costs_that_nobody_asked_for(traffic):
    made = report(traffic.steady(), costs=False)
    assert made.prices is None
    assert (row(made, HAIKU).cost, row(made, HAIKU).cost_unknown) == (None, "")


def test_costs_without_the_list_of_prices_are_said_to_be_missing(traffic, monkeypatch):
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    made = report(traffic.steady())
    assert made.prices is None
    assert "otel-llm-routing[prices]" in prices(made)
    assert prices(report(traffic, costs=False)) == ""


# Traffic or router ----------------------------------------------------------------------------------------------------

SHORT, LONG = {SONNET: 90, MINI: 10}, {SONNET: 20, MINI: 80}
"""Of a hundred requests of either size, what served how many."""


def sized(begin, end, short, long, router=SHORT):
    """Each hour so many hundreds of short and of long requests."""
    for hour in range(at(begin), at(end), HOUR):
        for served in (SONNET, MINI):
            bins = [0.0] * 11
            bins[1], bins[7] = float(short * router[served]), float(long * LONG[served])
            words = key(*AUTOCOMPLETE, served)
            yield hour + 600, words, sum(bins)
            yield hour + 600, words, (sum(bins), 0.0, *bins), semconv.INPUT_SIZE


@pytest.mark.parametrize(
    ("now", "verdict", "said"),
    [
        ({"short": 1, "long": 3}, "traffic", "It was our own traffic."),
        (
            {"short": 3, "long": 1, "router": {SONNET: 40, MINI: 60}},
            "router",
            "It was the router, or a request property we do not record.",
        ),
    ],
)
def test_our_traffic_is_told_from_their_router(traffic, now, verdict, said):
    traffic.write(sized("2026-10-20", "2026-11-17", 3, 1))
    source = open_source(traffic.source)
    found = pin(source, name=traffic.source, reason="agreed", end=at("2026-11-17"), days=28)
    (traffic.path.parent / "reference.yaml").write_text(pinned.dump(found.reference), "utf-8")
    traffic.write(sized("2026-11-17", "2026-11-24", 3, 1)).write(sized("2026-11-24", LAST, **now))
    made = report(traffic, policy=False)
    assert surface(made).verdict.kind == "shifted"
    split = stream(made).decomposition
    assert split.verdict == verdict
    assert split.sentence.startswith(said)
    assert f" `{split.effects[0].served}` went from " in split.sentence
    effect = split.effects[0]
    assert effect.traffic + effect.router == pytest.approx(effect.now - effect.then)
    sonnet = row(made, SONNET)
    # With the sizes of then, only the router moves a share.
    assert (abs(sonnet.adjusted - sonnet.reference) < 0.01) == (verdict == "traffic")


def test_where_no_sizes_are_known_nothing_is_said_of_them(traffic):
    assert stream(report(traffic.steady())).decomposition is None
    assert row(report(traffic), HAIKU).adjusted is None


# Time zones -----------------------------------------------------------------------------------------------------------


def test_the_days_of_another_time_zone(traffic):
    made = report(traffic.steady(), "2026-11-23T05:00", "2026-11-24T05:00", zone=ZoneInfo("America/New_York"))
    assert (made.days[-1].label, made.timezone) == ("2026-11-23", "America/New_York")
    assert summary(made).startswith("2026-11-23 (America/New_York): ")
