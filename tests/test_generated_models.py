"""Any zfit loss: the compiled likelihood, its slopes and its minimum are those of zfit.

The models are combinations of shapes, channels, a shared signal, constraints, holes and weights.
Every shape and every other choice is in one of them at least.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import zfit

import zfit_dark as zd
from zfit_dark.profile import CompiledLoss

OBS = zfit.Space("generated_x", 0.0, 2.0)
HOLE = (1.1, 1.3)
_COUNT = iter(range(10_000))

pytestmark = pytest.mark.slow  # each model is compiled by us and by zfit


def parameter(value, lower=None, upper=None):
    return zfit.Parameter(f"generated_p{next(_COUNT)}", value, lower, upper)


def peaks(mu, sigma):
    return {
        "BifurGauss": lambda **k: zfit.pdf.BifurGauss(mu, sigma, 0.15, **k),
        "Voigt": lambda **k: zfit.pdf.Voigt(mu, sigma, 0.05, **k),
        "CrystalBall": lambda **k: zd.pdf.CrystalBall(mu, sigma, 1.2, 3.0, **k),
        "DoubleCB": lambda **k: zd.pdf.DoubleCB(mu, sigma, 1.2, 3.0, 1.5, 4.0, **k),
        "zfit's DoubleCB": lambda **k: zfit.pdf.DoubleCB(mu, sigma, 1.2, 3.0, 1.5, 4.0, **k),
    }


def slopes():
    return {
        "Exponential": lambda **k: zfit.pdf.Exponential(parameter(-0.8, -5, 3), **k),
        "Chebyshev": lambda **k: zfit.pdf.Chebyshev(
            coeffs=[parameter(-0.3, -1, 1), parameter(0.05, -0.5, 0.5)], **k
        ),
        "Legendre": lambda **k: zfit.pdf.Legendre(coeffs=[parameter(-0.2, -1, 1)], **k),
        "Bernstein": lambda **k: zfit.pdf.Bernstein(
            coeffs=[1.0, parameter(0.8, 0.05, 5.0), parameter(0.5, 0.05, 5.0)], **k
        ),
        "Threshold": lambda **k: zd.pdf.Threshold(-0.1, 0.7, parameter(-1.5, -6, 0), **k),
    }


@dataclass(frozen=True)
class Recipe:
    """What a loss is made of; a channel for each peak and its slope."""

    peaks: tuple[str, ...]
    slopes: tuple[str, ...]
    moving: bool = False
    hole: bool = False
    weighted: bool = False
    constrained: bool = False
    extended: bool = True
    seed: int = 0


RECIPES = [
    Recipe(("BifurGauss",), ("Exponential",), hole=True, weighted=True, seed=2),
    Recipe(("Voigt",), ("Threshold",), moving=True, constrained=True, seed=3),
    Recipe(("CrystalBall",), ("Chebyshev",), moving=True, weighted=True, extended=False, seed=4),
    Recipe(("DoubleCB",), ("Legendre",), hole=True, extended=False, seed=5),
    Recipe(
        ("DoubleCB", "zfit's DoubleCB"), ("Chebyshev", "Bernstein"), moving=True, hole=True, seed=8
    ),
]


def made(recipe):
    rng = np.random.default_rng(recipe.seed)
    mu = parameter(0.62, 0.4, 0.8) if recipe.moving else 0.6
    strength = parameter(60.0, -50, 500)
    theta = parameter(0.1, -5, 5)
    models, data = [], []
    for peak, slope in zip(recipe.peaks, recipe.slopes, strict=True):
        per_unit = rng.uniform(0.5, 1.5)
        scaled = zfit.ComposedParameter(
            f"generated_yield{next(_COUNT)}",
            lambda p, per_unit=per_unit: p["mu"] * per_unit * 1.08 ** p["theta"],
            params={"mu": strength, "theta": theta},
            unpack_params=False,
        )
        signal, background = peaks(mu, 0.08)[peak](obs=OBS), slopes()[slope](obs=OBS)
        if recipe.hole:
            signal, background = (zd.pdf.Vetoed(p, [HOLE]) for p in (signal, background))
        if recipe.extended:
            signal = (
                signal.create_extended(scaled)
                if not recipe.hole
                else zd.pdf.Vetoed(signal.pdfs[0], [HOLE], extended=scaled)
            )
            events = parameter(250.0, 0, 5000)
            background = (
                zd.pdf.Vetoed(background.pdfs[0], [HOLE], extended=events)
                if recipe.hole
                else slopes()[slope](obs=OBS, extended=events)
            )
            models.append(zfit.pdf.SumPDF([signal, background]))
        else:
            models.append(zfit.pdf.SumPDF([signal, background], fracs=parameter(0.2, 0.0, 1.0)))
        x = np.concatenate([rng.normal(0.6, 0.08, 60), rng.triangular(0, 0.2, 2, 250)])
        x = x[(x > 0) & (x < 2) & ~(recipe.hole & (x > HOLE[0]) & (x < HOLE[1]))]
        weights = rng.uniform(0.5, 1.5, x.size) if recipe.weighted else None
        data.append(zfit.Data.from_numpy(obs=OBS, array=x, weights=weights))
    constraints = None
    if recipe.extended:  # else nothing depends on it
        constraints = [zfit.constraint.GaussianConstraint(theta, observation=0.0, sigma=1.0)]
        if recipe.constrained and recipe.moving:
            constraints.append(zfit.constraint.GaussianConstraint(mu, observation=0.61, sigma=0.01))
    kind = zfit.loss.ExtendedUnbinnedNLL if recipe.extended else zfit.loss.UnbinnedNLL
    return kind(models, data, constraints=constraints)


@pytest.fixture(autouse=True)
def memory_given_back() -> Iterator[None]:
    """Graphs refer to themselves: without this, those of all models stay until the end."""
    yield
    gc.collect()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: ", ".join(r.peaks + r.slopes))
def test_value_slopes_and_minimum_are_those_of_zfit(recipe):
    loss = made(recipe)
    ours = CompiledLoss(loss)
    sample, values = ours.observed(), ours.values()
    rng = np.random.default_rng(recipe.seed + 1)
    rows = values + rng.normal(0, 0.03, (3, len(values))) * np.maximum(np.abs(values), 0.1)
    value, gradient, _ = ours.evaluate(rows, sample)
    theirs, their_slopes = [], []
    for row in rows:
        with zfit.param.set_values(ours.parameters, row):
            theirs.append(float(loss.value(full=True)))
            their_slopes.append(np.asarray(loss.gradient(ours.parameters, numgrad=False)))
    with zfit.param.set_values(ours.parameters, rows[-1]):
        bend = np.asarray(loss.hessian(ours.parameters, hessian="zfit"))
    # up to a constant of the data; relative to the size of the terms that are added up
    size = np.abs(theirs).max()
    np.testing.assert_allclose(np.diff(value), np.diff(theirs), rtol=0, atol=1e-9 * size)
    error = 1 / np.sqrt(np.abs(np.diag(bend)))
    np.testing.assert_allclose(
        gradient * error, np.array(their_slopes) * error, rtol=1e-9, atol=1e-9 * size
    )
    scale = np.outer(error, error)
    found = ours.hessian(rows[-1], sample)
    np.testing.assert_allclose(found * scale, bend * scale, rtol=0, atol=1e-9)

    minimum = ours.fit(sample, values[None], np.ones((1, len(values)), bool))
    assert minimum.converged.all()
    best = minimum.theta[0]
    with zfit.param.set_values(ours.parameters, best):
        slope = np.asarray(loss.gradient(ours.parameters, numgrad=False))
        bend = np.asarray(loss.hessian(ours.parameters, hessian="zfit"))
    inside = (best > ours.lower) & (best < ours.upper)
    assert (slope[best <= ours.lower] >= 0).all()
    assert (slope[best >= ours.upper] <= 0).all()
    # zfit's own distance to its minimum: half the square of a thousandth of the uncertainty
    to_go = np.linalg.solve(bend[np.ix_(inside, inside)], slope[inside])
    assert 0.5 * slope[inside] @ to_go < 5e-7
    assert np.linalg.eigvalsh(bend[np.ix_(inside, inside)])[0] > 0
