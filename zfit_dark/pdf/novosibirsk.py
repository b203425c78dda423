"""The Novosibirsk function."""

from __future__ import annotations

import math
from typing import Any, Literal

import pydantic.v1 as pydantic
import tensorflow as tf
from zfit.core.serialmixin import SerializableMixin
from zfit.serialization import Serializer, SpaceRepr
from zfit.serialization.pdfrepr import BasePDFRepr

from zfit_dark.pdf._closed_form import ClosedFormPDF
from zfit_dark.pdf._pieces import asinh_over, gauss_integral, log1p_over

__all__ = ["Novosibirsk", "novosibirsk_integral", "novosibirsk_shape"]

_ROOT_LOG_4 = math.sqrt(math.log(4.0))
_BEYOND = 50.0
"""Standard deviations; nothing of a Gaussian is further out."""


def novosibirsk_shape(x: tf.Tensor, mu: tf.Tensor, sigma: tf.Tensor, lambd: tf.Tensor) -> tf.Tensor:
    """Shape of `Novosibirsk`, largest at the peak; all arguments broadcast."""
    inside, pull, scale = _pull((x - mu) / sigma, lambd)
    density = tf.exp(-0.5 * (tf.square(pull) + tf.square(lambd * scale)))
    return tf.where(inside, density, 0.0)


def novosibirsk_integral(
    lower: tf.Tensor, upper: tf.Tensor, mu: tf.Tensor, sigma: tf.Tensor, lambd: tf.Tensor
) -> tf.Tensor:
    """Integral of the shape of `Novosibirsk` from `lower` to `upper`; all arguments broadcast.

    It is a Gaussian in log(1 − λt)/τ − τ.
    """

    def distance(edge: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        inside, pull, scale = _pull((edge - mu) / sigma, lambd)
        return tf.where(inside, pull + lambd * scale, _BEYOND * tf.sign(lambd)), scale

    start, scale = distance(lower)
    stop, _ = distance(upper)
    return sigma * scale * gauss_integral(start, stop)


def _pull(t: tf.Tensor, lambd: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Whether t is inside the range of the function, −log(1 − λt)/τ there, and τ/λ."""
    inside = tf.less(lambd * t, 1.0)
    t = tf.where(inside, t, 0.0)
    scale = asinh_over(lambd * _ROOT_LOG_4)
    return inside, t * log1p_over(-lambd * t) / scale, scale


class Novosibirsk(ClosedFormPDF, SerializableMixin):
    r"""A peak with one long side: a Gaussian in the logarithm of the distance from an end point.

    With t = (x − μ)/σ and τ = asinh(λ √ln 4)/√ln 4,

    .. math::
        f(x) = \exp\left[-\frac{\log^2(1 - \lambda t)}{2 \tau^2} - \frac{\tau^2}{2}\right]
        \quad\text{for } \lambda t < 1, \qquad 0 \text{ otherwise}

    which is the function of `zfit_physics.pdf.Novosibirsk`. The gradient of that is NaN for λ = 0
    and as soon as one event lies beyond the end point μ + σ/λ, which is nothing special over a
    background. Here λ may be 0, where the function is a Gaussian, and pass through it.

    Args:
        mu: position of the peak, in the unit of the observable.
        sigma: full width at half maximum over 2.355, in the same unit, positive.
        lambd: λ: positive for the long side on the left, negative on the right.
        obs: the observable with its limits (one dimension).
        extended: yield, the expected events in the normalisation range; none by default.
        norm: normalisation range; the space of `obs` by default.
        name: name of the PDF.
        label: name for humans.

    Source: H. Ikeda et al. (Belle), NIM A441 (2000) 401, with the sign of λ of RooFit.
    """

    _shape = staticmethod(novosibirsk_shape)
    _integral = staticmethod(novosibirsk_integral)

    def __init__(
        self,
        mu: Any,
        sigma: Any,
        lambd: Any,
        obs: Any,
        *,
        extended: Any = None,
        norm: Any = None,
        name: str | None = None,
        label: str | None = None,
    ) -> None:
        super().__init__(
            obs=obs,
            params={"mu": mu, "sigma": sigma, "lambd": lambd},
            extended=extended,
            norm=norm,
            name="Novosibirsk" if name is None else name,
            label=label,
        )


class _NovosibirskRepr(BasePDFRepr):
    _implementation = Novosibirsk
    hs3_type: Literal["zfit_dark.Novosibirsk"] = pydantic.Field(
        "zfit_dark.Novosibirsk", alias="type"
    )
    x: SpaceRepr
    mu: Serializer.types.ParamTypeDiscriminated
    sigma: Serializer.types.ParamTypeDiscriminated
    lambd: Serializer.types.ParamTypeDiscriminated
