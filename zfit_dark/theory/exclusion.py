r"""Couplings of a long-lived particle that a search excludes, with the lifetime they imply.

A coupling fixes how often the particle is made and how far it flies. It is excluded if the
predicted branching fraction exceeds the upper limit that the search sets *at that lifetime*. A
strong coupling makes the particle decay at once, a weak one makes it rare and lets it escape: what
is excluded at one mass is an interval, or several, and not all couplings above a limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np
from scipy.optimize import brentq

from zfit_dark.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]
    Curve = Callable[[FloatArray], ArrayLike]

__all__ = ["Edge", "ExcludedInterval", "excluded_interval"]

Edge: TypeAlias = Literal["crossing", "lifetimes", "range"]
"""What ends an interval: "crossing", where the prediction meets the limit; "lifetimes", beyond
which no limit is given; "range", the end of the couplings looked at. Only the first is a statement
about nature: beyond the other two the exclusion may go on."""

_POINTS_PER_DECADE = 100
_NO_CELL = -1
_TINY = 1e-300  # in place of 0, where the logarithm is taken
_SAME = 1e-11  # relative distance of couplings that are one but for rounding


class ExcludedInterval(NamedTuple):
    """Couplings from `low` to `high` are excluded."""

    low: float
    high: float
    low_edge: Edge
    high_edge: Edge


def excluded_interval(
    branching_fraction: Curve,
    ctau_cm: Curve,
    coupling_range: tuple[float, float],
    ctau_grid_cm: ArrayLike,
    limits: ArrayLike,
) -> list[ExcludedInterval]:
    r"""All intervals of the coupling that a search excludes at one mass.

    Between the lifetimes of the grid, ln(limit) runs on a straight line in ln(cτ). Nothing is
    excluded outside the grid, nor next to a lifetime without a limit.

    Prediction and cτ are looked at on 100 couplings a decade and where cτ passes a lifetime of the
    grid. In between they are taken for powers of the coupling, which they are exactly in the usual
    case (B ∝ g², cτ ∝ g⁻²): then no interval, however narrow, is missed. If they are not, an
    interval much narrower than 2 % may be. The edges are found to a relative 1e-11.

    Args:
        branching_fraction: predicted branching fraction, or product of them, of an array of
            couplings; not negative.
        ctau_cm: proper decay length in cm of an array of couplings; not negative, may be infinite.
        coupling_range: lowest and highest coupling to look at, both positive.
        ctau_grid_cm: two or more ascending lifetimes cτ in cm at which there are limits.
        limits: upper limits on what `branching_fraction` predicts, one per lifetime, positive;
            NaN where there is none.

    Returns:
        The intervals, ascending and apart from each other; none if nothing is excluded.

    Raises:
        InputError: if range, lifetimes or limits are not as described, or a callable returns a
            value that is negative, NaN, or not one per coupling.

    A limit of 1e-7 at lifetimes from 0.1 to 10 cm:

    >>> excluded_interval(
    ...     lambda g: 0.1 * g**2, lambda g: 1e-6 / g**2, (1e-4, 1e-1), [0.1, 10.0], [1e-7, 1e-7]
    ... )
    [ExcludedInterval(low=0.00100..., high=0.00316..., low_edge='crossing', high_edge='lifetimes')]
    """
    ends = _log_ends(coupling_range)
    grid, log_limits = _log_grid(ctau_grid_cm, limits)

    def log_ctau(x: FloatArray) -> FloatArray:
        return _log_of(ctau_cm, x, "ctau_cm")

    def excess(x: FloatArray, cell: IntArray) -> FloatArray:
        """ln(prediction / limit), the limit on the straight line of that cell of the grid."""
        slope = (log_limits[cell + 1] - log_limits[cell]) / (grid[cell + 1] - grid[cell])
        log_limit = log_limits[cell] + slope * (log_ctau(x) - grid[cell])
        return _log_of(branching_fraction, x, "branching_fraction") - log_limit

    x = _with_crossings(log_ctau, ends, grid)  # logarithms of couplings
    cell = _cells(log_ctau(0.5 * (x[1:] + x[:-1])), grid, log_limits)
    at_low, at_high = excess(x[:-1], cell), excess(x[1:], cell)
    is_excluded = (cell != _NO_CELL) & ((at_low > 0.0) | (at_high > 0.0))  # at least in part
    found: list[ExcludedInterval] = []  # in the logarithm of the coupling
    for k in np.flatnonzero(is_excluded).tolist():
        low, high = float(x[k]), float(x[k + 1])
        low_edge, high_edge = _edge_towards(k - 1, cell), _edge_towards(k + 1, cell)
        if at_low[k] <= 0.0 or at_high[k] <= 0.0:
            crossing = _root(
                partial(excess, cell=cell[[k]]), low, high, float(at_low[k]), float(at_high[k])
            )
            if at_low[k] <= 0.0:
                low, low_edge = crossing, "crossing"
            else:
                high, high_edge = crossing, "crossing"
        if found and low - found[-1].high < _SAME:
            before = found.pop()
            low, low_edge = before.low, before.low_edge
        found.append(ExcludedInterval(low, high, low_edge, high_edge))
    return [each._replace(low=math.exp(each.low), high=math.exp(each.high)) for each in found]


def _log_ends(coupling_range: tuple[float, float]) -> tuple[float, float]:
    low, high = coupling_range
    if not 0.0 < low < high < math.inf:
        raise InputError(
            f"coupling_range is ({low:g}, {high:g}): give (low, high) with 0 < low < high"
        )
    return math.log(low), math.log(high)


def _log_grid(ctau_grid_cm: ArrayLike, limits: ArrayLike) -> tuple[FloatArray, FloatArray]:
    grid = np.asarray(ctau_grid_cm, dtype=np.float64)
    values = np.asarray(limits, dtype=np.float64)
    if grid.ndim != 1 or grid.size < 2 or values.shape != grid.shape:
        raise InputError(
            f"ctau_grid_cm has the shape {grid.shape} and limits {values.shape}: give two or more "
            "lifetimes and one limit for each"
        )
    if not (np.all(np.isfinite(grid)) and grid[0] > 0.0 and np.all(np.diff(grid) > 0.0)):
        raise InputError("ctau_grid_cm must be positive and ascending, in cm")
    bad = ~np.isnan(values) & ~((values > 0.0) & np.isfinite(values))
    if np.any(bad):
        raise InputError(
            f"limit {values[bad][0]:g} at cτ = {grid[bad][0]:g} cm: limits are positive, and NaN "
            "where there is none"
        )
    return np.log(grid), np.log(values)


def _log_of(function: Curve, x: FloatArray, name: str) -> FloatArray:
    """Logarithm of a function of the coupling at e^x; finite, whatever it returns."""
    values = np.asarray(function(np.exp(x)), dtype=np.float64)
    if values.shape != x.shape:
        raise InputError(
            f"{name} returns an array of the shape {values.shape} for {x.size} couplings: it must "
            "take an array of couplings and return one value for each"
        )
    bad = ~(values >= 0.0)
    if np.any(bad):
        raise InputError(
            f"{name} is {values[bad][0]:g} at the coupling {math.exp(x[bad][0]):g}: it must not be "
            "negative or NaN"
        )
    return np.log(np.clip(values, _TINY, 1.0 / _TINY))


def _with_crossings(
    log_ctau: Callable[[FloatArray], FloatArray], ends: tuple[float, float], grid: FloatArray
) -> FloatArray:
    """A fine grid of couplings, and those between at which cτ passes a lifetime; logarithms."""
    decades = (ends[1] - ends[0]) / math.log(10.0)
    fine = np.linspace(*ends, math.ceil(_POINTS_PER_DECADE * decades) + 1)
    crossings = []
    for node in grid:

        def distance(x: FloatArray, node: float = node) -> FloatArray:
            return log_ctau(x) - node

        away = distance(fine)
        crossings += [
            _root(distance, *fine[k : k + 2].tolist(), *away[k : k + 2].tolist())
            for k in np.flatnonzero(away[:-1] * away[1:] < 0.0)
        ]
    return np.unique(np.concatenate([fine, crossings]))


def _cells(log_ctau: FloatArray, grid: FloatArray, log_limits: FloatArray) -> IntArray:
    """Number of the cell of the grid that each lifetime is in, if both its ends have a limit."""
    cell = np.searchsorted(grid, log_ctau, side="right") - 1  # -1 below the grid
    has_limits = np.append(~np.isnan(log_limits[:-1] + log_limits[1:]), False)  # last: off the grid
    return np.where(has_limits[cell], cell, _NO_CELL)


def _edge_towards(k: int, cell: IntArray) -> Edge:
    """What ends an interval that fills its segment, with segment k as the next one."""
    if not 0 <= k < cell.size:
        return "range"
    # the next one is excluded too, and joined; if it is not, the crossing is here, up to rounding
    return "lifetimes" if cell[k] == _NO_CELL else "crossing"


def _root(
    function: Callable[[FloatArray], FloatArray],
    low: float,
    high: float,
    at_low: float,
    at_high: float,
) -> float:
    """Zero of a function between ends where its values, not computed again, differ in sign."""
    known = {low: at_low, high: at_high}

    def at(x: float) -> float:
        return known[x] if x in known else float(function(np.array([x]))[0])

    return float(brentq(at, low, high, xtol=1e-13))
