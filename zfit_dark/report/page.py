"""The page: plots, tables and texts in one file."""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from textwrap import wrap
from typing import Any

import numpy as np
import numpy.typing as npt

from zfit_dark import __version__
from zfit_dark.report import figures
from zfit_dark.report.folder import Contents
from zfit_dark.report.words import (
    items,
    markup,
    numbered,
    script_json,
    settings_rows,
    sources_table,
    table,
)
from zfit_dark.results import Exclusion, LifetimeScan, Plane, Scan
from zfit_dark.results.scan import by_reason

_COLUMNS = {
    "ctau_cm": "Lifetime cτ [cm]",
    "mass_GeV": "Mass [GeV]",
    "observed": "Observed limit",
    "observed_error": "Error by toys",
    "expected_m2": "Expected −2σ",
    "expected_m1": "Expected −1σ",
    "expected_median": "Expected, median",
    "expected_p1": "Expected +1σ",
    "expected_p2": "Expected +2σ",
    "poi_hat": "Best fit",
    "poi_error": "Error of the fit",
    "p0": "Local p0",
    "significance": "Significance [σ]",
    "valid": "Converged",
    "warnings": "Warnings",
    "how": "How",
}
_ON_HOVER = (
    "Mass [GeV]",
    "Observed limit",
    "Expected, median",
    "Expected −1σ",
    "Expected +1σ",
    "Local p0",
    "Significance [σ]",
    "Warnings",
)
_ON_MAPS = {
    "limit": {"Observed limit": "observed ", "Expected, median": "expected ", "Warnings": ""},
    "excess": {"Local p0": "p0 = ", "Significance [σ]": "Z = ", "Warnings": ""},
}
"""Short, since a map has many points: the label tells mass and lifetime by itself."""
_DIGITS = {"mass_GeV": 6, "p0": 3, "significance": 3}
"""Significant digits where they are not four."""
_WIDTH = 60
"""Characters of a line in a label under the mouse."""
_FEW = 12
"""Of more masses than that the first and the last are named."""

FloatArray = npt.NDArray[np.float64]
_Rows = list[list[str]]


def page(
    contents: Contents,
    *,
    title: str = "",
    mass_label: str = "Mass [GeV]",
    sources: str = "",
) -> str:
    """One HTML page of the results: it needs no network and no other file.

    Limits and p-values are interactive: the mouse shows the numbers of a mass, a click shows the
    fit there, or the nearest one that was drawn. All texts of the results are shown as text: none
    of them can run a script.

    Args:
        contents: The results, e.g. of `read_folder`.
        title: What was searched for; "" for the name of the parameter.
        mass_label: Label of the mass axis, may hold mathtext.
        sources: The table of the numbers behind the search, as its ``sources()`` prints it.

    Returns:
        The text of the page, some 5 MB, most of it the program that draws.

    Raises:
        InputError: plotly is not installed.
    """
    program = figures.program()
    title = title or f"Limits on {contents.scans[0].poi}"
    sections = [_summary(contents)]
    if contents.scan is not None:
        sections.append(_scan(contents, contents.scan, mass_label))
    if contents.lifetimes is not None:
        sections += _lifetimes(contents.lifetimes, mass_label)
    sections += [_drawn(name, one, contents.plots) for name, one in contents.exclusions.items()]
    sections += [_drawn(name, one, contents.plots) for name, one in contents.planes.items()]
    sections += [_warnings(contents), _sources(sources), _provenance(contents)]
    return _template("page.html").substitute(
        title=escape(title),
        banners=_banners(contents, sources),
        sections="\n".join(sections),
        version=escape(__version__),
        program=program,
        clicks=_template("clicks.js").template,
    )


@cache
def _template(name: str) -> Template:
    return Template(files("zfit_dark.report").joinpath(name).read_text(encoding="utf-8"))


def _banners(contents: Contents, sources: str) -> str:
    """What has to be known before anything else is read."""
    words = []
    if contents.pseudo_data:
        words.append(
            "<strong>Pseudo-data.</strong> The data was generated, not recorded: "
            "nothing here is the result of an experiment."
        )
    if any(scan.blind for scan in contents.scans):
        words.append("<strong>Blind.</strong> Expected limits only: the data was not looked at.")
    assumed = _statuses(sources)["assumed"]
    if assumed:
        words.append(
            f"<strong>{assumed} numbers of this search are assumed</strong>, "
            'see <a href="#numbers">the numbers behind it</a>.'
        )
    return "".join(f'<p class="banner">{text}</p>' for text in words)


def _summary(contents: Contents) -> str:
    results = [one for one in (contents.scan, contents.lifetimes) if one is not None]
    lines = [line for one in results for line in one.summary().splitlines()]
    if contents.coupling is not None:
        of_coupling = contents.coupling.summary().splitlines()
        lines += [line for line in of_coupling if line.startswith("best")]
    return f'<section id="summary"><h2>Summary</h2>{items(lines)}</section>'


# -- limits ---------------------------------------------------------------------------------


def _scan(contents: Contents, scan: Scan, mass_label: str) -> str:
    """The limits against mass: plots, the fit at a mass, and a table."""
    columns, rows = _table([scan])
    masses = _masses(scan)
    if not len(masses):
        return '<section id="scan"><h2>Limits</h2><p>No mass was scanned.</p></section>'
    p0 = not scan.blind
    words = {name: f"{name}: " for name in _ON_HOVER}
    hover = _hover(columns, rows, words)
    plots = figures.against_mass(scan, hover, "limits", mass_label, p0=p0)
    if contents.coupling is not None:
        other = contents.coupling
        hover = _hover(*_table([other]), words)
        plots += figures.against_mass(other, hover, "coupling", mass_label, p0=False)
        _add_coupling(columns, rows, other)
    chosen = {"columns": columns, "first": _first(scan, masses)}
    chosen |= _cells(rows) | _nearest_fits(list(contents.fits), masses)
    fits = "".join(_figure(f"Fit at {mass:.4f} GeV", png) for mass, png in contents.fits.items())
    head = f"Limits on {markup(scan.poi_label)}"
    return _result(head, "scan", plots, chosen, fits) + _details(
        f"Table of all {len(rows)} masses", table(columns, rows, _marks(scan, masses))
    )


def _lifetimes(result: LifetimeScan, mass_label: str) -> list[str]:
    """The limits against mass and lifetime, a part for each channel."""
    sections = []
    for k, (channel, scans) in enumerate(result.scans.items()):
        columns, rows = _table(scans, result.lifetimes.tolist())
        if not rows:
            sections.append(f"<section><h2>{escape(channel)}</h2><p>No limits.</p></section>")
            continue
        hover = {name: _hover(columns, rows, words, ", ") for name, words in _ON_MAPS.items()}
        plot = figures.against_lifetime(result, channel, hover, f"map{k}", mass_label)
        chosen = {"columns": columns, "first": 0, "fits": [], "notes": []}
        head = f"{escape(channel)}: limits on {markup(scans[0].poi_label)}"
        sections.append(_result(head, f"channel{k}", plot, chosen | _cells(rows), ""))
        overview = table(*_overview(result, channel))
        sections.append(_details(f"{channel}: table of {len(scans)} lifetimes", overview))
    return sections


def _result(head: str, name: str, plots: str, chosen: Mapping[str, Any], fits: str) -> str:
    """Plots whose points can be clicked, and beside them what is shown then."""
    shown = "all of them and the fit" if fits else "all of them"
    return f"""<section class="result" id="{name}"><h2>{head}</h2>
<p class="hint">Point at a mass for its numbers; click on it for {shown}. Drag to zoom,
double-click to go back.</p>
<div class="sides"><div class="plots">{plots}</div>
<aside aria-live="polite"><h3>Chosen mass</h3><dl></dl><p class="note"></p>{fits}</aside></div>
<script type="application/json">{script_json(chosen)}</script></section>"""


def _masses(scan: Scan) -> FloatArray:
    """The masses of all hypotheses, also the skipped ones, in the order of the table."""
    return np.sort([*scan.masses, *(hypothesis.mass for hypothesis in scan.skipped)])


def _table(
    scans: Sequence[Scan], lifetimes: Sequence[float] | None = None
) -> tuple[list[str], _Rows]:
    """Headings and cells of all hypotheses of scans; columns without a cell are left out."""
    frames = [scan.to_pandas() for scan in scans]
    for frame, lifetime in zip(frames, lifetimes or (), strict=False):
        frame.insert(0, "ctau_cm", lifetime)
    cells = {
        name: [_cell(name, value) for frame in frames for value in frame[name].tolist()]
        for name in frames[0].columns
    }
    shown = {name: column for name, column in cells.items() if any(column)}
    rows = [list(row) for row in zip(*shown.values(), strict=True)]
    return [_COLUMNS[name] for name in shown], rows


def _cell(name: str, value: Any) -> str:
    """A value as a cell shows it; "" if there is none."""
    if isinstance(value, str):
        return value
    if name == "valid":
        return {True: "yes", False: "NO"}.get(value, "")
    return "" if math.isnan(value) else f"{value:.{_DIGITS.get(name, 4)}g}"


def _cells(rows: _Rows) -> dict[str, Any]:
    """The rows of a table, as the page's program reads them."""
    texts, numbers = numbered(rows)
    return {"texts": texts, "rows": numbers}


def _add_coupling(columns: list[str], rows: _Rows, coupling: Scan) -> None:
    """Two more columns: the limits on the coupling."""
    frame = coupling.to_pandas()
    for name, word in (("observed", "observed"), ("expected_median", "expected")):
        cells = [_cell(name, value) for value in frame[name].tolist()]
        if any(cells):
            columns.append(f"{coupling.poi}, {word}")
            for row, cell in zip(rows, cells, strict=True):
                row.append(cell)


def _hover(
    columns: list[str], rows: _Rows, words: Mapping[str, str], between: str = "<br>"
) -> list[str]:
    """The label of each row that appears under the mouse, as safe HTML.

    Args:
        columns: Headings of the rows.
        rows: Their cells.
        words: Heading to what the label says before its cell.
        between: Stands between two cells.
    """
    chosen = [(columns.index(name), word) for name, word in words.items() if name in columns]
    return [
        between.join(_wrapped(f"{word}{row[k]}") for k, word in chosen if row[k]) for row in rows
    ]


def _wrapped(text: str) -> str:
    lines = [text] if len(text) <= _WIDTH else wrap(text, _WIDTH)
    return "<br>".join(escape(line, quote=False) for line in lines)


def _first(scan: Scan, masses: FloatArray) -> int:
    """The row that is shown at first: the most significant one, or the first one."""
    known = np.flatnonzero(scan.valid & np.isfinite(scan.p0))
    if not known.size:
        return 0
    return int(np.searchsorted(masses, scan.masses[known[np.argmin(scan.p0[known])]]))


def _nearest_fits(drawn: list[float], masses: FloatArray) -> dict[str, list[Any]]:
    """The number of the nearest drawn fit for each mass, and a note if it is at another mass."""
    if not drawn:
        return {"fits": [], "notes": ["No fit was drawn."] * len(masses)}
    fits = [int(np.argmin(np.abs(np.array(drawn) - mass))) for mass in masses]
    notes = [
        "The fit at this mass:"
        if drawn[k] == mass
        else f"No fit was drawn at {mass:.4f} GeV. The nearest one that was: {drawn[k]:.4f} GeV."
        for k, mass in zip(fits, masses, strict=True)
    ]
    return {"fits": fits, "notes": notes}


def _marks(scan: Scan, masses: FloatArray) -> list[str]:
    """The class of the row of each mass."""
    flags = zip(scan.masses.tolist(), scan.flagged, strict=True)
    marks = {mass: "flagged" if is_flagged else "" for mass, is_flagged in flags}
    return [marks.get(mass, "skipped") for mass in masses.tolist()]


def _overview(result: LifetimeScan, channel: str) -> tuple[list[str], _Rows]:
    """What each lifetime of a channel has: limits, the best one, the largest excess."""
    kind = "expected" if result.blind else "observed"
    columns = ["Lifetime cτ [cm]", "Limits", f"Best {kind}", "at [GeV]", "Largest excess [σ]"]
    columns += ["at [GeV]", "Flagged", "Not scanned"]
    rows = []
    for lifetime, scan in zip(result.lifetimes, result.scans[channel], strict=True):
        limits = scan.expected[:, 2] if scan.blind else scan.observed
        row = [f"{lifetime:g}", str(len(scan.masses))]
        row += _extreme(scan, limits) + _extreme(scan, -scan.significance)
        row += [str(int(np.sum(scan.flagged))), by_reason(scan.skipped)]
        rows.append(row)
    return columns, rows


def _extreme(scan: Scan, values: FloatArray) -> list[str]:
    """The smallest value of the fits that converged, without its sign, and its mass."""
    known = np.flatnonzero(scan.valid & np.isfinite(values))
    if not known.size:
        return ["", ""]
    best = known[np.argmin(values[known])]
    return [f"{abs(values[best]):.4g}", f"{scan.masses[best]:.6g}"]


# -- the other parts ------------------------------------------------------------------------


def _drawn(name: str, result: Exclusion | Plane, plots: Mapping[str, bytes]) -> str:
    """An exclusion or a plane: its plot, and what it says of itself."""
    figure = (
        _figure(f"{name}.png", plots[name]) if name in plots else "<p>There is no plot of it.</p>"
    )
    lines = [*result.summary().splitlines(), *(f"assumed: {text}" for text in result.assumptions)]
    return f"""<section><h2>{escape(name)}</h2>
<div class="sides"><div class="plots">{figure}</div><aside>{items(lines)}</aside></div></section>"""


def _figure(caption: str, png: bytes) -> str:
    data, text = base64.b64encode(png).decode("ascii"), escape(caption)
    return (
        f'<figure><img alt="{text}" src="data:image/png;base64,{data}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _details(head: str, content: str) -> str:
    return f"<details><summary>{escape(head)}</summary>{content}</details>"


def _warnings(contents: Contents) -> str:
    """Every warning and every reason for a skipped mass, with the masses."""
    masses: dict[str, list[float]] = {}
    for scan in contents.scans:
        for mass, valid, texts in zip(scan.masses, scan.valid, scan.warnings, strict=True):
            for text in [*texts, *([] if valid else ["a fit did not converge"])]:
                masses.setdefault(text, []).append(float(mass))
        for hypothesis in scan.skipped:
            masses.setdefault(f"not scanned: {hypothesis.reason}", []).append(hypothesis.mass)
    rows = [[text, str(len(some)), _named(sorted(set(some)))] for text, some in masses.items()]
    found = table(["Warning", "Times", "Masses [GeV]"], rows) if rows else "<p>None.</p>"
    left_out = items(contents.remarks) if contents.remarks else ""
    return f'<section id="warnings"><h2>Warnings</h2>{found}{left_out}</section>'


def _named(masses: list[float]) -> str:
    if len(masses) <= _FEW:
        return ", ".join(f"{mass:.6g}" for mass in masses)
    return f"{len(masses)} from {masses[0]:.6g} to {masses[-1]:.6g}"


def _statuses(sources: str) -> Counter[str]:
    """How many numbers of a search have each status."""
    columns, rows = sources_table(sources)
    return Counter(row[columns.index("status")] for row in rows)


def _sources(sources: str) -> str:
    """The numbers behind the search, the assumed ones marked."""
    if not sources:
        return ""
    columns, rows = sources_table(sources)
    marks = [row[columns.index("status")] for row in rows]
    counts = ", ".join(f"{count} {status}" for status, count in _statuses(sources).items())
    return f"""<section id="numbers"><h2>Numbers behind the search</h2>
<p>{escape(counts)}. They are those of the installed zfit_dark {escape(__version__)}.</p>
{_details(f"Table of {len(rows)} numbers", table(columns, rows, marks))}</section>"""


def _provenance(contents: Contents) -> str:
    """Settings, inputs and versions."""
    rows = settings_rows(scan.provenance for scan in contents.scans)
    own = ("level", "method", "test_statistic", "poi", "poi_unit")
    common = [(name, str(getattr(contents.scans[0], name)) or "none") for name in own]
    return f"""<section id="provenance"><h2>Settings and provenance</h2>
{table(["Setting", "Value"], [*common, *rows])}</section>"""
