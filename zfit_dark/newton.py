"""Damped Newton minimisation of many likelihoods at once (numpy only).

The curvature may be the exact second derivative or the expected one (Fisher's); the second is never
negative, so that every step goes downhill. All fits of a batch share one call of the objective.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Objective = Callable[[FloatArray], tuple[FloatArray, FloatArray, FloatArray]]

EDM_TOLERANCE = 1e-8
"""A fit has converged where its estimated distance to the minimum, in units of the negative
log-likelihood, is below this."""

_FLATTEST = 1e-12
"""Smallest eigenvalue, of the curvature scaled to a unit diagonal, that a step may follow."""


@dataclass(frozen=True)
class Minimum:
    """Where each fit of a batch ended.

    Attributes:
        theta: parameters, shape (fits, parameters).
        value: negative log-likelihood, shape (fits,).
        gradient: its gradient, shape (fits, parameters).
        curvature: its curvature, shape (fits, parameters, parameters).
        edm: estimated distance to the minimum, shape (fits,).
        converged: whether ``edm`` is small enough, shape (fits,).
        iterations: evaluations of the batch that were needed.
    """

    theta: FloatArray
    value: FloatArray
    gradient: FloatArray
    curvature: FloatArray
    edm: FloatArray
    converged: NDArray[np.bool_]
    iterations: int

    def replaced(self, other: Minimum, rows: NDArray[np.bool_]) -> Minimum:
        """These fits, but for some rows those of another batch; iterations are added up.

        Args:
            other: a batch of the same shape.
            rows: where to take the other's, shape (fits,).
        """
        pick = {
            name: np.where(rows.reshape(-1, *[1] * (old.ndim - 1)), getattr(other, name), old)
            for name, old in vars(self).items()
            if name != "iterations"
        }
        return Minimum(**pick, iterations=self.iterations + other.iterations)


def minimise(
    objective: Objective,
    start: FloatArray,
    free: NDArray[np.bool_],
    lower: FloatArray,
    upper: FloatArray,
    *,
    tolerance: float = EDM_TOLERANCE,
    max_iterations: int = 100,
) -> Minimum:
    """Minimise a batch of negative log-likelihoods inside a box.

    A parameter that stands at an edge of the box and is pushed outwards is held there. A step that
    does not lead downhill, or leads to where the likelihood is not defined, is halved.

    Args:
        objective: parameters (fits, parameters) to value (fits,), gradient (fits, parameters) and
            curvature (fits, parameters, parameters).
        start: where to start, shape (fits, parameters).
        free: which parameters each fit may move, shape (fits, parameters).
        lower: lower edges of the box, shape (parameters,); minus infinity for none.
        upper: upper edges of the box, shape (parameters,).
        tolerance: largest estimated distance to the minimum of a converged fit.
        max_iterations: evaluations of the objective after which the fits are left as they are.

    Returns:
        The minimum of each fit; ``converged`` tells which ones to believe.
    """
    theta = np.clip(start, lower, upper)
    theta = np.where(free, theta, start)
    value, gradient, curvature = objective(theta)
    step, edm = _newton_step(theta, gradient, curvature, free, lower, upper)
    scale = np.ones(len(theta))
    stuck = ~np.isfinite(value)
    iterations = 1
    while iterations < max_iterations:
        active = (edm > tolerance) & ~stuck
        if not active.any():
            break
        trial = np.clip(theta + scale[:, None] * step, lower, upper)
        trial = np.where(free & active[:, None], trial, theta)
        new_value, new_gradient, new_curvature = objective(trial)
        iterations += 1
        foreseen = np.einsum("bp,bp->b", gradient, trial - theta)
        noise = 1e-13 * (1.0 + np.abs(value))
        finite = np.isfinite(new_value) & np.isfinite(new_gradient).all(axis=1)
        with np.errstate(invalid="ignore"):
            downhill = finite & (new_value <= value + 1e-4 * np.minimum(foreseen, 0.0) + noise)
        accepted = active & downhill
        theta = np.where(accepted[:, None], trial, theta)
        value = np.where(accepted, new_value, value)
        gradient = np.where(accepted[:, None], new_gradient, gradient)
        curvature = np.where(accepted[:, None, None], new_curvature, curvature)
        new_step, new_edm = _newton_step(theta, gradient, curvature, free, lower, upper)
        step = np.where(accepted[:, None], new_step, step)
        edm = np.where(accepted, new_edm, edm)
        scale = np.where(accepted, np.minimum(1.0, 2.0 * scale), 0.4 * scale)
        stuck |= scale < 1e-10
    converged = np.isfinite(value) & (edm <= tolerance)
    return Minimum(theta, value, gradient, curvature, edm, converged, iterations)


def _newton_step(
    theta: FloatArray,
    gradient: FloatArray,
    curvature: FloatArray,
    free: NDArray[np.bool_],
    lower: FloatArray,
    upper: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Newton's step inside the box and the estimated distance to the minimum."""
    outwards = ((theta <= lower) & (gradient > 0)) | ((theta >= upper) & (gradient < 0))
    moving = free & ~outwards
    step = solve(curvature, np.where(moving, -gradient, 0.0), moving)
    # A parameter that would be pushed through the edge where it stands waits for the others.
    blocked = ((theta <= lower) & (step < 0)) | ((theta >= upper) & (step > 0))
    if (blocked & moving).any():
        moving &= ~blocked
        step = solve(curvature, np.where(moving, -gradient, 0.0), moving)
    edm = -0.5 * np.einsum("bp,bp->b", step, np.where(moving, gradient, 0.0))
    return np.nan_to_num(step, posinf=0.0, neginf=0.0), np.where(np.isfinite(edm), edm, np.inf)


def solve(curvature: FloatArray, vector: FloatArray, moving: NDArray[np.bool_]) -> FloatArray:
    """Solve ``curvature @ x = vector`` among the moving parameters.

    Directions along which the likelihood is flat, or bent downwards, are followed as if they were
    barely bent upwards, so that the solution always leads downhill.

    Args:
        curvature: shape (fits, parameters, parameters).
        vector: shape (fits, parameters).
        moving: which parameters take part, shape (fits, parameters).

    Returns:
        The solution, shape (fits, parameters); zero for parameters that do not take part.
    """
    both = moving[:, :, None] & moving[:, None, :]
    identity = np.eye(curvature.shape[-1])
    matrix = np.where(both, curvature, identity)
    matrix = np.where(np.isfinite(matrix), matrix, identity)
    diagonal = np.abs(np.einsum("bpp->bp", matrix))
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = matrix * scale[:, :, None] * scale[:, None, :]
    bends, axes = np.linalg.eigh(0.5 * (scaled + np.swapaxes(scaled, 1, 2)))
    along = np.einsum("bpi,bp->bi", axes, np.where(np.isfinite(vector), vector, 0.0) * scale)
    along = along / np.maximum(np.abs(bends), _FLATTEST)
    return np.where(moving, scale * np.einsum("bpi,bi->bp", axes, along), 0.0)
