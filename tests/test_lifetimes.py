from __future__ import annotations

import dataclasses
import io
import json
import pickle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from test_results import assert_same, make_blind_scan, make_scan, scans

from zfit_dark import plot
from zfit_dark.errors import InputError
from zfit_dark.results import LifetimeScan, Scan, Skipped

LIFETIMES = (0.01, 1.0, 100.0)
VETO = Skipped(1.25, "$\\eta$ veto")


def make(**changes: Any) -> LifetimeScan:
    """Two channels; at 100 cm, "ee" has one mass and "pipi" none."""
    values: dict[str, Any] = {
        "lifetimes": LIFETIMES,
        "scans": {
            "ee": (
                make_scan(observed=[5.0, 6.0, 7.0], skipped=(VETO,)),
                make_scan(observed=[1.0, 2.0, 3.0], skipped=(VETO,)),
                make_scan((1.0,), observed=[4.0]),
            ),
            "pipi": (
                make_scan((1.5, 3.0), observed=[8.0, 9.0], valid=[True, False]),
                make_scan((1.5, 3.0), observed=[6.5, 7.5], warnings=(("few events",), ())),
                make_scan(()),
            ),
        },
    }
    return LifetimeScan(**(values | changes))


def make_blind() -> LifetimeScan:
    return LifetimeScan(lifetimes=(0.1, 1.0), scans={"ee": (make_blind_scan(), make_blind_scan())})


def assert_all_same(one: LifetimeScan, other: LifetimeScan) -> None:
    np.testing.assert_array_equal(one.lifetimes, other.lifetimes, strict=True)
    assert one.channels == other.channels
    for channel in one.channels:
        for mine, theirs in zip(one.scans[channel], other.scans[channel], strict=True):
            assert_same(mine, theirs)


def like(first: Scan, scan: Scan) -> Scan:
    """The scan with all that scans of several lifetimes have in common."""
    same = ("level", "method", "test_statistic", "poi_unit", "pseudo_data", "blind")
    changes = {name: getattr(first, name) for name in same}
    if first.blind:
        names = ("observed", "observed_error", "poi_hat", "poi_error", "p0")
        changes |= dict.fromkeys(names, np.full(len(scan.masses), np.nan))
        changes["largest_excess"] = np.nan
    return dataclasses.replace(scan, **changes)


@st.composite
def lifetime_scans(draw: st.DrawFn) -> LifetimeScan:
    first, second = draw(scans()), draw(scans())
    pool = st.sampled_from([first, like(first, second)])
    lifetimes = sorted(draw(st.sets(st.floats(1e-3, 1e3), min_size=1, max_size=3)))
    names = draw(st.lists(st.text(max_size=5), min_size=1, max_size=3, unique=True))
    table = {name: tuple(draw(pool) for _ in lifetimes) for name in names}
    return LifetimeScan(lifetimes=lifetimes, scans=table)


# -- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize("lifetimes", [(), (0.0, 1.0), (1.0, 0.5), (1.0, 1.0), (1.0, np.inf)])
def test_lifetimes_are_positive_and_increasing(lifetimes: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="lifetimes must be positive and increasing, in cm"):
        LifetimeScan(lifetimes=lifetimes, scans={"ee": (make_scan(),) * len(lifetimes)})


def test_each_channel_has_a_scan_for_each_lifetime() -> None:
    with pytest.raises(InputError, match="ee: 2 scans for 3 lifetimes"):
        make(scans={"ee": (make_scan(), make_scan())})
    with pytest.raises(InputError, match="no channel"):
        make(scans={})


@pytest.mark.parametrize(
    ("other", "name"),
    [
        (make_scan(level=0.95), "level is 0.95, but 0.9"),
        (make_scan(method="toys"), "method is 'toys', but 'asymptotic'"),
        (make_scan(test_statistic="q"), "test_statistic is 'q'"),
        (make_scan(poi_unit="fb"), "poi_unit is 'fb', but ''"),
        (make_scan(pseudo_data=False), "pseudo_data is False, but True"),
        (make_blind_scan(), "blind is True, but False"),
    ],
)
def test_all_scans_are_of_a_kind(other: Scan, name: str) -> None:
    with pytest.raises(InputError, match=f"^pipi at ctau = 1 cm: {name}"):
        LifetimeScan(
            lifetimes=(0.1, 1.0),
            scans={"ee": (make_scan(), make_scan()), "pipi": (make_scan(), other)},
        )


# -- limits ---------------------------------------------------------------------------------


def test_a_scan_is_found_by_channel_and_lifetime() -> None:
    result = make()
    assert result.at("ee", 1.0) is result.scans["ee"][1]
    assert result.at("ee", 0.1 * 0.1) is result.scans["ee"][0]  # 0.010000000000000002
    with pytest.raises(InputError, match=r"at ctau = 2 cm; the lifetimes are 0\.01, 1, 100 cm$"):
        result.at("ee", 2.0)
    with pytest.raises(InputError, match="unknown channel 'mumu'; the channels are ee, pipi"):
        result.at("mumu", 1.0)


def test_masses_of_a_channel_are_those_of_all_its_lifetimes() -> None:
    assert make().masses("ee").tolist() == [1.0, 1.5, 2.0]
    assert make().masses("pipi").tolist() == [1.5, 3.0]


def test_limits_against_lifetime() -> None:
    """NaN where the mass was not scanned (100 cm), and where its fits did not converge."""
    result = make()
    nan = np.nan
    np.testing.assert_array_equal(result.limits_at("ee", 1.0), [5.0, 1.0, 4.0])
    np.testing.assert_array_equal(result.limits_at("ee", 2.0), [7.0, 3.0, nan])
    np.testing.assert_array_equal(result.limits_at("pipi", 1.5), [8.0, 6.5, nan])
    np.testing.assert_array_equal(result.limits_at("pipi", 3.0), [nan, 7.5, nan])
    expected = result.expected_at("pipi", 3.0)
    assert expected.shape == (3, 5)
    assert np.isnan(expected[[0, 2]]).all()
    np.testing.assert_array_equal(expected[1], result.scans["pipi"][1].expected[1])
    assert result.flagged_at("pipi", 3.0).tolist() == [True, False, False]
    assert result.flagged_at("pipi", 1.5).tolist() == [False, True, False]


@pytest.mark.parametrize("method", ["limits_at", "expected_at", "flagged_at"])
def test_a_mass_without_limits_is_refused_with_the_reason(method: str) -> None:
    get = getattr(make(), method)
    with pytest.raises(InputError, match=r"ee: no limit at 1\.25 GeV \(not scanned: \$.eta\$ veto"):
        get("ee", 1.25)
    with pytest.raises(
        InputError, match=r"pipi: no limit at 2 GeV \(the nearest mass .* is 1\.5 GeV"
    ):
        get("pipi", 2.0)
    empty = LifetimeScan(lifetimes=(1.0,), scans={"ee": (make_scan(()),)})
    with pytest.raises(InputError, match="none at any mass"):
        getattr(empty, method)("ee", 1.0)


# -- tables ---------------------------------------------------------------------------------


def test_table_holds_every_scan() -> None:
    result = make()
    table = result.to_pandas()
    assert table.index.names == ["channel", "ctau_cm", "mass_GeV"]
    assert len(table) == 7 + 2 + 4
    assert table.index.is_monotonic_increasing
    assert table.loc[("ee", 1.0, 1.5), "observed"] == 2.0
    assert table.loc[("ee", 0.01, 1.25), "warnings"] == "not scanned: $\\eta$ veto"
    assert ("pipi", 100.0) not in table.index.droplevel("mass_GeV")
    for channel in result.channels:
        for lifetime, scan in zip(LIFETIMES[:2], result.scans[channel], strict=False):
            part = table.loc[channel, lifetime].reset_index()
            assert part.equals(scan.to_pandas())


def test_summary() -> None:
    assert make().summary().splitlines() == [
        "2 channels, 3 lifetimes ctau from 0.01 to 100 cm"
        " (90 % CL, asymptotic, qtilde, pseudo-data)",
        "ee: 7 limits",
        "  best observed limit: branching_fraction < 1 at 1 GeV, ctau = 1 cm",
        "  flagged: 0 (0 not converged, 0 with a warning)",
        "  not scanned: 2 ($\\eta$ veto)",
        "pipi: 4 limits",
        "  best observed limit: branching_fraction < 6.5 at 1.5 GeV, ctau = 1 cm",
        "  flagged: 2 (1 not converged, 1 with a warning)",
        "  not scanned: 0",
    ]


def test_summary_of_what_has_no_observed_limit() -> None:
    assert "best expected limit: branching_fraction < 3 at 1 GeV" in make_blind().summary()
    failed = LifetimeScan(lifetimes=(1.0,), scans={"ee": (make_scan(valid=[False] * 3),)})
    assert "best" not in failed.summary()
    assert "flagged: 3 (3 not converged, 0 with a warning)" in failed.summary()


# -- files ----------------------------------------------------------------------------------


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
@given(result=lifetime_scans())
def test_root_round_trip_is_exact(result: LifetimeScan, tmp_path: Path) -> None:
    path = tmp_path / "limits.root"
    result.to_root(path)
    assert_all_same(LifetimeScan.from_root(path), result)


def test_survives_pickling() -> None:
    assert_all_same(pickle.loads(pickle.dumps(make())), make())


def test_the_tree_reads_without_this_package(tmp_path: Path) -> None:
    path = tmp_path / "limits.root"
    result = make()
    result.to_root(path)
    with uproot.open(path) as file:
        tree = file["limits"].arrays(library="np")
        assert file["limits"].title == "upper limits at 90 % CL from pseudo-data"
        metadata = json.loads(file["metadata"])
        texts, skipped = json.loads(file["texts"]), json.loads(file["skipped"])
    assert metadata["channels"] == ["ee", "pipi"]
    assert metadata["lifetimes_cm"] == list(LIFETIMES)
    assert len(metadata["provenance"]) == 1
    table = result.to_pandas()
    table = table[table["valid"].notna()]
    channels = [metadata["channels"][i] for i in tree["channel"]]
    rows = list(zip(channels, tree["ctau_cm"], tree["mass_GeV"], strict=True))
    assert rows == list(table.index)
    columns = ["observed", "observed_error", "expected_m2", "expected_m1", "expected_median"]
    columns += ["expected_p1", "expected_p2", "poi_hat", "poi_error", "p0", "valid"]
    for name in columns:
        np.testing.assert_array_equal(tree[name], table[name].to_numpy(tree[name].dtype.type))
    warnings = ["; ".join(texts["warnings"][i]) for i in tree["warnings"]]
    assert warnings == table["warnings"].tolist()
    assert [texts["how"][i] for i in tree["how"]] == table["how"].tolist()
    assert texts["warnings"] == [[], ["few events"]]
    assert skipped[1] == {
        "channel": "ee",
        "ctau_cm": 1.0,
        "masses_GeV": {"$\\eta$ veto": [1.25]},
    }


@pytest.mark.parametrize("pseudo_data", [True, False])
def test_pseudo_data_is_marked_in_the_file(tmp_path: Path, pseudo_data: bool) -> None:
    path = tmp_path / "limits.root"
    LifetimeScan(lifetimes=(1.0,), scans={"ee": (make_scan(pseudo_data=pseudo_data),)}).to_root(
        path
    )
    with uproot.open(path) as file:
        assert ("zfit_dark_pseudo_data" in file) is pseudo_data
        assert ("pseudo-data" in file["limits"].title) is pseudo_data
    assert LifetimeScan.from_root(path).pseudo_data is pseudo_data


def test_texts_are_written_once(tmp_path: Path) -> None:
    """The same warning at 20 000 masses adds next to nothing to the file."""
    n, path = 20_000, tmp_path / "limits.root"
    masses = np.linspace(1.0, 2.0, n)
    sizes = []
    for warning in ("w", "w" * 1000):
        scan = make_scan(masses, warnings=((warning,),) * n)
        LifetimeScan(lifetimes=(1.0,), scans={"ee": (scan,)}).to_root(path)
        sizes.append(path.stat().st_size)
    assert sizes[1] - sizes[0] < 2000


def test_the_old_file_stays_until_the_new_one_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "limits.root"
    make().to_root(path)
    before = path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zfit_dark.results.scan.os.replace", full_disk)
    with pytest.raises(InputError, match=r"limits\.root: cannot be written \(No space left"):
        make_blind().to_root(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["limits.root"]


def test_writing_into_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.root: cannot be written \(No such file"):
        make().to_root(tmp_path / "missing" / "x.root")


def rewrite(path: Path, **changes: Any) -> None:
    """The same file with other texts or another tree."""
    with uproot.open(path) as file:
        texts = {name: str(file[name]) for name in ("metadata", "texts", "skipped")}
        tree = file["limits"].arrays(library="np")
    metadata = json.loads(texts["metadata"]) | changes.pop("metadata", {})
    texts = {**texts, "metadata": json.dumps(metadata), **changes.pop("texts", {})}
    tree |= changes.pop("tree", {})
    with uproot.recreate(path) as file:
        for name, text in texts.items():
            file[name] = text
        file.mktree("limits", {name: values.dtype for name, values in tree.items()}).extend(tree)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metadata": {"format": "zfit_dark lifetime scan 2"}}, "format 2 by a newer zfit_dark"),
        ({"metadata": {"format": "zfit_dark scan 3"}}, "not a zfit_dark lifetime scan file"),
        ({"metadata": {"level": "high"}}, "level is 'high'"),
        ({"metadata": {"scans": []}}, "damaged lifetime scan file"),
        ({"metadata": {"channels": ["ee"]}}, "damaged lifetime scan file, 'pipi' is missing"),
        ({"metadata": {"lifetimes_cm": [1.0]}}, r"damaged .* \(ee: 3 scans for 1 lifetimes"),
        ({"texts": {"texts": "{"}}, "damaged lifetime scan file"),
        ({"texts": {"texts": '{"warnings": [], "how": []}'}}, "damaged lifetime scan file"),
        ({"texts": {"metadata": "[]"}}, "not a zfit_dark lifetime scan file"),
        ({"tree": {"p0": np.full(11, 7.0)}}, r"damaged .* \(p0 must lie between"),
    ],
)
def test_from_root_refuses_a_damaged_file(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "limits.root"
    make().to_root(path)
    rewrite(path, **changes)
    with pytest.raises(InputError, match=message) as caught:
        LifetimeScan.from_root(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_from_root_refuses_a_tree_of_another_length(tmp_path: Path) -> None:
    path = tmp_path / "limits.root"
    make().to_root(path)
    with uproot.open(path) as file:
        tree = file["limits"].arrays(library="np")
    rewrite(path, tree={name: np.append(values, values[:1]) for name, values in tree.items()})
    with pytest.raises(InputError, match=r"damaged .* \(12 limits are there, not 11\)"):
        LifetimeScan.from_root(path)


def test_from_root_of_what_is_no_such_file(tmp_path: Path) -> None:
    path = tmp_path / "limits.root"
    with pytest.raises(InputError, match=r"limits\.root: cannot be read \(No such file"):
        LifetimeScan.from_root(path)
    path.write_bytes(b"mass,limit\n")
    with pytest.raises(InputError, match=r"limits\.root: not a ROOT file"):
        LifetimeScan.from_root(path)
    with uproot.recreate(path) as file:
        file["something"] = "else"
    with pytest.raises(InputError, match="not a zfit_dark lifetime scan file"):
        LifetimeScan.from_root(path)
    make().to_root(path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError, match="damaged lifetime scan file") as caught:
        LifetimeScan.from_root(path)
    assert "\n" not in str(caught.value)


# -- a part of a scan -----------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(scan=scans(), cut=st.floats(-1e6, 1e6))
def test_the_parts_of_a_scan_merge_to_the_whole(scan: Scan, cut: float) -> None:
    """A part may be empty; the mass at the cut is in both."""
    below, above = scan.between(-np.inf, cut), scan.between(cut, np.inf)
    np.testing.assert_array_equal(below.masses, [m for m in scan.masses if m <= cut])
    np.testing.assert_array_equal(above.masses, [m for m in scan.masses if m >= cut])
    whole = dataclasses.replace(scan, largest_excess=np.nan, toy_excesses=np.empty(0))
    assert_same(below.merge(above), whole)


def test_a_part_of_a_scan_has_no_toys_of_the_whole() -> None:
    scan = make_scan(largest_excess=3.0, toy_excesses=[1.0, 2.0], skipped=(VETO, Skipped(9.0, "v")))
    part = scan.between(1.0, 1.5)
    assert part.masses.tolist() == [1.0, 1.5]
    assert part.skipped == (VETO,)
    assert np.isnan(part.largest_excess)
    assert part.toy_excesses.size == 0
    assert part.provenance == scan.provenance
    assert scan.between(-np.inf, np.inf).masses.tolist() == scan.masses.tolist()


# -- plots ----------------------------------------------------------------------------------


def line(ax: Axes, label: str) -> Line2D:
    (found,) = [candidate for candidate in ax.lines if candidate.get_label() == label]
    return found


def words(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.figure.findobj(mpl.text.Text)]


def cells(ax: Axes) -> list[tuple[float, float, float, float, float]]:
    """(left, right, low, high, limit) of each cell of a map."""
    (found,) = [c for c in ax.collections if isinstance(c, PolyCollection)]
    boxes = [np.asarray(path.vertices) for path in found.get_paths()]
    values = np.asarray(found.get_array())
    ends = [(*box.min(axis=0), *box.max(axis=0)) for box in boxes]
    return [
        (left, right, low, high, value)
        for (left, low, right, high), value in zip(ends, values, strict=True)
    ]


def test_the_map_has_a_cell_for_each_limit() -> None:
    result = make()
    ax = plot.lifetimes(result, "ee")
    found = cells(ax)
    assert [cell[4] for cell in found] == [5.0, 6.0, 7.0, 1.0, 2.0, 3.0, 4.0]
    # half way to the neighbours, 1.25 was skipped; and a factor 10 to the next lifetime
    assert found[0][:4] == pytest.approx((0.875, 1.125, 1e-3, 0.1))
    assert found[4][:4] == pytest.approx((1.375, 1.75, 0.1, 10.0))
    assert found[6][2:4] == pytest.approx((10.0, 1000.0))
    (image,) = [c for c in ax.collections if isinstance(c, PolyCollection)]
    assert isinstance(image.norm, LogNorm)
    assert (image.norm.vmin, image.norm.vmax) == (1.0, 7.0)
    assert ax.get_yscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$m_S$ [GeV]", r"$c\tau$ [cm]")


def test_map_on_given_axes() -> None:
    figure = Figure(figsize=(10, 7))
    ax = figure.add_subplot()
    assert plot.lifetimes(make(), "ee", ax) is ax
    assert len(figure.axes) == 2  # with the bar of colours
    plain = next(c for c in plot.lifetimes(make(), "ee").collections)
    np.testing.assert_array_equal(ax.collections[0].get_array(), plain.get_array())


def test_the_map_is_grey_where_masses_were_skipped_and_white_where_there_is_no_limit() -> None:
    ax = plot.lifetimes(make(), "ee")
    patches = [
        (patch.get_x(), patch.get_x() + patch.get_width(), patch.get_y(), str(patch.get_label()))
        for patch in ax.patches
    ]
    assert [patch[3] for patch in patches] == ["Not scanned: $\\eta$ veto", "_$\\eta$ veto"]
    for low, high, _, _ in patches:
        assert 1.125 < low < 1.25 < high < 1.375
    assert [patch[2] for patch in patches] == pytest.approx([1e-3, 0.1])
    legend = ax.get_legend()
    assert legend is not None
    assert [t.get_text() for t in legend.get_texts()] == ["Not scanned: $\\eta$ veto"]
    assert not any(low > 10 and left > 1.2 for left, _, low, _, _ in cells(ax))
    assert mpl.colors.to_hex(ax.get_facecolor()) == "#ffffff"


def test_the_map_has_crosses_on_flagged_limits_and_no_colour_on_those_that_failed() -> None:
    ax = plot.lifetimes(make(), "pipi")
    crosses = line(ax, "Not converged or warning (2)")
    assert list(zip(*crosses.get_data(), strict=True)) == [(3.0, 0.01), (1.5, 1.0)]
    assert [cell[4] for cell in cells(ax)] == [8.0, 6.5, 7.5]


def test_the_map_says_what_it_is() -> None:
    ax = plot.lifetimes(make(), "ee")
    assert {"ee", "Pseudo-data"} <= set(words(ax))
    label = "Upper limit on $\\mathcal{B}$\nat 90 % CL (CL$_\\mathrm{s}$)"
    assert label in words(ax)
    data = LifetimeScan(lifetimes=(1.0,), scans={"ee": (make_scan(pseudo_data=False),)})
    assert "Pseudo-data" not in words(plot.lifetimes(data, "ee"))
    assert plot.lifetimes(data, "ee").get_legend() is None


def test_a_blind_map_shows_expected_limits() -> None:
    ax = plot.lifetimes(make_blind(), "ee")
    assert [cell[4] for cell in cells(ax)] == [3.0, 4.0, 5.0] * 2
    assert "Pseudo-data, Blind: expected only" in words(ax)


def test_limits_against_lifetime_are_the_numbers() -> None:
    result = make()
    ax = plot.against_lifetime(result, "pipi", [1.5, 3.0])
    for mass in (1.5, 3.0):
        observed = line(ax, f"{mass:g} GeV")
        expected = line(ax, f"_expected at {mass:g} GeV")
        np.testing.assert_array_equal(observed.get_xdata(), LIFETIMES)
        np.testing.assert_array_equal(observed.get_ydata(), result.limits_at("pipi", mass))
        np.testing.assert_array_equal(expected.get_ydata(), result.expected_at("pipi", mass)[:, 2])
        assert observed.get_color() == expected.get_color()
        assert (observed.get_linestyle(), expected.get_linestyle()) == ("-", "--")
    assert line(ax, "1.5 GeV").get_color() != line(ax, "3 GeV").get_color()
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    on_curve = line(ax, "Not converged or warning (2)")
    assert list(zip(*on_curve.get_data(), strict=True)) == [(1.0, 6.5)]
    on_edge = line(ax, "_flagged, no value")
    assert list(zip(*on_edge.get_data(), strict=True)) == [(0.01, 0.02)]
    assert "Pseudo-data" in words(ax)
    assert ax.get_title(loc="left") == "pipi"


def test_blind_limits_against_lifetime() -> None:
    ax = plot.against_lifetime(make_blind(), "ee", [1.5])
    np.testing.assert_array_equal(line(ax, "1.5 GeV").get_ydata(), [4.0, 4.0])
    assert line(ax, "1.5 GeV").get_linestyle() == "--"
    assert "Observed" not in words(ax)
    assert any("Blind" in text for text in words(ax))


def test_plots_without_limits_are_refused() -> None:
    failed = LifetimeScan(lifetimes=(1.0,), scans={"ee": (make_scan(valid=[False] * 3),)})
    with pytest.raises(InputError, match="ee holds no limit to draw; choose another channel"):
        plot.lifetimes(failed, "ee")
    with pytest.raises(InputError, match="ee holds no limit to draw at these masses"):
        plot.against_lifetime(failed, "ee", [1.0])
    with pytest.raises(InputError, match="unknown channel"):
        plot.lifetimes(make(), "mumu")
    with pytest.raises(InputError, match="no limit at 7 GeV"):
        plot.against_lifetime(make(), "ee", [7.0])


def test_nothing_global_changes() -> None:
    before = dict(mpl.rcParams)
    ax = Figure().add_subplot()
    assert plot.against_lifetime(make(), "ee", [1.0], ax) is ax
    drawn = [ax, plot.lifetimes(make(), "ee")]
    assert dict(mpl.rcParams) == before
    for one in drawn:
        one.figure.savefig(io.BytesIO(), format="png", dpi=30)  # type: ignore[union-attr]


def test_a_map_of_mostly_flagged_limits_says_so_in_words() -> None:
    few = [
        dataclasses.replace(scan, warnings=(("few events",),) * len(scan.masses))
        for scan in make().scans["ee"]
    ]
    result = LifetimeScan(lifetimes=make().lifetimes, scans={"ee": tuple(few)})
    ax = plot.lifetimes(result, "ee")
    n = sum(len(scan.masses) for scan in few)
    assert f"{n} of {n} limits: not converged or warning" in words(ax)
    assert not [line for line in ax.lines if line.get_marker() == "X"]
