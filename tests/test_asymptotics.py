"""The walk along two profile likelihoods against closed forms and hepstats' p-values."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

from zfit_dark import asymptotics
from zfit_dark.newton import FloatArray

ALPHA = 0.05


def constant(*values: Any) -> list[tf.Tensor]:
    return [tf.constant(value, tf.float64) for value in values]


# ------------------------------------------------------------------ p-values


@given(
    root=st.floats(0, 8),
    root_alt=st.floats(0.01, 8),
    qtilde=st.booleans(),
)
def test_cls_is_the_ratio_of_hepstats_p_values(root: float, root_alt: float, qtilde: bool) -> None:
    from hepstats.hypotests.calculators import AsymptoticCalculator

    q, qalt = np.array([root**2]), np.array([root_alt**2])
    how = {"onesided": True, "onesideddiscovery": False, "qtilde": qtilde}
    null = AsymptoticCalculator.pnull(None, q, qalt, **how)
    alternative = AsymptoticCalculator.palt(None, q, qalt, **how)
    if min(null[0], alternative[0]) < 1e-12:
        return  # hepstats' one minus a distribution function has no digits left
    found = asymptotics.log_cls(*constant(q[0], qalt[0]), tf.constant(qtilde))
    assert float(np.exp(found)) == pytest.approx(null[0] / alternative[0], rel=1e-3)


@pytest.mark.parametrize("alpha", [0.05, 0.1])
def test_expected_roots_solve_their_equation(alpha: float) -> None:
    for band, root in zip(asymptotics.BANDS, asymptotics.expected_root(alpha), strict=True):
        assert norm.sf(root - band) / norm.cdf(band) == pytest.approx(alpha, rel=1e-10)


def test_far_in_the_tail_cls_keeps_its_digits() -> None:
    found = asymptotics.log_cls(*constant(900.0, 900.0), tf.constant(True))
    assert float(found) == pytest.approx(norm.logsf(30) - np.log(0.5), rel=1e-9)


# ------------------------------------------------------------------ the walk


def gaussian(data: FloatArray, covariance: FloatArray) -> Any:
    """A likelihood that is a parabola around the data in all parameters."""
    weight = tf.constant(np.linalg.inv(covariance))

    def objective(theta: tf.Tensor) -> tuple[tf.Tensor, ...]:
        pull = tf.linalg.matvec(weight, theta - data)
        return 0.5 * tf.reduce_sum((theta - data) * pull) - 7.0, pull, weight

    return objective


@functools.cache
def _graph() -> Any:
    """Two parameters that are correlated; the one of interest has a standard deviation of 2."""
    covariance = np.array([[4.0, 0.9], [0.9, 0.5]])

    def answer(best: tf.Tensor, alpha: tf.Tensor, roots: tf.Tensor, flags: tf.Tensor) -> Any:
        question = asymptotics.Question(
            observed=gaussian(tf.stack([best, 1.0]), covariance),
            expectation=lambda theta: theta,
            asimov=lambda theta: gaussian(theta, covariance),
            nothing=tf.zeros(2, tf.float64),
            poi=0,
            start=tf.zeros(2, tf.float64),
            free_start=tf.constant([0.3, 0.0], tf.float64),
            lower=tf.constant([-np.inf, -50.0], tf.float64),
            upper=tf.constant([np.inf, 50.0], tf.float64),
            alpha=alpha,
            roots=roots,
            qtilde=flags[0],
            blind=flags[1],
        )
        return asymptotics.answer(question)

    return tf.function(answer, autograph=False)


def answered(
    best: float, *, qtilde: bool = True, blind: bool = False, level: float = 1 - ALPHA
) -> asymptotics.Answer:
    roots = asymptotics.expected_root(1 - level)
    found = _graph()(*constant(best, 1 - level, roots), tf.constant([qtilde, blind]))
    return asymptotics.Answer(*(part.numpy() for part in found))


@settings(max_examples=15)
@given(best=st.floats(-6, 10), qtilde=st.booleans(), level=st.sampled_from([0.9, 0.95]))
def test_limits_of_a_gaussian_measurement(best: float, qtilde: bool, level: float) -> None:
    """Expected ones in closed form, the observed one by scipy."""
    found = answered(best, qtilde=qtilde, level=level)
    sigma, alpha = 2.0, 1 - level
    assert float(found.sigma) == pytest.approx(sigma, rel=1e-9)
    assert float(found.best) == pytest.approx(best, abs=1e-6)
    for band, limit in zip(asymptotics.BANDS, found.limits[:5], strict=True):
        closed = sigma * (band + norm.isf(alpha * norm.cdf(band)))
        assert float(limit) == pytest.approx(closed, rel=1e-7)

    def cls(mu: float) -> float:
        q = ((mu - best) ** 2 - (best**2 if qtilde and best < 0 else 0.0)) / sigma**2
        qa = mu**2 / sigma**2
        if qtilde and q > qa:
            return float(norm.sf((q + qa) / 2 / qa**0.5) / norm.sf((q - qa) / 2 / qa**0.5))
        return float(norm.sf(q**0.5) / norm.sf(q**0.5 - qa**0.5))

    observed = brentq(lambda mu: np.log(cls(mu) / alpha), max(best, 0.0) + 1e-9, 60, xtol=1e-12)
    assert float(found.limits[5]) == pytest.approx(observed, rel=1e-6)


def test_blind_limits_do_not_look_at_the_data() -> None:
    """Nothing is fitted: the Asimov set is made from where the fit without signal starts."""
    found = answered(4.0, blind=True)
    assert np.isnan(found.limits[5])
    np.testing.assert_array_equal(found.asimov_set, [0.0, 0.0])
    np.testing.assert_array_equal(found.fits[0][:2], [0.3, 0.0])
    np.testing.assert_allclose(found.limits[:5], answered(-3.0).limits[:5], rtol=1e-7)


def test_a_likelihood_that_is_flat_in_the_signal_has_no_limit() -> None:
    def flat(theta: tf.Tensor) -> tuple[tf.Tensor, ...]:
        zero = tf.zeros(2, tf.float64)
        bend = tf.constant([[0.0, 0.0], [0.0, 1.0]], tf.float64)
        return 0.5 * theta[1] ** 2, tf.stack([zero[0], theta[1]]), bend

    question = asymptotics.Question(
        observed=flat,
        expectation=lambda theta: theta,
        asimov=lambda _: flat,
        nothing=tf.zeros(2, tf.float64),
        poi=0,
        start=tf.zeros(2, tf.float64),
        free_start=tf.fill([2], tf.constant(np.nan, tf.float64)),
        lower=tf.fill([2], tf.constant(-np.inf, tf.float64)),
        upper=tf.fill([2], tf.constant(np.inf, tf.float64)),
        alpha=tf.constant(ALPHA, tf.float64),
        roots=tf.constant(asymptotics.expected_root(ALPHA)),
        qtilde=tf.constant(True),
        blind=tf.constant(False),
    )
    answer = tf.function(lambda: asymptotics.answer(question).limits, autograph=False)
    assert np.isnan(answer()).all()
