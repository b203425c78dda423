r"""What `scalar` and `fermion_alp` share: a particle whose couplings follow the fermion masses.

Its coupling to a fermion f is g m_f/v, with the Higgs expectation value v and a small coupling g
(the mixing angle θ of a scalar, g_Y of an axion-like particle). A top loop makes b → s out of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zfit_dark.errors import InputError
from zfit_dark.theory import flavour
from zfit_dark.theory.flavour import input_number, positive_mass

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

__all__ = [
    "FINAL_STATES",
    "Inputs",
    "above_two_electrons",
    "check_final_state",
    "fermion_width",
    "lepton_widths",
    "top_loop",
    "velocity",
]

FINAL_STATES = ("ee", "mumu", "pipi", "KK")
"""The pairs x⁺x⁻ that are searched for."""


@dataclass(frozen=True)
class Inputs(flavour.Inputs):
    """The numbers behind B → K(*) X, and those behind X → ℓ⁺ℓ⁻."""

    vtb_vts: float = input_number(
        0.0398, "", "derived", "so that 3 m_t² |V_tb V_ts*|/(16π² v³) = 1.51e-6 GeV⁻¹, as published"
    )
    higgs_vev: float = input_number(246.22, "GeV", "derived", "(√2 G_F)^(-1/2), G_F: CODATA 2022")
    electron_mass: float = input_number(0.51099895e-3, "GeV", "read", "CODATA 2022")
    muon_mass: float = input_number(0.1056583755, "GeV", "read", "CODATA 2022")
    tau_mass: float = input_number(1.77693, "GeV", "read", "PDG 2024")


def top_loop(inputs: Inputs) -> float:
    """``m_t² |V_tb V_ts*| / (16π² v³)`` in GeV⁻¹: the size of a b → s coupling by a top loop."""
    return inputs.top_mass**2 * inputs.vtb_vts / (16.0 * math.pi**2 * inputs.higgs_vev**3)


def velocity(mass: FloatArray, daughter_mass: float) -> FloatArray:
    """β = √(1 − 4m²/M²) of the daughters of X → x x̄; 0 below threshold."""
    ratio = 2.0 * daughter_mass / mass
    return np.sqrt(np.maximum((1.0 - ratio) * (1.0 + ratio), 0.0))


def fermion_width(mass: FloatArray, fermion_mass: float, inputs: Inputs) -> FloatArray:
    """m_f² m_X / (8π v²) in GeV: the width of X → f f̄ over g² without the power of β."""
    return fermion_mass**2 * mass / (8.0 * math.pi * inputs.higgs_vev**2)


def lepton_widths(mass: FloatArray, power: int, inputs: Inputs) -> dict[str, FloatArray]:
    """Γ(X → ℓ⁺ℓ⁻)/g² = m_ℓ² m_X / (8π v²) β^power in GeV: power 3 for a scalar, 1 otherwise."""
    masses = {"ee": inputs.electron_mass, "mumu": inputs.muon_mass, "tautau": inputs.tau_mass}
    return {
        final: fermion_width(mass, lepton, inputs) * velocity(mass, lepton) ** power
        for final, lepton in masses.items()
    }


def above_two_electrons(mass: ArrayLike, inputs: Inputs) -> FloatArray:
    """Masses as an array, checked: what is lighter decays to photons, which no width here has.

    Raises:
        InputError: if a mass is not finite, or not above 2 m_e.
    """
    m = positive_mass(mass)
    threshold = 2.0 * inputs.electron_mass
    if np.any(m <= threshold):
        raise InputError(
            f"mass {np.min(m):.6g} GeV is not above 2 m_e = {threshold:.6g} GeV: the decay to "
            "photons that is left there is not computed"
        )
    return m


def check_final_state(final: str) -> None:
    """Refuse what is not one of `FINAL_STATES`.

    Raises:
        InputError: if the final state is unknown.
    """
    if final not in FINAL_STATES:
        raise InputError(f"unknown final state {final!r}: give one of {', '.join(FINAL_STATES)}")
