"""Hand-written: Newton's method in numba for this model alone, which is linear in its background.

No general tool can do less work: a lower bound on the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numba
import numpy as np
from scipy.optimize import brentq

from peers.handwritten import (
    WIDTH,
    Channel,
    FloatArray,
    HandwrittenLimits,
    HandwrittenToys,
    Points,
)

NAME = "hand-written numba Newton"
PACKAGES = ("numba", "numba-stats", "scipy")


class Limits(HandwrittenLimits):
    """Limits of a job, "one" or "four"."""

    def __init__(self, job: str) -> None:
        super().__init__(job, NewtonFit)


class Toys(HandwrittenToys):
    """Toys of a job, "one" or "window"."""

    def _fitted(self, points: Points) -> tuple[float, float, float]:
        events, a1, a2 = self._background
        c0 = events / (WIDTH * (1 - a2 / 3))
        parameters = np.array([0.0, c0, c0 * a1, c0 * a2])
        try:
            lowest = _minimise_one(points.signal, points.t1, points.t2, parameters, True)
            best, free = parameters[0], _allowed(parameters)
            parameters[0] = self._tested
            conditional = _minimise_one(points.signal, points.t1, points.t2, parameters, False)
        except np.linalg.LinAlgError:
            return (math.nan,) * 3
        return (best, lowest, conditional) if free and _allowed(parameters) else (math.nan,) * 3


def _allowed(parameters: FloatArray) -> bool:
    """Whether a1 and a2 are between -2 and 2, the limits that they have elsewhere.

    Beyond, the likelihood of a toy with a long gap has no maximum.
    """
    return bool(np.abs(parameters[2:]).max() <= 2 * parameters[1])


class NewtonFit:
    """At a fixed parameter of interest every channel is a fit of its own.

    Its parameters are the coefficients of the background density, c0 + c1 T1 + c2 T2, and a pull.
    """

    def __init__(self, channels: Sequence[Channel], points: Sequence[Points]) -> None:
        self._channels, self._points = channels, points
        self._parameters = [np.array([p.weights.sum() / WIDTH, 0.0, 0.0, 0.0]) for p in points]

    def free(self) -> tuple[float, float]:
        """Smallest NLL with a parameter of interest not below zero, and where that is."""
        value, slope = self._profile(0.0)
        if slope >= 0:
            return value, 0.0
        high = 50.0
        while self._profile(high)[1] < 0:
            high *= 2
        best = brentq(lambda poi: self._profile(poi)[1], 0, high, xtol=1e-3, rtol=1e-5)
        return self.conditional(best), best

    def conditional(self, poi: float) -> float:
        """Smallest NLL at a value of the parameter of interest."""
        return self._profile(poi)[0]

    def background(self, channel: int) -> Callable[[FloatArray, FloatArray], FloatArray]:
        """The background density of a channel as last fitted."""
        c0, c1, c2, _ = self._parameters[channel]
        return lambda t1, t2: c0 + c1 * t1 + c2 * t2

    def _profile(self, poi: float) -> tuple[float, float]:
        """Smallest NLL at a value of the parameter of interest, and its slope along it."""
        total = slope = 0.0
        for channel, here, parameters in zip(
            self._channels, self._points, self._parameters, strict=True
        ):
            value, each = _minimise(*here, poi * channel.per_poi, channel.uncertainty, parameters)
            total += value
            slope += each * channel.per_poi
        return total, slope


@numba.njit(fastmath=True, error_model="numpy")
def _minimise(signal, t1, t2, weights, nominal, uncertainty, p):  # type: ignore[no-untyped-def]
    """NLL of a channel, smallest over p = (c0, c1, c2, pull), and its slope along ``nominal``.

    ``nominal`` is the number of signal events at a pull of 0; p is changed in place.
    """
    curvature, gradient, before = np.empty((4, 4)), np.empty(4), np.empty(4)
    smallest, value, slope = 1e300, 0.0, 0.0
    for iteration in range(40):
        for _ in range(30):
            n_sig, value, negative = nominal * (1 + uncertainty * p[3]), 0.0, False
            g0 = g1 = g2 = gs = 0.0
            h00 = h01 = h02 = h11 = h12 = h22 = h0s = h1s = h2s = hss = 0.0
            for i in range(signal.size):
                x1, x2, s = t1[i], t2[i], signal[i]
                density = n_sig * s + p[0] + p[1] * x1 + p[2] * x2
                if density <= 0:
                    density, negative = 1e-9, True
                value -= weights[i] * math.log(density)
                r = weights[i] / density
                rr = r / density
                g0 -= r
                g1 -= r * x1
                g2 -= r * x2
                gs -= r * s
                h00 += rr
                h01 += rr * x1
                h02 += rr * x2
                h11 += rr * x1 * x1
                h12 += rr * x1 * x2
                h22 += rr * x2 * x2
                h0s += rr * s
                h1s += rr * x1 * s
                h2s += rr * x2 * s
                hss += rr * s * s
            value += n_sig + WIDTH * (p[0] - p[2] / 3) + 0.5 * p[3] * p[3]
            if iteration == 0 or (not negative and value <= smallest + 1e-9):
                break
            p[:] = 0.5 * (p + before)
        per_pull = nominal * uncertainty
        slope = (1 + gs) * (1 + uncertainty * p[3])
        gradient[:] = (WIDTH + g0, g1, g2 - WIDTH / 3, per_pull * (1 + gs) + p[3])
        curvature[0] = (h00, h01, h02, per_pull * h0s)
        curvature[1] = (h01, h11, h12, per_pull * h1s)
        curvature[2] = (h02, h12, h22, per_pull * h2s)
        curvature[3] = (per_pull * h0s, per_pull * h1s, per_pull * h2s, per_pull**2 * hss + 1)
        step = np.linalg.solve(curvature, gradient)
        if np.sum(step * gradient) < 1e-9:
            break
        smallest = value
        before[:] = p
        p -= step
    return value, slope


@numba.njit(fastmath={"nsz", "arcp", "contract", "afn", "reassoc"}, error_model="numpy")
def _minimise_one(signal, t1, t2, p, free):  # type: ignore[no-untyped-def]
    """NLL of a channel, smallest over p = (signal events, c0, c1, c2); NaN if it fails.

    The signal stays where it is unless it is free; it is never negative. p is changed in place.
    """
    curvature, gradient, before = np.empty((4, 4)), np.empty(4), np.empty(4)
    smallest = 1e300
    for iteration in range(40):
        for _ in range(30):
            value, negative = 0.0, False
            gs = g0 = g1 = g2 = 0.0
            hss = hs0 = hs1 = hs2 = h00 = h01 = h02 = h11 = h12 = h22 = 0.0
            for i in range(signal.size):
                x1, x2, s = t1[i], t2[i], signal[i]
                density = p[0] * s + p[1] + p[2] * x1 + p[3] * x2
                if density <= 0:
                    density, negative = 1e-9, True
                value -= math.log(density)
                r = 1.0 / density
                rr = r * r
                gs -= r * s
                g0 -= r
                g1 -= r * x1
                g2 -= r * x2
                hss += rr * s * s
                hs0 += rr * s
                hs1 += rr * s * x1
                hs2 += rr * s * x2
                h00 += rr
                h01 += rr * x1
                h02 += rr * x2
                h11 += rr * x1 * x1
                h12 += rr * x1 * x2
                h22 += rr * x2 * x2
            value += p[0] + WIDTH * (p[1] - p[3] / 3)
            if iteration == 0 or (not negative and value <= smallest + 1e-9):
                break
            p[:] = 0.5 * (p + before)
        gradient[:] = (1 + gs, WIDTH + g0, g1, g2 - WIDTH / 3)
        curvature[0] = (hss, hs0, hs1, hs2)
        curvature[1] = (hs0, h00, h01, h02)
        curvature[2] = (hs1, h01, h11, h12)
        curvature[3] = (hs2, h02, h12, h22)
        step = np.linalg.solve(curvature, gradient)
        if not free or (p[0] <= 0 and step[0] > 0):
            gradient[0], curvature[0, :], curvature[:, 0], curvature[0, 0] = 0.0, 0.0, 0.0, 1.0
            step = np.linalg.solve(curvature, gradient)
        if np.sum(step * gradient) < 1e-9:
            return value
        if step[0] > p[0]:  # no further than to where there is no signal
            step *= p[0] / step[0]
        smallest = value
        before[:] = p
        p -= step
    return math.nan
