"""Counting channels, and the likelihood of their counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan, sqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import xlogy

from zfit_dark.errors import InputError

FloatArray: TypeAlias = NDArray[np.float64]

IntArray: TypeAlias = NDArray[np.int64]

Outcomes: TypeAlias = Sequence[tuple[FloatArray, FloatArray]]
"""Counts (n_on, n_off) of each channel, as arrays."""

TINY = 1e-150


@dataclass(frozen=True)
class Count:
    """One counting channel: a signal region, with a known background or with a sideband.

    Give either ``background`` or both ``off`` and ``tau``. For a background known with an error see
    ``Count.with_error``.

    Args:
        on: events counted in the signal region.
        per_poi: signal events expected there for a parameter of interest of 1.
        background: background events expected there, known exactly.
        off: events counted in the sideband; not a whole number only if it stands for an error.
        tau: background events in the sideband for each one in the signal region.
        off_per_poi: signal events in the sideband for a parameter of interest of 1.
        name: for messages.

    Raises:
        InputError: for negative or infinite numbers, an ``on`` that is not a whole number, neither
            or both kinds of background, or a sideband richer in signal than the signal region.
    """

    on: float
    per_poi: float
    background: float | None = None
    off: float | None = None
    tau: float | None = None
    off_per_poi: float = 0.0
    name: str = ""

    def __post_init__(self) -> None:
        where = f"counting channel {self.name!r}"
        for key in ("on", "per_poi", "background", "off", "tau", "off_per_poi"):
            value = getattr(self, key)
            if value is not None and not (isfinite(value) and value >= 0):
                raise InputError(f"{where}: {key}={value} is negative or not finite")
        if self.on != round(self.on):
            raise InputError(f"{where}: on={self.on} is not a whole number of events")
        sideband = self.off is not None and self.tau is not None
        if sideband == (self.background is not None) or (self.off is None) != (self.tau is None):
            raise InputError(f"{where}: give either background, or both off and tau")
        if self.tau == 0:
            raise InputError(f"{where}: a sideband with tau=0 says nothing about the background")
        if self.background == 0 and self.per_poi == 0:
            raise InputError(f"{where}: neither signal nor background; leave the channel out")
        if self.off_per_poi > 0 and not (self.tau and self.off_per_poi < self.tau * self.per_poi):
            raise InputError(
                f"{where}: off_per_poi={self.off_per_poi} needs a sideband, and less signal to "
                "background in it than in the signal region"
            )

    @classmethod
    def with_error(
        cls, on: float, per_poi: float, background: float, error: float, name: str = ""
    ) -> Count:
        """A channel whose background is known with an error: that of a sideband that tells it.

        The sideband has tau = background / error^2 and off = (background / error)^2, which need not
        be a whole number. This is the "shapesys" of HistFactory and pyhf.

        Args:
            on: see ``Count``.
            per_poi: see ``Count``.
            background: background events expected in the signal region, positive.
            error: its standard deviation, positive.
            name: for messages.

        Raises:
            InputError: if background or error is not positive; as ``Count``.
        """
        if not (0 < background < inf and 0 < error < inf):
            raise InputError(
                f"counting channel {name!r}: a background of {background} +- {error} is no "
                "sideband; give positive numbers, or a known background"
            )
        off, tau = (background / error) ** 2, background / error**2
        return cls(on=on, per_poi=per_poi, off=off, tau=tau, name=name)


def data_of(counts: Sequence[Count]) -> Outcomes:
    """What was counted in each channel, on and off, as arrays without dimension."""
    return [(np.array(float(c.on)), np.array(float(c.off or 0.0))) for c in counts]


def rates_of(
    count: Count, n: FloatArray, m: FloatArray, mu: FloatArray | float
) -> tuple[FloatArray, FloatArray]:
    """Expected events, on and off, at mu and with the background that is best there.

    The latter solves n / (b + a) + m / (b + d) = 1 + tau, with a = mu * per_poi and d = mu *
    off_per_poi / tau, a quadratic equation whose larger root is the only one with positive rates.
    """
    a, tau = np.asarray(mu * count.per_poi), count.tau or 0.0
    if not tau:
        return a + (count.background or 0.0), np.zeros(a.shape)
    d, u, v = np.asarray(mu * count.off_per_poi / tau), n / (1 + tau), m / (1 + tau)
    half = 0.5 * (u + v - a - d)
    root = np.sqrt(0.25 * (a - d - u + v) ** 2 + u * v)
    b = np.maximum(half + root, np.maximum(0.0, -np.minimum(a, d)))
    return a + b, tau * (b + d)


def scaled_rates(
    count: Count, n: FloatArray, m: FloatArray, mu: FloatArray | float, factor: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Expected events, on and off, if the signal is larger by a factor than the fit assumes."""
    on, off = rates_of(count, n, m, mu)
    more = mu * (factor - 1.0)
    return on + more * count.per_poi, off + more * count.off_per_poi


def nll(counts: Sequence[Count], outcomes: Outcomes, mu: FloatArray | float) -> FloatArray:
    """Profile likelihood: -log L without the terms that depend on the counts alone."""
    total = np.zeros(())
    for count, (n, m) in zip(counts, outcomes, strict=True):
        on, off = rates_of(count, n, m, mu)
        total = total + (on - xlogy(n, on) + off - xlogy(m, off))
    return total


def _slope_and_bend(
    counts: Sequence[Count], outcomes: Outcomes, mu: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """First two derivatives of the profile likelihood, for mu >= 0."""
    slope, bend = np.zeros(()), np.zeros(())
    for count, (n, m) in zip(counts, outcomes, strict=True):
        on, off = (np.maximum(rate, TINY) for rate in rates_of(count, n, m, mu))
        s, t = count.per_poi, count.off_per_poi
        slope = slope + s * (1 - n / on) + t * (1 - m / off)
        at_fixed_b = s**2 * n / on**2 + t**2 * m / off**2
        if count.tau is None:
            bend = bend + at_fixed_b
            continue
        of_b = n / on**2 + count.tau**2 * m / off**2
        both = (count.tau * s - t) ** 2 * (n / on**2) * (m / off**2) / np.maximum(of_b, TINY)
        bend = bend + np.where(on > mu * s, both, at_fixed_b)
    return slope, bend


def best_fit(counts: Sequence[Count], outcomes: Outcomes) -> FloatArray:
    """Best fit of mu >= 0, by Newton's steps on the slope, which grows, and bisection.

    It lies between the best fits of the channels alone.
    """
    bound = np.zeros(())
    for count, (n, m) in zip(counts, outcomes, strict=True):
        if count.per_poi > 0:
            alone = _alone(count, n, m)
            b_is_zero = (n + m) / (count.per_poi + count.off_per_poi)
            bound = np.maximum(bound, alone if count.tau is None else np.maximum(alone, b_is_zero))
    high: FloatArray = np.reshape(bound, -1)
    best, low, mu, precision = (scale * high for scale in (0.0, 0.0, 0.0, 1e-15))
    todo: IntArray = np.arange(best.size)  # those not yet found
    pairs = [(n.reshape(-1), m.reshape(-1)) for n, m in outcomes]
    with np.errstate(all="ignore"):
        for i in range(200):
            slope, bend = _slope_and_bend(counts, pairs, mu)
            low, high = np.where(slope < 0, mu, low), np.where(slope < 0, high, mu)
            newton = mu - slope / bend
            # slow from 0; in circles, perhaps, where b becomes 0 and the second derivative jumps
            trusted = i > 0 and (i < 20 or i % 2 == 0)
            inside = (newton > low) & (newton < high) & trusted
            there = slope**2 < 1e-13 * bend
            mu = np.where(inside, newton, np.where(there, mu, 0.5 * (low + high)))
            best[todo] = mu
            left = ~(there | (high - low <= precision))
            if not left.any():
                return best.reshape(np.shape(bound))
            todo = todo[left]
            low, high, mu, precision = (x[left] for x in (low, high, mu, precision))
            pairs = [(n[left], m[left]) for n, m in pairs]
    raise AssertionError("bisection has no end")


def _alone(count: Count, n: FloatArray, m: FloatArray) -> FloatArray:
    """Best fit of mu in one channel, wherever b would be for it."""
    if count.tau is None:
        return (n - (count.background or 0.0)) / count.per_poi
    return (n - m / count.tau) / (count.per_poi - count.off_per_poi / count.tau)


def poi_hat(counts: Sequence[Count]) -> float:
    """Best fit of mu, below zero as far as no rate becomes negative."""
    data = data_of(counts)
    above = float(best_fit(counts, data))
    open_channels = [(c, n, m) for c, (n, m) in zip(counts, data, strict=True) if c.per_poi > 0]
    low = min(float(_alone(*channel)) for channel in open_channels)
    known = [-c.background / c.per_poi for c, *_ in open_channels if c.background is not None]
    low = max(low, *known, -inf)
    if above > 0 or low >= 0:
        return above
    fit = minimize_scalar(
        lambda mu: float(nll(counts, data, mu)),
        bounds=(low, 0.0),
        method="bounded",
        options={"xatol": -1e-9 * low},
    )
    return float(fit.x)


def poi_error(counts: Sequence[Count]) -> float:
    """One standard deviation of the best fit of mu >= 0; NaN where there is no curvature."""
    data = data_of(counts)
    bend = float(_slope_and_bend(counts, data, best_fit(counts, data))[1])
    return 1 / sqrt(bend) if bend > 0 else nan
