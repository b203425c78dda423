"""What limits of b2ks mean for couplings."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zfit_dark.errors import InputError
from zfit_dark.results import Exclusion, Interval, LifetimeScan, Skipped
from zfit_dark.searches._samples import unknown
from zfit_dark.searches.b2ks.signal import MODELS, MODES, NUMBERS, kaon_and_final, theory_of
from zfit_dark.theory.exclusion import ExcludedInterval, excluded_interval

FloatArray = npt.NDArray[np.float64]


def interpret(
    result: LifetimeScan, *, model: str = "scalar", channel: str | None = None
) -> Exclusion:
    """The couplings that limits exclude, the lifetime of the S moving along with its coupling.

    A coupling is excluded if it predicts more than the upper limit at the lifetime that it implies.
    Between the lifetimes of the scan the logarithm of the limit is interpolated in that of the
    lifetime; outside them nothing is excluded.

    Args:
        result: The limits, of `scan_lifetimes`.
        model: "scalar", a dark scalar with the mixing angle θ, see `theory.scalar`; or "alp", an
            axion-like particle with the coupling g_Y = 2v/f_a to fermions, see
            `theory.fermion_alp`.
        channel: Which of the channels, if there are several: one of `MODES`, or the model that
            they were combined with.

    Returns:
        The excluded intervals against mass. Masses at which the model does not tell the channel's
        branching fraction, or the lifetime, are skipped with the reason.

    Raises:
        InputError: the model or the channel is unknown, or the channels were combined with another
            model.
    """
    theory, coupling = theory_of(model), _COUPLINGS[model]
    name = _channel_of(result, channel)
    if name in MODELS and name != model:
        raise InputError(f"the channels were combined with the model {name!r}; interpret it so")
    skipped = {each.mass: each.reason for scan in result.scans[name] for each in scan.skipped}
    found: dict[str, list[tuple[Interval, ...]]] = {"observed": [], "expected": []}
    used, valid = [], []
    for mass in result.masses(name).tolist():
        try:
            per_coupling2 = _predicted(model, name, mass)
            unit_ctau = float(theory.lifetime_ctau_cm(mass, 1.0))
        except InputError:
            skipped[mass] = _UNKNOWN
            continue
        limits = {
            "observed": result.limits_at(name, mass),
            "expected": result.expected_at(name, mass)[:, 2],
        }
        for which, of_which in limits.items():
            found[which].append(
                _excluded(per_coupling2, unit_ctau, coupling.reach, result.lifetimes, of_which)
            )
        used.append(mass)
        valid.append(_is_valid(result, name, mass))
    modes = [name] if name in MODES else result.scans[name][0].provenance["settings"]["modes"]
    return Exclusion(
        masses=np.array(used),
        observed=tuple(found["observed"]),
        expected=tuple(found["expected"]),
        valid=np.array(valid, bool),
        coupling=coupling.name,
        coupling_label=coupling.label,
        model=coupling.model,
        assumptions=(*_ASSUMED, *coupling.assumed),
        channels=tuple(modes),
        level=result.level,
        blind=result.blind,
        pseudo_data=result.pseudo_data,
        skipped=tuple(Skipped(mass, reason) for mass, reason in skipped.items()),
        provenance=result.scans[name][0].provenance,
    )


def _excluded(
    per_coupling2: float,
    unit_ctau: float,
    reach: tuple[float, float],
    lifetimes: FloatArray,
    limits: FloatArray,
) -> tuple[Interval, ...]:
    """The excluded couplings of a mass.

    Args:
        per_coupling2: The prediction over the square of the coupling.
        unit_ctau: The lifetime times that square, in cm.
        reach: Couplings that make sense.
        lifetimes: Of the limits, in cm.
        limits: One a lifetime.
    """
    # those with a lifetime that was scanned, and a little more on both sides
    low, high = 0.99 * np.sqrt(unit_ctau / lifetimes[-1]), 1.01 * np.sqrt(unit_ctau / lifetimes[0])
    low, high = max(low, reach[0]), min(high, reach[1])
    if not low < high:
        return ()
    found = excluded_interval(
        lambda g: per_coupling2 * g**2,
        lambda g: unit_ctau / g**2,
        (float(low), float(high)),
        lifetimes,
        limits,
    )
    return tuple(_interval(each) for each in found)


class _Coupling(NamedTuple):
    name: str
    label: str
    model: str
    reach: tuple[float, float]
    assumed: tuple[str, ...]


_COUPLINGS = {
    "scalar": _Coupling(
        "theta",
        r"$\sin\theta$",
        "dark scalar that mixes with the Higgs boson",
        (1e-7, 1.0),
        ("widths to hadrons are known to 5 % below 1 GeV, 20 % below 2 GeV, 50 % above",),
    ),
    "alp": _Coupling(
        "g_Y",
        r"$g_Y = 2v/f_a$",
        "axion-like particle that couples to fermions",
        (1e-7, 10.0),
        ("the couplings are universal at 1 TeV", "decays to hadrons are neglected"),
    ),
}
_UNKNOWN = "rate or lifetime are not known in this model"
_ASSUMED = ("the efficiency is assumed, it is not that of the experiment",)


def _channel_of(result: LifetimeScan, channel: str | None) -> str:
    if channel is None and len(result.channels) > 1:
        raise InputError(f"give channel=, one of {', '.join(result.channels)}")
    name = result.channels[0] if channel is None else channel
    if name not in result.channels:
        raise InputError(unknown("channel", name, result.channels))
    if name not in (*MODES, *MODELS):
        raise InputError(unknown("channel", name, (*MODES, *MODELS)))
    return name


def _predicted(model: str, channel: str, mass: float) -> float:
    """What a channel limits, over the square of the coupling."""
    theory = theory_of(model)
    if channel in MODELS:
        return float(theory.branching_ratio_per_coupling_squared("Kplus", mass))
    kaon, final = kaon_and_final(channel)
    submode = NUMBERS.kst0_to_kpi.value if kaon == "Kst0" else 1.0
    produced = theory.branching_ratio_per_coupling_squared(kaon, mass)
    return float(produced * theory.decay_fraction(final, mass) * submode)


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
