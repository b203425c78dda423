"""Exact limits of counting experiments against closed forms, plain loops, Li and Ma, and pyhf."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad, quad_vec
from scipy.optimize import brentq, minimize_scalar
from scipy.special import ndtr, ndtri
from scipy.stats import norm, poisson

from zfit_dark.counting import Count, cls, exact_limit
from zfit_dark.counting.counts import best_fit, data_of, nll
from zfit_dark.counting.sums import Sums, scales_of
from zfit_dark.errors import InputError

slowly = settings(max_examples=6, deadline=None, derandomize=True)


def closed_form(n: int, b: float, alpha: float = 0.05) -> float:
    """Limit on the signal with one channel of known background."""
    return brentq(
        lambda s: poisson.cdf(n, s + b) / poisson.cdf(n, b) - alpha, 0, 100 + 5 * n, xtol=1e-12
    )


# -- one known background ----------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize(("b", "per_poi"), [(0.0, 1.0), (0.3, 2.0), (7.0, 0.1), (60.0, 1.0)])
def test_no_event_excludes_minus_log_alpha_whatever_the_background(b, per_poi, level) -> None:
    limit = exact_limit([Count(on=0, per_poi=per_poi, background=b)], level)
    assert limit.observed * per_poi == pytest.approx(-math.log(1 - level), rel=1e-6)


@pytest.mark.parametrize(
    ("b", "table"), [(0.0, (3.00, 4.74, 6.30, 7.75)), (1.0, (3.00, 4.11, 5.41, 6.78))]
)
def test_textbook_table(b: float, table: tuple[float, ...]) -> None:
    found = [exact_limit([Count(n, 1.0, background=b)]).observed for n in range(4)]
    assert np.round(found, 2).tolist() == list(table)


@pytest.mark.parametrize(("n", "b"), [(1, 0.4), (5, 5.0), (12, 3.3), (40, 52.0)])
def test_one_known_background_is_the_ratio_of_poisson_sums(n: int, b: float) -> None:
    limit = exact_limit([Count(n, 1.0, background=b)])
    assert limit.observed == pytest.approx(closed_form(n, b), rel=1e-6)
    above = 1.1 * max(n - b, 1.0)  # CLs is one for what is below the best fit
    assert cls([Count(n, 0.5, background=b)], 2 * above) == pytest.approx(
        poisson.cdf(n, above + b) / poisson.cdf(n, b), rel=1e-8
    )
    # expected: the limit of each count, in the order of the counts, weighted with its probability
    expected = [closed_form(int(poisson.ppf(ndtr(z), b)), b) for z in (-2, -1, 0, 1, 2)]
    assert limit.expected == pytest.approx(expected, rel=1e-6)
    assert limit.p0 == pytest.approx(poisson.sf(n - 1, b) if n > b else 1.0, rel=1e-8)
    assert limit.poi_hat == pytest.approx(n - b, rel=1e-6)


def test_one_known_background_is_the_bayesian_limit_of_a_flat_prior() -> None:
    n, b = 3, 1.7
    limit = exact_limit([Count(n, 1.0, background=b)], level=0.9).observed
    posterior = [quad(lambda s: poisson.pmf(n, s + b), 0, end)[0] for end in (limit, 100)]
    assert posterior[0] / posterior[1] == pytest.approx(0.9, rel=1e-6)


def test_like_channels_are_as_good_as_their_sum() -> None:
    one = exact_limit([Count(5, 3.0, background=4.2)])
    two = exact_limit([Count(4, 2.0, background=2.8), Count(1, 1.0, background=1.4)])
    three = exact_limit(
        [Count(0, 1.0, 1.4, name="a"), Count(2, 1.0, 1.4, name="b"), Count(3, 1.0, 1.4, name="c")]
    )
    for several in (two, three):
        assert several.observed == pytest.approx(one.observed, rel=1e-6)
        assert several.expected == pytest.approx(one.expected, rel=1e-6)
        assert several.p0 == pytest.approx(one.p0, rel=1e-6)
        assert several.poi_hat == pytest.approx(one.poi_hat, rel=1e-6)


# -- sidebands, against loops over all counts with a scipy fit of each ----------------------------


def minimum(function: Callable[[float], float], low: float, high: float) -> tuple[float, float]:
    """Smallest value of a convex function, and where it is."""
    fit = minimize_scalar(function, bounds=(low, high), method="bounded", options={"xatol": 1e-9})
    return min((float(fit.fun), float(fit.x)), (function(low), low), (function(high), high))


def term(n: float, rate: float) -> float:
    return rate - (n * math.log(rate) if n else 0.0) if rate > 0 else (math.inf if n else 0.0)


def slow_fit(count: Count, n: float, m: float, mu: float) -> tuple[float, float]:
    """-log L of one channel and the background, at its best."""
    signal = mu * count.per_poi
    if count.tau is None:
        return term(n, signal + count.background), count.background
    leak = mu * count.off_per_poi
    return minimum(
        lambda b: term(n, signal + b) + term(m, count.tau * b + leak), 0.0, n + m / count.tau + 1
    )


def slow_q(counts: list[Count], outcome: Iterable[tuple[float, float]], mu: float) -> float:
    pairs = list(zip(counts, outcome, strict=True))

    def nll(at: float) -> float:
        return sum(slow_fit(count, *nm, at)[0] for count, nm in pairs)

    return 2 * (nll(mu) - minimum(nll, 0.0, mu)[0])


def slow_cls(counts: list[Count], mu: float, reach: int) -> tuple[float, float, float]:
    """CLs of the data, and the quantile of CLs at -1 and +1 sigma."""
    data = [(c.on, c.off or 0.0) for c in counts]
    q_data = slow_q(counts, data, mu)
    rates = []
    for at in (mu, 0.0):
        rates.append([])
        for count, nm in zip(counts, data, strict=True):
            b = slow_fit(count, *nm, at)[1]
            off = (count.tau or 0.0) * b + at * count.off_per_poi
            rates[-1].append((at * count.per_poi + b, off))
    axes = [product(range(reach), range(reach) if c.tau else [0]) for c in counts]
    found = []
    for outcome in product(*axes):
        chances = [
            math.prod(
                poisson_chance(k, rate)
                for nm, both in zip(outcome, of_mu, strict=True)
                for k, rate in zip(nm, both, strict=True)
            )
            for of_mu in rates
        ]
        if max(chances) > 1e-8:
            found.append((slow_q(counts, outcome, mu), *chances))
    found.sort(reverse=True)
    of_each, group, with_signal, without = [], [], 0.0, 0.0
    for i, (q, with_it, without_it) in enumerate(found):
        with_signal, without = with_signal + with_it, without + without_it
        group.append(without_it)
        if i + 1 == len(found) or found[i + 1][0] < q - 1e-6:
            of_each += [(with_signal / without, chance) for chance in group]
            group = []
            if q >= q_data - 1e-6:
                data_cls = with_signal / without
    of_each.sort()
    below = np.cumsum([chance for _, chance in of_each])
    return data_cls, *(of_each[int(np.argmax(below >= ndtr(z)))][0] for z in (-1, 1))


def poisson_chance(k: int, rate: float) -> float:
    return math.exp(-rate) * rate**k / math.factorial(k)


@pytest.mark.parametrize(
    ("counts", "mu", "reach"),
    [
        ([Count(1, 1.0, off=2, tau=2.0)], 3.7, 15),
        ([Count(0, 1.0, off=3, tau=3.0)], 2.2, 15),
        ([Count(3, 2.0, off=0, tau=0.7)], 2.4, 20),
        ([Count(1, 1.0, off=2, tau=1.5, off_per_poi=0.6)], 3.1, 15),
        ([Count.with_error(2, 1.0, 1.1, 0.7)], 4.4, 17),
        ([Count(1, 1.0, background=0.3), Count(2, 0.5, background=1.1)], 3.3, 16),
        ([Count(0, 1.0, background=0.1), Count(1, 0.6, off=1, tau=1.0)], 0.8, 10),
    ],
    ids=["sideband", "none on", "none off", "leak", "error", "two known", "mixed"],
)
def test_sums_agree_with_plain_loops(counts: list[Count], mu: float, reach: int) -> None:
    found = Sums(counts, mu).cls(mu)[0]
    slow = slow_cls(counts, mu, reach)
    assert (found[5], found[1], found[3]) == pytest.approx(slow, rel=3e-6)
    assert cls(counts, mu) == found[5]


def ratio_of_data(counts: list[Count], mu: float) -> float:
    """Twice the logarithm of the likelihood ratio of the best fit with mu >= 0 to mu."""
    data = data_of(counts)
    best = best_fit(counts, data)
    return float(2 * (nll(counts, data, mu) - nll(counts, data, best)))


def test_best_fits_of_random_counts_agree_with_scipy() -> None:
    rng = np.random.default_rng(3)
    for _ in range(12):
        counts = [
            Count(int(rng.poisson(6)), 1.0, off=int(rng.poisson(5)), tau=0.8, off_per_poi=0.2),
            Count(int(rng.poisson(3)), float(rng.uniform(0.2, 2)), background=2.0),
        ]
        data = [(c.on, c.off or 0.0) for c in counts]
        mu = float(rng.uniform(0.5, 12))
        q = ratio_of_data(counts, mu) if best_fit(counts, data_of(counts)) < mu else 0
        assert q == pytest.approx(slow_q(counts, data, mu), abs=1e-7)


@pytest.mark.parametrize(
    ("counts", "best"),
    [
        ([Count(2, 0.5, off=12, tau=3.0)], -4.0),
        ([Count(0, 1.0, off=6, tau=3.0)], -2.0),
        ([Count(2, 1.0, off=16, tau=2.0, off_per_poi=0.5)], -8.0),
        ([Count(9, 2.0, off=8, tau=2.0, off_per_poi=1.0)], 10 / 3),
        ([Count(9, 2.0, off=2, tau=2.0, off_per_poi=1.0)], 11 / 3),
        ([Count(9, 2.0, off=0, tau=2.0, off_per_poi=1.0)], 3.0),
        ([Count(0, 1.0, background=0.5), Count(0, 1.0, background=3.0)], -0.5),
        ([Count(0, 1.0, off=0, tau=2.0)], 0.0),
    ],
)
def test_best_fit_is_bounded_by_positive_rates_only(counts: list[Count], best: float) -> None:
    assert exact_limit(counts).poi_hat == pytest.approx(best, rel=1e-6)


# -- p0 ------------------------------------------------------------------------------------------


def li_ma(on: float, off: float, tau: float) -> float:
    """Equation 17 of Li and Ma, with alpha = 1 / tau."""
    alpha = 1 / tau
    return math.sqrt(
        2 * on * math.log((1 + alpha) / alpha * on / (on + off))
        + (2 * off * math.log((1 + alpha) * off / (on + off)) if off else 0.0)
    )


@given(on=st.integers(1, 300), off=st.integers(1, 300), tau=st.floats(0.1, 20))
@slowly
def test_likelihood_ratio_of_no_signal_is_that_of_li_and_ma(on: int, off: int, tau: float) -> None:
    q0 = ratio_of_data([Count(on, 1.0, off=off, tau=tau)], 0.0)
    expected = li_ma(on, off, tau) ** 2 if on > off / tau else 0.0
    assert q0 == pytest.approx(expected, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize(("on", "off", "tau"), [(230, 400, 2.0), (150, 480, 4.0), (195, 330, 2.0)])
def test_p0_is_near_the_normal_tail_where_counts_are_large(on: int, off: int, tau: float) -> None:
    p0 = Sums([Count(on, 1.0, off=off, tau=tau)], 1.0).p0()
    assert -ndtri(p0) == pytest.approx(li_ma(on, off, tau), abs=0.03)


@pytest.mark.parametrize(("on", "off", "tau"), [(2, 0, 2.0), (4, 3, 2.5), (9, 2, 0.5)])
def test_p0_sums_what_li_and_ma_find_as_significant(on: int, off: int, tau: float) -> None:
    b, threshold = (on + off) / (1 + tau), li_ma(on, off, tau)
    expected = sum(
        poisson_chance(n, b) * poisson_chance(m, tau * b)
        for n, m in product(range(50), repeat=2)
        if n > m / tau and li_ma(n, m, tau) > threshold - 1e-9
    )
    assert exact_limit([Count(on, 1.0, off=off, tau=tau)]).p0 == pytest.approx(expected, rel=1e-8)


def test_p0_of_a_great_excess_keeps_its_digits() -> None:
    p0 = exact_limit([Count(40, 1.0, background=2.0)]).p0
    assert p0 == pytest.approx(poisson.sf(39, 2.0), rel=1e-8)
    assert p0 < 1e-30


# -- what must hold for any counts -----------------------------------------------------------------

small = st.integers(0, 6)


@given(on=small, off=small, tau=st.floats(0.5, 5))
@slowly
def test_limit_grows_with_the_counts_and_goes_with_the_inverse_yield(on, off, tau) -> None:
    limit = exact_limit([Count(on, 1.0, off=off, tau=tau)])
    more = exact_limit([Count(on + 1, 1.0, off=off, tau=tau)])
    assert more.observed > limit.observed
    assert more.poi_hat > limit.poi_hat
    assert list(limit.expected) == sorted(limit.expected)
    finer = exact_limit([Count(on, 250.0, off=off, tau=tau)])
    assert finer.observed == pytest.approx(limit.observed / 250, rel=1e-6)
    assert finer.expected == pytest.approx(np.array(limit.expected) / 250, rel=1e-6)


@given(on=small, b=st.floats(0.0, 9.0))
@slowly
def test_a_higher_level_is_a_weaker_limit(on: int, b: float) -> None:
    weaker, stronger = (exact_limit([Count(on, 1.0, b)], level) for level in (0.99, 0.9))
    assert weaker.observed > stronger.observed


def test_a_precise_sideband_is_nearly_a_known_background() -> None:
    """It decides between outcomes of the same n_on, of which a known background counts all."""
    precise = exact_limit([Count.with_error(3, 1.0, 2.0, 0.1)]).observed
    assert closed_form(2, 2.0) < precise < closed_form(3, 2.0)


@pytest.mark.parametrize(
    "counts",
    [
        [Count(3, 1.0, off=8, tau=4.0)],
        [Count(5, 1.0, off=2, tau=1.0, off_per_poi=0.1)],
        [Count(2, 1.0, off=1, tau=0.6)],
    ],
)
def test_the_limit_is_the_last_value_that_is_not_excluded(counts: list[Count]) -> None:
    limit = exact_limit(counts)
    sums = Sums(counts, 2 * limit.expected[-1])
    for index, value in enumerate([*limit.expected, limit.observed]):
        assert sums.cls(value)[0, index] >= 0.05 * (1 - 1e-6)
        beyond = np.linspace(value * (1 + 1e-6), 2 * value, 200)
        assert sums.cls(beyond)[:, index].max() < 0.05


def test_a_limit_at_a_jump_is_on_its_far_side() -> None:
    """CLs rises between two of its crossings of alpha here; bisection alone finds the first."""
    counts = [Count(5, 1.0, off=0, tau=1.0, off_per_poi=0.1)]
    limit = exact_limit(counts).expected[2]
    sums = Sums(counts, 1.5 * limit)
    median = sums.cls(np.linspace(0.5 * limit, limit, 100))[:, 2]
    assert median.min() < 0.05 <= median[-1] * (1 + 1e-6)


def test_what_the_sums_leave_out_is_negligible(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = [Count(4, 1.0, off=9, tau=3.0, off_per_poi=0.3), Count(1, 0.5, background=0.8)]
    sums, limit = Sums(counts, 9.0), exact_limit(counts)
    assert (abs(sums._chances(np.array([0.0, 2.0, 9.0])).sum(axis=1) - 1) < 1e-10).all()
    monkeypatch.setattr("zfit_dark.counting.sums._NEGLECTED", 1e-13)
    wider = Sums(counts, 9.0)
    assert wider.without.size > 1.2 * sums.without.size
    assert exact_limit(counts).observed == pytest.approx(limit.observed, rel=1e-7)
    assert wider.p0() == pytest.approx(sums.p0(), rel=1e-8)


def test_a_sideband_whose_rate_falls_and_rises_is_covered() -> None:
    sums = Sums([Count(60, 1.0, off=60, tau=1.0, off_per_poi=0.5)], 150.0)
    assert (abs(sums._chances(np.array([0.0, 90.0, 150.0])).sum(axis=1) - 1) < 1e-9).all()


# -- uncertainties of the signal, against quadrature -----------------------------------------------


def averaged(function: Callable[[float], np.ndarray], size: float) -> np.ndarray:
    """The mean over a scale of the signal, (1 + size)^theta."""
    return quad_vec(
        lambda t: norm.pdf(t) * function((1 + size) ** t), -9, 9, epsabs=1e-13, epsrel=1e-11
    )[0]


@pytest.mark.parametrize("size", [0.05, 0.1, 0.3])
@pytest.mark.parametrize(("n", "b"), [(0, 0.0), (2, 1.0)])
def test_an_uncertainty_of_one_channel_is_averaged_over(n: int, b: float, size: float) -> None:
    limit = exact_limit([Count(n, 1.0, background=b)], uncertainties=[[size]]).observed
    expected = brentq(
        lambda s: averaged(lambda f: poisson.cdf(n, s * f + b), size) / poisson.cdf(n, b) - 0.05,
        1,
        50,
        xtol=1e-10,
    )
    assert limit == pytest.approx(expected, rel=1e-6)


def test_no_event_and_an_uncertainty_of_ten_per_cent() -> None:
    limit = exact_limit([Count(0, 1.0, background=0.0)], uncertainties=[[0.1]]).observed
    assert limit == pytest.approx(3.02292, abs=5e-6)
    parts = [[0.06], [0.05]]  # independent: their logarithms add up in quadrature
    whole = math.expm1(math.hypot(math.log(1.06), math.log(1.05)))
    two, one = (
        exact_limit([Count(2, 1.0, 1.0)], 0.95, each).observed for each in (parts, [[whole]])
    )
    assert two == pytest.approx(one, rel=1e-7)


@pytest.mark.parametrize(
    ("counts", "size", "mu", "reach"),
    [
        ([Count(1, 1.0, off=2, tau=2.0)], [0.2], 3.7, 22),
        ([Count(1, 1.0, off=2, tau=1.5, off_per_poi=0.6)], [0.15], 3.1, 20),
        ([Count(1, 1.0, background=0.3), Count(2, 0.5, background=1.1)], [0.1, 0.1], 4.0, 22),
        ([Count(0, 1.0, background=0.2), Count(1, 0.7, background=0.6)], [0.2, 0.05], 2.2, 20),
    ],
    ids=["sideband", "leak", "common", "of different sizes"],
)
def test_probabilities_are_means_over_uncertainties(
    counts: list[Count], size: list[float], mu: float, reach: int
) -> None:
    data = [(c.on, c.off or 0.0) for c in counts]
    axes = [product(range(12), range(reach) if c.tau else [0]) for c in counts]
    outcomes = list(product(*axes))  # larger n are no part of the tails
    q = np.array([slow_q(counts, each, mu) for each in outcomes])
    n_and_m = np.array(outcomes)

    def chances(at: float, theta: float) -> np.ndarray:
        chance = np.ones(len(outcomes))
        for c, (count, nm) in enumerate(zip(counts, data, strict=True)):
            b, s = slow_fit(count, *nm, at)[1], at * (1 + size[c]) ** theta
            off = (count.tau or 0.0) * b + s * count.off_per_poi
            chance *= poisson.pmf(n_and_m[:, c, 0], s * count.per_poi + b)
            chance *= poisson.pmf(n_and_m[:, c, 1], off)
        return chance

    with_signal = sum(
        norm.pdf(t) * 0.25 * chances(mu, t) for t in np.arange(-7, 7.1, 0.25)
    )  # a trapezium rule is all but exact for what falls off like a Gaussian
    inside = q >= slow_q(counts, data, mu) - 1e-6
    expected = with_signal[inside].sum() / chances(0.0, 0.0)[inside].sum()
    assert cls(counts, mu, [size]) == pytest.approx(expected, rel=3e-6)


# -- many outcomes ---------------------------------------------------------------------------------

THREE = [
    Count(0, 0.8, off=1, tau=1.0),
    Count(1, 0.5, off=0, tau=1.3),
    Count(0, 0.6, off=0, tau=0.9),
]
LEAKING = [
    Count(0, 0.8, off=1, tau=1.0, off_per_poi=0.2),
    Count(1, 0.5, off=0, tau=1.3, off_per_poi=0.1),
    Count(0, 0.6, off=0, tau=0.9),
]
CORRELATED = [[0.1, 0.1, 0.1], [0.0, 0.2, 0.0]]


def bisected_background(count: Count, n: np.ndarray, m: np.ndarray, mu: np.ndarray) -> np.ndarray:
    """The one that fits best: where the derivative of -log L, which grows, passes zero."""
    a, leak = mu * count.per_poi, mu * count.off_per_poi

    def slope(b: np.ndarray) -> np.ndarray:
        return 1 + count.tau - n / (a + b) - count.tau * m / (count.tau * b + leak)

    low, high = (np.broadcast_to(x, np.broadcast(n, mu).shape) for x in (1e-13, n + m + 1.0))
    for _ in range(60):
        middle = 0.5 * (low + high)
        falling = slope(middle) < 0
        low, high = np.where(falling, middle, low), np.where(falling, high, middle)
    return high


def smallest_in_tables(tables: list[np.ndarray], rows: Iterable[np.ndarray]) -> np.ndarray:
    """-2 log of the likelihood ratio of the best mu of the tables to the last, by parabolas."""
    nll = sum(table[row] for table, row in zip(tables, rows, strict=True))
    here, at = np.arange(len(nll)), np.clip(nll.argmin(axis=1), 1, nll.shape[1] - 2)
    before, middle, after = (nll[here, at + k] for k in (-1, 0, 1))
    bend = np.maximum(before - 2 * middle + after, 1e-12)
    shift = np.clip(0.5 * (before - after) / bend, -1, 1)
    vertex = middle + 0.5 * shift * (after - before) + 0.5 * shift**2 * bend
    return 2 * (nll[:, -1] - np.minimum(vertex, nll.min(axis=1)))


def brute_force(
    counts: list[Count], mu: float, on: int, off: int, sizes: list[list[float]]
) -> tuple[float, float, float]:
    """CLs of the data, and the quantile of CLs at -1 and +1 sigma: all counts of three channels.

    Likelihoods are tables in the counts and in mu; uncertainties are averaged over by a trapezium
    rule, which is all but exact for what falls off like a Gaussian.
    """
    grid = np.linspace(0.0, mu, 121)
    n, m = (x.reshape(-1, 1) for x in np.meshgrid(np.arange(on), np.arange(off), indexing="ij"))
    thetas = list(product(*[np.arange(-6, 6.1, 0.75)] * len(sizes)))
    weight = np.array([math.prod(norm.pdf(t) * 0.75 for t in theta) for theta in thetas])
    data = [int(count.on) * off + int(count.off) for count in counts]
    tables, at_mu, at_zero = [], [], []
    for c, count in enumerate(counts):
        b = bisected_background(count, n, m, grid)
        rate, rate_off = grid * count.per_poi + b, count.tau * b + grid * count.off_per_poi
        tables.append(rate - n * np.log(rate) + rate_off - m * np.log(rate_off))
        without, with_signal = b[data[c], [0, -1]]
        at_zero.append((poisson.pmf(n, without) * poisson.pmf(m, count.tau * without))[:, 0])
        scaled = [
            mu * math.prod((1 + size[c]) ** t for size, t in zip(sizes, theta, strict=True))
            for theta in thetas
        ] * np.ones(1)
        on_rates = scaled * count.per_poi + with_signal
        off_rates = scaled * count.off_per_poi + count.tau * with_signal
        at_mu.append(poisson.pmf(n, on_rates) * poisson.pmf(m, off_rates))
    signal = np.einsum("t,it,jt,kt->ijk", weight, *at_mu, optimize=True)
    none = np.einsum("i,j,k->ijk", *at_zero)
    assert min(signal.sum(), none.sum()) > 1 - 3e-6
    some = np.maximum(signal, none) > 1e-9
    assert min(signal[some].sum(), none[some].sum()) > 1 - 1e-5
    rows = np.nonzero(some)
    parts = np.array_split(np.arange(rows[0].size), 1 + rows[0].size // 5000)
    q = np.concatenate([smallest_in_tables(tables, [row[part] for row in rows]) for part in parts])
    q_data = smallest_in_tables(tables, [np.array([row]) for row in data])[0]
    signal, none, inside = signal[some], none[some], q >= q_data - 1e-6
    order = np.argsort(-q)
    last = np.searchsorted(-q[order], 1e-6 - q[order], side="right") - 1
    ratio = signal[order].cumsum()[last] / none[order].cumsum()[last]
    by_ratio = np.argsort(ratio)
    below = none[order][by_ratio].cumsum()
    quantiles = [float(ratio[by_ratio][np.argmax(below >= ndtr(z))]) for z in (-1, 1)]
    return float(signal[inside].sum() / none[inside].sum()), *quantiles


@pytest.mark.parametrize(
    ("counts", "sizes"),
    [
        (THREE, []),
        (LEAKING, []),
        pytest.param(LEAKING, CORRELATED, marks=pytest.mark.slow),
    ],
    ids=["sidebands", "leak", "uncertain signal"],
)
def test_three_sidebands_agree_with_brute_force(
    counts: list[Count], sizes: list[list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """CLs of the data at the limit is 0.05 on its near side, and smaller on its far side."""
    monkeypatch.setattr("zfit_dark.counting.sums.MOST_OUTCOMES", 1_000_000)
    limit = exact_limit(counts, 0.95, sizes)
    assert limit.error == 0
    observed, m1, p1 = brute_force(counts, 3.0, 15, 9, sizes)
    sums = Sums(counts, 3.0, scales_of(sizes, 3))
    (found,) = sums.cls(3.0)
    assert (found[5], found[1], found[3]) == pytest.approx((observed, m1, p1), rel=1e-4)
    near, far = (
        brute_force(counts, limit.observed * (1 + step), 15, 9, sizes)[0] for step in (-1e-4, 1e-4)
    )
    assert far < 0.05 < near


def test_the_quick_search_finds_what_the_careful_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = [Count(1, 0.5, off=1, tau=1.0), Count(0, 0.4, background=0.3)]
    for uncertainties in ([], [[0.1, 0.1]]):
        monkeypatch.setattr("zfit_dark.counting.limits._FEW", 100_000)
        careful = exact_limit(counts, 0.95, uncertainties)
        monkeypatch.setattr("zfit_dark.counting.limits._FEW", 1)
        quick = exact_limit(counts, 0.95, uncertainties)
        assert quick.observed == pytest.approx(careful.observed, rel=2e-7)
        assert quick.expected == pytest.approx(careful.expected, rel=2e-7)
        for module in ("limits", "sums"):  # too many, then
            name = f"zfit_dark.counting.{module}.strict_cut"
            monkeypatch.setattr(name, lambda counts: 1e-250)
        monkeypatch.setattr("zfit_dark.counting.sums.MOST_OUTCOMES", 10_000)
        loose = exact_limit(counts, 0.95, uncertainties)
        monkeypatch.undo()
        assert loose.error == 0
        assert loose.observed == pytest.approx(careful.observed, rel=1e-4)
        assert loose.expected == pytest.approx(careful.expected, rel=1e-4)


@pytest.mark.parametrize("uncertainties", [[], [[0.1, 0.1], [0.05, 0.0]]])
def test_drawn_outcomes_give_the_limit_within_its_error(
    uncertainties: list[list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 seeds, fixed. A normal pull is beyond 4.5 with 7e-6, and the mean square of 30 is outside
    0.3 ... 2.4 with 5e-5; CLs jumps, so pulls are not quite normal."""
    counts = [Count(1, 0.5, off=3, tau=2.0), Count(0, 0.4, background=0.2)]
    sums = exact_limit(counts, 0.95, uncertainties)
    monkeypatch.setattr("zfit_dark.counting.limits._FEW", 1)
    monkeypatch.setattr("zfit_dark.counting.sums.MOST_OUTCOMES", 1)
    monkeypatch.setattr("zfit_dark.counting.limits._DRAWS", 20_000)
    drawn = [exact_limit(counts, 0.95, uncertainties, seed) for seed in range(30)]
    errors = np.array([each.error for each in drawn])
    assert errors.min() > 0
    assert errors.max() < 0.02 * sums.observed
    pulls = (np.array([each.observed for each in drawn]) - sums.observed) / errors
    assert abs(pulls).max() < 4.5
    assert 0.3 < np.mean(pulls**2) < 2.4
    assert abs(pulls.mean()) < 4.5 / math.sqrt(30)
    expected = np.mean([each.expected for each in drawn], axis=0)
    assert expected == pytest.approx(sums.expected, rel=0.01)
    assert np.mean([each.p0 for each in drawn]) == pytest.approx(sums.p0, rel=0.02)
    assert exact_limit(counts, 0.95, uncertainties, 3) == drawn[3]


def test_drawn_outcomes_describe_data_that_are_improbable(monkeypatch: pytest.MonkeyPatch) -> None:
    """An excess whose p0 is 1e-9 or so, and a deficit: within 5 errors, or 5 %."""
    for counts in ([Count(25, 1.0, background=5.0)], [Count(1, 1.0, off=80, tau=8.0)]):
        monkeypatch.undo()
        sums = exact_limit(counts)
        monkeypatch.setattr("zfit_dark.counting.limits._FEW", 1)
        monkeypatch.setattr("zfit_dark.counting.sums.MOST_OUTCOMES", 1)
        drawn = exact_limit(counts)
        assert drawn.observed == pytest.approx(sums.observed, abs=5 * drawn.error)
        assert 0 < drawn.error < 0.02 * sums.observed
        assert drawn.p0 == pytest.approx(sums.p0, rel=0.05)


# -- error of the best fit -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "counts",
    [
        [Count(7, 0.5, background=2.0)],
        [Count(6, 1.0, off=4, tau=2.0)],
        [Count(9, 2.0, off=8, tau=2.0, off_per_poi=1.0)],
        [Count(4, 1.0, off=0, tau=1.0)],
        [Count(5, 1.0, off=6, tau=3.0), Count(2, 0.4, background=0.7), Count(0, 0.2, off=0, tau=2)],
    ],
)
def test_error_of_the_best_fit_is_the_curvature(counts: list[Count]) -> None:
    limit = exact_limit(counts)
    pairs = [(count, (count.on, count.off or 0.0)) for count in counts]

    def nll(mu: float) -> float:
        return sum(slow_fit(count, *nm, mu)[0] for count, nm in pairs)

    step = 0.02 * limit.poi_hat
    bends = []
    for h in (step, 2 * step):
        outer = nll(limit.poi_hat + h) + nll(limit.poi_hat - h)
        bends.append((outer - 2 * nll(limit.poi_hat)) / h**2)
    bend = (4 * bends[0] - bends[1]) / 3  # without the term of the fourth derivative
    assert limit.poi_error == pytest.approx(1 / math.sqrt(bend), rel=1e-4)


def test_error_of_a_best_fit_below_zero_is_that_at_zero() -> None:
    assert exact_limit([Count(2, 0.5, background=8.0)]).poi_error == pytest.approx(
        8.0 / (0.5 * math.sqrt(2))
    )
    assert math.isnan(exact_limit([Count(0, 1.0, background=3.0)]).poi_error)
    assert math.isnan(exact_limit([Count(0, 1.0, off=0, tau=2.0)]).poi_error)


# -- pyhf ------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:jsonschema:DeprecationWarning")
def test_test_statistic_is_that_of_pyhf() -> None:
    pyhf = pytest.importorskip("pyhf")
    model = pyhf.simplemodels.uncorrelated_background([1.0, 0.5], [3.0, 2.0], [1.5, 0.8])
    counts = [Count.with_error(4, 1.0, 3.0, 1.5), Count.with_error(1, 0.5, 2.0, 0.8)]
    start, fixed = model.config.suggested_init(), model.config.suggested_fixed()
    bounds = [(0, 50), (1e-10, 50), (1e-10, 50)]
    data = [4, 1, *model.config.auxdata]
    for mu in (3.0, 8.0):
        q = pyhf.infer.test_statistics.qmu_tilde(mu, data, model, start, bounds, fixed)
        assert ratio_of_data(counts, mu) == pytest.approx(float(q), abs=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:jsonschema:DeprecationWarning")
def test_limits_of_many_counts_are_the_asymptotic_ones_of_pyhf() -> None:
    """At 100 background events known to 10 % asymptotics miss most of the -2 sigma limit: 1.5 %."""
    pyhf = pytest.importorskip("pyhf")
    model = pyhf.simplemodels.uncorrelated_background([1.0], [100.0], [10.0])
    observed, expected = pyhf.infer.intervals.upper_limits.toms748_scan(
        [108.0, *model.config.auxdata], model, 1.0, 100.0, par_bounds=[(0, 200), (1e-10, 10)]
    )
    limit = exact_limit([Count.with_error(108, 1.0, 100.0, 10.0)])
    assert limit.observed == pytest.approx(float(observed), rel=2e-3)
    assert limit.expected == pytest.approx([float(each) for each in expected], rel=0.016)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:jsonschema:DeprecationWarning")
def test_cls_is_that_of_toys_of_pyhf() -> None:
    """The chance of failure is 1e-4, at 4 standard deviations; the seed is fixed."""
    pyhf = pytest.importorskip("pyhf")
    np.random.seed(1)  # noqa: NPY002, pyhf draws from it
    model = pyhf.simplemodels.uncorrelated_background([1.0], [3.0], [1.5])
    toys, bounds = 500, [(0, 50), (1e-10, 50)]
    calculator = pyhf.infer.calculators.ToyCalculator(
        [4, *model.config.auxdata], model, par_bounds=bounds, ntoys=toys, track_progress=False
    )
    q = calculator.teststatistic(6.0)
    with_signal, without, ratio = map(float, calculator.pvalues(q, *calculator.distributions(6.0)))
    error = ratio * math.sqrt((1 / with_signal + 1 / without - 2) / toys)
    assert cls([Count.with_error(4, 1.0, 3.0, 1.5)], 6.0) == pytest.approx(ratio, abs=4 * error)


# -- input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"on": -1}, "on=-1 is negative"),
        ({"on": 1.5}, "not a whole number"),
        ({"on": math.nan}, "not finite"),
        ({"per_poi": math.inf}, "not finite"),
        ({"background": -0.1}, "background=-0.1 is negative"),
        ({"background": None}, "give either"),
        ({"off": 3}, "give either"),
        ({"off": 3, "tau": 2.0}, "give either"),
        ({"background": None, "off": 3}, "give either"),
        ({"background": None, "off": 3, "tau": 0.0}, "tau=0"),
        ({"per_poi": 0.0, "background": 0.0}, "leave the channel out"),
        ({"off_per_poi": 0.1}, "needs a sideband"),
        ({"background": None, "off": 3, "tau": 0.5, "off_per_poi": 0.6}, "less signal"),
    ],
)
def test_bad_channels_are_refused(wrong: dict[str, float | None], message: str) -> None:
    good = {"on": 2, "per_poi": 1.0, "background": 0.5, "name": "mumu"}
    Count(**good)
    with pytest.raises(InputError, match=rf"'mumu'.*{message}"):
        Count(**(good | wrong))


@pytest.mark.parametrize(("background", "error"), [(0.0, 1.0), (1.0, 0.0), (1.0, math.nan)])
def test_bad_errors_are_refused(background: float, error: float) -> None:
    with pytest.raises(InputError, match="'ee'"):
        Count.with_error(1, 1.0, background, error, name="ee")


def test_bad_questions_are_refused() -> None:
    good = Count(1, 1.0, background=1.0)
    for level in (0.0, 1.0, 95):
        with pytest.raises(InputError, match="level"):
            exact_limit([good], level)
    for poi in (0.0, -1.0, math.inf):
        with pytest.raises(InputError, match="poi"):
            cls([good], poi)
    for counts in ([], [Count(1, 0.0, background=1.0)]):
        with pytest.raises(InputError, match="any signal"):
            exact_limit(counts)
        with pytest.raises(InputError, match="any signal"):
            cls(counts, 1.0)
    with pytest.raises(InputError, match="impossible"):
        cls([Count(0, 1.0, background=1e4)], 1.0)


def test_outcomes_too_different_to_draw_are_left_to_toys() -> None:
    """The signal, of a million errors, is far beyond what a few hypotheses describe."""
    many = [Count(1_000_000, 1.0, off=1, tau=1.0)] * 4
    with pytest.raises(InputError, match=r"1e\+05 of the outcomes of 4 .*use method='toys'"):
        cls(many, 1e6)


@pytest.mark.parametrize(
    ("uncertainties", "message"),
    [
        ([[1.0, 0.0]], "relative"),
        ([[-0.1, 0.1]], "relative"),
        ([[math.nan, 0.1]], "relative"),
        ([0.1, 0.1], r"shape \(2,\): .* each of the 2 "),
        ([[0.1], [0.1]], r"shape \(2, 1\): .* each of the 2 "),
    ],
)
def test_bad_uncertainties_are_refused(uncertainties: list[object], message: str) -> None:
    two = [Count(0, 1.0, background=0.0), Count(1, 1.0, off=1, tau=1.0)]
    for question in (
        lambda: exact_limit(two, 0.95, uncertainties),
        lambda: cls(two, 1, uncertainties),
    ):
        with pytest.raises(InputError, match=message):
            question()


def test_importing_it_loads_no_tensorflow() -> None:
    code = "import sys, zfit_dark.counting; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
