"""Pseudo-experiments: what is drawn against closed forms, how it is fitted against single fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import zfit
from scipy.stats import chi2, kstest, norm

import zfit_dark as zd
from zfit_dark import toys
from zfit_dark.errors import InputError
from zfit_dark.newton import EDM_TOLERANCE
from zfit_dark.profile import TESTS, CompiledLoss, Setting, compiled

OBS = zfit.Space("toys_x", 0.0, 1.0)
HOLE = (0.3, 0.45)
PEAK, SIGMA = 0.5, 0.01
MANY = 2000
"""Toys whose means and variances are looked at."""

FAR = 4.5
"""Standard deviations; one number in 150 000 is further off by chance."""


def parameter(name, value, lower=None, upper=None, **how):
    return zfit.Parameter(f"toys_{name}", value, lower, upper, **how)


# ------------------------------------------------------------------ a density on straight lines


def table(x, density):
    x, f = np.asarray(x, float), np.asarray(density, float)
    return toys.Table.of(x, f)


UNIFORM = np.array([0.0, 1e-300, 1e-17, 1e-9, 0.1, 0.25, 0.5, 0.75, 0.9, np.nextafter(1.0, 0.0)])


@pytest.mark.parametrize("cells", [1, 7, 1000])
@pytest.mark.parametrize(("a", "b"), [(0.0, 2.0), (1.0, 1.0), (0.5, 3.0), (2.0, -0.5), (4.0, -1.0)])
def test_a_straight_line_is_drawn_as_its_inverse_cdf_says(a, b, cells):
    """Density a + b x in [0, 4], also where it is zero at one end."""
    x = np.linspace(0.0, 4.0, cells + 1)
    found = table(x, a + b * x).draw(UNIFORM)
    wanted = UNIFORM * (4 * a + 8 * b)
    # the root of a x + b x^2 / 2 that has all its digits
    divisor = a + np.sqrt(np.maximum(a**2 + 2 * b * wanted, 0.0))
    exact = np.divide(2 * wanted, divisor, out=np.zeros_like(wanted), where=divisor > 0)
    # where the density falls to zero the root of a difference has half of the digits
    np.testing.assert_allclose(found, exact, rtol=1e-12 if a + 4 * b > 0 else 1e-6, atol=1e-300)
    assert found.min() >= 0.0
    assert found.max() <= 4.0
    assert found[0] == 0.0


def test_cells_of_no_density_are_never_drawn():
    edges = [0.0, 1.0, np.nextafter(1.0, 2.0), 2.0, np.nextafter(2.0, 3.0), 3.0]
    of_three = table(edges, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0])
    assert of_three.draw(UNIFORM).min() >= 1.0
    assert of_three.draw(UNIFORM).max() <= np.nextafter(2.0, 3.0)
    hole_inside = table(edges, [1.0, 1.0, 0.0, 0.0, 1.0, 1.0])
    # the middle of the integral is where the hole is
    found = hole_inside.draw(0.5 + np.linspace(-1e-3, 1e-3, 2001))
    assert not np.any((found > edges[2]) & (found < edges[3]))
    assert np.any(found <= edges[2])
    assert np.any(found >= edges[3])


# ------------------------------------------------------------------ a model of two channels


class Peaks:
    """A narrow peak on an exponential in two channels, the second one with a hole.

    Constraints: of both numbers of background events, correlated, and of the efficiency.
    """

    def __init__(self):
        self.n_sig = parameter("n_sig", 8.0, -50.0, 200.0)
        self.n_bkg = [parameter("n_bkg0", 150.0, 0, 2000), parameter("n_bkg1", 90.0, 0, 2000)]
        self.slope = parameter("slope", -1.5, -6.0, 2.0)
        self.theta = parameter("theta", 0.0, -5.0, 5.0)
        self.mass = parameter("mass", PEAK, floating=False)
        scaled = zfit.ComposedParameter(
            "toys_scaled",
            lambda p: 0.5 * p["n"] * 1.1 ** p["theta"],
            params={"n": self.n_sig, "theta": self.theta},
            unpack_params=False,
        )
        whole = self.sum(self.n_sig, self.n_bkg[0])
        cut = [
            zd.pdf.Vetoed(pdf, [HOLE], counts="all", extended=n)
            for pdf, n in (
                (zfit.pdf.Gauss(self.mass, SIGMA, OBS), scaled),
                (zfit.pdf.Exponential(self.slope, OBS), self.n_bkg[1]),
            )
        ]
        rng = np.random.default_rng(1)
        x = [rng.triangular(0.0, 0.0, 1.4, n) for n in (230, 140)]
        x = [each[each < 1.0] for each in x]
        x[1] = x[1][(x[1] < HOLE[0]) | (x[1] > HOLE[1])]
        self.covariance = np.array([[400.0, 150.0], [150.0, 225.0]])
        constraints = [
            zfit.constraint.GaussianConstraint(
                self.n_bkg, observation=[155.0, 85.0], cov=self.covariance
            ),
            zfit.constraint.GaussianConstraint(self.theta, observation=0.3, sigma=1.0),
        ]
        self.loss = zfit.loss.ExtendedUnbinnedNLL(
            [whole, zfit.pdf.SumPDF(cut)],
            [zfit.Data.from_numpy(obs=OBS, array=each) for each in x],
            constraints=constraints,
        )
        self.compiled = compiled(self.loss)
        self.compiled.reserve([300, 300])
        self.sample = self.compiled.observed()
        self.truth = self.theta_of(n_sig=20.0)
        self.recipe = toys.recipe(self.compiled, self.truth, self.n_sig, self.sample)

    def sum(self, n_sig, n_bkg):
        return zfit.pdf.SumPDF(
            [
                zfit.pdf.Gauss(self.mass, SIGMA, OBS, extended=n_sig),
                zfit.pdf.Exponential(self.slope, OBS, extended=n_bkg),
            ]
        )

    def theta_of(self, **values):
        """All parameters, some of them at given values."""
        theta = self.compiled.values()
        for name, value in values.items():
            theta[self.compiled.index(getattr(self, name))] = value
        return theta

    def index(self, *parameters):
        return [self.compiled.index(p) for p in parameters]

    @staticmethod
    def cdf(x, signal, background, slope, hole=None):
        """The share of the events below x, in closed form."""

        def below(x):
            peak = norm.cdf(x, PEAK, SIGMA) - norm.cdf(0, PEAK, SIGMA)
            peak /= np.diff(norm.cdf([0, 1], PEAK, SIGMA))
            return signal * peak + background * np.expm1(slope * x) / np.expm1(slope)

        inside = 0.0
        if hole is not None:
            inside = below(np.clip(x, *hole)) - below(hole[0])
        total = below(1.0) - (0.0 if hole is None else below(hole[1]) - below(hole[0]))
        return (below(x) - inside) / total, total

    def fitted(self, numbers, seed=5, at=(0.0, 20.0), recipe=None, **how):
        others = np.stack([self.theta_of(n_sig=value, slope=-1.0) for value in at])
        return toys.fitted(
            self.compiled,
            self.recipe if recipe is None else recipe,
            self.n_sig,
            at,
            others,
            numbers,
            seed,
            **how,
        )


@pytest.fixture(scope="module")
def peaks():
    return Peaks()


@pytest.fixture(scope="module")
def fits(peaks):
    return peaks.fitted(range(100))


def test_points_have_the_density_of_the_model(peaks):
    """A p-value below 1e-5 in one of two tests fails, that is 1 seed in 50 000.

    With 1e5 points the test sees a distribution function that is off by 0.006.
    """
    many = replace(peaks.recipe, events=(1e5, 1e5)).draw(2, 0)
    signals = (20.0, 10.0)
    for points, signal, background, hole in zip(
        many.points, signals, (150.0, 90.0), (None, HOLE), strict=True
    ):
        x = points[:, 0]
        assert x.size > 99_000 - 5 * 316
        how = (signal, background, -1.5, hole)
        assert kstest(x, lambda x, how=how: Peaks.cdf(x, *how)[0]).pvalue > 1e-5
        # the peak alone, where the shape matters most
        near = x[np.abs(x - PEAK) < 3 * SIGMA]
        low, high = Peaks.cdf(PEAK + 3 * SIGMA * np.array([-1.0, 1.0]), *how)[0]
        cdf = lambda x, how=how, low=low, high=high: (Peaks.cdf(x, *how)[0] - low) / (high - low)  # noqa: E731
        assert near.size > 10_000
        assert kstest(near, cdf).pvalue > 1e-5
    assert not np.any((many.points[1] > HOLE[0]) & (many.points[1] < HOLE[1]))
    assert np.any((many.points[0] > HOLE[0]) & (many.points[0] < HOLE[1]))


def test_expected_events_are_those_of_the_model(peaks):
    for c, (signal, background, hole) in enumerate(((20.0, 150.0, None), (10.0, 90.0, HOLE))):
        _, total = Peaks.cdf(np.array([0.5]), signal, background, -1.5, hole)
        assert peaks.recipe.events[c] == pytest.approx(total, rel=2e-6)


def close_to_poisson(counts, expected):
    """Mean and variance over many toys, within FAR standard deviations of their errors."""
    n = len(counts)
    assert abs(counts.mean() - expected) < FAR * np.sqrt(expected / n)
    # the fourth central moment of a Poisson distribution is b + 3 b^2
    error = np.sqrt((expected + 2 * expected**2 * n / (n - 1)) / n)
    assert abs(counts.var(ddof=1) - expected) < FAR * error


@pytest.fixture(scope="module")
def many(peaks):
    return [peaks.recipe.draw(3, toy) for toy in range(MANY)]


def test_numbers_of_events_are_poisson(peaks, many):
    """4 numbers within 4.5 standard deviations: 1 seed in 35 000 fails."""
    counts = np.array([[len(x) for x in draw.points] for draw in many])
    for channel, expected in zip(counts.T, peaks.recipe.events, strict=True):
        close_to_poisson(channel, expected)
    # the channels are independent
    correlation = np.corrcoef(counts.T)[0, 1]
    assert abs(correlation) < FAR / np.sqrt(MANY)
    assert all((w == 1).all() for draw in many for w in draw.weights)


def test_observations_scatter_with_their_covariance(peaks, many):
    """9 numbers within 4.5 standard deviations: 1 seed in 16 000 fails."""
    observed = np.array([draw.observations for draw in many])
    index = peaks.index(*peaks.n_bkg, peaks.theta)
    expected = np.zeros((3, 3))
    expected[:2, :2], expected[2, 2] = peaks.covariance, 1.0
    size = np.sqrt(np.diag(expected))
    away = (observed - peaks.truth)[:, index]
    assert np.all(np.abs(away.mean(axis=0)) < FAR * size / np.sqrt(MANY))
    covariance = np.cov(away.T)
    error = np.sqrt((np.outer(size, size) ** 2 + expected**2) / MANY)
    assert np.all(np.abs(covariance - expected) < FAR * error)
    # 0.5 between the two, which uncorrelated ones would miss by 20 errors
    assert np.corrcoef(away.T)[0, 1] > 0.3


def test_parameters_without_a_constraint_have_no_observation_that_scatters(peaks, many):
    index = peaks.index(peaks.n_sig, peaks.slope)
    observed = np.array([draw.observations[index] for draw in many[:50]])
    np.testing.assert_array_equal(observed, np.tile(peaks.truth[index], (50, 1)))


def test_signals_of_other_sizes_are_drawn_from_streams_of_their_own(peaks):
    other = replace(peaks.recipe, poi=20.000001)
    one, two = (
        np.array([[*map(len, r.draw(3, toy).points)] for toy in range(500)])
        for r in (peaks.recipe, other)
    )
    # 1 seed in 75 000 fails
    for channel in (0, 1):
        correlation = np.corrcoef(one[:, channel], two[:, channel])[0, 1]
        assert abs(correlation) < FAR / np.sqrt(500)
    drawn = [r.draw(3, 0).points[0][:50, 0] for r in (peaks.recipe, other)]
    assert not np.isin(*drawn).any()


def test_toys_are_of_their_seed_and_number_alone(peaks):
    def flat(draw):
        scattered = draw.observations[peaks.index(*peaks.n_bkg, peaks.theta)]
        return np.concatenate([*(x.ravel() for x in draw.points), scattered])

    first = flat(peaks.recipe.draw(3, 17))
    np.testing.assert_array_equal(first, flat(peaks.recipe.draw(3, 17)))
    for seed, toy in ((4, 17), (3, 18), (2**64 - 1, 17), (0, 17)):
        assert not np.isin(flat(peaks.recipe.draw(seed, toy)), first).any()


# ------------------------------------------------------------------ other kinds of losses


def counted(extended):
    """Four bins: a known share of signal, or of one of two shapes."""
    space = zfit.Space(
        f"toys_n{extended}", binning=zfit.binned.RegularBinning(4, 0, 4, name=f"toys_n{extended}")
    )

    def shape(values, **how):
        data = zfit.data.BinnedData.from_tensor(space, values=np.array(values))
        return zfit.pdf.HistogramPDF(data, **how)

    signal, background = [0.1, 0.6, 0.3, 0.0], [0.4, 0.3, 0.2, 0.1]
    data = zfit.data.BinnedData.from_tensor(space, values=np.array([30.0, 40.0, 20.0, 10.0]))
    if extended:
        poi = parameter("binned_mu", 6.0, -20, 500)
        n_bkg = parameter("binned_bkg", 50.0, 0.0, 500)
        model = zfit.pdf.BinnedSumPDF(
            [shape(signal, extended=poi), shape(background, extended=n_bkg)]
        )
        return zfit.loss.ExtendedBinnedNLL(model, data), poi
    poi = parameter("binned_share", 0.25, 0.0, 1.0)
    model = zfit.pdf.BinnedSumPDF(
        [shape(signal, extended=False), shape(background, extended=False)], fracs=poi
    )
    return zfit.loss.BinnedNLL(model, data), poi


def recipe_of(loss, poi):
    ours = compiled(loss)
    return toys.recipe(ours, ours.values(), poi, ours.observed())


def test_bins_of_an_extended_loss_are_poisson():
    """8 numbers and 6 correlations within 4.5 standard deviations: 1 seed in 10 000 fails."""
    recipe = recipe_of(*counted(extended=True))
    expected = 6.0 * np.array([0.1, 0.6, 0.3, 0.0]) + 50.0 * np.array([0.4, 0.3, 0.2, 0.1])
    np.testing.assert_allclose(recipe.tables[0], expected, rtol=1e-12)
    counts = np.array([recipe.draw(1, toy).weights[0] for toy in range(MANY)])
    for one, b in zip(counts.T, expected, strict=True):
        close_to_poisson(one, b)
    correlation = np.corrcoef(counts.T)[np.triu_indices(4, 1)]
    assert np.all(np.abs(correlation) < FAR / np.sqrt(MANY))


def test_bins_of_a_loss_that_is_not_extended_are_multinomial():
    """8 numbers and 6 correlations within 4.5 standard deviations: 1 seed in 10 000 fails."""
    recipe = recipe_of(*counted(extended=False))
    shares = 0.25 * np.array([0.1, 0.6, 0.3, 0.0]) + 0.75 * np.array([0.4, 0.3, 0.2, 0.1])
    counts = np.array([recipe.draw(1, toy).weights[0] for toy in range(MANY)])
    assert np.all(counts.sum(axis=1) == 100)
    spread = 100 * (np.diag(shares) - np.outer(shares, shares))
    size = np.diag(spread)
    assert np.all(np.abs(counts.mean(axis=0) - 100 * shares) < FAR * np.sqrt(size / MANY))
    error = np.sqrt((np.outer(size, size) + spread**2) / MANY)
    assert np.all(np.abs(np.cov(counts.T) - spread) < FAR * error)


@pytest.fixture(scope="module")
def not_extended():
    """A peak of unknown share in 120 events."""
    share = parameter("share", 0.1, -0.5, 1.0)
    model = zfit.pdf.SumPDF(
        [zfit.pdf.Gauss(PEAK, 0.05, OBS), zfit.pdf.Exponential(-1.0, OBS)], fracs=share
    )
    x = np.random.default_rng(2).uniform(0.0, 1.0, 120)
    return zfit.loss.UnbinnedNLL(model, zfit.Data.from_numpy(obs=OBS, array=x)), share


def test_a_loss_that_is_not_extended_keeps_its_number_of_events(not_extended):
    recipe = recipe_of(*not_extended)
    assert {len(recipe.draw(1, toy).points[0]) for toy in range(50)} == {120}


def test_a_negative_density_cannot_be_drawn_from(not_extended):
    loss, share = not_extended
    ours = compiled(loss)
    with pytest.raises(InputError, match="negative or not a number"):
        toys.recipe(ours, np.array([-0.4]), share, ours.observed())


# ------------------------------------------------------------------ fits


def same(one, two):
    for name, a, b in zip(one._fields, one, two, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def joined(*parts):
    return toys.Fits(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def test_all_fits_converge(fits):
    assert fits.failed == 0
    assert all(np.isfinite(each).all() for each in fits)
    assert np.all(fits.lowest[:, None] <= fits.values + 1e-7)
    assert np.all(fits.lowest <= fits.truth + 1e-7)
    assert np.all(fits.values[:, 1] <= fits.truth + 1e-7)  # the truth is one of those with n_sig 20
    assert np.all(fits.values <= fits.others + 1e-7)
    assert fits.best.std() > 1.0


@pytest.mark.parametrize(
    ("batch", "threads"), [(10, 1), (10, 4), (64, 1), (64, 4), (1000, 1), (7, 2)]
)
def test_batches_and_threads_change_nothing_to_the_last_bit(peaks, fits, batch, threads):
    same(fits, peaks.fitted(range(100), batch=batch, threads=threads))


def test_toys_may_be_fitted_part_by_part(peaks, fits):
    same(fits, joined(peaks.fitted(range(50)), peaks.fitted(range(50, 100))))
    same(toys.Fits(*(each[40:] for each in fits)), peaks.fitted(range(40, 100)))


def test_no_toys_are_no_toys(peaks):
    found = peaks.fitted(range(0))
    assert found.best.shape == (0,)
    assert found.values.shape == (0, 2)
    assert found.failed == 0


def test_another_seed_gives_other_toys(peaks, fits):
    others = peaks.fitted(range(100), seed=6)
    assert not np.isin(others.lowest, fits.lowest).any()


@pytest.mark.slow
def test_more_room_for_events_changes_no_fit_but_for_rounding(peaks, fits):
    """A program for larger samples adds up zeros; the toys are the same."""
    room = CompiledLoss(peaks.loss)
    room.reserve([1000, 1000])
    found = toys.fitted(
        room, peaks.recipe, peaks.n_sig, [0.0], peaks.truth[None], range(20), 5, threads=1
    )
    np.testing.assert_allclose(found.lowest, fits.lowest[:20], rtol=1e-9)
    np.testing.assert_allclose(found.best, fits.best[:20], atol=1e-2)


@pytest.mark.parametrize("not_below", [-np.inf, 0.0])
def test_a_toy_is_fitted_like_data(peaks, fits, not_below):
    recipe, index = peaks.recipe, peaks.index(peaks.n_sig)[0]
    if not_below == 0.0:
        # without signal, so that half of the toys would like a negative one
        truth = peaks.theta_of(n_sig=0.0)
        recipe = toys.recipe(peaks.compiled, truth, peaks.n_sig, peaks.sample)
    numbers = range(12)
    found = peaks.fitted(numbers, recipe=recipe, not_below=not_below)
    free_of_limits = peaks.fitted(numbers, recipe=recipe)
    if not_below == 0.0:
        assert np.any(free_of_limits.best < -0.5)
        assert found.best.min() == 0.0
    others = np.stack([peaks.theta_of(n_sig=value, slope=-1.0) for value in (0.0, 20.0)])
    for toy in numbers:
        draw = recipe.draw(5, toy)
        sample = peaks.compiled.sample(
            draw.points, draw.weights, peaks.sample.setting, draw.observations
        )
        start = np.tile(recipe.theta, (4, 1))
        start[1:, index] = 0.0, 20.0, 0.0
        free = np.ones(start.shape, bool)
        free[1:3, index] = False
        minimum = peaks.compiled.fit(sample, start, free)
        assert minimum.converged.all()
        best, lowest = minimum.theta[0, index], minimum.value[0]
        if best < not_below:
            best, lowest = 0.0, minimum.value[1]
        sigma = np.sqrt(np.linalg.inv(minimum.curvature[0])[index, index])
        assert found.lowest[toy] == pytest.approx(lowest, rel=1e-9)
        assert found.best[toy] == pytest.approx(best, abs=1e-3 * sigma)
        np.testing.assert_allclose(found.values[toy], minimum.value[1:3], rtol=1e-9)
        looks = peaks.compiled.evaluate(np.vstack([recipe.theta, others]), sample)[0]
        np.testing.assert_allclose(found.truth[toy], looks[0], rtol=1e-12)
        np.testing.assert_allclose(found.others[toy], looks[1:], rtol=1e-12)


def test_twice_the_likelihood_ratio_at_the_truth_is_chi_square(peaks):
    """Mean and variance of 300 toys within 4.5 errors and 10 %: 1 seed in 70 000 fails.

    Were the observations of the constraints not part of a toy, the ratio would be smaller.
    """
    ratio = 2 * (lambda f: f.truth - f.lowest)(peaks.fitted(range(300), at=(20.0,)))
    p = len(peaks.compiled.parameters)
    assert abs(ratio.mean() - p) < FAR * np.sqrt(2 * p / 300) + 0.1 * p
    assert kstest(ratio, chi2(p).cdf).statistic < 0.15


# ------------------------------------------------------------------ what Newton leaves


def spoiled(monkeypatch, how):
    """Let Newton's fits of toys come out otherwise; returns how often they were asked for."""
    whole, calls = CompiledLoss.fit_toys, []

    def fit_toys(self, draws, *args, **more):
        calls.append(len(draws))
        found = whole(self, draws, *args, **more).copy()
        how(found)
        return found

    monkeypatch.setattr(CompiledLoss, "fit_toys", fit_toys)
    return calls


@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_toy_that_newton_leaves_goes_to_minuit(peaks, fits, monkeypatch, row):
    def fail(found):
        found[3, row] = [-999.0, np.nan, np.nan, found[3, row, 3]]
        found[5, row, 2] = 10 * EDM_TOLERANCE

    calls = spoiled(monkeypatch, fail)
    found = peaks.fitted(range(10), threads=1)
    assert calls == [10]
    assert found.failed == 0
    np.testing.assert_allclose(found.lowest, fits.lowest[:10], rtol=1e-9)
    np.testing.assert_allclose(found.values, fits.values[:10], rtol=1e-9)
    np.testing.assert_allclose(found.best, fits.best[:10], atol=1e-2)
    # toys that need no help are left as they are, and so are likelihoods that need no fit
    good = [i for i in range(10) if i not in (3, 5)]
    np.testing.assert_array_equal(found.lowest[good], fits.lowest[good])
    np.testing.assert_array_equal(found.truth, fits.truth[:10])
    np.testing.assert_array_equal(found.others, fits.others[:10])


def test_minuit_keeps_to_the_lower_limit_too(peaks, monkeypatch):
    truth = peaks.theta_of(n_sig=0.0)
    recipe = toys.recipe(peaks.compiled, truth, peaks.n_sig, peaks.sample)
    expected = peaks.fitted(range(12), recipe=recipe, not_below=0.0)
    assert np.sum(expected.best == 0.0) > 2

    def fail(found):
        found[:, :, 2] = np.nan

    spoiled(monkeypatch, fail)
    found = peaks.fitted(range(12), recipe=recipe, not_below=0.0)
    np.testing.assert_allclose(found.lowest, expected.lowest, rtol=1e-9)
    np.testing.assert_allclose(found.best, expected.best, atol=1e-2)


def test_what_minuit_cannot_fit_either_is_counted_and_has_no_number(peaks, monkeypatch):
    whole = CompiledLoss.fit

    def fit(self, sample, start, free, lower=None):
        minimum = whole(self, sample, start, free, lower)
        return replace(minimum, edm=np.where(np.arange(len(start)) == 1, 1.0, minimum.edm))

    def fail(found):
        found[[2, 7], 1, 2] = np.nan

    monkeypatch.setattr(CompiledLoss, "fit", fit)
    spoiled(monkeypatch, fail)
    found = peaks.fitted(range(10), threads=1)
    assert found.failed == 2
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found.values[:, 0])), [2, 7])
    assert np.isfinite(found.values[:, 1]).all()
    assert np.isfinite(found.lowest).all()


def test_failed_counts_toys_not_fits():
    n = np.nan
    found = toys.Fits(
        best=np.zeros(4),
        lowest=np.array([1.0, n, 1.0, n]),
        values=np.array([[1.0, 1.0], [n, n], [1.0, n], [1.0, 1.0]]),
        truth=np.full(4, n),
        others=np.full((4, 2), n),
    )
    assert found.failed == 3


# ------------------------------------------------------------------ what is refused


def test_more_values_than_a_program_takes_are_refused(peaks):
    assert peaks.fitted(range(1), at=np.arange(TESTS) * 5.0).values.shape == (1, TESTS)
    with pytest.raises(InputError, match=f"{TESTS + 1} values of the parameter of interest"):
        peaks.fitted(range(1), at=np.arange(TESTS + 1) * 5.0)


def test_constraints_that_are_not_gaussian_are_refused(peaks):
    loss = zfit.loss.ExtendedUnbinnedNLL(
        peaks.loss.model[0],
        peaks.loss.data[0],
        constraints=zfit.constraint.PoissonConstraint(peaks.n_bkg[0], observation=150.0),
    )
    with pytest.raises(InputError, match="PoissonConstraint"):
        recipe_of(loss, peaks.n_sig)


def test_two_observables_are_refused():
    spaces = [zfit.Space(f"toys_two_{name}", 0, 1) for name in "xy"]
    mean = parameter("two_mean", 0.5)
    n = parameter("two_n", 20.0)
    model = zfit.pdf.ProductPDF([zfit.pdf.Gauss(mean, 0.2, obs) for obs in spaces], extended=n)
    x = np.random.default_rng(3).uniform(0, 1, (20, 2))
    data = zfit.Data.from_numpy(obs=spaces[0] * spaces[1], array=x)
    with pytest.raises(InputError, match="2 observables"):
        recipe_of(zfit.loss.ExtendedUnbinnedNLL(model, data), n)


def test_a_recipe_is_of_the_mass_of_the_data(peaks):
    """A model that was moved on meanwhile, as a scan does, changes nothing."""
    peaks.mass.set_value(0.7)
    try:
        again = toys.recipe(peaks.compiled, peaks.truth, peaks.n_sig, peaks.sample)
        moved = toys.recipe(
            peaks.compiled, peaks.truth, peaks.n_sig, peaks.compiled.sample(*peaks.compiled._data())
        )
    finally:
        peaks.mass.set_value(PEAK)
    assert isinstance(peaks.sample.setting, Setting)
    for a, b in zip(again.tables, peaks.recipe.tables, strict=True):
        np.testing.assert_array_equal(a.x, b.x)
        np.testing.assert_array_equal(a.density, b.density)
    assert not np.array_equal(moved.tables[0].density, again.tables[0].density)
    same(
        peaks.fitted(range(5), recipe=again),
        peaks.fitted(range(5)),
    )
