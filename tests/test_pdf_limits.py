"""Limits with the shapes of ``zfit_dark.pdf``, from the compiled likelihood and written out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import hist
import numpy as np
import pytest
import zfit
from iminuit import Minuit
from scipy import integrate, stats
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq

import zfit_dark as zd
from zfit_dark.channel import ShapeChannel, bernstein
from zfit_dark.signal_shape import SignalShape


class WrittenOut:
    """An extended likelihood of a signal and several background shapes, by iminuit.

    Args:
        densities: of signal and background at points, each normalised over the range, from the
            shape parameters.
        start: of the background's yields and shape parameters.
    """

    def __init__(self, densities: Callable[..., np.ndarray], start: list[float], yields: int):
        self.densities, self.start, self.yields = densities, start, yields

    def best(self, x: Any, weights: Any, mu: float | None) -> tuple[float, np.ndarray]:
        """-ln L and parameters at its minimum, for a fixed signal where one is given."""

        def value(theta: np.ndarray) -> float:
            events, shape = theta[: 1 + self.yields], theta[1 + self.yields :]
            density = events @ self.densities(x, *shape)
            if (density <= 0).any():
                return 1e10
            return float(events.sum() - weights @ np.log(density))

        minuit = Minuit(value, np.array([mu or 0.0, *self.start]))
        minuit.errordef, minuit.tol, minuit.strategy = Minuit.LIKELIHOOD, 1e-6, 2
        minuit.limits[1 : 1 + self.yields] = (0.0, None)
        minuit.fixed[0] = mu is not None
        minuit.migrad(ncall=100_000)
        assert minuit.valid
        return float(minuit.fval), np.array(minuit.values)

    def limit(self, x: np.ndarray, nodes: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
        """Observed limit and the expected one without a signal, at 95 %.

        Args:
            x: the data.
            nodes: points over the range to integrate with.
            weights: theirs.
        """
        ones = np.ones(x.size)
        best, found = self.best(x, ones, None)
        at_zero, null = self.best(x, ones, 0.0)
        if found[0] < 0.0:  # q tilde
            best = at_zero
        events, shape = null[: 1 + self.yields], null[1 + self.yields :]
        asimov = weights * (events @ self.densities(nodes, *shape))
        nodes, asimov = nodes[asimov > 0.0], asimov[asimov > 0.0]
        asimov_best, _ = self.best(nodes, asimov, 0.0)

        def excess(mu: float, *, data: bool) -> float:
            """log of CLs over 0.05; of the Asimov set itself without data."""
            qa = 2.0 * (self.best(nodes, asimov, mu)[0] - asimov_best)
            q = 2.0 * (self.best(x, ones, mu)[0] - best) if data else qa
            root, asimov_root = np.sqrt(max(q, 0.0)), np.sqrt(qa)
            if q > qa:
                clsb = stats.norm.sf(0.5 * (q + qa) / asimov_root)
                clb = stats.norm.sf(0.5 * (q - qa) / asimov_root)
            else:
                clsb, clb = stats.norm.sf(root), stats.norm.sf(root - asimov_root)
            return float(np.log(clsb / clb / 0.05))

        low, high = max(found[0], 0.0) + 1.0, max(found[0], 0.0) + 300.0
        observed = brentq(lambda mu: excess(mu, data=True), low, high, rtol=1e-6)
        return observed, brentq(lambda mu: excess(mu, data=False), 1.0, high, rtol=1e-6)


def panels(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.legendre.leggauss(8)
    middle, half = 0.5 * (edges[1:] + edges[:-1]), 0.5 * np.diff(edges)
    return (
        (middle[:, None] + half[:, None] * nodes).ravel(),
        (half[:, None] * weights).ravel(),
    )


def test_generalized_cb_on_argus() -> None:
    """With a free slope and power of the background, which ends inside the range."""
    low, high, m0 = 5.2, 5.3, 5.289
    peak = (5.2795, 0.0027, 1.3, 4.0, 0.0022, 1.8, 120.0)
    rng = np.random.default_rng(12)
    spectrum = m0 * np.sqrt(1.0 - rng.gamma(1.5, 1.0 / 25.0, 20_000))
    x = spectrum[spectrum > low][:1200]

    def signal(values: Any) -> Any:
        mu, sigmal, alphal, nl, sigmar, alphar, nr = peak
        t = (values - mu) / np.where(values < mu, sigmal, sigmar)
        alpha, n = np.where(t < 0, alphal, alphar), np.where(t < 0, nl, nr)
        tail = np.exp(-0.5 * alpha**2) * (1 + alpha / n * np.maximum(abs(t) - alpha, 0)) ** -n
        return np.where(abs(t) < alpha, np.exp(-0.5 * t**2), tail)

    edges = np.unique(np.concatenate([np.linspace(low, m0, 60), m0 - np.geomspace(1e-7, 1e-3, 12),
                                      np.linspace(m0, high, 12)]))  # fmt: skip
    nodes, weights = panels(edges)
    whole = weights @ signal(nodes)
    assert whole == pytest.approx(integrate.quad(signal, low, high, points=[5.2795])[0], rel=1e-4)

    def densities(values: np.ndarray, c: float, p: float) -> np.ndarray:
        def argus(v: np.ndarray) -> np.ndarray:
            y = np.maximum(1.0 - (v / m0) ** 2, 0.0)
            return v * y**p * np.exp(c * y)

        return np.array([signal(values) / whole, argus(values) / (weights @ argus(nodes))])

    written_out = WrittenOut(densities, [1200.0, -25.0, 0.5], yields=1)
    obs = zfit.Space("mbc", low, high)
    n_signal = zfit.Parameter("n_signal", 10.0)
    model = zfit.pdf.SumPDF(
        [
            zd.pdf.GeneralizedCB(*peak, obs, extended=n_signal),
            zd.pdf.Argus(
                m0,
                zfit.Parameter("c", -25.0, -200.0, 50.0),
                zfit.Parameter("p", 0.5, 0.01, 3.0),
                obs,
                extended=zfit.Parameter("n_background", 1200.0, 0.0, 1e5),
            ),
        ]
    )
    loss = zfit.loss.ExtendedUnbinnedNLL(model, zfit.Data.from_numpy(obs=obs, array=x))
    limit = zd.upper_limit(loss, poi=n_signal)
    assert limit.valid, limit
    observed, expected = written_out.limit(x, nodes, weights)
    assert limit.observed == pytest.approx(observed, rel=1e-3)
    assert limit.expected[2] == pytest.approx(expected, rel=1e-3)


def test_template_between_simulated_masses() -> None:
    """In a channel, at a simulated mass and between two: the shape there is known, a Gaussian."""

    def width(mass: float) -> float:
        return 0.004 + 0.01 * mass

    histograms = {}
    for mass in (0.4, 0.6, 0.8):
        axis = hist.axis.Regular(400, mass - 6 * width(mass), mass + 6 * width(mass))
        histograms[mass] = hist.Hist(axis)
        histograms[mass][...] = np.diff(stats.norm.cdf(axis.edges, mass, width(mass)))
    rng = np.random.default_rng(8)
    x = np.append(rng.uniform(0.3, 0.9, 600), rng.normal(0.5, width(0.5), 12))
    channel = ShapeChannel(
        "mode",
        data=x,
        limits=(0.3, 0.9),
        signal=SignalShape.from_histograms(histograms, source="a test"),
        signal_per_poi=1.0,
        background=bernstein(1),
    )
    likelihood = zd.Likelihood([channel], poi="events")
    nodes, weights = panels(np.linspace(0.3, 0.9, 101))
    z = np.array([-6.0, *np.arange(-4.0, 4.1, 0.25), 6.0])
    for mass in (0.5, 0.6):
        cubic = PchipInterpolator(mass + width(mass) * z, stats.norm.cdf(z)).derivative()
        template = partial(cubic, extrapolate=False)
        gaussian = partial(stats.norm.pdf, loc=mass, scale=width(mass))
        limit = zd.upper_limit(likelihood.move_to(mass))
        assert limit.valid, limit
        # the cubics through the quantiles are within 1 % of the Gaussian
        for peak, tolerance in ((template, 1e-3), (gaussian, 1e-2)):
            written_out = WrittenOut(partial(on_a_line, peak), [300.0, 300.0], yields=2)
            observed, expected = written_out.limit(x, nodes, weights)
            assert limit.observed == pytest.approx(observed, rel=tolerance)
            assert limit.expected[2] == pytest.approx(expected, rel=tolerance)


def on_a_line(peak: Callable[..., np.ndarray], values: np.ndarray) -> np.ndarray:
    """Densities of a peak, 0 where it is none, and of Bernstein's polynomials of first order."""
    t = (values - 0.3) / 0.6
    return np.array([np.nan_to_num(peak(values)), 2 * (1 - t) / 0.6, 2 * t / 0.6])
