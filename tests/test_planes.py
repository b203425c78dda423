from __future__ import annotations

import io
import json
import math
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Rectangle

from zfit_dark import plot
from zfit_dark.errors import InputError
from zfit_dark.planes import refined
from zfit_dark.results import Plane, Region

Array = npt.NDArray[np.float64]
SIDE = 257
"""Points a side of the finest grid by default, (17 - 1) 2^4 + 1."""


class Counted:
    """A ratio that keeps the points at which it was asked for."""

    def __init__(self, ratio: Callable[[Array, Array], npt.ArrayLike]) -> None:
        self.ratio = ratio
        self.calls: list[Array] = []

    def __call__(self, x: Array, y: Array) -> npt.ArrayLike:
        self.calls.append(np.column_stack([x, y]))
        return self.ratio(x, y)

    @property
    def points(self) -> Array:
        return np.concatenate(self.calls)


def ellipse(x: Array, y: Array) -> Array:
    """Excluded inside the ellipse with the half axes 1.3 and 0.6."""
    return np.exp(1.0 - (x / 1.3) ** 2 - (y / 0.6) ** 2)


def inside(rings: Sequence[Array], points: Array) -> npt.NDArray[np.bool_]:
    """Whether points are inside rings: how often they turn around a point, from the angles."""
    turns = np.zeros(len(points))
    for ring in rings:
        away = (ring[:, 0] + 1j * ring[:, 1]) - (points[:, :1] + 1j * points[:, 1:])
        turns += np.angle(away[:, 1:] / away[:, :-1]).sum(axis=1) / (2 * math.pi)
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-6)
    assert set(np.round(turns)) <= {0.0, 1.0}
    return turns > 0.5


def area(rings: Sequence[Array]) -> float:
    """Gauss's area formula; holes, which run the other way round, count negative."""
    return sum(float(0.5 * np.sum(r[:-1, 0] * r[1:, 1] - r[1:, 0] * r[:-1, 1])) for r in rings)


def length(lines: Sequence[Array]) -> float:
    return sum(float(np.sum(np.hypot(*np.diff(line, axis=0).T))) for line in lines)


def farthest(points: Array, from_: Array) -> float:
    """The largest distance of points to the nearest one of others."""
    return max(float(np.min(np.hypot(*(from_ - point).T))) for point in points)


# -- the grid -------------------------------------------------------------------------------


def test_ellipse() -> None:
    """The edge runs everywhere along the analytic one, and costs a small part of the grid."""
    ratio = Counted(ellipse)
    region = refined(ratio, (-2, 2), (-1, 2))
    (edge,) = region.boundary
    np.testing.assert_array_equal(edge[0], edge[-1])
    # exact but for the curvature of ln(ratio) within a cell of 4/256: its second derivative is at
    # most 2/0.6^2 and its gradient at least 2/1.3, so h^2/8 of their ratio
    level = (edge[:, 0] / 1.3) ** 2 + (edge[:, 1] / 0.6) ** 2
    np.testing.assert_allclose(level, 1.0, atol=2 * (4 / 256) ** 2 / 8 * 2 / 0.6**2)
    t = np.linspace(0, 2 * math.pi, 1000)
    assert farthest(np.column_stack([1.3 * np.cos(t), 0.6 * np.sin(t)]), edge) < 4 / 256
    assert area(region.excluded) == pytest.approx(math.pi * 1.3 * 0.6, rel=1e-3)
    assert (region.ends, region.unknown) == ((), ())
    assert len(region.ratio) < 0.09 * SIDE**2
    assert len(ratio.calls) == 5  # one a size of cell: a smooth edge needs no following


def test_what_was_evaluated_is_told_and_nothing_is_evaluated_twice() -> None:
    ratio = Counted(ellipse)
    region = refined(ratio, (-2, 2), (-1, 2), start=9, depth=3)
    told = np.column_stack([region.x, region.y])
    assert len(np.unique(ratio.points, axis=0)) == len(ratio.points) == len(told)
    np.testing.assert_array_equal(
        told[np.lexsort(told.T)], ratio.points[np.lexsort(ratio.points.T)]
    )
    np.testing.assert_array_equal(region.ratio, ellipse(region.x, region.y))
    assert {len(call) for call in ratio.calls[:1]} == {81}
    for values, (low, high) in ((told[:, 0], (-2, 2)), (told[:, 1], (-1, 2))):
        steps = (values - low) / (high - low) * 64
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-12)


def test_thin_band_in_logarithms() -> None:
    """A band with a third of the width of the first cells, which cuts through the plane."""
    half, slope = 0.04, 0.8  # in decades; the first cells are 0.125 x 0.25

    def band(x: Array, y: Array) -> Array:
        distance = np.log10(y) + 4 - slope * np.log10(x)
        return np.exp(100 * (half**2 - distance**2))

    region = refined(band, (0.1, 10), (1e-6, 1e-2), log_x=True, log_y=True)
    assert len(region.boundary) == 2
    for edge in region.boundary:
        above = np.log10(edge[:, 1]) + 4 - slope * np.log10(edge[:, 0])
        np.testing.assert_allclose(np.abs(above), half, atol=0.1 * 4 / 256)
        assert sorted(edge[[0, -1], 0]) == pytest.approx([0.1, 10])
    assert sorted(end[0, 0] for end in region.ends) == pytest.approx([0.1, 10])
    for end in region.ends:
        reach = np.ptp(np.log10(end[:, 1]))
        assert reach == pytest.approx(2 * half, abs=0.1 * 4 / 256)
    assert area([np.log10(ring) for ring in region.excluded]) == pytest.approx(4 * half, rel=0.02)
    assert len(region.ratio) < 0.09 * SIDE**2


def test_two_islands() -> None:
    def islands(x: Array, y: Array) -> Array:
        one = 0.5 / np.hypot(x - 1, y - 1)
        return np.maximum(one, 0.3 / np.hypot(x + 1, y + 1) ** 2)

    region = refined(islands, (-2, 2), (-2, 2), start=18)
    assert len(region.boundary) == len(region.excluded) == 2
    for x, radius in ((1.0, 0.5), (-1.0, math.sqrt(0.3))):
        (edge,) = [line for line in region.boundary if abs(line[:, 0].mean() - x) < 0.5]
        np.testing.assert_allclose(np.hypot(edge[:, 0] - x, edge[:, 1] - x), radius, atol=1e-3)
    assert region.ends == ()


def test_hole_in_a_region() -> None:
    """Its ring runs the other way round, and both rings are boundaries."""
    region = refined(lambda x, y: np.exp(0.16 - (np.hypot(x, y) - 1) ** 2), (-2, 2), (-2, 2))
    outer, hole = sorted(region.excluded, key=lambda ring: -abs(area([ring])))
    assert area([outer]) == pytest.approx(math.pi * 1.4**2, rel=1e-3)
    assert area([hole]) == pytest.approx(-math.pi * 0.6**2, rel=1e-3)
    assert len(region.boundary) == 2


@pytest.mark.parametrize("start", range(40, 70))
def test_edge_of_the_plane_is_an_end_on_any_grid(start: int) -> None:
    """Stripes that are cut off on all sides; some points are on the edge but for rounding."""

    def ratio(x: Array, y: Array) -> Array:
        return np.exp(np.sin(9 * x + 7 * y))

    region = refined(ratio, (0, 3), (0, 3), start=start, depth=0)
    side = np.linspace(0, 3, start)
    fine = np.linspace(0, 3, 20001)
    excluded = 0.0
    for x, y in ((side, 0 * side), (side, 0 * side + 3), (0 * side, side), (0 * side + 3, side)):
        excluded += 3 * np.mean(np.interp(fine, side, np.log(ratio(x, y))) > 0)
    assert length(region.ends) == pytest.approx(excluded, abs=0.01)
    assert length(region.boundary) + length(region.ends) == pytest.approx(length(region.excluded))


def test_edge_that_runs_exactly_through_points() -> None:
    """A ratio of 1 at points of the grid: once all along a line, once here and there."""
    strip = refined(lambda x, y: 2 - np.abs(x), (-2, 2), (-2, 2))
    assert len(strip.boundary) == len(strip.ends) == 2
    for edge in strip.boundary:
        np.testing.assert_array_equal(np.abs(edge[:, 0]), 1.0)
        assert length([edge]) == 4.0
    assert length(strip.ends) == 4.0
    disc = refined(lambda x, y: 2 - x**2 - y**2 + np.maximum(x**2 + y**2 - 2, 0), (-2, 2), (-2, 2))
    (edge,) = disc.boundary
    assert np.any(np.all(edge == (1.0, 0.0), axis=1))
    assert length([edge]) == pytest.approx(2 * math.pi, rel=1e-3)
    assert disc.ends == ()


def test_what_is_not_known_is_no_boundary() -> None:
    """A disc that is cut off at x = 0.3, which lies between two points of the grid."""
    cell = 4 / 256

    def disc(x: Array, y: Array) -> Array:
        return np.where(x > 0.3, np.nan, np.exp(1 - x**2 - y**2))

    region = refined(disc, (-2, 2), (-2, 2))
    (edge,), (end,) = region.boundary, region.ends
    np.testing.assert_allclose(np.hypot(*edge.T), 1.0, atol=1e-3)
    known = 0.3 - 0.3 % cell  # the last points that are known
    assert edge[[0, -1], 0] == pytest.approx([known, known])
    assert edge[:, 0].max() == pytest.approx(known)
    np.testing.assert_allclose(end[:, 0], known, atol=1e-12)
    half = math.sqrt(1 - known**2)
    assert sorted(end[[0, -1], 1]) == pytest.approx([-half, half], abs=1e-3)
    assert area(region.unknown) == pytest.approx(4 * (2 - known), rel=1e-12)
    assert len(region.ratio) < 0.11 * SIDE**2


def test_what_is_not_known_may_be_an_island() -> None:
    region = refined(lambda x, y: np.where(np.hypot(x, y) < 0.7, np.nan, 2.0), (-1, 1), (-1, 1))
    assert region.boundary == ()
    assert len(region.ends) == len(region.excluded) == 2
    (ring,) = region.unknown
    cell = 2 / 256
    radius = np.hypot(*ring.T)
    assert 0.7 <= radius.min() <= radius.max() < 0.7 + math.sqrt(2) * cell
    assert area(region.unknown) == pytest.approx(4 - area(region.excluded), rel=1e-12)


def test_a_ratio_may_be_zero() -> None:
    """A prediction that drops from above the limit to nothing: known to a cell."""
    region = refined(lambda x, y: np.where(np.hypot(x, y) < 1, 1.5, 0.0), (-2, 2), (-2, 2))
    (edge,) = region.boundary
    np.testing.assert_allclose(np.hypot(*edge.T), 1.0, atol=math.sqrt(2) * 4 / 256)


@pytest.mark.parametrize(
    ("value", "rings", "ends", "unknown"),
    [(2.0, 1, 1, 0), (1.0, 0, 0, 0), (0.0, 0, 0, 0), (math.nan, 0, 0, 1)],
)
def test_a_plane_without_edges_costs_the_first_grid(
    value: float, rings: int, ends: int, unknown: int
) -> None:
    """A ratio of exactly 1 is allowed; the edge of the plane is an end."""
    region = refined(lambda x, y: np.full(len(x), value), (0, 3), (0, 2))
    assert len(region.ratio) == 17**2
    assert region.boundary == ()
    assert (len(region.excluded), len(region.ends), len(region.unknown)) == (rings, ends, unknown)
    for lines in (region.excluded, region.ends, region.unknown):
        assert not lines or length(lines) == pytest.approx(10)


def disc_with_finger(x: Array, y: Array) -> Array:
    """A disc at (-1, 0) and a finger from it to x = 1.5 with half the width of a first cell."""
    disc = 0.5 / (np.hypot(x + 1, y) + 1e-9)
    finger = np.where((x > -1) & (x < 1.5), 0.06 / (np.abs(y - 0.125) + 1e-9), 0.0)
    return np.maximum(disc, finger)


def test_a_thin_finger_is_followed() -> None:
    """No point of the first grid is on it, except those in the disc."""
    region = refined(disc_with_finger, (-2, 2), (-2, 2))
    first = np.linspace(-2, 2, 17)
    grid = np.array([(x, y) for x in first for y in first if math.hypot(x + 1, y) > 0.6])
    assert not np.any(disc_with_finger(*grid.T) > 1)
    (edge,) = region.boundary
    assert edge[:, 0].max() == pytest.approx(1.5, abs=4 / 256)
    along = edge[(edge[:, 0] > -0.3) & (edge[:, 0] < 1.4)]
    np.testing.assert_allclose(np.abs(along[:, 1] - 0.125), 0.06, atol=4 / 256)


def test_what_no_point_of_the_first_grid_sees_is_missed() -> None:
    """As documented: a finger that hangs together with nothing; a finer first grid finds it."""

    def finger(x: Array, y: Array) -> Array:
        return np.where(x > 0, disc_with_finger(x, y), 0.0)

    assert refined(finger, (-2, 2), (-2, 2)).excluded == ()
    found = refined(finger, (-2, 2), (-2, 2), start=65, depth=2)
    assert area(found.excluded) == pytest.approx(1.5 * 0.12, rel=0.1)


@settings(max_examples=25, deadline=None)
@given(
    centre=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
    axes=st.tuples(st.floats(0.3, 1.2), st.floats(0.3, 1.2)),
    angle=st.floats(0, math.pi),
)
def test_any_ellipse(centre: tuple[float, float], axes: tuple[float, float], angle: float) -> None:
    """Its area, and every point of its edge."""

    def level(x: Array, y: Array) -> Array:
        along = (x - centre[0]) * math.cos(angle) + (y - centre[1]) * math.sin(angle)
        across = (y - centre[1]) * math.cos(angle) - (x - centre[0]) * math.sin(angle)
        return (along / axes[0]) ** 2 + (across / axes[1]) ** 2

    region = refined(lambda x, y: np.exp(1 - level(x, y)), (-2, 2), (-2, 2))
    (edge,) = region.boundary
    np.testing.assert_allclose(level(*edge.T), 1.0, atol=2 / min(axes) ** 2 * (4 / 256) ** 2 / 4)
    assert area(region.excluded) == pytest.approx(math.pi * axes[0] * axes[1], rel=3e-3)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    blocks=st.integers(2, 40),
    odds=st.tuples(*[st.floats(0.02, 1.0)] * 3),
)
def test_the_region_agrees_with_every_point_that_was_evaluated(
    seed: int, blocks: int, odds: tuple[float, float, float]
) -> None:
    """Blocks of random ratios, some of them not known, on a grid that knows nothing of them."""
    weights = np.array(odds) / sum(odds)
    rng = np.random.default_rng(seed)
    values = rng.choice([np.nan, 0.3, 4.0], size=(blocks, blocks), p=weights)

    def ratio(x: Array, y: Array) -> Array:
        column, row = ((np.array([x, y]) * 0.9999 + 0.00003) * blocks).astype(int)
        return values[row, column]

    region = refined(ratio, (0, 1), (0, 1), start=5, depth=3)
    side = np.arange(33) / 32
    grid = ratio(*np.meshgrid(side, side))
    points = np.column_stack([region.x, region.y])
    np.testing.assert_array_equal(region.ratio, ratio(*points.T))
    column, row = np.round(32 * points).astype(int).T
    inner = (column % 32 > 0) & (row % 32 > 0)
    column, row, at = column[inner], row[inner], region.ratio[inner]
    # the points next to one, diagonally too: where one is not known, so are the cells between them
    around = np.array([grid[row + i, column + k] for i in (-1, 0, 1) for k in (-1, 0, 1)])
    whole, lost = ~np.isnan(around).any(axis=0), np.isnan(at)
    seen = np.zeros_like(grid, bool)
    seen[np.round(32 * region.y).astype(int), np.round(32 * region.x).astype(int)] = True
    seen_around = np.array([seen[row + i, column + k] for i in (-1, 0, 1) for k in (-1, 0, 1)])
    whole &= seen_around.all(axis=0)
    places = points[inner]
    np.testing.assert_array_equal(inside(region.excluded, places[whole]), at[whole] > 1)
    assert inside(region.unknown, places[lost]).all()
    assert not inside(region.unknown, places[whole]).any()
    assert length(region.boundary) + length(region.ends) == pytest.approx(length(region.excluded))
    # every cell that a boundary crosses has all its corners evaluated
    for line in region.boundary:
        middles = 0.5 * (line[1:] + line[:-1])
        column, row = np.minimum(np.floor(32 * middles).astype(int), 31).T
        for i, k in ((0, 0), (0, 1), (1, 0), (1, 1)):
            assert seen[row + i, column + k].all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_range": (1.0, 1.0)}, r"x_range is \(1, 1\): give \(low, high\) with low < high"),
        ({"y_range": (0.0, math.inf)}, "y_range is"),
        ({"y_range": (math.nan, 1.0)}, "y_range is"),
        ({"log_x": True, "x_range": (0.0, 1.0)}, "x_range is .* with 0 < low < high"),
        ({"start": 1}, "start = 1 and depth = 4 make no grid"),
        ({"depth": -1}, "start = 17 and depth = -1 make no grid"),
        ({"depth": 8}, r"\(start - 1\) 2\^depth at most 2048"),
        ({"excess": lambda x, y: 1.0}, r"excess gives the shape \(\) for 289 points"),
        ({"excess": lambda x, y: x - 0.5}, "excess is -0.5 at x = 0, y = 0; it must not be neg"),
        ({"excess": lambda x, y: np.where(y > 0.9, np.inf, y)}, "excess is inf at x = 0, y = 0.93"),
    ],
)
def test_refined_refuses(changes: dict[str, Any], message: str) -> None:
    given_: dict[str, Any] = {"excess": ellipse, "x_range": (0.0, 1.0), "y_range": (0.0, 1.0)}
    with pytest.raises(InputError, match=message) as caught:
        refined(**(given_ | changes))
    assert "\n" not in str(caught.value)


# -- the result -----------------------------------------------------------------------------

SQUARE = np.array([(1, 2), (3, 2), (3, 5), (1, 5), (1, 2)], float)


def make_region(**changes: Any) -> Region:
    """A rectangle that ends at x = 1, the edge of the plane from (1, 1) to (4, 10)."""
    values: dict[str, Any] = {
        "x": (1.0, 4.0, 2.0, 2.5),
        "y": (1.0, 10.0, 3.0, 9.0),
        "ratio": (0.5, 0.0, 2.0, math.nan),
        "excluded": (SQUARE,),
        "boundary": (SQUARE[:4],),
        "ends": (SQUARE[3:],),
        "unknown": ([(2, 8), (3, 8), (3, 10), (2, 8)],),
    }
    return Region(**(values | changes))


def make(**changes: Any) -> Plane:
    values: dict[str, Any] = {
        "observed": make_region(),
        "expected": make_region(boundary=(SQUARE[1:4],), excluded=(0.9 * SQUARE,), ends=()),
        "x": "m_chi1",
        "x_label": r"$m_{\chi_1}$",
        "x_unit": "GeV",
        "log_x": True,
        "y": "y",
        "y_label": r"$\epsilon\,\sqrt{\alpha_D}$",
        "log_y": True,
        "held": (r"$m_{A'} = 3\,m_{\chi_1}$", r"$\alpha_D = 0.1$"),
        "model": "inelastic dark matter",
        "assumptions": ("efficiency of 8 %", "nothing else"),
        "level": 0.95,
        "pseudo_data": True,
        "flagged": [(2.0, 3.0)],
        "provenance": {"search": "idm"},
    }
    return Plane(**(values | changes))


def make_blind(**changes: Any) -> Plane:
    return make(observed=None, blind=True, **changes)


def assert_same_region(one: Region | None, other: Region | None) -> None:
    assert (one is None) == (other is None)
    if one is None or other is None:
        return
    for name in ("x", "y", "ratio"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)
    for name in ("excluded", "boundary", "ends", "unknown"):
        pairs = zip(getattr(one, name), getattr(other, name), strict=True)
        for line, same in pairs:
            np.testing.assert_array_equal(line, same, strict=True)


def assert_same(one: Plane, other: Plane) -> None:
    assert_same_region(one.observed, other.observed)
    assert_same_region(one.expected, other.expected)
    np.testing.assert_array_equal(one.flagged, other.flagged, strict=True)
    names = ("x", "x_label", "x_unit", "log_x", "y", "y_label", "y_unit", "log_y", "held")
    names += ("model", "assumptions", "level", "blind", "pseudo_data", "provenance")
    for name in names:
        assert getattr(one, name) == getattr(other, name), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": (1.0, 2.0)}, "Region has 2 x, 4 y and 4 ratios; give one of each"),
        ({"y": (1.0, 2.0, 3.0, math.nan)}, r"Region\.x and Region\.y must be finite"),
        ({"ratio": (1.0, 2.0, 3.0, -1.0)}, r"Region\.ratio must not be negative or infinite"),
        ({"ratio": (1.0, 2.0, 3.0, math.inf)}, r"Region\.ratio must not be negative or inf"),
        ({"ends": ([1.0, 2.0],)}, r"Region\.ends has the shape \(2,\); it must be \(any, 2\)"),
        ({"ends": ([(1.0, 2.0)],)}, r"Region\.ends must be lines of two or more points"),
        ({"boundary": ([(1.0, 2.0), (1.0, math.nan)],)}, r"Region\.boundary must be lines of two"),
    ],
)
def test_region_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_region(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": "m_chi1"}, "the parameters are named m_chi1 and m_chi1; give two names"),
        ({"y": "ratio"}, "named m_chi1 and ratio; give two names, and none of which, ratio"),
        ({"log_x": "no"}, r"Plane\.log_x is 'no'; give True or False"),
        ({"held": "one text"}, r"Plane\.held must be a sequence of texts"),
        ({"assumptions": (1,)}, r"Plane\.assumptions must be a sequence of texts"),
        ({"level": 95}, "confidence level is 95"),
        ({"blind": True}, r"Plane\.observed must be None in a blind result, and only there"),
        ({"observed": None}, r"Plane\.observed must be None .* blind is False"),
        ({"flagged": [1.0, 2.0, 3.0]}, r"Plane\.flagged has the shape \(3,\); it must be"),
        ({"expected": make_region(y=(0, 1, 2, 3))}, r"log_y is True, but not all y are positive"),
        ({"provenance": {"x": object()}}, r"Plane\.provenance must hold plain JSON"),
    ],
)
def test_plane_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make(**changes)
    assert "\n" not in str(caught.value)


def test_arrays_are_read_only_copies() -> None:
    plane = make()
    assert plane.observed is not None
    for array in (plane.flagged, plane.observed.ratio, *plane.observed.excluded):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


numbers = st.floats(1e-9, 1e9)
lines = st.lists(
    st.lists(st.tuples(numbers, numbers), min_size=2, max_size=4).map(np.array), max_size=2
)
texts = st.text(st.characters(codec="utf-8"), max_size=12)


@st.composite
def regions(draw: st.DrawFn) -> Region:
    points = draw(
        st.lists(st.tuples(numbers, numbers, st.floats(0, 1e300) | st.just(math.nan)), max_size=5)
    )
    x, y, ratio = np.array(points, float).reshape(-1, 3).T
    edges = {name: tuple(draw(lines)) for name in ("excluded", "boundary", "ends", "unknown")}
    return Region(x=x, y=y, ratio=ratio, **edges)


@st.composite
def planes_(draw: st.DrawFn) -> Plane:
    blind = draw(st.booleans())
    names = draw(st.lists(texts, min_size=2, max_size=2, unique=True))
    return Plane(
        observed=None if blind else draw(regions()),
        expected=draw(regions()),
        x="x" + names[0],
        x_label=draw(texts),
        x_unit=draw(texts),
        log_x=draw(st.booleans()),
        y="x" + names[1],
        y_label=draw(texts),
        y_unit=draw(texts),
        log_y=draw(st.booleans()),
        held=tuple(draw(st.lists(texts, max_size=2))),
        model=draw(texts),
        assumptions=tuple(draw(st.lists(texts, max_size=2))),
        level=draw(st.floats(0.01, 0.99)),
        blind=blind,
        pseudo_data=draw(st.booleans()),
        flagged=np.array(draw(st.lists(st.tuples(numbers, numbers), max_size=2))).reshape(-1, 2),
        provenance=draw(st.dictionaries(texts, st.one_of(st.integers(), texts))),
    )


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(plane=planes_())
def test_json_round_trip_is_exact(plane: Plane, tmp_path: Path) -> None:
    path = tmp_path / "plane.json"
    plane.to_json(path)
    assert_same(Plane.from_json(path), plane)
    json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)


def test_survives_pickling() -> None:
    assert_same(pickle.loads(pickle.dumps(make())), make())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "zfit_dark plane 2"}, "format 2 by a newer zfit_dark"),
        ({"format": "zfit_dark scan 3"}, "not a zfit_dark plane file"),
        ({"level": "high"}, "level is 'high'"),
        ({"log_x": 1}, r"damaged plane file \(Plane.log_x is 1; give True or False"),
        ({"expected": {"x": []}}, "damaged plane file, 'y' is missing"),
        ({"expected": None}, "damaged plane file"),
        ({"observed": None}, r"damaged plane file \(Plane.observed must be None"),
        ({"flagged": [["a", 1]]}, "damaged plane file"),
    ],
)
def test_from_json_refuses_a_damaged_file(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "plane.json"
    make().to_json(path)
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        Plane.from_json(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("method", ["to_json", "to_csv"])
def test_writing_into_a_missing_folder(tmp_path: Path, method: str) -> None:
    with pytest.raises(InputError, match=r"missing/x: cannot be written \(No such file"):
        getattr(make(), method)(tmp_path / "missing" / "x")


def test_tables() -> None:
    table = make().to_pandas()
    assert list(table.columns) == ["which", "m_chi1", "y", "ratio"]
    assert table["which"].tolist() == ["observed"] * 4 + ["expected"] * 4
    assert table["m_chi1"].tolist()[:4] == [1.0, 4.0, 2.0, 2.5]
    assert table["ratio"].isna().sum() == 2
    assert set(make_blind().to_pandas()["which"]) == {"expected"}
    edges = make(observed=make_region(boundary=(SQUARE[:2], SQUARE[2:4]))).contours_to_pandas()
    assert list(edges.columns) == ["which", "kind", "line", "m_chi1", "y"]
    observed = edges[(edges["which"] == "observed") & (edges["kind"] == "boundary")]
    assert observed["line"].tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(observed[["m_chi1", "y"]], SQUARE[:4])
    assert (edges["kind"] == "ends").sum() == 2
    nothing = make_region(excluded=(), boundary=(), ends=())
    assert len(make_blind(expected=nothing).contours_to_pandas()) == 0


def test_csv_says_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "plane.csv"
    make().to_csv(path)
    written = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in written if line.startswith("#")] == [
        "# zfit_dark plane of m_chi1 and y",
        r"# label of m_chi1: $m_{\chi_1}$",
        "# unit of m_chi1: GeV",
        r"# label of y: $\epsilon\,\sqrt{\alpha_D}$",
        "# unit of y: none",
        r"# held fixed: $m_{A'} = 3\,m_{\chi_1}$",
        r"# held fixed: $\alpha_D = 0.1$",
        "# model: inelastic dark matter",
        "# assumption: efficiency of 8 %",
        "# assumption: nothing else",
        "# level: 0.95",
        "# points with limits that are not valid: 1",
        "# pseudo-data: yes",
        "# blind: no",
    ]
    read = pd.read_csv(path, comment="#")
    np.testing.assert_array_equal(read["ratio"], make().to_pandas()["ratio"])


def test_summary() -> None:
    nothing = make_region(excluded=(), boundary=(), ends=())
    assert make(expected=nothing).summary().splitlines() == [
        "y against m_chi1 (95 % CL, pseudo-data)",
        "model: inelastic dark matter",
        r"held fixed: $m_{A'} = 3\,m_{\chi_1}$, $\alpha_D = 0.1$",
        "observed: excluded within m_chi1 1 to 3 GeV and y 2 to 5, and may go on where the scan"
        " ends; 4 points, 1 of them not known",
        "expected: nothing is excluded; 4 points, 1 of them not known",
        "flagged: 1 (limits not valid)",
    ]
    blind = make_blind(pseudo_data=False, held=()).summary().splitlines()
    assert blind[0] == "y against m_chi1 (95 % CL, data, blind)"
    assert blind[2] == "held fixed: nothing"
    assert blind[3].startswith("expected: excluded within m_chi1 0.9 to 2.7 GeV and y 1.8 to 4.5;")


# -- the plot -------------------------------------------------------------------------------


def line(ax: Axes, label: str) -> Line2D:
    (found,) = [candidate for candidate in ax.lines if candidate.get_label() == label]
    return found


def points_of(artist: Line2D) -> Array:
    return np.column_stack([np.asarray(values, float) for values in artist.get_data()])


def words(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.figure.findobj(mpl.text.Text)]


def patch(ax: Axes, label: str) -> PathPatch:
    (found,) = [p for p in ax.patches if p.get_label() == label and isinstance(p, PathPatch)]
    return found


AT = r"95 % CL (CL$_\mathrm{s}$)"
END = "End of what was scanned, no limit"
UNKNOWN = "Prediction or limit not known"


def test_the_numbers_drawn_are_those_of_the_plane() -> None:
    plane = make()
    ax = plot.plane(plane)
    np.testing.assert_array_equal(patch(ax, f"Excluded at {AT}").get_path().vertices, SQUARE)
    edge = line(ax, "_edge")
    np.testing.assert_array_equal(points_of(edge), SQUARE[:4])
    assert edge.get_linestyle() == "-"
    expected = line(ax, "Expected, median")
    np.testing.assert_array_equal(points_of(expected), SQUARE[1:4])
    assert expected.get_linestyle() == "--"
    end = line(ax, END)
    np.testing.assert_array_equal(points_of(end), SQUARE[3:])
    assert end.get_linestyle() == ":"
    unknown = patch(ax, UNKNOWN)
    np.testing.assert_array_equal(unknown.get_path().vertices, plane.expected.unknown[0])
    assert unknown.get_hatch()
    crosses = line(ax, "Limits not valid (1)")
    np.testing.assert_array_equal(points_of(crosses), [(2.0, 3.0)])
    (frame,) = [p for p in ax.patches if isinstance(p, Rectangle)]
    assert frame.get_bbox().extents.tolist() == [1, 1, 4, 10]


def test_lines_and_rings_are_kept_apart() -> None:
    other = SQUARE + 0.5
    region = make_region(boundary=(SQUARE[:4], other), excluded=(SQUARE, other[::-1]), ends=())
    ax = plot.plane(make(observed=region))
    drawn = points_of(line(ax, "_edge"))
    assert np.isnan(drawn[4]).all()
    np.testing.assert_array_equal(drawn[:4], SQUARE[:4])
    np.testing.assert_array_equal(drawn[5:], other)
    path = patch(ax, f"Excluded at {AT}").get_path()
    assert path.codes is not None
    assert (path.codes == path.MOVETO).sum() == 2
    assert END not in words(ax)


@pytest.mark.parametrize("pseudo_data", [True, False])
def test_the_plot_says_what_it_is(pseudo_data: bool) -> None:
    plane = make(pseudo_data=pseudo_data)
    ax = plot.plane(plane)
    assert ("Pseudo-data" in words(ax)) is pseudo_data
    assert "\n".join(plane.held) in words(ax)
    assert {f"Excluded at {AT}", "Expected, median", END, UNKNOWN} <= set(words(ax))
    assert ax.get_title(loc="left") == "inelastic dark matter"
    assert (ax.get_xlabel(), ax.get_ylabel()) == (
        r"$m_{\chi_1}$ [GeV]",
        r"$\epsilon\,\sqrt{\alpha_D}$",
    )
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_linear_axes() -> None:
    ax = plot.plane(make(log_x=False, log_y=False))
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "linear")


def test_few_decades_have_enough_numbers() -> None:
    ax = plot.plane(make())
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    assert {"1", "2"} <= {text.get_text() for text in ax.get_xticklabels()}


@pytest.mark.parametrize("is_log", [True, False])
def test_all_of_the_plane_is_below_legend_and_texts(is_log: bool) -> None:
    plane = make(log_x=is_log, log_y=is_log, held=("something held fixed",) * 6)
    ax = plot.plane(plane)
    legend = ax.get_legend()
    assert legend is not None
    boxes = [legend.get_window_extent(), *(text.get_window_extent() for text in ax.texts)]
    top = ax.transData.transform((1.0, 10.0))[1]
    assert max(box.y1 for box in boxes) <= ax.get_window_extent().y1
    assert min(box.y0 for box in boxes) > top
    assert len(ax.texts) == 2
    for text in ax.texts:
        assert not text.get_window_extent().overlaps(legend.get_window_extent())
    assert not ax.texts[0].get_window_extent().overlaps(ax.texts[1].get_window_extent())
    low, high = ax.get_xlim()
    assert 0.9 < low < 1.0
    assert 4.0 < high < 4.1


def test_long_texts_fit_the_axes() -> None:
    long = "described at length by somebody " * 5
    plane = make(model=long, held=(long,), x_label=long, y_label=long)
    ax = plot.plane(plane)
    frame = ax.get_window_extent()
    for text in ax.figure.findobj(mpl.text.Text):
        if "described" in text.get_text():
            box = text.get_window_extent()
            assert box.width <= 1.01 * frame.width
            assert box.height <= 1.01 * frame.height
    legend = ax.get_legend()
    assert legend is not None
    assert not ax.texts[1].get_window_extent().overlaps(legend.get_window_extent())


def test_a_blind_plane_shows_expected_only() -> None:
    region = make_region(ratio=(0.5, 0.0, 3.0, math.nan))
    ax = plot.plane(make_blind(expected=region))
    assert "_edge" not in [artist.get_label() for artist in ax.lines]
    filled = patch(ax, f"Expected to be excluded at {AT}")
    np.testing.assert_array_equal(filled.get_path().vertices, SQUARE)
    np.testing.assert_array_equal(points_of(line(ax, "Expected, median")), SQUARE[:4])
    assert any("Blind" in text for text in words(ax))
    observed = patch(plot.plane(make()), f"Excluded at {AT}")
    assert filled.get_facecolor() != observed.get_facecolor()


def test_others_are_drawn_by_their_outlines_with_what_sets_them_apart() -> None:
    moved = make_region(boundary=(1.1 * SQUARE[:4],), ends=(1.1 * SQUARE[3:],))
    held = (make().held[0], r"$\alpha_D = 0.5$")
    ax = plot.plane(
        make(),
        others=[("BaBar", make(observed=moved)), ("LHCb", make(level=0.9, held=held))],
    )
    np.testing.assert_array_equal(points_of(line(ax, "BaBar")), 1.1 * SQUARE[:4])
    np.testing.assert_array_equal(points_of(line(ax, "_ends of BaBar")), 1.1 * SQUARE[3:])
    other = line(ax, r"LHCb, $\alpha_D = 0.5$ (90 % CL)")
    assert other.get_color() != line(ax, "BaBar").get_color()
    assert "BaBar" in words(ax)


def test_what_cannot_be_drawn_is_refused() -> None:
    nothing = make_region(excluded=(), boundary=(), ends=())
    empty = make(observed=nothing, expected=nothing)
    with pytest.raises(InputError, match="nothing is excluded in y against m_chi1; there is no"):
        plot.plane(empty)
    with pytest.raises(InputError, match="BaBar: its plane is y against m_A, not y against m_chi1"):
        plot.plane(make(), others=[("BaBar", make(x="m_A"))])
    with pytest.raises(InputError, match="in the same units"):
        plot.plane(make(), others=[("BaBar", make(x_unit="MeV"))])
    ax = plot.plane(empty, others=[("BaBar", make())])
    assert "_edge" in [artist.get_label() for artist in ax.lines]


def test_nothing_global_changes() -> None:
    before = dict(mpl.rcParams)
    ax = Figure().add_subplot()
    assert plot.plane(make(), ax) is ax
    assert dict(mpl.rcParams) == before
    ax.figure.savefig(io.BytesIO(), format="png", dpi=30)  # type: ignore[union-attr]


def test_from_the_grid_to_the_file_and_the_plot(tmp_path: Path) -> None:
    """Both edges of a refined region are on the plot, as they were after a round trip."""
    observed = refined(ellipse, (0.1, 2), (0.05, 2), log_x=True, log_y=True)
    expected = refined(lambda x, y: 0.9 * ellipse(x, y), (0.1, 2), (0.05, 2), log_y=True)
    path = tmp_path / "plane.json"
    make(observed=observed, expected=expected, flagged=np.empty((0, 2))).to_json(path)
    ax = plot.plane(Plane.from_json(path))
    drawn = points_of(line(ax, "_edge"))
    np.testing.assert_array_equal(drawn, observed.boundary[0])
    np.testing.assert_allclose(ellipse(*drawn.T), 1.0, atol=1e-3)
    ends = points_of(line(ax, END))
    np.testing.assert_allclose(np.minimum(ends[:, 0] / 0.1, ends[:, 1] / 0.05), 1.0, rtol=1e-12)
