"""How often limits at 95 % are not below the signal, by sums over all that can be counted."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from one_count import (
    RARE,
    REACH,
    OneCount,
    coverage,
    coverage_with_sideband,
    just_above,
    likely,
    limits_with_sideband,
    up_to,
)
from scipy.optimize import brentq
from scipy.stats import norm, poisson

import zfit_dark as zd
from zfit_dark.counting import Count, exact_limit

FAR = 4.0
"""Errors; one number in 16 000 is further off by chance."""


@pytest.fixture(scope="module")
def limits():
    """Limits of a method for all counts that matter at a background."""
    one = OneCount("coverage")

    @cache
    def limits(b, method):
        def limit(n):
            found = one.limit(n, b, method=method, toys=zd.Toys(seed=100 + n))
            assert found.valid
            return found

        return up_to(REACH[b], likely(b), limit)

    return limits


def observed(limits):
    return np.array([limit.observed for limit in limits])


def closed_form(n, b):
    """The exact limit of a count."""
    return brentq(lambda s: poisson.cdf(n, s + b) / poisson.cdf(n, b) - 0.05, 0.1, 100, xtol=1e-9)


def asymptotic(n, b, alpha=0.05):
    """The asymptotic limit of a count (arXiv:1007.1727, q-tilde), its formulas written out."""

    def nll(n, rate):
        return rate - (n * np.log(rate) if n else 0.0)

    def log_cls(s):
        best = max(n - b, 0.0)
        q = 2 * (nll(n, s + b) - nll(n, best + b)) if best < s else 0.0
        q_asimov = 2 * (nll(b, s + b) - nll(b, b))
        root, half = np.sqrt(q), np.sqrt(q_asimov)
        if q <= q_asimov:
            tails = norm.logsf(root), norm.logsf(root - half)
        else:
            tails = norm.logsf((q + q_asimov) / (2 * half)), norm.logsf((q - q_asimov) / (2 * half))
        return tails[0] - tails[1] - np.log(alpha)

    return brentq(log_cls, 1e-3, 100 + 5 * n, xtol=1e-10)


# ------------------------------------------------------------------ a known background


def test_coverage_is_the_share_of_toys_that_a_limit_covers():
    """Within 4 errors of a binomial: 1 seed in 4000 fails one of four."""
    b, of_count = 0.5, [exact_limit([Count(n, 1.0, background=0.5)]).observed for n in range(25)]
    for s in (0.5, 2.9, 3.1, 8.0):
        counts = np.random.default_rng(8).poisson(s + b, 100_000)
        share = np.mean(np.array(of_count)[counts] >= s)
        expected = float(coverage(s, b, of_count))
        assert abs(share - expected) <= FAR * np.sqrt(expected * (1 - expected) / 100_000)


@pytest.mark.parametrize("b", REACH)
def test_exact_limits_cover_any_signal(limits, b):
    """So method "auto" does, which is exact at these backgrounds."""
    found, first = limits(b, "auto"), likely(b)
    assert all(each.how.startswith("exact: ") for each in found)
    n = first + np.arange(len(found))
    np.testing.assert_allclose(observed(found), [closed_form(k, b) for k in n], rtol=1e-6)
    where = just_above(observed(found))
    # in closed form: the count and all smaller ones miss, and have a CLs of 0.05 together
    expected = 1 - 0.05 * poisson.cdf(n[:-1], b)
    found_here = coverage(where, b, observed(found), first)
    np.testing.assert_allclose(found_here, expected, atol=1e-6)
    grid = np.linspace(0.0, REACH[b], 500)
    assert np.all(coverage(grid, b, observed(found), first) >= 0.95 - 1e-6)


def test_few_events_get_the_same_limits_by_auto_and_exact(limits):
    np.testing.assert_array_equal(observed(limits(0.5, "auto")), observed(limits(0.5, "exact")))


@pytest.mark.parametrize("b", REACH)
def test_asymptotic_limits_are_those_of_the_formulas(limits, b):
    found, first = observed(limits(b, "asymptotic")), likely(b)
    expected = [asymptotic(n, b) for n in range(first, first + len(found))]
    np.testing.assert_allclose(found, expected, rtol=1e-7)


@pytest.mark.parametrize(
    ("b", "per_cent"), [(0.05, 86.92), (0.5, 91.22), (3.0, 92.68), (30.0, 94.00), (100.0, 94.40)]
)
def test_where_asymptotic_limits_do_not_cover(b, per_cent):
    """Method "auto" takes them from 100 background events on."""
    reach, first = REACH.get(b, 60.0), likely(b)
    found = [asymptotic(first, b)]
    while found[-1] < reach:
        found.append(asymptotic(first + len(found), b))
    smallest = coverage(just_above(found), b, found, first).min()
    assert 100 * smallest == pytest.approx(per_cent, abs=0.01)


@pytest.mark.slow
def test_limits_by_toys_cover_any_signal(limits):
    """Every signal within 4 errors, 500 signals within 2: 1 set of seeds in 40 fails the latter.

    A limit that is too small by its error misses signals with the probability of its count more.
    """
    b = 0.5
    found, first = limits(b, "toys"), likely(b)
    values, errors = observed(found), np.array([each.observed_error for each in found])
    assert np.all(np.diff(values) > 0)
    exact = np.array([closed_form(n, b) for n in range(first, first + len(found))])
    assert np.all(np.abs(values - exact) < FAR * errors)
    for signals, far in ((just_above(values), FAR), (np.linspace(0.1, REACH[b], 500), 2.0)):
        below = np.searchsorted(values, signals) - 1
        error = np.where(below < 0, 0.0, errors[below] * poisson.pmf(first + below, signals + b))
        assert np.all(coverage(signals, b, values, first) >= 0.95 - far * error)


# ------------------------------------------------------------------ a sideband


@pytest.mark.parametrize(
    ("b", "tau", "reach", "rare"),
    [(0.5, 1.0, 7.0, 1e-7), pytest.param(3.0, 1.0, 14.0, RARE, marks=pytest.mark.slow)],
)
def test_exact_limits_with_a_sideband_cover_any_signal(b, tau, reach, rare):
    """The background is known from the data alone, so nothing in closed form says so."""
    limits = limits_with_sideband(b, tau, reach, rare)
    signals = np.concatenate([just_above(each) for each in limits.values()])
    assert signals.size > 30
    assert 0.95 <= coverage_with_sideband(signals, b, tau, limits).min() < 0.97


@pytest.mark.parametrize(
    ("b", "tau", "reach"),
    [
        (0.1, 3.0, 6.0),
        (0.1, 10.0, 6.0),
        pytest.param(1.0, 10.0, 8.0, marks=pytest.mark.slow),
    ],
)
def test_exact_limits_with_a_precise_sideband_cover(b, tau, reach):
    """The p-values are those of the background that fits the data, not of the worst one.

    So the smallest coverage of any signal, which is just above a possible limit, may fall short of
    the level a little (by 0.4 % at b = 1, tau = 10); between these values it is larger, and the
    mean over signals is above the level. Rare counts of the sideband cost 0.02 %.
    """
    limits = limits_with_sideband(b, tau, reach, RARE)
    signals = np.concatenate([just_above(each) for each in limits.values()])
    signals = signals[signals < reach]  # larger ones would need the limits of larger counts
    assert signals.size > 10
    assert coverage_with_sideband(signals, b, tau, limits).min() >= 0.945
    evenly = np.linspace(0.0, reach, 200)
    assert coverage_with_sideband(evenly, b, tau, limits).mean() >= 0.95
