"""A background that ends at the kinematic limit."""

from __future__ import annotations

import math
from typing import Any, Literal

import pydantic.v1 as pydantic
import tensorflow as tf
from zfit.core.serialmixin import SerializableMixin
from zfit.serialization import Serializer, SpaceRepr
from zfit.serialization.pdfrepr import BasePDFRepr

from zfit_dark.pdf._closed_form import ClosedFormPDF
from zfit_dark.pdf.threshold import threshold_integral, threshold_shape

__all__ = ["Argus", "argus_integral", "argus_shape"]


def argus_shape(x: tf.Tensor, m0: tf.Tensor, c: tf.Tensor, p: tf.Tensor) -> tf.Tensor:
    """Shape of `Argus`, not normalised; all arguments broadcast."""
    return tf.maximum(x, 0.0) * threshold_shape(_below_end(x, m0), 0.0, p, -c)


def argus_integral(
    lower: tf.Tensor, upper: tf.Tensor, m0: tf.Tensor, c: tf.Tensor, p: tf.Tensor
) -> tf.Tensor:
    """Integral of the shape of `Argus` from `lower` to `upper`; all arguments broadcast.

    In y = 1 − (x/m₀)² it is that of `Threshold`: x dx = −m₀²/2 dy.
    """
    start, stop = (_below_end(tf.maximum(edge, 0.0), m0) for edge in (upper, lower))
    zero = tf.zeros_like(start)
    return 0.5 * tf.square(m0) * threshold_integral(start, stop, zero, p + zero, zero - c)


def _below_end(x: tf.Tensor, m0: tf.Tensor) -> tf.Tensor:
    """1 − (x/m₀)², to full precision near the end."""
    return (m0 - x) * (m0 + x) / tf.square(m0)


class Argus(ClosedFormPDF, SerializableMixin):
    r"""The ARGUS background: phase space that closes at m₀, such as M_bc at the beam energy.

    .. math::
        f(x) = x \left[1 - (x/m_0)^2\right]^p \exp\left(c \left[1 - (x/m_0)^2\right]\right)
        \quad\text{for } 0 < x < m_0, \qquad 0 \text{ otherwise}

    which is the function of `zfit_physics.pdf.Argus`. That is integrated numerically unless p is a
    constant 0.5 and c negative (6e-5 off at p = 0.3; 6 % off where a free c becomes positive).
    The integral here is as exact as that of `Threshold`, whatever the sign of c.

    Args:
        m0: end point m₀, in the unit of the observable. Data at or above it have density 0, so a
            free end point must stay above the data, or another component be there.
        c: slope; negative falls steeper towards the end point.
        p: power, not negative; 0.5 is the function of ARGUS.
        obs: the observable with its limits (one dimension), reaching below the end point.
        extended: yield, the expected events in the normalisation range; none by default.
        norm: normalisation range; the space of `obs` by default.
        name: name of the PDF.
        label: name for humans.

    Source: H. Albrecht et al. (ARGUS), Phys. Lett. B241 (1990) 278.
    """

    _shape = staticmethod(argus_shape)
    _integral = staticmethod(argus_integral)

    def __init__(
        self,
        m0: Any,
        c: Any,
        p: Any,
        obs: Any,
        *,
        extended: Any = None,
        norm: Any = None,
        name: str | None = None,
        label: str | None = None,
    ) -> None:
        super().__init__(
            obs=obs,
            params={"m0": m0, "c": c, "p": p},
            extended=extended,
            norm=norm,
            name="Argus" if name is None else name,
            label=label,
        )

    @property
    def intervals(self) -> tuple[tuple[Any, float]]:
        """Where the density is 0, as of `Vetoed`: quadratures have an edge of a panel there."""
        return ((self.params["m0"], math.inf),)


class _ArgusRepr(BasePDFRepr):
    _implementation = Argus
    hs3_type: Literal["zfit_dark.Argus"] = pydantic.Field("zfit_dark.Argus", alias="type")
    x: SpaceRepr
    m0: Serializer.types.ParamTypeDiscriminated
    c: Serializer.types.ParamTypeDiscriminated
    p: Serializer.types.ParamTypeDiscriminated
