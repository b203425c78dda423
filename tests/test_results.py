from __future__ import annotations

import csv
import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from zfit_dark.errors import InputError
from zfit_dark.results import ChannelFit, Fit, Limit, Scan, Skipped, new_provenance

ARRAYS = (
    "masses",
    "observed",
    "observed_error",
    "expected",
    "poi_hat",
    "poi_error",
    "p0",
    "valid",
)
OTHERS = (
    "how",
    "warnings",
    "skipped",
    "level",
    "method",
    "test_statistic",
    "blind",
    "poi",
    "poi_label",
    "poi_unit",
    "pseudo_data",
    "provenance",
)


def make_limit(**changes: Any) -> Limit:
    values: dict[str, Any] = {
        "observed": 3.5,
        "expected": (1.0, 2.0, 3.0, 4.0, 5.0),
        "poi_hat": 0.5,
        "poi_error": 1.1,
        "p0": 0.3,
        "level": 0.9,
        "method": "asymptotic",
        "test_statistic": "qtilde",
        "valid": True,
    }
    return Limit(**(values | changes))


def make_blind_limit(**changes: Any) -> Limit:
    nan = float("nan")
    hidden = {"observed": nan, "poi_hat": nan, "poi_error": nan, "p0": nan, "blind": True}
    return make_limit(**(hidden | changes))


def make_scan(masses: Any = (1.0, 1.5, 2.0), **changes: Any) -> Scan:
    n = len(masses)
    values: dict[str, Any] = {
        "masses": masses,
        "observed": 3.0 + np.arange(n),
        "expected": np.arange(1.0, 6.0) + np.arange(n)[:, None],
        "poi_hat": 0.1 * np.arange(n),
        "poi_error": np.full(n, 0.5),
        "p0": np.linspace(0.5, 0.01, n),
        "valid": np.ones(n, dtype=bool),
        "warnings": ((),) * n,
        "level": 0.9,
        "method": "asymptotic",
        "test_statistic": "qtilde",
        "poi": "branching_fraction",
        "poi_label": r"$\mathcal{B}$",
        "pseudo_data": True,
        "provenance": {"search": "b2kagg", "settings": {"seed": 1}, "inputs": []},
    }
    return Scan(**(values | changes))


def make_blind_scan(masses: Any = (1.0, 1.5, 2.0), **changes: Any) -> Scan:
    nan = np.full(len(masses), np.nan)
    hidden = {"observed": nan, "poi_hat": nan, "poi_error": nan, "p0": nan, "blind": True}
    return make_scan(masses, **(hidden | changes))


def assert_same(one: Scan, other: Scan) -> None:
    for name in (*ARRAYS, "largest_excess", "toy_excesses"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)
    for name in OTHERS:
        assert getattr(one, name) == getattr(other, name), name


numbers = st.floats(allow_nan=True, allow_infinity=True)
texts = st.text(st.characters(codec="utf-8"), max_size=12)


@st.composite
def scans(draw: st.DrawFn) -> Scan:
    finite = st.floats(-1e6, 1e6)
    everything = sorted(draw(st.sets(finite, max_size=12)))
    is_skipped = [draw(st.booleans()) for _ in everything]
    masses = [mass for mass, flag in zip(everything, is_skipped, strict=True) if not flag]
    n = len(masses)
    blind = draw(st.booleans())
    vector = st.lists(numbers, min_size=n, max_size=n)
    hidden = [float("nan")] * n
    p0 = st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), min_size=n, max_size=n)
    reasons = st.text(min_size=1).filter(str.strip)
    return Scan(
        masses=np.array(masses),
        observed=np.array(hidden if blind else draw(vector)),
        observed_error=np.array(hidden if blind else draw(vector)),
        how=tuple(draw(texts) for _ in masses),
        expected=np.array([draw(vector) for _ in range(5)]).T.reshape(n, 5),
        poi_hat=np.array(hidden if blind else draw(vector)),
        poi_error=np.array(hidden if blind else draw(vector)),
        p0=np.array(hidden if blind else draw(p0)),
        valid=np.array([draw(st.booleans()) for _ in masses], dtype=bool),
        warnings=tuple(tuple(draw(st.lists(texts, max_size=2))) for _ in masses),
        skipped=tuple(
            Skipped(mass, draw(reasons.filter(lambda text: text.isprintable())))
            for mass, flag in zip(everything, is_skipped, strict=True)
            if flag
        ),
        level=draw(st.floats(0.01, 0.99)),
        method=draw(texts),
        test_statistic=draw(texts),
        blind=blind,
        poi=draw(texts),
        poi_label=draw(texts),
        poi_unit=draw(texts),
        largest_excess=np.nan if blind else draw(numbers),
        toy_excesses=np.array(draw(st.lists(numbers, max_size=4))),
        pseudo_data=draw(st.booleans()),
        provenance=draw(st.dictionaries(texts, st.one_of(st.integers(), texts, st.none()))),
    )


# -- Limit ----------------------------------------------------------------------------------


@pytest.mark.parametrize("p0", [1e-300, 1e-12, 2.866515718791933e-07, 0.02, 0.5])
def test_significance_is_the_normal_quantile(p0: float) -> None:
    assert make_limit(p0=p0).significance == pytest.approx(norm.isf(p0), rel=1e-12)


def test_significance_of_a_deficit_is_zero() -> None:
    assert make_limit(p0=0.8).significance == 0.0


def test_significance_of_a_blind_limit_is_nan() -> None:
    assert np.isnan(make_blind_limit().significance)


def test_a_printed_limit_says_what_is_wrong_with_it() -> None:
    told = str(make_limit(valid=False, warnings=("the fit did not converge",))).splitlines()
    assert told[0] == "upper limit at 90 % CL (asymptotic): 3.5"
    assert told[-1] == "NOT VALID: the fit did not converge"
    assert str(make_limit(valid=False)).splitlines()[-1] == "NOT VALID"
    assert "warning: low counts" in str(make_limit(warnings=("low counts",)))
    by_toys = make_limit(method="auto", how="toys: few events", observed_error=0.04)
    assert "(toys: few events): 3.5 +- 0.04 (toys)" in str(by_toys)


def test_a_printed_blind_limit_tells_nothing_of_the_data() -> None:
    told = str(make_blind_limit())
    assert "(asymptotic): blind" in told
    assert "best fit" not in told


def test_limit_takes_numpy_scalars() -> None:
    limit = make_limit(observed=np.float64(2.5), expected=np.arange(5.0), valid=np.True_)
    assert type(limit.observed) is float
    assert all(type(value) is float for value in limit.expected)
    assert limit.valid is True


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expected": (1.0, 2.0, 3.0)}, "expected has 3 numbers"),
        ({"level": 90.0}, "confidence level is 90"),
        ({"level": 0.0}, "confidence level is 0"),
        ({"p0": 1.2}, "p0 must lie between 0 and 1"),
        ({"p0": -0.1}, "p0 must lie between 0 and 1"),
        ({"warnings": "one text"}, "sequence of texts"),
    ],
)
def test_limit_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_limit(**changes)


@pytest.mark.parametrize("name", ["observed", "poi_hat", "poi_error", "p0"])
def test_blind_limit_refuses_numbers_from_the_data(name: str) -> None:
    with pytest.raises(InputError, match=rf"Limit\.{name} must be NaN"):
        make_blind_limit(**{name: 0.25})


# -- Scan -----------------------------------------------------------------------------------


def test_arrays_are_read_only_copies() -> None:
    observed = np.array([1.0, 2.0, 3.0])
    scan = make_scan(observed=observed)
    observed[0] = 99.0
    assert scan.observed[0] == 1.0
    for name in ARRAYS:
        with pytest.raises(ValueError, match="read-only"):
            getattr(scan, name)[...] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        scan.level = 0.95  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observed": [1.0, 2.0]}, r"Scan\.observed has the shape \(2,\); it must be \(3\)"),
        ({"expected": np.ones((3, 4))}, r"Scan\.expected has the shape \(3, 4\)"),
        ({"expected": np.ones((5, 3))}, r"Scan\.expected has the shape \(5, 3\)"),
        ({"p0": ["a", "b", "c"]}, r"Scan\.p0 must be numbers"),
        ({"p0": [0.1, 0.2, 1.5]}, "p0 must lie between"),
        ({"valid": [True, False]}, r"Scan\.valid must be 3 truth values"),
        ({"valid": [1.0, 0.0, 1.0]}, r"Scan\.valid must be 3 truth values"),
        ({"warnings": ((), ())}, "2 entries for 3 masses"),
        ({"warnings": ("a", "b", "c")}, "sequence of texts"),
        ({"level": 95}, "confidence level is 95"),
        ({"skipped": (Skipped(1.5, "veto"),)}, r"1\.5 GeV is in the scan twice"),
        ({"skipped": (Skipped(3.0, "a"), Skipped(3.0, "b"))}, "3 GeV is in the scan twice"),
        ({"provenance": {"file": Path("x")}}, "plain JSON"),
        ({"provenance": {"x": float("nan")}}, "plain JSON"),
    ],
)
def test_scan_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_scan(**changes)


@pytest.mark.parametrize("masses", [(2.0, 1.0), (1.0, 1.0), (1.0, np.nan), (1.0, np.inf)])
def test_scan_refuses_masses_that_do_not_increase(masses: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="strictly increasing"):
        make_scan(masses)


@pytest.mark.parametrize("name", ["observed", "poi_hat", "poi_error", "p0"])
def test_blind_scan_refuses_a_single_number_from_the_data(name: str) -> None:
    with pytest.raises(InputError, match=rf"Scan\.{name} must be NaN: a blind result"):
        make_blind_scan(**{name: [np.nan, 0.5, np.nan]})


@pytest.mark.parametrize("reason", ["", "  "])
def test_skipped_needs_a_reason(reason: str) -> None:
    with pytest.raises(InputError, match=r"skipped at 1\.5 GeV has no reason"):
        Skipped(1.5, reason)


def test_from_limits_sorts_by_mass() -> None:
    limits = [make_limit(observed=2.0, warnings=("w",)), make_limit(observed=1.0, valid=False)]
    scan = Scan.from_limits(
        [2.0, 1.0],
        limits,
        poi="b",
        poi_label="$b$",
        pseudo_data=False,
        skipped=[Skipped(3.0, "veto"), Skipped(0.5, "veto")],
    )
    assert scan.masses.tolist() == [1.0, 2.0]
    assert scan.observed.tolist() == [1.0, 2.0]
    assert scan.expected.shape == (2, 5)
    assert scan.valid.tolist() == [False, True]
    assert scan.warnings == ((), ("w",))
    assert [hypothesis.mass for hypothesis in scan.skipped] == [0.5, 3.0]
    assert scan.flagged.tolist() == [True, True]
    assert scan.provenance["versions"]["numpy"] == np.__version__


def test_from_limits_keeps_blindness() -> None:
    scan = Scan.from_limits(
        [1.0], [make_blind_limit()], poi="b", poi_label="b", pseudo_data=True, provenance={}
    )
    assert scan.blind
    assert np.isnan(scan.observed[0])
    assert scan.provenance == {}


@pytest.mark.parametrize(
    ("masses", "limits", "message"),
    [
        ([1.0], [make_limit(), make_limit()], "2 limits for masses of shape"),
        ([], [], r"no mass hypothesis was scanned \(1 \(eta veto\)\)"),
        ([1.0, 2.0], [make_limit(), make_limit(level=0.95)], r"differ in level \(0\.9, 0\.95\)"),
        ([1.0, 2.0], [make_limit(), make_limit(method="toys")], "differ in method"),
        ([1.0, 2.0], [make_limit(), make_limit(test_statistic="q")], "differ in test_statistic"),
        ([1.0, 2.0], [make_limit(), make_blind_limit()], "differ in blind"),
    ],
)
def test_from_limits_refuses(masses: list[float], limits: list[Limit], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Scan.from_limits(
            masses,
            limits,
            poi="b",
            poi_label="b",
            pseudo_data=True,
            skipped=[Skipped(5.0, "eta veto")],
        )


# -- files ----------------------------------------------------------------------------------


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(scan=scans())
def test_json_round_trip_is_exact(scan: Scan, tmp_path: Path) -> None:
    path = tmp_path / "scan.json"
    scan.to_json(path)
    assert_same(Scan.from_json(path), scan)
    json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(scan=scans())
def test_csv_table_keeps_every_number(scan: Scan, tmp_path: Path) -> None:
    path = tmp_path / "scan.csv"
    scan.to_csv(path)
    with path.open(encoding="utf-8", newline="") as file:
        header = [file.readline() for _ in range(8)]
        rows = list(csv.DictReader(file))
    assert all(line.startswith("# ") for line in header)
    assert len(rows) == len(scan.masses) + len(scan.skipped)
    assert [float(row["mass_GeV"]) for row in rows] == sorted(
        [*scan.masses, *(hypothesis.mass for hypothesis in scan.skipped)]
    )
    fitted = [row for row in rows if row["valid"]]
    for column, values in {
        "mass_GeV": scan.masses,
        "observed": scan.observed,
        "expected_m2": scan.expected[:, 0],
        "expected_p2": scan.expected[:, 4],
        "p0": scan.p0,
    }.items():
        np.testing.assert_array_equal([float(row[column] or "nan") for row in fitted], values)
    reasons = [row["warnings"] for row in rows if not row["valid"]]
    assert reasons == [f"not scanned: {hypothesis.reason}" for hypothesis in scan.skipped]


def test_scan_survives_pickling() -> None:
    scan = make_scan(skipped=(Skipped(1.2, "veto"),))
    assert_same(pickle.loads(pickle.dumps(scan)), scan)


def test_files_of_format_1_are_read(tmp_path: Path) -> None:
    """They know of no statistical errors, and of no choice of method."""
    path = tmp_path / "scan.json"
    make_scan().to_json(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["observed_error"], content["how"]
    del content["largest_excess"], content["toy_excesses"]
    content["format"] = "zfit_dark scan 1"
    path.write_text(json.dumps(content), encoding="utf-8")
    assert_same(Scan.from_json(path), make_scan())


def test_errors_of_the_wrong_number_are_refused() -> None:
    with pytest.raises(InputError, match=r"Scan.observed_error has the shape \(2,\)"):
        make_scan(observed_error=np.zeros(2))
    with pytest.raises(InputError, match=r"Scan\.how has 1 entries for 3 masses"):
        make_scan(how=("exact: few events",))


def test_json_says_what_the_numbers_are(tmp_path: Path) -> None:
    path = tmp_path / "scan.json"
    make_scan(provenance=new_provenance(search="b2kagg", inputs=[{"sha256": "ab"}])).to_json(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["format"] == "zfit_dark scan 3"
    assert (content["level"], content["method"]) == (0.9, "asymptotic")
    assert content["test_statistic"] == "qtilde"
    assert content["pseudo_data"] is True
    assert content["blind"] is False
    assert content["provenance"]["versions"]["numpy"] == np.__version__
    assert content["provenance"]["inputs"] == [{"sha256": "ab"}]


def test_blind_json_holds_no_observed_number(tmp_path: Path) -> None:
    path = tmp_path / "scan.json"
    make_blind_scan().to_json(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    for name in ("observed", "poi_hat", "poi_error", "p0"):
        assert content[name] == [None, None, None]


def test_writing_keeps_the_old_file_until_the_new_one_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scan.json"
    make_scan().to_json(path)
    before = path.read_text(encoding="utf-8")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zfit_dark.results.scan.os.replace", full_disk)
    with pytest.raises(InputError, match=r"scan\.json: cannot be written \(No space left"):
        make_scan((7.0,)).to_json(path)
    assert path.read_text(encoding="utf-8") == before
    assert [file.name for file in tmp_path.iterdir()] == ["scan.json"]


@pytest.mark.parametrize("method", ["to_json", "to_csv"])
def test_writing_into_a_missing_folder(tmp_path: Path, method: str) -> None:
    path = tmp_path / "missing" / "scan"
    with pytest.raises(InputError, match=r"missing/scan: cannot be written \(No such file"):
        getattr(make_scan(), method)(path)


def _edit(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    content |= changes
    content = {key: value for key, value in content.items() if value != "REMOVE"}
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "zfit_dark scan 4"}, "format 4 by a newer zfit_dark.*update zfit_dark"),
        ({"format": "something 1"}, "not a zfit_dark scan file"),
        ({"format": "REMOVE"}, "not a zfit_dark scan file"),
        ({"format": 1}, "not a zfit_dark scan file"),
        ({"masses": "REMOVE"}, "damaged scan file, 'masses' is missing"),
        ({"skipped": [{"mass": 1.2}]}, "damaged scan file, 'reason' is missing"),
        ({"skipped": [3]}, "damaged scan file"),
        ({"observed": [1.0]}, r"damaged scan file \(Scan.observed has the shape"),
        ({"observed": [1.0, "two", 3.0]}, "'two' is not a number"),
        ({"observed": [True, 2.0, 3.0]}, "True is not a number"),
        ({"observed": 3}, r"damaged scan file \(Scan.observed has the shape"),
        ({"expected": [[1.0], [2.0], [3.0]]}, r"Scan.expected has the shape \(3, 1\)"),
        ({"expected": [1.0] * 15}, r"Scan.expected has the shape \(15,\)"),
        ({"blind": "no"}, r"blind is 'no'"),
        ({"level": None}, "level is None"),
        ({"blind": True}, "must be NaN: a blind result"),
        ({"valid": [True, 1, 0]}, "must be 3 truth values"),
        ({"warnings": None}, "damaged scan file"),
    ],
)
def test_from_json_refuses_a_damaged_file(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "scan.json"
    make_scan().to_json(path)
    _edit(path, **changes)
    with pytest.raises(InputError, match=message) as caught:
        Scan.from_json(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"\xff\xfe\x00", b'{"format": "zf'])
def test_from_json_refuses_what_is_no_scan(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "scan.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"scan\.json: not a"):
        Scan.from_json(path)


def test_from_json_of_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.json: cannot be read \(No such file"):
        Scan.from_json(tmp_path / "absent.json")


def test_csv_layout(tmp_path: Path) -> None:
    path = tmp_path / "scan.csv"
    make_scan(
        valid=[True, False, True],
        warnings=((), ("no minimum", "few events"), ()),
        skipped=(Skipped(1.2, "eta veto, 1.1-1.3 GeV"),),
    ).to_csv(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("#")] == [
        "# zfit_dark scan of branching_fraction",
        "# level: 0.9",
        "# method: asymptotic",
        "# test statistic: qtilde",
        r"# POI label: $\mathcal{B}$",
        "# POI unit: none",
        "# pseudo-data: yes",
        "# blind: no",
    ]
    assert lines[8] == (
        "mass_GeV,observed,observed_error,expected_m2,expected_m1,expected_median,expected_p1,"
        "expected_p2,poi_hat,poi_error,p0,significance,valid,warnings,how"
    )
    assert lines[9] == "1.0,3.0,,1.0,2.0,3.0,4.0,5.0,0.0,0.5,0.5,0.0,True,,"
    assert lines[10] == '1.2,,,,,,,,,,,,,"not scanned: eta veto, 1.1-1.3 GeV",'
    assert lines[11].endswith(",False,no minimum; few events,")
    assert len(pd.read_csv(path, comment="#")) == 4


def test_pandas_table() -> None:
    scan = make_scan(skipped=(Skipped(0.2, "veto"), Skipped(1.7, "veto")))
    table = scan.to_pandas()
    assert table["mass_GeV"].tolist() == [0.2, 1.0, 1.5, 1.7, 2.0]
    fitted = table[table["valid"].notna()]
    np.testing.assert_array_equal(fitted["significance"], scan.significance)
    np.testing.assert_array_equal(fitted["expected_median"], scan.expected[:, 2])
    skipped = table[table["valid"].isna()]
    assert skipped["warnings"].tolist() == ["not scanned: veto"] * 2
    assert skipped[["observed", "p0", "significance"]].isna().all(axis=None)


# -- global significance --------------------------------------------------------------------


def scan_of(heights: Any, **changes: Any) -> Scan:
    return make_scan(1.0 + 0.1 * np.arange(len(heights)), p0=norm.sf(heights), **changes)


def test_rises_above_the_threshold_are_counted() -> None:
    """The peak of 3 sigma is a rise itself; so are two others, of which one begins below zero."""
    found = scan_of([1.0, 0.2, 0.9, 3.0, 0.5, -1.0, 0.8]).global_significance()
    assert found.crossings == 2
    assert found.mass == pytest.approx(1.3)
    assert (found.local, found.local_p0) == pytest.approx((3.0, norm.sf(3.0)))
    assert found.p0 == pytest.approx(norm.sf(3.0) + 2 * np.exp(-(9.0 - 0.49) / 2))
    assert found.p0_error == pytest.approx(np.sqrt(2) * np.exp(-(9.0 - 0.49) / 2))
    assert found.significance == pytest.approx(norm.isf(found.p0))


def test_independent_windows_are_those_of_sidak() -> None:
    """Single masses with something skipped between them: each is a stretch of its own."""
    heights = np.r_[3.5, np.linspace(-1.5, 1.5, 19)]
    skipped = tuple(Skipped(1.05 + 0.1 * i, "veto") for i in range(19))
    found = scan_of(heights, skipped=skipped).global_significance()
    assert found.crossings == 0
    assert found.p0 == pytest.approx(1 - (1 - norm.sf(3.5)) ** 20, rel=0.005)


def test_global_p_value_of_a_smooth_field_is_how_often_it_happens() -> None:
    """The significance of an unbinned scan is a smooth Gaussian field; toys of that.

    Both sides are known to 2 % (20 000 fields, some 900 beyond 3 sigma), and the formula is good to
    a few per cent there. The chance that a right formula is off by more than 12 % is below 1e-3.
    """
    random, masses = np.random.default_rng(31), np.arange(200)
    # 200 masses, four in a resolution
    kernel = np.exp(-0.5 * (np.arange(-20, 21) / (4 / np.sqrt(2))) ** 2)
    white = random.standard_normal((20_000, masses.size + 40))
    fields = np.apply_along_axis(np.convolve, 1, white, kernel / np.linalg.norm(kernel), "valid")
    often = float(np.mean(fields.max(axis=1) > 3.0))
    foreseen = []
    for field in fields[:400]:
        crossings = scan_of(field).global_significance().crossings
        foreseen.append(norm.sf(3.0) + crossings * np.exp(-(9.0 - 0.49) / 2))
    assert np.mean(foreseen) == pytest.approx(often, rel=0.12)


def test_toys_of_the_whole_scan_are_counted() -> None:
    """The data are one more toy; a toy that failed is none."""
    excesses = np.array([0.0, 1.0, 2.9999999, 3.5, np.nan, 2.0, 3.1])
    found = scan_of([1.0, 3.0], largest_excess=3.0, toy_excesses=excesses).global_significance()
    assert (found.toys, found.larger) == (6, 3)
    assert found.toys_p0 == pytest.approx(4 / 7)
    assert found.toys_p0_error == pytest.approx(np.sqrt(4 / 7 * 3 / 7 / 6))
    few = scan_of([1.0, 3.0], largest_excess=3.0, toy_excesses=np.zeros(999))
    assert few.global_significance().toys_significance == pytest.approx(norm.isf(1e-3))
    assert "3.09 sigma (p0 = 0.001 +- 0.001: 0 of 999 toys)" in few.summary()
    none = scan_of([1.0, 3.0]).global_significance()
    assert none.toys == 0
    assert np.isnan([none.toys_p0, none.toys_p0_error, none.toys_significance]).all()
    assert "toys" not in scan_of([1.0, 3.0]).summary()


def test_no_global_significance_without_p_values() -> None:
    with pytest.raises(InputError, match="no valid p-value"):
        make_blind_scan().global_significance()
    with pytest.raises(InputError, match="no valid p-value"):
        make_scan(valid=np.zeros(3, bool)).global_significance()
    with pytest.raises(InputError, match="threshold=0"):
        make_scan().global_significance(0)


# -- merge ----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(scan=scans(), data=st.data())
def test_merging_parts_gives_back_the_whole(scan: Scan, data: st.DataObject) -> None:
    def part(which: int) -> Scan:
        keep = np.array([where in (which, 2) for where in parts], dtype=bool)
        columns: dict[str, Any] = {name: getattr(scan, name)[keep] for name in ARRAYS}
        for name in ("warnings", "how"):
            columns[name] = tuple(getattr(scan, name)[k] for k in np.flatnonzero(keep))
        skipped = [s for s, where in zip(scan.skipped, apart, strict=True) if where in (which, 2)]
        return dataclasses.replace(scan, **columns, skipped=tuple(skipped))

    side = st.sampled_from([0, 1, 2])
    parts = [data.draw(side) for _ in scan.masses]
    apart = [data.draw(side) for _ in scan.skipped]
    # toys of a part of the masses are not toys of the whole
    whole = dataclasses.replace(scan, largest_excess=np.nan, toy_excesses=np.empty(0))
    assert_same(part(0).merge(part(1)), whole)
    assert_same(part(1).merge(part(0)), whole)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"level": 0.95}, "differ in level: 0.9, 0.95"),
        ({"method": "toys"}, "differ in method"),
        ({"test_statistic": "q"}, "differ in test_statistic"),
        ({"poi": "g"}, "differ in poi"),
        ({"poi_unit": "fb"}, "differ in poi_unit"),
        ({"pseudo_data": False}, "differ in pseudo_data"),
        ({"provenance": {"search": "b2ks", "settings": {"seed": 1}}}, "different search"),
        ({"provenance": {"search": "b2kagg", "settings": {"seed": 2}}}, "different settings"),
        (
            {
                "provenance": {
                    "search": "b2kagg",
                    "settings": {"seed": 1},
                    "inputs": [{"sha256": "a"}],
                }
            },
            "different inputs",
        ),
    ],
)
def test_merge_refuses_different_settings(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_scan().merge(make_scan((5.0,), **changes))


def test_merge_refuses_blind_with_unblind() -> None:
    with pytest.raises(InputError, match="differ in blind"):
        make_scan().merge(make_blind_scan((5.0,)))


@pytest.mark.parametrize(
    "changes",
    [
        {"observed": [3.0, 4.0, 5.1]},
        {"expected": np.ones((3, 5))},
        {"valid": [True, True, False]},
        {"warnings": ((), (), ("a",))},
    ],
)
def test_merge_refuses_two_results_for_a_mass(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="different results at"):
        make_scan().merge(make_scan(**changes))


def test_merge_refuses_a_mass_scanned_here_and_skipped_there() -> None:
    other = make_scan((5.0,), skipped=(Skipped(1.5, "veto"),))
    with pytest.raises(InputError, match=r"1\.5 GeV is in the scan twice"):
        make_scan().merge(other)


def test_merge_refuses_two_reasons() -> None:
    one = make_scan((1.0,), skipped=(Skipped(3.0, "veto"),))
    other = make_scan((2.0,), skipped=(Skipped(3.0, "threshold"),))
    with pytest.raises(InputError, match="different reasons: 3 GeV"):
        one.merge(other)


def test_merge_remembers_where_the_parts_come_from() -> None:
    def part(mass: float, created: str) -> Scan:
        settings = {"seed": 1, "masses": [mass]}
        provenance = {"search": "s", "settings": settings, "inputs": [], "created": created}
        return make_scan((mass,), provenance=provenance)

    scan = part(1.0, "a").merge(part(2.0, "b")).merge(part(3.0, "c"))
    assert scan.masses.tolist() == [1.0, 2.0, 3.0]
    assert scan.provenance["settings"] == {"seed": 1}
    assert [part["created"] for part in scan.provenance["merged"]] == ["a", "b", "c"]


# -- map_poi --------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(power=st.floats(0.2, 3.0), scale=st.floats(1e-3, 1e3))
def test_map_poi_transforms_every_limit(power: float, scale: float) -> None:
    scan = make_scan()
    mapped = scan.map_poi(
        lambda mass, poi: scale * mass * poi**power, poi="g", poi_label="$g$", poi_unit="1/GeV"
    )
    for i, mass in enumerate(scan.masses):
        assert mapped.observed[i] == pytest.approx(scale * mass * scan.observed[i] ** power)
        for k in range(5):
            value = scale * mass * scan.expected[i, k] ** power
            assert mapped.expected[i, k] == pytest.approx(value)
    assert np.all(np.isnan(mapped.poi_hat))
    assert np.all(np.isnan(mapped.poi_error))
    np.testing.assert_array_equal(mapped.p0, scan.p0)
    assert (mapped.poi, mapped.poi_label, mapped.poi_unit) == ("g", "$g$", "1/GeV")
    assert (mapped.level, mapped.method, mapped.pseudo_data) == (0.9, "asymptotic", True)


def test_map_poi_of_a_blind_scan_never_sees_observed() -> None:
    calls: list[float] = []

    def function(mass: np.ndarray, poi: np.ndarray) -> np.ndarray:
        calls.append(float(poi[0]))
        return np.sqrt(poi)

    mapped = make_blind_scan().map_poi(function, poi="g", poi_label="g", poi_unit="")
    assert calls == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert mapped.blind
    assert np.all(np.isnan(mapped.observed))


def test_map_poi_warns_where_no_value_exists() -> None:
    scan = make_scan(observed=[3.0, np.nan, 5.0], warnings=((), ("old",), ()))
    mapped = scan.map_poi(
        lambda mass, poi: np.where(mass > 1.8, np.nan, poi), poi="g", poi_label="g", poi_unit=""
    )
    assert mapped.warnings == ((), ("old",), ("the limit has no counterpart in g",))
    np.testing.assert_array_equal(mapped.observed, [3.0, np.nan, np.nan])


def test_map_poi_refuses_a_decreasing_function() -> None:
    with pytest.raises(InputError, match="map to g does not increase at 1 GeV"):
        make_scan().map_poi(lambda mass, poi: 1 / poi, poi="g", poi_label="g", poi_unit="")


def test_map_poi_refuses_another_shape() -> None:
    with pytest.raises(InputError, match=r"gives the shape \(\), not \(3,\)"):
        make_scan().map_poi(lambda mass, poi: 1.0, poi="g", poi_label="g", poi_unit="")


# -- summary --------------------------------------------------------------------------------


def test_summary() -> None:
    scan = make_scan(
        poi_unit="fb",
        warnings=(("few events",), (), ()),
        skipped=(Skipped(0.5, "eta veto"), Skipped(0.6, "eta veto"), Skipped(3.0, "threshold")),
    )
    assert scan.summary().splitlines() == [
        "3 mass hypotheses scanned from 1 to 2 GeV (90 % CL, asymptotic, qtilde, pseudo-data)",
        "best observed limit: branching_fraction < 3 fb at 1 GeV",
        "largest local significance: 2.33 sigma (p0 = 0.01) at 2 GeV",
        "anywhere in the scan: 1.31 sigma (p0 = 0.095 +- 0.09, Gross-Vitells)",
        "flagged: 1 (0 not converged, 1 with a warning)",
        "first warning, at 1 GeV: few events",
        "not scanned: 2 (eta veto), 1 (threshold)",
    ]


def test_summary_trusts_converged_fits_only() -> None:
    summary = make_scan(valid=[False, True, False], pseudo_data=False).summary()
    assert "limit: branching_fraction < 4 at 1.5 GeV" in summary
    assert "at 2 GeV\n" not in summary
    assert "flagged: 2 (2 not converged, 0 with a warning)" in summary
    assert "not scanned: 0" in summary
    assert "pseudo-data" not in summary


def test_blind_summary_tells_expected_only() -> None:
    summary = make_blind_scan().summary()
    assert "best expected limit: branching_fraction < 3 at 1 GeV" in summary
    assert "blind" in summary
    assert "observed" not in summary
    assert "significance" not in summary


def test_summary_of_nothing() -> None:
    summary = make_scan((), skipped=(Skipped(1.0, "veto"),)).summary()
    assert summary.startswith("0 mass hypotheses scanned (")
    assert "not scanned: 1 (veto)" in summary


# -- Fit ------------------------------------------------------------------------------------


def make_channel(**changes: Any) -> ChannelFit:
    values: dict[str, Any] = {
        "name": "Kplus",
        "label": "$B^+$",
        "edges": np.linspace(0.0, 1.0, 11),
        "counts": np.arange(10.0),
        "expected": np.full(10, 5.0),
        "x": np.linspace(0.0, 1.0, 5),
        "total": np.full(5, 50.0),
        "background": np.full(5, 40.0),
        "holes": ((0.5, 0.6, "eta"),),
        "window": (0.0, 1.0),
    }
    return ChannelFit(**(values | changes))


def make_fit(**changes: Any) -> Fit:
    values: dict[str, Any] = {
        "mass": 0.3,
        "poi_label": "$B$",
        "poi_unit": "",
        "poi_hat": 1.0,
        "poi_error": 0.2,
        "channels": (make_channel(),),
        "valid": True,
        "warnings": (),
        "pseudo_data": True,
    }
    return Fit(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"counts": np.ones(9)}, r"ChannelFit Kplus\.counts has the shape \(9,\)"),
        ({"counts": -np.ones(10)}, "must not be negative"),
        ({"expected": np.ones(11)}, r"Kplus\.expected has the shape"),
        ({"total": np.ones(4)}, r"Kplus\.total has the shape"),
        ({"edges": np.zeros(11)}, "increasing numbers"),
        ({"edges": [1.0]}, "increasing numbers"),
        ({"window": (1.0, 0.0)}, r"window must be \(low, high\)"),
        ({"holes": ((0.6, 0.5, "eta"),)}, r"holes must be \(low, high\)"),
        ({"hidden": (0.4, 0.2)}, r"hidden must be \(low, high\)"),
    ],
)
def test_channel_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_channel(**changes)


def test_a_channel_forgets_the_counts_that_it_hides() -> None:
    nan = float("nan")
    channels = (make_channel(hidden=(0.25, 0.4)),)
    fit = make_fit(poi_hat=nan, poi_error=nan, blind=True, channels=channels)
    hidden = np.isnan(fit.channels[0].counts)
    assert np.flatnonzero(hidden).tolist() == [2, 3]
    assert not np.any(np.isnan(make_fit().channels[0].counts))


HIDING = (make_channel(hidden=(0.2, 0.4)),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"poi_hat": 1.0, "channels": HIDING}, r"Fit\.poi_hat must be NaN"),
        ({"poi_error": 1.0, "channels": HIDING}, r"Fit\.poi_error must be NaN"),
        ({}, "needs ChannelFit.hidden of Kplus"),
    ],
)
def test_blind_fit_refuses(changes: dict[str, Any], message: str) -> None:
    nan = float("nan")
    with pytest.raises(InputError, match=message):
        make_fit(**({"blind": True, "poi_hat": nan, "poi_error": nan} | changes))


def test_provenance_is_plain() -> None:
    record = new_provenance(search="s", settings={"seed": 1}, inputs=[{"path": "a.root"}])
    assert set(record) == {"search", "settings", "inputs", "versions", "created"}
    assert record == json.loads(json.dumps(record))
