"""A likelihood of two channels for the tests, and the same likelihood in numpy and numba-stats.

Channel "one" is a double-sided Crystal Ball in a window that moves, "two" a Crystal Ball over its
whole range. There are no events of "one" around 1.2 GeV; "two" is closed from 1.4 GeV on. For some
masses there are events exactly on the edges of the window and of what a blind analysis hides.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
from numba_stats import crystalball, crystalball_ex  # type: ignore[import-untyped]
from numpy.polynomial import chebyshev as polynomial
from scipy.interpolate import PchipInterpolator

from zfit_dark.channel import Nuisance, ShapeChannel, Veto, chebyshev
from zfit_dark.likelihood import Likelihood
from zfit_dark.newton import FloatArray
from zfit_dark.signal_shape import SignalShape

Pieces = list[tuple[float, float]]

LIMITS = {"one": (0.3, 2.0), "two": (0.25, 2.2)}
WINDOW = 12.0
HIDDEN = 3.0
EMPTY, CLOSED = (1.05, 1.35), 1.4
ON_EDGES = np.array([0.41, 0.7, 0.83, 1.43, 1.5, 1.543, 1.7, 1.89])
ETA, ETA_PRIME = Veto(0.50, 0.60, "eta"), Veto(0.94, 0.98, "eta'")
VETOES = {"one": (ETA, ETA_PRIME), "two": (ETA,)}
MASSES = np.array([0.2, 0.7, 1.3, 2.1])
TABLES = {
    "one": {
        "sigma": np.array([0.008, 0.009, 0.012, 0.014]),
        "shift": np.array([0.001, -0.002, 0.0, 0.003]),
        "alphal": np.array([1.1, 1.2, 1.0, 1.4]),
        "nl": np.array([3.0, 4.0, 2.5, 6.0]),
        "alphar": np.array([1.6, 1.7, 1.9, 1.8]),
        "nr": np.array([8.0, 5.0, 9.0, 7.0]),
    },
    "two": {
        "sigma": np.array([0.011, 0.015, 0.018, 0.017]),
        "alpha": np.array([1.0, 1.3, 1.5, 1.2]),
        "n": np.array([3.0, 2.5, 4.0, 5.0]),
    },
}
SIZES = {"n_bb": {"one": 0.014, "two": 0.03}, "eff_one": {"one": 0.1}, "eff_two": {"two": 0.2}}


def per_poi(name: str, mass: float) -> float:
    if name == "two":
        return 30.0 if mass < CLOSED else 0.0
    return 20.0 * (1.0 + mass)


@cache
def masses_of(name: str) -> FloatArray:
    """Candidates: falling backgrounds, a small peak at 0.8 GeV, none of "one" around 1.2 GeV."""
    rng = np.random.default_rng({"one": 11, "two": 12}[name])
    low, high = LIMITS[name]
    background = low + (high - low) * rng.beta(1.0, 1.6, {"one": 900, "two": 350}[name])
    half = np.outer([-WINDOW, WINDOW, -HIDDEN, HIDDEN], shape(name).sigma(ON_EDGES))
    on_edges = (ON_EDGES + half).ravel()
    on_edges = on_edges[(on_edges > low) & (on_edges < high)]
    data = np.concatenate([background, rng.normal(0.8, 0.01, 25), LIMITS[name], on_edges])
    if name == "one":
        data = data[(data < EMPTY[0]) | (data > EMPTY[1])]
    return data


def shape(name: str) -> SignalShape:
    return SignalShape(MASSES, TABLES[name], source="a test", status="assumed")


def channels() -> tuple[ShapeChannel, ShapeChannel]:
    return (
        ShapeChannel(
            "one",
            masses_of("one"),
            LIMITS["one"],
            shape("one"),
            lambda mass: per_poi("one", mass),
            chebyshev(2),
            window=WINDOW,
            vetoes=VETOES["one"],
            nuisances=(Nuisance("n_bb", 0.014), Nuisance("eff_one", 0.1, "gaussian")),
            label="mode one",
        ),
        ShapeChannel(
            "two",
            masses_of("two"),
            LIMITS["two"],
            shape("two"),
            lambda mass: per_poi("two", mass),
            chebyshev(1),
            vetoes=VETOES["two"],
            nuisances=(Nuisance("n_bb", 0.03), Nuisance("eff_two", 0.2)),
        ),
    )


@cache
def shape_at(name: str, mass: float) -> dict[str, float]:
    table = TABLES[name]
    return {column: float(PchipInterpolator(MASSES, v)(mass)) for column, v in table.items()}


@cache
def likelihood() -> Likelihood:
    """The likelihood of the package, compiled once for all tests."""
    return Likelihood(channels(), poi="mu")


class Expected:
    """What one channel expects at a mass, written down once more.

    Args:
        name: of the channel.
        mass: the hypothesis.
        theta: all parameters of the likelihood by name.
        hidden: half width, in resolutions, of the region that is not looked at.
    """

    def __init__(
        self, name: str, mass: float, theta: dict[str, float], hidden: float = 0.0
    ) -> None:
        self.name, self.theta = name, theta
        self.limits = low, high = LIMITS[name]
        self.at = shape_at(name, mass)
        self.mu, sigma = mass + self.at.get("shift", 0.0), self.at["sigma"]
        self.beyond = 25.0 * TABLES[name]["sigma"].max()
        self.window = self.limits
        if name == "one":
            self.window = max(mass - WINDOW * sigma, low), min(mass + WINDOW * sigma, high)
        self.holes: Pieces = [(veto.low, veto.high) for veto in VETOES[name]]
        if hidden > 0:
            self.holes.append((mass - hidden * sigma, mass + hidden * sigma))
        factor = {
            "one": (1 + 0.1 * theta["theta_eff_one"]) * 1.014 ** theta["theta_n_bb"],
            "two": 1.2 ** theta["theta_eff_two"] * 1.03 ** theta["theta_n_bb"],
        }[name]
        self.signal_yield = theta["mu"] * per_poi(name, mass) * factor
        self.background_yield = theta[f"{name}_background_yield"]
        order = {"one": 2, "two": 1}[name]
        self.series = np.array(
            [1.0, *(theta[f"{name}_background_c{i}"] for i in range(1, order + 1))]
        )

    def pieces(self) -> Pieces:
        """What the holes leave of the window."""
        cuts = {edge for hole in self.holes for edge in hole}
        edges = sorted({*self.window, *(e for e in cuts if self.window[0] < e < self.window[1])})
        return [
            (a, b)
            for a, b in pairwise(edges)
            if not any(low < 0.5 * (a + b) < high for low, high in self.holes)
        ]

    def visible(self, x: FloatArray) -> FloatArray:
        seen = (x >= self.window[0]) & (x <= self.window[1])
        for low, high in self.holes:
            seen &= (x <= low) | (x >= high)
        return np.asarray(seen)

    def data(self) -> FloatArray:
        data = masses_of(self.name)
        return np.sort(data[self.visible(data)])

    def _signal(self, function: str, x: FloatArray) -> FloatArray:
        at, sigma = self.at, self.at["sigma"]
        if self.name == "one":
            arguments = (at["alphal"], at["nl"], sigma, at["alphar"], at["nr"], sigma, self.mu)
            return np.asarray(getattr(crystalball_ex, function)(x, *arguments))
        return np.asarray(getattr(crystalball, function)(x, at["alpha"], at["n"], self.mu, sigma))

    def signal(self, x: FloatArray) -> FloatArray:
        """Density of the whole peak, not cut."""
        ends = np.array([self.limits[0] - self.beyond, self.limits[1] + self.beyond])
        return self._signal("pdf", x) / np.diff(self._signal("cdf", ends))

    def background(self, x: FloatArray) -> FloatArray:
        """Density of the background in the window without holes."""
        low, high = self.window
        norm = np.diff(polynomial.chebval(np.array([-1.0, 1.0]), polynomial.chebint(self.series)))
        t = (2 * x - low - high) / (high - low)
        return np.asarray(polynomial.chebval(t, self.series) / norm * 2 / (high - low))

    def density(self, x: FloatArray) -> FloatArray:
        """Expected events per GeV."""
        both = self.signal_yield * self.signal(x) + self.background_yield * self.background(x)
        return np.where(self.visible(x), both, 0.0)

    def visible_signal(self) -> float:
        """Fraction of the peak that is seen."""
        ends = np.array([self.limits[0] - self.beyond, self.limits[1] + self.beyond])
        whole = float(np.diff(self._signal("cdf", ends))[0])
        cumulative = self._signal("cdf", np.array(self.pieces()).ravel())
        return float(np.diff(cumulative.reshape(-1, 2)).sum()) / whole

    def visible_background(self) -> float:
        """Fraction of the background in the window that the holes leave."""
        low, high = self.window
        t = (2 * np.array(self.pieces()) - low - high) / (high - low)
        primitive = polynomial.chebint(self.series)
        total = np.diff(polynomial.chebval(np.array([-1.0, 1.0]), primitive))[0]
        return float(np.diff(polynomial.chebval(t, primitive)).sum() / total)

    def events(self) -> float:
        return (
            self.signal_yield * self.visible_signal()
            + self.background_yield * self.visible_background()
        )


def negative_log_likelihood(mass: float, theta: dict[str, float], hidden: float = 0.0) -> float:
    """The complete likelihood of both channels, every constraint once, without constants."""
    value: float = 0.5 * sum(theta[f"theta_{name}"] ** 2 for name in SIZES)
    for name in LIMITS:
        channel = Expected(name, mass, theta, hidden)
        value += channel.events() - float(np.log(channel.density(channel.data())).sum())
    return value
