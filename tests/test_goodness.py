"""Goodness of fit: statistics against scipy and fits written out, p-values that are uniform."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zfit
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text
from scipy.optimize import brentq, minimize
from scipy.stats import goodness_of_fit as scipy_goodness_of_fit
from scipy.stats import kstest, norm, poisson

import zfit_dark as zd
from zfit_dark import goodness, plot
from zfit_dark.errors import InputError
from zfit_dark.fitting import fit
from zfit_dark.goodness import goodness_of_fit, judge
from zfit_dark.likelihood import Likelihood
from zfit_dark.newton import EDM_TOLERANCE
from zfit_dark.profile import CompiledLoss, compiled
from zfit_dark.results import GoodnessOfFit
from zfit_dark.toys import recipe

OBS = zfit.Space("goodness_x", -1.0, 1.0)
EVENTS = 120


def parameter(name: str, value: float, *limits: float) -> Any:
    return zfit.Parameter(f"goodness_{name}", value, *limits)


def saturated(counts: np.ndarray, expected: np.ndarray) -> float:
    """Twice the logarithm of a ratio of likelihoods, of Poisson probabilities."""
    counts = np.asarray(counts)
    return float(2 * np.sum(poisson.logpmf(counts, counts) - poisson.logpmf(counts, expected)))


# ------------------------------------------------------------------ the statistics


@given(st.integers(1, 400), st.integers(0, 10**6))
def test_anderson_darling_is_that_of_scipy(n: int, seed: int) -> None:
    x = np.random.default_rng(seed).normal(0.2, 1.3, n)
    wanted = scipy_goodness_of_fit(
        norm, x, known_params={"loc": 0.0, "scale": 1.0}, statistic="ad", n_mc_samples=1
    )
    assert goodness._anderson_darling(norm.cdf(x)) == pytest.approx(wanted.statistic, rel=1e-9)


def test_anderson_darling_without_events_is_zero() -> None:
    assert goodness._anderson_darling(np.empty(0)) == 0.0


class Line:
    """A straight line, with a small peak in it, as zfit and as formulas."""

    def __init__(self) -> None:
        self.n_sig = parameter("n_sig", 0.0)
        self.n_bkg = parameter("n_bkg", 100.0, 0.0, 1e5)
        self.slope = parameter("slope", 0.0, -1.0, 1.0)
        model = zfit.pdf.SumPDF(
            [
                zfit.pdf.Gauss(0.3, 0.02, OBS, extended=self.n_sig),
                zfit.pdf.Chebyshev(OBS, [self.slope], extended=self.n_bkg),
            ],
            name="line",
        )
        self.x = self.points(0.4, EVENTS, np.random.default_rng(3))
        data = zfit.Data.from_numpy(obs=OBS, array=self.x)
        self.loss = zfit.loss.ExtendedUnbinnedNLL(model, data)
        self.ours = compiled(self.loss)
        # room for the samples of all tests, so that it is compiled once
        self.ours.reserve([2600])

    @staticmethod
    def points(slope: float, n: int, rng: np.random.Generator, bend: float = 0.0) -> np.ndarray:
        """Of the density 1 + slope x + bend (2 x^2 - 1)."""
        x, top = rng.uniform(-1, 1, 20 * n), 1 + abs(slope) + abs(bend)
        kept = x[rng.uniform(0, top, 20 * n) < 1 + slope * x + bend * (2 * x**2 - 1)]
        assert kept.size >= n
        return kept[:n]

    def judged(self, x: np.ndarray, **how: Any) -> GoodnessOfFit:
        ours = self.ours
        sample = ours.sample([x[:, None]], [np.ones(x.size)])
        start = ours.values()
        return judge(ours, sample, start, self.n_sig, **({"toys": 50} | how))


@pytest.fixture(scope="module")
def line() -> Line:
    return Line()


@pytest.fixture(scope="module")
def background_only(line: Line) -> GoodnessOfFit:
    return goodness_of_fit(line.loss, line.n_sig, toys=50, with_signal=False)


def test_statistics_are_those_of_the_fit(line: Line, background_only: GoodnessOfFit) -> None:
    """The slope from its likelihood equation, the yield is the number of events."""
    slope = brentq(lambda a: np.sum(line.x / (1 + a * line.x)), -0.99, 0.99)
    u = np.sort((1 + line.x) / 2 + slope * (line.x**2 - 1) / 4)
    i, n = np.arange(1, EVENTS + 1), EVENTS
    wanted = -n - np.sum((2 * i - 1) / n * (np.log(u) + np.log(1 - u[::-1])))
    assert background_only.anderson_darling == pytest.approx(wanted, rel=1e-4)
    counts = np.histogram(u, 40, (0, 1))[0]
    assert background_only.saturated == pytest.approx(saturated(counts, np.full(40, n / 40)))
    fewer = goodness_of_fit(line.loss, line.n_sig, toys=1, bins=8, with_signal=False)
    counts = np.histogram(u, 8, (0, 1))[0]
    assert fewer.saturated == pytest.approx(saturated(counts, np.full(8, n / 8)))


def test_a_signal_that_is_fitted_is_part_of_it(line: Line) -> None:
    rng = np.random.default_rng(4)
    x = np.append(line.x, rng.normal(0.3, 0.02, 60))
    without, with_signal = (line.judged(x, with_signal=s, toys=100) for s in (False, True))
    assert without.anderson_darling_p == pytest.approx(1 / 101)
    assert without.saturated_p == pytest.approx(1 / 101)
    assert with_signal.anderson_darling < 0.3 * without.anderson_darling
    assert with_signal.saturated < 0.7 * without.saturated
    # below 2 in 101 by chance: 1 seed in 50, and this is a seed of the others
    assert min(with_signal.anderson_darling_p, with_signal.saturated_p) > 0.02


def test_cumulative_distribution_is_good_to_1e_6(line: Line) -> None:
    ours = line.ours
    theta = ours.values()
    for name, value in (("n_sig", 30.0), ("n_bkg", 100.0), ("slope", -0.7)):
        theta[ours.index(getattr(line, name))] = value
    data = ours.observed()
    table = recipe(ours, theta, line.n_sig, data).tables[0]
    edges = goodness._panels(table, data.setting.breakpoints[0])  # type: ignore[arg-type]
    (density,) = goodness._densities(ours, theta, data, [goodness._nodes(edges)])
    x = np.concatenate([np.linspace(-1, 1, 3001), np.linspace(0.2, 0.4, 3001)])
    below, total = goodness._below(edges, density, x)
    peak = (norm.cdf(x, 0.3, 0.02) - norm.cdf(-1, 0.3, 0.02)) / norm.cdf(1, 0.3, 0.02)
    exact = 30 * peak + 100 * ((1 + x) / 2 - 0.7 * (x**2 - 1) / 4)
    assert total == pytest.approx(130, rel=1e-6)
    np.testing.assert_allclose(below / total, exact / 130, rtol=0, atol=1e-6)


# ------------------------------------------------------------------ p-values


def test_p_values_of_the_right_model_are_uniform(line: Line) -> None:
    """60 samples of 50 toys each; one of two p-values below 1e-5 fails, 1 seed in 50 000.

    A p-value is a multiple of 1/51; a random number below that makes it continuous.
    """
    rng = np.random.default_rng(5)
    found = []
    for i in range(60):
        x = Line.points(0.4, int(rng.poisson(50)), rng)
        result = line.judged(x, with_signal=False, seed=i, bins=10)
        assert result.valid
        found.append([result.saturated_p, result.anderson_darling_p])
    p = np.array(found) - rng.uniform(0, 1 / 51, (60, 2))
    for each in p.T:
        assert kstest(each, "uniform").pvalue > 1e-5
    # both kinds of values are there: 2 (0.7)^60 = 1e-9
    assert p.min() < 0.3
    assert p.max() > 0.7


def test_a_wrong_model_is_seen(line: Line) -> None:
    """A line fitted to 2000 events of a parabola: A^2 is above 10, and toys stay below 3."""
    x = Line.points(0.2, 2000, np.random.default_rng(6), bend=0.4)
    result = line.judged(x, with_signal=False)
    assert result.anderson_darling > 3 * result.toy_anderson_darling.max()
    assert result.saturated > result.toy_saturated.max()
    assert result.anderson_darling_p == result.saturated_p == pytest.approx(1 / 51)
    right = line.judged(Line.points(0.2, 2000, np.random.default_rng(6)), with_signal=False)
    assert right.anderson_darling < right.toy_anderson_darling.max()


def test_threads_change_nothing_and_seeds_everything(
    line: Line, background_only: GoodnessOfFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(goodness, "cores", lambda: 1)
    one = goodness_of_fit(line.loss, line.n_sig, toys=50, with_signal=False)
    monkeypatch.setattr(goodness, "cores", lambda: 5)
    five = goodness_of_fit(line.loss, line.n_sig, toys=50, with_signal=False)
    for name in ("toy_saturated", "toy_anderson_darling"):
        np.testing.assert_array_equal(getattr(one, name), getattr(background_only, name))
        np.testing.assert_array_equal(getattr(one, name), getattr(five, name))
    other = goodness_of_fit(line.loss, line.n_sig, toys=50, with_signal=False, seed=2)
    assert not np.isin(other.toy_anderson_darling, one.toy_anderson_darling).any()


def test_no_parameter_moves(line: Line) -> None:
    before = line.ours.values()
    goodness_of_fit(line.loss, line.n_sig, toys=2)
    np.testing.assert_array_equal(line.ours.values(), before)


def test_no_events_at_all_are_no_surprise(line: Line) -> None:
    result = line.judged(np.empty(0), with_signal=False, toys=10)
    assert result.valid
    assert result.anderson_darling == 0.0
    assert result.saturated == pytest.approx(0.0, abs=1e-6)
    assert result.saturated_p == result.anderson_darling_p == 1.0


# ------------------------------------------------------------------ a binned loss


def test_a_binned_loss_has_bins_of_its_own() -> None:
    space = zfit.Space("goodness_n", binning=zfit.binned.RegularBinning(6, 0, 6, name="goodness_n"))

    def shape(values: list[float], yield_: Any) -> Any:
        data = zfit.data.BinnedData.from_tensor(space, values=np.array(values))
        return zfit.pdf.HistogramPDF(data, extended=yield_)

    signal, background = [0.0, 0.1, 0.6, 0.3, 0.0, 0.0], [0.3, 0.25, 0.2, 0.15, 0.1, 0.0]
    counts = np.array([41.0, 30.0, 40.0, 20.0, 4.0, 0.0])
    mu, n_bkg = parameter("mu", 6.0, -20, 500), parameter("n_binned", 50.0, 0.0, 500)
    model = zfit.pdf.BinnedSumPDF([shape(signal, mu), shape(background, n_bkg)])
    data = zfit.data.BinnedData.from_tensor(space, values=counts)
    loss = zfit.loss.ExtendedBinnedNLL(model, data)
    result = goodness_of_fit(loss, mu, toys=200)

    def expected(p: np.ndarray) -> np.ndarray:
        return p[0] * np.array(signal) + p[1] * np.array(background)

    best = minimize(
        lambda p: saturated(counts, np.maximum(expected(p), 1e-30)),
        [10.0, 100.0],
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-12},
    )
    assert result.saturated == pytest.approx(best.fun, rel=1e-6)
    assert np.isnan(result.anderson_darling)
    assert np.isnan(result.anderson_darling_p)
    assert result.valid
    assert result.failed == 0
    assert "Anderson" not in result.summary()
    # 5 bins that count, 2 parameters: chi2 of 3 degrees of freedom, within 5 errors of the mean
    assert abs(result.toy_saturated.mean() - 3.0) < 5 * np.sqrt(6 / 200) + 0.3
    assert len(plot.goodness(result).axes) == 1


# ------------------------------------------------------------------ two channels with nuisances


@pytest.fixture(scope="module")
def of_two(likelihood: Likelihood) -> GoodnessOfFit:
    return goodness_of_fit(likelihood, mass=0.8, toys=20, pseudo_data=True)


@pytest.mark.slow
def test_statistics_of_channels_add_up(likelihood: Likelihood, of_two: GoodnessOfFit) -> None:
    assert of_two.valid
    assert of_two.channels == ("one", "two")
    assert of_two.events.tolist() == [c.fitted(0.8).size for c in likelihood.channels]
    assert of_two.anderson_darling == of_two.channel_anderson_darling.sum()
    assert of_two.toy_saturated.shape == (20, 2)
    assert np.std(of_two.toy_saturated, axis=0).min() > 0


@pytest.mark.slow
def test_a_channel_without_events_adds_nothing(likelihood: Likelihood) -> None:
    result = goodness_of_fit(likelihood, mass=1.2, toys=20)
    assert result.valid
    assert result.events[0] == 0
    assert result.channel_anderson_darling[0] == 0.0
    assert result.channel_anderson_darling[1] > 0.0


@pytest.mark.slow
def test_a_fit_carries_its_goodness(likelihood: Likelihood, of_two: GoodnessOfFit) -> None:
    result = fit(likelihood, 0.8, goodness_toys=20, pseudo_data=True)
    assert result.goodness is not None
    assert result.goodness.pseudo_data
    np.testing.assert_allclose(
        result.goodness.channel_anderson_darling, of_two.channel_anderson_darling, rtol=1e-3
    )
    assert result.goodness.with_signal
    assert fit(likelihood, 0.8).goodness is None
    words = [text.get_text() for text in plot.fit(result).findobj(Text)]
    p = result.goodness
    wanted = f"saturated p = {p.saturated_p:.2g}, AD p = {p.anderson_darling_p:.2g}"
    assert f"Goodness of fit: {wanted}" in words


@pytest.mark.slow
def test_a_blind_fit_judges_the_sidebands(likelihood: Likelihood) -> None:
    result = fit(likelihood, 0.8, goodness_toys=5, blind=True).goodness
    assert result is not None
    assert not result.with_signal
    assert result.events.tolist() == [c.fitted(0.8, 3.0).size for c in likelihood.channels]


# ------------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"toys": 0}, "toys=0: give a whole number, at least 1"),
        ({"toys": 2.5}, "toys=2.5: give a whole number"),
        ({"bins": 1}, "bins=1: give a whole number, at least 2"),
        ({"seed": -1}, "seed=-1"),
        ({"mass": 0.5}, "mass= is for a Likelihood"),
    ],
)
def test_numbers_that_make_no_sense(line: Line, how: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        goodness_of_fit(line.loss, line.n_sig, **how)


def test_a_mass_that_is_no_hypothesis(likelihood: Likelihood) -> None:
    with pytest.raises(InputError, match=r"no hypothesis at 0.55 GeV: vetoed: eta"):
        goodness_of_fit(likelihood, mass=0.55)


def test_data_with_weights_are_refused(line: Line) -> None:
    sample = line.ours.sample([line.x[:, None]], [np.full(EVENTS, 0.5)])
    with pytest.raises(InputError, match="line: its data have weights"):
        judge(line.ours, sample, line.ours.values(), line.n_sig, toys=5)


def test_losses_that_toys_cannot_be_drawn_of() -> None:
    n = parameter("n_other", 5.0, 0.0, 100.0)
    x = np.random.default_rng(7).uniform(-1, 1, (20, 2))
    other = zfit.Space("goodness_y", -1.0, 1.0)
    plane = zfit.pdf.ProductPDF(
        [zfit.pdf.Uniform(-1, 1, OBS), zfit.pdf.Uniform(-1, 1, other)], extended=n
    )
    loss = zfit.loss.ExtendedUnbinnedNLL(plane, zfit.Data.from_numpy(obs=OBS * other, array=x))
    with pytest.raises(InputError, match="no toys for 2 observables"):
        goodness_of_fit(loss, n)
    flat = zfit.pdf.Uniform(-1, 1, OBS, extended=n)
    constraint = zfit.constraint.PoissonConstraint(n, observation=20.0)
    data = zfit.Data.from_numpy(obs=OBS, array=x[:, 0])
    loss = zfit.loss.ExtendedUnbinnedNLL(flat, data, constraints=constraint)
    with pytest.raises(InputError, match="Gaussian constraints"):
        goodness_of_fit(loss, n)


def test_toys_that_fail_are_left_out_and_said(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, calls = goodness._statistics, []

    def failing(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) in (3, 5):
            raise InputError("a test")
        return whole(*arguments)

    monkeypatch.setattr(goodness, "_statistics", failing)
    monkeypatch.setattr(goodness, "cores", lambda: 1)
    result = goodness_of_fit(line.loss, line.n_sig, toys=20, with_signal=False)
    assert (result.failed, len(result.toy_saturated)) == (2, 18)
    assert not result.valid
    assert result.warnings == ("2 of 20 toys could not be fitted and were left out",)
    calls.clear()
    many = goodness_of_fit(line.loss, line.n_sig, toys=200, with_signal=False)
    assert (many.failed, many.valid) == (2, True)


def test_data_that_cannot_be_fitted_have_no_p_value(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = CompiledLoss.fit

    def failing(self: CompiledLoss, *arguments: Any) -> Any:
        found = whole(self, *arguments)
        found.edm[:] = 2 * EDM_TOLERANCE
        return found

    monkeypatch.setattr(CompiledLoss, "fit", failing)
    result = goodness_of_fit(line.loss, line.n_sig, toys=5)
    assert not result.valid
    assert result.warnings == ("the fit did not converge",)
    assert np.isnan([result.saturated, result.saturated_p, result.anderson_darling_p]).all()
    assert "did not converge" in result.summary()
    with pytest.raises(InputError, match="no toys to draw: the fit did not converge"):
        plot.goodness(result)


def test_where_a_density_is_negative_the_signal_is_not(line: Line) -> None:
    """No event is where the peak is, so that a free fit makes it a hole below zero."""
    x = Line.points(0.0, 300, np.random.default_rng(8))
    hole = x[np.abs(x - 0.3) > 0.08]
    result = line.judged(hole, toys=5)
    at_zero = line.judged(hole, toys=5, with_signal=False)
    assert np.isfinite(result.anderson_darling)
    assert result.anderson_darling == pytest.approx(at_zero.anderson_darling, rel=1e-3)


# ------------------------------------------------------------------ the result and its plot


def made(**changes: Any) -> GoodnessOfFit:
    rng = np.random.default_rng(9)
    values: dict[str, Any] = {
        "channels": ("a", "b"),
        "events": [30, 40],
        "channel_saturated": [20.0, 40.0],
        "channel_anderson_darling": [0.5, 0.7],
        "toy_saturated": rng.chisquare(30, (300, 2)),
        "toy_anderson_darling": rng.gamma(3.0, 0.2, (300, 2)),
        "toys": 301,
        "failed": 1,
        "seed": 1,
        "with_signal": True,
        "valid": True,
        "pseudo_data": True,
    }
    return GoodnessOfFit(**(values | changes))


def test_p_values_count_toys() -> None:
    result = made(
        toy_saturated=[[10.0, 10.0], [30.0, 30.0], [30.0, 31.0]],
        toy_anderson_darling=[[0.1, 0.1], [0.1, 0.2], [1.0, 0.1]],
    )
    assert result.saturated == 60.0
    # one toy is equal, one larger: (1 + 2) / (1 + 3)
    assert result.saturated_p == 0.75
    assert result.saturated_p_error == pytest.approx(np.sqrt(0.75 * 0.25 / 3))
    assert result.anderson_darling_p == 0.25
    table = result.to_pandas()
    assert table["channel"].tolist() == ["a", "b", "all"]
    assert table["events"].tolist() == [30, 40, 70]
    assert table["saturated"].tolist() == [20.0, 40.0, 60.0]
    assert table["saturated_p"].tolist() == [0.75, 0.25, 0.75]
    assert table["anderson_darling_p"].tolist() == [0.5, 0.25, 0.25]
    assert result.summary().startswith(
        "goodness of fit: saturated 60, p = 0.750 +- 0.250; Anderson"
    )


def test_arrays_are_read_only_and_of_one_size() -> None:
    with pytest.raises(ValueError, match="read-only"):
        made().toy_saturated[0] = 1.0
    with pytest.raises(InputError, match="channel_saturated has the shape"):
        made(channel_saturated=[1.0])
    with pytest.raises(InputError, match="more than 200"):
        made(toys=200)


@pytest.mark.parametrize("valid", [True, False])
def test_plot_shows_toys_data_and_p_values(valid: bool) -> None:
    result = made(valid=valid)
    figure = plot.goodness(result)
    one, two = figure.axes
    assert one.get_xlabel().startswith("Saturated")
    assert two.get_xlabel().startswith("Anderson")
    words = [text.get_text() for text in figure.findobj(Text)]
    assert rf"$p = {result.saturated_p:.3f} \pm {result.saturated_p_error:.3f}$" in words
    assert words.count("Pseudo-data") == 2
    assert words.count("Not valid") == (0 if valid else 2)
    arrow = next(text for text in one.texts if hasattr(text, "arrow_patch"))
    assert arrow.xy == (60.0, 0)  # type: ignore[attr-defined]


def test_the_function_is_public() -> None:
    assert zd.goodness_of_fit is goodness_of_fit
