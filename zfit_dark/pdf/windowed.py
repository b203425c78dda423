"""A PDF laid over a window that moves."""

from __future__ import annotations

from typing import Any, Literal

import pydantic.v1 as pydantic
import tensorflow as tf
import zfit
from zfit import supports, z
from zfit.core.serialmixin import SerializableMixin
from zfit.models.functor import BaseFunctor
from zfit.serialization import Serializer, SpaceRepr  # noqa: F401 (annotations of the base)

from zfit_dark.errors import InputError
from zfit_dark.pdf._closed_form import integrals
from zfit_dark.pdf._functor import SinglePDFFunctorRepr
from zfit_dark.pdf._space import tensor_space

__all__ = ["Windowed"]


class Windowed(BaseFunctor, SerializableMixin):
    r"""A PDF of the coordinate t from -1 to 1, laid over the window [low, high] of a mass.

    With t = (2x - low - high) / (high - low) the density is f(t) inside the window and 0 outside. A
    polynomial so laid keeps its freedom wherever the window stands and however narrow it is; one
    that is defined on the whole range of the observable loses it in a narrow window.

    Args:
        pdf: a PDF of one observable on [-1, 1], not extended.
        low: start of the window: a number or a zfit parameter.
        high: its end.
        obs: the observable that the window moves in, with the name that `pdf` uses.
        extended: yield: events inside the window.
        norm: normalisation range; the space of `obs` by default.
        name: name of the PDF.
        label: name for humans.

    Raises:
        InputError: if `pdf` is not a non-extended PDF of one observable on [-1, 1].
    """

    def __init__(
        self,
        pdf: Any,
        low: Any,
        high: Any,
        obs: Any,
        *,
        extended: Any = None,
        norm: Any = None,
        name: str | None = None,
        label: str | None = None,
    ) -> None:
        edges = [float(edge[0]) for edge in pdf.space.v1.limits] if pdf.n_obs == 1 else []
        if edges != [-1.0, 1.0] or pdf.is_extended:
            raise InputError(f"{pdf.name}: a window needs a PDF on [-1, 1] without a yield")
        super().__init__(
            pdfs=pdf,
            params={"low": low, "high": high},
            obs=obs,
            extended=extended,
            norm=norm,
            name="Windowed" if name is None else name,
            label=label,
        )
        self.hs3.original_init.update({"extended": extended, "obs": obs})

    def _edges(self) -> tuple[tf.Tensor, tf.Tensor]:
        return (
            tf.convert_to_tensor(self.params["low"], tf.float64),
            tf.convert_to_tensor(self.params["high"], tf.float64),
        )

    @supports(norm=False)
    def _pdf(self, x: Any, norm: Any) -> tf.Tensor:
        del norm
        low, high = self._edges()
        x = z.unstack_x(x)
        inside = (x >= low) & (x <= high)
        t = tf.clip_by_value((2.0 * x - low - high) / (high - low), -1.0, 1.0)
        data = zfit.Data.from_tensor(self.pdfs[0].space, t[:, tf.newaxis], guarantee_limits=True)
        return tf.where(inside, self.pdfs[0].pdf(data, norm=False), 0.0)

    @supports(norm=False)
    def _integrate(self, limits: Any, norm: Any, options: Any) -> tf.Tensor:
        del norm
        return self._scaled(limits, lambda space: self.pdfs[0].integrate(
            space, norm=False, options=options
        ))  # fmt: skip

    @supports(norm=False)
    def _analytic_integrate(self, limits: Any, norm: Any) -> tf.Tensor:
        del norm
        return self._scaled(
            limits, lambda space: self.pdfs[0].analytic_integrate(space, norm=False)
        )

    def integral_between(self, lower: tf.Tensor, upper: tf.Tensor) -> tf.Tensor:
        """Analytic integral, not normalised, from `lower` to `upper`, elementwise."""
        half, start, stop = self._coordinates(lower, upper)
        return half * integrals(self.pdfs[0], start, stop)

    def _scaled(self, limits: Any, integrate: Any) -> tf.Tensor:
        """The integral over the part of the limits that lies in the window."""
        half, start, stop = self._coordinates(*limits.v1.limits)
        return half * integrate(tensor_space(self.pdfs[0].obs, start, stop))

    def _coordinates(self, *edges: tf.Tensor) -> list[tf.Tensor]:
        """Half the width of the window, and t at edges; those outside stand at the ends."""
        low, high = self._edges()
        t = [tf.clip_by_value((2.0 * x - low - high) / (high - low), -1.0, 1.0) for x in edges]
        return [0.5 * (high - low), *t]


class _WindowedRepr(SinglePDFFunctorRepr):
    _implementation = Windowed
    hs3_type: Literal["zfit_dark.Windowed"] = pydantic.Field("zfit_dark.Windowed", alias="type")
    low: Serializer.types.ParamTypeDiscriminated
    high: Serializer.types.ParamTypeDiscriminated
