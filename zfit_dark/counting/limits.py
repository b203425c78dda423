"""The mu where CLs, by sums over outcomes, comes down to one minus the confidence level."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import inf, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import ndtr

from zfit_dark.counting.counts import (
    Count,
    FloatArray,
    best_fit,
    data_of,
    poi_error,
    poi_hat,
    rates_of,
)
from zfit_dark.counting.sums import (
    BANDS,
    PRECISION,
    ZOOM,
    Scales,
    Sums,
    TooManyError,
    scales_of,
    strict_cut,
)
from zfit_dark.errors import InputError

# The probability left out, as a part of the smallest of the sums, where there are many outcomes.
# CLs falls with mu at least as fast as 1/mu, so a limit is off by no more than this.
_NEGLECTED_OF_MANY = 1e-4
_FEW = 5_000
_STEPS = 32, 256
_SCANNED = 3e6
_COARSE_DRAWS, _DRAWS = 4_000, 100_000
_COARSE_STEPS = 16


class ExactLimit(NamedTuple):
    """An upper limit by exact sums.

    Attributes:
        observed: upper limit on the parameter of interest.
        expected: that without signal, at -2 ... +2 sigma.
        poi_hat: best fit; below zero as far as no rate becomes negative.
        p0: probability without signal of q0 >= the observed one; 1 where poi_hat is not positive.
        poi_error: one standard deviation of the best fit, from the curvature of the profile
            likelihood at max(poi_hat, 0); NaN where there is no curvature.
        error: one standard deviation of the observed limit, where outcomes were drawn; else 0.
            Expected ones, which jump with CLs, were up to 2 % off with four seeds.
    """

    observed: float
    expected: tuple[float, float, float, float, float]
    poi_hat: float
    p0: float
    poi_error: float
    error: float


def cls(counts: Sequence[Count], poi: float, uncertainties: ArrayLike = (), seed: int = 1) -> float:
    """Observed CLs of a value of the parameter of interest.

    Args:
        counts: the channels.
        poi: the value, positive.
        uncertainties: of the signal, see ``exact_limit``.
        seed: see ``exact_limit``.

    Raises:
        InputError: for a value that is not positive, counts without any sensitivity, outcomes too
            many and too different to draw a part of them, counts that cannot be without signal, or
            uncertainties that are not as described.
    """
    if not 0 < poi < inf:
        raise InputError(f"poi={poi}: give a positive value")
    scales = scales_of(uncertainties, len(counts))
    try:
        sums = Sums(counts, poi, scales)
    except TooManyError:
        sums = Sums(counts, poi, scales, draws=_DRAWS, seed=seed)
    return float(sums.cls(poi)[0, -1])


def exact_limit(
    counts: Sequence[Count], level: float = 0.95, uncertainties: ArrayLike = (), seed: int = 1
) -> ExactLimit:
    """CLs upper limit of counting channels, observed and expected.

    As counts are whole numbers CLs jumps where, on the way to larger mu, an outcome passes the
    observed one; it can rise there. The limit is the largest mu at which CLs still reaches 1 -
    ``level``: the last of 256 steps (down to 32 if there are many outcomes, and so small jumps) up
    to where CLs is well below, then the last of 8 steps inside the next one, and so on. It can only
    miss a rise narrower than the steps at its place. With more than 5000 outcomes there are 16
    steps and 8 inside one of them, and the crossing in there is found by bracketing.

    The expected limits are those mu where the quantiles of CLs over the outcomes without signal
    reach 1 - ``level``. As for the observed one, b is what fits the observed counts.

    Args:
        counts: the channels; they are independent but for the common parameter of interest.
        level: confidence level, such as 0.90 or 0.95.
        uncertainties: relative ones of the signal, which are averaged over: a row for each, with
            its size in each channel, shape (uncertainties, channels); 0 where it has no effect.
        seed: of the outcomes that are drawn, where there are too many for sums over all of them.

    Raises:
        InputError: for a level outside (0, 1); as ``cls``.

    >>> f"{exact_limit([Count(on=0, per_poi=1.0, background=1.0)]).observed:.4f}"
    '2.9957'
    """
    if not 0 < level < 1:
        raise InputError(f"level={level}: give a confidence level between 0 and 1, such as 0.90")
    alpha, high = 1 - level, _first_guess(counts)
    scales = scales_of(uncertainties, len(counts))
    try:
        while ((sums := Sums(counts, high, scales, most=_FEW)).cls(high) >= alpha / 2).any():
            high *= 1.5
        limits = _carefully(sums, alpha, high)
    except TooManyError:
        sums, high = _of_many(counts, alpha, scales, high, seed)
        limits = _quickly(sums, alpha, high)
    m2, m1, median, p1, p2, observed = limits
    error = sums.error(observed, alpha)
    best = poi_hat(counts)
    return ExactLimit(observed, (m2, m1, median, p1, p2), best, sums.p0(), poi_error(counts), error)


def _carefully(sums: Sums, alpha: float, high: float) -> list[float]:
    """Expected limits and the observed one, by many steps."""
    # the more outcomes, the smaller the jumps
    steps = int(np.clip(_SCANNED / sums.without.size, *_STEPS))
    grid = np.linspace(0.0, high, steps + 1)
    reached = sums.cls(grid[1:]) >= alpha
    # CLs is 1 at 0
    last = np.array([np.flatnonzero([True, *of_one])[-1] for of_one in reached.T])
    limits: list[float] = sums.last_above(alpha, grid[last], grid[last + 1]).tolist()
    return limits


def _quickly(sums: Sums, alpha: float, high: float) -> list[float]:
    """Expected limits and the observed one, where jumps are small: by few steps, most shared."""

    @cache
    def at(mu: float) -> FloatArray:
        return sums.cls(mu)[0] if mu > 0 else np.ones(len(BANDS) + 1)

    def limit(i: int) -> float:
        low, up = 0.0, high
        for steps in (_COARSE_STEPS, ZOOM):
            points = np.linspace(low, up, steps + 1).tolist()
            last = next(k for k in range(steps - 1, -1, -1) if k == 0 or at(points[k])[i] >= alpha)
            low, up = points[last], points[last + 1]
        return float(brentq(lambda mu: at(mu)[i] - alpha, low, up, rtol=PRECISION))

    return [limit(i) for i in range(len(BANDS) + 1)]


def _of_many(
    counts: Sequence[Count], alpha: float, scales: Scales, high: float, seed: int
) -> tuple[Sums, float]:
    """Sums over many outcomes, and where all CLs are below alpha: of all that matter, or drawn."""

    def drawn(high: float, draws: int) -> Sums:
        return Sums(counts, high, scales, draws=draws, seed=seed)

    while ((few := drawn(high, _COARSE_DRAWS)).cls(high) >= alpha / 2).any():
        high *= 1.5
    grid = np.linspace(0.0, high, _COARSE_STEPS + 1)[1:]
    reached = [bool((few.cls(mu) >= alpha / 2).any()) for mu in grid]
    high = float(grid[np.flatnonzero(np.array([True, *reached]))[-1]])
    # of the sums that a limit or p0 hangs on
    smallest = min(alpha * min(few.tails(high)[1], float(ndtr(BANDS[0]))), few.p0())
    while True:
        sums = (
            _of_all(counts, high, scales, strict_cut(counts))
            or _of_all(counts, high, scales, _NEGLECTED_OF_MANY * smallest)
            or drawn(high, _DRAWS)
        )
        if (sums.cls(high) < alpha).all():
            return sums, high
        high *= 1.25


def _of_all(counts: Sequence[Count], high: float, scales: Scales, cut: float) -> Sums | None:
    """Sums over all outcomes that matter, unless there are too many."""
    try:
        return Sums(counts, high, scales, cut=cut)
    except TooManyError:
        return None


def _first_guess(counts: Sequence[Count]) -> float:
    """A value of mu above the observed limit, as often as not."""
    if not any(count.per_poi > 0 for count in counts):
        raise InputError("no counting channel expects any signal: there is nothing to limit")
    data = data_of(counts)
    reach = []
    for count, (n, m) in zip(counts, data, strict=True):
        if count.per_poi > 0:
            b = float(rates_of(count, n, m, 0.0)[0])
            reach.append((5 + 4 * sqrt(b * (1 + 1 / (count.tau or inf)))) / count.per_poi)
    return min(reach) + float(best_fit(counts, data))
