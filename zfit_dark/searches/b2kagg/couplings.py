"""What limits of b2kagg mean for the coupling g_aW."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from zfit_dark.errors import InputError
from zfit_dark.results import LifetimeScan, Limit, Scan, Skipped
from zfit_dark.searches._scans import check_poi
from zfit_dark.searches.b2kagg.limits import CHANNEL, POI
from zfit_dark.searches.b2kagg.signal import LIFETIMES, NAME
from zfit_dark.theory import alp
from zfit_dark.theory.couplings import coupling_limit

FloatArray = npt.NDArray[np.float64]

_COUPLING: dict[str, Any] = {"poi": "g_aW", "poi_unit": r"GeV$^{-1}$"}


def interpret(result: Scan | LifetimeScan, *, inputs: alp.Inputs = alp.DEFAULT_INPUTS) -> Scan:
    """The limits on the coupling g_aW in GeV⁻¹.

    Those for all lifetimes give the limit at the lifetime that it implies itself: the solution g of
    B(m, g) = B_limit(m, cτ(m, g)), and the expected ones and the best fit likewise. Between the
    lifetimes of the scan ln B_limit runs on a straight line in ln cτ; up to the first one the a
    counts as prompt.

    Those of a single scan are taken for prompt: g = √(B / (B/g²)). At low masses an a with such a
    coupling decays far away, the efficiency drops, and the true limit is weaker.

    Args:
        result: Of `scan_lifetimes`, or of `scan` for a prompt a.
        inputs: The numbers of the theory; the result keeps them.

    Returns:
        The limits. A mass is skipped, with the reason, if a limit lies at a lifetime that was not
        scanned; it carries a warning if larger couplings are allowed again. The best fit is NaN
        where it is not positive, and for prompt limits.

    Raises:
        InputError: the scan is not one of B(B⁺ → K⁺ a), or is of one lifetime that is not prompt.
    """
    if isinstance(result, LifetimeScan):
        return _with_lifetime(result, inputs)
    check_poi(result, NAME, POI)
    ctau = result.provenance["settings"].get("ctau", 0.0)
    if ctau > LIFETIMES[0]:
        raise InputError(
            f"a scan for ctau = {ctau:g} cm: one lifetime alone tells no coupling; scan all of them"
        )
    return result.map_poi(
        lambda mass, bf: alp.coupling_from_branching_fraction("Kplus", mass, bf, inputs=inputs),
        **_COUPLING,
        poi_label=r"$g_{aW}$ (prompt conversion)",
    )


def theory_band(
    result: Scan | LifetimeScan, alternatives: Iterable[alp.Inputs]
) -> tuple[FloatArray, FloatArray]:
    """How far the limits on g_aW move with the numbers of the theory. They are not in the limits.

    Args:
        result: See `interpret`.
        alternatives: Other numbers, such as form factors moved up and down by their uncertainty.

    Returns:
        The lowest and the highest observed limit (expected, if blind) of all of them and of the
        default ones, in GeV⁻¹, at the masses of ``interpret(result)``; NaN where one has none.
    """
    usual = interpret(result)
    found = [usual, *(interpret(result, inputs=inputs) for inputs in alternatives)]
    limits = np.full((len(found), len(usual.masses)), np.nan)
    for row, scan in zip(limits, found, strict=True):
        _, here, there = np.intersect1d(usual.masses, scan.masses, return_indices=True)
        row[here] = (scan.expected[:, 2] if scan.blind else scan.observed)[there]
    return limits.min(axis=0), limits.max(axis=0)


def _with_lifetime(result: LifetimeScan, inputs: alp.Inputs) -> Scan:
    if result.channels != (CHANNEL,):
        raise InputError(f"limits of {', '.join(result.channels)}; give those of {NAME}")
    first = result.scans[CHANNEL][0]
    check_poi(first, NAME, POI)
    limits, skipped = {}, list(first.skipped)
    for mass in result.masses(CHANNEL).tolist():
        try:
            limits[mass] = _limit(result, mass, inputs)
        except InputError as error:
            skipped.append(Skipped(mass, str(error)))
    settings = {**first.provenance["settings"], "ctau": result.lifetimes.tolist()}
    return Scan.from_limits(
        list(limits),
        list(limits.values()),
        **_COUPLING,
        poi_label=r"$g_{aW}$",
        pseudo_data=result.pseudo_data,
        skipped=sorted(skipped, key=lambda each: each.mass),
        provenance={**first.provenance, "settings": {**settings, "theory": asdict(inputs)}},
    )


def _limit(result: LifetimeScan, mass: float, inputs: alp.Inputs) -> Limit:
    """The limits on g_aW at a mass."""
    first, warnings = result.scans[CHANNEL][0], []

    def coupling(values: FloatArray) -> float:
        found = coupling_limit(
            mass,
            values,
            ctau_cm=result.lifetimes,
            prompt_below_cm=float(result.lifetimes[0]),
            inputs=inputs,
        )
        if len(found.solutions) > 1:
            warnings.append(f"g_aW above {found.solutions[1]:.3g} GeV^-1 is allowed again")
        return found.limit

    rows = [scan.masses == mass for scan in result.scans[CHANNEL]]
    scans = list(zip(result.scans[CHANNEL], rows, strict=True))
    best, error = (
        np.concatenate([getattr(scan, name)[row] for scan, row in scans])
        for name in ("poi_hat", "poi_error")
    )
    expected = [coupling(column) for column in result.expected_at(CHANNEL, mass).T]
    measured = bool((best > error).all())
    return Limit(
        observed=math.nan if result.blind else coupling(result.limits_at(CHANNEL, mass)),
        expected=(expected[0], expected[1], expected[2], expected[3], expected[4]),
        poi_hat=coupling(best) if measured else math.nan,
        poi_error=(coupling(best + error) - coupling(best - error)) / 2 if measured else math.nan,
        p0=math.nan,
        level=first.level,
        method=first.method,
        test_statistic=first.test_statistic,
        valid=bool(np.concatenate([scan.valid[row] for scan, row in scans]).all()),
        warnings=tuple(dict.fromkeys(warnings)),
        blind=result.blind,
    )
