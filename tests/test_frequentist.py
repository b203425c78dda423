"""Limits by toys against exact sums over Poisson counts, asymptotics and themselves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
import reference_jobs as jobs
import zfit
from hepstats.hypotests import Discovery, UpperLimit
from hepstats.hypotests.parameters import POI, POIarray
from scipy.optimize import brentq
from scipy.stats import norm, poisson

import zfit_dark as zd
from zfit_dark import frequentist, limits, toys
from zfit_dark.calculators import AsymptoticCalculator, FrequentistCalculator
from zfit_dark.counting import Count, exact_limit
from zfit_dark.errors import InputError
from zfit_dark.frequentist import FIRST_TOYS, ToyLimit, Toys
from zfit_dark.profile import CompiledLoss, compiled

BANDS = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
FAR = 4.0
"""Errors; one number in 16 000 is further off by chance."""

HIGH = 10_000.0, 10_050
"""Background and count where counts are as good as normal."""

QUICK = Toys(precision=0.05, seed=3)
SLOW = pytest.mark.slow


def histogram(space, values, extended):
    data = zfit.data.BinnedData.from_tensor(space, values=np.array(values, float))
    return zfit.pdf.HistogramPDF(data, extended=extended)


class Counting:
    """Bins with a signal in the first one; what is counted and fixed can be moved.

    Args:
        name: for the parameters.
        signal: share of the signal in each bin.
        background: for the background's number of events, the shape in each bin.
        **how: of the parameter that is the number of background events.
    """

    def __init__(self, name, signal, background, **how):
        bins = len(signal)
        self.space = zfit.Space(name, binning=zfit.binned.RegularBinning(bins, 0, bins, name=name))
        self.mu = zfit.Parameter(f"{name}_mu", 1.0, 0, 1000)
        self.b = zfit.Parameter(f"{name}_b", 1.0, **how)
        self.tau = zfit.Parameter(f"{name}_tau", 1.0, floating=False)
        parts = [histogram(self.space, signal, self.mu), histogram(self.space, background, self.b)]
        self.loss = zfit.loss.ExtendedBinnedNLL(
            zfit.pdf.BinnedSumPDF(parts), self.data(np.ones(bins))
        )

    def data(self, counts):
        return zfit.data.BinnedData.from_tensor(self.space, values=np.array(counts, float))

    def put(self, counts, b):
        """Count this, and have so much background."""
        self.loss._data = type(self.loss._data)([self.data(counts)])
        self.b.set_value(b)
        self.mu.set_value(1.0)


@pytest.fixture(scope="module")
def counting():
    """One bin, its background known."""
    return Counting("freq_one", [1.0], [1.0], floating=False)


@pytest.fixture
def high(counting):
    """The same with so many events that counts are as good as normal."""
    b, n = HIGH
    counting.put([n], b)
    return counting


class Found(NamedTuple):
    limit: zd.Limit
    by_toys: ToyLimit


def found(model, poi, plan, **how):
    """A limit by toys, and what the toys said of it."""
    seen = []

    def toy_limit(*args, **more):
        seen.append(frequentist.toy_limit(*args, **more))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "toy_limit", toy_limit)
        limit = zd.upper_limit(model, poi, method="toys", toys=plan, **how)
    return Found(limit, *seen)


def exact(n, b, alpha=0.05):
    return brentq(lambda s: poisson.cdf(n, s + b) / poisson.cdf(n, b) - alpha, 0.1, 100, xtol=1e-9)


# ------------------------------------------------------------------ counting, background known


@pytest.mark.parametrize(
    ("n", "b", "level"),
    [
        (0, 0.1, 0.95),
        (2, 3.0, 0.9),
        pytest.param(3, 1.0, 0.95, marks=SLOW),
        pytest.param(5, 8.0, 0.95, marks=SLOW),
    ],
)
def test_limits_of_a_count_are_the_exact_ones(counting, n, b, level):
    """12 numbers or fewer in each case within 4 errors: 1 seed in 380 fails one of four cases.

    Quantiles of the count are at least 3.5 standard deviations of 4000 toys away from a step,
    where one toy more or less would make another limit of it.
    """
    counting.put([n], b)
    limit, by_toys = found(counting.loss, counting.mu, Toys(seed=11), level=level)
    observed = exact(n, b, 1 - level)
    assert limit.valid
    assert limit.warnings == ()
    assert limit.method == "toys"
    assert limit.level == level
    assert limit.observed_error < 0.03 * observed
    assert abs(limit.observed - observed) < FAR * limit.observed_error
    # what was said is what is written down
    np.testing.assert_array_equal([*limit.expected, limit.observed], by_toys.limits)
    assert limit.observed_error == by_toys.errors[5]
    assert by_toys.failed == 0
    assert by_toys.toys <= Toys().most
    # for a known background a limit is one of a count, and larger for a larger one
    expected = [exact(int(poisson.ppf(p, b)), b, 1 - level) for p in norm.cdf(BANDS)]
    np.testing.assert_allclose(
        expected, exact_limit([Count(n, 1.0, background=b)], level).expected, rtol=1e-5
    )
    assert np.all(np.abs(by_toys.limits[:5] - expected) < FAR * by_toys.errors[:5])
    # precise enough, as was asked for
    assert np.all(by_toys.errors[:5] <= 0.02 * np.array([3, 2, 2, 2, 3]) * by_toys.limits[:5])
    p0 = poisson.sf(n - 1, b) if n > b else 1.0
    assert abs(limit.p0 - p0) < FAR * np.sqrt(p0 * (1 - p0) / 4000) + 1 / 4000


def test_a_limit_just_beyond_all_values_is_found(counting):
    """Guesses end at 24.7, near the limit of 25.5, but below it. 1 seed in 16 000 fails."""
    counting.put([43], 30.0)
    plan = Toys(precision=0.05, most=20_000, seed=44)
    limit = zd.upper_limit(counting.loss, counting.mu, method="toys", toys=plan)
    assert limit.valid
    assert limit.observed_error < 0.05 * limit.observed
    assert abs(limit.observed - exact(43, 30.0)) < FAR * limit.observed_error


@SLOW
@pytest.mark.parametrize("b", [0.1, 8.0])
def test_no_event_excludes_three_whatever_the_background(counting, b):
    """All toys beyond the data look alike: each counts with a weight that is known exactly."""
    counting.put([0], b)
    limit = found(counting.loss, counting.mu, QUICK).limit
    assert limit.observed == pytest.approx(-np.log(0.05), rel=1e-3)
    assert limit.observed_error < 0.05 * limit.observed


@SLOW
def test_the_error_of_a_limit_is_its_error(counting):
    """30 seeds; 1 set of them in 30 000 has a root mean square outside 0.5 to 1.6.

    A few per cent of bias, as a parabola through a few values has it, are allowed for by that.
    """
    n, b = 2, 3.0
    counting.put([n], b)
    made = [found(counting.loss, counting.mu, Toys(seed=seed)).by_toys for seed in range(30)]
    pulls = np.array([(m.limits[5] - exact(n, b)) / m.errors[5] for m in made])
    assert 0.5 < np.sqrt(np.mean(pulls**2)) < 1.6
    assert abs(pulls.mean()) < 0.7 + FAR / np.sqrt(30)
    assert len({m.limits[5] for m in made}) == 30


# ------------------------------------------------------------------ a sideband


class OnOff(Counting):
    """A bin with signal and a sideband, tau times as large."""

    def __init__(self, tau):
        self.ratio = tau
        super().__init__("freq_onoff", [1.0, 0.0], [1.0, tau], lower=0.0, upper=1000.0)

    def exact(self, on, off):
        return exact_limit([Count(on, 1.0, off=off, tau=self.ratio)])


@pytest.fixture(scope="module")
def on_off():
    return OnOff(2.0)


@pytest.mark.parametrize(
    ("on", "off", "most"),
    [
        (4, 7, 10_000),
        pytest.param(4, 7, 100_000, marks=SLOW),
    ],
)
def test_a_background_from_a_sideband(on_off, on, off, most):
    """Exact sums have the same definition: limits are within 4 errors of theirs.

    CLs of two counts has jumps, where a parabola has none: for them 2 % more. 1 seed in 2000 fails.
    """
    ours, mu = compiled(on_off.loss), on_off.mu
    expected = on_off.exact(on, off)
    exactly = np.array([*expected.expected, expected.observed])
    sample = ours.sample([np.empty((2, 0))], [np.array([on, off], float)])
    start, free = np.tile(ours.values(), (2, 1)), np.ones((2, 2), bool)
    start[1, ours.index(mu)], free[1, ours.index(mu)] = 0.0, False
    fits = ours.fit(sample, start, free)
    (free_fit, without), (lowest, at_zero) = fits.theta, fits.value
    best = float(free_fit[ours.index(mu)])
    data = frequentist.Data(sample, best, lowest, free_fit, without, at_zero)
    made = frequentist.toy_limit(
        ours, data, mu, 1.03 * exactly, 0.05, True, Toys(most=most, seed=4)
    )
    assert best == pytest.approx(max(on - off / on_off.ratio, 0.0), abs=1e-3)
    assert made.failed == 0
    assert made.errors[5] < 0.03 * made.limits[5]
    assert abs(made.limits[5] - exactly[5]) < FAR * made.errors[5]
    assert np.all(np.abs(made.limits - exactly) < FAR * made.errors + 0.02 * exactly)
    assert abs(made.p0 - expected.p0) < FAR * np.sqrt(0.25 / 4000)


@pytest.mark.filterwarnings("ignore:jsonschema:DeprecationWarning")
@pytest.mark.parametrize(("on", "off"), [(4, 8), (9, 8), (2, 18)])
def test_asymptotic_limits_with_a_sideband_are_those_of_pyhf(on_off, on, off):
    """pyhf's CLs at our limits is 0.05, as far as its minimiser goes; its bands, too."""
    pyhf = pytest.importorskip("pyhf")
    b, error = off / on_off.ratio, np.sqrt(off) / on_off.ratio
    model = pyhf.simplemodels.uncorrelated_background([1.0], [b], [error])
    data = [float(on), *model.config.auxdata]
    on_off.put([on, off], float(off))
    limit = zd.upper_limit(on_off.loss, on_off.mu)
    for index, mu in enumerate([limit.observed, *limit.expected]):
        cls, bands = pyhf.infer.hypotest(
            mu, data, model, par_bounds=[(0, 100), (1e-10, 100)], return_expected_set=True
        )
        assert [cls, *bands][index] == pytest.approx(0.05, rel=1e-4)


# ------------------------------------------------------------------ high counts


@pytest.fixture(scope="module")
def one_round(counting):
    """A limit from the toys that a search begins with, at high counts."""
    b, n = HIGH
    counting.put([n], b)
    return found(counting.loss, counting.mu, Toys(most=FIRST_TOYS, precision=1e-4))


def test_at_high_counts_limits_are_the_asymptotic_ones(high, one_round):
    """6 numbers within 4 errors and half an event: 1 seed in 2600 fails."""
    limit, by_toys = one_round
    asymptotic = zd.upper_limit(high.loss, high.mu)
    away = by_toys.limits - [*asymptotic.expected, asymptotic.observed]
    assert np.all(np.abs(away) < FAR * by_toys.errors + 0.5)
    assert abs(limit.p0 - asymptotic.p0) < FAR * np.sqrt(limit.p0 / 4000)
    assert (limit.poi_hat, limit.poi_error) == (asymptotic.poi_hat, asymptotic.poi_error)


@SLOW
def test_toys_of_the_reference_job_agree_with_asymptotics():
    """CLs at the asymptotic limit is 0.05 within 4 errors and 3 %: 1 seed in 16 000 fails."""
    job = jobs.one_channel()
    limit, by_toys = found(job.loss, job.poi, Toys(precision=0.04, seed=2))
    asymptotic = zd.upper_limit(job.loss, job.poi)
    assert limit.valid
    assert by_toys.failed == 0
    # 3 % of CLs is as much of the limit as its slope makes of it
    ours, data = compiled(job.loss), compiled(job.loss).observed()
    fits = limits.fitted(ours, data, ours.values(), job.poi).fits
    (free, without), (lowest, at_zero) = fits.theta, fits.value
    best = free[ours.index(job.poi)]
    start = without.copy()
    start[ours.index(job.poi)] = asymptotic.observed
    free_of = np.ones((1, start.size), bool)
    free_of[0, ours.index(job.poi)] = False
    at_limit = ours.fit(data, start[None], free_of)
    reference = at_zero if best < 0 else lowest
    q = 2 * (at_limit.value[0] - reference)
    truths = {asymptotic.observed: at_limit.theta[0], 0.0: without}
    beyond = {}
    for value, theta in truths.items():
        made = toys.recipe(ours, theta, job.poi, data)
        n = 4000 if value else 2000
        f = toys.fitted(
            ours, made, job.poi, [asymptotic.observed], theta[None], range(n), 77, not_below=0.0
        )
        q_toys = np.where(f.best > asymptotic.observed, 0.0, 2 * (f.values[:, 0] - f.lowest))
        beyond[value] = np.mean(q_toys >= q), n
    (p_signal, n_signal), (p_without, n_without) = beyond.values()
    error = np.sqrt((1 - p_signal) / (p_signal * n_signal) + (1 - p_without) / n_without)
    assert abs(np.log(p_signal / p_without / 0.05)) < FAR * error + 0.03
    # and so are the limits
    away = by_toys.limits - [*asymptotic.expected, asymptotic.observed]
    assert np.all(np.abs(away) < FAR * by_toys.errors + 0.03 * by_toys.limits)


# ------------------------------------------------------------------ seeds, flags, errors


def test_too_few_toys_are_flagged_with_the_error_that_they_leave(one_round):
    limit, by_toys = one_round
    per_cent = 100 * by_toys.errors[5] / by_toys.limits[5]
    assert limit.warnings == (
        f"{by_toys.toys} toys leave an error of {per_cent:.1f} % on the limit",
    )
    assert limit.valid
    assert 0 < per_cent < 20
    # one round only, of the values that there were to look at
    assert by_toys.toys <= 10 * FIRST_TOYS


@pytest.mark.parametrize(
    ("failing", "valid"), [pytest.param(0.005, True, marks=SLOW), (0.05, False)]
)
def test_toys_that_cannot_be_fitted_are_counted(high, monkeypatch, failing, valid):
    whole = toys.fitted

    def fitted(*args, **how):
        fits = whole(*args, **how)
        lost = np.arange(fits.lowest.size) % round(1 / failing) == 0
        return fits._replace(lowest=np.where(lost, np.nan, fits.lowest))

    monkeypatch.setattr(toys, "fitted", fitted)
    limit, by_toys = found(high.loss, high.mu, Toys(precision=0.05, most=1000))
    assert by_toys.failed == pytest.approx(failing * by_toys.toys, rel=0.02)
    assert f"the fits of {by_toys.failed} of {by_toys.toys} toys did not converge" in limit.warnings
    assert limit.valid is valid
    asymptotic = zd.upper_limit(high.loss, high.mu)
    assert abs(limit.observed - asymptotic.observed) < FAR * limit.observed_error + 0.5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"precision": 0.0}, "precision=0.0: give a number between 0 and 1"),
        ({"precision": 1.0}, "precision=1.0"),
        ({"precision": np.nan}, "precision=nan"),
        ({"most": FIRST_TOYS - 1}, f"give at least {FIRST_TOYS} toys"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 2**64}, "from 0 to 2"),
    ],
)
def test_plans_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        Toys(**wrong)


def test_the_largest_seed_is_a_seed(high):
    """All seeds that are accepted give toys, and neighbouring ones give different toys."""
    drawn = []
    for seed in (2**64 - 1, 2**64 - 2, 2**63):
        recipe = toys.recipe(
            compiled(high.loss), np.array([50.0]), high.mu, compiled(high.loss).observed()
        )
        drawn.append([recipe.draw(seed, toy).weights[0][0] for toy in range(20)])
    assert drawn[0] != drawn[1] != drawn[2]


def test_an_unknown_method_is_refused(high):
    with pytest.raises(InputError, match="'asymptotic', 'toys'"):
        zd.upper_limit(high.loss, high.mu, method="toy")


@SLOW
def test_blind_limits_of_a_likelihood_leave_the_data_alone(likelihood):
    likelihood.move_to(0.8)
    plan = Toys(precision=0.1, most=10_000, seed=5)
    limit, by_toys = found(likelihood, None, plan, blind=True)
    for name in ("observed", "observed_error", "poi_hat", "poi_error", "p0"):
        assert np.isnan(getattr(limit, name)), name
    assert np.all(np.isfinite(limit.expected))
    assert np.all(np.diff(limit.expected) > 0)
    assert limit.blind
    assert limit.valid
    asymptotic = zd.upper_limit(likelihood, blind=True)
    away = by_toys.limits[:5] - asymptotic.expected
    assert np.all(np.abs(away) < FAR * by_toys.errors[:5] + 0.1 * np.array(asymptotic.expected))


# ------------------------------------------------------------------ scans


MASSES = (9_950.0, 10_000.0)
"""The background stands for a mass: it is fixed, and moves the limits."""


def scanned(counting, threads):
    with ThreadPoolExecutor(threads) as pool:
        return zd.scan(
            counting.loss,
            MASSES,
            poi=counting.mu,
            mass=counting.b,
            method="toys",
            toys=QUICK,
            executor=pool,
            progress=False,
        )


@pytest.fixture(scope="module")
def scan(counting):
    b, n = HIGH
    counting.put([n], b)
    return scanned(counting, 1)


def test_threads_change_nothing_to_the_last_bit(high, scan):
    again = scanned(high, 4)
    for name in ("observed", "observed_error", "expected", "p0", "poi_hat"):
        np.testing.assert_array_equal(getattr(again, name), getattr(scan, name), err_msg=name)


@pytest.mark.parametrize(("threads", "batch"), [(1, 10), (4, 1000)])
def test_batches_change_nothing_to_the_last_bit(high, scan, monkeypatch, threads, batch):
    monkeypatch.setattr(toys, "fitted", partial(toys.fitted, threads=threads, batch=batch))
    limit = zd.upper_limit(high.loss, high.mu, method="toys", toys=QUICK)
    assert limit.observed == scan.observed[1]
    assert limit.observed_error == scan.observed_error[1]
    assert list(limit.expected) == scan.expected[1].tolist()


@pytest.mark.parametrize("same_seed", [True, False])
def test_a_limit_is_of_its_seed_alone(high, scan, same_seed):
    """The same as that of the scan, with its mass before it; with another seed another one."""
    plan = replace(QUICK, seed=QUICK.seed + (0 if same_seed else 1))
    limit = zd.upper_limit(high.loss, high.mu, method="toys", toys=plan)
    assert scan.method == "toys"
    assert scan.masses[1] == high.b.value()
    assert bool(scan.observed[1] == limit.observed) is same_seed
    assert bool(scan.observed_error[1] == limit.observed_error) is same_seed
    assert (scan.expected[1].tolist() == list(limit.expected)) is same_seed
    away = abs(scan.observed[1] - limit.observed)
    assert away < FAR * np.hypot(scan.observed_error[1], limit.observed_error)
    assert np.all(scan.observed_error > 0)
    assert np.all(scan.observed_error < 0.05 * scan.observed)


@SLOW
def test_more_toys_make_a_limit_more_precise(high, scan):
    better = 0.95 * scan.observed_error[1] / scan.observed[1]
    by_toys = found(high.loss, high.mu, replace(QUICK, precision=better)).by_toys
    assert by_toys.toys > 10 * FIRST_TOYS
    assert by_toys.errors[5] <= better * by_toys.limits[5]
    assert abs(by_toys.limits[5] - scan.observed[1]) < FAR * scan.observed_error[1]


def test_a_file_keeps_the_errors(scan, tmp_path):
    path = tmp_path / "scan.json"
    scan.to_json(path)
    again = zd.Scan.from_json(path)
    np.testing.assert_array_equal(again.observed_error, scan.observed_error)
    np.testing.assert_array_equal(again.observed, scan.observed)
    assert again.method == "toys"


# ------------------------------------------------------------------ hepstats' calculator


def calculator(high, toys=300, **how):
    return FrequentistCalculator(high.loss, ntoysnull=toys, ntoysalt=toys, **how)


def upper(calculator, poi, values=(150.0, 250.0)):
    return UpperLimit(calculator, POIarray(poi, values), POI(poi, 0.0), qtilde=True)


def results(calculator):
    """What all toys say, as an array for each value that toys were drawn with."""
    return {
        key[0].value: np.array([r.bestfit, r.nll_bestfit, *r.nlls.values()])
        for key, r in calculator._toys.items()
    }


def same(one, two):
    assert one.keys() == two.keys()
    for key, array in one.items():
        np.testing.assert_array_equal(array, two[key], err_msg=str(key))


def test_p_values_are_the_asymptotic_ones_at_high_counts(high):
    """4 numbers within 4 binomial errors, and half a count: 1 seed in 4000 fails."""
    n, values = 2000, (150.0, 250.0)
    found = upper(calculator(high, n), high.mu, values).pvalues()
    expected = upper(AsymptoticCalculator(high.loss), high.mu, values).pvalues()
    for key in ("clsb", "clb"):
        error = np.sqrt(expected[key] * (1 - expected[key]) / n)
        assert np.all(np.abs(found[key] - expected[key]) < FAR * error + 0.002), key
    # the median of 2000 toys, and p-values of it
    error = np.sqrt(expected["expected"] / n) + 0.05 * expected["expected"]
    assert np.all(np.abs(found["expected"] - expected["expected"]) < FAR * error)


@pytest.mark.parametrize("n", range(6))
def test_p_values_of_few_events_are_sums_of_poisson_probabilities(counting, n):
    """12 numbers in all within 4 binomial errors: 1 seed in 1300 fails one of six cases.

    Toys with the count of the data are as unlike the hypothesis as the data.
    """
    toys_of_each, b, s = 2000, 3.0, 4.0
    counting.put([n], b)
    found = upper(calculator(counting, toys_of_each), counting.mu, (s,)).pvalues()
    for key, expected in (("clsb", poisson.cdf(n, s + b)), ("clb", poisson.cdf(n, b))):
        error = np.sqrt(expected * (1 - expected) / toys_of_each)
        assert abs(found[key][0] - expected) < FAR * error, key


def test_hepstats_finds_limits_and_discoveries(high):
    """p-values of 300 toys each put a limit to 5 %: 1 seed in 15 000 is off by 20 %."""
    calculated = calculator(high, 300)
    limit = upper(calculated, high.mu, np.linspace(60.0, 420.0, 7)).upperlimit(printlevel=0)
    asymptotic = zd.upper_limit(high.loss, high.mu)
    assert limit["observed"] == pytest.approx(asymptotic.observed, rel=0.2)
    assert limit["expected"] == pytest.approx(asymptotic.expected[2], rel=0.2)
    p0, _ = Discovery(calculated, POI(high.mu, 0.0)).result(printlevel=0)
    assert abs(p0 - asymptotic.p0) < FAR * np.sqrt(0.25 / 300)


def test_the_same_seed_gives_the_same_toys(high):
    made = [calculator(high, seed=seed) for seed in (1, 1, 2)]
    for each in made:
        upper(each, high.mu).pvalues()
    one, again, other = map(results, made)
    assert sorted(one) == [0.0, 150.0, 250.0]
    same(one, again)
    for key, array in one.items():
        assert not np.array_equal(array, other[key])


def test_numbers_of_events_fluctuate(high):
    """Mean and width of 2000 best fits within 4.5 errors: 1 seed in 70 000 fails."""
    calculated, value, n = calculator(high, 2000), 500.0, 2000
    at = POI(high.mu, value)
    best = calculated.get_toys_null(at, at)[at].bestfit
    width = np.sqrt(HIGH[0] + value)
    assert abs(best.mean() - value) < 4.5 * width / np.sqrt(n)
    assert abs(best.std() - width) < 4.5 * width / np.sqrt(2 * n)


def test_more_toys_are_added_to_those_there_are(high):
    calculated, whole = calculator(high, 100), calculator(high, 250)
    upper(calculated, high.mu).pvalues()
    first = results(calculated)
    calculated.ntoysnull = calculated.ntoysalt = 250
    upper(calculated, high.mu).pvalues()
    extended = results(calculated)
    assert {array.shape[1] for array in extended.values()} == {250}
    same(first, {key: array[:, :100] for key, array in extended.items()})
    upper(whole, high.mu).pvalues()
    same(extended, results(whole))
    # fewer are no reason to forget any
    calculated.ntoysnull = 10
    upper(calculated, high.mu).pvalues()
    same(extended, results(calculated))


def test_toys_of_a_file_are_taken_up_again(high, tmp_path):
    path, whole = str(tmp_path / "toys.yml"), calculator(high, 250)
    first = calculator(high, 100)
    upper(first, high.mu).pvalues()
    first.to_yaml(path)
    again = FrequentistCalculator.from_yaml(path, high.loss, ntoysnull=250, ntoysalt=250)
    same(results(again), results(first))
    assert (again.ntoysnull, again.ntoysalt) == (250, 250)
    found, expected = (upper(each, high.mu).pvalues() for each in (again, whole))
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values, err_msg=key)
    same(results(again), results(whole))


@pytest.mark.parametrize("blocks", [0, 1, 3, 5])
def test_what_was_drawn_before_an_interrupt_is_kept(high, tmp_path, monkeypatch, blocks):
    """The interrupt comes with some blocks of toys fitted; 100 toys are two of them."""
    whole, stopped = calculator(high, 100), calculator(high, 100)
    expected = upper(whole, high.mu).pvalues()
    fit_toys, calls = CompiledLoss.fit_toys, iter(range(blocks))

    def interrupted(*args, **how):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return fit_toys(*args, **how)

    with monkeypatch.context() as patch:
        patch.setattr(CompiledLoss, "fit_toys", interrupted)
        with pytest.raises(KeyboardInterrupt):
            upper(stopped, high.mu).pvalues()
    kept = {key: array for key, array in results(stopped).items() if array.size}
    assert len(kept) == blocks // 2
    same(kept, {key: results(whole)[key] for key in kept})
    path = str(tmp_path / "toys.yml")
    stopped.to_yaml(path)
    again = FrequentistCalculator.from_yaml(path, high.loss, ntoysnull=100, ntoysalt=100)
    for each in (stopped, again):
        found = upper(each, high.mu).pvalues()
        for key, values in expected.items():
            np.testing.assert_array_equal(found[key], values, err_msg=key)
        same(results(each), results(whole))


def test_toys_of_a_file_without_a_word_on_how_many(high, tmp_path):
    path, first = str(tmp_path / "toys.yml"), calculator(high, 100)
    values = upper(first, high.mu).pvalues()["cls"]
    first.to_yaml(path)
    again = FrequentistCalculator.from_yaml(path, high.loss, zfit.minimize.Minuit())
    assert again.ntoysnull == FrequentistCalculator(high.loss).ntoysnull
    again.ntoysnull = again.ntoysalt = 100
    np.testing.assert_array_equal(upper(again, high.mu).pvalues()["cls"], values)


def test_calculators_of_two_seeds_can_be_merged(high):
    one, two = (calculator(high, 100, seed=seed) for seed in (1, 2))
    for each in (one, two):
        upper(each, high.mu).pvalues()
    first, second = results(one), results(two)
    one.merge(two)
    both = {key: np.concatenate([first[key], second[key]], axis=1) for key in first}
    same(results(one), both)
    same(results(two), second)
    # more toys are neither those of one nor those of the other
    one.ntoysnull = 250
    upper(one, high.mu).pvalues()
    more = results(one)[150.0][:, 200:]
    assert more.shape[1] == 50
    longer = calculator(high, 250, seed=1)
    upper(longer, high.mu).pvalues()
    np.testing.assert_array_equal(more, results(longer)[150.0][:, 200:])


def test_merging_leaves_the_other_calculator_alone(high):
    """Also for values that only the other one has toys of."""
    one, two = calculator(high, 50, seed=1), calculator(high, 50, seed=2)
    upper(two, high.mu).pvalues()
    before = results(two)
    one.merge(two)
    same(results(one), before)
    one.ntoysnull = one.ntoysalt = 80
    upper(one, high.mu).pvalues()
    assert {array.shape[1] for array in results(one).values()} == {80}
    same(results(two), before)


def test_toys_of_the_same_seed_are_not_merged(high):
    with pytest.raises(InputError, match="seed 1: the same ones"):
        calculator(high).merge(calculator(high))


def test_toys_are_forgotten_when_the_mass_or_the_data_change(high):
    calculated = calculator(high, 50)
    first = upper(calculated, high.mu).pvalues()
    known = results(calculated)
    high.b.set_value(9_950.0)
    moved = upper(calculated, high.mu).pvalues()
    assert not np.array_equal(results(calculated)[150.0], known[150.0])
    assert {array.shape[1] for array in results(calculated).values()} == {50}
    expected = upper(calculator(high, 50), high.mu).pvalues()
    np.testing.assert_array_equal(moved["cls"], expected["cls"])

    high.b.set_value(HIGH[0])
    again = upper(calculated, high.mu).pvalues()
    np.testing.assert_array_equal(again["cls"], first["cls"])

    high.put([HIGH[1] + 100], HIGH[0])
    calculated.refresh()
    assert calculated._toys == {}


def test_more_values_than_a_program_tests_at_once(high):
    """The toys are the same, whatever they are tested at."""
    many, few = calculator(high, 40), calculator(high, 40)
    values = np.linspace(50.0, 450.0, 17)
    at = POI(high.mu, 250.0)
    of_many = many.get_toys_null(at, POIarray(high.mu, values))[at]
    of_few = few.get_toys_null(at, at)[at]
    np.testing.assert_array_equal(of_many.bestfit, of_few.bestfit)
    np.testing.assert_array_equal(of_many.nlls[at], of_few.nlls[at])
    lowest = of_many.nll_bestfit
    assert all(np.all(nll >= lowest - 1e-7) for nll in of_many.nlls.values())
    # one count: the likelihood ratio in closed form
    n = np.round(of_many.bestfit + HIGH[0])
    for value in values[[0, 8, 16]]:
        rate = HIGH[0] + value
        ratio = rate - n - n * np.log(rate / n)
        inside = of_many.bestfit > 1e-3
        difference = (of_many.nlls[POI(high.mu, value)] - lowest)[inside]
        np.testing.assert_allclose(difference, ratio[inside], rtol=1e-4, atol=1e-6)
