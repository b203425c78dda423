r"""How far the X of B → K(*) X flies before it decays, averaged over the directions of its flight.

At the Υ(4S) a B meson moves with p*_B = 0.33 GeV in the rest frame of the Υ(4S), at the polar angle
θ_B as sin²θ_B, and the Υ(4S) moves along the beams. The B has no spin, so that its decay is
isotropic in its rest frame, and the energies of X in a frame in which the B has one momentum are
spread evenly over a range (`energy_range`). A particle of momentum p decays beyond the distance L
with the probability exp(−L m/(p cτ)), which is averaged by Gauss-Legendre quadrature over the two
decays. The crossing angle of the beams and the size of the beam spot are left out.

Masses and momenta are in GeV, lengths in cm; distances are from the decay vertex of the B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zfit_dark.errors import InputError
from zfit_dark.kinematics import as_given, two_body_momentum
from zfit_dark.theory import flavour
from zfit_dark.theory.flavour import PDG_FILE, input_number, kinematic_end, positive_mass

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

__all__ = [
    "DEFAULT_INPUTS",
    "Inputs",
    "energy_range",
    "laboratory_momentum",
    "probability_beyond",
    "probability_within",
]


@dataclass(frozen=True)
class Inputs(flavour.Inputs):
    """The numbers behind the flight: masses of the mesons, see `flavour.Inputs`, and these.

    The boost is that of Belle II; it is 0.42 at Belle (8 and 3.5 GeV) and 0.56 at BaBar (9 and
    3.1 GeV).
    """

    boost: float = input_number(
        0.28, "", "derived", "βγ of the Υ(4S): beams of 7 and 4 GeV, (E1 - E2)/m, crossing left out"
    )
    b_momentum: float = input_number(
        0.33, "GeV", "derived", f"in the frame of the Υ(4S), √(m²/4 - m_B²); {PDG_FILE}"
    )


DEFAULT_INPUTS = Inputs()
"""The numbers used where no others are given."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_ANGLES = 0.5 * np.pi * (1.0 + _NODES)
_ISOTROPIC = 0.25 * np.pi * _WEIGHTS * np.sin(_ANGLES)
"""Nodes between 0 and π, and weights of a mean over cos θ: in θ momenta are smooth at the poles."""


def energy_range(
    mode: str, mass: ArrayLike, b_momentum: ArrayLike, *, inputs: Inputs = DEFAULT_INPUTS
) -> tuple[FloatArray, FloatArray]:
    r"""Lowest and highest energy of X where the B has this momentum; all between are as likely.

    With energy E and momentum p of X in the rest frame of the B they are ``γE ∓ βγp``.

    Args:
        mode: one of `flavour.MODES`.
        mass: mass m_X in GeV.
        b_momentum: momentum of the B in GeV, not negative; broadcasts with `mass`.
        inputs: the numbers that go in.

    Returns:
        Both energies in GeV, of the broadcast shape; the same one for a B at rest.

    Raises:
        InputError: if the mode is unknown or closed, a mass not positive and finite, or a momentum
            negative or not finite.

    >>> [round(float(energy), 3) for energy in energy_range("Kplus", 1.0, 1.5)]
    [2.103, 3.535]
    """
    momentum, energy, b_mass = _in_rest_frame(mode, mass, inputs)
    boost = _not_negative("momentum of the B", b_momentum, "GeV") / b_mass  # βγ
    middle, half = np.hypot(1.0, boost) * energy, boost * momentum
    return middle - half, middle + half


def laboratory_momentum(
    mode: str, mass: ArrayLike, *, inputs: Inputs = DEFAULT_INPUTS
) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of the momentum of X in the laboratory.

    Args:
        mode: one of `flavour.MODES`.
        mass: mass m_X in GeV.
        inputs: the numbers that go in.

    Returns:
        Both in GeV, of the shape of `mass`.

    Raises:
        InputError: if the mode is unknown or closed at a mass, or a mass not positive and finite.

    >>> [round(float(momentum), 2) for momentum in laboratory_momentum("Kplus", 1.0)]
    [2.63, 0.45]
    """
    momenta, weights = _momenta(mode, mass, False, inputs)
    mean = np.sum(momenta * weights, axis=(-2, -1))
    return mean, np.sqrt(np.sum((momenta - _spread(mean)) ** 2 * weights, axis=(-2, -1)))


def probability_beyond(
    mode: str,
    mass: ArrayLike,
    ctau_cm: ArrayLike,
    length_cm: ArrayLike,
    *,
    transverse: bool = False,
    inputs: Inputs = DEFAULT_INPUTS,
) -> float | FloatArray:
    """Probability that X flies farther than a length before it decays.

    Args:
        mode: one of `flavour.MODES`.
        mass: mass m_X in GeV.
        ctau_cm: proper decay length cτ in cm, not negative, may be infinite.
        length_cm: distance in cm, not negative. All three broadcast.
        transverse: whether distances are measured across the beams, not in space.
        inputs: the numbers that go in.

    Returns:
        The probability, of the broadcast shape; 1 at a length of 0. The quadrature is good to an
        absolute 3e-6.

    Raises:
        InputError: if the mode is unknown or closed at a mass, or a mass, cτ or length is not as
            described.

    >>> round(probability_beyond("Kplus", 1.0, 1.0, 2.0), 3)
    0.461
    """
    lengths, weights = _proper_lengths(mode, mass, ctau_cm, length_cm, transverse, inputs)
    return as_given(np.sum(np.exp(-lengths) * weights, axis=(-2, -1)))


def probability_within(
    mode: str,
    mass: ArrayLike,
    ctau_cm: ArrayLike,
    length_cm: ArrayLike,
    *,
    transverse: bool = False,
    inputs: Inputs = DEFAULT_INPUTS,
) -> float | FloatArray:
    """Probability that X decays before it has flown a length: 1 − `probability_beyond`.

    It stays good to a relative 5e-4 at long lifetimes, where it falls as 1/cτ. As the share of
    decays that a detector of that size sees, it is the simplest efficiency for
    `couplings.coupling_limit`.

    Args:
        mode: see `probability_beyond`, as for all others.
        mass: in GeV.
        ctau_cm: in cm.
        length_cm: in cm.
        transverse: whether distances are measured across the beams, not in space.
        inputs: the numbers that go in.

    Raises:
        InputError: see `probability_beyond`.
    """
    lengths, weights = _proper_lengths(mode, mass, ctau_cm, length_cm, transverse, inputs)
    return as_given(np.sum(-np.expm1(-lengths) * weights, axis=(-2, -1)))


def _proper_lengths(
    mode: str,
    mass: ArrayLike,
    ctau_cm: ArrayLike,
    length_cm: ArrayLike,
    transverse: bool,
    inputs: Inputs,
) -> tuple[FloatArray, FloatArray]:
    """L m/(p cτ) at all nodes, and their weights, both with two more axes."""
    momentum, weights = _momenta(mode, mass, transverse, inputs)
    ctau = _not_negative("cτ", ctau_cm, "cm", may_be_infinite=True)
    length = _not_negative("length", length_cm, "cm")
    with np.errstate(divide="ignore", invalid="ignore"):  # prompt: infinite, or 0/0 at L = 0
        in_ctau = np.where(length == 0.0, 0.0, length / ctau)
    return _spread(in_ctau * np.asarray(mass, dtype=np.float64)) / momentum, weights


def _momenta(
    mode: str, mass: ArrayLike, transverse: bool, inputs: Inputs
) -> tuple[FloatArray, FloatArray]:
    """Momenta of X in the laboratory, or their transverse parts, and weights, on two more axes.

    The one before the last is the angle χ at which the B emits X, with respect to its flight in
    the frame of the Υ(4S); the last one is the polar angle θ of X in that frame. At each χ the
    angle α between X and B is fixed there, and the B being at sin²θ_B ∝ 1 − P₂(cos θ_B), X is at
    1 − P₂(cos α) P₂(cos θ).
    """
    boost = _not_negative("boost", inputs.boost, "")
    rest_momentum, rest_energy, b_mass = _in_rest_frame(mode, mass, inputs)
    b_boost = _not_negative("momentum of the B", inputs.b_momentum, "GeV") / b_mass
    chi, p = _ANGLES[:, np.newaxis], _spread(rest_momentum)
    along_b = np.hypot(1.0, b_boost) * p * np.cos(chi) + b_boost * _spread(rest_energy)
    momentum = np.hypot(along_b, p * np.sin(chi))
    energy = np.hypot(momentum, _spread(mass))
    turned = _p2(along_b / momentum) * _p2(np.cos(_ANGLES))
    weights = np.outer(_ISOTROPIC, _ISOTROPIC) * (1.0 - turned)
    across = momentum * np.sin(_ANGLES)
    along = np.hypot(1.0, boost) * momentum * np.cos(_ANGLES) + boost * energy
    return across if transverse else np.hypot(across, along), weights


def _p2(cosine: FloatArray) -> FloatArray:
    """Legendre polynomial P₂."""
    return 1.5 * cosine**2 - 0.5


def _spread(values: ArrayLike) -> FloatArray:
    """With an axis for each of the two angles."""
    return np.asarray(values, dtype=np.float64)[..., np.newaxis, np.newaxis]


def _in_rest_frame(
    mode: str, mass: ArrayLike, inputs: Inputs
) -> tuple[FloatArray, FloatArray, float]:
    """Momentum and energy of X in the rest frame of the B, and the mass of the B."""
    end = kinematic_end(mode, inputs=inputs)
    if np.any(positive_mass(mass) >= end):
        raise InputError(
            f"mode {mode} is closed from m_B - m_K = {end:.6g} GeV on: no decay at "
            f"{np.max(mass):.6g} GeV"
        )
    b_mass = inputs.bplus_mass if mode in ("Kplus", "Kstplus") else inputs.b0_mass
    momentum = np.asarray(two_body_momentum(b_mass, b_mass - end, mass))
    return momentum, np.hypot(momentum, mass), b_mass


def _not_negative(
    name: str, values: ArrayLike, unit: str, *, may_be_infinite: bool = False
) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    bad = ~(array >= 0.0) | (np.isinf(array) & (not may_be_infinite))
    if np.any(bad):
        raise InputError(f"{name} is {array[bad].flat[0]:g} {unit}: give a number from 0 on")
    return array
