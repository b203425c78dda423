"""CLs limits by toys: the distributions of the test statistic are drawn, not assumed.

At a value of the parameter of interest, CLs is the fraction of toys with signal that are at least
as unlike it as the data, over the same fraction of toys without signal. Toys are drawn with the
nuisances fitted to the data at that value. Both fractions are taken from both kinds of toys: a toy
counts for a hypothesis with its likelihood there over the mean of those that it may have been drawn
from. So the far tail, where toys with signal hardly ever go, is known from those without.
log CLs is nearly straight in the parameter, so that a limit is read off a parabola through a few
values around it; more toys go where the error of a limit is largest.

Source: A. L. Read, J. Phys. G 28 (2002) 2693; ATL-PHYS-PUB/CMS NOTE-2011/005, section 2; E. Veach,
L. Guibas, SIGGRAPH 95, 419 (both kinds of toys: the balance heuristic).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm

from zfit_dark import toys
from zfit_dark.asymptotics import BANDS
from zfit_dark.errors import InputError
from zfit_dark.newton import FloatArray
from zfit_dark.profile import TESTS, CompiledLoss, Sample
from zfit_dark.toys import Recipe

FIRST_TOYS = 1000
"""Most toys with signal that a value of the parameter of interest starts with."""

_WITHOUT_SIGNAL = 4
"""Toys without signal for each with."""

_BAND_PRECISION = np.array([3.0, 2.0, 2.0, 2.0, 3.0])
"""Expected limits may have so many times the error of the observed one."""

_APART = 0.08
"""Values closer than this, relatively, are one."""

_NEAR = 0.2
"""Where no log(CLs / alpha) is smaller than this, a limit needs a new value."""

_FAR = 2.5
"""log(CLs / alpha) of values that tell nothing of a limit any more."""

_BEND = 0.1
"""What a parabola misses of a value, in units of the square of its log(CLs / alpha)."""

_TIE = 1e-7
"""Test statistics that differ by less are equal: fits end that far from their minimum."""

_MOST_ROUNDS = 60


class ToyLimit(NamedTuple):
    """What toys say of a hypothesis.

    Attributes:
        limits: expected from -2 to +2 sigma, then the observed one, shape (6,); NaN if not found.
        errors: their statistical errors, shape (6,).
        p0: chance of an excess like that of the data without a signal.
        toys: how many were drawn.
        failed: how many had a fit that did not converge, and were left out.
    """

    limits: FloatArray
    errors: FloatArray
    p0: float
    toys: int
    failed: int


@dataclass(frozen=True)
class Toys:
    """How many toys a limit may take.

    Args:
        precision: relative error of the observed limit to reach; expected ones may have two to
            three times that.
        most: toys after which the search ends, whatever the precision.
        seed: of the random numbers, not negative.

    Raises:
        InputError: if one of them makes no sense.
    """

    precision: float = 0.02
    most: int = 100_000
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.precision < 1:
            raise InputError(f"precision={self.precision}: give a number between 0 and 1")
        if self.most < FIRST_TOYS:
            raise InputError(f"most={self.most}: give at least {FIRST_TOYS} toys")
        toys.check_seed(self.seed)

    @property
    def first(self) -> int:
        """Toys with signal that a value of the parameter of interest starts with."""
        return int(np.clip(2.5 / self.precision**2, 200, FIRST_TOYS))


class Data(NamedTuple):
    """The fits of the data that toys are compared with.

    Attributes:
        sample: the data.
        best: best fit of the parameter of interest.
        lowest: negative log-likelihood there.
        free: all parameters there, shape (parameters,).
        without: all parameters without signal, shape (parameters,).
        at_zero: negative log-likelihood there.
    """

    sample: Sample
    best: float
    lowest: float
    free: FloatArray
    without: FloatArray
    at_zero: float


class _Toys(NamedTuple):
    """Toys of one kind, tested at a value of the parameter of interest.

    Attributes:
        q: test statistic; NaN where a fit did not converge.
        log_odds: logarithm of the likelihood with signal over that without.
    """

    q: FloatArray
    log_odds: FloatArray

    def more(self, others: _Toys) -> _Toys:
        """These and others."""
        return _Toys(*(np.append(a, b) for a, b in zip(self, others, strict=True)))


_NO_TOYS = _Toys(np.empty(0), np.empty(0))


@dataclass
class _Value:
    """A value of the parameter of interest, and the toys that tell its CLs.

    Attributes:
        poi: the value.
        recipe: how toys are drawn there.
        q: the test statistic of the data; NaN if blind.
        with_signal: toys with this signal.
        without: toys without signal, the same ones for all values.
    """

    poi: float
    recipe: Recipe
    q: float
    with_signal: _Toys = _NO_TOYS
    without: _Toys = _NO_TOYS


def toy_limit(
    ours: CompiledLoss,
    data: Data,
    poi: Any,
    guesses: FloatArray,
    alpha: float,
    qtilde: bool,
    plan: Toys,
    *,
    blind: bool = False,
) -> ToyLimit:
    """Limits by toys, refined until the observed one is precise enough.

    Args:
        ours: the compiled loss.
        data: the fits of the data.
        poi: the parameter of interest.
        guesses: asymptotic limits, the expected ones and the observed one; NaN if unknown.
        alpha: one minus the confidence level.
        qtilde: whether a negative signal counts as none.
        plan: how many toys.
        blind: expected limits only; the nuisances are those without signal.

    Raises:
        InputError: if toys cannot be drawn, or no guess is a number.
    """
    search = _Search(ours, data, poi, qtilde, plan, blind)
    wanted = plan.precision * np.append(_BAND_PRECISION, 1.0)
    values = _apart(guesses)
    if not values:
        raise InputError("toys have no asymptotic limit to begin with")
    search.add(values)
    for _ in range(_MOST_ROUNDS):
        found = [search.limit(target, alpha) for target in range(6)]
        limits, errors = np.array(found).T
        with np.errstate(invalid="ignore"):
            excess = errors / np.abs(limits) / wanted
        excess = np.where(np.isnan(limits), np.inf, excess)
        excess[5] = 0.0 if blind else excess[5]
        # first the observed limit
        worst = 5 if excess[5] > 1 else int(np.argmax(excess))
        if not excess[worst] > 1 or search.drawn >= plan.most:
            break
        search.improve(float(limits[worst]), min(float(excess[worst]), 4.0), worst, alpha)
    limits[~np.isfinite(errors)] = np.nan
    return ToyLimit(limits, errors, search.p0(), search.drawn, search.failed)


def _apart(guesses: FloatArray) -> list[float]:
    """Values worth a look, those that nearly coincide only once."""
    found: list[float] = []
    for guess in sorted(g for g in guesses if np.isfinite(g) and g > 0):
        if not found or guess > (1 + _APART) * found[-1]:
            found.append(float(guess))
    return found[:TESTS]


class _Search:
    """The toys drawn so far and what they say."""

    def __init__(
        self, ours: CompiledLoss, data: Data, poi: Any, qtilde: bool, plan: Toys, blind: bool
    ) -> None:
        self._ours, self._data, self._poi = ours, data, poi
        self._qtilde, self._blind = qtilde, blind
        self._seed, self._first = plan.seed, plan.first
        self._values: list[_Value] = []
        self._without = toys.recipe(ours, data.without, poi, data.sample)
        self._n_without = 0
        self._q0 = np.empty(0)
        self.drawn = 0
        self.failed = 0

    def add(self, pois: list[float]) -> None:
        """Look at new values of the parameter of interest."""
        new = [self._value(poi) for poi in pois]
        self._values = sorted([*self._values, *new], key=lambda value: value.poi)
        for value in new:
            self._more_with_signal(value, self._first)
        if self._n_without:
            self._look(new, range(self._n_without))
        else:
            self.more_without(_WITHOUT_SIGNAL * self._first)

    def improve(self, limit: float, factor: float, target: int, alpha: float) -> None:
        """Draw where a limit needs it: at a new value, or more at the values on both sides of it.

        Args:
            limit: where it seems to be; NaN if all values are on one side of it.
            factor: that its error shall become smaller by.
            target: which limit.
            alpha: one minus the confidence level.
        """
        known = np.array([value.poi for value in self._values])
        logs = [self._log_cls(value, target, alpha)[0] for value in self._values]
        if np.isnan(logs).all():  # no toy is like the data, not even one without signal
            self.more_without(3 * self._n_without)
            return
        outside = not np.isfinite(limit)
        if outside:
            limit = 1.5 * known.max() if np.nanmin(logs) > 0 else known.min() / 1.5
        apart = np.abs(known / limit - 1).min()
        untold = outside or (np.nanmin(np.abs(logs)) > _NEAR and apart > 0.1 * _NEAR)
        if untold and len(known) < 3 * TESTS:
            self.add([limit])
            return
        below, above = np.flatnonzero(known <= limit), np.flatnonzero(known > limit)
        growth = min(factor**2 - 1, 3.0)
        for i in [*below[-1:], *above[:1]]:
            value = self._values[i]
            self._more_with_signal(value, 100 + int(growth * value.with_signal.q.size))
        most = max(value.with_signal.q.size for value in self._values)
        if target != 5 or self._n_without < most:
            self.more_without(100 + int(growth * self._n_without))

    def more_without(self, number: int) -> None:
        """Draw more toys without signal; all values look at them."""
        numbers = range(self._n_without, self._n_without + number)
        self._look(self._values, numbers)
        self._n_without += number

    def limit(self, target: int, alpha: float) -> tuple[float, float]:
        """Where the CLs of a band, or that of the data, crosses alpha, and the error of that."""
        if self._blind and target == 5:
            return np.nan, np.nan
        logs, errors = np.array([self._log_cls(v, target, alpha) for v in self._values]).T
        return _crossing(np.array([v.poi for v in self._values]), logs, errors)

    def p0(self) -> float:
        """Chance of an excess like that of the data without a signal; one toy is the data."""
        if self._blind:
            return np.nan
        best = self._data.best
        observed = 2 * (self._data.at_zero - self._data.lowest) if best > 0 else 0.0
        known = self._q0[np.isfinite(self._q0)]
        return float((np.sum(known >= observed - _TIE) + 1) / (known.size + 1))

    def _value(self, poi: float) -> _Value:
        """A new value, with the fit of the data there."""
        data, index = self._data, self._ours.index(self._poi)
        theta, q = data.without.copy(), np.nan
        theta[index] = poi
        if not self._blind:
            start = np.stack([theta, data.free])
            start[:, index] = poi
            free = np.ones(start.shape, bool)
            free[:, index] = False
            minimum = self._ours.fit(data.sample, start, free)
            best = int(np.argmin(np.where(minimum.converged, minimum.value, np.inf)))
            theta = minimum.theta[best]
            lowest = data.at_zero if self._qtilde and data.best < 0 else data.lowest
            value = minimum.value[best] if minimum.converged[best] else np.nan
            q = 0.0 if data.best > poi else max(2 * float(value - lowest), 0.0)
        return _Value(poi, toys.recipe(self._ours, theta, self._poi, data.sample), q)

    def _more_with_signal(self, value: _Value, number: int) -> None:
        first = value.with_signal.q.size
        numbers = range(first, first + number)
        q, fits = self._tested(value.recipe, [value.poi], self._data.without[None], numbers)
        log_odds = fits.others[:, 0] - fits.truth
        value.with_signal = value.with_signal.more(_Toys(q[:, 0], log_odds))

    def _look(self, values: list[_Value], numbers: range) -> None:
        """Test toys without signal at values, and at zero if that was not done yet."""
        for first in range(0, len(values), TESTS - 1):
            some = values[first : first + TESTS - 1]
            at = [0.0, *(value.poi for value in some)]
            others = np.stack([self._data.without, *(value.recipe.theta for value in some)])
            q, fits = self._tested(self._without, at, others, numbers)
            log_odds = fits.truth[:, None] - fits.others
            for i, value in enumerate(some, 1):
                value.without = value.without.more(_Toys(q[:, i], log_odds[:, i]))
            if numbers.start >= self._q0.size:
                self._q0 = np.append(self._q0, q[:, 0])

    def _tested(
        self, recipe: Recipe, at: list[float], others: FloatArray, numbers: range
    ) -> tuple[FloatArray, toys.Fits]:
        """The test statistic of toys at values, shape (toys, values), and their fits.

        At a value of 0 it is that of a discovery. NaN where a fit did not converge.
        """
        below = 0.0 if self._qtilde else -np.inf
        fits = toys.fitted(
            self._ours, recipe, self._poi, at, others, numbers, self._seed, not_below=below
        )
        self.drawn += len(numbers)
        self.failed += fits.failed
        ratio = np.maximum(2 * (fits.values - fits.lowest[:, None]), 0.0)
        tests, best = np.array(at), fits.best[:, None]
        against = np.where(tests == 0.0, best <= 0, best > tests)
        q: FloatArray = np.where(against & np.isfinite(ratio), 0.0, ratio)
        return q, fits

    def _log_cls(self, value: _Value, target: int, alpha: float) -> tuple[float, float]:
        """log(CLs / alpha) at a value, of a band or of the data (5), and its error."""
        if target == 5:
            log, error = _log_ratio(value, value.q)
            return log - np.log(alpha), error
        known = value.without.q[np.isfinite(value.without.q)]
        fraction = norm.cdf(BANDS[target])
        step = np.sqrt(fraction * (1 - fraction) / known.size)
        # the toy without signal that stands for the band, and those one standard deviation off
        around = np.clip(1 - fraction + np.array([0.0, -step, step]), 0.0, 1.0)
        at = np.quantile(known, around, method="inverted_cdf")
        (log, error), (up, _), (down, _) = (_log_ratio(value, q) for q in at)
        return log - np.log(alpha), float(np.hypot(error, 0.5 * (up - down)))


def _log_ratio(value: _Value, observed: float) -> tuple[float, float]:
    """Logarithm of CLs and its error; NaN where no toy is beyond the data.

    A handful of toys beyond the data may be all alike and tell no spread. So the error is not
    smaller than what one more toy, of no weight with a signal, would do to them.
    """
    if not np.isfinite(observed):
        return np.nan, np.nan
    kinds = [_Toys(*(x[np.isfinite(k.q)] for x in k)) for k in (value.with_signal, value.without)]
    n_signal, n_without = (kind.q.size for kind in kinds)
    ours, others = [], []
    for kind in kinds:
        beyond = kind.q >= observed - _TIE
        ours.append(beyond / (n_signal + n_without * np.exp(-kind.log_odds)))
        others.append(beyond / (n_signal * np.exp(kind.log_odds) + n_without))
    one, other = (float(sum(part.sum() for part in parts)) for parts in (ours, others))
    if one == 0.0 or other == 0.0:
        return np.nan, np.nan
    variance = sum(a.size * np.var(a / one - b / other) for a, b in zip(ours, others, strict=True))
    alone = sum(np.sum(b**2) for b in others) / other**2  # one over the number of toys beyond
    return float(np.log(one / other)), float(np.sqrt(variance + alone**2))


def _crossing(pois: FloatArray, logs: FloatArray, errors: FloatArray) -> tuple[float, float]:
    """Where a falling function is zero, by a parabola through its values around there.

    Returns:
        The place and its error; NaN and infinity where all values are on one side of zero.
    """
    known = np.isfinite(logs)
    if not (np.min(logs[known], initial=np.inf) <= 0 <= np.max(logs[known], initial=-np.inf)):
        return np.nan, np.inf
    use = known & (np.abs(logs) < _FAR)
    if use.sum() < 2:
        order = np.argsort(-logs[known])
        return float(np.interp(0.0, -logs[known][order], pois[known][order])), np.inf
    x, y, e = logs[use], pois[use], errors[use]
    slope = np.polyfit(x, y, 1)[0]
    # far values count less: there a parabola is not the function any more
    size = np.abs(slope) * np.hypot(e, _BEND * x**2)
    design = np.vander(x, 3 if use.sum() >= 4 else 2) / size[:, None]
    inverse = np.linalg.pinv(design)
    return float((inverse @ (y / size))[-1]), float(np.sqrt(np.sum(inverse[-1] ** 2)))
