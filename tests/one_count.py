"""One count whose background is known, as a zfit loss, and how often its limits cover the signal.

A limit covers a signal s with the probability of those counts whose limit is not below s: a sum, no
toys. Between two limits it grows with s, as larger counts become likelier, so that it is smallest
just above a limit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import zfit
from scipy.stats import poisson

import zfit_dark as zd
from zfit_dark.counting import Count, exact_limit

REACH = {0.05: 12.0, 0.5: 12.0, 3.0: 14.0, 30.0: 30.0}
"""Backgrounds, and the signals that coverage is looked at up to."""

RARE = 1e-4
"""Counts this improbable without a signal are taken as not covering, whatever their limit."""


class OneCount:
    """A loss that is compiled once: count and background can be changed.

    Args:
        name: of its parameters.
    """

    def __init__(self, name: str) -> None:
        self._space = zfit.Space(name, binning=zfit.binned.RegularBinning(1, 0, 1, name=name))
        self.s = zfit.Parameter(f"{name}_s", 1.0, 0, 1000)
        self.b = zfit.Parameter(f"{name}_b", 1.0, floating=False)
        one = self._counted(1)
        parts = [zfit.pdf.HistogramPDF(one, extended=each) for each in (self.s, self.b)]
        self.loss = zfit.loss.ExtendedBinnedNLL(zfit.pdf.BinnedSumPDF(parts), one)

    def _counted(self, n: int) -> Any:
        return zfit.data.BinnedData.from_tensor(self._space, values=np.array([float(n)]))

    def limit(self, n: int, b: float, **how: Any) -> zd.Limit:
        """The limit of a count; ``how`` is that of ``upper_limit``."""
        self.loss._data = type(self.loss._data)([self._counted(n)])
        self.b.set_value(b)
        self.s.set_value(1.0)
        return zd.upper_limit(self.loss, self.s, **how)


def likely(b: float) -> int:
    """The smallest count that is not rare without a signal."""
    return int(poisson.ppf(RARE, b))


def up_to(reach: float, first: int, limit: Callable[[int], Any]) -> list[Any]:
    """Limits of a count, of the next larger one and so on, until one is beyond reach."""
    found = [limit(first)]
    while not found[-1].observed > reach:
        found.append(limit(first + len(found)))
    return found


def coverage(s: Any, b: float, limits: Any, first: int = 0) -> np.ndarray:
    """How often a limit is not below the signal.

    Args:
        s: signals, any shape.
        b: background.
        limits: of counts from ``first`` on; those of larger counts are beyond all signals.
        first: smaller counts are taken as not covering.
    """
    s = np.asarray(s, float)
    missed = poisson.cdf(first - 1, s + b)
    for n, limit in enumerate(limits, first):
        missed = missed + poisson.pmf(n, s + b) * (limit < s)
    return 1 - missed


def just_above(limits: Any) -> np.ndarray:
    """Where coverage is smallest, but for the last limit."""
    return np.asarray(limits)[:-1] * (1 + 1e-9)


def limits_with_sideband(
    b: float, tau: float, reach: float, rare: float = 1e-7
) -> dict[int, list[float]]:
    """Exact limits up to beyond a signal, by the count of the sideband.

    Counts of the sideband as improbable as ``rare``, on both sides, are left out.
    """
    off = range(int(poisson.ppf(rare, tau * b)), int(poisson.isf(rare, tau * b)) + 1)

    def observed(m: int) -> list[float]:
        found = up_to(reach, 0, lambda n: exact_limit([Count(n, 1.0, off=m, tau=tau)]))
        return [each.observed for each in found]

    return {m: observed(m) for m in off}


def coverage_with_sideband(
    signals: np.ndarray, b: float, tau: float, limits: dict[int, list[float]]
) -> np.ndarray:
    """How often limits are not below signals: sums over both counts.

    Counts of the sideband without limits are taken as not covering.
    """
    return sum(poisson.pmf(m, tau * b) * coverage(signals, b, each) for m, each in limits.items())
