"""The HTML page of a folder: what stands in it, what it refuses, and what it does in a browser."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
import shutil
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy.stats import norm
from test_exclusion import make as make_exclusion
from test_lifetimes import make as make_lifetimes
from test_lifetimes import make_blind as make_blind_lifetimes
from test_planes import make as make_plane
from test_plot import make_scan

from zfit_dark import cli, report, searches
from zfit_dark.errors import InputError
from zfit_dark.report import words
from zfit_dark.results import LifetimeScan, Scan, Skipped

Capture = pytest.CaptureFixture[str]

FEW = "fewer than 10 events"
SOURCES = (
    "number  value  unit  status   source\n"
    "n_bb    7e8          read     a paper\n"
    "eff     0.1          assumed  a choice, so that it runs\n"
    "width   3      MeV   assumed  another choice\n"
)
EVIL = "</script><script>owned = 1</script><img src=x onerror='owned = 1'>\"&lt;$x"


def picture() -> bytes:
    file = io.BytesIO()
    Figure(figsize=(1, 1)).savefig(file)
    return file.getvalue()


PNG = picture()


def make(n: int = 100, **changes: Any) -> Scan:
    """A scan with an excess at its 11th mass; the 21st did not converge, the 31st has a warning."""
    k = len(make_scan(n).masses)
    p0, valid = np.full(k, 0.4), np.full(k, True)
    p0[10], valid[20] = norm.sf(2.5), False
    warnings = [(FEW,) if row == 30 else () for row in range(k)]
    values: dict[str, Any] = {"p0": p0, "valid": valid, "warnings": tuple(warnings)}
    provenance = {
        "search": "b2kagg",
        "settings": {"level": 0.9, "seed": 7, "toys": {"precision": 0.02}},
        "inputs": [{"path": "events.root", "sha256": "abc123", "size": 12}],
        "versions": {"zfit": "0.28.0"},
    }
    return make_scan(n, **(values | {"provenance": provenance} | changes))


def coupling_of(scan: Scan) -> Scan:
    return scan.map_poi(lambda mass, b: np.sqrt(b), poi="g", poi_label="$g_{aW}$", poi_unit="1/GeV")


def make_contents(**changes: Any) -> report.Contents:
    scan = make()
    values: dict[str, Any] = {
        "scan": scan,
        "coupling": coupling_of(scan),
        "fits": {float(scan.masses[row]): PNG for row in (0, 10, 60)},
    }
    return report.Contents(**(values | changes))


class Page(HTMLParser):
    """A page taken apart: its tags with the names of their attributes, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.attributes += attrs
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script" and self.lasttag == "script":
            self.scripts[-1] += data
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def tables(self) -> list[dict[str, Any]]:
        """What the program of the page reads of each result."""
        return [json.loads(script) for script in self.scripts if script.startswith('{"columns"')]


def rows_of(table: dict[str, Any]) -> list[dict[str, str]]:
    """The rows of a table of the page, by their columns."""
    rows = [[table["texts"][number] for number in row] for row in table["rows"]]
    return [dict(zip(table["columns"], row, strict=True)) for row in rows]


def traces(text: str, name: str) -> list[dict[str, Any]]:
    """The traces of a plot in a page."""
    found = re.search(rf'Plotly\.newPlot\(\s*"{name}",\s*', text)
    assert found is not None
    data, _ = json.JSONDecoder().raw_decode(text, found.end())
    assert isinstance(data, list)
    return data


def layout(text: str, name: str) -> str:
    found = re.search(rf'Plotly\.newPlot\(\s*"{name}",\s*', text)
    assert found is not None
    _, end = json.JSONDecoder().raw_decode(text, found.end())
    content, _ = json.JSONDecoder().raw_decode(text, text.index("{", end))
    return json.dumps(content, ensure_ascii=False)


def numbers(values: Any) -> Any:
    """An array of a plot: a list, or numbers in base 64."""
    if isinstance(values, list):
        return np.array(values, dtype=float)
    flat = np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
    shape = [int(n) for n in str(values.get("shape", len(flat))).split(",")]
    return flat.reshape(shape)


# -- labels ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain & <b>", "plain &amp; &lt;b&gt;"),
        (r"$m_a$ [GeV]", "m<sub>a</sub> [GeV]"),
        (r"$m_{h'}$", "m<sub>h′</sub>"),
        (r"GeV$^{-1}$", "GeV<sup>−1</sup>"),
        (r"$B^0 \to K^0_S \gamma\gamma$", "B<sup>0</sup> → K<sup>0</sup><sub>S</sub> γγ"),
        (r"$\varepsilon\sqrt{\alpha_D}$", "ε√(α<sub>D</sub>)"),
        (r"$\mathrm{\Lambda}\,\lambda$, $\sin\theta$", "Λ λ, sinθ"),
        (r"$g_{a_W}$", "g<sub>a<sub>W</sub></sub>"),
        (r"$x_<$", "x<sub>&lt;</sub>"),
        ("5 $ a bin", "5 $ a bin"),
        (r"$\unknown{x}$", "unknownx"),
    ],
)
def test_labels_become_html(text: str, html: str) -> None:
    assert words.markup(text) == html


@given(st.text(st.sampled_from("ab<>&;$\\_^{}'\" \n-"), max_size=30))
def test_no_label_makes_a_tag_of_its_own(text: str) -> None:
    without = re.sub(r"</?su[bp]>", "", words.markup(text))
    assert "<" not in without
    assert ">" not in without


@given(st.recursive(st.text(max_size=9), lambda s: st.dictionaries(st.text(), s), max_leaves=9))
def test_json_cannot_end_its_script(content: Any) -> None:
    text = words.script_json({"x": [content, EVIL, "<!--"]})
    assert "<" not in text
    assert json.loads(text) == {"x": [content, EVIL, "<!--"]}


# -- the page -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scan_page() -> str:
    return report.page(make_contents(), title="A search", mass_label="$m_a$", sources=SOURCES)


def test_the_page_needs_nothing_else(scan_page: str) -> None:
    page = Page(scan_page)
    addresses = [value or "" for name, value in page.attributes if name in ("src", "href")]
    assert addresses
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in addresses)
    assert ("link", ("rel", "href")) not in page.tags
    (policy,) = [value for name, value in page.attributes if name == "content" and "src" in value]
    assert policy is not None
    assert "http:" not in policy
    assert policy.startswith("default-src 'none'")


def test_the_page_says_first_that_it_is_pseudo_data(scan_page: str) -> None:
    assert "Pseudo-data" in scan_page[: scan_page.index("<section")].split("</style>")[1]
    for name in ("limits", "coupling"):
        assert "Pseudo-data" in layout(scan_page, name)
    recorded = make(pseudo_data=False)
    other = report.page(make_contents(scan=recorded, coupling=None))
    assert "pseudo-data" not in other.replace("\\", "").lower()


def test_the_table_holds_the_numbers_of_the_scan(scan_page: str) -> None:
    scan = make()
    (table,) = Page(scan_page).tables()
    rows = [row for row in rows_of(table) if not row["Warnings"].startswith("not scanned")]
    assert len(rows) == len(scan.masses)
    for name, values, digits in (
        ("Mass [GeV]", scan.masses, 1e-5),
        ("Observed limit", scan.observed, 1e-3),
        ("Expected −2σ", scan.expected[:, 0], 1e-3),
        ("Expected, median", scan.expected[:, 2], 1e-3),
        ("Expected +1σ", scan.expected[:, 3], 1e-3),
        ("Local p0", scan.p0, 1e-2),
        ("g, observed", np.sqrt(scan.observed), 1e-3),
        ("g, expected", np.sqrt(scan.expected[:, 2]), 1e-3),
    ):
        np.testing.assert_allclose([float(row[name]) for row in rows], values, rtol=digits)
    assert [row["Converged"] for row in rows].count("NO") == 1
    assert rows[20]["Converged"] == "NO"
    assert rows[30]["Warnings"] == FEW
    assert "Best fit" not in table["columns"]  # NaN at all masses


def test_masses_point_to_the_nearest_drawn_fit(scan_page: str) -> None:
    scan = make()
    (table,) = Page(scan_page).tables()
    masses = np.array([float(row["Mass [GeV]"]) for row in rows_of(table)])
    drawn = scan.masses[[0, 10, 60]]
    nearest = [int(np.abs(drawn - mass).argmin()) for mass in masses]
    assert table["fits"] == nearest
    there = int(np.abs(masses - drawn[1]).argmin())
    assert table["notes"][there] == "The fit at this mass:"
    assert table["notes"][there + 1] == (
        f"No fit was drawn at {masses[there + 1]:.4f} GeV. "
        f"The nearest one that was: {drawn[1]:.4f} GeV."
    )
    assert table["first"] == there  # the largest excess
    assert scan_page.count("data:image/png;base64," + base64.b64encode(PNG).decode()) == 3


def test_without_a_drawn_fit_the_page_says_so() -> None:
    (table,) = Page(report.page(make_contents(fits={}))).tables()
    assert set(table["notes"]) == {"No fit was drawn."}


def test_the_plot_shows_the_limits_their_bands_and_what_is_flagged(scan_page: str) -> None:
    scan = make()
    drawn = traces(scan_page, "limits")
    named = {trace["name"]: trace for trace in drawn if trace.get("name")}
    observed = numbers(named["Observed"]["y"])
    np.testing.assert_array_equal(observed[np.isfinite(observed)], scan.observed)
    for name, ends in (("Expected ±2σ", (0, 4)), ("Expected ±1σ", (1, 3))):
        edge = numbers(named[name]["y"])
        edges = np.sort(edge[np.isfinite(edge)])
        np.testing.assert_array_equal(edges, np.sort(scan.expected[:, ends].ravel()))
        assert np.isnan(edge).sum() == 3  # an outline on each side of the two gaps
    flagged = named["Not converged or warning (2)"]
    np.testing.assert_array_equal(numbers(flagged["x"]), scan.masses[[20, 30]])
    limits, p0 = [trace for trace in drawn if "customdata" in trace]
    everything = np.sort([*scan.masses, *(hypothesis.mass for hypothesis in scan.skipped)])
    for trace in (limits, p0):
        np.testing.assert_array_equal(numbers(trace["x"]), everything)
        assert trace["customdata"] == list(range(100))
    there = np.isin(everything, scan.masses)
    np.testing.assert_array_equal(numbers(p0["y"])[there], scan.p0)
    assert f"Warnings: {FEW}" in limits["text"][np.flatnonzero(there)[30]]
    assert "not scanned: $\\eta$ veto" in limits["text"][np.flatnonzero(~there)[0]]


def test_lines_of_sigma_lie_at_their_p_values(scan_page: str) -> None:
    content = json.loads(layout(scan_page, "limits"))
    texts = {note["text"]: note["y"] for note in content["annotations"]}
    assert texts["2σ"] == pytest.approx(np.log10(norm.sf(2)))
    heights = {shape["y0"] for shape in content["shapes"] if shape.get("yref") == "y2"}
    np.testing.assert_allclose(sorted(heights), norm.sf([3, 2, 1]))


def test_summary_warnings_settings_and_sources_stand_in_the_page(scan_page: str) -> None:
    text = Page(scan_page).text
    assert "largest local significance: 2.50 sigma" in text
    assert "best observed limit: g <" in text
    assert f"{FEW} 1 {make().masses[30]:.6g}" in text
    assert f"a fit did not converge 1 {make().masses[20]:.6g}" in text
    for words_ in ("settings.seed 7", "settings.toys.precision 0.02", "versions.zfit 0.28.0"):
        assert words_ in text
    assert "inputs.path events.root inputs.sha256 abc123" in text
    assert "2 numbers of this search are assumed" in text
    assert "1 read, 2 assumed" in text
    assert "width 3 MeV assumed another choice" in text


def test_a_blind_scan_has_no_p_values() -> None:
    k = len(make_scan().masses)
    blind = make(p0=np.full(k, np.nan), observed=np.full(k, np.nan), blind=True)
    text = report.page(report.Contents(scan=blind))
    assert "Blind." in text
    (points,) = [trace for trace in traces(text, "limits") if "customdata" in trace]
    assert np.isin(blind.expected[:, 2], numbers(points["y"])).all()
    (table,) = Page(text).tables()
    assert not {"Observed limit", "Local p0"} & set(table["columns"])
    assert table["first"] == 0


def test_limits_that_are_not_known_are_shown_on_the_edge() -> None:
    scan = make()
    observed = np.array(scan.observed)
    observed[20] = np.nan
    text = report.page(report.Contents(scan=dataclasses.replace(scan, observed=observed)))
    points, _ = [trace for trace in traces(text, "limits") if "customdata" in trace]
    heights = numbers(points["y"])
    row = int(np.flatnonzero(numbers(points["x"]) == scan.masses[20])[0])
    assert np.isfinite(heights).all()
    assert heights[row] < min(scan.expected.min(), np.nanmin(observed))


def test_a_scan_of_nothing_says_so() -> None:
    none = make_scan(observed=(), expected=np.empty((0, 5)), masses=(), skipped=(), warnings=(),
                     poi_hat=(), poi_error=(), p0=(), valid=())  # fmt: skip
    assert "No mass was scanned." in report.page(report.Contents(scan=none))


def test_lifetimes_are_maps_of_each_channel() -> None:
    result = make_lifetimes()
    text = report.page(report.Contents(lifetimes=result))
    tables = Page(text).tables()
    assert len(tables) == 2
    rows = rows_of(tables[0])
    limits, *others = [trace for trace in traces(text, "map0") if trace["type"] == "heatmap"]
    z, places = numbers(limits["z"]), numbers(limits["customdata"])
    for k, scan in enumerate(result.scans["ee"]):
        for mass, observed in zip(scan.masses, scan.observed, strict=True):
            column = list(numbers(limits["x"])).index(mass)
            assert z[k, column] == pytest.approx(np.log10(observed), rel=1e-6)
            row = rows[places[k, column]]
            assert float(row["Mass [GeV]"]) == mass
            assert float(row["Lifetime cτ [cm]"]) == result.lifetimes[k]
            assert float(row["Observed limit"]) == observed
    assert np.isnan(z[:2, list(numbers(limits["x"])).index(1.25)]).all()
    grey = others[0]
    assert np.isfinite(numbers(grey["z"])).sum() == 2
    assert "not scanned" in json.dumps(grey["text"])
    named = [trace for trace in traces(text, "map1") if trace["type"] == "scatter"]
    assert "Not converged or warning (2)" in {trace["name"] for trace in named}


def test_an_infinite_significance_can_be_drawn() -> None:
    first, *others = make_lifetimes().scans["ee"]
    scans = (dataclasses.replace(first, p0=[0.0, 0.5, 0.5]), *others)
    text = report.page(report.Contents(lifetimes=make_lifetimes(scans={"ee": scans})))
    (excess,) = [trace for trace in traces(text, "map0") if "zmax" in trace]
    assert excess["zmax"] == np.nanmax(numbers(excess["z"])) == 20.0


def test_flagged_and_skipped_masses_are_marked_in_the_table(scan_page: str) -> None:
    rows = re.findall(r'<tr(?: class="(\w+)")?><td>([\d.]+)</td>', scan_page)
    marked = {mark: [float(mass) for kind, mass in rows if kind == mark] for mark, _ in rows}
    scan = make()
    np.testing.assert_allclose(marked["flagged"], scan.masses[[20, 30]], rtol=1e-5)
    np.testing.assert_allclose(marked["skipped"], [s.mass for s in scan.skipped], rtol=1e-5)
    assert len(marked[""]) == len(scan.masses) - 2


def test_blind_lifetimes_show_expected_limits_only() -> None:
    text = report.page(report.Contents(lifetimes=make_blind_lifetimes()))
    assert len([trace for trace in traces(text, "map0") if trace["type"] == "heatmap"]) == 1
    assert "Expected limit" in layout(text, "map0") + json.dumps(traces(text, "map0"))


def test_a_channel_without_a_limit_says_so() -> None:
    from test_results import make_scan as make_few

    result = LifetimeScan(lifetimes=(1.0,), scans={"ee": (make_few(()),), "pi": (make_few(),)})
    page = Page(report.page(report.Contents(lifetimes=result)))
    assert "ee No limits." in page.text
    assert len(page.tables()) == 1


def test_exclusions_and_planes_stand_with_plot_and_assumptions() -> None:
    contents = make_contents(
        exclusions={"exclusion_a": make_exclusion()},
        planes={"plane_b": make_plane()},
        plots={"exclusion_a": PNG},
    )
    text = Page(report.page(contents)).text
    assert "exclusion_a exclusion_a.png sin_theta at 5 masses" in text
    assert "assumed: widths of Winkler (2018)" in text
    assert "plane_b There is no plot of it." in text
    assert "held fixed: m A′ = 3 m χ 1 , α D = 0.1" in text


def test_a_page_needs_a_result() -> None:
    with pytest.raises(InputError, match="needs a Scan or a LifetimeScan"):
        report.Contents()


def test_without_plotly_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(InputError, match=re.escape("pip install 'zfit-dark[report]'")):
        report.page(make_contents())


# -- hostile texts --------------------------------------------------------------------------


def spoilt(scan: Scan, text: str) -> Scan:
    """The scan with a text wherever it has one."""
    return dataclasses.replace(
        scan,
        poi=text,
        poi_label=text,
        poi_unit=text,
        method=text,
        test_statistic=text,
        warnings=tuple((text,) for _ in scan.masses),
        how=(text,) * len(scan.masses),
        skipped=tuple(Skipped(hypothesis.mass, text) for hypothesis in scan.skipped),
        provenance={"search": text, "settings": {text: text, "more": {text: [text]}}},
    )


def spoilt_contents(text: str) -> report.Contents:
    scan = spoilt(make(30), text)
    exclusion = make_exclusion(coupling=text, model=text, assumptions=(text,), channels=(text,))
    return report.Contents(
        scan=scan,
        coupling=coupling_of(scan),
        lifetimes=LifetimeScan(lifetimes=(1.0, 2.0), scans={text: (scan, scan)}),
        exclusions={text: exclusion},
        fits={float(scan.masses[0]): PNG},
        plots={text: PNG},
        remarks=(text,),
    )


def spoilt_page(text: str) -> str:
    sources = SOURCES.replace("a paper", text)
    return report.page(spoilt_contents(text), title=text, mass_label=text, sources=sources)


def test_no_text_becomes_a_part_of_the_page() -> None:
    good, bad = Page(spoilt_page("harmless")), Page(spoilt_page(EVIL))
    assert bad.tags == good.tags
    assert not [name for name, _ in bad.attributes if name.startswith("on")]
    assert EVIL in bad.text
    spoilt_ = [
        script for script, same in zip(bad.scripts, good.scripts, strict=True) if script != same
    ]
    assert len(spoilt_) == 5  # three plots, two tables
    assert not [script for script in spoilt_ if "<script" in script or "<img" in script]


def test_no_text_becomes_markup_under_the_mouse() -> None:
    page = spoilt_page(EVIL)
    drawn = [trace for name in ("limits", "coupling", "map0") for trace in traces(page, name)]
    labels = [trace["text"] for trace in drawn if "text" in trace]
    text = json.dumps(labels)
    assert "owned" in text
    assert "<" not in text.replace("<br>", "")


# -- folders --------------------------------------------------------------------------------


def fill(folder: Path) -> Scan:
    """What a scan leaves, with two fits."""
    scan = make()
    scan.to_json(folder / "scan.json")
    coupling_of(scan).to_json(folder / "coupling.json")
    for row in (10, 60):
        (folder / f"fit_{scan.masses[row]:.4f}.png").write_bytes(PNG)
    return scan


def test_a_folder_of_a_scan_is_read(tmp_path: Path) -> None:
    scan = fill(tmp_path)
    found = report.read_folder(tmp_path)
    assert found.scan is not None
    assert found.coupling is not None
    np.testing.assert_array_equal(found.scan.observed, scan.observed)
    assert list(found.fits) == scan.masses[[10, 60]].tolist()
    assert found.search == "b2kagg"
    assert found.pseudo_data
    assert found.lifetimes is None
    assert found.remarks == ()


def test_a_folder_of_all_lifetimes_is_read(tmp_path: Path) -> None:
    make_lifetimes().to_root(tmp_path / "limits.root")
    make_exclusion().to_json(tmp_path / "exclusion_scalar_ee.json")
    (tmp_path / "exclusion_scalar_ee.png").write_bytes(PNG)
    make_plane().to_json(tmp_path / "plane_x_ee.json")
    found = report.read_folder(tmp_path)
    assert found.lifetimes is not None
    assert found.lifetimes.channels == ("ee", "pipi")
    assert list(found.exclusions) == ["exclusion_scalar_ee"]
    assert list(found.planes) == ["plane_x_ee"]
    assert found.plots == {"exclusion_scalar_ee": PNG}


def test_what_does_not_belong_to_the_scan_is_left_out_with_a_remark(tmp_path: Path) -> None:
    scan = fill(tmp_path)
    (tmp_path / "fit_9.0000.png").write_bytes(PNG)
    (tmp_path / "fit_best.png").write_bytes(PNG)
    other = coupling_of(dataclasses.replace(scan, provenance={"search": "another"}))
    other.to_json(tmp_path / "coupling.json")
    found = report.read_folder(tmp_path)
    assert found.coupling is None
    assert len(found.fits) == 2
    assert found.remarks == (
        "coupling.json: left out, it comes from another scan",
        "fit_9.0000.png: left out, the scan has no such mass",
        "fit_best.png: left out, it is no fit of a scan in this folder",
    )
    assert found.remarks[0] in Page(report.page(found)).text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("scan.json", b"{", "scan.json: not a JSON file, or a damaged one"),
        ("scan.json", b"{}", "scan.json: not a zfit_dark scan file"),
        ("limits.root", b"root of all evil", "limits.root: damaged lifetime scan file"),
        ("coupling.json", b"[]", "coupling.json: not a zfit_dark scan file"),
        ("exclusion_a.json", b"{}", "exclusion_a.json: not a zfit_dark exclusion file"),
        ("plane_a.json", b"{}", "plane_a.json: not a zfit_dark plane file"),
        ("fit_0.2000.png", b"JPEG", "fit_0.2000.png: not a PNG file, or a damaged one"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    fill(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        report.read_folder(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds neither scan\.json nor limits\.root"):
        report.read_folder(tmp_path)
    with pytest.raises(InputError, match="none: no folder"):
        report.read_folder(tmp_path / "none")


# -- the command ----------------------------------------------------------------------------


def refused(capsys: Capture, *arguments: Any) -> str:
    assert cli.main(["report", *(str(argument) for argument in arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_the_command_writes_the_page_of_a_known_search(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path)
    search = SimpleNamespace(sources=lambda: SOURCES)  # that of the package takes long to load
    monkeypatch.setattr(searches, "load", {"b2kagg": search}.__getitem__)
    assert cli.main(["report", str(tmp_path)]) == 0
    path = tmp_path / "report.html"
    assert capsys.readouterr().out == f"written:\n  {path}\n"
    text = path.read_text(encoding="utf-8")
    assert "gamma gamma at Belle</h1>" in text
    assert "2 numbers of this search are assumed" in text
    assert "m<sub>a</sub> [GeV]" in layout(text, "limits")
    assert not list(tmp_path.glob(".report*"))


@pytest.mark.slow
@pytest.mark.parametrize("name", searches.names())
def test_the_numbers_of_every_search_can_be_read(name: str) -> None:
    text = searches.load(name).sources()
    columns, rows = words.sources_table(text)
    assert columns == ["number", "value", "unit", "status", "source"]
    assert {row[3] for row in rows} <= {"read", "derived", "assumed"}
    for line, row in zip(text.splitlines()[1:], rows, strict=True):
        assert line.split() == " ".join(row).split()


def test_the_command_writes_where_it_is_told_and_refuses_in_one_line(
    tmp_path: Path, capsys: Capture
) -> None:
    make(provenance={}).to_json(tmp_path / "scan.json")
    assert cli.main(["report", str(tmp_path), "--out", str(tmp_path / "x.html")]) == 0
    assert "Limits on branching_fraction</h1>" in (tmp_path / "x.html").read_text(encoding="utf-8")
    capsys.readouterr()
    assert "no folder" in refused(capsys, tmp_path / "none")
    nowhere = tmp_path / "none" / "x.html"
    assert "cannot be written (No such file or directory)" in refused(
        capsys, tmp_path, "--out", nowhere
    )


# -- in a browser ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium without a network, which keeps a record of its console."""
    pytest.importorskip("selenium", reason="the browser is driven with selenium")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no browser here: install the packages chromium and chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    options.add_argument("--window-size=1600,1400")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options=options, service=Service(driver)) as chrome:
        chrome.execute_cdp_cmd("Network.enable", {})
        nothing = {"latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        chrome.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": True, **nothing})
        yield chrome


def opened(browser: Any, path: Path, text: str) -> Any:
    path.write_text(text, encoding="utf-8")
    browser.get(path.as_uri())
    return browser


def requests_of(browser: Any) -> set[str]:
    """The kinds of all addresses that the page asked for."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return {parameters["request"]["url"].partition(":")[0] for parameters in sent}


def point(browser: Any, name: str, axes: str, x: float, y: float, *, click: bool = False) -> str:
    """The label under the mouse at a place of a plot."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    place = browser.execute_script(
        """const [name, axes, x, y] = arguments;
        const plot = document.getElementById(name);
        plot.scrollIntoView({block: "center"});
        const box = plot.getBoundingClientRect(), layout = plot._fullLayout;
        const xa = layout["xaxis" + axes], ya = layout["yaxis" + axes];
        return [box.left + xa._offset + xa.d2p(x), box.top + ya._offset + ya.d2p(y)];""",
        name,
        axes,
        x,
        y,
    )
    actions = ActionChains(browser)
    actions.w3c_actions.pointer_action.move_to_location(*(round(at) for at in place))
    if click:
        actions.w3c_actions.pointer_action.click()
    actions.perform()
    labels = "return [...document.querySelectorAll('#' + arguments[0] + ' .hovertext')]"
    script = f"{labels}.map(label => label.textContent).join(' ')"
    return str(WebDriverWait(browser, 10).until(lambda _: browser.execute_script(script, name)))


def chosen(browser: Any, section: str) -> tuple[dict[str, str], str, list[str]]:
    """What is shown of the chosen mass: its numbers, the note and the captions of its fits."""
    return tuple(
        browser.execute_script(
            """const aside = document.querySelector("#" + arguments[0] + " aside");
            const texts = (tag) => [...aside.querySelectorAll(tag)].map(one => one.textContent);
            const values = texts("dd");
            return [Object.fromEntries(texts("dt").map((name, k) => [name, values[k]])),
                    aside.querySelector(".note").textContent,
                    [...aside.querySelectorAll("figure")].filter(one => one.offsetHeight > 0)
                        .map(one => one.querySelector("figcaption").textContent)];""",
            section,
        )
    )


def test_hover_and_click_in_a_browser(browser: Any, tmp_path: Path, scan_page: str) -> None:
    scan = make()
    opened(browser, tmp_path / "report.html", scan_page)
    numbers_, note, fits = chosen(browser, "scan")
    assert float(numbers_["Significance [σ]"]) == 2.5
    assert note == "The fit at this mass:"
    assert fits == [f"Fit at {scan.masses[10]:.4f} GeV"]

    label = point(browser, "limits", "", scan.masses[30], scan.observed[30])
    assert f"Mass [GeV]: {scan.masses[30]:.6g}" in label
    assert f"Observed limit: {scan.observed[30]:.4g}" in label
    assert FEW in label
    assert "Local p0: 0.4" in point(browser, "limits", "2", scan.masses[50], scan.p0[50])
    assert chosen(browser, "scan")[2] == fits  # pointing alone changes nothing

    for name, axes, row, height in (
        ("limits", "", 60, scan.observed[60]),
        ("limits", "2", 0, scan.p0[0]),
        ("coupling", "", 59, np.sqrt(scan.observed[59])),
    ):
        point(browser, name, axes, scan.masses[row], height, click=True)
        numbers_, note, fits = chosen(browser, "scan")
        assert float(numbers_["Mass [GeV]"]) == pytest.approx(scan.masses[row], rel=1e-5)
        assert float(numbers_["Observed limit"]) == pytest.approx(scan.observed[row], rel=1e-3)
        drawn = min(scan.masses[[0, 10, 60]], key=lambda mass: abs(mass - scan.masses[row]))
        assert fits == [f"Fit at {drawn:.4f} GeV"]
        assert ("nearest" in note) == (row == 59)

    mass = scan.skipped[0].mass
    point(browser, "limits", "", mass, scan.observed[0], click=True)
    assert chosen(browser, "scan")[0] == {
        "Mass [GeV]": f"{mass:.6g}",
        "Warnings": "not scanned: $\\eta$ veto",
    }
    assert browser.get_log("browser") == []
    assert requests_of(browser) <= {"file", "data", "blob"}


def test_maps_answer_in_a_browser(browser: Any, tmp_path: Path) -> None:
    opened(
        browser, tmp_path / "report.html", report.page(report.Contents(lifetimes=make_lifetimes()))
    )
    label = point(browser, "map0", "", 1.5, 1.0, click=True)
    assert "1.5 GeV, cτ = 1 cm" in label
    assert "observed 2" in label
    numbers_, _, fits = chosen(browser, "channel0")
    assert (numbers_["Lifetime cτ [cm]"], numbers_["Mass [GeV]"]) == ("1", "1.5")
    assert numbers_["Observed limit"] == "2"
    assert fits == []
    assert "not scanned" in point(browser, "map0", "", 1.25, 0.01)
    label = point(browser, "map1", "2", 1.5, 1.0, click=True)
    assert "Z = " in label
    assert chosen(browser, "channel1")[0]["Warnings"] == "few events"
    assert browser.get_log("browser") == []


def test_hostile_texts_run_nothing_in_a_browser(browser: Any, tmp_path: Path) -> None:
    contents = spoilt_contents(EVIL)
    assert contents.scan is not None
    opened(browser, tmp_path / "report.html", spoilt_page(EVIL))
    scan = contents.scan
    label = point(browser, "limits", "", scan.masses[5], scan.observed[5], click=True)
    assert "onerror" in label  # as text
    numbers_, _, _ = chosen(browser, "scan")
    assert numbers_["Warnings"] == EVIL
    assert browser.execute_script("return typeof owned") == "undefined"
    foreign = "return document.querySelectorAll('img:not([src^=\"data:\"]), [onerror]').length"
    assert browser.execute_script(foreign) == 0
    assert browser.get_log("browser") == []
