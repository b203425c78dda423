"""Plots of long-lived particles: excluded couplings, and limits against lifetime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullFormatter

from zfit_dark.errors import InputError
from zfit_dark.plot.published import draw_against_lifetime, draw_notes
from zfit_dark.plot.scans import _draw_skipped, _finish, _level, _mass_range, _skipped_bands
from zfit_dark.plot.style import (
    BLUE,
    RED,
    SHADE,
    STYLE,
    FloatArray,
    check_size,
    dress,
    fitting_legend,
    new_axes,
    shade,
    styled,
)
from zfit_dark.results import (
    Exclusion,
    Interval,
    LifetimeScan,
    Plane,
    Published,
    Scan,
    Skipped,
)
from zfit_dark.results.checks import BoolArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_Region = Sequence[tuple[Interval, ...]]
_Piece = tuple[tuple[float, float], tuple[float, float]]

_FILL = "#c9daf3"
_COLORS = ("#7b3294", "#e08214", "#1b9e77", "#a6761d", BLUE, "#666666")
_FEW = 100
"""More crosses than that are small ones."""
_WHY_FLAGGED = "Not converged or warning"
_LIFETIME_LABEL = r"$c\tau$ [cm]"
_FARTHEST = 5.0
"""A cell reaches at most so many times further to one side than to the other."""


# -- couplings ------------------------------------------------------------------------------


@styled
def exclusion(
    exclusion: Exclusion,
    ax: Axes | None = None,
    *,
    others: Sequence[tuple[str, Exclusion]] = (),
    log_mass: bool = False,
    mass_label: str = r"$m_S$ [GeV]",
) -> Axes:
    """Excluded couplings against mass.

    The observed region is filled, one rectangle a mass. A solid line is an edge where theory and
    limit are equal; a dotted one is where the lifetimes (or the couplings) that were looked at end,
    and no limit. The median expected region has a dashed edge, which is left open there. Masses
    that were skipped are shaded with the reason; those with a limit that is not valid carry a red
    cross. A blind exclusion shows the expected region only.

    Args:
        exclusion: The excluded couplings.
        ax: Axes to draw on; None makes a new figure.
        others: (label, exclusion) of further ones, drawn by their outlines.
        log_mass: Whether the mass axis is logarithmic.
        mass_label: Label of the mass axis.

    Returns:
        The Axes.

    Raises:
        InputError: Nothing is excluded, another one is on another coupling, or a mass is not
            positive on a logarithmic axis.
    """
    _check_comparable(exclusion, others)
    drawn = [exclusion, *(other for _, other in others)]
    everything = [interval for one in drawn for interval in _all(one)]
    if not everything or not len(exclusion.masses):
        raise InputError(f"no {exclusion.coupling} is excluded at any mass; there is no plot")
    frame = _frame(exclusion)
    mass_range = _log_range(exclusion) if log_mass else _mass_range(frame)
    ax = _new_axes_with_title() if ax is None else ax
    dress(ax)
    ax.set_yscale("log")
    if log_mass:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
    _draw_region(ax, exclusion)
    for (label, other), color in zip(others, cycle(_COLORS)):
        _draw_other(ax, _with_level(label, other, exclusion), other, color)
    _draw_flagged(ax, exclusion.masses, _lowest(exclusion), exclusion.flagged, "Limits not valid")
    _draw_skipped(ax, frame)
    ax.set_xlim(*mass_range)
    unit = f" [{exclusion.coupling_unit}]" if exclusion.coupling_unit else ""
    ax.set_xlabel(mass_label)
    ax.set_ylabel(f"{exclusion.coupling_label}{unit}")
    title = ax.set_title(exclusion.model, loc="left", fontsize=15)
    excess = title.get_window_extent().width / ax.get_window_extent().width
    title.set_fontsize(15 / max(1.0, excess))
    bottom = min(interval.low for interval in everything)
    top = max(interval.high for interval in everything)
    _finish(ax, frame, (), bottom / 1.6, top * 1.3)
    return ax


def _frame(result: Exclusion | LifetimeScan) -> Any:
    """A result that has what the frame of a scan's plot needs of a scan."""
    return result


def _new_axes_with_title() -> Axes:
    ax = new_axes()
    ax.figure.canvas.figure.subplots_adjust(top=0.945)
    return ax


def _all(exclusion: Exclusion) -> list[Interval]:
    """All intervals of an exclusion."""
    regions = (exclusion.observed, exclusion.expected)
    return [interval for region in regions for intervals in region for interval in intervals]


def _shown(exclusion: Exclusion) -> _Region:
    return exclusion.expected if exclusion.blind else exclusion.observed


def _lowest(exclusion: Exclusion) -> FloatArray:
    """The lowest edge at each mass, NaN if there is none."""
    return np.array([i[0].low if i else np.nan for i in _shown(exclusion)], dtype=np.float64)


def _check_comparable(exclusion: Exclusion, others: Sequence[tuple[str, Exclusion]]) -> None:
    for label, other in others:
        if (other.coupling, other.coupling_unit) != (exclusion.coupling, exclusion.coupling_unit):
            raise InputError(
                f"{label}: its coupling is {other.coupling}, not {exclusion.coupling}; "
                "compare exclusions of the same one"
            )


def _log_range(exclusion: Exclusion) -> tuple[float, float]:
    masses = [*exclusion.masses, *(hypothesis.mass for hypothesis in exclusion.skipped)]
    if min(masses) <= 0:
        raise InputError("not all masses are positive; draw with log_mass=False")
    return 0.98 * min(masses), 1.02 * max(masses)


def _with_level(label: str, other: Exclusion | Plane, exclusion: Exclusion | Plane) -> str:
    """The label of another exclusion, with what sets it apart from the main one."""
    notes = [f"{100 * other.level:g} % CL"] if other.level != exclusion.level else []
    notes += ["pseudo-data"] if other.pseudo_data and not exclusion.pseudo_data else []
    notes += ["expected"] if other.blind and not exclusion.blind else []
    return f"{label} ({', '.join(notes)})" if notes else label


def _draw_region(ax: Axes, exclusion: Exclusion) -> None:
    """The observed region with its edges, and the edges of the expected one."""
    cells = _cells(exclusion.masses, exclusion.skipped)
    crossings, ends = _outline(cells, _shown(exclusion), exclusion.valid)
    at = _level(exclusion.level)
    if not exclusion.blind:
        fill = PolyCollection(
            _rectangles(cells, exclusion.observed),
            facecolor=_FILL,
            edgecolor=_FILL,
            linewidth=0.4,
            label=f"Excluded at {at}",
            zorder=1,
        )
        ax.add_collection(fill)
        ax.plot(*_joined(crossings), "-", color=BLUE, linewidth=1.1, label="_edge", zorder=3)
    expected, _ = _outline(cells, exclusion.expected, exclusion.valid)
    label = f"Expected at {at}, median" if exclusion.blind else "Expected, median"
    ax.plot(*_joined(expected), "k--", linewidth=1.4, label=label, zorder=4)
    if ends:
        label = "End of what was scanned, no limit"
        ax.plot(*_joined(ends), ":", color="0.4", linewidth=2.0, label=label, zorder=3)


def _draw_other(ax: Axes, label: str, other: Exclusion, color: str) -> None:
    cells = _cells(other.masses, other.skipped)
    crossings, ends = _outline(cells, _shown(other), other.valid)
    ax.plot(*_joined(crossings), "-", color=color, linewidth=1.4, label=label, zorder=3)
    ax.plot(*_joined(ends), ":", color=color, linewidth=2.0, label=f"_ends of {label}", zorder=3)


def _cells(masses: FloatArray, skipped: Sequence[Skipped]) -> FloatArray:
    """Left and right end of the cell of each mass, shape (n, 2).

    A cell reaches half way to the neighbours of its mass, scanned or skipped, but not across the
    gap at the end of a range.
    """
    every = np.sort([*masses, *(hypothesis.mass for hypothesis in skipped)])
    if len(every) < 2:
        return np.outer(masses, [0.99, 1.01])
    halves = 0.5 * np.diff(every)
    left, right = np.r_[halves[0], halves], np.r_[halves, halves[-1]]
    middles = every[:-1] + halves
    edges = np.r_[every[0] - left[0], middles, every[-1] + right[-1]]
    nearer = _FARTHEST * np.minimum(left, right)
    cells = np.column_stack(
        [
            np.where(left > nearer, every - nearer, edges[:-1]),
            np.where(right > nearer, every + nearer, edges[1:]),
        ]
    )
    return cells[np.searchsorted(every, masses)]


def _rectangles(cells: FloatArray, region: _Region) -> list[FloatArray]:
    """The corners of a rectangle for each interval, shape (4, 2)."""
    return [
        np.array([(left, i.low), (right, i.low), (right, i.high), (left, i.high)])
        for (left, right), intervals in zip(cells, region, strict=True)
        for i in intervals
    ]


def _outline(
    cells: FloatArray, region: _Region, valid: BoolArray
) -> tuple[list[_Piece], list[_Piece]]:
    """The outline of a region, in pieces: those that are crossings, and the others.

    A step between neighbouring masses is a crossing if both its ends are. The region stays open
    where a mass has no neighbour, or one without intervals since its limits are not valid.
    """
    pieces: tuple[list[_Piece], list[_Piece]] = ([], [])
    for (left, right), intervals in zip(cells.tolist(), region, strict=True):
        for edge, is_crossing in _edges(intervals):
            pieces[not is_crossing].append(((left, edge), (right, edge)))
    known = [bool(is_valid or intervals) for is_valid, intervals in zip(valid, region, strict=True)]
    for i, (one, other) in enumerate(pairwise(region)):
        x = float(cells[i, 1])
        if x != cells[i + 1, 0] or not (known[i] and known[i + 1]):
            continue
        for (low, first), (high, second) in pairwise(sorted({*_edges(one), *_edges(other)})):
            middle = 0.5 * (low + high)
            if low < high and _holds(one, middle) != _holds(other, middle):
                pieces[not (first and second)].append(((x, low), (x, high)))
    return pieces


def _edges(intervals: tuple[Interval, ...]) -> Iterator[tuple[float, bool]]:
    """The edges of intervals, and whether they are crossings."""
    for interval in intervals:
        yield interval.low, interval.low_is_crossing
        yield interval.high, interval.high_is_crossing


def _holds(intervals: tuple[Interval, ...], value: float) -> bool:
    return any(interval.low < value < interval.high for interval in intervals)


def _joined(pieces: Sequence[_Piece]) -> tuple[FloatArray, FloatArray]:
    """X and y of lines through pieces that share an end, with NaN between the lines."""
    lines: dict[tuple[float, float], list[tuple[float, float]]] = {}
    closed = []
    for start, stop in pieces:
        before, after = lines.pop(start, [start]), lines.pop(stop, [stop])
        if before is after:
            closed.append([*before, before[0]])
            continue
        before = before if before[-1] == start else before[::-1]
        after = after if after[0] == stop else after[::-1]
        line = before + after
        lines[line[0]] = lines[line[-1]] = line
    opened = {id(line): line for line in lines.values()}.values()
    points = [point for line in (*opened, *closed) for point in (*line, (np.nan, np.nan))]
    x, y = np.array(points[:-1], dtype=np.float64).reshape(-1, 2).T
    return x, y


def _draw_flagged(ax: Axes, x: FloatArray, y: FloatArray, flagged: BoolArray, why: str) -> None:
    """A cross on each flagged point; on the lower edge where there is no value to put it on."""
    label = f"{why} ({int(np.sum(flagged))})"
    size, rim = (8.0, 0.8) if np.sum(flagged) <= _FEW else (3.0, 0.0)
    known = np.isfinite(y)
    places = (
        (flagged & known, y, ax.transData),
        (flagged & ~known, np.full(len(x), 0.02), ax.get_xaxis_transform()),
    )
    for among, height, transform in places:
        if np.any(among):
            ax.plot(
                x[among],
                height[among],
                transform=transform,
                label=label,
                color=RED,
                linestyle="none",
                marker="X",
                markersize=size,
                markeredgecolor="white",
                markeredgewidth=rim,
                zorder=5,
            )
            label = "_flagged, no value"


# -- lifetimes ------------------------------------------------------------------------------


@styled
def lifetimes(
    result: LifetimeScan,
    channel: str,
    ax: Axes | None = None,
    *,
    mass_label: str = r"$m_S$ [GeV]",
) -> Axes:
    """Upper limits of a channel against mass and lifetime, as a map of colours.

    The limits are the observed ones, or the median expected ones of a blind scan. Masses that were
    skipped are grey, with the reason; where there is no limit the plot is white. Limits that are
    not valid, or carry a warning, have a red cross; if most of them do, the header says so instead.

    Args:
        result: The limits.
        channel: Name of the channel.
        ax: Axes to draw on, which give room to a bar of colours and need some above them; None
            makes a new figure.
        mass_label: Label of the mass axis.

    Returns:
        The Axes of the map.

    Raises:
        InputError: There is no such channel, or it holds no limit to draw.
    """
    scans = [result.at(channel, lifetime) for lifetime in result.lifetimes]
    limits = np.concatenate([_limits(scan) for scan in scans])
    drawn = np.isfinite(limits) & (limits > 0)
    if not np.any(drawn):
        raise InputError(f"{channel} holds no limit to draw; choose another channel")
    check_size("limits", limits)
    check_size("lifetimes", result.lifetimes)
    for scan in scans:
        check_size("masses", [*scan.masses, *(hypothesis.mass for hypothesis in scan.skipped)])
    place: dict[str, Any] = {"ax": ax}
    if ax is None:
        figure = Figure(figsize=(10, 7))
        ax = figure.add_axes((0.115, 0.115, 0.70, 0.755))
        place = {"cax": figure.add_axes((0.83, 0.115, 0.025, 0.755))}
    dress(ax)
    ax.set_yscale("log")
    rows = _rows(result.lifetimes)
    corners = [
        np.array([(left, low), (right, low), (right, high), (left, high)])
        for scan, (low, high) in zip(scans, rows, strict=True)
        for left, right in _cells(scan.masses, scan.skipped)
    ]
    cells = PolyCollection(
        [corner for corner, is_drawn in zip(corners, drawn, strict=True) if is_drawn],
        array=limits[drawn],
        norm=LogNorm(),
        cmap="viridis",
        edgecolor="face",
        linewidth=0.2,
        rasterized=True,
        label="_limits",
        zorder=1,
    )
    ax.add_collection(cells)
    _draw_skipped_rows(ax, scans, rows)
    masses = np.concatenate([scan.masses for scan in scans])
    heights = np.repeat(result.lifetimes, [len(scan.masses) for scan in scans])
    flagged = np.concatenate([scan.flagged for scan in scans])
    most = 2 * np.sum(flagged) > len(flagged)
    if not most:
        _draw_flagged(ax, masses, heights, flagged, _WHY_FLAGGED)
    left_out = [hypothesis.mass for scan in scans for hypothesis in scan.skipped]
    ax.set_xlim(min([*masses, *left_out]), max([*masses, *left_out]))
    ax.set_ylim(rows[0, 0], rows[-1, 1])
    ax.set_xlabel(mass_label)
    ax.set_ylabel(_LIFETIME_LABEL)
    bar = ax.figure.colorbar(cells, **place)
    bar.ax.tick_params(labelsize=16, labelfontfamily=STYLE["font.family"])
    limited, _, at_level = _limit_label(scans[0]).rpartition(" at ")
    bar.set_label(f"{limited}\nat {at_level}", loc="center", fontsize=15)
    many = f"{int(np.sum(flagged))} of {len(flagged)} limits: {_WHY_FLAGGED.lower()}"
    _draw_header(ax, channel, result, flagged=many if most else "")
    return ax


def _limits(scan: Scan) -> FloatArray:
    """The limits that a plot shows, NaN where they are not valid."""
    limits = scan.expected[:, 2] if scan.blind else scan.observed
    return np.where(scan.valid, limits, np.nan)


def _limit_label(scan: Scan) -> str:
    unit = f" [{scan.poi_unit}]" if scan.poi_unit else ""
    return f"Upper limit on {scan.poi_label} at {_level(scan.level)}{unit}"


def _rows(lifetimes: FloatArray) -> FloatArray:
    """Lower and upper end of the row of each lifetime, half way on a logarithmic axis, (k, 2)."""
    logs = np.log(lifetimes)
    halves = 0.5 * np.diff(logs) if len(logs) > 1 else np.array([0.1])
    edges = np.r_[logs[0] - halves[0], logs[:-1] + halves[: len(logs) - 1], logs[-1] + halves[-1]]
    rows: FloatArray = np.exp(np.column_stack([edges[:-1], edges[1:]]))
    return rows


def _draw_skipped_rows(ax: Axes, scans: Sequence[Scan], rows: FloatArray) -> None:
    reasons: list[str] = []
    for scan, (bottom, top) in zip(scans, rows, strict=True):
        for low, high, reason in _skipped_bands(scan) if scan.skipped else ():
            label = f"_{reason}"
            if reason not in reasons:
                reasons.append(reason)
                label = f"Not scanned: {reason}"
            look = shade(reasons.index(reason))
            corner, width, height = (low, bottom), high - low, top - bottom
            ax.add_patch(Rectangle(corner, width, height, label=label, zorder=SHADE, **look))


def _draw_header(ax: Axes, channel: str, result: LifetimeScan, *, flagged: str = "") -> None:
    """Channel and kind of data, and a legend if there is something to say, above the axes."""
    words = ["Pseudo-data"] if result.pseudo_data else []
    words += ["Blind: expected only"] if result.blind else []
    handles, labels = ax.get_legend_handles_labels()
    height = 1.07 if handles else 1.015
    look: dict[str, Any] = {"transform": ax.transAxes, "va": "bottom", "fontsize": 17}
    ax.text(0, height, channel, **look)
    ax.text(1, height, ", ".join(words), ha="right", fontweight="bold", **look)
    ax.text(0.5, height, flagged, color=RED, ha="center", **look | {"fontsize": 12})
    if handles:
        fitting_legend(
            lambda size: ax.legend(
                handles,
                labels,
                loc="lower left",
                bbox_to_anchor=(0, 1),
                borderaxespad=0.3,
                borderpad=0,
                ncols=len(labels),
                fontsize=size,
            ),
            available=ax.get_window_extent().width,
        )


@styled
def against_lifetime(
    result: LifetimeScan,
    channel: str,
    masses: Sequence[float],
    ax: Axes | None = None,
    *,
    published: Sequence[Published] = (),
) -> Axes:
    """Upper limits of a channel against lifetime, for some masses.

    Each mass has a colour; observed limits are solid, median expected ones dashed, and alone if
    the scan is blind. Limits that are not valid, or carry a warning, have a red cross. Published
    limits are thin lines of the same colours, and named as `brazil` does.

    Args:
        result: The limits.
        channel: Name of the channel.
        masses: Masses of the channel in GeV.
        ax: Axes to draw on; None makes a new figure.
        published: Limits of experiments to draw beside them, see `zfit_dark.published`.

    Returns:
        The Axes.

    Raises:
        InputError: There is no such channel, a mass was not scanned, there is no limit to draw, or
            published limits are in another unit.
    """
    expected = [result.expected_at(channel, mass)[:, 2] for mass in masses]
    shown = expected if result.blind else [result.limits_at(channel, mass) for mass in masses]
    everything = np.ravel([*expected, *shown])
    positive = everything[np.isfinite(everything) & (everything > 0)]
    if not len(positive):
        raise InputError(f"{channel} holds no limit to draw at these masses; choose others")
    ax = _new_axes_with_title() if ax is None else ax
    dress(ax)
    ax.set_xscale("log")
    ax.set_yscale("log")
    for mass, median, limits, color in zip(masses, expected, shown, cycle(_COLORS)):
        label = f"{mass:.4g} GeV"
        solid: dict[str, Any] = {"color": color, "marker": "o", "markersize": 5, "zorder": 4}
        if not result.blind:
            ax.plot(result.lifetimes, limits, "-", linewidth=1.8, label=label, **solid)
            label = f"_expected at {label}"
        ax.plot(result.lifetimes, median, "--", color=color, linewidth=1.6, label=label, zorder=3)
    if not result.blind:
        ax.plot([], [], "-", color="0.3", linewidth=1.8, label="Observed")
    ax.plot([], [], "--", color="0.3", linewidth=1.6, label="Expected, median")
    ax.set_xlim(result.lifetimes[0] / 1.5, result.lifetimes[-1] * 1.5)
    first = result.at(channel, result.lifetimes[0])
    others = draw_against_lifetime(ax, published, first, dict(zip(masses, cycle(_COLORS))))
    positive = np.concatenate([positive, others])
    flagged = np.concatenate([result.flagged_at(channel, mass) for mass in masses])
    _draw_flagged(
        ax, np.tile(result.lifetimes, len(masses)), np.ravel(shown), flagged, _WHY_FLAGGED
    )
    ax.set_xlabel(_LIFETIME_LABEL)
    ax.set_ylabel(_limit_label(first))
    ax.set_title(channel, loc="left", fontsize=17)
    _finish(ax, _frame(result), (), positive.min() / 1.6, positive.max() * 1.3)
    draw_notes(ax, published)
    return ax
