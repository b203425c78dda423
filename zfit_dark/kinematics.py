r"""Kinematics of the searches: modified mass, beam-constrained variables, two-body decays.

Everything is numpy in, numpy out, in GeV. Scalars give floats, arrays broadcast. A value that is
not finite, or that no decay can have, raises `InputError`: nothing is dropped or turned into NaN
in silence, so select the candidates first.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, overload

import numpy as np

from zfit_dark.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "beam_constrained_mass",
    "daughter_mass",
    "delta_e",
    "invariant_mass",
    "modified_mass",
    "modified_mass_jacobian",
    "two_body_momentum",
]

_PDG_ID = {"e": 11, "mu": 13, "pi": 211, "K": 321}


def daughter_mass(daughter: str | float) -> float:
    """Mass of one of the two daughters in x⁺x⁻, in GeV.

    Args:
        daughter: "e", "mu", "pi" or "K" (PDG mass, from the particle package), or a positive
            mass in GeV, which is returned as it is.

    Raises:
        InputError: if the name is not one of the four, or the mass not positive and finite.
    """
    if isinstance(daughter, str):
        if daughter not in _PDG_ID:
            raise InputError(
                f"unknown daughter {daughter!r}: give one of {', '.join(_PDG_ID)} or a mass in GeV"
            )
        from particle import Particle  # here, as its 0.1 s are for names only

        mass_mev = Particle.from_pdgid(_PDG_ID[daughter]).mass
        assert mass_mev is not None  # the four have one
        return mass_mev / 1000.0
    mass = float(daughter)
    if not (math.isfinite(mass) and mass > 0.0):
        raise InputError(f"daughter mass {mass:g} GeV: give a positive mass or a name such as 'mu'")
    return mass


@overload
def modified_mass(mass: float, daughter: str | float) -> float: ...
@overload
def modified_mass(mass: ArrayLike, daughter: str | float) -> NDArray[np.float64]: ...
def modified_mass(mass: ArrayLike, daughter: str | float) -> float | NDArray[np.float64]:
    r"""Modified mass M′ = √(M² − 4m²) of a pair x⁺x⁻, in GeV.

    It starts at 0 where the pair does, which keeps the signal shape smooth down to the threshold.
    Computed as √((M − 2m)(M + 2m)), which keeps full precision there.

    Args:
        mass: invariant mass M of the pair, GeV.
        daughter: what x is, see `daughter_mass`.

    Returns:
        M′ in GeV, of the shape of `mass`; exactly 0 at threshold.

    Raises:
        InputError: if a mass is below 2m or not finite.

    Source: Belle II, arXiv:2306.02830.

    >>> round(modified_mass(1.0, "mu"), 6)
    0.977418
    >>> modified_mass([0.5, 1.3], daughter=0.25)
    array([0. , 1.2])
    """
    m, threshold = _above_threshold(mass, daughter)
    return as_given(np.sqrt((m - threshold) * (m + threshold)))


@overload
def invariant_mass(modified_mass: float, daughter: str | float) -> float: ...
@overload
def invariant_mass(modified_mass: ArrayLike, daughter: str | float) -> NDArray[np.float64]: ...
def invariant_mass(modified_mass: ArrayLike, daughter: str | float) -> float | NDArray[np.float64]:
    r"""Invariant mass M = √(M′² + 4m²) of a pair x⁺x⁻, in GeV: the inverse of `modified_mass`.

    Args:
        modified_mass: M′ in GeV, not negative.
        daughter: what x is, see `daughter_mass`.

    Returns:
        M in GeV, of the shape of `modified_mass`.

    Raises:
        InputError: if a value is negative or not finite.

    >>> invariant_mass(1.2, daughter=0.25)
    1.3
    """
    m_prime = _finite(modified_mass, "modified mass")
    _refuse(m_prime, m_prime < 0.0, "modified mass", "negative: M′ = √(M² − 4m²) starts at 0")
    return as_given(np.hypot(m_prime, 2.0 * daughter_mass(daughter)))


@overload
def modified_mass_jacobian(mass: float, daughter: str | float) -> float: ...
@overload
def modified_mass_jacobian(mass: ArrayLike, daughter: str | float) -> NDArray[np.float64]: ...
def modified_mass_jacobian(mass: ArrayLike, daughter: str | float) -> float | NDArray[np.float64]:
    r"""dM′/dM = M/M′ at the invariant mass M: a density in M is that in M′ times this.

    Args:
        mass: invariant mass M of the pair, GeV.
        daughter: what x is, see `daughter_mass`.

    Returns:
        The dimensionless derivative, of the shape of `mass`; +inf exactly at threshold, where it
        diverges like (M − 2m)^(−1/2) and stays integrable.

    Raises:
        InputError: if a mass is below 2m or not finite.
    """
    m, threshold = _above_threshold(mass, daughter)
    with np.errstate(divide="ignore"):
        return as_given(m / np.sqrt((m - threshold) * (m + threshold)))


@overload
def beam_constrained_mass(beam_energy: float, px: float, py: float, pz: float) -> float: ...
@overload
def beam_constrained_mass(
    beam_energy: ArrayLike, px: ArrayLike, py: ArrayLike, pz: ArrayLike
) -> NDArray[np.float64]: ...
def beam_constrained_mass(
    beam_energy: ArrayLike, px: ArrayLike, py: ArrayLike, pz: ArrayLike
) -> float | NDArray[np.float64]:
    r"""Beam-constrained mass M_bc = √(E_beam² − p_B²), in GeV.

    Args:
        beam_energy: E_beam = √s/2 in the e⁺e⁻ centre-of-mass frame, GeV.
        px: momentum of the B candidate in that frame, GeV; so for `py`, `pz`.
        py: see `px`.
        pz: see `px`.

    Returns:
        M_bc in GeV, of the broadcast shape.

    Raises:
        InputError: if a value is not finite, or a momentum exceeds E_beam: no B meson has
            M_bc² < 0, so frame or unit is wrong, or the candidate is to be cut away first.

    >>> round(beam_constrained_mass(5.29, 0.1, -0.2, 0.25), 4)
    5.2794
    """
    energy = _finite(beam_energy, "beam energy")
    transverse = np.hypot(_finite(px, "px"), _finite(py, "py"))
    momentum = np.hypot(transverse, _finite(pz, "pz"))
    _refuse(
        momentum,
        momentum > energy,
        "momentum",
        "above the beam energy, M_bc² < 0: give both in the centre-of-mass frame in GeV, "
        "or cut such candidates first",
    )
    return as_given(np.sqrt((energy - momentum) * (energy + momentum)))


@overload
def delta_e(energy: float, beam_energy: float) -> float: ...
@overload
def delta_e(energy: ArrayLike, beam_energy: ArrayLike) -> NDArray[np.float64]: ...
def delta_e(energy: ArrayLike, beam_energy: ArrayLike) -> float | NDArray[np.float64]:
    r"""Energy difference ΔE = E*_B − √s/2, in GeV.

    Args:
        energy: energy E*_B of the B candidate in the e⁺e⁻ centre-of-mass frame, GeV.
        beam_energy: E_beam = √s/2 in that frame, GeV.

    Returns:
        ΔE in GeV, of the broadcast shape.

    Raises:
        InputError: if a value is not finite.
    """
    return as_given(_finite(energy, "energy") - _finite(beam_energy, "beam energy"))


@overload
def two_body_momentum(parent: float, daughter1: float, daughter2: float) -> float: ...
@overload
def two_body_momentum(
    parent: ArrayLike, daughter1: ArrayLike, daughter2: ArrayLike
) -> NDArray[np.float64]: ...
def two_body_momentum(
    parent: ArrayLike, daughter1: ArrayLike, daughter2: ArrayLike
) -> float | NDArray[np.float64]:
    r"""Momentum √λ(M², m₁², m₂²) / (2M) of the daughters of a two-body decay at rest, in GeV.

    Källén's λ is taken in factors, ordered so that full precision is kept at threshold.

    Args:
        parent: mass M of the decaying particle, GeV.
        daughter1: mass m₁ of one daughter, GeV; 0 for a massless one.
        daughter2: mass m₂ of the other, GeV.

    Returns:
        The momentum in GeV, of the broadcast shape; exactly 0 at threshold.

    Raises:
        InputError: if a mass is negative or not finite, or the decay kinematically closed.

    Source: PDG review "Kinematics".

    >>> round(two_body_momentum(5.27941, 0.493677, 1.0), 4)
    2.5202
    """
    m = _finite(parent, "parent mass")
    m1 = _finite(daughter1, "daughter mass")
    m2 = _finite(daughter2, "daughter mass")
    _refuse(m, m <= 0.0, "parent mass", "not positive")
    for mass in (m1, m2):
        _refuse(mass, mass < 0.0, "daughter mass", "negative")
    heavy, light = np.maximum(m1, m2), np.minimum(m1, m2)
    gap = (m - heavy) - light
    _refuse(m, gap < 0.0, "parent mass", "below the sum of the daughters': the decay is closed")
    kallen = gap * (m + heavy + light) * ((m - heavy) + light) * (m + (heavy - light))
    return as_given(np.sqrt(kallen) / (2.0 * m))


def as_given(result: NDArray[np.float64]) -> float | NDArray[np.float64]:
    """A result of the shape of its input: a float for a scalar, the array otherwise."""
    return result if np.ndim(result) else float(result)


def _above_threshold(mass: ArrayLike, daughter: str | float) -> tuple[NDArray[np.float64], float]:
    """The masses as an array, none below threshold, and the threshold 2m."""
    threshold = 2.0 * daughter_mass(daughter)
    m = _finite(mass, "mass")
    _refuse(m, m < threshold, "mass", f"below the threshold 2m = {threshold:.9g} GeV")
    return m, threshold


def _finite(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    _refuse(array, ~np.isfinite(array), name, "not finite")
    return array


def _refuse(values: NDArray[np.float64], bad: NDArray[np.bool_], name: str, why: str) -> None:
    if np.any(bad):
        first = np.broadcast_to(values, bad.shape)[bad].flat[0]
        count = f" ({np.count_nonzero(bad)} of {bad.size} values)" if np.ndim(bad) else ""
        raise InputError(f"{name} {first:.9g} GeV is {why}{count}")
