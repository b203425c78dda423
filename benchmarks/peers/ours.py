"""zfit_dark on the same plain zfit models."""

from __future__ import annotations

from common import reference_jobs as job_of

import zfit_dark
from peers import experiment
from zfit_dark import toys, upper_limit
from zfit_dark.profile import compiled

NAME = "zfit_dark"
PACKAGES = ("zfit", "tensorflow", "numpy")


class Limits:
    """Limits of a job, "one" or "four"."""

    def __init__(self, job: str) -> None:
        self._model = job_of.one_channel() if job == "one" else job_of.four_channels()

    def __call__(self, mass: float) -> list[float]:
        """Limits at a mass: observed, and at -2, -1, 0, +1, +2 sigma."""
        loss, poi, mass_parameter = self._model
        mass_parameter.set_value(mass)
        limit = upper_limit(loss, poi=poi)
        if not limit.valid:
            raise RuntimeError(f"no valid limit at {mass} GeV: {'; '.join(limit.warnings)}")
        return [limit.observed, *limit.expected]


class Toys:
    """Toys of a job, "one" or "window"."""

    seed, threads = 1, 1

    def __init__(self, job: str) -> None:
        loss, self._poi = experiment.zfit_loss(job)
        self._tested, self._drawn = experiment.tested(job), 0
        self._ours = compiled(loss)
        self._recipe = toys.recipe(
            self._ours, self._ours.values(), self._poi, self._ours.observed()
        )

    def __call__(self, number: int) -> tuple[experiment.FloatArray, ...]:
        """Fits of so many new toys: best signal, NLL there, NLL at the tested signal."""
        numbers = range(self._drawn, self._drawn + number)
        self._drawn += number
        fits = toys.fitted(
            self._ours,
            self._recipe,
            self._poi,
            [self._tested],
            self._recipe.theta[None],
            numbers,
            self.seed,
            not_below=0.0,
            threads=self.threads,
        )
        return fits.best, fits.lowest, fits.values[:, 0]


class ToysOnTwoThreads(Toys):
    """Other toys of the same kind, by two threads."""

    seed, threads = 2, 2


def version() -> str:
    """Of zfit_dark itself."""
    return zfit_dark.__version__
