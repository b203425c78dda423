"""The pseudo-experiments of ``toys.py``: what is drawn and what is tested.

They are those of the one-channel reference job at a mass, drawn without signal from the fit without
signal. "one" has the candidates of that job, "window" only some of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from common import reference_at
from common import reference_jobs as job_of
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MASS = 0.5
EVENTS = {"one": 5000, "window": 40}
"""Expected events."""


class Background(NamedTuple):
    """What the toys are drawn from.

    Attributes:
        events: expected.
        a1, a2: coefficients of the Chebyshev polynomials.
    """

    events: float
    a1: float
    a2: float


def candidates(job: str) -> FloatArray:
    """Those of the one-channel job, in order; in the window evenly chosen ones of them."""
    x = np.sort(job_of.pseudo_data()[0])
    step = len(x) // EVENTS[job]
    return x[step // 2 :: step]


def tested(job: str) -> float:
    """Signal events of the conditional fit: about the median expected limit.

    That of the one-channel reference job; the window has the part of it that the square root of the
    number of events says.
    """
    return float(reference_at("one", MASS)[3] * np.sqrt(EVENTS[job] / EVENTS["one"]))


def background(job: str) -> Background:
    """The fit without signal, by Newton's method; the density is linear in c0 + c1 T1 + c2 T2."""
    width = job_of.HIGH - job_of.LOW
    t = 2 * (candidates(job) - job_of.LOW) / width - 1
    basis = np.stack([np.ones_like(t), t, 2 * t * t - 1])
    integrals = width * np.array([1.0, 0.0, -1 / 3])
    c = np.array([len(t) / width, 0.0, 0.0])
    for _ in range(20):
        ratio = basis / (c @ basis)
        c += np.linalg.solve(ratio @ ratio.T, ratio.sum(axis=1) - integrals)
    return Background(float(c @ integrals), *(c[1:] / c[0]))


def zfit_loss(job: str) -> tuple[Any, Any]:
    """The loss of a job at the mass, all parameters at what is drawn, and the signal yield."""
    import zfit

    loss, poi, mass = job_of.one_channel()
    model = loss.model[0]
    data = zfit.Data.from_numpy(obs=model.space, array=candidates(job))
    loss = zfit.loss.ExtendedUnbinnedNLL(model, data)
    events, a1, a2 = background(job)
    values = {"one_n_bkg": events, "one_a1": a1, "one_a2": a2, poi.name: 0.0, mass.name: MASS}
    for parameter in loss.get_params(floating=None):
        if parameter.name in values:
            parameter.set_value(values[parameter.name])
    return loss, poi
