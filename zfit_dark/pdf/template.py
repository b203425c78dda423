"""A peak as simulated at some masses, for all masses between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import boost_histogram as bh
import numpy as np
import numpy.typing as npt
import pydantic.v1 as pydantic
import tensorflow as tf
from scipy.interpolate import PchipInterpolator
from scipy.special import ndtr
from zfit.core.serialmixin import SerializableMixin
from zfit.serialization import Serializer, SpaceRepr
from zfit.serialization.pdfrepr import BasePDFRepr

from zfit_dark.errors import InputError
from zfit_dark.pdf._closed_form import ClosedFormPDF

__all__ = ["Template", "quantiles"]

FloatArray = npt.NDArray[np.float64]

_LEVELS: FloatArray = np.concatenate([[0.0], ndtr(np.arange(-4.0, 4.1, 0.25)), [1.0]])
"""Probabilities whose quantiles make a template: a quarter of a standard deviation of a Gaussian
apart, up to four on each side."""

_PARTS = 64
"""Of a bin, to find quantiles inside it."""


def quantiles(histogram: Any, where: str) -> tuple[FloatArray, FloatArray]:
    """The cumulative distribution of a histogram.

    Args:
        histogram: in one dimension, such as a `hist.Hist`: anything with ``axes`` and ``values``.
        where: names it in errors.

    Returns:
        The probabilities below the edges of the bins, from 0 to 1, and these edges, from the first
        bin to the last that is not empty.

    Raises:
        InputError: if the histogram is not one-dimensional, is empty, has a negative or infinite
            bin, or events outside its axis.
    """
    if len(histogram.axes) != 1:
        raise InputError(f"{where} has {len(histogram.axes)} axes; give one of the mass")
    edges = np.asarray(histogram.axes[0].edges, float)
    counts = np.asarray(histogram.values(), float)
    total = counts.sum()
    if not np.isfinite(total) or (counts < 0).any() or total == 0:
        raise InputError(f"{where}: give finite bins, none of them negative and not all 0")
    beyond = np.sum(histogram.values(flow=True)) - total
    if abs(beyond) > 1e-9 * total:
        raise InputError(
            f"{where}: {beyond:.6g} events are outside its axis, {edges[0]:.6g} to "
            f"{edges[-1]:.6g}: widen it or cut them"
        )
    levels = np.cumsum(np.append(0.0, counts)) / total
    levels /= levels[-1]
    first = np.searchsorted(levels, 0.0, side="right") - 1
    last = np.searchsorted(levels, 1.0)
    return levels[first : last + 1], edges[first : last + 1]


def _knots(levels: FloatArray, edges: FloatArray) -> FloatArray:
    """Where a monotone cubic through the cumulative distribution has the levels of a template."""
    parts = np.arange(edges.size * _PARTS - _PARTS + 1) / _PARTS
    x = np.interp(parts, np.arange(edges.size), edges)
    below = np.maximum.accumulate(PchipInterpolator(edges, levels)(x))
    return np.interp(_LEVELS, below, x)


class Template(ClosedFormPDF, SerializableMixin):
    r"""The histogram of a simulated peak, at any mass between those that were simulated.

    A histogram gives 35 quantiles, a quarter of a standard deviation apart in a Gaussian, and the
    template is a monotone cubic (PCHIP) through these: bins should be no wider than that, and
    their fluctuations are averaged over it. Between two masses the quantiles are interpolated:
    x(u), at the same probability u, is linear in the mass. The peak then moves and widens, where an
    interpolation of the bin contents would fade one peak out and another one in. That is exact
    for shapes that differ in position and width only, if both are linear in the mass.

    A Gaussian comes back to 1 % of its density. The statistical error of the simulation is not part
    of the model: take some 100 000 events a mass, or a smooth shape fitted to the samples.

    Args:
        mass: what the template is taken at, in GeV: a number or a zfit parameter, which should be
            a fixed one, as the density is no smooth function of it. Outside the simulated masses
            the density is NaN.
        histograms: simulated mass to the histogram of the reconstructed one, at least two, each
            in one dimension with all its events inside its axis; bins may differ.
        obs: the observable with its limits (one dimension).
        extended: yield, the expected events in the normalisation range; none by default.
        norm: normalisation range; the space of `obs` by default.
        name: name of the PDF.
        label: name for humans.

    Attributes:
        histograms: as given.

    Raises:
        InputError: if there are fewer than two histograms, or one of them is not of this form.

    Source: A. L. Read, Linear interpolation of histograms, NIM A425 (1999) 357; F. N. Fritsch and
    J. Butland, SIAM J. Sci. Stat. Comput. 5 (1984) 300, for the cubics.
    """

    def __init__(
        self,
        mass: Any,
        histograms: Mapping[float, Any],
        obs: Any,
        *,
        extended: Any = None,
        norm: Any = None,
        name: str | None = None,
        label: str | None = None,
    ) -> None:
        if len(histograms) < 2:
            raise InputError("Template: give histograms of at least two masses")
        self.histograms = dict(histograms)
        masses = sorted(histograms)
        known = [quantiles(histograms[m], f"histogram at {m:.6g} GeV") for m in masses]
        self._masses = np.array(masses, float)
        self._knots = np.array([_knots(*each) for each in known])
        super().__init__(
            obs=obs,
            params={"mass": mass},
            extended=extended,
            norm=norm,
            name="Template" if name is None else name,
            label=label,
        )

    def _shape(self, x: tf.Tensor, mass: tf.Tensor) -> tf.Tensor:
        return _piece(x, self._at(mass))[0]

    def _integral(self, lower: tf.Tensor, upper: tf.Tensor, mass: tf.Tensor) -> tf.Tensor:
        knots = self._at(mass)
        return _piece(upper, knots)[1] - _piece(lower, knots)[1]

    def _at(self, mass: tf.Tensor) -> tf.Tensor:
        """The quantiles at a mass."""
        left = tf.reduce_sum(tf.cast(mass >= self._masses[1:-1], tf.int32))
        below, above = (tf.gather(self._masses, i) for i in (left, left + 1))
        share = (mass - below) / (above - below)
        share = tf.where((share >= 0.0) & (share <= 1.0), share, np.nan)
        first, second = (tf.gather(self._knots, i) for i in (left, left + 1))
        return (1.0 - share) * first + share * second


def _piece(x: tf.Tensor, knots: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Density and cumulative probability at x of the monotone cubic through the quantiles."""
    flat = tf.reshape(x, [-1])
    slopes = _slopes(knots)
    left = tf.clip_by_value(tf.searchsorted(knots, flat, side="right") - 1, 0, knots.shape[0] - 2)
    start, stop = tf.gather(knots, left), tf.gather(knots, left + 1)
    low, high = tf.gather(_LEVELS, left), tf.gather(_LEVELS, left + 1)
    first, last = tf.gather(slopes, left), tf.gather(slopes, left + 1)
    width = stop - start
    t = tf.clip_by_value((flat - start) / width, 0.0, 1.0)
    rise = high - low
    below = low + t * t * (3.0 - 2.0 * t) * rise
    below += width * t * (1.0 - t) * (first * (1.0 - t) - last * t)
    density = 6.0 * t * (1.0 - t) * rise / width
    density += (1.0 - t) * (1.0 - 3.0 * t) * first + t * (3.0 * t - 2.0) * last
    inside = (flat >= start) & (flat < stop)
    # not negative, whatever the rounding
    density = tf.where(inside, tf.maximum(density, 0.0), 0.0)
    return tf.reshape(density, tf.shape(x)), tf.reshape(below, tf.shape(x))


def _slopes(knots: tf.Tensor) -> tf.Tensor:
    """Density at the quantiles: a harmonic mean of those on both sides, 0 at the ends."""
    width = knots[1:] - knots[:-1]
    mean = np.diff(_LEVELS) / width
    near, far = 2.0 * width[1:] + width[:-1], width[1:] + 2.0 * width[:-1]
    return tf.pad((near + far) / (near / mean[:-1] + far / mean[1:]), [[1, 1]])


class _TemplateRepr(BasePDFRepr):
    _implementation = Template
    hs3_type: Literal["zfit_dark.Template"] = pydantic.Field("zfit_dark.Template", alias="type")
    x: SpaceRepr
    mass: Serializer.types.ParamTypeDiscriminated
    histograms: list[tuple[float, list[float], list[float]]]
    """Mass, edges and contents of the bins of each."""

    @pydantic.validator("histograms", pre=True)
    def _numbers(cls, histograms: Any) -> list[Any]:  # noqa: N805 (a class method for pydantic)
        if not isinstance(histograms, Mapping):
            return list(histograms)
        return [
            (mass, np.asarray(each.axes[0].edges).tolist(), np.asarray(each.values()).tolist())
            for mass, each in histograms.items()
        ]

    def _to_orm(self, init: dict[str, Any]) -> Any:
        histograms = {}
        for mass, edges, counts in init["histograms"]:
            histograms[mass] = bh.Histogram(bh.axis.Variable(edges))
            histograms[mass].values()[:] = counts
        return super()._to_orm(init | {"histograms": histograms})
