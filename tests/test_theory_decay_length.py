"""Flight of X in B → K(*) X against decays generated here, and integrals where they are simple."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from zfit_dark.errors import InputError
from zfit_dark.kinematics import two_body_momentum
from zfit_dark.theory.decay_length import (
    DEFAULT_INPUTS,
    Inputs,
    energy_range,
    probability_beyond,
    probability_within,
)
from zfit_dark.theory.flavour import MODES, kinematic_end

B_MASS, K_MASS = 5.27941, 0.493677  # B⁺ and K⁺, GeV
AT_REST = Inputs(boost=0.0, b_momentum=0.0)
ALONG_BEAM = Inputs(b_momentum=0.0)  # every B moves with the Υ(4S)


def boosted(momentum: np.ndarray, energy: np.ndarray, boost: np.ndarray) -> np.ndarray:
    """Three-momenta, shape (3, n), in a frame in which their own moves with βγ = boost."""
    gamma = np.sqrt(1.0 + np.sum(boost**2, axis=0))
    dot = np.sum(boost * momentum, axis=0)
    return momentum + boost * (dot / (gamma + 1.0) + energy)


def directions(rng: np.random.Generator, cosine: np.ndarray) -> np.ndarray:
    azimuth, sine = rng.uniform(0.0, 2 * np.pi, cosine.size), np.sqrt(1.0 - cosine**2)
    return np.array([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine])


def flights(rng: np.random.Generator, n: int, mass: float, ctau: float) -> np.ndarray:
    """Decay points of X with respect to that of the B, in cm, the beams along z."""
    candidates = rng.uniform(-1.0, 1.0, 2 * n)
    kept = candidates[rng.uniform(size=2 * n) < 1.0 - candidates**2][:n]  # sin²θ; 4n/3 pass
    assert kept.size == n
    b_boost = 0.33 / B_MASS * directions(rng, kept)
    rest_momentum = math.sqrt(
        (B_MASS**2 - (mass + K_MASS) ** 2) * (B_MASS**2 - (mass - K_MASS) ** 2)
    ) / (2 * B_MASS)
    momentum = rest_momentum * directions(rng, rng.uniform(-1.0, 1.0, n))
    momentum = boosted(momentum, np.full(n, math.hypot(rest_momentum, mass)), b_boost)
    energy = np.sqrt(np.sum(momentum**2, axis=0) + mass**2)
    momentum = boosted(momentum, energy, np.array([[0.0], [0.0], [0.28]]))
    return momentum / mass * ctau * rng.exponential(size=n)


@pytest.mark.parametrize(
    ("mass", "ctau"), [(0.16, 0.05), (1.0, 0.742), (3.0, 10.0), (4.6, 1.0), (4.77, 1.0)]
)
def test_generated_decays_fly_as_far(mass: float, ctau: float) -> None:
    # 40 comparisons at 5 standard deviations: fails once in 4e4 seeds
    n = 400_000
    points = flights(np.random.default_rng(29), n, mass, ctau)
    for transverse, distance in (
        (False, np.sqrt(np.sum(points**2, axis=0))),
        (True, np.hypot(points[0], points[1])),
    ):
        lengths = np.quantile(distance, [0.03, 0.3, 0.7, 0.97])
        found = probability_beyond("Kplus", mass, ctau, lengths, transverse=transverse)
        seen = np.mean(distance > lengths[:, np.newaxis], axis=1)
        np.testing.assert_array_less(np.abs(seen - found), 5 * np.sqrt(seen * (1 - seen) / n))


@given(fraction=st.floats(0.01, 0.99), log_ctau=st.floats(-3, 3), ratio=st.floats(0.0, 5.0))
def test_decay_of_a_b_at_rest(fraction: float, log_ctau: float, ratio: float) -> None:
    mass, ctau = fraction * kinematic_end("Kplus"), 10**log_ctau
    mean = two_body_momentum(B_MASS, K_MASS, mass) / mass * ctau
    length = ratio * mean
    found = probability_beyond("Kplus", mass, ctau, length, inputs=AT_REST)
    assert found == pytest.approx(math.exp(-ratio), abs=1e-12)
    across = probability_beyond("Kplus", mass, ctau, length, transverse=True, inputs=AT_REST)
    expected, _ = quad(
        lambda angle: 0.5 * math.sin(angle) * math.exp(-ratio / max(math.sin(angle), 1e-9)),
        0.0,
        math.pi,
        epsabs=1e-10,
    )
    assert across == pytest.approx(expected, abs=3e-6)


@pytest.mark.parametrize("mass", [0.2, 1.0, 3.0, 4.7])
@pytest.mark.parametrize("ratio", [0.01, 0.5, 3.0])
def test_energies_are_spread_evenly_if_all_b_move_alike(mass: float, ratio: float) -> None:
    low, high = (float(e) for e in energy_range("Kplus", mass, 0.28 * B_MASS))
    length = ratio * math.sqrt(high**2 - mass**2) / mass  # for cτ = 1 cm
    total, _ = quad(
        lambda e: math.exp(-length * mass / math.sqrt(e**2 - mass**2)),
        low,
        high,
        epsabs=1e-11,
        limit=200,
    )
    found = probability_beyond("Kplus", mass, 1.0, length, inputs=ALONG_BEAM)
    assert found == pytest.approx(total / (high - low), abs=3e-6)


@pytest.mark.parametrize("mode", MODES)
@given(fraction=st.floats(0.01, 0.99), b_momentum=st.floats(0.0, 5.0))
def test_energies_end_where_x_flies_along_the_b(
    mode: str, fraction: float, b_momentum: float
) -> None:
    mass = fraction * kinematic_end(mode)
    b_mass = {"Kplus": 5.27941, "KS": 5.27972, "Kst0": 5.27972, "Kstplus": 5.27941}[mode]
    k_mass = {"Kplus": 0.493677, "KS": 0.497611, "Kst0": 0.89555, "Kstplus": 0.89167}[mode]
    momentum = two_body_momentum(b_mass, k_mass, mass) * np.array([-1.0, 1.0])
    energy = math.hypot(float(momentum[1]), mass)
    along = boosted(
        np.array([[0.0, 0.0], [0.0, 0.0], momentum]),
        np.full(2, energy),
        np.array([[0.0], [0.0], [b_momentum / b_mass]]),
    )[2]
    np.testing.assert_allclose(
        energy_range(mode, mass, b_momentum), np.hypot(along, mass), rtol=1e-9
    )


@given(
    fraction=st.floats(0.01, 0.999),
    log_ctau=st.floats(-3, 6),
    log_length=st.floats(-3, 3),
    transverse=st.booleans(),
)
def test_probabilities_are_probabilities(
    fraction: float, log_ctau: float, log_length: float, transverse: bool
) -> None:
    mass, ctau, length = fraction * kinematic_end("Kst0"), 10**log_ctau, 10**log_length
    beyond, farther = probability_beyond(
        "Kst0", mass, ctau, [length, 1.01 * length], transverse=transverse
    )
    assert 0.0 <= farther <= beyond <= 1.0
    within = probability_within("Kst0", mass, ctau, length, transverse=transverse)
    assert within + beyond == pytest.approx(1.0, abs=1e-12)
    scaled = probability_beyond("Kst0", mass, 7 * ctau, 7 * length, transverse=transverse)
    assert scaled == pytest.approx(beyond, abs=1e-12)
    assert probability_beyond("Kst0", mass, ctau, length, transverse=True) <= (
        probability_beyond("Kst0", mass, ctau, length) + 1e-12
    )


@pytest.mark.parametrize("transverse", [False, True])
def test_few_decay_at_long_lifetimes(transverse: bool) -> None:
    # L m/cτ <1/p>, where 1 - (1 - tiny) has lost its digits
    within = probability_within("Kplus", 0.3, [1e10, 1e18], 100.0, transverse=transverse)
    assert within[1] / within[0] == pytest.approx(1e-8, rel=5e-4)
    rest = probability_within("Kplus", 0.3, 1e18, 100.0, transverse=transverse, inputs=AT_REST)
    inverse = 0.3 / two_body_momentum(B_MASS, K_MASS, 0.3) * (np.pi / 2 if transverse else 1.0)
    assert rest == pytest.approx(1e-16 * inverse, rel=5e-4)


def test_ends_of_lengths_and_lifetimes() -> None:
    for transverse in (False, True):
        found = probability_beyond(
            "Kplus", 1.0, [1.0, np.inf, 0.0, 0.0], [0.0, 3.0, 0.0, 1.0], transverse=transverse
        )
        np.testing.assert_allclose(found, [1.0, 1.0, 1.0, 0.0], atol=1e-12)


def test_scalars_give_floats_and_arrays_broadcast() -> None:
    assert type(probability_beyond("KS", 1.0, 1.0, 1.0)) is float
    assert type(probability_within("KS", 1.0, 1.0, 1.0)) is float
    masses, ctaus, lengths = np.array([0.2, 2.0]), np.array([[0.1], [1.0], [5.0]]), 2.0
    for function in (probability_beyond, probability_within):
        expected = [[function("KS", float(m), float(c), lengths) for m in masses] for (c,) in ctaus]
        np.testing.assert_allclose(function("KS", masses, ctaus, lengths), expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "K"}, "unknown mode 'K'"),
        ({"mass": 4.8}, r"mode Kplus is closed from .* 4\.78573 GeV on: no decay at 4\.8 GeV"),
        ({"mass": 0.0}, "positive, finite mass"),
        ({"ctau_cm": -1.0}, "cτ is -1 cm"),
        ({"ctau_cm": math.nan}, "cτ is nan cm"),
        ({"length_cm": [1.0, -2.0]}, "length is -2 cm"),
        ({"length_cm": math.inf}, "length is inf cm"),
        ({"inputs": Inputs(boost=-0.1)}, "boost is -0.1"),
        ({"inputs": Inputs(b_momentum=-0.1)}, "momentum of the B is -0.1 GeV"),
    ],
)
def test_bad_input_is_refused(change: dict[str, Any], message: str) -> None:
    arguments = {"mode": "Kplus", "mass": 1.0, "ctau_cm": 1.0, "length_cm": 1.0}
    for function in (probability_beyond, probability_within):
        with pytest.raises(InputError, match=message):
            function(**{**arguments, **change})


def test_motion_of_the_b_is_that_of_the_upsilon() -> None:
    upsilon, beams = 10.5794, (7.0, 4.0)  # GeV; PDG, SuperKEKB
    assert DEFAULT_INPUTS.boost == pytest.approx((beams[0] - beams[1]) / upsilon, abs=0.005)
    for b_mass in (DEFAULT_INPUTS.bplus_mass, DEFAULT_INPUTS.b0_mass):
        momentum = math.sqrt(upsilon**2 / 4 - b_mass**2)
        assert DEFAULT_INPUTS.b_momentum == pytest.approx(momentum, abs=0.006)
    table = DEFAULT_INPUTS.table()
    assert any(line.split()[:3] == ["b_momentum", "0.33", "GeV"] for line in table.splitlines())
