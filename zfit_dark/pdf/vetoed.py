"""A PDF with holes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal, get_args

import numpy as np
import pydantic.v1 as pydantic
import tensorflow as tf
import zfit
from zfit import supports, z
from zfit.core.parameter import get_auto_number
from zfit.core.sample import accept_reject_sample
from zfit.core.serialmixin import SerializableMixin
from zfit.interface import ZfitParameter
from zfit.serialization import Serializer, SpaceRepr  # noqa: F401 (annotations of the base)
from zfit.util.exception import AnalyticIntegralNotImplemented

from zfit_dark.errors import InputError
from zfit_dark.once import remembered
from zfit_dark.pdf._closed_form import integrals
from zfit_dark.pdf._functor import SinglePDFFunctor, SinglePDFFunctorRepr, bounds
from zfit_dark.pdf._space import tensor_space

__all__ = ["Vetoed", "VetoedRepr", "interval_of", "known_by", "visible_pieces"]

Counts = Literal["visible", "all"]


def in_order(lows: tf.Tensor, highs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The edges of holes from left to right; a hole with low ≥ high has no width."""
    order = tf.argsort(lows)
    return tf.gather(tf.minimum(lows, highs), order), tf.gather(highs, order)


def visible_pieces(
    lower: tf.Tensor, upper: tf.Tensor, lows: tf.Tensor, highs: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """What the holes leave of [lower, upper]: one piece more than there are holes.

    The same graph serves every value of the edges, a piece that a hole covers has no length.

    Args:
        lower: start of the range, a scalar or of one element.
        upper: its end.
        lows: lower edges of the k holes, see ``in_order``; the holes may overlap or reach past
            the range.
        highs: their upper edges.

    Returns:
        Starts and stops of the pieces in ascending order, start ≤ stop, each of shape (k + 1,).
    """
    before = np.tri(lows.shape[0] + 1, lows.shape[0], -1, dtype=bool)
    reached = tf.where(before, tf.minimum(highs, upper), -np.inf)  # by the holes before a piece
    starts = tf.maximum(tf.reduce_max(reached, axis=1), lower)
    stops = tf.concat([tf.minimum(lows, upper), tf.reshape(upper, (1,))], axis=0)
    return starts, tf.maximum(stops, starts)


class Vetoed(SinglePDFFunctor, SerializableMixin):
    r"""A PDF with holes: the inner density outside them, 0 inside, normalised over what remains.

    Every integral is that of the inner PDF over the pieces between the holes, so that binned
    models, samples and Asimov sets are right too (`zfit.pdf.TruncatedPDF` integrates through its
    holes there). A fit window that moves is two holes more,
    ``[(obs_low, window_low), (window_high, obs_high)]``, with parameters for the window.

    A hole is an open interval: an event exactly on its edge is outside. Cut the data as the PDF is
    cut: an event inside has density 0, but the likelihoods of zfit count it all the same.

    Args:
        pdf: the PDF to cut, in one dimension; a sum is cut as a whole, its fractions keep the
            meaning that they have without holes.
        intervals: (low, high) of each hole, in any order; they may overlap or reach past the
            space. An edge is a number or a zfit parameter, also a composed one. A hole whose
            parameters come to low ≥ high is none. If they come to cover the whole range there is
            nothing to normalise, and the density is NaN.
        counts: what the yield counts. "visible": the events outside the holes. "all": the events
            of `pdf` in its own normalisation range, holes included; the yield of this PDF, which
            is what a likelihood or a histogram sees, is then the given one times
            `visible_fraction` and follows the parameters.
        extended: yield in that meaning; by default that of `pdf`, `False` for none.
        obs: the observable with its limits; by default the space of `pdf`.
        norm: normalisation range; the space of `obs` by default.
        name: name of the PDF.
        label: name for humans.

    Attributes:
        intervals: as given.
        counts: as given.

    Raises:
        InputError: if `pdf` is not one-dimensional, an interval is not a pair of numbers or
            parameters, a fixed one has low ≥ high, fixed ones cover the whole normalisation
            range, or `counts` is neither "visible" nor "all".
    """

    def __init__(
        self,
        pdf: Any,
        intervals: Iterable[tuple[Any, Any]],
        *,
        counts: Counts = "visible",
        extended: Any = None,
        obs: Any = None,
        norm: Any = None,
        name: str | None = None,
        label: str | None = None,
    ) -> None:
        if counts not in get_args(Counts):
            raise InputError(f"Vetoed: counts={counts!r}: give 'visible' or 'all'")
        original_init = {"extended": extended, "obs": obs}
        self.counts = counts
        self.intervals = tuple(interval_of(interval) for interval in intervals)
        self._inner_is_analytic = pdf.has_analytic_integral
        self._yield_before_cut: Any = None
        super().__init__(
            pdf,
            params=self._edge_params(),
            obs=obs,
            extended=extended,
            norm=norm,
            name="Vetoed" if name is None else name,
            label=label,
        )
        self.hs3.original_init.update(original_init)
        _check_something_left(self.intervals, bounds(self.norm))

    def _edge_params(self) -> dict[str, Any]:
        """The edges that are parameters, by name."""
        return {
            f"{side}_{i}": edge
            for i, interval in enumerate(self.intervals)
            for side, edge in zip(("low", "high"), interval, strict=True)
            if isinstance(edge, ZfitParameter)
        }

    def visible_fraction(self) -> tf.Tensor:
        """Fraction of the events of the inner PDF that is seen.

        Returns:
            A scalar: the integral over the normalisation range of this PDF outside the holes,
            over that of the inner PDF in its own normalisation range. It follows the parameters.
        """
        seen, whole = self._seen_and_whole()
        return seen / whole

    def _set_yield(self, value: Any) -> None:
        if self.counts == "all":
            value = self._yield_before_cut = zfit.param.convert_to_parameter(value)
            shape = self.get_params(floating=None, is_yield=False)
            # A parameter of its own: where no fit moves the shape, no fit has to integrate it.
            fraction = zfit.ComposedParameter(
                f"{value.name}_visible_fraction_{get_auto_number()}",
                _VisibleFraction(self),
                params={param.name: param for param in shape},
                unpack_params=False,
            )
            value = zfit.ComposedParameter(
                f"{value.name}_visible_{get_auto_number()}",
                _product,
                params={"yield_before_cut": value, "visible_fraction": fraction},
                unpack_params=False,
            )
        super()._set_yield(value)

    def _holes(self) -> tuple[tf.Tensor, tf.Tensor]:
        """The lower and the upper edges as tensors, see ``in_order``."""

        def find() -> tuple[tf.Tensor, tf.Tensor]:
            if all(isinstance(edge, float) for interval in self.intervals for edge in interval):
                lows, highs = np.reshape(sorted(self.intervals), (-1, 2)).T
                return tf.constant(lows, tf.float64), tf.constant(highs, tf.float64)
            return in_order(
                *(
                    tf.stack([tf.convert_to_tensor(edge, tf.float64) for edge in edges])
                    for edges in zip(*self.intervals, strict=True)
                )
            )

        holes: tuple[tf.Tensor, tf.Tensor] = remembered(("holes", *known_by(self.intervals)), find)
        return holes

    def _pieces(self, limits: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Starts and stops of what the holes leave of the limits."""
        lower, upper = limits.v1.limits
        if not self._is_norm(limits):
            return visible_pieces(lower, upper, *self._holes())
        pieces: tuple[tf.Tensor, tf.Tensor] = remembered(
            ("pieces", *bounds(limits), *known_by(self.intervals)),
            lambda: visible_pieces(lower, upper, *self._holes()),
        )
        return pieces

    def _is_norm(self, limits: Any) -> bool:
        """Whether limits are those of the norm, and not tensors that a graph tells."""
        symbolic = any(map(tf.is_symbolic_tensor, limits.v1.limits))
        return not symbolic and bounds(limits) == bounds(self.norm)

    def _seen_and_whole(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Integrals of the inner PDF: outside the holes in this norm, and over all of its own."""

        def find() -> tuple[tf.Tensor, tf.Tensor]:
            starts, stops = self._pieces(self.norm)
            lower, upper = self.pdfs[0].norm.v1.limits
            *seen, whole = tf.unstack(
                self._inner_integrals(
                    tf.concat([starts, lower], axis=0), tf.concat([stops, upper], axis=0)
                )
            )
            return tf.add_n(seen), whole

        found: tuple[tf.Tensor, tf.Tensor] = remembered((id(self), "seen and whole"), find)
        return found

    def _inner_integrals(self, starts: tf.Tensor, stops: tf.Tensor) -> tf.Tensor:
        inner = self.pdfs[0]
        if self._inner_is_analytic:
            return integrals(inner, starts, stops)
        # each by itself: one numerical integral over them all would stumble over the edges
        spaces = (
            tensor_space(self.obs, start, stop)
            for start, stop in zip(tf.unstack(starts), tf.unstack(stops), strict=True)
        )
        return tf.concat([inner.integrate(space, norm=False) for space in spaces], axis=0)

    @supports(norm=False)
    def _pdf(self, x: Any, norm: Any) -> tf.Tensor:
        del norm
        value = z.unstack_x(x)[:, tf.newaxis]
        lows, highs = self._holes()
        outside = tf.logical_or(tf.less_equal(value, lows), tf.greater_equal(value, highs))
        density = self.pdfs[0].pdf(x, norm=False)
        return tf.where(tf.reduce_all(outside, axis=-1), density, tf.zeros_like(density))

    @supports(norm=False)
    def _integrate(self, limits: Any, norm: Any, options: Any) -> tf.Tensor:
        del norm, options
        if self.counts == "all" and self._inner_is_analytic and self._is_norm(limits):
            # as the visible fraction finds it; one number more is nothing to an analytic integral
            return self._seen_and_whole()[0][tf.newaxis]
        return tf.reduce_sum(self._inner_integrals(*self._pieces(limits)), keepdims=True)

    @supports(norm=False)
    def _analytic_integrate(self, limits: Any, norm: Any) -> tf.Tensor:
        if not self._inner_is_analytic:
            raise AnalyticIntegralNotImplemented
        return self._integrate(limits, norm, options=None)

    @supports(norm=False)
    def _sample(self, n: Any, limits: Any) -> tf.Tensor:
        """By accept and reject, from proposals outside the holes however little these leave."""
        starts, stops = self._pieces(limits)

        def propose(n_to_produce: Any, limits: Any, dtype: Any) -> tuple[Any, ...]:
            del limits
            drawn = z.random.get_prng().uniform(shape=(n_to_produce, 2), dtype=dtype)
            value = starts[0] + drawn[:, :1] * tf.reduce_sum(stops - starts)
            for i in range(starts.shape[0] - 1):  # open the holes, from left to right
                value = tf.where(value > stops[i], value + (starts[i + 1] - stops[i]), value)
            weights = tf.ones_like(drawn[:, 1])
            return value, drawn[:, 1], weights, weights, n_to_produce

        return accept_reject_sample(
            prob=self._func_to_sample_from,
            n=n,
            limits=limits,
            sample_and_weights_factory=lambda: propose,
            dtype=self.dtype,
        )

    def copy(self, **overrides: Any) -> Vetoed:
        """A new PDF of the same inner PDF, with other arguments where `overrides` gives them.

        Returns:
            The copy, extended with the same yield; `create_extended` uses it.
        """
        given = self.get_yield() if self.counts == "visible" else self._yield_before_cut
        arguments = {
            "pdf": self.pdfs[0],
            "intervals": self.intervals,
            "counts": self.counts,
            "extended": given if self.is_extended else False,
            "obs": self.space,
            "norm": self.norm,
            "name": self.name,
            "label": self.label,
        }
        return type(self)(**(arguments | overrides))


def _product(params: dict[str, Any]) -> tf.Tensor:
    return params["yield_before_cut"] * params["visible_fraction"]


class _VisibleFraction:
    """What the cut leaves of a PDF, as function for a parameter."""

    def __init__(self, pdf: Vetoed | None) -> None:
        self._pdf = pdf

    def __call__(self, params: dict[str, Any]) -> tf.Tensor:
        if self._pdf is None:
            raise InputError(
                "the yield of a Vetoed PDF with counts='all' cannot be loaded as part of a sum:"
                " save the PDFs one by one, or the sum as the inner PDF of a Vetoed one"
            )
        del params
        return self._pdf.visible_fraction()

    def __reduce__(self) -> tuple[Any, ...]:
        # HS3 pickles the functions of composed parameters. Left to itself that would bring back a
        # second PDF with parameters of its own, and a yield that does not follow the model.
        return _VisibleFraction, (None,)


def interval_of(interval: Any) -> tuple[Any, Any]:
    """A pair of parameters or floats."""
    try:
        low, high = interval
        low, high = (e if isinstance(e, ZfitParameter) else float(e) for e in (low, high))
    except (TypeError, ValueError):
        raise InputError(
            f"hole {interval!r}: give a pair (low, high) of numbers or zfit parameters"
        ) from None
    if isinstance(low, float) and isinstance(high, float) and not low < high:
        raise InputError(f"hole from {low:g} to {high:g}: the lower edge comes first")
    if any(isinstance(edge, float) and math.isnan(edge) for edge in (low, high)):
        raise InputError(f"hole {interval!r}: an edge is NaN")
    return low, high


def known_by(intervals: Iterable[tuple[Any, Any]]) -> tuple[float, ...]:
    """What intervals can be remembered by: numbers, and parameters that are the same ones."""
    return tuple(edge if isinstance(edge, float) else id(edge) for i in intervals for edge in i)


def _check_something_left(intervals: Iterable[tuple[Any, Any]], norm: tuple[float, float]) -> None:
    end = norm[0]
    for low, high in sorted(pair for pair in intervals if all(isinstance(e, float) for e in pair)):
        end = max(end, high) if low <= end else end
    if end >= norm[1]:
        raise InputError(f"the holes cover the whole range {norm[0]:g} to {norm[1]:g}")


class VetoedRepr(SinglePDFFunctorRepr):
    """HS3 representation of `Vetoed`."""

    _implementation: Any = Vetoed
    hs3_type: Literal["zfit_dark.Vetoed"] = pydantic.Field("zfit_dark.Vetoed", alias="type")
    intervals: list[list[Serializer.types.ParamInputTypeDiscriminated]]
    counts: Counts
