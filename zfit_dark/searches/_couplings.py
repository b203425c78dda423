"""What limits against lifetime mean for a coupling that fixes the lifetime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zfit_dark.errors import InputError
from zfit_dark.results import Exclusion, Interval, LifetimeScan, Skipped
from zfit_dark.searches._samples import unknown
from zfit_dark.theory.exclusion import ExcludedInterval, excluded_interval

FloatArray = npt.NDArray[np.float64]

_UNKNOWN = "rate or lifetime are not known in this model"


class Coupling(NamedTuple):
    """A coupling of a model.

    Attributes:
        name: Of the coupling.
        label: The same for an axis.
        model: In one line.
        reach: The lowest and the highest coupling that make sense.
        assumed: What is assumed, one line each.
    """

    name: str
    label: str
    model: str
    reach: tuple[float, float]
    assumed: tuple[str, ...]


class Prediction(NamedTuple):
    """What a model predicts at a mass.

    Attributes:
        rate: What is limited, as a function of couplings.
        unit_ctau: The proper decay length in cm for a coupling of 1; it falls with its square.
    """

    rate: Callable[[FloatArray], FloatArray]
    unit_ctau: float


def channel_of(result: LifetimeScan, channel: str | None, known: Sequence[str]) -> str:
    """The channel that is asked for, or the only one.

    Args:
        result: The limits.
        channel: One of theirs; None if there is a single one.
        known: Those of the search.

    Raises:
        InputError: none is given of several, or there is no such channel.
    """
    if channel is None and len(result.channels) > 1:
        raise InputError(f"give channel=, one of {', '.join(result.channels)}")
    name = result.channels[0] if channel is None else channel
    if name not in result.channels:
        raise InputError(unknown("channel", name, result.channels))
    if name not in known:
        raise InputError(unknown("channel", name, known))
    return name


def exclusion(
    result: LifetimeScan,
    channel: str,
    coupling: Coupling,
    predicted: Callable[[float], Prediction],
    *,
    channels: Sequence[str],
    assumptions: Sequence[str],
) -> Exclusion:
    """The excluded couplings of all masses of a channel.

    Args:
        result: The limits.
        channel: The channel.
        coupling: The coupling.
        predicted: Of a mass; it raises `InputError` where the model does not tell.
        channels: The modes that the limits are of.
        assumptions: What is assumed besides, one line each.
    """
    skipped = {each.mass: each.reason for scan in result.scans[channel] for each in scan.skipped}
    found: dict[str, list[tuple[Interval, ...]]] = {"observed": [], "expected": []}
    used, valid = [], []
    for mass in result.masses(channel).tolist():
        try:
            prediction = predicted(mass)
        except InputError:
            skipped[mass] = _UNKNOWN
            continue
        limits = {
            "observed": result.limits_at(channel, mass),
            "expected": result.expected_at(channel, mass)[:, 2],
        }
        for which, of_which in limits.items():
            found[which].append(_excluded(prediction, coupling.reach, result.lifetimes, of_which))
        used.append(mass)
        valid.append(_is_valid(result, channel, mass))
    return Exclusion(
        masses=np.array(used),
        observed=tuple(found["observed"]),
        expected=tuple(found["expected"]),
        valid=np.array(valid, bool),
        coupling=coupling.name,
        coupling_label=coupling.label,
        model=coupling.model,
        assumptions=(*assumptions, *coupling.assumed),
        channels=tuple(channels),
        level=result.level,
        blind=result.blind,
        pseudo_data=result.pseudo_data,
        skipped=tuple(Skipped(mass, reason) for mass, reason in skipped.items()),
        provenance=result.scans[channel][0].provenance,
    )


def _excluded(
    prediction: Prediction, reach: tuple[float, float], lifetimes: FloatArray, limits: FloatArray
) -> tuple[Interval, ...]:
    """The excluded couplings of a mass; limits are one a lifetime, which is in cm."""
    # those with a lifetime that was scanned, and a little more on both sides
    unit = prediction.unit_ctau
    low, high = 0.99 * np.sqrt(unit / lifetimes[-1]), 1.01 * np.sqrt(unit / lifetimes[0])
    low, high = max(low, reach[0]), min(high, reach[1])
    if not low < high:
        return ()
    found = excluded_interval(
        prediction.rate, lambda g: unit / g**2, (float(low), float(high)), lifetimes, limits
    )
    return tuple(_interval(each) for each in found)


def _interval(found: ExcludedInterval) -> Interval:
    return Interval(
        low=found.low,
        high=found.high,
        low_is_crossing=found.low_edge == "crossing",
        high_is_crossing=found.high_edge == "crossing",
    )


def _is_valid(result: LifetimeScan, channel: str, mass: float) -> bool:
    """Whether all limits of a mass are valid."""
    flags = [scan.valid[scan.masses == mass] for scan in result.scans[channel]]
    return bool(np.concatenate(flags).all())
