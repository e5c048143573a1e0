"""A bet wins nothing on average while a share stays within its band, whatever the day and the day before."""

from __future__ import annotations

import math

import numpy as np
import pytest

from otel_llm_routing.analyze.evidence import TILTS, Bets, Evidence
from otel_llm_routing.analyze.interval import effective_requests, wilson
from otel_llm_routing.analyze.log_gamma import log_gamma


def beta(a, b):
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def beta_binomial(count, n, q, m):
    """The probability, but for n over c."""
    return math.exp(beta(count + m * q, n - count + m * (1 - q)) - beta(m * q, m * (1 - q)))


def log_e(counts, n, edge, m):
    counts = np.asarray(counts, dtype=float)
    bets = Bets(np.full(len(counts), edge), np.full(len(counts), m))
    return bets.log_e(counts, np.full(len(counts), float(n)))


def test_log_gamma_is_the_standard_librarys():
    x = np.concatenate([10 ** np.linspace(-9, 10, 4001), np.linspace(0.01, 20, 2001), [1.0, 2.0]])
    truth = np.array([math.lgamma(value) for value in x])
    assert np.abs(log_gamma(x) - truth).max() < 1e-3
    assert (np.abs(log_gamma(x) - truth) / np.maximum(np.abs(truth), 1)).max() < 1e-11
    assert log_gamma(0.5) == pytest.approx(math.log(math.pi) / 2)
    assert log_gamma(x.reshape(2, -1)).shape == (2, len(x) // 2)


@pytest.mark.parametrize("m", [50, 300, 2000])
@pytest.mark.parametrize("edge", [0.011, 0.15, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("n", [1, 2, 7, 60])
def test_a_bet_expects_one_at_the_edge_and_less_within(n, edge, m):
    counts = np.arange(n + 1)
    values = np.exp(log_e(counts, n, edge, m))
    ways = np.array([math.comb(n, c) for c in counts])
    for part in (1.0, 0.999, 0.8, 0.3, 0.01):
        likely = ways * np.array([beta_binomial(c, n, edge * part, m) for c in counts])
        assert likely.sum() == pytest.approx(1)
        expected = likely @ values
        if part == 1:
            assert expected == pytest.approx(1, abs=1e-9)
        else:
            assert (expected < 1).all()


@pytest.mark.parametrize("m", [50, 2000])
@pytest.mark.parametrize("p", [0.02, 0.12, 0.5, 0.83])
@pytest.mark.parametrize("n", [1, 20, 500])
def test_a_share_that_does_not_wobble_wins_nothing_either(n, p, m):
    edge = p + max(0.01, math.sqrt(p * (1 - p) / m))
    counts = np.arange(n + 1.0)
    log_ways = math.lgamma(n + 1) - log_gamma(counts + 1) - log_gamma(n - counts + 1)
    log_likely = log_ways + counts * math.log(p) + (n - counts) * math.log1p(-p)
    assert np.exp(log_likely).sum() == pytest.approx(1)
    assert (np.exp(log_likely[:, None] + log_e(counts, n, edge, m)).sum(axis=0) <= 1).all()


@pytest.mark.parametrize("session", [1.5, 4.0])
def test_bursts_of_sessions_of_all_sizes_win_nothing(session):
    rng = np.random.default_rng(1)
    p, m, days = 0.12, 300, 40_000
    shares = rng.beta(m * p, m * (1 - p), size=days)
    sessions = rng.poisson(np.stack([shares, 1 - shares]) * 200 / session)
    requests = sessions + np.where(sessions > 0, rng.negative_binomial(np.maximum(sessions, 1), 1 / session), 0)
    count, n = requests / (2 * session - 1)
    bets = Bets(np.full(days, p + math.sqrt(p * (1 - p) / m)), np.full(days, float(m)))
    values = np.exp(bets.log_e(count, count + n))
    # 0.68 and 0.87 of the most timid bet, with standard errors of 0.003; the others win less
    assert (values.mean(axis=0) < 1).all()


def test_a_bet_gains_with_every_request():
    values = np.exp(log_e(np.linspace(0, 80, 321), 80, 0.3, 300))
    assert (np.diff(values, axis=0) > 0).all()
    assert (values[0] < 1).all()
    assert (values[-1] > 1).all()


@pytest.mark.parametrize("n", [1e9, 1e12, 1e15, 1e18])
def test_any_number_of_requests_says_as_much_as_the_share_itself(n):
    few, many = (log_e([0.16 * size, 0.12 * size], size, 0.15, 300) for size in (1e9, n))
    assert many == pytest.approx(few, abs=1e-3)
    assert (many[1] < 0.0).all()


def test_evidence_is_the_recursion():
    edges, m, n = [0.15, 0.4], 300.0, [40.0, 35.0, 0.0, 50.0]
    counts = [[12.0, 11.0, 0.0, 20.0], [9.5, 20.0, 0.0, 30.0]]
    evidence = Evidence(np.array(edges), np.array([m, m]), np.array([2]))
    by_hand = [[0.0] * len(TILTS) for _ in edges]
    for day, total in enumerate(n):
        evidence.add(np.array(counts)[:, day], np.full(2, total), np.array([total > 0]))
        if total == 0:
            continue
        for row, edge in enumerate(edges):
            for j, tilt in enumerate(TILTS):
                q = 1 / (1 + math.exp(-math.log(edge / (1 - edge)) - tilt))
                e = beta_binomial(counts[row][day], total, q, m) / beta_binomial(counts[row][day], total, edge, m)
                by_hand[row][j] = (1 + by_hand[row][j]) * e
    mean = sum(map(sum, by_hand)) / (2 * len(TILTS))
    assert mean > 1
    assert math.exp(evidence.log_means()[0]) == pytest.approx(mean)
    assert np.exp(evidence.log_rows(0)) == pytest.approx([sum(row) for row in by_hand])
    evidence.restart(0)
    assert math.exp(evidence.log_means()[0]) == 0


# The interval ---------------------------------------------------------------------------------------------------------


def test_wilsons_interval_is_the_textbooks():
    low, high = wilson(81 / 263, 263)  # Newcombe, Statistics in Medicine 1998, table I: 0.2553 to 0.3662
    assert (float(low), float(high)) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    low, high = wilson(0.0, 20)  # ibid.: 0 to 0.1611
    assert (float(low), float(high)) == pytest.approx((0.0, 0.1611), abs=5e-5)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_without_requests_every_share_is_possible(share):
    low, high = wilson(share, 0)
    assert (float(low), float(high)) == pytest.approx((0, 1))


def test_an_interval_holds_the_share_in_nineteen_of_twenty_cases():
    rng = np.random.default_rng(3)
    p, m, session = 0.15, 200, 2
    hit = 0
    for _ in range(1000):
        shares = rng.beta(m * p, m * (1 - p), size=5)
        sessions = rng.poisson(np.stack([shares, 1 - shares]) * 150 / session)
        requests = sessions + np.where(sessions > 0, rng.negative_binomial(np.maximum(sessions, 1), 1 / session), 0)
        n = requests.sum(axis=0)
        low, high = wilson(requests[0].sum() / n.sum(), effective_requests(n, 2 * session - 1, m))
        hit += bool(low <= p <= high)
    assert 930 < hit < 970


def test_bursts_and_few_days_are_worth_less():
    assert effective_requests([100, 100], 1, 1e9) == pytest.approx(200, rel=1e-5)
    assert effective_requests([100, 100], 4, 1e9) == pytest.approx(50, rel=1e-5)
    assert effective_requests([1e9], 1, 300) == pytest.approx(300, rel=1e-5)
    assert effective_requests([1e9, 1e9, 0], 1, 300) == pytest.approx(600, rel=1e-5)
    assert effective_requests([0, 0], 1, 300) == 0
