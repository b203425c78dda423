"""The fits and asymptotic limits of a hypothesis, with one background or a choice of several.

A choice of backgrounds is profiled: at each value of the parameter of interest, the likelihood is
that of the background which makes it largest, each with its penalty. The envelope of their profile
likelihoods takes the place of a single one in the data and in the Asimov set, which is made of the
background that is best without a signal.

Source: P. D. Dauncey, M. Kenzie, N. Wardle, G. J. Davies, JINST 10 (2015) P04015, arXiv:1408.6865,
sections 3 and 6; G. Cowan et al., arXiv:1007.1727.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.optimize import brentq

from zfit_dark.asymptotics import expected_root, log_cls
from zfit_dark.newton import FloatArray, Minimum
from zfit_dark.profile import CompiledLoss, Hypothesis, Sample, Setting

_PRECISION = 1e-5
"""Of a limit by the envelope, relative."""

_MOST_DOUBLINGS = 40


class Alternative(NamedTuple):
    """A choice of backgrounds, as the fits see it.

    Attributes:
        name: of the backgrounds.
        held: parameters of other backgrounds, shape (parameters,).
        start: where its fits start, and where those are held, shape (parameters,).
        penalty: what its free parameters add to the negative log-likelihood.
    """

    name: str
    held: NDArray[np.bool_]
    start: FloatArray
    penalty: float


def fitted(
    ours: CompiledLoss,
    data: Sample,
    start: FloatArray,
    poi: Any,
    alpha: float = 0.05,
    qtilde: bool = True,
    *,
    at_zero_only: bool = False,
    held: NDArray[np.bool_] | None = None,
) -> Hypothesis:
    """Fits of the data, taken up by Minuit where Newton's steps fail, and limits.

    Where the free fit runs into negative densities on its way to a negative signal, it is made
    again with the signal not below zero, which is all that a limit needs. With few candidates there
    is often no minimum on that way at all; the test statistic q-tilde does not ask for it.

    Args:
        ours: the compiled loss.
        data: the sample.
        start: where the fit without signal starts, shape (parameters,).
        poi: the parameter of interest.
        alpha: one minus the confidence level.
        qtilde: whether a negative signal counts as none.
        at_zero_only: leave a free fit alone that did not converge.
        held: parameters that stay where they start, shape (parameters,).
    """
    ask = partial(ours.hypothesis, data, poi, alpha=alpha, qtilde=qtilde, held=held)
    found = ask(start=start)
    converged = found.fits.converged
    known = at_zero_only or np.isfinite(found.limits[5])
    if converged[int(at_zero_only) :].all() and known:
        return found
    if qtilde and converged[1] and found.fits.theta[0, ours.index(poi)] < 0:
        again = ask(start=found.fits.theta[1], not_below=0.0)
        if again.fits.converged.all():
            if not converged.all():
                return again
            return again._replace(fits=found.fits, poi_error=found.poi_error)
    if converged[int(at_zero_only) :].all():
        return found
    both, index = np.stack([start] * 2), ours.index(poi)
    both[1, index] = 0.0
    free = np.ones(both.shape, bool)
    free[1, index] = False
    if held is not None:
        free[:, held] = False
    freely, at_zero = ours.fit(data, both, free).theta
    found = ask(start=at_zero, free_start=freely)
    if not found.fits.converged[0] and found.fits.converged[1]:
        again = ask(start=at_zero, not_below=0.0)
        return again if again.fits.converged.all() else found
    return found


def local_significance(fits: Minimum, poi_hat: float) -> float:
    """Root of the discovery test statistic q0.

    Args:
        fits: the free fit and the one without signal.
        poi_hat: best fit of the parameter of interest.

    Returns:
        Standard deviations; 0 where the best fit is not above zero, NaN if a fit did not converge.

    Source: G. Cowan et al., arXiv:1007.1727, eqs. 12 and 52.
    """
    if not fits.converged.all():
        return np.nan
    q0 = 2 * float(fits.value[1] - fits.value[0]) if poi_hat > 0 else 0.0
    return float(np.sqrt(max(q0, 0.0)))


def profiled(
    ours: CompiledLoss,
    data: Sample,
    alternatives: Sequence[Alternative],
    setting: Setting,
    poi: Any,
    alpha: float = 0.05,
    qtilde: bool = True,
    *,
    blind: bool = False,
) -> tuple[Hypothesis, Alternative, Alternative]:
    """Fits of the data and limits, where the choice of the background is profiled.

    A background with a fit that does not converge is out of the choice there.

    Args:
        ours: the compiled loss.
        data: the sample.
        alternatives: the backgrounds to choose from.
        setting: where the model stands for the Asimov set.
        poi: the parameter of interest.
        alpha: one minus the confidence level.
        qtilde: whether a negative signal counts as none.
        blind: the data are sidebands: look for expected limits only.

    Returns:
        What ``fitted`` returns, the penalties being part of the likelihoods and the uncertainty of
        the best fit that of its background; the best background, and the best without a signal.
    """
    found = [
        fitted(ours, data, a.start, poi, alpha, qtilde, at_zero_only=blind, held=a.held)
        for a in alternatives
    ]
    penalties = np.array([a.penalty for a in alternatives])
    values = np.array([f.fits.value for f in found]) + penalties[:, None]
    values = np.where([f.fits.converged for f in found], values, np.inf)
    best, without = (int(k) for k in np.argmin(values, axis=0))
    fits = Minimum(
        **{
            name: np.stack(
                [getattr(found[best].fits, name)[0], getattr(found[without].fits, name)[1]]
            )
            for name in vars(found[best].fits)
        }
    )
    fits = replace(fits, value=fits.value + penalties[[best, without]])
    at_zero = np.array([f.fits.theta[1] for f in found])
    asimov_set, missed, per_poi = ours.asimov(at_zero[without], poi, setting)
    expected = _Envelope(ours, asimov_set, alternatives, poi, at_zero, qtilde)
    sigma, limits = found[without].sigma, np.full(6, np.nan)
    for i, root in enumerate(expected_root(alpha)):

        def short_of(mu: float, root: float = root) -> float:
            return float(np.sqrt(expected.q(mu))) - root

        limits[i] = _crossing(short_of, expected, sigma * root)
    if not blind:
        observed = _Envelope(ours, data, alternatives, poi, at_zero, qtilde)

        def beyond(mu: float) -> float:
            q, qalt = (tf.constant(each.q(mu), tf.float64) for each in (observed, expected))
            return float(np.log(alpha) - log_cls(q, qalt, tf.constant(qtilde)))

        guess = max(observed.best, 0.0) + sigma
        limits[5] = _crossing(beyond, observed, guess)
    answer = Hypothesis(limits, sigma, found[best].poi_error, missed, per_poi, fits)
    return answer, alternatives[best], alternatives[without]


class _Envelope:
    """The largest likelihood of any background for one sample.

    Attributes:
        best: best fit of the parameter of interest.
    """

    def __init__(
        self,
        ours: CompiledLoss,
        sample: Sample,
        alternatives: Sequence[Alternative],
        poi: Any,
        start: FloatArray,
        qtilde: bool,
    ) -> None:
        self._ours, self._sample, self._index = ours, sample, ours.index(poi)
        self._held = np.array([a.held for a in alternatives])
        self._penalty = np.array([a.penalty for a in alternatives])
        self._near = start
        free = ~self._held
        minimum = ours.fit(sample, start, free)
        value = np.where(minimum.converged, minimum.value + self._penalty, np.inf)
        k = int(np.argmin(value))
        self.best = float(minimum.theta[k, self._index])
        # below zero, the test statistic of a negative signal is that of none
        self._lowest = self._value(0.0) if qtilde and self.best < 0 else float(value[k])

    def q(self, poi: float) -> float:
        """The test statistic at a value of the parameter of interest; NaN if all fits fail."""
        if poi <= self.best:
            return 0.0
        q = 2 * (self._value(poi) - self._lowest)
        return max(q, 0.0) if np.isfinite(q) else np.nan

    def _value(self, poi: float) -> float:
        """The negative log-likelihood of the best background."""
        start, free = self._near.copy(), ~self._held
        start[:, self._index], free[:, self._index] = poi, False
        minimum = self._ours.fit(self._sample, start, free)
        good = minimum.converged
        self._near = np.where(good[:, None], minimum.theta, self._near)
        return float(np.where(good, minimum.value + self._penalty, np.inf).min())


def _crossing(beyond: Callable[[float], float], envelope: _Envelope, guess: float) -> float:
    """Where an increasing function of the parameter of interest is zero; NaN if it never is."""
    low = max(envelope.best, 0.0)
    high = guess if guess > low else low + abs(guess)
    for _ in range(_MOST_DOUBLINGS):
        value = beyond(high)
        if np.isnan(value):
            return np.nan
        if value > 0:
            return float(brentq(beyond, low, high, rtol=_PRECISION, xtol=1e-12 * high))
        low, high = high, 2 * high
    return np.nan
