"""Plots of the goodness of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from zfit_dark.errors import InputError
from zfit_dark.plot.style import BLUE, RED, TOP, FloatArray, dress, styled
from zfit_dark.results import GoodnessOfFit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = 40
_FREE = 0.7
"""Histograms and arrows stay below this fraction of the axes."""


@styled
def goodness(result: GoodnessOfFit) -> Figure:
    """The statistics of toys as histograms, that of the data as an arrow, and the p-value.

    Args:
        result: The goodness of a fit.

    Returns:
        A Figure with an Axes for the saturated-model statistic and one for Anderson-Darling's,
        which a binned loss does not have.

    Raises:
        InputError: There are no toys to draw.
    """
    if not len(result.toy_saturated):
        why = "; ".join(result.warnings) or "none could be fitted"
        raise InputError(f"there are no toys to draw: {why}")
    panels = [
        (
            "Saturated-model statistic",
            result.toy_saturated.sum(axis=1),
            result.saturated,
            _in_words(result.saturated_p, result.saturated_p_error),
        ),
        (
            "Anderson-Darling $A^2$",
            result.toy_anderson_darling.sum(axis=1),
            result.anderson_darling,
            _in_words(result.anderson_darling_p, result.anderson_darling_p_error),
        ),
    ]
    shown = [panel for panel in panels if np.isfinite(panel[2])]
    figure = Figure(figsize=(8.0 * len(shown), 6.5))
    figure.subplots_adjust(
        left=0.12 / len(shown), right=1 - 0.03 / len(shown), bottom=0.13, top=0.97, wspace=0.17
    )
    for k, (label, toys, observed, text) in enumerate(shown):
        ax = figure.add_subplot(1, len(shown), k + 1)
        _draw(ax, toys, observed)
        ax.set_xlabel(label)
        ax.set_ylabel("Toys")
        words = ["Pseudo-data"] if result.pseudo_data else []
        words += [] if result.valid else ["Not valid"]
        for j, word in enumerate([*words, text, f"{len(toys)} toys"]):
            ax.text(
                0.96,
                0.95 - 0.075 * j,
                word,
                transform=ax.transAxes,
                va="top",
                ha="right",
                fontsize=18,
                fontweight="bold" if word in words else "normal",
                color=RED if word == "Not valid" else "black",
                zorder=TOP,
            )
    return figure


def _draw(ax: Axes, toys: FloatArray, observed: float) -> None:
    """Histogram of the toys, those beyond the data in a darker shade, and an arrow at the data."""
    dress(ax)
    low, high = min(toys.min(), observed), max(toys.max(), observed)
    margin = 0.03 * (high - low) or 0.5
    edges = np.linspace(max(low - margin, 0.0), high + margin, _BINS + 1).tolist()
    beyond = toys[toys >= observed]
    counts, *_ = ax.hist(toys, edges, histtype="stepfilled", color="#cfe2f3", label="Toys")
    ax.hist(beyond, edges, histtype="stepfilled", color=BLUE, alpha=0.6, label="At least the data")
    ax.hist(toys, edges, histtype="step", color=BLUE, linewidth=1.6, label="_outline")
    peak = float(np.max(counts))
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(0, peak / _FREE)
    ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.annotate(
        "",
        (observed, 0),
        xytext=(observed, 0.6 * peak),
        arrowprops={"arrowstyle": "-|>", "color": "black", "linewidth": 2.4, "shrinkB": 0},
        zorder=TOP,
    )
    ax.plot([], [], color="black", linewidth=2.4, marker="v", label="Data")
    ax.legend(loc="upper left")


def _in_words(p: float, error: float) -> str:
    return rf"$p = {p:.3f} \pm {error:.3f}$"
