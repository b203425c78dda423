"""Plots of scans: limits and p-values against mass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from scipy.special import ndtr

from zfit_dark.errors import InputError
from zfit_dark.plot.published import draw_against_mass, draw_notes
from zfit_dark.plot.style import (
    BLUE,
    GREEN,
    RED,
    SHADE,
    TOP,
    YELLOW,
    FloatArray,
    check_size,
    draw_numbers,
    dress,
    fitting_legend,
    new_axes,
    shade,
    styled,
)
from zfit_dark.results import Published, Scan

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

_FEW = 60
"""Up to so many masses each one gets a marker."""
_PLAIN = 1e-3, 1e5
"""Limits that are written without a power of ten."""
_SMALLEST_P = 1e-100


@styled
def brazil(
    scan: Scan,
    ax: Axes | None = None,
    *,
    mass_label: str = r"$m_a$ [GeV]",
    beside: Sequence[Scan] = (),
    published: Sequence[Published] = (),
    note: str = "",
) -> Axes:
    """Upper limits against mass: observed, expected median and its 1 and 2 sigma bands.

    Lines break where masses were skipped; there the reason is shaded. Masses with a fit that did
    not converge, or with a warning, carry a red cross. A blind scan shows expected limits only.

    Published limits are named in the legend with paper, confidence level and lifetime, and what
    they are on if that is not the same; how the numbers were come by stands in small letters.

    Args:
        scan: The limits.
        ax: Axes to draw on; None makes a new figure.
        mass_label: Label of the mass axis.
        beside: Other limits on the same parameter, of which one line is drawn: the observed one, or
            the expected one if they are blind. The legend has their label.
        published: Limits of experiments to draw beside them, see `zfit_dark.published`.
        note: A line in small letters below the axes.

    Returns:
        The Axes.

    Raises:
        InputError: The scan holds no limit to draw; or published limits are in another unit, or
            for many lifetimes.
    """
    shown = scan.expected if scan.blind else np.column_stack([scan.observed, scan.expected])
    if not np.any(np.isfinite(shown) & (shown > 0)):
        raise InputError(f"the scan of {scan.poi} holds no limit to draw; scan other masses")
    check_size("limits", shown)
    ax = new_axes() if ax is None else ax
    dress(ax)
    for k, color, name in ((0, YELLOW, r"$\pm 2\sigma$"), (1, GREEN, r"$\pm 1\sigma$")):
        x, band = _broken(scan, scan.expected[:, [k, 4 - k]])
        ax.fill_between(
            x, band[:, 0], band[:, 1], color=color, linewidth=0, label=f"Expected {name}", zorder=1
        )
    x, median = _broken(scan, scan.expected[:, [2]])
    ax.plot(x, median[:, 0], "k--", linewidth=1.6, label="Expected, median", zorder=3)
    if not scan.blind:
        x, observed = _broken(scan, scan.observed[:, None])
        ax.plot(x, observed[:, 0], "k-", linewidth=1.8, label="Observed", zorder=4)
        if len(scan.masses) <= _FEW:
            ax.plot(scan.masses, scan.observed, "ko", markersize=5, label="_points", zorder=4)
    ax.set_yscale("log")
    ax.set_xlim(*_mass_range(scan))
    compared = []
    for k, other in enumerate(beside):
        x, line = _broken(other, (other.expected[:, 2] if other.blind else other.observed)[:, None])
        style = ("-.", ":")[k % 2]
        ax.plot(x, line[:, 0], style, color=BLUE, linewidth=1.6, label=other.poi_label, zorder=3)
        compared.append(line[np.isfinite(line) & (line > 0)])
    others = np.concatenate([*compared, draw_against_mass(ax, published, scan)])
    _draw_flagged(ax, scan, scan.expected[:, 2] if scan.blind else scan.observed)
    _draw_skipped(ax, scan)
    unit = f" [{scan.poi_unit}]" if scan.poi_unit else ""
    ax.set_xlabel(mass_label)
    ax.set_ylabel(rf"Upper limit on {scan.poi_label} at {_level(scan.level)}{unit}")
    order = ("Observed", "Expected, median", r"Expected $\pm 1\sigma$", r"Expected $\pm 2\sigma$")
    positive = np.concatenate([shown[np.isfinite(shown) & (shown > 0)], others])
    named = tuple(other.poi_label for other in beside)
    _finish(ax, scan, (*order, *named), positive.min() / 1.6, positive.max() * 1.15)
    low, high = ax.get_ylim()
    if _PLAIN[0] < low and high < _PLAIN[1]:
        draw_numbers(ax.yaxis, low, high)
    draw_notes(ax, published, note)
    return ax


@styled
def p_values(scan: Scan, ax: Axes | None = None, *, mass_label: str = r"$m_a$ [GeV]") -> Axes:
    """Local p-values of the data without signal against mass.

    Lines show 1 to 5 standard deviations. The smallest p-value of a fit that converged is named,
    with its significance there and anywhere in the scan, see ``Scan.global_significance``.

    Args:
        scan: The scan.
        ax: Axes to draw on; None makes a new figure.
        mass_label: Label of the mass axis.

    Returns:
        The Axes.

    Raises:
        InputError: The scan is blind or holds no p-value.
    """
    if scan.blind:
        raise InputError("a blind scan has no p-values to draw; unblind first")
    known = np.isfinite(scan.p0)
    if not np.any(known):
        raise InputError(f"the scan of {scan.poi} holds no p-value to draw")
    ax = new_axes() if ax is None else ax
    dress(ax)
    p0 = np.maximum(scan.p0, _SMALLEST_P)
    x, line = _broken(scan, p0[:, None])
    ax.plot(x, line[:, 0], "-", color=BLUE, linewidth=1.6, label=r"Local $p_0$", zorder=3)
    if len(scan.masses) <= _FEW:
        ax.plot(scan.masses, p0, "o", color=BLUE, markersize=5, label="_points", zorder=3)
    ax.set_yscale("log")
    ax.set_xlim(*_mass_range(scan))
    for z in range(1, 6):
        p = float(ndtr(-z))
        ax.axhline(p, color=RED, linestyle=":", linewidth=1.2, zorder=2, label=f"_{z} sigma")
        ax.text(
            1.012,
            p,
            rf"${z}\sigma$",
            color=RED,
            transform=ax.get_yaxis_transform(),
            va="center",
            fontsize=15,
        )
    _draw_flagged(ax, scan, p0)
    _draw_skipped(ax, scan)
    ax.set_xlabel(mass_label)
    ax.set_ylabel(r"Local $p_0$")
    low = min(float(p0[known].min()), float(ndtr(-5.0))) / 8
    _finish(ax, scan, (r"Local $p_0$",), low, 1.6)
    locator = MaxNLocator(8, integer=True, steps=[1, 2, 3, 5, 10])
    exponents = np.asarray(locator.tick_values(np.log10(low), 0))
    ax.set_yticks(10.0 ** exponents[(exponents <= 0) & (exponents > np.log10(low))])
    ax.minorticks_on()
    ax.tick_params(axis="y", which="minor", left=False, right=False)
    _name_smallest(ax, scan, p0, low)
    return ax


def _name_smallest(ax: Axes, scan: Scan, p0: FloatArray, low: float) -> None:
    candidates = np.flatnonzero(scan.valid & np.isfinite(scan.p0))
    if not len(candidates):
        return
    top = candidates[np.argmin(p0[candidates])]
    left, right = ax.get_xlim()
    at_right = scan.masses[top] < 0.5 * (left + right)
    found = scan.global_significance()
    text = rf"{scan.significance[top]:.1f}$\,\sigma$ local at {scan.masses[top]:.4g} GeV"
    text += "\n" + rf"{found.significance:.1f}$\,\sigma$ global (Gross$-$Vitells)"
    if found.toys:
        text += "\n" + rf"{found.toys_significance:.1f}$\,\sigma$ global ({found.toys} toys)"
    ax.annotate(
        text,
        (scan.masses[top], p0[top]),
        xytext=(28 if at_right else -28, 0 if p0[top] < 30 * low else -26),
        textcoords="offset points",
        ha="left" if at_right else "right",
        va="center",
        fontsize=15,
        arrowprops={"arrowstyle": "-", "linewidth": 1.0},
        bbox={"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"},
        zorder=TOP,
    )


def _mass_range(scan: Scan) -> tuple[float, float]:
    masses = np.array([*scan.masses, *(hypothesis.mass for hypothesis in scan.skipped)])
    check_size("masses", masses)
    low, high = masses.min(), masses.max()
    margin = 0.01 * (high - low) if high > low else 0.02 * abs(high) + 0.01
    return low - margin, high + margin


def _broken(scan: Scan, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Masses and values with a row of NaN wherever a line through them has to break.

    It breaks at values that are not finite and over skipped masses. A mass alone between two
    breaks becomes a short horizontal piece, so that it can be seen.

    Args:
        scan: The scan.
        values: Shape (n, c).

    Returns:
        Shapes (k,) and (k, c).
    """
    masses = scan.masses
    skipped = np.array([hypothesis.mass for hypothesis in scan.skipped])
    everything = np.sort(np.concatenate([masses, skipped]))
    low, high = _mass_range(scan)
    half = min(0.4 * np.min(np.diff(everything), initial=np.inf), 0.006 * (high - low))
    finite = np.flatnonzero(np.all(np.isfinite(values), axis=1))
    interval = np.searchsorted(skipped, masses[finite])
    breaks = (np.diff(finite) > 1) | (np.diff(interval) > 0)
    x: list[FloatArray] = []
    y: list[FloatArray] = []
    for run in np.split(finite, np.flatnonzero(breaks) + 1):
        if len(run) == 1:
            x.append(masses[run] + half * np.array([-1.0, 1.0]))
            y.append(np.repeat(values[run], 2, axis=0))
        else:
            x.append(masses[run])
            y.append(values[run])
        x.append(np.array([np.nan]))
        y.append(np.full((1, values.shape[1]), np.nan))
    return np.concatenate(x)[:-1], np.concatenate(y)[:-1]


def _skipped_bands(scan: Scan) -> Iterator[tuple[float, float, str]]:
    """(low, high, reason) of neighbouring masses that were skipped for the same reason.

    A band reaches half way to the next scanned mass, but never much beyond the masses that were
    skipped: a thinned-out scan must not make a veto look wider than it is.
    """
    rows = [(mass, "") for mass in scan.masses.tolist()]
    rows += [(hypothesis.mass, hypothesis.reason) for hypothesis in scan.skipped]
    rows.sort()
    left, right = _mass_range(scan)
    reach = 0.004 * (right - left)
    first = 0
    for i, (mass, reason) in enumerate(rows):
        if i + 1 < len(rows) and rows[i + 1][1] == reason:
            continue
        if reason:
            below = 0.5 * (rows[first][0] - rows[first - 1][0]) if first > 0 else reach
            above = 0.5 * (rows[i + 1][0] - mass) if i + 1 < len(rows) else reach
            yield rows[first][0] - min(below, reach), mass + min(above, reach), reason
        first = i + 1


def _draw_skipped(ax: Axes, scan: Scan) -> None:
    reasons: list[str] = []
    for low, high, reason in _skipped_bands(scan):
        label = f"_{reason}"
        if reason not in reasons:
            reasons.append(reason)
            label = f"Not scanned: {reason}"
        ax.axvspan(low, high, label=label, zorder=SHADE, **shade(reasons.index(reason)))


def _draw_flagged(ax: Axes, scan: Scan, values: FloatArray) -> None:
    """A cross on each flagged mass; on the lower edge where there is no value to put it on."""
    flagged = scan.flagged
    on_curve = flagged & np.isfinite(values)
    on_edge = flagged & ~np.isfinite(values)
    look: dict[str, Any] = {
        "color": RED,
        "linestyle": "none",
        "marker": "X",
        "markersize": 9,
        "zorder": 5,
    }
    look |= {"markeredgecolor": "white", "markeredgewidth": 0.8}
    n = int(np.sum(flagged))
    label = f"Not converged or warning ({n})"
    if np.any(on_curve):
        ax.plot(scan.masses[on_curve], values[on_curve], label=label, **look)
        label = "_flagged, no value"
    if np.any(on_edge):
        ax.plot(
            scan.masses[on_edge],
            np.full(int(np.sum(on_edge)), 0.02),
            transform=ax.get_xaxis_transform(),
            label=label,
            **look,
        )


def _finish(ax: Axes, scan: Scan, order: tuple[str, ...], low: float, high: float) -> None:
    """Text and legend at the top, and a y range that keeps the curves below them."""
    words = ["Pseudo-data"] if scan.pseudo_data else []
    words += ["Blind: expected only"] if scan.blind else []
    if words:
        ax.text(
            0.025,
            0.965,
            "\n".join(words),
            transform=ax.transAxes,
            va="top",
            ha="left",
            fontsize=20,
            fontweight="bold",
            zorder=TOP,
        )
    handles, labels = ax.get_legend_handles_labels()
    rank = {label: k for k, label in enumerate(order)}
    entries = sorted(
        zip(labels, handles, strict=True), key=lambda entry: rank.get(entry[0], len(rank))
    )
    figure = ax.figure.canvas.figure
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
    taken = max((text.get_window_extent().width for text in _top_texts(ax)), default=0.0)
    legend = fitting_legend(
        lambda size: ax.legend(
            [handle for _, handle in entries],
            [label for label, _ in entries],
            loc="upper right",
            ncols=2 if len(entries) > 3 else 1,
            fontsize=size,
        ),
        available=0.95 * ax.get_window_extent().width - taken,
    )
    legend.set_zorder(TOP)
    ax.set_ylim(low, high)
    _make_room(ax, low, high)


def _top_texts(ax: Axes) -> list[Text]:
    return [text for text in ax.texts if text.get_zorder() == TOP]


def _make_room(ax: Axes, low: float, high: float) -> None:
    """Keep everything between `low` and `high` (logarithmic y axis) below legend and texts."""
    legend = ax.get_legend()
    boxes = [text.get_window_extent() for text in _top_texts(ax)]
    boxes += [legend.get_window_extent()] if legend is not None else []
    bottom = min(ax.transAxes.inverted().transform((box.x0, box.y0))[1] for box in boxes)
    free = max(bottom - 0.02, 0.3)
    ax.set_ylim(low, low * (high / low) ** (1 / free))
    for patch in ax.patches:
        if isinstance(patch, Rectangle) and patch.get_zorder() == SHADE:
            patch.set_height(free)
    label = ax.yaxis.label
    excess = label.get_window_extent().height / ax.get_window_extent().height
    label.set_fontsize(label.get_fontproperties().get_size_in_points() / max(1.0, excess))


def _level(level: float) -> str:
    return rf"{100 * level:g} % CL (CL$_\mathrm{{s}}$)"
