"""The noise estimated from simulated traffic is the noise that was simulated.

Requests come in sessions that one model serves; the mix of a day is drawn from a Dirichlet distribution around the
shares. Figures in comments are of these seeds, for whoever changes the estimator: it may not become worse.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from otel_llm_routing.analyze import noise, shift

SHARES = (0.83, 0.12, 0.05)
VOLUMES = {"20 a day": 20 / 24, "200 a day": 200 / 24, "100 an hour": 100.0, "10,000 an hour": 10_000.0}
STREAMS = 60


def traffic(
    rng, per_hour, *, phi=1.0, m=300.0, days=28, fixed=False, weekend=1.0, night=0, mix_cycle=0.0, shares=SHARES
):
    """Return counts (hours, models). Sessions are of ``phi`` requests, or geometric with that design effect."""
    hour, day = np.arange(days * 24) % 24, np.arange(days * 24) // 24
    rate = per_hour * (1 + 0.8 * np.sin(2 * np.pi * (hour - 9) / 24))
    rate[hour < night] = 0
    rate[day % 7 >= 5] *= weekend
    mix = np.repeat(rng.dirichlet(m * np.array(shares), size=days), 24, axis=0)
    swing = mix_cycle * np.sin(2 * np.pi * hour / 24)
    mix[:, 0] -= swing
    mix[:, 1] += swing
    mix = np.clip(mix, 0, None)
    mix /= mix.sum(axis=1, keepdims=True)
    mean = phi if fixed else (phi + 1) / 2
    sessions = rng.poisson(rate[:, None] * mix / mean)
    if fixed:
        return (sessions * mean).astype(float)
    more = rng.negative_binomial(np.maximum(sessions, 1), 1 / mean) if mean > 1 else 0
    return (sessions + np.where(sessions > 0, more, 0)).astype(float)


def estimates(seed=1, streams=STREAMS, **kind):
    """Return φ and m of many streams: arrays."""
    rng = np.random.default_rng(seed)
    found = [noise.estimate(traffic(rng, **kind)) for _ in range(streams)]
    return np.array([n.design_effect for n in found]), np.array([n.concentration for n in found])


def scatter(values):
    """Return the typical factor around the geometric mean."""
    return math.exp(np.std(np.log(values)))


@pytest.mark.parametrize("phi", [1, 3, 6])
@pytest.mark.parametrize("volume", ["20 a day", "200 a day", "100 an hour"])
def test_sessions_of_one_size_are_the_design_effect(volume, phi):
    found, _ = estimates(per_hour=VOLUMES[volume], phi=phi, fixed=True)
    # 1.0 to 1.2, 2.9 to 3.1, 5.9 to 6.3
    assert found.mean() == pytest.approx(phi, rel=0.12, abs=0.2)


@pytest.mark.parametrize(
    ("volume", "phi", "low", "high"),
    [
        ("20 a day", 3, 2.3, 3.2),  # 2.7; by plain sums 2.2
        ("200 a day", 3, 2.5, 3.2),  # 2.7; by plain sums 1.9
        ("100 an hour", 3, 2.8, 3.2),  # 2.9
        ("20 a day", 6, 4.5, 6.5),  # 4.9; by plain sums 3.3
        ("200 a day", 6, 4.5, 6.5),  # 4.9; by plain sums 2.7
        ("100 an hour", 6, 5.5, 6.5),  # 5.8; by plain sums 4.8
    ],
)
def test_sessions_of_all_sizes_are_not_underestimated_by_quiet_hours(volume, phi, low, high):
    found, _ = estimates(per_hour=VOLUMES[volume], phi=phi)
    assert low < found.mean() < high


def test_what_the_mix_does_at_midnight_is_hardly_read_as_bursts():
    found, _ = estimates(per_hour=VOLUMES["10,000 an hour"], phi=1)
    assert found.mean() < 1.6  # 1.35; by plain sums 1.8


def test_the_design_effect_of_a_stream_is_about_as_sure_as_its_traffic_allows():
    found, _ = estimates(per_hour=VOLUMES["200 a day"], phi=3)
    assert found.std() < 0.35  # 0.25; in blocks of at least 10 requests 0.44


@pytest.mark.parametrize("phi", [1, 3])
@pytest.mark.parametrize("m", [300, 1000])
@pytest.mark.parametrize("volume", ["100 an hour", "10,000 an hour"])
def test_the_concentration_is_the_true_one_less_what_caution_takes_off(volume, m, phi):
    _, found = estimates(per_hour=VOLUMES[volume], phi=phi, m=m)
    days = 28  # they all tell, or nearly so
    shrunk = (days / m + noise.PRIOR_DAYS / noise.PRIOR_CONCENTRATION) / (days + noise.PRIOR_DAYS)
    meant = 1 / (noise.SHRINK * shrunk)
    assert np.exp(np.log(found).mean()) == pytest.approx(meant, rel=0.15)
    assert scatter(found) < 1.3


def test_a_rough_mix_is_told_from_a_calm_one():
    rough, calm = (estimates(per_hour=100, phi=2, m=m)[1] for m in (60, 1000))
    assert np.quantile(rough, 0.9) < 180  # 116 in the middle
    assert np.quantile(calm, 0.1) > 500  # 760 in the middle


@pytest.mark.parametrize("m", [60, 300, 1000])
def test_little_traffic_leaves_the_concentration_at_what_is_usual(m):
    _, found = estimates(per_hour=VOLUMES["20 a day"], phi=1, m=m)
    assert 250 < np.exp(np.log(found).mean()) < 450  # 293, 389, 400; usual is 300 / 0.75
    assert scatter(found) < 1.6  # 1.5 at most; where every day counts as informative, 4


@pytest.mark.parametrize("volume", ["20 a day", "200 a day", "100 an hour"])
def test_near_empty_weekends_do_not_drown_the_week(volume):
    _, found = estimates(per_hour=VOLUMES[volume], phi=3, m=300, weekend=0.02)
    assert 250 < np.exp(np.log(found).mean()) < 480  # 288, 395, 422; 300 / 0.75 is meant
    assert scatter(found) < 1.65  # 1.55 at most; with every day the same weight 2.3


def test_nights_without_traffic_say_nothing():
    phi, m = estimates(per_hour=100, phi=3, m=300, night=12)
    assert phi.mean() == pytest.approx(3, rel=0.12)
    assert np.exp(np.log(m).mean()) == pytest.approx(400, rel=0.15)


def test_a_nightly_job_of_one_hour_is_measured_from_night_to_night():
    rng = np.random.default_rng(5)
    found = []
    for _ in range(STREAMS):
        hours = np.zeros((28 * 24, 2))
        hours[3::24] = 3 * rng.binomial(40, [0.6, 0.4], size=(28, 2))
        found.append(noise.estimate(hours).design_effect)
    # Both columns are drawn by themselves, so a night's total varies too; taken for neighbours, empty hours gave 1.
    assert 1.3 < np.mean(found) < 3.5


def test_a_daily_cycle_of_the_mix_is_no_wobble_of_the_day():
    """It must not raise the noise of the windows of a day and a week, in which shifts are looked for."""
    shares = (0.5, 0.45, 0.05)
    _, flat = estimates(per_hour=100, phi=2, shares=shares)
    _, cycling = estimates(per_hour=100, phi=2, shares=shares, mix_cycle=0.15)
    assert np.median(cycling) == pytest.approx(np.median(flat), rel=0.1)


def test_one_served_model_has_no_noise_to_estimate():
    hours = np.full((28 * 24, 1), 7.0)
    assert noise.estimate(hours) == pytest.approx((1.0, noise.PRIOR_CONCENTRATION / noise.SHRINK))


@pytest.mark.parametrize(
    "hours",
    [
        np.eye(24)[:1, :2],  # one request
        np.concatenate([np.zeros((100, 2)), np.ones((1, 2))]),  # one hour, in an unfinished day
        np.full((28 * 24, 3), 1e9),  # huge, and without any noise
        np.eye(3)[np.arange(28 * 24) % 3] * 1e9,  # huge, and as noisy as can be
    ],
)
def test_whatever_the_counts_the_noise_is_within_its_limits(hours):
    found = noise.estimate(hours)
    assert noise.DESIGN_EFFECT[0] <= found.design_effect <= noise.DESIGN_EFFECT[1]
    assert noise.CONCENTRATION[0] <= found.concentration <= noise.CONCENTRATION[1]


@pytest.mark.parametrize(("seed", "kind"), [(7, {}), (8, {"weekend": 0.02})])
def test_the_estimate_keeps_the_rules_quiet_on_the_weeks_after_it(seed, kind):
    """The point of it all: false alarms of the 24 h rule, on four weeks of the same traffic.

    In 300 months of such traffic, alarms a month: 0.080 with the plain formulas, 0.240 with quiet weekends; now 0.033
    and 0.017.
    """
    rng = np.random.default_rng(seed)
    fired, months = 0, 100
    for _ in range(months):
        hours = traffic(rng, VOLUMES["200 a day"], phi=3, days=56, **kind)
        base, after = hours[: 28 * 24], hours[28 * 24 :]
        found = noise.estimate(base)
        total = np.cumsum(np.concatenate([np.zeros((1, 3)), after]), axis=0)
        day = total[24:] - total[:-24]
        n = day.sum(axis=1)
        p = base.sum(axis=0) / base.sum()
        effective = shift.effective_requests(n, base.sum(), *found, 1.0)
        far = shift.score(day, n[:, None], p, effective[:, None]) > 10
        fired += bool((far & (np.abs(day / np.maximum(n, 1)[:, None] - p) >= 0.03)).any())
    assert fired / months <= 0.08


@pytest.mark.parametrize(("share", "n"), [(0.5, 1000), (0.12, 1000), (0.12, 100), (0.01, 1000), (0.97, 300)])
def test_half_of_the_smallest_detectable_shifts_are_seen(share, n):
    change = float(shift.detectable(share, n, 10))
    moved = share + change if share < 0.5 else share - change
    seen = shift.score(np.random.default_rng(3).binomial(n, moved, 20_000), n, share, n) > 10
    assert 0.4 < seen.mean() < 0.6


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 6, 10])
def test_a_shift_that_could_be_seen_is_seen_when_every_request_moves(share, n):
    effective = shift.effective_requests(n, 60, 1.0, 300.0, 1.0)
    moved = shift.score(n if share <= 0.5 else 0, n, share, effective)
    assert (float(shift.detectable(share, effective, 10, n)) < 1) == (float(moved) > 10)


def test_no_traffic_detects_nothing():
    assert shift.detectable([0.5, 1.0], [0.0, 0.0], 10).tolist() == [1.0, 1.0]
