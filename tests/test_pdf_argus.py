"""The ARGUS background against its formula written out, incomplete gamma functions, quadrature."""

from __future__ import annotations

import math
from itertools import pairwise, product
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
import zfit
from hypothesis import given
from numba_stats import argus as numba_argus
from scipy import integrate, special

from zfit_dark.pdf import Argus, Voigt
from zfit_dark.pdf.argus import argus_integral, argus_shape

M0 = 5.289
WINDOWS = (
    (5.2, 5.3),  # the end inside
    (5.2, M0),
    (5.28, 5.2885),
    (0.0, 6.0),
    (-1.0, 5.0),
    (M0 - 1e-6, 5.3),
    (M0, 5.3),  # above the end
    (5.29, 5.3),
)


def formula(x: float, m0: float, c: float, p: float) -> float:
    if not 0.0 < x < m0:
        return 0.0
    y = 1.0 - (x / m0) ** 2
    return x * y**p * math.exp(c * y)


def area(lower: float, upper: float, m0: float, c: float, p: float) -> float:
    """By quadrature in u = (1 − x/m₀)^(1/4), in which nothing is singular for any p ≥ 0.

    At x = m₀(1 − u⁴), 1 − (x/m₀)² = u⁴(2 − u⁴) without cancellation.
    """
    start, stop = ((1.0 - min(max(edge, 0.0), m0) / m0) ** 0.25 for edge in (upper, lower))

    def integrand(u: float) -> float:
        y = u**4 * (2.0 - u**4)
        return m0 * (1.0 - u**4) * y**p * math.exp(c * y) * 4.0 * u**3 * m0

    return math.fsum(
        integrate.quad(integrand, *edge, epsabs=0.0, epsrel=1e-12)[0]
        for edge in pairwise(np.linspace(start, stop, 5))
    )


@pytest.fixture(scope="module")
def compute() -> Any:
    @tf.function(autograph=False)
    def both(rows: Any) -> Any:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(rows)
            lower, upper, m0, c, p = tf.unstack(rows)
            whole, shape = argus_integral(lower, upper, m0, c, p), argus_shape(lower, m0, c, p)
        return whole, tape.gradient(whole, rows), shape, tape.gradient(shape, rows)

    def evaluate(rows: Any) -> tuple[np.ndarray, ...]:
        whole, slope, shape, shape_slope = both(np.transpose(rows).astype(float))
        return whole.numpy(), slope.numpy().T, shape.numpy(), shape_slope.numpy().T

    return evaluate


POINTS = [
    (*window, M0, c, p)
    for window, c, p in product(WINDOWS, (-200.0, -20.0, 0.0, 3.0), (0.0, 0.3, 0.5, 1.7, 4.0))
]


def test_integral_is_that_of_the_formula(compute):
    expected = [area(*point) for point in POINTS]
    # 1 - x/m0 at the window that starts 1e-6 below the end has eleven digits, for scipy too
    np.testing.assert_allclose(compute(POINTS)[0], expected, rtol=1e-9, atol=1e-300)


def test_integral_by_incomplete_gamma_functions(compute):
    for lower, upper, c, p in ((5.2, 5.3, -20.0, 0.5), (5.0, 5.25, -7.0, 1.2)):
        start, stop = (1.0 - (min(edge, M0) / M0) ** 2 for edge in (upper, lower))
        gammas = special.gammainc(p + 1.0, -c * np.array([start, stop]))
        expected = 0.5 * M0**2 * special.gamma(p + 1.0) * (-c) ** (-p - 1.0) * np.ptp(gammas)
        assert compute([(lower, upper, M0, c, p)])[0][0] == pytest.approx(expected, rel=1e-11)


def test_density_is_that_of_numba_stats(compute):
    """Which has p = 1/2 only, c = -χ²/2, and everything below the end as its range."""
    chi = 6.0
    x = np.linspace(4.0, 5.3, 14)
    rows = [(each, 6.0, M0, -0.5 * chi**2, 0.5) for each in x]
    whole = compute([(0.0, 6.0, M0, -0.5 * chi**2, 0.5)])[0][0]
    np.testing.assert_allclose(
        compute(rows)[2] / whole, numba_argus.pdf(x, chi, M0, 0.5), rtol=1e-9, atol=1e-300
    )


def test_shape_is_the_formula(compute):
    rows = [
        (x, 6.0, M0, c, p) for x in (-1.0, 0.0, 2.0, 5.28, M0, 5.3) for _, _, _, c, p in POINTS[:20]
    ]
    expected = [formula(x, *rest) for x, _, *rest in rows]
    np.testing.assert_allclose(compute(rows)[2], expected, rtol=1e-12, atol=1e-300)


def test_gradients(compute):
    rows = [
        (lower, upper, M0, c, p)
        for lower, upper in ((5.2, 5.3), (5.22, 5.27))
        for c, p in product((-30.0, 0.0, 2.0), (0.3, 0.5, 2.0))
    ]
    whole, slopes, _, shape_slopes = compute(rows)
    for row, value, slope, shape_slope in zip(rows, whole, slopes, shape_slopes, strict=True):
        assert slope[0] == pytest.approx(-formula(row[0], *row[2:]), rel=1e-9)
        assert slope[1] == pytest.approx(formula(row[1], *row[2:]), rel=1e-9, abs=1e-12)
        for axis, step in ((2, 1e-4), (3, 1e-2), (4, 1e-3)):
            moved = np.array(row) + step * np.eye(5)[axis] * np.array([[-2], [-1], [1], [2]])
            for function, found in (
                (lambda *r: area(*r), slope),
                (lambda *r: formula(r[0], *r[2:]), shape_slope),
            ):
                far_low, low, high, far_high = (function(*each) for each in moved)
                expected = (far_low - far_high + 8.0 * (high - low)) / (12.0 * step)
                assert found[axis] == pytest.approx(expected, rel=1e-5, abs=1e-8 * value), row


@given(
    c=st.floats(-1000.0, 100.0),
    p=st.floats(0.0, 20.0),
    m0=st.floats(0.1, 12.0),
    low=st.floats(0.0, 10.0),
    width=st.floats(1e-6, 10.0),
)
def test_finite_for_extreme_parameters(compute, c, p, m0, low, width):
    whole, slope, shape, shape_slope = compute([(low, low + width, m0, c, p)])
    for values in (whole, slope, shape, shape_slope):
        assert np.isfinite(values).all()
    assert whole[0] >= 0.0
    assert shape[0] >= 0.0


@pytest.mark.filterwarnings("ignore::zfit.util.warnings.ExperimentalFeatureWarning")
def test_as_a_zfit_pdf_under_a_peak():
    """Normalised, binned, stored; with free parameters, events above the end are no harm."""
    obs = zfit.Space("mbc", 5.2, 5.3)
    c, p = zfit.Parameter("c", -25.0, -100.0, 10.0), zfit.Parameter("p", 0.5, 0.0, 3.0)
    model = Argus(M0, c, p, obs, extended=zfit.Parameter("n_background", 3000.0, 0.0, 1e5))
    counts = model.to_binned(obs.with_binning(10)).counts().numpy()
    edges = np.linspace(5.2, 5.3, 11)
    expected = np.array([area(*edge, M0, -25.0, 0.5) for edge in pairwise(edges)])
    np.testing.assert_allclose(counts, 3000.0 * expected / expected.sum(), rtol=1e-8)
    (loaded,) = zfit.hs3.loads(zfit.hs3.dumps(model))["distributions"].values()
    assert type(loaded) is Argus
    np.testing.assert_array_equal(loaded.pdf([5.25, 5.28]), model.pdf([5.25, 5.28]))

    rng = np.random.default_rng(5)
    below = M0 * np.sqrt(1.0 - rng.gamma(1.5, 1.0 / 25.0, 200_000))  # y^(1/2) exp(-25 y)
    below = below[below > 5.2][:3000]
    peak = rng.normal(5.2795, 0.0027, 1000)
    peak = peak[(peak > 5.2) & (peak < 5.3)]
    assert (peak > M0).any()
    signal = Voigt(5.2795, 0.0027, 1e-6, obs, extended=zfit.Parameter("n_signal", 900.0, 0.0, 1e5))
    data = zfit.Data.from_numpy(obs=obs, array=np.concatenate([below, peak]))
    loss = zfit.loss.ExtendedUnbinnedNLL(zfit.pdf.SumPDF([model, signal]), data)
    result = zfit.minimize.Minuit(gradient="zfit").minimize(loss)
    assert result.valid
    errors = result.hesse(method="hesse_np")
    # seeded; five standard deviations
    assert abs(float(c.value()) + 25.0) < 5.0 * errors[c]["error"]
    assert abs(float(p.value()) - 0.5) < 5.0 * errors[p]["error"]
