"""Templates between simulated masses: closure where the shape in between is known."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import hist
import hypothesis.strategies as st
import numpy as np
import pytest
import zfit
from hypothesis import given, settings
from scipy import stats
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq

from zfit_dark.errors import InputError
from zfit_dark.pdf import Novosibirsk, Template, Voigt
from zfit_dark.signal_shape import SignalShape

MASSES = (0.5, 1.0, 2.0)


def filled(edges: Any, counts: Any) -> hist.Hist:
    axis = hist.axis.Variable(edges, underflow=False, overflow=False)
    histogram = hist.Hist(axis)
    histogram[...] = np.asarray(counts, float)
    return histogram


def of(distribution: Any, bins: int, low: float, high: float) -> hist.Hist:
    """Without fluctuations, cut at the ends."""
    edges = np.linspace(low, high, bins + 1)
    return filled(edges, np.diff(distribution.cdf(edges)))


def width(mass: float) -> float:
    return 0.005 + 0.01 * mass


def gauss(mass: float, bins: int = 120) -> hist.Hist:
    return of(stats.norm(mass, width(mass)), bins, mass - 6 * width(mass), mass + 6 * width(mass))


@pytest.fixture(scope="module")
def obs():
    return zfit.Space("mass", 0.0, 3.0)


@pytest.fixture(scope="module")
def mass():
    return zfit.Parameter("mass", 1.0, floating=False)


@pytest.fixture(scope="module")
def template(mass, obs):
    return Template(mass, {m: gauss(m) for m in MASSES}, obs)


def between(pdf: Any, edges: Any) -> np.ndarray:
    return np.array([pdf.integrate(edge, norm=False).numpy()[0] for edge in pairwise(edges)])


@pytest.mark.parametrize("at", [0.5, 0.55, 0.71, 1.0, 1.3, 1.999, 2.0])
def test_closure_of_a_family_of_gaussians(template, mass, at):
    """Position and width are linear in the mass: the quantiles move as they should."""
    mass.assign(at)
    edges = at + width(at) * np.array([-6.0, -3.0, -0.5, 0.0, 0.25, 1.0, 6.0])
    expected = np.diff(stats.norm.cdf(edges, at, width(at)))
    np.testing.assert_allclose(between(template, edges), expected, atol=5e-5)
    # between the quantiles, as far as a cubic goes
    x = at + width(at) * np.array([-2.03, -0.6, 0.0, 0.13, 1.21])
    np.testing.assert_allclose(template.pdf(x), stats.norm.pdf(x, at, width(at)), rtol=2e-2)
    edges = at + width(at) * np.array([-6.0, -2.1, -0.6, 0.12, 1.37, 6.0])
    expected = np.diff(stats.norm.cdf(edges, at, width(at)))
    np.testing.assert_allclose(between(template, edges), expected, atol=5e-4)


def test_closure_of_another_binning(mass, obs):
    """Bins that differ from mass to mass cost little: the quantiles inside them are smooth."""
    template = Template(mass, {m: gauss(m, bins=80 + 7 * i) for i, m in enumerate(MASSES)}, obs)
    for at in (0.7, 1.6):
        mass.assign(at)
        edges = at + width(at) * np.array([-6.0, -2.0, -0.75, 0.25, 1.5, 6.0])
        expected = np.diff(stats.norm.cdf(edges, at, width(at)))
        np.testing.assert_allclose(between(template, edges), expected, atol=2e-4)


def test_closure_of_a_resolution_that_bends(mass, obs):
    """Neither linear nor symmetric: σ is then that of the chord, (Δm)²/8 σ'' too wide."""

    def asymmetric(m: float, scale: float) -> Any:
        return stats.skewnorm(4.0, loc=m - 0.01, scale=scale)

    simulated = {
        m: of(asymmetric(m, 0.01 + 0.01 * m**2), 800, m - 0.15, m + 0.25)
        for m in (0.8, 0.9, 1.0, 1.1, 1.2)
    }
    template = Template(mass, simulated, obs)
    mass.assign(0.95)
    edges = np.linspace(0.9, 1.05, 16)
    found, scale = between(template, edges), 0.01 + 0.01 * 0.95**2
    chord = asymmetric(0.95, scale + 0.1**2 / 8.0 * 0.02)
    np.testing.assert_allclose(found, np.diff(chord.cdf(edges)), atol=5e-4)
    # which is 0.13 % of the width: no bin of half a width is another 0.1 % of all events off
    np.testing.assert_allclose(found, np.diff(asymmetric(0.95, scale).cdf(edges)), atol=1.5e-3)


def test_quantiles_are_interpolated(mass, obs):
    """By root finding on scipy's cubics through both histograms, of different bins."""
    rng = np.random.default_rng(4)
    histograms = {
        0.5: filled(np.linspace(0.4, 0.6, 31), rng.poisson(9, 30) + 1),
        1.0: filled(np.sort(rng.uniform(0.8, 1.3, 26)), rng.poisson(30, 25) + 1),
    }
    template = Template(mass, histograms, obs)
    curves = []
    for histogram in histograms.values():
        edges = histogram.axes[0].edges
        below = np.append(0.0, np.cumsum(histogram.values())) / histogram.sum()
        curves.append((PchipInterpolator(edges, below), edges))
    levels = stats.norm.cdf([-2.0, -0.5, 0.0, 1.25, 3.0])
    low, high = (
        np.array([brentq(lambda x, u=u, c=c: c(x) - u, e[0], e[-1]) for u in levels])
        for c, e in curves
    )
    for at in (0.5, 0.61, 0.875, 1.0):
        mass.assign(at)
        share = (at - 0.5) / 0.5
        edges = [0.0, *((1.0 - share) * low + share * high)]
        np.testing.assert_allclose(np.cumsum(between(template, edges)), levels, atol=1e-4)


def test_density_is_the_derivative_and_continuous(mass, obs):
    rng = np.random.default_rng(6)
    histograms = {
        m: filled(gauss(m, 40).axes[0].edges, rng.poisson(3000 * gauss(m, 40).values()))
        for m in MASSES
    }
    template = Template(mass, histograms, obs)
    mass.assign(0.8)
    x, step = np.linspace(0.76, 0.84, 201), 1e-6
    slope = template.integral_between(x - step, x + step).numpy() / (2.0 * step)
    density = template.pdf(x).numpy()
    np.testing.assert_allclose(density, slope, rtol=1e-3, atol=1e-4)
    close = template.pdf(np.linspace(0.7, 0.9, 20_001)).numpy()
    assert np.abs(np.diff(close)).max() < 0.01 * close.max()


@pytest.mark.parametrize("at", [0.5, 0.97, 1.0, 1.03, 1.7])
def test_normalised_wherever_the_peak_is(mass, at):
    """Inside the range, on its edge, and outside, where the density is no number."""
    obs = zfit.Space("mass", 0.3, 1.0)
    template = Template(mass, {m: gauss(m) for m in MASSES}, obs, extended=100.0)
    mass.assign(at)
    inside = stats.norm.cdf(1.0, at, width(at))
    if inside < 1e-8:
        assert np.isnan(template.pdf([0.9]).numpy()).all()
        return
    x = at - 2.05 * width(at)
    expected = stats.norm.pdf(x, at, width(at)) / inside
    assert template.pdf([x]).numpy()[0] == pytest.approx(expected, rel=2e-2)
    counts = template.to_binned(obs.with_binning(7)).counts().numpy()
    shares = np.diff(stats.norm.cdf(np.linspace(0.3, 1.0, 8), at, width(at)))
    np.testing.assert_allclose(counts, 100.0 * shares / shares.sum(), atol=0.1)


def test_outside_the_simulated_masses_nothing_is_said(template, mass):
    for at in (0.499, 2.001):
        mass.assign(at)
        assert np.isnan(template.pdf([at]).numpy()).all()


counts = st.lists(st.integers(0, 50), min_size=1, max_size=12).filter(any)


@given(first=counts, second=counts, share=st.floats(0.0, 1.0))
@settings(max_examples=25, deadline=None)
def test_any_histogram_makes_a_distribution(first, second, share):
    template = Template(
        1.0 + share,
        {
            m: filled(np.linspace(m, m + 0.5, len(each) + 1), each)
            for m, each in ((1.0, first), (2.0, second))
        },
        zfit.Space("mass", 0.0, 3.0),
    )
    edges = np.linspace(0.9, 2.6, 18)
    inside = template.integral_between(edges[:-1], edges[1:]).numpy()
    assert inside.sum() == pytest.approx(1.0, rel=1e-9)
    assert (inside >= 0.0).all()
    density = template.pdf(np.linspace(0.9, 2.6, 50)).numpy()
    assert np.isfinite(density).all()
    assert (density >= 0.0).all()


def test_bad_histograms(obs):
    good = gauss(1.0)
    beyond = hist.Hist.new.Reg(10, 0.0, 1.0).Double().fill([0.5, 0.6, 1.2])
    plane = hist.Hist.new.Reg(4, 0, 1).Reg(4, 0, 1).Double()
    for bad, message in (
        (filled([0, 1, 2], [0, 0]), "not all 0"),
        (filled([0, 1, 2], [-1, 3]), "none of them negative"),
        (filled([0, 1, 2], [np.inf, 3]), "finite"),
        (plane, "has 2 axes"),
        (beyond, "1 events are outside its axis, 0 to 1"),
    ):
        with pytest.raises(InputError, match=rf"histogram at 0.5 GeV.*{message}"):
            Template(1.0, {0.5: bad, 1.0: good}, obs)
    with pytest.raises(InputError, match="at least two"):
        Template(1.0, {1.0: good}, obs)


def test_signal_shape_of_histograms(obs):
    shape = SignalShape.from_histograms({m: gauss(m) for m in MASSES}, source="a test")
    np.testing.assert_allclose(shape.sigma(MASSES), [width(m) for m in MASSES], rtol=2e-3)
    assert shape.parameters(1.0)["shift"] == pytest.approx(0.0, abs=1e-6)
    assert shape.status == "derived"
    pdf = shape.pdf(1.3, obs)
    assert isinstance(pdf, Template)
    edges = 1.3 + width(1.3) * np.array([-6.0, -1.0, 2.0, 6.0])
    expected = np.diff(stats.norm.cdf(edges, 1.3, width(1.3)))
    np.testing.assert_allclose(between(pdf, edges), expected, atol=5e-5)
    with pytest.raises(InputError, match="at least two masses"):
        SignalShape.from_histograms({1.0: gauss(1.0)}, source="a test")


def test_signal_shape_of_other_tables(obs):
    """Voigt and Novosibirsk from a table, at a mass between two of it and as it moves."""
    mass = zfit.Parameter("moving_mass", 0.8, floating=False)
    x = np.linspace(0.7, 0.9, 9)
    for column, kind in (("gamma", Voigt), ("lambd", Novosibirsk)):
        table = {"sigma": [0.01, 0.02], "shift": [0.0, 0.01], column: [0.1, 0.2]}
        shape = SignalShape([0.5, 1.5], table, source="a test", status="assumed")
        share = (0.8 - 0.5) / 1.0  # of two points the curve is a line
        point = (0.8 + 0.01 * share, 0.01 + 0.01 * share, 0.1 + 0.1 * share)
        expected = kind(*point, obs).pdf(x)
        np.testing.assert_allclose(shape.pdf(0.8, obs).pdf(x), expected, rtol=1e-12)
        moving = shape.pdf(mass, obs, name=f"signal_{column}")
        np.testing.assert_allclose(moving.pdf(x), expected, rtol=1e-12)
    with pytest.raises(InputError, match="'gamma' must be positive"):
        SignalShape([0.5, 1.5], {"sigma": [1, 1], "gamma": [0, 1]}, source="", status="read")
