"""Sums over the outcomes of counting channels, over all that matter or over a random part."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import exp, inf, log, prod, sqrt
from typing import NamedTuple

import numpy as np
from numpy.polynomial.hermite import hermgauss
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, ndtr, pdtr, pdtrc, xlogy

from zfit_dark.counting.counts import (
    TINY,
    Count,
    FloatArray,
    IntArray,
    Outcomes,
    best_fit,
    data_of,
    nll,
    rates_of,
    scaled_rates,
)
from zfit_dark.errors import InputError

MOST_OUTCOMES = 200_000
"""Of more combinations of counts than this a random part is taken."""

BANDS = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Quantiles, in standard deviations, of the expected limits."""

# The probability left out, as a part of that of the observed counts. These belong to the sums
# themselves, so this bounds the relative error of each sum whatever it is, with a factor 1/alpha.
_NEGLECTED = 1e-8

# How well the probabilities of all outcomes add up to one in floating point.
_ROUNDING = 1e-11

# Outcomes that differ in nothing that the likelihood sees (the same total in two like channels)
# have the same q but for rounding, of 1e-11 at most. To take two as equal that are not is harmless:
# their q, functions of mu, cross, so it moves the limit by 1e-8 of the error of mu or so.
_TIE = 1e-8
_AT_ONCE = 1 << 16  # probabilities; so many stay in the cache
PRECISION = 1e-7
ZOOM = 8
_NODES = 7
_HALVINGS = 12
_GRID = 7
_DENSITY = 1_000  # combinations of counts, most of them improbable, for each that matters
_REFINED = 3
_ENOUGH = 0.01  # effective number of draws, as a part of them


class TooManyError(InputError):
    """More outcomes than wanted."""


class Sums:
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
        scales: Scales | None = None,
        *,
        cut: float = 0.0,
        most: int | None = None,
        draws: int = 0,
        seed: int = 1,
    ) -> None:
        if not any(count.per_poi > 0 for count in counts):
            raise InputError("no counting channel expects any signal: there is nothing to limit")
        self.counts, self.scales = counts, scales or scales_of((), len(counts))
        self.data, self.highest = data_of(counts), highest
        # how often each outcome was drawn; over that, what the sums are to be multiplied with
        self.times, self.importance = np.ones(()), np.ones(())
        if draws:
            self._draw(draws, np.random.default_rng(seed))
        else:
            self._select(cut or strict_cut(counts), MOST_OUTCOMES if most is None else most)
        outcomes = [(n[i], m[i]) for (n, m), i in zip(self.tables, self.rows, strict=True)]
        self.best = best_fit(counts, outcomes)
        self.lowest = nll(counts, outcomes, self.best)
        self.data_best = best_fit(counts, self.data)
        self.data_lowest = nll(counts, self.data, self.data_best)
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
        raise TooManyError(
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
                    rates_of(count, *nm, grid), nm, (count.per_poi, count.off_per_poi), strict=True
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
        while (wide := np.flatnonzero(high - low > PRECISION * high)).size:
            points = np.linspace(low[wide], high[wide], ZOOM + 1)
            last = np.zeros(wide.size, int)
            first = ZOOM  # of the points that were looked at
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
        q0_data = 2 * (nll(self.counts, self.data, 0.0) - self.data_lowest)
        q0 = np.where(self.best > 0, self._ratio(np.zeros(1))[0], 0.0)
        return float(self.without.sum(where=q0 >= q0_data - _TIE))

    # what follows takes many mu, and has a row for each

    def _inside(self, q: FloatArray, mu: FloatArray) -> NDArray[np.bool_]:
        """Which outcomes have a likelihood ratio as large as that of the data."""
        q_data = 2 * (nll(self.counts, self.data, mu) - self.data_lowest)
        inside: NDArray[np.bool_] = q >= np.where(self.data_best < mu, q_data, 0.0)[:, None] - _TIE
        return inside

    def _q(self, mu: FloatArray) -> FloatArray:
        return np.where(self.best < mu[:, None], np.maximum(self._ratio(mu), 0.0), 0.0)

    def _ratio(self, mu: FloatArray) -> FloatArray:
        """Twice the logarithm of the likelihood ratio of the best fit to mu, of each outcome."""
        total = np.zeros(())
        for count, table, i in zip(self.counts, self.tables, self.rows, strict=True):
            total = total + nll([count], [table], mu[:, None])[:, i]
        return 2 * (total - self.lowest)

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
        on, off = scaled_rates(self.counts[c], *self.data[c], mu[:, None, None], scaled)
        ons, offs = _chance(on_axis, on[..., None]), _chance(off_axis, off[..., None])
        total = np.zeros(())
        for k, weight in enumerate(part):
            total = total + weight * ons[:, :, k, i] * offs[:, :, k, j]
        return total


class Scales(NamedTuple):
    """What the signal is scaled by, and how often: nodes of Gauss-Hermite quadrature.

    Attributes:
        common: by uncertainties of several channels: weights, shape (k,), and factors, (k,
            channels).
        private: of each channel: weights and factors by uncertainties of its own, (j,) each.
    """

    common: tuple[FloatArray, FloatArray]
    private: tuple[tuple[FloatArray, FloatArray], ...]


def scales_of(uncertainties: ArrayLike, channels: int) -> Scales:
    """What relative uncertainties of the signal scale it by; see ``exact_limit``.

    Raises:
        InputError: if they have another shape, or are not from 0 up to 1.
    """
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
    return Scales((weights, factors), tuple(private))


def _chance(n: FloatArray, rate: FloatArray) -> FloatArray:
    """Poisson probability, also between whole numbers."""
    chance: FloatArray = np.exp(xlogy(n, rate) - rate - gammaln(n + 1))
    return chance


def strict_cut(counts: Sequence[Count]) -> float:
    """The probability that may be left out, as a part of that of the data without a signal."""
    chance = 1.0
    for count, nm in zip(counts, data_of(counts), strict=True):
        on, off = rates_of(count, *nm, 0.0)
        chance *= float(_chance(nm[0], on) * _chance(nm[1], off))
    return max(_NEGLECTED * (chance or 1.0), 1e-290)


def _outcomes(
    counts: Sequence[Count], grid: FloatArray, scales: Scales, cut: float, most: int
) -> tuple[Outcomes, list[IntArray]]:
    """The counts (n_on, n_off) of each channel, and which of them each outcome that matters has.

    These are all that matter for any mu of a grid. A signal scaled in all channels is much like
    another mu, so the grid goes up to the largest of those.
    """
    cut = cut / (2 * len(counts))  # of each channel; its 4 tails take less
    data, largest = data_of(counts), float(scales.common[1].max(initial=1.0))
    step = grid[1] - grid[0]
    grid = np.arange(0.0, grid[-1] * largest + 0.5 * step, step)
    tables, alone = [], []
    for count, nm, (part, own) in zip(counts, data, scales.private, strict=True):
        rates = [scaled_rates(count, *nm, mu, own) for mu in grid]
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
        raise TooManyError(
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
    least = 1.0 / np.maximum(first, TINY)

    def taken(log_product: float) -> IntArray:
        """How many of the second array each of the first is paired with."""
        return np.searchsorted(falling, -exp(log_product) * least, side="right")

    low, high = log(TINY), 0.0  # logarithms of the smallest product that is taken
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
