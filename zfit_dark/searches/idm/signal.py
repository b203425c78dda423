"""Numbers and final states of idm, and how many signal events they would see."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numpy as np
from pydantic import model_validator

from zfit_dark.errors import InputError
from zfit_dark.kinematics import daughter_mass
from zfit_dark.numbers import (
    Background,
    Number,
    Range,
    Record,
    Shape,
    Values,
    data_file,
    load_numbers,
)
from zfit_dark.searches._samples import chosen_modes
from zfit_dark.signal_shape import SignalShape
from zfit_dark.theory import scalar

MODES = ("mumu", "pipi", "KK")
MODELS = {"scalar": scalar}
"""What ties the final states: a scalar that mixes with the Higgs."""


# -- the numbers ----------------------------------------------------------------------------


class _FinalState(Record):
    daughter: Literal["mu", "pi", "K"]
    tex: str
    masses: Range
    resolution: Shape
    identification: Number
    background: Background


class _Benchmark(Record):
    chi1_mass: Number
    aprime_per_chi1: Number
    splitting_per_chi1: Number
    hprime_mass: Number
    alpha_d: Number
    epsilon: Number
    sin_theta: Number


class Numbers(Record):
    """The content of ``idm.yaml``."""

    title: str
    mass_label: str
    reference: str
    luminosity: Number
    luminosity_uncertainty: Number
    lifetimes: Values
    efficiency: Number
    efficiency_uncertainty: Number
    decays: Range
    h_momentum: Number
    chi2_boost: Number
    window: Number
    sidebands: Range
    highest_candidate: Number
    final_states: dict[str, _FinalState]
    veto: Range
    benchmark: _Benchmark

    @model_validator(mode="after")
    def _fits_together(self) -> Numbers:
        if tuple(self.final_states) != MODES:
            found = ", ".join(self.final_states)
            raise ValueError(f"final_states must hold {', '.join(MODES)}, not {found}")
        return self


NUMBERS = load_numbers(data_file("idm"), Numbers)
NAME = "idm"
LIFETIMES = np.array(NUMBERS.lifetimes.value)
"""Proper decay lengths cτ of the h′ in cm."""

_BEST_LENGTH = (NUMBERS.decays.high - NUMBERS.decays.low) / math.log(
    NUMBERS.decays.high / NUMBERS.decays.low
)
"""The mean decay length at which most decays are seen, in cm."""


def product_label(mode: str | None) -> str:
    """What is limited in a final state, or in all of them together, as an axis names it."""
    pair = "x^+x^-" if mode is None else NUMBERS.final_states[mode].tex
    return (
        r"$\sigma(e^+e^- \to h'\chi_1\chi_2)\,\mathcal{B}(\chi_2 \to \chi_1 e^+e^-)\,"
        rf"\mathcal{{B}}(h' \to {pair})$"
    )


def mass_range(mode: str) -> tuple[float, float]:
    """The masses of the h′ that a final state is searched for, in GeV.

    Args:
        mode: One of `MODES`.

    >>> mass_range("pipi")
    (0.29, 3.0)
    """
    masses = NUMBERS.final_states[mode].masses
    return masses.low, masses.high


def candidate_range(mode: str) -> tuple[float, float]:
    """The masses of the candidates of a final state, in GeV, from threshold on."""
    threshold = 2 * daughter_mass(NUMBERS.final_states[mode].daughter)
    return threshold, NUMBERS.highest_candidate.value


@lru_cache
def resolution(mode: str) -> SignalShape:
    """The peak in M(x⁺x⁻), a table against the mass.

    Args:
        mode: One of `MODES`.
    """
    numbers = NUMBERS.final_states[mode].resolution
    return SignalShape(
        np.array(numbers.mass),
        {name: np.array(values) for name, values in numbers.table.items()},
        source=numbers.source,
        status=numbers.status,
    )


# -- the signal -----------------------------------------------------------------------------


def efficiency(mode: str, mass: float, ctau: float, ctau_chi2: float | None = None) -> float:
    """Efficiency for a signal; 0 where the final state is not searched.

    It is that of the best lifetimes times a factor for each of the two vertices. That of the h′,
    see `lifetime_factor`, is the same in all final states; that of the χ₂ is of the same kind, with
    a mean decay length of a fixed boost times its cτ.

    Args:
        mode: One of `MODES`.
        mass: Mass of the h′, in GeV.
        ctau: Its proper decay length, in cm.
        ctau_chi2: That of the χ₂; None for where the efficiency is best.

    Raises:
        InputError: the final state is unknown, or mass or lifetime not positive and finite.

    >>> round(efficiency("mumu", 0.5, 1.0), 4)
    0.0794
    """
    chosen_modes(mode, MODES)
    of_lifetime = lifetime_factor(mass, ctau)
    if ctau_chi2 is not None:
        of_lifetime *= chi2_lifetime_factor(ctau_chi2)
    low, high = mass_range(mode)
    return NUMBERS.efficiency.value * of_lifetime if low <= mass <= high else 0.0


def lifetime_factor(mass: float, ctau: float) -> float:
    """The efficiency at a lifetime of the h′ over that at the best one, from 0 to 1.

    With the mean decay length L = (p/m) cτ it is exp(−low/L) − exp(−high/L) over the largest value
    of that, low and high being the distances between which decays are seen.

    Args:
        mass: Mass of the h′, in GeV.
        ctau: Its proper decay length, in cm.

    Raises:
        InputError: mass or lifetime is not positive and finite.
    """
    _check_positive("mass", mass, "GeV")
    _check_positive("lifetime", ctau, "cm")
    return _decays_inside(NUMBERS.h_momentum.value / mass * ctau)


def chi2_lifetime_factor(ctau: float) -> float:
    """The efficiency at a lifetime of the χ₂ over that at the best one, from 0 to 1.

    Args:
        ctau: Proper decay length of the χ₂, in cm.

    Raises:
        InputError: the lifetime is not positive and finite.
    """
    _check_positive("lifetime of the chi2", ctau, "cm")
    return _decays_inside(NUMBERS.chi2_boost.value * ctau)


def best_lifetime(mass: float) -> float:
    """The proper decay length of the h′, in cm, at which the efficiency is largest.

    Args:
        mass: Mass of the h′, in GeV.

    >>> round(lifetime_factor(0.5, best_lifetime(0.5)), 12)
    1.0
    """
    return _BEST_LENGTH * mass / NUMBERS.h_momentum.value


def _decays_inside(length: float) -> float:
    """The chance that a decay is seen, over that at the best mean decay length."""
    low, high = NUMBERS.decays.low, NUMBERS.decays.high
    chance, best = (
        -math.exp(-low / each) * math.expm1(-(high - low) / each) for each in (length, _BEST_LENGTH)
    )
    return chance / best


def _check_positive(name: str, value: float, unit: str) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} {value:g} {unit}: give a positive number")


def events_per_fb(mode: str, mass: float, ctau: float) -> float:
    """Signal events for σ(h′χ₁χ₂) B(χ₂ → χ₁e⁺e⁻) B(h′ → x⁺x⁻) = 1 fb, in the whole peak.

    The χ₂ has its best lifetime.

    Args:
        mode: One of `MODES`.
        mass: Mass of the h′, in GeV.
        ctau: Its proper decay length, in cm.

    Raises:
        InputError: see `efficiency`.
    """
    return NUMBERS.luminosity.value * efficiency(mode, mass, ctau)


def tied_events(mode: str, mass: float, ctau: float) -> float:
    """Signal events of a final state for 1 fb in all of them together, shared as a scalar does.

    What is 1 fb is σ(h′χ₁χ₂) B(χ₂ → χ₁e⁺e⁻) B(h′ → x⁺x⁻), the last one summed over `MODES`. Above
    2 GeV only h′ → μ⁺μ⁻ is known, and it is the sum. It is 0 where the final state is not searched
    or vetoed; that does not change the sum.

    Args:
        mode: One of `MODES`.
        mass: Mass of the h′, in GeV.
        ctau: Its proper decay length, in cm.

    Raises:
        InputError: see `efficiency`.
    """
    events = events_per_fb(mode, mass, ctau)
    if events == 0 or is_vetoed(mode, mass):
        return 0.0
    fractions = {each: scalar.decay_fraction(each, mass) for each in known_states(mass)}
    return events * fractions.get(mode, 0.0) / sum(fractions.values())


def known_states(mass: float) -> list[str]:
    """The final states whose share is known: above 2 GeV only that in muons.

    Args:
        mass: Mass of the h′, in GeV.
    """
    return ["mumu"] if mass > scalar.TABLE_END else list(MODES)


def is_vetoed(mode: str, mass: float) -> bool:
    """Whether a mass is left out as that of the K⁰_S."""
    return mode == "pipi" and NUMBERS.veto.low < mass < NUMBERS.veto.high
