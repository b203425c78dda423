"""Inelastic dark matter against amplitudes of numerical gamma matrices and reference numbers."""

from __future__ import annotations

import dataclasses
import math

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.polynomial.legendre import leggauss
from particle import Particle
from scipy.integrate import quad

from zfit_dark.errors import InputError
from zfit_dark.theory import inelastic, scalar
from zfit_dark.theory.inelastic import DEFAULT_INPUTS, Inputs, Parameters

ALPHA = 1 / 137.035999178
SQRT_S = 10.58
FB = 3.893793721e11  # 1/GeV² in fb
ELECTRON, MUON, PION = 0.51099895e-3, 0.1056583755, 0.13957


def point(**changes: float) -> Parameters:
    """m_A′ = 3 m_χ₁ and Δm = 0.4 m_χ₁ unless they are given."""
    chi1 = changes.pop("chi1_mass", 1.0)
    values = {
        "aprime_mass": 3.0 * chi1,
        "splitting": 0.4 * chi1,
        "hprime_mass": 0.3,
        "alpha_d": 0.1,
        "epsilon": 1e-3,
        "sin_theta": 1e-4,
    }
    return Parameters(chi1_mass=chi1, **(values | changes))


def near(expected: float, rel: float = 1e-6) -> object:
    """Within this relative tolerance: widths are far below the absolute one that pytest adds."""
    return pytest.approx(expected, rel=rel, abs=0.0)


# ------------------------------------------------------------------ gamma matrices and phase space

PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
ZERO, ONE = np.zeros((2, 2)), np.eye(2)
GAMMA = np.array(
    [np.block([[ONE, ZERO], [ZERO, -ONE]])] + [np.block([[ZERO, s], [-s, ZERO]]) for s in PAULI]
)
METRIC = np.diag([1.0, -1.0, -1.0, -1.0])
UNIT = np.eye(4)


def slash(p: np.ndarray) -> np.ndarray:
    return np.einsum("...m,mij->...ij", p @ METRIC, GAMMA)


def bar(vertex: np.ndarray) -> np.ndarray:
    """γ⁰ V† γ⁰."""
    return np.einsum("ij,...kj,kl->...il", GAMMA[0], vertex.conj(), GAMMA[0])


def tensor(left: np.ndarray, vertex: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Tr[left V^m right V̄^n] of events × matrices, with the vertices events × index × matrices."""
    inner = np.einsum("...ij,...mjk,...kl->...mil", left, vertex, right)
    return np.einsum("...mij,...nji->...mn", inner, bar(vertex))


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("...m,mn,...n->...", a, METRIC, b)


def two_body(mass: np.ndarray, m1: float, m2: float) -> np.ndarray:
    """Momentum of mass → m1 m2 in its rest frame, from the energy of the first."""
    energy = (mass**2 + m1**2 - m2**2) / (2 * mass)
    return np.sqrt(np.maximum(energy**2 - m1**2, 0.0))


def directions(cosine: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    sine = np.sqrt(1 - cosine**2)
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine], axis=-1)


def momentum4(mass: float, momentum: np.ndarray, direction: np.ndarray) -> np.ndarray:
    vector = momentum[..., None] * direction
    return np.concatenate([np.sqrt(mass**2 + momentum**2)[..., None], vector], axis=-1)


def boosted(p: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """From the rest frame of `frame` to where it has this four-momentum."""
    mass = np.sqrt(dot(frame, frame))
    along = np.sum(p[..., 1:] * frame[..., 1:], axis=-1)
    energy = (frame[..., 0] * p[..., 0] + along) / mass
    factor = (along / (frame[..., 0] + mass) + p[..., 0]) / mass
    return np.concatenate(
        [energy[..., None], p[..., 1:] + factor[..., None] * frame[..., 1:]], axis=-1
    )


def angles(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cosine of production, cosine and azimuth of decay, and weights: exact for polynomials."""
    x, w = leggauss(n)
    phi = (np.arange(2 * n) + 0.5) * math.pi / n
    production, decay, azimuth = (a.ravel() for a in np.meshgrid(x, x, phi, indexing="ij"))
    weight = (w[:, None, None] * w[:, None] * np.full(2 * n, math.pi / n)).ravel()
    return production, decay, azimuth, weight


def beam_tensor() -> np.ndarray:
    """¼ Σ of the massless e⁺e⁻ current, lower indices."""
    beams = [np.array([SQRT_S / 2, 0.0, 0.0, sign * SQRT_S / 2]) for sign in (1, -1)]
    return 0.25 * METRIC @ tensor(slash(beams[0]), GAMMA, slash(beams[1])).real @ METRIC


def transverse(q: np.ndarray) -> np.ndarray:
    """−g + q q/q² with upper indices."""
    return -METRIC + np.einsum("...m,...n->...mn", q, q) / dot(q, q)[..., None, None]


def pair_width_by_traces(p: Parameters) -> float:
    """Γ(A′ → χ₁χ₂) = |p|/(8π m²) ⅓ Σ|M|²: two different particles, one current between them."""
    m1, m2 = p.chi1_mass, p.chi1_mass + p.splitting
    momentum = two_body(np.array(p.aprime_mass), m1, m2)
    chi1 = momentum4(m1, momentum, np.array([0.0, 0.6, 0.8]))
    aprime = np.array([p.aprime_mass, 0.0, 0.0, 0.0])
    current = tensor(slash(chi1) + m1 * UNIT, GAMMA, slash(aprime - chi1) - m2 * UNIT)
    squared = np.sum((METRIC @ transverse(aprime) @ METRIC) * current).real
    coupling = 4 * math.pi * p.alpha_d
    return float(momentum / (8 * math.pi * p.aprime_mass**2) * coupling * squared / 3)


def on_shell_by_traces(p: Parameters) -> float:
    """σ(e⁺e⁻ → A′h′) in fb from the coupling 2 g_D q_φ m_A′ of h′A′A′."""
    x, w = leggauss(8)
    momentum = two_body(np.array(SQRT_S), p.aprime_mass, p.hprime_mass)
    aprime = momentum4(p.aprime_mass, momentum * np.ones(8), directions(x, np.zeros(8)))
    g_d, e = math.sqrt(4 * math.pi * p.alpha_d), math.sqrt(4 * math.pi * ALPHA)
    propagator = 1 / (SQRT_S**2 - p.aprime_mass**2)
    coupling = p.epsilon * e * 2 * g_d * p.higgs_charge * p.aprime_mass * propagator
    squared = coupling**2 * np.einsum("mn,imn->i", beam_tensor(), transverse(aprime))
    phase_space = momentum / (16 * math.pi**2 * SQRT_S) * 2 * math.pi
    return float(FB * phase_space * np.sum(w * squared) / (2 * SQRT_S**2))


def cross_section_by_traces(p: Parameters, *, whole: bool, n: int) -> float:
    """σ(e⁺e⁻ → h′χ₁χ₂) in fb, integrated over three-body phase space.

    With `whole`, the propagator of the A′ has its longitudinal part, and χ₁ and χ₂ radiate the h′
    with the couplings ∓Δm/2v of the Majorana masses m_D ∓ Δm/2 that are proportional to v.
    """
    m, m1, m2 = p.aprime_mass, p.chi1_mass, p.chi1_mass + p.splitting
    g_d, e = math.sqrt(4 * math.pi * p.alpha_d), math.sqrt(4 * math.pi * ALPHA)
    vev = m / (p.higgs_charge * g_d)
    gamma = pair_width_by_traces(p)
    low, high = (math.atan((q**2 - m**2) / (m * gamma)) for q in (m1 + m2, SQRT_S - p.hprime_mass))
    x, w = leggauss(n)
    turn = (x + 1) * math.pi / 4  # takes the square roots out of both ends
    t = low + (high - low) * np.sin(turn) ** 2
    dt = w * math.pi / 4 * (high - low) * np.sin(2 * turn)
    production, decay, azimuth, weight = angles(4 if whole else 2)
    total = 0.0
    for t_i, dt_i in zip(t, dt, strict=True):
        q2 = m**2 + m * gamma * math.tan(t_i)
        q = np.full(len(weight), math.sqrt(q2))
        p_q, p_chi = two_body(SQRT_S + 0 * q, q[0], p.hprime_mass), two_body(q, m1, m2)
        aprime = momentum4(q[0], p_q, directions(production, 0 * q))
        hprime = np.array([SQRT_S, 0.0, 0.0, 0.0]) - aprime
        chi1 = boosted(momentum4(m1, p_chi, directions(decay, azimuth)), aprime)
        chi2 = aprime - chi1
        longitudinal = np.einsum("im,ijk->imjk", aprime, slash(aprime)) / (m**2 if whole else q2)
        vertex = 2 * m**2 / vev / (q2 - m**2 + 1j * m * gamma) * (GAMMA - longitudinal)
        if whole:
            first, second = chi1 + hprime, chi2 + hprime
            s1 = (slash(first) + m1 * UNIT) / (dot(first, first) - m1**2)[:, None, None]
            s2 = (-slash(second) + m2 * UNIT) / (dot(second, second) - m2**2)[:, None, None]
            vertex = vertex - p.splitting / (2 * vev) * np.einsum("ijk,mkl->imjl", s1, GAMMA)
            vertex = vertex + p.splitting / (2 * vev) * np.einsum("mjk,ikl->imjl", GAMMA, s2)
        current = tensor(slash(chi1) + m1 * UNIT, vertex, slash(chi2) - m2 * UNIT)
        squared = np.einsum("mn,imn->i", beam_tensor(), current).real
        measure = (p_q / (8 * math.pi * SQRT_S)) * (p_chi / (16 * math.pi**2 * q)) / (2 * math.pi)
        jacobian = ((q2 - m**2) ** 2 + (m * gamma) ** 2) / (m * gamma)
        total += dt_i * jacobian * float(np.sum(weight * measure * squared))
    s_propagator = (SQRT_S**2 - m**2) ** 2 + (m * gamma) ** 2
    return FB * (p.epsilon * e * g_d) ** 2 / s_propagator * total / (2 * SQRT_S**2)


def lepton_width_by_traces(p: Parameters, lepton: float, n: int = 80) -> float:
    """Γ(χ₂ → χ₁ℓℓ) over the Dalitz plot: ½ Σ|M|² / ((2π)³ 32 m₂³) dm²_ℓℓ dm²_χ₁ℓ."""
    m1, m2 = p.chi1_mass, p.chi1_mass + p.splitting
    x, w = leggauss(n)
    turn = (x + 1) * math.pi / 4
    low, high = (2 * lepton) ** 2, p.splitting**2
    q2 = low + (high - low) * np.sin(turn) ** 2
    dq2 = w * math.pi / 4 * (high - low) * np.sin(2 * turn)
    cosine, w_cosine = leggauss(6)
    q2, cosine = (a.ravel() for a in np.meshgrid(q2, cosine, indexing="ij"))
    weight = np.outer(dq2, w_cosine).ravel()
    q = np.sqrt(q2)
    mother = np.array([m2, 0.0, 0.0, 0.0])
    energy = (m2**2 + q2 - m1**2) / (2 * m2)
    p_q = np.sqrt(energy**2 - q2)
    pair = np.stack([energy, 0 * q, 0 * q, p_q], axis=-1)
    p_l = np.sqrt(q2 / 4 - lepton**2)
    minus = boosted(momentum4(lepton, p_l, directions(cosine, 0 * q)), pair)
    plus, chi1 = pair - minus, mother - pair
    dark = tensor(slash(chi1) + m1 * UNIT, GAMMA, slash(mother) + m2 * UNIT)
    leptons = tensor(slash(minus) + lepton * UNIT, GAMMA, slash(plus) - lepton * UNIT)
    coupling = (4 * math.pi * p.epsilon) ** 2 * ALPHA * p.alpha_d / (q2 - p.aprime_mass**2) ** 2
    squared = coupling * np.einsum("imn,ma,nb,iab->i", dark, METRIC, METRIC, leptons).real / 2
    # m²_χ₁ℓ is linear in the cosine: its range is 4 m₂ |p| p_ℓ/q, so half of it per unit of cosine
    slope = 2 * m2 * p_q * p_l / q
    return float(np.sum(weight * slope * squared) / ((2 * math.pi) ** 3 * 32 * m2**3))


# -------------------------------------------------------------------------------- cross sections

# from an evaluation outside this package
REFERENCE_FB = {0.2: 11.0, 1.0: 20.9, 2.5: 133.0}


@pytest.mark.parametrize("chi1_mass", REFERENCE_FB)
def test_cross_section_has_the_expected_size(chi1_mass: float) -> None:
    sigma = inelastic.aprime_cross_section_fb(point(chi1_mass=chi1_mass))
    assert sigma == near(REFERENCE_FB[chi1_mass], rel=0.01)


@given(chi1=st.floats(0.05, 3.4), hprime=st.floats(0.01, 1.9), charge=st.floats(0.5, 3.0))
def test_on_shell_cross_section_agrees_with_traces(
    chi1: float, hprime: float, charge: float
) -> None:
    assume(hprime < 1.9 * chi1 and 3 * chi1 + hprime < SQRT_S - 0.01)
    p = point(chi1_mass=chi1, hprime_mass=hprime, higgs_charge=charge)
    assert inelastic.aprime_cross_section_fb(p) == near(on_shell_by_traces(p), rel=1e-8)


OPEN = [
    point(),
    point(chi1_mass=2.5),
    point(chi1_mass=0.5, splitting=0.05, alpha_d=1.0),
    point(chi1_mass=3.4, hprime_mass=0.05),
]
CLOSED = [
    point(chi1_mass=3.4, aprime_mass=11.0),
    point(chi1_mass=3.0, aprime_mass=15.0, hprime_mass=0.05),
    point(aprime_mass=15.0, hprime_mass=1.5),
    point(aprime_mass=10.5),
]


@pytest.mark.parametrize("p", OPEN + CLOSED)
def test_cross_section_agrees_with_traces(p: Parameters) -> None:
    by_traces = cross_section_by_traces(p, whole=False, n=80)
    # the width to leptons, 1e-6 of the whole, is not in the traces
    assert inelastic.cross_section_fb(p) == near(by_traces, rel=1e-5)


@pytest.mark.parametrize(
    ("p", "tolerance"), [(p, 0.01) for p in OPEN] + [(p, 0.04) for p in CLOSED]
)
def test_what_is_left_out_is_small(p: Parameters, tolerance: float) -> None:
    whole, part = (cross_section_by_traces(p, whole=w, n=30) for w in (True, False))
    assert part == near(whole, rel=tolerance)
    assert part != near(whole, rel=1e-5)


@pytest.mark.parametrize("chi1_mass", REFERENCE_FB)
def test_a_narrow_resonance_is_on_its_shell(chi1_mass: float) -> None:
    off = []
    for alpha_d in (1e-2, 1e-4, 1e-6):
        p = point(chi1_mass=chi1_mass, alpha_d=alpha_d)
        widths = inelastic.aprime_widths(p)
        fraction = widths["chi1chi2"] / sum(widths.values())
        on_shell = inelastic.aprime_cross_section_fb(p) * fraction
        off.append(inelastic.cross_section_fb(p) / on_shell - 1)
        assert abs(off[-1]) < 3 * sum(widths.values()) / p.aprime_mass
    # it vanishes as the width does
    assert off[1] == near(1e-2 * off[0], rel=0.05)
    assert off[2] == near(1e-2 * off[1], rel=0.1)


def test_beyond_threshold_only_the_off_shell_one_is_left() -> None:
    for p in CLOSED:
        assert inelastic.aprime_cross_section_fb(p) == 0.0
        assert inelastic.cross_section_fb(p) > 0.0
    assert inelastic.cross_section_fb(point(aprime_mass=15.0)) < 0.05 * inelastic.cross_section_fb(
        point()
    )
    just_closed = point(chi1_mass=4.3, splitting=1.681, aprime_mass=12.0)
    assert inelastic.cross_section_fb(just_closed) == 0.0
    assert inelastic.cross_section_fb(dataclasses.replace(just_closed, splitting=1.6)) > 0.0
    assert inelastic.cross_section_fb(point(chi1_mass=6.0, hprime_mass=11.0)) == 0.0


# ------------------------------------------------------------------------------------------ widths


@given(
    chi1=st.floats(0.01, 5.0),
    gap=st.floats(0.02, 2.0),
    more=st.floats(1e-3, 3.0),
    a=st.floats(0.01, 5),
)
def test_width_to_dark_matter_agrees_with_traces(
    chi1: float, gap: float, more: float, a: float
) -> None:
    splitting = gap * max(chi1, 0.1)
    p = point(
        chi1_mass=chi1,
        splitting=splitting,
        aprime_mass=(1 + more) * (2 * chi1 + splitting),
        hprime_mass=0.01 * chi1,
        alpha_d=a,
    )
    width = inelastic.aprime_widths(p)["chi1chi2"]
    assert width == near(pair_width_by_traces(p), rel=1e-8)


def test_width_of_equal_masses_is_that_of_a_dirac_pair() -> None:
    p = point(splitting=0.00103)
    r = (p.chi1_mass + 0.000515) ** 2 / 9
    dirac = 0.1 / 3 * 3 * (1 + 2 * r) * math.sqrt(1 - 4 * r)
    assert inelastic.aprime_widths(p)["chi1chi2"] == near(dirac, rel=1e-6)


def test_visible_width_is_that_of_leptons_and_quarks() -> None:
    p = point(chi1_mass=0.5, aprime_mass=5.0)
    leptons = [1.0, 1.0, (1 + 2 * 1.77693**2 / 25) * math.sqrt(1 - 4 * 1.77693**2 / 25)]
    expected = 1e-6 * ALPHA / 3 * 5.0 * (sum(leptons) + 2.2)
    assert inelastic.aprime_widths(p)["visible"] == near(expected, rel=1e-5)
    twice = inelastic.aprime_widths(dataclasses.replace(p, epsilon=2e-3))["visible"]
    assert twice == near(4 * expected, rel=1e-5)


@pytest.mark.parametrize(("final", "lepton"), [("ee", ELECTRON), ("mumu", MUON)])
@pytest.mark.parametrize(
    "p",
    [
        point(),
        point(aprime_mass=2.41),
        point(chi1_mass=2.5),
        point(chi1_mass=0.1, splitting=0.9, aprime_mass=1.2, hprime_mass=0.15),
    ],
)
def test_lepton_widths_agree_with_traces(p: Parameters, final: str, lepton: float) -> None:
    width = inelastic.chi2_partial_widths(p)[final]
    assert width == near(lepton_width_by_traces(p, lepton), rel=2e-6)


def fifth_power(p: Parameters) -> float:
    """4 ε² α α_D Δm⁵/(15π m_A′⁴), to which the width tends for m_e ≪ Δm ≪ m_χ₁."""
    return 4 * p.epsilon**2 * ALPHA * p.alpha_d * p.splitting**5 / (15 * math.pi * p.aprime_mass**4)


@pytest.mark.parametrize("chi1_mass", [0.2, 1.0, 2.5])
def test_width_is_smaller_than_the_fifth_power(chi1_mass: float) -> None:
    p = point(chi1_mass=chi1_mass)
    ratio = inelastic.chi2_partial_widths(p)["ee"] / fifth_power(p)
    assert ratio == near(0.64, rel=0.01)


def test_small_splitting_is_the_fifth_power() -> None:
    for splitting in (0.1, 0.3):
        p = point(chi1_mass=1000 * splitting, splitting=splitting)
        width = inelastic.chi2_partial_widths(p, inputs=Inputs(electron_mass=1e-6))["ee"]
        assert width == near(fifth_power(p), rel=0.002)


# ----------------------------------------------------------------------------------------- hadrons


def pion_ratio(q2: float) -> mpmath.mpf:
    """R(π⁺π⁻) with the numbers of Kühn and Santamaria typed in again."""

    def resonance(m: str, width: str) -> mpmath.mpc:
        mass = mpmath.mpf(m)
        beta = mpmath.sqrt(1 - 4 * mpmath.mpf(PION) ** 2 / q2)
        on_shell = mpmath.sqrt(1 - 4 * mpmath.mpf(PION) ** 2 / mass**2)
        # √q² Γ(q²) = Γ m² /√q² (p/p_m)³ with p = ½ √q² β
        imaginary = mpmath.mpf(width) * q2 / mass * (beta / on_shell) ** 3
        return mass**2 / mpmath.mpc(mass**2 - q2, -imaginary)

    weight = mpmath.mpf("-0.145")
    form = (resonance("0.773", "0.145") + weight * resonance("1.370", "0.510")) / (1 + weight)
    return (1 - 4 * mpmath.mpf(PION) ** 2 / q2) ** mpmath.mpf(1.5) * abs(form) ** 2 / 4


@given(q=st.floats(0.2793, 1.25))
def test_pions_are_those_of_the_form_factor(q: float) -> None:
    expected = float(pion_ratio(q**2))
    assert inelastic.hadron_ratio(q) == near(expected, rel=1e-9)


def test_hadrons_begin_with_pions_and_end_with_quarks() -> None:
    assert inelastic.hadron_ratio(0.27) == 0.0
    assert inelastic.hadron_ratio(2 * PION) == 0.0
    assert inelastic.hadron_ratio(1.2500001) == inelastic.hadron_ratio(2.9) == 2.2


def test_pions_make_the_anomalous_moment_that_is_stated() -> None:
    def kernel(s: float) -> float:
        return quad(lambda x: x**2 * (1 - x) / (x**2 + (1 - x) * s / MUON**2), 0, 1)[0]

    def integrand(q: float) -> float:
        ratio = inelastic.hadron_ratio(q, inputs=Inputs(quark_onset=2.0))
        return kernel(q**2) * ratio * 2 / q

    moment = (ALPHA / math.pi) ** 2 / 3 * quad(integrand, 2 * PION, 1.8, epsrel=1e-6)[0]
    assert moment == near(485e-10, rel=0.002)
    # M. Davier et al., arXiv:1908.00921: 507.9e-10; A. Keshavarzi et al., 1911.00367: 503.5e-10
    assert moment == near(505e-10, rel=0.05)


NARROW = 9 * math.pi / ALPHA**2 * np.array([0.78266 * 6.43e-7, 1.01946 * 1.259e-6])


def test_quarks_begin_where_resonances_average_to_them() -> None:
    end = DEFAULT_INPUTS.quark_onset
    resonances = quad(lambda s: float(pion_ratio(s)), 4 * PION**2, end**2)[0] + NARROW.sum()
    assert resonances == near(2.2 * end**2, rel=0.01)
    assert DEFAULT_INPUTS.quark_ratio == near(2 * (1 + 0.314 / math.pi), rel=1e-3)


def massless_rate(p: Parameters, q2: float) -> float:
    """dΓ/dq² as published, for massless leptons."""
    m1, m2 = p.chi1_mass, p.chi1_mass + p.splitting
    kallen = m1**4 + m2**4 + q2**2 - 2 * (m1**2 * m2**2 + m1**2 * q2 + m2**2 * q2)
    coupling = p.epsilon**2 * ALPHA * p.alpha_d / (6 * math.pi)
    shape = (p.splitting**2 - q2) * ((m1 + m2) ** 2 + 2 * q2) / (p.aprime_mass**2 - q2) ** 2
    return coupling * math.sqrt(max(kallen, 0.0)) / (2 * m2**3) * shape


@pytest.mark.parametrize("splitting", [0.25, 0.5, 0.9, 1.1, 1.4, 2.9])
def test_width_to_hadrons_is_that_of_pions_resonances_and_quarks(splitting: float) -> None:
    p = point(chi1_mass=2.5, splitting=splitting, aprime_mass=9.0)
    onset = min(splitting, 1.25) ** 2
    expected = sum(
        massless_rate(p, mass**2) * strength
        for mass, strength in zip((0.78266, 1.01946), NARROW, strict=True)
        if mass < splitting
    )
    if splitting > 2 * PION:
        pions, _ = quad(lambda s: massless_rate(p, s) * float(pion_ratio(s)), 4 * PION**2, onset)
        expected += pions + 2.2 * quad(lambda s: massless_rate(p, s), onset, splitting**2)[0]
    hadrons = inelastic.chi2_partial_widths(p)["hadrons"]
    assert hadrons == near(expected, rel=1e-5)
    assert (hadrons > 0.0) == (splitting > 2 * PION)


def test_narrow_resonances_are_their_breit_wigner() -> None:
    p = point(chi1_mass=2.5, splitting=1.4)
    without = Inputs(omega_ee_width=0.0, phi_ee_width=0.0)
    narrow = inelastic.chi2_partial_widths(p)["hadrons"]
    narrow -= inelastic.chi2_partial_widths(p, inputs=without)["hadrons"]
    wide = 0.0
    for mass, width, ee in ((0.78266, 8.68e-3, 6.43e-7), (1.01946, 4.249e-3, 1.259e-6)):

        def peak(s: float, mass: float = mass, width: float = width, ee: float = ee) -> float:
            lorentz = ee * width / ((s - mass**2) ** 2 + (mass * width) ** 2)
            return massless_rate(p, s) * 9 * s / ALPHA**2 * lorentz

        low, high = (mass - 20 * width) ** 2, (mass + 20 * width) ** 2
        wide += quad(peak, low, high, points=[mass**2])[0]
    # beyond 20 widths there is 2/(40π) of a Lorentz curve on each side
    assert narrow == near(wide, rel=0.04)


# ------------------------------------------------------------------------- how all belongs together


@given(
    chi1=st.floats(0.02, 4.5),
    gap=st.floats(0.03, 1.0),
    more=st.floats(1e-3, 2.0),
    hprime=st.floats(0.05, 0.95),
    log_alpha=st.floats(-6.0, 1.0),
)
def test_every_point_has_its_predictions(
    chi1: float, gap: float, more: float, hprime: float, log_alpha: float
) -> None:
    splitting = gap * min(max(chi1, 0.05), 2.9)
    p = point(
        chi1_mass=chi1,
        splitting=splitting,
        aprime_mass=(1 + more) * (2 * chi1 + splitting),
        hprime_mass=2 * hprime * chi1,
        alpha_d=10**log_alpha,
    )
    sigma = inelastic.cross_section_fb(p)
    is_open = p.chi_pair_mass + p.hprime_mass < SQRT_S
    assert math.isfinite(sigma)
    assert (sigma > 0.0) == is_open
    widths = inelastic.chi2_partial_widths(p)
    assert all(width >= 0.0 for width in widths.values())
    assert (widths["mumu"] > 0.0) == (splitting > 2 * MUON)
    assert (widths["hadrons"] > 0.0) == (splitting > 2 * PION)
    total = inelastic.chi2_width(p)
    assert total == near(sum(widths.values()), rel=1e-13)
    fractions = {final: inelastic.chi2_decay_fraction(final, p) for final in widths}
    assert sum(fractions.values()) == near(1.0, rel=1e-13)
    assert fractions["ee"] == near(widths["ee"] / total, rel=1e-13)
    ctau = 2.99792458e10 * 6.582119569e-25 / total
    assert inelastic.chi2_lifetime_ctau_cm(p) == near(ctau, rel=1e-9)


def test_couplings_enter_by_their_powers() -> None:
    p = point(chi1_mass=0.8, alpha_d=0.02)
    smaller = dataclasses.replace(p, epsilon=p.epsilon / 3)
    weaker = dataclasses.replace(p, alpha_d=p.alpha_d / 2)
    charged = dataclasses.replace(p, higgs_charge=1.0)
    mixed = dataclasses.replace(p, sin_theta=0.3)
    for function, power in (
        (inelastic.aprime_cross_section_fb, (1 / 9, 1 / 2, 1 / 4)),
        (inelastic.chi2_width, (1 / 9, 1 / 2, 1.0)),
    ):
        for q, expected in zip((smaller, weaker, charged), power, strict=True):
            assert function(q) == near(expected * function(p), rel=1e-12)
    assert inelastic.cross_section_fb(smaller) == near(inelastic.cross_section_fb(p) / 9, rel=1e-5)
    assert inelastic.signal_cross_section_fb(mixed) == inelastic.signal_cross_section_fb(p)


def test_signal_is_the_product_of_its_parts() -> None:
    p = point(chi1_mass=1.5, hprime_mass=1.1)
    common = inelastic.cross_section_fb(p) * inelastic.chi2_decay_fraction("ee", p)
    each = {f: common * scalar.decay_fraction(f, 1.1) for f in ("mumu", "pipi", "KK")}
    for final, expected in each.items():
        assert expected > 0.0
        assert inelastic.signal_cross_section_fb(p, [final]) == near(expected, rel=1e-12)
    assert inelastic.signal_cross_section_fb(p) == near(sum(each.values()), rel=1e-12)


def test_inputs_can_be_exchanged() -> None:
    p = point(chi1_mass=2.5)
    default = inelastic.chi2_partial_widths(p)
    more = inelastic.chi2_partial_widths(p, inputs=Inputs(vector_hadrons=1.1))
    assert more["hadrons"] == near(1.1 * default["hadrons"], rel=1e-13)
    assert more["ee"] == default["ee"]
    stronger = Inputs(fine_structure=2 * DEFAULT_INPUTS.fine_structure)
    for function in (inelastic.aprime_cross_section_fb, inelastic.cross_section_fb):
        assert function(p, inputs=stronger) == near(2 * function(p), rel=1e-5)
    closed = Inputs(sqrt_s=7.7)
    assert inelastic.aprime_cross_section_fb(p, inputs=closed) == 0.0
    assert inelastic.cross_section_fb(p, inputs=closed) > 0.0
    assert inelastic.signal_cross_section_fb(p, inputs=Inputs(hadron_factor=2.0)) != (
        inelastic.signal_cross_section_fb(p)
    )
    for name in ("rho_mass", "rho_width", "rhop_mass", "rhop_width", "rhop_weight", "omega_mass"):
        changed = Inputs(**{name: 1.05 * getattr(DEFAULT_INPUTS, name)})
        assert inelastic.chi2_partial_widths(p, inputs=changed)["hadrons"] != default["hadrons"]
    with pytest.raises(InputError, match="phi_mass"):
        Inputs(phi_mass=float("inf"))


def test_every_input_says_what_it_is() -> None:
    lines = Inputs().table().splitlines()
    for entry in dataclasses.fields(Inputs):
        assert set(entry.metadata) == {"unit", "status", "source"}, entry.name
        assert entry.metadata["status"] in {"read", "derived", "assumed"}, entry.name
        assert any(line.startswith(entry.name + " ") for line in lines)


def test_masses_are_those_of_the_pdg() -> None:
    for field, name in (("omega_mass", "omega(782)0"), ("phi_mass", "phi(1020)0")):
        mass = Particle.from_evtgen_name(name.split("(")[0]).mass
        assert getattr(DEFAULT_INPUTS, field) == near(mass / 1000, rel=2e-5)
    assert 1 / DEFAULT_INPUTS.fine_structure == near(137.035999178, rel=1e-10)


def test_parameters_print_with_their_units() -> None:
    lines = str(point()).splitlines()
    assert lines == [
        "aprime_mass   3          GeV",
        "chi1_mass     1          GeV",
        "splitting     0.4        GeV",
        "hprime_mass   0.3        GeV",
        "alpha_d       0.1",
        "epsilon       0.001",
        "sin_theta     0.0001",
        "higgs_charge  2",
    ]
    assert point().chi2_mass == near(1.4)
    assert point().chi_pair_mass == near(2.4)


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Parameters)])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_numbers_that_cannot_be_are_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"{name} = .*: give a positive, finite number"):
        dataclasses.replace(point(), **{name: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha_d": 12.6}, r"alpha_d = 12\.6: give less than 12\.57"),
        ({"epsilon": 1.0}, "epsilon = 1: give less than 1"),
        ({"sin_theta": 1.01}, r"sin_theta = 1\.01: a sine is not above 1"),
        ({"aprime_mass": 2.4}, r"A′ → χ₁χ₂ is closed at m_A′ = 2\.4 GeV.*= 2\.4 GeV: .*visibly"),
        ({"splitting": 0.001}, r"χ₂ → χ₁ee is closed at Δm = 0\.001 GeV: .* 2 m_e = 0\.001022 GeV"),
        ({"hprime_mass": 2.0}, r"h′ → χ₁χ₁ is open at m_h′ = 2 GeV, 2 m_χ₁ = 2 GeV: .*invisibly"),
    ],
)
def test_points_of_another_search_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        point(**changes)
    assert "\n" not in str(caught.value)


def test_hadrons_with_charm_are_refused() -> None:
    p = point(chi1_mass=0.5, splitting=3.0, aprime_mass=6.0)
    for function in (
        inelastic.chi2_partial_widths,
        inelastic.chi2_width,
        inelastic.chi2_lifetime_ctau_cm,
        inelastic.signal_cross_section_fb,
    ):
        with pytest.raises(
            InputError, match=r"not computed at Δm = 3 GeV, only below 3 GeV.*charm"
        ):
            function(p)
    assert inelastic.cross_section_fb(p) > 0.0


def test_unknown_names_are_told_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'pipi': give one of ee, mumu, hadrons"):
        inelastic.chi2_decay_fraction("pipi", point())
    with pytest.raises(InputError, match=r"'tautau'.*ee, mumu, pipi, KK"):
        inelastic.signal_cross_section_fb(point(), ["tautau"])
    with pytest.raises(InputError, match=r"S → pipi is not known above 2 GeV"):
        inelastic.signal_cross_section_fb(point(chi1_mass=2.5, hprime_mass=2.5))
    assert inelastic.signal_cross_section_fb(point(chi1_mass=2.5, hprime_mass=2.5), ["mumu"]) > 0.0
