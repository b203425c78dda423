from __future__ import annotations

import itertools

import hypothesis.strategies as st
import mpmath as mp
import numpy as np
import pytest
import tensorflow as tf
import zfit
from hypothesis import given, settings
from numba_stats import crystalball_ex

from zfit_dark.pdf import CrystalBall, DoubleCB
from zfit_dark.pdf.crystal_ball import (
    crystal_ball_integral,
    crystal_ball_shape,
    double_cb_integral,
    double_cb_shape,
)

PARAMETERS = ("mu", "sigma", "alphal", "nl", "alphar", "nr")

_shape = tf.function(double_cb_shape, autograph=False)
_integral = tf.function(double_cb_integral, autograph=False)


def evaluate(function, *columns):
    """A kernel on columns of numbers, in one graph for all tests."""
    columns = np.broadcast_arrays(*(np.asarray(c, dtype=np.float64) for c in columns))
    return function(*(tf.constant(column.ravel()) for column in columns)).numpy()


def derivatives(kernel, points, *, second=(), compiled=False):
    """Value and gradient at each point, and the rows of the Hessian of the arguments `second`.

    Shapes (points,), (points, arguments), (points, rows, arguments).
    """

    columns = tf.constant(np.transpose(points), dtype=tf.float64)

    @tf.function(autograph=False)
    def compute(columns):
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(columns)
            with tf.GradientTape() as inner:
                inner.watch(columns)
                value = kernel(*tf.unstack(columns))
            gradient = inner.gradient(value, columns)
            rows = [gradient[i] for i in second]
        return value, gradient, [outer.gradient(row, columns) for row in rows]

    if compiled:  # derivatives traced before: those of a compiled function cannot all be compiled
        compute = tf.function(
            compute.get_concrete_function(columns), jit_compile=True, autograph=False
        )
    value, gradient, rows = compute(columns)
    hessian = np.array([row.numpy().T for row in rows])
    return value.numpy(), gradient.numpy().T, np.moveaxis(hessian, 0, 1) if second else None


# An independent implementation in 80 digits, with powers, from the definition.


def mp_tail(t, alpha, n):
    """∫ from −∞-side of the left tail: antiderivative at t ≤ −alpha, up to a constant."""
    base = n / alpha - alpha - t
    amplitude = (n / alpha) ** n * mp.exp(-(alpha**2) / 2)
    return -amplitude * mp.log(base) if n == 1 else amplitude * base ** (1 - n) / (n - 1)


def mp_integral(lower, upper, mu, sigma, alphal, nl, alphar, nr):
    with mp.workdps(80):
        lower, upper, mu, sigma, alphal, nl, alphar, nr = map(
            mp.mpf, (lower, upper, mu, sigma, alphal, nl, alphar, nr)
        )
        a, b = (lower - mu) / sigma, (upper - mu) / sigma
        total = mp.mpf(0)
        if a < -alphal:
            total += mp_tail(min(b, -alphal), alphal, nl) - mp_tail(a, alphal, nl)
        if b > alphar:
            total += mp_tail(min(-a, -alphar), alphar, nr) - mp_tail(-b, alphar, nr)
        start, stop = max(a, -alphal), min(b, alphar)
        if start < stop:
            total += mp.sqrt(mp.pi / 2) * (mp.erf(stop / mp.sqrt(2)) - mp.erf(start / mp.sqrt(2)))
        return sigma * total


def mp_shape(x, mu, sigma, alphal, nl, alphar, nr):
    with mp.workdps(80):
        x, mu, sigma, alphal, nl, alphar, nr = map(mp.mpf, (x, mu, sigma, alphal, nl, alphar, nr))
        t = (x - mu) / sigma
        for side, alpha, n in ((t, alphal, nl), (-t, alphar, nr)):
            if side < -alpha:
                scale = (n / alpha) ** n * mp.exp(-(alpha**2) / 2)
                return scale * (n / alpha - alpha - side) ** (-n)
        return mp.exp(-(t**2) / 2)


def mp_derivative(function, point, *axes):
    """Central differences in 80 digits, exact to 20."""
    if not axes:
        return function(*point)
    with mp.workdps(80):
        point = [mp.mpf(value) for value in point]
        axis, step = axes[0], mp.mpf(10) ** -15
        up, down = list(point), list(point)
        up[axis] += step
        down[axis] -= step
        return (
            mp_derivative(function, up, *axes[1:]) - mp_derivative(function, down, *axes[1:])
        ) / (2 * step)


MU, SIGMA = 0.5, 0.008
POWERS = (0.5, 1 - 1e-7, 1.0, 1 + 1e-9, 1 + 1e-4, 1.5, 3.0, 20.0, 150.0, 1000.0)
ALPHAS = (0.05, 0.5, 1.0, 3.0, 10.0)
WINDOWS = {
    "peak inside": (0.3, 0.7),
    "peak on the lower edge": (0.5, 0.7),
    "peak on the upper edge": (0.3, 0.5),
    "core, right of the peak": (0.504, 0.506),
    "far right": (0.62, 0.7),
    "far left": (0.3, 0.38),
    "left of the peak": (0.3, 0.495),
    "narrow, at the peak": (0.49999, 0.50002),
}


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_integral_against_80_digits(window):
    points = [
        (*window, MU, SIGMA, alpha, n, 1.3 * alpha, 1.0 if n == 1 else 0.9 * n)
        for alpha, n in itertools.product(ALPHAS, POWERS)
    ]
    expected = [float(mp_integral(*point)) for point in points]
    np.testing.assert_allclose(evaluate(_integral, *np.transpose(points)), expected, rtol=2e-12)


def test_shape_against_80_digits():
    points = [
        (x, MU, SIGMA, alpha, n, 1.3 * alpha, 0.9 * n)
        for alpha, n, x in itertools.product(
            ALPHAS, POWERS, (0.3, 0.41, 0.4919, 0.5, 0.50005, 0.52, 0.7)
        )
    ]
    expected = [float(mp_shape(*point)) for point in points]
    np.testing.assert_allclose(evaluate(_shape, *np.transpose(points)), expected, rtol=2e-12)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_against_numba_stats(seed):
    rng = np.random.default_rng(seed)
    size = 100
    mu, sigma = rng.uniform(0.2, 4.5, size), 10 ** rng.uniform(-3, -1.5, size)
    alphal, alphar = 10 ** rng.uniform(np.log10(0.05), 1.0, (2, size))
    nl, nr = 1.0 + 10 ** rng.uniform(-2, np.log10(299), (2, size))
    middle, half = rng.uniform(-30, 30, size), 10 ** rng.uniform(-1, 2, size)
    lower, upper = mu + sigma * (middle - half), mu + sigma * (middle + half)

    columns = (mu, sigma, alphal, nl, alphar, nr)
    total = evaluate(_integral, -np.inf, np.inf, *columns)
    density, probability = np.empty((2, size))
    for i in range(size):
        args = (alphal[i], nl[i], sigma[i], alphar[i], nr[i], sigma[i], mu[i])
        density[i] = crystalball_ex.pdf(lower[i : i + 1], *args)[0]
        probability[i] = np.diff(crystalball_ex.cdf(np.array([lower[i], upper[i]]), *args))[0]
    np.testing.assert_allclose(evaluate(_shape, lower, *columns) / total, density, rtol=1e-10)
    # a difference of two cdf has this much roundoff; far tails are held against 80 digits above
    np.testing.assert_allclose(
        evaluate(_integral, lower, upper, *columns) / total, probability, rtol=1e-10, atol=1e-15
    )


def test_integral_is_that_of_the_shape():
    rest = (MU, SIGMA, 1.2, 3.0, 1.5, 40.0)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    for lower, upper in WINDOWS.values():
        joints = (j for j in (MU - 1.2 * SIGMA, MU, MU + 1.5 * SIGMA) if lower < j < upper)
        expected = 0.0
        for a, b in itertools.pairwise([lower, *joints, upper]):
            values = evaluate(_shape, 0.5 * (a + b + (b - a) * nodes), *rest)
            expected += 0.5 * (b - a) * np.sum(weights * values)
        assert evaluate(_integral, lower, upper, *rest)[0] == pytest.approx(expected, rel=1e-11)


GRADIENT_POINTS = [
    (*window, MU, SIGMA, alpha, n, 1.7, 1.0 if n == 1 else 2.0 + n)
    for window in ((0.31, 0.69), (0.5, 0.69), (0.31, 0.47), (0.52, 0.6), (0.503, 0.507))
    for alpha, n in (
        (0.05, 3.0),
        (1.2, 1.0),
        (1.2, 1 + 1e-7),
        (1.0, 150.0),
        (2.0, 1000.0),
        (10.0, 2.0),
    )
]


def test_integral_gradient_against_80_digits():
    value, gradient, _ = derivatives(double_cb_integral, GRADIENT_POINTS)
    assert np.all(np.isfinite(value))
    for i, point in enumerate(GRADIENT_POINTS):
        expected = [float(mp_derivative(mp_integral, point, axis)) for axis in range(8)]
        # each derivative to 1e-10 of itself, or of what it changes the integral by in one width
        scale = 1e-13 * abs(value[i]) / np.array([SIGMA] * 4 + [1.0] * 4)
        error = np.abs(gradient[i] - expected)
        assert np.all(error <= 1e-10 * np.abs(expected) + scale), (point, gradient[i], expected)


def test_integral_hessian_against_80_digits():
    points = [point for point in GRADIENT_POINTS if point[0] != 0.5][::5]
    rows = (3, 5)  # sigma, nl
    _, _, hessian = derivatives(double_cb_integral, points, second=rows)
    unit = np.array([SIGMA] * 4 + [1.0] * 4)
    for i, point in enumerate(points):
        expected = np.array(
            [[float(mp_derivative(mp_integral, point, a, b)) for b in range(8)] for a in rows]
        )
        scale = 1e-12 * float(mp_integral(*point)) / np.outer(unit[list(rows)], unit)
        assert np.all(np.abs(hessian[i] - expected) <= 1e-9 * np.abs(expected) + scale), point


def test_shape_gradient_against_80_digits():
    points = [
        (x, MU, SIGMA, alpha, n, 1.7, 2.0 + n)
        for x in (0.31, 0.48, 0.499, 0.5003, 0.52, 0.69)
        for alpha, n in ((0.05, 3.0), (1.2, 1.0), (1.0, 150.0), (2.0, 1000.0), (10.0, 2.0))
    ]
    _, gradient, _ = derivatives(double_cb_shape, points)
    expected = [[float(mp_derivative(mp_shape, p, axis)) for axis in range(7)] for p in points]
    np.testing.assert_allclose(gradient, expected, rtol=1e-10, atol=1e-300)


def test_gradient_where_the_pieces_join():
    """With a limit on a joint or on the peak, the derivatives are those of both sides."""
    alphal, alphar = 1.2, 1.5
    joints = (MU - alphal * SIGMA, MU, MU + alphar * SIGMA)
    rest = (MU, SIGMA, alphal, 3.0, alphar, 4.0)
    points = [(joint + shift, 0.65, *rest) for shift in (-1e-9, 0.0, 1e-9) for joint in joints]
    _, gradient, _ = derivatives(double_cb_integral, points)
    below, at, above = np.split(gradient, 3)
    np.testing.assert_allclose(at, below, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(at, above, rtol=1e-5, atol=1e-9)


def test_one_sided_is_the_double_sided_with_one_tail():
    x = np.linspace(0.3, 0.7, 41)
    far = (40.0, 2.0)  # a tail so far out that it is not there
    single = tf.function(crystal_ball_shape, autograph=False)
    for n in (1.0, 3.0, 1000.0):
        left, right = (MU, SIGMA, 1.2, n, *far), (MU, SIGMA, *far, 1.2, n)
        np.testing.assert_allclose(
            evaluate(single, x, MU, SIGMA, 1.2, n)[x > 0.4], evaluate(_shape, x, *left)[x > 0.4]
        )
        np.testing.assert_allclose(
            evaluate(single, x, MU, SIGMA, -1.2, n)[x < 0.6], evaluate(_shape, x, *right)[x < 0.6]
        )
        for window in ((0.35, 0.6), (0.5, 0.6), (0.35, 0.48), (0.52, 0.6)):
            for alpha, double in ((1.2, left), (-1.2, right)):
                single_integral = crystal_ball_integral(
                    *(tf.constant(v, tf.float64) for v in (*window, MU, SIGMA, alpha, n))
                )
                expected = evaluate(_integral, *window, *double)[0]
                assert single_integral.numpy() == pytest.approx(expected, rel=1e-13)


@pytest.fixture(scope="module")
def obs():
    return zfit.Space("mass", 0.3, 0.7)


@pytest.fixture(scope="module")
def double_cb(obs):
    values = (0.45, 0.008, 1.2, 3.0, 1.5, 4.0)
    parameters = [zfit.Parameter(*pair) for pair in zip(PARAMETERS, values, strict=True)]
    return DoubleCB(*parameters, obs, extended=zfit.Parameter("n_signal", 250.0))


@pytest.mark.parametrize(("alpha", "tail"), [(1.2, (0.3, 0.4)), (-0.8, (0.6, 0.7))])
def test_agrees_with_zfit(obs, alpha, tail):
    x = np.linspace(0.3, 0.7, 81)
    spaces = [obs, obs.with_limits((0.45, 0.5)), obs.with_limits(tail)]
    arguments = (0.5, 0.01, alpha, 3.0)
    ours, theirs = CrystalBall(*arguments, obs), zfit.pdf.CrystalBall(*arguments, obs=obs)
    np.testing.assert_allclose(ours.pdf(x, norm=False), theirs.pdf(x, norm=False), rtol=1e-12)
    np.testing.assert_allclose(ours.pdf(x), theirs.pdf(x), rtol=1e-12)
    for space in spaces:
        expected = theirs.integrate(space, norm=False)
        np.testing.assert_allclose(ours.integrate(space, norm=False), expected, rtol=1e-12)


def test_agrees_with_zfit_double(obs, double_cb):
    theirs = zfit.pdf.DoubleCB(*double_cb.params.values(), obs=obs)
    x = np.linspace(0.3, 0.7, 81)
    np.testing.assert_allclose(double_cb.pdf(x), theirs.pdf(x), rtol=1e-12)


def test_peak_is_one(double_cb):
    assert double_cb.pdf([0.45], norm=False).numpy()[0] == 1.0


def test_finite_where_powers_overflow(obs):
    arguments = (0.5, 0.01, 1.0, 150.0, 1.0, 150.0)
    x = np.linspace(0.3, 0.7, 101)
    ours = DoubleCB(*arguments, obs).pdf(x)
    numba = 1.0, 150.0, 0.01, 1.0, 150.0, 0.01, 0.5
    inside = np.diff(crystalball_ex.cdf(np.array([0.3, 0.7]), *numba))
    np.testing.assert_allclose(ours, crystalball_ex.pdf(x, *numba) / inside, rtol=1e-10)


def test_binned_total_is_the_yield(obs, double_cb):
    counts = double_cb.to_binned(obs.with_binning(50)).counts().numpy()
    assert counts.sum() == pytest.approx(250.0, rel=1e-12)
    edges = np.linspace(0.3, 0.7, 51)
    columns = [float(p.value()) for p in double_cb.params.values()]
    expected = evaluate(_integral, edges[:-1], edges[1:], *columns)
    np.testing.assert_allclose(counts, 250.0 * expected / expected.sum(), rtol=1e-11)


def test_binned_total_of_a_very_narrow_peak():
    """zfit integrates numerically over a binned space what it integrates analytically elsewhere."""
    obs = zfit.Space("mass", 0.0, 5.0)
    pdf = DoubleCB(1.2345, 0.0005, 1.2, 3.0, 1.5, 4.0, obs, extended=zfit.Parameter("n", 10.0))
    counts = pdf.to_binned(obs.with_binning(20)).counts().numpy()
    assert counts.sum() == pytest.approx(10.0, rel=1e-12)


def test_compiled():
    """XLA gives what the graph gives, to the second derivative."""
    rows = (3,)  # sigma
    graph = derivatives(double_cb_integral, GRADIENT_POINTS, second=rows)
    compiled = derivatives(double_cb_integral, GRADIENT_POINTS, second=rows, compiled=True)
    for ours, expected in zip(compiled, graph, strict=True):
        scale = np.abs(expected).max(axis=tuple(range(1, expected.ndim)), keepdims=True)
        assert np.all(np.isfinite(ours))
        assert np.all(np.abs(ours - expected) <= 1e-9 * np.abs(expected) + 1e-12 * scale)


def test_sum_and_fit(obs):
    rng = np.random.default_rng(7)
    data = np.concatenate([rng.normal(0.5, 0.008, 400), rng.uniform(0.3, 0.7, 2000)])
    mu, n_signal = zfit.Parameter("mu", 0.495, 0.4, 0.6), zfit.Parameter("n_s", 100.0, 0, 5000)
    n_background = zfit.Parameter("n_b", 1000.0, 0, 5000)
    model = zfit.pdf.SumPDF(
        [
            DoubleCB(mu, 0.008, 2.0, 1000.0, 2.0, 1.0, obs, extended=n_signal),
            zfit.pdf.Uniform(0.3, 0.7, obs=obs, extended=n_background),
        ]
    )
    loss = zfit.loss.ExtendedUnbinnedNLL(model, zfit.Data.from_numpy(obs=obs, array=data))
    result = zfit.minimize.Minuit(gradient="zfit").minimize(loss)
    assert result.valid
    # seeded; the bounds are 4 standard deviations
    assert float(mu.value()) == pytest.approx(0.5, abs=4 * 0.008 / np.sqrt(400))
    assert float(n_signal.value()) == pytest.approx(400.0, abs=4 * 30)
    # the maximum is there exactly; Minuit stops within a small part of a standard deviation
    total = float(n_signal.value() + n_background.value())
    assert total == pytest.approx(2400.0, abs=0.1 * 2400**0.5)


def test_sample(double_cb):
    sample = double_cb.sample(2000).value().numpy().ravel()
    inside = double_cb.integrate((0.44, 0.46)).numpy()[0]
    # chance of failure 6e-5
    assert np.mean((sample > 0.44) & (sample < 0.46)) == pytest.approx(
        inside, abs=4 * np.sqrt(inside * (1 - inside) / 2000)
    )


@pytest.mark.filterwarnings("ignore::zfit.util.warnings.ExperimentalFeatureWarning")
def test_hs3_round_trip(obs, double_cb):
    x = np.linspace(0.3, 0.7, 11)
    single = CrystalBall(zfit.Parameter("mu", 0.4), 0.01, -1.0, 3.0, obs)
    other = CrystalBall(0.5, 0.01, 1.0, 3.0, obs)
    for pdf in (double_cb, single, zfit.pdf.SumPDF([other, single], fracs=[0.3])):
        dumped = zfit.hs3.dumps(pdf)
        (loaded,) = zfit.hs3.loads(dumped)["distributions"].values()
        assert type(loaded) is type(pdf)
        np.testing.assert_array_equal(loaded.pdf(x), pdf.pdf(x))
    assert type(zfit.pdf.DoubleCB.from_json(zfit.pdf.DoubleCB(
        *double_cb.params.values(), obs=obs
    ).to_json())) is zfit.pdf.DoubleCB  # fmt: skip
