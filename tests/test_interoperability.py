"""Models and results that come from other programs, or go to them: zfit's HS3 files, RooFit,
histograms, ROOT trees, tables, and PDFs of zfit-physics."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hist
import numpy as np
import pandas as pd
import pytest
import uproot
import zfit
from hypothesis import HealthCheck, given, settings
from test_results import assert_same, make_blind_scan, make_scan, scans

import zfit_dark as zd
from zfit_dark.errors import InputError
from zfit_dark.pdf.hs3 import workspace
from zfit_dark.results import Scan, Skipped

REFERENCE = Path(__file__).parent / "reference"
LOW, HIGH = 0.3, 0.7
OBS = zfit.Space("x", LOW, HIGH)

experimental = pytest.mark.filterwarnings("ignore::zfit.util.warnings.ExperimentalFeatureWarning")


def parameters(tag: str, *values: float) -> list[zfit.Parameter]:
    """Floating parameters with limits."""
    return [
        zfit.Parameter(f"{tag}_{i}", value, value - 0.1, value + 0.2)
        for i, value in enumerate(values)
    ]


# -- zfit's own HS3 -------------------------------------------------------------------------


def closed(kind: type, *values: float) -> Callable[[], Any]:
    def make() -> Any:
        tag = f"io_{kind.__name__}"
        events = zfit.Parameter(f"{tag}_events", 30.0, 0.0, 1000.0)
        return kind(*parameters(tag, *values), OBS, extended=events)

    return make


def peak(tag: str) -> Any:
    return zd.pdf.CrystalBall(*parameters(f"io_{tag}", 0.5), 0.01, 1.2, 3.0, OBS)


def template() -> Any:
    rng = np.random.default_rng(5)
    histograms = {}
    for mass in (0.4, 0.5, 0.6):
        histograms[mass] = hist.Hist.new.Reg(80, LOW, HIGH).Double()
        histograms[mass].fill(rng.normal(mass, 0.01, 2000))
    return zd.pdf.Template(*parameters("io_template", 0.45), histograms, OBS)


def windowed() -> Any:
    shape = zfit.pdf.Chebyshev(zfit.Space("x", -1, 1), parameters("io_windowed_c", 0.2))
    return zd.pdf.Windowed(shape, *parameters("io_windowed", 0.4, 0.5), OBS)


MODELS: dict[str, Callable[[], Any]] = {
    "Argus": closed(zd.pdf.Argus, 0.65, -1.0, 0.5),
    "Counted": lambda: zd.pdf.Counted(peak("counted"), [(0.45, 0.46)], [[(0.4, 0.48)]]),
    "CrystalBall": closed(zd.pdf.CrystalBall, 0.5, 0.11, 1.2, 3.0),
    "DoubleCB": closed(zd.pdf.DoubleCB, 0.5, 0.11, 1.2, 3.0, 1.5, 4.0),
    "GaussExpTail": closed(zd.pdf.GaussExpTail, 0.5, 0.11, 1.0),
    "GeneralizedCB": closed(zd.pdf.GeneralizedCB, 0.5, 0.11, 1.2, 3.0, 0.12, 1.5, 4.0),
    "GeneralizedGaussExpTail": closed(zd.pdf.GeneralizedGaussExpTail, 0.5, 0.11, 1.0, 0.12, 1.3),
    "ModifiedMass": lambda: zd.pdf.ModifiedMass(peak("modified"), "mu"),
    "Novosibirsk": closed(zd.pdf.Novosibirsk, 0.5, 0.11, 0.2),
    "Template": template,
    "Threshold": closed(zd.pdf.Threshold, 0.31, 0.5, 3.0),
    "Vetoed": lambda: zd.pdf.Vetoed(peak("vetoed"), [(0.45, 0.46), (0.5, 0.52)]),
    "Voigt": closed(zd.pdf.Voigt, 0.5, 0.11, 0.105),
    "Windowed": windowed,
}


def test_every_public_pdf_is_tried() -> None:
    assert set(MODELS) == set(zd.pdf.__all__)


@experimental
@pytest.mark.parametrize("name", MODELS)
def test_round_trip_through_a_json_file(name: str) -> None:
    model = MODELS[name]()
    text = json.dumps(zfit.hs3.dumps(model), allow_nan=False)
    (loaded,) = zfit.hs3.loads(json.loads(text))["distributions"].values()
    assert type(loaded) is type(model)
    x = np.linspace(LOW, HIGH, 41)
    density = model.pdf(x).numpy()
    assert density.max() > 1.0
    np.testing.assert_allclose(loaded.pdf(x), density, rtol=1e-12)
    before, after = (
        {p.name: (float(p.value()), float(p.lower), float(p.upper)) for p in each.get_params()}
        for each in (model, loaded)
    )
    assert before == after
    assert len(before) > 0
    if model.is_extended:
        assert loaded.get_yield().name == model.get_yield().name


@experimental
def test_pdfs_come_back_inside_others() -> None:
    inner = [template(), windowed(), peak("sum")]
    model = zfit.pdf.SumPDF(inner, fracs=[0.3, 0.2])
    text = json.dumps(zfit.hs3.dumps(model), allow_nan=False)
    (loaded,) = zfit.hs3.loads(json.loads(text))["distributions"].values()
    assert [type(each) for each in loaded.pdfs] == [type(each) for each in inner]
    x = np.linspace(LOW, HIGH, 41)
    np.testing.assert_allclose(loaded.pdf(x), model.pdf(x), rtol=1e-12)


@experimental
@pytest.mark.filterwarnings("ignore:.*:zfit.util.warnings.AdvancedFeatureWarning")
def test_what_zfit_does_not_keep() -> None:
    """As the documentation says; zfit 0.28."""
    events = parameters("io_lost", 20.0, 80.0)
    parts = [
        zd.pdf.CrystalBall(0.5, 0.01, 1.2, 3.0, OBS, extended=events[0]),
        zd.pdf.Threshold(0.31, 0.5, 3.0, OBS, extended=events[1]),
    ]
    model = zfit.pdf.SumPDF(parts)
    (loaded,) = zfit.hs3.loads(zfit.hs3.dumps(model))["distributions"].values()
    assert model.is_extended
    assert not loaded.is_extended
    loss = zfit.loss.ExtendedUnbinnedNLL(
        model, zfit.Data.from_numpy(obs=OBS, array=np.array([0.4, 0.5]))
    )
    with pytest.raises(TypeError, match="ndarray is not JSON serializable"):
        json.dumps(zfit.hs3.dumps(loss))


# -- RooFit ---------------------------------------------------------------------------------


def cases() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((REFERENCE / "roofit_shapes.json").read_text())[
        "cases"
    ]
    return found


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case['roofit']}-{case['pdf']}")
def test_shapes_are_those_of_roofit(case: dict[str, Any]) -> None:
    """RooFit has sqrt(pi/2) with 11 digits in the integrals of its Crystal Balls."""
    model = getattr(zd.pdf, case["pdf"])(*case["arguments"], OBS)
    ours, theirs = model.pdf(case["x"], norm=False).numpy(), np.array(case["shape"])
    np.testing.assert_array_equal(ours == 0, theirs == 0)
    seen = theirs > 0
    ratio = ours[seen] / theirs[seen]
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=1e-12)
    np.testing.assert_allclose(model.pdf(case["x"]), case["density"], rtol=5e-10)


def search() -> tuple[Any, Any]:
    """A narrow peak over a background, named throughout, and 400 events of pseudo-data."""
    rng = np.random.default_rng(12)
    x = np.concatenate([rng.uniform(LOW, HIGH, 380), rng.normal(0.45, 0.008, 20)])
    fixed = {
        name: zfit.param.ConstantParameter(f"rf_{name}", value)
        for name, value in (
            ("sigma", 0.008),
            ("alphal", 1.2),
            ("nl", 3.0),
            ("alphar", 1.5),
            ("nr", 4.0),
        )
    }
    mass = zfit.Parameter("rf_mass", 0.45, floating=False)
    n_signal = zfit.Parameter("rf_n_signal", 10.0, -50.0, 200.0)
    n_background = zfit.Parameter("rf_n_background", 390.0, 0.0, 1e4)
    signal = zd.pdf.DoubleCB(mass, **fixed, obs=OBS, extended=n_signal, name="signal")
    slopes = [zfit.Parameter(f"rf_slope_{i}", v, -1.0, 1.0) for i, v in enumerate((-0.1, 0.05))]
    background = zfit.pdf.Chebyshev(OBS, slopes, extended=n_background, name="background")
    model = zfit.pdf.SumPDF([signal, background], name="model")
    return model, zfit.Data.from_numpy(obs=OBS, array=x)


POINTS = [
    {"rf_n_signal": s, "rf_n_background": b, "rf_slope_0": slope, "rf_mass": mass}
    for s, b, slope, mass in (
        (10.0, 390.0, -0.1, 0.45),
        (0.0, 400.0, -0.1, 0.45),
        (30.0, 370.0, 0.3, 0.45),
        (-5.0, 405.0, 0.0, 0.62),
    )
]


def rises(nll: list[float]) -> np.ndarray:
    """Values above that at the first point: programs differ by a constant of the data."""
    return np.array(nll[1:]) - nll[0]


def test_a_workspace_is_what_roofit_read() -> None:
    """The likelihood of RooFit for the workspace that is written here."""
    model, data = search()
    written = workspace(model, data)
    kept = json.loads((REFERENCE / "roofit_workspace.json").read_text())
    del written["metadata"], kept["metadata"]
    assert json.loads(json.dumps(written, allow_nan=False)) == kept
    loss = zfit.loss.ExtendedUnbinnedNLL(model, data, options={"subtr_const": False})
    by_name = {p.name: p for p in model.get_params(floating=None) if p.name in POINTS[0]}
    ours = []
    for point in POINTS:
        with zfit.param.set_values([by_name[name] for name in point], list(point.values())):
            ours.append(float(loss.value(full=True)))
    theirs = json.loads((REFERENCE / "roofit_nll.json").read_text())["nll"]
    np.testing.assert_allclose(rises(ours), rises(theirs), rtol=1e-9)


ROOT_PYTHON = os.environ.get("ZFIT_DARK_ROOT_PYTHON", "")


@pytest.mark.skipif(not ROOT_PYTHON, reason="ZFIT_DARK_ROOT_PYTHON names no Python with ROOT")
@pytest.mark.slow
def test_the_numbers_of_roofit_are_those_kept(tmp_path: Path) -> None:
    """Makes everything of ``reference/`` that RooFit made anew, with the ROOT that is there."""

    def run(script: str, *paths: Path) -> None:
        command = [ROOT_PYTHON, "-W", "ignore", str(REFERENCE / script), *map(str, paths)]
        subprocess.run(command, check=True, capture_output=True, timeout=300)

    shapes, model, points, nll = (tmp_path / f"{name}.json" for name in ("s", "w", "p", "n"))
    run("roofit_shapes.py", shapes)
    for kept, made in zip(cases(), json.loads(shapes.read_text())["cases"], strict=True):
        for name in ("shape", "density"):
            np.testing.assert_allclose(made[name], kept[name], rtol=1e-9, atol=1e-300)
    model.write_text(json.dumps(workspace(*search())))
    points.write_text(json.dumps(POINTS))
    run("roofit_reads.py", model, points, nll)
    kept = json.loads((REFERENCE / "roofit_nll.json").read_text())["nll"]
    np.testing.assert_allclose(json.loads(nll.read_text())["nll"], kept, rtol=1e-9)


def test_all_that_a_workspace_holds() -> None:
    slope = zfit.Parameter("ws_slope", -3.0)
    parts = [
        zd.pdf.CrystalBall(0.5, 0.01, -1.0, 3.0, OBS, name="cb"),
        zd.pdf.GeneralizedCB(0.5, 0.01, 1.0, 2.0, 0.02, 1.5, 4.0, OBS, name="gcb"),
        zd.pdf.Argus(0.65, -1.0, 0.5, OBS, name="argus"),
        zfit.pdf.Gauss(0.4, 0.01, OBS, name="gauss"),
        zfit.pdf.Exponential(slope, OBS, name="falling"),
    ]
    share = zfit.Parameter("ws_share", 0.2, 0.0, 1.0)
    made = workspace(zfit.pdf.SumPDF(parts, fracs=[share, 0.2, 0.2, 0.1], name="whole"))
    kinds = [(part["name"], part["type"]) for part in made["distributions"]]
    assert kinds == [
        ("cb", "crystalball_dist"),
        ("gcb", "crystalball_doublesided_dist"),
        ("argus", "ARGUS_dist"),
        ("gauss", "gaussian_dist"),
        ("falling", "exponential_dist"),
        ("whole", "mixture_dist"),
    ]
    assert made["functions"] == [
        {"name": "minus_ws_slope", "type": "generic_function", "expression": "-ws_slope"}
    ]
    assert made["distributions"][-1]["coefficients"][0] == "ws_share"
    assert len(made["distributions"][-1]["coefficients"]) == 4
    (domain,) = made["domains"]
    assert {axis["name"] for axis in domain["axes"]} == {"x", "ws_share"}  # the slope has no limits
    alone = workspace(zfit.pdf.Gauss(0.4, 0.01, OBS, extended=slope, name="alone"))
    assert alone["distributions"][-1] == {
        "name": "alone_extended",
        "type": "mixture_dist",
        "summands": ["alone"],
        "coefficients": ["ws_slope"],
        "extended": True,
    }


def test_what_a_workspace_cannot_hold() -> None:
    mean = zfit.Parameter("no_mean", 0.5, 0.4, 0.6)
    gauss = zfit.pdf.Gauss(mean, 0.01, OBS, name="gauss")
    with pytest.raises(InputError, match=r"v: Voigt cannot be written for RooFit, which has names"):
        workspace(zd.pdf.Voigt(mean, 0.01, 0.01, OBS, name="v"))
    twice = zfit.ComposedParameter("no_twice", lambda mean: 2 * mean, params=[mean])
    with pytest.raises(InputError, match="no_twice is composed of others"):
        workspace(zfit.pdf.Gauss(twice, 0.01, OBS, name="gauss"))
    other = zfit.pdf.Gauss(0.4, 0.01, OBS, name="gauss")
    with pytest.raises(InputError, match="'gauss' is there twice"):
        workspace(zfit.pdf.SumPDF([gauss, other], fracs=[0.5], name="whole"))
    with pytest.raises(InputError, match="'my-peak' is not of letters"):
        workspace(zfit.pdf.Gauss(mean, 0.01, OBS, name="my-peak"))
    narrow = zfit.pdf.Gauss(mean, 0.01, OBS, norm=(0.4, 0.6), name="narrow")
    with pytest.raises(InputError, match=r"narrow is normalised from 0\.4 to 0\.6"):
        workspace(zfit.pdf.SumPDF([gauss, narrow], fracs=[0.5], obs=OBS, norm=OBS, name="whole"))
    with pytest.raises(InputError, match="2 observables"):
        workspace(zfit.pdf.ProductPDF([gauss, zfit.pdf.Gauss(0.0, 1.0, zfit.Space("y", -1, 1))]))
    weighted = zfit.Data.from_numpy(obs=OBS, array=np.array([0.4, 0.5]), weights=[1.0, 2.0])
    with pytest.raises(InputError, match="without weights"):
        workspace(gauss, weighted)


# -- trees and tables -----------------------------------------------------------------------


def full_scan() -> Scan:
    """Something in every field."""
    return make_scan(
        observed=[3.0, np.nan, np.inf],
        observed_error=[0.1, np.nan, 0.2],
        valid=[True, False, True],
        warnings=((), ("did not converge", "few events"), ("few events",)),
        how=("toys", "", "toys"),
        skipped=(Skipped(1.25, r"$\eta$ veto"),),
        largest_excess=2.5,
        toy_excesses=[0.5, np.nan, 1.5],
        poi_unit="fb",
    )


@pytest.mark.parametrize(
    "make",
    [full_scan, make_scan, make_blind_scan, lambda: make_scan(()), lambda: make_scan((1.0,))],
    ids=["full", "plain", "blind", "empty", "one"],
)
def test_a_scan_comes_back_from_root(make: Callable[[], Scan], tmp_path: Path) -> None:
    path, scan = tmp_path / "scan.root", make()
    scan.to_root(path)
    assert_same(Scan.from_root(path), scan)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scan=scans())
def test_any_scan_comes_back_from_root(scan: Scan, tmp_path: Path) -> None:
    path = tmp_path / "scan.root"
    scan.to_root(path)
    assert_same(Scan.from_root(path), scan)


def test_the_tree_of_a_scan_reads_without_this_package(tmp_path: Path) -> None:
    path, scan = tmp_path / "scan.root", full_scan()
    scan.to_root(path)
    with uproot.open(path) as file:
        tree = file["limits"].arrays(library="np")
        assert file["limits"].title == "upper limits at 90 % CL from pseudo-data"
        assert "zfit_dark_pseudo_data" in file
        metadata, texts = json.loads(file["metadata"]), json.loads(file["texts"])
        skipped = json.loads(file["skipped"])
    table = scan.to_pandas()
    table = table[table["valid"].notna()]
    for name in set(table.columns) - {"significance", "warnings", "how"}:
        np.testing.assert_array_equal(tree[name], table[name].to_numpy(tree[name].dtype.type))
    assert set(tree) == set(table.columns) - {"significance"}
    assert ["; ".join(texts["warnings"][i]) for i in tree["warnings"]] == table["warnings"].tolist()
    assert [texts["how"][i] for i in tree["how"]] == table["how"].tolist()
    assert skipped == [{"mass": 1.25, "reason": r"$\eta$ veto"}]
    assert metadata["level"] == 0.9
    assert metadata["poi_unit"] == "fb"
    assert metadata["provenance"]["search"] == "b2kagg"


def test_data_are_not_marked_as_pseudo_data(tmp_path: Path) -> None:
    path = tmp_path / "scan.root"
    make_scan(pseudo_data=False).to_root(path)
    with uproot.open(path) as file:
        assert "zfit_dark_pseudo_data" not in file
        assert file["limits"].title == "upper limits at 90 % CL from data"


def test_from_root_refuses_what_is_no_scan(tmp_path: Path) -> None:
    path = tmp_path / "scan.root"
    with pytest.raises(InputError, match=r"scan\.root: cannot be read"):
        Scan.from_root(path)
    path.write_text("mass,limit")
    with pytest.raises(InputError, match=r"not a ROOT file; give one written by Scan\.to_root"):
        Scan.from_root(path)
    zd.LifetimeScan(lifetimes=(1.0,), scans={"ee": (make_scan(),)}).to_root(path)
    with pytest.raises(InputError, match="not a zfit_dark scan in ROOT file"):
        Scan.from_root(path)
    make_scan().to_root(path)
    with pytest.raises(InputError, match="not a zfit_dark lifetime scan file"):
        zd.LifetimeScan.from_root(path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError, match="damaged scan file"):
        Scan.from_root(path)


def test_a_table_can_be_worked_with() -> None:
    """No number is a text, and the unit is told."""
    table = full_scan().to_pandas()
    assert table.attrs == {
        "level": 0.9,
        "method": "asymptotic",
        "test_statistic": "qtilde",
        "blind": False,
        "poi": "branching_fraction",
        "poi_label": r"$\mathcal{B}$",
        "poi_unit": "fb",
        "pseudo_data": True,
    }
    assert table["mass_GeV"].tolist() == [1.0, 1.25, 1.5, 2.0]
    kinds = table.dtypes.astype(str).to_dict()
    assert {kind for name, kind in kinds.items() if name not in ("valid", "warnings", "how")} == {
        "float64"
    }
    assert kinds["valid"] == "boolean"
    kept = table[table["valid"].fillna(False)]
    assert kept["mass_GeV"].tolist() == [1.0, 2.0]
    by_mass = table.set_index("mass_GeV")
    assert by_mass.loc[1.25, "warnings"] == r"not scanned: $\eta$ veto"
    assert pd.concat([table, table]).groupby("mass_GeV")["p0"].count().tolist() == [2, 0, 2, 2]


# -- histograms, binned losses --------------------------------------------------------------


SIGMA = 0.008


def narrow_peak(tag: str) -> tuple[Any, Any, Any]:
    """A Gaussian over a constant, its yield and its mass."""
    mass = zfit.Parameter(f"{tag}_mass", 0.45, floating=False)
    n_signal = zfit.Parameter(f"{tag}_signal", 0.0, -200.0, 1000.0)
    n_background = zfit.Parameter(f"{tag}_background", 1500.0, 0.0, 1e5)
    signal = zfit.pdf.Gauss(mass, SIGMA, OBS, extended=n_signal)
    background = zfit.pdf.Uniform(LOW, HIGH, OBS, extended=n_background)
    return zfit.pdf.SumPDF([signal, background]), n_signal, mass


def filled(bins: int) -> Any:
    return hist.Hist.new.Reg(bins, LOW, HIGH, name="x").Double().fill(pseudo_data())


def pseudo_data() -> np.ndarray:
    rng = np.random.default_rng(4)
    return np.append(rng.uniform(LOW, HIGH, 1480), rng.normal(0.45, SIGMA, 20))


@pytest.fixture(scope="module")
def unbinned() -> Any:
    model, n_signal, _ = narrow_peak("io_unbinned")
    data = zfit.Data.from_numpy(obs=OBS, array=pseudo_data())
    return zd.upper_limit(zfit.loss.ExtendedUnbinnedNLL(model, data), poi=n_signal)


@pytest.mark.slow
@pytest.mark.parametrize("bins", [100, 800])
def test_limits_from_a_histogram(unbinned: Any, bins: int) -> None:
    """Bins of width w cost information: of a Gaussian of width sigma over a background that fills
    it, the part epsilon = (w/sigma)^2/24. So expected limits are larger by epsilon/2, and the best
    fit moves by about sqrt(epsilon) of its error: 1 % of it for w = sigma/20, 10 % for sigma/2.
    """
    model, n_signal, mass = narrow_peak(f"io_binned_{bins}")
    data = zfit.data.BinnedData.from_hist(filled(bins))
    loss = zfit.loss.ExtendedBinnedNLL(model.to_binned(data.space), data)
    limit = zd.upper_limit(loss, poi=n_signal)
    epsilon = ((HIGH - LOW) / bins / SIGMA) ** 2 / 24
    assert limit.valid
    larger = np.array(limit.expected) / unbinned.expected - 1
    np.testing.assert_allclose(larger, epsilon / 2, atol=0.3 * epsilon / 2 + 1e-5)
    # seeded; three standard deviations
    moved = 3 * np.sqrt(epsilon) * unbinned.poi_error
    assert abs(limit.poi_hat - unbinned.poi_hat) < moved
    assert abs(limit.observed - unbinned.observed) < moved
    if bins == 800:
        assert limit.observed == pytest.approx(unbinned.observed, rel=5e-3)
    scan = zd.scan(loss, [0.4, 0.45, 0.6], poi=n_signal, mass=mass, progress=False)
    assert scan.valid.all()
    assert scan.observed[1] == pytest.approx(limit.observed, rel=1e-6)
    assert scan.observed[0] != pytest.approx(limit.observed, rel=1e-2)


@pytest.mark.slow
def test_limits_from_histograms_of_signal_and_background() -> None:
    """Templates as `zfit.pdf.HistogramPDF`: the limits of the PDFs that they were filled of."""
    model, n_signal, _ = narrow_peak("io_shapes")
    data = zfit.data.BinnedData.from_hist(filled(50))
    smooth = zfit.loss.ExtendedBinnedNLL(model.to_binned(data.space), data)
    n_events = zfit.Parameter("io_histogram_signal", 0.0, -200.0, 1000.0)
    n_background = zfit.Parameter("io_histogram_background", 1500.0, 0.0, 1e5)
    histograms = []
    for pdf, events in zip(model.pdfs, (n_events, n_background), strict=True):
        shape = hist.Hist.new.Reg(50, LOW, HIGH, name="x").Double()
        shape.values()[:] = pdf.to_binned(data.space).rel_counts().numpy()
        histograms.append(zfit.pdf.HistogramPDF(shape, extended=events))
    rough = zfit.loss.ExtendedBinnedNLL(zfit.pdf.BinnedSumPDF(histograms), data)
    one, other = (zd.upper_limit(smooth, poi=n_signal), zd.upper_limit(rough, poi=n_events))
    assert one.valid
    assert other.valid
    assert other.observed == pytest.approx(one.observed, rel=1e-6)
    np.testing.assert_allclose(other.expected, one.expected, rtol=1e-6)


# -- zfit-physics ---------------------------------------------------------------------------


@pytest.mark.slow
def test_pdfs_of_zfit_physics_in_a_limit() -> None:
    """Two of their peaks as signals; with our Novosibirsk function, the same limit as theirs."""
    physics = pytest.importorskip("zfit_physics")
    obs = zfit.Space("x", 1.0, 2.0)
    rng = np.random.default_rng(6)
    data = zfit.Data.from_numpy(obs=obs, array=2.0 * np.sqrt(rng.uniform(0.25, 1.0, 800)))
    skewed = {"mu": 1.5, "sigma": 0.05, "lambd": 0.1}
    peaks = {
        "breit_wigner": (physics.pdf.RelativisticBreitWigner, {"m": 1.5, "gamma": 0.05}),
        "theirs": (physics.pdf.Novosibirsk, skewed),
        "ours": (zd.pdf.Novosibirsk, skewed),
    }
    limits = {}
    for name, (peak, shape) in peaks.items():
        events = zfit.Parameter(f"zp_{name}_signal", 0.0, -100.0, 500.0)
        background_events = zfit.Parameter(f"zp_{name}_background", 800.0, 0.0, 1e4)
        slope = zfit.Parameter(f"zp_{name}_c", -0.5, -5.0, 5.0)
        signal = peak(**shape, obs=obs, extended=events)
        background = zd.pdf.Argus(2.0, slope, 0.5, obs, extended=background_events)
        loss = zfit.loss.ExtendedUnbinnedNLL(zfit.pdf.SumPDF([signal, background]), data)
        limits[name] = zd.upper_limit(loss, poi=events)
        assert limits[name].valid
    ours, theirs = limits["ours"], limits["theirs"]
    assert ours.observed == pytest.approx(theirs.observed, rel=1e-6)
    np.testing.assert_allclose(ours.expected, theirs.expected, rtol=1e-6)
    # 2 gamma against 2.355 sigma of width, and wide tails
    assert 0.5 < limits["breit_wigner"].expected[2] / ours.expected[2] < 2.0
