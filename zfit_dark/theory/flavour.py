r"""What the predictions of B → K(*) X share: mesons, form factors, and the width of the decay.

A light particle X that couples to b → s with the strength g_bs, in GeV⁻¹, is made with the same
width whether it is a scalar or a pseudoscalar; what g_bs is in terms of a model's coupling is said
by the module of the model. All masses are in GeV.

Sources: form factors of P. Ball and R. Zwicky, hep-ph/0406232, hep-ph/0412079.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zfit_dark.errors import InputError
from zfit_dark.kinematics import as_given

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "DEFAULT_INPUTS",
    "HBAR",
    "HBAR_C",
    "MODES",
    "PDG_FILE",
    "Inputs",
    "branching_ratio_per_g_bs_squared",
    "form_factor_a0",
    "form_factor_f0",
    "input_number",
    "kinematic_end",
    "positive_mass",
]

HBAR = 6.582119569e-25
"""ħ in GeV s, exact in the SI (CODATA 2018)."""
HBAR_C = 1.973269804e-14
"""ħc in GeV cm, exact in the SI."""

MODES = ("Kplus", "KS", "Kst0", "Kstplus")
r"""B⁺ → K⁺ X, B⁰ → K⁰ X, B⁰ → K*⁰ X, B⁺ → K*⁺ X. Branching fractions are those of the whole K⁰ and
K*: the fractions of K⁰ → K⁰_S → π⁺π⁻ and of the K* decay belong to the efficiency."""


def input_number(value: float, unit: str, status: str, source: str) -> Any:
    """A field of `Inputs`: its number, and what is said of it."""
    return field(default=value, metadata={"unit": unit, "status": status, "source": source})


PDG_FILE = "PDG 2025, file of masses and widths"
"""Source of masses and lifetimes."""
_F0 = "Ball, Zwicky hep-ph/0406232, B → K"
_A0 = "Ball, Zwicky hep-ph/0412079, B → K*"


@dataclass(frozen=True)
class Inputs:
    """The numbers behind B → K(*) X; the `Inputs` of a model adds its own.

    Exchange some with `dataclasses.replace`, or by keyword: `Inputs(top_mass=162.5)` takes the
    MS-bar top mass. The status of a number is "read" (in its source), "derived" (from one),
    "assumed" (a choice), or "user" for one that was exchanged.
    """

    top_mass: float = input_number(172.57, "GeV", "read", "PDG 2024, direct measurements")
    vtb_vts: float = input_number(0.0404, "", "derived", "|V_tb V_ts*| from a global CKM fit")
    bplus_mass: float = input_number(5.27941, "GeV", "read", PDG_FILE)
    b0_mass: float = input_number(5.27972, "GeV", "read", PDG_FILE)
    bplus_lifetime: float = input_number(1.638e-12, "s", "derived", f"{PDG_FILE}: ħ/Γ")
    b0_lifetime: float = input_number(1.517e-12, "s", "derived", f"{PDG_FILE}: ħ/Γ")
    kplus_mass: float = input_number(0.493677, "GeV", "read", PDG_FILE)
    k0_mass: float = input_number(0.497611, "GeV", "read", PDG_FILE)
    kst0_mass: float = input_number(0.89555, "GeV", "read", PDG_FILE)
    kstplus_mass: float = input_number(0.89167, "GeV", "read", PDG_FILE)
    f0_r2: float = input_number(0.330, "", "read", _F0)
    f0_mfit2: float = input_number(37.46, "GeV^2", "read", _F0)
    a0_r1: float = input_number(1.364, "", "read", _A0)
    a0_r2: float = input_number(-0.990, "", "read", _A0)
    a0_mfit2: float = input_number(36.78, "GeV^2", "read", _A0)

    def __post_init__(self) -> None:
        for entry in fields(self):
            if not math.isfinite(getattr(self, entry.name)):
                raise InputError(f"theory input {entry.name} is not a finite number")

    def table(self) -> str:
        """One line per number: name, value, unit, status, source.

        >>> print(Inputs(top_mass=162.5).table().splitlines()[1])
        top_mass        162.5         GeV     user     given instead of 172.57
        """
        lines = [f"{'input':<15} {'value':<13} {'unit':<7} {'status':<8} source"]
        for entry in fields(self):
            value = getattr(self, entry.name)
            status, source = entry.metadata["status"], entry.metadata["source"]
            if value != entry.default:
                status, source = "user", f"given instead of {entry.default:g}"
            unit = entry.metadata["unit"]
            lines.append(f"{entry.name:<15} {value:<13.9g} {unit:<7} {status:<8} {source}")
        return "\n".join(lines)


DEFAULT_INPUTS = Inputs()
"""The numbers used where no others are given."""


def form_factor_f0(
    q2: ArrayLike, *, inputs: Inputs = DEFAULT_INPUTS
) -> float | NDArray[np.float64]:
    r"""B → K form factor f₀(q²) = r₂ / (1 − q²/m_fit²), q² in GeV².

    Source: hep-ph/0406232.
    """
    return as_given(inputs.f0_r2 / (1.0 - np.asarray(q2, dtype=np.float64) / inputs.f0_mfit2))


def form_factor_a0(
    q2: ArrayLike, b_mass: float, *, inputs: Inputs = DEFAULT_INPUTS
) -> float | NDArray[np.float64]:
    r"""B → K* form factor A₀(q²) = r₁/(1 − q²/m_B²) + r₂/(1 − q²/m_fit²), q² in GeV², m_B in GeV.

    Source: hep-ph/0412079.
    """
    q2 = np.asarray(q2, dtype=np.float64)
    pole = inputs.a0_r1 / (1.0 - q2 / b_mass**2)
    return as_given(pole + inputs.a0_r2 / (1.0 - q2 / inputs.a0_mfit2))


def kinematic_end(mode: str, *, inputs: Inputs = DEFAULT_INPUTS) -> float:
    """Largest mass m_B − m_K(*) of the new particle in this mode, GeV.

    Raises:
        InputError: if the mode is not one of `MODES`.
    """
    mesons = _mesons(mode, inputs)
    return mesons.b_mass - mesons.k_mass


def branching_ratio_per_g_bs_squared(
    mode: str, mass: ArrayLike, *, inputs: Inputs = DEFAULT_INPUTS
) -> NDArray[np.float64]:
    r"""``B(B → K(*) X) / |g_bs|²`` in GeV² for a particle X with the coupling g_bs to b → s.

    With ``λ = [1 − (m_X + m_K)²/m_B²] [1 − (m_X − m_K)²/m_B²]`` the widths are
    ``Γ(B → K X) = m_B³/(64π) |g_bs|² (1 − m_K²/m_B²)² f₀² λ^½`` and
    ``Γ(B → K* X) = m_B³/(64π) |g_bs|² A₀² λ^(3/2)``.

    Args:
        mode: one of `MODES`.
        mass: mass m_X in GeV.
        inputs: the numbers that go in.

    Returns:
        The ratio in GeV², of the shape of `mass`; 0 from m_B − m_K(*) on, where the mode is closed.

    Raises:
        InputError: if the mode is unknown, or a mass not positive and finite.
    """
    m = positive_mass(mass)
    b_mass, b_lifetime, k_mass, is_vector = _mesons(mode, inputs)
    is_open = m < b_mass - k_mass
    m_open = np.where(is_open, m, 0.5 * (b_mass - k_mass))
    kallen = (1.0 - ((m_open + k_mass) / b_mass) ** 2) * (1.0 - ((m_open - k_mass) / b_mass) ** 2)
    if is_vector:
        matrix_element = form_factor_a0(m_open**2, b_mass, inputs=inputs) ** 2 * kallen**1.5
    else:
        matrix_element = (
            (1.0 - (k_mass / b_mass) ** 2) ** 2
            * form_factor_f0(m_open**2, inputs=inputs) ** 2
            * np.sqrt(kallen)
        )
    b_width = b_mass**3 / (64.0 * math.pi) * matrix_element
    return np.where(is_open, b_lifetime / HBAR * b_width, 0.0)


def positive_mass(mass: ArrayLike) -> NDArray[np.float64]:
    """Masses of the new particle as an array, checked.

    Raises:
        InputError: if a mass is not positive and finite.
    """
    m = np.asarray(mass, dtype=np.float64)
    bad = ~(np.isfinite(m) & (m > 0.0))
    if np.any(bad):
        raise InputError(
            f"mass {m[bad].flat[0]:g} GeV of the new particle: give a positive, finite mass"
        )
    return m


class _Mesons(NamedTuple):
    b_mass: float
    b_lifetime: float
    k_mass: float
    is_vector: bool


def _mesons(mode: str, inputs: Inputs) -> _Mesons:
    bplus = (inputs.bplus_mass, inputs.bplus_lifetime)
    b0 = (inputs.b0_mass, inputs.b0_lifetime)
    match mode:
        case "Kplus":
            return _Mesons(*bplus, inputs.kplus_mass, is_vector=False)
        case "KS":
            return _Mesons(*b0, inputs.k0_mass, is_vector=False)
        case "Kst0":
            return _Mesons(*b0, inputs.kst0_mass, is_vector=True)
        case "Kstplus":
            return _Mesons(*bplus, inputs.kstplus_mass, is_vector=True)
        case _:
            raise InputError(f"unknown mode {mode!r}: give one of {', '.join(MODES)}")
