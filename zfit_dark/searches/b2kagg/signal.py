"""Numbers and modes of b2kagg, and how many signal events they would see."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import model_validator
from scipy.interpolate import PchipInterpolator

from zfit_dark.numbers import (
    Background,
    Curve,
    Number,
    Range,
    Record,
    Selection,
    Shape,
    Values,
    data_file,
    load_numbers,
)
from zfit_dark.searches._samples import chosen_modes
from zfit_dark.signal_shape import SignalShape
from zfit_dark.theory import alp, decay_length

FloatArray = npt.NDArray[np.float64]

NAME = "b2kagg"
MODES = alp.MODES


# -- the numbers ----------------------------------------------------------------------------


class _Mode(Record):
    label: str
    b_meson: Literal["charged", "neutral"]
    submode: Number
    masses: Range
    candidates: Range
    efficiency: Curve
    efficiency_uncertainty: Number
    background: Background

    @model_validator(mode="after")
    def _fits_together(self) -> _Mode:
        if not all(0 < value <= 1 for value in self.efficiency.value):
            raise ValueError("an efficiency is not between 0 and 1")
        seen, searched = self.candidates, self.masses
        if not seen.low <= searched.low < searched.high <= seen.high:
            raise ValueError("the masses reach outside the candidates")
        return self


class _Meson(Record):
    name: str
    tex: str
    mass: Number
    width: Number
    products: dict[str, Number]
    veto: Range


class _Flight(Record):
    calorimeter: Number
    boost: Number


class Numbers(Record):
    """The content of ``b2kagg.yaml``."""

    title: str
    mass_label: str
    reference: str
    luminosity: Number
    n_bb: Number
    n_bb_uncertainty: Number
    charged_fraction: Number
    neutral_fraction: Number
    efficiency_uncertainty: Number
    resolution: Shape
    flight: _Flight
    lifetimes: Values
    modes: dict[str, _Mode]
    mesons: dict[str, _Meson]
    selection: Selection

    @model_validator(mode="after")
    def _knows_all_modes(self) -> Numbers:
        there = {"modes": list(self.modes)}
        there |= {f"mesons.{name}.products": list(m.products) for name, m in self.mesons.items()}
        for where, modes in there.items():
            if set(modes) != set(MODES):
                raise ValueError(f"{where} must hold {', '.join(MODES)}, not {', '.join(modes)}")
        return self


NUMBERS = load_numbers(data_file(NAME), Numbers)

LIFETIMES = np.array(NUMBERS.lifetimes.value)
"""Proper decay lengths in cm that limits are found for; the a is prompt at the first one."""

RESOLUTION = SignalShape(
    np.array(NUMBERS.resolution.mass),
    {name: np.array(values) for name, values in NUMBERS.resolution.table.items()},
    source=NUMBERS.resolution.source,
    status=NUMBERS.resolution.status,
)
_EFFICIENCY = {
    name: PchipInterpolator(mode.efficiency.mass, mode.efficiency.value, extrapolate=False)
    for name, mode in NUMBERS.modes.items()
}
FLIGHT = decay_length.Inputs(boost=NUMBERS.flight.boost.value)
"""How the a flies at Belle."""

NARROW = {name: meson for name, meson in NUMBERS.mesons.items() if meson.width.value == 0}
LOWEST = min(mode.masses.low for mode in NUMBERS.modes.values())
HIGHEST = max(mode.masses.high for mode in NUMBERS.modes.values())


# -- signal yields --------------------------------------------------------------------------


def signal_events(mode: str, mass: float, ctau: float = 0.0) -> float:
    """Signal events of a mode for B(B⁺ → K⁺ a) = 1, in the whole peak; 0 where it is not searched.

    Args:
        mode: One of `MODES`.
        mass: Mass of the a, in GeV.
        ctau: Its proper decay length in cm. What decays behind the front of the calorimeter is not
            seen, what decays before it is in the peak, far below the mass perhaps.

    Raises:
        InputError: the mode is unknown, or the mass not positive and finite, or ctau negative.

    >>> round(signal_events("Kplus", 1.0) / 1e8, 3)
    1.587
    """
    chosen_modes(mode, MODES)
    searched = NUMBERS.modes[mode].masses
    reference = alp.branching_ratio_per_coupling_squared("Kplus", mass)
    if not searched.low <= mass <= searched.high:
        return 0.0
    ratio = alp.branching_ratio_per_coupling_squared(mode, mass) / reference
    seen: float | FloatArray = 1.0  # what is prompt decays where it is made
    if ctau != 0:
        seen = decay_length.probability_within(
            mode, mass, ctau, NUMBERS.flight.calorimeter.value, inputs=FLIGHT
        )
    return float(events_per_branching_fraction(mode, mass) * ratio * seen)


def events_per_branching_fraction(mode: str, mass: float) -> float:
    """Events of a mode for a branching fraction of 1 of the mode itself, if the a is prompt."""
    numbers = NUMBERS.modes[mode]
    charged = numbers.b_meson == "charged"
    fraction = NUMBERS.charged_fraction if charged else NUMBERS.neutral_fraction
    efficiency = float(_EFFICIENCY[mode](mass))
    return 2 * NUMBERS.n_bb.value * fraction.value * numbers.submode.value * efficiency
