"""The ALP predictions against an amplitude-level calculation in mpmath, written another way."""

from __future__ import annotations

import dataclasses

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from particle import Particle

from zfit_dark.errors import InputError
from zfit_dark.theory import alp
from zfit_dark.theory.alp import DEFAULT_INPUTS, MODES, Inputs

mp = mpmath.mp.clone()  # a context of its own: the precision is not shared
mp.dps = 40
HBAR = mp.mpf("6.582119569e-25")  # GeV s
LIGHT_SPEED = mp.mpf("2.99792458e10")  # cm / s

# at 1 GeV, from an evaluation outside this package
RATIO_AT_1_GEV = {"Kplus": 1940.0, "KS": 1796.0, "Kstplus": 2306.0, "Kst0": 2134.0}


def loop_integral(x: mp.mpf) -> mp.mpf:
    """f(x) as a Feynman-parameter integral, regular at x = 1."""
    return x * mp.quad(lambda u: (1 - u) / (1 + (x - 1) * u), [0, 1])


def amplitude_ratio(mode: str, mass: float) -> mp.mpf:
    """B(B → K(*) a)/g² from Γ = |p| Σ|M|² / (8π m_B²) with numbers typed in again."""
    m_b, tau, m_k = {
        "Kplus": (5.27941, 1.638e-12, 0.493677),
        "KS": (5.27972, 1.517e-12, 0.497611),
        "Kst0": (5.27972, 1.517e-12, 0.89555),
        "Kstplus": (5.27941, 1.638e-12, 0.89167),
    }[mode]
    m_b, tau, m_k, m_a = (mp.mpf(v) for v in (m_b, tau, m_k, mass))
    energy = (m_b**2 + m_a**2 - m_k**2) / (2 * m_b)  # of the a
    momentum = mp.sqrt(energy**2 - m_a**2)
    g_weak_squared = 8 * mp.mpf(1.1663787e-5) * mp.mpf(80.369) ** 2 / mp.sqrt(2)
    x_top = (mp.mpf(172.57) / mp.mpf(80.369)) ** 2
    g_abs = 3 * g_weak_squared / (64 * mp.pi**2) * mp.mpf(0.0404) * loop_integral(x_top)
    if mode in ("Kplus", "KS"):
        f0 = mp.mpf(0.330) / (1 - m_a**2 / mp.mpf(37.46))
        squared = (g_abs / 2 * (m_b**2 - m_k**2) * f0) ** 2
    else:
        a0 = mp.mpf(1.364) / (1 - m_a**2 / m_b**2) - mp.mpf(0.990) / (1 - m_a**2 / mp.mpf(36.78))
        polarisation_sum = (momentum * m_b / m_k) ** 2  # Σ |ε* · q|²
        squared = (g_abs * m_k * a0) ** 2 * polarisation_sum
    return momentum * squared / (8 * mp.pi * m_b**2) * tau / HBAR


@given(x=st.floats(1e-6, 1e4))
def test_loop_function_is_its_integral(x: float) -> None:
    assert alp.loop_function(x) == pytest.approx(float(loop_integral(mp.mpf(x))), rel=5e-14)


@pytest.mark.parametrize("x", [0.8, 0.8 - 1e-12, 1 - 1e-9, 1.0, 1 + 1e-9, 1.2, 1.2 + 1e-12])
def test_loop_function_joins_its_series(x: float) -> None:
    assert alp.loop_function(x) == pytest.approx(float(loop_integral(mp.mpf(x))), rel=5e-14)


@pytest.mark.parametrize("x", [0.0, -1.0, float("nan"), float("inf")])
def test_loop_function_refuses(x: float) -> None:
    with pytest.raises(InputError, match="loop function"):
        alp.loop_function(x)


@pytest.mark.parametrize("mode", MODES)
def test_ratio_has_the_expected_size_at_1_gev(mode: str) -> None:
    ratio = alp.branching_ratio_per_coupling_squared(mode, 1.0)
    assert ratio == pytest.approx(RATIO_AT_1_GEV[mode], rel=0.01)


@pytest.mark.parametrize("mode", MODES)
@given(fraction=st.floats(1e-3, 1 - 1e-6))
def test_ratio_agrees_with_the_amplitude(mode: str, fraction: float) -> None:
    mass = fraction * alp.kinematic_end(mode)
    ratio = alp.branching_ratio_per_coupling_squared(mode, mass)
    # the distance to the end is rounded to EPS of m_B
    assert ratio == pytest.approx(
        float(amplitude_ratio(mode, mass)), rel=1e-12 + 1e-15 / (1 - fraction)
    )


@pytest.mark.parametrize(
    ("mode", "parent", "kaon"),
    [
        ("Kplus", "B+", "K+"),
        ("KS", "B0", "K0"),
        ("Kst0", "B0", "K*(892)0"),
        ("Kstplus", "B+", "K*(892)+"),
    ],
)
def test_modes_close_at_the_mass_difference(mode: str, parent: str, kaon: str) -> None:
    end = alp.kinematic_end(mode)
    masses = [Particle.from_evtgen_name(parent).mass, Particle.from_name(kaon).mass]
    assert end == pytest.approx((masses[0] - masses[1]) / 1000, abs=1e-3)
    inside, on, beyond = alp.branching_ratio_per_coupling_squared(
        mode, [end - 1e-6, end, end + 0.1]
    )
    assert inside > 0.0
    assert on == beyond == 0.0
    assert alp.branching_fraction(mode, end + 0.1, 1e-5) == 0.0


def test_form_factors_at_zero_are_the_published_ones() -> None:
    # f+(0) = f0(0) = 0.331 ± 0.041 and A0(0) = 0.374 ± 0.034 in the tables of Ball and Zwicky
    assert alp.form_factor_f0(0.0) == pytest.approx(0.331, abs=0.002)
    assert alp.form_factor_a0(0.0, 5.28) == pytest.approx(0.374, abs=0.001)


def test_lifetime_has_the_expected_size() -> None:
    assert 10 * alp.lifetime_ctau_cm(1.0, 1e-5) == pytest.approx(7.42, rel=0.005)  # mm


@given(mass=st.floats(0.05, 5.0), g_aw=st.floats(1e-8, 1e-2))
def test_width_and_lifetime_agree_with_the_photon_coupling(mass: float, g_aw: float) -> None:
    g_photon = mp.mpf(g_aw) * mp.mpf(0.23122)
    gamma = g_photon**2 * mp.mpf(mass) ** 3 / (64 * mp.pi)
    assert alp.width(mass, g_aw) == pytest.approx(float(gamma), rel=1e-13)
    # c ħ/Γ from c and ħ apart: their product is rounded to ten digits in the module
    assert alp.lifetime_ctau_cm(mass, g_aw) == pytest.approx(
        float(LIGHT_SPEED * HBAR / gamma), rel=1e-9
    )


def test_no_coupling_means_no_decay() -> None:
    assert alp.width(1.0, 0.0) == 0.0
    assert alp.lifetime_ctau_cm(1.0, 0.0) == np.inf
    assert alp.branching_fraction("Kplus", 1.0, 0.0) == 0.0


@pytest.mark.parametrize("mode", MODES)
@given(fraction=st.floats(0.01, 0.99), g_aw=st.floats(1e-8, 1e-2))
def test_coupling_inverts_branching_fraction(mode: str, fraction: float, g_aw: float) -> None:
    mass = fraction * alp.kinematic_end(mode)
    bf = alp.branching_fraction(mode, mass, g_aw)
    assert bf == pytest.approx(
        g_aw**2 * alp.branching_ratio_per_coupling_squared(mode, mass), rel=1e-14
    )
    assert alp.coupling_from_branching_fraction(mode, mass, bf) == pytest.approx(g_aw, rel=1e-14)


def test_coupling_keeps_limits_that_do_not_exist_and_refuses_what_cannot_be() -> None:
    couplings = alp.coupling_from_branching_fraction("Kplus", [1.0, 2.0], [np.nan, 0.0])
    assert np.isnan(couplings[0])
    assert couplings[1] == 0.0
    with pytest.raises(InputError, match=r"closed from .* 4\.38417 GeV .* 4\.5 GeV"):
        alp.coupling_from_branching_fraction("Kst0", [1.0, 4.5], 1e-7)
    with pytest.raises(InputError, match="negative"):
        alp.coupling_from_branching_fraction("Kst0", 1.0, -1e-7)


def test_scalars_give_floats_and_arrays_broadcast() -> None:
    assert type(alp.branching_ratio_per_coupling_squared("Kplus", 1.0)) is float
    assert type(alp.branching_fraction("Kplus", 1.0, 1e-5)) is float
    assert type(alp.coupling_from_branching_fraction("Kplus", 1.0, 1e-7)) is float
    assert type(alp.width(1.0, 1e-5)) is float
    assert type(alp.lifetime_ctau_cm(1.0, 1e-5)) is float
    masses, couplings = np.array([0.5, 1.0, 4.7]), np.array([[1e-5], [1e-4]])
    for function in (alp.width, alp.lifetime_ctau_cm):
        expected = [[function(float(m), float(g)) for m in masses] for (g,) in couplings]
        np.testing.assert_allclose(function(masses, couplings), expected, rtol=1e-14)
    for mode in MODES:
        grid = alp.branching_fraction(mode, masses, couplings)
        expected = [
            [alp.branching_fraction(mode, float(m), float(g)) for m in masses] for (g,) in couplings
        ]
        np.testing.assert_allclose(grid, expected, rtol=1e-14)


@pytest.mark.parametrize("mass", [0.0, -1.0, float("nan"), [1.0, float("inf")]])
def test_masses_that_cannot_be_are_refused(mass: float | list[float]) -> None:
    for call in (
        lambda: alp.branching_ratio_per_coupling_squared("Kplus", mass),
        lambda: alp.branching_fraction("Kplus", mass, 1e-5),
        lambda: alp.coupling_from_branching_fraction("Kplus", mass, 1e-7),
        lambda: alp.width(mass, 1e-5),
        lambda: alp.lifetime_ctau_cm(mass, 1e-5),
    ):
        with pytest.raises(InputError, match="positive, finite mass"):
            call()


def test_unknown_mode_is_told_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'Kp'.*Kplus, KS, Kst0, Kstplus"):
        alp.branching_fraction("Kp", 1.0, 1e-5)


def test_inputs_can_be_exchanged() -> None:
    ms_bar = Inputs(top_mass=162.5)
    f_ratio = alp.loop_function((162.5 / 80.369) ** 2) / alp.loop_function((172.57 / 80.369) ** 2)
    default, changed = (
        alp.coupling_from_branching_fraction("Kplus", 1.0, 1e-7, inputs=i)
        for i in (DEFAULT_INPUTS, ms_bar)
    )
    assert changed / default == pytest.approx(1 / f_ratio, rel=1e-13)
    assert changed / default == pytest.approx(1.06, abs=0.01)
    assert alp.width(1.0, 1e-5, inputs=Inputs(sin2_theta_w=0.5)) == pytest.approx(
        0.25e-10 / (64 * np.pi)
    )
    assert alp.kinematic_end("Kplus", inputs=Inputs(bplus_mass=6.0)) == pytest.approx(
        6.0 - 0.493677
    )
    with pytest.raises(InputError, match="top_mass"):
        Inputs(top_mass=float("nan"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        ms_bar.top_mass = 1.0  # type: ignore[misc]


def test_every_input_says_what_it_is() -> None:
    for entry in dataclasses.fields(Inputs):
        assert set(entry.metadata) == {"unit", "status", "source"}, entry.name
        assert entry.metadata["status"] in {"read", "derived", "assumed"}, entry.name
        assert entry.metadata["source"], entry.name
        row = next(
            line for line in Inputs().table().splitlines() if line.startswith(entry.name + " ")
        )
        for text in (f"{entry.default:.9g}", *entry.metadata.values()):
            assert text in row
    changed = Inputs(vtb_vts=0.041).table()
    assert "0.041" in changed
    assert "given instead of 0.0404" in changed
    assert changed.count(" user ") == 1


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("w_mass", "W+"),
        ("top_mass", "t"),
        ("bplus_mass", "B+"),
        ("b0_mass", "B0"),
        ("kplus_mass", "K+"),
        ("k0_mass", "K0"),
        ("kst0_mass", "K*(892)0"),
        ("kstplus_mass", "K*(892)+"),
    ],
)
def test_masses_are_those_of_the_pdg(field: str, name: str) -> None:
    pdg = Particle.from_name(name)
    assert getattr(DEFAULT_INPUTS, field) == pytest.approx(pdg.mass / 1000, rel=3e-4)


@pytest.mark.parametrize(("field", "name"), [("bplus_lifetime", "B+"), ("b0_lifetime", "B0")])
def test_lifetimes_are_those_of_the_pdg(field: str, name: str) -> None:
    pdg = Particle.from_name(name)
    assert getattr(DEFAULT_INPUTS, field) == pytest.approx(pdg.lifetime * 1e-9, rel=5e-3)
