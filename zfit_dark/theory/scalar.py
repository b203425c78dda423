r"""A dark scalar S that mixes with the Higgs boson: B → K(*) S with S → x⁺x⁻.

Mixing by a small angle θ gives S the couplings of the Higgs times θ. A top loop makes b → s S, and
S decays into the heaviest particles that it can reach: it is long-lived at small θ or mass, and θ
enters both its rate and its lifetime (`exclusion` finds the θ that a search excludes).

All masses are in GeV, lengths in cm, θ has no unit. Every number that goes in is a field of
`Inputs`, with its unit, source and status, or stands in the file `scalar_widths.yaml` beside this
module; pass another `Inputs` to change it.

How good it is: B → K(*) S carries the uncertainty of the form factors, 10 to 15 %. Of the total
width, see `width_uncertainty`. Up to 2 GeV ππ and KK are read off the dispersive analysis of
Winkler in the isospin limit, which within 10 MeV of the two thresholds is not the real world; other
hadrons are a fit that joins the two regions. Above, quarks and gluons stand for hadrons, at leading
order: only ee, μμ (and ττ) can be interpreted there. S → γγ is left out, by estimate a few per
cent of the width below 2 m_μ and less above; so is mixing with quarkonia at
3.4 GeV (χ_c0) and 9.9 GeV (χ_b0).

Sources: M. W. Winkler, arXiv:1809.01876; J. D. Clarke, R. Foot, R. R. Volkas, arXiv:1310.8042 (the
spectator model); A. Djouadi, hep-ph/0503172 (gluons).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, overload

import numpy as np
import yaml

from zfit_dark.errors import InputError
from zfit_dark.kinematics import as_given
from zfit_dark.theory import flavour, yukawa
from zfit_dark.theory.flavour import HBAR_C, MODES, PDG_FILE, input_number, kinematic_end
from zfit_dark.theory.yukawa import FINAL_STATES, velocity

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

__all__ = [
    "DEFAULT_INPUTS",
    "FINAL_STATES",
    "MODES",
    "TABLE_END",
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

TABLE_END = 2.0
"""Mass in GeV up to which ππ and KK are known; hadrons are quarks and gluons above."""

_CHARGED = {"pipi": 2.0 / 3.0, "KK": 1.0 / 2.0}  # isospin 0: the fraction of π⁺π⁻ and of K⁺K⁻


@dataclass(frozen=True)
class Inputs(yukawa.Inputs):
    """The numbers behind the predictions: those of B → K(*) X and X → ℓ⁺ℓ⁻, and these.

    See `flavour.Inputs` for how to exchange and print them.
    """

    pion_mass: float = input_number(0.13957, "GeV", "read", f"{PDG_FILE}; opens S → 4π")
    other_hadrons: float = input_number(
        5.1e-9, "GeV^-2", "derived", "Winkler 1809.01876: joins ππ + KK to gluons at 2 GeV"
    )
    strange_mass: float = input_number(0.0935, "GeV", "read", "PDG 2024, MS-bar at 2 GeV")
    charm_mass: float = input_number(1.273, "GeV", "read", "PDG 2024, MS-bar at m_c")
    bottom_mass: float = input_number(4.183, "GeV", "read", "PDG 2024, MS-bar at m_b")
    d0_mass: float = input_number(1.86484, "GeV", "read", f"{PDG_FILE}; opens S → c c-bar")
    alpha_s_mtau: float = input_number(0.314, "", "read", "PDG 2024, α_s(m_τ)")
    hadron_factor: float = input_number(
        1.0, "", "assumed", "on all hadronic widths: vary it by their uncertainty"
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
    r"""B(B → K(*) S) / θ².

    The widths are those of `flavour.branching_ratio_per_g_bs_squared` with
    ``g_bs = θ · 3 m_t² |V_tb V_ts*| / (16π² v³)``.

    Args:
        mode: one of `MODES`.
        mass: mass m_S in GeV.
        inputs: the numbers that go in.

    Returns:
        The ratio, of the shape of `mass`; 0 from m_B − m_K(*) on, where the mode is closed.

    Raises:
        InputError: if the mode is unknown, or a mass not positive and finite.

    >>> round(branching_ratio_per_coupling_squared("Kplus", 1.0), 3)
    0.447
    """
    ratio = flavour.branching_ratio_per_g_bs_squared(mode, mass, inputs=inputs)
    return as_given(ratio * (3.0 * yukawa.top_loop(inputs)) ** 2)


@overload
def branching_fraction(mode: str, mass: float, theta: float, *, inputs: Inputs = ...) -> float: ...
@overload
def branching_fraction(
    mode: str, mass: ArrayLike, theta: ArrayLike, *, inputs: Inputs = ...
) -> FloatArray: ...
def branching_fraction(
    mode: str, mass: ArrayLike, theta: ArrayLike, *, inputs: Inputs = DEFAULT_INPUTS
) -> float | FloatArray:
    r"""B(B → K(*) S), proportional to θ²; see `branching_ratio_per_coupling_squared`.

    Args:
        mode: one of `MODES`.
        mass: mass m_S in GeV.
        theta: mixing angle θ, its sign without effect; broadcasts with `mass`.
        inputs: the numbers that go in.

    Returns:
        The branching fraction, of the broadcast shape; 0 where the mode is closed. θ is taken to
        be small: sin θ = θ, and nothing keeps the value below 1.

    Raises:
        InputError: if the mode is unknown, or a mass not positive and finite.
    """
    ratio = branching_ratio_per_coupling_squared(mode, mass, inputs=inputs)
    return as_given(ratio * np.square(theta, dtype=np.float64))


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
    r"""Γ(S → final state)/θ² in GeV, all charges together.

    Leptons: ``m_ℓ² m_S/(8πv²) β³``. Up to 2 GeV ππ and KK are tabulated, and other hadrons are
    ``5.1e-9 GeV⁻² m_S³ √(1 − 16 m_π²/m_S²)``. Above, all hadrons together are those of the
    spectator model, ``3 m_s² m_S/(8πv²) β_K³ + 3 m_c² m_S/(8πv²) β_D³``, and gluons,
    ``α_s² m_S³/(72π³v²) |Σ_{c,b,t} ¾A(m_S²/4m_q²)|²``.

    Args:
        mass: mass m_S in GeV.
        inputs: the numbers that go in.

    Returns:
        "ee", "mumu", "tautau", "pipi", "KK" and "other" hadrons, each of the shape of `mass`.
        Above 2 GeV "pipi" and "KK" are NaN, part of "other".

    Raises:
        InputError: if a mass is not above 2 m_e, or S could decay to b hadrons.
    """
    widths = _partial_widths(_mass_of_known_width(mass, inputs), inputs)
    return {final: as_given(width) for final, width in widths.items()}  # type: ignore[return-value]


@overload
def width(mass: float, theta: float, *, inputs: Inputs = ...) -> float: ...
@overload
def width(mass: ArrayLike, theta: ArrayLike, *, inputs: Inputs = ...) -> FloatArray: ...
def width(
    mass: ArrayLike, theta: ArrayLike, *, inputs: Inputs = DEFAULT_INPUTS
) -> float | FloatArray:
    r"""Total width of S in GeV, proportional to θ²: see `partial_widths_per_coupling_squared`.

    Args:
        mass: mass m_S in GeV.
        theta: mixing angle θ; broadcasts with `mass`.
        inputs: the numbers that go in.

    Raises:
        InputError: if a mass is not above 2 m_e, or S could decay to b hadrons.
    """
    total = _total_width(_mass_of_known_width(mass, inputs), inputs)
    return as_given(total * np.square(theta, dtype=np.float64))


@overload
def lifetime_ctau_cm(mass: float, theta: float, *, inputs: Inputs = ...) -> float: ...
@overload
def lifetime_ctau_cm(mass: ArrayLike, theta: ArrayLike, *, inputs: Inputs = ...) -> FloatArray: ...
def lifetime_ctau_cm(
    mass: ArrayLike, theta: ArrayLike, *, inputs: Inputs = DEFAULT_INPUTS
) -> float | FloatArray:
    r"""Proper decay length cτ = ħc/Γ of S in cm; infinite at θ = 0.

    Args:
        mass: mass m_S in GeV.
        theta: mixing angle θ; broadcasts with `mass`.
        inputs: the numbers that go in.

    Raises:
        InputError: if a mass is not above 2 m_e, or S could decay to b hadrons.

    >>> round(lifetime_ctau_cm(0.3, 1e-3), 2)
    5.42
    """
    with np.errstate(divide="ignore"):
        return as_given(HBAR_C / np.asarray(width(mass, theta, inputs=inputs)))


@overload
def decay_fraction(final: str, mass: float, *, inputs: Inputs = ...) -> float: ...
@overload
def decay_fraction(final: str, mass: ArrayLike, *, inputs: Inputs = ...) -> FloatArray: ...
def decay_fraction(
    final: str, mass: ArrayLike, *, inputs: Inputs = DEFAULT_INPUTS
) -> float | FloatArray:
    r"""B(S → x⁺x⁻) to the charged pair: 2/3 of all ππ and 1/2 of all KK.

    Args:
        final: one of `FINAL_STATES`.
        mass: mass m_S in GeV.
        inputs: the numbers that go in.

    Returns:
        The branching fraction, of the shape of `mass`; 0 below threshold.

    Raises:
        InputError: if the final state is unknown, a mass is not above 2 m_e, S could decay to b
            hadrons, or pipi or KK is asked for above 2 GeV.
    """
    yukawa.check_final_state(final)
    m = _mass_of_known_width(mass, inputs)
    if final in _CHARGED and np.any(m > TABLE_END):
        raise InputError(
            f"S → {final} is not known above {TABLE_END:g} GeV, where hadrons are computed as "
            f"quarks and gluons: no fraction to give at {np.max(m):.6g} GeV"
        )
    partial = _partial_widths(m, inputs)[final] * _CHARGED.get(final, 1.0)
    return as_given(partial / _total_width(m, inputs))


@overload
def width_uncertainty(mass: float) -> float: ...
@overload
def width_uncertainty(mass: ArrayLike) -> FloatArray: ...
def width_uncertainty(mass: ArrayLike) -> float | FloatArray:
    r"""Relative uncertainty of the total width: 5 % below 1 GeV, 20 % up to 2 GeV, 50 % above.

    To 2 GeV it is how well public evaluations of Winkler's result agree (derived). Above it is
    assumed, of the size of what the leading order leaves open: at 3 GeV the width to gluons changes
    by +70 % or −35 % if α_s is taken at half or twice m_S, and that to s s̄ by −30 % if m_s is run
    from 2 GeV to m_S; resonances and the threshold of charm are not described at all.

    Args:
        mass: mass m_S in GeV.

    Returns:
        The relative uncertainty, of the shape of `mass`.

    Raises:
        InputError: if a mass is not positive and finite.
    """
    m = flavour.positive_mass(mass)
    return as_given(np.select([m < 1.0, m <= TABLE_END], [0.05, 0.20], 0.50))


class _Table(NamedTuple):
    """Γ/θ² of a pair of mesons at ascending masses, and the mass of the meson."""

    daughter_mass: float
    mass: FloatArray
    value: FloatArray

    def at(self, mass: FloatArray) -> FloatArray:
        """Γ/θ², with ln(Γ/β) on straight lines and constant beyond the ends; 0 below threshold."""
        log_reduced = np.log(self.value / velocity(self.mass, self.daughter_mass))
        reduced = np.exp(np.interp(mass, self.mass, log_reduced))
        return reduced * velocity(mass, self.daughter_mass)


@cache
def _tables() -> dict[str, _Table]:
    content = yaml.safe_load(Path(__file__).with_name("scalar_widths.yaml").read_text("utf-8"))
    return {
        final: _Table(entry["daughter_mass"], np.array(entry["mass"]), np.array(entry["value"]))
        for final, entry in content.items()
    }


def _mass_of_known_width(mass: ArrayLike, inputs: Inputs) -> FloatArray:
    m = yukawa.above_two_electrons(mass, inputs)
    end = 2.0 * inputs.bplus_mass
    if np.any(m >= end):
        raise InputError(
            f"mass {np.max(m):.6g} GeV is not below 2 m_B = {end:.6g} GeV: decays to b hadrons are "
            "not computed"
        )
    return m


def _partial_widths(m: FloatArray, inputs: Inputs) -> dict[str, FloatArray]:
    low = m <= TABLE_END
    four_pions = velocity(m, 2.0 * inputs.pion_mass)
    other = np.where(low, inputs.other_hadrons * m**3 * four_pions, _quarks_and_gluons(m, inputs))
    factor = inputs.hadron_factor
    return {
        **yukawa.lepton_widths(m, 3, inputs),
        **{final: np.where(low, factor * t.at(m), np.nan) for final, t in _tables().items()},
        "other": factor * other,
    }


def _total_width(m: FloatArray, inputs: Inputs) -> FloatArray:
    """Sum of all partial widths over θ²; NaN stands for one that is part of another."""
    total: FloatArray = np.nansum([*_partial_widths(m, inputs).values()], axis=0)
    return total


def _quarks_and_gluons(m: FloatArray, inputs: Inputs) -> FloatArray:
    """Γ(S → hadrons)/θ² at leading order, for 2 GeV and more."""
    strange = yukawa.fermion_width(m, inputs.strange_mass, inputs)
    charm = yukawa.fermion_width(m, inputs.charm_mass, inputs)
    quarks = 3.0 * (
        strange * velocity(m, inputs.kplus_mass) ** 3 + charm * velocity(m, inputs.d0_mass) ** 3
    )
    amplitude = (
        _gluon_amplitude(m, inputs.charm_mass)
        + _gluon_amplitude(m, inputs.bottom_mass)
        + _gluon_amplitude(m, inputs.top_mass)
    )
    gluons = _alpha_s(m, inputs) ** 2 * m**3 * np.abs(amplitude) ** 2
    hadrons: FloatArray = quarks + gluons / (72.0 * math.pi**3 * inputs.higgs_vev**2)
    return hadrons


def _gluon_amplitude(m: FloatArray, quark_mass: float) -> NDArray[np.complex128]:
    r"""¾A = (3/2)[τ + (τ − 1) f(τ)]/τ² with τ = m²/4m_q²; 1 for a heavy quark, 0 for a light one.

    ``f = arcsin²√τ``, continued to complex values above τ = 1.
    """
    tau = (0.5 * m / quark_mass) ** 2
    f = np.arcsin(np.sqrt(tau.astype(np.complex128))) ** 2
    amplitude: NDArray[np.complex128] = 1.5 * (tau + (tau - 1.0) * f) / tau**2
    return amplitude


def _alpha_s(m: FloatArray, inputs: Inputs) -> FloatArray:
    """α_s at the scale m, run at one loop with four flavours from m_τ."""
    slope = (33.0 - 2.0 * 4.0) / (12.0 * math.pi)
    log = np.log((m / inputs.tau_mass) ** 2)
    return inputs.alpha_s_mtau / (1.0 + slope * inputs.alpha_s_mtau * log)
