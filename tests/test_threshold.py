from __future__ import annotations

from itertools import pairwise, product

import mpmath as mp
import numpy as np
import pytest
import tensorflow as tf
import zfit
from scipy import special, stats

from zfit_dark.pdf import DoubleCB, Threshold
from zfit_dark.pdf.threshold import threshold_integral, threshold_shape

X0 = 0.21


@pytest.fixture(scope="module")
def integral():
    return tf.function(threshold_integral, autograph=False)


@pytest.fixture(scope="module")
def obs():
    return zfit.Space("mass", 0.1, 1.0)


def evaluate(function, points):
    columns = np.transpose(points)
    return function(*(tf.constant(c, dtype=tf.float64) for c in columns)).numpy()


def gradient(function, points):
    columns = [tf.constant(c, dtype=tf.float64) for c in np.transpose(points)]

    @tf.function(autograph=False)
    def compute(columns):
        with tf.GradientTape() as tape:
            tape.watch(columns)
            value = function(*columns)
        return tape.gradient(value, columns)

    return np.array([g.numpy() for g in compute(columns)]).T


def mp_shape(x, threshold, power, falloff):
    y = mp.mpf(x) - mp.mpf(threshold)
    return y ** mp.mpf(power) * mp.exp(-mp.mpf(falloff) * y) if y > 0 else mp.mpf(0)


def mp_integral(lower, upper, threshold, power, falloff):
    """By incomplete gamma functions, or Kummer's where there are none, in 60 digits."""
    with mp.workdps(60):
        lower, upper, threshold, p, c = map(mp.mpf, (lower, upper, threshold, power, falloff))
        a, b = max(lower - threshold, mp.mpf(0)), max(upper - threshold, mp.mpf(0))
        if c > 0:
            return c ** (-p - 1) * mp.gammainc(p + 1, c * a, c * b)

        def below(y):
            return y ** (p + 1) / (p + 1) * mp.hyp1f1(p + 1, p + 2, -c * y) if y > 0 else mp.mpf(0)

        return below(b) - below(a)


POWERS = (0.0, 0.1, 0.5, 1.0, 2.7, 5.0)
FALLOFFS = (-40.0, -3.0, 0.0, 1e-9, 1.0, 12.0, 300.0, 1000.0)
WINDOWS = (
    (0.1, 1.0),  # the threshold inside
    (X0, 1.0),
    (X0 + 1e-7, 1.0),
    (0.1, X0 + 1e-3),
    (0.5, 1.0),
    (0.98, 1.0),
    (0.1, 0.2),  # below it
    (0.1, X0),
)


@pytest.mark.parametrize("power", POWERS)
def test_integral_against_60_digits(integral, power):
    points = [(*w, X0, power, c) for w, c in product(WINDOWS, FALLOFFS)]
    expected = [float(mp_integral(*point)) for point in points]
    np.testing.assert_allclose(evaluate(integral, points), expected, rtol=1e-12, atol=1e-300)


def test_integral_for_large_powers(integral):
    points = [
        (*w, X0, p, c) for w in WINDOWS[:6] for p in (12.0, 20.0) for c in (-300.0, 5.0, 1000.0)
    ]
    expected = [float(mp_integral(*point)) for point in points]
    np.testing.assert_allclose(evaluate(integral, points), expected, rtol=1e-9)


def test_integral_against_scipy(integral):
    """Where the falloff is positive the density is that of a gamma distribution."""
    power, falloff = 0.7, 9.0
    gamma = stats.gamma(power + 1.0, loc=X0, scale=1.0 / falloff)
    area = special.gamma(power + 1.0) * falloff ** (-power - 1.0)
    for lower, upper in WINDOWS[:5]:
        expected = area * (gamma.cdf(upper) - gamma.cdf(lower))
        ours = evaluate(integral, [(lower, upper, X0, power, falloff)])[0]
        assert ours == pytest.approx(expected, rel=1e-9)


def mp_slope(function, point, axis, *, sides=(-1, 1)):
    """A difference quotient in 60 digits, exact to 15; one-sided where one side is 0."""
    with mp.workdps(60):
        step = mp.mpf(10) ** -18
        moved = [
            [mp.mpf(v) + (i == axis) * side * step for i, v in enumerate(point)] for side in sides
        ]
        below, above = (function(*arguments) for arguments in moved)
        return float((above - below) / ((sides[1] - sides[0]) * step))


def test_integral_gradient():
    points = [
        (*w, X0, p, c)
        for w in ((0.1, 1.0), (X0, 1.0), (0.3, 0.9), (0.85, 0.9))
        for p in (0.2, 0.5, 2.0)
        for c in (-3.0, 0.0, 12.0, 200.0)
    ]
    for point, slopes in zip(points, gradient(threshold_integral, points), strict=True):
        # with the lower limit at the threshold: from the side where it is below
        sides = {0: (-1, 0), 2: (0, 1)} if point[0] == X0 else {}
        for axis, slope in enumerate(slopes):
            expected = mp_slope(mp_integral, point, axis, sides=sides.get(axis, (-1, 1)))
            assert slope == pytest.approx(expected, rel=1e-9, abs=1e-14), (point, axis)


def test_shape_and_gradient():
    points = [
        (x, X0, p, c)
        for x in (0.15, X0 - 1e-9, X0, X0 + 1e-6, 0.3, 1.0)
        for p in (0.0, 0.5, 2.0)
        for c in (-3.0, 0.0, 12.0)
    ]
    shape, slope = evaluate(threshold_shape, points), gradient(threshold_shape, points)
    assert np.all(np.isfinite(slope))
    for point, value, derivatives in zip(points, shape, slope, strict=True):
        assert value == pytest.approx(float(mp_shape(*point)), rel=1e-13)
        if point[0] <= X0:
            assert value == 0.0
            assert not np.any(derivatives)
            continue
        for axis in range(4):
            expected = mp_slope(mp_shape, point, axis)
            assert derivatives[axis] == pytest.approx(expected, rel=1e-9, abs=1e-14)


@pytest.fixture(scope="module")
def pdf(obs):
    return Threshold(
        zfit.Parameter("threshold", X0, floating=False),
        zfit.Parameter("power", 0.5, 0.0, 5.0),
        zfit.Parameter("falloff", 6.0, -50.0, 50.0),
        obs,
        extended=zfit.Parameter("n_background", 3000.0, 0.0),
    )


def test_normalised_and_zero_below(pdf):
    x = np.linspace(0.1, 1.0, 901)
    density = pdf.pdf(x).numpy()
    assert np.all(density[x <= X0] == 0.0)
    nodes, weights = np.polynomial.legendre.leggauss(80)
    y = 0.5 * np.sqrt(1.0 - X0) * (1.0 + nodes)  # x = X0 + y²: no square root is left to integrate
    total = 0.5 * np.sqrt(1.0 - X0) * np.sum(weights * 2.0 * y * pdf.pdf(X0 + y**2).numpy())
    assert total == pytest.approx(1.0, rel=1e-12)


def test_binned_and_summed(obs, pdf, integral):
    peak = DoubleCB(0.4, 0.02, 1.0, 3.0, 1.0, 3.0, obs, extended=zfit.Parameter("n_signal", 200.0))
    counts = zfit.pdf.SumPDF([pdf, peak]).to_binned(obs.with_binning(40)).counts().numpy()
    assert counts.sum() == pytest.approx(3200.0, rel=1e-12)
    edges = np.linspace(0.1, 1.0, 41)
    areas = evaluate(integral, [(*edge, X0, 0.5, 6.0) for edge in pairwise(edges)])
    signal = [float(peak.ext_integrate(limits)[0]) for limits in pairwise(edges[10:16])]
    expected = 3000.0 * areas[10:15] / areas.sum() + signal
    np.testing.assert_allclose(counts[10:15], expected, rtol=1e-11)


def test_fit_finds_what_was_generated(obs):
    rng = np.random.default_rng(11)
    data = X0 + rng.gamma(1.5, 1.0 / 8.0, 5000)
    data = data[data < 1.0]
    power, falloff = zfit.Parameter("power", 1.0, 0.0, 5.0), zfit.Parameter("falloff", 1.0, -9, 50)
    n_background = zfit.Parameter("n_background", 4000.0, 0.0, 9000.0)
    pdf = Threshold(X0, power, falloff, obs, extended=n_background)
    loss = zfit.loss.ExtendedUnbinnedNLL(pdf, zfit.Data.from_numpy(obs=obs, array=data))
    assert zfit.minimize.Minuit(gradient="zfit").minimize(loss).valid
    # seeded; 4 standard deviations of 5000 events
    assert float(power.value()) == pytest.approx(0.5, abs=0.1)
    assert float(falloff.value()) == pytest.approx(8.0, abs=0.7)
    # the maximum is there exactly; Minuit stops within a small part of a standard deviation
    assert float(n_background.value()) == pytest.approx(data.size, abs=0.1 * data.size**0.5)


def test_compiled_and_batched():
    points = np.array([(0.1, 1.0, X0, 0.5, c) for c in (-3.0, 0.0, 12.0)])

    def everything(arguments):
        with tf.GradientTape() as outer:
            outer.watch(arguments)
            with tf.GradientTape() as inner:
                inner.watch(arguments)
                value = threshold_integral(*tf.unstack(arguments))
            derivatives = inner.gradient(value, arguments)
            slope = derivatives[3]  # in the power
        return tf.concat([value[tf.newaxis], derivatives, outer.gradient(slope, arguments)], 0)

    traced = tf.function(everything, autograph=False).get_concrete_function(
        tf.TensorSpec([5], tf.float64)
    )
    batch = tf.function(
        lambda batch: tf.vectorized_map(traced, batch, fallback_to_while_loop=False),
        autograph=False,
    ).get_concrete_function(tf.TensorSpec(points.shape, tf.float64))
    compiled = tf.function(batch, jit_compile=True, autograph=False)(tf.constant(points)).numpy()
    graph = [traced(tf.constant(point)).numpy() for point in points]
    assert np.all(np.isfinite(compiled))
    np.testing.assert_allclose(compiled, graph, rtol=1e-11, atol=1e-14)


@pytest.mark.filterwarnings("ignore::zfit.util.warnings.ExperimentalFeatureWarning")
def test_hs3_round_trip(pdf):
    (loaded,) = zfit.hs3.loads(zfit.hs3.dumps(pdf))["distributions"].values()
    assert type(loaded) is Threshold
    x = np.linspace(0.1, 1.0, 11)
    np.testing.assert_array_equal(loaded.pdf(x), pdf.pdf(x))
    assert float(loaded.get_yield().value()) == 3000.0
