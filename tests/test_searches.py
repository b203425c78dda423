"""What holds for every search, and what searches share."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from zfit_dark import numbers, searches
from zfit_dark.errors import InputError
from zfit_dark.results import Limit, Scan
from zfit_dark.searches import _hypotheses, _samples

NAMES = searches.names()
FOLDER = Path(searches.__file__).parent
STATUS = {"read", "derived", "assumed"}


def content(name: str) -> Any:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


def numbers_without_source(part: Any, place: str = "") -> list[str]:
    """Places of numbers that no mapping with unit, source and status holds."""
    if isinstance(part, dict):
        if {"unit", "source", "status"} <= part.keys():
            return []
        return [p for key, v in part.items() for p in numbers_without_source(v, f"{place}.{key}")]
    if isinstance(part, list):
        return [p for k, v in enumerate(part) for p in numbers_without_source(v, f"{place}[{k}]")]
    try:
        float(part)
    except (TypeError, ValueError):
        return []
    return [place]


def sourced(part: Any) -> list[dict[str, Any]]:
    if not isinstance(part, dict):
        return []
    if "status" in part:
        return [part]
    return [entry for value in part.values() for entry in sourced(value)]


# -- every search ---------------------------------------------------------------------------


def test_names_are_the_modules_with_a_data_file() -> None:
    assert "b2kagg" in NAMES
    assert set(NAMES) == {path.stem for path in FOLDER.glob("*.yaml")}
    assert not any(name.startswith("_") for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_search_holds_what_the_protocol_says(name: str) -> None:
    search = searches.load(name)
    wanted = {n: m for n, m in vars(searches.Search).items() if not n.startswith("_")}
    assert {"NAME", "MODES", "generate", "read", "scan"} <= wanted.keys()
    for member, in_protocol in wanted.items():
        there = getattr(search, member)
        if inspect.isfunction(in_protocol):
            asked = list(inspect.signature(in_protocol).parameters)[1:]
            given = inspect.signature(there).parameters
            assert list(given)[: len(asked)] == asked, member
            optional = list(given.values())[len(asked) :]
            assert all(p.default is not inspect.Parameter.empty for p in optional), member
    assert name == search.NAME
    assert searches.title(name) == search.TITLE


def test_a_search_names_the_mass_that_it_scans() -> None:
    assert searches.mass_label("b2kagg") == "$m_a$ [GeV]"
    assert searches.mass_label("b2ks") == "$m_S$ [GeV]"
    with pytest.raises(InputError, match="unknown search"):
        searches.mass_label("b2x")


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_number_has_unit_source_and_status(name: str) -> None:
    assert numbers_without_source({"a": {"value": 1.0}, "b": ["2"]}) == [".a.value", ".b[0]"]
    assert numbers_without_source(content(name)) == []
    for entry in sourced(content(name)):
        assert entry["status"] in STATUS
        assert entry["source"].strip()
        assert isinstance(entry["unit"], str)


@pytest.mark.parametrize("name", NAMES)
def test_sources_lists_all_of_them(name: str) -> None:
    head, *lines = searches.load(name).sources().splitlines()
    assert head.split() == ["number", "value", "unit", "status", "source"]
    assert len(lines) >= len(sourced(content(name)))
    for entry in sourced(content(name)):
        assert any(f"{entry['status']}" in line and entry["source"] in line for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_pseudo_data_depend_on_the_seed_alone(name: str) -> None:
    search = searches.load(name)
    one, again, other = search.generate(3), search.generate(3), search.generate(4)
    assert tuple(one) == search.MODES
    for mode in search.MODES:
        assert one[mode].dtype == np.float64
        np.testing.assert_array_equal(one[mode], again[mode])
        assert not np.array_equal(one[mode], other[mode])
    alone = search.generate(3, modes=[search.MODES[-1]])
    assert list(alone) == [search.MODES[-1]]
    np.testing.assert_array_equal(alone[search.MODES[-1]], one[search.MODES[-1]])


@pytest.mark.parametrize("name", NAMES)
def test_pseudo_data_in_a_file_stay_pseudo_data(name: str, tmp_path: Path) -> None:
    search = searches.load(name)
    file = tmp_path / "events.root"
    made = search.generate(5, out=file)
    assert [path.name for path in tmp_path.iterdir()] == ["events.root"]
    from_file, from_memory, afresh = search.read(file), search.read(made), search.read(seed=5)
    for sample in (from_file, from_memory, afresh):
        assert sample.pseudo_data == made.record
        assert sample.report[-1] == f"pseudo-data, {name} with seed 5"
        for mode in search.MODES:
            np.testing.assert_array_equal(sample.values[mode], made[mode])
    assert [record["path"] for record in from_file.inputs] == [str(file)]
    assert search.read({mode: np.array(made[mode]) for mode in made}).pseudo_data is None


# -- choosing -------------------------------------------------------------------------------


def test_unknown_search() -> None:
    with pytest.raises(InputError, match=r"^unknown search 'b2kag'.*did you mean 'b2kagg'\?$"):
        searches.load("b2kag")
    with pytest.raises(InputError, match="unknown search '_samples'"):
        searches.title("_samples")


def test_modes_come_in_the_order_of_the_search() -> None:
    known = ("Kplus", "KS", "Kst0")
    assert _samples.chosen_modes(None, known) == known
    assert _samples.chosen_modes(["Kst0", "Kplus", "Kst0"], known) == ("Kplus", "Kst0")
    assert _samples.chosen_modes("KS", known) == ("KS",)
    with pytest.raises(InputError, match=r"unknown mode 'Kstar0'.*did you mean 'Kst0'\?"):
        _samples.chosen_modes(["Kstar0"], known)
    with pytest.raises(InputError, match="no mode is chosen"):
        _samples.chosen_modes([], known)


@pytest.mark.parametrize("n", [1, 2, 5, 349])
@pytest.mark.parametrize("count", [1, 2, 3, 40, 400])
def test_spread_is_even_with_both_ends(n: int, count: int) -> None:
    chosen = searches.spread(n, count)
    assert len(chosen) == len(set(chosen)) == min(n, count)
    assert chosen[0] == 0
    if min(n, count) > 1:
        assert chosen[-1] == n - 1
        steps = np.diff(chosen)
        assert steps.min() >= 1
        assert steps.max() - steps.min() <= 1


def test_max_masses_spreads_over_the_hypotheses() -> None:
    masses = np.linspace(1.0, 2.0, 101)
    chosen = _hypotheses.chosen_masses(masses, 5, "b2kagg", 0.5, 3.0)
    assert chosen[0] == masses[0]
    assert chosen[-1] == masses[-1]
    assert np.ptp(np.diff(np.searchsorted(masses, chosen))) <= 1
    every = _hypotheses.chosen_masses([2.0, 1.0, 2.0], None, "b2kagg", 0.5, 3.0)
    np.testing.assert_array_equal(every, [1.0, 2.0])


def a_scan(p0: list[float], *, blind: bool = False) -> Scan:
    nan = float("nan")
    limits = [
        Limit(
            observed=nan if blind else 1.0,
            expected=(1.0, 2.0, 3.0, 4.0, 5.0),
            poi_hat=nan if blind else 0.0,
            poi_error=nan if blind else 1.0,
            p0=nan if blind else p,
            level=0.9,
            method="asymptotic",
            test_statistic="qtilde",
            valid=p != 0.0,
            blind=blind,
        )
        for p in p0
    ]
    masses = np.arange(1.0, 1.0 + len(p0))
    return Scan.from_limits(masses, limits, poi="mu", poi_label="mu", pseudo_data=True)


def test_masses_to_show_are_the_most_significant_and_others() -> None:
    p0 = [0.5, 0.5, 0.01, 0.3, 0.0, 0.5, 0.5]  # the fit with 0.0 did not converge
    assert searches.masses_to_show(a_scan(p0), 3) == [1.0, 3.0, 7.0]
    assert searches.masses_to_show(a_scan(p0), 1) == [3.0]
    assert searches.masses_to_show(a_scan(p0), 99) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert searches.masses_to_show(a_scan(p0, blind=True), 3) == [1.0, 4.0, 7.0]


# -- samples --------------------------------------------------------------------------------

LIMITS = {"A": (0.0, 10.0), "B": (0.0, 10.0)}


def test_weights_are_refused() -> None:
    import boost_histogram as bh

    histogram = bh.Histogram(bh.axis.Regular(10, 0, 10))
    histogram.fill([1.0, 2.0])
    with pytest.raises(InputError, match=r"^B: the candidates carry weights"):
        _samples.read_sample({"A": [1.0], "B": histogram}, ["A", "B"], limits=LIMITS)


def test_a_mode_may_be_empty_but_not_all() -> None:
    sample = _samples.read_sample({"A": [], "B": [1.0]}, ["A", "B"], limits=LIMITS)
    assert len(sample.values["A"]) == 0
    assert sample.report[0] == "A: 0 candidates, the channel takes part with 0 events"
    with pytest.raises(InputError, match=r"^the data: no mode has a single candidate"):
        _samples.read_sample({"A": [], "B": []}, ["A", "B"], limits=LIMITS)


@pytest.mark.parametrize("mark", ["{", "[]", '{"search": "b2kagg"}'])
def test_a_damaged_mark_of_pseudo_data(mark: str, tmp_path: Path) -> None:
    import uproot

    file = tmp_path / "events.root"
    with uproot.recreate(file) as root:
        root[_samples._MARK] = mark
        root.mktree("A", {"mass": np.float64}).extend({"mass": np.array([1.0])})
    with pytest.raises(InputError, match=r"events\.root: its mark of pseudo-data is damaged"):
        _samples.read_sample(file, ["A"], limits=LIMITS)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "x.root"
    with pytest.raises(InputError, match=r"x\.root: cannot be written \(a file is in the way\)"):
        _samples.write_pseudo_data(path, {"A": {"mass": np.array([1.0])}}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# -- data files -----------------------------------------------------------------------------


class Form(numbers.Record):
    title: str
    n: numbers.Number
    window: numbers.Range
    curve: numbers.Curve


GOOD = """
title: a form
n: {value: 7.72e+8, unit: "", source: here, status: read}
window: {low: 1, high: 2.5, unit: GeV, source: here, status: assumed}
curve: {mass: [1.0, 2.0], value: [3.0, 4.0], unit: GeV, source: here, status: derived}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "form.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_data_file(tmp_path: Path) -> None:
    form = numbers.load_numbers(write(tmp_path, GOOD), Form)
    assert (form.n.value, form.window.low, form.curve.value) == (7.72e8, 1.0, [3.0, 4.0])
    assert numbers.table_of_sources(form).splitlines() == [
        "number       value     unit  status   source",
        "n            7.72e+08        read     here",
        "window       1 to 2.5  GeV   assumed  here",
        "curve.mass   1, 2      GeV   derived  here",
        "curve.value  3, 4      GeV   derived  here",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("7.72e+8", "772e6", r"n\.value: .*not '772e6' \(YAML reads 7.72e\+8 as a number"),
        ("7.72e+8", "many", r"n\.value: Input should be a valid number, not 'many'$"),
        ("7.72e+8", ".nan", r"n\.value: Input should be a finite number"),
        ("status: read", "status: guessed", r"n\.status: .*'read', 'derived' or 'assumed'"),
        ("source: here, status: read", "status: read", r"n\.source: Field required"),
        ("source: here, status: read", "source: '', status: read", r"n\.source: .*at least 1"),
        ("title: a form", "titel: a form", r"title: Field required \(and 1 more\)"),
        ("title: a form", "title: a form\nmore: 1", r"more: Extra inputs are not permitted"),
        ("low: 1", "low: 3", r"window: low 3 is not below high 2.5"),
        ("[1.0, 2.0]", "[2.0, 1.0]", r"curve: mass must hold two or more ascending numbers"),
        ("[1.0, 2.0]", "[1.0]", r"curve: mass must hold two or more ascending numbers"),
        ("[3.0, 4.0]", "[3.0]", r"curve: value holds 1 numbers for 2 masses"),
        ("title: a form", "title: [", r"not a YAML file \(while parsing"),
    ],
)
def test_a_wrong_data_file_is_told_in_one_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(InputError, match=message) as caught:
        numbers.load_numbers(path, Form)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_data_file_that_is_no_mapping_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"form\.yaml: the file: Input should be a valid"):
        numbers.load_numbers(write(tmp_path, "[1]"), Form)
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read \(No such file"):
        numbers.load_numbers(tmp_path / "none.yaml", Form)
    (tmp_path / "form.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match=r"form\.yaml: not a YAML file"):
        numbers.load_numbers(tmp_path / "form.yaml", Form)
