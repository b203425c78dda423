"""Expected limits at other luminosities, rebuilt from the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from zfit_dark.channel import Channel
from zfit_dark.counting import Count, exact_limit
from zfit_dark.errors import InputError
from zfit_dark.frequentist import Toys
from zfit_dark.hypotheses import fitted
from zfit_dark.likelihood import Likelihood
from zfit_dark.limits import ENOUGH_EVENTS, check_asked, limit_of, loss_and_poi, usual
from zfit_dark.newton import FloatArray
from zfit_dark.profile import CompiledLoss, compiled
from zfit_dark.progress import shown
from zfit_dark.results import Limit, Projection, Scan, new_provenance
from zfit_dark.scanning import hypotheses
from zfit_dark.toys import check, make_room

LUMINOSITIES = (575.0, 1_000.0, 5_000.0, 10_000.0, 50_000.0)
"""In fb^-1: round numbers on the way to 50 ab^-1, the goal of Belle II (arXiv:1808.10567)."""


class _Asked(NamedTuple):
    """What is asked for at each mass: the luminosities in units of that of the data, and how."""

    factors: FloatArray
    level: float
    method: str
    toys: Toys
    blind: bool
    floor: float


def project(
    likelihood: Likelihood,
    masses: ArrayLike,
    luminosities: ArrayLike,
    luminosity: float,
    level: float = 0.95,
    method: str | None = None,
    *,
    floor: float = 0.0,
    blind: bool = False,
    toys: Toys | None = None,
    progress: bool = True,
    poi_label: str = "",
    poi_unit: str = "",
    pseudo_data: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> Projection:
    """Expected limits at other luminosities.

    At each mass the background alone is fitted to the data. For each luminosity its yields, and
    the signal yields per unit of the parameter of interest, are then multiplied with what the
    luminosity is of that of the data, and the expected limits are found anew: by method, also with
    the same few events where there still are few. Selection, efficiencies and the uncertainties of
    the signal stay as they are.

    Where the fit finds no background, because there is no candidate, there is none at any
    luminosity: the limits then fall with 1 / luminosity, which is optimistic.

    A background that is known to a part only, whatever the luminosity, is what ``floor`` is for.
    If B background events compete with the signal (the variance of the fitted number of signal
    events; for a count with a sideband b (1 + 1 / tau)), an uncertainty of ``floor`` B in
    addition multiplies the limits with sqrt(1 + floor^2 B), which holds where limits grow with the
    uncertainty of the fitted signal.

    Args:
        likelihood: the model, with the data that there are.
        masses: the hypotheses, in GeV.
        luminosities: where the limits are wanted, in fb^-1.
        luminosity: of the data, in fb^-1.
        level: confidence level.
        method: see ``upper_limit``; which one "auto" takes is decided at each luminosity, and
            "exact" sums are for a likelihood that only counts.
        floor: relative uncertainty of the background that competes with the signal.
        blind: fit the background to the sidebands only, see ``upper_limit``; else to all
            candidates, and what is there under the signal counts as background.
        toys: see ``upper_limit``.
        progress: show a progress bar on standard error.
        poi_label: the parameter of interest as plots name it; its own name if not given.
        poi_unit: its unit.
        pseudo_data: whether the candidates are not real; plots and files say so.
        provenance: what the file shall say of its origin; see ``results.new_provenance``.

    Returns:
        The expected limits, in ascending luminosity and mass.

    Raises:
        InputError: if a luminosity is not positive, the floor is negative, the masses are no
            numbers, none of them can be a hypothesis, the model has a choice of backgrounds, or as
            ``upper_limit``.

    Source: the Asimov set of G. Cowan et al., arXiv:1007.1727, with scaled yields.
    """
    method, targets = method or usual(likelihood), np.unique(np.asarray(luminosities, float))
    check_asked(level, method, "qtilde")
    _check_scales(targets, luminosity, floor)
    _, poi = loss_and_poi(likelihood, None)
    wanted, skipped = hypotheses(masses, likelihood.why_not)
    ours = compiled(likelihood.loss)
    ours.reserve(likelihood.largest_windows(wanted))
    if method == "toys":
        check(ours)
    plan = Toys() if toys is None else toys
    asked = _Asked(targets / luminosity, level, method, plan, blind, floor)
    by_mass = [_limits(likelihood, ours, mass, asked) for mass in shown(wanted, progress)]
    record = new_provenance() if provenance is None else provenance
    scans = [
        Scan.from_limits(
            wanted,
            limits,
            poi=poi.name,
            poi_label=poi_label or poi.name,
            poi_unit=poi_unit,
            pseudo_data=pseudo_data,
            skipped=skipped,
            provenance=record,
        )
        for limits in zip(*by_mass, strict=True)
    ]
    return Projection(
        luminosities=targets,
        scans=tuple(scans),
        luminosity=luminosity,
        floor=floor,
        sidebands_only=blind,
    )


def _check_scales(luminosities: FloatArray, luminosity: float, floor: float) -> None:
    for each in (luminosity, *luminosities.ravel().tolist()):
        if not 0 < each < np.inf:
            raise InputError(f"luminosity {each:g} fb^-1: give a positive and finite one")
    if not luminosities.size:
        raise InputError("give at least one luminosity, in fb^-1")
    if not 0 <= floor < np.inf:
        raise InputError(f"floor={floor}: give 0, or a positive part of the background")


def _limits(likelihood: Likelihood, ours: CompiledLoss, mass: float, asked: _Asked) -> list[Limit]:
    """The expected limits at a mass, one a luminosity."""
    likelihood.move_to(mass)
    if asked.method == "exact" or (asked.method == "auto" and likelihood.only_counts()):
        try:
            return _by_sums(likelihood, asked)
        except InputError:
            if asked.method == "exact":
                raise
    limits = _by_fits(likelihood, ours, mass, asked)
    likelihood.move_to(mass)  # the signal yields are those of the data again
    return limits


# -- by fits --------------------------------------------------------------------------------


def _by_fits(likelihood: Likelihood, ours: CompiledLoss, mass: float, asked: _Asked) -> list[Limit]:
    """Limits from the Asimov set of the scaled background; by toys where it takes them."""
    poi, events, alpha = likelihood.poi, np.array(ours.events()), 1 - asked.level
    start = ours.values()
    if asked.blind:
        with likelihood.signal_region_hidden():
            data = ours.observed()
    else:
        data = ours.observed()
    found = fitted(ours, data, start, poi, alpha, at_zero_only=True)
    yields = [ours.index(parameter) for parameter in likelihood.background_yields]
    limits = []
    for factor in asked.factors.tolist():
        background = found.fits.theta[1].copy()
        background[yields] *= factor
        _at_luminosity(likelihood, factor).move_to(mass)
        nothing = ours.sample(data.points, [0.0 * w for w in data.weights])
        expected = ours.hypothesis(nothing, poi, background, alpha, True, blind=True)
        competing = (expected.signal_per_poi * expected.sigma) ** 2
        method = asked.method
        if method == "auto":
            method = "asymptotic" if competing >= ENOUGH_EVENTS else "toys"
        if method == "toys":
            make_room(ours, factor * events)
        fits = replace(found.fits, theta=np.stack([background] * 2))
        limit = limit_of(
            ours,
            expected._replace(fits=fits),
            nothing,
            poi,
            asked.level,
            method,
            "qtilde",
            True,
            asked.toys,
        )
        if asked.method == "auto":
            how = f"{method}: {competing:.3g} background events compete with the signal"
            limit = replace(limit, method="auto", how=how)
        limits.append(_with_floor(limit, asked.floor, competing))
    return limits


def _at_luminosity(likelihood: Likelihood, factor: float) -> Likelihood:
    """The likelihood with the signal yields of another luminosity."""
    return likelihood.rescaled(
        {channel.name: partial(_scaled_yield, channel, factor) for channel in likelihood.channels}
    )


def _scaled_yield(channel: Channel, factor: float, mass: float) -> float:
    return factor * channel.yield_per_poi(mass)


def _with_floor(limit: Limit, floor: float, competing: float) -> Limit:
    """A limit with an uncertainty of the background that competes with the signal."""
    weaker = float(np.sqrt(1 + floor**2 * competing))
    m2, m1, median, p1, p2 = (weaker * value for value in limit.expected)
    return replace(limit, expected=(m2, m1, median, p1, p2))


# -- by sums --------------------------------------------------------------------------------


def _by_sums(likelihood: Likelihood, asked: _Asked) -> list[Limit]:
    """Limits by exact sums over the counts that the scaled background stands for."""
    counting, limits = likelihood.counting(), []
    for factor in asked.factors.tolist():
        counts = [_scaled_count(count, factor, asked.blind) for count in counting.counts]
        found = exact_limit(counts, asked.level, counting.uncertainties)
        part = "a random part of " if found.error else ""
        background = sum(_background(count) for count in counts)
        limit = Limit(
            observed=np.nan,
            expected=found.expected,
            poi_hat=np.nan,
            poi_error=np.nan,
            p0=np.nan,
            level=asked.level,
            method=asked.method,
            test_statistic="qtilde",
            valid=True,
            blind=True,
            how=f"exact: sums over {part}the counts; {background:.3g} expected in windows",
        )
        limits.append(_with_floor(limit, asked.floor, _competing(counts)))
    return limits


def _background(count: Count, *, blind: bool = False) -> float:
    """Background events in the window, as window and sideband tell it; or the sideband alone."""
    off, tau = _sideband(count)
    return off / tau if blind else (count.on + off) / (1 + tau)


def _sideband(count: Count) -> tuple[float, float]:
    assert count.off is not None  # the background of a counting channel is measured
    assert count.tau is not None
    return count.off, count.tau


def _scaled_count(count: Count, factor: float, blind: bool) -> Count:
    """The count that stands for more or less background, and signal.

    Counts in the window are whole numbers. The sideband, which need not be one, makes up for it:
    the background that fits both without a signal is the scaled one exactly.
    """
    _, tau = _sideband(count)
    background = factor * _background(count, blind=blind)
    everything = background * (1 + tau)
    on = min(np.round(background), np.floor(everything))
    return replace(
        count,
        on=float(on),
        off=everything - float(on),
        per_poi=factor * count.per_poi,
        off_per_poi=factor * count.off_per_poi,
    )


def _competing(counts: Sequence[Count]) -> float:
    """The variance of the fitted number of signal events in the windows, b (1 + 1 / tau) in one.

    It is zero if any channel has no background: such a channel decides alone.
    """
    variances = [_background(count) * (1 + 1 / _sideband(count)[1]) for count in counts]
    if not min(variances):
        return 0.0
    signal = [count.per_poi for count in counts]
    weight = sum(s**2 / v for s, v in zip(signal, variances, strict=True))
    return sum(signal) ** 2 / weight
