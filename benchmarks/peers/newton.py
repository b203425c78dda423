"""Hand-written: Newton's method in numba for this model alone, which is linear in its background.

No general tool can do less work: a lower bound on the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numba
import numpy as np
from scipy.optimize import brentq

from peers.handwritten import WIDTH, Channel, FloatArray, HandwrittenLimits, Points

NAME = "hand-written numba Newton"
PACKAGES = ("numba", "numba-stats", "scipy")


class Limits(HandwrittenLimits):
    """Limits of a job, "one" or "four"."""

    def __init__(self, job: str) -> None:
        super().__init__(job, NewtonFit)


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
