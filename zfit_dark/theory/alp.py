r"""An axion-like particle a that couples to W bosons: B → K(*) a with a → γγ.

The Lagrangian is ``L ⊃ −(g_aW/4) a W^b_μν W̃^{b,μν}``. A loop of W and up-type quarks gives the
flavour-changing coupling g_abs of b → s a, which fixes Γ(B → K(*) a), and mixing with the photon
gives Γ(a → γγ), the total width in the masses considered here: the a is long-lived at small
coupling or mass.

All masses are in GeV, couplings g_aW in GeV⁻¹, lengths in cm. Every number that goes in is a field
of `Inputs`, with its unit, source and status; pass another `Inputs` to change it.

Sources: amplitude and width are derived from the Lagrangian, a model of E. Izaguirre, T. Lin and
B. Shuve, arXiv:1611.09355; form factors of P. Ball and R. Zwicky, hep-ph/0406232, hep-ph/0412079.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np

from zfit_dark.errors import InputError
from zfit_dark.kinematics import as_given
from zfit_dark.theory import flavour
from zfit_dark.theory.flavour import (
    HBAR_C,
    MODES,
    PDG_FILE,
    form_factor_a0,
    form_factor_f0,
    input_number,
    kinematic_end,
    positive_mass,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "DEFAULT_INPUTS",
    "MODES",
    "Inputs",
    "branching_fraction",
    "branching_ratio_per_coupling_squared",
    "coupling_from_branching_fraction",
    "form_factor_a0",
    "form_factor_f0",
    "kinematic_end",
    "lifetime_ctau_cm",
    "loop_function",
    "width",
]


@dataclass(frozen=True)
class Inputs(flavour.Inputs):
    """The numbers behind the predictions: those of B → K(*) X, and these.

    See `flavour.Inputs` for how to exchange and print them.
    """

    fermi_constant: float = input_number(1.1663787e-5, "GeV^-2", "read", "CODATA 2022")
    w_mass: float = input_number(80.369, "GeV", "read", PDG_FILE)
    sin2_theta_w: float = input_number(
        0.23122, "", "assumed", "PDG; the scheme, MS-bar at m_Z, is a choice"
    )


DEFAULT_INPUTS = Inputs()
"""The numbers used where no others are given."""


def loop_function(x: float) -> float:
    r"""Loop function f(x) = x [1 + x (ln x − 1)] / (1 − x)² of the quark q, with x = m_q²/m_W².

    Near x = 1, where numerator and denominator vanish, its Taylor series is summed.

    Raises:
        InputError: if x is not positive and finite.

    >>> loop_function(1.0)
    0.5
    """
    if not (math.isfinite(x) and x > 0.0):
        raise InputError(f"loop function of x = {x:g}: a squared mass ratio is positive")
    t = x - 1.0
    if abs(t) < 0.2:
        return x * sum((-t) ** k / ((k + 1) * (k + 2)) for k in range(24))
    return x * (1.0 + x * (math.log(x) - 1.0)) / t**2


@overload
def branching_ratio_per_coupling_squared(
    mode: str, mass: float, *, inputs: Inputs = ...
) -> float: ...
@overload
def branching_ratio_per_coupling_squared(
    mode: str, mass: ArrayLike, *, inputs: Inputs = ...
) -> NDArray[np.float64]: ...
def branching_ratio_per_coupling_squared(
    mode: str, mass: ArrayLike, *, inputs: Inputs = DEFAULT_INPUTS
) -> float | NDArray[np.float64]:
    r"""B(B → K(*) a) / g_aW² in GeV².

    The widths are those of `flavour.branching_ratio_per_g_bs_squared` with
    ``g_bs = g_abs = −(3√2 G_F m_W² g_aW / 16π²) V_tb V_ts* f(m_t²/m_W²)``; charm adds 2e-4 of it
    and is left out.

    Args:
        mode: one of `MODES`.
        mass: mass m_a in GeV.
        inputs: the numbers that go in.

    Returns:
        The ratio in GeV², of the shape of `mass`; 0 from m_B − m_K(*) on, where the mode is closed.

    Raises:
        InputError: if the mode is unknown, or a mass not positive and finite.

    >>> round(branching_ratio_per_coupling_squared("Kplus", 1.0))
    1940
    """
    ratio = flavour.branching_ratio_per_g_bs_squared(mode, mass, inputs=inputs)
    return as_given(ratio * _b_to_s_coupling(inputs) ** 2)


@overload
def branching_fraction(mode: str, mass: float, g_aw: float, *, inputs: Inputs = ...) -> float: ...
@overload
def branching_fraction(
    mode: str, mass: ArrayLike, g_aw: ArrayLike, *, inputs: Inputs = ...
) -> NDArray[np.float64]: ...
def branching_fraction(
    mode: str, mass: ArrayLike, g_aw: ArrayLike, *, inputs: Inputs = DEFAULT_INPUTS
) -> float | NDArray[np.float64]:
    r"""B(B → K(*) a), proportional to g_aW²; see `branching_ratio_per_coupling_squared`.

    Args:
        mode: one of `MODES`.
        mass: mass m_a in GeV.
        g_aw: coupling g_aW in GeV⁻¹, its sign without effect; broadcasts with `mass`.
        inputs: the numbers that go in.

    Returns:
        The branching fraction, of the broadcast shape; 0 where the mode is closed. It is not
        unitarised: a large coupling gives a value above 1.

    Raises:
        InputError: if the mode is unknown, or a mass not positive and finite.

    >>> round(branching_fraction("Kplus", 1.0, 1e-5) * 1e7, 2)
    1.94
    """
    ratio = branching_ratio_per_coupling_squared(mode, mass, inputs=inputs)
    return as_given(ratio * np.square(g_aw, dtype=np.float64))


@overload
def coupling_from_branching_fraction(
    mode: str, mass: float, bf: float, *, inputs: Inputs = ...
) -> float: ...
@overload
def coupling_from_branching_fraction(
    mode: str, mass: ArrayLike, bf: ArrayLike, *, inputs: Inputs = ...
) -> NDArray[np.float64]: ...
def coupling_from_branching_fraction(
    mode: str, mass: ArrayLike, bf: ArrayLike, *, inputs: Inputs = DEFAULT_INPUTS
) -> float | NDArray[np.float64]:
    r"""The coupling g_aW ≥ 0 that gives this B(B → K(*) a): the inverse of `branching_fraction`.

    The lifetime that this coupling implies is not looked at: the conversion holds for a limit on
    the branching fraction of a prompt a. With the lifetime: `couplings.coupling_limit`.

    Args:
        mode: one of `MODES`.
        mass: mass m_a in GeV.
        bf: branching fraction, not negative; NaN (no limit there) stays NaN. Broadcasts with
            `mass`.
        inputs: the numbers that go in.

    Returns:
        g_aW in GeV⁻¹, of the broadcast shape.

    Raises:
        InputError: if the mode is unknown or closed at one of the masses, a mass not positive and
            finite, or a branching fraction negative.
    """
    ratio = np.asarray(branching_ratio_per_coupling_squared(mode, mass, inputs=inputs))
    if np.any(ratio == 0.0):
        end = kinematic_end(mode, inputs=inputs)
        raise InputError(
            f"mode {mode} is closed from m_B - m_K = {end:.6g} GeV on: no coupling to give at "
            f"{np.max(mass):.6g} GeV"
        )
    bf = np.asarray(bf, dtype=np.float64)
    if np.any(bf < 0.0):
        raise InputError(
            f"branching fraction {np.nanmin(bf):.6g} is negative: no coupling gives it"
        )
    return as_given(np.sqrt(bf / ratio))


@overload
def width(mass: float, g_aw: float, *, inputs: Inputs = ...) -> float: ...
@overload
def width(mass: ArrayLike, g_aw: ArrayLike, *, inputs: Inputs = ...) -> NDArray[np.float64]: ...
def width(
    mass: ArrayLike, g_aw: ArrayLike, *, inputs: Inputs = DEFAULT_INPUTS
) -> float | NDArray[np.float64]:
    r"""Width Γ(a → γγ) = g_aW² m_a³ sin⁴θ_W / (64π), the total width of the a, in GeV.

    Args:
        mass: mass m_a in GeV.
        g_aw: coupling g_aW in GeV⁻¹; broadcasts with `mass`.
        inputs: the numbers that go in.

    Raises:
        InputError: if a mass is not positive and finite.
    """
    coupling = np.asarray(g_aw, dtype=np.float64) * inputs.sin2_theta_w  # g_aγγ
    return as_given(coupling**2 * positive_mass(mass) ** 3 / (64.0 * math.pi))


@overload
def lifetime_ctau_cm(mass: float, g_aw: float, *, inputs: Inputs = ...) -> float: ...
@overload
def lifetime_ctau_cm(
    mass: ArrayLike, g_aw: ArrayLike, *, inputs: Inputs = ...
) -> NDArray[np.float64]: ...
def lifetime_ctau_cm(
    mass: ArrayLike, g_aw: ArrayLike, *, inputs: Inputs = DEFAULT_INPUTS
) -> float | NDArray[np.float64]:
    r"""Proper decay length cτ = ħc/Γ of the a in cm; infinite at zero coupling.

    Args:
        mass: mass m_a in GeV.
        g_aw: coupling g_aW in GeV⁻¹; broadcasts with `mass`.
        inputs: the numbers that go in.

    Raises:
        InputError: if a mass is not positive and finite.

    >>> round(lifetime_ctau_cm(1.0, 1e-5), 3)
    0.742
    """
    with np.errstate(divide="ignore"):
        return as_given(HBAR_C / np.asarray(width(mass, g_aw, inputs=inputs)))


def _b_to_s_coupling(inputs: Inputs) -> float:
    """|g_abs| / g_aW, dimensionless."""
    loop = inputs.vtb_vts * loop_function((inputs.top_mass / inputs.w_mass) ** 2)
    return (
        3.0 * math.sqrt(2.0) * inputs.fermi_constant * inputs.w_mass**2 / (16 * math.pi**2) * loop
    )
