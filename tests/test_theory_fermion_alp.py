"""The fermion-coupled ALP against amplitudes in mpmath and reference numbers."""

from __future__ import annotations

import dataclasses
import inspect
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfit_dark.errors import InputError
from zfit_dark.theory import fermion_alp, scalar
from zfit_dark.theory.fermion_alp import MODES, Inputs

mp = mpmath.mp.clone()
mp.dps = 30
HBAR = mp.mpf("6.582119569e-25")  # GeV s
LIGHT_SPEED = mp.mpf("2.99792458e10")  # cm / s
VEV = mp.mpf("246.22")
LEPTONS = {"ee": "0.51099895e-3", "mumu": "0.1056583755", "tautau": "1.77693"}

# from an evaluation outside this package
RATIO_AT_300_MEV = {"Kplus": 0.60, "Kst0": 0.67}


def amplitude_ratio(mode: str, mass: float, scale: float) -> mp.mpf:
    """B(B → K(*) a)/g_Y² from Γ = |p| Σ|M|² / (8π m_B²) with numbers typed in again.

    The coupling is ∂_μ a s̄_L γ^μ b_L: the divergence of the current gives (m_B² − m_K²) f₀ for K,
    and 2 m_K* A₀ (ε* · q) for K*, each with the 1/2 of the left-handed projector.
    """
    m_b, tau, m_k = {
        "Kplus": (5.27941, 1.638e-12, 0.493677),
        "KS": (5.27972, 1.517e-12, 0.497611),
        "Kst0": (5.27972, 1.517e-12, 0.89555),
        "Kstplus": (5.27941, 1.638e-12, 0.89167),
    }[mode]
    m_b, tau, m_k, m_a = (mp.mpf(v) for v in (m_b, tau, m_k, mass))
    energy = (m_b**2 + m_a**2 - m_k**2) / (2 * m_b)  # of the a
    momentum = mp.sqrt(energy**2 - m_a**2)
    yukawa_squared = 2 * mp.mpf(172.57) ** 2 / VEV**2  # y_t² with m_t = y_t v/√2
    log = mp.log(mp.mpf(scale) / mp.mpf(172.57))
    k_bs = yukawa_squared * mp.mpf(0.0398) / (16 * mp.pi**2) * log / VEV
    if mode in ("Kplus", "KS"):
        f0 = mp.mpf(0.330) / (1 - m_a**2 / mp.mpf(37.46))
        squared = (k_bs / 2 * (m_b**2 - m_k**2) * f0) ** 2
    else:
        a0 = mp.mpf(1.364) / (1 - m_a**2 / m_b**2) - mp.mpf(0.990) / (1 - m_a**2 / mp.mpf(36.78))
        squared = (k_bs / 2 * 2 * m_k * a0) ** 2 * (momentum * m_b / m_k) ** 2
    return momentum * squared / (8 * mp.pi * m_b**2) * tau / HBAR


def lepton_width(mass: float, lepton: str) -> mp.mpf:
    """Γ(a → ℓℓ)/g_Y² from |M|² = (m_ℓ/v)² · 2 m_a²."""
    m, m_l = mp.mpf(mass), mp.mpf(LEPTONS[lepton])
    if m <= 2 * m_l:
        return mp.mpf(0)
    momentum = mp.sqrt(m**2 / 4 - m_l**2)
    return momentum / (8 * mp.pi * m**2) * (m_l / VEV) ** 2 * 2 * m**2


@pytest.mark.parametrize("mode", RATIO_AT_300_MEV)
def test_production_has_the_expected_size(mode: str) -> None:
    ratio = fermion_alp.branching_ratio_per_coupling_squared(mode, 0.3)
    assert ratio == pytest.approx(RATIO_AT_300_MEV[mode], rel=0.015)


@pytest.mark.parametrize("mode", MODES)
@given(fraction=st.floats(1e-3, 1 - 1e-6), scale=st.floats(300.0, 1e9))
def test_production_agrees_with_the_amplitude(mode: str, fraction: float, scale: float) -> None:
    mass = fraction * fermion_alp.kinematic_end(mode)
    ratio = fermion_alp.branching_ratio_per_coupling_squared(mode, mass, inputs=Inputs(scale=scale))
    assert ratio == pytest.approx(
        float(amplitude_ratio(mode, mass, scale)), rel=1e-12 + 1e-15 / (1 - fraction)
    )
    assert fermion_alp.branching_fraction(mode, mass, 0.1) == pytest.approx(
        0.01 * fermion_alp.branching_ratio_per_coupling_squared(mode, mass), rel=1e-14
    )


@given(mass=st.floats(1.03e-3, 10.0))
def test_lepton_widths_agree_with_the_amplitude(mass: float) -> None:
    widths = fermion_alp.partial_widths_per_coupling_squared(mass)
    assert set(widths) == set(LEPTONS)
    for lepton, width in widths.items():
        assert width == pytest.approx(float(lepton_width(mass, lepton)), rel=1e-9, abs=1e-20)


@given(mass=st.floats(1.03e-3, 1.0), g_y=st.floats(1e-8, 1.0))
def test_width_lifetime_and_fractions_belong_together(mass: float, g_y: float) -> None:
    total = mp.mpf(g_y) ** 2 * sum(lepton_width(mass, lepton) for lepton in LEPTONS)
    near = 1e-6 if abs(mass - 0.2113167) < 1e-6 else 1e-9  # β is a difference of rounded numbers
    assert fermion_alp.width(mass, g_y) == pytest.approx(float(total), rel=near)
    assert fermion_alp.lifetime_ctau_cm(mass, g_y) == pytest.approx(
        float(LIGHT_SPEED * HBAR / total), rel=near
    )
    for final in ("ee", "mumu"):
        expected = mp.mpf(g_y) ** 2 * lepton_width(mass, final) / total
        assert fermion_alp.decay_fraction(final, mass) == pytest.approx(
            float(expected), rel=near, abs=1e-9
        )


def test_no_coupling_means_no_decay() -> None:
    assert fermion_alp.width(0.5, 0.0) == 0.0
    assert fermion_alp.lifetime_ctau_cm(0.5, 0.0) == np.inf


def test_scalars_give_floats_and_arrays_broadcast() -> None:
    assert type(fermion_alp.branching_fraction("Kplus", 0.5, 1e-3)) is float
    assert type(fermion_alp.lifetime_ctau_cm(0.5, 1e-3)) is float
    assert type(fermion_alp.decay_fraction("mumu", 0.5)) is float
    assert type(fermion_alp.width_uncertainty(0.5)) is float
    masses, couplings = np.array([0.1, 0.5, 1.0]), np.array([[1e-4], [1e-2]])
    for function in (fermion_alp.width, fermion_alp.lifetime_ctau_cm):
        expected = [[function(float(m), float(g)) for m in masses] for (g,) in couplings]
        np.testing.assert_allclose(function(masses, couplings), expected, rtol=1e-14)
    np.testing.assert_array_equal(
        fermion_alp.width_uncertainty([0.1, 0.4, 0.41, 1.0]), [0.05, 0.05, 0.2, 0.2]
    )


@pytest.mark.parametrize("final", ["pipi", "KK"])
def test_what_cp_forbids_is_refused(final: str) -> None:
    with pytest.raises(InputError, match=f"{final} is forbidden by CP"):
        fermion_alp.decay_fraction(final, 0.5)


def test_unknown_final_states_and_modes_are_refused() -> None:
    with pytest.raises(InputError, match=r"'gammagamma'.*ee, mumu, pipi, KK"):
        fermion_alp.decay_fraction("gammagamma", 0.5)
    with pytest.raises(InputError, match=r"'Kp'.*Kplus, KS, Kst0, Kstplus"):
        fermion_alp.branching_fraction("Kp", 0.5, 1e-3)


@pytest.mark.parametrize(
    ("mass", "message"),
    [
        ([0.5, 1.2], r"mass 1\.2 GeV is above 1 GeV.*hadrons"),
        (1.0e-3, r"not above 2 m_e .* photons"),
        (0.0, "positive, finite mass"),
        (float("nan"), "positive, finite mass"),
    ],
)
def test_masses_without_a_known_width_are_refused(mass: object, message: str) -> None:
    for call in (
        lambda: fermion_alp.width(mass, 1e-3),
        lambda: fermion_alp.lifetime_ctau_cm(mass, 1e-3),
        lambda: fermion_alp.decay_fraction("mumu", mass),
        lambda: fermion_alp.width_uncertainty(mass),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_inputs_can_be_exchanged() -> None:
    later = Inputs(hadron_onset=1.5)
    assert fermion_alp.width(1.2, 1e-3, inputs=later) == pytest.approx(
        1e-6 * sum(fermion_alp.partial_widths_per_coupling_squared(1.2).values())
    )
    ten = fermion_alp.branching_fraction("Kplus", 0.5, 1e-3, inputs=Inputs(scale=1e4))
    one = fermion_alp.branching_fraction("Kplus", 0.5, 1e-3)
    assert ten / one == pytest.approx((math.log(1e4 / 172.57) / math.log(1e3 / 172.57)) ** 2)
    for wrong in (172.57, 100.0, -1.0):
        with pytest.raises(InputError, match="not above the top mass"):
            Inputs(scale=wrong)
    with pytest.raises(InputError, match="scale"):
        Inputs(scale=float("inf"))


def test_every_input_says_what_it_is() -> None:
    lines = Inputs().table().splitlines()
    for entry in dataclasses.fields(Inputs):
        assert entry.metadata["status"] in {"read", "derived", "assumed"}, entry.name
        row = next(line for line in lines if line.startswith(entry.name + " "))
        for text in (f"{entry.default:.9g}", *entry.metadata.values()):
            assert text in row


def test_either_module_can_be_the_model() -> None:
    """Same names; same arguments in the same places, but for the name of the coupling."""
    assert fermion_alp.MODES == scalar.MODES
    assert fermion_alp.FINAL_STATES == scalar.FINAL_STATES
    for name in fermion_alp.__all__:
        mine, theirs = getattr(fermion_alp, name), getattr(scalar, name)
        if inspect.isfunction(mine) and name != "width_uncertainty":
            arguments = [
                [p.replace("g_y", "theta") for p in inspect.signature(f).parameters]
                for f in (mine, theirs)
            ]
            assert arguments[0] == arguments[1], name
    for model in (scalar, fermion_alp):
        signal = model.branching_fraction("Kplus", 0.5, 1e-3) * model.decay_fraction("mumu", 0.5)
        assert 0.0 < signal < model.branching_fraction("Kplus", 0.5, 1e-3)
        assert 0.0 < model.lifetime_ctau_cm(0.5, 1e-3) < np.inf
        assert 0.0 < model.width_uncertainty(0.5) < 1.0
