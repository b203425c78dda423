"""Hand-written: the NLL and its analytic gradient in numba, minimised by iminuit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numba
import numpy as np
from iminuit import Minuit

from peers import experiment
from peers.handwritten import (
    WIDTH,
    Channel,
    FloatArray,
    HandwrittenLimits,
    HandwrittenToys,
    Points,
)

NAME = "hand-written numba-stats + iminuit"
PACKAGES = ("numba", "numba-stats", "iminuit", "scipy")


class Limits(HandwrittenLimits):
    """Limits of a job, "one" or "four"."""

    def __init__(self, job: str) -> None:
        super().__init__(job, MinuitFit)


class Toys(HandwrittenToys):
    """Toys of a job, "one" or "window"."""

    def __init__(self, job: str) -> None:
        super().__init__(job)
        self._channel = Channel(experiment.candidates(job), 1.0, 0.0)

    def _fitted(self, points: Points) -> tuple[float, float, float]:
        fit = MinuitFit([self._channel], [points], self._background[1:])
        lowest, best = fit.free()
        valid = fit.valid
        conditional = fit.conditional(self._tested)
        return (best, lowest, conditional) if valid and fit.valid else (math.nan,) * 3


class MinuitFit:
    """Parameters: the one of interest; of each channel yield, a1, a2 and, if it has one, pull.

    Args:
        channels: of a job.
        points: of each channel.
        slopes: where a1 and a2 start.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        points: Sequence[Points],
        slopes: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self._channels, self._points = channels, points
        names, start, errors, limits = ["poi"], [1.0], [20.0], [(0.0, None)]
        self._first = []
        for i, (channel, here) in enumerate(zip(channels, points, strict=True)):
            events = float(here.weights.sum())
            self._first.append(len(names))
            names += [f"yield{i}", f"a1_{i}", f"a2_{i}"]
            start += [events, *slopes]
            errors += [max(1.0, math.sqrt(events)), 0.03, 0.03]
            limits += [(None, None), (-2.0, 2.0), (-2.0, 2.0)]
            if channel.uncertainty:
                names.append(f"pull{i}")
                start.append(0.0)
                errors.append(1.0)
                limits.append((None, None))
        self._parameters, self._value, self._gradient = b"", 0.0, np.empty(len(names))
        minuit = Minuit(self._nll, np.array(start), grad=self._slopes, name=names)
        minuit.errordef, minuit.strategy, minuit.print_level = Minuit.LIKELIHOOD, 0, 0
        minuit.errors, minuit.limits = errors, limits
        self._minuit = minuit

    @property
    def valid(self) -> bool:
        """Whether the last fit has converged."""
        return bool(self._minuit.valid)

    def free(self) -> tuple[float, float]:
        """Smallest NLL with a parameter of interest not below zero, and where that is."""
        self._minuit.fixed["poi"] = False
        self._minuit.migrad()
        return self._minuit.fval, self._minuit.values["poi"]

    def conditional(self, poi: float) -> float:
        """Smallest NLL at a value of the parameter of interest."""
        self._minuit.fixed["poi"], self._minuit.limits["poi"] = True, None
        self._minuit.values["poi"] = poi
        self._minuit.migrad()
        return float(self._minuit.fval)

    def background(self, channel: int) -> Callable[[FloatArray, FloatArray], FloatArray]:
        """The background density of a channel as last fitted."""
        first = self._first[channel]
        events, a1, a2 = self._minuit.values[first : first + 3]
        scale = events / (WIDTH * (1 - a2 / 3))
        return lambda t1, t2: scale * (1 + a1 * t1 + a2 * t2)

    def _nll(self, parameters: FloatArray) -> float:
        self._evaluate(parameters)
        return self._value

    def _slopes(self, parameters: FloatArray) -> FloatArray:
        self._evaluate(parameters)
        return self._gradient.copy()

    def _evaluate(self, parameters: FloatArray) -> None:
        """Value and gradient, once for a set of parameters."""
        if (key := parameters.tobytes()) == self._parameters:
            return
        poi, total, gradient = parameters[0], 0.0, self._gradient
        gradient[:] = 0.0
        for channel, here, i in zip(self._channels, self._points, self._first, strict=True):
            pull = parameters[i + 3] if channel.uncertainty else 0.0
            per_poi = channel.per_poi * (1 + channel.uncertainty * pull)
            value, of_signal, *of_background = _nll_and_gradient(
                *here, poi * per_poi, *parameters[i : i + 3]
            )
            total += value
            gradient[0] += per_poi * of_signal
            gradient[i : i + 3] = of_background
            if channel.uncertainty:
                total += 0.5 * pull * pull
                gradient[i + 3] = poi * channel.per_poi * channel.uncertainty * of_signal + pull
        self._parameters, self._value = key, total


@numba.njit(fastmath=True, error_model="numpy")
def _nll_and_gradient(signal, t1, t2, weights, n_sig, n_bkg, a1, a2):  # type: ignore[no-untyped-def]
    """Extended NLL of a channel and its slopes along (n_sig, n_bkg, a1, a2)."""
    norm = 1.0 / (WIDTH * (1 - a2 / 3))
    value = of_signal = of_background = of_a1 = of_a2 = 0.0
    for i in range(signal.size):
        background = (1 + a1 * t1[i] + a2 * t2[i]) * norm
        density = n_sig * signal[i] + n_bkg * background
        if density <= 0:
            density = 1e-300
        ratio = weights[i] / density
        value -= weights[i] * math.log(density)
        of_signal -= ratio * signal[i]
        of_background -= ratio * background
        of_a1 -= ratio * t1[i]
        of_a2 -= ratio * (t2[i] + background * WIDTH / 3)
    scale = n_bkg * norm
    return (
        value + n_sig + n_bkg,
        1 + of_signal,
        1 + of_background,
        scale * of_a1,
        scale * of_a2,
    )
