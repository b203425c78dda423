"""A background that starts at a threshold."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pydantic.v1 as pydantic
import tensorflow as tf
from zfit.core.serialmixin import SerializableMixin
from zfit.serialization import Serializer, SpaceRepr
from zfit.serialization.pdfrepr import BasePDFRepr

from zfit_dark.pdf._closed_form import ClosedFormPDF

__all__ = ["Threshold", "threshold_integral", "threshold_shape"]


def _tanh_sinh_rule(points: int, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1], crowded towards both ends on a logarithmic scale.

    Such a rule does not mind what yᵖ does at 0, nor where exp(−cy) concentrates the integrand.
    Source: H. Takahasi and M. Mori, Publ. RIMS 9 (1974) 721.
    """
    steps, spacing = np.linspace(-reach, reach, points, retstep=True)
    argument = np.pi * np.sinh(steps)
    nodes = 1.0 / (1.0 + np.exp(-argument))
    return nodes, spacing * np.pi * np.cosh(steps) * nodes * (1.0 - nodes)


_NODES, _WEIGHTS = _tanh_sinh_rule(points=161, reach=3.2)


def threshold_shape(
    x: tf.Tensor, threshold: tf.Tensor, power: tf.Tensor, falloff: tf.Tensor
) -> tf.Tensor:
    """Shape of `Threshold`, not normalised; all arguments broadcast."""
    above = tf.greater(x, threshold)
    y = tf.where(above, x - threshold, 1.0)
    return tf.where(above, tf.exp(power * tf.math.log(y) - falloff * y), 0.0)


def threshold_integral(
    lower: tf.Tensor, upper: tf.Tensor, threshold: tf.Tensor, power: tf.Tensor, falloff: tf.Tensor
) -> tf.Tensor:
    """Integral of the shape of `Threshold` from `lower` to `upper`; all arguments broadcast.

    By a fixed quadrature rather than incomplete gamma functions: these lose all precision in the
    far tail and at c → 0, do not exist for c < 0, and TensorFlow differentiates them in p only
    once.
    """
    start = tf.where(tf.greater(lower, threshold), lower - threshold, 0.0)
    width = tf.where(tf.greater(upper, threshold), upper - threshold, 0.0) - start
    y = start[..., tf.newaxis] + width[..., tf.newaxis] * _NODES
    values = threshold_shape(y, 0.0, power[..., tf.newaxis], falloff[..., tf.newaxis])
    return width * tf.reduce_sum(_WEIGHTS * values, axis=-1)


class Threshold(ClosedFormPDF, SerializableMixin):
    r"""A background that opens at a threshold x₀ and falls off exponentially.

    .. math::
        f(x) = (x - x_0)^p \exp[-c\,(x - x_0)] \quad\text{for } x > x_0, \qquad
        0 \text{ otherwise}

    which is the combinatorial background of the D*–D⁰ mass difference and of pair masses near
    x⁺x⁻, with x₀ = 2m. The integral is exact to 1e-12 for p ≤ 5 and ``|c|`` times the range above
    x₀ up to 1000, whatever the sign of c, and to 1e-9 for p ≤ 20 in the same range.

    Args:
        threshold: x₀, in the unit of the observable. Data at or below it have density 0, so a
            free threshold must stay below the data.
        power: p, not negative: 0 is a step, 0.5 opens as two-body phase space does.
        falloff: c, in one over the unit of the observable: positive falls, 0 is a pure power,
            negative rises.
        obs: the observable with its limits (one dimension), reaching above the threshold.
        extended: yield, the expected events in the normalisation range; none by default.
        norm: normalisation range; the space of `obs` by default.
        name: name of the PDF.
        label: name for humans.
    """

    _shape = staticmethod(threshold_shape)
    _integral = staticmethod(threshold_integral)

    def __init__(
        self,
        threshold: Any,
        power: Any,
        falloff: Any,
        obs: Any,
        *,
        extended: Any = None,
        norm: Any = None,
        name: str | None = None,
        label: str | None = None,
    ) -> None:
        super().__init__(
            obs=obs,
            params={"threshold": threshold, "power": power, "falloff": falloff},
            extended=extended,
            norm=norm,
            name="Threshold" if name is None else name,
            label=label,
        )

    @property
    def intervals(self) -> tuple[tuple[float, Any]]:
        """Where the density is 0, as of `Vetoed`: quadratures have an edge of a panel there."""
        return ((-math.inf, self.params["threshold"]),)


class _ThresholdRepr(BasePDFRepr):
    _implementation = Threshold
    hs3_type: Literal["zfit_dark.Threshold"] = pydantic.Field("zfit_dark.Threshold", alias="type")
    x: SpaceRepr
    threshold: Serializer.types.ParamTypeDiscriminated
    power: Serializer.types.ParamTypeDiscriminated
    falloff: Serializer.types.ParamTypeDiscriminated
