"""CLs limits of counting experiments: exact sums over Poisson counts, no toys, no asymptotics.

The parameter of interest (POI) is mu >= 0, in any unit. In each channel

    n_on ~ Poisson(mu * per_poi + b),

and b is known exactly or measured by a sideband, n_off ~ Poisson(tau * b + mu * off_per_poi), and
then profiled, with b >= 0. The definition is that of toys (the "LHC" one) with sums in their place:

    CLs = P(q >= q_obs | mu, b(mu)) / P(q >= q_obs | 0, b(0)),

where q is the profile likelihood ratio with 0 <= mu_hat, zero where mu_hat > mu, and b(mu) is the
background that fits the observed counts best at mu. With one channel of known background this is
P(N <= n | s + b) / P(N <= n | b), which is also the Bayesian limit of a flat prior in mu >= 0.

Relative uncertainties of the signal are averaged over: each probability is the mean of those of a
signal scaled by (1 + u)^theta, with theta normal; q is that of the nominal signal (R. D. Cousins,
V. L. Highland, Nucl. Instrum. Meth. A 320 (1992) 331). Without background and with no event seen, a
limit so becomes weaker by the factor 1 + u^2 or so. Toys, which profile the nuisances and
fluctuate what was observed of them, make it *stronger* there: an observation that favours a larger
signal efficiency counts as more extreme than the data, although they hold no event either way.

The sums leave out counts so improbable that they change no p-value by more than a part in 10^7, or
in 10^4 where that would be too many outcomes. The number of outcomes grows with the power of the
number of channels; where it is too large even so, the sums are taken over outcomes drawn at random,
each with its probability over that of being drawn (the balance heuristic, E. Veach, L. J. Guibas,
SIGGRAPH 95, 419). The probabilities are still exact: only the limit has a statistical error.

Source: A. L. Read, J. Phys. G 28 (2002) 2693; ATLAS and CMS, ATL-PHYS-PUB-2011-11; G. Cowan,
K. Cranmer, E. Gross, O. Vitells, arXiv:1007.1727, equations 12 and 16; for sidebands also
T.-P. Li, Y.-Q. Ma, Astrophys. J. 272 (1983) 317.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import exp, inf, isfinite, log, nan, prod, sqrt
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.polynomial.hermite import hermgauss
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import gammaln, ndtr, pdtr, pdtrc, xlogy

from zfit_dark.errors import InputError

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
Outcomes: TypeAlias = Sequence[tuple[FloatArray, FloatArray]]
"""Counts (n_on, n_off) of each channel, as arrays."""

MOST_OUTCOMES = 200_000
"""Of more combinations of counts than this a random part is taken."""

BANDS = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Quantiles, in standard deviations, of the expected limits."""

# The probability left out, as a part of that of the observed counts. These belong to the sums
# themselves, so this bounds the relative error of each sum whatever it is, with a factor 1/alpha.
_NEGLECTED = 1e-8

# The same as a part of the smallest of the sums, where there are many outcomes; CLs falls with mu
# at least as fast as 1/mu, so a limit is off by no more than this.
_NEGLECTED_OF_MANY = 1e-4

# How well the probabilities of all outcomes add up to one in floating point.
_ROUNDING = 1e-11

# Outcomes that differ in nothing that the likelihood sees (the same total in two like channels)
# have the same q but for rounding, of 1e-11 at most. To take two as equal that are not is harmless:
# their q, functions of mu, cross, so it moves the limit by 1e-8 of the error of mu or so.
_TIE = 1e-8

_TINY = 1e-150
_FEW = 5_000
_STEPS = 32, 256
_SCANNED = 3e6
_AT_ONCE = 1 << 16  # probabilities; so many stay in the cache
_ZOOM = 8
_NODES = 7
_HALVINGS = 12
_GRID = 7
_DENSITY = 1_000  # combinations of counts, most of them improbable, for each that matters
_REFINED = 3
_PRECISION = 1e-7

_COARSE_DRAWS, _DRAWS = 4_000, 100_000
_COARSE_STEPS = 16
_ENOUGH = 0.01  # effective number of draws, as a part of them


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
    scales = _scales(uncertainties, len(counts))
    try:
        sums = _Sums(counts, poi, scales)
    except _TooManyError:
        sums = _Sums(counts, poi, scales, draws=_DRAWS, seed=seed)
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
    scales = _scales(uncertainties, len(counts))
    try:
        while ((sums := _Sums(counts, high, scales, most=_FEW)).cls(high) >= alpha / 2).any():
            high *= 1.5
        limits = _carefully(sums, alpha, high)
    except _TooManyError:
        sums, high = _of_many(counts, alpha, scales, high, seed)
        limits = _quickly(sums, alpha, high)
    m2, m1, median, p1, p2, observed = limits
    error = sums.error(observed, alpha)
    best = _poi_hat(counts)
    return ExactLimit(
        observed, (m2, m1, median, p1, p2), best, sums.p0(), _poi_error(counts), error
    )


def _carefully(sums: _Sums, alpha: float, high: float) -> list[float]:
    """Expected limits and the observed one, by many steps."""
    # the more outcomes, the smaller the jumps
    steps = int(np.clip(_SCANNED / sums.without.size, *_STEPS))
    grid = np.linspace(0.0, high, steps + 1)
    reached = sums.cls(grid[1:]) >= alpha
    # CLs is 1 at 0
    last = np.array([np.flatnonzero([True, *of_one])[-1] for of_one in reached.T])
    limits: list[float] = sums.last_above(alpha, grid[last], grid[last + 1]).tolist()
    return limits


def _quickly(sums: _Sums, alpha: float, high: float) -> list[float]:
    """Expected limits and the observed one, where jumps are small: by few steps, most shared."""

    @cache
    def at(mu: float) -> FloatArray:
        return sums.cls(mu)[0] if mu > 0 else np.ones(len(BANDS) + 1)

    def limit(i: int) -> float:
        low, up = 0.0, high
        for steps in (_COARSE_STEPS, _ZOOM):
            points = np.linspace(low, up, steps + 1).tolist()
            last = next(k for k in range(steps - 1, -1, -1) if k == 0 or at(points[k])[i] >= alpha)
            low, up = points[last], points[last + 1]
        return float(brentq(lambda mu: at(mu)[i] - alpha, low, up, rtol=_PRECISION))

    return [limit(i) for i in range(len(BANDS) + 1)]


def _of_many(
    counts: Sequence[Count], alpha: float, scales: _Scales, high: float, seed: int
) -> tuple[_Sums, float]:
    """Sums over many outcomes, and where all CLs are below alpha: of all that matter, or drawn."""

    def drawn(high: float, draws: int) -> _Sums:
        return _Sums(counts, high, scales, draws=draws, seed=seed)

    while ((few := drawn(high, _COARSE_DRAWS)).cls(high) >= alpha / 2).any():
        high *= 1.5
    grid = np.linspace(0.0, high, _COARSE_STEPS + 1)[1:]
    reached = [bool((few.cls(mu) >= alpha / 2).any()) for mu in grid]
    high = float(grid[np.flatnonzero(np.array([True, *reached]))[-1]])
    # of the sums that a limit or p0 hangs on
    smallest = min(alpha * min(few.tails(high)[1], float(ndtr(BANDS[0]))), few.p0())
    while True:
        sums = (
            _of_all(counts, high, scales, _strict_cut(counts))
            or _of_all(counts, high, scales, _NEGLECTED_OF_MANY * smallest)
            or drawn(high, _DRAWS)
        )
        if (sums.cls(high) < alpha).all():
            return sums, high
        high *= 1.25


def _of_all(counts: Sequence[Count], high: float, scales: _Scales, cut: float) -> _Sums | None:
    """Sums over all outcomes that matter, unless there are too many."""
    try:
        return _Sums(counts, high, scales, cut=cut)
    except _TooManyError:
        return None


class _TooManyError(InputError):
    """More outcomes than wanted."""


class _Sums:
    """Outcomes for hypotheses from 0 to some mu, and sums over them.

    Args:
        counts: the channels.
        highest: the largest mu.
        scales: of the signal.
        cut: the probability that may be left out; if 0, a part of that of the data.
        most: outcomes, at most.
        draws: that many outcomes are drawn, instead of all that matter taken.
        seed: of the draws.
    """

    def __init__(
        self,
        counts: Sequence[Count],
        highest: float,
        scales: _Scales | None = None,
        *,
        cut: float = 0.0,
        most: int | None = None,
        draws: int = 0,
        seed: int = 1,
    ) -> None:
        if not any(count.per_poi > 0 for count in counts):
            raise InputError("no counting channel expects any signal: there is nothing to limit")
        self.counts, self.scales = counts, scales or _scales((), len(counts))
        self.data, self.highest = _data(counts), highest
        # how often each outcome was drawn; over that, what the sums are to be multiplied with
        self.times, self.importance = np.ones(()), np.ones(())
        if draws:
            self._draw(draws, np.random.default_rng(seed))
        else:
            self._select(cut or _strict_cut(counts), MOST_OUTCOMES if most is None else most)
        outcomes = [(n[i], m[i]) for (n, m), i in zip(self.tables, self.rows, strict=True)]
        self.best = _best(counts, outcomes)
        self.lowest = _nll(counts, outcomes, self.best)
        self.data_best = _best(counts, self.data)
        self.data_lowest = _nll(counts, self.data, self.data_best)
        self.without = self._chances(np.zeros(1))[0]
        common, private = self.scales
        each = self.without.size * common[0].size * max(part.size for part, _ in private)
        self._at_once = max(1, _AT_ONCE // each)

    def _select(self, cut: float, most: int) -> None:
        """All outcomes that matter; that they do at a few mu is checked at others."""
        steps = _GRID
        for _ in range(_REFINED):
            grid = np.linspace(0.0, self.highest, steps)
            # the counts of each channel alone, and which of them each outcome has
            self._put(*_outcomes(self.counts, grid, self.scales, cut, most))
            between = 0.5 * (grid[1:] + grid[:-1])
            missing = max(
                1 - float(self._chances(np.array([mu])).sum()) for mu in (*between, self.highest)
            )
            if missing <= max(cut, _ROUNDING):
                return
            steps, cut = 2 * steps, cut / 4
        raise _TooManyError(
            f"the outcomes of {len(self.counts)} counting channels are too different from one mu "
            "to another for exact sums; use method='toys'"
        )

    def _draw(self, draws: int, rng: np.random.Generator) -> None:
        """Outcomes from a mixture of hypotheses, and of the data taken as rates.

        The latter are for data that are improbable whatever mu is.
        """
        steps, wanted = _GRID, _ENOUGH * draws
        for _ in range(_REFINED):
            grid = np.linspace(0.0, self.highest, steps)
            tables, rows, self.times = self._from_mixture(grid, draws, rng)
            self._put(tables, rows)
            self.importance = np.ones(())
            mixture = np.ones(())
            for (n, m), i, nm in zip(tables, rows, self.data, strict=True):
                mixture = mixture * (_chance(n, nm[0]) * _chance(m, nm[1]))[i]
            for mu in grid:
                mixture = mixture + self._chances(np.array([mu]))[0]
            self.importance = self.times * (steps + 1) / (draws * mixture)
            if min(self._effective(mu) for mu in 0.5 * (grid[1:] + grid[:-1])) >= wanted:
                return
            steps *= 2
        raise InputError(
            f"{draws:.3g} of the outcomes of {len(self.counts)} counting channels are too few for "
            f"sums over them (effectively less than {wanted:.3g}); use method='toys'"
        )

    def _from_mixture(
        self, grid: FloatArray, draws: int, rng: np.random.Generator
    ) -> tuple[Outcomes, list[IntArray], FloatArray]:
        """Outcomes drawn, as the counts of each channel and which each has; and how often each."""
        which = rng.integers(grid.size + 1, size=draws)
        common, factors = self.scales.common
        shared = factors[rng.choice(common.size, size=draws, p=common)]
        tables, rows, label = [], [], np.zeros(draws, np.int64)
        for c, (count, nm) in enumerate(zip(self.counts, self.data, strict=True)):
            part, own = self.scales.private[c]
            factor = shared[:, c] * own[rng.choice(part.size, size=draws, p=part)]
            more = np.append(grid, 0.0)[which] * (factor - 1)
            on, off = (
                rng.poisson(np.append(rates, data)[which] + more * per_poi)
                for rates, data, per_poi in zip(
                    _rates(count, *nm, grid), nm, (count.per_poi, count.off_per_poi), strict=True
                )
            )
            width = int(off.max()) + 1
            pairs, row = np.unique(on * width + off, return_inverse=True)
            tables.append(((pairs // width).astype(float), (pairs % width).astype(float)))
            rows.append(row)
            label = np.unique(label * pairs.size + row, return_inverse=True)[1]
        _, first, times = np.unique(label, return_index=True, return_counts=True)
        return tables, [row[first] for row in rows], times.astype(float)

    def _effective(self, mu: float) -> float:
        """Number of draws of the same weight that would tell as much about mu."""
        (weight,) = self._chances(np.array([mu]))
        squares = float((weight**2 / self.times).sum())
        return float(weight.sum()) ** 2 / squares if squares > 0 else 0.0

    def _put(self, tables: Outcomes, rows: list[IntArray]) -> None:
        self.tables, self.rows = tables, rows
        self.axes = [[np.unique(x, return_inverse=True) for x in table] for table in tables]

    def cls(self, mu: ArrayLike) -> FloatArray:
        """Quantiles of CLs without signal, smallest limit first, and CLs of the data.

        Args:
            mu: one or many, positive.

        Returns:
            Of shape (number of mu, 6).
        """
        points, n = np.atleast_1d(np.asarray(mu, float)), self._at_once
        return np.concatenate([self._cls(points[k : k + n]) for k in range(0, points.size, n)])

    def _cls(self, mu: FloatArray) -> FloatArray:
        q, signal, without = self._q(mu), self._chances(mu), self.without
        inside = self._inside(q, mu)
        chance = np.where(inside, without, 0.0).sum(axis=1)
        if not (chance > 0).all():
            raise InputError("the counts are impossible without signal: check the backgrounds")
        observed = np.where(inside, signal, 0.0).sum(axis=1) / chance
        # the rest would only take time to sort: all of it together is no more than 2e-12
        some = np.maximum(signal.max(axis=0), without) > 1e-12 / without.size
        order = np.argsort(-q[:, some], axis=1)
        q, signal = (np.take_along_axis(x[:, some], order, axis=1) for x in (q, signal))
        without = without[some][order]
        last = np.stack([np.searchsorted(-of_one, _TIE - of_one, side="right") for of_one in q]) - 1
        above = np.take_along_axis(signal.cumsum(axis=1), last, axis=1)
        ratio = above / np.take_along_axis(without.cumsum(axis=1), last, axis=1)
        order = np.argsort(ratio, axis=1, kind="stable")  # quick, as it all but falls with q
        sums = np.take_along_axis(without, order, axis=1).cumsum(axis=1)
        # drawn ones add up to one only on average
        at = np.stack([np.searchsorted(of_one, ndtr(BANDS) * of_one[-1]) for of_one in sums])
        quantiles = np.take_along_axis(np.take_along_axis(ratio, order, axis=1), at, axis=1)
        return np.column_stack([quantiles, observed])

    def tails(self, mu: float) -> tuple[float, float]:
        """Probability of a likelihood ratio as large as that of the data, with mu and without."""
        (inside,), (signal,) = self._inside(self._q(at := np.array([mu])), at), self._chances(at)
        return float(signal.sum(where=inside)), float(self.without.sum(where=inside))

    def error(self, mu: float, alpha: float) -> float:
        """Standard deviation of a mu where CLs is alpha: 0 if nothing was drawn."""
        if not self.times.ndim:
            return 0.0
        (inside,), (signal,) = self._inside(self._q(at := np.array([mu])), at), self._chances(at)
        parts = np.where(inside, signal - alpha * self.without, 0.0)
        spread = sqrt(max(0.0, (parts**2 / self.times).sum() - parts.sum() ** 2 / self.times.sum()))
        step = 0.05 * mu
        above, below = (np.dot(self.tails(at), (1, -alpha)) for at in (mu + step, mu - step))
        slope = abs(above - below) / (2 * step)
        return float(spread / slope) if slope > 0 else inf

    def last_above(self, alpha: float, low: FloatArray, high: FloatArray) -> FloatArray:
        """Where, from above, what ``cls`` gives first reaches alpha, each in its own bracket.

        Args:
            alpha: one minus the confidence level.
            low: lower ends, shape (6,), where it is reached.
            high: upper ends, where it is not.
        """
        low, high = low.copy(), high.copy()
        while (wide := np.flatnonzero(high - low > _PRECISION * high)).size:
            points = np.linspace(low[wide], high[wide], _ZOOM + 1)
            last = np.zeros(wide.size, int)
            first = _ZOOM  # of the points that were looked at
            while first > 1 and (left := np.flatnonzero(last == 0)).size:
                end, first = first, max(1, first - max(1, self._at_once // left.size))
                values = self.cls(points[first:end, left].ravel())
                values = values.reshape(end - first, left.size, -1)[:, range(left.size), wide[left]]
                reached = np.vstack([np.zeros(left.size, bool), values >= alpha])
                highest = end - first - reached[::-1].argmax(axis=0)
                last[left] = np.where(reached.any(axis=0), first + highest - 1, 0)
            low[wide], high[wide] = (
                points[last, range(wide.size)],
                points[last + 1, range(wide.size)],
            )
        return low

    def p0(self) -> float:
        """The probability of a likelihood ratio of no signal as large as that of the data."""
        if not self.data_best > 0:
            return 1.0
        q0_data = 2 * (_nll(self.counts, self.data, 0.0) - self.data_lowest)
        q0 = np.where(self.best > 0, self._ratio(np.zeros(1))[0], 0.0)
        return float(self.without.sum(where=q0 >= q0_data - _TIE))

    # what follows takes many mu, and has a row for each

    def _inside(self, q: FloatArray, mu: FloatArray) -> NDArray[np.bool_]:
        """Which outcomes have a likelihood ratio as large as that of the data."""
        q_data = 2 * (_nll(self.counts, self.data, mu) - self.data_lowest)
        inside: NDArray[np.bool_] = q >= np.where(self.data_best < mu, q_data, 0.0)[:, None] - _TIE
        return inside

    def _q(self, mu: FloatArray) -> FloatArray:
        return np.where(self.best < mu[:, None], np.maximum(self._ratio(mu), 0.0), 0.0)

    def _ratio(self, mu: FloatArray) -> FloatArray:
        """Twice the logarithm of the likelihood ratio of the best fit to mu, of each outcome."""
        nll = np.zeros(())
        for count, table, i in zip(self.counts, self.tables, self.rows, strict=True):
            nll = nll + _nll([count], [table], mu[:, None])[:, i]
        return 2 * (nll - self.lowest)

    def _chances(self, mu: FloatArray) -> FloatArray:
        """Probability of each outcome at mu, with the backgrounds that fit the data best there.

        Drawn outcomes are weighted.
        """
        share, factors = self.scales.common
        if not mu.any():
            share, factors = np.ones(1), factors[:1]
        channels = [self._of_channel(c, mu, factors[:, c]) for c in range(len(self.counts))]
        total = np.zeros(())
        for k, part in enumerate(share):
            chances = np.full((mu.size, 1), part)
            for alone, i in zip(channels, self.rows, strict=True):
                chances = chances * alone[:, k, i]
            total = total + chances
        return total * self.importance

    def _of_channel(self, c: int, mu: FloatArray, factors: FloatArray) -> FloatArray:
        """Probabilities of the counts of one channel, for each common factor of its signal."""
        part, own = self.scales.private[c]
        (on_axis, i), (off_axis, j) = self.axes[c]
        scaled = np.multiply.outer(factors, own)
        on, off = _scaled(self.counts[c], *self.data[c], mu[:, None, None], scaled)
        ons, offs = _chance(on_axis, on[..., None]), _chance(off_axis, off[..., None])
        total = np.zeros(())
        for k, weight in enumerate(part):
            total = total + weight * ons[:, :, k, i] * offs[:, :, k, j]
        return total


class _Scales(NamedTuple):
    """What the signal is scaled by, and how often: nodes of Gauss-Hermite quadrature.

    Attributes:
        common: by uncertainties of several channels: weights, shape (k,), and factors, (k,
            channels).
        private: of each channel: weights and factors by uncertainties of its own, (j,) each.
    """

    common: tuple[FloatArray, FloatArray]
    private: tuple[tuple[FloatArray, FloatArray], ...]


def _scales(uncertainties: ArrayLike, channels: int) -> _Scales:
    sizes = np.asarray(uncertainties, float)
    if not sizes.size:
        sizes = np.empty((0, channels))
    if sizes.ndim != 2 or sizes.shape[1] != channels:
        raise InputError(
            f"uncertainties of the signal have the shape {sizes.shape}: give a row for each, with "
            f"its size in each of the {channels} counting channels"
        )
    if not ((sizes >= 0) & (sizes < 1)).all():
        raise InputError("uncertainties of the signal are relative, from 0 up to 1")
    logs = np.log1p(sizes)
    shared = (sizes > 0).sum(axis=1) > 1
    spread, axes = np.linalg.eigh(logs[shared].T @ logs[shared])
    matter = spread > 1e-12
    normal, weight = hermgauss(_NODES)
    normal, weight = sqrt(2) * normal, weight / weight.sum()
    points = np.array(list(product(normal, repeat=int(matter.sum()))))
    weights = np.array(list(product(weight, repeat=int(matter.sum())))).prod(axis=1)
    factors = np.exp(points @ (axes[:, matter] * np.sqrt(spread[matter])).T)
    private = []
    for own in np.sqrt((logs[~shared] ** 2).sum(axis=0)):
        some = own > 0
        private.append(
            (weight if some else np.ones(1), np.exp(own * normal) if some else np.ones(1))
        )
    return _Scales((weights, factors), tuple(private))


def _chance(n: FloatArray, rate: FloatArray) -> FloatArray:
    """Poisson probability, also between whole numbers."""
    chance: FloatArray = np.exp(xlogy(n, rate) - rate - gammaln(n + 1))
    return chance


def _data(counts: Sequence[Count]) -> Outcomes:
    return [(np.array(float(c.on)), np.array(float(c.off or 0.0))) for c in counts]


def _strict_cut(counts: Sequence[Count]) -> float:
    """The probability that may be left out, as a part of that of the data without a signal."""
    chance = 1.0
    for count, nm in zip(counts, _data(counts), strict=True):
        on, off = _rates(count, *nm, 0.0)
        chance *= float(_chance(nm[0], on) * _chance(nm[1], off))
    return max(_NEGLECTED * (chance or 1.0), 1e-290)


def _outcomes(
    counts: Sequence[Count], grid: FloatArray, scales: _Scales, cut: float, most: int
) -> tuple[Outcomes, list[IntArray]]:
    """The counts (n_on, n_off) of each channel, and which of them each outcome that matters has.

    These are all that matter for any mu of a grid. A signal scaled in all channels is much like
    another mu, so the grid goes up to the largest of those.
    """
    cut = cut / (2 * len(counts))  # of each channel; its 4 tails take less
    data, largest = _data(counts), float(scales.common[1].max(initial=1.0))
    step = grid[1] - grid[0]
    grid = np.arange(0.0, grid[-1] * largest + 0.5 * step, step)
    tables, alone = [], []
    for count, nm, (part, own) in zip(counts, data, scales.private, strict=True):
        rates = [_scaled(count, *nm, mu, own) for mu in grid]
        axes = []
        for of_one in zip(*rates, strict=True):
            axes.append(_range(float(np.min(of_one)), float(np.max(of_one)), cut / 6))
        _check(prod(axis.size for axis in axes), most, counts)
        n, m = (each.ravel() for each in np.meshgrid(*axes, indexing="ij"))
        tables.append((n, m))
        of_count = []
        for on, off in rates:
            each = _chance(n, on[:, None]) * _chance(m, np.broadcast_to(off, own.shape)[:, None])
            of_count.append(part @ each)
        alone.append(of_count)
    sizes = [n.size for n, _ in tables]
    _check(prod(sizes) / _DENSITY, most, counts)
    matters = np.zeros(prod(sizes), bool)
    for k in range(len(grid)):
        joint, flat = np.ones(1), np.zeros(1, np.int64)
        for size, of_count in zip(sizes, alone, strict=True):
            before, at = _pairs(joint, of_count[k], cut, most, counts)
            joint, flat = joint[before] * of_count[k][at], flat[before] * size + at
        matters[flat] = True
    found = np.flatnonzero(matters)
    _check(found.size, most, counts)
    return tables, list(np.unravel_index(found, sizes))


def _check(size: float, most: int, counts: Sequence[Count]) -> None:
    if size > most:
        raise _TooManyError(
            f"{size:.3g} outcomes or more of {len(counts)} counting channels are too many for "
            f"exact sums (at most {most:.3g}); use method='toys'"
        )


def _pairs(
    first: FloatArray, second: FloatArray, cut: float, most: int, counts: Sequence[Count]
) -> tuple[IntArray, IntArray]:
    """Pairs of chances: all but those of small products, whose sum stays below a cut.

    Pairs are not looked at one by one before they are known to be few.

    Returns:
        Where they are in the first array, and in the second.
    """
    order = np.argsort(-second)
    falling = -second[order]
    rest = np.append(second[order][::-1].cumsum()[::-1], 0.0)  # of all from there on
    least = 1.0 / np.maximum(first, _TINY)

    def taken(log_product: float) -> IntArray:
        """How many of the second array each of the first is paired with."""
        return np.searchsorted(falling, -exp(log_product) * least, side="right")

    low, high = log(_TINY), 0.0  # logarithms of the smallest product that is taken
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        few_enough = float(first @ rest[taken(middle)]) <= cut
        low, high = (middle, high) if few_enough else (low, middle)
    number = taken(low)
    _check(int(number.sum()), most, counts)
    before = np.repeat(np.arange(first.size), number)
    start = np.repeat(number.cumsum() - number, number)
    return before, order[np.arange(before.size) - start]


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


def _scaled(
    count: Count, n: FloatArray, m: FloatArray, mu: FloatArray | float, factor: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Expected events, on and off, if the signal is larger by a factor than the fit assumes."""
    on, off = _rates(count, n, m, mu)
    more = mu * (factor - 1.0)
    return on + more * count.per_poi, off + more * count.off_per_poi


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
        both = (count.tau * s - t) ** 2 * (n / on**2) * (m / off**2) / np.maximum(of_b, _TINY)
        bend = bend + np.where(on > mu * s, both, at_fixed_b)
    return slope, bend


def _best(counts: Sequence[Count], outcomes: Outcomes) -> FloatArray:
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


def _poi_error(counts: Sequence[Count]) -> float:
    """One standard deviation of the best fit of mu >= 0; NaN where there is no curvature."""
    data = _data(counts)
    bend = float(_slope_and_bend(counts, data, _best(counts, data))[1])
    return 1 / sqrt(bend) if bend > 0 else nan


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
