"""Batched Newton fits against scipy, Minuit and pencil-and-paper minima."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from iminuit import Minuit
from numpy.typing import NDArray
from scipy.optimize import lsq_linear
from scipy.special import expit, xlogy

from zfit_dark import newton
from zfit_dark.newton import EDM_TOLERANCE, FloatArray, Minimum

seeds = st.integers(0, 2**32 - 1)
Objective = Callable[[FloatArray], tuple[FloatArray, FloatArray, FloatArray]]
"""Many fits at once, in numpy."""


def minimise(
    objective: Objective,
    start: FloatArray,
    free: NDArray[np.bool_],
    lower: FloatArray,
    upper: FloatArray,
    max_iterations: int = newton.MAX_ITERATIONS,
) -> Minimum:
    """Fits of a numpy likelihood, one after the other."""

    _OBJECTIVE.append(lambda theta: [np.asarray(found[0]) for found in objective(theta[None])])
    rows = [
        _minimise(start.shape[1])(*map(tf.constant, (a, b, lower, upper, float(max_iterations))))
        for a, b in zip(start, free, strict=True)
    ]
    _OBJECTIVE.clear()
    return Minimum(*(np.stack(parts) for parts in zip(*rows, strict=True)))


_OBJECTIVE: list[Callable[[FloatArray], list[FloatArray]]] = []


@functools.cache
def _minimise(size: int) -> Callable[..., tuple[tf.Tensor, ...]]:
    """The graph for so many parameters; what the likelihood is is asked at run time."""
    shapes = ((), (size,), (size, size))

    def objective(theta: tf.Tensor) -> list[tf.Tensor]:
        found = tf.numpy_function(lambda x: _OBJECTIVE[0](x), [theta], [tf.float64] * 3)
        return [tf.ensure_shape(part, shape) for part, shape in zip(found, shapes, strict=True)]

    def fit(start: tf.Tensor, free: tf.Tensor, *rest: tf.Tensor) -> tuple[tf.Tensor, ...]:
        lower, upper, most = rest
        return newton.minimise(objective, start, free, lower, upper, tf.cast(most, tf.float64))

    vector = tf.TensorSpec((size,), tf.float64)
    signature = [vector, tf.TensorSpec((size,), tf.bool), vector, vector, tf.TensorSpec(())]
    return tf.function(fit, autograph=False, input_signature=signature)  # type: ignore[no-any-return]


_solve = tf.function(newton.solve, autograph=False)


def solve(curvature: FloatArray, vector: FloatArray, moving: NDArray[np.bool_]) -> FloatArray:
    rows = zip(curvature, vector, moving, strict=True)
    return np.stack([_solve(*map(tf.constant, row)).numpy() for row in rows])


def unbounded(parameters: int) -> tuple[FloatArray, FloatArray]:
    return np.full(parameters, -np.inf), np.full(parameters, np.inf)


def all_free(start: FloatArray) -> NDArray[np.bool_]:
    return np.ones(start.shape, bool)


def random_spd(rng: np.random.Generator, size: int, decades: float = 2.0) -> FloatArray:
    """A symmetric positive definite matrix whose eigenvalues span some decades."""
    axes, _ = np.linalg.qr(rng.normal(size=(size, size)))
    matrix: FloatArray = (axes * 10 ** rng.uniform(-decades / 2, decades / 2, size)) @ axes.T
    return 0.5 * (matrix + matrix.T)


def batched(
    one: Callable[[FloatArray], tuple[float, FloatArray, FloatArray]],
) -> Objective:
    def objective(theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        values, gradients, curvatures = zip(*(one(row) for row in theta), strict=True)
        return np.array(values), np.array(gradients), np.array(curvatures)

    return objective


def parabola(matrix: FloatArray, centre: FloatArray) -> Objective:
    def one(theta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        away = theta - centre
        return 0.5 * float(away @ matrix @ away), matrix @ away, matrix

    return batched(one)


def rosenbrock(theta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    x, y = theta
    value = (1 - x) ** 2 + 100 * (y - x**2) ** 2
    gradient = np.array([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)])
    bend = np.array([[2 - 400 * (y - 3 * x**2), -400 * x], [-400 * x, 200.0]])
    return float(value), gradient, bend


def poisson(shapes: FloatArray, counts: FloatArray) -> Objective:
    """Counts in bins, expected ``theta @ shapes``; Fisher's curvature on the data."""

    def one(theta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        expected = theta @ shapes
        with np.errstate(invalid="ignore", divide="ignore"):
            value = float(np.sum(expected - xlogy(counts, expected)))
        ratio = shapes / expected
        return value, shapes.sum(axis=1) - ratio @ counts, (ratio * counts) @ ratio.T

    return batched(one)


def minuit_at(
    objective: Objective, start: FloatArray, lower: FloatArray, upper: FloatArray
) -> Minuit:
    minuit = Minuit(lambda theta: float(objective(theta[None])[0][0]), start)
    minuit.errordef = Minuit.LIKELIHOOD
    minuit.tol = 1e-4
    minuit.strategy = 2
    minuit.limits = list(zip(lower, upper, strict=True))
    minuit.migrad()
    assert minuit.valid
    return minuit


def assert_agrees_with(minuit: Minuit, found: Minimum) -> None:
    """Values within a thousandth of their error (an EDM of 1e-6), likelihoods within 1e-6."""
    away = (found.theta[0] - np.array(minuit.values)) / np.array(minuit.errors)
    np.testing.assert_allclose(away, 0.0, atol=1e-3)
    np.testing.assert_allclose(found.value[0], minuit.fval, atol=1e-6)


# ------------------------------------------------------------------ without bounds


@given(seed=seeds, size=st.integers(1, 8))
def test_parabola_takes_one_step(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    matrix, centre = random_spd(rng, size), rng.normal(size=size)
    start = rng.normal(size=(1, size))
    found = minimise(parabola(matrix, centre), start, all_free(start), *unbounded(size))
    assert found.converged.all()
    assert found.iterations[0] <= 3
    np.testing.assert_allclose(found.theta[0], centre, rtol=0, atol=1e-9)
    assert abs(found.value[0]) < 1e-15


def test_start_at_the_minimum_needs_one_evaluation() -> None:
    start = np.array([[1.0, 2.0]])
    found = minimise(parabola(np.eye(2), start[0]), start, all_free(start), *unbounded(2))
    assert found.iterations[0] == 1
    assert found.converged.all()
    np.testing.assert_array_equal(found.theta, start)


@pytest.mark.parametrize("start", [(-1.2, 1.0), (0.0, 0.0), (3.0, -4.0), (-5.0, 20.0)])
def test_rosenbrock_valley(start: tuple[float, float]) -> None:
    begin = np.array([start])
    found = minimise(batched(rosenbrock), begin, all_free(begin), *unbounded(2))
    assert found.converged.all()
    assert found.value[0] < 2 * EDM_TOLERANCE
    # along the valley the smallest curvature is 0.4: sqrt(2 * 2 EDM / 0.4) = 3e-4
    np.testing.assert_allclose(found.theta[0], [1.0, 1.0], atol=4e-4)


def test_logistic_regression_as_minuit_does_it(rng: np.random.Generator) -> None:
    features = np.column_stack([np.ones(300), rng.normal(size=(300, 2))])
    passed = rng.uniform(size=300) < expit(features @ [0.3, -1.0, 2.0])

    def one(theta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        p = expit(features @ theta)
        value = -np.sum(xlogy(passed, p) + xlogy(~passed, 1 - p))
        return float(value), features.T @ (p - passed), (features.T * (p * (1 - p))) @ features

    start = np.zeros((1, 3))
    found = minimise(batched(one), start, all_free(start), *unbounded(3))
    minuit = minuit_at(batched(one), start[0], *unbounded(3))
    assert found.converged.all()
    assert_agrees_with(minuit, found)
    errors = np.array(minuit.errors)
    covariance = np.array(minuit.covariance) / np.outer(errors, errors)
    found_covariance = np.linalg.inv(found.curvature[0]) / np.outer(errors, errors)
    np.testing.assert_allclose(found_covariance, covariance, atol=1e-3)  # HESSE's differences


def test_poisson_bump_as_minuit_does_it(rng: np.random.Generator) -> None:
    centres = np.linspace(0.01, 0.99, 50)
    shapes = np.array([np.exp(-0.5 * ((centres - 0.4) / 0.03) ** 2), np.ones(50), centres])
    counts = rng.poisson(np.array([20.0, 30.0, -15.0]) @ shapes).astype(float)
    start = np.array([[0.0, counts.mean(), 0.0]])
    objective = poisson(shapes, counts)
    found = minimise(objective, start, all_free(start), *unbounded(3))
    minuit = minuit_at(objective, start[0], *unbounded(3))
    assert found.converged.all()
    assert_agrees_with(minuit, found)


def test_branching_fraction_next_to_a_yield(rng: np.random.Generator) -> None:
    """1e-9 beside 1e4: the same minimum as in units of one, to the same relative precision."""
    centres = np.linspace(-1, 1, 40)
    shapes = np.array([np.exp(-0.5 * (centres / 0.1) ** 2), np.ones(40)])
    counts = rng.poisson(np.array([40.0, 250.0]) @ shapes).astype(float)
    units = np.array([1e-9, 1e4])
    start = np.array([[0.0, counts.mean()]])
    plain = minimise(poisson(shapes, counts), start, all_free(start), *unbounded(2))
    scaled = minimise(
        poisson(shapes / units[:, None], counts), start * units, all_free(start), *unbounded(2)
    )
    assert plain.converged.all()
    assert scaled.converged.all()
    np.testing.assert_allclose(scaled.theta / units, plain.theta, rtol=1e-9)


# ------------------------------------------------------------------ bounds


@given(seed=seeds, size=st.integers(1, 6))
def test_parabola_in_a_box_as_scipy_does_it(seed: int, size: int) -> None:
    """The minimum may be inside, on a face or in a corner of the box."""
    rng = np.random.default_rng(seed)
    matrix, centre = random_spd(rng, size), rng.uniform(-2, 2, size)
    lower, upper = -rng.uniform(0.1, 1.5, size), rng.uniform(0.1, 1.5, size)
    start = rng.uniform(lower, upper, (3, size))
    start[1] = lower
    start[2] = upper
    found = minimise(parabola(matrix, centre), start, all_free(start), lower, upper)
    factor = np.linalg.cholesky(matrix).T
    expected = lsq_linear(
        factor, factor @ centre, (lower, upper), method="bvls", tol=1e-15, max_iter=1000
    )
    assert found.converged.all()
    assert ((found.theta >= lower) & (found.theta <= upper)).all()
    np.testing.assert_allclose(found.value, expected.cost, atol=2 * EDM_TOLERANCE)
    np.testing.assert_allclose(
        found.theta, np.broadcast_to(expected.x, found.theta.shape), atol=1e-3
    )


def test_minimum_in_a_corner_is_exactly_there() -> None:
    start = np.array([[0.5, 0.5]])
    found = minimise(
        parabola(np.array([[2.0, 0.9], [0.9, 1.0]]), np.array([-3.0, -4.0])),
        start,
        all_free(start),
        np.zeros(2),
        np.ones(2),
    )
    assert found.converged.all()
    np.testing.assert_array_equal(found.theta, [[0.0, 0.0]])


def test_parameter_held_first_is_released_later() -> None:
    """x at its lower edge is pushed out while y is 0, and inwards once y has grown."""
    matrix, centre = np.array([[1.0, -0.9], [-0.9, 1.0]]), np.array([1.0, 4.0])
    start = np.array([[0.0, 4.2]])
    objective = parabola(matrix, centre)
    assert objective(start)[1][0, 0] < 0
    away = np.array([[0.0, 1.0]])
    assert objective(away)[1][0, 0] > 0
    found = minimise(objective, away, all_free(away), np.zeros(2), np.full(2, np.inf))
    assert found.converged.all()
    np.testing.assert_allclose(found.theta[0], centre, atol=1e-4)


def test_yield_at_zero_as_minuit_does_it(rng: np.random.Generator) -> None:
    """A deficit at the peak: the signal ends exactly at its limit, the others as if fixed there."""
    centres = np.linspace(0.01, 0.99, 50)
    shapes = np.array([np.exp(-0.5 * ((centres - 0.5) / 0.05) ** 2), np.ones(50), centres])
    counts = rng.poisson(np.array([-12.0, 30.0, 5.0]) @ shapes).astype(float)
    lower, upper = np.array([0.0, 0.0, -np.inf]), np.full(3, np.inf)
    start = np.array([[5.0, 20.0, 0.0]])
    objective = poisson(shapes, counts)
    found = minimise(objective, start, all_free(start), lower, upper)
    minuit = Minuit(lambda theta: float(objective(theta[None])[0][0]), [0.0, 20.0, 0.0])
    minuit.errordef = Minuit.LIKELIHOOD
    minuit.tol = 1e-4
    minuit.fixed[0] = True
    minuit.migrad()
    assert found.converged.all()
    assert found.theta[0, 0] == 0.0
    assert found.gradient[0, 0] > 0
    np.testing.assert_allclose(found.value[0], minuit.fval, atol=1e-6)


def test_start_outside_the_box_is_brought_in() -> None:
    start = np.array([[9.0, -9.0]])
    found = minimise(
        parabola(np.eye(2), np.array([0.2, 5.0])), start, all_free(start), np.zeros(2), np.ones(2)
    )
    assert found.converged.all()
    np.testing.assert_allclose(found.theta, [[0.2, 1.0]], atol=1e-9)


# ------------------------------------------------------------------ where no likelihood is


def test_steps_into_undefined_regions_are_rejected() -> None:
    """x - 10 log(x) from 25: the first Newton step leads to -12.5, the minimum is at 10."""

    def one(theta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        with np.errstate(invalid="ignore", divide="ignore"):
            value = theta[0] - 10 * np.log(theta[0])
        return float(value), 1 - 10 / theta, np.diag(10 / theta**2)

    start = np.array([[25.0]])
    _, gradient, curvature = one(start[0])
    assert start[0] - gradient / curvature[0] < 0
    found = minimise(batched(one), start, all_free(start), *unbounded(1))
    assert found.converged.all()
    assert found.theta[0, 0] == pytest.approx(10.0, abs=2e-3)
    assert found.iterations[0] < 12


def test_log_of_a_negative_density_is_rejected(rng: np.random.Generator) -> None:
    """From a start far off, full Newton steps make the expectation negative; the fit gets there."""
    centres = np.linspace(0.01, 0.99, 30)
    shapes = np.array([np.ones(30), centres])
    counts = rng.poisson(np.array([2.0, 30.0]) @ shapes).astype(float)
    start = np.array([[300.0, 1.0], [0.1, 500.0]])
    objective = poisson(shapes, counts)
    found = minimise(objective, start, all_free(start), *unbounded(2))
    minuit = minuit_at(objective, np.array([2.0, 30.0]), *unbounded(2))
    assert found.converged.all()
    np.testing.assert_allclose(found.value, np.full(2, minuit.fval), atol=1e-6)


@pytest.mark.parametrize("nothing", [np.nan, np.inf])
def test_start_where_the_likelihood_is_not_defined_is_not_converged(nothing: float) -> None:
    def one(theta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        if theta[0] < 0:
            return nothing, np.full(1, nothing), np.full((1, 1), nothing)
        return 0.5 * float(theta[0] - 1) ** 2, theta - 1.0, np.eye(1)

    start = np.array([[-1.0], [3.0]])
    found = minimise(batched(one), start, all_free(start), *unbounded(1))
    np.testing.assert_array_equal(found.converged, [False, True])
    assert found.theta[0, 0] == -1.0
    assert found.theta[1, 0] == pytest.approx(1.0)


def test_undefined_gradient_is_not_converged() -> None:
    def one(theta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        return 1.0, np.array([np.nan]), np.eye(1)

    start = np.zeros((1, 1))
    assert not minimise(batched(one), start, all_free(start), *unbounded(1)).converged.any()


# ------------------------------------------------------------------ flat, bent down, no end


def test_flat_direction_stays_where_it_was() -> None:
    """A parameter that nothing depends on neither moves nor spoils the others."""
    matrix = np.diag([1.0, 0.0, 4.0])
    start = np.array([[3.0, 7.0, -2.0]])
    found = minimise(parabola(matrix, np.ones(3)), start, all_free(start), *unbounded(3))
    assert found.converged.all()
    np.testing.assert_allclose(found.theta[0], [1.0, 7.0, 1.0], atol=1e-9)


def test_two_parameters_of_which_only_the_sum_counts() -> None:
    matrix = np.ones((2, 2))
    start = np.array([[5.0, -1.0]])
    found = minimise(parabola(matrix, np.array([1.0, 2.0])), start, all_free(start), *unbounded(2))
    assert found.converged.all()
    assert found.theta[0].sum() == pytest.approx(3.0, abs=1e-4)


def test_curvature_bent_downwards_is_left_behind() -> None:
    """A double well from near its hump."""

    def one(theta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        x = theta[0]
        return float(x**4 - 2 * x**2), 4 * theta**3 - 4 * theta, np.array([[12 * x**2 - 4]])

    start = np.array([[0.05], [-0.05]])
    found = minimise(batched(one), start, all_free(start), *unbounded(1))
    assert found.converged.all()
    np.testing.assert_allclose(found.theta[:, 0], [1.0, -1.0], atol=1e-4)


@pytest.mark.parametrize("events", [1.0, 2.0, 6.0, 12.0])
def test_a_slope_without_curvature_ends_at_the_edge(events: float) -> None:
    """Events in the signal region and none in the sideband: curvature knows of their sum alone."""

    def on_off(theta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        signal, background = theta
        total = signal + background
        if not total > 0:
            return np.nan, np.full(2, np.nan), np.full((2, 2), np.nan)
        value = total - events * np.log(total) + 2.0 * background
        slope = 1 - events / total
        return value, np.array([slope, slope + 2.0]), np.full((2, 2), events / total**2)

    start = np.array([[6.0, 3.2]])
    edges = np.zeros(2), np.full(2, 1000.0)
    found = minimise(batched(on_off), start, all_free(start), *edges)
    assert found.converged.all()
    np.testing.assert_allclose(found.theta, [[events, 0.0]], rtol=1e-4)


def test_slope_without_end_is_not_converged() -> None:
    def one(theta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        return float(theta[0]), np.ones(1), np.zeros((1, 1))

    start = np.zeros((1, 1))
    assert not minimise(batched(one), start, all_free(start), *unbounded(1)).converged.any()


def test_too_few_iterations_are_not_converged() -> None:
    start = np.array([[-1.2, 1.0], [1.0, 1.0]])
    found = minimise(batched(rosenbrock), start, all_free(start), *unbounded(2), max_iterations=4)
    assert found.iterations[0] == 4
    np.testing.assert_array_equal(found.converged, [False, True])
    assert found.edm[0] > EDM_TOLERANCE


# ------------------------------------------------------------------ batches and masks


def assert_same_row(batch: Minimum, row: int, single: Minimum) -> None:
    for name in ("theta", "value", "gradient", "curvature", "edm", "converged"):
        np.testing.assert_array_equal(getattr(batch, name)[row], getattr(single, name)[0])


@given(seed=seeds)
def test_a_batch_is_the_same_as_single_fits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = rng.uniform(-2, 2, (5, 2))
    free = rng.uniform(size=(5, 2)) < 0.7
    lower, upper = np.array([-0.5, -np.inf]), np.array([0.8, 1.5])
    batch = minimise(batched(rosenbrock), start, free, lower, upper)
    singles = [minimise(batched(rosenbrock), start[[i]], free[[i]], lower, upper) for i in range(5)]
    for row, single in enumerate(singles):
        assert_same_row(batch, row, single)
    assert list(batch.iterations) == [single.iterations[0] for single in singles]


@given(seed=seeds)
def test_parameters_that_are_not_free_stay(seed: int) -> None:
    """The free ones find their minimum given those."""
    rng = np.random.default_rng(seed)
    matrix, centre = random_spd(rng, 4), rng.normal(size=4)
    start, free = rng.normal(size=(6, 4)), rng.uniform(size=(6, 4)) < 0.5
    found = minimise(parabola(matrix, centre), start, free, *unbounded(4))
    assert found.converged.all()
    np.testing.assert_array_equal(found.theta[~free], start[~free])
    for theta, moving in zip(found.theta, free, strict=True):
        away = (theta - centre)[~moving]
        expected = np.linalg.solve(
            matrix[np.ix_(moving, moving)], -matrix[np.ix_(moving, ~moving)] @ away
        )
        np.testing.assert_allclose((theta - centre)[moving], expected, atol=1e-8)


def test_parameter_that_is_not_free_may_stand_outside_the_box() -> None:
    """As the parameter of interest of a hypothesis that lies beyond its limits."""
    start = np.array([[5.0, 0.0]])
    matrix = np.array([[1.0, 0.5], [0.5, 1.0]])
    found = minimise(
        parabola(matrix, np.zeros(2)),
        start,
        np.array([[False, True]]),
        *np.array([[-4, -4], [4, 4.0]]),
    )
    assert found.converged.all()
    np.testing.assert_allclose(found.theta, [[5.0, -2.5]])


def test_replaced_takes_chosen_rows_of_another_batch() -> None:
    start = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    one = minimise(parabola(np.eye(2), np.ones(2)), start, all_free(start), *unbounded(2))
    other = minimise(
        parabola(3 * np.eye(2), np.zeros(2)),
        start,
        all_free(start),
        *unbounded(2),
        max_iterations=1,
    )
    assert not other.converged.any()
    rows = np.array([False, True, False])
    mixed = one.replaced(other, rows)
    for row in range(3):
        source = other if rows[row] else one
        for name in ("theta", "value", "gradient", "curvature", "edm", "converged"):
            np.testing.assert_array_equal(getattr(mixed, name)[row], getattr(source, name)[row])
    assert (mixed.iterations == one.iterations + other.iterations).all()


# ------------------------------------------------------------------ solve


@given(seed=seeds, size=st.integers(1, 8), decades=st.floats(0, 10))
def test_solve_as_numpy_does_it(seed: int, size: int, decades: float) -> None:
    """Units of the parameters may differ by any power of ten: the solution only changes its own."""
    rng = np.random.default_rng(seed)
    matrix, vector = random_spd(rng, size, decades=3), rng.normal(size=size)
    units = 10 ** rng.uniform(-decades, decades, size)
    expected = np.linalg.solve(matrix, vector)
    found = solve(
        (matrix / units[:, None] / units)[None], (vector / units)[None], np.ones((1, size), bool)
    )
    np.testing.assert_allclose(
        found[0] / units, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max()
    )


def test_solve_with_a_branching_fraction_next_to_a_yield() -> None:
    sigma, correlation = np.array([1e-9, 1e4]), 0.8
    covariance = np.outer(sigma, sigma) * np.array([[1, correlation], [correlation, 1]])
    curvature = np.linalg.inv(covariance / np.outer(sigma, sigma)) / np.outer(sigma, sigma)
    found = solve(curvature[None], np.array([[1.0, 0.0]]), np.ones((1, 2), bool))
    np.testing.assert_allclose(found[0], covariance[0], rtol=1e-12)


@given(seed=seeds)
def test_solve_among_the_moving_parameters_only(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrices = np.stack([random_spd(rng, 5) for _ in range(4)])
    vectors, moving = rng.normal(size=(4, 5)), rng.uniform(size=(4, 5)) < 0.6
    found = solve(matrices, vectors, moving)
    for matrix, vector, mask, solution in zip(matrices, vectors, moving, found, strict=True):
        assert (solution[~mask] == 0).all()
        expected = np.linalg.solve(matrix[np.ix_(mask, mask)], vector[mask])
        np.testing.assert_allclose(solution[mask], expected, rtol=1e-9, atol=1e-10)


@given(seed=seeds)
def test_solve_always_leads_along_the_vector(seed: int) -> None:
    """Whatever the signs of the eigenvalues: against the gradient, so downhill."""
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    matrix = (axes * rng.normal(size=4)) @ axes.T
    vector = rng.normal(size=4)
    found = solve(matrix[None], vector[None], np.ones((1, 4), bool))
    assert found[0] @ vector > 0


def test_solve_ignores_what_is_not_finite() -> None:
    curvature = np.array([[[np.nan, 0.0], [0.0, 2.0]]])
    found = solve(curvature, np.array([[np.nan, 4.0]]), np.ones((1, 2), bool))
    np.testing.assert_allclose(found, [[0.0, 2.0]])
