"""The interactive plots."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from zfit_dark.errors import InputError
from zfit_dark.plot.scans import _broken, _skipped_bands
from zfit_dark.plot.style import BLUE, GREEN, RED, YELLOW
from zfit_dark.report.words import markup
from zfit_dark.results import LifetimeScan, Scan

FloatArray = npt.NDArray[np.float64]

_GREY, _BLACK = "#b8b8b8", "#000000"
_FEW = 60
"""Up to so many masses each one gets a large marker."""
_WIDE = 2.5
"""Decades of an axis from which on only powers of ten are labelled."""
_FULL_RED = 3.0
"""The scale of significances reaches at least up to here."""
_HIGHEST = 20.0
"""Larger significances are drawn as this one, also that of p0 = 0."""
_SMALLEST_P = 1e-100
_CONFIG = {"displaylogo": False, "responsive": True}


def library() -> Any:
    """The modules of plotly.

    Raises:
        InputError: It is not installed.
    """
    try:
        import plotly.offline
        import plotly.subplots
    except ImportError as error:
        raise InputError("a report needs plotly: pip install 'zfit-dark[report]'") from error
    return plotly


def program() -> str:
    """The program that draws all figures of a page."""
    return str(library().offline.get_plotlyjs())


def against_mass(scan: Scan, hover: list[str], name: str, mass_label: str, *, p0: bool) -> str:
    """Limits against mass and, below them, local p-values.

    Args:
        scan: The limits.
        hover: Safe HTML for each hypothesis in order of mass, also the skipped ones.
        name: Of the plot in its page.
        mass_label: Label of the mass axis.
        p0: Whether p-values are drawn, which a blind scan has not.

    Returns:
        The plot as a part of a page.
    """
    heights = [0.62, 0.38] if p0 else [1.0]
    figure = library().subplots.make_subplots(
        rows=len(heights), shared_xaxes=True, vertical_spacing=0.04, row_heights=heights
    )
    limits = scan.expected[:, 2] if scan.blind else scan.observed
    shown = scan.expected if scan.blind else np.column_stack([scan.observed, scan.expected])
    positive = shown[np.isfinite(shown) & (shown > 0)]
    low, high = (positive.min() / 2, positive.max() * 1.4) if positive.size else (0.1, 1.0)
    for k, color, text in ((0, YELLOW, "Expected ±2σ"), (1, GREEN, "Expected ±1σ")):
        _band(figure, scan, scan.expected[:, [k, 4 - k]], color, text)
    _line(figure, scan, scan.expected[:, 2], _BLACK, 1.6, dash="dash", name="Expected, median")
    if not scan.blind:
        _line(figure, scan, scan.observed, _BLACK, 1.8, name="Observed")
    _points(figure, scan, limits, low, hover)
    unit = f" [{markup(scan.poi_unit)}]" if scan.poi_unit else ""
    title = f"{markup(scan.poi_label)}{unit}"
    _log_axis(figure, title, low, high)
    if p0:
        _p_values(figure, scan, hover)
    _dress(figure, [*_kind(scan), f"upper limit, {100 * scan.level:g} % CL (CL<sub>s</sub>)"])
    for left, right, _ in _skipped_bands(scan):
        figure.add_vrect(left, right, fillcolor=_GREY, opacity=0.6, line_width=0, layer="below")
    figure.update_xaxes(title_text=markup(mass_label), row=len(heights), col=1)
    figure.update_layout(height=680 if p0 else 420, hovermode="x")
    return _html(figure, name)


def _p_values(figure: Any, scan: Scan, hover: list[str]) -> None:
    p0 = np.maximum(scan.p0, _SMALLEST_P)
    known = p0[np.isfinite(p0)]
    low = min(known.min(initial=1.0), float(ndtr(-3.0))) / 4
    _line(figure, scan, p0, BLUE, 1.6, row=2)
    _points(figure, scan, p0, low, hover, row=2, color=BLUE)
    _log_axis(figure, "Local p<sub>0</sub>", low, 1.6, row=2)
    for z in range(1, 6):
        height = float(ndtr(-z))
        if height > low:
            line = {"color": RED, "dash": "dot", "width": 1.2}
            figure.add_hline(height, line=line, row=2, col=1)
            figure.add_annotation(
                x=1,
                xref="x2 domain",
                xanchor="left",
                y=np.log10(height),
                yref="y2",
                text=f"{z}σ",
                font={"color": RED},
                showarrow=False,
            )


def _band(figure: Any, scan: Scan, ends: FloatArray, color: str, name: str) -> None:
    """A band that breaks at skipped masses: an outline for each of its parts."""
    masses, values = _broken(scan, np.where(ends > 0, ends, np.nan))
    x: list[float | None] = []
    y: list[float | None] = []
    for part in np.split(np.arange(len(masses)), np.flatnonzero(np.isnan(masses))):
        inside = part[np.isfinite(masses[part])]
        x += [*masses[inside], *masses[inside[::-1]], None]
        y += [*values[inside, 0], *values[inside[::-1], 1], None]
    look: dict[str, Any] = {"fill": "toself", "fillcolor": color, "line_width": 0}
    figure.add_scatter(x=x, y=y, mode="lines", name=name, hoverinfo="skip", **look, row=1, col=1)


def _line(
    figure: Any,
    scan: Scan,
    values: FloatArray,
    color: str,
    width: float,
    *,
    dash: str = "solid",
    row: int = 1,
    **look: Any,
) -> None:
    """A line that breaks at skipped masses; nothing of it answers to the mouse."""
    x, y = _broken(scan, np.where(values > 0, values, np.nan)[:, None])
    look |= {"x": x, "y": y[:, 0], "showlegend": "name" in look}
    line = {"color": color, "width": width, "dash": dash}
    figure.add_scatter(mode="lines", line=line, hoverinfo="skip", **look, row=row, col=1)


def _points(
    figure: Any,
    scan: Scan,
    values: FloatArray,
    low: float,
    hover: list[str],
    *,
    row: int = 1,
    color: str = _BLACK,
) -> None:
    """One point a hypothesis, which answers to the mouse; on the lower edge without a value."""
    skipped = np.array([hypothesis.mass for hypothesis in scan.skipped])
    masses = np.concatenate([scan.masses, skipped])
    heights = np.where(np.isfinite(values) & (values > 0), values, 1.1 * low)
    order = np.argsort(masses)
    figure.add_scatter(
        x=masses[order],
        y=np.concatenate([heights, np.full(len(skipped), 1.1 * low)])[order],
        mode="markers",
        marker={
            "color": [color if k < len(scan.masses) else _GREY for k in order.tolist()],
            "size": 6 if len(masses) <= _FEW else 3,
        },
        selected={"marker": {"color": "#e08214", "size": 13, "opacity": 1}},
        unselected={"marker": {"opacity": 1}},
        customdata=list(range(len(masses))),
        text=hover,
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
        row=row,
        col=1,
    )
    flagged = scan.flagged
    if np.any(flagged):
        figure.add_scatter(
            x=scan.masses[flagged],
            y=heights[flagged],
            mode="markers",
            marker={"color": RED, "size": 9, "symbol": "x", "line": {"color": "white", "width": 1}},
            name=f"Not converged or warning ({int(np.sum(flagged))})",
            hoverinfo="skip",
            showlegend=row == 1,
            row=row,
            col=1,
        )


# -- lifetimes ------------------------------------------------------------------------------


def against_lifetime(
    result: LifetimeScan, channel: str, hover: dict[str, list[str]], name: str, mass_label: str
) -> str:
    """Limits of a channel against mass and lifetime and, below them, local significances.

    Args:
        result: The limits.
        channel: Name of the channel.
        hover: Safe HTML for each hypothesis, also the skipped ones, in order of lifetime and mass:
            one list for the ``limit`` and, unless the scans are blind, one for the ``excess``.
        name: Of the plot in its page.
        mass_label: Label of the mass axis.

    Returns:
        The plot as a part of a page.
    """
    scans = result.scans[channel]
    first = scans[0]
    rows = 1 if result.blind else 2
    figure = library().subplots.make_subplots(
        rows=rows, shared_xaxes=True, shared_yaxes=True, vertical_spacing=0.05
    )
    limits = [scan.expected[:, 2] if scan.blind else scan.observed for scan in scans]
    logs = [np.log10(np.where(values > 0, values, np.nan)) for values in limits]
    unit = f" [{markup(first.poi_unit)}]" if first.poi_unit else ""
    title = f"{'Expected' if result.blind else 'Observed'} limit{unit}"
    look: dict[str, Any] = {
        "colorscale": "Viridis",
        "colorbar": _bar(title, 1, rows) | _ticks(logs),
    }
    _map(figure, result, channel, logs, hover["limit"], 1, look)
    if not result.blind:
        values = [np.minimum(scan.significance, _HIGHEST) for scan in scans]
        largest = np.nanmax([_FULL_RED, *np.concatenate(values)])
        bar = _bar("Local significance [σ]", 2, rows)
        look = {"colorscale": "OrRd", "zmin": 0.0, "zmax": largest, "colorbar": bar}
        _map(figure, result, channel, values, hover["excess"], 2, look)
    figure.update_yaxes(type="log", exponentformat="power", dtick=1, title_text="cτ [cm]")
    _dress(figure, [*_kind(first), f"upper limit, {100 * first.level:g} % CL (CL<sub>s</sub>)"])
    figure.update_xaxes(title_text=markup(mass_label), row=rows, col=1)
    figure.update_layout(height=680 if rows == 2 else 420, hovermode="closest")
    return _html(figure, name)


def _map(
    figure: Any,
    result: LifetimeScan,
    channel: str,
    values: list[FloatArray],
    hover: list[str],
    row: int,
    look: dict[str, Any],
) -> None:
    """Colours for the values of each hypothesis; grey for the skipped ones."""
    scans = result.scans[channel]
    every = [sorted([*s.masses.tolist(), *(h.mass for h in s.skipped)]) for s in scans]
    x = np.unique(np.concatenate(every))
    shape = (len(scans), len(x))
    z, grey = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
    rows, texts = np.full(shape, -1, np.int32), np.full(shape, "", dtype=object)
    first = 0
    for k, (scan, masses) in enumerate(zip(scans, every, strict=True)):
        there = np.searchsorted(x, masses)
        rows[k, there] = first + np.arange(len(masses))
        texts[k, there] = hover[first : first + len(masses)]
        grey[k, there] = 0.0
        scanned = np.searchsorted(x, scan.masses)
        z[k, scanned], grey[k, scanned] = values[k], np.nan
        first += len(masses)
    shared = {"x": x, "y": result.lifetimes, "customdata": rows, "row": row, "col": 1}
    place = "%{x:.6~g} GeV, cτ = %{y:.4~g} cm"
    shared |= {"hoverongaps": False, "hovertemplate": f"{place}<br>%{{text}}<extra></extra>"}
    skipped = np.isfinite(grey)
    figure.add_heatmap(z=z, text=np.where(skipped, "", texts), **look, **shared)
    if np.any(skipped):
        look = {"colorscale": [_GREY, _GREY], "showscale": False}
        figure.add_heatmap(z=grey, text=np.where(skipped, texts, ""), **look, **shared)
    _crosses(figure, result, channel, row)


def _crosses(figure: Any, result: LifetimeScan, channel: str, row: int) -> None:
    """A cross on each flagged hypothesis."""
    scans = result.scans[channel]
    flagged = [scan.flagged for scan in scans]
    count = sum(int(np.sum(flags)) for flags in flagged)
    if not count:
        return
    figure.add_scatter(
        x=np.concatenate([scan.masses[flags] for scan, flags in zip(scans, flagged, strict=True)]),
        y=np.repeat(result.lifetimes, [int(np.sum(flags)) for flags in flagged]),
        mode="markers",
        marker={"color": RED, "size": 5, "symbol": "x"},
        name=f"Not converged or warning ({count})",
        hoverinfo="skip",
        showlegend=row == 1,
        row=row,
        col=1,
    )


def _bar(title: str, row: int, rows: int) -> dict[str, Any]:
    """The bar of colours beside a map."""
    y = 1.0 - (row - 0.5) / rows
    return {"title": {"text": title, "side": "right"}, "y": y, "len": 1.0 / rows, "thickness": 14}


def _ticks(logs: list[FloatArray]) -> dict[str, Any]:
    """The ticks of a bar for logarithms, which show the numbers themselves."""
    values = np.concatenate(logs)
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    decades = np.arange(np.ceil(low), np.floor(high) + 1)
    ticks = decades if len(decades) > 1 else np.linspace(low, high, 5)
    return {"tickvals": ticks, "ticktext": [f"{10**tick:.3g}" for tick in ticks]}


# -- what plots share -----------------------------------------------------------------------


def _kind(scan: Scan) -> list[str]:
    """What a plot has to say of its data."""
    words = ["<b>Pseudo-data</b>"] if scan.pseudo_data else []
    return words + (["<b>Blind: expected only</b>"] if scan.blind else [])


def _log_axis(figure: Any, title: str, low: float, high: float, row: int = 1) -> None:
    ends = [float(np.log10(low)), float(np.log10(high))]
    steps = "D2" if ends[1] - ends[0] < _WIDE else 1
    look = {"type": "log", "range": ends, "dtick": steps, "exponentformat": "power"}
    figure.update_yaxes(title_text=title, **look, row=row, col=1)


def _dress(figure: Any, words: list[str]) -> None:
    """The frame of a plot, with a line of words above it."""
    axis = {"mirror": True, "ticks": "inside", "showline": True}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    figure.update_layout(
        template="simple_white",
        font={"size": 14},
        margin={"l": 80, "r": 40, "t": 84, "b": 60},
        legend={"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
        title={"text": ", ".join(words), "x": 0.01, "y": 0.985, "yanchor": "top", "font_size": 15},
    )


def _html(figure: Any, name: str) -> str:
    """The plot as a part of a page that holds `program`."""
    return str(figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=_CONFIG))
