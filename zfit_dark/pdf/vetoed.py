"""A PDF with holes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal, get_args

import pydantic.v1 as pydantic
import tensorflow as tf
import zfit
from zfit import supports, z
from zfit.core.parameter import get_auto_number
from zfit.core.sample import accept_reject_sample
from zfit.core.serialmixin import SerializableMixin
from zfit.interface import ZfitParameter
from zfit.models.basefunctor import FunctorPDFRepr
from zfit.models.functor import BaseFunctor
from zfit.serialization import Serializer, SpaceRepr  # noqa: F401 (annotations of FunctorPDFRepr)
from zfit.util.exception import AnalyticIntegralNotImplemented

from zfit_dark.errors import InputError
from zfit_dark.pdf._space import tensor_space

__all__ = ["Vetoed", "visible_pieces"]

Counts = Literal["visible", "all"]


def visible_pieces(
    lower: tf.Tensor, upper: tf.Tensor, holes: Iterable[tuple[tf.Tensor, tf.Tensor]]
) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """What the holes leave of [lower, upper], as one piece more than there are holes.

    The same graph serves every value of the edges: a piece that a hole covers has no length.

    Args:
        lower: start of the range.
        upper: its end.
        holes: (low, high) of each, in any order, overlapping or reaching past the range; one with
            low ≥ high is no hole. All tensors broadcast.

    Returns:
        (start, stop) of the pieces in ascending order, start ≤ stop.
    """
    pieces = []
    end = lower
    for low, high in _sorted(holes):
        start = tf.minimum(tf.maximum(tf.minimum(low, high), end), upper)
        pieces.append((end, start))
        end = tf.maximum(end, tf.minimum(high, upper))
    return [*pieces, (end, upper)]


def _sorted(holes: Iterable[tuple[tf.Tensor, tf.Tensor]]) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """By their lower edges, with a network of exchanges: tf.sort has no second derivative."""
    ordered: list[tuple[tf.Tensor, tf.Tensor]] = []
    for hole in holes:
        ordered.append(hole)
        for i in reversed(range(1, len(ordered))):
            (low1, high1), (low2, high2) = ordered[i - 1], ordered[i]
            swap = tf.less(low2, low1)
            ordered[i - 1] = tf.where(swap, low2, low1), tf.where(swap, high2, high1)
            ordered[i] = tf.where(swap, low1, low2), tf.where(swap, high1, high2)
    return ordered


class Vetoed(BaseFunctor, SerializableMixin):
    r"""A PDF with holes: the inner density outside them, 0 inside, normalised over what remains.

    Every integral is that of the inner PDF over the pieces between the holes, so that binned
    models, samples and Asimov sets are right too (`zfit.pdf.TruncatedPDF` integrates through its
    holes there). A fit window that moves is two holes,
    ``[(obs_low, window_low), (window_high, obs_high)]`` with parameters for the window.

    A hole is an open interval: an event exactly on its edge is outside it. An event inside has
    density 0, so that a likelihood with it is infinite: cut the data as the PDF is cut.

    Args:
        pdf: the PDF to cut, in one dimension; a sum is cut as a whole, its fractions keep the
            meaning that they have without holes.
        intervals: (low, high) of each hole, in any order; they may overlap or reach past the
            space. An edge is a number or a zfit parameter, also a composed one. A hole whose
            parameters come to low ≥ high is none. If they come to cover everything, nothing is
            left to normalise and the density is NaN.
        counts: what the yield counts. "visible": the events outside the holes. "all": the events
            of `pdf` in its own normalisation range, holes included; the yield of this PDF, which
            is what a likelihood or a histogram sees, is then the given one times
            `visible_fraction`, and follows the parameters.
        extended: yield in that meaning; by default that of `pdf`, `False` for none.
        obs: the observable with its limits; by default the space of `pdf`.
        norm: normalisation range; the space of `obs` by default.
        name: name of the PDF.
        label: name for humans.

    Attributes:
        intervals: as given.
        counts: as given.

    Raises:
        InputError: if `pdf` is not one-dimensional, an edge is not a number or parameter, a
            fixed hole has low ≥ high, fixed holes cover the whole normalisation range, or
            `counts` is neither "visible" nor "all".
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
        if pdf.n_obs != 1:
            raise InputError(f"Vetoed needs a PDF of one observable, {pdf.name} has {pdf.n_obs}")
        if counts not in get_args(Counts):
            raise InputError(f"counts={counts!r}: give 'visible' or 'all'")
        original_init = {"extended": extended, "obs": obs}
        self.counts = counts
        self.intervals = tuple((_edge(low), _edge(high)) for low, high in intervals)
        self._fixed = _merged(self.intervals)
        self._inner_is_analytic = pdf.has_analytic_integral
        self._yield_before_cut: Any = None
        super().__init__(
            pdfs=pdf,
            params={
                f"{side}_{i}": edge
                for i, interval in enumerate(self.intervals)
                for side, edge in zip(("low", "high"), interval, strict=True)
                if isinstance(edge, ZfitParameter)
            },
            obs=pdf.space if obs is None else obs,
            extended=pdf.get_yield() if extended is None or extended is True else extended,
            norm=norm,
            name="Vetoed" if name is None else name,
            label=label,
        )
        self.hs3.original_init.update(original_init)
        lower, upper = (float(limit[0]) for limit in self.norm.v1.limits)
        if any(low <= lower and upper <= high for low, high in self._fixed):
            raise InputError(
                f"{self.name}: the holes cover the whole range {lower:.6g} to {upper:.6g}"
            )

    def visible_fraction(self) -> tf.Tensor:
        """Fraction of the events of the inner PDF that is seen.

        Returns:
            A scalar: the integral over the normalisation range of this PDF outside the holes,
            over that of the inner PDF in its own normalisation range. It follows the parameters.
        """
        inner = self.pdfs[0]
        seen = self.integrate(self.norm, norm=False)
        return (seen / inner.integrate(inner.norm, norm=False))[0]

    def _set_yield(self, value: Any) -> None:
        if self.counts == "all":
            value = self._yield_before_cut = zfit.param.convert_to_parameter(value)
            shape = self.get_params(floating=None, is_yield=False)
            value = zfit.ComposedParameter(
                f"{value.name}_visible_{get_auto_number()}",
                _VisibleYield(self),
                params={"yield_before_cut": value} | {param.name: param for param in shape},
            )
        super()._set_yield(value)

    @property
    def pdfs_extended(self) -> list[bool]:
        """Not extended, whatever the inner PDF is: else zfit samples that, without the holes."""
        return [False]

    def _holes(self) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """The edges as tensors: the fixed ones, merged, then those that parameters move."""
        moving = [
            (low, high)
            for low, high in self.intervals
            if isinstance(low, ZfitParameter) or isinstance(high, ZfitParameter)
        ]
        return [
            (tf.convert_to_tensor(low, tf.float64), tf.convert_to_tensor(high, tf.float64))
            for low, high in (*self._fixed, *moving)
        ]

    def _pieces(self, limits: Any) -> list[tuple[tf.Tensor, tf.Tensor]]:
        return visible_pieces(*limits.v1.limits, self._holes())

    @supports(norm=False)
    def _pdf(self, x: Any, norm: Any) -> tf.Tensor:
        del norm
        value = z.unstack_x(x)
        visible = tf.ones_like(value, dtype=tf.bool)
        for low, high in self._holes():
            visible &= tf.logical_or(tf.less_equal(value, low), tf.greater_equal(value, high))
        return tf.where(visible, self.pdfs[0].pdf(x, norm=False), 0.0)

    @supports(norm=False)
    def _analytic_integrate(self, limits: Any, norm: Any) -> tf.Tensor:
        """One trace of the inner integral serves all pieces."""
        del norm
        if not self._inner_is_analytic:
            raise AnalyticIntegralNotImplemented
        starts, stops = (tf.stack(edges) for edges in zip(*self._pieces(limits), strict=True))
        integrals = tf.vectorized_map(
            lambda piece: self.pdfs[0].analytic_integrate(
                tensor_space(self.obs, *piece), norm=False
            ),
            (starts, stops),
        )
        return tf.reduce_sum(integrals, axis=0)

    @supports(norm=False)
    def _numeric_integrate(self, limits: Any, norm: Any, options: Any) -> tf.Tensor:
        """Piece by piece: a quadrature through a hole would miss its edges."""
        del norm
        return tf.add_n(
            [
                self.pdfs[0].integrate(
                    tensor_space(self.obs, start, stop), norm=False, options=options
                )
                for start, stop in self._pieces(limits)
            ]
        )

    @supports(norm=False)
    def _sample(self, n: Any, limits: Any) -> tf.Tensor:
        """By accept and reject from proposals outside the holes, however little they leave."""
        pieces = self._pieces(limits)

        def propose(n_to_produce: Any, limits: Any, dtype: Any) -> tuple[Any, ...]:
            del limits
            drawn = z.random.get_prng().uniform(shape=(n_to_produce, 2), dtype=dtype)
            value = drawn[:, :1] * tf.add_n([stop - start for start, stop in pieces])
            value += pieces[0][0]
            for (_, low), (high, _) in zip(pieces, pieces[1:], strict=False):
                value = tf.where(tf.greater(value, low), value + (high - low), value)
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
        """A new PDF of the same inner PDF, arguments of the constructor replaced by `overrides`.

        Returns:
            The copy, extended with the same yield (`create_extended` uses it).
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


class _VisibleYield:
    """The yield before the cut times what the cut leaves of the PDF, as function of parameters."""

    def __init__(self, pdf: Vetoed | None) -> None:
        self._pdf = pdf

    def __call__(self, params: dict[str, Any]) -> tf.Tensor:
        if self._pdf is None:
            raise InputError(
                "the yield of a Vetoed PDF with counts='all' cannot be loaded as part of a sum:"
                " save its PDFs one by one, or a Vetoed PDF of the sum"
            )
        return params["yield_before_cut"] * self._pdf.visible_fraction()

    def __reduce__(self) -> tuple[Any, ...]:
        # HS3 pickles the functions of composed parameters. Left to itself that would be a second
        # PDF with parameters of its own, and a yield that no longer follows those of the model.
        return _VisibleYield, (None,)


def _edge(edge: Any) -> Any:
    """A parameter, or the number as a float."""
    if isinstance(edge, ZfitParameter):
        return edge
    try:
        value = float(edge)
    except (TypeError, ValueError):
        value = math.nan
    if math.isnan(value):
        raise InputError(f"edge {edge!r} of a hole: give a number or a zfit parameter")
    return value


def _merged(intervals: Iterable[tuple[Any, Any]]) -> list[tuple[float, float]]:
    """The union of the intervals between numbers, disjoint and in ascending order."""
    merged: list[tuple[float, float]] = []
    fixed = [pair for pair in intervals if all(isinstance(edge, float) for edge in pair)]
    for low, high in sorted(fixed):
        if not low < high:
            raise InputError(f"hole from {low:.6g} to {high:.6g}: the first edge must be the lower")
        if merged and low <= merged[-1][1]:
            low, high = merged[-1][0], max(merged.pop()[1], high)
        merged.append((low, high))
    return merged


class _VetoedRepr(FunctorPDFRepr):
    _implementation = Vetoed
    hs3_type: Literal["zfit_dark.Vetoed"] = pydantic.Field("zfit_dark.Vetoed", alias="type")
    intervals: list[list[Serializer.types.ParamInputTypeDiscriminated]]
    counts: Counts

    def _to_orm(self, init: dict[str, Any]) -> Any:
        init["pdf"] = init.pop("pdfs")[0]
        return super()._to_orm(init)
