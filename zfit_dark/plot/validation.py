"""Plots of what pseudo-experiments say: coverage, bias and pulls, spurious signal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from zfit_dark.errors import InputError
from zfit_dark.plot.style import BLUE, RED, TOP, FloatArray, dress, new_axes, styled
from zfit_dark.results import Validation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = ("black", BLUE, RED, "#008080", "#b8860b", "#7b3fa0")
_MARKERS = ("o", "s", "^", "v", "D", "P")
_MASS_LABEL = r"$m_a$ [GeV]"


@styled
def coverage(result: Validation, ax: Axes | None = None, *, mass_label: str = _MASS_LABEL) -> Axes:
    """Fraction of toys with a limit not below the true signal, with 68 % Clopper-Pearson intervals.

    Against mass, one row of points for each true signal; against the true signal if there is one
    mass. A line shows the confidence level.

    Args:
        result: The toys.
        ax: Axes to draw on; None makes a new figure.
        mass_label: Label of the mass axis.

    Returns:
        The Axes.

    Raises:
        InputError: No toy has a limit.
    """
    if not np.isfinite(result.coverage).any():
        raise InputError("no toy has a valid limit: there is no coverage to draw")
    ax = new_axes() if ax is None else ax
    low, high = np.moveaxis(result.coverage_interval, 2, 0)
    errors = np.stack([result.coverage - low, high - result.coverage])
    _draw(ax, result, result.coverage, errors)
    ax.axhline(
        result.level,
        color="0.4",
        linestyle="--",
        label=f"Level, {100 * result.level:g} %",
        zorder=2,
    )
    _label_x(ax, result, mass_label)
    ax.set_ylabel(rf"Coverage of limits at {100 * result.level:g} % CL (CL$_\mathrm{{s}}$)")
    bottom = min(float(np.nanmin(low)), result.level)
    _finish(ax, result, bottom - 0.15 * (1 - bottom), 1.0 + 0.05 * (1 - bottom))
    return ax


@styled
def bias(result: Validation, *, mass_label: str = _MASS_LABEL) -> Figure:
    """Bias of the best fit and width of its pulls.

    The bias is in units of the uncertainty of a fit (median of the toys), a pull is (best fit -
    true signal) / uncertainty of its fit. Against mass, or against the true signal of one mass.

    Args:
        result: The toys.
        mass_label: Label of the mass axis.

    Returns:
        The Figure: bias above, widths below.

    Raises:
        InputError: No toy has a best fit with an uncertainty.
    """
    means, errors = (each / result.typical_sigma for each in (result.bias, result.bias_error))
    if not np.isfinite(means).any():
        raise InputError("no toy has a best fit with an uncertainty: there is no bias to draw")
    figure = Figure(figsize=(10, 9))
    figure.subplots_adjust(left=0.125, right=0.955, bottom=0.09, top=0.985, hspace=0.06)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    widths, spreads = result.pull_width, result.pull_width_error
    for ax, values, around, line in ((upper, means, errors, 0.0), (lower, widths, spreads, 1.0)):
        _draw(ax, result, values, np.stack([around, around]))
        ax.axhline(line, color="0.4", linestyle="--", label="_ideal", zorder=2)
    upper.tick_params(labelbottom=False)
    upper.set_ylabel(r"Bias / $\sigma$")
    lower.set_ylabel("Pull width")
    _label_x(lower, result, mass_label)
    reach, away = _reach(means, errors), _reach(widths - 1, spreads)
    lower.set_ylim(1 - away, 1 + away)
    _finish(upper, result, -reach, reach)
    figure.align_ylabels((upper, lower))
    return figure


@styled
def spurious_signal(
    result: Validation, ax: Axes | None = None, *, mass_label: str = _MASS_LABEL
) -> Axes:
    """Mean fitted signal of toys without one, against mass.

    In units of the uncertainty of a fit (median of the toys) and of the median expected limit.

    Args:
        result: The toys, among them those without a signal.
        ax: Axes to draw on; None makes a new figure.
        mass_label: Label of the mass axis.

    Returns:
        The Axes.

    Raises:
        InputError: No toy without a signal has a fit.
    """
    signal, error = result.spurious_signal, result.at_zero(result.bias_error)
    if not np.isfinite(signal).any():
        raise InputError("no toy without a signal has a fit: validate with 0 among the signals")
    ax = new_axes() if ax is None else ax
    dress(ax)
    sigma = result.at_zero(result.typical_sigma)
    shift, reach = 0.004 * (np.ptp(result.masses) or 1.0), 0.0
    for k, (unit, name) in enumerate(
        (
            (sigma, r"In units of $\sigma$ of a fit"),
            (result.expected, "In units of the expected limit"),
        )
    ):
        values, errors = signal / unit, error / unit
        ax.errorbar(
            result.masses + (2 * k - 1) * shift,
            values,
            yerr=errors,
            fmt=_MARKERS[k],
            color=_COLORS[k],
            markersize=6,
            label=name,
            zorder=3,
        )
        reach = max(reach, _reach(values, errors))
    ax.axhline(0.0, color="0.4", linestyle="--", label="_none", zorder=2)
    ax.set_xlabel(mass_label)
    what = "Spurious signal" if result.other_truth else "Mean fit without signal"
    ax.set_ylabel(f"{what} (relative)")
    _finish(ax, result, -reach, reach)
    return ax


def _draw(ax: Axes, result: Validation, values: FloatArray, errors: FloatArray) -> None:
    """Points with errors, against mass or, of one mass, against the true signal.

    Args:
        ax: where.
        result: the toys.
        values: shape (m, s).
        errors: below and above, shape (2, m, s).
    """
    dress(ax)
    for k, (x, column, name) in enumerate(_series(result)):
        y, (below, above) = values[column], (each[column] for each in errors)
        ax.errorbar(
            x,
            y,
            yerr=np.maximum([below, above], 0.0),
            fmt=_MARKERS[k % len(_MARKERS)],
            color=_COLORS[k % len(_COLORS)],
            markersize=6,
            label=name,
            zorder=3,
        )


def _series(result: Validation) -> Iterator[tuple[FloatArray, tuple[int | slice, ...], str]]:
    """Where points are, which numbers they show, and their name; side by side at each mass."""
    m, s = result.signals.shape
    if m == 1:
        yield result.signals[0], (0,), f"{result.masses[0]:.4g} GeV"
        return
    apart = 0.15 * float(np.min(np.diff(result.masses))) / s
    unit = f" {result.poi_unit}" if result.poi_unit else ""
    for j in range(s):
        low, high = result.signals[:, j].min(), result.signals[:, j].max()
        size = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
        x = result.masses + (j - 0.5 * (s - 1)) * apart
        yield x, (slice(None), j), f"True {result.poi_label} = {size}{unit}"


def _reach(values: FloatArray, errors: FloatArray) -> float:
    """How far from zero points with errors go, and never too little for an axis."""
    ends = np.abs(values) + np.nan_to_num(errors)
    return max(1.1 * float(np.max(ends[np.isfinite(ends)], initial=0.0)), 0.1)


def _label_x(ax: Axes, result: Validation, mass_label: str) -> None:
    unit = f" [{result.poi_unit}]" if result.poi_unit else ""
    one = len(result.masses) == 1
    ax.set_xlabel(f"True {result.poi_label}{unit}" if one else mass_label)


def _finish(ax: Axes, result: Validation, low: float, high: float) -> None:
    """What the points are, legend, and a y range that keeps the points below both."""
    words = ["Pseudo-experiments", f"{result.toys} each, {result.method}"]
    words += ["of another background model"] if result.other_truth else []
    text = ax.text(
        0.025,
        0.965,
        "\n".join(words),
        transform=ax.transAxes,
        va="top",
        fontsize=18,
        fontweight="bold",
        zorder=TOP,
    )
    legend = ax.legend(loc="upper right")
    legend.set_zorder(TOP)
    ax.yaxis.set_major_locator(MaxNLocator(6))
    figure = ax.figure.canvas.figure
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
    boxes = [each.get_window_extent() for each in (text, legend)]
    bottom = min(ax.transAxes.inverted().transform((box.x0, box.y0))[1] for box in boxes)
    ax.set_ylim(low, low + (high - low) / max(bottom - 0.02, 0.3))
