"""The search idm: its numbers, its signal, its pseudo-data and its limits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, optimize, stats
from scipy.interpolate import BPoly

from zfit_dark import upper_limit
from zfit_dark.errors import InputError
from zfit_dark.results import Scan
from zfit_dark.searches import Sample, idm
from zfit_dark.searches.idm import signal
from zfit_dark.theory import scalar

THRESHOLD = {"mumu": 2 * 0.1056583755, "pipi": 2 * 0.13957039, "KK": 2 * 0.493677}
VETO = (0.467, 0.529)
FAR_AWAY = 3.15
"""A candidate there is in no sideband of the masses below."""

SIGNAL, SIGNAL_EVENTS = 1.2, 30.0
TIED = ("mumu", "pipi")


@pytest.fixture(scope="module")
def sample() -> Sample:
    """A signal in pions, and nothing else anywhere near the hypotheses: compiled but once."""
    made = idm.generate(7, inject=[(SIGNAL, SIGNAL_EVENTS)], modes=["pipi"])["pipi"]
    peak = made[abs(made - SIGNAL) < 0.05]
    return idm.read({mode: [*(peak if mode == "pipi" else []), FAR_AWAY] for mode in idm.MODES})


@pytest.fixture(scope="module")
def together(sample: Sample) -> Scan:
    """Two final states at once, at 1 cm."""
    return idm.scan(sample, modes=TIED, masses=[0.3, 1.6, 2.5], progress=False)


@pytest.fixture(scope="module")
def pions(sample: Sample) -> Scan:
    """A final state alone, at 1 cm, also in and next to its veto."""
    masses = [0.466, 0.468, 0.498, 0.53, SIGNAL, 1.6]
    return idm.scan(sample, modes=["pipi"], masses=masses, progress=False)


def of_shape(mode: str, mass: float, regions: list[tuple[float, float]]) -> float:
    """The fraction of a peak in regions that are given in resolutions, by quadrature."""
    at = signal.resolution(mode).parameters(mass)

    def density(t: float) -> float:
        alpha, n = (at["alphal"], at["nl"]) if t < 0 else (at["alphar"], at["nr"])
        if abs(t) < alpha:
            return math.exp(-0.5 * t * t)
        return math.exp(-0.5 * alpha**2 - n * math.log1p(alpha / n * (abs(t) - alpha)))

    kinks = (-at["alphal"], at["alphar"])
    whole = integrate.quad(density, -500, 500, points=kinks, limit=500)[0]
    inside = sum(integrate.quad(density, low, high, limit=500)[0] for low, high in regions)
    return float(inside / whole)


# -- the signal -----------------------------------------------------------------------------


def test_what_was_read_is_in_the_numbers() -> None:
    numbers = idm.NUMBERS
    assert (numbers.luminosity.value, numbers.luminosity.status) == (365, "read")
    assert (numbers.veto.low, numbers.veto.high, numbers.veto.status) == (*VETO, "read")
    events = {mode: final.background.events for mode, final in numbers.final_states.items()}
    assert events["pipi"] == 8
    assert sum(events.values()) == pytest.approx(9)


def decays(length: float) -> float:
    """The chance of a decay between 1 mm and 60 cm, by quadrature."""
    return float(integrate.quad(lambda x: math.exp(-x / length) / length, 0.1, 60.0, limit=200)[0])


@pytest.mark.parametrize(("mass", "ctau"), [(0.3, 0.02), (0.3, 40.0), (1.5, 1.0), (3.0, 900.0)])
def test_efficiency_is_that_of_the_formula(mass: float, ctau: float) -> None:
    found = optimize.minimize_scalar(
        lambda log_length: -decays(math.exp(log_length)), bounds=(0, 5), method="bounded"
    )
    best, best_length = -float(found.fun), math.exp(float(found.x))
    h = decays(2.5 / mass * ctau) / best
    assert idm.lifetime_factor(mass, ctau) == pytest.approx(h, rel=1e-8)
    assert idm.best_lifetime(mass) == pytest.approx(best_length * mass / 2.5, rel=1e-3)
    assert idm.efficiency("mumu", mass, ctau) == pytest.approx(0.08 * h, rel=1e-8)
    for ctau_chi2 in (0.1, 3.0, 200.0):
        both = 0.08 * h * decays(2.0 * ctau_chi2) / best
        assert idm.efficiency("mumu", mass, ctau, ctau_chi2) == pytest.approx(both, rel=1e-8)
    assert idm.events_per_fb("mumu", mass, ctau) == pytest.approx(365 * 0.08 * h, rel=1e-8)


@given(mass=st.floats(1.0, 3.0), ctau=st.floats(1e-3, 1e5), other=st.floats(1e-3, 1e5))
def test_relative_efficiencies_do_not_depend_on_the_lifetime(
    mass: float, ctau: float, other: float
) -> None:
    """So that one limit of all final states together gives those of all lifetimes."""
    assert 0 < idm.lifetime_factor(mass, ctau) <= 1 + 1e-12
    at_best = idm.lifetime_factor(mass, idm.best_lifetime(mass))
    assert at_best == pytest.approx(1, rel=1e-12)
    ratio = idm.lifetime_factor(mass, ctau) / idm.lifetime_factor(mass, other)
    for mode in idm.MODES:
        for events in (idm.events_per_fb, idm.tied_events):
            found, wanted = events(mode, mass, ctau), ratio * events(mode, mass, other)
            assert found == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("mode", idm.MODES)
def test_a_final_state_is_searched_above_threshold(mode: str) -> None:
    low, high = idm.mass_range(mode)
    assert low - 4 * signal.resolution(mode).sigma(low) > THRESHOLD[mode]
    assert high + 20 * signal.resolution(mode).sigma(high) < signal.candidate_range(mode)[1]
    assert signal.candidate_range(mode)[0] == pytest.approx(THRESHOLD[mode], rel=1e-6)
    for mass, there in ((low, True), (high, True), (0.999 * low, False), (1.001 * high, False)):
        assert (idm.events_per_fb(mode, mass, 1.0) > 0) is there


def test_a_scalar_ties_the_final_states() -> None:
    fractions = {mode: scalar.decay_fraction(mode, 1.3) for mode in idm.MODES}
    for mode, fraction in fractions.items():
        wanted = idm.events_per_fb(mode, 1.3, 2.0) * fraction / sum(fractions.values())
        assert idm.tied_events(mode, 1.3, 2.0) == pytest.approx(wanted, rel=1e-12)
    # muons alone below two pions; known alone above 2 GeV
    for mass in (0.25, 2.5):
        events = [idm.tied_events(mode, mass, 2.0) for mode in idm.MODES]
        assert events == pytest.approx([idm.events_per_fb("mumu", mass, 2.0), 0, 0], rel=1e-12)
    # the veto hides pions, they are produced nevertheless
    in_veto = [idm.tied_events(mode, 0.5, 2.0) for mode in idm.MODES]
    assert in_veto[1:] == [0, 0]
    assert 0 < in_veto[0] < 0.2 * idm.events_per_fb("mumu", 0.5, 2.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("ee", 1.0, 1.0), "unknown mode 'ee'"),
        (("mumu", 0.0, 1.0), "mass 0 GeV: give a positive number"),
        (("mumu", 1.0, math.inf), "lifetime inf cm: give a positive number"),
        (("mumu", 1.0, 1.0, 0.0), "lifetime of the chi2 0 cm: give a positive number"),
    ],
)
def test_efficiency_refuses_what_is_none(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        idm.efficiency(*given)


# -- hypotheses and candidates --------------------------------------------------------------


def test_hypotheses_are_a_resolution_apart() -> None:
    for mode, step in (("mumu", 1.0), ("KK", 0.5)):
        masses, shape = idm.masses(step, modes=[mode]), signal.resolution(mode)
        np.testing.assert_allclose(np.diff(masses) / shape.sigma(masses[:-1]), step, rtol=1e-9)
        assert masses[0] == idm.mass_range(mode)[0]
        assert 0 <= 3.0 - masses[-1] < step * shape.sigma(3.0)
    np.testing.assert_array_equal(idm.masses(), idm.masses(modes=["mumu"]))
    with pytest.raises(InputError, match=r"mass 0\.22 GeV is outside the range of idm, pipi"):
        idm.masses(low=0.22, modes=["pipi"])


def test_pseudo_data_are_nine_events_or_so() -> None:
    """Each statement fails for 1 in 10 000 choices of seeds."""
    made = [idm.generate(seed) for seed in range(400)]
    for mode, events in (("mumu", 0.6), ("pipi", 8.0), ("KK", 0.4)):
        n = sum(len(each[mode]) for each in made)
        assert abs(n - 400 * events) < 3.9 * math.sqrt(400 * events)
    pions = np.concatenate([each["pipi"] for each in made])
    assert not ((pions > VETO[0]) & (pions < VETO[1])).any()
    low, high = THRESHOLD["pipi"], 3.2
    density = BPoly(np.array([[2.5], [1.5], [0.8], [0.4]]), [low, high])
    whole = density.integrate(low, high) - density.integrate(*VETO)

    def chance(masses: Any) -> Any:
        masses = np.asarray(masses)
        below = np.array([density.integrate(low, m) for m in masses])
        hidden = [density.integrate(VETO[0], m) for m in np.clip(masses, *VETO)]
        return (below - np.array(hidden)) / whole

    assert stats.kstest(pions, chance).pvalue > 1e-4


def test_signals_are_injected_into_the_first_final_state() -> None:
    plain, found = idm.generate(1), idm.generate(1, inject=[(1.0, 4000.0), (2.0, 100.0)])
    for mode in ("pipi", "KK"):
        np.testing.assert_array_equal(found[mode], plain[mode])
    assert set(plain["mumu"]) <= set(found["mumu"])
    peak = found["mumu"][abs(found["mumu"] - 1.0) < 0.1]
    assert abs(len(peak) - 4000) < 5 * math.sqrt(4000)  # 1 in 2 million
    inside = of_shape("mumu", 1.0, [(-2, 2)])
    counted = int((abs(peak - 1.0) < 2 * 0.003).sum())
    assert stats.binomtest(counted, len(peak), inside).pvalue > 1e-4
    with pytest.raises(InputError, match=r"mass 0\.25 GeV is outside the range of idm, pipi"):
        idm.generate(inject=[(0.25, 3.0)], modes=["pipi"])


def test_a_signal_next_to_the_veto_is_cut_there() -> None:
    made = idm.generate(1, inject=[(0.53, 500.0)], modes=["pipi"])
    assert 250 < ((made["pipi"] >= VETO[1]) & (made["pipi"] < 0.56)).sum() < 500
    assert not ((made["pipi"] > VETO[0]) & (made["pipi"] < VETO[1])).any()


def test_a_file_holds_the_candidates_and_the_mark(tmp_path: Path) -> None:
    file = tmp_path / "events.root"
    made = idm.generate(1, out=file, inject=[(1.0, 50.0)], modes=["pipi"])
    sample = idm.read(file, modes=["pipi"], cut="mass < 1.5")
    np.testing.assert_array_equal(sample.values["pipi"], made["pipi"][made["pipi"] < 1.5])
    assert sample.pseudo_data == made.record
    assert made.record["inject"] == [[1.0, 50.0]]
    with pytest.raises(InputError, match="signals are injected into generated pseudo-data only"):
        idm.read(file, inject=[(1.0, 5.0)])


# -- limits ---------------------------------------------------------------------------------


def test_limits_of_a_lifetime_are_those_of_a_likelihood_of_it(
    sample: Sample, together: Scan
) -> None:
    """They are found for the best lifetime of each mass; here for that of 1 cm."""
    model = idm.likelihood(sample, modes=TIED, ctau=1.0)
    assert together.masses.tolist() == [0.3, 1.6, 2.5]
    for row, mass in ((0, 0.3), (1, 1.6)):
        direct = upper_limit(model.move_to(mass), method="exact")
        assert together.observed[row] == pytest.approx(direct.observed, rel=1e-6)
        np.testing.assert_allclose(together.expected[row], direct.expected, rtol=1e-6)
    assert (together.poi, together.poi_unit) == ("sigma_bf_sum", "fb")
    assert together.provenance["settings"]["ctau"] == 1.0
    assert together.provenance["settings"]["model"] == "scalar"
    assert together.how[0].startswith("exact: ")


def test_one_limit_a_mass_is_enough_for_all_lifetimes(sample: Sample, together: Scan) -> None:
    found = idm.scan_lifetimes(
        sample, modes=TIED, masses=[0.3, 1.6], model="scalar", progress=False
    )
    assert found.channels == ("scalar",)
    np.testing.assert_array_equal(found.lifetimes, idm.LIFETIMES)
    for ctau in (0.01, 1.0, 1000.0):
        scan = found.at("scalar", ctau)
        factor = [idm.lifetime_factor(m, 1.0) / idm.lifetime_factor(m, ctau) for m in scan.masses]
        np.testing.assert_allclose(scan.observed, together.observed[[0, 1]] * factor, rtol=1e-9)
        assert scan.provenance["settings"]["ctau"] == ctau


def no_event(mean: float, spread: float) -> float:
    """The chance of no event, the logarithm of the mean being uncertain."""
    return float(
        integrate.quad(lambda t: stats.norm.pdf(t) * math.exp(-mean * math.exp(spread * t)), -8, 8)[
            0
        ]
    )


def check_no_event(scan: Scan, mass: float, identification: tuple[float, float]) -> None:
    """No event has a chance of 5 %, averaged over the uncertainties; sidebands see signal too.

    Args:
        scan: of `TIED` at 1 cm. They have the same peak.
        mass: where nothing is seen.
        identification: between these two is the uncertainty of it.
    """
    seen = of_shape("mumu", mass, [(-20, -4), (-2, 2), (4, 20)])
    events = seen * sum(idm.tied_events(mode, mass, 1.0) for mode in TIED)
    (observed,) = scan.observed[scan.masses == mass]
    least, most = (
        optimize.brentq(
            lambda n, own=own: no_event(n, math.hypot(*np.log1p([0.006, 0.10, own]))) - 0.05, 1, 9
        )
        for own in identification
    )
    assert 3.0 < least <= most < 3.1
    assert least * (1 - 1e-4) < observed * events < most * (1 + 1e-4)


def test_where_nothing_is_seen_the_limit_is_that_of_no_event(together: Scan) -> None:
    check_no_event(together, 2.5, (0.02, 0.02))  # muons alone
    check_no_event(together, 1.6, (0.0, 0.02))  # those of muons and pions average out


def test_in_the_veto_muons_are_left_alone(sample: Sample) -> None:
    scan = idm.scan(sample, modes=TIED, masses=[0.5], progress=False)
    assert scan.how[0].startswith("exact: ")
    check_no_event(scan, 0.5, (0.02, 0.02))


def test_the_veto_is_not_scanned(pions: Scan) -> None:
    assert [each.mass for each in pions.skipped] == [0.468, 0.498]
    assert all(each.reason == "vetoed: K⁰_S → π⁺π⁻" for each in pions.skipped)
    assert pions.masses.tolist() == [0.466, 0.53, SIGNAL, 1.6]
    assert (pions.poi, pions.poi_unit) == ("sigma_bf", "fb")
    # beside it a part of the window is not seen: 0.001 GeV, less than half a resolution, is left
    for mass, window in ((0.466, (-2.0, 0.4717)), (0.53, (-0.4458, 2.0)), (1.6, (-2.0, 2.0))):
        (observed,) = pions.observed[pions.masses == mass]
        seen = observed * idm.events_per_fb("pipi", mass, 1.0) * of_shape("pipi", mass, [window])
        assert seen == pytest.approx(3.04, rel=0.02)


def test_a_signal_is_found(pions: Scan) -> None:
    """Some 28 events in the window, above nothing: fewer than 10 for 1 seed in 10⁵."""
    row = pions.masses.tolist().index(SIGNAL)
    truth = SIGNAL_EVENTS / idm.events_per_fb("pipi", SIGNAL, 1.0)
    assert pions.significance[row] > 3
    assert abs(pions.poi_hat[row] - truth) < 4 * pions.poi_error[row]
    assert pions.observed[row] > pions.poi_hat[row]
    assert (pions.p0[pions.masses != SIGNAL] == 1).all()


def test_limits_are_kept(sample: Sample, pions: Scan, tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "modes": ["pipi"],
        "masses": [0.25, 0.3, 0.53, 1.6],
        "progress": False,
        "parts": tmp_path,
    }
    found = idm.scan_lifetimes(sample, **asked)
    assert found.at("pipi", 1.0).masses.tolist() == [0.3, 0.53, 1.6]  # pions begin at 0.29 GeV
    np.testing.assert_allclose(found.at("pipi", 1.0).observed[1:], pions.observed[[1, 3]])
    (kept,) = tmp_path.iterdir()
    assert kept.name == "pipi.checkpoint"
    before = kept.read_bytes()
    assert before.count(b"\n") == 4
    again = idm.scan_lifetimes(sample, **asked)
    assert kept.read_bytes() == before
    np.testing.assert_array_equal(again.at("pipi", 5.0).observed, found.at("pipi", 5.0).observed)
    with pytest.raises(InputError, match="another scan, which differs in level"):
        idm.scan_lifetimes(sample, **(asked | {"level": 0.9}))


@pytest.mark.slow
def test_fits_show_the_scan(sample: Sample, pions: Scan) -> None:
    """The signal is the most significant mass."""
    (fit,) = idm.fits(sample, pions, count=1)
    assert fit.mass == SIGNAL
    assert fit.valid
    assert (fit.poi_label, fit.poi_unit) == (pions.poi_label, "fb")
    assert fit.poi_hat == pytest.approx(pions.poi_hat[pions.masses == SIGNAL][0], rel=1e-3)
    assert [channel.name for channel in fit.channels] == ["pipi"]


def test_what_cannot_be_asked_for(sample: Sample, pions: Scan) -> None:
    with pytest.raises(InputError, match=r"unknown model 'scaler'.*did you mean 'scalar'\?"):
        idm.likelihood(sample, model="scaler")
    with pytest.raises(InputError, match=r"mass 0\.5 GeV is outside the range of idm, KK"):
        idm.scan(sample, modes=["KK"], masses=[0.5])
    with pytest.raises(InputError, match=r"^lifetime 1e-06 cm: no h' of 0\.53 GeV decays where"):
        idm.scan(sample, modes=["pipi"], masses=[0.53, 1.6], ctau=1e-6, progress=False)
    other = pions.scaled(1.0, poi="mu", poi_label="mu", poi_unit="")
    with pytest.raises(InputError, match="a scan of mu; give one of sigma_bf or sigma_bf_sum"):
        idm.fits(sample, other)
