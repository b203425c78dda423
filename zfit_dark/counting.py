"""CLs limits of counting experiments: exact sums over Poisson counts, no toys, no asymptotics.

The parameter of interest (POI) is mu >= 0, in any unit. In each channel

    n_on ~ Poisson(mu * per_poi + b),

and b is known exactly or measured by a sideband, n_off ~ Poisson(tau * b + mu * off_per_poi), and
then profiled, with b >= 0. The definition is that of toys (the "LHC" one) with sums in their place:

    CLs = P(q >= q_obs | mu, b(mu)) / P(q >= q_obs | 0, b(0)),

where q is the profile likelihood ratio with 0 <= mu_hat, zero where mu_hat > mu, and b(mu) is the
background that fits the observed counts best at mu. With one channel of known background this is
P(N <= n | s + b) / P(N <= n | b), which is also the Bayesian limit of a flat prior in mu >= 0.

The sums leave out counts so improbable that they change no p-value by more than a part in 10^7.

Source: A. L. Read, J. Phys. G 28 (2002) 2693; ATLAS and CMS, ATL-PHYS-PUB-2011-11; G. Cowan,
K. Cranmer, E. Gross, O. Vitells, arXiv:1007.1727, equations 12 and 16; for sidebands also
T.-P. Li, Y.-Q. Ma, Astrophys. J. 272 (1983) 317.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, prod, sqrt
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import gammaln, ndtr, pdtr, pdtrc, xlogy

from zfit_dark.errors import InputError

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
Outcomes: TypeAlias = Sequence[tuple[FloatArray, FloatArray]]
"""Counts (n_on, n_off) of each channel, as arrays."""

MOST_OUTCOMES = 2_000_000
"""More combinations of counts than this are left to toys."""

BANDS = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Quantiles, in standard deviations, of the expected limits."""

# The probability left out, as a part of that of the observed counts. These belong to the sums
# themselves, so this bounds the relative error of each sum whatever it is, with a factor 1/alpha.
_NEGLECTED = 1e-8

# Outcomes that differ in nothing that the likelihood sees (the same total in two like channels)
# have the same q but for rounding, of 1e-11 at most. To take two as equal that are not is harmless:
# their q, functions of mu, cross, so it moves the limit by 1e-8 of the error of mu or so.
_TIE = 1e-8

_TINY = 1e-150
_STEPS = 32, 256
_SCANNED = 3e6
_ZOOM = 8
_PRECISION = 1e-7


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


class ExactLimit(NamedTuple):
    """An upper limit by exact sums.

    Attributes:
        observed: upper limit on the parameter of interest.
        expected: that without signal, at -2 ... +2 sigma.
        poi_hat: best fit; below zero as far as no rate becomes negative.
        p0: probability without signal of q0 >= the observed one; 1 where poi_hat is not positive.
    """

    observed: float
    expected: tuple[float, float, float, float, float]
    poi_hat: float
    p0: float


def cls(counts: Sequence[Count], poi: float) -> float:
    """Observed CLs of a value of the parameter of interest.

    Args:
        counts: the channels.
        poi: the value, positive.

    Raises:
        InputError: for a value that is not positive, counts without any sensitivity, too many
            outcomes (more than ``MOST_OUTCOMES``), or counts that cannot be without signal.
    """
    if not 0 < poi < inf:
        raise InputError(f"poi={poi}: give a positive value")
    return float(_Sums(counts, poi).cls(poi)[-1])


def exact_limit(counts: Sequence[Count], level: float = 0.95) -> ExactLimit:
    """CLs upper limit of counting channels, observed and expected.

    As counts are whole numbers CLs jumps where, on the way to larger mu, an outcome passes the
    observed one; it can rise there. The limit is the largest mu at which CLs still reaches 1 -
    ``level``: the last of 256 steps (down to 32 if there are many outcomes, and so small jumps) up
    to where CLs is well below, then the last of 8 steps inside the next one, and so on. It can only
    miss a rise narrower than the steps at its place.

    The expected limits are those mu where the quantiles of CLs over the outcomes without signal
    reach 1 - ``level``. As for the observed one, b is what fits the observed counts.

    Args:
        counts: the channels; they are independent but for the common parameter of interest.
        level: confidence level, such as 0.90 or 0.95.

    Raises:
        InputError: for a level outside (0, 1); as ``cls``.

    >>> f"{exact_limit([Count(on=0, per_poi=1.0, background=1.0)]).observed:.4f}"
    '2.9957'
    """
    if not 0 < level < 1:
        raise InputError(f"level={level}: give a confidence level between 0 and 1, such as 0.90")
    alpha, high = 1 - level, _first_guess(counts)
    while ((sums := _Sums(counts, high)).cls(high) >= alpha / 2).any():
        high *= 1.5
    # the more outcomes, the smaller the jumps
    steps = int(np.clip(_SCANNED / sums.without.size, *_STEPS))
    grid = np.linspace(0.0, high, steps + 1)
    values = np.array([np.ones(len(BANDS) + 1), *(sums.cls(mu) for mu in grid[1:])])
    limits = []
    for i, of_one in enumerate(values.T):
        last = int(np.flatnonzero(of_one >= alpha)[-1])
        limits.append(sums.last_above(alpha, i, float(grid[last]), float(grid[last + 1])))
    m2, m1, median, p1, p2, observed = limits
    return ExactLimit(observed, (m2, m1, median, p1, p2), _poi_hat(counts), sums.p0())


class _Sums:
    """All outcomes that matter for hypotheses from 0 to some mu, and sums over them."""

    def __init__(self, counts: Sequence[Count], highest: float) -> None:
        if not any(count.per_poi > 0 for count in counts):
            raise InputError("no counting channel expects any signal: there is nothing to limit")
        self.counts = counts
        self.data = _data(counts)
        # the counts of each channel alone, and which of them each outcome has
        self.tables, self.rows = _outcomes(counts, highest)
        outcomes = [(n[i], m[i]) for (n, m), i in zip(self.tables, self.rows, strict=True)]
        self.best = _best(counts, outcomes)
        self.lowest = _nll(counts, outcomes, self.best)
        self.data_best = _best(counts, self.data)
        self.data_lowest = _nll(counts, self.data, self.data_best)
        self.without = self._chances(0.0)

    def cls(self, mu: float) -> FloatArray:
        """Quantiles of CLs without signal, smallest limit first, and CLs of the data."""
        q, signal, without = self._q(mu), self._chances(mu), self.without
        q_data = 2 * (float(_nll(self.counts, self.data, mu)) - float(self.data_lowest))
        inside = q >= (q_data if self.data_best < mu else 0.0) - _TIE
        chance = without.sum(where=inside)
        if not chance > 0:
            raise InputError("the counts are impossible without signal: check the backgrounds")
        observed = signal.sum(where=inside) / chance
        # the rest would only take time to sort: all of it together is no more than 2e-12
        some = np.maximum(signal, without) > 1e-12 / q.size
        order = np.argsort(-q[some])
        q, signal, without = (x[some][order] for x in (q, signal, without))
        last = np.searchsorted(-q, _TIE - q, side="right") - 1
        ratio = signal.cumsum()[last] / without.cumsum()[last]
        order = np.argsort(ratio, kind="stable")  # quick, as it all but falls with q
        at = np.searchsorted(without[order].cumsum(), ndtr(BANDS))
        return np.append(ratio[order][at], observed)

    def last_above(self, alpha: float, i: int, low: float, high: float) -> float:
        """Where, from above, CLs (the i-th of what ``cls`` gives) first reaches alpha."""
        while high - low > _PRECISION * high:
            points = np.linspace(low, high, _ZOOM + 1)
            last = next((k for k in range(_ZOOM - 1, 0, -1) if self.cls(points[k])[i] >= alpha), 0)
            low, high = float(points[last]), float(points[last + 1])
        return low

    def p0(self) -> float:
        """The probability of a likelihood ratio of no signal as large as that of the data."""
        if not self.data_best > 0:
            return 1.0
        q0_data = 2 * (_nll(self.counts, self.data, 0.0) - self.data_lowest)
        q0 = np.where(self.best > 0, self._ratio(0.0), 0.0)
        return float(self.without.sum(where=q0 >= q0_data - _TIE))

    def _q(self, mu: float) -> FloatArray:
        return np.where(self.best < mu, np.maximum(self._ratio(mu), 0.0), 0.0)

    def _ratio(self, mu: float) -> FloatArray:
        """Twice the logarithm of the likelihood ratio of the best fit to mu, of each outcome."""
        nll = np.zeros(())
        for count, table, i in zip(self.counts, self.tables, self.rows, strict=True):
            nll = nll + _nll([count], [table], mu)[i]
        return 2 * (nll - self.lowest)

    def _chances(self, mu: float) -> FloatArray:
        """Probability of each outcome at mu, with the backgrounds that fit the data best there."""
        chances = np.ones(())
        for count, (n, m), i, data in zip(
            self.counts, self.tables, self.rows, self.data, strict=True
        ):
            on, off = _rates(count, *data, mu)
            chances = chances * (_chance(n, on) * _chance(m, off))[i]
        return chances


def _chance(n: FloatArray, rate: FloatArray) -> FloatArray:
    """Poisson probability, also between whole numbers."""
    chance: FloatArray = np.exp(xlogy(n, rate) - rate - gammaln(n + 1))
    return chance


def _data(counts: Sequence[Count]) -> Outcomes:
    return [(np.array(float(c.on)), np.array(float(c.off or 0.0))) for c in counts]


def _outcomes(counts: Sequence[Count], highest: float) -> tuple[Outcomes, list[IntArray]]:
    """The counts (n_on, n_off) of each channel, and which of them each outcome that matters has.

    From mu = 0 upwards the rate in the signal region grows and that in the sideband falls, until b
    arrives at zero; from there the latter grows with the leaking signal. So three values of mu have
    the extreme rates between them, and no hypothesis gives an outcome a larger probability than if
    each rate were as near to the count as it gets.
    """
    data, chance, extremes = _data(counts), 1.0, []
    for count, (n, m) in zip(counts, data, strict=True):
        ends = [0.0, highest]
        if count.tau and count.off_per_poi:
            stop = (n / count.per_poi + count.tau * m / count.off_per_poi) / (1 + count.tau)
            ends.append(min(float(stop), highest))
        rates = [_rates(count, n, m, mu) for mu in ends]
        extremes.append([(float(min(r)), float(max(r))) for r in zip(*rates, strict=True)])
        chance *= float(_chance(n, rates[0][0]) * _chance(m, rates[0][1]))
    # to be shared by 4 tails and 2 selections for each channel
    cut = max(_NEGLECTED * (chance or 1.0), 1e-290) / (6 * len(counts))
    tables, largest = [], []
    for rates_between in extremes:
        axes = [_range(*between, cut) for between in rates_between]
        _check(prod(axis.size for axis in axes), counts)
        n, m = (each.ravel() for each in np.meshgrid(*axes, indexing="ij"))
        (low, high), (off_low, off_high) = rates_between
        bound = _chance(n, np.clip(n, low, high)) * _chance(m, np.clip(m, off_low, off_high))
        tables.append((n, m))
        largest.append(bound)
    totals = [bound.sum() for bound in largest]
    joint = np.ones(1)
    rows: list[IntArray] = []
    for k, bound in enumerate(largest):
        alone = _mattering(bound, cut * totals[k] / prod(totals))
        _check(joint.size * alone.size, counts)
        both = np.multiply.outer(joint, bound[alone]).ravel()
        some = _mattering(both, cut / prod(totals[k + 1 :]))
        rows = [i[some // alone.size] for i in rows] + [alone[some % alone.size]]
        joint = both[some]
    return tables, rows


def _check(size: int, counts: Sequence[Count]) -> None:
    if size > MOST_OUTCOMES:
        raise InputError(
            f"{size:.3g} outcomes or more of {len(counts)} counting channels are too many for "
            f"exact sums (at most {MOST_OUTCOMES:.3g}); use method='toys'"
        )


def _mattering(chances: FloatArray, cut: float) -> IntArray:
    """Where they are: all but the smallest ones, whose sum stays below a cut."""
    order = np.argsort(chances)
    return np.sort(order[np.searchsorted(chances[order].cumsum(), cut) :])


def _range(lowest: float, highest: float, cut: float) -> FloatArray:
    """Counts from the lower tail of the lowest rate to the upper tail of the highest."""
    start = max(0.0, np.floor(lowest - 50 * sqrt(lowest)))
    n = np.arange(start, highest + 50 * sqrt(highest) + 400)
    first = np.searchsorted(pdtr(n, lowest), cut, side="right")
    last = np.argmax(pdtrc(n, highest) <= cut)
    return n[first : last + 1]


def _rates(
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


def _nll(counts: Sequence[Count], outcomes: Outcomes, mu: FloatArray | float) -> FloatArray:
    """Profile likelihood: -log L without the terms that depend on the counts alone."""
    total = np.zeros(())
    for count, (n, m) in zip(counts, outcomes, strict=True):
        on, off = _rates(count, n, m, mu)
        total = total + (on - xlogy(n, on) + off - xlogy(m, off))
    return total


def _slope_and_bend(
    counts: Sequence[Count], outcomes: Outcomes, mu: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """First two derivatives of the profile likelihood, for mu >= 0."""
    slope, bend = np.zeros(()), np.zeros(())
    for count, (n, m) in zip(counts, outcomes, strict=True):
        on, off = (np.maximum(rate, _TINY) for rate in _rates(count, n, m, mu))
        s, t = count.per_poi, count.off_per_poi
        slope = slope + s * (1 - n / on) + t * (1 - m / off)
        at_fixed_b = s**2 * n / on**2 + t**2 * m / off**2
        if count.tau is None:
            bend = bend + at_fixed_b
            continue
        of_b = n / on**2 + count.tau**2 * m / off**2
        both = (count.tau * s - t) ** 2 * (n / on**2) * (m / off**2) / of_b
        bend = bend + np.where(on > mu * s, both, at_fixed_b)
    return slope, bend


def _best(counts: Sequence[Count], outcomes: Outcomes) -> FloatArray:
    """Best fit of mu >= 0, by Newton's steps on the slope, which grows, and bisection.

    It lies between the best fits of the channels alone.
    """
    high = np.zeros(())
    for count, (n, m) in zip(counts, outcomes, strict=True):
        if count.per_poi > 0:
            alone = _alone(count, n, m)
            b_is_zero = (n + m) / (count.per_poi + count.off_per_poi)
            high = np.maximum(high, alone if count.tau is None else np.maximum(alone, b_is_zero))
    low, mu, done = np.zeros_like(high), np.zeros_like(high), np.zeros(np.shape(high), bool)
    with np.errstate(all="ignore"):
        for i in range(200):
            slope, bend = _slope_and_bend(counts, outcomes, mu)
            low, high = np.where(slope < 0, mu, low), np.where(slope < 0, high, mu)
            newton = mu - slope / bend
            inside = (newton > low) & (newton < high) & (i > 0)  # slow from 0
            there = slope**2 < 1e-13 * bend
            following = np.where(inside, newton, np.where(there, mu, 0.5 * (low + high)))
            mu = np.where(done, mu, following)
            done |= there | (high - low <= 1e-15 * high)
            if done.all():
                return mu
    raise AssertionError("bisection has no end")


def _alone(count: Count, n: FloatArray, m: FloatArray) -> FloatArray:
    """Best fit of mu in one channel, wherever b would be for it."""
    if count.tau is None:
        return (n - (count.background or 0.0)) / count.per_poi
    return (n - m / count.tau) / (count.per_poi - count.off_per_poi / count.tau)


def _poi_hat(counts: Sequence[Count]) -> float:
    """Best fit of mu, below zero as far as no rate becomes negative."""
    data = _data(counts)
    above = float(_best(counts, data))
    open_channels = [(c, n, m) for c, (n, m) in zip(counts, data, strict=True) if c.per_poi > 0]
    low = min(float(_alone(*channel)) for channel in open_channels)
    known = [-c.background / c.per_poi for c, *_ in open_channels if c.background is not None]
    low = max(low, *known, -inf)
    if above > 0 or low >= 0:
        return above
    fit = minimize_scalar(
        lambda mu: float(_nll(counts, data, mu)),
        bounds=(low, 0.0),
        method="bounded",
        options={"xatol": -1e-9 * low},
    )
    return float(fit.x)


def _first_guess(counts: Sequence[Count]) -> float:
    """A value of mu above the observed limit, as often as not."""
    if not any(count.per_poi > 0 for count in counts):
        raise InputError("no counting channel expects any signal: there is nothing to limit")
    data = _data(counts)
    reach = []
    for count, (n, m) in zip(counts, data, strict=True):
        if count.per_poi > 0:
            b = float(_rates(count, n, m, 0.0)[0])
            reach.append((5 + 4 * sqrt(b * (1 + 1 / (count.tau or inf)))) / count.per_poi)
    return min(reach) + float(_best(counts, data))
