"""A PDF whose events are only counted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import pydantic.v1 as pydantic
import tensorflow as tf
from zfit import supports, z
from zfit.interface import ZfitParameter
from zfit.serialization import Serializer, SpaceRepr  # noqa: F401 (annotations of the base)

from zfit_dark.errors import InputError
from zfit_dark.once import remembered
from zfit_dark.pdf._functor import bounds
from zfit_dark.pdf.vetoed import (
    Counts,
    Vetoed,
    VetoedRepr,
    interval_of,
    known_by,
    visible_pieces,
)

__all__ = ["Counted"]


class Counted(Vetoed):
    r"""A PDF with holes of which, in some regions, nothing is seen but the number of events.

    In a region the density is everywhere its mean there: which of its events is where makes no
    difference to a likelihood. With a signal window and a sideband as regions, and holes for the
    rest, an extended unbinned likelihood is that of two Poisson counts.

    Args:
        pdf: the PDF, in one dimension.
        intervals: (low, high) of each hole; see `Vetoed`.
        regions: each one or more intervals (low, high) whose events are counted together. They
            must not overlap, and lie in the normalisation range. An edge is a number or a zfit
            parameter. Where holes and parameters leave nothing of a region its density is 0.
        counts: what the yield counts; see `Vetoed`.
        extended: yield in that meaning; see `Vetoed`.
        obs: the observable with its limits; by default the space of `pdf`.
        norm: normalisation range; the space of `obs` by default.
        name: name of the PDF.
        label: name for humans.

    Attributes:
        regions: as given.

    Raises:
        InputError: if there is no region or one of them has no interval; as `Vetoed`.
    """

    def __init__(
        self,
        pdf: Any,
        intervals: Iterable[tuple[Any, Any]],
        regions: Iterable[Iterable[tuple[Any, Any]]],
        *,
        counts: Counts = "visible",
        extended: Any = None,
        obs: Any = None,
        norm: Any = None,
        name: str | None = None,
        label: str | None = None,
    ) -> None:
        self.regions = tuple(tuple(interval_of(each) for each in region) for region in regions)
        if not all(self.regions) or not self.regions:
            raise InputError("Counted: give at least one region, each of one interval or more")
        super().__init__(
            pdf,
            intervals,
            counts=counts,
            extended=extended,
            obs=obs,
            norm=norm,
            name="Counted" if name is None else name,
            label=label,
        )

    def region_fractions(self) -> tf.Tensor:
        """Fractions of the events of the inner PDF that are seen in the regions.

        Returns:
            One a region: the integral of the inner PDF over what holes leave of it, over that in
            its own normalisation range. They follow the parameters.
        """
        lower, upper = self.pdfs[0].norm.v1.limits
        inside = self._inside(self._parts(self.norm))
        return tf.stack(inside) / self._inner_integrals(lower, upper)

    def _edge_params(self) -> dict[str, Any]:
        return super()._edge_params() | {
            f"{side}_{i}_of_region_{r}": edge
            for r, region in enumerate(self.regions)
            for i, interval in enumerate(region)
            for side, edge in zip(("low", "high"), interval, strict=True)
            if isinstance(edge, ZfitParameter)
        }

    def _parts(self, limits: Any) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Starts and stops of what the holes and the limits leave of each region."""

        def find() -> list[tuple[tf.Tensor, tf.Tensor]]:
            lower, upper = (tf.reshape(edge, ()) for edge in limits.v1.limits)
            return [self._part(region, lower, upper) for region in self.regions]

        if not self._is_norm(limits):
            return find()
        edges = (known_by(each) for each in (self.intervals, *self.regions))
        parts: list[tuple[tf.Tensor, tf.Tensor]] = remembered(
            ("parts", *bounds(limits), *edges), find
        )
        return parts

    def _part(self, region: Any, lower: tf.Tensor, upper: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        starts, stops = [], []
        for interval in region:
            low, high = (tf.convert_to_tensor(edge, tf.float64) for edge in interval)
            low = tf.clip_by_value(low, lower, upper)
            high = tf.maximum(tf.clip_by_value(high, lower, upper), low)
            pieces = visible_pieces(low, high, *self._holes())
            starts.append(pieces[0])
            stops.append(pieces[1])
        return tf.concat(starts, 0), tf.concat(stops, 0)

    def _inside(self, parts: list[tuple[tf.Tensor, tf.Tensor]]) -> list[tf.Tensor]:
        """Integrals of the inner PDF over the parts of each region."""
        starts, stops = (tf.concat(edges, 0) for edges in zip(*parts, strict=True))
        found = tf.split(self._inner_integrals(starts, stops), [of.shape[0] for of, _ in parts])
        return [tf.reduce_sum(each) for each in found]

    def _means(self) -> list[tf.Tensor]:
        """The mean density, not normalised, in each region."""
        parts = self._parts(self.norm)
        lengths = [tf.reduce_sum(stops - starts) for starts, stops in parts]
        return [
            inside / tf.where(length > 0, length, 1.0)
            for inside, length in zip(self._inside(parts), lengths, strict=True)
        ]

    @supports(norm=False)
    def _pdf(self, x: Any, norm: Any) -> tf.Tensor:
        value = z.unstack_x(x)
        seen = super()._pdf(x, norm)
        lows, highs = self._holes()
        outside = (value[:, None] <= lows) | (value[:, None] >= highs)
        visible = tf.reduce_all(outside, axis=-1)
        for region, mean in zip(self.regions, self._means(), strict=True):
            for low, high in region:
                seen = tf.where(visible & (value >= low) & (value <= high), mean, seen)
        return seen

    @supports(norm=False)
    def _integrate(self, limits: Any, norm: Any, options: Any) -> tf.Tensor:
        whole = super()._integrate(limits, norm, options)
        if self._is_norm(limits):  # the regions are in it, and their events are no more or fewer
            return whole
        parts = self._parts(limits)
        for mean, inside, (starts, stops) in zip(
            self._means(), self._inside(parts), parts, strict=True
        ):
            whole += mean * tf.reduce_sum(stops - starts) - inside
        return whole

    def copy(self, **overrides: Any) -> Counted:
        """A new PDF of the same inner PDF, with other arguments where `overrides` gives them.

        Returns:
            The copy, extended with the same yield; `create_extended` uses it.
        """
        return super().copy(**({"regions": self.regions} | overrides))


class CountedRepr(VetoedRepr):
    """HS3 representation of `Counted`."""

    _implementation = Counted
    hs3_type: Literal["zfit_dark.Counted"] = pydantic.Field(  # type: ignore[assignment]
        "zfit_dark.Counted", alias="type"
    )
    regions: list[list[list[Serializer.types.ParamInputTypeDiscriminated]]]
