"""Numbers and channels of b2ks, and how many signal events they would see."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator
from scipy.interpolate import PchipInterpolator

from zfit_dark.errors import InputError
from zfit_dark.kinematics import daughter_mass, invariant_mass, modified_mass, two_body_momentum
from zfit_dark.numbers import (
    Background,
    Curve,
    Finite,
    Number,
    Range,
    Record,
    Selection,
    Sourced,
    Values,
    data_file,
    load_numbers,
)
from zfit_dark.searches._samples import chosen_modes, unknown
from zfit_dark.signal_shape import SignalShape
from zfit_dark.theory import fermion_alp, flavour, scalar

FloatArray = npt.NDArray[np.float64]

KAONS = ("Kplus", "Kst0")
FINAL_STATES = ("ee", "mumu", "pipi", "KK")
MODES = tuple(f"{kaon}_{final}" for kaon in KAONS for final in FINAL_STATES)
MODELS = {"scalar": scalar, "alp": fermion_alp}
"""What ties the channels: a scalar that mixes with the Higgs, an ALP that couples to fermions."""

_SHORT_OF_THE_END = 1e-3
"""Of the kinematic end, in GeV, hypotheses end."""

_NODES = 80
"""Masses of the table of the resolution."""

MESONS = {
    "Kplus": (flavour.DEFAULT_INPUTS.bplus_mass, flavour.DEFAULT_INPUTS.kplus_mass),
    "Kst0": (flavour.DEFAULT_INPUTS.b0_mass, flavour.DEFAULT_INPUTS.kst0_mass),
}


# -- the numbers ----------------------------------------------------------------------------


class _Polynomial(Sourced):
    coefficients: Annotated[list[Finite], Field(min_length=1)]


class _LongLifetimes(Record):
    start: Annotated[Number, Field(alias="from")]
    below: dict[str, Number]


class _FinalState(Record):
    daughter: Literal["e", "mu", "pi", "K"]
    tex: str
    resolution: _Polynomial
    efficiency: Curve
    identification: Number


class _Tails(Record):
    alphal: Number
    nl: Number
    alphar: Number
    nr: Number


class _Displacement(Record):
    least: Number
    tight: Number
    prompt: Number
    boost: Number
    outer: Curve
    uncertainty: Number


class _TightRegion(Range):
    final_states: list[Literal["ee", "mumu", "pipi", "KK"]]


class _Kaon(Record):
    b_meson: Literal["charged", "neutral"]
    tex: str
    efficiency: Number
    uncertainty: Number


class _Leftover(Record):
    tex: str
    mass: Number
    width: Number
    displacement: Number
    events: dict[str, Number]


class Numbers(Record):
    """The content of ``b2ks.yaml``."""

    title: str
    mass_label: str
    reference: str
    luminosity: Number
    n_bb: Number
    n_bb_uncertainty: Number
    charged_fraction: Number
    neutral_fraction: Number
    kst0_to_kpi: Number
    lowest_mass: Number
    highest_mass: Number
    lifetimes: Values
    long_lifetimes: _LongLifetimes
    final_states: dict[str, _FinalState]
    tails: _Tails
    displacement: _Displacement
    tight_regions: list[_TightRegion]
    kaon_modes: dict[str, _Kaon]
    tracking_uncertainty: Number
    backgrounds: dict[str, Background]
    background_displacement: Number
    leftovers: dict[str, _Leftover]
    veto: Range
    selection: Selection

    @model_validator(mode="after")
    def _knows_all_channels(self) -> Numbers:
        there: dict[str, tuple[Mapping[str, Any], tuple[str, ...]]] = {
            "kaon_modes": (self.kaon_modes, KAONS),
            "final_states": (self.final_states, FINAL_STATES),
            "long_lifetimes.below": (self.long_lifetimes.below, FINAL_STATES),
            "backgrounds": (self.backgrounds, MODES),
        }
        for where, (found, known) in there.items():
            if tuple(found) != known:
                raise ValueError(f"{where} must hold {', '.join(known)}, not {', '.join(found)}")
        for name, leftover in self.leftovers.items():
            if strange := set(leftover.events) - set(MODES):
                raise ValueError(f"leftovers.{name}.events: no channel {', '.join(strange)}")
        return self


NUMBERS = load_numbers(data_file("b2ks"), Numbers)
NAME = "b2ks"
LIFETIMES = np.array(NUMBERS.lifetimes.value)
"""Proper decay lengths cτ in cm."""

LOWEST_M_PRIME = modified_mass(NUMBERS.lowest_mass.value, "e")
OUTER = PchipInterpolator(
    NUMBERS.displacement.outer.mass, NUMBERS.displacement.outer.value, extrapolate=False
)
EFFICIENCY = {
    name: PchipInterpolator(final.efficiency.mass, final.efficiency.value, extrapolate=False)
    for name, final in NUMBERS.final_states.items()
}


def kaon_and_final(mode: str) -> tuple[str, str]:
    """Kaon and final state of a channel."""
    kaon, _, final = mode.partition("_")
    return kaon, final


def label(mode: str) -> str:
    """A channel as a plot names it."""
    kaon, final = kaon_and_final(mode)
    b = "B^+" if NUMBERS.kaon_modes[kaon].b_meson == "charged" else "B^0"
    pair = NUMBERS.final_states[final].tex
    return rf"${b} \to {NUMBERS.kaon_modes[kaon].tex} S(\to {pair})$"


def product_label(mode: str) -> str:
    """What is limited in a channel, as an axis names it."""
    kaon, final = kaon_and_final(mode)
    pair = NUMBERS.final_states[final].tex
    if kaon == "Kplus":
        return rf"$\mathcal{{B}}(B^+ \to K^+ S)\,\mathcal{{B}}(S \to {pair})$"
    return (
        rf"$\mathcal{{B}}(B^0 \to K^{{*0}} S)\,\mathcal{{B}}(S \to {pair})\,"
        r"\mathcal{B}(K^{*0} \to K^+\pi^-)$"
    )


def mass_range(mode: str) -> tuple[float, float]:
    """The masses that a channel is searched for, in GeV: above threshold, below the kinematic end.

    Args:
        mode: One of `MODES`.

    >>> [round(mass, 3) for mass in mass_range("Kst0_pipi")]
    [0.279, 4.383]
    """
    kaon, final = kaon_and_final(mode)
    low = max(2 * daughter_mass(daughter_of(final)), NUMBERS.lowest_mass.value)
    end = flavour.kinematic_end(kaon) - _SHORT_OF_THE_END
    return low, min(end, NUMBERS.highest_mass.value)


def daughter_of(final: str) -> str:
    """What the pair is made of, as ``kinematics`` names it."""
    return NUMBERS.final_states[final].daughter


@lru_cache
def resolution(final: str) -> SignalShape:
    """The peak in M′, a table against M′."""
    numbers = NUMBERS.final_states[final]
    highest = max(mass for mode in MODES for mass in candidate_range(mode))
    positions = np.linspace(0.0, modified_mass(highest, numbers.daughter), _NODES)
    masses = invariant_mass(positions, numbers.daughter)
    sigma = 1e-3 * np.polynomial.polynomial.polyval(masses, numbers.resolution.coefficients)
    tails = {name: np.full(_NODES, number.value) for name, number in dict(NUMBERS.tails).items()}
    return SignalShape(
        positions,
        {"sigma": sigma} | tails,
        source=numbers.resolution.source,
        status=numbers.resolution.status,
    )


def candidate_range(mode: str) -> tuple[float, float]:
    """The masses of the candidates of a channel: up to the end, and as far as ΔE lets them go."""
    kaon, final = kaon_and_final(mode)
    return 2 * daughter_mass(daughter_of(final)), (
        flavour.kinematic_end(kaon) + NUMBERS.selection.delta_e.high
    )


# -- the signal -----------------------------------------------------------------------------


def least_displacement(final: str, mass: float) -> float:
    """The least distance of the vertex from the beams, in cm, that is selected at a mass."""
    for region in NUMBERS.tight_regions:
        if final in region.final_states and region.low <= mass <= region.high:
            return NUMBERS.displacement.tight.value
    return NUMBERS.displacement.least.value


def efficiency(mode: str, mass: float, ctau: float) -> float:
    """Efficiency for a signal; 0 where the channel is closed.

    With the mean decay length L = √((p/m)² + boost²) cτ, p being the momentum of the S in the rest
    frame of the B, it is ε₀(m) [exp(−least/L) + prompt] / (1 + L/outer).

    Args:
        mode: One of `MODES`.
        mass: Mass of the S, in GeV.
        ctau: Its proper decay length, in cm.

    Raises:
        InputError: the channel is unknown, or mass or lifetime not positive and finite.

    >>> round(efficiency("Kplus_mumu", 1.0, 1.0), 3)
    0.246
    """
    chosen_modes(mode, MODES)
    for name, value, unit in (("mass", mass, "GeV"), ("lifetime", ctau, "cm")):
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} {value:g} {unit}: give a positive number")
    kaon, final = kaon_and_final(mode)
    low, high = mass_range(mode)
    if not low <= mass <= high:
        return 0.0
    numbers = NUMBERS.displacement
    momentum = two_body_momentum(*MESONS[kaon], mass)
    length = math.hypot(momentum / mass, numbers.boost.value) * ctau
    seen = math.exp(-least_displacement(final, mass) / length) + numbers.prompt.value
    whole = float(EFFICIENCY[final](mass)) * NUMBERS.kaon_modes[kaon].efficiency.value
    return whole * seen / (1 + length / float(OUTER(mass)))


def signal_events(mode: str, mass: float, ctau: float) -> float:
    """Signal events of a channel for a product of branching fractions of 1, in the whole peak.

    Args:
        mode: One of `MODES`.
        mass: Mass of the S, in GeV.
        ctau: Its proper decay length, in cm.

    Raises:
        InputError: see `efficiency`.
    """
    charged = NUMBERS.kaon_modes[kaon_and_final(mode)[0]].b_meson == "charged"
    fraction = NUMBERS.charged_fraction if charged else NUMBERS.neutral_fraction
    return 2 * NUMBERS.n_bb.value * fraction.value * efficiency(mode, mass, ctau)


def tied_events(model: str, mode: str, mass: float, ctau: float) -> float:
    """Signal events of a channel for B(B⁺ → K⁺ S) = 1, the other branching fractions of a model.

    It is 0 where the channel is closed, vetoed, or not to be interpreted in this model.

    Args:
        model: One of `MODELS`.
        mode: One of `MODES`.
        mass: Mass of the S, in GeV.
        ctau: Its proper decay length, in cm.
    """
    theory = theory_of(model)
    kaon, final = kaon_and_final(mode)
    low, high = mass_range(mode)
    if not low <= mass <= high or is_vetoed(final, mass):
        return 0.0
    try:
        decay = theory.decay_fraction(final, mass)
    except InputError:  # such as pairs of pions above 2 GeV: the others go on without it
        return 0.0
    produced, reference = (
        theory.branching_ratio_per_coupling_squared(each, mass) for each in (kaon, "Kplus")
    )
    submode = NUMBERS.kst0_to_kpi.value if kaon == "Kst0" else 1.0
    return float(signal_events(mode, mass, ctau) * decay * produced / reference * submode)


def theory_of(model: str) -> Any:
    """The module of a model.

    Raises:
        InputError: there is no such model.
    """
    if model not in MODELS:
        raise InputError(unknown("model", model, MODELS))
    return MODELS[model]


def is_vetoed(final: str, mass: float) -> bool:
    """Whether a mass is left out as that of the K⁰_S."""
    return final == "pipi" and NUMBERS.veto.low < mass < NUMBERS.veto.high
