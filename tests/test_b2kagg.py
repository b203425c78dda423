"""B → K(*) a, a → γγ: pseudo-data, model, limits, control sample."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numba_stats.crystalball_ex as reference
import numpy as np
import numpy.typing as npt
import pytest
import uproot
import yaml
from scipy.interpolate import BPoly, pchip_interpolate
from scipy.stats import kstest, norm, poisson

from zfit_dark.errors import InputError
from zfit_dark.numbers import data_file, load_numbers
from zfit_dark.results import Limit, Scan
from zfit_dark.searches import Sample, b2kagg
from zfit_dark.searches.b2kagg import samples

MODES = ("Kplus", "KS", "Kst0", "Kstplus")
CONTENT: Any = yaml.safe_load(data_file("b2kagg").read_text("utf-8"))
VETOES = {name: (m["veto"]["low"], m["veto"]["high"]) for name, m in CONTENT["mesons"].items()}

# N_BB, f+- and f00, fraction of K(*) decays, and efficiency at 1 GeV as they stand in the data
# file; B/g² at 1 GeV in GeV² as computed from the widths by hand
N_BB = 772e6
PAIRS = {"Kplus": 0.514, "KS": 0.486, "Kst0": 0.486, "Kstplus": 0.514}
SUBMODE = {"Kplus": 1.0, "KS": 0.5 * 0.692, "Kst0": 2 / 3, "Kstplus": 2 / 3 * 0.5 * 0.692}
EFFICIENCY = {"Kplus": 0.20, "KS": 0.15, "Kst0": 0.12, "Kstplus": 0.08}
B_PER_G2 = {"Kplus": 1940.0, "KS": 1796.0, "Kst0": 2134.0, "Kstplus": 2306.0}


def shape_at(mass: float) -> dict[str, float]:
    table = CONTENT["resolution"]
    names = ("sigma", "alphal", "nl", "alphar", "nr")
    return {name: float(pchip_interpolate(table["mass"], table[name], mass)) for name in names}


def peak_cdf(x: npt.ArrayLike, mass: float) -> npt.NDArray[np.float64]:
    p = shape_at(mass)
    left, right = (p["alphal"], p["nl"], p["sigma"]), (p["alphar"], p["nr"], p["sigma"])
    return reference.cdf(np.atleast_1d(np.asarray(x, float)), *left, *right, mass)


def peak_pdf(x: npt.NDArray[np.float64], mass: float) -> npt.NDArray[np.float64]:
    p = shape_at(mass)
    left, right = (p["alphal"], p["nl"], p["sigma"]), (p["alphar"], p["nr"], p["sigma"])
    return reference.pdf(x, *left, *right, mass)


def smooth(mode: str) -> BPoly:
    """Density of the background, events per GeV."""
    numbers = CONTENT["modes"][mode]
    low, high = numbers["candidates"]["low"], numbers["candidates"]["high"]
    polynomial = BPoly(np.array(numbers["background"]["coefficients"])[:, None], [low, high])
    scale = numbers["background"]["events"] / float(polynomial.integrate(low, high))
    return BPoly(polynomial.c * scale, [low, high])


def efficiency(mode: str, mass: float) -> float:
    table = CONTENT["modes"][mode]["efficiency"]
    return float(pchip_interpolate(table["mass"], table["value"], mass))


def meson_events(mode: str, meson: str) -> float:
    """Expected events of a meson in a mode, anywhere in mass."""
    numbers = CONTENT["mesons"][meson]
    b_mesons = 2 * N_BB * PAIRS[mode] * SUBMODE[mode]
    seen = efficiency(mode, numbers["mass"]["value"])
    return b_mesons * seen * float(numbers["products"][mode]["value"])


@pytest.fixture(scope="module")
def sample() -> Sample:
    return b2kagg.read(seed=1)


# -- pseudo-data ----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_as_many_events_as_expected_in_every_region(mode: str) -> None:
    """20 Poisson counts, each within 4.5 sigma: a chance of 1.4e-4 to fail for one seed."""
    masses = b2kagg.generate(11)[mode]
    limits = CONTENT["modes"][mode]["candidates"]
    regions = {**VETOES, "between": (1.1, 2.7), "high": (3.2, limits["high"])}
    del regions["etac"]  # its line shape is looked at below
    for name, (low, high) in regions.items():
        expected = float(smooth(mode).integrate(low, high))
        for meson in ("pi0", "eta", "etap"):
            mass = CONTENT["mesons"][meson]["mass"]["value"]
            inside = np.diff(peak_cdf([low, high], mass))[0]
            expected += meson_events(mode, meson) * inside
        count = int(np.sum((masses >= low) & (masses < high)))
        tail = min(poisson.cdf(count, expected), poisson.sf(count - 1, expected))
        assert tail > norm.sf(4.5), (name, count, expected)


def test_the_peaks_stand_above_the_background() -> None:
    kplus = b2kagg.generate(1)["Kplus"]
    for meson in ("pi0", "eta", "etap"):
        mass = CONTENT["mesons"][meson]["mass"]["value"]
        half = 3 * shape_at(mass)["sigma"]
        count = int(np.sum(np.abs(kplus - mass) < half))
        background = float(smooth("Kplus").integrate(mass - half, mass + half))
        assert (count - background) / math.sqrt(background) > 8, meson
        assert np.median(kplus[np.abs(kplus - mass) < half]) == pytest.approx(mass, abs=0.003)


def test_background_follows_the_bernstein_polynomial() -> None:
    rng = np.random.default_rng(2)
    masses = np.concatenate([samples._smooth(rng, "Kst0")["mass"] for _ in range(20)])
    density = smooth("Kst0")
    integral = density.antiderivative()
    low, high = density.x[[0, -1]]
    cdf = lambda x: (integral(x) - integral(low)) / (integral(high) - integral(low))  # noqa: E731
    assert kstest(masses, cdf).pvalue > 1e-3


@pytest.mark.parametrize("mass", [0.16, 0.7, 3.3, 4.5])
def test_peaks_are_double_sided_crystal_balls(mass: float) -> None:
    peak = samples._peak(np.random.default_rng(3), mass, np.full(100_000, mass))["mass"]
    assert kstest(peak, lambda x: peak_cdf(x, mass)).pvalue > 1e-3


def test_eta_c_has_its_width_and_the_resolution() -> None:
    mass, width = (CONTENT["mesons"]["etac"][name]["value"] for name in ("mass", "width"))
    rng = np.random.default_rng(4)
    peak = samples._peak(rng, mass, samples._breit_wigner(rng, 100_000, mass, width))["mass"]
    middles = (np.arange(20_000) + 0.5) / 20_000
    true = mass + 0.5 * width * np.tan(np.pi * (middles - 0.5))
    x = np.linspace(2.7, 3.3, 61)
    convolved = np.array([peak_cdf(at - true + mass, mass).mean() for at in x])
    found = np.searchsorted(np.sort(peak), x) / peak.size
    assert np.abs(found - convolved).max() < 1.95 / math.sqrt(peak.size)  # Kolmogorov: 1e-3


def test_an_injected_signal_is_shared_by_the_modes_and_nothing_else_moves() -> None:
    plain = b2kagg.generate(6)
    made = b2kagg.generate(6, inject=[(1.0, 4000.0), (2.0, 100.0)])
    assert made.record["inject"] == [[1.0, 4000.0], [2.0, 100.0]]
    for mode in MODES:
        signal = np.array(sorted(set(made[mode]) - set(plain[mode])))
        assert set(plain[mode]) <= set(made[mode])
        tied = SUBMODE[mode] * PAIRS[mode] * EFFICIENCY[mode] * B_PER_G2[mode]
        tied /= PAIRS["Kplus"] * EFFICIENCY["Kplus"] * B_PER_G2["Kplus"]
        near = int(np.sum(signal < 1.4))
        assert abs(near - 4000 * tied) < 4.5 * math.sqrt(4000 * tied) + 2e-3 * 4000 * tied
        assert kstest(signal[signal < 1.4], lambda x: peak_cdf(x, 1.0)).pvalue > 1e-3
    high = b2kagg.generate(6, inject=[(4.3, 1000.0)])
    assert len(high["KS"]) > len(plain["KS"])
    for closed in ("Kst0", "Kstplus"):
        np.testing.assert_array_equal(high[closed], plain[closed])


def test_the_file_holds_selected_candidates(tmp_path: Path) -> None:
    file = tmp_path / "new" / "events.root"
    made = b2kagg.generate(2, out=file, inject=[(1.5, 30.0)], modes=["KS", "Kplus"])
    assert list(made) == ["Kplus", "KS"]
    with uproot.open(file) as root:
        assert set(root.keys(cycle=False, filter_classname="TTree")) == {"Kplus", "KS"}
        for mode, masses in made.items():
            tree = root[mode].arrays(library="np")
            assert set(tree) == {"mass", "Mbc", "deltaE"}
            np.testing.assert_array_equal(tree["mass"], masses)
            assert 5.27 <= tree["Mbc"].min() < tree["Mbc"].max() <= 5.29
            assert -0.2 <= tree["deltaE"].min() < tree["deltaE"].max() <= 0.1
            pi0 = np.abs(masses - 0.135) < 0.02  # almost all of them B decays
            assert abs(tree["Mbc"][pi0].mean() - 5.2794) < 5e-4
            assert abs(tree["deltaE"][pi0].mean()) < 0.01
    cut = b2kagg.read(file, modes=["KS"], cut="Mbc > 5.275")
    assert 0 < len(cut.values["KS"]) < len(made["KS"])
    assert cut.settings["cut"] == "Mbc > 5.275"
    assert cut.pseudo_data is not None
    with pytest.raises(InputError, match="no tree 'Kst0'"):
        b2kagg.read(file)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed -1: give a whole number"),
        ({"seed": 1.5}, "seed 1.5: give a whole number"),
        ({"seed": True}, "seed True: give a whole number"),
        ({"modes": ["Kstar"]}, r"unknown mode 'Kstar'; there is Kplus, .*did you mean"),
        ({"inject": [(1500, 10)]}, "mass 1500 GeV is outside .* 4.5 GeV; it looks like MeV"),
        ({"inject": [(5.0, 10)]}, r"mass 5 GeV is outside the range of b2kagg, 0.16 to 4.5 GeV$"),
        ({"inject": [(1.0, -3)]}, "signal at 1 GeV: -3 events; give a positive number"),
        ({"inject": [(1.0, math.nan)]}, "signal at 1 GeV: nan events"),
    ],
)
def test_what_cannot_be_generated(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        b2kagg.generate(**arguments)


def test_what_cannot_be_read() -> None:
    events = {mode: np.array([1.0]) for mode in MODES}
    with pytest.raises(InputError, match="injected into generated pseudo-data only"):
        b2kagg.read(events, inject=[(1.0, 5.0)])
    with pytest.raises(InputError, match="select from a file"):
        b2kagg.read(cut="Mbc > 5.28")
    with pytest.raises(InputError, match="no data for KS, Kst0, Kstplus"):
        b2kagg.read({"Kplus": np.array([1.0])})
    with pytest.raises(InputError, match=r"Kplus: none of 2 candidates.*look like MeV"):
        b2kagg.read(events | {"Kplus": np.array([1500.0, 2500.0])})
    with pytest.raises(InputError, match="there is Kplus"):
        b2kagg.likelihood(b2kagg.read(events, modes=["Kplus"]), modes=["KS"])


# -- the numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  KS:\n    label", "  K0:\n    label", "modes must hold Kplus, KS, Kst0, Kstplus, not"),
        (
            "      KS: {value: 9.8e-6",
            "      K0: {value: 9.8e-6",
            r"mesons\.pi0\.products must hold",
        ),
        ("value: [0.16, 0.19", "value: [0.16, 19.", r"modes\.Kplus: an efficiency is not between"),
        ("low: 0.16, high: 4.50", "low: 0.01, high: 4.50", "masses reach outside the candidates"),
        ("b_meson: charged", "b_meson: positive", r"b_meson: Input should be 'charged' or"),
        ("events: 6000.0", "events: -1.0", r"background\.events: .*greater than or equal to 0"),
        ("n_bb:\n", "n_bbb:\n", r"n_bb: Field required"),
    ],
)
def test_a_wrong_number_is_told(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = data_file("b2kagg").read_text("utf-8")
    assert old in text
    path = tmp_path / "b2kagg.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        load_numbers(path, b2kagg.Numbers)
    assert "\n" not in str(caught.value)


def test_what_the_paper_and_the_theory_say() -> None:
    numbers = b2kagg.NUMBERS
    assert (numbers.luminosity.value, numbers.n_bb.value) == (711.0, N_BB)
    ranges = {mode: (n.masses.low, n.masses.high) for mode, n in numbers.modes.items()}
    assert ranges["Kplus"] == ranges["KS"] == (0.16, 4.50)
    assert ranges["Kst0"] == ranges["Kstplus"] == (0.16, 4.20)
    products = {name: m.products["Kplus"].value for name, m in numbers.mesons.items()}
    assert products == {"pi0": 1.28e-5, "eta": 9.3e-7, "etap": 1.56e-6, "etac": 1.7e-7}
    for name, meson in numbers.mesons.items():
        sigma = shape_at(meson.mass.value)["sigma"]
        assert meson.veto.low < meson.mass.value - 3 * sigma, name
        assert meson.veto.high > meson.mass.value + 3 * sigma, name
    assert shape_at(0.16)["sigma"] == pytest.approx(0.008, abs=5e-4)
    assert shape_at(4.5)["sigma"] == pytest.approx(0.018, abs=5e-4)


# -- hypotheses -----------------------------------------------------------------------------


def test_hypotheses_are_one_resolution_apart() -> None:
    masses = b2kagg.masses()
    assert masses[0] == 0.16
    sigma = np.array([shape_at(m)["sigma"] for m in masses])
    np.testing.assert_allclose(np.diff(masses), sigma[:-1], rtol=1e-9)
    assert 0 <= 4.5 - masses[-1] < sigma[-1]
    for low, high in VETOES.values():
        assert np.any((masses > low) & (masses < high))
    np.testing.assert_allclose(np.diff(b2kagg.masses(0.5)[:3]), sigma[:2] / 2, rtol=1e-2)
    part = b2kagg.masses(low=0.5, high=1.0)
    assert part[0] == 0.5
    assert 0.98 < part[-1] <= 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"step": 0.0}, "step=0"),
        ({"low": 2.0, "high": 1.0}, "masses from 2 to 1 GeV: give the lower one first"),
        ({"low": 0.1}, "mass 0.1 GeV is outside the range of b2kagg, 0.16 to 4.5 GeV"),
        ({"high": 4500.0}, "mass 4500 GeV .* it looks like MeV"),
        ({"low": math.nan}, "masses from nan"),
    ],
)
def test_hypotheses_that_are_none(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        b2kagg.masses(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"masses": [1.0, 4.6]}, "mass 4.6 GeV is outside the range"),
        ({"masses": [math.nan]}, "mass nan GeV is outside the range"),
        ({"masses": []}, "no mass is given"),
        ({"masses": ["one"]}, "give numbers in GeV"),
        ({"max_masses": 0}, "max_masses=0: give 1 or more"),
    ],
)
def test_scans_that_are_none(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        b2kagg.scan(**arguments)


# -- the model ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_signal_yield_is_that_of_the_formula(mode: str) -> None:
    tied = B_PER_G2[mode] / B_PER_G2["Kplus"]
    events = 2 * N_BB * PAIRS[mode] * tied * SUBMODE[mode] * EFFICIENCY[mode]
    assert b2kagg.signal_events(mode, 1.0) == pytest.approx(events, rel=1e-3)  # B/g² to 4 digits


def test_modes_close_where_they_are_not_searched() -> None:
    assert b2kagg.signal_events("Kst0", 4.20) > 0
    assert b2kagg.signal_events("Kst0", 4.2001) == b2kagg.signal_events("Kstplus", 4.5) == 0.0
    assert b2kagg.signal_events("Kplus", 4.5) > 0
    assert b2kagg.signal_events("Kplus", 0.15) == b2kagg.signal_events("Kplus", 4.51) == 0.0
    with pytest.raises(InputError, match="unknown mode"):
        b2kagg.signal_events("K", 1.0)
    with pytest.raises(InputError, match="mass"):
        b2kagg.signal_events("Kplus", -1.0)


def test_the_model(sample: Sample) -> None:
    model = b2kagg.likelihood(sample)
    assert model is b2kagg.likelihood(sample)
    assert model.poi.name == "bf_kplus"
    assert tuple(channel.name for channel in model.channels) == MODES
    model.move_to(1.0)
    values = {p.name: float(p.value()) for p in model.loss.get_params(floating=None)}
    for channel in model.channels:
        expected = 2 * N_BB * PAIRS[channel.name] * SUBMODE[channel.name]
        expected *= EFFICIENCY[channel.name] * B_PER_G2[channel.name] / B_PER_G2["Kplus"]
        assert channel.yield_per_poi(1.0) == pytest.approx(expected, rel=1e-3)
        assert values[f"{channel.name}_per_poi"] == channel.yield_per_poi(1.0)
        assert channel.window_at(2.0) == pytest.approx((2 - 20 * 0.0126, 2 + 20 * 0.0126))
        assert {(v.low, v.high) for v in channel.vetoes} == set(VETOES.values())
    sizes = {(n.name, n.uncertainty) for c in model.channels for n in c.nuisances}
    assert sizes == {
        ("n_bb", 0.014),
        ("efficiency", 0.03),
        ("efficiency_Kplus", 0.03),
        ("efficiency_KS", 0.05),
        ("efficiency_Kst0", 0.04),
        ("efficiency_Kstplus", 0.08),
    }
    thetas = {name for name in values if name.startswith("theta_")}
    assert thetas == {f"theta_{name}" for name, _ in sizes}


def test_hypotheses_that_the_model_can_take(sample: Sample) -> None:
    model = b2kagg.likelihood(sample)
    reasons = {mass: model.why_not(mass) for mass in b2kagg.masses()}
    taken = [mass for mass, reason in reasons.items() if reason is None]
    assert max(taken) > 4.47  # K modes alone above 4.20 GeV
    skipped = [mass for mass, reason in reasons.items() if reason is not None]
    inside = [m for m in reasons if any(low < m < high for low, high in VETOES.values())]
    assert skipped == inside
    assert {reasons[mass] for mass in skipped} == {
        "vetoed: π⁰ → γγ",
        "vetoed: η → γγ",
        "vetoed: η′ → γγ",
        "vetoed: ηc → γγ",
    }
    kstar = b2kagg.likelihood(sample, modes=["Kst0", "Kstplus"])
    assert kstar.why_not(4.2) is None
    assert kstar.why_not(4.21) == "no channel is open"


@pytest.mark.parametrize("mode", MODES)
def test_background_and_escaping_mesons_do_not_look_like_a_signal(mode: str) -> None:
    """The bias of the fitted signal, in standard deviations, by weighted linear least squares."""
    limits = CONTENT["modes"][mode]["candidates"]
    for mass in b2kagg.masses(4.0):
        if any(low < mass < high for low, high in VETOES.values()):
            continue
        half = 20 * shape_at(mass)["sigma"]
        edges = np.linspace(max(mass - half, limits["low"]), min(mass + half, limits["high"]), 2001)
        x, width = 0.5 * (edges[1:] + edges[:-1]), edges[1] - edges[0]
        for low, high in VETOES.values():
            x = x[(x <= low) | (x >= high)]
        background = smooth(mode)(x) * width
        escaping = np.zeros_like(x)
        for meson in ("pi0", "eta", "etap"):
            at = CONTENT["mesons"][meson]["mass"]["value"]
            escaping += meson_events(mode, meson) * peak_pdf(x, at) * width
        z = (x - mass) / half
        terms = np.stack([np.ones_like(z), z, z**2, peak_pdf(x, mass) * width], axis=1)
        weighted = terms / background[:, None]
        covariance = np.linalg.inv(weighted.T @ terms)
        for events, allowed in ((background, 0.01), (escaping, 0.25)):
            signal = (covariance @ (weighted.T @ events))[3]
            assert abs(signal) < allowed * math.sqrt(covariance[3, 3]), mass


# -- interpretation -------------------------------------------------------------------------


def limits_at(masses: list[float], poi: str = "bf_kplus") -> Scan:
    limit = Limit(1e-7, (4e-8, 6e-8, 8e-8, 1.2e-7, 2e-7), 1e-8, 4e-8, 0.4, 0.9, "a", "q", True)
    limits = [limit] * len(masses)
    return Scan.from_limits(masses, limits, poi=poi, poi_label="B", pseudo_data=True)


def test_coupling_is_the_root_of_the_ratio() -> None:
    coupling = b2kagg.interpret(limits_at([1.0]))
    assert coupling.observed[0] == pytest.approx(math.sqrt(1e-7 / 1940), rel=1e-3)
    assert coupling.expected[0] == pytest.approx(
        np.sqrt(np.array([4e-8, 6e-8, 8e-8, 1.2e-7, 2e-7]) / 1940), rel=1e-3
    )
    assert (coupling.poi, coupling.poi_unit) == ("g_aW", "GeV$^{-1}$")
    assert "prompt conversion" in coupling.poi_label
    assert coupling.pseudo_data
    with pytest.raises(InputError, match="a scan of g_aW; give one of bf_kplus"):
        b2kagg.interpret(coupling)


def test_control_channels_have_names(sample: Sample) -> None:
    with pytest.raises(
        InputError, match=r"unknown control channel 'etac'; there is pi0, eta, etap"
    ):
        b2kagg.control(sample, "etac")


# -- fits: these compile --------------------------------------------------------------------


@pytest.mark.slow
def test_mesons_come_back_as_they_were_put_in(sample: Sample) -> None:
    """Each within 3 of its standard deviations: a chance of 0.8 % to fail for one seed."""
    precision = {"pi0": 0.06, "eta": 0.08, "etap": 0.12}
    for meson, relative in precision.items():
        put_in = CONTENT["mesons"][meson]["products"]["Kplus"]["value"]
        fit = b2kagg.control(sample, meson, modes=["Kplus", "Kst0"])
        assert fit.valid, meson
        assert fit.pseudo_data
        assert abs(fit.poi_hat - put_in) < 3 * fit.poi_error, meson
        assert 0.03 * put_in < fit.poi_error < relative * put_in, meson


@pytest.mark.slow
def test_injected_signals_are_found_and_stay_hidden_when_blind() -> None:
    """Signals too far apart to share a fit window; chances are those of a normal distribution."""
    far = b2kagg.masses()[5::24]
    masses = [m for m in far if not any(low < m < high for low, high in VETOES.values())]
    truth = np.array([60.0 / b2kagg.signal_events("Kplus", mass) for mass in masses])
    sample = b2kagg.read(seed=3, inject=[(mass, 60.0) for mass in masses])
    between = 0.5 * (masses[5] + masses[6])
    scan = b2kagg.scan(sample, masses=[0.55, between, *masses], progress=False)
    np.testing.assert_allclose(scan.masses, sorted([*masses, between]))
    assert [(s.mass, s.reason) for s in scan.skipped] == [(0.55, "vetoed: η → γγ")]
    assert scan.valid.all()
    assert scan.pseudo_data
    assert scan.provenance["settings"]["pseudo_data"]["inject"] == [[mass, 60.0] for mass in masses]
    at = np.isin(scan.masses, masses)
    pulls = (scan.poi_hat[at] - truth) / scan.poi_error[at]
    assert len(pulls) >= 14
    assert abs(pulls.mean()) < 3.5 / math.sqrt(len(pulls))
    assert 0.4 < pulls.std() < 1.8
    assert scan.significance[at].min() > 3
    assert np.sum(scan.significance[at] > 5) > len(pulls) / 2
    assert scan.significance[~at][0] < 3.5
    top = int(np.argmin(scan.p0))
    assert scan.observed[top] > scan.expected[top, 4]
    fits = b2kagg.fits(sample, scan, count=2)
    assert [fit.mass for fit in fits] == [scan.masses[0], scan.masses[top]]
    assert fits[1].poi_hat == pytest.approx(scan.poi_hat[top], rel=1e-3)

    blind = b2kagg.scan(sample, masses=masses, blind=True, progress=False)
    hidden = np.concatenate([blind.observed, blind.poi_hat, blind.poi_error, blind.p0])
    assert np.isnan(hidden).all()
    assert all(fit.blind for fit in b2kagg.fits(sample, blind, count=2))
    # the sidebands know next to nothing of the signals
    plain = b2kagg.scan(seed=3, masses=masses, progress=False)
    np.testing.assert_allclose(blind.expected, plain.expected, rtol=0.15)
