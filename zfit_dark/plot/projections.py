"""Plots of projections: expected limits against luminosity, and against mass."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import NullFormatter

from zfit_dark.errors import InputError
from zfit_dark.plot.scans import _broken, _draw_skipped, _level, _make_room, _mass_range
from zfit_dark.plot.style import (
    BLUE,
    GREEN,
    RED,
    TOP,
    YELLOW,
    dress,
    fitting_legend,
    new_axes,
    styled,
)
from zfit_dark.results import Projection

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = ("black", BLUE, "#1b9e77", "#e08214", "#7b3294", "#a6761d")


@styled
def projection(projection: Projection, mass: float | None = None, ax: Axes | None = None) -> Axes:
    """Expected upper limits at one mass against luminosity, with their 1 and 2 sigma bands.

    Thin lines through the median of the first luminosity show how limits fall without background,
    with 1 / L, and with much of it, with 1 / sqrt(L). A red cross marks limits with a warning.

    Args:
        projection: The limits.
        mass: One of its masses, in GeV; the middle one if not given.
        ax: Axes to draw on; None makes a new figure.

    Returns:
        The Axes.

    Raises:
        InputError: There is no valid limit at this mass.
    """
    if mass is None:
        mass = float(projection.masses[len(projection.masses) // 2])
    luminosities, expected = projection.luminosities, projection.expected_at(mass)
    known = np.flatnonzero(np.isfinite(expected).all(axis=1))
    if not known.size:
        raise InputError(f"no valid limit at {mass:.6g} GeV; there is nothing to draw")
    ax = new_axes() if ax is None else ax
    dress(ax)
    ax.set_xscale("log")
    ax.set_yscale("log")
    for k, color, name in ((0, YELLOW, r"$\pm 2\sigma$"), (1, GREEN, r"$\pm 1\sigma$")):
        low, high = expected[known, k], expected[known, 4 - k]
        label = f"Expected {name}"
        ax.fill_between(
            luminosities[known], low, high, color=color, linewidth=0, label=label, zorder=1
        )
    median = expected[:, 2]
    ax.plot(luminosities, median, "ko--", linewidth=1.6, label="Expected, median", zorder=3)
    falling = luminosities / luminosities[known[0]]
    guides = ((1.0, ":", r"$\propto 1/L$"), (0.5, "-.", r"$\propto 1/\sqrt{L}$"))
    for power, line, label in guides:
        guide = median[known[0]] * falling**-power
        ax.plot(luminosities, guide, line, color="0.2", linewidth=1.3, label=label, zorder=2)
    flagged = projection.flagged_at(mass) & np.isfinite(median)
    if flagged.any():
        label = f"Warning ({int(flagged.sum())})"
        cross: dict[str, Any] = {"marker": "X", "markersize": 9, "linestyle": "none", "color": RED}
        ax.plot(luminosities[flagged], median[flagged], label=label, zorder=5, **cross)
    ax.set_xlim(luminosities[0] / 1.25, luminosities[-1] * 1.25)
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(r"Luminosity [fb$^{-1}$]")
    ax.set_ylabel(_limit_label(projection))
    lowest = min(float(expected[known].min()), float(median[known[0]] / falling[-1]))
    words = [f"{mass:.4g} GeV"]
    _finish(ax, projection, words, lowest / 1.3, float(expected[known].max()) * 1.3)
    return ax


@styled
def projections(
    projection: Projection, ax: Axes | None = None, *, mass_label: str = r"$m$ [GeV]"
) -> Axes:
    """Median expected upper limits against mass, one line for each luminosity.

    Lines break where masses were skipped; there the reason is shaded.

    Args:
        projection: The limits.
        ax: Axes to draw on; None makes a new figure.
        mass_label: Label of the mass axis.

    Returns:
        The Axes.

    Raises:
        InputError: There is no valid limit.
    """
    medians = np.array(
        [np.where(scan.valid, scan.expected[:, 2], np.nan) for scan in projection.scans]
    )
    known = medians[np.isfinite(medians) & (medians > 0)]
    if not known.size:
        raise InputError(f"the projection of {projection.poi} holds no valid limit to draw")
    ax = new_axes() if ax is None else ax
    dress(ax)
    ax.set_yscale("log")
    ax.set_xlim(*_mass_range(projection.scans[0]))
    colors = cycle(_COLORS)
    for luminosity, scan, median in zip(
        projection.luminosities, projection.scans, medians, strict=True
    ):
        x, line = _broken(scan, median[:, None])
        label = _in_words(luminosity)
        ax.plot(x, line[:, 0], "-", color=next(colors), linewidth=1.6, label=label, zorder=3)
    _draw_skipped(ax, projection.scans[0])
    ax.set_xlabel(mass_label)
    ax.set_ylabel(_limit_label(projection))
    _finish(ax, projection, ["Expected, median"], known.min() / 1.3, known.max() * 1.3)
    return ax


def _in_words(luminosity: float) -> str:
    if luminosity < 1000:
        return rf"{luminosity:g} fb$^{{-1}}$"
    return rf"{luminosity / 1000:g} ab$^{{-1}}$"


def _limit_label(projection: Projection) -> str:
    unit = f" [{projection.poi_unit}]" if projection.poi_unit else ""
    return f"Upper limit on {projection.poi_label} at {_level(projection.level)}{unit}"


def _finish(ax: Axes, projection: Projection, words: list[str], low: float, high: float) -> None:
    """What it is, text and legend at the top, and a y range that keeps the curves below them."""
    kind = ["Pseudo-data"] if projection.pseudo_data else []
    kind += [f"Projection from {_in_words(projection.luminosity)}", *words]
    if projection.floor:
        kind.append(f"Background known to {100 * projection.floor:g} %")
    text = ax.text(
        0.025,
        0.965,
        "\n".join(kind),
        transform=ax.transAxes,
        va="top",
        ha="left",
        fontsize=16,
        fontweight="bold",
        zorder=TOP,
    )
    handles, labels = ax.get_legend_handles_labels()
    legend = fitting_legend(
        lambda size: ax.legend(
            handles, labels, loc="upper right", ncols=2 if len(labels) > 4 else 1, fontsize=size
        ),
        available=0.95 * ax.get_window_extent().width - text.get_window_extent().width,
    )
    legend.set_zorder(TOP)
    _make_room(ax, low, high)
