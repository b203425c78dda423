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
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from zfit_dark.errors import InputError
from zfit_dark.kinematics import as_given

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

_HBAR = 6.582119569e-25  # GeV s, exact in the SI (CODATA 2018)
_HBAR_C = 1.973269804e-14  # GeV cm, exact in the SI

MODES = ("Kplus", "KS", "Kst0", "Kstplus")
r"""B⁺ → K⁺ a, B⁰ → K⁰ a, B⁰ → K*⁰ a, B⁺ → K*⁺ a. Branching fractions are those of the whole K⁰ and
K*: the fractions of K⁰ → K⁰_S → π⁺π⁻ and of the K* decay belong to the efficiency."""


def _input(value: float, unit: str, status: str, source: str) -> Any:
    return field(default=value, metadata={"unit": unit, "status": status, "source": source})


_PDG_FILE = "PDG 2025, file of masses and widths"
_F0 = "Ball, Zwicky hep-ph/0406232, B → K"
_A0 = "Ball, Zwicky hep-ph/0412079, B → K*"


@dataclass(frozen=True)
class Inputs:
    """The numbers behind the predictions; `table` prints them with their sources.

    Exchange some with `dataclasses.replace`, or by keyword: `Inputs(top_mass=162.5)` takes the
    MS-bar top mass. The status of a number is "read" (in its source), "derived" (from one),
    "assumed" (a choice), or "user" for one that was exchanged.
    """

    fermi_constant: float = _input(1.1663787e-5, "GeV^-2", "read", "CODATA 2022")
    w_mass: float = _input(80.369, "GeV", "read", _PDG_FILE)
    top_mass: float = _input(172.57, "GeV", "read", "PDG 2024, direct measurements")
    vtb_vts: float = _input(0.0404, "", "derived", "|V_tb V_ts*| from a global CKM fit")
    sin2_theta_w: float = _input(
        0.23122, "", "assumed", "PDG; the scheme, MS-bar at m_Z, is a choice"
    )
    bplus_mass: float = _input(5.27941, "GeV", "read", _PDG_FILE)
    b0_mass: float = _input(5.27972, "GeV", "read", _PDG_FILE)
    bplus_lifetime: float = _input(1.638e-12, "s", "derived", f"{_PDG_FILE}: ħ/Γ")
    b0_lifetime: float = _input(1.517e-12, "s", "derived", f"{_PDG_FILE}: ħ/Γ")
    kplus_mass: float = _input(0.493677, "GeV", "read", _PDG_FILE)
    k0_mass: float = _input(0.497611, "GeV", "read", _PDG_FILE)
    kst0_mass: float = _input(0.89555, "GeV", "read", _PDG_FILE)
    kstplus_mass: float = _input(0.89167, "GeV", "read", _PDG_FILE)
    f0_r2: float = _input(0.330, "", "read", _F0)
    f0_mfit2: float = _input(37.46, "GeV^2", "read", _F0)
    a0_r1: float = _input(1.364, "", "read", _A0)
    a0_r2: float = _input(-0.990, "", "read", _A0)
    a0_mfit2: float = _input(36.78, "GeV^2", "read", _A0)

    def __post_init__(self) -> None:
        for entry in fields(self):
            if not math.isfinite(getattr(self, entry.name)):
                raise InputError(f"theory input {entry.name} is not a finite number")

    def table(self) -> str:
        """One line per number: name, value, unit, status, source.

        >>> print(Inputs(top_mass=162.5).table().splitlines()[3])
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
    """Largest mass m_B − m_K(*) of the a in this mode, GeV.

    Raises:
        InputError: if the mode is not one of `MODES`.
    """
    mesons = _mesons(mode, inputs)
    return mesons.b_mass - mesons.k_mass


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

    With ``λ = [1 − (m_a + m_K)²/m_B²] [1 − (m_a − m_K)²/m_B²]`` the widths are
    ``Γ(B → K a) = m_B³/(64π) |g_abs|² (1 − m_K²/m_B²)² f₀² λ^½`` and
    ``Γ(B → K* a) = m_B³/(64π) |g_abs|² A₀² λ^(3/2)``, with
    ``g_abs = −(3√2 G_F m_W² g_aW / 16π²) V_tb V_ts* f(m_t²/m_W²)``; charm adds 2e-4 of it and is
    left out.

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
    m = _positive(mass)
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
    b_width = b_mass**3 / (64.0 * math.pi) * _b_to_s_coupling(inputs) ** 2 * matrix_element
    ratio = np.where(is_open, b_lifetime / _HBAR * b_width, 0.0)
    return as_given(ratio)


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
    the branching fraction of a prompt a.

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
    return as_given(coupling**2 * _positive(mass) ** 3 / (64.0 * math.pi))


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
        return as_given(_HBAR_C / np.asarray(width(mass, g_aw, inputs=inputs)))


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


def _b_to_s_coupling(inputs: Inputs) -> float:
    """|g_abs| / g_aW, dimensionless."""
    loop = inputs.vtb_vts * loop_function((inputs.top_mass / inputs.w_mass) ** 2)
    return (
        3.0 * math.sqrt(2.0) * inputs.fermi_constant * inputs.w_mass**2 / (16 * math.pi**2) * loop
    )


def _positive(mass: ArrayLike) -> NDArray[np.float64]:
    m = np.asarray(mass, dtype=np.float64)
    bad = ~(np.isfinite(m) & (m > 0.0))
    if np.any(bad):
        raise InputError(f"mass {m[bad].flat[0]:g} GeV of the a: give a positive, finite mass")
    return m
