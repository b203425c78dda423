"""The command line: what it writes and says, and how it refuses bad input."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import uproot

from zfit_dark import __version__, cli, searches
from zfit_dark.errors import InputError
from zfit_dark.results import (
    ChannelFit,
    Fit,
    LifetimeScan,
    Limit,
    Projection,
    Scan,
    Skipped,
    new_provenance,
)
from zfit_dark.searches import Sample

MODES = ("Kplus", "KS", "Kst0", "Kstplus")
Capture = pytest.CaptureFixture[str]


def refused(capsys: Capture, *arguments: Any) -> str:
    """The one line on standard error with which a command ends."""
    status = cli.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert status == 2
    assert err.startswith("zfit-dark: error: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert "Traceback" not in out
    return err.removeprefix("zfit-dark: error: ").rstrip()


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


# -- help -----------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["scan", "--help"], ["list"], ["--version"]])
def test_nothing_heavy_is_needed_for_help_and_list(arguments: list[str]) -> None:
    code = (
        f"import sys\nfrom zfit_dark.cli import main\nstatus = main({arguments!r})\n"
        "print(status, *(set(sys.modules) & {'tensorflow', 'zfit', 'hepstats', 'scipy', 'uproot'}))"
    )
    done = python(code)
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


def test_help_names_every_command(capsys: Capture) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in ("list", "sources", "generate", "scan", "project", "plot", "interpret"):
        assert f" {command} " in text


def test_list_and_version(capsys: Capture) -> None:
    assert cli.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == searches.names()
    assert "gamma gamma at Belle" in lines[searches.names().index("b2kagg")]
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"zfit-dark {__version__}\n"


def test_sources(capsys: Capture) -> None:
    assert cli.main(["sources", "b2kagg"]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("n_bb "))
    assert line.split()[1:4] == ["7.72e+08", "read", "arXiv:2507.01249;"]


# -- bad input ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["scan", "b2kag"],
            "unknown search 'b2kag'; there is b2kagg, b2ks, idm; did you mean 'b2kagg'?",
        ),
        (["generate", "nothing", "--out", "x.root"], "unknown search 'nothing'"),
        (["sources", "nothing"], "unknown search 'nothing'"),
        (["scan"], "Missing argument"),
        (["generate", "b2kagg"], "Missing option '--out'"),
        (["nothing"], "No such command 'nothing'"),
        (["scan", "b2kagg", "--weights", "w"], "No such option"),
        (["scan", "b2kagg", "--level", "high"], "--level"),
        (["scan", "b2kagg", "--masses", "1.0,two"], "--masses: 'two' is not a number"),
        (["scan", "b2kagg", "--masses", "1:two"], "--masses: 'two' is not a number"),
        (["scan", "b2kagg", "--inject", "1.0"], "--inject '1.0': give MASS:EVENTS"),
        (["scan", "b2kagg", "--inject", "1.0:many"], "--inject: 'many' is not a number"),
        (["scan", "b2kagg", "--tree", "Kplus"], "--tree, --branch and --cut select from a file"),
        (["scan", "b2kagg", "--cut", "Mbc > 5.28"], "--tree, --branch and --cut select from"),
        (["scan", "b2kagg", "--data", "x.root", "--seed", "2"], "--seed makes pseudo-data"),
        (["scan", "b2kagg", "--data", "x.root", "--tree", "KS"], "--tree 'KS': give MODE=TREE"),
        (["plot", "none.json"], "none.json: cannot be read (No such file or directory)"),
        (["interpret", "b2kagg", "none.json"], "none.json: cannot be read"),
    ],
)
def test_wrong_words(
    capsys: Capture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--modes", "Kplus,Kstar"], "unknown mode 'Kstar'; there is Kplus, KS, Kst0, Kstplus"),
        (["--masses", "0.1"], "mass 0.1 GeV is outside the range of b2kagg, 0.16 to 4.5 GeV"),
        (["--masses", "1000:1100"], "mass 1000 GeV is outside"),
        (["--masses", "1.5,1500"], "it looks like MeV"),
        (["--masses", "2:1"], "masses from 2 to 1 GeV: give the lower one first"),
        (["--max-masses", "0"], "max_masses=0: give 1 or more"),
        (["--inject", "5:10"], "mass 5 GeV is outside the range of b2kagg"),
        (["--inject", "1:-10"], "signal at 1 GeV: -10 events; give a positive number"),
        (["--seed", "-1"], "seed -1: give a whole number, 0 or more"),
        (["--masses", "0.55"], "vetoed: η → γγ"),
        (["--level", "90", "--masses", "1", "--modes", "Kplus"], "level=90"),
    ],
)
def test_wrong_values(capsys: Capture, tmp_path: Path, arguments: list[str], message: str) -> None:
    assert message in refused(capsys, "scan", "b2kagg", "--out", tmp_path / "out", *arguments)


def tree(masses: Any, **branches: Any) -> dict[str, Any]:
    return {"mass": np.asarray(masses, float), **branches}


@pytest.fixture
def scan_of(tmp_path: Path, capsys: Capture) -> Callable[..., str]:
    """The line with which the scan of a file with some trees is refused."""

    def refusal(trees: dict[str, Any], *options: str) -> str:
        file = tmp_path / "events.root"
        with uproot.recreate(file) as root:
            for name, branches in trees.items():
                kinds = {branch: values.dtype for branch, values in branches.items()}
                root.mktree(name, kinds).extend(branches)
        return refused(
            capsys, "scan", "b2kagg", "--data", file, "--out", tmp_path / "out", *options
        )

    return refusal


GOOD = {mode: tree([1.0, 1.1]) for mode in MODES}


def test_missing_file(tmp_path: Path, capsys: Capture) -> None:
    out = ("--out", tmp_path / "out")
    line = refused(capsys, "scan", "b2kagg", "--data", tmp_path / "none.root", *out)
    assert line == f"{tmp_path / 'none.root'}: no such file; check the path"
    (tmp_path / "text.root").write_text("no events")
    line = refused(capsys, "scan", "b2kagg", "--data", tmp_path / "text.root", *out)
    assert "text.root: not a ROOT file" in line


def test_missing_tree_branch_and_cut(scan_of: Callable[..., str]) -> None:
    line = scan_of({mode: GOOD[mode] for mode in MODES[:3]})
    assert "events.root: no tree 'Kstplus'; the trees are Kplus, KS, Kst0" in line
    line = scan_of(GOOD, "--tree", "KS=K_S")
    assert "events.root: no tree 'K_S'" in line
    line = scan_of(GOOD, "--tree", "K0=KS")
    assert "trees names K0; the channels are Kplus" in line
    assert "no branch 'm'; the branches are mass" in scan_of(GOOD, "--branch", "m")
    assert "'Mbc'" in scan_of(GOOD, "--cut", "Mbc > 5.28")


def test_empty_trees(scan_of: Callable[..., str]) -> None:
    assert "no mode has a single candidate" in scan_of({mode: tree([]) for mode in MODES})
    mass = np.array([5.2, 5.1])
    line = scan_of({m: tree([1.0, 1.1], Mbc=mass) for m in MODES}, "--cut", "Mbc > 5.27")
    assert "no mode has a single candidate; check trees and cut" in line


@pytest.mark.parametrize(
    ("masses", "message"),
    [
        ([np.nan, np.inf], "KS: none of 2 candidates is inside 0.08-4.6 GeV"),
        ([5.0, 6.0], "KS: none of 2 candidates is inside 0.08-4.6 GeV"),
        ([500.0, 1500.0], "the values look like MeV; divide by 1000"),
    ],
)
def test_masses_that_are_none(
    scan_of: Callable[..., str], masses: list[float], message: str
) -> None:
    assert message in scan_of(GOOD | {"KS": tree(masses)})


def test_a_branch_of_text(scan_of: Callable[..., str]) -> None:
    trees = {mode: {"mass": np.array([True, False])} for mode in MODES}
    assert "holds no numbers" in scan_of(trees)


@pytest.mark.parametrize("command", ["scan", "generate", "plot", "interpret"])
def test_a_folder_that_cannot_be_written(command: str, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").write_text("")
    scan = tmp_path / "scan.json"
    made_up_scan().to_json(scan)
    where = tmp_path / "file" / "out"
    arguments = {
        "scan": ["b2kagg", "--data", tmp_path / "none.root"],  # the folder is looked at first
        "generate": ["b2kagg"],
        "plot": [scan],
        "interpret": ["b2kagg", scan],
    }[command]
    line = refused(capsys, command, *arguments, "--out", where)
    assert line.startswith(f"{where}: cannot be written")
    assert line.split("(")[1].startswith("a file is in the way)")


# -- what the commands do with a scan, however it was made ----------------------------------


def made_up_scan(*, blind: bool = False, search: str = "b2kagg") -> Scan:
    nan = float("nan")
    data = (nan, nan, nan, nan) if blind else (1e-7, 1e-8, 5e-8, 0.4)
    observed, poi_hat, poi_error, p0 = data
    bands = (4e-8, 6e-8, 8e-8, 1.2e-7, 2e-7)
    limit = Limit(
        observed, bands, poi_hat, poi_error, p0, 0.9, "asymptotic", "qtilde", True, blind=blind
    )
    return Scan.from_limits(
        [1.0, 1.01, 1.02],
        [limit] * 3,
        poi="bf_kplus",
        poi_label="$B$",
        pseudo_data=True,
        skipped=[Skipped(0.55, "vetoed: eta")],
        provenance=new_provenance(search=search),
    )


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A search that fits nothing; it notes what it is asked for."""
    real = searches.load("b2kagg")
    asked: dict[str, Any] = {}

    def read(data: Any, **options: Any) -> Sample:
        asked["read"] = {"data": data, **options}
        return Sample({}, ("Kplus: 3 of 3 candidates are used",), (), {}, None)

    def scan(sample: Sample, *, blind: bool, **options: Any) -> Scan:
        asked["scan"] = {"blind": blind, **options}
        return made_up_scan(blind=blind)

    def fits(sample: Sample, scan: Scan, *, goodness_toys: int) -> list[Fit]:
        nan = float("nan")
        x = np.linspace(0.9, 1.1, 5)
        flat = np.full(5, 100.0)
        hidden = (0.97, 1.03) if scan.blind else None
        channel = ChannelFit("K", "K", x, flat[1:], flat[1:], x, flat, flat, (), (0.9, 1.1), hidden)
        best = (nan, nan) if scan.blind else (1e-8, 5e-8)
        return [Fit(1.01, "$B$", "", *best, (channel,), True, (), True, scan.blind)]

    search = SimpleNamespace(
        asked=asked,
        read=read,
        scan=scan,
        fits=fits,
        interpret=real.interpret,
        masses=real.masses,
        OBSERVABLE_LABEL=real.OBSERVABLE_LABEL,
        LEVEL=real.LEVEL,
        METHOD=real.METHOD,
    )
    monkeypatch.setattr(searches, "load", lambda name: search)
    return search


FILES = {
    "scan.json",
    "scan.csv",
    "limit_bf_kplus.png",
    "limit_bf_kplus.pdf",
    "coupling.json",
    "limit_g_aW.png",
    "limit_g_aW.pdf",
    "fit_1.0100.png",
}
P_VALUES = {"p0.png", "p0.pdf"}


def test_scan_tells_what_it_read_found_and_wrote(
    stub: SimpleNamespace, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "new" / "out"
    assert cli.main(["scan", "b2kagg", "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == FILES | P_VALUES
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Kplus: 3 of 3 candidates are used"
    assert lines[1:-11] == made_up_scan().summary().splitlines()
    assert lines[-11] == "written:"
    assert {line.strip() for line in lines[-10:]} == {str(path) for path in out.iterdir()}
    assert stub.asked["read"] == {
        "data": None,
        "modes": None,
        "seed": 1,
        "inject": [],
        "branch": "mass",
        "trees": None,
        "cut": None,
    }
    wanted = {"blind": False, "level": 0.9, "masses": None, "max_masses": None, "progress": True}
    wanted |= {"method": "asymptotic", "global_toys": 0, "checkpoint": out / "scan.checkpoint"}
    wanted |= {"executor": None, "shard": None}
    assert stub.asked["scan"] == wanted


def test_options_arrive(stub: SimpleNamespace, tmp_path: Path, capsys: Capture) -> None:
    def scan(sample: Sample, **options: Any) -> Scan:
        stub.asked["scan"] = options
        raise InputError("enough")

    stub.scan = scan
    text = (
        "scan b2kagg --modes KS,Kplus --seed 5 --inject 1.0:20 --inject 2:3.5 --level 0.95 "
        "--masses 0.5,1.0:1.025 --max-masses 7 --blind --method toys --global-toys 30 --quiet --out"
    )
    assert refused(capsys, *text.split(), tmp_path) == "enough"
    asked = stub.asked["read"]
    assert asked["modes"] == ["KS", "Kplus"]
    assert asked["seed"] == 5
    assert asked["inject"] == [(1.0, 20.0), (2.0, 3.5)]
    masses = stub.asked["scan"].pop("masses")
    assert masses == pytest.approx([0.5, 1.0, 1.01, 1.02], abs=1e-4)
    wanted = {"blind": True, "level": 0.95, "max_masses": 7, "progress": False}
    wanted |= {"method": "toys", "global_toys": 30, "checkpoint": tmp_path / "scan.checkpoint"}
    wanted |= {"executor": None, "shard": None}
    assert stub.asked["scan"] == wanted
    text = "scan b2kagg --data x.root --tree KS=a --tree Kplus=b --branch m --cut m>1 --out"
    assert refused(capsys, *text.split(), tmp_path) == "enough"
    asked = stub.asked["read"]
    assert (asked["data"], asked["branch"], asked["cut"]) == (Path("x.root"), "m", "m>1")
    assert asked["trees"] == {"KS": "a", "Kplus": "b"}


def test_a_blind_scan_has_no_p_values_and_a_quiet_one_no_words(
    stub: SimpleNamespace, tmp_path: Path, capsys: Capture
) -> None:
    assert cli.main(["scan", "b2kagg", "--blind", "--quiet", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr() == ("", "")
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert Scan.from_json(tmp_path / "scan.json").blind
    assert Scan.from_json(tmp_path / "coupling.json").blind


def test_an_interrupted_scan(stub: SimpleNamespace, tmp_path: Path, capsys: Capture) -> None:
    def interrupted(*_: Any, **__: Any) -> Scan:
        raise KeyboardInterrupt

    stub.scan = interrupted
    assert cli.main(["scan", "b2kagg", "--quiet", "--out", str(tmp_path)]) == 130
    assert capsys.readouterr() == ("", "zfit-dark: interrupted\n")


def test_a_message_of_many_lines_is_told_in_one(
    stub: SimpleNamespace, tmp_path: Path, capsys: Capture
) -> None:
    def bad(*_: Any, **__: Any) -> Scan:
        raise InputError("one\n  two")

    stub.scan = bad
    assert refused(capsys, "scan", "b2kagg", "--out", tmp_path) == "one two"


def test_plot_draws_what_scan_drew(tmp_path: Path, capsys: Capture) -> None:
    made_up_scan().to_json(tmp_path / "scan.json")
    assert cli.main(["plot", str(tmp_path / "scan.json"), "--out", str(tmp_path / "new")]) == 0
    plots = {"limit_bf_kplus.png", "limit_bf_kplus.pdf", *P_VALUES}
    assert {path.name for path in (tmp_path / "new").iterdir()} == plots
    assert str(tmp_path / "new" / "p0.png") in capsys.readouterr().out
    made_up_scan(blind=True).to_json(tmp_path / "blind.json")
    assert cli.main(["plot", str(tmp_path / "blind.json")]) == 0
    there = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert there == {"scan.json", "blind.json", "limit_bf_kplus.png", "limit_bf_kplus.pdf"}


def test_interpret(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "scan.json"
    made_up_scan().to_json(file)
    assert cli.main(["interpret", "b2kagg", str(file)]) == 0
    names = {"coupling.json", "limit_g_aW.png", "limit_g_aW.pdf"}
    assert {path.name for path in tmp_path.iterdir()} == {"scan.json", *names}
    coupling = Scan.from_json(tmp_path / "coupling.json")
    assert coupling.poi == "g_aW"
    assert coupling.observed[0] == pytest.approx((1e-7 / 1940) ** 0.5, rel=1e-3)
    capsys.readouterr()
    assert "give one of bf_kplus" in refused(
        capsys, "interpret", "b2kagg", tmp_path / "coupling.json"
    )
    made_up_scan(search="other").to_json(file)
    assert "a scan of other, not of b2kagg" in refused(capsys, "interpret", "b2kagg", file)
    file.write_text("{}")
    assert "not a zfit_dark scan file" in refused(capsys, "plot", file)


# -- from nothing to the plots --------------------------------------------------------------


def test_from_a_file_to_the_limits(tmp_path: Path, capsys: Capture) -> None:
    file, out = tmp_path / "events.root", tmp_path / "limits"
    assert cli.main(["generate", "b2kagg", "--seed", "4", "--out", str(file)]) == 0
    assert f"{file}: pseudo-data with seed 4: " in capsys.readouterr().out
    with uproot.open(file) as root:
        entries = root["Kplus"].num_entries
    arguments = f"scan b2kagg --data {file} --out {out} --modes Kplus --max-masses 5"
    assert cli.main(arguments.split()) == 0
    text = capsys.readouterr().out
    assert f"Kplus: {entries} of {entries} candidates are used" in text
    assert "pseudo-data, b2kagg with seed 4\n" in text
    assert "not scanned: 1 (vetoed: π⁰ → γγ)" in text

    content = json.loads((out / "scan.json").read_text(encoding="utf-8"))
    assert content["format"].startswith("zfit_dark scan")
    assert content["level"] == 0.9
    assert content["method"] == "asymptotic"
    assert content["test_statistic"] == "qtilde"
    assert content["pseudo_data"] is True
    assert content["blind"] is False
    assert content["poi"] == "bf_kplus"
    provenance = content["provenance"]
    assert provenance["search"] == "b2kagg"
    assert provenance["settings"]["pseudo_data"]["seed"] == 4
    assert provenance["settings"]["modes"] == ["Kplus"]
    (record,) = provenance["inputs"]
    assert record["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert {"zfit", "tensorflow", "hepstats", "numpy"} <= provenance["versions"].keys()

    scan = Scan.from_json(out / "scan.json")
    masses = searches.load("b2kagg").masses()
    assert scan.masses[-1] == masses[-1]
    assert scan.skipped[0].mass == masses[0]
    assert len(scan.masses) + len(scan.skipped) == 5
    assert scan.valid.all()
    assert np.all((scan.observed > 1e-8) & (scan.observed < 3e-6))
    assert np.all(np.diff(scan.expected, axis=1) > 0)
    table = pd.read_csv(out / "scan.csv", comment="#")
    np.testing.assert_allclose(table["observed"].dropna(), scan.observed, rtol=1e-12)
    assert "# pseudo-data: yes" in (out / "scan.csv").read_text(encoding="utf-8")
    coupling = Scan.from_json(out / "coupling.json")
    assert coupling.pseudo_data
    assert np.all((coupling.observed > 1e-6) & (coupling.observed < 1e-4))

    fits = {f"fit_{mass:.4f}.png" for mass in searches.masses_to_show(scan, 4)}
    names = {path.name for path in out.iterdir()} - {"scan.checkpoint"}
    assert names == FILES - {"fit_1.0100.png"} | P_VALUES | fits
    for name in names:
        start = (out / name).read_bytes()[:8]
        assert start.startswith({"png": b"\x89PNG", "pdf": b"%PDF"}.get(name[-3:], b""))
        assert str(out / name) in text


# -- lifetimes ------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [["--ctau", "1"], ["--all"], ["--model", "scalar"]])
@pytest.mark.usefixtures("stub")
def test_a_search_without_lifetimes_is_asked_for_none(
    more: list[str], tmp_path: Path, capsys: Capture
) -> None:
    message = "b2kagg has no lifetimes: leave out --ctau, --all and --model"
    assert refused(capsys, "scan", "b2kagg", *more, "--out", tmp_path) == message


def test_a_search_without_models_is_asked_for_none(tmp_path: Path, capsys: Capture) -> None:
    message = "b2kagg has no models to choose from: leave out --model"
    for command in ("scan", "project"):
        told = refused(capsys, command, "b2kagg", "--model", "scalar", "--out", tmp_path)
        assert told == message


@pytest.mark.slow
def test_lifetimes_of_the_axion_go_to_its_coupling(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "limits"
    text = f"scan b2kagg --modes Kplus --masses 0.3,1.2 --all --out {out}"
    assert cli.main(text.split()) == 0
    names = {path.name for path in out.iterdir()}
    coupling = {"coupling.json", "limit_g_aW.png", "limit_g_aW.pdf"}
    assert names == {"limits.root", "limits_combined.png", "parts", *coupling}
    capsys.readouterr()
    again = tmp_path / "again"
    assert cli.main(["interpret", "b2kagg", str(out / "limits.root"), "--out", str(again)]) == 0
    assert {path.name for path in again.iterdir()} == coupling
    ours, theirs = (Scan.from_json(folder / "coupling.json") for folder in (out, again))
    np.testing.assert_array_equal(ours.observed, theirs.observed)
    prompt = searches.load("b2kagg").interpret(
        LifetimeScan.from_root(out / "limits.root").scans["combined"][0]
    )
    assert ours.observed[0] > 1.5 * prompt.observed[0]  # at 0.3 GeV most a fly far


def test_all_lifetimes_are_not_one(tmp_path: Path, capsys: Capture) -> None:
    told = refused(capsys, "scan", "b2ks", "--all", "--ctau", "1", "--out", tmp_path)
    assert told.startswith("--all is for all lifetimes")


def test_a_scan_of_lifetimes_goes_to_tables_plots_and_couplings(
    tmp_path: Path, capsys: Capture
) -> None:
    """One channel, three masses, all lifetimes; then its files are drawn and interpreted again."""
    data, out = tmp_path / "events.root", tmp_path / "limits"
    assert cli.main(["generate", "b2ks", "--seed", "2", "--out", str(data)]) == 0
    text = f"scan b2ks --data {data} --channel Kplus_mumu --masses 0.25,0.6,2.4 --out {out}"
    text += " --method asymptotic"
    assert cli.main([*text.split(), "--all"]) == 0
    assert "Kplus_mumu: 53 limits" in capsys.readouterr().out  # 17 lifetimes, two more at one mass
    made = {
        "limits.root",
        "limits_Kplus_mumu.png",
        *(f"exclusion_{m}_Kplus_mumu.{end}" for m in ("scalar", "alp") for end in ("json", "png")),
    }
    assert {path.name for path in out.iterdir()} == {"parts", *made}
    again = tmp_path / "again"
    assert cli.main(["plot", str(out / "limits.root"), "--out", str(again)]) == 0
    text = f"interpret b2ks {out / 'limits.root'} --model scalar --out {again}"
    assert cli.main(text.split()) == 0
    found = {path.name for path in again.iterdir()}
    assert found == {name for name in made if "alp" not in name and name != "limits.root"}
    one = (out / "exclusion_scalar_Kplus_mumu.json").read_text()
    assert (again / "exclusion_scalar_Kplus_mumu.json").read_text() == one


# -- projections ----------------------------------------------------------------------------


def test_a_projection_goes_to_tables_and_plots(tmp_path: Path, capsys: Capture) -> None:
    """Counts in two windows of one final state: sums, nothing is compiled."""
    out = tmp_path / "projection"
    text = "project idm --seed 2 --channel mumu --masses 0.7,2.4 --ctau 1 --floor 0.05"
    assert cli.main([*text.split(), "--luminosity", "365,3650", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    made = {f"{name}.{end}" for name in ("projection", "projections") for end in ("png", "pdf")}
    made |= {"projection.json", "projection.csv"}
    assert {path.name for path in out.iterdir()} == made
    assert all(str(out / name) in told for name in made)
    found = Projection.from_json(out / "projection.json")
    assert found.summary() in told
    assert found.luminosities.tolist() == [365.0, 3650.0]
    assert (found.luminosity, found.floor, found.level) == (365.0, 0.05, 0.95)
    assert found.pseudo_data
    assert found.provenance["settings"]["ctau"] == 1
    assert found.masses.tolist() == [0.7, 2.4]
    first, second = (scan.expected[:, 2] for scan in found.scans)
    assert ((first > second) & (first <= 10.01 * second)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["idm", "--luminosity", "575,many"], "--luminosity: 'many' is not a number"),
        (["idm", "--luminosity", "575,-1", "--modes", "mumu"], "luminosity -1 fb^-1: give a"),
        (["idm", "--floor", "-1", "--modes", "mumu"], "floor=-1.0: give 0, or a positive part"),
        (["b2kagg", "--ctau", "-1"], "ctau = -1.0 cm: give a positive length, or 0"),
        (["idm", "--data", "x.root", "--seed", "2"], "--seed makes pseudo-data"),
    ],
)
def test_a_projection_of_wrong_words(
    arguments: list[str], message: str, tmp_path: Path, capsys: Capture
) -> None:
    assert message in refused(capsys, "project", *arguments, "--out", tmp_path)
