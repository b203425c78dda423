"""One polynomial of Bernstein's basis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from zfit_dark.errors import InputError
from zfit_dark.pdf._closed_form import ClosedFormPDF
from zfit_dark.pdf._functor import bounds

__all__ = ["BernsteinTerm"]


class BernsteinTerm(ClosedFormPDF):
    r"""A polynomial of Bernstein's basis, of fixed shape.

    .. math:: f(x) = \binom{n}{i}\, t^i (1 - t)^{n - i}, \qquad t = \frac{x - a}{b - a}

    between the limits a and b of the observable. `zfit.pdf.Bernstein` with a coefficient of 1 for
    this term, and 0 for the others, has the same shape; this one is a few operations of a compiled
    program where that one is hundreds, most of them for its integral.

    Args:
        i: the term, from 0 to n.
        n: the order of the basis.
        obs: the observable with its limits (one dimension).
        extended: yield, the expected events in the normalisation range; none by default.
        norm: normalisation range; the space of `obs` by default.
        name: name of the PDF.
        label: name for humans.

    Raises:
        InputError: if there is no such term.
    """

    def __init__(
        self,
        i: int,
        n: int,
        obs: Any,
        *,
        extended: Any = None,
        norm: Any = None,
        name: str | None = None,
        label: str | None = None,
    ) -> None:
        if not 0 <= i <= n:
            raise InputError(f"term {i} of Bernstein's basis of order {n}: give one from 0 to {n}")
        self._powers = i, n - i
        self._ends = bounds(obs)
        # exact for polynomials up to twice as many, less one
        self._nodes, self._weights = np.polynomial.legendre.leggauss(n // 2 + 1)
        super().__init__(
            obs=obs,
            params={},
            extended=extended,
            norm=norm,
            name=f"BernsteinTerm_{i}_{n}" if name is None else name,
            label=label,
        )

    def _shape(self, x: tf.Tensor) -> tf.Tensor:
        i, rest = self._powers
        t = (x - self._ends[0]) / (self._ends[1] - self._ends[0])
        return math.comb(i + rest, i) * _power(t, i) * _power(1.0 - t, rest)

    def _integral(self, lower: tf.Tensor, upper: tf.Tensor) -> tf.Tensor:
        half = 0.5 * (upper - lower)
        x = 0.5 * (lower + upper)[..., tf.newaxis] + half[..., tf.newaxis] * self._nodes
        return half * tf.reduce_sum(self._weights * self._shape(x), axis=-1)


def _power(t: tf.Tensor, exponent: int) -> tf.Tensor:
    """A power without a logarithm: 0 to the power of 0 is 1."""
    found = tf.ones_like(t)
    for _ in range(exponent):
        found = found * t
    return found
