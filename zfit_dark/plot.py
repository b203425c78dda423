"""Plots of scans and fits, from result objects only.

Every function draws on an Axes or Figure of its own unless one is given, returns it, and leaves
matplotlib's global state alone. ``axes.figure.savefig("limit.pdf")`` writes a plot to a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from scipy.special import gammaincinv, ndtr

from zfit_dark.errors import InputError
from zfit_dark.results import ChannelFit, Fit, Scan

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend
    from matplotlib.text import Text

__all__ = ["brazil", "fit", "p_values"]

FloatArray = npt.NDArray[np.float64]
_P = ParamSpec("_P")
_R = TypeVar("_R")

_GREEN, _YELLOW, _RED, _BLUE = "#00cc00", "#ffcc00", "#d62728", "#1f5fbf"
_VETO_FACES = ("0.80", "0.90")
_VETO_HATCHES = ("", "////", "\\\\\\\\", "....", "xxxx")
_SHADE, _TOP = 0.5, 6
_FEW = 60
"""Up to so many masses each one gets a marker."""
_SMALLEST_P = 1e-100
_FREE = 0.69
"""The curves of a fit stay below this fraction of the axes."""
_NOT_CONVERGED = "Fit not converged"
_ONE_SIGMA = 0.6826894921370859
_STYLE: dict[str, Any] = {
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


def _styled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run a plot function within the style of these plots."""

    @wraps(function)
    def styled(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        import mplhep

        style: dict[Any, Any] = {**mplhep.style.ROOT, **_STYLE}
        with rc_context(style):
            return function(*args, **kwargs)

    return styled


# -- scans ----------------------------------------------------------------------------------


@_styled
def brazil(scan: Scan, ax: Axes | None = None, *, mass_label: str = r"$m_a$ [GeV]") -> Axes:
    """Upper limits against mass: observed, expected median and its 1 and 2 sigma bands.

    Lines break where masses were skipped; there the reason is shaded. Masses with a fit that did
    not converge, or with a warning, carry a red cross. A blind scan shows expected limits only.

    Args:
        scan: The limits.
        ax: Axes to draw on; None makes a new figure.
        mass_label: Label of the mass axis.

    Returns:
        The Axes.

    Raises:
        InputError: The scan holds no limit to draw.
    """
    shown = scan.expected if scan.blind else np.column_stack([scan.observed, scan.expected])
    if not np.any(np.isfinite(shown) & (shown > 0)):
        raise InputError(f"the scan of {scan.poi} holds no limit to draw; scan other masses")
    ax = _new_axes() if ax is None else ax
    _dress(ax)
    for k, color, name in ((0, _YELLOW, r"$\pm 2\sigma$"), (1, _GREEN, r"$\pm 1\sigma$")):
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
    _draw_flagged(ax, scan, scan.expected[:, 2] if scan.blind else scan.observed)
    _draw_skipped(ax, scan)
    unit = f" [{scan.poi_unit}]" if scan.poi_unit else ""
    ax.set_xlabel(mass_label)
    ax.set_ylabel(rf"Upper limit on {scan.poi_label} at {_level(scan.level)}{unit}")
    order = ("Observed", "Expected, median", r"Expected $\pm 1\sigma$", r"Expected $\pm 2\sigma$")
    positive = shown[np.isfinite(shown) & (shown > 0)]
    _finish(ax, scan, order, positive.min() / 1.6, positive.max() * 1.15)
    return ax


@_styled
def p_values(scan: Scan, ax: Axes | None = None, *, mass_label: str = r"$m_a$ [GeV]") -> Axes:
    """Local p-values of the data without signal against mass.

    Lines show 1 to 5 standard deviations; the smallest p-value of a fit that converged is named.

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
    ax = _new_axes() if ax is None else ax
    _dress(ax)
    p0 = np.maximum(scan.p0, _SMALLEST_P)
    x, line = _broken(scan, p0[:, None])
    ax.plot(x, line[:, 0], "-", color=_BLUE, linewidth=1.6, label=r"Local $p_0$", zorder=3)
    if len(scan.masses) <= _FEW:
        ax.plot(scan.masses, p0, "o", color=_BLUE, markersize=5, label="_points", zorder=3)
    ax.set_yscale("log")
    ax.set_xlim(*_mass_range(scan))
    for z in range(1, 6):
        p = float(ndtr(-z))
        ax.axhline(p, color=_RED, linestyle=":", linewidth=1.2, zorder=2, label=f"_{z} sigma")
        ax.text(
            1.012,
            p,
            rf"${z}\sigma$",
            color=_RED,
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
    ax.annotate(
        rf"{scan.significance[top]:.1f}$\,\sigma$ local at {scan.masses[top]:.4g} GeV",
        (scan.masses[top], p0[top]),
        xytext=(28 if at_right else -28, 0 if p0[top] < 30 * low else -26),
        textcoords="offset points",
        ha="left" if at_right else "right",
        va="center",
        fontsize=15,
        arrowprops={"arrowstyle": "-", "linewidth": 1.0},
        bbox={"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"},
        zorder=_TOP,
    )


def _new_axes() -> Axes:
    figure = Figure(figsize=(10, 7))
    figure.subplots_adjust(left=0.125, right=0.955, bottom=0.115, top=0.985)
    return figure.add_subplot()


def _dress(ax: Axes) -> None:
    """Fix on the axes what matplotlib would look up in the style when it draws ticks later."""
    ax.tick_params(
        which="both", direction="in", top=True, right=True, labelfontfamily=_STYLE["font.family"]
    )
    ax.tick_params(which="major", length=9, width=1.3, labelsize=16, pad=6)
    ax.tick_params(which="minor", length=4.5, width=1.0)


def _mass_range(scan: Scan) -> tuple[float, float]:
    masses = np.array([*scan.masses, *(hypothesis.mass for hypothesis in scan.skipped)])
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
        ax.axvspan(low, high, label=label, zorder=_SHADE, **_shade(reasons.index(reason)))


def _shade(k: int) -> dict[str, Any]:
    """The look of the k-th reason why a region is left out."""
    return {
        "facecolor": _VETO_FACES[k % len(_VETO_FACES)],
        "hatch": _VETO_HATCHES[k % len(_VETO_HATCHES)],
        "edgecolor": "0.45",
        "linewidth": 0,
    }


def _draw_flagged(ax: Axes, scan: Scan, values: FloatArray) -> None:
    """A cross on each flagged mass; on the lower edge where there is no value to put it on."""
    flagged = scan.flagged
    on_curve = flagged & np.isfinite(values)
    on_edge = flagged & ~np.isfinite(values)
    look: dict[str, Any] = {
        "color": _RED,
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
            zorder=_TOP,
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
    legend = _fitting_legend(
        lambda size: ax.legend(
            [handle for _, handle in entries],
            [label for label, _ in entries],
            loc="upper right",
            ncols=2 if len(entries) > 3 else 1,
            fontsize=size,
        ),
        available=0.95 * ax.get_window_extent().width - taken,
    )
    legend.set_zorder(_TOP)
    ax.set_ylim(low, high)
    _make_room(ax, low, high)


def _top_texts(ax: Axes) -> list[Text]:
    return [text for text in ax.texts if text.get_zorder() == _TOP]


def _fitting_legend(make: Callable[[float], Legend], available: float) -> Legend:
    """The legend of `make` (given a font size), smaller if it is wider than `available` pixels."""
    size = float(_STYLE["legend.fontsize"])
    legend = make(size)
    excess = legend.get_window_extent().width / available
    if excess <= 1:
        return legend
    legend.remove()
    return make(size / excess)


def _make_room(ax: Axes, low: float, high: float) -> None:
    """Keep everything between `low` and `high` (logarithmic y axis) below legend and texts."""
    legend = ax.get_legend()
    boxes = [text.get_window_extent() for text in _top_texts(ax)]
    boxes += [legend.get_window_extent()] if legend is not None else []
    bottom = min(ax.transAxes.inverted().transform((box.x0, box.y0))[1] for box in boxes)
    free = max(bottom - 0.02, 0.3)
    ax.set_ylim(low, low * (high / low) ** (1 / free))
    for patch in ax.patches:
        if isinstance(patch, Rectangle) and patch.get_zorder() == _SHADE:
            patch.set_height(free)
    label = ax.yaxis.label
    excess = label.get_window_extent().height / ax.get_window_extent().height
    label.set_fontsize(label.get_fontproperties().get_size_in_points() / max(1.0, excess))


def _level(level: float) -> str:
    return rf"{100 * level:g} % CL (CL$_\mathrm{{s}}$)"


# -- fits -----------------------------------------------------------------------------------


@_styled
def fit(result: Fit, *, observable_label: str = "Mass [GeV]") -> Figure:
    r"""The fit of every channel: data with 68 % Poisson intervals, curves, and pulls.

    The pull of a bin is (n - nu)/sqrt(nu), n the counts and nu the fitted expectation. Counts
    and curves are per width of a typical bin; a bin that a hole cuts is scaled from what is left
    of its width, and shows only its pull if that is less than a fifth. In a blind fit the blind
    region stays empty, and neither a best fit nor a curve with signal is shown.

    Args:
        result: The fit.
        observable_label: Label of the mass axis of the data.

    Returns:
        A Figure with two Axes per channel, data above pulls, in the order of the channels.

    Raises:
        InputError: The fit has no channels.
    """
    n = len(result.channels)
    if n == 0:
        raise InputError(f"the fit at {result.mass:g} GeV has no channels to draw")
    columns = 1 if n == 1 else 2
    rows = -(-n // columns)
    width, height = 9.0 * columns, 1.3 + 5.8 * rows
    figure = Figure(figsize=(width, height))
    grid = figure.add_gridspec(
        rows,
        columns,
        left=0.95 / width,
        right=1 - 0.3 / width,
        bottom=0.8 / height,
        top=1 - 1.2 / height,
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
    _draw_header(figure, result)
    return figure


def _draw_header(figure: Figure, result: Fit) -> None:
    """One line with hypothesis and best fit, one with the legend."""
    width, height = figure.get_size_inches()
    unit = f" {result.poi_unit}" if result.poi_unit else ""
    text = f"Hypothesis at {result.mass:.4g} GeV"
    if np.isfinite(result.poi_hat):
        value = _measurement(result.poi_hat, result.poi_error)
        text += f":  {result.poi_label} = {value}{unit}"
    figure.text(0.95 / width, 1 - 0.38 / height, text, va="center", fontsize=18)
    handles: dict[str, Any] = {}
    for ax in figure.axes:
        for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    data = "Pseudo-data" if result.pseudo_data else "Data"
    handles = {name: handles[name] for name in sorted(handles, key=lambda name: name != data)}
    _fitting_legend(
        lambda size: figure.legend(
            handles.values(),
            handles.keys(),
            loc="center left",
            bbox_to_anchor=(0.95 / width, 1 - 0.85 / height),
            ncols=len(handles),
            borderpad=0,
            borderaxespad=0,
            fontsize=size,
        ),
        available=figure.bbox.width * (1 - 1.25 / width),
    )


def _draw_data(ax: Axes, channel: ChannelFit, result: Fit) -> None:
    _dress(ax)
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
    curves = [(channel.background, "--", _BLUE, "Background")]
    if not result.blind:
        curves.append((channel.total, "-", _RED, "Signal + background"))
    peak = float(np.max(high * scale, initial=1.0))
    for density, line, color, name in curves:
        y = np.where(inside, density * typical, np.nan)
        ax.plot(channel.x, y, line, color=color, linewidth=1.8, label=name, zorder=3)
        peak = max(peak, float(np.nanmax(y, initial=0.0)))
    ax.set_xlim(*channel.window)
    ax.set_ylim(0, peak / _FREE)
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set_ylabel(f"Candidates / ({_in_mev(typical)} MeV)")
    ax.text(0.03, 0.95, channel.label, transform=ax.transAxes, va="top", fontsize=19, zorder=_TOP)
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
            color=_RED if word == _NOT_CONVERGED else "black",
            fontsize=18,
            fontweight="bold",
            zorder=_TOP,
        )


def _draw_pulls(ax: Axes, channel: ChannelFit, observable_label: str) -> None:
    _dress(ax)
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
        look = _shade(reasons.index(reason))
        ax.axvspan(low, high, 0, top, label=f"Left out: {reason}", zorder=_SHADE, **look)
    if result.blind and result.blind_region is not None:
        low, high = result.blind_region
        look = {"color": "#cfe2f3", "linewidth": 0, "zorder": _SHADE}
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
