"""Gaussian peaks with exponential tails."""

from __future__ import annotations

from typing import Any, Literal

import pydantic.v1 as pydantic
import tensorflow as tf
from zfit.core.serialmixin import SerializableMixin
from zfit.serialization import Serializer, SpaceRepr
from zfit.serialization.pdfrepr import BasePDFRepr

from zfit_dark.pdf._closed_form import ClosedFormPDF
from zfit_dark.pdf._pieces import core_integral, exponential_tail_integral, halves

__all__ = [
    "GaussExpTail",
    "GeneralizedGaussExpTail",
    "gauss_exp_tail_integral",
    "gauss_exp_tail_shape",
    "generalized_gauss_exp_tail_integral",
    "generalized_gauss_exp_tail_shape",
]


def gauss_exp_tail_shape(
    x: tf.Tensor, mu: tf.Tensor, sigma: tf.Tensor, alpha: tf.Tensor
) -> tf.Tensor:
    """Shape of `GaussExpTail`, 1 at the peak; all arguments broadcast."""
    t = (x - mu) / sigma * tf.sign(alpha)
    alpha = tf.abs(alpha)
    return tf.exp(_log_shape(t, tf.less(t, -alpha), -t, alpha))


def generalized_gauss_exp_tail_shape(
    x: tf.Tensor,
    mu: tf.Tensor,
    sigmal: tf.Tensor,
    alphal: tf.Tensor,
    sigmar: tf.Tensor,
    alphar: tf.Tensor,
) -> tf.Tensor:
    """Shape of `GeneralizedGaussExpTail`, 1 at the peak; all arguments broadcast."""
    left = tf.less(x, mu)
    distance = tf.abs(x - mu) / tf.where(left, sigmal, sigmar)
    alpha = tf.where(left, alphal, alphar)
    return tf.exp(_log_shape(distance, tf.greater(distance, alpha), distance, alpha))


def gauss_exp_tail_integral(
    lower: tf.Tensor, upper: tf.Tensor, mu: tf.Tensor, sigma: tf.Tensor, alpha: tf.Tensor
) -> tf.Tensor:
    """Integral of the shape of `GaussExpTail` from `lower` to `upper`; all arguments broadcast."""
    t_lower, t_upper = (lower - mu) / sigma, (upper - mu) / sigma
    mirrored = tf.less(alpha, 0.0)
    limits = tf.where(mirrored, -t_upper, t_lower), tf.where(mirrored, -t_lower, t_upper)
    alpha = tf.abs(alpha)
    return sigma * (exponential_tail_integral(*limits, alpha) + core_integral(*limits, alpha))


def generalized_gauss_exp_tail_integral(
    lower: tf.Tensor,
    upper: tf.Tensor,
    mu: tf.Tensor,
    sigmal: tf.Tensor,
    alphal: tf.Tensor,
    sigmar: tf.Tensor,
    alphar: tf.Tensor,
) -> tf.Tensor:
    """Integral of the shape of `GeneralizedGaussExpTail`; all arguments broadcast."""
    start, stop, right_start, right_stop = halves(lower, upper, mu)
    left = start / sigmal, stop / sigmal, alphal
    right = -right_stop / sigmar, -right_start / sigmar, alphar  # mirrored
    return sigmal * (exponential_tail_integral(*left) + core_integral(*left)) + sigmar * (
        exponential_tail_integral(*right) + core_integral(*right)
    )


def _log_shape(
    t: tf.Tensor, in_tail: tf.Tensor, distance: tf.Tensor, alpha: tf.Tensor
) -> tf.Tensor:
    """Gaussian in `t`, or the tail at `distance` > alpha from the peak on the tail's side."""
    return tf.where(in_tail, 0.5 * tf.square(alpha) - alpha * distance, -0.5 * tf.square(t))


class GaussExpTail(ClosedFormPDF, SerializableMixin):
    r"""A Gaussian with an exponential tail on one side.

    With t = (x − μ)/σ (mirrored, t → −t, for negative α),

    .. math::
        f(x) = \begin{cases} \exp(-t^2/2) & t \geqslant -|\alpha| \\
        \exp\bigl(\alpha^2/2 - |\alpha|\,|t|\bigr) & t < -|\alpha| \end{cases}

    which is the function of `zfit.pdf.GaussExpTail`. The integral of that overflows in a branch
    that is not taken, so that its gradient is NaN where the range reaches further than 700/\|α\|
    widths beyond the peak, as the range of a search does.

    Args:
        mu: position of the peak, in the unit of the observable.
        sigma: width of the Gaussian core, in the same unit, positive.
        alpha: where the tail starts, in σ from the peak, not 0; negative: the tail is on the
            right.
        obs: the observable with its limits (one dimension).
        extended: yield, the expected events in the normalisation range; none by default.
        norm: normalisation range; the space of `obs` by default.
        name: name of the PDF.
        label: name for humans.

    Source: S. Das, arXiv:1603.08591.
    """

    _shape = staticmethod(gauss_exp_tail_shape)
    _integral = staticmethod(gauss_exp_tail_integral)

    def __init__(
        self,
        mu: Any,
        sigma: Any,
        alpha: Any,
        obs: Any,
        *,
        extended: Any = None,
        norm: Any = None,
        name: str | None = None,
        label: str | None = None,
    ) -> None:
        super().__init__(
            obs=obs,
            params={"mu": mu, "sigma": sigma, "alpha": alpha},
            extended=extended,
            norm=norm,
            name="GaussExpTail" if name is None else name,
            label=label,
        )


class GeneralizedGaussExpTail(ClosedFormPDF, SerializableMixin):
    r"""A Gaussian with exponential tails and a width of its own on either side of the peak.

    With t = (x − μ)/σ_i and i = L for x < μ, R for x > μ,

    .. math::
        f(x) = \begin{cases} \exp(-t^2/2) & |t| \leqslant \alpha_i \\
        \exp\bigl(\alpha_i^2/2 - \alpha_i |t|\bigr) & |t| > \alpha_i \end{cases}

    which is the function of `zfit.pdf.GeneralizedGaussExpTail`, whose integral overflows for large
    α (NaN at α = 40) and cancels to 0 over a range beside the peak.

    Args:
        mu: position of the peak, in the unit of the observable.
        sigmal: width of the Gaussian core left of the peak, in the same unit, positive.
        alphal: where the left tail starts, in σ_L from the peak, positive.
        sigmar: width of the core right of the peak, positive.
        alphar: where the right tail starts, in σ_R from the peak, positive.
        obs: the observable with its limits (one dimension).
        extended: yield, the expected events in the normalisation range; none by default.
        norm: normalisation range; the space of `obs` by default.
        name: name of the PDF.
        label: name for humans.

    Source: S. Das, arXiv:1603.08591, there with one width.
    """

    _shape = staticmethod(generalized_gauss_exp_tail_shape)
    _integral = staticmethod(generalized_gauss_exp_tail_integral)

    def __init__(
        self,
        mu: Any,
        sigmal: Any,
        alphal: Any,
        sigmar: Any,
        alphar: Any,
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
                "sigmar": sigmar,
                "alphar": alphar,
            },
            extended=extended,
            norm=norm,
            name="GeneralizedGaussExpTail" if name is None else name,
            label=label,
        )


class _GaussExpTailRepr(BasePDFRepr):
    _implementation = GaussExpTail
    hs3_type: Literal["zfit_dark.GaussExpTail"] = pydantic.Field(
        "zfit_dark.GaussExpTail", alias="type"
    )
    x: SpaceRepr
    mu: Serializer.types.ParamTypeDiscriminated
    sigma: Serializer.types.ParamTypeDiscriminated
    alpha: Serializer.types.ParamTypeDiscriminated


class _GeneralizedGaussExpTailRepr(BasePDFRepr):
    _implementation = GeneralizedGaussExpTail
    hs3_type: Literal["zfit_dark.GeneralizedGaussExpTail"] = pydantic.Field(
        "zfit_dark.GeneralizedGaussExpTail", alias="type"
    )
    x: SpaceRepr
    mu: Serializer.types.ParamTypeDiscriminated
    sigmal: Serializer.types.ParamTypeDiscriminated
    alphal: Serializer.types.ParamTypeDiscriminated
    sigmar: Serializer.types.ParamTypeDiscriminated
    alphar: Serializer.types.ParamTypeDiscriminated
