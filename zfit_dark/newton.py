"""Damped Newton minimisation of a likelihood inside a TensorFlow graph.

The curvature may be the exact second derivative or the expected one (Fisher's); the second is never
negative, so that every step goes downhill.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Objective = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]
"""Parameters (p,) to value (), gradient (p,) and curvature (p, p)."""

EDM_TOLERANCE = 1e-8
"""A fit has converged where its estimated distance to the minimum, in units of the negative
log-likelihood, is below this."""

MAX_ITERATIONS = 100
"""Evaluations after which a fit is left as it is."""

_SHORTEST = 1e-20
"""Part of a step below which a fit gives up."""

_INWARDS = 1e-3
"""How far from an edge a fit begins where the likelihood is not defined on it. A yield doubles with
each step from there, so that it need not be near."""

_TOO_FAR = 1e-6
"""A step of which less than this part is inside the box ends where it meets the edge: along a
direction in which the likelihood is not curved at all, a step has no length of its own."""

_FLATTEST = 1e-12
"""Smallest pivot, of the curvature scaled to a unit diagonal, that a step may follow."""


@dataclass(frozen=True)
class Minimum:
    """Where each fit of a batch ended.

    Attributes:
        theta: parameters, shape (fits, parameters).
        value: negative log-likelihood, shape (fits,).
        edm: estimated distance to the minimum, shape (fits,).
        iterations: evaluations that each fit took, shape (fits,).
        gradient: slope of the likelihood, shape (fits, parameters).
        curvature: its curvature, shape (fits, parameters, parameters).
    """

    theta: FloatArray
    value: FloatArray
    edm: FloatArray
    iterations: FloatArray
    gradient: FloatArray
    curvature: FloatArray

    @property
    def converged(self) -> NDArray[np.bool_]:
        """Whether the estimated distance to the minimum is small enough, shape (fits,)."""
        return np.isfinite(self.value) & (self.edm <= EDM_TOLERANCE)

    @classmethod
    def from_rows(cls, rows: FloatArray, parameters: int) -> Minimum:
        """Fits from their rows of numbers, see ``as_row``, shape (fits, row_length)."""
        p = parameters
        theta, rest, gradient, curvature = np.split(rows, [p, p + 3, 2 * p + 3], axis=1)
        value, edm, iterations = rest.T
        return cls(theta, value, edm, iterations, gradient, curvature.reshape(-1, p, p))

    def replaced(self, other: Minimum, rows: NDArray[np.bool_]) -> Minimum:
        """These fits, but for some rows those of another batch; iterations are added up.

        Args:
            other: a batch of the same shape.
            rows: where to take the other's, shape (fits,).
        """
        pick = {
            name: np.where(rows.reshape(-1, *[1] * (old.ndim - 1)), getattr(other, name), old)
            for name, old in vars(self).items()
        }
        return Minimum(**pick | {"iterations": self.iterations + other.iterations})


def minimise(
    objective: Objective,
    start: tf.Tensor,
    free: tf.Tensor,
    lower: tf.Tensor,
    upper: tf.Tensor,
    max_iterations: tf.Tensor | int = MAX_ITERATIONS,
) -> tuple[tf.Tensor, ...]:
    """Minimise a negative log-likelihood inside a box.

    A parameter that stands at an edge of the box and is pushed outwards is held there. A step that
    does not lead downhill, or leads to where the likelihood is not defined, is shortened, at first
    to where it meets the edge: where the likelihood has a slope but no curvature, it goes far. From
    a start where the likelihood is not defined, parameters on an edge are taken a little inwards: a
    background of no events makes those that there are impossible.

    Args:
        objective: parameters (p,) to value (), gradient (p,) and curvature (p, p).
        start: where to start, shape (p,).
        free: which parameters may move, boolean, shape (p,).
        lower: lower edges of the box, shape (p,); minus infinity for none.
        upper: upper edges of the box, shape (p,).
        max_iterations: evaluations of the objective after which the fit is left as it is; with 1
            it is an evaluation at the start.

    Returns:
        theta, value, estimated distance to the minimum, evaluations, gradient, curvature: the
        attributes of one row of a ``Minimum``.
    """
    start = tf.where(free, tf.clip_by_value(start, lower, upper), start)
    one, zero = tf.constant(1.0, start.dtype), tf.constant(0.0, start.dtype)
    nothing = tf.zeros_like(start)
    # the state at the best point so far, and the step that leads on from there
    state = (start, zero, zero + np.inf, zero, nothing, nothing[:, None] * nothing, nothing, one)

    def going_on(theta: tf.Tensor, value: tf.Tensor, edm: tf.Tensor, *rest: tf.Tensor) -> tf.Tensor:
        iterations, *_, scale = rest
        todo = iterations < tf.cast(max_iterations, start.dtype)
        defined = tf.math.is_finite(value)
        moving = (edm > EDM_TOLERANCE) & (scale > _SHORTEST) & defined
        return (iterations < 1) | (todo & (moving | (~defined & (iterations < 2))))

    def improve(
        theta: tf.Tensor, value: tf.Tensor, edm: tf.Tensor, *rest: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        iterations, gradient, curvature, step, scale = rest
        trial = tf.where(free, tf.clip_by_value(theta + scale * step, lower, upper), theta)
        found = objective(trial)
        foreseen = tf.reduce_sum(gradient * (trial - theta))
        noise = 1e-13 * (1.0 + tf.abs(value))
        finite = tf.math.is_finite(found[0]) & tf.reduce_all(tf.math.is_finite(found[1]))
        downhill = finite & (found[0] <= value + 1e-4 * tf.minimum(foreseen, zero) + noise)
        better = (iterations < 1) | ~tf.math.is_finite(value) | downhill
        reach = _reach(theta, step, lower, upper)
        longer = tf.where(scale < reach, tf.minimum(one, 2.0 * scale), one)
        scale = tf.where(better, longer, tf.where(0.4 * scale > reach, reach, 0.4 * scale))
        theta, value, gradient, curvature = (
            tf.where(better, new, old)
            for new, old in zip((trial, *found), (theta, value, gradient, curvature), strict=True)
        )
        step, edm = _newton_step(theta, gradient, curvature, free, lower, upper)
        reach = _reach(theta, step, lower, upper)
        step *= tf.where(reach < _TOO_FAR, reach, one)
        step = tf.where(tf.math.is_finite(value), step, _inwards(theta, lower, upper))
        return theta, value, edm, iterations + 1, gradient, curvature, step, scale

    return tuple(tf.while_loop(going_on, improve, state)[:6])


def _inwards(theta: tf.Tensor, lower: tf.Tensor, upper: tf.Tensor) -> tf.Tensor:
    """A short step away from the edges of the box, for parameters that stand there."""
    short = tf.minimum(tf.constant(_INWARDS, theta.dtype), 0.5 * (upper - lower))
    return tf.where(theta <= lower, short, tf.where(theta >= upper, -short, 0.0))


def _reach(theta: tf.Tensor, step: tf.Tensor, lower: tf.Tensor, upper: tf.Tensor) -> tf.Tensor:
    """The part of a step after which the first parameter is, just so, over the edge of the box."""
    room = tf.where(step < 0, theta - lower, upper - theta)
    part = tf.where(step != 0, room / tf.where(step != 0, tf.abs(step), 1.0), np.inf)
    return tf.reduce_min(part) * (1.0 + 1e-9)


def as_row(found: tuple[tf.Tensor, ...]) -> tf.Tensor:
    """What ``minimise`` returns as a row of numbers, shape (row_length,)."""
    return tf.concat([tf.reshape(each, [-1]) for each in found], 0)


def row_length(parameters: int) -> int:
    """How many numbers a fit of so many parameters is."""
    return 3 + 2 * parameters + parameters**2


def _newton_step(
    theta: tf.Tensor,
    gradient: tf.Tensor,
    curvature: tf.Tensor,
    free: tf.Tensor,
    lower: tf.Tensor,
    upper: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Newton's step inside the box and the estimated distance to the minimum."""
    at_lower, at_upper = theta <= lower, theta >= upper
    held = free & ~(at_lower & (gradient > 0)) & ~(at_upper & (gradient < 0))

    def attempt(
        i: tf.Tensor, _: tf.Tensor, moving: tf.Tensor, __: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        step = solve(curvature, -gradient, moving)
        # a parameter that would be pushed through the edge where it stands waits for the others
        through = moving & ((at_lower & (step < 0)) | (at_upper & (step > 0)))
        return i + 1, step, moving & ~through, tf.reduce_any(through)

    _, step, moving, _ = tf.while_loop(
        lambda i, _, __, again: again & (i < 2),
        attempt,
        (tf.constant(0), tf.zeros_like(theta), held, tf.constant(True)),
    )
    step = tf.where(moving, step, 0.0)
    # a nonsensical gradient makes a nonsensical edm, which is not below any tolerance
    edm = -0.5 * tf.reduce_sum(step * tf.where(moving, gradient, 0.0))
    infinity = tf.fill(tf.shape(edm), tf.constant(np.inf, edm.dtype))
    return _finite(step), tf.where(tf.math.is_finite(edm), edm, infinity)


def solve(curvature: tf.Tensor, vector: tf.Tensor, moving: tf.Tensor) -> tf.Tensor:
    """Solve ``curvature @ x = vector`` among the moving parameters, by Gauss's elimination.

    A positive definite matrix, scaled to a unit diagonal, needs no pivoting. Pivots that are zero,
    or negative, are taken as positive and not too small, so that the likelihood is followed
    downhill where it is flat or bent downwards.

    Args:
        curvature: symmetric, shape (p, p).
        vector: shape (p,).
        moving: which parameters take part, boolean, shape (p,).

    Returns:
        The solution, shape (p,); zero for parameters that do not take part.
    """
    size = curvature.shape[-1]
    both = moving[:, None] & moving[None, :]
    matrix = tf.where(both, _finite(curvature), tf.eye(size, dtype=curvature.dtype))
    diagonal = tf.abs(tf.linalg.diag_part(matrix))
    scale = 1.0 / tf.sqrt(tf.where(diagonal > 0, diagonal, 1.0))
    matrix *= scale[:, None] * scale[None, :]
    right = tf.where(moving, _finite(vector), 0.0) * scale
    # row i after elimination: x_i + nothing else = right_i
    table = tf.concat([matrix, right[:, None]], 1)

    def eliminate(i: tf.Tensor, table: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        here = tf.range(size) == i
        pivot = tf.maximum(tf.abs(table[i, i]), _FLATTEST)
        row = table[i] / pivot
        others = table - table[:, i][:, None] * row[None, :]
        return i + 1, tf.where(here[:, None], row[None, :], others)

    _, table = tf.while_loop(lambda i, _: i < size, eliminate, (tf.constant(0), table))
    return tf.where(moving, scale * table[:, -1], 0.0)


def response(
    theta: tf.Tensor, curvature: tf.Tensor, leader: int, lower: tf.Tensor, upper: tf.Tensor
) -> tf.Tensor:
    """How the parameters at a minimum follow one of them, shape (p,); 1 for that one itself.

    Args:
        theta: where the minimum is.
        curvature: the curvature there, shape (p, p).
        leader: which parameter is followed.
        lower: lower edges of the box; a parameter that stands at an edge does not follow.
        upper: upper edges of the box.
    """
    is_leader = np.arange(theta.shape[0]) == leader
    moving = ~is_leader & (theta > lower) & (theta < upper)
    follow = solve(curvature, -curvature[leader], moving)
    return tf.where(is_leader, tf.constant(1.0, tf.float64), follow)


def inside(start: tf.Tensor, near: tf.Tensor, lower: tf.Tensor, upper: tf.Tensor) -> tf.Tensor:
    """A starting point inside the box: where it would be over an edge, halfway there from near by.

    On the edge itself the likelihood may be infinite.

    Args:
        start: where a straight line leads, shape (p,).
        near: where it comes from, in the box.
        lower: lower edges.
        upper: upper edges.
    """
    start = tf.where(start <= lower, 0.5 * (near + lower), start)
    return tf.where(start >= upper, 0.5 * (near + upper), start)


def _finite(values: Any) -> tf.Tensor:
    return tf.where(tf.math.is_finite(values), values, 0.0)
