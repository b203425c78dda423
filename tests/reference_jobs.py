"""The two reference jobs on plain zfit models: one channel, and four that share a signal.

Pseudo-data of a fixed seed in [0.3, 0.7] GeV without a signal. The limits in ``reference/`` belong
to it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

LOW, HIGH = 0.3, 0.7
NAMES = ("Kp", "KS", "Kst0", "Kstp")
EVENTS = (5000, 1500, 2500, 1000)
SLOPES = ((-0.45, 0.08), (-0.30, 0.02), (0.10, -0.10), (-0.60, 0.12))
SIGNAL_PER_POI = (1.0, 0.3, 0.55, 0.2)
UNCERTAINTY = 0.05
SHAPE = {"sigma": 0.008, "alphal": 1.2, "nl": 3.0, "alphar": 1.5, "nr": 4.0}


class Job(NamedTuple):
    loss: Any
    poi: Any
    mass: Any


def pseudo_data() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Candidates of the one-channel job and of each of the four channels."""
    rng = np.random.default_rng(20240917)

    def draw(n: int, a1: float, a2: float) -> np.ndarray:
        top, out = 1 + abs(a1) + abs(a2), np.empty(0)
        while out.size < n:
            x, u = rng.uniform(LOW, HIGH, 4 * n), rng.uniform(0, top, 4 * n)
            t = 2 * (x - LOW) / (HIGH - LOW) - 1
            out = np.concatenate([out, x[u < 1 + a1 * t + a2 * (2 * t * t - 1)]])
        return out[:n]

    one = draw(5000, -0.45, 0.08)
    return one, {
        name: draw(n, *slopes) for name, n, slopes in zip(NAMES, EVENTS, SLOPES, strict=True)
    }


def limits(job: str) -> np.ndarray:
    """Reference limits, rows of mass, observed and five expected."""
    path = Path(__file__).parent / "reference" / f"limits_{job}.json"
    return np.array(json.loads(path.read_text())["limits"])


def one_channel(double_cb: Any = None) -> Job:
    """5000 events, a signal yield, three background parameters."""
    import zfit

    double_cb = zfit.pdf.DoubleCB if double_cb is None else double_cb
    obs = zfit.Space("x", LOW, HIGH)
    mass = zfit.Parameter("one_mass", 0.45, floating=False)
    n_sig = zfit.Parameter("one_n_sig", 1.0, 0, 400)
    n_bkg = zfit.Parameter("one_n_bkg", 5000.0, 0, 20000)
    coefficients = [zfit.Parameter(f"one_a{i}", a, -2, 2) for i, a in ((1, -0.4), (2, 0.05))]
    model = zfit.pdf.SumPDF(
        [
            double_cb(mass, *SHAPE.values(), obs=obs, extended=n_sig),
            zfit.pdf.Chebyshev(obs, coefficients, extended=n_bkg),
        ]
    )
    data = zfit.Data.from_numpy(obs=obs, array=pseudo_data()[0])
    return Job(zfit.loss.ExtendedUnbinnedNLL(model, data), n_sig, mass)


def four_channels() -> Job:
    """10 000 events in four channels, 17 parameters, one signal strength."""
    import zfit

    obs = zfit.Space("x", LOW, HIGH)
    mass = zfit.Parameter("four_mass", 0.45, floating=False)
    poi = zfit.Parameter("four_bf", 1.0, 0, 400)
    models, data, thetas = [], [], []
    candidates = pseudo_data()[1]
    for name, n, slopes, per_poi in zip(NAMES, EVENTS, SLOPES, SIGNAL_PER_POI, strict=True):
        thetas.append(zfit.Parameter(f"theta_{name}", 0.0, -5, 5))
        n_bkg = zfit.Parameter(f"n_bkg_{name}", float(n), 0, 20000)
        coefficients = [
            zfit.Parameter(f"a{i}_{name}", a, -2, 2) for i, a in enumerate(slopes, start=1)
        ]
        n_sig = zfit.ComposedParameter(
            f"n_sig_{name}",
            lambda p, per_poi=per_poi: p["poi"] * per_poi * (1 + UNCERTAINTY * p["theta"]),
            params={"poi": poi, "theta": thetas[-1]},
            unpack_params=False,
        )
        models.append(
            zfit.pdf.SumPDF(
                [
                    zfit.pdf.DoubleCB(mass, *SHAPE.values(), obs=obs, extended=n_sig),
                    zfit.pdf.Chebyshev(obs, coefficients, extended=n_bkg),
                ]
            )
        )
        data.append(zfit.Data.from_numpy(obs=obs, array=candidates[name]))
    constraint = zfit.constraint.GaussianConstraint(thetas, observation=[0.0] * 4, sigma=[1.0] * 4)
    loss = zfit.loss.ExtendedUnbinnedNLL(models, data, constraints=constraint)
    return Job(loss, poi, mass)
