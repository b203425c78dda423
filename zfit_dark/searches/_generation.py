"""Pseudo-data of the searches: random numbers, and what a generator is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from zfit_dark.errors import InputError
from zfit_dark.numbers import Range

FloatArray = npt.NDArray[np.float64]


def check_seed(seed: int) -> int:
    """A seed of pseudo-data.

    Raises:
        InputError: it is no whole number, or negative.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed {seed!r}: give a whole number, 0 or more")
    return int(seed)


def check_signals(inject: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Signals to inject, pairs of a mass and a number of events.

    Raises:
        InputError: a number of events is not positive and finite.
    """
    signals = [(float(mass), float(events)) for mass, events in inject]
    for mass, events in signals:
        if not (math.isfinite(events) and events > 0):
            raise InputError(f"signal at {mass:.6g} GeV: {events:g} events; give a positive number")
    return signals


def check_ctau(ctau: float) -> float:
    """A proper decay length in cm, 0 for a particle that decays at once.

    Raises:
        InputError: it is negative or not finite.
    """
    if not 0 <= ctau < math.inf:
        raise InputError(f"ctau = {ctau} cm: give a positive length, or 0")
    return float(ctau)


def smooth(
    rng: np.random.Generator, n: int, coefficients: list[float], low: float, high: float
) -> FloatArray:
    """Values between low and high with the density of a Bernstein polynomial.

    It is a sum of Beta distributions.
    """
    weights = np.array(coefficients)
    k = rng.choice(len(weights), size=n, p=weights / weights.sum())
    values: FloatArray = low + (high - low) * rng.beta(k + 1, len(weights) - k)
    return values


def double_crystal_ball(rng: np.random.Generator, n: int, shape: Mapping[str, float]) -> FloatArray:
    """Standardised deviates of a double-sided Crystal Ball, by inversion."""
    left, right = (
        shape[f"n{side}"]
        / shape[f"alpha{side}"]
        * math.exp(-0.5 * shape[f"alpha{side}"] ** 2)
        / (shape[f"n{side}"] - 1)
        for side in "lr"
    )  # integrals of the tails, for a core exp(-t²/2)
    low, high = ndtr(-shape["alphal"]), ndtr(shape["alphar"])
    core = math.sqrt(2 * math.pi) * (high - low)
    u = rng.uniform(size=n) * (left + core + right)
    core_t = ndtri(np.clip(low + (u - left) / math.sqrt(2 * math.pi), low, high))
    left_t = -_tail(np.minimum(u / left, 1.0), shape["alphal"], shape["nl"])
    right_t = _tail(
        np.minimum((left + core + right - u) / right, 1.0), shape["alphar"], shape["nr"]
    )
    return np.where(u < left, left_t, np.where(u > left + core, right_t, core_t))


def _tail(u: FloatArray, alpha: float, n: float) -> FloatArray:
    """Where the fraction u of a power-law tail that starts at alpha lies beyond."""
    t: FloatArray = alpha + n / alpha * np.expm1(-np.log(u) / (n - 1))
    return t


def cut_normal(
    rng: np.random.Generator, n: int, mean: float, sigma: float, inside: Range
) -> FloatArray:
    """Normal deviates inside a range, n of them."""
    low, high = ndtr((inside.low - mean) / sigma), ndtr((inside.high - mean) / sigma)
    values: FloatArray = mean + sigma * ndtri(rng.uniform(low, high, n))
    return np.clip(values, inside.low, inside.high)
