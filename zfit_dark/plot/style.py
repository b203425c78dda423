"""What all plots have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from zfit_dark.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.legend import Legend

FloatArray = npt.NDArray[np.float64]
_P = ParamSpec("_P")
_R = TypeVar("_R")

GREEN, YELLOW, RED, BLUE = "#00cc00", "#ffcc00", "#d62728", "#1f5fbf"
_VETO_FACES = ("0.80", "0.90")
_VETO_HATCHES = ("", "////", "\\\\\\\\", "....", "xxxx")
SHADE, TOP = 0.5, 6
_AXIS = (1e-100, 1e100)
"""The least and the largest number on an axis."""
_FULL_WIDTH = 9.0
"""Inches of a figure from which on labels have their full size."""
_FEW_DECADES = 2.5
_NO_MATHTEXT = re.compile(r"Parse\w*Exception")
STYLE: dict[str, Any] = {
    "font.family": ["TeX Gyre Heros", "DejaVu Sans"],
    "font.size": 17,
    "mathtext.fontset": "stixsans",
    "mathtext.default": "it",
    "axes.linewidth": 1.3,
    "axes.labelsize": 19,
    "legend.fontsize": 14,
    "legend.handlelength": 1.8,
    "legend.labelspacing": 0.35,
    "legend.columnspacing": 1.4,
    "hatch.linewidth": 0.6,
    "figure.dpi": 150,
}


def styled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run a plot function within the style of these plots."""

    @wraps(function)
    def styled(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        import mplhep

        style: dict[Any, Any] = {**mplhep.style.ROOT, **STYLE}
        with rc_context(style), bad_labels_told():
            return function(*args, **kwargs)

    return styled


@contextmanager
def bad_labels_told() -> Iterator[None]:
    """Tell in one line what matplotlib tells of a label when it lays it out.

    Raises:
        InputError: A label is no mathtext.
    """
    try:
        yield
    except ValueError as error:
        text = " ".join(str(error).split())
        if isinstance(error, InputError) or not _NO_MATHTEXT.search(text):
            raise
        raise InputError(f"a label cannot be drawn, it is no mathtext: {text}") from error


def check_size(what: str, values: npt.ArrayLike) -> None:
    """Refuse numbers that no axis can hold; NaN and infinite ones are not drawn.

    Raises:
        InputError: A number is too large, or too near to 0.
    """
    size = np.abs(np.asarray(values, np.float64))
    size = size[np.isfinite(size) & (size > 0)]
    low, high = _AXIS
    if np.any((size < low) | (size > high)):
        raise InputError(
            f"{what} of size {size.min():.3g} to {size.max():.3g} cannot be drawn; give some"
            f" between {low:g} and {high:g}"
        )


def new_axes() -> Axes:
    """Axes of a figure of their own."""
    figure = Figure(figsize=(10, 7))
    figure.subplots_adjust(left=0.125, right=0.955, bottom=0.115, top=0.985)
    return figure.add_subplot()


def dress(ax: Axes) -> None:
    """Fix on the axes what matplotlib would look up in the style when it draws ticks later.

    Labels of Axes that were made in another style get ours, smaller in a small figure.
    """
    family = STYLE["font.family"]
    scale = min(1.0, ax.figure.canvas.figure.get_figwidth() / _FULL_WIDTH)
    ax.tick_params(which="both", direction="in", top=True, right=True, labelfontfamily=family)
    ax.tick_params(which="major", length=9, width=1.3, labelsize=16 * scale, pad=6)
    ax.tick_params(which="minor", length=4.5, width=1.0, labelsize=14 * scale)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set(fontsize=STYLE["axes.labelsize"] * scale, fontfamily=family)


def draw_numbers(axis: Axis, low: float, high: float) -> None:
    """Enough numbers on a logarithmic axis that shows few decades."""
    if high / low < 10**_FEW_DECADES:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())


def shade(k: int) -> dict[str, Any]:
    """The look of the k-th reason why a region is left out."""
    return {
        "facecolor": _VETO_FACES[k % len(_VETO_FACES)],
        "hatch": _VETO_HATCHES[k % len(_VETO_HATCHES)],
        "edgecolor": "0.45",
        "linewidth": 0,
    }


def fitting_legend(make: Callable[[float], Legend], available: float) -> Legend:
    """The legend of `make` (given a font size), smaller if it is wider than `available` pixels."""
    size = float(STYLE["legend.fontsize"])
    legend = make(size)
    excess = legend.get_window_extent().width / available
    if excess <= 1:
        return legend
    legend.remove()
    return make(size / excess)
