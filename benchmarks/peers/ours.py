"""zfit_dark on the same plain zfit models."""

from __future__ import annotations

from common import reference_jobs as job_of

import zfit_dark
from zfit_dark import upper_limit

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


def version() -> str:
    """Of zfit_dark itself."""
    return zfit_dark.__version__
