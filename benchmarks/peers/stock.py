"""zfit and hepstats alone, a scan of 20 points as their tutorials do it, on the same zfit models.

At its best: the scan ends just above the largest limit, which is known beforehand.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import zfit
from common import reference_jobs as job_of
from common import scan_end
from hepstats.hypotests import UpperLimit
from hepstats.hypotests.calculators import AsymptoticCalculator, FrequentistCalculator
from hepstats.hypotests.parameters import POI, POIarray
from scipy.interpolate import splrep, sproot

from peers import experiment

NAME = "stock zfit + hepstats"
PACKAGES = ("zfit", "hepstats", "tensorflow", "numpy")
POINTS = 20
ASIMOV_BINS = 400
ALPHA = 0.05
_KEYS = ("cls", "expected_m2", "expected_m1", "expected", "expected_p1", "expected_p2")


class Limits:
    """Limits of a job, "one" or "four"."""

    def __init__(self, job: str) -> None:
        self._job = job
        self._model = job_of.one_channel() if job == "one" else job_of.four_channels()

    def warm_up(self, mass: float) -> None:
        """Two points of a scan: a whole one takes minutes."""
        self._scan(mass, 2)[0].pvalues(CLs=True)

    def __call__(self, mass: float) -> list[float]:
        """Limits at a mass: observed, and at -2, -1, 0, +1, +2 sigma."""
        upper_limit, best = self._scan(mass, POINTS)
        found = upper_limit.upperlimit(alpha=ALPHA, CLs=True, printlevel=0)
        names = ("observed", *_KEYS[1:])
        if all(found[name] is not None for name in names):
            return [found[name] for name in names]
        return _from_p_values(upper_limit, best)  # its own root is lost under numpy >= 2.4

    def _scan(self, mass: float, points: int) -> tuple[UpperLimit, float]:
        """A scan that has yet to be made, and the best fit."""
        loss, poi, mass_parameter = self._model
        mass_parameter.set_value(mass)
        minimizer = zfit.minimize.Minuit()
        bins = [ASIMOV_BINS] * len(loss.model)
        calculator = AsymptoticCalculator(
            loss, minimizer, asimov_bins=bins[0] if len(bins) == 1 else bins
        )
        calculator.bestfit = minimizer.minimize(loss)
        values = np.linspace(0, scan_end(self._job, mass), points)
        upper_limit = UpperLimit(calculator, POIarray(poi, values), POI(poi, 0), qtilde=True)
        return upper_limit, calculator.bestfit.params[poi]["value"]


class Toys:
    """Toys of a job, "one" or "window".

    hepstats draws the number of events once for all toys, and evaluates the best fit once more.
    """

    def __init__(self, job: str) -> None:
        np.random.seed(1)  # noqa: NPY002 (that is what hepstats draws with)
        zfit.settings.set_seed(1)
        loss, poi = experiment.zfit_loss(job)
        self._calculator = _Calculator(loss, zfit.minimize.Minuit())
        self._drawn, self._tested = POI(poi, 0.0), POIarray(poi, [experiment.tested(job)])

    def __call__(self, number: int) -> tuple[np.ndarray, ...]:
        """Fits of so many new toys: best signal, NLL there, NLL at the tested signal."""
        self._calculator.generate_and_fit_toys(number, self._drawn, self._tested)
        found = self._calculator.get_toyresult(self._drawn, self._tested)
        rows = (found.bestfit, found.nll_bestfit, found.nlls[self._tested[0]])
        return tuple(row[-number:] for row in rows)


class _Calculator(FrequentistCalculator):
    """At its best: the likelihood of toys is built and compiled once, not for each call."""

    @cache  # noqa: B019 (there is one calculator, and it lives as long as the process)
    def toys_loss(self, parameter_name: str) -> Any:
        return super().toys_loss(parameter_name)


def _from_p_values(upper_limit: UpperLimit, best: float) -> list[float]:
    """Where the p-values cross, by the same spline as in hepstats; nothing is fitted again."""
    p_values, values = upper_limit.pvalues(CLs=True), upper_limit.poinull.values
    crossings = []
    for key in _KEYS:
        used = values >= best if key == "cls" else np.full(values.shape, True)
        roots = sproot(splrep(values[used], p_values[key][used] - ALPHA, s=0))
        crossings.append(float(roots[0]) if len(roots) else np.nan)
    return crossings
