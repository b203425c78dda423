"""Pieces that the shapes and integrals of peaks are made of; all arguments broadcast."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

# Means over 0 < s < 1 by Gauss-Legendre stand for quotients such as (exp(z) - 1)/z near z = 0: to
# double precision there, also in the derivatives, which the quotient loses by cancellation.
_EXPONENTIAL_REACH = 2.0
_LOGARITHM_REACH = 0.5
_NODES, _WEIGHTS = (
    array / 2.0 for array in np.polynomial.legendre.leggauss(12) + np.array([[1.0], [0.0]])
)


def gauss_integral(start: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
    """∫ exp(−t²/2) dt: erfc differences on one side of the peak, where those of erf cancel."""
    right, left = tf.greater(start, 0.0), tf.less(stop, 0.0)
    near = tf.where(left, -stop, start) / math.sqrt(2.0)
    far = tf.where(left, -start, stop) / math.sqrt(2.0)
    both = tf.stack([near, far])  # these functions are long programs: one of each
    beside, across = tf.math.erfc(both), tf.math.erf(both)
    return math.sqrt(math.pi / 2.0) * tf.where(
        tf.logical_or(left, right), beside[0] - beside[1], across[1] - across[0]
    )


def core_integral(t_lower: tf.Tensor, t_upper: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    """∫ exp(−t²/2) dt over the part of [t_lower, t_upper] above −alpha."""
    # Not tf.maximum: the conditions are those of the tails below, so that a limit exactly at a
    # joint belongs to one piece only and its derivative is not counted twice.
    start = tf.where(tf.less(t_lower, -alpha), -alpha, t_lower)
    stop = tf.where(tf.less(t_upper, -alpha), -alpha, t_upper)
    return gauss_integral(start, stop)


def power_tail_integral(
    t_lower: tf.Tensor, t_upper: tf.Tensor, alpha: tf.Tensor, n: tf.Tensor
) -> tf.Tensor:
    """Integral of the power law over the part of [t_lower, t_upper] below −alpha.

    With w = log(1 + (|t| − α) α/n) the tail is exp(−α²/2 − n w) and dt = (n/α) exp(w) dw.
    """
    near, far = _tail_limits(t_lower, t_upper, alpha)
    u_near = (near - alpha) * alpha / n
    w_near = tf.math.log1p(u_near)
    width = tf.math.log1p((far - near) * alpha / n / (1.0 + u_near))
    scale = tf.exp(-0.5 * tf.square(alpha) + (1.0 - n) * w_near) * n / alpha
    return scale * _exponential_integral(1.0 - n, width)


def exponential_tail_integral(
    t_lower: tf.Tensor, t_upper: tf.Tensor, alpha: tf.Tensor
) -> tf.Tensor:
    """Integral of exp(α²/2 − α|t|) over the part of [t_lower, t_upper] below −alpha."""
    near, far = _tail_limits(t_lower, t_upper, alpha)
    return tf.exp(0.5 * tf.square(alpha) - alpha * near) * _exponential_integral(-alpha, far - near)


def halves(lower: tf.Tensor, upper: tf.Tensor, mu: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Limits of what is left of `mu`, then of what is right of it, as distances x − mu.

    A limit exactly at `mu` belongs to the right one only, as its derivative does.
    """
    distances = (lower - mu, upper - mu)
    left = [tf.where(tf.less(each, 0.0), each, 0.0) for each in distances]
    right = [tf.where(tf.less(each, 0.0), tf.zeros_like(each), each) for each in distances]
    return (*left, *right)


def log1p_over(value: tf.Tensor) -> tf.Tensor:
    """log(1 + z)/z for z > −1, smooth through z = 0."""
    large = tf.greater(tf.abs(value), _LOGARITHM_REACH)
    small = tf.where(large, tf.zeros_like(value), value)
    mean = tf.reduce_sum(_WEIGHTS / (1.0 + small[..., tf.newaxis] * _NODES), axis=-1)
    safe = tf.where(large, value, 1.0)
    return tf.where(large, tf.math.log1p(safe) / safe, mean)


def asinh_over(value: tf.Tensor) -> tf.Tensor:
    """asinh(z)/z, smooth through z = 0."""
    large = tf.greater(tf.abs(value), _LOGARITHM_REACH)
    small = tf.where(large, tf.zeros_like(value), value)
    squares = tf.square(small[..., tf.newaxis] * _NODES)
    mean = tf.reduce_sum(_WEIGHTS * tf.math.rsqrt(1.0 + squares), axis=-1)
    safe = tf.where(large, value, 1.0)
    return tf.where(large, tf.asinh(safe) / safe, mean)


def _tail_limits(
    t_lower: tf.Tensor, t_upper: tf.Tensor, alpha: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Smallest and largest |t| of the part of [t_lower, t_upper] below −alpha."""
    near = tf.where(tf.less(t_upper, -alpha), -t_upper, alpha)
    far = tf.where(tf.less(t_lower, -alpha), -t_lower, alpha)
    return near, far


def _exponential_integral(rate: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """∫ exp(rate·w) dw from 0 to `width`, smooth through rate = 0."""
    large = tf.greater(tf.abs(rate * width), _EXPONENTIAL_REACH)
    short = tf.where(large, tf.zeros_like(width), width)
    mean = tf.reduce_sum(_WEIGHTS * tf.exp((rate * short)[..., tf.newaxis] * _NODES), axis=-1)
    safe_rate = tf.where(large, rate, 1.0)
    safe_width = tf.where(large, width, 1.0)
    return tf.where(large, tf.math.expm1(safe_rate * safe_width) / safe_rate, short * mean)
