"""Plots of nuisance parameters: pulls, impacts and correlations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from zfit_dark.errors import InputError
from zfit_dark.plot.style import BLUE, RED, SHADE, STYLE, dress, styled
from zfit_dark.results import Impacts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST = 20
"""Parameters in a plot of impacts."""
_WRITTEN = 12
"""Up to so many rows, a plot of correlations has its numbers written into it."""
_ROW, _LETTER = 0.42, 0.125
"""Height of a row and width of a letter of a parameter's name, in inches."""
_TOP, _BOTTOM = 1.55, 1.0
_MISSING = "0.85"


@styled
def impacts(result: Impacts) -> Figure:
    r"""Parameters by their impact on the parameter of interest: pulls at the left, impacts right.

    A parameter with a constraint shows its pull, (postfit - prefit) / prefit error, with the
    postfit error in the same unit, on the band of +-1 that the constraint allows; any other shows
    its value. Bars are the shifts of the best fit with the parameter held one standard deviation
    up and down.

    Args:
        result: What ``zfit_dark.impacts`` found.

    Returns:
        A Figure with two Axes, that of the pulls and that of the impacts. The 20 parameters with
        the largest impacts are drawn; the plot says how many are not.

    Raises:
        InputError: There is no parameter to draw.
    """
    n = min(len(result.names), _MOST)
    if not n:
        raise InputError(f"no parameter floats besides {result.poi}; there are no impacts to draw")
    margin = 0.5 + _LETTER * max(map(len, result.names[:n]))
    width, height = margin + 9.5, _TOP + _BOTTOM + _ROW * max(n, 3)
    figure = Figure(figsize=(width, height))
    left, right = figure.subplots(
        1,
        2,
        sharey=True,
        gridspec_kw={
            "left": margin / width,
            "right": 1 - 0.35 / width,
            "bottom": _BOTTOM / height,
            "top": 1 - _TOP / height,
            "wspace": 0.06,
        },
    )
    _draw_pulls(left, result, n)
    _draw_impacts(right, result, n)
    for ax in (left, right):
        ax.set_ylim(n - 0.5, -0.5)
        ax.yaxis.set_minor_locator(NullLocator())
        ax.tick_params(axis="y", which="both", left=False, right=False)
    left.set_yticks(range(n), result.names[:n], fontsize=14)
    right.tick_params(labelleft=False)
    _draw_header(figure, result, len(result.names) - n)
    return figure


def _draw_pulls(ax: Axes, result: Impacts, n: int) -> None:
    dress(ax)
    ax.axvspan(-1, 1, color="0.9", linewidth=0, zorder=SHADE, label=r"Prefit $\pm 1\sigma$")
    ax.axvline(0, color="0.5", linewidth=0.9, zorder=SHADE)
    pull, error = result.pull[:n], result.constraint[:n]
    shown = np.flatnonzero(np.isfinite(pull))
    reach = np.max(np.abs(pull[shown]) + np.nan_to_num(error[shown]), initial=1.8)
    ax.errorbar(
        pull[shown],
        shown,
        xerr=np.nan_to_num(error[shown]),
        fmt="ko",
        markersize=5,
        linewidth=1.5,
        label="Postfit",
        zorder=3,
    )
    for i in np.flatnonzero(~np.isfinite(pull)).tolist():
        value, sigma = result.postfit[i], result.postfit_error[i]
        error_text = f"± {sigma:.2g}" if np.isfinite(sigma) else "(no error)"
        _write_on_line(ax, i, f"{value:.3g} {error_text}", "0.9")
    ax.set_xlim(-1.15 * reach, 1.15 * reach)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, symmetric=True))
    ax.set_xlabel(r"$(\hat{\theta} - \theta_0) / \Delta\theta$", loc="center")


def _draw_impacts(ax: Axes, result: Impacts, n: int) -> None:
    dress(ax)
    rows = np.arange(n)
    sides = (
        (result.impact_up[:n], RED, r"$\theta$ up $1\sigma$"),
        (result.impact_down[:n], BLUE, r"$\theta$ down $1\sigma$"),
    )
    reach = 0.0
    for shift, color, label in sides:
        known = np.isfinite(shift)
        ax.barh(rows[known], shift[known], 0.62, color=color, alpha=0.75, linewidth=0, label=label)
        reach = max(reach, float(np.max(np.abs(shift[known]), initial=0.0)))
    for i in np.flatnonzero(np.isnan(sides[0][0]) & np.isnan(sides[1][0])).tolist():
        _write_on_line(ax, i, "no impact known", "white")
    ax.axvline(0, color="0.5", linewidth=0.9, zorder=SHADE)
    ax.set_xlim(*np.array([-1.15, 1.15]) * (reach if reach else 1.0))
    ax.xaxis.set_major_locator(MaxNLocator(4, symmetric=True))
    ax.ticklabel_format(axis="x", style="sci", scilimits=(-2, 3), useMathText=True)
    unit = f" [{result.poi_unit}]" if result.poi_unit else ""
    ax.set_xlabel(rf"Impact on {result.poi_label}{unit}", loc="center")


def _write_on_line(ax: Axes, row: int, text: str, background: str) -> None:
    """A text in the middle of a row, in front of the line at zero."""
    ax.text(
        0,
        row,
        text,
        ha="center",
        va="center",
        fontsize=13,
        bbox={"boxstyle": "square,pad=0.1", "facecolor": background, "edgecolor": "none"},
    )


def _draw_header(figure: Figure, result: Impacts, hidden: int) -> None:
    """Best fit and what kind of data it is, above a legend."""
    width, height = figure.get_size_inches()
    unit = f" {result.poi_unit}" if result.poi_unit else ""
    text = f"{result.poi_label} = {result.poi_hat:.3g} ± {result.poi_error_statistical:.3g} (stat.)"
    text += f" ± {result.poi_error_systematic:.3g} (syst.){unit}"
    if np.isfinite(result.mass):
        text = f"At {result.mass:.4g} GeV:  {text}"
    words = ["Pseudo-data"] if result.pseudo_data else []
    words += [] if result.valid else ["Not converged"]
    look: dict[str, Any] = {"va": "center", "fontsize": 17}
    figure.text(0.3 / width, 1 - 0.38 / height, text, **look)
    figure.text(
        1 - 0.35 / width, 1 - 0.38 / height, ", ".join(words), ha="right", weight="bold", **look
    )
    handles: dict[str, Any] = {}
    for ax in figure.axes:
        handles |= {
            name: handle for handle, name in zip(*ax.get_legend_handles_labels(), strict=True)
        }
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="center left",
        bbox_to_anchor=(0.3 / width, 1 - 0.95 / height),
        ncols=len(handles),
        borderpad=0,
        borderaxespad=0,
    )
    if hidden:
        note = f"{hidden} with smaller impacts not shown"
        figure.text(0.3 / width, 0.3 / height, note, va="center", fontsize=13)


@styled
def correlations(result: Impacts) -> Axes:
    """Correlations of the parameter of interest and all others, as a map of colours.

    Parameters without an uncertainty are grey. Up to 12 rows the numbers are written.

    Args:
        result: What ``zfit_dark.impacts`` found.

    Returns:
        The Axes.
    """
    names, matrix = (result.poi_label, *result.names), result.correlation
    n = len(names)
    margin, right = 0.5 + _LETTER * max(map(len, names)), 1.6
    side = max(_ROW * n, 3.5) if n > _WRITTEN else max(0.62 * n, 3.5)
    width, height = margin + side + right, margin + side + 0.7
    figure = Figure(figsize=(width, height))
    ax = figure.add_axes((margin / width, margin / height, side / width, side / height))
    ax.set_facecolor(_MISSING)
    image = ax.imshow(np.ma.masked_invalid(matrix), cmap="RdBu_r", vmin=-1, vmax=1)
    if n <= _WRITTEN:
        for (row, column), value in np.ndenumerate(matrix):
            if np.isfinite(value):
                color = "white" if abs(value) > 0.6 else "black"
                text = f"{value:.2f}".replace("-0.00", "0.00")
                ax.text(column, row, text, ha="center", va="center", fontsize=12, color=color)
    ax.set_xticks(range(n), names, rotation=90, fontsize=14)
    ax.set_yticks(range(n), names, fontsize=14)
    ax.tick_params(which="both", length=0, labelfontfamily=STYLE["font.family"])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_minor_locator(NullLocator())
    place = ((margin + side + 0.2) / width, margin / height, 0.25 / width, side / height)
    bar = figure.colorbar(image, cax=figure.add_axes(place))
    bar.set_label("Correlation")
    where = f"At {result.mass:.4g} GeV" if np.isfinite(result.mass) else ""
    kind = "Pseudo-data" if result.pseudo_data else ""
    ax.set_title(where, loc="left", fontsize=16)
    ax.set_title(kind, loc="right", fontsize=16, fontweight="bold")
    return ax
