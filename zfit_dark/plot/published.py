"""Published limits on the plots of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from zfit_dark.errors import InputError
from zfit_dark.plot.style import FloatArray
from zfit_dark.results import Published, Scan

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = ("#7b3294", "#1f5fbf", "#e08214", "#a6761d")
_LINES: tuple[Any, ...] = ("-", "-.", ":", (0, (6, 2)))
_NOTE_SIZE = 10.0
_NOTE_WIDTH = 0.84
"""Of the axes: the rest is left to the name of the axis."""
_NOTE_LINES = 2
"""More lines than that are in smaller letters."""


def draw_against_mass(ax: Axes, published: Sequence[Published], scan: Scan) -> FloatArray:
    """Draw published limits on a plot of limits against mass; the range of masses is set.

    Args:
        ax: The axes of the plot.
        published: The limits, for a few lifetimes at most.
        scan: What they are drawn beside.

    Returns:
        Those in the range of masses.

    Raises:
        InputError: They are in another unit, or for too many lifetimes.
    """
    left, right = ax.get_xlim()
    shown = [np.empty(0)]
    for limits, color in zip(published, cycle(_COLORS)):
        if len(limits.limits) > len(_LINES):
            raise InputError(
                f"{limits.name} has {len(limits.lifetimes)} lifetimes; choose one with .at(ctau)"
            )
        lifetimes: Iterable[float | None] = limits.lifetimes if len(limits.lifetimes) else [None]
        here = (limits.masses >= left) & (limits.masses <= right)
        for row, lifetime, line in zip(limits.limits, lifetimes, _LINES, strict=False):
            inside = row[here & np.isfinite(row)]
            label = label_of(limits, scan, lifetime)
            label += "" if len(inside) else "\n(no limit here)"
            ax.plot(limits.masses, row, color=color, linestyle=line, linewidth=1.4, label=label)
            shown.append(inside)
    return np.concatenate(shown)


def draw_against_lifetime(
    ax: Axes, published: Sequence[Published], scan: Scan, colors: Mapping[float, str]
) -> FloatArray:
    """Draw published limits on a plot of limits against lifetime; the range of lifetimes is set.

    Args:
        ax: The axes of the plot.
        published: The limits, for more than one lifetime.
        scan: What they are drawn beside, at one of its lifetimes.
        colors: Masses in GeV and their colours.

    Returns:
        Those in the range of lifetimes.

    Raises:
        InputError: They are in another unit.
    """
    left, right = ax.get_xlim()
    shown = [np.empty(0)]
    for limits, line in zip(published, cycle(_LINES[1:])):
        label = label_of(limits, scan)
        here = (limits.lifetimes >= left) & (limits.lifetimes <= right)
        look: dict[str, Any] = {"linestyle": line, "linewidth": 1.2, "zorder": 2}
        rows = limits.limits_at(list(colors)).T
        for row, (mass, color) in zip(rows, colors.items(), strict=True):
            ax.plot(
                limits.lifetimes[here],
                row[here],
                color=color,
                label=f"_{limits.name} at {mass:.4g} GeV",
                **look,
            )
        inside = rows[:, here]
        shown.append(inside[np.isfinite(inside)])
        label += "" if len(shown[-1]) else "\n(no limit here)"
        ax.plot([], [], color="0.3", label=label, **look)
    return np.concatenate(shown)


def label_of(limits: Published, scan: Scan, lifetime: float | None = None) -> str:
    """The entry of a legend: paper, level and lifetime, and what is limited if it is not the same.

    Args:
        limits: The published limits.
        scan: What they are drawn beside.
        lifetime: ctau in cm; None to leave it out.

    Raises:
        InputError: The published limits are in another unit.
    """
    if limits.poi_unit != scan.poi_unit:
        raise InputError(
            f"{limits.name}: its limits are on {limits.poi} [{limits.poi_unit or '1'}], not on "
            f"{scan.poi} [{scan.poi_unit or '1'}]; leave it out"
        )
    details = [f"{100 * limits.level:g} % CL"]
    if lifetime is not None:
        details.append("prompt" if lifetime == 0 else rf"$c\tau$ = {lifetime:.3g} cm")
    lines = [limits.citation, ", ".join(details)]
    if limits.poi_label != scan.poi_label:
        lines.append(f"on {limits.poi_label}")
    return "\n".join(lines)


def draw_notes(ax: Axes, published: Sequence[Published], note: str = "") -> None:
    """Say in small letters below the axes where published limits come from, and a note besides."""
    lines = [f"{limits.citation}: as in {limits.package}, {limits.origin}" for limits in published]
    lines = [*dict.fromkeys(lines), *([note] if note else [])]
    if lines:
        words = ax.text(
            0, -0.075, "\n".join(lines), transform=ax.transAxes, va="top", fontsize=_NOTE_SIZE
        )
        excess = words.get_window_extent().width / (_NOTE_WIDTH * ax.get_window_extent().width)
        words.set_fontsize(_NOTE_SIZE / max(1.0, excess, len(lines) / _NOTE_LINES))
