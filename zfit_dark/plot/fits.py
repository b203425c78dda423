"""Plots of fits: data, curves and pulls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.special import gammaincinv

from zfit_dark.errors import InputError
from zfit_dark.plot.style import (
    BLUE,
    RED,
    SHADE,
    TOP,
    FloatArray,
    dress,
    fitting_legend,
    shade,
    styled,
)
from zfit_dark.results import ChannelFit, Fit, GoodnessOfFit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FREE = 0.69
"""The curves of a fit stay below this fraction of the axes."""
_NOT_CONVERGED = "Fit not converged"
_ONE_SIGMA = 0.6826894921370859


@styled
def fit(
    result: Fit, figure: Figure | None = None, *, observable_label: str = "Mass [GeV]"
) -> Figure:
    r"""The fit of every channel: data with 68 % Poisson intervals, curves, and pulls.

    The pull of a bin is (n - nu)/sqrt(nu), n the counts and nu the fitted expectation. Counts
    and curves are per width of a typical bin; a bin that a hole cuts is scaled from what is left
    of its width, and shows only its pull if that is less than a fifth. In a blind fit the blind
    region stays empty, and neither a best fit nor a curve with signal is shown.

    Args:
        result: The fit.
        figure: An empty Figure to fill, of 9 inches by 7 or so a channel; None makes a new one.
        observable_label: Label of the mass axis of the data.

    Returns:
        The Figure, with two Axes per channel, data above pulls, in the order of the channels.

    Raises:
        InputError: The fit has no channels.
    """
    n = len(result.channels)
    if n == 0:
        raise InputError(f"the fit at {result.mass:g} GeV has no channels to draw")
    columns = 1 if n == 1 else 2
    rows = -(-n // columns)
    header = 1.2 if result.goodness is None else 1.6
    if figure is None:
        figure = Figure(figsize=(9.0 * columns, 0.1 + header + 5.8 * rows))
    width, height = figure.get_size_inches()
    grid = figure.add_gridspec(
        rows,
        columns,
        left=0.95 / width,
        right=1 - 0.3 / width,
        bottom=0.8 / height,
        top=1 - header / height,
        hspace=0.2,
        wspace=0.15,
    )
    for k, channel in enumerate(result.channels):
        cell = grid[k // columns, k % columns].subgridspec(2, 1, height_ratios=(3, 1), hspace=0.05)
        upper = figure.add_subplot(cell[0])
        lower = figure.add_subplot(cell[1], sharex=upper)
        _draw_data(upper, channel, result)
        _draw_pulls(lower, channel, observable_label)
        _draw_holes(upper, channel, result, _FREE)
        _draw_holes(lower, channel, result, 1.0)
        figure.align_ylabels((upper, lower))
    _draw_header(figure, result, header)
    return figure


def _draw_header(figure: Figure, result: Fit, inches: float) -> None:
    """A line with hypothesis and best fit, one with p-values if there are any, and the legend."""
    width, height = figure.get_size_inches()
    unit = f" {result.poi_unit}" if result.poi_unit else ""
    text = f"Hypothesis at {result.mass:.4g} GeV"
    if np.isfinite(result.poi_hat):
        value = _measurement(result.poi_hat, result.poi_error)
        text += f":  {result.poi_label} = {value}{unit}"
    line = figure.text(0.95 / width, 1 - 0.38 / height, text, va="center", fontsize=18)
    room = (width - 0.95 - 0.3) * figure.dpi
    line.set_fontsize(18 * min(1.0, room / line.get_window_extent().width))
    if result.goodness is not None:
        text = _goodness_in_words(result.goodness)
        figure.text(0.95 / width, 1 - 0.8 / height, text, va="center", fontsize=16)
    handles: dict[str, Any] = {}
    for ax in figure.axes:
        for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    data = "Pseudo-data" if result.pseudo_data else "Data"
    handles = {name: handles[name] for name in sorted(handles, key=lambda name: name != data)}
    fitting_legend(
        lambda size: figure.legend(
            handles.values(),
            handles.keys(),
            loc="center left",
            bbox_to_anchor=(0.95 / width, 1 - (inches - 0.35) / height),
            ncols=len(handles),
            borderpad=0,
            borderaxespad=0,
            fontsize=size,
        ),
        available=figure.bbox.width * (1 - 1.25 / width),
    )


def _goodness_in_words(goodness: GoodnessOfFit) -> str:
    """The p-values that there are."""
    known = {"saturated": goodness.saturated_p, "AD": goodness.anderson_darling_p}
    parts = [f"{name} p = {p:.2g}" for name, p in known.items() if np.isfinite(p)]
    text = f"Goodness of fit: {', '.join(parts) or 'unknown'}"
    return text if goodness.valid or not parts else f"{text} (not valid)"


def _draw_data(ax: Axes, channel: ChannelFit, result: Fit) -> None:
    dress(ax)
    ax.tick_params(labelbottom=False)
    edges, live = channel.edges, _live_width(channel)
    typical = float(np.median(np.diff(edges)))
    centres = 0.5 * (edges[1:] + edges[:-1])
    shown = np.isfinite(channel.counts) & (live > 0.2 * np.diff(edges))
    counts, scale = channel.counts[shown], typical / live[shown]
    low, high = _poisson_interval(counts)
    ax.errorbar(
        centres[shown],
        counts * scale,
        yerr=np.stack([counts - low, high - counts]) * scale,
        fmt="ko",
        markersize=4,
        linewidth=1.1,
        label="Pseudo-data" if result.pseudo_data else "Data",
        zorder=4,
    )
    inside = np.ones(len(channel.x), dtype=np.bool_)
    for start, stop, _ in channel.holes:
        inside &= (channel.x < start) | (channel.x > stop)
    curves = [(channel.background, "--", BLUE, "Background")]
    if not result.blind:
        curves.append((channel.total, "-", RED, "Signal + background"))
    peak = float(np.max(high * scale, initial=1.0))
    for density, line, color, name in curves:
        y = np.where(inside, density * typical, np.nan)
        ax.plot(channel.x, y, line, color=color, linewidth=1.8, label=name, zorder=3)
        peak = max(peak, float(np.nanmax(y, initial=0.0)))
    ax.set_xlim(*channel.window)
    ax.set_ylim(0, peak / _FREE)
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set_ylabel(f"Candidates / ({_in_mev(typical)} MeV)")
    ax.text(0.03, 0.95, channel.label, transform=ax.transAxes, va="top", fontsize=19, zorder=TOP)
    words = ["Pseudo-data"] if result.pseudo_data else []
    words += ["Blind"] if result.blind else []
    for k, word in enumerate([*words, *([] if result.valid else [_NOT_CONVERGED])]):
        ax.text(
            0.97,
            0.95 - 0.1 * k,
            word,
            transform=ax.transAxes,
            va="top",
            ha="right",
            color=RED if word == _NOT_CONVERGED else "black",
            fontsize=18,
            fontweight="bold",
            zorder=TOP,
        )


def _draw_pulls(ax: Axes, channel: ChannelFit, observable_label: str) -> None:
    dress(ax)
    edges = channel.edges
    shown = np.isfinite(channel.counts) & (_live_width(channel) > 0) & (channel.expected > 0)
    nu = channel.expected[shown]
    pulls = (channel.counts[shown] - nu) / np.sqrt(nu)
    ax.bar(edges[:-1][shown], pulls, np.diff(edges)[shown], align="edge", color="0.45", zorder=3)
    for level, line in ((0, "-"), (-2, ":"), (2, ":")):
        ax.axhline(level, color="black", linewidth=0.9, linestyle=line, zorder=4)
    reach = max(3.6, 1.15 * float(np.max(np.abs(pulls), initial=0.0)))
    ax.set_ylim(-reach, reach)
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True, symmetric=True))
    ax.set_xlabel(observable_label)
    ax.set_ylabel("Pull", loc="center")


def _draw_holes(ax: Axes, channel: ChannelFit, result: Fit, top: float) -> None:
    """Shade what is not fitted or not shown, up to the fraction `top` of the axes."""
    left, right = channel.window
    holes = [(low, high, why) for low, high, why in channel.holes if low < right and high > left]
    reasons = list(dict.fromkeys(reason for _, _, reason in holes))
    for low, high, reason in holes:
        look = shade(reasons.index(reason))
        ax.axvspan(low, high, 0, top, label=f"Left out: {reason}", zorder=SHADE, **look)
    if channel.hidden is not None:
        low, high = channel.hidden
        look = {"color": "#cfe2f3", "linewidth": 0, "zorder": SHADE}
        ax.axvspan(low, high, 0, top, label="Blind region", **look)


def _live_width(channel: ChannelFit) -> FloatArray:
    """Width of each bin outside the holes, in GeV, shape (b,). Holes do not overlap."""
    low, high = channel.edges[:-1], channel.edges[1:]
    live = high - low
    for start, stop, _ in channel.holes:
        live = live - np.clip(np.minimum(high, stop) - np.maximum(low, start), 0.0, None)
    return np.where(live > 1e-9 * (high - low), live, 0.0)


def _poisson_interval(counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Central 68.3 % interval of a Poisson mean (Garwood, Biometrika 28 (1936) 437)."""
    tail = 0.5 * (1 - _ONE_SIGMA)
    low = np.where(counts > 0, gammaincinv(np.maximum(counts, 1e-9), tail), 0.0)
    high = gammaincinv(counts + 1, 1 - tail)
    return low, high


def _in_mev(width: float) -> str:
    return f"{1000 * width:.3g}"


def _measurement(value: float, error: float) -> str:
    r"""Mathtext of a value with its error, the error to two digits.

    >>> print(_measurement(1.234e-7, 3.21e-8))
    $(1.23 \pm 0.32) \times 10^{-7}$
    >>> print(_measurement(12.34, 3.21))
    $12.3 \pm 3.2$
    """
    if not np.isfinite(error) or error <= 0:
        return f"{value:.3g}"
    size = max(abs(value), error)
    exponent = int(np.floor(np.log10(size)))
    exponent = exponent if not -2 <= exponent <= 3 else 0
    value, error = value / 10.0**exponent, error / 10.0**exponent
    digits = max(0, 1 - int(np.floor(np.log10(error))))
    text = rf"{value:.{digits}f} \pm {error:.{digits}f}"
    return rf"$({text}) \times 10^{{{exponent}}}$" if exponent else f"${text}$"
