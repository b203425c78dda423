from __future__ import annotations

import io
import json
import pickle
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from zfit_dark import plot
from zfit_dark.errors import InputError
from zfit_dark.plot import planes
from zfit_dark.results import Exclusion, Interval, Skipped

VETO = "$J/\\psi$ veto"


def interval(low: float, high: float, *, ends: str = "cc") -> Interval:
    """An interval whose ends are crossings ("c") or not ("-")."""
    return Interval(low, high, ends[0] == "c", ends[1] == "c")


def make(**changes: Any) -> Exclusion:
    """Masses 1, 2, 3 next to each other; 4 was skipped; 5 and 6; at 6 nothing is excluded."""
    values: dict[str, Any] = {
        "masses": (1.0, 2.0, 3.0, 5.0, 6.0),
        "observed": (
            (interval(1e-4, 1e-2, ends="c-"),),
            (interval(2e-4, 1e-2, ends="c-"),),
            (interval(1e-4, 4e-4), interval(1e-3, 2e-2, ends="c-")),
            (interval(3e-4, 1e-2, ends="-c"),),
            (),
        ),
        "expected": (
            (interval(2e-4, 1e-2, ends="c-"),),
            (interval(2e-4, 1e-2, ends="c-"),),
            (interval(2e-4, 1e-2, ends="c-"),),
            (),
            (),
        ),
        "valid": (True, True, False, True, True),
        "coupling": "sin_theta",
        "coupling_label": r"$\sin\theta$",
        "model": "dark scalar that mixes with the Higgs boson",
        "assumptions": ("widths of Winkler (2018)", "nothing else"),
        "channels": ("Kplus_mumu", "Kst0_mumu"),
        "level": 0.95,
        "pseudo_data": True,
        "skipped": (Skipped(4.0, VETO),),
        "provenance": {"search": "b2ks"},
    }
    return Exclusion(**(values | changes))


def make_blind() -> Exclusion:
    return make(observed=((),) * 5, blind=True)


def assert_same(one: Exclusion, other: Exclusion) -> None:
    for name in ("masses", "valid"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)
    names = ("observed", "expected", "coupling", "coupling_label", "coupling_unit", "model")
    names += ("assumptions", "channels", "level", "blind", "pseudo_data", "skipped", "provenance")
    for name in names:
        assert getattr(one, name) == getattr(other, name), name


regions = st.lists(st.floats(1e-9, 1.0), max_size=6, unique=True).map(
    lambda edges: tuple(
        Interval(low, high, len(edges) > 3, low > 1e-3)
        for low, high in zip(sorted(edges)[::2], sorted(edges)[1::2], strict=False)
    )
)
texts = st.text(st.characters(codec="utf-8"), max_size=12)


@st.composite
def exclusions(draw: st.DrawFn) -> Exclusion:
    every = sorted(draw(st.sets(st.floats(1e-3, 10.0), max_size=8)))
    masses, skipped = every[::2], every[1::2]
    n, blind = len(masses), draw(st.booleans())
    return Exclusion(
        masses=masses,
        observed=((),) * n if blind else tuple(draw(regions) for _ in masses),
        expected=tuple(draw(regions) for _ in masses),
        valid=np.array([draw(st.booleans()) for _ in masses], bool),
        coupling=draw(texts),
        coupling_label=draw(texts),
        coupling_unit=draw(texts),
        model=draw(texts),
        assumptions=tuple(draw(st.lists(texts, max_size=2))),
        channels=tuple(draw(st.lists(texts, max_size=2))),
        level=draw(st.floats(0.01, 0.99)),
        blind=blind,
        pseudo_data=draw(st.booleans()),
        skipped=tuple(Skipped(mass, VETO) for mass in skipped),
        provenance=draw(st.dictionaries(texts, st.one_of(st.integers(), texts))),
    )


# -- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masses": (1.0, 2.0, 2.0, 5.0, 6.0)}, "strictly increasing"),
        ({"masses": (1.0, 2.0, 3.0, 5.0, np.nan)}, "must be finite"),
        ({"masses": (1.0, 2.0)}, r"Exclusion\.observed has 5 entries for 2 masses"),
        ({"expected": ((),)}, r"Exclusion\.expected has 1 entries for 5 masses"),
        ({"valid": (True, False)}, r"Exclusion\.valid must be 5 truth values"),
        ({"assumptions": "one text"}, r"Exclusion\.assumptions must be a sequence of texts"),
        ({"channels": (1, 2)}, r"Exclusion\.channels must be a sequence of texts"),
        ({"level": 95}, "confidence level is 95"),
        ({"skipped": (Skipped(2.0, VETO),)}, "2 GeV has limits and is skipped"),
        ({"provenance": {"x": object()}}, r"Exclusion\.provenance must hold plain JSON"),
        ({"blind": True}, r"Exclusion\.observed must be empty: a blind result"),
    ],
)
def test_exclusion_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("intervals", "message"),
    [
        ((interval(2e-3, 1e-3),), r"observed at 3 GeV: 0\.002 to 0\.001 is no interval"),
        ((interval(0.0, 1e-3),), "0 to 0.001 is no interval"),
        ((interval(1e-3, np.inf),), "0.001 to inf is no interval"),
        ((interval(np.nan, 1e-3),), "nan to 0.001 is no interval of a coupling; give 0 < low"),
        ((interval(1e-3, 3e-3), interval(2e-3, 4e-3)), "overlap or do not ascend"),
        ((interval(3e-3, 4e-3), interval(1e-3, 2e-3)), "overlap or do not ascend"),
        (((1e-3, 2e-3),), r"observed at 3 GeV: give a tuple of intervals \('tuple' object has"),
        (None, r"observed at 3 GeV: give a tuple of intervals \('NoneType' object is not"),
    ],
)
def test_what_is_no_interval_is_refused_with_its_mass(intervals: Any, message: str) -> None:
    good = make().observed
    with pytest.raises(InputError, match=message):
        make(observed=(good[0], good[1], intervals, good[3], good[4]))


def test_any_object_with_the_attributes_is_an_interval() -> None:
    stranger = SimpleNamespace(
        low=np.float64(1e-3), high=2e-3, low_is_crossing=np.True_, high_is_crossing=False
    )
    found = make(observed=([stranger], (), (), (), ()))
    assert found.observed[0] == (Interval(1e-3, 2e-3, True, False),)
    assert type(found.observed[0][0].low) is float
    assert found.observed[0][0].low_is_crossing is True


def test_arrays_are_read_only_copies() -> None:
    exclusion = make()
    for name in ("masses", "valid"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(exclusion, name)[...] = 0
    assert exclusion.flagged.tolist() == [False, False, True, False, False]


# -- files and tables -----------------------------------------------------------------------


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(exclusion=exclusions())
def test_json_round_trip_is_exact(exclusion: Exclusion, tmp_path: Path) -> None:
    path = tmp_path / "exclusion.json"
    exclusion.to_json(path)
    assert_same(Exclusion.from_json(path), exclusion)
    json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)


def test_survives_pickling() -> None:
    assert_same(pickle.loads(pickle.dumps(make())), make())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "zfit_dark exclusion 2"}, "format 2 by a newer zfit_dark"),
        ({"format": "zfit_dark scan 3"}, "not a zfit_dark exclusion file"),
        ({"level": "high"}, "level is 'high'"),
        ({"observed": [[{"low": 1.0}]]}, "damaged exclusion file"),
        ({"masses": [1.0]}, r"damaged exclusion file \(Exclusion.observed has 5 entries for 1"),
        ({"skipped": [{"mass": 1.5}]}, "damaged exclusion file, 'reason' is missing"),
        ({"pseudo_data": "no"}, "pseudo_data is 'no'"),
    ],
)
def test_from_json_refuses_a_damaged_file(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "exclusion.json"
    make().to_json(path)
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        Exclusion.from_json(path)
    assert str(path) in str(caught.value)


def test_from_json_of_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.json: cannot be read \(No such file"):
        Exclusion.from_json(tmp_path / "absent.json")


@pytest.mark.parametrize("method", ["to_json", "to_csv"])
def test_writing_into_a_missing_folder(tmp_path: Path, method: str) -> None:
    with pytest.raises(InputError, match=r"missing/x: cannot be written \(No such file"):
        getattr(make(), method)(tmp_path / "missing" / "x")


def test_table_has_a_row_for_each_interval_and_each_mass_without() -> None:
    table = make().to_pandas()
    assert list(table.columns) == [
        "mass_GeV",
        "which",
        "low",
        "high",
        "low_is_crossing",
        "high_is_crossing",
        "valid",
    ]
    observed = table[table["which"] == "observed"]
    assert observed["mass_GeV"].tolist() == [1.0, 2.0, 3.0, 3.0, 5.0, 6.0]
    assert observed["low"].tolist()[:5] == [1e-4, 2e-4, 1e-4, 1e-3, 3e-4]
    assert observed["high_is_crossing"].tolist()[:5] == [False, False, True, False, True]
    assert observed["valid"].tolist() == [True, True, False, False, True, True]
    nothing = observed.iloc[5]
    assert nothing[["low", "high", "low_is_crossing", "high_is_crossing"]].isna().all()
    assert (table["which"] == "expected").sum() == 5
    assert set(make_blind().to_pandas()["which"]) == {"expected"}
    assert len(make(masses=(), observed=(), expected=(), valid=()).to_pandas()) == 0


def test_csv_says_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "exclusion.csv"
    make().to_csv(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("#")] == [
        "# zfit_dark exclusion of sin_theta",
        r"# coupling label: $\sin\theta$",
        "# coupling unit: none",
        "# model: dark scalar that mixes with the Higgs boson",
        "# assumption: widths of Winkler (2018)",
        "# assumption: nothing else",
        "# channels: Kplus_mumu, Kst0_mumu",
        "# level: 0.95",
        "# not scanned: 1 ($J/\\psi$ veto)",
        "# pseudo-data: yes",
        "# blind: no",
    ]
    assert "6.0,observed,,,,,True" in lines
    read = pd.read_csv(path, comment="#")
    np.testing.assert_array_equal(read["low"], make().to_pandas()["low"])


def test_summary() -> None:
    assert make(coupling_unit="1/GeV").summary().splitlines() == [
        "sin_theta at 5 masses from 1 to 6 GeV (95 % CL, pseudo-data)",
        "model: dark scalar that mixes with the Higgs boson",
        "channels: Kplus_mumu, Kst0_mumu",
        "observed: excluded at 4 masses from 1 to 5 GeV (nothing at 1), down to"
        " 0.0001 1/GeV at 1 GeV",
        "expected: excluded at 3 masses from 1 to 3 GeV (nothing at 2), down to"
        " 0.0002 1/GeV at 1 GeV",
        "flagged: 1 (limits not valid)",
        f"not scanned: 1 ({VETO})",
    ]


def test_summary_tells_a_limit_from_the_end_of_the_lifetimes() -> None:
    lowest = (interval(1e-6, 1e-2, ends="-c"),)
    changed = make(observed=(lowest, *make().observed[1:]), pseudo_data=False)
    assert "1e-06 at 1 GeV, where the lifetimes end" in changed.summary()
    assert "(95 % CL, data)" in changed.summary()


def test_blind_summary_tells_expected_only() -> None:
    lines = make_blind().summary().splitlines()
    assert lines[0].endswith("(95 % CL, pseudo-data, blind)")
    assert not any(line.startswith("observed") for line in lines)
    nothing = make(observed=((),) * 5).summary()
    assert "observed: nothing is excluded" in nothing


# -- plots ----------------------------------------------------------------------------------


def line(ax: Axes, label: str) -> Line2D:
    (found,) = [candidate for candidate in ax.lines if candidate.get_label() == label]
    return found


def words(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.figure.findobj(mpl.text.Text)]


def rectangles(ax: Axes) -> list[tuple[float, float, float, float]]:
    """(left, right, low, high) of each rectangle of the filled region."""
    (found,) = [c for c in ax.collections if isinstance(c, PolyCollection)]
    boxes = [np.asarray(path.vertices) for path in found.get_paths()]
    return [(*box[:, 0][[0, 1]], box[:, 1].min(), box[:, 1].max()) for box in boxes]


Piece = tuple[tuple[float, float], tuple[float, float]]


def pieces_of(x: Any, y: Any) -> set[Piece]:
    """The straight pieces of a line, each from its lower left to its upper right end."""
    points = list(zip(np.asarray(x, float).tolist(), np.asarray(y, float).tolist(), strict=True))
    return {
        (min(one, other), max(one, other))
        for one, other in pairwise(points)
        if np.isfinite([one, other]).all()
    }


def pieces(artist: Line2D) -> set[Piece]:
    return pieces_of(*artist.get_data())


END = "End of what was scanned, no limit"


def test_the_excluded_region_is_a_rectangle_for_each_interval() -> None:
    """They reach half way to the neighbours, and no further than that into what was skipped."""
    found = rectangles(plot.exclusion(make()))
    assert found == [
        (0.5, 1.5, 1e-4, 1e-2),
        (1.5, 2.5, 2e-4, 1e-2),
        (2.5, 3.5, 1e-4, 4e-4),
        (2.5, 3.5, 1e-3, 2e-2),
        (4.5, 5.5, 3e-4, 1e-2),
    ]


def test_a_range_without_masses_is_not_bridged() -> None:
    """Masses 0.1 GeV apart and then none for 3 GeV, without anybody having skipped one."""
    masses = (1.0, 1.1, 1.2, 4.2, 4.3)
    region = ((interval(1e-4, 1e-2),),) * 5
    ax = plot.exclusion(make(masses=masses, observed=region, expected=region, skipped=()))
    found = rectangles(ax)
    assert found[2][:2] == pytest.approx((1.15, 1.2 + 5 * 0.05))
    assert found[3][:2] == pytest.approx((4.2 - 5 * 0.05, 4.25))
    edges = pieces(line(ax, "_edge"))
    assert not any(left < 2.0 < right for (left, _), (right, _) in edges)


def test_edges_that_are_no_limits_look_different() -> None:
    """Every piece of the outline is in one of two lines, by hand for `make`."""
    ax = plot.exclusion(make())
    assert pieces(line(ax, "_edge")) == {
        ((0.5, 1e-4), (1.5, 1e-4)),
        ((1.5, 1e-4), (1.5, 2e-4)),
        ((1.5, 2e-4), (2.5, 2e-4)),
        ((2.5, 1e-4), (3.5, 1e-4)),
        ((2.5, 1e-4), (2.5, 2e-4)),
        ((2.5, 4e-4), (3.5, 4e-4)),
        ((2.5, 4e-4), (2.5, 1e-3)),
        ((2.5, 1e-3), (3.5, 1e-3)),
        ((4.5, 1e-2), (5.5, 1e-2)),
    }
    assert pieces(line(ax, END)) == {
        ((0.5, 1e-2), (1.5, 1e-2)),
        ((1.5, 1e-2), (2.5, 1e-2)),
        ((2.5, 1e-2), (2.5, 2e-2)),
        ((2.5, 2e-2), (3.5, 2e-2)),
        ((4.5, 3e-4), (5.5, 3e-4)),
        ((5.5, 3e-4), (5.5, 1e-2)),
    }
    assert line(ax, "_edge").get_linestyle() == "-"
    assert line(ax, END).get_linestyle() == ":"
    legend = ax.get_legend()
    assert legend is not None
    assert END in [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("valid", [True, False])
def test_a_mass_whose_limits_failed_does_not_end_the_region(valid: bool) -> None:
    """No limit is drawn between it and its neighbours; where nothing is excluded, there is one."""
    some = (interval(1e-4, 1e-2),)
    region = (some, (), some, some, some)
    flags = (True, valid, True, True, True)
    ax = plot.exclusion(make(observed=region, expected=region, valid=flags))
    for label in ("_edge", "Expected, median"):
        steps = {piece for piece in pieces(line(ax, label)) if piece[0][0] == piece[1][0]}
        at_the_mass = {((x, 1e-4), (x, 1e-2)) for x in (1.5, 2.5)}
        assert steps >= at_the_mass if valid else not steps & at_the_mass


def test_a_region_with_crossings_only_has_no_dotted_line() -> None:
    region = ((interval(1e-4, 1e-2),),) * 5
    ax = plot.exclusion(make(observed=region))
    assert END not in words(ax)
    assert END not in [artist.get_label() for artist in ax.lines]


def test_pieces_make_few_lines() -> None:
    """Dashes would show nothing of single pieces that are shorter than a dash."""
    n = 200
    masses = np.linspace(1.0, 2.0, n)
    low = 1e-4 * (1.1 + np.sin(40 * masses))
    region = tuple((interval(value, 1e-2),) for value in low)
    ax = plot.exclusion(
        make(masses=masses, observed=region, expected=region, valid=[True] * n, skipped=())
    )
    for label in ("_edge", "Expected, median"):
        x = np.asarray(line(ax, label).get_xdata(), float)
        assert np.isnan(x).sum() == 1  # one line below, one above
        assert len(x) == 2 * n + (n + 1) + 1
    assert line(ax, "Expected, median").get_linestyle() == "--"


@settings(max_examples=100, deadline=None)
@given(exclusion=exclusions())
def test_the_outline_surrounds_the_region(exclusion: Exclusion) -> None:
    """Going up at any mass, one enters and leaves the region at the pieces that are drawn."""
    cells = planes._cells(exclusion.masses, exclusion.skipped)
    crossings, ends = planes._outline(cells, exclusion.expected, exclusion.valid)
    for mass, intervals in zip(exclusion.masses, exclusion.expected, strict=True):
        for found, is_crossing in ((crossings, True), (ends, False)):
            flat = {p for p in found if p[0][1] == p[1][1]}
            crossed = sorted(low for (left, low), (right, _) in flat if left < mass < right)
            wanted = {i.low for i in intervals if i.low_is_crossing is is_crossing}
            wanted |= {i.high for i in intervals if i.high_is_crossing is is_crossing}
            assert crossed == sorted(wanted)
    for found in (crossings, ends):
        in_order = {(min(piece), max(piece)) for piece in found}
        assert pieces_of(*planes._joined(found)) == in_order
    everywhere = [*exclusion.masses, *(hypothesis.mass for hypothesis in exclusion.skipped)]
    for mass, (left, right) in zip(exclusion.masses, cells, strict=True):
        assert [other for other in everywhere if left < other < right] == [mass]


def test_expected_is_open_where_the_lifetimes_end() -> None:
    ax = plot.exclusion(make())
    assert pieces(line(ax, "Expected, median")) == {
        ((0.5, 2e-4), (1.5, 2e-4)),
        ((1.5, 2e-4), (2.5, 2e-4)),
        ((2.5, 2e-4), (3.5, 2e-4)),
    }


def test_a_blind_exclusion_shows_expected_only() -> None:
    ax = plot.exclusion(make_blind())
    assert not ax.collections
    assert "_edge" not in [artist.get_label() for artist in ax.lines]
    label = r"Expected at 95 % CL (CL$_\mathrm{s}$), median"
    assert len(pieces(line(ax, label))) == 3
    assert ((0.5, 1e-2), (1.5, 1e-2)) in pieces(line(ax, END))
    assert any("Blind" in text for text in words(ax))


def test_masses_that_are_not_valid_carry_a_cross() -> None:
    ax = plot.exclusion(make(valid=(True, True, False, True, False)))
    assert list(zip(*line(ax, "Limits not valid (2)").get_data(), strict=True)) == [(3.0, 1e-4)]
    on_edge = line(ax, "_flagged, no value")
    assert list(zip(*on_edge.get_data(), strict=True)) == [(6.0, 0.02)]
    assert on_edge.get_transform() == ax.get_xaxis_transform()
    assert not any("not valid" in text for text in words(plot.exclusion(make(valid=[True] * 5))))


def test_skipped_masses_are_shaded_with_the_reason() -> None:
    ax = plot.exclusion(make())
    (band,) = ax.patches
    assert band.get_label() == f"Not scanned: {VETO}"
    assert 3.5 <= band.get_x() < 4.0 < band.get_x() + band.get_width() <= 4.5
    assert f"Not scanned: {VETO}" in words(ax)


@pytest.mark.parametrize("pseudo_data", [True, False])
def test_the_plot_says_what_it_is(pseudo_data: bool) -> None:
    ax = plot.exclusion(make(pseudo_data=pseudo_data, coupling_unit="1/GeV"), mass_label="$m$")
    assert ("Pseudo-data" in words(ax)) is pseudo_data
    assert r"Excluded at 95 % CL (CL$_\mathrm{s}$)" in words(ax)
    assert ax.get_title(loc="left") == "dark scalar that mixes with the Higgs boson"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$m$", r"$\sin\theta$ [1/GeV]")
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "log")


def test_a_long_model_fits_the_axes() -> None:
    ax = plot.exclusion(make(model="a model that somebody described at length " * 4))
    (title,) = [t for t in ax.figure.findobj(mpl.text.Text) if t.get_text().startswith("a model")]
    assert title.get_window_extent().width <= 1.01 * ax.get_window_extent().width


def test_everything_excluded_is_below_the_legend() -> None:
    ax = plot.exclusion(make())
    legend = ax.get_legend()
    assert legend is not None
    bottom = ax.transData.inverted().transform(legend.get_window_extent().p0)[1]
    assert 2e-2 < bottom < ax.get_ylim()[1]
    assert ax.get_ylim()[0] < 1e-4


def test_masses_on_a_logarithmic_axis() -> None:
    ax = plot.exclusion(make(), log_mass=True)
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    assert ax.get_xscale() == "log"
    low, high = ax.get_xlim()
    assert 0.9 < low < 1.0
    assert 6.0 < high < 6.6
    ticks = {t.get_text() for t in ax.get_xticklabels()}
    assert {"1", "2", "5"} <= ticks
    with pytest.raises(InputError, match="not all masses are positive; draw with log_mass=False"):
        plot.exclusion(make(skipped=(Skipped(0.0, VETO),)), log_mass=True)


def test_others_are_drawn_over_it_with_their_label() -> None:
    region = ((interval(5e-6, 1e-3, ends="c-"),),) * 5
    other = make(observed=region, level=0.9)
    ax = plot.exclusion(
        make(pseudo_data=False),
        others=[("LHCb", make(observed=region, pseudo_data=False)), ("E949", other)],
    )
    one, two = line(ax, "LHCb"), line(ax, "E949 (90 % CL, pseudo-data)")
    assert ((0.5, 5e-6), (1.5, 5e-6)) in pieces(one)
    assert ((0.5, 1e-3), (1.5, 1e-3)) in pieces(line(ax, "_ends of LHCb"))
    assert one.get_color() != two.get_color()
    assert {"LHCb", "E949 (90 % CL, pseudo-data)"} <= set(words(ax))
    assert ax.get_ylim()[0] < 5e-6


def test_what_cannot_be_drawn_is_refused() -> None:
    empty = make(observed=((),) * 5, expected=((),) * 5)
    with pytest.raises(InputError, match="no sin_theta is excluded at any mass"):
        plot.exclusion(empty)
    with pytest.raises(InputError, match="ALPs: its coupling is g_Y, not sin_theta"):
        plot.exclusion(make(), others=[("ALPs", make(coupling="g_Y"))])
    assert plot.exclusion(empty, others=[("LHCb", make())]).get_legend() is not None
    nowhere = make(masses=(), observed=(), expected=(), valid=(), skipped=())
    with pytest.raises(InputError, match="no sin_theta is excluded"):
        plot.exclusion(nowhere, others=[("LHCb", make())])


def test_nothing_global_changes() -> None:
    before = dict(mpl.rcParams)
    ax = Figure().add_subplot()
    assert plot.exclusion(make(), ax) is ax
    assert dict(mpl.rcParams) == before
    ax.figure.savefig(io.BytesIO(), format="png", dpi=30)  # type: ignore[union-attr]
