"""What the two hand-written peers share: the channels of a job, limits from a fit, toys.

The fit is theirs. All else is what a physicist would write for this one model: signal shapes from
numba-stats, a bin-centred Asimov set, the limits by Brent's method.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple, Protocol

import numba
import numpy as np
from common import reference_jobs as job_of
from numba_stats import crystalball_ex
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from peers import experiment

FloatArray = NDArray[np.float64]

LOW, HIGH = job_of.LOW, job_of.HIGH
WIDTH = HIGH - LOW
ASIMOV_BINS = 400
ALPHA = 0.05
BANDS = (-2, -1, 0, 1, 2)
_TOLERANCE = {"xtol": 1e-3, "rtol": 1e-5}


class Points(NamedTuple):
    """Where a channel is evaluated.

    Attributes:
        signal: density of the signal there.
        t1, t2: first and second Chebyshev polynomial there.
        weights: of the points.
    """

    signal: FloatArray
    t1: FloatArray
    t2: FloatArray
    weights: FloatArray


class Channel:
    """Data of a channel, and the bins of its Asimov set.

    Args:
        x: candidates.
        per_poi: signal events per unit of the parameter of interest.
        uncertainty: relative, Gaussian, on the signal events; 0 for none.
    """

    def __init__(self, x: FloatArray, per_poi: float, uncertainty: float) -> None:
        self.per_poi, self.uncertainty = per_poi, uncertainty
        edges = np.linspace(LOW, HIGH, ASIMOV_BINS + 1)
        self._x, self._bins = x, (edges[1:] + edges[:-1]) / 2
        self._data_polynomials, self._bin_polynomials = _chebyshev(x), _chebyshev(self._bins)
        self._weights = np.ones_like(x)

    def move_to(self, mass: float) -> None:
        """Evaluate the signal at a mass hypothesis."""
        self._data_signal, self._bin_signal = _signal(self._x, mass), _signal(self._bins, mass)

    def data(self) -> Points:
        """The candidates."""
        return Points(self._data_signal, *self._data_polynomials, self._weights)

    def asimov(self, background: Callable[[FloatArray, FloatArray], FloatArray]) -> Points:
        """The expectation of a background density that is a function of the polynomials."""
        weights = background(*self._bin_polynomials) * WIDTH / ASIMOV_BINS
        return Points(self._bin_signal, *self._bin_polynomials, weights)


class Fit(Protocol):
    """A fit of all channels to points."""

    def __init__(self, channels: Sequence[Channel], points: Sequence[Points]) -> None: ...

    def free(self) -> tuple[float, float]:
        """Smallest NLL with a parameter of interest not below zero, and where that is."""

    def conditional(self, poi: float) -> float:
        """Smallest NLL at a value of the parameter of interest."""

    def background(self, channel: int) -> Callable[[FloatArray, FloatArray], FloatArray]:
        """The background density of a channel as last fitted."""


class HandwrittenLimits:
    """Limits of a job.

    Args:
        job: "one" or "four".
        fit: the kind of fit.
    """

    def __init__(self, job: str, fit: type[Fit]) -> None:
        one, four = job_of.pseudo_data()
        self._fit = fit
        if job == "one":
            self._channels = [Channel(one, 1.0, 0.0)]
        else:
            self._channels = [
                Channel(four[name], per_poi, job_of.UNCERTAINTY)
                for name, per_poi in zip(job_of.NAMES, job_of.SIGNAL_PER_POI, strict=True)
            ]

    def __call__(self, mass: float) -> list[float]:
        """Limits at a mass: observed, and at -2, -1, 0, +1, +2 sigma."""
        for channel in self._channels:
            channel.move_to(mass)
        data = self._fit(self._channels, [c.data() for c in self._channels])
        smallest, best = data.free()
        without_signal = data.conditional(0.0)
        if without_signal < smallest:
            smallest, best = without_signal, 0.0
        # the pulls of the signal efficiencies are 0 where there is no signal
        asimov = self._fit(
            self._channels, [c.asimov(data.background(i)) for i, c in enumerate(self._channels)]
        )
        asimov_smallest = asimov.conditional(0.0)

        @cache
        def expected_q(poi: float) -> float:
            return max(2 * (asimov.conditional(poi) - asimov_smallest), 0.0)

        def observed_q(poi: float) -> float:
            return 0.0 if poi <= best else max(2 * (data.conditional(poi) - smallest), 0.0)

        def log_cls(poi: float) -> float:
            q, q_a = observed_q(poi), expected_q(poi)
            root, root_a = math.sqrt(q), math.sqrt(q_a)
            if q <= q_a:
                signal, background = ndtr(-root), ndtr(root_a - root)
            else:
                signal = ndtr(-(q + q_a) / (2 * root_a))
                background = ndtr(-(q - q_a) / (2 * root_a))
            return math.log(signal / background / ALPHA)

        guess = 20.0
        sigma = guess / math.sqrt(expected_q(guess))
        expected = []
        for band in BANDS:
            wanted = ndtri(1 - ALPHA * ndtr(band)) + band
            expected.append(
                _crossing(
                    lambda poi, wanted=wanted: math.sqrt(expected_q(poi)) - wanted,
                    0.9 * sigma * wanted,
                    1.1 * sigma * wanted,
                )
            )
        near = best + 1.7 * sigma
        start = max(0.8 * near, 1.0001 * best + 1e-6)
        return [_crossing(lambda poi: -log_cls(poi), start, 1.25 * near), *expected]


class HandwrittenToys:
    """Toys of a job.

    Args:
        job: "one" or "window".
    """

    def __init__(self, job: str) -> None:
        self._background, self._tested = experiment.background(job), experiment.tested(job)
        self._random = np.random.default_rng(1)

    def __call__(self, number: int) -> FloatArray:
        """Fits of so many new toys: best signal, NLL there, NLL at the tested signal."""
        found = np.empty((3, number))
        for i in range(number):
            events = self._random.poisson(self._background.events)
            x = _draw(self._random, events, self._background.a1, self._background.a2)
            points = Points(_signal(x, experiment.MASS), *_chebyshev(x), np.ones_like(x))
            found[:, i] = self._fitted(points)
        return found

    def _fitted(self, points: Points) -> tuple[float, float, float]:
        """Best signal, not below zero, NLL there and NLL at the tested signal; NaN if it fails."""
        raise NotImplementedError


@numba.njit
def _draw(random, events, a1, a2):  # type: ignore[no-untyped-def]
    """Candidates of a background, by accepting and rejecting."""
    x, top = np.empty(events), 1 + abs(a1) + abs(a2)
    i = 0
    while i < events:
        t = 2 * random.random() - 1
        if top * random.random() < 1 + a1 * t + a2 * (2 * t * t - 1):
            x[i] = LOW + 0.5 * WIDTH * (t + 1)
            i += 1
    return x


def _signal(x: FloatArray, mass: float) -> FloatArray:
    """Density of the signal."""
    s = job_of.SHAPE
    shape = (s["alphal"], s["nl"], s["sigma"], s["alphar"], s["nr"], s["sigma"], mass)
    low, high = crystalball_ex.cdf(np.array([LOW, HIGH]), *shape)
    return crystalball_ex.pdf(x, *shape) / (high - low)


def _chebyshev(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """First and second Chebyshev polynomial on the range of the data."""
    t = 2 * (x - LOW) / WIDTH - 1
    return t, 2 * t * t - 1


def _crossing(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function is zero, from a first guess of an interval."""
    while rising(low) > 0:
        low *= 0.85
    while rising(high) < 0:
        high *= 1.2
    return float(brentq(rising, low, high, **_TOLERANCE))
