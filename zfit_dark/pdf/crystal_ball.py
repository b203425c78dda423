"""The Crystal Ball family, evaluated in log space."""

from __future__ import annotations

from typing import Any, Literal

import pydantic.v1 as pydantic
import tensorflow as tf
from zfit.core.serialmixin import SerializableMixin
from zfit.serialization import Serializer, SpaceRepr
from zfit.serialization.pdfrepr import BasePDFRepr

from zfit_dark.pdf._closed_form import ClosedFormPDF
from zfit_dark.pdf._pieces import core_integral, gauss_integral, halves, power_tail_integral

__all__ = [
    "CrystalBall",
    "DoubleCB",
    "GeneralizedCB",
    "crystal_ball_integral",
    "crystal_ball_shape",
    "double_cb_integral",
    "double_cb_shape",
    "generalized_cb_integral",
    "generalized_cb_shape",
]


def crystal_ball_shape(
    x: tf.Tensor, mu: tf.Tensor, sigma: tf.Tensor, alpha: tf.Tensor, n: tf.Tensor
) -> tf.Tensor:
    """Shape of `CrystalBall`, 1 at the peak; all arguments broadcast."""
    t = (x - mu) / sigma * tf.sign(alpha)
    alpha = tf.abs(alpha)
    return tf.exp(_log_shape(t, tf.less(t, -alpha), -t, alpha, n))


def double_cb_shape(
    x: tf.Tensor,
    mu: tf.Tensor,
    sigma: tf.Tensor,
    alphal: tf.Tensor,
    nl: tf.Tensor,
    alphar: tf.Tensor,
    nr: tf.Tensor,
) -> tf.Tensor:
    """Shape of `DoubleCB`, 1 at the peak; all arguments broadcast."""
    t = (x - mu) / sigma
    left = tf.less(t, 0.0)
    distance = tf.where(left, -t, t)
    alpha = tf.where(left, alphal, alphar)
    n = tf.where(left, nl, nr)
    return tf.exp(_log_shape(t, tf.greater(distance, alpha), distance, alpha, n))


def generalized_cb_shape(
    x: tf.Tensor,
    mu: tf.Tensor,
    sigmal: tf.Tensor,
    alphal: tf.Tensor,
    nl: tf.Tensor,
    sigmar: tf.Tensor,
    alphar: tf.Tensor,
    nr: tf.Tensor,
) -> tf.Tensor:
    """Shape of `GeneralizedCB`, 1 at the peak; all arguments broadcast."""
    left = tf.less(x, mu)
    distance = tf.abs(x - mu) / tf.where(left, sigmal, sigmar)
    alpha = tf.where(left, alphal, alphar)
    n = tf.where(left, nl, nr)
    return tf.exp(_log_shape(distance, tf.greater(distance, alpha), distance, alpha, n))


def crystal_ball_integral(
    lower: tf.Tensor,
    upper: tf.Tensor,
    mu: tf.Tensor,
    sigma: tf.Tensor,
    alpha: tf.Tensor,
    n: tf.Tensor,
) -> tf.Tensor:
    """Integral of the shape of `CrystalBall` from `lower` to `upper`; all arguments broadcast."""
    t_lower, t_upper = (lower - mu) / sigma, (upper - mu) / sigma
    mirrored = tf.less(alpha, 0.0)
    t_lower, t_upper = (
        tf.where(mirrored, -t_upper, t_lower),
        tf.where(mirrored, -t_lower, t_upper),
    )
    alpha = tf.abs(alpha)
    return sigma * (
        power_tail_integral(t_lower, t_upper, alpha, n) + core_integral(t_lower, t_upper, alpha)
    )


def double_cb_integral(
    lower: tf.Tensor,
    upper: tf.Tensor,
    mu: tf.Tensor,
    sigma: tf.Tensor,
    alphal: tf.Tensor,
    nl: tf.Tensor,
    alphar: tf.Tensor,
    nr: tf.Tensor,
) -> tf.Tensor:
    """Integral of the shape of `DoubleCB` from `lower` to `upper`; all arguments broadcast."""
    t_lower, t_upper = (lower - mu) / sigma, (upper - mu) / sigma
    return sigma * (
        power_tail_integral(t_lower, t_upper, alphal, nl)
        + gauss_integral(_into_core(t_lower, alphal, alphar), _into_core(t_upper, alphal, alphar))
        + power_tail_integral(-t_upper, -t_lower, alphar, nr)
    )


def generalized_cb_integral(
    lower: tf.Tensor,
    upper: tf.Tensor,
    mu: tf.Tensor,
    sigmal: tf.Tensor,
    alphal: tf.Tensor,
    nl: tf.Tensor,
    sigmar: tf.Tensor,
    alphar: tf.Tensor,
    nr: tf.Tensor,
) -> tf.Tensor:
    """Integral of the shape of `GeneralizedCB` from `lower` to `upper`; all arguments broadcast."""
    start, stop, right_start, right_stop = halves(lower, upper, mu)
    left = start / sigmal, stop / sigmal, alphal
    right = -right_stop / sigmar, -right_start / sigmar, alphar  # mirrored
    return sigmal * (power_tail_integral(*left, nl) + core_integral(*left)) + sigmar * (
        power_tail_integral(*right, nr) + core_integral(*right)
    )


def _log_shape(
    t: tf.Tensor, in_tail: tf.Tensor, distance: tf.Tensor, alpha: tf.Tensor, n: tf.Tensor
) -> tf.Tensor:
    """Gaussian in `t`, or the tail at `distance` > alpha from the peak on the tail's side."""
    excess = tf.where(in_tail, distance - alpha, 0.0)
    tail = -0.5 * tf.square(alpha) - n * tf.math.log1p(excess * alpha / n)
    return tf.where(in_tail, tail, -0.5 * tf.square(t))


def _into_core(t: tf.Tensor, alphal: tf.Tensor, alphar: tf.Tensor) -> tf.Tensor:
    # Not tf.clip_by_value: the conditions are those of the tails, so that a limit exactly at a
    # joint belongs to one piece only and its derivative is not counted twice.
    return tf.where(tf.less(t, -alphal), -alphal, tf.where(tf.greater(t, alphar), alphar, t))


class CrystalBall(ClosedFormPDF, SerializableMixin):
    r"""A Gaussian with a power-law tail on one side, in log space: finite for every n.

    With t = (x − μ)/σ (mirrored, t → −t, for negative α),

    .. math::
        f(x) = \begin{cases} \exp(-t^2/2) & t \geqslant -|\alpha| \\
        \exp\bigl[-\alpha^2/2 - n \log(1 + (|t| - |\alpha|)\,|\alpha|/n)\bigr] & t < -|\alpha|
        \end{cases}

    which is the function of `zfit.pdf.CrystalBall`, there written with powers (n/α)ⁿ that
    overflow for large n. Value, gradient and analytic integral hold for n up to 1000 and beyond,
    through n = 1, and for windows anywhere in the tails.

    Args:
        mu: position of the peak, in the unit of the observable.
        sigma: width of the Gaussian core, in the same unit, positive.
        alpha: where the tail starts, in σ from the peak; negative: the tail is on the right.
        n: power of the tail, positive.
        obs: the observable with its limits (one dimension).
        extended: yield, the expected events in the normalisation range; none by default.
        norm: normalisation range; the space of `obs` by default.
        name: name of the PDF.
        label: name for humans.

    Source: T. Skwarnicki, DESY F31-86-02 (1986), appendix E.
    """

    _shape = staticmethod(crystal_ball_shape)
    _integral = staticmethod(crystal_ball_integral)

    def __init__(
        self,
        mu: Any,
        sigma: Any,
        alpha: Any,
        n: Any,
        obs: Any,
        *,
        extended: Any = None,
        norm: Any = None,
        name: str | None = None,
        label: str | None = None,
    ) -> None:
        super().__init__(
            obs=obs,
            params={"mu": mu, "sigma": sigma, "alpha": alpha, "n": n},
            extended=extended,
            norm=norm,
            name="CrystalBall" if name is None else name,
            label=label,
        )


class DoubleCB(ClosedFormPDF, SerializableMixin):
    r"""A Gaussian with a power-law tail on either side, in log space: finite for every n.

    With t = (x − μ)/σ and i = L for t < 0, R for t > 0,

    .. math::
        f(x) = \begin{cases} \exp(-t^2/2) & |t| \leqslant \alpha_i \\
        \exp\bigl[-\alpha_i^2/2 - n_i \log(1 + (|t| - \alpha_i)\,\alpha_i/n_i)\bigr]
        & |t| > \alpha_i \end{cases}

    which is the function of `zfit.pdf.DoubleCB`, there written with powers (n/α)ⁿ that overflow
    for large n (NaN at n = 150, α = 1). Value, gradient and analytic integral hold for n up to
    1000 and beyond, through n = 1, and for windows anywhere in the tails.

    Args:
        mu: position of the peak, in the unit of the observable.
        sigma: width of the Gaussian core, in the same unit, positive.
        alphal: where the left tail starts, in σ from the peak, positive.
        nl: power of the left tail, positive.
        alphar: where the right tail starts, in σ from the peak, positive.
        nr: power of the right tail, positive.
        obs: the observable with its limits (one dimension).
        extended: yield, the expected events in the normalisation range; none by default.
        norm: normalisation range; the space of `obs` by default.
        name: name of the PDF.
        label: name for humans.
    """

    _shape = staticmethod(double_cb_shape)
    _integral = staticmethod(double_cb_integral)

    def __init__(
        self,
        mu: Any,
        sigma: Any,
        alphal: Any,
        nl: Any,
        alphar: Any,
        nr: Any,
        obs: Any,
        *,
        extended: Any = None,
        norm: Any = None,
        name: str | None = None,
        label: str | None = None,
    ) -> None:
        super().__init__(
            obs=obs,
            params={
                "mu": mu,
                "sigma": sigma,
                "alphal": alphal,
                "nl": nl,
                "alphar": alphar,
                "nr": nr,
            },
            extended=extended,
            norm=norm,
            name="DoubleCB" if name is None else name,
            label=label,
        )


class GeneralizedCB(ClosedFormPDF, SerializableMixin):
    r"""`DoubleCB` with a width of its own on either side of the peak, in log space.

    With t = (x − μ)/σ_i and i = L for x < μ, R for x > μ,

    .. math::
        f(x) = \begin{cases} \exp(-t^2/2) & |t| \leqslant \alpha_i \\
        \exp\bigl[-\alpha_i^2/2 - n_i \log(1 + (|t| - \alpha_i)\,\alpha_i/n_i)\bigr]
        & |t| > \alpha_i \end{cases}

    which is the function of `zfit.pdf.GeneralizedCB`, there written with powers (n/α)ⁿ that
    overflow for large n (NaN at n = 150, α = 1).

    Args:
        mu: position of the peak, in the unit of the observable.
        sigmal: width of the Gaussian core left of the peak, in the same unit, positive.
        alphal: where the left tail starts, in σ_L from the peak, positive.
        nl: power of the left tail, positive.
        sigmar: width of the core right of the peak, positive.
        alphar: where the right tail starts, in σ_R from the peak, positive.
        nr: power of the right tail, positive.
        obs: the observable with its limits (one dimension).
        extended: yield, the expected events in the normalisation range; none by default.
        norm: normalisation range; the space of `obs` by default.
        name: name of the PDF.
        label: name for humans.
    """

    _shape = staticmethod(generalized_cb_shape)
    _integral = staticmethod(generalized_cb_integral)

    def __init__(
        self,
        mu: Any,
        sigmal: Any,
        alphal: Any,
        nl: Any,
        sigmar: Any,
        alphar: Any,
        nr: Any,
        obs: Any,
        *,
        extended: Any = None,
        norm: Any = None,
        name: str | None = None,
        label: str | None = None,
    ) -> None:
        super().__init__(
            obs=obs,
            params={
                "mu": mu,
                "sigmal": sigmal,
                "alphal": alphal,
                "nl": nl,
                "sigmar": sigmar,
                "alphar": alphar,
                "nr": nr,
            },
            extended=extended,
            norm=norm,
            name="GeneralizedCB" if name is None else name,
            label=label,
        )


class _CrystalBallRepr(BasePDFRepr):
    _implementation = CrystalBall
    hs3_type: Literal["zfit_dark.CrystalBall"] = pydantic.Field(
        "zfit_dark.CrystalBall", alias="type"
    )
    x: SpaceRepr
    mu: Serializer.types.ParamTypeDiscriminated
    sigma: Serializer.types.ParamTypeDiscriminated
    alpha: Serializer.types.ParamTypeDiscriminated
    n: Serializer.types.ParamTypeDiscriminated


class _DoubleCBRepr(BasePDFRepr):
    _implementation = DoubleCB
    hs3_type: Literal["zfit_dark.DoubleCB"] = pydantic.Field("zfit_dark.DoubleCB", alias="type")
    x: SpaceRepr
    mu: Serializer.types.ParamTypeDiscriminated
    sigma: Serializer.types.ParamTypeDiscriminated
    alphal: Serializer.types.ParamTypeDiscriminated
    nl: Serializer.types.ParamTypeDiscriminated
    alphar: Serializer.types.ParamTypeDiscriminated
    nr: Serializer.types.ParamTypeDiscriminated


class _GeneralizedCBRepr(BasePDFRepr):
    _implementation = GeneralizedCB
    hs3_type: Literal["zfit_dark.GeneralizedCB"] = pydantic.Field(
        "zfit_dark.GeneralizedCB", alias="type"
    )
    x: SpaceRepr
    mu: Serializer.types.ParamTypeDiscriminated
    sigmal: Serializer.types.ParamTypeDiscriminated
    alphal: Serializer.types.ParamTypeDiscriminated
    nl: Serializer.types.ParamTypeDiscriminated
    sigmar: Serializer.types.ParamTypeDiscriminated
    alphar: Serializer.types.ParamTypeDiscriminated
    nr: Serializer.types.ParamTypeDiscriminated
