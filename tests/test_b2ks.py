"""The search b2ks: its numbers, its signal, its channels, its limits and their meaning."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zfit_dark import significance, upper_limit
from zfit_dark.channel import ShapeChannel
from zfit_dark.errors import InputError
from zfit_dark.kinematics import invariant_mass, modified_mass
from zfit_dark.results import LifetimeScan, Scan
from zfit_dark.searches import Sample, b2ks, masses_to_show
from zfit_dark.searches.b2ks import signal
from zfit_dark.theory import scalar

MODE = "Kplus_mumu"
SPECIAL = {
    "ee": [(1.00, 1.35), (3.00, 3.15), (3.65, 3.75)],
    "mumu": [(1.70, 1.80), (3.00, 3.15), (3.65, 3.75)],
}
"""Where the published search selects harder, in GeV."""

MUON, PION, B_PLUS, K_PLUS = 0.1056583755, 0.13957039, 5.27941, 0.493677


@pytest.fixture(scope="module")
def sample() -> Sample:
    return b2ks.read(seed=3)


@pytest.fixture(scope="module")
def published() -> Path:
    """The folder of the published limits, kept beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ZFIT_DARK_DATA", beside)) / "belle2_llp_limits"
    if not folder.is_dir():
        pytest.skip(
            "the published limits on B+ -> K+ S are not in shared/data beside the repository"
        )
    return folder


@pytest.fixture(scope="module")
def asymptotic(sample: Sample) -> LifetimeScan:
    masses = [0.2132, 0.25, 0.29, 0.6, 1.75, 2.9, 4.6]
    return b2ks.scan_lifetimes(
        sample, modes=[MODE], masses=masses, method="asymptotic", progress=False
    )


# -- the signal -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mass", "ctau", "least"), [(0.3, 0.05, 0.05), (1.75, 1.0, 0.2), (4.5, 100.0, 0.05)]
)
def test_efficiency_is_that_of_the_formula(mass: float, ctau: float, least: float) -> None:
    """Written out; the plateau and the outer radius are those of the shipped tables."""
    energy = (B_PLUS**2 + mass**2 - K_PLUS**2) / (2 * B_PLUS)
    boost = np.sqrt(energy**2 - mass**2) / mass
    length = np.sqrt(boost**2 + 0.095**2) * ctau
    whole, outer = float(signal.EFFICIENCY["mumu"](mass)), float(signal.OUTER(mass))
    wanted = whole * (np.exp(-least / length) + 0.0018) / (1 + length / outer)
    assert b2ks.efficiency(MODE, mass, ctau) == pytest.approx(wanted, rel=1e-12)
    events = 2 * 1.98e8 * 0.514 * wanted
    assert b2ks.signal_events(MODE, mass, ctau) == pytest.approx(events, rel=1e-12)


@pytest.mark.parametrize("mode", b2ks.MODES)
def test_a_channel_is_open_between_threshold_and_end(mode: str) -> None:
    low, high = b2ks.mass_range(mode)
    assert low < high < 4.79
    for mass in (low, 0.5 * (low + high), high):
        assert 0 < b2ks.efficiency(mode, mass, 1.0) < 0.5
    for mass in (0.999 * low, 1.001 * high):
        assert b2ks.signal_events(mode, mass, 1.0) == 0.0


@pytest.mark.parametrize(("mass", "ctau"), [(0.0, 1.0), (1.0, 0.0), (np.nan, 1.0), (1.0, np.inf)])
def test_efficiency_refuses_what_is_no_mass_or_lifetime(mass: float, ctau: float) -> None:
    with pytest.raises(InputError, match="give a positive number"):
        b2ks.efficiency(MODE, mass, ctau)


@pytest.mark.parametrize("final", ["ee", "mumu"])
def test_empty_windows_follow_the_published_limits(published: Path, final: str) -> None:
    """Within a factor of 2 outside the special regions, for 0.05 to 100 cm."""
    compared = 0
    for ctau in b2ks.LIFETIMES[(b2ks.LIFETIMES >= 0.05) & (b2ks.LIFETIMES <= 100)]:
        (file,) = (f for f in (published / f"bk{final}").iterdir() if float(f.stem) == ctau)
        table = np.loadtxt(file, delimiter=",", skiprows=1)
        masses, upper = table[np.argsort(table[:, 0])].T
        low, high = b2ks.mass_range(f"Kplus_{final}")
        for i in range(0, len(masses), 5):
            special = any(a - 0.03 < masses[i] < b + 0.03 for a, b in SPECIAL[final])
            if special or not low <= masses[i] <= high:
                continue
            theirs = np.median(upper[max(i - 20, 0) : i + 21])  # most windows are empty
            ours = -np.log(0.05) / b2ks.signal_events(f"Kplus_{final}", masses[i], float(ctau))
            assert 0.5 < ours / theirs < 2.0, (masses[i], ctau)
            compared += 1
    assert compared > 3000


def test_a_scalar_ties_the_channels() -> None:
    mass, ctau = 1.2, 2.0
    for mode, kaon, final, submode in [
        ("Kplus_pipi", "Kplus", "pipi", 1.0),
        ("Kst0_KK", "Kst0", "KK", 2 / 3),
    ]:
        relative = scalar.branching_fraction(kaon, mass, 1e-3)
        relative /= scalar.branching_fraction("Kplus", mass, 1e-3)
        wanted = b2ks.signal_events(mode, mass, ctau) * relative * submode
        wanted *= scalar.decay_fraction(final, mass)
        assert b2ks.tied_events("scalar", mode, mass, ctau) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(
    ("mode", "mass"),
    [
        ("Kplus_pipi", 0.498),  # vetoed
        ("Kplus_pipi", 2.5),  # not to be interpreted
        ("Kplus_KK", 0.9),  # below threshold
        ("Kst0_mumu", 4.5),  # beyond the kinematic end
    ],
)
def test_a_closed_channel_of_a_combination_has_no_signal(mode: str, mass: float) -> None:
    assert b2ks.tied_events("scalar", mode, mass, 1.0) == 0.0
    assert b2ks.tied_events("scalar", "Kplus_mumu", mass, 1.0) > 0.0


def test_unknown_models_and_untied_channels() -> None:
    with pytest.raises(InputError, match=r"unknown model 'scaler'.*did you mean 'scalar'\?"):
        b2ks.tied_events("scaler", MODE, 1.0, 1.0)
    with pytest.raises(InputError, match="8 channels: choose one, or give model="):
        b2ks.likelihood(b2ks.generate(1))


# -- hypotheses -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", b2ks.MODES)
def test_hypotheses_are_half_a_resolution_apart(mode: str) -> None:
    final = mode.partition("_")[2]
    masses = b2ks.masses(modes=[mode])
    low, high = b2ks.mass_range(mode)
    assert masses[0] >= low
    assert masses[-1] <= high
    shape = signal.resolution(final)
    positions = modified_mass(masses, signal.daughter_of(final))
    np.testing.assert_allclose(
        np.diff(positions) / shape.sigma(positions[:-1]), 0.5, rtol=1e-6, atol=0
    )
    assert high - masses[-1] < 0.5 * shape.sigma(positions[-1]) * 1.1
    assert 1400 < len(masses) < 2500


def test_resolution_is_that_of_the_published_grid() -> None:
    """In MeV, of the mass in GeV, typed in again."""
    c = (0.5387, 4.6002, -2.9219, 0.9870, -0.1036, -0.0001)
    for mass in (0.22, 1.0, 2.0, 4.5):
        wanted = sum(a * mass**k for k, a in enumerate(c))
        found = 1e3 * signal.resolution("mumu").sigma(modified_mass(mass, "mu"))
        assert found == pytest.approx(wanted, rel=1e-4)


def test_masses_outside_the_channel_are_refused() -> None:
    with pytest.raises(InputError, match=r"mass 4.6 GeV is outside the range of b2ks, Kst0_ee"):
        b2ks.scan(modes=["Kst0_ee"], masses=[4.6])
    with pytest.raises(InputError, match="outside the range of b2ks, Kplus_mumu"):
        b2ks.masses(low=0.1, modes=[MODE])


# -- candidates -----------------------------------------------------------------------------


def test_pseudo_data_have_peaks_where_something_is_left() -> None:
    made = b2ks.generate(1)
    near = np.abs(made["Kplus_pipi"] - 0.497611) < 0.01
    assert 2700 < near.sum() < 3200
    phi = np.abs(made["Kplus_KK"] - 1.019461) < 0.015
    assert phi.sum() < 15  # 60 before the harder selection
    for mode, masses in made.items():
        low, high = signal.candidate_range(mode)
        assert ((masses >= low) & (masses <= high)).all()


def test_signals_are_injected_into_the_first_channel_or_into_all() -> None:
    plain = b2ks.generate(1)
    found = b2ks.generate(1, inject=[(2.0, 400.0)], modes=[MODE, "Kst0_mumu"])
    assert len(found["Kst0_mumu"]) == len(plain["Kst0_mumu"])
    more = len(found[MODE]) - len(plain[MODE])
    assert abs(more - 400) < 5 * 20  # Poisson: 1 in 2 million
    tied = b2ks.generate(1, scalar=(0.6, 1.5e-3))
    ctau = scalar.lifetime_ctau_cm(0.6, 1.5e-3)
    for mode in b2ks.MODES:
        events = b2ks.tied_events("scalar", mode, 0.6, ctau)
        events *= scalar.branching_fraction("Kplus", 0.6, 1.5e-3)
        more = len(tied[mode]) - len(plain[mode])
        assert abs(more - events) <= 5 * np.sqrt(events) + 1e-9, mode


def test_no_pair_is_below_threshold() -> None:
    made = b2ks.generate(1, inject=[(0.21133, 3000.0)], modes=[MODE])
    assert made[MODE].min() >= 2 * MUON
    assert (modified_mass(made[MODE], "mu") < 0.02).sum() > 2500


def test_a_file_is_selected_by_displacement(tmp_path: Path) -> None:
    import uproot

    file = tmp_path / "events.root"
    made = b2ks.generate(1, out=file, modes=["Kplus_ee"])
    with uproot.open(file) as root:
        tree = root["Kplus_ee"].arrays(library="np")
    tight = ((tree["mass"] >= 1.0) & (tree["mass"] <= 1.35)) | (
        (tree["mass"] >= 3.0) & (tree["mass"] <= 3.15)
    )
    tight |= (tree["mass"] >= 3.65) & (tree["mass"] <= 3.75)
    kept = tree["displacement"] > np.where(tight, 0.2, 0.05)
    assert 0 < kept.sum() < len(kept)
    np.testing.assert_array_equal(np.sort(made["Kplus_ee"]), np.sort(tree["mass"][kept]))
    read = b2ks.read(file, modes=["Kplus_ee"], cut="Mbc > 5.275")
    assert len(read.values["Kplus_ee"]) == (kept & (tree["Mbc"] > 5.275)).sum()
    with pytest.raises(InputError, match="cut selects from a file"):
        b2ks.read(made, modes=["Kplus_ee"], cut="Mbc > 5.275")


# -- limits ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_limits_of_a_lifetime_are_those_of_a_fit_of_it(
    sample: Sample, asymptotic: LifetimeScan
) -> None:
    """The signal yield is fitted once; here the branching fraction is, at two lifetimes."""
    for ctau in (0.05, 10.0):
        model = b2ks.likelihood(sample, modes=[MODE], ctau=ctau)
        scan = asymptotic.at(MODE, ctau)
        for mass in (0.25, 2.9):
            direct = upper_limit(model.move_to(mass))
            row = int(np.flatnonzero(scan.masses == mass)[0])
            assert scan.observed[row] == pytest.approx(direct.observed, rel=1e-4)
            np.testing.assert_allclose(scan.expected[row], direct.expected, rtol=1e-4)
            assert scan.p0[row] == pytest.approx(direct.p0, rel=1e-3)


def test_every_lifetime_has_its_masses(asymptotic: LifetimeScan) -> None:
    assert asymptotic.lifetimes.tolist() == b2ks.LIFETIMES.tolist()
    for ctau, scan in zip(asymptotic.lifetimes, asymptotic.scans[MODE], strict=True):
        masses = [0.2132, 0.25, 0.29] if ctau >= 200 else [0.2132, 0.25, 0.29, 0.6, 1.75, 2.9, 4.6]
        assert scan.masses.tolist() == masses
        assert scan.poi == "bf_product"
        assert scan.provenance["settings"]["ctau"] == ctau
        assert np.isfinite(scan.observed).all()
        assert scan.valid.all()


def test_next_to_threshold_at_the_end_and_in_the_veto(sample: Sample) -> None:
    low, high = b2ks.mass_range("Kplus_pipi")
    masses = [low, low + 1e-6, low + 1e-3, 0.479, 0.498, 0.519, high]
    scan = b2ks.scan(
        sample, modes=["Kplus_pipi"], masses=masses, method="asymptotic", progress=False
    )
    assert [each.mass for each in scan.skipped] == [0.479, 0.498]
    assert all(each.reason == "vetoed: K⁰_S → π⁺π⁻" for each in scan.skipped)
    assert scan.masses.tolist() == [low, low + 1e-6, low + 1e-3, 0.519, high]
    assert np.isfinite(scan.observed).all()
    assert np.isfinite(scan.expected).all()
    assert scan.valid.all()


def test_an_empty_window_has_the_limit_of_three_events() -> None:
    """By toys, 2 to 6 % below: the efficiency is known to 5 % only, and fluctuates in toys."""
    sample = b2ks.read({MODE: [4.0]}, modes=[MODE])
    scan = b2ks.scan(sample, modes=[MODE], masses=[0.6], ctau=1.0, progress=False)
    events = scan.observed[0] * b2ks.signal_events(MODE, 0.6, 1.0)
    error = scan.observed_error[0] / scan.observed[0]
    assert scan.how[0].startswith("toys: ")
    assert events == pytest.approx(-np.log(0.05) * 0.97, rel=0.03 + 4 * error)


@pytest.mark.slow
def test_a_signal_is_found_in_one_channel_and_in_all() -> None:
    """Some 40 events are expected above nearly nothing."""
    theta, mass = 1.5e-3, 0.6
    modes = ["Kplus_mumu", "Kplus_pipi"]
    made = b2ks.read(b2ks.generate(5, scalar=(mass, theta), modes=modes), modes=modes)
    ctau = float(scalar.lifetime_ctau_cm(mass, theta))
    model = b2ks.likelihood(made, ctau=ctau, model="scalar").move_to(mass)
    assert significance(model) > 5
    limit = upper_limit(model)
    truth = scalar.branching_fraction("Kplus", mass, theta)
    assert abs(limit.poi_hat - truth) < 4 * limit.poi_error
    assert limit.observed > truth


@pytest.mark.slow
def test_channels_combined_are_as_good_as_their_sum_of_signals() -> None:
    """Without candidates the likelihood depends on the sum of the signals alone."""
    empty = b2ks.read(
        {"Kplus_mumu": [4.0], "Kplus_pipi": [4.0]}, modes=["Kplus_mumu", "Kplus_pipi"]
    )
    model = b2ks.likelihood(empty, ctau=1.0, model="scalar").move_to(0.7)
    limit = upper_limit(model)
    events = sum(b2ks.tied_events("scalar", mode, 0.7, 1.0) for mode in empty.values)
    # q = 2 s for no event: the asymptotic limit is 1.92; the uncertainties add 1 % or so
    assert limit.observed * events == pytest.approx(0.5 * 1.959963985**2, rel=0.02)


def test_the_same_command_goes_on(sample: Sample, tmp_path: Path) -> None:
    masses = np.linspace(2.0, 2.2, 5)
    asked: dict[str, Any] = {
        "modes": [MODE], "masses": masses, "method": "asymptotic", "progress": False,
        "parts": tmp_path,
    }  # fmt: skip
    whole = b2ks.scan_lifetimes(sample, **asked)
    (kept,) = tmp_path.iterdir()
    assert kept.name == f"{MODE}.checkpoint"
    lines = kept.read_bytes().splitlines(keepends=True)
    assert len(lines) == 6
    kept.write_bytes(b"".join([*lines[:3], lines[3][:20]]))
    again = b2ks.scan_lifetimes(sample, **asked)
    assert sorted(kept.read_bytes().splitlines(keepends=True)) == sorted(lines)
    for one, other in zip(whole.scans[MODE], again.scans[MODE], strict=True):
        np.testing.assert_array_equal(one.observed, other.observed)
    with pytest.raises(InputError, match=r"mumu\.checkpoint: .* differs in level: 0\.95 there"):
        b2ks.scan_lifetimes(sample, **(asked | {"level": 0.9}))


def test_a_checkpoint_serves_all_lifetimes(sample: Sample, tmp_path: Path) -> None:
    """That of a single channel: limits on its events are found once."""
    asked: dict[str, Any] = {
        "modes": [MODE], "masses": [2.0, 2.1], "method": "asymptotic", "progress": False,
        "checkpoint": tmp_path / "checkpoint",
    }  # fmt: skip
    b2ks.scan(sample, **asked, ctau=1.0)
    before = (tmp_path / "checkpoint").read_bytes()
    found = b2ks.scan(sample, **asked, ctau=5.0)
    assert (tmp_path / "checkpoint").read_bytes() == before
    fresh = b2ks.scan(sample, **(asked | {"checkpoint": None}), ctau=5.0)
    np.testing.assert_array_equal(found.observed, fresh.observed)


def test_fits_show_the_scan(sample: Sample, asymptotic: LifetimeScan) -> None:
    scan = asymptotic.at(MODE, 1.0)
    fits = b2ks.fits(sample, scan, count=3)
    assert [fit.mass for fit in fits] == masses_to_show(scan, 3)
    for fit in fits:
        assert fit.valid
        (channel,) = fit.channels
        low, high = channel.window
        position = modified_mass(fit.mass, "mu")
        assert low <= position <= high
        assert np.nansum(channel.counts) == len(
            [m for m in modified_mass(sample.values[MODE], "mu") if low <= m <= high]
        )


# -- couplings ------------------------------------------------------------------------------


def constant(limit: float) -> LifetimeScan:
    """The same limit at all lifetimes and masses."""
    import zfit_dark.results as results

    one = results.Limit(
        limit, (limit,) * 5, 0.0, limit, 0.5, 0.95, "asymptotic", "qtilde", valid=True
    )
    scan = Scan.from_limits(
        [0.3, 1.0, 2.5], [one] * 3, poi="bf_product", poi_label="B", pseudo_data=True,
        provenance={"settings": {"modes": [MODE]}},
    )  # fmt: skip
    return LifetimeScan(lifetimes=b2ks.LIFETIMES, scans={MODE: (scan,) * len(b2ks.LIFETIMES)})


def test_excluded_angles_are_those_of_a_fine_grid() -> None:
    limit = 1e-7
    found = b2ks.interpret(constant(limit))
    theta = np.geomspace(1e-7, 1.0, 200_001)
    for mass, (interval,) in zip(found.masses, found.observed, strict=True):
        predicted = scalar.branching_fraction("Kplus", mass, theta)
        predicted = predicted * scalar.decay_fraction("mumu", mass)
        ctau = scalar.lifetime_ctau_cm(mass, theta)
        inside = theta[(predicted > limit) & (ctau >= 0.001) & (ctau <= 400)]
        assert interval.low == pytest.approx(inside.min(), rel=1e-3)
        assert interval.high == pytest.approx(inside.max(), rel=1e-3)
        assert not interval.high_is_crossing  # where the shortest lifetime is
    assert found.pseudo_data
    assert found.coupling == "theta"


def test_what_cannot_be_interpreted_is_told() -> None:
    alp = b2ks.interpret(constant(1e-7), model="alp")
    assert [each.mass for each in alp.skipped] == [2.5]
    with pytest.raises(InputError, match="unknown channel"):
        b2ks.interpret(constant(1e-7), channel="Kplus_ee")
    with pytest.raises(InputError, match="unknown model"):
        b2ks.interpret(constant(1e-7), model="axion")


# -- the control ----------------------------------------------------------------------------


def test_the_kaon_is_given_back_in_mass_and_in_modified_mass(sample: Sample) -> None:
    """Each number within 4 standard deviations: 1 in 2500 seeds fails."""
    for peak in b2ks.control(sample):
        assert peak.valid
        assert abs(peak.mass - 0.497611) < 4 * peak.mass_error
        assert abs(peak.width_scale - 1) < 4 * peak.width_scale_error
        assert abs(peak.events - 3000) < 4 * np.hypot(peak.events_error, np.sqrt(3000))
        assert peak.mass_error < 1e-4
    with pytest.raises(InputError, match="unknown control channel 'Kplus_mumu'"):
        b2ks.control(sample, MODE)


# -- channels in the modified mass ------------------------------------------------------------


def test_a_channel_of_pairs_knows_where_a_mass_is() -> None:
    shape = signal.resolution("pipi")
    channel = ShapeChannel("pipi", [], (0.0, 3.0), shape, 1.0, window=20.0, daughter="pi")
    assert channel.threshold == pytest.approx(2 * PION, rel=1e-6)
    assert channel.position(1.0) == pytest.approx(np.sqrt(1 - 4 * PION**2), rel=1e-9)
    assert channel.position(0.1) == 0.0
    assert channel.why_not(0.27) == "below the threshold of channel pipi, 0.279141 GeV"
    assert channel.why_not(3.1) is not None
    assert channel.why_not(float(invariant_mass(2.9, "pi"))) is None
    low, high = channel.window_at(0.2792)
    assert low == 0.0
    assert high < 0.1
    with pytest.raises(InputError, match="a modified mass is not negative"):
        ShapeChannel("pipi", [], (-0.1, 3.0), shape, 1.0, daughter="pi")
    with pytest.raises(InputError, match="unknown daughter 'tau'"):
        ShapeChannel("pipi", [], (0.0, 3.0), shape, 1.0, daughter="tau")
