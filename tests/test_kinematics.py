"""Kinematics against mpmath at 50 digits, at threshold as elsewhere."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from zfit_dark.errors import InputError
from zfit_dark.kinematics import (
    beam_constrained_mass,
    daughter_mass,
    delta_e,
    invariant_mass,
    modified_mass,
    modified_mass_jacobian,
    two_body_momentum,
)

mp = mpmath.mp.clone()  # a context of its own: the precision is not shared
mp.dps = 50
EPS = np.finfo(float).eps
daughters = st.floats(1e-4, 2.0)
above = st.floats(1e-15, 30.0)  # (M - 2m) / 2m


def exact_modified_mass(mass: float, m: float) -> mp.mpf:
    return mp.sqrt(mp.mpf(mass) ** 2 - 4 * mp.mpf(m) ** 2)


def exact_momentum(parent: float, m1: float, m2: float) -> mp.mpf:
    a, b, c = (mp.mpf(m) ** 2 for m in (parent, m1, m2))
    kallen = a**2 + b**2 + c**2 - 2 * a * b - 2 * a * c - 2 * b * c
    return mp.sqrt(kallen) / (2 * mp.mpf(parent))


@pytest.mark.parametrize(
    ("name", "pdg_mass"),
    [("e", 0.51099895e-3), ("mu", 0.1056583755), ("pi", 0.13957039), ("K", 0.493677)],
)
def test_daughter_masses_are_those_of_the_pdg(name: str, pdg_mass: float) -> None:
    assert daughter_mass(name) == pytest.approx(pdg_mass, rel=1e-7)


def test_daughter_mass_returns_a_number_as_it_is() -> None:
    assert daughter_mass(0.3) == 0.3


@pytest.mark.parametrize("bad", ["muon", "", 0.0, -0.1, float("nan"), float("inf")])
def test_daughter_mass_refuses(bad: str | float) -> None:
    with pytest.raises(InputError, match="daughter"):
        daughter_mass(bad)


@given(m=daughters, excess=above)
def test_modified_mass_keeps_full_precision_down_to_threshold(m: float, excess: float) -> None:
    mass = 2 * m * (1 + excess)
    assert float(abs(modified_mass(mass, m) / exact_modified_mass(mass, m) - 1)) < 4 * EPS


@given(m=daughters, m_prime=st.floats(1e-9, 30.0))
def test_invariant_mass_is_exact(m: float, m_prime: float) -> None:
    exact = mp.sqrt(mp.mpf(m_prime) ** 2 + 4 * mp.mpf(m) ** 2)
    assert float(abs(invariant_mass(m_prime, m) / exact - 1)) < 4 * EPS


@given(m=daughters, excess=above)
def test_invariant_mass_inverts_modified_mass(m: float, excess: float) -> None:
    mass = 2 * m * (1 + excess)
    assert invariant_mass(modified_mass(mass, m), m) == pytest.approx(mass, rel=8 * EPS)


@given(m=daughters, ratio=st.floats(0.01, 30.0))
def test_modified_mass_inverts_invariant_mass(m: float, ratio: float) -> None:
    m_prime = 2 * m * ratio
    # M is rounded to EPS, which M′² = M² − 4m² magnifies by (M/M′)²
    conditioning = 1 + 1 / ratio**2
    back = modified_mass(invariant_mass(m_prime, m), m)
    assert back == pytest.approx(m_prime, rel=8 * EPS * conditioning)


@pytest.mark.parametrize("daughter", ["e", "mu", "pi", "K", 0.25])
def test_threshold_is_exact(daughter: str | float) -> None:
    threshold = 2 * daughter_mass(daughter)
    assert modified_mass(threshold, daughter) == 0.0
    assert invariant_mass(0.0, daughter) == threshold
    assert modified_mass_jacobian(threshold, daughter) == np.inf
    one_up = np.nextafter(threshold, 1e9)
    exact = float(exact_modified_mass(float(one_up), daughter_mass(daughter)))
    assert modified_mass(one_up, daughter) == pytest.approx(exact, rel=4 * EPS)


@given(m=daughters, excess=st.floats(1e-3, 30.0))
def test_jacobian_is_the_derivative(m: float, excess: float) -> None:
    mass = 2 * m * (1 + excess)
    derivative = mp.diff(lambda x: mp.sqrt(x**2 - 4 * mp.mpf(m) ** 2), mp.mpf(mass))
    assert modified_mass_jacobian(mass, m) == pytest.approx(float(derivative), rel=1e-13)


def test_scalars_give_floats_and_arrays_keep_their_shape() -> None:
    assert type(modified_mass(1.0, "mu")) is float
    assert type(invariant_mass(1.0, "mu")) is float
    assert type(modified_mass_jacobian(1.0, "mu")) is float
    assert type(delta_e(5.3, 5.29)) is float
    assert type(beam_constrained_mass(5.29, 0.1, 0.2, 0.2)) is float
    assert type(two_body_momentum(5.28, 0.5, 1.0)) is float
    masses = np.array([[1.0, 2.0, 3.0], [0.5, 0.6, 0.7]])
    np.testing.assert_array_equal(
        modified_mass(masses, "pi"),
        [[modified_mass(float(x), "pi") for x in row] for row in masses],
    )
    assert modified_mass([], "pi").shape == (0,)
    assert two_body_momentum([[5.2], [5.3]], 0.5, [0.1, 0.2, 0.3]).shape == (2, 3)
    assert beam_constrained_mass([5.29, 5.28], [[0.1]], 0.0, 0.0).shape == (1, 2)


def test_below_threshold_names_value_threshold_and_count() -> None:
    with pytest.raises(InputError, match=r"mass 0\.2 GeV .*2m = 0\.211316751 GeV$"):
        modified_mass(0.2, "mu")
    with pytest.raises(InputError, match=r"mass 0\.2 GeV .*\(2 of 3 values\)"):
        modified_mass_jacobian([1.0, 0.2, 0.1], "mu")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused_everywhere(bad: float) -> None:
    for call in (
        lambda: modified_mass([1.0, bad], "mu"),
        lambda: invariant_mass([1.0, bad], "mu"),
        lambda: modified_mass_jacobian([1.0, bad], "mu"),
        lambda: beam_constrained_mass(5.29, [0.1, bad], 0.0, 0.0),
        lambda: delta_e([5.28, bad], 5.29),
        lambda: two_body_momentum([5.28, bad], 0.1, 0.1),
        lambda: two_body_momentum(5.28, [0.1, bad], 0.1),
    ):
        with pytest.raises(InputError, match=r"not finite \(1 of 2 values\)"):
            call()


def test_negative_modified_mass_is_refused() -> None:
    with pytest.raises(InputError, match="negative"):
        invariant_mass(-0.1, "mu")


@given(
    energy=st.floats(5.0, 6.0),
    fraction=st.floats(0.0, 1.0),
    cos_theta=st.floats(-1.0, 1.0),
    phi=st.floats(0.0, 6.28),
)
def test_beam_constrained_mass(
    energy: float, fraction: float, cos_theta: float, phi: float
) -> None:
    momentum = 0.99 * energy * fraction
    transverse = momentum * np.sqrt(1 - cos_theta**2)
    px, py, pz = transverse * np.cos(phi), transverse * np.sin(phi), momentum * cos_theta
    exact = mp.sqrt(mp.mpf(energy) ** 2 - sum(mp.mpf(float(p)) ** 2 for p in (px, py, pz)))
    got = beam_constrained_mass(energy, float(px), float(py), float(pz))
    assert got == pytest.approx(float(exact), rel=1e-13)


def test_a_b_meson_from_the_resonance_has_its_mass_and_no_energy_difference() -> None:
    sqrt_s, m_b = 10.58, 5.27941
    p = two_body_momentum(sqrt_s, m_b, m_b)
    assert beam_constrained_mass(sqrt_s / 2, 0.6 * p, 0.0, 0.8 * p) == pytest.approx(m_b, rel=1e-14)
    assert delta_e(float(np.hypot(p, m_b)), sqrt_s / 2) == pytest.approx(0.0, abs=1e-14)
    np.testing.assert_allclose(delta_e([5.2, 5.4], 5.29), [-0.09, 0.11], rtol=1e-12)


def test_momentum_above_the_beam_energy_is_refused_with_its_count() -> None:
    with pytest.raises(InputError, match=r"momentum 6 GeV .*centre-of-mass .*\(1 of 2 values\)"):
        beam_constrained_mass([5.29], [0.1, 6.0], 0.0, 0.0)


@given(m1=st.floats(0.0, 5.0), m2=st.floats(1e-4, 5.0), excess=st.floats(1e-15, 10.0))
def test_two_body_momentum_keeps_full_precision_down_to_threshold(
    m1: float, m2: float, excess: float
) -> None:
    parent = (m1 + m2) * (1 + excess)
    # the rounding of the sum may have closed the decay
    assume(mp.mpf(parent) > mp.mpf(m1) + mp.mpf(m2))
    got = two_body_momentum(parent, m1, m2)
    assert float(abs(got / exact_momentum(parent, m1, m2) - 1)) < 8 * EPS
    assert two_body_momentum(parent, m2, m1) == got


def test_two_body_momentum_of_massless_daughters_is_half_the_mass() -> None:
    assert two_body_momentum(1.0, 0.0, 0.0) == 0.5


def test_two_body_momentum_at_threshold_is_zero_and_below_is_refused() -> None:
    assert two_body_momentum(1.5, 1.0, 0.5) == 0.0
    with pytest.raises(InputError, match=r"parent mass 1\.4 GeV .*closed"):
        two_body_momentum([1.6, 1.4], 1.0, 0.5)
    with pytest.raises(InputError, match="negative"):
        two_body_momentum(1.0, -0.1, 0.1)
    with pytest.raises(InputError, match="not positive"):
        two_body_momentum(0.0, 0.0, 0.0)
