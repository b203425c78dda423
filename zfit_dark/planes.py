"""Excluded regions in a plane of two parameters, on a grid that is fine only at their edges.

A point of the plane is excluded if what a model predicts there exceeds the upper limit. Where that
begins is all one wants to know, so a coarse grid is halved again and again in the cells in which
its corners disagree, and the edge is followed from cell to cell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import contourpy
import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation

from zfit_dark.errors import InputError
from zfit_dark.results import Region

__all__ = ["refined"]

FloatArray: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Excess: TypeAlias = Callable[[FloatArray, FloatArray], npt.ArrayLike]

_MOST_CELLS = 2048
"""Most cells a side of the finest grid."""
_LARGEST_LOG = 30.0
"""Logarithms of ratios are cut off here: that of 0 has to be a number."""
_ON_THE_GRID = 1e-9
"""Parts of a cell within which a point is on a line of the grid."""


def refined(
    excess: Excess,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    *,
    log_x: bool = False,
    log_y: bool = False,
    start: int = 17,
    depth: int = 4,
) -> Region:
    """The region of a plane in which a prediction exceeds an upper limit.

    A regular grid of `start` x `start` points comes first. A cell whose corners are not all
    excluded, all allowed or all not known is halved `depth` times in both directions, and so are
    its eight neighbours; at each size of cell the edge of the region is followed as far as it
    goes, also into cells whose corners agree. Along the edge ln(ratio) is interpolated linearly
    between the points of the finest grid, so the edge is right to about one of its cells.

    What is smaller than a cell of the first grid, and on none of its points, is missed, unless it
    hangs together with something that is found. If there may be such a region, raise `start`.

    Args:
        excess: Prediction over upper limit for an array of x and one of y of the same shape (n,);
            not negative, NaN where it is not known, e.g. where there is no limit.
        x_range: Lowest and highest x, in the unit that `excess` takes.
        y_range: The same for y.
        log_x: Whether the points in x are evenly spaced in the logarithm.
        log_y: The same for y.
        start: Points a side of the first grid.
        depth: How many times its cells are halved.

    Returns:
        The region. The edge of the plane, and that of what is known, is no boundary but an end;
        the cells that touch a point that is not known belong to what is not known.

    Raises:
        InputError: A range does not increase, or is not positive on a logarithmic axis, the grid
            is too coarse or too fine, `excess` returns something that is no such ratio, or not one
            for each point.

    Inside a disc of radius 1 the prediction exceeds the limit; here it is found from one in
    thirteen of the 257 x 257 points of the finest grid:

    >>> region = refined(lambda x, y: np.exp(1 - x**2 - y**2), (-2, 2), (-2, 2))
    >>> round(257**2 / len(region.ratio))
    13
    >>> [bool(np.allclose(np.hypot(*line.T), 1, atol=1e-4)) for line in region.boundary]
    [True]
    """
    x = _axis("x", x_range, log_x, start, depth)
    y = _axis("y", y_range, log_y, start, depth)
    ratio = np.full((len(y.points), len(x.points)), np.nan)
    seen = np.zeros(ratio.shape, np.bool_)

    def evaluate(wanted: BoolArray, step: int) -> bool:
        """Evaluate what is new among points of the grid of that step; tell if there is any."""
        new = np.zeros_like(seen)
        new[::step, ::step] = wanted & ~seen[::step, ::step]
        rows, columns = np.nonzero(new)
        if len(rows):
            ratio[new] = _ratios(excess, x.points[columns], y.points[rows])
            seen[new] = True
        return len(rows) > 0

    step = 2**depth
    evaluate(np.ones((start, start), np.bool_), step)
    while True:
        near = _near_edges(ratio[::step, ::step], seen[::step, ::step])
        if evaluate(_corners(near), step):
            continue
        if step == 1:
            break
        step //= 2
        evaluate(_corners(near.repeat(2, axis=0).repeat(2, axis=1)), step)
    return _region(ratio, seen, 2**depth, x, y)


class _Axis(NamedTuple):
    """Points of the finest grid, and whether they are evenly spaced in the logarithm."""

    points: FloatArray
    is_log: bool


def _axis(name: str, ends: tuple[float, float], is_log: bool, start: int, depth: int) -> _Axis:
    low, high = ends
    if not (-math.inf < low < high < math.inf and (low > 0 or not is_log)):
        positive = "0 < " if is_log else ""
        raise InputError(
            f"{name}_range is ({low:g}, {high:g}): give (low, high) with {positive}low < high"
        )
    cells = (start - 1) * 2**depth if start > 1 and depth >= 0 else 0
    if not 0 < cells <= _MOST_CELLS:
        raise InputError(
            f"start = {start} and depth = {depth} make no grid: start must be 2 or more, depth 0"
            f" or more, and (start - 1) 2^depth at most {_MOST_CELLS}"
        )
    points = np.geomspace(low, high, cells + 1) if is_log else np.linspace(low, high, cells + 1)
    return _Axis(points, is_log)


def _ratios(excess: Excess, x: FloatArray, y: FloatArray) -> FloatArray:
    """The ratios at some points, checked."""
    values = np.asarray(excess(x, y), dtype=np.float64)
    if values.shape != x.shape:
        raise InputError(f"excess gives the shape {values.shape} for {len(x)} points")
    wrong = (values < 0) | np.isinf(values)
    if np.any(wrong):
        k = int(np.argmax(wrong))
        raise InputError(
            f"excess is {values[k]:g} at x = {x[k]:g}, y = {y[k]:g}; it must not be negative or"
            " infinite, and NaN where it is not known"
        )
    return values


# -- cells of a grid: one less a side than points -------------------------------------------


def _near_edges(ratio: FloatArray, seen: BoolArray) -> BoolArray:
    """The cells in which an edge runs, and their neighbours."""
    state = np.where(np.isnan(ratio), -1, ratio > 1)
    corners = _at_corners(state)
    mixed = np.all(_at_corners(seen), axis=0) & (corners.min(axis=0) != corners.max(axis=0))
    near: BoolArray = binary_dilation(mixed, np.ones((3, 3)))
    return near


def _at_corners(points: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The values at the corners of each cell, shape (4, rows, columns)."""
    return np.stack([points[:-1, :-1], points[:-1, 1:], points[1:, :-1], points[1:, 1:]])


def _corners(cells: BoolArray) -> BoolArray:
    """Which points are a corner of one of the cells."""
    corners: BoolArray = np.any(_at_corners(np.pad(cells, 1)), axis=0)
    return corners


# -- from the points to the region ----------------------------------------------------------


def _region(ratio: FloatArray, seen: BoolArray, step: int, x: _Axis, y: _Axis) -> Region:
    rows, columns = np.nonzero(seen)
    field = _log_ratio(ratio, seen, step)
    known: BoolArray = np.all(_at_corners(~np.isnan(field)), axis=0)
    excluded = _rings(np.ma.masked_invalid(field), 0.0, 2 * _LARGEST_LOG)
    edges = [edge for ring in excluded for edge in _split(ring, _is_end(ring, known))]

    def in_data(lines: Iterable[FloatArray]) -> tuple[FloatArray, ...]:
        """Lines in steps of the finest grid, in the units of the plane."""
        return tuple(
            np.column_stack([_between(axis, line[:, k]) for k, axis in enumerate((x, y))])
            for line in lines
        )

    return Region(
        x=x.points[columns],
        y=y.points[rows],
        ratio=ratio[seen],
        excluded=in_data(excluded),
        boundary=in_data(edge for edge, is_end in edges if not is_end),
        ends=in_data(edge for edge, is_end in edges if is_end),
        unknown=in_data(_around(~known)),
    )


def _between(axis: _Axis, steps: FloatArray) -> FloatArray:
    grid = np.arange(len(axis.points))
    if axis.is_log:
        return np.exp(np.interp(steps, grid, np.log(axis.points)))
    return np.interp(steps, grid, axis.points)


def _log_ratio(ratio: FloatArray, seen: BoolArray, step: int) -> FloatArray:
    """ln(ratio) on the finest grid, interpolated where nothing was evaluated.

    An edge between two points was followed, so that all points of its cells and of the cells
    next to them are evaluated: what is interpolated lies between points on one side of it.
    """
    with np.errstate(divide="ignore"):
        field: FloatArray = np.clip(np.log(ratio), -_LARGEST_LOG, _LARGEST_LOG)
    while step > 1:
        step //= 2
        grid, known = field[::step, ::step], seen[::step, ::step]
        for values, is_known in ((grid[:, ::2], known[:, ::2]), (grid.T, known.T)):
            middles = 0.5 * (values[:-1:2] + values[2::2])
            values[1::2] = np.where(is_known[1::2], values[1::2], middles)
    return field


def _rings(field: FloatArray, low: float, high: float) -> list[FloatArray]:
    """Rings around the parts of a field between two values, in steps of its grid.

    Cells with a corner that is masked are left out.
    """
    generator = contourpy.contour_generator(z=field, corner_mask=False, fill_type="OuterOffset")
    rings = []
    for points, offsets in zip(*generator.filled(low, high), strict=True):
        nearest = np.round(points)
        points = np.where(np.abs(points - nearest) < _ON_THE_GRID, nearest, points)
        for ring in np.split(points, offsets[1:-1]):
            moves = np.any(np.diff(ring, axis=0) != 0, axis=1)
            rings.append(ring[np.r_[True, moves]])
    return [ring for ring in rings if len(ring) > 3]


def _is_end(ring: FloatArray, known: BoolArray) -> BoolArray:
    """For each piece of a ring, whether it lies between a known cell and none, or an unknown one.

    Such a piece is on a line of the grid.
    """
    known = np.pad(known, 1)
    one, other = ring[:-1], ring[1:]
    column, row = np.floor(0.5 * (one + other)).astype(int).T + 1
    on_line = (one == other) & (one == np.round(one))
    beside = ~(known[row, column] & known[row, column - 1])
    below = ~(known[row, column] & known[row - 1, column])
    is_end: BoolArray = (on_line[:, 0] & beside) | (on_line[:, 1] & below)
    return is_end


def _split(ring: FloatArray, is_end: BoolArray) -> Iterator[tuple[FloatArray, bool]]:
    """The runs of pieces of a ring that are all ends, or none of them."""
    changes = np.flatnonzero(is_end != np.roll(is_end, 1))
    if not len(changes):
        yield ring, bool(is_end[0])
        return
    turned = np.roll(ring[:-1], -changes[0], axis=0)
    turned = np.concatenate([turned, turned[:1]])
    for first, last in pairwise([*(changes - changes[0]), len(turned) - 1]):
        yield turned[first : last + 1], bool(is_end[(first + changes[0]) % len(is_end)])


def _around(cells: BoolArray) -> list[FloatArray]:
    """Rings around cells, in steps of their grid."""
    left_out = np.zeros((2 * cells.shape[0] + 1, 2 * cells.shape[1] + 1), np.bool_)
    left_out[1::2, 1::2] = ~cells  # the middle of a cell is a corner of all its quarters
    quarters = np.ma.array(np.zeros(left_out.shape), mask=left_out)
    return [0.5 * ring for ring in _rings(quarters, -1.0, 1.0)]
