"""Peaks other than the plain Crystal Ball: each against its formula written out, and quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
import zfit
from hypothesis import given, settings
from numba_stats import crystalball_ex
from scipy import integrate, special

from zfit_dark import pdf
from zfit_dark.pdf.crystal_ball import (
    crystal_ball_integral,
    crystal_ball_shape,
    generalized_cb_integral,
    generalized_cb_shape,
)
from zfit_dark.pdf.exponential_tails import (
    gauss_exp_tail_integral,
    gauss_exp_tail_shape,
    generalized_gauss_exp_tail_integral,
    generalized_gauss_exp_tail_shape,
)
from zfit_dark.pdf.novosibirsk import novosibirsk_integral, novosibirsk_shape
from zfit_dark.pdf.voigt import voigt_integral, voigt_shape

# ------------------------------------------------------------------ the formulas written out


def power_tail(distance: float, alpha: float, n: float) -> float:
    if distance <= alpha:
        return math.exp(-0.5 * distance**2)
    return math.exp(-0.5 * alpha**2) * (n / alpha / (n / alpha - alpha + distance)) ** n


def exponential_tail(distance: float, alpha: float) -> float:
    if distance <= alpha:
        return math.exp(-0.5 * distance**2)
    return math.exp(0.5 * alpha**2 - alpha * distance)


def generalized_cb(x, mu, sigmal, alphal, nl, sigmar, alphar, nr):
    if x < mu:
        return power_tail((mu - x) / sigmal, alphal, nl)
    return power_tail((x - mu) / sigmar, alphar, nr)


def gauss_exp_tail(x, mu, sigma, alpha):
    t = (x - mu) / sigma * math.copysign(1.0, alpha)
    return exponential_tail(-t, abs(alpha)) if t < 0 else math.exp(-0.5 * t**2)


def generalized_gauss_exp_tail(x, mu, sigmal, alphal, sigmar, alphar):
    if x < mu:
        return exponential_tail((mu - x) / sigmal, alphal)
    return exponential_tail((x - mu) / sigmar, alphar)


def novosibirsk(x, mu, sigma, lambd):
    t = (x - mu) / sigma
    if lambd == 0.0:
        return math.exp(-0.5 * t**2)
    if lambd * t >= 1.0:
        return 0.0
    tau = math.asinh(lambd * math.sqrt(math.log(4.0))) / math.sqrt(math.log(4.0))
    return math.exp(-0.5 * (math.log1p(-lambd * t) / tau) ** 2 - 0.5 * tau**2)


def voigt(x, m, sigma, gamma):
    return special.voigt_profile(x - m, sigma, gamma)


@dataclass
class Peak:
    shape: Callable[..., Any]
    integral: Callable[..., Any]
    formula: Callable[..., float]
    pdf: Any
    points: tuple[tuple[float, ...], ...]  # first and second parameter: position and a width
    extremes: tuple[tuple[float, float], ...]  # of the parameters after the position, in log10

    def joints(self, point: tuple[float, ...]) -> list[float]:
        """Where a quadrature has to begin anew, and some more."""
        width = max(abs(v) for v in point[1:] if abs(v) < 0.1)
        steps = width * np.array([0.3, 0.5, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 8.0, 20.0])
        ends = [point[0] + point[1] / point[2]] if self.formula is novosibirsk and point[2] else []
        mine = []
        if len(point) >= 5:
            step = (len(point) - 1) // 2
            mine = [point[0] - point[1] * point[2], point[0] + point[1 + step] * point[2 + step]]
        elif self.formula is gauss_exp_tail:
            mine = [point[0] - point[1] * point[2]]
        return [point[0], *ends, *mine, *(point[0] + steps), *(point[0] - steps)]

    def area(self, lower: float, upper: float, point: tuple[float, ...]) -> float:
        edges = sorted({lower, upper, *(j for j in self.joints(point) if lower < j < upper)})
        parts = [
            integrate.quad(self.formula, *edge, args=point, epsabs=0.0, epsrel=1e-12)[0]
            for edge in pairwise(edges)
        ]
        return math.fsum(parts)


PEAKS = {
    "generalized_cb": Peak(
        generalized_cb_shape,
        generalized_cb_integral,
        generalized_cb,
        pdf.GeneralizedCB,
        (
            (0.5, 0.008, 1.2, 3.0, 0.013, 1.7, 1.0),
            (0.5, 0.02, 0.3, 0.7, 0.004, 2.5, 30.0),
            (0.5, 0.01, 1.0, 100.0, 0.01, 1.0, 100.0),
        ),
        ((-4, 1), (-2, 1), (-1, 3), (-4, 1), (-2, 1), (-1, 3)),
    ),
    "gauss_exp_tail": Peak(
        gauss_exp_tail_shape,
        gauss_exp_tail_integral,
        gauss_exp_tail,
        pdf.GaussExpTail,
        ((0.5, 0.008, 1.2), (0.5, 0.02, -0.3), (0.5, 0.01, 4.0)),
        ((-4, 1), (-2, 1.7)),
    ),
    "generalized_gauss_exp_tail": Peak(
        generalized_gauss_exp_tail_shape,
        generalized_gauss_exp_tail_integral,
        generalized_gauss_exp_tail,
        pdf.GeneralizedGaussExpTail,
        ((0.5, 0.008, 1.2, 0.013, 0.4), (0.5, 0.02, 3.0, 0.004, 1.0)),
        ((-4, 1), (-2, 1.7), (-4, 1), (-2, 1.7)),
    ),
    "novosibirsk": Peak(
        novosibirsk_shape,
        novosibirsk_integral,
        novosibirsk,
        pdf.Novosibirsk,
        ((0.5, 0.01, 0.2), (0.5, 0.01, -0.6), (0.5, 0.02, 0.01), (0.5, 0.02, 0.0)),
        ((-4, 1), (-9, 0.5)),
    ),
    "voigt": Peak(
        voigt_shape,
        voigt_integral,
        voigt,
        pdf.Voigt,
        ((0.5, 0.01, 0.002), (0.5, 0.004, 0.03), (0.5, 0.01, 1e-6)),
        ((-4, 1), (-9, 1)),
    ),
}
WINDOWS = (
    (0.3, 0.7),  # the peak inside
    (0.5, 0.7),  # on the lower edge
    (0.3, 0.5),  # on the upper edge
    (0.503, 0.506),  # in the core, beside the peak
    (0.56, 0.7),  # right of the peak
    (0.3, 0.44),  # left of it
    (0.49999, 0.50002),
)
each_peak = pytest.mark.parametrize("peak", PEAKS.values(), ids=PEAKS)


@cache
def traced(kernel: Callable[..., Any], arguments: int) -> Any:
    """A kernel and its gradient, in one graph for all tests."""

    @tf.function(input_signature=[tf.TensorSpec([arguments, None], tf.float64)], autograph=False)
    def compute(columns: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(columns)
            value = kernel(*tf.unstack(columns))
        return value, tape.gradient(value, columns)

    return compute


def on_columns(kernel: Callable[..., Any], rows: Any) -> np.ndarray:
    return traced(kernel, len(rows[0]))(np.transpose(rows).astype(float))[0].numpy()


def gradients(kernel: Callable[..., Any], rows: Any) -> np.ndarray:
    return traced(kernel, len(rows[0]))(np.transpose(rows).astype(float))[1].numpy().T


def slope(function: Callable[..., float], row: tuple[float, ...], axis: int, step: float) -> float:
    """By differences of fourth order."""
    moved = np.array(row) + step * np.eye(len(row))[axis] * np.array([[-2], [-1], [1], [2]])
    far_low, low, high, far_high = (function(*each) for each in moved)
    return (far_low - far_high + 8.0 * (high - low)) / (12.0 * step)


@each_peak
def test_shape_is_the_formula(peak):
    rows = [
        (x, *point)
        for point in peak.points
        for x in (0.3, 0.41, 0.487, 0.4931, 0.5, 0.50003, 0.5077, 0.53, 0.7, 3.0)
    ]
    expected = [peak.formula(*row) for row in rows]
    np.testing.assert_allclose(on_columns(peak.shape, rows), expected, rtol=1e-12, atol=1e-300)


@each_peak
def test_integral_is_that_of_the_formula(peak):
    rows = [(*window, *point) for point, window in product(peak.points, WINDOWS)]
    expected = [peak.area(row[0], row[1], row[2:]) for row in rows]
    np.testing.assert_allclose(on_columns(peak.integral, rows), expected, rtol=1e-10, atol=1e-25)


@each_peak
def test_gradient_of_the_shape(peak):
    rows = [(x, *point) for point in peak.points for x in (0.41, 0.487, 0.4931, 0.5003, 0.5077)]
    for row, found in zip(rows, gradients(peak.shape, rows), strict=True):
        for axis, value in enumerate(row):
            # lengths are moved by a part of the width, numbers by a part of themselves
            step = 1e-3 * (row[2] if axis < 2 else abs(value) or 1e-2)
            expected = slope(peak.formula, row, axis, step)
            scale = peak.formula(*row) / (step / 1e-3)
            assert found[axis] == pytest.approx(expected, rel=1e-6, abs=1e-7 * scale), (row, axis)


@each_peak
def test_gradient_of_the_integral(peak):
    windows = ((0.3, 0.7), (0.503, 0.506), (0.56, 0.7), (0.44, 0.491))
    rows = [(*window, *point) for point in peak.points for window in windows]
    for row, found in zip(rows, gradients(peak.integral, rows), strict=True):
        # the derivatives in the limits are the shape there
        assert found[0] == pytest.approx(-peak.formula(row[0], *row[2:]), rel=1e-9, abs=1e-20)
        assert found[1] == pytest.approx(peak.formula(row[1], *row[2:]), rel=1e-9, abs=1e-20)
        for axis in range(2, len(row)):
            step = 1e-3 * (row[3] if axis == 2 else abs(row[axis]) or 1e-2)
            expected = slope(lambda *r: peak.area(r[0], r[1], r[2:]), row, axis, step)
            scale = peak.area(row[0], row[1], row[2:]) / (step / 1e-3)
            assert found[axis] == pytest.approx(expected, rel=1e-6, abs=1e-7 * scale), (row, axis)


@each_peak
def test_a_limit_on_the_peak_counts_once(peak):
    """Derivatives of the integral in its limits, exactly at the peak, are those of both sides."""
    point = peak.points[0]
    top = peak.formula(point[0], *point)
    rows = [(point[0], 0.65, *point), (0.35, point[0], *point)]
    found = gradients(peak.integral, rows)
    assert found[0, 0] == pytest.approx(-top, rel=1e-9)
    assert found[1, 1] == pytest.approx(top, rel=1e-9)
    beside = gradients(peak.integral, [(point[0] - 1e-10, 0.65, *point)])
    np.testing.assert_allclose(found[0], beside[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", PEAKS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=5, deadline=None)
def test_finite_for_extreme_parameters(name, seed):
    peak = PEAKS[name]
    rng = np.random.default_rng(seed)
    size = 200
    columns = [10.0 ** rng.uniform(*reach, size) for reach in peak.extremes]
    mu = rng.uniform(-5.0, 10.0, size)  # in the range, on either side of it
    if name in ("gauss_exp_tail", "novosibirsk"):
        columns[-1] *= rng.choice([-1.0, 1.0], size)
    lower = np.sort(rng.uniform(0.0, 5.0, (2, size)), axis=0)
    rows = np.transpose([*lower, mu, *columns])
    area = on_columns(peak.integral, rows)
    assert np.isfinite(area).all()
    assert (area >= 0.0).all()
    assert np.isfinite(gradients(peak.integral, rows)).all()
    shape = on_columns(peak.shape, rows[:, 1:])
    assert np.isfinite(shape).all()
    assert (shape >= 0.0).all()
    assert np.isfinite(gradients(peak.shape, rows[:, 1:])).all()


def test_generalized_cb_is_that_of_numba_stats():
    rng = np.random.default_rng(3)
    for _ in range(50):
        mu, sigmal, sigmar = 0.5, *10 ** rng.uniform(-3, -1.5, 2)
        alphal, alphar = rng.uniform(0.1, 4.0, 2)
        nl, nr = 1.0 + 10 ** rng.uniform(-1, 2, 2)
        x = np.sort(rng.uniform(0.4, 0.6, 5))
        ours = (mu, sigmal, alphal, nl, sigmar, alphar, nr)
        theirs = (alphal, nl, sigmal, alphar, nr, sigmar, mu)
        whole = on_columns(generalized_cb_integral, [(-np.inf, np.inf, *ours)])[0]
        density = on_columns(generalized_cb_shape, [(each, *ours) for each in x]) / whole
        np.testing.assert_allclose(density, crystalball_ex.pdf(x, *theirs), rtol=1e-9)
        between = on_columns(generalized_cb_integral, [(*p, *ours) for p in pairwise(x)]) / whole
        expected = np.diff(crystalball_ex.cdf(x, *theirs))
        np.testing.assert_allclose(between, expected, rtol=1e-8, atol=1e-14)


def test_generalized_cb_with_one_tail_is_the_crystal_ball():
    x = np.linspace(0.42, 0.7, 15)
    for n in (1.0, 3.0, 1000.0):
        one = [(each, 0.5, 0.01, 1.2, n) for each in x]
        both = [(each, 0.5, 0.01, 1.2, n, 0.01, 37.0, 2.0) for each in x]
        expected = on_columns(crystal_ball_shape, one)
        np.testing.assert_allclose(on_columns(generalized_cb_shape, both), expected, rtol=1e-12)
        window = (0.3, 0.7)
        assert on_columns(generalized_cb_integral, [(*window, *both[0][1:])])[0] == pytest.approx(
            on_columns(crystal_ball_integral, [(*window, *one[0][1:])])[0], rel=1e-13
        )


def test_novosibirsk_passes_through_the_gaussian():
    """Value and first derivatives are continuous in λ at 0, where the formula is 0/0."""
    rows = [(0.47, 0.55, 0.5, 0.02, lambd) for lambd in (-1e-6, -1e-12, 0.0, 1e-12, 1e-6)]
    for kernel, columns in (
        (novosibirsk_integral, rows),
        (novosibirsk_shape, [r[1:] for r in rows]),
    ):
        value, found = on_columns(kernel, columns), gradients(kernel, columns)
        np.testing.assert_allclose(value, value[2], rtol=1e-5)
        np.testing.assert_allclose(
            found, np.broadcast_to(found[2], found.shape), rtol=1e-4, atol=1e-9
        )
        assert abs(found[2, -1]) > 1e-3 * abs(value[2])  # and λ matters at 0


def test_voigt_over_a_very_wide_range():
    """zfit's own numerical integral is 97 % off for the first of these."""
    for sigma, gamma in ((5e-4, 1e-4), (2e-3, 1e-5), (1e-3, 0.5)):
        edges = 1.2345 + np.append(-np.geomspace(sigma, 1.2345, 40)[::-1], 0.0)
        edges = [*edges, *(1.2345 + np.geomspace(sigma, 8.7655, 40))]
        expected = math.fsum(
            integrate.quad(voigt, *edge, args=(1.2345, sigma, gamma), epsabs=0.0, epsrel=1e-12)[0]
            for edge in pairwise(edges)
        )
        found = on_columns(voigt_integral, [(0.0, 10.0, 1.2345, sigma, gamma)])[0]
        assert found == pytest.approx(expected, rel=1e-10)


# ------------------------------------------------------------------ as zfit PDFs


@pytest.fixture(scope="module")
def obs():
    return zfit.Space("mass", 0.3, 0.7)


@pytest.mark.parametrize("name", PEAKS)
@pytest.mark.filterwarnings("ignore::zfit.util.warnings.ExperimentalFeatureWarning")
def test_normalised_binned_and_stored(name, obs):
    peak = PEAKS[name]
    point = peak.points[0]
    parameters = [zfit.Parameter(f"{name}_{i}", value) for i, value in enumerate(point)]
    model = peak.pdf(*parameters, obs, extended=zfit.Parameter(f"{name}_events", 250.0))
    x = np.linspace(0.3, 0.7, 9)
    expected = np.array([peak.formula(v, *point) for v in x]) / peak.area(0.3, 0.7, point)
    np.testing.assert_allclose(model.pdf(x), expected, rtol=1e-9)
    counts = model.to_binned(obs.with_binning(4)).counts().numpy()
    areas = [peak.area(*edge, point) for edge in pairwise(np.linspace(0.3, 0.7, 5))]
    np.testing.assert_allclose(counts, 250.0 * np.array(areas) / sum(areas), rtol=1e-9)
    (loaded,) = zfit.hs3.loads(zfit.hs3.dumps(model))["distributions"].values()
    assert type(loaded) is peak.pdf
    np.testing.assert_array_equal(loaded.pdf(x), model.pdf(x))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (pdf.GeneralizedCB, zfit.pdf.GeneralizedCB),
        (pdf.GaussExpTail, zfit.pdf.GaussExpTail),
        (pdf.GeneralizedGaussExpTail, zfit.pdf.GeneralizedGaussExpTail),
    ],
    ids=lambda kind: kind.__module__.split(".")[0],
)
def test_agrees_with_zfit(ours, theirs, obs):
    point = next(peak.points[0] for peak in PEAKS.values() if peak.pdf is ours)
    x = np.linspace(0.35, 0.65, 11)
    np.testing.assert_allclose(ours(*point, obs).pdf(x), theirs(*point, obs=obs).pdf(x), rtol=1e-9)


def test_novosibirsk_agrees_with_zfit_physics(obs):
    physics = pytest.importorskip("zfit_physics")
    x = np.linspace(0.45, 0.55, 11)
    theirs = physics.pdf.Novosibirsk(0.5, 0.01, -0.3, obs)
    np.testing.assert_allclose(
        pdf.Novosibirsk(0.5, 0.01, -0.3, obs).pdf(x), theirs.pdf(x), rtol=1e-9
    )
