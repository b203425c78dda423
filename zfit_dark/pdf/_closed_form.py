"""PDFs whose shape and integral are functions of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from zfit import supports, z
from zfit.pdf import BasePDF

from zfit_dark.pdf._space import tensor_space


class ClosedFormPDF(BasePDF):
    """A PDF of one observable, from its shape and the integral of that.

    Both are static or other methods of a concrete PDF: functions of x, and of a lower and an upper
    limit, and of the parameters by name; they broadcast.
    """

    _N_OBS = 1
    _shape: Callable[..., tf.Tensor]
    _integral: Callable[..., tf.Tensor]

    def integral_between(self, lower: tf.Tensor, upper: tf.Tensor) -> tf.Tensor:
        """Integral of the shape from `lower` to `upper`, elementwise."""
        params = {name: tf.convert_to_tensor(p, tf.float64) for name, p in self.params.items()}
        return self._integral(lower, upper, **params)

    @supports(norm=False)
    def _pdf(self, x: Any, norm: Any, params: dict[str, tf.Tensor]) -> tf.Tensor:
        del norm
        return self._shape(z.unstack_x(x), **params)

    # Not `register_analytic_integral`: what is registered zfit does not find for a binned space,
    # and normalises a binned PDF with a numerical integral that can miss a narrow peak.
    @supports(norm=False)
    def _analytic_integrate(self, limits: Any, norm: Any) -> tf.Tensor:
        del norm
        return self.integral_between(*limits.v1.limits)


def integrals(pdf: Any, starts: tf.Tensor, stops: tf.Tensor) -> tf.Tensor:
    """Analytic integrals of a PDF of one observable, not normalised, over several ranges.

    Args:
        pdf: any zfit PDF that has an analytic integral.
        starts: where the ranges begin, one dimension.
        stops: where they end, not before.

    Returns:
        The integrals, of the shape of `starts`.
    """
    if hasattr(pdf, "integral_between"):
        found: tf.Tensor = pdf.integral_between(starts, stops)
        return found
    return tf.vectorized_map(
        lambda limits: pdf.analytic_integrate(tensor_space(pdf.obs, *limits), norm=False)[0],
        (starts, stops),
    )
