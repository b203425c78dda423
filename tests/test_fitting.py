"""A fit in the form that is drawn: counts, expected counts, curves, and what a blind one hides."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import two_channels as other
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad_vec
from two_channels import LIMITS, Expected

from zfit_dark.channel import ShapeChannel, Veto
from zfit_dark.errors import InputError
from zfit_dark.fitting import BINS, _edges, fit
from zfit_dark.likelihood import BLIND_HALF_WIDTH, Likelihood
from zfit_dark.profile import CompiledLoss, Hypothesis, compiled
from zfit_dark.results import Fit

MASSES = [0.62, 0.8, 1.2, 1.45]


@pytest.fixture(scope="module")
def fits(likelihood: Likelihood) -> dict[float, Fit]:
    return {mass: fit(likelihood, mass, pseudo_data=True) for mass in MASSES}


@pytest.fixture(scope="module")
def blind(likelihood: Likelihood) -> Fit:
    return fit(likelihood, 0.8, blind=True)


def best_fit(likelihood: Likelihood, mass: float) -> tuple[dict[str, float], float]:
    """Parameters by name at the minimum, and the error of the parameter of interest."""
    likelihood.move_to(mass)
    loss = compiled(likelihood.loss)
    start = loss.values()[None]
    found = loss.fit(loss.observed(), start, np.ones(start.shape, bool))
    theta = {p.name: float(v) for p, v in zip(loss.parameters, found.theta[0], strict=True)}
    free = (found.theta[0] > loss.lower) & (found.theta[0] < loss.upper)
    free &= np.einsum("pp->p", found.curvature[0]) > 0
    names = [p.name for p, moves in zip(loss.parameters, free, strict=True) if moves]
    covariance = np.linalg.inv(found.curvature[0][np.ix_(free, free)])
    place = names.index("mu")
    return theta, float(np.sqrt(covariance[place, place]))


@pytest.mark.parametrize("mass", MASSES)
def test_best_fit_and_its_error(
    likelihood: Likelihood, fits: dict[float, Fit], mass: float
) -> None:
    theta, error = best_fit(likelihood, mass)
    assert fits[mass].mass == mass
    assert fits[mass].valid
    assert fits[mass].warnings == ()
    assert fits[mass].poi_hat == pytest.approx(theta["mu"], abs=1e-3 * error)
    assert fits[mass].poi_error == pytest.approx(error, rel=1e-3)


@pytest.mark.parametrize("mass", MASSES)
def test_counts_are_all_candidates_of_the_fit(
    likelihood: Likelihood, fits: dict[float, Fit], mass: float
) -> None:
    for channel, drawn in zip(likelihood.channels, fits[mass].channels, strict=True):
        data = channel.fitted(mass)
        assert drawn.counts.sum() == data.size
        np.testing.assert_array_equal(drawn.counts, np.histogram(data, drawn.edges)[0])


@pytest.mark.parametrize("mass", MASSES)
def test_expected_counts_are_integrals_of_the_density(
    likelihood: Likelihood, fits: dict[float, Fit], mass: float
) -> None:
    theta, _ = best_fit(likelihood, mass)
    for drawn in fits[mass].channels:
        channel = Expected(drawn.name, mass, theta)
        exact = [
            float(quad_vec(lambda x, of=channel: of.density(np.array([x])), a, b)[0][0])
            for a, b in pairwise(drawn.edges)
        ]
        # in the largest bin the even points of the curve are 0.3 resolutions apart
        np.testing.assert_allclose(drawn.expected, exact, rtol=5e-3, atol=1e-6)
        assert drawn.expected.sum() == pytest.approx(channel.events(), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("mass", MASSES)
def test_curves_are_the_fitted_densities(
    likelihood: Likelihood, fits: dict[float, Fit], mass: float
) -> None:
    theta, _ = best_fit(likelihood, mass)
    for drawn in fits[mass].channels:
        assert drawn.edges[0] < drawn.x[0] < drawn.x[-1] < drawn.edges[-1]
        assert (np.diff(drawn.x) > 0).all()
        total = Expected(drawn.name, mass, theta).density(drawn.x)
        background = Expected(drawn.name, mass, theta | {"mu": 0.0}).density(drawn.x)
        np.testing.assert_allclose(drawn.total, total, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(drawn.background, background, rtol=1e-3, atol=1e-6)


def test_signal_stands_on_the_background_where_it_was_put(fits: dict[float, Fit]) -> None:
    drawn = fits[0.8].channels[0]
    signal = drawn.total - drawn.background
    assert fits[0.8].poi_hat > 0
    assert abs(drawn.x[signal.argmax()] - 0.8) < 0.01


def test_window_holes_and_names(likelihood: Likelihood, fits: dict[float, Fit]) -> None:
    one, two = fits[0.62].channels
    assert (one.name, one.label, two.name, two.label) == ("one", "mode one", "two", "two")
    assert one.window == likelihood.channels[0].window_at(0.62)
    assert two.window == LIMITS["two"]
    assert one.holes == ((0.50, 0.60, "eta"),)
    assert two.holes == ((0.50, 0.60, "eta"),)
    assert fits[1.45].channels[0].holes == ()
    in_hole = (one.x > 0.50) & (one.x < 0.60)
    assert in_hole.any()
    assert not one.total[in_hole].any()
    assert (one.total[~in_hole] > 0).all()


def test_channel_without_candidates(fits: dict[float, Fit]) -> None:
    one, two = fits[1.2].channels
    assert one.counts.sum() == 0
    assert two.counts.sum() > 0
    assert not one.background.any()


def test_labels(likelihood: Likelihood, fits: dict[float, Fit]) -> None:
    assert (fits[0.8].poi_label, fits[0.8].poi_unit) == ("mu", "")
    assert fits[0.8].pseudo_data
    named = fit(likelihood, 0.8, poi_label="$B$", poi_unit="fb")
    assert (named.poi_label, named.poi_unit, named.pseudo_data) == ("$B$", "fb", False)


# ------------------------------------------------------------------ blind


def test_blind_fit_shows_nothing_of_the_signal_region(
    likelihood: Likelihood, blind: Fit, fits: dict[float, Fit]
) -> None:
    assert blind.blind
    assert np.isnan(blind.poi_hat)
    assert np.isnan(blind.poi_error)
    for channel, drawn, seen in zip(
        likelihood.channels, blind.channels, fits[0.8].channels, strict=True
    ):
        half = BLIND_HALF_WIDTH * channel.signal.sigma(0.8)
        assert drawn.hidden == pytest.approx((0.8 - half, 0.8 + half))
        low, high = drawn.hidden or (np.nan, np.nan)
        overlaps = (drawn.edges[:-1] < high) & (drawn.edges[1:] > low)
        assert overlaps.any()
        np.testing.assert_array_equal(np.isnan(drawn.counts), overlaps)
        np.testing.assert_array_equal(drawn.counts[~overlaps], seen.counts[~overlaps])
        np.testing.assert_array_equal(drawn.total, drawn.background)


def test_blind_background_is_that_of_the_sidebands(likelihood: Likelihood, blind: Fit) -> None:
    """At the minimum a free yield makes the expectation of the sidebands their count."""
    theta = dict.fromkeys(("mu", *(f"theta_{name}" for name in other.SIZES)), 0.0)
    for channel, drawn in zip(likelihood.channels, blind.channels, strict=True):
        order = {"one": 2, "two": 1}[drawn.name]
        low, high = channel.window_at(0.8)
        visible = drawn.background > 0
        t = (2 * drawn.x - low - high) / (high - low)
        series = np.polynomial.chebyshev.chebfit(t[visible], drawn.background[visible], order)
        own = {f"{drawn.name}_background_c{i}": series[i] / series[0] for i in range(1, order + 1)}
        own[f"{drawn.name}_background_yield"] = (
            series[0] * (high - low) * (1.0 if order == 1 else 1.0 - series[2] / series[0] / 3)
        )
        expected = Expected(drawn.name, 0.8, theta | own, BLIND_HALF_WIDTH).events()
        count = channel.fitted(0.8, BLIND_HALF_WIDTH).size
        assert count < channel.fitted(0.8).size
        assert expected == pytest.approx(count, rel=1e-3)


def test_blind_fit_leaves_the_likelihood_open(likelihood: Likelihood) -> None:
    fit(likelihood, 0.8, blind=True)
    sizes = [int(data.num_entries) for data in likelihood.loss.data]
    assert sizes == [channel.fitted(0.8).size for channel in likelihood.channels]


# ------------------------------------------------------------------ what goes wrong


def test_mass_that_is_no_hypothesis(likelihood: Likelihood) -> None:
    with pytest.raises(InputError, match=r"no hypothesis at 0.55 GeV: vetoed: eta"):
        fit(likelihood, 0.55)


@pytest.mark.parametrize("blinded", [False, True])
def test_fit_that_does_not_converge_says_so(
    likelihood: Likelihood, monkeypatch: pytest.MonkeyPatch, blinded: bool
) -> None:
    whole = CompiledLoss.hypothesis

    def failing(self: CompiledLoss, *arguments: Any, **how: Any) -> Hypothesis:
        found = whole(self, *arguments, **how)
        edm = np.full_like(found.fits.edm, np.inf)
        return found._replace(fits=replace(found.fits, edm=edm))

    monkeypatch.setattr(CompiledLoss, "hypothesis", failing)
    found = fit(likelihood, 1.43, blind=blinded)
    assert not found.valid
    assert found.warnings == ("the fit did not converge",)


# ------------------------------------------------------------------ bins


@given(
    mass=st.floats(0.4, 1.9),
    window=st.none() | st.floats(3, 40),
    holes=st.lists(st.tuples(st.floats(0.2, 2.1), st.floats(1e-4, 0.3)), max_size=4),
)
def test_bins_end_at_the_edges_of_vetoes(
    mass: float, window: float | None, holes: list[tuple[float, float]]
) -> None:
    """No bin is partly in a veto, also where a veto is narrower than a bin."""
    vetoes = tuple(Veto(low, low + width, "hole") for low, width in holes)
    channel = ShapeChannel(
        "one", [], LIMITS["one"], other.shape("one"), 1.0, window=window, vetoes=vetoes
    )
    low, high = channel.window_at(mass)
    edges = _edges(channel, mass)
    assert (edges[0], edges[-1]) == (low, high)
    assert (np.diff(edges) > 0).all()
    assert np.diff(edges).max() <= 2.01 * (high - low) / BINS
    wanted = [e for veto in vetoes for e in (veto.low, veto.high) if low < e < high]
    assert np.isin(wanted, edges).all()
    if not wanted:
        assert len(edges) == BINS + 1
