"""Asymptotic CLs limits from two likelihoods, that of the data and that of an Asimov set.

A fit at a value of the parameter of interest brings with it the slope of the profile likelihood
(the nuisances stand where it does not change with them) and how the nuisances will follow. The root
of the Asimov set's likelihood ratio and log CLs are nearly straight, so that Newton's steps decide
a limit with two or three fits. One loop makes all fits, one after the other: the program holds a
single minimiser, and compiles in a fraction of the time.

Source: G. Cowan, K. Cranmer, E. Gross, O. Vitells, Eur. Phys. J. C 71 (2011) 1554, arXiv:1007.1727;
A. L. Read, J. Phys. G 28 (2002) 2693.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from scipy.special import ndtr, ndtri

from zfit_dark.newton import (
    EDM_TOLERANCE,
    FloatArray,
    Objective,
    as_row,
    inside,
    minimise,
    response,
    row_length,
)

BANDS = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Quantiles, in standard deviations, of the expected limits."""

# what the loop does, one after the other
_AT_ZERO, _ASIMOV_AT_ZERO, _FREE, _FIRST_BAND = range(4)
_OBSERVED = _FIRST_BAND + len(BANDS)

_LAST_STEP = 1e-4
_NARROWEST = 1e-9
_MOST_STEPS = 60
_UNTOLD = 1e-10
"""Part of the curvature along the parameter of interest below which what is left of it, once the
other parameters follow, is rounding: the data cannot tell it from them."""


class Question(NamedTuple):
    """What is asked of two likelihoods.

    Attributes:
        observed: the likelihood of the data.
        expectation: parameters to the Asimov set that they make, any structure of tensors.
        asimov: an Asimov set to its likelihood.
        nothing: an Asimov set of the same shapes, whatever its values.
        poi: where the parameter of interest stands.
        start: where the fit without signal starts, shape (p,).
        free_start: where the free fit starts, shape (p,); NaN for where the other one ends.
        lower: lower limits of the parameters, shape (p,).
        upper: upper limits of the parameters, shape (p,).
        alpha: one minus the confidence level.
        roots: where each expected limit is, see ``expected_root``.
        qtilde: whether a negative signal counts as none.
        blind: fit nothing to the data; the start is the background of the Asimov set.
    """

    observed: Objective
    expectation: Callable[[tf.Tensor], Any]
    asimov: Callable[[Any], Objective]
    nothing: Any
    poi: int
    start: tf.Tensor
    free_start: tf.Tensor
    lower: tf.Tensor
    upper: tf.Tensor
    alpha: tf.Tensor
    roots: tf.Tensor
    qtilde: tf.Tensor
    blind: tf.Tensor


class Point(NamedTuple):
    """A point of a profile likelihood: a fit at a value of the parameter of interest.

    Attributes:
        theta: all parameters, shape (p,).
        value: negative log-likelihood; NaN if the fit did not converge.
        slope: of the profile likelihood.
        bend: its curvature.
        response: how all parameters follow the parameter of interest, shape (p,).
    """

    theta: tf.Tensor
    value: tf.Tensor
    slope: tf.Tensor
    bend: tf.Tensor
    response: tf.Tensor


class Search(NamedTuple):
    """Where the search for one limit stands.

    Attributes:
        x: value of the parameter of interest that is tried next.
        low: below the limit.
        high: above it.
        tried: how many values were.
    """

    x: tf.Tensor
    low: tf.Tensor
    high: tf.Tensor
    tried: tf.Tensor


class Answer(NamedTuple):
    """What was found, at the end or so far.

    Attributes:
        limits: expected from -2 to +2 sigma, then the observed one, shape (6,); NaN where there is
            none.
        sigma: standard deviation of the parameter of interest without signal, as expected; without
            background, where there is none, the signal that is less likely by a factor e.
        best: best fit of the parameter of interest.
        lowest: smallest value of each likelihood, for the likelihood ratios.
        fits: the free fit and the one without signal as ``minimise`` returns them, a row each.
        error: standard deviation of the parameter of interest in the free one.
        asimov_set: what the fit without signal expects.
    """

    limits: tf.Tensor
    sigma: tf.Tensor
    best: tf.Tensor
    lowest: tf.Tensor
    fits: tf.Tensor
    error: tf.Tensor
    asimov_set: Any


def log_cls(q: tf.Tensor, qalt: tf.Tensor, qtilde: tf.Tensor) -> tf.Tensor:
    """Logarithm of the asymptotic CLs.

    Args:
        q: test statistic of the data.
        qalt: that of the Asimov set.
        qtilde: whether a negative signal counts as none (arXiv:1007.1727, equation 16).
    """
    root, root_alt = (tf.sqrt(tf.where(x > 0, x, 1e-300)) for x in (q, qalt))
    beyond = qtilde & (q > qalt)
    null = tf.where(beyond, 0.5 * (q + qalt) / root_alt, root)
    alternative = tf.where(beyond, 0.5 * (q - qalt) / root_alt, root - root_alt)
    return tf.math.log(_tail(null)) - tf.math.log(_tail(alternative))


def _tail(x: tf.Tensor) -> tf.Tensor:
    """The chance that a normal variable exceeds x."""
    return 0.5 * tf.math.erfc(x / np.sqrt(2.0))


def expected_root(alpha: float) -> FloatArray:
    """Root of the Asimov set's test statistic at each expected limit, from -2 to +2 sigma.

    Args:
        alpha: one minus the confidence level.

    Source: arXiv:1007.1727, equation 89, with CLs in the place of the p-value.
    """
    bands = np.array(BANDS)
    root: FloatArray = bands - ndtri(alpha * ndtr(bands))
    return root


def answer(question: Question) -> Answer:
    """Fits of the data, expected limits and the observed one."""
    p = question.lower.shape[0]
    is_poi = np.arange(p) == question.poi
    end = tf.where(question.blind, _OBSERVED, _OBSERVED + 1)
    zero, nan = tf.constant(0.0, tf.float64), tf.constant(np.nan, tf.float64)

    def fit(
        job: tf.Tensor, on_data: tf.Tensor, x: tf.Tensor, near: Point, asimov_set: Any
    ) -> tuple[tf.Tensor, ...]:
        """The fit that is due, from where another one points to."""
        start = near.theta + near.response * (x - near.theta[question.poi])
        start = inside(start, near.theta, question.lower, question.upper)
        start = tf.where(is_poi, x, tf.where(job == _AT_ZERO, question.start, start))
        given = (job == _FREE) & tf.math.is_finite(question.free_start)
        start = tf.where(given, question.free_start, start)
        to_nothing = question.blind & ((job == _AT_ZERO) | (job == _FREE))
        free = (~is_poi | (job == _FREE)) & ~to_nothing
        asimov = question.asimov(asimov_set)

        def objective(theta: tf.Tensor) -> Any:
            return tf.cond(on_data, lambda: question.observed(theta), lambda: asimov(theta))

        return minimise(objective, start, free, question.lower, question.upper)

    def step(
        job: tf.Tensor,
        on_data: tf.Tensor,
        search: Search,
        data: Point,
        expected: Point,
        found: Answer,
    ) -> tuple[Any, ...]:
        """One more fit, and what follows from it."""
        near = _either(on_data | (job == _ASIMOV_AT_ZERO), data, expected)
        fitted = fit(job, on_data, search.x, near, found.asimov_set)
        here = _point(fitted, question)
        data, expected = _either(on_data, here, data), _either(on_data, expected, here)
        found = _noted(found, job, fitted, here, near, question)
        value, slope = _beyond(job, data, expected, found, question)
        judged = (job >= _FIRST_BAND) & (on_data | (job < _OBSERVED))
        following, limit = _newton_in_bracket(value, slope, search)
        lost = tf.math.is_nan(value) | (search.tried >= _MOST_STEPS)
        over = judged & (lost | tf.math.is_finite(limit))
        is_limit = np.arange(len(BANDS) + 1) == job - _FIRST_BAND
        found = found._replace(limits=tf.where(over & is_limit, limit, found.limits))
        done = over | (job < _FIRST_BAND)
        search = _either(judged, following, search)
        search = _either(done, _begin(job + 1, found, question), search)
        # the observed limit needs both likelihoods: first the Asimov set's, then that of the data
        turn = tf.where(done, job == _ASIMOV_AT_ZERO, (job == _OBSERVED) & ~on_data)
        return job + tf.cast(done, tf.int32), turn, search, data, expected, found

    nothing = tf.zeros(p, tf.float64)
    nowhere = Point(nothing, zero, zero, zero, nothing)
    found = Answer(
        limits=tf.fill([len(BANDS) + 1], nan),
        sigma=nan,
        best=nan,
        lowest=tf.stack([nan, nan]),
        fits=tf.zeros((2, row_length(p)), tf.float64),
        error=nan,
        asimov_set=question.nothing,
    )
    search = Search(zero, zero, zero, tf.constant(0))
    first = (tf.constant(_AT_ZERO), tf.constant(True), search, nowhere, nowhere, found)
    last: Answer = tf.while_loop(lambda job, *_: job < end, step, first)[-1]
    return last


def _either(condition: tf.Tensor, one: Any, other: Any) -> Any:
    """One or the other of two structures of tensors."""
    return tf.nest.map_structure(lambda a, b: tf.where(condition, a, b), one, other)


def _point(fitted: tuple[tf.Tensor, ...], question: Question) -> Point:
    """What a fit says of the profile likelihood."""
    theta, value, edm, _, gradient, curvature = fitted
    poi = question.poi
    follow = response(theta, curvature, poi, question.lower, question.upper)
    return Point(
        theta,
        tf.where(edm <= EDM_TOLERANCE, value, tf.constant(np.nan, tf.float64)),
        gradient[poi],
        tf.reduce_sum(curvature[poi] * follow),
        follow,
    )


def _noted(
    found: Answer,
    job: tf.Tensor,
    fitted: tuple[tf.Tensor, ...],
    here: Point,
    near: Point,
    question: Question,
) -> Answer:
    """The answer with what the fits before the limits tell."""
    error = 1.0 / tf.sqrt(here.bend)
    # no events are expected: the likelihood falls exponentially
    sigma = tf.where(here.bend > 0, error, 1.0 / tf.abs(here.slope))
    alone = fitted[-1][question.poi, question.poi]
    nan = tf.constant(np.nan, tf.float64)
    untold = (job == _ASIMOV_AT_ZERO) & (alone > 0) & (here.bend < _UNTOLD * alone)
    sigma, value = (tf.where(untold, nan, known) for known in (sigma, here.value))
    this_fit = job == np.array([_FREE, _AT_ZERO])
    best = tf.where(job == _FREE, here.theta[question.poi], found.best)
    # below zero, the test statistic of a negative signal is that of none
    lowest = tf.where(question.qtilde & (job == _FREE) & (best < 0), near.value, value)
    is_lowest = tf.stack([job == _FREE, job == _ASIMOV_AT_ZERO])
    asimov_set = tf.cond(
        job == _AT_ZERO, lambda: question.expectation(here.theta), lambda: found.asimov_set
    )
    return found._replace(
        sigma=tf.where(job == _ASIMOV_AT_ZERO, sigma, found.sigma),
        best=best,
        lowest=tf.where(is_lowest, lowest, found.lowest),
        fits=tf.where(this_fit[:, None], as_row(fitted), found.fits),
        error=tf.where(job == _FREE, error, found.error),
        asimov_set=asimov_set,
    )


def _beyond(
    job: tf.Tensor, data: Point, expected: Point, found: Answer, question: Question
) -> tuple[tf.Tensor, tf.Tensor]:
    """How far beyond the limit that is looked for, and the slope of that."""
    qalt, slope_alt = 2 * (expected.value - found.lowest[1]), 2 * expected.slope
    reached = tf.sqrt(tf.maximum(qalt, 0.0))
    band = question.roots[tf.clip_by_value(job - _FIRST_BAND, 0, len(BANDS) - 1)]
    q, slope = 2 * (data.value - found.lowest[0]), 2 * data.slope
    with tf.GradientTape() as tape:
        tape.watch([q, qalt])
        beyond = tf.math.log(question.alpha) - log_cls(q, qalt, question.qtilde)
    of_q, of_qalt = tape.gradient(beyond, [q, qalt])
    is_band = job < _OBSERVED
    return (
        tf.where(is_band, reached - band, beyond),
        tf.where(is_band, 0.5 * slope_alt / reached, of_q * slope + of_qalt * slope_alt),
    )


def _begin(job: tf.Tensor, found: Answer, question: Question) -> Search:
    """Where the search for a limit begins: where it is if the likelihoods are parabolas."""
    band = question.roots[tf.clip_by_value(job - _FIRST_BAND, 0, len(BANDS) - 1)]
    pull = found.best / found.sigma
    tail = question.alpha * _tail(-pull)
    observed = pull - tf.math.ndtri(tail)
    floor = tf.where(job == _OBSERVED, tf.maximum(found.best, 0.0), 0.0)
    guess = found.sigma * tf.where(job == _OBSERVED, observed, band)
    guess = tf.where(guess > floor, guess, floor + found.sigma)
    x = tf.where(job >= _FIRST_BAND, guess, 0.0)
    return Search(x, floor, tf.constant(np.inf, tf.float64), tf.constant(0))


def _newton_in_bracket(
    value: tf.Tensor, slope: tf.Tensor, search: Search
) -> tuple[Search, tf.Tensor]:
    """The search after a look at an increasing function; the limit, or NaN if it goes on."""
    x = search.x
    low, high = tf.where(value < 0, x, search.low), tf.where(value >= 0, x, search.high)
    newton = x - value / slope
    inside = (newton > low) & (newton < high)
    middle = tf.where(tf.math.is_inf(high), 2 * x, 0.5 * (low + high))
    following = tf.where(inside, newton, middle)
    # Newton's steps double the number of right digits: after a small one all are right
    done = inside & (tf.abs(newton - x) < _LAST_STEP * tf.abs(newton))
    done |= high - low < _NARROWEST * tf.abs(x)
    limit = tf.where(done, following, tf.constant(np.nan, tf.float64))
    return Search(following, low, high, search.tried + 1), limit
