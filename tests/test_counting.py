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
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar
from scipy.special import ndtr, ndtri
from scipy.stats import poisson

from zfit_dark import counting
from zfit_dark.counting import Count, cls, exact_limit
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
    found = counting._Sums(counts, mu).cls(mu)
    slow = slow_cls(counts, mu, reach)
    assert (found[5], found[1], found[3]) == pytest.approx(slow, rel=3e-6)
    assert cls(counts, mu) == found[5]


def ratio_of_data(counts: list[Count], mu: float) -> float:
    """Twice the logarithm of the likelihood ratio of the best fit with mu >= 0 to mu."""
    data = counting._data(counts)
    best = counting._best(counts, data)
    return float(2 * (counting._nll(counts, data, mu) - counting._nll(counts, data, best)))


def test_best_fits_of_random_counts_agree_with_scipy() -> None:
    rng = np.random.default_rng(3)
    for _ in range(12):
        counts = [
            Count(int(rng.poisson(6)), 1.0, off=int(rng.poisson(5)), tau=0.8, off_per_poi=0.2),
            Count(int(rng.poisson(3)), float(rng.uniform(0.2, 2)), background=2.0),
        ]
        data = [(c.on, c.off or 0.0) for c in counts]
        mu = float(rng.uniform(0.5, 12))
        q = ratio_of_data(counts, mu) if counting._best(counts, counting._data(counts)) < mu else 0
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
    p0 = counting._Sums([Count(on, 1.0, off=off, tau=tau)], 1.0).p0()
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
    sums = counting._Sums(counts, 2 * limit.expected[-1])
    for index, value in enumerate([*limit.expected, limit.observed]):
        assert sums.cls(value)[index] >= 0.05 * (1 - 1e-6)
        beyond = np.linspace(value * (1 + 1e-6), 2 * value, 200)
        assert max(sums.cls(mu)[index] for mu in beyond) < 0.05


def test_a_limit_at_a_jump_is_on_its_far_side() -> None:
    """CLs rises between two of its crossings of alpha here; bisection alone finds the first."""
    counts = [Count(5, 1.0, off=0, tau=1.0, off_per_poi=0.1)]
    limit = exact_limit(counts).expected[2]
    sums = counting._Sums(counts, 1.5 * limit)
    median = np.array([sums.cls(mu)[2] for mu in np.linspace(0.5 * limit, limit, 100)])
    assert median.min() < 0.05 <= median[-1] * (1 + 1e-6)


def test_what_the_sums_leave_out_is_negligible(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = [Count(4, 1.0, off=9, tau=3.0, off_per_poi=0.3), Count(1, 0.5, background=0.8)]
    sums, limit = counting._Sums(counts, 9.0), exact_limit(counts)
    for mu in (0.0, 2.0, 9.0):
        assert abs(sums._chances(mu).sum() - 1) < 1e-10
    monkeypatch.setattr(counting, "_NEGLECTED", 1e-13)
    wider = counting._Sums(counts, 9.0)
    assert wider.without.size > 1.2 * sums.without.size
    assert exact_limit(counts).observed == pytest.approx(limit.observed, rel=1e-7)
    assert wider.p0() == pytest.approx(sums.p0(), rel=1e-8)


def test_a_sideband_whose_rate_falls_and_rises_is_covered() -> None:
    sums = counting._Sums([Count(60, 1.0, off=60, tau=1.0, off_per_poi=0.5)], 150.0)
    assert [abs(sums._chances(mu).sum() - 1) < 1e-9 for mu in (0.0, 90.0, 150.0)] == [True] * 3


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


def test_too_many_outcomes_are_left_to_toys() -> None:
    many = [Count(100, 1.0, off=100, tau=1.0)] * 4
    with pytest.raises(InputError, match=r"\de\+\d+ outcomes or more of 4 .*use method='toys'"):
        exact_limit(many)


def test_importing_it_loads_no_tensorflow() -> None:
    code = "import sys, zfit_dark.counting; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
