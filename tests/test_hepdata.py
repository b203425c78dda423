"""Records for HEPData, read back with plain YAML."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import test_exclusion
import test_lifetimes
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from test_results import make_blind_scan, make_scan, scans

from zfit_dark import cli, plot
from zfit_dark.errors import InputError
from zfit_dark.results import LifetimeScan, Scan, Skipped

pytestmark = [
    # inside hepdata-validator
    pytest.mark.filterwarnings("ignore:jsonschema:DeprecationWarning"),
    pytest.mark.filterwarnings(r"ignore:unclosed file .*table_\d+\.yaml:ResourceWarning"),
]

NAN = math.nan
BELLE = {"SQRT(S)": (10.58, "GeV"), "LUMINOSITY": (365.0, "fb^-1")}
BANDS = ("-2 sigma", "-1 sigma", "median", "+1 sigma", "+2 sigma")
Table = dict[str, Any]


def full_scan() -> Scan:
    """A number that is not there, an infinite one, a fit that failed, toys, and a veto."""
    return make_scan(
        (0.1, 1.0 / 3.0, 2.0),
        observed=[3.123456789e-7, NAN, math.inf],
        observed_error=[2.5e-9, NAN, NAN],
        expected=np.geomspace(1e-8, 1e-6, 15).reshape(3, 5),
        poi_hat=[-1.5e-8, NAN, 2e-8],
        poi_error=[1e-8, NAN, NAN],
        p0=[0.987654321, NAN, 1e-5],
        valid=[True, False, True],
        warnings=((), ("no minimum", "few events"), ("limit beyond the\nend",)),
        how=("toys: 3 events", "", ""),
        skipped=(Skipped(0.4976, "K_S veto"),),
        poi_unit="fb",
    )


def read(folder: Path) -> tuple[dict[str, Any], list[tuple[dict[str, Any], Table]]]:
    """What is said of all tables, and of each table with its columns by name."""
    head, *entries = yaml.safe_load_all((folder / "submission.yaml").read_text())
    tables = []
    for entry in entries:
        data = yaml.safe_load((folder / entry["data_file"]).read_text())
        columns = [*data["independent_variables"], *data["dependent_variables"]]
        tables.append((entry, {column["header"]["name"]: column for column in columns}))
    return head, tables


def only_table(folder: Path) -> tuple[dict[str, Any], Table]:
    _, ((entry, table),) = read(folder)
    return entry, table


def cells(column: dict[str, Any]) -> list[Any]:
    return [cell["value"] for cell in column["values"]]


def numbers(column: dict[str, Any]) -> list[float]:
    return [NAN if value == "-" else float(value) for value in cells(column)]


def errors(column: dict[str, Any], label: str) -> list[float]:
    """The errors of this label, NaN where there are none."""
    found = []
    for cell in column["values"]:
        listed = cell.get("errors", [])
        assert len(listed) <= 1
        assert all(error["label"] == label for error in listed)
        found.append(float(listed[0]["symerror"]) if listed else NAN)
    return found


def six_digits(values: Any) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def qualifiers(column: dict[str, Any]) -> dict[str, Any]:
    return {q["name"]: (q["value"], q.get("units", "")) for q in column["qualifiers"]}


def accepted(folder: Path) -> bool:
    """What HEPData's validator says of a folder."""
    from hepdata_validator.full_submission_validator import FullSubmissionValidator

    return bool(FullSubmissionValidator().validate(directory=str(folder)))


def assert_holds(table: Table, scan: Scan) -> None:
    """All numbers of a scan are in the table, and nothing else."""
    of = scan.poi_label
    assert numbers(table["Mass"]) == sorted([*scan.masses, *(s.mass for s in scan.skipped)])
    there = np.isin(numbers(table["Mass"]), scan.masses)
    wanted = {
        f"Expected upper limit on {of}, {b}": scan.expected[:, k] for k, b in enumerate(BANDS)
    }
    if not scan.blind:
        wanted |= {
            f"Observed upper limit on {of}": scan.observed,
            f"Best fit of {of}": scan.poi_hat,
        }
        wanted |= {"Local p-value": scan.p0, "Local significance": scan.significance}
    assert set(table) == {"Mass", *wanted, "Converged", "Remarks"}
    for name, values in wanted.items():
        found = np.array(numbers(table[name]))
        np.testing.assert_array_equal(found[there], six_digits(values), err_msg=name)
        assert np.all(np.isnan(found[~there]))
    if not scan.blind:
        for name, label, values, sizes in (
            (f"Observed upper limit on {of}", "toys", scan.observed, scan.observed_error),
            (f"Best fit of {of}", "fit", scan.poi_hat, scan.poi_error),
        ):
            known = np.isfinite(values) & (sizes != 0)  # HEPData takes no error of zero
            found = np.array(errors(table[name], label))
            np.testing.assert_array_equal(
                found[there], six_digits(np.where(known, sizes, np.nan)), err_msg=name
            )
            assert np.all(np.isnan(found[~there]))
    converged = np.array(cells(table["Converged"]))
    assert converged[there].tolist() == ["yes" if valid else "no" for valid in scan.valid]
    assert set(converged[~there]) <= {"-"}


# -- a scan ---------------------------------------------------------------------------------


def test_a_scan_comes_back_from_the_folder_alone(tmp_path: Path) -> None:
    scan = full_scan()
    scan.to_hepdata(tmp_path / "record", qualifiers=BELLE)
    assert {path.name for path in tmp_path.iterdir()} == {"record"}
    assert {path.name for path in (tmp_path / "record").iterdir()} == {
        "submission.yaml",
        "table_1.yaml",
    }
    assert accepted(tmp_path / "record")
    _, table = only_table(tmp_path / "record")
    assert_holds(table, scan)
    observed, best = (
        table[r"Observed upper limit on $\mathcal{B}$"],
        table[r"Best fit of $\mathcal{B}$"],
    )
    assert cells(observed) == [3.12346e-7, "-", "-", "inf"]
    np.testing.assert_equal(errors(observed, "toys"), [2.5e-9, NAN, NAN, NAN])
    np.testing.assert_equal(errors(best, "fit"), [1e-8, NAN, NAN, NAN])
    assert cells(table["Remarks"]) == [
        "toys: 3 events",
        "no minimum; few events",
        "not scanned: K_S veto",
        "limit beyond the end",
    ]
    units = {name: column["header"].get("units", "") for name, column in table.items()}
    assert units.pop("Mass") == "GeV"
    assert units.pop("Local significance") == "sigma"
    limits = {name for name in table if "limit" in name or "fit" in name}
    assert units == {name: "fb" if name in limits else "" for name in units}


def test_columns_say_how_they_were_found(tmp_path: Path) -> None:
    tricked = {"Data": ("data", "")}  # a record of pseudo-data stays one
    make_scan(level=0.683).to_hepdata(tmp_path / "record", qualifiers=BELLE | tricked)
    entry, table = only_table(tmp_path / "record")
    common = {"Data": ("pseudo-data", ""), **BELLE}
    of_limits = {"Confidence level": (68.3, "%"), "Procedure": ("CLs", "")}
    of_limits |= {"Method": ("asymptotic", ""), "Test statistic": ("qtilde", "")}
    for name, column in table.items():
        if "upper limit" in name:
            assert qualifiers(column) == of_limits | common
        elif name == "Local p-value":
            assert qualifiers(column) == common
    keywords = {keyword["name"]: keyword["values"] for keyword in entry["keywords"]}
    assert keywords["cmenergies"] == [10.58]
    assert keywords["observables"] == ["branching_fraction"]
    assert "68.3 % confidence level by CLs" in entry["description"]


@pytest.mark.parametrize("pseudo_data", [True, False])
def test_pseudo_data_is_called_that_everywhere(tmp_path: Path, pseudo_data: bool) -> None:
    for name, result in {
        "scan": make_scan(pseudo_data=pseudo_data),
        "lifetimes": LifetimeScan(
            lifetimes=[1.0], scans={"ee": (make_scan(pseudo_data=pseudo_data),)}
        ),
        "exclusion": test_exclusion.make(pseudo_data=pseudo_data),
    }.items():
        result.to_hepdata(tmp_path / name)
        head, tables = read(tmp_path / name)
        assert ("PSEUDO-DATA" in head["comment"]) == pseudo_data
        for entry, table in tables:
            assert entry["description"].startswith("PSEUDO-DATA: ") == pseudo_data
            keywords = {keyword["name"]: keyword["values"] for keyword in entry["keywords"]}
            assert ("pseudo-data" in keywords["phrases"]) == pseudo_data
            kinds = {
                q["value"]
                for c in table.values()
                for q in c.get("qualifiers", ())
                if q["name"] == "Data"
            }
            assert kinds == {"pseudo-data" if pseudo_data else "data"}


def test_a_blind_scan_has_no_column_of_the_data(tmp_path: Path) -> None:
    scan = make_blind_scan()
    scan.to_hepdata(tmp_path / "record")
    assert accepted(tmp_path / "record")
    entry, table = only_table(tmp_path / "record")
    assert_holds(table, scan)
    assert "Blind: " in entry["description"]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scan=scans(), count=st.integers(0, 10**9))
def test_any_scan_makes_a_valid_record(tmp_path: Path, scan: Scan, count: int) -> None:
    folder = tmp_path / f"{count}_{len(list(tmp_path.iterdir()))}"
    scan.to_hepdata(folder)
    assert accepted(folder)
    assert_holds(only_table(folder)[1], scan)


# -- plots ----------------------------------------------------------------------------------


def test_a_plot_goes_with_its_table(tmp_path: Path) -> None:
    scan, image = make_scan(), tmp_path / "my limit.png"
    plot.brazil(scan).get_figure(root=True).savefig(image)
    plt.close("all")
    scan.to_hepdata(tmp_path / "record", images=[image])
    record = tmp_path / "record"
    assert accepted(record)
    assert (record / image.name).read_bytes() == image.read_bytes()
    with Image.open(record / "thumb_my limit.png") as thumbnail:
        assert max(thumbnail.width / 240, thumbnail.height / 180) == pytest.approx(1, abs=0.01)
    entry, _ = only_table(record)
    assert entry["additional_resources"] == [
        {"description": "Image file", "location": "my limit.png"},
        {"description": "Thumbnail image file", "location": "thumb_my limit.png"},
    ]


# -- lifetimes and exclusions ---------------------------------------------------------------


def test_lifetimes_make_a_table_of_each_channel_and_lifetime(tmp_path: Path) -> None:
    result = test_lifetimes.make()
    result.to_hepdata(tmp_path / "record", qualifiers=BELLE)
    assert accepted(tmp_path / "record")
    _, tables = read(tmp_path / "record")
    scans = [
        (channel, ctau, scan)
        for channel in result.channels
        for ctau, scan in zip(result.lifetimes, result.scans[channel], strict=True)
    ]
    for (channel, ctau, scan), (entry, table) in zip(scans, tables, strict=True):
        assert f"Channel {channel} at a lifetime c tau of {ctau:g} cm." in entry["description"]
        assert_holds(table, scan)  # the last one has no row
        for column in table.values():
            if "qualifiers" in column:
                said = qualifiers(column)
                assert said["Channel"] == (channel, "")
                assert said["Lifetime c tau"] == (ctau, "cm")
                assert said["SQRT(S)"] == (10.58, "GeV")


def test_images_of_a_channel_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown channel 'mumu'; the channels are ee, pipi"):
        test_lifetimes.make().to_hepdata(tmp_path / "record", images={"mumu": []})


def test_an_exclusion_makes_a_table_of_each_kind(tmp_path: Path) -> None:
    exclusion = test_exclusion.make()
    exclusion.to_hepdata(tmp_path / "record")
    assert accepted(tmp_path / "record")
    _, tables = read(tmp_path / "record")
    regions = {"observed": exclusion.observed, "expected": exclusion.expected}
    assert len(tables) == 2
    for (which, region), (entry, table) in zip(regions.items(), tables, strict=True):
        assert f"the {which} limits" in entry["description"]
        assert "widths of Winkler (2018); nothing else" in entry["description"]
        assert exclusion.model in entry["description"]
        of = r"Excluded $\sin\theta$"
        names = (f"{of}, low end", f"{of}, high end", "What the low end is", "What the high end is")
        assert qualifiers(table[names[0]])["Limits"] == (which, "")
        assert qualifiers(table[names[0]])["Confidence level"] == (95.0, "%")
        wanted: list[tuple[Any, ...]] = [
            (4.0, "-", "-", "-", "-", "-", f"not scanned: {test_exclusion.VETO}")
        ]
        for mass, intervals, valid in zip(exclusion.masses, region, exclusion.valid, strict=True):
            told = "yes" if valid else "no"
            for i in intervals:
                kinds = ["crossing" if crossing else "the limits end there" for crossing in i[2:]]
                wanted.append((mass, i.low, i.high, *kinds, told, "-"))
            if not intervals:
                wanted.append((mass, "-", "-", "-", "-", told, "nothing is excluded"))
        columns = [table[name] for name in ("Mass", *names, "Limits valid", "Remarks")]
        rows = list(zip(*map(cells, columns), strict=True))
        assert rows == sorted(wanted, key=lambda row: row[0])


def test_a_blind_exclusion_has_only_what_is_expected(tmp_path: Path) -> None:
    test_exclusion.make_blind().to_hepdata(tmp_path / "record")
    assert accepted(tmp_path / "record")
    entry, _ = only_table(tmp_path / "record")
    assert "the expected limits" in entry["description"]


# -- what is refused ------------------------------------------------------------------------


def refused(folder: Path, **asked: Any) -> str:
    """The words with which a record is refused; nothing is left behind."""
    before = sorted(folder.parent.iterdir())
    with pytest.raises(InputError) as error:
        make_scan().to_hepdata(folder, **asked)
    assert sorted(folder.parent.iterdir()) == before
    assert "\n" not in str(error.value)
    return str(error.value)


def test_folders_that_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    assert refused(tmp_path) == f"{tmp_path}: is there, and not empty; give a new folder"
    assert refused(file) == f"{file}: is there, and not empty; give a new folder"
    assert file.read_text() == "mine"
    with pytest.raises(InputError, match=r"cannot be written \(No such file or directory\)"):
        make_scan().to_hepdata(tmp_path / "none" / "record")


def test_an_empty_folder_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("record").mkdir()
    make_scan().to_hepdata("record")
    assert accepted(tmp_path / "record")
    assert [path.name for path in tmp_path.iterdir()] == ["record"]


def test_images_that_are_refused(tmp_path: Path) -> None:
    record, other = tmp_path / "record", tmp_path / "other"
    other.mkdir()
    for folder in (tmp_path, other):
        Image.new("RGB", (4, 3)).save(folder / "a.png")
    (tmp_path / "bad.png").write_text("no picture")
    assert "save the plot under a name" in refused(record, images=["limit.pdf"])
    assert refused(record, images=["none.png"]).startswith("none.png: cannot be read (No such")
    assert "bad.png: cannot be read" in refused(record, images=[tmp_path / "bad.png"])
    twice = [tmp_path / "a.png", other / "a.png"]
    assert "another image has the same file name" in refused(record, images=twice)


def test_qualifiers_that_are_refused(tmp_path: Path) -> None:
    record = tmp_path / "record"
    assert "SQRT(S) is 10.58; give (value, unit)" in refused(record, qualifiers={"SQRT(S)": 10.58})
    words = refused(record, qualifiers={"SQRT(S)": ("ten", "GeV")})
    assert words.startswith(f"{record}: HEPData would refuse the record: ")
    assert "cmenergies" in words


def test_without_hepdata_lib_it_is_told_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hepdata_lib", None)
    assert refused(tmp_path / "record") == (
        "a record for HEPData needs hepdata-lib: pip install 'zfit-dark[hepdata]'"
    )


# -- the command line -----------------------------------------------------------------------


def test_plot_writes_a_record_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_scan().to_json(tmp_path / "scan.json")
    record = tmp_path / "record"
    asked = ["plot", str(tmp_path / "scan.json"), "--hepdata", str(record)]
    assert cli.main(asked) == 0
    assert f"  {record}\n" in capsys.readouterr().out
    assert accepted(record)
    assert_holds(only_table(record)[1], make_scan())
    for name in ("limit_branching_fraction.png", "p0.png"):
        assert (record / name).read_bytes() == (tmp_path / name).read_bytes()
    assert cli.main(asked) == 2
    assert "is there, and not empty" in capsys.readouterr().err


def test_plot_writes_a_record_of_lifetimes(tmp_path: Path) -> None:
    test_lifetimes.make().to_root(tmp_path / "limits.root")
    record = tmp_path / "record"
    assert cli.main(["plot", str(tmp_path / "limits.root"), "--hepdata", str(record)]) == 0
    assert accepted(record)
    _, tables = read(record)
    images: dict[str, list[str]] = {}
    for entry, table in tables:
        channel = qualifiers(table["Local p-value"])["Channel"][0]
        for resource in entry.get("additional_resources", ()):
            images.setdefault(channel, []).append(resource["location"])
    assert images == {
        "ee": ["limits_ee.png", "thumb_limits_ee.png"],
        "pipi": ["limits_pipi.png", "thumb_limits_pipi.png"],
    }
