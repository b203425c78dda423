"""Plots of planes of two parameters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from zfit_dark.errors import InputError
from zfit_dark.plot.planes import (
    _COLORS,
    _FILL,
    _draw_flagged,
    _new_axes_with_title,
    _with_level,
)
from zfit_dark.plot.scans import _level, _top_texts
from zfit_dark.plot.style import (
    BLUE,
    SHADE,
    TOP,
    FloatArray,
    draw_numbers,
    dress,
    fitting_legend,
    shade,
    styled,
)
from zfit_dark.results import Plane, Region

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.text import Text

_PALE = "#e7eefa"
_END_LABEL = "End of what was scanned, no limit"
_HELD_SIZE = 13.0
_MARGIN = 0.01


@styled
def plane(
    plane: Plane, ax: Axes | None = None, *, others: Sequence[tuple[str, Plane]] = ()
) -> Axes:
    """What is excluded in a plane of two parameters.

    The observed region is filled. A solid line is its edge where prediction and limit are equal; a
    dotted one is where the scan, or what is known, ends, and no limit. The median expected region
    has a dashed edge, which is left open there. Where prediction or limit is not known the plane is
    hatched. Points with a limit that is not valid carry a red cross. What is held fixed stands in
    small letters at the top. A blind plane shows the expected region only, filled in a paler
    colour.

    Args:
        plane: The excluded regions.
        ax: Axes to draw on; None makes a new figure.
        others: (label, plane) of further ones, drawn by their outlines. What only they hold fixed
            is added to the label.

    Returns:
        The Axes.

    Raises:
        InputError: Nothing is excluded, or another plane has other parameters.
    """
    drawn = [plane, *(other for _, other in others)]
    _check_comparable(plane, others)
    if not any(region.excluded for one in drawn for region in _regions(one)):
        raise InputError(f"nothing is excluded in {plane.y} against {plane.x}; there is no plot")
    ax = _new_axes_with_title() if ax is None else ax
    dress(ax)
    x, y = (
        np.concatenate([getattr(region, name) for region in _regions(plane)]) for name in ("x", "y")
    )
    if plane.log_x:
        ax.set_xscale("log")
        draw_numbers(ax.xaxis, x.min(), x.max())
    if plane.log_y:
        ax.set_yscale("log")
        draw_numbers(ax.yaxis, y.min(), y.max())
    _draw_frame(ax, x, y)
    _draw_regions(ax, plane)
    for (label, other), color in zip(others, cycle(_COLORS)):
        _draw_other(ax, _with_level(_with_held(label, other, plane), other, plane), other, color)
    if len(plane.flagged):
        flagged_x, flagged_y = plane.flagged.T
        every = np.ones(len(plane.flagged), np.bool_)
        _draw_flagged(ax, flagged_x, flagged_y, every, "Limits not valid")
    _draw_labels(ax, plane)
    _draw_header(ax, plane)
    ax.set_xlim(_spread(ax.xaxis, x, _MARGIN))
    ax.set_ylim(_spread(ax.yaxis, y, 1 / _free(ax) - 1))
    return ax


def _regions(plane: Plane) -> list[Region]:
    return [region for region in (plane.observed, plane.expected) if region is not None]


def _shown(plane: Plane) -> Region:
    return plane.expected if plane.observed is None else plane.observed


def _check_comparable(plane: Plane, others: Sequence[tuple[str, Plane]]) -> None:
    names = [(one.x, one.x_unit, one.y, one.y_unit) for one in (plane, *(o for _, o in others))]
    for (label, other), parameters in zip(others, names[1:], strict=True):
        if parameters != names[0]:
            raise InputError(
                f"{label}: its plane is {other.y} against {other.x}, not {plane.y} against"
                f" {plane.x} in the same units; compare planes of the same parameters"
            )


def _with_held(label: str, other: Plane, plane: Plane) -> str:
    """The label of another plane, with what only that one holds fixed."""
    return ", ".join([label, *(text for text in other.held if text not in plane.held)])


def _draw_labels(ax: Axes, plane: Plane) -> None:
    """The model above the axes, and what is on them."""
    size = ax.get_window_extent()
    for text in (
        ax.set_xlabel(_axis_label(plane.x_label, plane.x_unit)),
        ax.set_title(plane.model, loc="left", fontsize=15),
    ):
        _shrink(text, text.get_window_extent().width, size.width)
    text = ax.set_ylabel(_axis_label(plane.y_label, plane.y_unit))
    _shrink(text, text.get_window_extent().height, size.height)


def _axis_label(label: str, unit: str) -> str:
    return f"{label} [{unit}]" if unit else label


def _draw_frame(ax: Axes, x: FloatArray, y: FloatArray) -> None:
    """The outline of what was scanned, excluded or not."""
    corner, width, height = (x.min(), y.min()), np.ptp(x), np.ptp(y)
    look: dict[str, Any] = {"edgecolor": "0.8", "linewidth": 0.8, "label": "_plane"}
    ax.add_patch(Rectangle(corner, width, height, fill=False, zorder=SHADE, **look))


def _draw_regions(ax: Axes, plane: Plane) -> None:
    """The observed region with its edges, those of the expected one, and what is not known."""
    at, shown = _level(plane.level), _shown(plane)
    color, label = _FILL, f"Excluded at {at}"
    if plane.blind:
        color, label = _PALE, f"Expected to be excluded at {at}"
    if shown.excluded:
        look: dict[str, Any] = {"facecolor": color, "edgecolor": "none", "zorder": 1}
        _draw_rings(ax, shown.excluded, label=label, **look)
    if plane.observed is not None:
        look = {"color": BLUE, "linewidth": 1.4, "label": "_edge", "zorder": 3}
        ax.plot(*_joined(plane.observed.boundary), "-", **look)
    look = {"linewidth": 1.4, "label": "Expected, median", "zorder": 4}
    ax.plot(*_joined(plane.expected.boundary), "k--", **look)
    if shown.ends:
        look = {"color": "0.4", "linewidth": 2.0, "label": _END_LABEL, "zorder": 3}
        ax.plot(*_joined(shown.ends), ":", **look)
    if shown.unknown:
        _draw_rings(
            ax, shown.unknown, label="Prediction or limit not known", zorder=SHADE, **shade(1)
        )


def _draw_other(ax: Axes, label: str, other: Plane, color: str) -> None:
    region = _shown(other)
    ax.plot(*_joined(region.boundary), "-", color=color, linewidth=1.4, label=label, zorder=3)
    ends = _joined(region.ends)
    ax.plot(*ends, ":", color=color, linewidth=2.0, label=f"_ends of {label}", zorder=3)


def _draw_rings(ax: Axes, rings: Sequence[FloatArray], **look: Any) -> None:
    path = Path.make_compound_path(*(Path(ring, closed=True) for ring in rings))
    ax.add_patch(PathPatch(path, **look))


def _joined(lines: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """X and y of lines, with NaN between them."""
    points = np.concatenate([np.empty((0, 2)), *(np.r_[line, [[np.nan] * 2]] for line in lines)])
    x, y = points[:-1].T
    return x, y


def _shrink(text: Text, length: float, available: float) -> None:
    """Make the letters of a text smaller if it is longer than what there is, both in pixels."""
    size = text.get_fontproperties().get_size_in_points()
    text.set_fontsize(size / max(1.0, length / available))


def _draw_header(ax: Axes, plane: Plane) -> None:
    """Kind of data and what is held fixed at the top left, the legend at the top right."""
    kind = ["Pseudo-data"] if plane.pseudo_data else []
    kind += ["Blind: expected only"] if plane.blind else []
    look: dict[str, Any] = {"transform": ax.transAxes, "va": "top", "ha": "left", "zorder": TOP}
    figure = ax.figure.canvas.figure
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
    top, width = 0.965, ax.get_window_extent().width
    for text, style in (
        ("\n".join(kind), {"fontsize": 20, "fontweight": "bold"}),
        ("\n".join(plane.held), {"fontsize": _HELD_SIZE}),
    ):
        if text:
            words = ax.text(0.025, top, text, **look, **style)
            _shrink(words, words.get_window_extent().width, 0.5 * width)
            box = words.get_window_extent()
            top = ax.transAxes.inverted().transform((box.x0, box.y0))[1] - 0.02
    taken = max((text.get_window_extent().width for text in _top_texts(ax)), default=0.0)
    legend = fitting_legend(
        lambda size: ax.legend(loc="upper right", fontsize=size),
        available=0.95 * width - taken,
    )
    legend.set_zorder(TOP)


def _free(ax: Axes) -> float:
    """How much of the height of the axes is below legend and texts."""
    legend = ax.get_legend()
    boxes = [text.get_window_extent() for text in _top_texts(ax)]
    boxes += [legend.get_window_extent()] if legend is not None else []
    bottom = min(ax.transAxes.inverted().transform((box.x0, box.y0))[1] for box in boxes)
    return max(float(bottom) - 0.02, 0.3)


def _spread(axis: Axis, values: FloatArray, above: float) -> tuple[float, float]:
    """Ends of an axis: a margin below the values, and more or less `above`, in parts of them."""
    scale = axis.get_transform()
    low, high = scale.transform([values.min(), values.max()])
    ends = [low - _MARGIN * (high - low), high + above * (high - low)]
    left, right = scale.inverted().transform(ends).tolist()
    return left, right
