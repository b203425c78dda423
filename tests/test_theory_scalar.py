"""The dark scalar against amplitudes in mpmath, reference numbers, and the digitised curve."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path

import mpmath
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from particle import Particle
from scipy.integrate import dblquad

from zfit_dark.errors import InputError
from zfit_dark.theory import scalar
from zfit_dark.theory.scalar import DEFAULT_INPUTS, FINAL_STATES, MODES, Inputs

mp = mpmath.mp.clone()
mp.dps = 30
HBAR = mp.mpf("6.582119569e-25")  # GeV s
LIGHT_SPEED = mp.mpf("2.99792458e10")  # cm / s
VEV = mp.mpf("246.22")
TABLE_FILE = Path(scalar.__file__).with_name("scalar_widths.yaml")
TABLE = yaml.safe_load(TABLE_FILE.read_text(encoding="utf-8"))
LEPTONS = {"ee": "0.51099895e-3", "mumu": "0.1056583755", "tautau": "1.77693"}

# from an evaluation outside this package, with C = 3 m_t² |V_tb V_ts*| / (16π² v³) = 1.51e-6 / GeV
RATIO_AT_1_GEV = {"Kplus": 0.446, "Kst0": 0.491}


@pytest.fixture(scope="module")
def digitised() -> Path:
    """The folder of the digitised widths, kept beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ZFIT_DARK_DATA", beside)) / "winkler_scalar_widths"
    if not folder.is_dir():
        pytest.skip(
            "no winkler_scalar_widths here: set ZFIT_DARK_DATA to the folder that holds it, or "
            "put it in shared/data beside the repository"
        )
    return folder


def amplitude_ratio(mode: str, mass: float) -> mp.mpf:
    """B(B → K(*) S)/θ² from Γ = |p| Σ|M|² / (8π m_B²) with numbers typed in again."""
    m_b, tau, m_k = {
        "Kplus": (5.27941, 1.638e-12, 0.493677),
        "KS": (5.27972, 1.517e-12, 0.497611),
        "Kst0": (5.27972, 1.517e-12, 0.89555),
        "Kstplus": (5.27941, 1.638e-12, 0.89167),
    }[mode]
    m_b, tau, m_k, m_s = (mp.mpf(v) for v in (m_b, tau, m_k, mass))
    energy = (m_b**2 + m_s**2 - m_k**2) / (2 * m_b)  # of the S
    momentum = mp.sqrt(energy**2 - m_s**2)
    # L = ξ (m_b/v) S s̄_L b_R: the mass m_b cancels that in the matrix element of s̄b
    xi = 3 * mp.mpf(172.57) ** 2 * mp.mpf(0.0398) / (16 * mp.pi**2 * VEV**2)
    if mode in ("Kplus", "KS"):
        f0 = mp.mpf(0.330) / (1 - m_s**2 / mp.mpf(37.46))
        squared = (xi / VEV * (m_b**2 - m_k**2) / 2 * f0) ** 2
    else:
        a0 = mp.mpf(1.364) / (1 - m_s**2 / m_b**2) - mp.mpf(0.990) / (1 - m_s**2 / mp.mpf(36.78))
        squared = (xi / VEV * m_b * momentum * a0) ** 2
    return momentum * squared / (8 * mp.pi * m_b**2) * tau / HBAR


def lepton_width(mass: float, lepton: str) -> mp.mpf:
    """Γ(S → ℓℓ)/θ² from |M|² = (m_ℓ/v)² · 2 (m_S² − 4m_ℓ²)."""
    m, m_l = mp.mpf(mass), mp.mpf(LEPTONS[lepton])
    if m <= 2 * m_l:
        return mp.mpf(0)
    momentum = mp.sqrt(m**2 / 4 - m_l**2)
    return momentum / (8 * mp.pi * m**2) * (m_l / VEV) ** 2 * 2 * (m**2 - 4 * m_l**2)


def tabulated(final: str, mass: float) -> float:
    """The width between two entries of the table, as a weighted geometric mean of Γ/β."""
    masses, values = TABLE[final]["mass"], TABLE[final]["value"]

    def beta(m: float) -> float:
        return math.sqrt(1 - 4 * TABLE[final]["daughter_mass"] ** 2 / m**2)

    if mass <= masses[0]:
        return values[0] / beta(masses[0]) * beta(mass)
    k = max(i for i, m in enumerate(masses) if m < mass)
    weight = (mass - masses[k]) / (masses[k + 1] - masses[k])
    left, right = (values[i] / beta(masses[i]) for i in (k, k + 1))
    return left ** (1 - weight) * right**weight * beta(mass)


def gluon_width(mass: float) -> mp.mpf:
    """Γ(S → gg)/θ², with the amplitude as an integral or, above threshold, by its logarithm."""
    amplitude = mp.mpc(0)
    for quark in ("1.273", "4.183", "172.57"):
        tau = (mp.mpf(mass) / (2 * mp.mpf(quark))) ** 2
        if tau < 1:

            def integrand(y: float, x: float, tau: float = float(tau)) -> float:
                return (1 - 4 * x * y) / (1 - 4 * tau * x * y)

            integral, _ = dblquad(integrand, 0, 1, 0, lambda x: 1 - x, epsabs=1e-11, epsrel=1e-11)
            amplitude += 3 * mp.mpf(integral)
        else:
            root = mp.sqrt(1 - 1 / tau)
            f = -((mp.log((1 + root) / (1 - root)) - mp.pi * 1j) ** 2) / 4
            amplitude += mp.mpf(1.5) * (tau + (tau - 1) * f) / tau**2
    # one loop: 1/α_s is straight in ln(scale)
    inverse = 1 / mp.mpf("0.314") + 25 / (6 * mp.pi) * mp.log(mass / mp.mpf("1.77693"))
    return abs(amplitude) ** 2 / inverse**2 * mp.mpf(mass) ** 3 / (72 * mp.pi**3 * VEV**2)


def quark_width(mass: float, quark: str, meson: str) -> mp.mpf:
    m, m_q, m_h = mp.mpf(mass), mp.mpf(quark), mp.mpf(meson)
    if m <= 2 * m_h:
        return mp.mpf(0)
    return 3 * m_q**2 * m / (8 * mp.pi * VEV**2) * (1 - 4 * m_h**2 / m**2) ** mp.mpf(1.5)


@pytest.mark.parametrize("mode", RATIO_AT_1_GEV)
def test_production_has_the_expected_size_at_1_gev(mode: str) -> None:
    ratio = scalar.branching_ratio_per_coupling_squared(mode, 1.0)
    assert ratio == pytest.approx(RATIO_AT_1_GEV[mode], rel=0.01)
    other = scalar.branching_ratio_per_coupling_squared(mode, 1.0, inputs=Inputs(vtb_vts=0.0404))
    assert other == pytest.approx(ratio * (0.0404 / 0.0398) ** 2, rel=1e-13)


@pytest.mark.parametrize("mode", MODES)
@given(fraction=st.floats(1e-3, 1 - 1e-6))
def test_production_agrees_with_the_amplitude(mode: str, fraction: float) -> None:
    mass = fraction * scalar.kinematic_end(mode)
    assert scalar.branching_ratio_per_coupling_squared(mode, mass) == pytest.approx(
        float(amplitude_ratio(mode, mass)), rel=1e-12 + 1e-15 / (1 - fraction)
    )


@pytest.mark.parametrize("mode", MODES)
def test_modes_close_at_the_mass_difference(mode: str) -> None:
    end = scalar.kinematic_end(mode)
    inside, on, beyond = scalar.branching_ratio_per_coupling_squared(
        mode, [end - 1e-6, end, end + 0.1]
    )
    assert inside > 0.0
    assert on == beyond == 0.0


# the 1 GeV point is on the f0(980), where digitised points scatter by 15 %
@pytest.mark.parametrize(
    ("mass", "ctau", "tolerance"),
    [(0.25, 7.06e-5, 0.005), (0.5, 7.94e-7, 0.02), (1.0, 2.91e-8, 0.03), (1.5, 1.73e-7, 0.005)],
)
def test_lifetime_has_the_expected_size(mass: float, ctau: float, tolerance: float) -> None:
    assert scalar.lifetime_ctau_cm(mass, 1.0) == pytest.approx(ctau, rel=tolerance)


@given(mass=st.floats(1.03e-3, 10.0))
def test_lepton_widths_agree_with_the_amplitude(mass: float) -> None:
    widths = scalar.partial_widths_per_coupling_squared(mass)
    for lepton in LEPTONS:
        expected = float(lepton_width(mass, lepton))
        # near threshold the velocity is a difference of rounded numbers
        assert widths[lepton] == pytest.approx(expected, rel=1e-9, abs=1e-30)


@given(mass=st.floats(0.2792, 2.0))
def test_tabulated_widths_are_geometric_means(mass: float) -> None:
    widths = scalar.partial_widths_per_coupling_squared(mass)
    assert widths["pipi"] == pytest.approx(tabulated("pipi", mass), rel=1e-10)
    if mass > 0.9913:
        assert widths["KK"] == pytest.approx(tabulated("KK", mass), rel=1e-8)
    else:
        assert widths["KK"] == pytest.approx(0.0, abs=1e-9)


@given(mass=st.floats(0.3, 2.0))
def test_other_hadrons_below_2_gev_are_the_fit(mass: float) -> None:
    beta_squared = 1 - 16 * 0.13957**2 / mass**2
    expected = 5.1e-9 * mass**3 * math.sqrt(beta_squared) if beta_squared > 0 else 0.0
    other = scalar.partial_widths_per_coupling_squared(mass)["other"]
    assert other == pytest.approx(expected, rel=1e-6, abs=1e-16)


@pytest.mark.parametrize("mass", [2.001, 2.3, 2.54, 2.55, 3.0, 3.72, 3.8, 4.7, 8.0, 8.4, 10.5])
def test_hadrons_above_2_gev_are_quarks_and_gluons(mass: float) -> None:
    widths = scalar.partial_widths_per_coupling_squared(mass)
    expected = (
        gluon_width(mass)
        + quark_width(mass, "0.0935", "0.493677")
        + quark_width(mass, "1.273", "1.86484")
    )
    assert widths["other"] == pytest.approx(float(expected), rel=1e-9)
    assert math.isnan(widths["pipi"])
    assert math.isnan(widths["KK"])


def test_the_two_regions_meet_at_2_gev() -> None:
    below, above = scalar.width([2.0, 2.0 + 1e-9], 1.0)
    assert above == pytest.approx(below, rel=scalar.width_uncertainty(2.0))


@given(mass=st.floats(1.03e-3, 10.5), theta=st.floats(1e-6, 1.0))
def test_width_lifetime_and_fractions_belong_together(mass: float, theta: float) -> None:
    partial = scalar.partial_widths_per_coupling_squared(mass)
    total = scalar.width(mass, theta)
    assert total == pytest.approx(
        theta**2 * sum(w for w in partial.values() if not math.isnan(w)), rel=1e-13
    )
    assert scalar.lifetime_ctau_cm(mass, theta) == pytest.approx(
        float(LIGHT_SPEED * HBAR / mp.mpf(total)), rel=1e-9
    )
    charged = {"ee": 1.0, "mumu": 1.0, "pipi": 2 / 3, "KK": 1 / 2}
    for final in FINAL_STATES if mass <= 2.0 else ("ee", "mumu"):
        fraction = scalar.decay_fraction(final, mass)
        assert fraction == pytest.approx(
            charged[final] * partial[final] * theta**2 / total, rel=1e-13, abs=0.0
        )
        assert 0.0 <= fraction <= 1.0


def test_decays_open_at_their_thresholds() -> None:
    for final, threshold in (("mumu", 0.211317), ("pipi", 0.27914), ("KK", 0.991288)):
        below, above = scalar.decay_fraction(final, [threshold - 1e-4, threshold + 1e-4])
        assert below == 0.0
        assert above > 0.0
    assert scalar.decay_fraction("ee", 0.2) == 1.0
    assert scalar.width(2 * 0.51099895e-3 * (1 + 1e-6), 1.0) > 0.0


def test_no_mixing_means_no_decay() -> None:
    assert scalar.width(1.0, 0.0) == 0.0
    assert scalar.lifetime_ctau_cm(1.0, 0.0) == np.inf
    assert scalar.branching_fraction("Kplus", 1.0, 0.0) == 0.0


def test_uncertainty_of_the_width_grows_with_mass() -> None:
    np.testing.assert_array_equal(
        scalar.width_uncertainty([0.01, 0.999, 1.0, 2.0, 2.001, 4.7]),
        [0.05, 0.05, 0.20, 0.20, 0.50, 0.50],
    )
    assert type(scalar.width_uncertainty(1.0)) is float


def original(folder: Path, meson: str) -> tuple[np.ndarray, np.ndarray]:
    rows = np.loadtxt(folder / f"winkler_{meson}.txt")
    return tuple(rows[np.argsort(rows[:, 0])].T)


def test_pion_table_follows_the_digitised_curve(digitised: Path) -> None:
    mass, width = original(digitised, "pi")
    mine = np.array([scalar._tables()["pipi"].at(m) for m in mass])
    off = np.abs(mine / width - 1)
    peak, tip = (mass > 0.94) & (mass < 1.06), (mass > 0.985) & (mass < 1.012)
    smooth = (mass > 0.30) & ~peak
    assert smooth.sum() > 100
    assert off[smooth].max() < 0.0205  # the stated 0.02, rounded
    assert np.sqrt(np.mean(off[smooth] ** 2)) < 0.012
    assert off[peak & ~tip].max() < 0.07
    assert off[tip].max() < 0.15
    # nearest to threshold the digitised points are not one curve: 0.2830 to 0.2833 GeV
    first = (mass < 0.30) & (np.abs(mass - 0.2831) > 0.0003)
    assert off[first].max() < 0.1
    assert mine.max() == pytest.approx(width.max(), rel=0.01)
    assert abs(mass[mine.argmax()] - mass[width.argmax()]) < 1e-9


def test_kaon_table_follows_the_digitised_curve(digitised: Path) -> None:
    mass, width = original(digitised, "K")
    off = np.abs(np.array([scalar._tables()["KK"].at(m) for m in mass]) / width - 1)
    assert (mass > 1.002).sum() > 25
    assert off[mass > 1.002].max() < 0.03
    assert off[mass > 1.03].max() < 0.026


def test_table_says_where_it_is_from() -> None:
    assert set(TABLE) == {"pipi", "KK"}
    for entry in TABLE.values():
        assert entry["unit"] == "GeV"
        assert entry["status"] == "derived"
        assert "1809.01876" in entry["source"]
        assert entry["uncertainty"]
        mass, value = np.array(entry["mass"]), np.array(entry["value"])
        assert mass.shape == value.shape
        assert np.all(np.diff(mass) > 0)
        assert mass[0] > 2 * entry["daughter_mass"]
        assert mass[-1] > scalar.TABLE_END
        assert np.all(value > 0)


def test_scalars_give_floats_and_arrays_broadcast() -> None:
    assert type(scalar.branching_ratio_per_coupling_squared("Kplus", 1.0)) is float
    assert type(scalar.branching_fraction("Kplus", 1.0, 1e-3)) is float
    assert type(scalar.width(1.0, 1e-3)) is float
    assert type(scalar.lifetime_ctau_cm(1.0, 1e-3)) is float
    assert type(scalar.decay_fraction("mumu", 1.0)) is float
    assert {type(w) for w in scalar.partial_widths_per_coupling_squared(1.0).values()} == {float}
    masses, thetas = np.array([0.1, 0.5, 1.0, 3.0]), np.array([[1e-4], [1e-2]])
    for function in (scalar.width, scalar.lifetime_ctau_cm):
        expected = [[function(float(m), float(t)) for m in masses] for (t,) in thetas]
        np.testing.assert_allclose(function(masses, thetas), expected, rtol=1e-14)
    np.testing.assert_allclose(
        scalar.branching_fraction("Kst0", masses, thetas),
        [
            [scalar.branching_fraction("Kst0", float(m), float(t)) for m in masses]
            for (t,) in thetas
        ],
        rtol=1e-14,
    )
    for final, widths in scalar.partial_widths_per_coupling_squared(masses).items():
        one_by_one = [scalar.partial_widths_per_coupling_squared(float(m))[final] for m in masses]
        np.testing.assert_allclose(widths, one_by_one, rtol=1e-14)
    np.testing.assert_allclose(
        scalar.decay_fraction("mumu", masses),
        [scalar.decay_fraction("mumu", float(m)) for m in masses],
        rtol=1e-14,
    )


@pytest.mark.parametrize("mass", [0.0, -1.0, float("nan"), [1.0, float("inf")]])
def test_masses_that_cannot_be_are_refused(mass: float | list[float]) -> None:
    for call in (
        lambda: scalar.branching_fraction("Kplus", mass, 1e-3),
        lambda: scalar.partial_widths_per_coupling_squared(mass),
        lambda: scalar.width(mass, 1e-3),
        lambda: scalar.lifetime_ctau_cm(mass, 1e-3),
        lambda: scalar.decay_fraction("ee", mass),
        lambda: scalar.width_uncertainty(mass),
    ):
        with pytest.raises(InputError, match="positive, finite mass"):
            call()


@pytest.mark.parametrize(
    ("mass", "message"),
    [(1.0e-3, r"not above 2 m_e .* photons"), ([1.0, 11.0], r"mass 11 GeV .* 2 m_B = 10\.5588")],
)
def test_masses_without_a_known_width_are_refused(mass: object, message: str) -> None:
    for call in (
        lambda: scalar.partial_widths_per_coupling_squared(mass),
        lambda: scalar.width(mass, 1e-3),
        lambda: scalar.lifetime_ctau_cm(mass, 1e-3),
        lambda: scalar.decay_fraction("ee", mass),
    ):
        with pytest.raises(InputError, match=message):
            call()


@pytest.mark.parametrize("final", ["pipi", "KK"])
def test_hadrons_above_2_gev_cannot_be_interpreted(final: str) -> None:
    assert scalar.decay_fraction(final, 2.0) > 0.0
    with pytest.raises(InputError, match=rf"S → {final} is not known above 2 GeV.*at 2\.5 GeV"):
        scalar.decay_fraction(final, [1.0, 2.5])


def test_unknown_names_are_told_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'tautau'.*ee, mumu, pipi, KK"):
        scalar.decay_fraction("tautau", 1.0)
    with pytest.raises(InputError, match=r"'Kp'.*Kplus, KS, Kst0, Kstplus"):
        scalar.branching_fraction("Kp", 1.0, 1e-3)


@pytest.mark.parametrize("mass", [1.2, 3.0])
def test_inputs_can_be_exchanged(mass: float) -> None:
    def hadrons(inputs: Inputs) -> float:
        widths = scalar.partial_widths_per_coupling_squared(mass, inputs=inputs)
        return float(np.nansum([widths["pipi"], widths["KK"], widths["other"]]))

    assert hadrons(Inputs(hadron_factor=1.2)) == pytest.approx(1.2 * hadrons(DEFAULT_INPUTS))
    assert scalar.branching_fraction(
        "Kplus", mass, 1e-3, inputs=Inputs(top_mass=162.5)
    ) == pytest.approx(scalar.branching_fraction("Kplus", mass, 1e-3) * (162.5 / 172.57) ** 4)
    twice = scalar.decay_fraction("ee", mass, inputs=Inputs(electron_mass=1.0219979e-3))
    assert twice / scalar.decay_fraction("ee", mass) == pytest.approx(4.0, rel=1e-4)
    for name in ("alpha_s_mtau", "strange_mass", "charm_mass", "bottom_mass", "other_hadrons"):
        changed = hadrons(Inputs(**{name: 1.1 * getattr(DEFAULT_INPUTS, name)}))
        belongs = (name == "other_hadrons") == (mass < 2.0)
        assert (changed != hadrons(DEFAULT_INPUTS)) == belongs, name
    with pytest.raises(InputError, match="charm_mass"):
        Inputs(charm_mass=float("nan"))


def test_every_input_says_what_it_is() -> None:
    lines = Inputs().table().splitlines()
    for entry in dataclasses.fields(Inputs):
        assert set(entry.metadata) == {"unit", "status", "source"}, entry.name
        assert entry.metadata["status"] in {"read", "derived", "assumed"}, entry.name
        row = next(line for line in lines if line.startswith(entry.name + " "))
        for text in (f"{entry.default:.9g}", *entry.metadata.values()):
            assert text in row


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("electron_mass", "e-"),
        ("muon_mass", "mu-"),
        ("tau_mass", "tau-"),
        ("pion_mass", "pi+"),
        ("d0_mass", "D0"),
    ],
)
def test_masses_are_those_of_the_pdg(field: str, name: str) -> None:
    mass = Particle.from_name(name).mass
    assert getattr(DEFAULT_INPUTS, field) == pytest.approx(mass / 1000, rel=2e-5)


def test_expectation_value_is_that_of_the_fermi_constant() -> None:
    assert (math.sqrt(2) * 1.1663787e-5) ** -0.5 == pytest.approx(
        DEFAULT_INPUTS.higgs_vev, rel=1e-5
    )
