"""Published limits: read from a made-up package, and from the real one if it is installed."""

from __future__ import annotations

import dataclasses
import math
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from scipy import constants

import zfit_dark as zd
from zfit_dark import cli, literature, plot
from zfit_dark.errors import InputError
from zfit_dark.results import LifetimeScan, Limit, Published, Scan, new_provenance
from zfit_dark.theory import alp, coupling_limit, scalar

C = constants.c * 100 * 1e-12  # cm/ps
NAN = float("nan")
FOLDER = Path("alpaca", "experimental_data", "visible")
TABLES = {
    "babar_kgg_prompt": "babar_bkphotons_prompt.txt",
    "babar_kgg_displaced": "babar_BKphotons_displ.npy",
    "belle2_kplus_ee": "belleII_BKee_displ.npy",
    "belle2_kplus_mumu": "belleII_BKmumu_displ.npy",
    "belle2_kst0_ee": "belleII_B0K0see_displ.npy",
    "belle2_kst0_mumu": "belleII_B0K0smumu_displ.npy",
    "lhcb_kplus_mumu": "LHCb_BKmumu_displ.npy",
    "lhcb_kst0_mumu": "LHCb_BKsmumu_displ.npy",
}
LEVELS = {"BaBar": 0.90, "Belle II": 0.95, "LHCb": 0.95}


def grid(masses: Any, ctaus: Any, limits: Any) -> np.ndarray:
    """A table as the package has it: logarithms, masses below, picoseconds on the right."""
    limits = np.asarray(limits, float)
    table = np.full((len(ctaus) + 1, len(masses) + 1), np.nan)
    table[:-1, :-1] = np.log10(limits)
    table[-1, :-1] = masses
    table[:-1, -1] = np.log10(np.asarray(ctaus) / C)
    return table


PROMPT = (0.2, 0.3, 0.4, 0.5, 0.6, 1.0, 3.0, 4.0)
PROMPT_LIMITS = (3e-7, 3e-7, 2e-7, NAN, 2e-7, 1e-7, 2e-7, 4e-7)
DISPLACED = (0.25, 0.45, 0.7, 1.1)
DISPLACED_LIMITS = ((4e-7, 3e-7, 2e-7, 1e-7), (6e-7, 4e-7, NAN, 2e-7), (2e-6, 2e-6, NAN, 1e-6))
MASSES = (0.25, 0.3, 0.5, 1.0, 2.0, 5.2)
CTAUS = (0.001, 0.1, 1.0, 10.0, 100.0)
LIMITS = np.outer((1e-6, 4e-8, 3e-8, 6e-8, 9e-7), (1.0, 1.1, 1.2, 1.5, 2.0, 2.5))


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package of the real one's name and formats, which cannot be imported."""
    root = tmp_path_factory.mktemp("site")
    (root / FOLDER).mkdir(parents=True)
    (root / "alpaca" / "__init__.py").write_text("raise RuntimeError('imported')")
    info = root / "alpaca_alps-1.2.7.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: alpaca-ALPs\nVersion: 1.2.7\n")
    rows = zip(PROMPT, PROMPT_LIMITS, strict=True)
    text = "".join(f"{m - 0.002!r}\t{m + 0.002!r}\t{limit!r}\n" for m, limit in rows)
    for name, file in TABLES.items():
        if file.endswith(".txt"):
            (root / FOLDER / file).write_text(text)
        elif name.startswith("babar"):
            np.save(root / FOLDER / file, grid(DISPLACED, (0.1, 1.0, 10.0), DISPLACED_LIMITS))
        elif name == "lhcb_kplus_mumu":  # the longest lifetime first
            np.save(root / FOLDER / file, grid(MASSES, CTAUS[::-1], 0.01 * LIMITS[::-1]))
        else:
            np.save(root / FOLDER / file, grid(MASSES, CTAUS, LIMITS))
    return root


@pytest.fixture
def package(made_up: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(made_up))
    return made_up


@pytest.fixture
def none_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(literature.metadata, "distribution", absent)


def by_name() -> dict[str, Published]:
    return {limits.name: limits for limits in zd.published()}


# -- reading --------------------------------------------------------------------------------


def test_every_table_has_its_paper_level_and_package(package: Path) -> None:
    found = by_name()
    assert list(found) == list(TABLES)
    for limits in found.values():
        assert limits.reference.startswith("arXiv:")
        assert limits.inspire.count(":") == 1
        assert limits.level == LEVELS[limits.experiment]
        assert limits.level_source.startswith("read: ")
        assert limits.package == "alpaca-ALPs 1.2.7"
        assert limits.origin
        assert limits.citation == f"{limits.experiment}, {limits.reference}"
        for text in (limits.citation, limits.inspire, limits.package, limits.origin):
            assert text in limits.summary()
        assert f"at {100 * limits.level:g} % CL" in limits.summary()


def test_every_number_has_value_unit_status_and_source() -> None:
    file = Path(literature.__file__).with_name("literature.yaml")
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    numbers = [paper["level"] for paper in content["experiments"].values()]
    numbers += [table["over_product"] for table in content["tables"].values()]
    for number in numbers:
        assert set(number) == {"value", "unit", "status", "source"}
        assert number["status"] in ("read", "derived", "assumed")
        assert 0 < number["value"] <= 1


def test_the_numbers_of_a_text_file(package: Path) -> None:
    limits = by_name()["babar_kgg_prompt"]
    np.testing.assert_allclose(limits.masses, PROMPT, rtol=1e-12)
    np.testing.assert_array_equal(limits.limits, [PROMPT_LIMITS])
    np.testing.assert_array_equal(limits.lifetimes, [0.0])


@pytest.mark.parametrize("name", [name for name in TABLES if name != "babar_kgg_prompt"])
def test_the_numbers_of_a_grid(package: Path, name: str) -> None:
    limits = by_name()[name]
    masses, ctaus, wanted = MASSES, CTAUS, LIMITS
    if name == "babar_kgg_displaced":
        masses, ctaus, wanted = DISPLACED, (0.1, 1.0, 10.0), np.array(DISPLACED_LIMITS)
    factor = 0.01 if name == "lhcb_kplus_mumu" else 1.0
    np.testing.assert_array_equal(limits.masses, masses)
    np.testing.assert_allclose(limits.lifetimes, ctaus, rtol=1e-12)
    np.testing.assert_allclose(limits.limits, factor * wanted, rtol=1e-12)


def test_tables_of_a_search(package: Path) -> None:
    assert {limits.search for limits in zd.published("b2kagg")} == {"b2kagg"}
    assert len(zd.published("b2kagg")) + len(zd.published("b2ks")) == len(TABLES)
    with pytest.raises(InputError, match="no published limits for 'idm'; there are for b2kagg"):
        zd.published("idm")


def test_nothing_is_imported(made_up: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(made_up)!r})\n"
        "import zfit_dark as zd; assert len(zd.published()) == 8\n"
        "assert not {'alpaca', 'tensorflow', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_without_the_package(none_installed: None) -> None:
    with pytest.raises(InputError, match=r"pip install 'zfit-dark\[published\]'") as caught:
        zd.published("b2kagg")
    assert str(caught.value) == literature.missing()
    assert "\n" not in literature.missing()


def test_nothing_is_missing_with_the_package(package: Path) -> None:
    assert literature.missing() == ""


GOOD = grid((1.0, 2.0), (0.1, 1.0), ((1e-7, 2e-7), (3e-7, 4e-7)))
BAD = {
    "not an array": b"PK no archive",
    "nothing": b"",
    "no masses": np.delete(GOOD, 0, axis=1)[:, :0],
    "one row": GOOD[0],
    "words": np.array([["a", "b"], ["c", "d"]]),
    "falling masses": GOOD[:, [1, 0, 2]],
    "more than all decays": grid((1.0, 2.0), (0.1, 1.0), ((2.0, 2e-7), (3e-7, 4e-7))),
    "two equal lifetimes": GOOD[[0, 0, 2]],
    "a mass that is none": grid((1.0, NAN), (0.1, 1.0), ((1e-7, 2e-7), (3e-7, 4e-7))),
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_a_damaged_grid(package: Path, tmp_path: Path, content: Any, monkeypatch: Any) -> None:
    root = copy_of(package, tmp_path, monkeypatch)
    file = root / FOLDER / TABLES["lhcb_kst0_mumu"]
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        np.save(file, content)
    with pytest.raises(InputError, match=r"damaged.*; install alpaca-ALPs again") as caught:
        zd.published("b2ks")
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("text", ["0.1\t0.2\n", "a\tb\tc\n", "1 1 1e-7\n2 2 -1e-7\n", "1 1 0\n"])
def test_a_damaged_text(package: Path, tmp_path: Path, text: str, monkeypatch: Any) -> None:
    root = copy_of(package, tmp_path, monkeypatch)
    (root / FOLDER / TABLES["babar_kgg_prompt"]).write_text(text)
    with pytest.raises(InputError, match=r"babar_bkphotons_prompt\.txt: damaged"):
        zd.published("b2kagg")


def test_a_file_that_is_not_there(package: Path, tmp_path: Path, monkeypatch: Any) -> None:
    root = copy_of(package, tmp_path, monkeypatch)
    (root / FOLDER / TABLES["belle2_kplus_ee"]).unlink()
    with pytest.raises(InputError, match=r"belleII_BKee_displ\.npy: not in alpaca-ALPs 1\.2\.7"):
        zd.published("b2ks")


def copy_of(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another such package, which is found first."""
    root = tmp_path / "other"
    shutil.copytree(package, root)
    monkeypatch.syspath_prepend(str(root))
    return root


# -- the result -----------------------------------------------------------------------------


def make(**changes: Any) -> Published:
    values: dict[str, Any] = {
        "name": "one",
        "experiment": "BaBar",
        "process": "$B$",
        "search": "b2kagg",
        "mode": "Kplus",
        "masses": (0.2, 0.4, 0.6, 0.8),
        "lifetimes": (0.0, 0.1, 10.0),
        "limits": ((1e-7, 2e-7, NAN, 4e-7), (2e-7,) * 4, (8e-6,) * 4),
        "poi": "bf_kplus",
        "poi_label": "$B$",
        "level": 0.95,
        "level_source": "the abstract",
        "reference": "arXiv:1234.56789",
        "inspire": "BaBar:2021xyz",
        "origin": "digitised",
        "package": "alpaca-ALPs 1.2.0",
    }
    return Published(**(values | changes))


def test_arrays_are_read_only() -> None:
    for name in ("masses", "lifetimes", "limits"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(make(), name)[0] = 1.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masses": (0.2, 0.2, 0.6, 0.8)}, "Published.masses must be"),
        ({"lifetimes": (-1.0, 0.1, 10.0)}, "Published.lifetimes must be"),
        ({"lifetimes": (0.1, 10.0)}, r"shape \(3, 4\); it must be \(2, 4\)"),
        ({"lifetimes": ()}, r"it must be \(1, 4\)"),
        ({"limits": np.zeros((3, 4))}, "must be positive"),
        ({"limits": np.full((3, 4), math.inf)}, "must be positive"),
        ({"level": 90.0}, "the confidence level is 90"),
        ({"level_source": " "}, "Published.level_source is empty"),
        ({"reference": ""}, "Published.reference is empty"),
        ({"package": ""}, "Published.package is empty"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(**changes)


def test_one_lifetime() -> None:
    limits = make()
    np.testing.assert_array_equal(limits.at(0.1).limits, limits.limits[1:2])
    np.testing.assert_array_equal(limits.at(0.1 * (1 + 1e-9)).limits, limits.limits[1:2])
    np.testing.assert_array_equal(limits.at(0.0).limits, limits.limits[:1])
    np.testing.assert_array_equal(limits.at(1.0).lifetimes, [1.0])
    np.testing.assert_allclose(limits.at(1.0).limits, [[math.sqrt(2e-7 * 8e-6)] * 4])
    for outside in (0.01, 11.0):  # between a prompt particle and the first lifetime; above
        assert np.isnan(limits.at(outside).limits).all()
    assert dataclasses.replace(limits.at(0.1), lifetimes=[1.0]).level == limits.level


@given(log_ctau=st.floats(-1, 1), slope=st.floats(-3, 3))
def test_a_power_of_the_lifetime_is_interpolated_exactly(log_ctau: float, slope: float) -> None:
    lifetimes = np.array([0.1, 0.7, 10.0])
    limits = make(lifetimes=lifetimes, limits=1e-7 * np.outer(lifetimes**slope, np.ones(4)))
    ctau = 10**log_ctau
    np.testing.assert_allclose(limits.at(ctau).limits, 1e-7 * ctau**slope, rtol=1e-5)


@pytest.mark.parametrize("ctau", [-1.0, math.inf, NAN])
def test_no_lifetime(ctau: float) -> None:
    with pytest.raises(InputError, match="give a finite lifetime"):
        make().at(ctau)


def test_a_coupling_has_no_lifetime_to_choose() -> None:
    limits = make(lifetimes=(), limits=np.full((1, 4), 1e-5), poi="g_aW")
    with pytest.raises(InputError, match="one: its lifetimes follow from g_aW"):
        limits.at(1.0)
    assert "follows from the coupling" in limits.summary()
    assert limits.to_pandas()["ctau_cm"].isna().all()


def test_other_masses() -> None:
    found = make().limits_at([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    prompt = [NAN, 1e-7, math.sqrt(2) * 1e-7, 2e-7, NAN, NAN, NAN, 4e-7, NAN]
    np.testing.assert_allclose(found[0], prompt, rtol=1e-12)
    np.testing.assert_allclose(found[1], [NAN, *[2e-7] * 7, NAN], rtol=1e-12)
    assert make().limits_at(0.4).shape == (3, 1)


def test_a_table_of_it() -> None:
    table = make().to_pandas()
    assert list(table) == ["mass_GeV", "ctau_cm", "limit"]
    assert len(table) == 12
    row = table[(table["mass_GeV"] == 0.4) & (table["ctau_cm"] == 10.0)]
    assert row["limit"].tolist() == [8e-6]
    assert table["limit"].isna().sum() == 1


# -- couplings ------------------------------------------------------------------------------


def by_hand(mass: float) -> list[float]:
    """Limits at 0, 0.1, 1 and 10 cm: straight lines in the logarithm between two masses."""
    limits = [PROMPT_LIMITS[PROMPT.index(mass)]]
    for row in DISPLACED_LIMITS:
        (k,) = [k for k in range(3) if DISPLACED[k] <= mass <= DISPLACED[k + 1]]
        t = (mass - DISPLACED[k]) / (DISPLACED[k + 1] - DISPLACED[k])
        limits.append(row[k] ** (1 - t) * row[k + 1] ** t)
    return limits


def test_couplings_solve_for_the_lifetime(package: Path) -> None:
    found = literature.couplings(*zd.published("b2kagg"))
    assert (found.poi, found.poi_unit) == ("g_aW", r"GeV$^{-1}$")
    assert (found.level, found.reference) == (0.90, "arXiv:2111.01800")
    assert "every a decays to two photons" in found.assumptions
    limits = dict(zip(np.round(found.masses, 9).tolist(), found.limits[0].tolist(), strict=True))
    for mass in (0.3, 0.4):
        wanted = coupling_limit(
            mass, by_hand(mass), ctau_cm=[0.0, 0.1, 1.0, 10.0], prompt_below_cm=0.01
        ).limit
        assert limits[mass] == pytest.approx(wanted, rel=1e-9)
        prompt = alp.coupling_from_branching_fraction("Kplus", mass, by_hand(mass)[0])
        assert limits[mass] > 1.2 * prompt  # the lifetime matters
        # and it is a solution: B(g) is the limit at the lifetime of g
        ctau = alp.lifetime_ctau_cm(mass, limits[mass])
        at_ctau = np.exp(np.interp(np.log(ctau), np.log([0.1, 1, 10]), np.log(by_hand(mass)[1:])))
        assert alp.branching_fraction("Kplus", mass, limits[mass]) == pytest.approx(at_ctau)
    for mass, limit in ((3.0, 2e-7), (4.0, 4e-7)):  # no other lifetime there: prompt
        ratio = alp.branching_ratio_per_coupling_squared("Kplus", mass)
        assert limits[mass] == pytest.approx(math.sqrt(limit / ratio))
    # outside the displaced table, in the gap of the prompt one, next to a gap of the displaced one
    assert [mass for mass, limit in limits.items() if math.isnan(limit)] == [0.2, 0.5, 0.6, 1.0]


def test_what_counts_as_prompt_can_be_said(package: Path) -> None:
    tables = zd.published("b2kagg")
    found = literature.couplings(*tables, prompt_below_cm=1e-3)
    assert "an a with ctau < 0.001 cm counts as prompt" in found.assumptions
    with pytest.raises(InputError, match="0 of the tables are for a prompt a"):
        literature.couplings(tables[1])
    with pytest.raises(InputError, match="are not limits on the same"):
        literature.couplings(tables[0], dataclasses.replace(tables[1], level=0.95))


def test_with_the_prompt_table_alone_all_are_prompt(package: Path) -> None:
    (prompt, _) = zd.published("b2kagg")
    found = literature.couplings(prompt)
    wanted = alp.coupling_from_branching_fraction("Kplus", prompt.masses, prompt.limits[0])
    np.testing.assert_allclose(found.limits[0], wanted, rtol=1e-12)
    assert found.assumptions[-1] == "so does any other"


@pytest.mark.parametrize(
    ("name", "kaon", "factor"),
    [
        ("belle2_kplus_mumu", "Kplus", 1.0),
        ("belle2_kst0_mumu", "Kst0", 2 / 3),  # K*0 → K+ π- is in the product
        ("lhcb_kst0_mumu", "Kst0", 1.0),
    ],
)
def test_mixing_angles_against_a_fine_grid(
    package: Path, name: str, kaon: str, factor: float
) -> None:
    table = by_name()[name]
    found = literature.mixing_angles(table)
    assert found.level == table.level
    assert any(table.origin in line for line in found.assumptions)
    assert [skipped.mass for skipped in found.skipped] == []
    closed = 5.2  # above the kinematic end
    thetas = np.logspace(-7, 0, 20_011)
    some = 0
    for mass, intervals in zip(found.masses, found.observed, strict=True):
        if mass == closed:
            assert intervals == ()
            continue
        rate = factor * scalar.branching_ratio_per_coupling_squared(kaon, mass) * thetas**2
        rate *= scalar.decay_fraction("mumu", mass)
        ctau = scalar.lifetime_ctau_cm(mass, 1.0) / thetas**2
        column = table.limits[:, table.masses == mass][:, 0]
        limit = np.exp(np.interp(np.log(ctau), np.log(CTAUS), np.log(column)))
        excluded = (rate > limit) & (ctau >= CTAUS[0]) & (ctau <= CTAUS[-1])
        inside = np.zeros(len(thetas), bool)
        near = np.zeros(len(thetas), bool)
        for low, high, *_ in intervals:
            inside |= (thetas > low) & (thetas < high)
            for edge in (low, high):
                near |= np.abs(np.log(thetas / edge)) < 1e-5
        np.testing.assert_array_equal(inside[~near], excluded[~near])
        some += bool(intervals)
    assert some >= 2


def test_mixing_angles_of_something_else(package: Path) -> None:
    with pytest.raises(InputError, match="babar_kgg_prompt: give limits on a long-lived S"):
        literature.mixing_angles(zd.published("b2kagg")[0])
    with pytest.raises(InputError, match="at several lifetimes"):
        literature.mixing_angles(zd.published("b2ks")[0].at(1.0))


# -- plots ----------------------------------------------------------------------------------


def make_scan(poi: str = "bf_kplus", *, masses: Any = (0.2, 0.4, 0.6, 1.1), **changes: Any) -> Scan:
    bands = (4e-8, 6e-8, 8e-8, 1.2e-7, 2e-7)
    limit = Limit(1e-7, bands, 0.0, 1e-8, 0.4, 0.95, "asymptotic", "qtilde", True)
    settings = changes.pop("settings", {})
    search = changes.pop("search", "b2kagg")
    record = new_provenance(search=search, settings=settings)
    values: dict[str, Any] = {"poi_label": "$B$", "pseudo_data": True, "provenance": record}
    return Scan.from_limits(list(masses), [limit] * len(masses), poi=poi, **(values | changes))


def legend(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]  # type: ignore[union-attr]


def below(ax: Axes) -> list[str]:
    """Texts below the axes."""
    return [text.get_text() for text in ax.texts if text.get_position()[1] < 0]


def curve(ax: Axes, label: str) -> np.ndarray:
    (found,) = [line for line in ax.lines if str(line.get_label()) == label]
    return np.asarray(found.get_data(), float)


def test_published_limits_beside_a_scan() -> None:
    limits = make(level=0.90)
    ax = plot.brazil(make_scan(), published=[limits])
    cite = "BaBar, arXiv:1234.56789\n90 % CL, "
    labels = [f"{cite}prompt", cite + r"$c\tau$ = 0.1 cm", cite + r"$c\tau$ = 10 cm"]
    assert [entry for entry in legend(ax) if "BaBar" in entry] == labels
    for label, row in zip(labels, limits.limits, strict=True):
        np.testing.assert_array_equal(curve(ax, label), [limits.masses, row])
    assert below(ax) == ["BaBar, arXiv:1234.56789: as in alpaca-ALPs 1.2.0, digitised"]
    low, high = ax.get_ylim()
    assert low < 4e-8
    assert high > 8e-6
    looks = {line.get_linestyle() for line in ax.lines if "BaBar" in str(line.get_label())}
    assert len(looks) == 3


def test_another_quantity_is_told_in_the_legend() -> None:
    ax = plot.brazil(make_scan(), published=[make(poi_label="$B'$").at(0.1)])
    (entry,) = [entry for entry in legend(ax) if "BaBar" in entry]
    assert entry.splitlines()[1:] == [r"95 % CL, $c\tau$ = 0.1 cm", "on $B'$"]


def test_published_couplings_beside_ours() -> None:
    unit = r"GeV$^{-1}$"
    limits = make(lifetimes=(), limits=np.full((1, 4), 1e-5), poi="g_aW", poi_unit=unit)
    ax = plot.brazil(make_scan("g_aW", poi_unit=unit), published=[limits])
    np.testing.assert_array_equal(curve(ax, "BaBar, arXiv:1234.56789\n95 % CL")[1], [1e-5] * 4)
    with pytest.raises(InputError, match=r"one: its limits are on g_aW \[GeV\$\^\{-1\}\$\], not"):
        plot.brazil(make_scan(), published=[limits])


def test_a_table_outside_the_plot_is_named() -> None:
    ax = plot.brazil(make_scan(masses=(2.0, 2.1)), published=[make().at(0.1)])
    (entry,) = [entry for entry in legend(ax) if "BaBar" in entry]
    assert entry.endswith("\n(no limit here)")
    assert ax.get_ylim()[1] < 1e-6


def test_many_lifetimes_are_too_many() -> None:
    lifetimes = np.arange(1.0, 6.0)
    limits = make(lifetimes=lifetimes, limits=np.full((5, 4), 1e-7))
    with pytest.raises(InputError, match=r"one has 5 lifetimes; choose one with \.at\(ctau\)"):
        plot.brazil(make_scan(), published=[limits])


def test_a_note_alone() -> None:
    ax = plot.brazil(make_scan(), note="how to get them")
    assert below(ax) == ["how to get them"]
    assert not below(plot.brazil(make_scan()))


def test_notes_stay_on_the_figure() -> None:
    several = [make(name=f"n{k}", reference=f"arXiv:{k}").at(0.1) for k in range(3)]
    ax = plot.brazil(make_scan(), published=several, note="many words " * 20)
    (text,) = [text for text in ax.texts if text.get_position()[1] < 0]
    assert len(text.get_text().splitlines()) == 4
    box = text.get_window_extent()
    assert box.y0 > 0
    assert box.x1 < ax.xaxis.label.get_window_extent().x0


def test_published_limits_against_lifetime() -> None:
    limits = make(lifetimes=(0.1, 1.0, 10.0), limits=np.outer((1e-7, 5e-8, 3e-6), (1, 2, NAN, 4)))
    ours = LifetimeScan(lifetimes=(0.01, 1.0), scans={"one": (make_scan(), make_scan())})
    ax = plot.against_lifetime(ours, "one", [0.2, 0.4], published=[limits])
    assert legend(ax)[-1] == "BaBar, arXiv:1234.56789\n95 % CL"
    for mass, factor in ((0.2, 1), (0.4, 2)):
        x, y = curve(ax, f"_one at {mass} GeV")
        np.testing.assert_allclose(x, [0.1, 1.0])  # 10 cm is beyond the plot
        np.testing.assert_allclose(y, factor * np.array([1e-7, 5e-8]))
    assert below(ax) == ["BaBar, arXiv:1234.56789: as in alpaca-ALPs 1.2.0, digitised"]
    assert ax.get_ylim()[1] < 3e-6
    ax = plot.against_lifetime(ours, "one", [0.6], published=[limits])
    assert legend(ax)[-1].endswith("\n(no limit here)")


# -- beside a scan of one of the searches ---------------------------------------------------


def test_what_is_drawn_beside_which_scan(package: Path) -> None:
    def names(scan: Scan) -> list[tuple[str, float]]:
        return [(limits.name, *limits.lifetimes) for limits in literature.comparable(scan)]

    assert names(make_scan()) == [("babar_kgg_prompt", 0.0)]
    assert names(make_scan(settings={"ctau": 0.5})) == [("babar_kgg_displaced", 0.5)]
    assert names(make_scan("g_aW")) == [("babar_g_aW",)]
    product = {"search": "b2ks", "settings": {"modes": ["Kplus_mumu"], "ctau": 0.1}}
    found = names(make_scan("bf_product", **product))
    assert found == [("belle2_kplus_mumu", 0.1), ("lhcb_kplus_mumu", 0.1)]
    tied = {"search": "b2ks", "settings": {"modes": ["Kplus_mumu", "Kst0_mumu"], "ctau": 0.1}}
    assert names(make_scan("bf_kplus", **tied)) == []
    assert names(make_scan("sigma_fb", search="idm")) == []
    assert names(make_scan(provenance={})) == []


def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *options: str) -> dict[str, Any]:
    """What the command passes on to the plot."""
    passed: dict[str, Any] = {}
    real = plot.brazil

    def brazil(scan: Scan, **options: Any) -> Axes:
        passed.update(options)
        return real(scan, **options)

    monkeypatch.setattr(plot, "brazil", brazil)
    monkeypatch.setattr(cli.files, "save", lambda figure, paths: paths)
    make_scan().to_json(tmp_path / "scan.json")
    assert cli.main(["plot", str(tmp_path / "scan.json"), *options]) == 0
    return passed


def test_the_command_draws_them(package: Path, tmp_path: Path, monkeypatch: Any) -> None:
    passed = drawn(monkeypatch, tmp_path, "--published")
    assert [limits.name for limits in passed["published"]] == ["babar_kgg_prompt"]
    assert passed["note"] == ""


def test_the_command_draws_none_if_not_asked(
    package: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    assert not {"published", "note"} & set(drawn(monkeypatch, tmp_path))


def test_the_command_draws_how_to_get_them(
    none_installed: None, tmp_path: Path, monkeypatch: Any
) -> None:
    passed = drawn(monkeypatch, tmp_path, "--published")
    assert passed["note"] == literature.missing()
    assert "published" not in passed


def test_the_command_says_if_there_are_none(
    package: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(literature, "comparable", lambda scan: ())
    passed = drawn(monkeypatch, tmp_path, "--published")
    assert passed["note"] == "no published limits on this are known"


def test_the_command_refuses_maps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plot", str(tmp_path / "limits.root"), "--published"]) == 2
    assert "--published is for limits at one lifetime" in capsys.readouterr().err


@pytest.mark.slow  # the search brings in TensorFlow
def test_labels_are_those_of_the_search(package: Path) -> None:
    """So that the legend says what is limited only where it is something else."""
    from zfit_dark.searches.b2ks.signal import product_label

    for name, limits in by_name().items():
        if name != "lhcb_kst0_mumu" and limits.search == "b2ks":
            assert limits.poi_label == product_label(limits.mode)


# -- the real package -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Path:
    """The folder of the data files."""
    try:
        source = metadata.distribution("alpaca-ALPs")
    except metadata.PackageNotFoundError:
        pytest.skip("alpaca-ALPs is not installed: pip install --no-deps alpaca-ALPs is enough")
    return Path(str(source.locate_file(FOLDER)))


def test_real_files_against_another_reading(real: Path) -> None:
    for name, limits in by_name().items():
        file = real / TABLES[name]
        if file.suffix == ".txt":
            rows = [line.split() for line in file.read_text().splitlines() if line.strip()]
            assert limits.masses.tolist() == [0.5 * (float(a) + float(b)) for a, b, _ in rows]
            np.testing.assert_array_equal(limits.limits[0], [float(c) for *_, c in rows])
            continue
        table = np.load(file)
        for k in range(0, len(table) - 1, 3):
            row = int(np.argmin(np.abs(limits.lifetimes - C * 10 ** table[k, -1])))
            assert limits.lifetimes[row] == pytest.approx(C * 10 ** table[k, -1], rel=1e-12)
            np.testing.assert_allclose(limits.limits[row], 10 ** table[k, :-1], rtol=1e-12)
        np.testing.assert_array_equal(limits.masses, table[-1, :-1])
        assert len(limits.lifetimes) == len(table) - 1


def test_real_limits_are_what_the_papers_say(real: Path) -> None:
    found = by_name()
    spans = {"babar": (0.175, 4.78), "belle2": (0.024, 4.785), "lhcb": (0.21, 4.7)}
    for name, limits in found.items():
        low, high = spans[name.partition("_")[0]]
        assert low < limits.masses[0] < limits.masses[-1] < high
    # the best one of Belle II, and the range of LHCb's abstract
    belle2 = found["belle2_kplus_mumu"]
    k = int(np.argmin(np.abs(belle2.lifetimes - 10.0)))
    assert belle2.limits.min() == belle2.limits[k].min() == pytest.approx(2.85e-8, rel=2e-3)
    assert belle2.masses[np.argmin(belle2.limits[k])] == pytest.approx(4.498, abs=1e-3)
    assert np.nanmin(found["lhcb_kplus_mumu"].limits) == pytest.approx(2e-10, rel=0.25)
    assert np.nanmax(found["lhcb_kplus_mumu"].limits) == pytest.approx(1e-7, rel=0.5)


@pytest.mark.parametrize("prompt_below", [1e-4, 1e-2])
def test_real_couplings_are_babar_s_own(real: Path, prompt_below: float) -> None:
    found = literature.couplings(*zd.published("b2kagg"), prompt_below_cm=prompt_below)
    # read off BaBar's curve outside this package
    assert found.limits_at(0.31)[0, 0] == pytest.approx(2.06e-5, rel=0.1)
    assert np.isnan(found.limits).mean() < 0.05
