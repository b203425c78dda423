r"""An axion-like particle a that couples to fermions: B → K(*) a with a → ℓ⁺ℓ⁻.

All fermions couple to it in proportion to their mass, ``L ⊃ i g_Y (m_f/v) a f̄ γ₅ f``, with
g_Y = 2v/f_a in terms of the decay constant f_a. A top loop makes b → s a: it depends on the scale Λ
at which the couplings are universal, an input, through the logarithm ln(Λ²/m_t²) that is kept, and
on unknown terms of the size 1 beside it, which is what the prediction is good for. CP forbids
a → ππ and a → KK.

The module has the names and arguments of `scalar`, so that a function can take either as the model.
All masses are in GeV, lengths in cm, g_Y has no unit. Every number that goes in is a field of
`Inputs`, with its unit, source and status; pass another `Inputs` to change it.

Decays into hadrons (3π and more) and photons are not computed. They are taken to be negligible up
to 1 GeV (assumed, `Inputs.hadron_onset`), and what needs the total width is refused above.

Sources: B. Batell, M. Pospelov, A. Ritz, arXiv:0911.4938 (the logarithm); J. Beacham et al.,
arXiv:1901.09966 (the model, its g_Y, and Λ = 1 TeV).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np

from zfit_dark.errors import InputError
from zfit_dark.kinematics import as_given
from zfit_dark.theory import flavour, yukawa
from zfit_dark.theory.flavour import HBAR_C, MODES, input_number, kinematic_end
from zfit_dark.theory.yukawa import FINAL_STATES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

__all__ = [
    "DEFAULT_INPUTS",
    "FINAL_STATES",
    "MODES",
    "Inputs",
    "branching_fraction",
    "branching_ratio_per_coupling_squared",
    "decay_fraction",
    "kinematic_end",
    "lifetime_ctau_cm",
    "partial_widths_per_coupling_squared",
    "width",
    "width_uncertainty",
]


@dataclass(frozen=True)
class Inputs(yukawa.Inputs):
    """The numbers behind the predictions: those of B → K(*) X and X → ℓ⁺ℓ⁻, and these.

    See `flavour.Inputs` for how to exchange and print them.

    Raises:
        InputError: if a number is not finite, or Λ not above the top mass.
    """

    scale: float = input_number(1000.0, "GeV", "assumed", "Λ at which couplings are universal")
    hadron_onset: float = input_number(
        1.0, "GeV", "assumed", "mass up to which a → hadrons is neglected"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.scale > self.top_mass > 0.0:
            raise InputError(
                f"scale Λ = {self.scale:g} GeV is not above the top mass {self.top_mass:g} GeV: "
                "the logarithm of their ratio is all that is known of the loop"
            )


DEFAULT_INPUTS = Inputs()
"""The numbers used where no others are given."""


@overload
def branching_ratio_per_coupling_squared(
    mode: str, mass: float, *, inputs: Inputs = ...
) -> float: ...
@overload
def branching_ratio_per_coupling_squared(
    mode: str, mass: ArrayLike, *, inputs: Inputs = ...
) -> FloatArray: ...
def branching_ratio_per_coupling_squared(
    mode: str, mass: ArrayLike, *, inputs: Inputs = DEFAULT_INPUTS
) -> float | FloatArray:
    r"""B(B → K(*) a) / g_Y².

    The widths are those of `flavour.branching_ratio_per_g_bs_squared` with
    ``g_bs = g_Y · m_t² |V_tb V_ts*| / (16π² v³) · ln(Λ²/m_t²)``.

    Args:
        mode: one of `MODES`.
        mass: mass m_a in GeV.
        inputs: the numbers that go in.

    Returns:
        The ratio, of the shape of `mass`; 0 from m_B − m_K(*) on, where the mode is closed.

    Raises:
        InputError: if the mode is unknown, or a mass not positive and finite.

    >>> round(branching_ratio_per_coupling_squared("Kplus", 0.3), 2)
    0.6
    """
    ratio = flavour.branching_ratio_per_g_bs_squared(mode, mass, inputs=inputs)
    log = 2.0 * math.log(inputs.scale / inputs.top_mass)
    return as_given(ratio * (yukawa.top_loop(inputs) * log) ** 2)


@overload
def branching_fraction(mode: str, mass: float, g_y: float, *, inputs: Inputs = ...) -> float: ...
@overload
def branching_fraction(
    mode: str, mass: ArrayLike, g_y: ArrayLike, *, inputs: Inputs = ...
) -> FloatArray: ...
def branching_fraction(
    mode: str, mass: ArrayLike, g_y: ArrayLike, *, inputs: Inputs = DEFAULT_INPUTS
) -> float | FloatArray:
    r"""B(B → K(*) a), proportional to g_Y²; see `branching_ratio_per_coupling_squared`.

    Args:
        mode: one of `MODES`.
        mass: mass m_a in GeV.
        g_y: coupling g_Y, its sign without effect; broadcasts with `mass`.
        inputs: the numbers that go in.

    Returns:
        The branching fraction, of the broadcast shape; 0 where the mode is closed. Nothing keeps
        the value below 1.

    Raises:
        InputError: if the mode is unknown, or a mass not positive and finite.
    """
    ratio = branching_ratio_per_coupling_squared(mode, mass, inputs=inputs)
    return as_given(ratio * np.square(g_y, dtype=np.float64))


@overload
def partial_widths_per_coupling_squared(
    mass: float, *, inputs: Inputs = ...
) -> dict[str, float]: ...
@overload
def partial_widths_per_coupling_squared(
    mass: ArrayLike, *, inputs: Inputs = ...
) -> dict[str, FloatArray]: ...
def partial_widths_per_coupling_squared(
    mass: ArrayLike, *, inputs: Inputs = DEFAULT_INPUTS
) -> dict[str, float] | dict[str, FloatArray]:
    r"""Γ(a → ℓ⁺ℓ⁻)/g_Y² = m_ℓ² m_a/(8πv²) √(1 − 4m_ℓ²/m_a²) in GeV.

    Args:
        mass: mass m_a in GeV.
        inputs: the numbers that go in.

    Returns:
        "ee", "mumu" and "tautau", each of the shape of `mass`.

    Raises:
        InputError: if a mass is not above 2 m_e.
    """
    widths = yukawa.lepton_widths(yukawa.above_two_electrons(mass, inputs), 1, inputs)
    return {final: as_given(width) for final, width in widths.items()}  # type: ignore[return-value]


@overload
def width(mass: float, g_y: float, *, inputs: Inputs = ...) -> float: ...
@overload
def width(mass: ArrayLike, g_y: ArrayLike, *, inputs: Inputs = ...) -> FloatArray: ...
def width(
    mass: ArrayLike, g_y: ArrayLike, *, inputs: Inputs = DEFAULT_INPUTS
) -> float | FloatArray:
    r"""Total width of a in GeV, that of its decays to leptons; proportional to g_Y².

    Args:
        mass: mass m_a in GeV.
        g_y: coupling g_Y; broadcasts with `mass`.
        inputs: the numbers that go in.

    Raises:
        InputError: if a mass is not above 2 m_e, or above `Inputs.hadron_onset`.
    """
    total = _total_width(_mass_of_known_width(mass, inputs), inputs)
    return as_given(total * np.square(g_y, dtype=np.float64))


@overload
def lifetime_ctau_cm(mass: float, g_y: float, *, inputs: Inputs = ...) -> float: ...
@overload
def lifetime_ctau_cm(mass: ArrayLike, g_y: ArrayLike, *, inputs: Inputs = ...) -> FloatArray: ...
def lifetime_ctau_cm(
    mass: ArrayLike, g_y: ArrayLike, *, inputs: Inputs = DEFAULT_INPUTS
) -> float | FloatArray:
    r"""Proper decay length cτ = ħc/Γ of a in cm; infinite at zero coupling.

    Args:
        mass: mass m_a in GeV.
        g_y: coupling g_Y; broadcasts with `mass`.
        inputs: the numbers that go in.

    Raises:
        InputError: if a mass is not above 2 m_e, or above `Inputs.hadron_onset`.
    """
    with np.errstate(divide="ignore"):
        return as_given(HBAR_C / np.asarray(width(mass, g_y, inputs=inputs)))


@overload
def decay_fraction(final: str, mass: float, *, inputs: Inputs = ...) -> float: ...
@overload
def decay_fraction(final: str, mass: ArrayLike, *, inputs: Inputs = ...) -> FloatArray: ...
def decay_fraction(
    final: str, mass: ArrayLike, *, inputs: Inputs = DEFAULT_INPUTS
) -> float | FloatArray:
    r"""B(a → x⁺x⁻) of one of the pairs that are searched for.

    Args:
        final: "ee" or "mumu"; the "pipi" and "KK" of `FINAL_STATES` are refused.
        mass: mass m_a in GeV.
        inputs: the numbers that go in.

    Returns:
        The branching fraction, of the shape of `mass`; 0 below threshold.

    Raises:
        InputError: if the final state is unknown or forbidden, or a mass is not above 2 m_e, or
            above `Inputs.hadron_onset`.
    """
    yukawa.check_final_state(final)
    if final in ("pipi", "KK"):
        raise InputError(f"a → {final} is forbidden by CP: give 'ee' or 'mumu'")
    m = _mass_of_known_width(mass, inputs)
    return as_given(yukawa.lepton_widths(m, 1, inputs)[final] / _total_width(m, inputs))


@overload
def width_uncertainty(mass: float, *, inputs: Inputs = ...) -> float: ...
@overload
def width_uncertainty(mass: ArrayLike, *, inputs: Inputs = ...) -> FloatArray: ...
def width_uncertainty(mass: ArrayLike, *, inputs: Inputs = DEFAULT_INPUTS) -> float | FloatArray:
    r"""Relative uncertainty of the total width: 5 % up to 0.4 GeV, 20 % above (assumed).

    It stands for what is left out: photons, and from about 3 m_π on hadrons.

    Args:
        mass: mass m_a in GeV.
        inputs: the numbers that go in.

    Returns:
        The relative uncertainty, of the shape of `mass`.

    Raises:
        InputError: if a mass is not above 2 m_e, or above `Inputs.hadron_onset`.
    """
    m = _mass_of_known_width(mass, inputs)
    return as_given(np.where(m <= 0.4, 0.05, 0.20))


def _mass_of_known_width(mass: ArrayLike, inputs: Inputs) -> FloatArray:
    m = yukawa.above_two_electrons(mass, inputs)
    if np.any(m > inputs.hadron_onset):
        raise InputError(
            f"mass {np.max(m):.6g} GeV is above {inputs.hadron_onset:g} GeV, where a → hadrons, "
            "which is not computed, is no longer negligible: no total width to give"
        )
    return m


def _total_width(m: FloatArray, inputs: Inputs) -> FloatArray:
    """Sum of the widths to leptons over g_Y²."""
    total: FloatArray = np.sum([*yukawa.lepton_widths(m, 1, inputs).values()], axis=0)
    return total
